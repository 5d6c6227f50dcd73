# SPDX-License-Identifier: GPL-2.0-or-later
"""engine/svm and engine/vmx on a bare machine of their own (tests/hv): small guests, and Linux, where hardware
virtualization is emulated."""

import os
import re
import shutil
import subprocess

import pytest

import harness

HV = harness.TOP / "tests" / "hv"
LINUX = "console=ttyS0 quiet nokaslr mitigations=off no_timer_check cryptomgr.notests batuta.quiet batuta.net=off"
BEDS = {"amd-v": ("EPYC,+svm,+npt", 60), "vt-x": ("haswell", 200), "vt-x-newer": ("skylake_x", 200)}

slow = pytest.mark.skipif(not os.environ.get("BATUTA_HV"), reason="make test-hv runs it")


@pytest.fixture(scope="session")
def elf(tmp_path_factory):
    out = tmp_path_factory.mktemp("hv") / "engines.elf"
    subprocess.run([HV / "build", harness.BUILD, out], check=True)
    return out


def run(bed, elf, *modules, factor=1):
    model, seconds = BEDS[bed]
    for tool in ("qemu-system-x86_64",) if bed == "amd-v" else ("bochs-bin", "grub-mkrescue", "xorriso", "mformat"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (tools/setup hv)")
    where = ["--extra=-device isa-debug-exit,iobase=0xf4,iosize=1"] if bed == "amd-v" else ["--emulator", "bochs", "--protocol", "multiboot"]
    done = subprocess.run([harness.TOP / "tools" / "hv-run", elf, "--quiet", "--model", model, "--smp", "1", *where, "--until", "ALL PASS",
                           "--timeout", str(seconds * factor * harness.PATIENCE), *(f"--module={module}" for module in modules)],
                          stdin=subprocess.DEVNULL, capture_output=True)
    text = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    assert "ALL PASS" in text, text[-3000:] + done.stderr.decode()
    assert f"engine {'svm' if bed == 'amd-v' else 'vmx'}" in text
    return text


@pytest.mark.parametrize("bed", ["amd-v", "vt-x", pytest.param("vt-x-newer", marks=slow)])
def test_small_guests(bed, elf):
    text = run(bed, elf)
    # QEMU lacks breakpoints in guests and the check of addresses in MSRs.
    assert len(re.findall(r"^PASS \w+:", text, re.M)) == (23 if bed == "amd-v" else 25), text


@pytest.mark.parametrize("bed", ["amd-v", pytest.param("vt-x", marks=slow)])
def test_linux(bed, elf):
    vmlinuz = harness.GUESTS / "vmlinuz"
    if not vmlinuz.exists():
        pytest.skip("there is no guest kernel (tools/guests)")
    text = run(bed, elf, f"{vmlinuz} {LINUX}", str(harness.GUESTS / "initrd.gz"), factor=2)
    assert "f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a" in text  # seq 1 20000 | sha256sum
    assert "was up" in text
