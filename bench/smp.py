# SPDX-License-Identifier: GPL-2.0-or-later
"""Two processors: how much more they do than one, and how they bear threads that fight for locks."""

from sidebyside import compare, kernels_scene, result
from subjects import Subjects


KERNELS = ("work-1", "work-2", "locks-16", "atomics")


def measure(settings):
    if not settings.wants("smp", *KERNELS):
        return []
    with Subjects(settings, kernels_scene(settings, cpus=2)) as subjects:
        rows = {name: compare(settings, subjects, result("smp", name), f"kernels {name} -t {settings.seconds}",
                              f"kernels {name} -n 1") for name in KERNELS}
    gain = result("smp", "two processes beside one", "× the work", "more")
    one, two = rows.pop("work-1")["values"], rows.pop("work-2")["values"]
    gain["values"] = {name: 2 * one[name] / two[name] for name in one if name in two}
    return [gain, *rows.values()]
