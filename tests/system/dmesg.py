# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's kernel complains about."""

import re

# dmesg levels emerg to warn. What a correct machine still provokes, each with its reason:
ALLOWED = [
    # How Debian configured its kernel; said on every machine.
    r"device-mapper: core: CONFIG_IMA_DISABLE_HTABLE is disabled",
    # How busy the host was: others had its processors while a vCPU served its timer. Said once.
    r"hrtimer: interrupt took \d+ ns",
]


def must_be_quiet(guest, allowed=()):
    """No line of a warning or worse, and no firmware bug, but those that are allowed for."""
    lines = guest.run("dmesg -r | grep -E '^<[0-4]>|[Ff]irmware [Bb]ug|BUG|WARNING' || true").splitlines()
    bad = [line for line in lines if line.strip() and not any(re.search(p, line) for p in (*ALLOWED, *allowed))]
    assert not bad, "the kernel complains:\n" + "\n".join(bad)
