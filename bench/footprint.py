# SPDX-License-Identifier: GPL-2.0-or-later
"""What a VM costs beside its work: the way to its first instruction, memory, an idle guest, the program's size."""

import contextlib
import os
import pathlib
import statistics
import subprocess
import time

import artifacts
import peers
import resident
from harness import BUILD, Guest
from sidebyside import result
from subjects import BOOT_SECONDS, TCG

IDLE_SECONDS = 20


def beside(what, unit, batuta, peer, peer_name, wanted=""):
    """A row of the comparisons with one peer; its ratio is batuta's value over the peer's."""
    return {"group": "light", "what": what, "unit": unit, "batuta": batuta, "peer": peer, "peer_name": peer_name,
            "ratio": batuta / peer if batuta is not None and peer else None, "wanted": wanted}


def median(function, repeat):
    return statistics.median(function() for _ in range(repeat))


def timed(command, status):
    start = time.monotonic()
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60)
    if done.returncode != status:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}, not {status}")
    return time.monotonic() - start


def start(settings):
    """Process start to the guest's first instruction, which ends the machine by the debug-exit port."""
    elf, bios = artifacts.first_kernel(settings.work), artifacts.first_bios(settings.work)
    status = 0x10 << 1 | 1
    ours = [BUILD / "batuta", "run", "--kernel", elf, "--debug-exit", "0xf4", "--memory", "128M", "--net", "none",
            "--engine", "interp"]
    theirs = ["qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-nodefaults", "-bios", bios,
              "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    times = max(settings.repeat, 5)
    return [beside("(a) start to first guest instruction", "ms", median(lambda: timed(ours, status), times) * 1000,
                   median(lambda: timed(theirs, status), times) * 1000, "QEMU", "≤ 0.25")]


def vmm(console):
    """The process that runs the VM: the command line may have started it as a child."""
    pid = console.process.pid
    while kids := pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(kids[0])
    return pid


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_percent(pids):
    """Of one core, all of them together."""
    before, begin = sum(map(cpu_seconds, pids)), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - begin) * 100


def small_guest(*options, engine="interp"):
    return Guest("--memory", "128M", "--cpus", "1", *options, engine=engine, append="console=ttyS0 quiet")


def settled(console):
    """A booted guest's process, after what its kernel still does behind the prompt."""
    console.boot(BOOT_SECONDS)
    time.sleep(3)
    return vmm(console)


def memory_and_idle(settings):
    with small_guest("--net", "user") as guest:
        pid = settled(guest)
        memory, idle = resident.beside_ram(pid, 128 << 20) / (1 << 20), idle_percent([pid])
    with peers.Qemu() as qemu:
        pid = settled(qemu)
        their_memory, their_idle = resident.beside_ram(pid, 128 << 20) / (1 << 20), idle_percent([pid])
    return [beside("(b) memory beside the guest's 128 MiB", "MiB", memory, their_memory, "QEMU", "≤ 8 MiB"),
            beside("(d) an idle guest", "% of a core", idle, their_idle, "QEMU", "≤ 2 %")]


def binary(settings):
    stripped = settings.work / "vmm"
    subprocess.run(["strip", "-o", stripped, BUILD / "batuta-vmm"], check=True)
    return [beside("(f) batuta-vmm, stripped", "MiB", stripped.stat().st_size / (1 << 20), None, "-", "≤ 3 MiB")]


def idle(settings):
    """Each engine beside TCG: one idle guest's memory and time, then ten guests at once."""
    if not settings.wants("idle"):
        return []
    rows = [result("idle", "memory beside RAM and code cache", "MiB"),
            result("idle", "an idle guest", "% of a core"), result("idle", "ten idle guests", "% of a core")]
    makers = {engine: lambda engine=engine: small_guest("--net", "none", engine=engine) for engine in settings.engines}
    makers[TCG] = lambda: peers.Qemu(net=False)
    for name, make in makers.items():
        if name in settings.without:
            continue
        with contextlib.ExitStack() as stack:
            pids = [settled(stack.enter_context(make()))]
            rows[0]["values"][name] = resident.beside_ram(pids[0], 128 << 20) / (1 << 20)
            rows[1]["values"][name] = idle_percent(pids)
            pids += [settled(stack.enter_context(make())) for _ in range(9)]
            rows[2]["values"][name] = idle_percent(pids)
    return rows
