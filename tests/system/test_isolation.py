# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of tests/guest/isolation under the hosted engines: what a VM must and must not see of a machine
(equivalence, resource control). test_hv_isolation.py runs them on the bare machine, beside others.
"""

import subprocess
import time

import pytest

import guests
from guests import PASS
from harness import OFF, PATIENCE, STOPPED, TOP, TRIPLE_FAULT, Guest
from test_hostile import must_still_answer

TABLE = guests.isolation()
SECONDS = 60


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    return TABLE.build(tmp_path_factory.mktemp("isolation") / "isolation.elf")


def guest(kernel, name, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\0" * (1 << 20))
    return Guest("--kernel", kernel, "--append", name, "--memory", "128M", "--cpus", "2", "--net", "user",
                 "--disk", f"{disk},format=raw", "--debug-exit", "0xf4", "--no-reboot", default_boot=False, control=True)


@pytest.mark.parametrize("name", TABLE.of_kind("V", "E"))
def test_passes(kernel, name, tmp_path):
    with guest(kernel, name, tmp_path) as vm:
        if TABLE.kind[name] == "E":
            vm.wait_for("measured", SECONDS)
            vm.type("\n")
        assert vm.end(SECONDS) == PASS, vm.tail()


@pytest.mark.parametrize("name", [name for name in TABLE.of_kind("S", "T") if name != "witness"])
def test_storm(kernel, name, tmp_path):
    with guest(kernel, name, tmp_path) as vm:
        end = time.monotonic() + PATIENCE
        while vm.process.poll() is None and time.monotonic() < end:
            vm.read_some(0.1)
        if vm.process.poll() is None:
            must_still_answer(vm)
        else:
            assert TABLE.kind[name] == "T" and vm.end(5) in (OFF, TRIPLE_FAULT), vm.tail()


def test_witness(kernel, tmp_path):
    """It sees no violation where nobody commits any, and gets on."""
    with guest(kernel, "witness", tmp_path) as vm:
        vm.wait_for("witness beat 20 ", SECONDS)
        assert b"VIOLATION" not in vm.output, vm.tail()
        qmp = vm.qmp()
        qmp.send("quit")
        assert vm.end(SECONDS) == STOPPED


def test_enough():
    assert len(TABLE.names) >= 60
    assert {TABLE.law[name] for name in TABLE.names} == {1, 2, 3}


def test_small_guest(tmp_path):
    """The demonstration's guest without an operating system: it counts seconds, answers, crashes and goes off when told."""
    subprocess.run([TOP / "examples" / "hv" / "build", tmp_path / "small.elf"], check=True)
    with Guest("--kernel", tmp_path / "small.elf", "--memory", "8M", default_boot=False) as vm:
        vm.wait_for("type help")
        vm.wait_for("up 0:00:02")
        vm.type("hello\n")
        vm.wait_for("you said: hello")
        vm.type("crash\n")
        vm.wait_for("about to crash")
        vm.wait_for("type help") # again
        vm.type("off\n")
        assert vm.end() == OFF
