# SPDX-License-Identifier: GPL-2.0-or-later
"""The same commands on all subjects of a scene, interleaved: medians, one warm-up each, results compared."""

import os
import statistics

import artifacts
from harness import Console, GuestError
from subjects import BOOT_SECONDS, Scene, Subjects


def result(group, what, unit="s", better="less", family=None):
    """A row of the table; family: several rows that count as one in the group's mean."""
    return {"group": group, "what": what, "unit": unit, "better": better, "family": family or what, "values": {},
            "samples": {}, "result": None}


def sample(settings, subject, command):
    """(seconds of a round, checksum) or None where the processor has not what it takes."""
    words, host = subject.measure(command)
    if words[1] == "unsupported":
        return None
    seconds, rounds, check = float(words[1]), 1, words[2]
    if len(words) == 4:
        rounds, check = int(words[2]), words[3]
    guest = seconds * rounds
    # A rate (openssl) says nothing of the whole time.
    if check != "rate" and abs(guest - host) > 0.1 * host + 0.15:
        settings.problem(f"{subject.name}: {command}: {guest:.2f} s by its clock, {host:.2f} s by the host's")
    return seconds, check


def attempt(settings, subject, command, row):
    """One sample into the row. A subject that fails is out of this row, and started again for the next."""
    try:
        found = sample(settings, subject, command)
    except GuestError as failure:
        settings.problem(f"{subject.name}: {str(failure)[-600:]}")
        subject.stop()
        return False
    if found is None:
        return False
    seconds, check = found
    if check != "rate":
        row["result"] = row["result"] or check
        if check != row["result"]:
            settings.problem(f"{subject.name}: {command}: its result {check} is not {row['result']}")
            row["samples"].pop(subject.name, None)
            return False
    row["samples"].setdefault(subject.name, []).append(seconds)
    return True


def compare(settings, subjects, row, command, warm=None):
    """Fills a row: a warm-up of each subject, then repeat times all of them in turn."""
    alive = [s for s in subjects if not s.broken and attempt(settings, s, warm or command, row)]
    row["samples"].clear()
    for _ in range(settings.repeat):
        alive = [s for s in alive if attempt(settings, s, command, row)]
    row["values"] = {name: statistics.median(samples) for name, samples in row["samples"].items()}
    values = ", ".join(f"{name} {value:.4g}" for name, value in row["values"].items())
    print(f"  {row['what']}: {values}", flush=True)
    return row


def host_cpus(settings, count):
    """The processors that native runs are bound to: the last ones, which serve fewer interrupts."""
    return ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[-count:])


def kernels_scene(settings, cpus=1):
    """The busybox guest with /bin/kernels; natively the same binary, in the PATH of a shell."""
    environment = {**os.environ, "PATH": f"{artifacts.kernels().parent}:{os.environ['PATH']}"}
    return Scene(ready=lambda console: console.boot(BOOT_SECONDS), cpus=cpus, initrd=artifacts.kernels_initrd(),
                 native=lambda: Console(["taskset", "-c", host_cpus(settings, cpus), "sh"], env=environment))


def kernel_names(group):
    text = artifacts.call(artifacts.kernels(), "--list", capture_output=True, text=True).stdout
    return [line.split()[1] for line in text.splitlines() if line.split()[0] == group]


def kernels(group):
    """A function that measures a group of the kernels binary."""
    def measure(settings):
        names = [name for name in kernel_names(group) if settings.wants(name, group)]
        if not names:
            return []
        with Subjects(settings, kernels_scene(settings)) as subjects:
            return [compare(settings, subjects, result(group, name), f"kernels {name} -t {settings.seconds}",
                            f"kernels {name} -n 1") for name in names]
    return measure
