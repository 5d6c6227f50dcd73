# SPDX-License-Identifier: GPL-2.0-or-later
"""batuta-hv's kernel on emulated machines: its self-test by every way of booting, and its panics."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

import harness

TOP = harness.TOP
HV = harness.BUILD / "tests" / "hv" / "batuta-hv-selftest"


# What takes longer than a few seconds and seldom shows more than the rest: `make test-hv`.
long = pytest.mark.skipif("BATUTA_LONG" not in os.environ, reason="only with BATUTA_LONG=1")


def run(*arguments, until, timeout, status=0):
    """What the machine said until then; with status None anything may have happened."""
    done = subprocess.run([TOP / "tools" / "hv-run", "--quiet", "--timeout", str(timeout * harness.PATIENCE), "--until", until,
                           *arguments, HV], stdin=subprocess.DEVNULL, capture_output=True)
    text = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    assert status is None or done.returncode == status, f"hv-run ended with {done.returncode}:\n{text[-3000:]}{done.stderr.decode()}"
    return text


def selftest(*arguments, cpus, timeout=60, append="selftest log=debug"):
    text = run("--parallel", "--append", append, *arguments, until=r"selftest: \d+ passed, \d+ failed\r?\n|panic", timeout=timeout)
    assert "selftest: 12 passed, 0 failed" in text, text
    assert f"batuta-hv on {cpus} processor" in text
    return text


def need(*things):
    for thing in things:
        if not (shutil.which(thing) or pathlib.Path(thing).exists()):
            pytest.skip(f"{thing} is not installed (tools/setup hv)")


def test_kernel_option():
    selftest(cpus=2)


def test_one_processor_without_much():
    """No SMEP, TSC deadline, 1 GiB pages; one processor; a command line that limits them."""
    selftest("--smp", "1", "--memory", "64", "--model", "qemu64", cpus=1)
    selftest("--smp", "4", cpus=2, append="selftest maxcpus=2")


@long
def test_many_processors():
    selftest("--smp", "8", "--memory", "6144", cpus=8, timeout=120)


def test_modules(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 5000)
    (tmp_path / "b").write_bytes(b"y")
    for boot in ("kernel", "grub"):
        if boot == "grub":
            need("grub-mkrescue", "xorriso", "mformat")
        text = selftest("--boot", boot, "--module", f"{tmp_path / 'a'} config here", "--module", f"{tmp_path / 'b'}", cpus=2)
        assert 'module "config here": 5000 bytes' in text
        assert 'module "b": 1 bytes' in text


@pytest.mark.parametrize("boot", ["grub", "uefi"])
def test_iso_in_qemu(boot):
    need("grub-mkrescue", "xorriso", "mformat", *(["/usr/share/ovmf/OVMF.fd"] if boot == "uefi" else []))
    selftest("--boot", boot, cpus=2, timeout=120)


@long
@pytest.mark.parametrize("model", ["haswell", "skylake_x", "ryzen"])
def test_iso_in_bochs(model):
    need("bochs-bin", "grub-mkrescue", "xorriso", "mformat")
    selftest("--emulator", "bochs", "--model", model, cpus=2, timeout=240)


@pytest.mark.parametrize("what,expected", [
    ("panic", [r"panic on processor \d, thread main: as asked for on the command line", r"called from\n    crash\+", r"selftest_kernel\+"]),
    ("assert", [r"thread main: invalid instruction \(or a broken assertion\)", r"in crash\+"]),
    ("null", [r"page fault: read at 0x10, nothing is mapped there", r"in crash\+", r"rax [0-9a-f]{16}"]),
    ("text", [r"page fault: write at 0xffffffff80[0-9a-f]+, forbidden", r"in crash\+"]),
    ("stuck", [r"panic: processor \d did not come back for \d s \(watchdog\)\n  it is in crash\+", r"selftest_kernel\+"]),
    ("stack", [r"this thread's stack is full", r"in eat_stack\+", r"eat_stack\+0x[0-9a-f]+\n    eat_stack\+"]),
])
def test_panics(what, expected):
    """Each says where and why, with names, and the machine stands still if that was asked for."""
    text = run("--append", f"selftest={what} panic=halt", until="stands still", timeout=60)
    for pattern in expected:
        assert re.search(pattern, text), f"{pattern} is not in:\n{text}"


def test_restart():
    """Without panic=halt the machine restarts, which ends QEMU (-no-reboot)."""
    text = run("--append", "selftest=panic", until="never said", timeout=60)
    assert "the machine restarts" in text
