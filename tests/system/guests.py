# SPDX-License-Identifier: GPL-2.0-or-later
"""The small guests of tests/guest that try a machine, from their tables (tests/guest/kernel/laws.h)."""

import re
import subprocess

from harness import TOP

GUEST = TOP / "tests" / "guest"
PASS, FAIL = 0x21, 0x23


class Table:
    """One folder of tests/guest: .kind and .law by name."""

    def __init__(self, folder, more=()):
        self.folder = GUEST / folder
        self.more = [GUEST / name for name in more]
        rows = re.findall(r"^    ([TVSE])\((\d), (\w+)\)", (self.folder / "main.c").read_text(), re.M)
        self.kind = {name: kind for kind, _, name in rows}
        self.law = {name: int(law) for _, law, name in rows}
        self.names = list(self.kind)

    def of_kind(self, *kinds):
        return [name for name in self.names if self.kind[name] in kinds]

    def build(self, out):
        sources = sorted([*self.folder.glob("*.c"), *self.folder.glob("*.S")])
        subprocess.run([GUEST / "kernel" / "build", out, *sources, *self.more], check=True)
        return out


def hostile():
    return Table("hostile")


def sched():
    return Table("sched", ["hostile/virtio-driver.c", "isolation/machine.c"])


def isolation():
    return Table("isolation", ["hostile/virtio-driver.c"])
