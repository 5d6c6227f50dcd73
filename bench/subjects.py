# SPDX-License-Identifier: GPL-2.0-or-later
"""The subjects of side-by-side measurements: the host itself, batuta with each engine, QEMU TCG.

A scene says which machine all of them are for a measurement (memory, processors, disks, what is booted); each subject
in it is a console with a shell, whatever is behind it. A subject that fails is started again for the next measurement.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys
import time
import typing

import peers
from harness import Guest, GuestError, batuta

NATIVE, TCG = "native", "QEMU TCG"
# How long a shell may take to come, and a measurement: interp needs a minute or two where it is slow, TCG less.
BOOT_SECONDS, RUN_SECONDS = 300, 600


@dataclasses.dataclass
class Settings:
    """What the command line says."""
    engines: list
    cpu: str
    repeat: int
    seconds: float
    percent: int
    without: list
    only: list
    work: pathlib.Path
    host_cpu: int = 0
    problems: list = dataclasses.field(default_factory=list)

    def wants(self, *names):
        """Is a measurement with these names (its own, its group's) to be made?"""
        return not self.only or any(name in self.only for name in names)

    def problem(self, text):
        self.problems.append(text)
        print(f"  ! {text}", file=sys.stderr, flush=True)


def known_engines():
    """Asked of batuta itself: only for an engine that it does not have does it complain about the option."""
    return [name for name in ("bt", "interp", "kvm") if "--engine" not in batuta("run", "--engine", name).stderr]


@dataclasses.dataclass
class Scene:
    ready: typing.Callable            # takes a console from its start to a usable shell
    native: typing.Callable           # makes the host's console
    memory: int = 256
    cpus: int = 1
    initrd: pathlib.Path = None
    append: str = "console=ttyS0 quiet batuta.net=off"
    root: pathlib.Path = None         # a disk whose changes are thrown away
    data: pathlib.Path = None         # a disk to read

    def batuta(self, settings, engine):
        options = ["--memory", f"{self.memory}M", "--cpus", str(self.cpus), "--cpu", settings.cpu, "--net", "none"]
        if self.root:
            options += ["--disk", f"{own_copy(settings, self.root, engine)},format=raw", "--snapshot"]
        if self.data:
            options += ["--disk", f"{self.data},format=raw,ro"]
        return Guest(*options, engine=engine, initrd=self.initrd, append=self.append)

    def qemu(self):
        return peers.Qemu(self.memory, self.cpus, self.initrd, self.append, net=False, root=self.root, data=self.data)


def own_copy(settings, image, engine):
    """A disk belongs to one batuta at a time, even if it writes nothing to it."""
    copy = settings.work / f"{engine}-{image.name}"
    if not copy.exists():
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, copy], check=True)
    return copy


def last_words(shell, start):
    """What came since then, on one line of bearable length."""
    return " | ".join(shell.output[start:].decode(errors="replace").split("\n"))[-400:]


class Subject:
    """One column of a table; starts when it is first needed."""

    def __init__(self, name, make, ready):
        self.name, self.make, self.ready, self.console = name, make, ready, None
        # It never came to its shell: no use to try that again for each measurement.
        self.broken = False

    def shell(self):
        if self.console is None:
            self.console = self.make()
            try:
                self.ready(self.console)
            except BaseException:
                self.broken = True
                self.stop()
                raise
        return self.console

    def stop(self):
        if self.console is not None:
            self.console.__exit__(None, None, None)
            self.console = None

    def measure(self, command):
        """Runs a program that says "<go>" when it begins and ends with a line NAME SECONDS … → (its words, seconds by our clock)."""
        shell = self.shell()
        shell.count += 1
        start, began, limit = len(shell.output), None, time.monotonic() + RUN_SECONDS
        # The quotes keep the mark out of the echo of the command.
        shell.type(f"{command}; echo '<'{shell.count}:$?:end\n")
        while True:
            text = shell.output[start:].replace(b"\r", b"")
            if began is None and b"<go>\n" in text:
                began = time.monotonic()
            done = re.search(rb"<%d:(\d+):end" % shell.count, text)
            if done:
                break
            if time.monotonic() > limit or not shell.read_some(1):
                raise GuestError(f"'{command}' did not end: {last_words(shell, start)}")
        seconds = time.monotonic() - (began or limit)
        shell.mark = len(shell.output)
        if done.group(1) != b"0":
            raise GuestError(f"'{command}' ended with {done.group(1).decode()}: {last_words(shell, start)}")
        return text[:done.start()].decode(errors="replace").strip().split("\n")[-1].split(), seconds


class Subjects:
    """All subjects of a scene; ends them at the end."""

    def __init__(self, settings, scene):
        self.settings = settings
        self.all = [Subject(engine, lambda engine=engine: scene.batuta(settings, engine), scene.ready)
                    for engine in settings.engines]
        self.all.insert(0, Subject(NATIVE, scene.native, lambda console: None))
        self.all.append(Subject(TCG, scene.qemu, scene.ready))
        self.all = [s for s in self.all if s.name not in settings.without]

    def __enter__(self):
        return self.all

    def __exit__(self, *_):
        for subject in self.all:
            subject.stop()
