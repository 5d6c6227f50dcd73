# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking into guest code that runs: counters, profiles, translations, instruction numbers, names for perf."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from harness import BUILD, ENGINE, STOPPED, Guest, GuestError, batuta

only_bt = pytest.mark.skipif(ENGINE != "bt", reason="only bt translates")
SMALL = ("--memory", "256M", "--net", "none")
# Most of its time is spent in one function of the kernel.
BUSY_KERNEL = "{ cat /dev/urandom >/dev/null & }"
BUSY_USER = "{ sh -c 'while :; do :; done' & }"


def quit_vm(guest):
    guest.qmp().send("quit")
    assert guest.end() == STOPPED


def symbols_of(guest, path):
    """A few lines of the guest's kallsyms, as root sees it."""
    text = guest.run("grep -i ' t ' /proc/kallsyms | grep -E 'chacha|urandom|copy_to_iter|syscall_64'")
    path.write_text(text + "\n")
    assert "chacha" in text
    return path


# ---- counters ----

def test_stats():
    with Guest(*SMALL, "--cpus", 2, control=True) as guest:
        guest.boot()
        before = json.loads(batuta("stats", guest.control, "--json").stdout)
        assert before["engine"] == ENGINE
        guest.run("ls -l /proc/self/fd /dev >/dev/null")
        done = batuta("stats", guest.control)
        assert done.returncode == 0 and done.stdout.startswith(f"engine {ENGINE}\n"), done.stderr
        qmp = guest.qmp()
        after = qmp.command("query-batuta-counters")["counters"]
        assert qmp.events == []  # nobody was stopped for it
        if ENGINE != "kvm":
            assert after["code"]["blocks"] >= before["counters"]["code"]["blocks"] > 1000
            assert after["run"]["interrupts"] > before["counters"]["run"]["interrupts"] > 0
            assert re.search(r"^  interrupts +\d+$", done.stdout, re.M)
        qmp.command("stop")
        stopped = qmp.command("query-batuta-counters")["counters"]
        assert qmp.command("query-batuta-counters")["counters"] == stopped
        quit_vm(guest)


@only_bt
def test_small_cache():
    """The guest works, code is evicted, the bound is kept, and the user hears of it, once."""
    with Guest(*SMALL, "--cpus", 2, "--code-cache", "2M", control=True) as guest:
        guest.boot(300)
        assert guest.run("seq 1 2000 | sort -n | tail -1") == "2000"
        counters = guest.qmp().command("query-batuta-counters")["counters"]
        cache = counters["cache"]
        assert cache["size"] == 2 << 20
        assert cache["evictions"] > 20 and cache["evicted-blocks"] > 10000
        assert cache["used"] < (2 << 20) + (128 << 10)
        assert counters["code"]["links-broken"] > 10000
        assert guest.output.count(b"the code cache of 2 MiB was filled") == 1
        quit_vm(guest)


# ---- profiles ----

def folded(text):
    stacks = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[tuple(stack.split(";"))] = int(count)
    return stacks


def profile(guest, *options):
    done = batuta("profile", guest.control, "--seconds", "3", "--rate", "50", *options)
    assert done.returncode == 0, done.stderr
    return folded(done.stdout)


@pytest.mark.skipif(ENGINE == "kvm", reason="where KVM is emulated, a guest may be too slow for shares of time")
def test_profile(tmp_path):
    with Guest(*SMALL, control=True) as guest:
        guest.boot()
        idle = profile(guest, "--idle")
        assert any(stack[-1] == "halted" for stack in idle)
        guest.run(BUSY_USER)
        stacks = profile(guest)
        total = sum(stacks.values())
        assert total and not any(stack[-1] == "halted" for stack in stacks)
        assert sum(n for stack, n in stacks.items() if stack[:2] == ("cpu0", "user")) > total / 2
        guest.run("kill $!")
        symbols = symbols_of(guest, tmp_path / "kallsyms")
        guest.run(BUSY_KERNEL)
        out = tmp_path / "out.folded"
        assert profile(guest, "--symbols", symbols, "--output", out) == {}
        stacks = folded(out.read_text())
        assert sum(n for stack, n in stacks.items() if stack[1] == "kernel" and "chacha" in stack[-1]) > 0, stacks
        quit_vm(guest)


def test_profile_of_a_vm_that_ends():
    """What was seen until then is told."""
    with Guest(*SMALL, control=True) as guest:
        guest.boot()
        with subprocess.Popen([BUILD / "batuta", "profile", guest.control, "--idle", "--rate", "1000", "--seconds", "60"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(1)
            quit_vm(guest)
            out, err = process.communicate(timeout=10)
        assert process.returncode == 0 and folded(out), err


# ---- translations ----

@only_bt
def test_code():
    with Guest(*SMALL, control=True, append="console=ttyS0 nokaslr") as guest:
        guest.boot()
        start = guest.run("grep ' entry_SYSCALL_64$' /proc/kallsyms").split()[0]
        done = batuta("code", guest.control, start)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert any(line.startswith(f"block at 0x{start}") for line in lines)
        guest_lines = [line for line in lines if re.match(r"[0-9a-f]{16}  ", line)]
        assert guest_lines[0].startswith(start) and guest_lines[0].split()[-1] == "swapgs"
        assert len(lines) > 2 * len(guest_lines)  # with the host's
        assert "(no instruction)" not in done.stdout
        assert batuta("code", guest.control, "0x" + start).returncode == 0
        done = batuta("code", guest.control, "0xffff000000000000")
        assert done.returncode == 1 and "no translation" in done.stderr
        quit_vm(guest)


def test_no_code():
    with Guest(*SMALL, engine="interp", control=True) as guest:
        guest.boot()
        done = batuta("code", guest.control, "0x1000")
        assert done.returncode == 1 and "does not translate" in done.stderr
        quit_vm(guest)


# ---- names for perf ----

@only_bt
@pytest.mark.skipif(not shutil.which("perf"), reason="there is no perf")
@pytest.mark.parametrize("cache", ["256M", "4M"])
def test_perf_map(tmp_path, cache):
    symbols = tmp_path / "kallsyms"
    with Guest(*SMALL, control=True, append="console=ttyS0 nokaslr") as guest:
        guest.boot()
        symbols_of(guest, symbols)
        quit_vm(guest)
    with Guest(*SMALL, "--perf-map", "--guest-symbols", symbols, "--code-cache", cache, control=True,
               append="console=ttyS0 nokaslr") as guest:
        path = pathlib.Path(f"/tmp/perf-{guest.process.pid}.map")
        try:
            guest.boot()
            guest.run(BUSY_KERNEL)
            subprocess.run(["perf", "record", "-q", "-o", tmp_path / "data", "-p", str(guest.process.pid), "--", "sleep", "2"],
                           check=True, capture_output=True)
            evictions = guest.qmp().command("query-batuta-counters")["counters"]["cache"]["evictions"]
            assert (evictions > 0) == (cache == "4M")
            ranges = sorted((int(start, 16), int(size, 16)) for start, size in
                            (line.split()[:2] for line in path.read_text().splitlines()))
            quit_vm(guest)
            # No address has two names, whatever was there before.
            assert all(a + n <= b for (a, n), (b, _) in zip(ranges, ranges[1:]))
            report = subprocess.run(["perf", "report", "-i", tmp_path / "data", "--stdio", "-F", "overhead,symbol"],
                                    capture_output=True, text=True, env={**os.environ, "PERF_PAGER": "cat"}, check=True)
            assert re.search(r"guest: \w*chacha\w*\+0x", report.stdout), report.stdout[:3000]
        finally:
            path.unlink(missing_ok=True)


# ---- instruction numbers ----

def state_at(number, *options):
    with Guest(*SMALL, "--icount", "--stop-at", number, *options, control=True) as guest:
        qmp = guest.qmp()
        if qmp.command("query-status")["status"] != "paused":
            qmp.wait_event("STOP", 120, guest)
        first = qmp.command("query-batuta-icount")
        with pytest.raises(GuestError, match="already"):
            qmp.command("batuta-stop-at", instructions=number - 1)
        qmp.events.clear()
        qmp.command("batuta-stop-at", instructions=number + 1234567)
        qmp.command("cont")
        qmp.wait_event("STOP", 120, guest)
        second = qmp.command("query-batuta-icount")
        quit_vm(guest)
        return first, second


@pytest.mark.skipif(ENGINE == "kvm", reason="KVM cannot count instructions")
def test_stop_at():
    number = 250_000_123
    runs = [state_at(number) for _ in range(2)]
    assert runs[0] == runs[1]
    assert [state["instructions"] for state in runs[0]] == [number, number + 1234567]
    assert runs[0][0]["hash"] != runs[0][1]["hash"]
    # One stop or two on the way there: the same.
    assert state_at(number + 1234567)[0] == runs[0][1]


@pytest.mark.skipif(ENGINE == "kvm", reason="KVM cannot count instructions")
def test_icount_is_asked_when_stopped():
    with Guest(*SMALL, control=True) as guest:
        guest.boot()
        qmp = guest.qmp()
        for command in ({"name": "query-batuta-icount"}, {"name": "batuta-stop-at", "instructions": 10 ** 12}):
            with pytest.raises(GuestError, match="--icount"):
                qmp.command(**command)
        quit_vm(guest)
