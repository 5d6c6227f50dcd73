# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole Debian (systemd, ssh) on a disk: what its people do with it all day, in three boots."""

import os
import shutil
import socket
import subprocess

import pytest

from dmesg import must_be_quiet
from harness import GUESTS, OFF, PANIC, PATIENCE, Guest, http_server

IMAGE = GUESTS / "debian.img"
KEY = GUESTS / "debian-key"
APPEND = "console=ttyS0 net.ifnames=0"
LOGIN_SECONDS = 400
DOWNLOAD = 50 << 20

pytestmark = [pytest.mark.skipif(not IMAGE.exists(), reason="no Debian image: tools/guest-debian makes it"),
              pytest.mark.xdist_group("debian")]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A copy that the tests change one after the other."""
    path = tmp_path_factory.mktemp("debian") / "debian.img"
    subprocess.run(["cp", "--sparse=always", IMAGE, path], check=True)
    yield path
    path.unlink()


@pytest.fixture
def download():
    """50 MB behind an HTTP server on the host's loopback: (port, sha256)."""
    with http_server(os.urandom(DOWNLOAD)) as served:
        yield served


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def debian(disk, *options, append=APPEND):
    return Guest("--memory", "512M", "--disk", f"{disk},format=raw", *options, initrd=GUESTS / "debian-initrd.gz",
                 append=append, control=True)


def log_in(guest):
    guest.wait_for("login:", LOGIN_SECONDS)
    return guest.boot(120)


def must_be_clean(disk):
    """The journal was closed, and nothing is amiss: only then does e2fsck -fn end with 0 and say 'clean' before."""
    state = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, env=with_sbin()).stdout
    assert "needs_recovery" not in state and "Filesystem state:         clean" in state, state
    check = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True, env=with_sbin())
    assert check.returncode == 0, check.stdout


def with_sbin():
    return {**os.environ, "PATH": os.environ["PATH"] + ":/sbin:/usr/sbin", "LC_ALL": "C"}


def ssh(port, command, tmp_path):
    key = tmp_path / "key"
    shutil.copy(KEY, key)
    key.chmod(0o600)
    return subprocess.run(["ssh", "-i", key, "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                           "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@127.0.0.1", command],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120 * PATIENCE)


def check_network(guest, download, port, tmp_path):
    assert "inet 10.0.2.15/24" in guest.run("ip -4 addr show dev eth0")
    assert "default via 10.0.2.2" in guest.run("ip route")
    assert " 0% packet loss" in guest.run("ping -c 3 10.0.2.2")
    http_port, right = download
    guest.run(f"wget -q -O /root/download http://10.0.2.2:{http_port}/", 240)
    assert guest.run("sha256sum < /root/download", 120).split()[0] == right
    answer = ssh(port, "hostname; nproc", tmp_path)
    assert answer.stdout == "batuta\n2\n", answer.stderr


def test_a_day_with_debian(disk, download, tmp_path):
    port = free_port()
    with debian(disk, "--cpus", 2, "--net", f"user,hostfwd=tcp:127.0.0.1:{port}-:22") as guest:
        qmp = guest.qmp()
        log_in(guest)
        assert guest.run("systemctl is-system-running --wait", 240, check=False) == "running"
        must_be_quiet(guest)
        check_network(guest, download, port, tmp_path)
        guest.run("dd if=/dev/urandom of=/root/noise bs=64k count=200 && sync")
        noise = guest.run("sha256sum < /root/noise")

        guest.type("reboot\n")
        qmp.wait_event("RESET", 240, guest)
        log_in(guest)
        assert guest.run("sha256sum < /root/noise") == noise
        assert guest.run("sha256sum < /root/download").split()[0] == download[1]
        guest.type("shutdown -h now\n")
        assert qmp.wait_event("SHUTDOWN", 240, guest)["data"]["guest"] is True
        assert guest.end() == OFF
    must_be_clean(disk)


def test_power_button(disk):
    with debian(disk, "--net", "none") as guest:
        qmp = guest.qmp()
        log_in(guest)
        qmp.command("system_powerdown")
        qmp.wait_event("POWERDOWN")
        assert qmp.wait_event("SHUTDOWN", 240, guest)["data"] == {"guest": True, "reason": "guest-shutdown"}
        assert guest.end() == OFF
    must_be_clean(disk)


def test_kernel_panic_is_an_event(disk):
    """A shell instead of systemd is enough for this."""
    with debian(disk, "--net", "none", "--snapshot", append=f"{APPEND} init=/bin/bash") as guest:
        qmp = guest.qmp()
        guest.wait_for("job control", 120)
        guest.run("mount -t proc proc /proc; mount -t sysfs sys /sys; /sbin/modprobe pvpanic-mmio")
        guest.type("echo c >/proc/sysrq-trigger\n")
        guest.wait_for("sysrq triggered crash")
        assert qmp.wait_event("GUEST_PANICKED")["data"]["action"] == "poweroff"
        assert qmp.wait_event("SHUTDOWN")["data"]["reason"] == "guest-panic"
        assert guest.end() == PANIC
