# SPDX-License-Identifier: GPL-2.0-or-later
"""What a VMM has in memory for itself."""

import pathlib
import re

# Shared memory without a name; nothing else of batuta is.
CODE_CACHE = re.compile(r"/dev/zero")


def beside_ram(pid, ram_bytes):
    """RSS in bytes of all mappings but the guest's RAM and the code cache."""
    total, counts = 0, True
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            counts = high - low != ram_bytes and not CODE_CACHE.search(line)
        elif line.startswith("Rss:") and counts:
            total += int(line.split()[1]) << 10
    return total
