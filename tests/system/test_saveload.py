# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM saved at random instants of its boot goes on in another process, to its shell (state tables)."""

import os
import random
import shutil
import time

import pytest

from harness import GUESTS, OFF, STOPPED, Guest, GuestError

INSTANTS = 20 if os.environ.get("BATUTA_LONG") == "1" else 4
SEED = int(os.environ.get("BATUTA_SEED", "2023"))


def machine(disk, *more):
    return Guest("--memory", "256M", "--cpus", "2", "--net", "user", "--disk", f"{disk},format=raw,serial=SAVED",
                 "--console", "stdio", "--console", "none", *more, control=True)


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


@pytest.mark.parametrize("number", range(INSTANTS))
def test_goes_on_elsewhere(boot_seconds, number, tmp_path):
    disk, state = tmp_path / "disk.img", tmp_path / "state"
    shutil.copy(GUESTS / "disk.img", disk)
    instant = random.Random(SEED * 1000 + number).random() * boot_seconds
    with machine(disk) as guest:
        end = time.monotonic() + instant
        while time.monotonic() < end:
            guest.read_some(end - time.monotonic())
        save(guest, state)
        said = guest.output
    with machine(disk, "--load", state) as guest:
        # Both consoles together are one boot's.
        guest.output = said
        try:
            guest.boot()
        except GuestError as e:
            raise GuestError(f"saved {instant:.3f} s after its start: {e}") from e
        must_work(guest)


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
