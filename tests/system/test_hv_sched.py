# SPDX-License-Identifier: GPL-2.0-or-later
"""The scheduler of batuta-hv on an emulated machine: what busy VMs got of 20 seconds of two processors, by its own books; and
what guests say of one processor that others want, too (tests/guest/sched).

tests/sched asks the same of thousands of simulated processors, and much more.
"""

import os
import re
import socket
import threading
import time

import pytest

import guests
import hv
from harness import PATIENCE, GuestError

pytestmark = [pytest.mark.xdist_group("hv"),
              pytest.mark.skipif(not os.environ.get("BATUTA_HV"), reason="make test-hv runs it")]

SECONDS = 20
OWN = 0.005  # of all processors: what the hypervisor's own threads may take
# Time is counted in instructions (of 16 ns), so that nothing but the hypervisor decides. Not where a processor has one
# VM and no timer: QEMU then goes on with it, and forgets the other processor for long.
ICOUNT = ("-icount", "shift=4,sleep=off")


# One processor, and more instructions to a millisecond: what is measured is no longer than on a machine.
ONE = ("-icount", "shift=1,sleep=off")


def config(**vms):
    """VMs of one vCPU, each with its lines; they spin with interrupts off if they do not say otherwise."""
    text = "[hypervisor]\nconsole = com1\n"
    for name, lines in vms.items():
        text += f"[vm {name}]\nkernel = sched.elf\nmemory = 64M\nrng = off\nballoon = off\n"
        if not any(line.startswith("append") for line in lines):
            text += "append = \"spin\"\nconsole = none\n"
        text += "".join(f"{line}\n" for line in lines)
    return text


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return guests.sched().build(tmp_path_factory.mktemp("sched") / "sched.elf")


@pytest.fixture
def boot(kernel, tmp_path):
    machines = []

    def up(extra=(), cpus=2, **vms):
        machine = hv.Machine(tmp_path, config(**vms), {"sched.elf": kernel}, memory=512, cpus=cpus, extra=extra)
        machines.append(machine)
        return machine.connect()

    yield up
    for machine in machines:
        machine.end()


def used(machine, names):
    """Of each VM, at one time each: nanoseconds of the hypervisor's clock since it started, and what it ran."""
    stats = {name: machine.command("batuta-statistics", vm=name) for name in names}
    host = machine.command("batuta-host")
    return {name: (s["up-ns"], s["run-ns"]) for name, s in stats.items()} | {"": (host["up-ns"], host["run-ns"])}


def sleep(machine, seconds):
    """By the machine's clock. To ask takes the machine some milliseconds, so that is not done often."""
    host = machine.command("batuta-host")
    end, nap = host["up-ns"] + seconds * 1e9, min(seconds / 2, 2)
    while host["up-ns"] < end:
        before, begun = host["up-ns"], time.monotonic()
        time.sleep(nap)
        machine.read_some(0)
        host = machine.command("batuta-host")
        pace = (host["up-ns"] - before) / (time.monotonic() - begun) / 1e9
        nap = min(max((end - host["up-ns"]) / 1e9 / max(pace, 0.01), 0.05), 10)


def parts(machine, names, seconds=SECONDS):
    """Processors that each had over that time; "" are the hypervisor's own threads."""
    before = used(machine, names)
    sleep(machine, seconds)
    after = used(machine, names)
    return {name: (after[name][1] - before[name][1]) / (after[name][0] - before[name][0]) for name in before}


def said(machine, name, pattern):
    """The last line of the VM's that is like that, its numbers."""
    lines = re.findall(pattern, "\n".join(machine.log(name, 200)))
    return tuple(map(int, lines[-1])) if lines else None


def wait_until(condition, what, seconds=120):
    end = time.monotonic() + seconds * PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise GuestError(what)
        time.sleep(2)


def test_shares(boot):
    """1:1:2:4 on two processors: a quarter, a quarter, a half and one."""
    names = {"a": 100, "b": 100, "c": 200, "d": 400}
    machine = boot(extra=ICOUNT, **{name: [f"shares = {shares}"] for name, shares in names.items()})
    time.sleep(2)
    had = parts(machine, names)
    print(had)
    assert had.pop("") < OWN * 2, had
    whole = sum(had.values())
    assert whole > 1.9, had
    for name, shares in names.items():
        assert abs(had[name] / whole * 800 / shares - 1) < 0.05, had


def test_caps(boot):
    """Never more than the cap in any second that was looked at, and not less over all."""
    caps, free = {"a": 50, "b": 20}, ["c", "d", "e"]
    capped = {name: [f"cap = {cap}%", "shares = 1000"] for name, cap in caps.items()}
    machine = boot(extra=ICOUNT, **capped, **{name: [] for name in free})
    time.sleep(2)
    most = dict.fromkeys(caps, 0)
    for _ in range(10):
        had = parts(machine, caps, 1)
        most = {name: max(most[name], had[name]) for name in caps}
    had = parts(machine, [*caps, *free])
    print(had, most)
    for name, cap in caps.items():
        assert most[name] <= cap / 100 * 1.02, (most, had)
        assert cap / 100 * 0.95 <= had[name] <= cap / 100 * 1.02, had
    assert all(had[name] == pytest.approx(1.3 / 3, rel=0.05) for name in free), had


def test_real_time(boot):
    """2 ms of every 10 ms, whatever the others do, and a reservation."""
    machine = boot(extra=ICOUNT, rt=["realtime = 2ms/10ms"], res=["shares = 1", "reservation = 30%"], a=[], b=["shares = 10000"], c=[])
    time.sleep(2)
    had = parts(machine, ["rt", "res", "a", "b", "c"])
    print(had)
    assert 0.196 <= had["rt"] <= 0.204, had
    assert had["res"] >= 0.29, had
    assert had["a"] == pytest.approx(had["c"], rel=0.05), had


PERIODS = r"periods done (\d+) missed (\d+) start (\d+) end (\d+)"
STORM = ["append = \"{}\"", "console = none"]


def storm(name, *lines):
    return [line.format(name) for line in STORM] + list(lines)


def test_no_period_is_missed(boot):
    """The guest itself says so, by its clock: 1.8 ms of work in each of 2,000 periods, beside VMs that are busy, have timers all
    the time and a hundred times its shares. One processor: QEMU lets two of them run in turns of its own making."""
    machine = boot(extra=ONE, cpus=1, rt=["append = \"periods\"", "realtime = 2ms/10ms", "shares = 1"],
                   busy=["shares = 10000"], ticks=storm("ticks_awake"), naps=storm("ticks_asleep"))
    wait_until(lambda: (said(machine, "rt", PERIODS) or (0,))[0] >= 2000, "the real-time VM does not get on", 300)
    lines = re.findall(PERIODS, "\n".join(machine.log("rt", 200)))
    print(lines[0], lines[-1])
    assert int(lines[-1][1]) == 0, lines
    assert max(int(end) for *_, end in lines[1:]) <= 10000, lines


STEADY = r"steady did (\d+) of (\d+)"
DISK = ("-device", "virtio-blk-pci,drive=d,disable-legacy=on")


@pytest.mark.parametrize("name, lines", [("spin", []), ("ticks_asleep", []), ("ticks_awake", []), ("requests", ["disk = virtio:0"])])
def test_others_interrupts(boot, tmp_path, name, lines):
    """A VM keeps its half of a processor, by what it could do, beside one with a timer every 10 us, or one that floods the disk."""
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    machine = boot(extra=(*ONE, *DISK, "-drive", f"file={tmp_path}/disk,if=none,id=d,format=raw,cache=unsafe"), cpus=1,
                   steady=["append = \"steady\""], other=storm(name, *lines))
    wait_until(lambda: (said(machine, "steady", STEADY) or (0, 0))[1] >= 5e6, "the VM does not get on", 300)
    points = re.findall(STEADY, "\n".join(machine.log("steady", 200)))
    did, of = (int(points[-1][i]) - int(points[0][i]) for i in range(2))
    stats = machine.vm("other")
    took = stats["run-ns"] / stats["up-ns"]
    print(name, did / of, took)
    assert did / of >= 0.5 * 0.97, points
    assert did / of + took >= 0.97, (points, took) # the other one pays for nearly all that this one lost


def test_flood_from_the_wire(boot):
    """Frames as fast as they can be sent to a slow machine: a VM keeps its half of the processor."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        peer.bind(("127.0.0.1", 0))
        place.bind(("127.0.0.1", 0))
        there = place.getsockname()
        place.close()
        wire = f"socket,id=n,udp=127.0.0.1:{peer.getsockname()[1]},localaddr=127.0.0.1:{there[1]}"
        # Its clock does not run ahead of the sender's, and nobody asks it anything meanwhile: that would take it long.
        machine = boot(extra=("-icount", "shift=6,align=on", "-netdev", wire, "-device", "virtio-net-pci,netdev=n,disable-legacy=on"),
                       cpus=1, vm=[])
        stop = threading.Event()
        frame = b"\xff" * 6 + b"\x52\x54\x00\x00\x00\x01" + b"\x08\x06" + bytes(46)

        def flood():
            while not stop.is_set():
                peer.sendto(frame, there)

        sender = threading.Thread(target=flood)
        sender.start()
        try:
            time.sleep(1)
            for _ in range(3):
                before = used(machine, ["vm"])
                time.sleep(6 * PATIENCE)
                after = used(machine, ["vm"])
                vm, own = ((after[name][1] - before[name][1]) / (after[name][0] - before[name][0]) for name in ("vm", ""))
                print(vm, own)
                assert vm >= 0.5 * 0.95 and own <= 0.5 * 1.05
                if own > 0.4:
                    break
            else:
                pytest.skip("the frames come too slowly for a flood")
        finally:
            stop.set()
            sender.join()
