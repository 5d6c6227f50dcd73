# SPDX-License-Identifier: GPL-2.0-or-later
"""The KVM engine: on real SVM with nested paging, as QEMU's TCG emulates it, and on a /dev/kvm that exists.

docs/testing.md says what these test beds can and cannot do.
"""

import os
import re
import shutil

import pytest

from dmesg import must_be_quiet
from harness import BUILD, ENGINE, GUESTS, PATIENCE, TOP, Console, Guest, batuta, build_selftest
from nested import make_initrd

PASS = 0x21
QEMU = "qemu-system-x86_64"


def is_sanitized():
    return b"__asan_" in (BUILD / "batuta-vmm").read_bytes() or b"__tsan_" in (BUILD / "batuta-vmm").read_bytes()


# ---- nested: batuta under KVM under QEMU ----

# SMAP is off: with it, TCG takes an IRET in user mode (our engines' way to set flags) for an access by the kernel.
# What the test bed itself brings.
NESTED_ALLOWED = [
    # The emulated processor (EPYC) is of a kind that has this weakness, without its microcode.
    r"Speculative Return Stack Overflow",
    # TCG's time stamp counters are not known to go together: KVM does not promise a stable clock.
    r"Unstable clock detected|If you want to keep using the local clock|trace_clock=local|on the kernel command line",
]

# By way of the kernel: what goes to the terminal just after its mode has changed can be lost in the emulated port.
ENDED = "echo \"<0>outer: batuta ended with $?\" >/dev/kmsg\n"


@pytest.fixture
def nested(tmp_path):
    """Starts an emulated machine that runs the script outer, and gives its console."""
    if not shutil.which(QEMU):
        pytest.skip(f"{QEMU} is not installed")
    if is_sanitized():
        pytest.skip("a sanitizer's memory does not fit into the emulated machine")
    started = []

    def start(outer, files=()):
        initrd = make_initrd(tmp_path, outer, files)
        console = Console([QEMU, "-accel", "tcg", "-cpu", "EPYC,+svm,+npt,-smap", "-smp", "3", "-m", "1024", "-display", "none",
                           "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel", GUESTS / "vmlinuz", "-initrd",
                           initrd, "-append", "console=ttyS0 panic=-1 quiet"])
        started.append(console)
        return console

    yield start
    for console in started:
        console.__exit__()


def test_linux_under_nested_svm(nested):
    console = nested("stty raw -echo\n"
                     "/batuta/batuta run --engine kvm --cpus 2 --memory 256M --kernel /batuta/vmlinuz "
                     "--initrd /batuta/initrd.gz --append console=ttyS0\n"
                     + ENDED)
    console.boot(300)
    assert console.run("nproc") == "2"
    assert "kvm-clock" in console.run("cat /sys/devices/system/clocksource/clocksource0/available_clocksource")
    console.run("i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done")
    start = float(console.run("cat /proc/uptime").split()[0])
    console.run("sleep 2")
    assert 1.8 < float(console.run("cat /proc/uptime").split()[0]) - start < 30
    must_be_quiet(console, NESTED_ALLOWED)
    console.type("poweroff -f\n")
    console.wait_for("outer: batuta ended with 0")
    assert console.end() == 0


NESTED_RUN = ("--cpus 2 --memory 256M --kernel /batuta/vmlinuz --initrd /batuta/initrd.gz --append console=ttyS0 "
              "--net user")


def goes_on(console, slowly=1, booted=True):
    """A loaded Linux works: its processors, timers, clock, network card, and can be switched off."""
    console.wait_for("the guest's console is this terminal")
    if not booted:
        console.boot(300 * slowly)
    assert console.run("nproc", 60 * slowly) == "2"
    assert " 0% packet loss" in console.run("ping -c 2 10.0.2.2", 60 * slowly)
    start = float(console.run("cat /proc/uptime", 60 * slowly).split()[0])
    console.run("sleep 2", 60 * slowly)
    assert 1.8 < float(console.run("cat /proc/uptime", 60 * slowly).split()[0]) - start < 4 * slowly * PATIENCE
    for cpu in (0, 1):
        console.run(f"taskset {1 << cpu} sh -c 'i=0; while [ $i -lt 100 ]; do i=$((i + 1)); done; sleep 0.1'",
                    60 * slowly)
    console.type("poweroff -f\n")
    console.wait_for("outer: batuta ended with 0")


def test_linux_moves_from_kvm(nested):
    """Saved under KVM at its shell, it goes on under KVM, and under a software engine."""
    run = "/batuta/batuta run " + NESTED_RUN
    console = nested("stty raw -echo\n"
                     f"{run} --engine kvm --save /tmp/state --save-at-ns 30000000000\n"
                     "echo \"<0>outer: saved\" >/dev/kmsg; ls -l /tmp/state\n"
                     f"{run} --engine kvm --load /tmp/state\n{ENDED}"
                     f"{run} --engine {ENGINE} --load /tmp/state\n{ENDED}")
    console.wait_for("outer: saved", 300)
    console.wait_for("state")
    booted = b"batuta: shell ready" in console.output # or it was saved on the way, and will come to it twice
    goes_on(console, booted=booted)
    goes_on(console, 10, booted) # an emulator in an emulator
    assert console.end() == 0


def test_linux_moves_to_kvm(nested, tmp_path):
    """Saved under a software engine here, it goes on under KVM there.

    The guest does without what our engine has and that processor has not: it is refused otherwise. It takes its
    time from the paravirtual clock, since that processor cannot scale its TSC to the saved one."""
    state = tmp_path / "state"
    with Guest("--cpus", "2", "--memory", "256M", "--net", "user", engine=ENGINE, control=True,
               append="console=ttyS0 nopcid clearcpuid=umip,smap mitigations=off clocksource=kvm-clock") as guest:
        guest.boot()
        guest.run("(while sleep 0.02; do :; done) & true")
        qmp = guest.qmp()
        qmp.command("x-batuta-save", file=str(state))
        qmp.send("quit")
        guest.end()
    console = nested("stty raw -echo\n"
                     f"/batuta/batuta run {NESTED_RUN} --engine kvm --load /batuta/state\n"
                     + ENDED, [state])
    goes_on(console)
    assert console.end() == 0


# ---- a /dev/kvm that exists ----

def kvm_missing():
    """Why the KVM engine cannot be tried here, or None."""
    if not os.path.exists("/dev/kvm"):
        return "this machine has no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no permission for /dev/kvm"
    return None


needs_kvm = pytest.mark.skipif(bool(kvm_missing()), reason=str(kvm_missing()))


@pytest.fixture(scope="session")
def selftest(tmp_path_factory):
    return build_selftest(tmp_path_factory.mktemp("selftest") / "selftest.elf")


def run_selftest(kernel, name, engine, *more):
    return batuta("run", "--engine", engine, "--memory", "64M", "--net", "none", "--debug-exit", "0xf4", "--no-reboot",
                  "--kernel", kernel, "--append", name, *more, timeout=90)


# Those that run by themselves.
NAMES = [n for n in re.findall(r'\{"(\w+)", \w+, \w+\}', (TOP / "tests" / "guest" / "kernel" / "selftest.c").read_text())
         if n not in ("doorbell", "moving")]


@pytest.mark.parametrize("name", NAMES)
def test_small_guest_without_kvm(selftest, name):
    done = run_selftest(selftest, name, ENGINE)
    assert done.returncode == PASS and "PASS" in done.stdout, done.stdout + done.stderr


@needs_kvm
@pytest.mark.parametrize("name", NAMES)
def test_small_guest_on_kvm(selftest, name):
    done = run_selftest(selftest, name, "kvm")
    assert done.returncode == PASS and "PASS" in done.stdout, done.stdout + done.stderr


@needs_kvm
def test_emulation_failure_falls_back(selftest):
    """A KVM that cannot emulate LOCK CMPXCHG16B gives up; interp finishes it, and KVM goes on."""
    done = run_selftest(selftest, "cmpxchg16b", "kvm", "--trace", "engine")
    assert done.returncode == PASS, done.stdout + done.stderr
    if "kvm gives up" not in done.stderr:
        pytest.skip("this KVM needs no help with LOCK CMPXCHG16B")
    assert 1 <= done.stderr.count("kvm gives up") < 1000, "KVM did not go on afterwards"


# Those that depend on what the processor behind the engine offers.
MSRS_BY_FEATURE = {0x3b, 0x48, 0x10a, 0x6e0, 0xc0000103}


@needs_kvm
def test_same_msrs_everywhere(selftest):
    """An MSR that our model does not have faults under KVM too, and one that it has is there."""
    there = {}
    for engine in (ENGINE, "kvm"):
        done = run_selftest(selftest, "list_msrs", engine)
        there[engine] = {int(n, 16) for n in re.findall(r"^msr (\w+)", done.stdout, re.M)} - MSRS_BY_FEATURE
    assert there["kvm"] == there[ENGINE]
    assert {0x10, 0x1b, 0xfe, 0x277, 0x2ff, 0x4b564d01, 0xc0000080} < there["kvm"]


@needs_kvm
@pytest.mark.parametrize("source", ["kvm", ENGINE])
@pytest.mark.parametrize("target", ["kvm", ENGINE])
def test_saved_guest_moves(selftest, source, target, tmp_path):
    """A guest that waits for a byte is saved, and goes on under the other engine, or the same."""
    state = tmp_path / "state"
    options = ["--memory", "64M", "--cpus", "2", "--net", "none", "--debug-exit", "0xf4", "--no-reboot",
               "--kernel", selftest, "--append", "moving"]
    with Guest(*options, engine=source, control=True, default_boot=False) as guest:
        guest.wait_for("ready", 60)
        qmp = guest.qmp()
        qmp.command("x-batuta-save", file=str(state))
        assert qmp.command("query-status")["status"] == "running"
        # It goes on where it was saved, too.
        guest.type("x")
        assert guest.end() == PASS, guest.tail()
    with Guest(*options, "--load", state, engine=target, control=True, default_boot=False) as guest:
        guest.type("x")
        assert guest.end() == PASS, guest.tail()


def descriptors(guest):
    return len(os.listdir(f"/proc/{guest.process.pid}/fd"))


@pytest.mark.parametrize("engine", [pytest.param("kvm", marks=needs_kvm), ENGINE])
def test_doorbells_follow_the_bar(selftest, engine):
    """Notifications reach a device whose BAR moved hundreds of times, by a descriptor that is one and the same."""
    with Guest("--memory", "256M", "--net", "none", "--debug-exit", "0xf4", "--no-reboot", "--kernel", selftest,
               "--append", "doorbell", "--paused", "--trace", "engine", engine=engine, control=True,
               default_boot=False) as guest:
        qmp = guest.qmp()
        before = descriptors(guest)
        qmp.command("cont")
        guest.wait_for("moved", 120)
        assert descriptors(guest) <= before + 1
        guest.type("x")
        assert guest.end() == PASS, guest.tail()
        bells = re.findall(rb"doorbell at \w+ (\w+) \((-?\d+)\)", guest.output)
        assert all(r == b"0" for _, r in bells)
        assert len(bells) > 800 if engine == "kvm" else not bells
        assert sum(1 if what == b"added" else -1 for what, _ in bells) in (0, 1)


def test_names():
    assert "cmpxchg16b" in NAMES and len(NAMES) >= 5
