# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM saved at random instants of its boot goes on in another process, to its shell (state tables).

BATUTA_INSTANTS: how many. Under the other software engine, too, and back.
"""

import os
import random
import shutil
import time

import pytest

from harness import ENGINE, GUESTS, OFF, STOPPED, Guest, GuestError

INSTANTS = int(os.environ.get("BATUTA_INSTANTS", 20 if os.environ.get("BATUTA_LONG") == "1" else 4))
OTHER = "interp" if ENGINE == "bt" else "bt"
SEED = int(os.environ.get("BATUTA_SEED", "2023"))


def machine(disk, *more, engine=ENGINE):
    return Guest("--memory", "256M", "--cpus", "2", "--net", "user", "--disk", f"{disk},format=raw,serial=SAVED",
                 "--console", "stdio", "--console", "none", *more, engine=engine, control=True)


@pytest.fixture(scope="module")
def boot_seconds(tmp_path_factory):
    """How long a boot takes here and now."""
    disk = tmp_path_factory.mktemp("disk") / "disk.img"
    shutil.copy(GUESTS / "disk.img", disk)
    start = time.monotonic()
    with machine(disk) as guest:
        guest.boot()
        return time.monotonic() - start


def save(guest, state):
    qmp = guest.qmp()
    qmp.command("x-batuta-save", file=str(state))
    # Saving is no event in the guest's life: it goes on here, too.
    assert qmp.command("query-status")["status"] == "running"
    qmp.send("quit")
    assert guest.end() == STOPPED


def must_work(guest):
    assert guest.run("nproc") == "2"
    assert guest.run("cat /sys/block/vda/serial") == "SAVED"
    guest.run("mount /dev/vda /mnt")
    assert "Hello from a disk" in guest.run("cat /mnt/hello.txt")
    assert " 0% packet loss" in guest.run("ping -c 2 10.0.2.2")
    start = float(guest.run("cat /proc/uptime").split()[0])
    guest.run("sleep 1")
    assert 0.9 < float(guest.run("cat /proc/uptime").split()[0]) - start < 10
    guest.run("umount /mnt")
    guest.type("poweroff -f\n")
    assert guest.end() == OFF


def run_until(guest, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        guest.read_some(end - time.monotonic())


def boots_on(disk, state, said, instants, engine):
    """Loads what was saved, and must work to the end. said: before; both consoles together are one boot's."""
    with machine(disk, "--load", state, engine=engine) as guest:
        guest.output = said
        try:
            guest.boot()
        except GuestError as e:
            raise GuestError(f"saved {' s, '.join(f'{i:.3f}' for i in instants)} s after its start: {e}") from e
        must_work(guest)


@pytest.mark.parametrize("number", range(INSTANTS))
def test_goes_on_elsewhere(boot_seconds, number, tmp_path):
    disk, state = tmp_path / "disk.img", tmp_path / "state"
    shutil.copy(GUESTS / "disk.img", disk)
    instant = random.Random(SEED * 1000 + number).random() * boot_seconds
    with machine(disk) as guest:
        run_until(guest, instant)
        save(guest, state)
        said = guest.output
    boots_on(disk, state, said, [instant], ENGINE)


@pytest.mark.skipif(ENGINE == "kvm", reason="test_kvm.py does it")
@pytest.mark.parametrize("number", range((INSTANTS + 1) // 2))
def test_goes_on_under_the_other_engine_and_back(boot_seconds, number, tmp_path):
    """Half of them begin under the one, half under the other."""
    engines = [ENGINE, OTHER, ENGINE, OTHER][number % 2:][:3]
    disk, states = tmp_path / "disk.img", [tmp_path / "first", tmp_path / "second"]
    shutil.copy(GUESTS / "disk.img", disk)
    dice = random.Random(SEED * 1000 + 500 + number)
    instants = [dice.random() * boot_seconds / 2, dice.random() * boot_seconds / 2]
    with machine(disk, engine=engines[0]) as guest:
        run_until(guest, instants[0])
        save(guest, states[0])
        said = guest.output
    with machine(disk, "--load", states[0], engine=engines[1]) as guest:
        run_until(guest, instants[1])
        save(guest, states[1])
        said += guest.output
    boots_on(disk, states[1], said, instants, engines[2])


def test_paused_before_the_first_instruction(tmp_path):
    disk, state = tmp_path / "disk.img", tmp_path / "state"
    shutil.copy(GUESTS / "disk.img", disk)
    with machine(disk, "--paused") as guest:
        qmp = guest.qmp()
        qmp.command("x-batuta-save", file=str(state))
        qmp.send("quit")
        assert guest.end() == STOPPED
    with machine(disk, "--load", state) as guest:
        guest.boot()
        must_work(guest)
