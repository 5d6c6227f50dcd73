# SPDX-License-Identifier: GPL-2.0-or-later
"""The switch of the bare-metal hypervisor, seen by Linux VMs at it: VLANs are apart (law 2), and nobody speaks for another."""

import os

import pytest

import hv
from harness import GUESTS

pytestmark = [
    pytest.mark.xdist_group("hv"),
    pytest.mark.skipif(not os.environ.get("BATUTA_HV"), reason="make test-hv runs it"),
]

VM = """
[vm {name}]
kernel = vmlinuz
initrd = initrd.gz
append = "console=ttyS0 quiet batuta.quiet batuta.ip=10.0.0.{number}/24 batuta.name={name}"
memory = 160M
net = switch,vlan={vlan},ip=10.0.0.{number},mac=52:54:00:00:00:0{number}
"""
VMS = (("a", 1, 10), ("b", 2, 10), ("c", 3, 20))
MODULES = {"vmlinuz": GUESTS / "vmlinuz", "initrd.gz": GUESTS / "hv-initrd.gz"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    config = "".join(VM.format(name=name, number=number, vlan=vlan) for name, number, vlan in VMS)
    with hv.Machine(tmp_path_factory.mktemp("hv"), config, MODULES, memory=1024) as machine:
        for name, _, _ in VMS:
            machine.wait_for(rf"{name}\| batuta: shell ready", 240)
        yield machine


def answers(machine, vm, command):
    """How many replies the ping got that the command ends with."""
    machine.output = b""
    machine.type(f"\rattach {vm}\r")
    machine.wait_for(rf"the console of {vm}")
    machine.type("\r")
    machine.wait_for("/ # ")
    machine.output = b""
    machine.type(command + "\r")
    machine.wait_for(r"\d+ packets transmitted, \d+ packets received", 60)
    text = machine.output.decode(errors="replace")
    machine.type("\x1d")
    machine.wait_for(rf"left {vm}")
    return int(text.split(" packets received")[0].split()[-1])


def test_same_vlan(machine):
    assert answers(machine, "a", "ping -c 3 -w 20 10.0.0.2") == 3
    assert answers(machine, "b", "ping -c 3 -w 20 10.0.0.1") == 3


def test_other_vlan(machine):
    assert answers(machine, "a", "ping -c 3 -w 5 10.0.0.3") == 0
    assert answers(machine, "c", "ping -c 3 -w 5 10.0.0.1") == 0


def test_another_ip_address(machine):
    change = "ip address flush dev eth0; ip address add {}/24 dev eth0"
    other = change.format("10.0.0.9")
    assert answers(machine, "b", f"{other}; ping -c 3 -w 5 10.0.0.1") == 0
    back = change.format("10.0.0.2")
    assert answers(machine, "b", f"{back}; ping -c 3 -w 20 10.0.0.1") == 3


def test_another_mac_address(machine):
    change = "ip link set eth0 down; ip link set eth0 address {}; ip link set eth0 up"
    other = change.format("52:54:00:00:00:01")
    assert answers(machine, "b", f"{other}; ping -c 3 -w 5 10.0.0.1") == 0
    back = change.format("52:54:00:00:00:02")
    assert answers(machine, "b", f"{back}; ping -c 3 -w 20 10.0.0.1") == 3


def test_it_is_all_counted(machine):
    """After the tests above: what was dropped, where, and why."""
    ports = {port["port"]: port for port in machine.connect().command("batuta-network")}
    assert set(ports) == {"a.net0", "b.net0", "c.net0"}
    assert [ports[f"{name}.net0"]["vlan"] for name in "abc"] == [10, 10, 20]
    why = dict(word.split("=") for word in ports["b.net0"]["why"].split())
    assert int(why["address"]) >= 3 and int(why["mac"]) >= 3
    assert ports["b.net0"]["dropped"] == sum(map(int, why.values()))
    assert all(port["in-frames"] and port["in-bytes"] for port in ports.values())


def test_the_others_are_unharmed(machine):
    assert answers(machine, "a", "ping -c 3 -w 20 10.0.0.2") == 3
    assert all(machine.connect().vm(name)["state"] == "running" for name, _, _ in VMS)
