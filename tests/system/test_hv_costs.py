# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bare-metal hypervisor costs: instructions of exits beside KVM and Xen, and the time until the first guest runs.

QEMU counts instructions, so that what else this computer does makes no difference. Memory beside guests: test_hv_demo.py;
the image's size: tools/check.
"""

import os
import re
import subprocess

import pytest

import hv
from harness import PATIENCE, TOP

pytestmark = [
    pytest.mark.xdist_group("hv"),
    pytest.mark.skipif(not os.environ.get("BATUTA_HV"), reason="make test-hv runs it"),
]

FIRST = """
[vm first]
kernel = first.elf
memory = 512M
restart = never
debug-exit = 0xf4
"""


class FromDisc(hv.Machine):
    """By GRUB from an ISO, which measures what users see."""

    def qemu(self, files, memory, cpus, append, extra):
        command = super().qemu(files, memory, cpus, append, extra)
        return [*command[:command.index("-kernel")], "-cdrom", self.iso(files, append), "-boot", "d", *extra]


def test_exits():
    """At most what KVM takes in the kernel, and less than Xen."""
    done = subprocess.run([TOP / "bench" / "hv-exits"], capture_output=True, text=True, timeout=1500 * PATIENCE)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("cpus", [1, 2])
def test_first_guest_instruction(tmp_path, cpus):
    """100 ms after GRUB has jumped to us the first VM's first instruction has run. A nanosecond is two instructions."""
    hv.need("qemu-system-x86_64", "grub-mkrescue", "xorriso", "mformat")
    first = tmp_path / "first.elf"
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-n,-Ttext=0x100000,-z,noexecstack,--build-id=none", "-o", first,
                    TOP / "bench" / "guest" / "first.S"], check=True)
    with FromDisc(tmp_path, FIRST, {"first.elf": first}, memory=2048, cpus=cpus, extra=["-icount", "shift=1,sleep=off"]) as machine:
        machine.wait_for("first: ends with status", 120)
        stamps = {what: float(re.search(rf"\[ *(\d+\.\d+)\] {what}", machine.output.decode())[1])
                  for what in ("batuta-hv on", "ready", "first: ends with status")}
        print(stamps)
        assert 0 < stamps["first: ends with status"] <= 0.100
