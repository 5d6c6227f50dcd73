# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile guests (the law of resource control): whatever the guest does, its VMM neither crashes nor hangs.

Each guest is one test of tests/guest/hostile. It may come to its end, end in a triple fault, or go on for ever;
then the VMM must still answer on its control socket and end when told.
"""

import time

import pytest

import guests
from guests import FAIL, PASS
from harness import OFF, PATIENCE, STOPPED, TRIPLE_FAULT, Guest

TABLE = guests.hostile()
NAMES = TABLE.names
# These must come to their end: their own checks are part of the test.
MUST_PASS = TABLE.of_kind("V")
# They go on for ever, and their VMM must still answer at once.
STORMS = TABLE.of_kind("S")
SECONDS, ENOUGH, SOON = 60, 5, 5


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    return TABLE.build(tmp_path_factory.mktemp("hostile") / "hostile.elf")


def guest(kernel, name, tmp_path, *more):
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\0" * (1 << 20))
    if name.startswith("smp_"):
        more = [*more, "--cpus", "4"]
    if name != "smp_old_modes": # random code finds the port, and triple faults, all too soon
        more = [*more, "--debug-exit", "0xf4", "--no-reboot"]
    return Guest("--kernel", kernel, "--append", name, "--memory", "128M", "--net", "user", "--disk", f"{disk},format=raw",
                 "--console", "stdio", "--console", f"file:{tmp_path}/hvc0", "--console", f"file:{tmp_path}/hvc1", *more,
                 default_boot=False, control=True)


def must_still_answer(vm):
    start = time.monotonic()
    qmp = vm.qmp()
    assert qmp.command("query-status")["status"] in ("running", "paused", "shutdown")
    assert time.monotonic() - start < SOON * PATIENCE
    qmp.send("quit")
    assert vm.process.wait(20 * PATIENCE) == STOPPED
    vm.end(5)


def seconds_for(name):
    return 1 if name in STORMS else SECONDS if name in MUST_PASS else ENOUGH


@pytest.mark.parametrize("name", NAMES)
def test_hostile_guest(kernel, name, tmp_path):
    with guest(kernel, name, tmp_path) as vm:
        end = time.monotonic() + seconds_for(name) * PATIENCE
        while vm.process.poll() is None and time.monotonic() < end:
            vm.read_some(0.1)
        assert name not in STORMS or vm.process.poll() is None, f"it came to an end:\n{vm.tail()}"
        if vm.process.poll() is None:
            assert name not in MUST_PASS, f"did not come to its end:\n{vm.tail()}"
            must_still_answer(vm)
        else:
            status = vm.end(5)
            assert status in ((PASS,) if name in MUST_PASS else (PASS, FAIL, OFF, TRIPLE_FAULT)), vm.tail()
        assert b"Sanitizer" not in vm.output and b"runtime error" not in vm.output, vm.tail()


def test_nobody_reads(kernel, tmp_path):
    """The guest's output and our messages go to one pipe, which is full: that stops nobody."""
    with guest(kernel, "uart_flood", tmp_path) as vm:
        time.sleep(PATIENCE)
        must_still_answer(vm)
    with guest(kernel, "uart_flood_and_fault", tmp_path) as vm:
        assert vm.process.wait(20 * PATIENCE) == TRIPLE_FAULT


def test_warnings_are_few(kernel, tmp_path):
    """However often the guest misbehaves."""
    start = time.monotonic()
    with guest(kernel, "virtio_all_at_once", tmp_path) as vm:
        assert vm.end(SECONDS) == PASS
        assert 3 <= vm.output.count(b"warning: ") <= 22 + time.monotonic() - start


def test_enough_hostile_guests():
    assert len(NAMES) >= 40 and len(MUST_PASS) >= 30


def test_each_names_its_law():
    assert set(TABLE.law.values()) <= {1, 2, 3}
