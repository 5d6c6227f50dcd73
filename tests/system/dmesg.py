# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's kernel complains about."""

import re

# dmesg levels emerg to warn. What a correct machine still provokes, each with its reason:
ALLOWED = [
    # How Debian configured its kernel; said on every machine.
    r"device-mapper: core: CONFIG_IMA_DISABLE_HTABLE is disabled",
]


def complaints(guest):
    """Lines of warnings and worse, and of firmware bugs, that are not allowed for."""
    lines = guest.run("dmesg -r | grep -E '^<[0-4]>|[Ff]irmware [Bb]ug|BUG|WARNING' || true").splitlines()
    return [line for line in lines if line.strip() and not any(re.search(p, line) for p in ALLOWED)]
