# SPDX-License-Identifier: GPL-2.0-or-later
"""From power-on to a shell: busybox and a whole Debian."""

import statistics
import subprocess
import time

import peers
from footprint import beside, median, small_guest
from harness import GUESTS, TOP, GuestError
from sidebyside import result
from subjects import BOOT_SECONDS, NATIVE, Scene, Subjects


def bochs(settings):
    """The small guest under interp, beside Bochs and TCG."""
    def ours():
        begin = time.monotonic()
        with small_guest("--net", "none") as guest:
            guest.boot(600)
            return time.monotonic() - begin

    def qemu():
        begin = time.monotonic()
        with peers.Qemu(net=False) as guest:
            guest.boot(600)
            return time.monotonic() - begin

    times = min(settings.repeat, 3)
    mine = median(ours, times)
    return [beside("(c) start to the busybox shell, interp", "s", mine,
                   median(lambda: peers.bochs_boot(settings.work), times), "Bochs", "≤ 1.0"),
            beside("    the same", "s", mine, median(qemu, times), "QEMU TCG", "as found")]


def log_in(console):
    console.wait_for("login:", BOOT_SECONDS)
    console.boot(BOOT_SECONDS)


def busybox():
    return Scene(ready=lambda console: console.boot(BOOT_SECONDS), native=None, memory=128)


def debian():
    subprocess.run([TOP / "tools" / "guests", GUESTS, "debian"], check=True)
    return Scene(ready=log_in, native=None, memory=512, initrd=GUESTS / "debian-initrd.gz",
                 append="console=ttyS0 net.ifnames=0", root=GUESTS / "debian.img")


BOOTS = {"boot-busybox": busybox, "boot-debian": debian}


def boot_once(settings, subject, row):
    begin = time.monotonic()
    try:
        subject.shell()
    except GuestError as failure:
        settings.problem(f"{subject.name}: {row['what']}: {str(failure)[-600:]}")
        return False
    row["samples"].setdefault(subject.name, []).append(time.monotonic() - begin)
    subject.stop()
    return True


def measure(settings):
    """Each boot of each engine and TCG, in turn. Nothing is warm but the host's page cache, from the first, uncounted round."""
    rows = []
    for name, scene in BOOTS.items():
        if not settings.wants(name, "boots"):
            continue
        row = result("boots", name)
        with Subjects(settings, scene()) as subjects:
            alive = [s for s in subjects if s.name != NATIVE]
            for turn in range(settings.repeat + 1):
                alive = [s for s in alive if boot_once(settings, s, row)]
                if turn == 0:
                    row["samples"].clear()
        row["values"] = {who: statistics.median(samples) for who, samples in row["samples"].items()}
        rows.append(row)
    return rows
