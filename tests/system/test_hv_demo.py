# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration, build/batuta-hv.iso: two Linux VMs and a small one on one machine, by BIOS and by UEFI, without a keystroke."""

import os
import pathlib
import re
import subprocess
import time

import pytest

import hv
from harness import BUILD, PATIENCE, TOP

pytestmark = pytest.mark.xdist_group("hv")

OVMF = "/usr/share/ovmf/OVMF.fd"
SHELL = r"batuta: shell ready"


class Demo(hv.Machine):
    def __init__(self, folder, firmware="bios", bed="qemu", **machine):
        self.firmware = firmware
        super().__init__(folder, "", {}, bed=bed, **{"memory": 2048, **machine})

    def iso(self, files, append):
        return BUILD / "batuta-hv.iso"

    def qemu(self, files, memory, cpus, append, extra):
        command = super().qemu(files, memory, cpus, append, extra)
        command = command[:command.index("-kernel")]
        bios = ["-bios", OVMF] if self.firmware == "uefi" else []
        return [*command, *bios, "-cdrom", BUILD / "batuta-hv.iso", "-boot", "d"]

    def shell(self, vm, command, pattern, seconds=60):
        """Types a command at a VM's console; the match of what it answers."""
        self.output = b""
        self.type(f"attach {vm}\r")
        self.wait_for(rf"the console of {vm}")
        self.type("\r")
        self.wait_for("/ # ")
        self.output = b""
        self.type(command + "\r")
        self.wait_for(pattern, seconds)
        match = re.search(pattern.encode(), self.output)
        self.type("\x1d")
        self.wait_for(rf"left {vm}")
        return match


@pytest.fixture(scope="module")
def iso():
    hv.need("grub-mkrescue", "xorriso", "mformat", "iperf3")
    subprocess.run([TOP / "tools" / "hv-demo", BUILD], check=True)


def everything_is_up(demo):
    for vm in ("red", "blue"):
        demo.wait_for(rf"(?m)^{vm}\| {SHELL}", 120)
    demo.wait_for(r"(?m)^small\| tick: .* up 0:00:", 60)
    demo.connect()


def test_demo(tmp_path, iso):
    with Demo(tmp_path) as demo:
        everything_is_up(demo)
        assert demo.command("batuta-host")["memory-own"] <= 16 << 20 # beside the guests: page tables, stacks, the image …
        assert [vm["vm"] for vm in demo.command("batuta-list-vms")] == ["red", "blue", "small"]
        assert demo.shell("red", "cat /sys/block/vda/size", r"\n(\d+)\r")[1] == b"131072"
        demo.shell("red", "ping -c 3 10.0.0.2", "3 packets transmitted, 3 packets received")
        demo.shell("blue", "iperf3 -s -1 -D; echo served", r"\nserved")
        said = demo.shell("red", "iperf3 -c 10.0.0.2 -n 8M -f m; echo status $?", r"(?s)Connecting.*status (\d+)", 180)
        assert said[1] == b"0" and re.search(rb"[1-9][\d.]* MBytes .* receiver", said[0]), said[0].decode(errors="replace")
        # Power off: the policy says that it comes back.
        demo.output = b""
        demo.type("attach blue\r")
        demo.wait_for("the console of blue")
        demo.type("poweroff\r\x1d")
        demo.wait_for(rf"(?m)^blue\| {SHELL}", 120)
        assert demo.vm("blue")["starts"] == 2 and demo.vm("red")["starts"] == 1
        # A command's stop is for good.
        demo.command("batuta-stop", vm="small", force=True)
        end = time.monotonic() + 30 * PATIENCE
        while demo.vm("small")["state"] != "off":
            assert time.monotonic() < end, demo.vm("small")
            time.sleep(0.2)
        assert demo.vm("small")["starts"] == 1


@pytest.mark.skipif(not os.environ.get("BATUTA_HV"), reason="make test-hv runs it")
def test_demo_by_uefi(tmp_path, iso):
    if not pathlib.Path(OVMF).exists():
        pytest.skip("OVMF is not installed")
    with Demo(tmp_path, "uefi") as demo:
        everything_is_up(demo)


@pytest.mark.skipif(os.environ.get("BATUTA_HV") != "all", reason="BATUTA_HV=all runs it, for minutes each")
@pytest.mark.parametrize("bed", ["haswell", "ryzen"])
def test_demo_elsewhere(tmp_path, iso, bed):
    """VT-x, and AMD-V as another emulator has it: the same ISO, and a Linux VM at its shell."""
    with Demo(tmp_path, bed=bed, memory=1536, cpus=1) as demo:
        demo.wait_for(r"VMs run on " + ("VT-x" if bed == "haswell" else "AMD-V"), 60)
        demo.wait_for(rf"(?m)^(red|blue)\| {SHELL}", 400)
        vm = re.search(rf"(red|blue)\| {SHELL}", demo.output.decode(errors="replace"))[1]
        assert demo.shell(vm, "cat /sys/block/vda/size", r"\n(\d+)\r", 60)[1] == b"131072"
