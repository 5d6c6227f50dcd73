# SPDX-License-Identifier: GPL-2.0-or-later
"""The measurements themselves: each returns rows of {what, unit, batuta, peer, peer_name, ratio, wanted}."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time
import http.server

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
GUESTS = BUILD / "guests"
sys.path.insert(0, str(TOP / "tests" / "system"))

import peers  # noqa: E402
from harness import Guest  # noqa: E402


def row(what, unit, batuta, peer, peer_name, wanted=""):
    ratio = batuta / peer if batuta is not None and peer else None
    return {"what": what, "unit": unit, "batuta": batuta, "peer": peer, "peer_name": peer_name, "ratio": ratio,
            "wanted": wanted}


def median(function, repeat):
    return statistics.median(function() for _ in range(repeat))


def timed(command, status):
    start = time.monotonic()
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60)
    if done.returncode != status:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}, not {status}")
    return time.monotonic() - start


def start(work, repeat):
    """Process start to the guest's first instruction, which ends the machine by the debug-exit port."""
    elf, bios = peers.first_kernel(work), peers.first_bios(work)
    status = 0x10 << 1 | 1
    ours = [BUILD / "batuta", "run", "--kernel", elf, "--debug-exit", "0xf4", "--memory", "128M", "--net", "none",
            "--engine", "interp"]
    theirs = ["qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-nodefaults", "-bios", bios,
              "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    times = max(repeat, 5)
    return [row("(a) start to first guest instruction", "ms", median(lambda: timed(ours, status), times) * 1000,
                median(lambda: timed(theirs, status), times) * 1000, "QEMU", "≤ 0.25")]


def resident_beside_ram(pid, ram_bytes):
    """RSS in MiB of all mappings but the guest's RAM (the one of its size)."""
    total, ram, size = 0, False, 0
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            ram = high - low == ram_bytes
        elif line.startswith("Rss:") and not ram:
            total += int(line.split()[1])
    return total / 1024


def children(pid):
    """The process that runs the VM: the command line may have started it as a child."""
    kids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return children(int(kids[0])) if kids else pid


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def small_guest(*options):
    return Guest("--memory", "128M", "--cpus", "1", *options, engine="interp", append="console=ttyS0 quiet")


def memory_and_idle(work, repeat):
    with small_guest("--net", "user") as guest:
        guest.boot()
        pid = children(guest.process.pid)
        time.sleep(3)
        memory = resident_beside_ram(pid, 128 << 20)
        before = cpu_seconds(pid)
        time.sleep(20)
        idle = (cpu_seconds(pid) - before) / 20 * 100
    with peers.Qemu(work, memory=128) as qemu:
        qemu.boot()
        time.sleep(3)
        their_memory = resident_beside_ram(qemu.process.pid, 128 << 20)
        before = cpu_seconds(qemu.process.pid)
        time.sleep(20)
        their_idle = (cpu_seconds(qemu.process.pid) - before) / 20 * 100
    return [row("(b) memory beside the guest's 128 MiB", "MiB", memory, their_memory, "QEMU", "≤ 8 MiB"),
            row("(d) an idle guest", "% of a core", idle, their_idle, "QEMU", "≤ 2 %")]


def boot(work, repeat):
    def ours():
        begin = time.monotonic()
        with small_guest("--net", "none") as guest:
            guest.boot(600)
            return time.monotonic() - begin

    def bochs():
        return peers.bochs_boot(work)

    def qemu():
        begin = time.monotonic()
        with peers.Qemu(work, memory=128, net=False) as guest:
            guest.boot(600)
            return time.monotonic() - begin

    times = min(repeat, 3)
    mine = median(ours, times)
    return [row("(c) start to the busybox shell, interp", "s", mine, median(bochs, times), "Bochs", "≤ 1.0"),
            row("    the same", "s", mine, median(qemu, times), "QEMU TCG", "as found")]


class Server:
    """50 MB over HTTP on the host's loopback."""

    def __init__(self, folder):
        (folder / "blob").write_bytes(os.urandom(50 << 20))
        handler = type("Handler", (http.server.SimpleHTTPRequestHandler,), {
            "__init__": lambda self, *a: http.server.SimpleHTTPRequestHandler.__init__(self, *a, directory=str(folder)),
            "log_message": lambda self, *a: None})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def throughput_in(guest, port):
    def seconds(command):
        text = guest.run(f"t=$(cut -d' ' -f1 /proc/uptime); {command} >/dev/null 2>&1; echo $t $(cut -d' ' -f1 /proc/uptime)",
                         seconds=300)
        first, last = (float(x) for x in text.split())
        return max(last - first, 0.01)

    return {
        "read": 64 / seconds("dd if=/dev/vda of=/dev/null bs=1M count=64 iflag=direct"),
        "write": 32 / seconds("dd if=/dev/zero of=/dev/vda bs=1M count=32 oflag=direct"),
        "net": 50 / seconds(f"wget -q -O /dev/null http://10.0.2.2:{port}/blob"),
    }


def throughput(work, repeat):
    server = Server(work)
    disk = work / "disk.img"
    disk.write_bytes(os.urandom(64 << 20))
    with small_guest("--net", "user", "--disk", f"{disk},format=raw") as guest:
        mine = throughput_in(guest.boot(), server.port)
    with peers.Qemu(work, memory=128, disk=disk) as qemu:
        theirs = throughput_in(qemu.boot(), server.port)
    names = {"read": "virtio-blk read, 1 MiB direct", "write": "virtio-blk write, 1 MiB direct",
             "net": "virtio-net, HTTP download"}
    return [row(f"(e) {names[k]} (more is better)", "MB/s", mine[k], theirs[k], "QEMU TCG", "as found") for k in names]


def binary(work, repeat):
    stripped = work / "vmm"
    subprocess.run(["strip", "-o", stripped, BUILD / "batuta-vmm"], check=True)
    return [row("(f) batuta-vmm, stripped", "MiB", stripped.stat().st_size / (1 << 20), None, "-", "≤ 3 MiB")]


BENCHES = {"start": start, "memory": memory_and_idle, "boot": boot, "throughput": throughput, "binary": binary}
