# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that change their own code and page tables all the time: V8, LuaJIT, a kernel that patches itself, churn.

BATUTA_LONG=1 gives each program its full work instead of a fifth. BATUTA_SOAK=MINUTES: all of it again and again for so
long, with 1 and 2 vCPUs, the VMM's memory looked at after each round (`make soak`).
"""

import os
import pathlib
import subprocess
import tarfile
import time

import pytest

import resident
from dmesg import must_be_quiet
from harness import ENGINE, GUESTS, OFF, PATIENCE, TOP, Guest

IMAGE, ROOT = GUESTS / "jit.img", GUESTS / "jit-root"
PROGRAMS = TOP / "tests" / "guest" / "jit"
SOAK = float(os.environ.get("BATUTA_SOAK", "0")) * 60
LONG = os.environ.get("BATUTA_LONG") == "1"
PERCENT = 100 if LONG else 20
RAM = 768  # MiB
# How much more memory of its own, guest RAM apart, the VMM may have in the second half of a soak than in the first.
GROWTH = 4 << 20
# And ever: the engine's tables (of translated blocks up to 96 MiB), devices, libraries.
MEMORY = 160 << 20

# Each with another mix of tiers, collections and flushes; all of one program print the same.
COMMANDS = [
    "node --expose-gc compile.js",
    "node --jitless compile.js",
    "node --always-sparkplug --interrupt-budget=200 compile.js",
    "node --stress-compaction --gc-interval=2000 --expose-gc compile.js",
    "node wasm.js",
    "node --no-liftoff wasm.js",
    "node workers.js",
    "luajit traces.lua",
    "luajit -Ohotloop=2,hotexit=2,sizemcode=32,maxmcode=64 traces.lua",
]

# Stressors of stress-ng that verify what they did, for a few seconds each, two at a time.
CHURN = ["vm 1 --vm-bytes 48M --mmap 1 --mmap-bytes 32M", "mremap 1 --mprotect 1", "munmap 1 --remap 1", "fork 1 --vfork 1",
         "icache 1 --funccall 1", "fault 1 --sigsegv 1", "tlb-shootdown 1 --madvise 1", "context 1 --sigfpe 1",
         "shm 1 --vm-splice 1"]

pytestmark = [pytest.mark.skipif(not IMAGE.exists(), reason="no such image: tools/guests DIR jit makes it"),
              pytest.mark.skipif(ENGINE == "interp" and not LONG, reason="under interp it takes BATUTA_LONG=1")]


def native(command):
    """What a program prints on the host's own processor, with the guest's binaries."""
    script = (f"mount --bind '{PROGRAMS}' '{ROOT}/mnt' && mount --rbind /dev '{ROOT}/dev' && mount --rbind /proc '{ROOT}/proc' && "
              f"exec chroot '{ROOT}' sh -c 'cd /mnt && JIT_PERCENT={PERCENT} exec {command}'")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", *user, "sh", "-c", script],
                          stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True,
                          timeout=60 * PATIENCE).stdout.strip()


@pytest.fixture(scope="module")
def right():
    """The right output of each program."""
    return {command: native(command) for command in COMMANDS}


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """The programs as a disk that is a tar archive."""
    path = tmp_path_factory.mktemp("jit") / "programs.tar"
    with tarfile.open(path, "w") as tar:
        for source in sorted(PROGRAMS.iterdir()):
            tar.add(source, source.name)
    return path


def boot(disk, cpus):
    guest = Guest("--memory", f"{RAM}M", "--cpus", cpus, "--disk", f"{IMAGE},format=raw", "--disk", f"{disk},format=raw,ro",
                  "--snapshot", "--net", "none", initrd=GUESTS / "debian-initrd.gz", append="console=ttyS0 net.ifnames=0 quiet",
                  control=True)
    guest.__enter__()
    try:
        guest.wait_for("login:", 400)
        guest.boot(120)
        guest.run(f"mount -t tmpfs none /mnt && tar -xf /dev/vdb -C /mnt && cd /mnt && export JIT_PERCENT={PERCENT}")
        # 15 % of what this little memory allows is less than two thousand processes.
        guest.run("echo max >/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/pids.max")
        guest.run("mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing")
    except BaseException:
        guest.__exit__(None, None, None)
        raise
    return guest


@pytest.fixture(scope="module", params=[pytest.param(n, id=f"{n}cpus", marks=pytest.mark.xdist_group(f"jit{n}")) for n in (1, 2)])
def guest(request, disk):
    guest = boot(disk, request.param)
    yield guest
    guest.__exit__(None, None, None)


# ---- the works: each takes a guest and fails if a result is wrong ----

def run_programs(guest, right):
    for command in COMMANDS:
        assert guest.run(f"{command} 2>/tmp/err", 300) == right[command], f"{command}\n{guest.run('cat /tmp/err')}"


def patch_kernel(guest):
    said = guest.run("sh ./patch-kernel 2>&1", 400, check=False)
    assert said == "patched", said


def churn(guest, seconds=3):
    for stressors in CHURN:
        said = guest.run(f"stress-ng --{stressors} --verify --timeout {seconds} --temp-path /tmp 2>&1", 120, check=False)
        assert "successful run completed" in said and " fail:" not in said, said


def fork_much(guest):
    assert guest.run("perl forks.pl", 120) == f"forks {3 * 1000 * 1001 // 2}"


def own_memory(guest):
    """Bytes that the VMM has for itself: neither guest RAM nor the code cache."""
    pids, total = [guest.process.pid], 0
    while pids:
        pid = pids.pop()
        total += resident.beside_ram(pid, RAM << 20)
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    return total


# ---- one round of each ----

def test_programs(guest, right):
    run_programs(guest, right)


def test_kernel_patches_itself(guest):
    patch_kernel(guest)


def test_churn(guest):
    churn(guest)


def test_thousand_processes(guest):
    fork_much(guest)


def test_memory_is_bounded(guest):
    assert own_memory(guest) < MEMORY


# What the programs have coming: tracing without its parameter, and a system call that stress-ng tries.
PROVOKED = [r"Scheduler tracepoints .* require the kernel parameter schedstats", r"uses deprecated remap_file_pages"]


def test_kernel_is_content(guest):
    must_be_quiet(guest, PROVOKED)
    guest.type("poweroff\n")
    assert guest.end(120) == OFF


# ---- for as long as is wanted ----

@pytest.mark.skipif(not SOAK, reason="BATUTA_SOAK=MINUTES (`make soak`)")
@pytest.mark.parametrize("cpus", [pytest.param(n, id=f"{n}cpus", marks=pytest.mark.xdist_group(f"soak{n}")) for n in (1, 2)])
def test_soak(disk, right, cpus):
    memory, end = [], time.monotonic() + SOAK
    guest = boot(disk, cpus)
    try:
        while time.monotonic() < end or len(memory) < 4:
            run_programs(guest, right)
            patch_kernel(guest)
            churn(guest)
            fork_much(guest)
            memory.append(own_memory(guest))
            print(f"{cpus} vCPUs, round {len(memory)}: {memory[-1] >> 10} KiB, {end - time.monotonic():.0f} s left", flush=True)
    finally:
        guest.__exit__(None, None, None)
    half = len(memory) // 2
    assert max(memory[half:]) <= max(memory[:half]) + GROWTH, memory
    assert max(memory) < MEMORY
