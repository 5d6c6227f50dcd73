# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's unmodified cloud kernel with a busybox userland: boot, devices, ways to end."""

import shutil

import pytest

from dmesg import must_be_quiet
from harness import ENGINE, GUESTS, OFF, STOPPED, Guest

@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_boots_to_a_shell(cpus):
    with Guest("--memory", "256M", "--cpus", cpus, "--net", "none") as guest:
        guest.boot()
        assert guest.run("nproc") == str(cpus)
        must_be_quiet(guest)
        guest.type("poweroff -f\n")
        assert guest.end() == 0


def test_network_and_disk(tmp_path):
    disk = tmp_path / "disk.img"
    shutil.copy(GUESTS / "disk.img", disk)
    with Guest("--memory", "256M", "--net", "user", "--disk", f"{disk},format=raw,serial=TESTDISK") as guest:
        guest.boot()
        assert "10.0.2.15" in guest.run("ip -4 addr show eth0")
        assert " 0% packet loss" in guest.run("ping -c 3 10.0.2.2")
        assert guest.run("cat /sys/block/vda/serial") == "TESTDISK"
        guest.run("mount /dev/vda /mnt")
        assert "Hello from a disk" in guest.run("cat /mnt/hello.txt")
        guest.run("dd if=/dev/urandom of=/mnt/noise bs=64k count=100 && sync")
        before = guest.run("sha256sum < /mnt/noise")
        guest.run("umount /mnt && mount /dev/vda /mnt")
        assert guest.run("sha256sum < /mnt/noise") == before
        guest.run("umount /mnt")
        guest.type("poweroff -f\n")
        assert guest.end() == 0


def test_reboot():
    with Guest("--memory", "256M", "--net", "none") as guest:
        guest.boot()
        guest.type("reboot -f\n")
        guest.wait_for("Linux version", 60)
        guest.boot()
        guest.type("poweroff -f\n")
        assert guest.end() == 0


def test_control_socket():
    with Guest("--memory", "256M", "--net", "none", "--cpus", 2, control=True) as guest:
        qmp = guest.qmp()
        assert "QMP" in qmp.greeting
        guest.boot()
        assert qmp.command("query-status")["status"] == "running"
        assert len(qmp.command("query-cpus-fast")) == 2
        qmp.command("stop")
        qmp.wait_event("STOP")
        assert qmp.command("query-status")["status"] == "paused"
        qmp.command("cont")
        qmp.wait_event("RESUME")
        assert guest.run("echo still here") == "still here"
        counted = qmp.command("x-batuta-statistics")
        assert counted["engine"] == ENGINE and len(counted["vcpus"]) == 2
        if ENGINE == "interp":
            assert int(counted["vcpus"][0][0].removeprefix("instructions ")) > 1_000_000
        assert qmp.command("query-status")["status"] == "running"
        qmp.send("quit")
        assert guest.end() == STOPPED


def test_power_button():
    """SIGTERM, Ctrl-] p and system_powerdown press it; the small guest turns itself off."""
    with Guest("--memory", "256M", "--net", "none", control=True) as guest:
        guest.boot()
        guest.qmp().command("system_powerdown")
        assert guest.end() == OFF
