# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole Debian on the bare-metal hypervisor, its root on a disk of the machine: fio's verification on that kind of disk
and on one in memory, and a download through the machine's NIC."""

import os
import shutil

import pytest

import hv
from harness import GUESTS, http_server

pytestmark = [
    pytest.mark.xdist_group("hv"),
    pytest.mark.skipif(not os.environ.get("BATUTA_HV"), reason="make test-hv runs it"),
]

CONFIG = """
[vm debian]
kernel = vmlinuz
initrd = debian-initrd.gz
append = "console=ttyS0 net.ifnames=0 quiet"
memory = 512M
cpus   = 2
disk   = virtio:0
disk   = virtio:1
disk   = ramdisk:64M
net    = switch
"""
MODULES = {"vmlinuz": GUESTS / "vmlinuz", "debian-initrd.gz": GUESTS / "debian-initrd.gz"}
FIO = ("fio --name=v --rw=randrw --bsrange=4k-128k --iodepth=16 --ioengine=libaio --direct=1 --size=48M --verify=crc32c "
       "--verify_fatal=1 --do_verify=1 --verify_backlog=64")


def disk(number, path):
    return ["-drive", f"file={path},format=raw,if=none,id=d{number}",
            "-device", f"virtio-blk-pci,drive=d{number},disable-legacy=on,addr={8 + number}"]


@pytest.fixture
def machine(tmp_path):
    root, scratch = tmp_path / "root.img", tmp_path / "scratch.img"
    shutil.copy(GUESTS / "hv.img", root)
    with open(scratch, "wb") as file:
        file.truncate(64 << 20)
    nic = ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,disable-legacy=on,romfile="]
    with hv.Machine(tmp_path, CONFIG, MODULES, memory=1024, extra=[*disk(0, root), *disk(1, scratch), *nic]) as machine:
        machine.scratch = scratch
        yield machine


def run(machine, command, seconds):
    """In the attached console's shell; fails as the command does."""
    machine.output = b""
    machine.type(f"{command}; echo status=$?=\r")
    machine.wait_for(r"status=\d+=\r?\n", seconds)
    assert b"status=0=" in machine.output, machine.tail()


def test_debian(machine):
    machine.wait_for(r"debian\| .*login:", 240)
    machine.type("\rattach debian\r")
    machine.wait_for("console of debian")
    machine.type("\r")
    machine.wait_for("# ", 60)
    run(machine, f"{FIO} --filename=/dev/vdb", 300)
    run(machine, f"{FIO} --filename=/dev/vdc", 300)
    with http_server(os.urandom(20 << 20)) as (port, right):
        run(machine, f"wget -q -O /root/download http://10.0.2.2:{port}/", 240)
        run(machine, f"echo '{right}  /root/download' | sha256sum -c", 60)
    machine.type("sync; poweroff\r")
    machine.type("\x1d")
    machine.connect()
    machine.wait_for("reboot: Power down", 120)
    assert any(machine.scratch.read_bytes()), "nothing reached the machine's disk"
