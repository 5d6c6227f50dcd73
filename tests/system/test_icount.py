# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs that are repeatable to the bit, and two engines in lockstep."""

import os
import shutil
import subprocess

import pytest

from harness import BUILD, ENGINE, GUESTS, PATIENCE, Guest

LOCKSTEP = BUILD / "tests/lockstep/lockstep"
# The engine under test beside the reference; the reference beside itself, if it is the one.
ENGINES = f"interp,{ENGINE}"


def boot_counted(disk, *arguments):
    """What the console said up to the shell, with the kernel's time stamps."""
    with Guest("--memory", "256M", "--net", "none", "--icount", "--snapshot", "--disk", f"{disk},format=raw", *arguments) as guest:
        guest.wait_for("batuta: shell ready", 180)
        return guest.output[:guest.mark]


@pytest.mark.skipif(ENGINE == "kvm", reason="KVM cannot count instructions")
def test_two_boots_are_the_same(tmp_path):
    disk = tmp_path / "disk.img"
    shutil.copy(GUESTS / "disk.img", disk)
    first = boot_counted(disk)
    assert b"2020-01-01" in first
    assert boot_counted(disk) == first


def lockstep(*arguments, seconds=300):
    command = [LOCKSTEP, "--engines", ENGINES, "--kernel", GUESTS / "vmlinuz", "--initrd", GUESTS / "initrd.gz",
               "--append", "console=ttyS0 panic=-1", *arguments]
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=seconds * PATIENCE)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not LOCKSTEP.exists(), reason="the tests were not built")
@pytest.mark.skipif(ENGINE == "kvm", reason="KVM cannot count instructions")
def test_whole_boot_in_lockstep():
    status, text = lockstep("--until-console", "shell ready", "--every", os.environ.get("BATUTA_EVERY", "100000"))
    assert status == 0, text
    assert text.startswith("equal:")


@pytest.mark.skipif(not LOCKSTEP.exists(), reason="the tests were not built")
@pytest.mark.skipif(ENGINE != "bt", reason="only the translator has a code cache")
@pytest.mark.parametrize("mib", [1, 3])
def test_lockstep_with_a_small_cache(mib):
    """Each block is evicted and made anew dozens of times."""
    status, text = lockstep("--until-console", "shell ready", "--every", "100000", "--code-cache", mib)
    assert status == 0, text
    assert text.startswith("equal:")


@pytest.mark.skipif(not LOCKSTEP.exists(), reason="the tests were not built")
@pytest.mark.skipif(ENGINE == "kvm", reason="KVM cannot count instructions")
def test_lockstep_finds_the_instruction():
    status, text = lockstep("--max", 60000000, "--disturb", 50000123)
    assert status == 1, text
    assert "equal after 50000123" in text
