# SPDX-License-Identifier: GPL-2.0-or-later
"""Isolation on the bare machine: hostile guests, and guests that look for what is not theirs, run one after the other
on batuta-hv beside a witness (tests/guest/isolation/witness.c). After each of them

  - it ended as its kind says (tests/guest/kernel/laws.h),
  - the hypervisor answers,
  - the witness has gone on, and has seen no violation,
  - all memory has come back.

BATUTA_HV=all runs all of them, else a part; BATUTA_HV_BEDS names the machines (hv.py).
"""

import collections
import os
import re
import time

import pytest

import guests
import hv
from harness import PATIENCE, GuestError

pytestmark = pytest.mark.xdist_group("hv")

HOSTILE, ISOLATION = guests.hostile(), guests.isolation()
ALL = os.environ.get("BATUTA_HV") == "all"
# A part that has something of everything, for every day.
SOME = """triple_fault control_register_sweep random_opcodes_ring0 descriptor_garbage task_switch_garbage
    string_into_mmio x2apic_sweep fw_cfg_dma_garbage 
    blk_into_own_rings smp_init_storm smp_old_modes spin_forever
    svm_instructions vmx_instructions cr4_bits efer_bits msr_virtualization tsc_is_its_own nmi_storm db_forever
    faults_in_delivery shadow_of_sti interrupts_exactly_once single_step memory_beyond_ram tables_beyond_ram
    pci_own_devices flags_across_exits string_io_faults legacy_code16 legacy_ac_forever real_mode
    virtual_8086 task_switch storm_ports storm_ipi storm_halt storm_spin free_cr3_loads free_page_faults""".split()

# What an emulated processor lacks, so that no hypervisor on it can give it to a guest.
LACKS = {
    **{bed: {name: "no NIC that batuta-hv drives" for name in HOSTILE.names if name.startswith("net_")} for bed in hv.hv_bed.BOCHS_CPUS},
    "qemu": {
        "legacy_limits": "TCG does not check segments' limits",
        "real_mode_limits": "TCG does not check segments' limits",
        "alignment_checks": "TCG has no #AC",
        "watchpoints": "TCG forgets them where VMRUN loads DR7",
        "breakpoints": "TCG forgets them where VMRUN loads DR7",
        "int1_traps": "TCG does not have INT1",
        "single_step_over_sti": "TCG does not trap behind STI and PAUSE",
        "faults_in_delivery": "TCG has other error codes for gates in long mode",
        "user_waits": "TCG takes UMONITOR for a fence",
        "transactions": "TCG has XBEGIN, whatever CPUID says",
        "msr_addresses": "TCG takes addresses that are not canonical",
        "smap_branch_nowhere": "TCG faults at the target of a branch that leads nowhere",
        "sse_exceptions": "TCG raises no #XM",
        "lazy_mmx": "TCG does not look at TS and EM for MMX",
        "legacy_segments": "TCG does not check all of a segment's rights",
        "legacy_paging": "TCG has another error code for reserved bits",
        "every_physical_address": "TCG has another error code for reserved bits",
        "legacy_pae": "TCG does not check PDPTEs where CR3 is loaded",
        "cr0_bits": "TCG does not look at the upper half of CR0",
        "task_switch": "TCG loses the carry flag in a task switch",
    },
}

# What QEMU's processors cannot do for each other while they run in parallel: it is done one processor after the other.
ALONE = {
    "dma_over_running_code": "TCG can miss what one processor writes over code that another just translates: memory has "
                             "the new code, and the processor goes round in the old one",
}

# A guest of batuta-hv has one console, its serial port.
WITHOUT = [name for name in HOSTILE.names if name.startswith("console_")]

CONFIG = """
[hypervisor]
console = com1
panic   = reboot
panic-seconds = 1

[vm witness]
kernel   = isolation.elf
append   = "witness"
memory   = 32M
affinity = {first}
rng      = off
balloon  = off

[vm hostile]
kernel     = hostile.elf
memory     = 128M
cpus       = 2
affinity   = {first}-{last}
disk       = ramdisk:1M
net        = switch,mac=52:54:00:12:34:56
debug-exit = 0xf4
no-reboot  = on
restart    = never
autostart  = off

[vm subject]
kernel     = isolation.elf
memory     = 128M
cpus       = 2
affinity   = {first}-{last}
disk       = ramdisk:1M
net        = switch
debug-exit = 0xf4
no-reboot  = on
restart    = never
autostart  = off

[vm beside]
kernel     = isolation.elf
memory     = 128M
affinity   = {first}
debug-exit = 0xf4
no-reboot  = on
restart    = never
autostart  = off

[vm crasher]
kernel     = isolation.elf
append     = "storm_crash"
memory     = 64M
affinity   = {first}-{last}
restart    = always,max=16,within=1
autostart  = off
"""

# Somebody who answers: hostile drivers must still work when they behave.
NIC = ("-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,disable-legacy=on")

SECONDS = 180  # for a guest that must come to its end
STORM_SECONDS = 2
BEAT = re.compile(r"witness beat (\d+) rounds (\d+) at (\d+) late (\d+)")
Beat = collections.namedtuple("Beat", "number rounds at late")  # times in microseconds
LOST = 64 << 10  # bytes that the hypervisor's own allocator may keep


class Bed:
    """One machine, booted when it is wanted; again if a test has ended it. VMs have `cpus` of its processors; if those
    run in parallel there is one more, for the hypervisor alone (hv_bed.py)."""

    def __init__(self, name, folder, modules, cpus=2, extra=NIC, parallel=False):
        self.name, self.folder, self.modules, self.cpus, self.extra = name, folder, modules, cpus, extra
        self.parallel = parallel
        self.machine = None
        self.boots = 0
        self.free = None
        self.alone = None  # the witness's progress with nobody beside

    def up(self):
        if self.machine and not self.machine.alive():
            self.down()
        if not self.machine:
            self.boots += 1
            folder = self.folder / str(self.boots)
            folder.mkdir()
            first = 1 if self.parallel else 0
            self.machine = hv.Machine(folder, CONFIG.format(first=first, last=first + self.cpus - 1), self.modules,
                                      self.name, cpus=first + self.cpus, extra=self.extra, parallel=self.parallel)
            self.machine.connect()
            for vm in ("hostile", "subject", "beside"): # what is kept for each from its first start on
                self.start(vm, "nothing")
                self.stop(vm)
            self.wait(lambda: self.beat().number >= 3, 30, "the witness does not speak")
            said = "\n".join(self.machine.log("witness", 2000))
            assert "no watchpoints" not in said or "watchpoints" in LACKS[self.name], said
        return self.machine

    def down(self):
        if self.machine:
            self.machine.end()
        self.machine = self.free = None

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds * PATIENCE * hv.SLOWNESS[self.name]
        while not condition():
            if time.monotonic() > end:
                raise GuestError(f"{what}:\n{self.machine.tail()}")
            time.sleep(0.05)

    def beat(self, lines=400):
        """The witness's last one."""
        last = Beat(0, 0, 0, 0)
        lines = self.since_its_start(self.machine.log("witness", lines))
        for line in lines:
            if "VIOLATION" in line:
                self.new_witness()
                pytest.fail("\n".join(line for line in lines if "beat" not in line))
            found = BEAT.search(line)
            if found:
                last = Beat(*map(int, found.groups()))
        return last

    @staticmethod
    def since_its_start(lines):
        starts = [number for number, line in enumerate(lines) if line.endswith(": witness")]
        return lines[starts[-1]:] if starts else lines

    def new_witness(self):
        """It looks at what comes next, and has nothing to say of what was."""
        self.start("witness")
        self.wait(lambda: not any("VIOLATION" in line for line in self.since_its_start(self.machine.log("witness", 400))),
                  30, "the new witness does not speak")

    def off(self, vm):
        return self.machine.vm(vm)["state"] in ("off", "failed")

    def stop(self, vm):
        """However often it is started again meanwhile."""
        end = time.monotonic() + 20 * PATIENCE * hv.SLOWNESS[self.name]
        while not self.off(vm):
            try:
                self.machine.command("batuta-stop", vm=vm, force=True)
            except GuestError: # it starts, or ends, just now
                if not self.machine.alive() or time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def start(self, vm, test=None):
        """Returns when it has been started, and may be off again."""
        self.stop(vm)
        starts = self.machine.vm(vm)["starts"]
        self.mark = len(self.machine.output)
        lacking = "without=console " if self.name == "qemu" else "without=net "  # nobody would answer
        more = {} if test is None else {"append": lacking * (vm == "hostile") + test}
        self.machine.command("batuta-start", vm=vm, **more)
        self.wait(lambda: self.machine.vm(vm)["starts"] > starts and self.machine.vm(vm)["state"] != "starting", 30,
                  f"{vm} does not start")

    def said(self, vm, test):
        """What the VM has said since this test began."""
        text = "\n".join(self.machine.log(vm, 2000))
        return text[max(text.rfind(f": {test}\n"), 0):]

    def must_have_passed(self, vm, test):
        """It has said so by its debug exit. It may have lost its console on the way."""
        def status():
            self.machine.read_some(0.1)
            return re.findall(rf"{vm}: ends with status (\d+)", self.machine.output[self.mark:].decode(errors="replace"))

        said = self.said(vm, test)
        if not said.rstrip().endswith("PASS"):
            self.wait(status, 10, f"{test} did not end by itself")
            assert status() == ["33"], said[-3000:]

    def progress(self, beats):
        """Rounds of the witness in a microsecond, from now on, by what is shown on the terminal: asking would take the
        machine's time, the more of it the slower this computer is."""
        mark = len(self.machine.output)

        def shown():
            self.machine.read_some(0.5)
            text = self.machine.output[mark:].decode(errors="replace")
            return [Beat(*map(int, found)) for found in BEAT.findall(text)] or [Beat(0, 0, 0, 0)]

        self.wait(lambda: shown()[-1].number >= shown()[0].number + beats, 30 * beats, "the witness does not go on")
        first, last = shown()[0], shown()[-1]
        return (last.rounds - first.rounds) / (last.at - first.at)

    def memory_free(self):
        """The machine's, and what VMs that are off keep on purpose: the contents of their RAM disks (1 MiB each)."""
        kept = [self.machine.command("batuta-statistics", vm=vm["vm"])["memory-used"]
                for vm in self.machine.command("batuta-list-vms") if vm["state"] in ("off", "failed")]
        assert all(used <= (1 << 20) + LOST for used in kept), f"memory is kept by VMs that are off: {kept}"
        return self.machine.command("batuta-host")["memory-free"] + sum(kept)

    def must_be_as_before(self, beat):
        """After a test, with its VM off."""
        assert " stops: exit" not in self.machine.tail(), self.machine.tail()
        self.wait(lambda: self.beat().number > beat.number, 20, "the witness does not go on")
        if self.free is None:
            self.free = self.memory_free()
        assert self.memory_free() >= self.free - LOST, "memory is missing"


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hv-guests")
    return {"hostile.elf": HOSTILE.build(folder / "hostile.elf"), "isolation.elf": ISOLATION.build(folder / "isolation.elf")}


@pytest.fixture(scope="module", params=hv.bed_params())
def bed(request, tmp_path_factory, modules):
    b = Bed(request.param, tmp_path_factory.mktemp(f"hv-{request.param}"), modules, parallel=request.param == "qemu")
    yield b
    b.down()


def rows():
    for vm, table in (("hostile", HOSTILE), ("subject", ISOLATION)):
        for name in table.names:
            if name not in ("witness", "find_secrets_beside", "keep_secrets", "storm_crash", *WITHOUT) and (ALL or name in SOME):
                yield pytest.param(vm, table, name, id=f"law{table.law[name]}-{name}")


def comes_to_its_end(bed, vm, table, name):
    seconds = SECONDS if table.kind[name] == "V" else STORM_SECONDS
    end = time.monotonic() + seconds * PATIENCE * hv.SLOWNESS[bed.name]
    while not bed.off(vm) and time.monotonic() < end:
        time.sleep(0.1)
    if table.kind[name] == "V":
        said = bed.said(vm, name)
        assert bed.off(vm), f"it did not come to its end:\n{said[-3000:]}"
        bed.must_have_passed(vm, name)


def goes_on(bed, vm, name):
    """A storm: the witness keeps its share. Both have one vCPU on one processor, and the same shares."""
    time.sleep(0.5 * PATIENCE)  # it has begun
    machine = bed.machine
    run, up = machine.vm("witness")["run-ns"], machine.command("batuta-host")["up-ns"]
    time.sleep(STORM_SECONDS * PATIENCE * hv.SLOWNESS[bed.name])
    run, up = machine.vm("witness")["run-ns"] - run, machine.command("batuta-host")["up-ns"] - up
    assert not bed.off(vm), f"it came to an end:\n{bed.said(vm, name)[-3000:]}"
    assert run >= up * 0.5 * 0.9, f"the witness had {run / up:.2f} of a processor"


def does_not_exit(bed, vm, name):
    """Law 3: less than one exit in ten rounds of the loop."""
    bed.wait(lambda: "measured" in bed.said(vm, name), SECONDS, f"{name} did not measure")
    loops = int(re.search(r"measured (\d+)", bed.said(vm, name))[1])
    counters = bed.machine.command("query-batuta-counters", vm=vm)["counters"]["exits"]
    assert sum(counters.values()) < loops / 10, counters


def isolate(bed, vm, table, name):
    bed.up()
    beat = bed.beat()
    bed.start(vm, name)
    try:
        if table.kind[name] == "S":
            goes_on(bed, vm, name)
        elif table.kind[name] == "E":
            does_not_exit(bed, vm, name)
        else:
            comes_to_its_end(bed, vm, table, name)
    finally:
        if bed.machine.alive():
            bed.stop(vm)
    bed.must_be_as_before(beat)


@pytest.mark.parametrize("vm, table, name", rows())
def test_isolation(bed, vm, table, name, request):
    if bed.name == "qemu" and name in ALONE:
        pytest.skip(f"{ALONE[name]}: test_one_processor_after_the_other has it")
    if name in LACKS[bed.name]:
        request.applymarker(pytest.mark.xfail(reason=LACKS[bed.name][name]))
    isolate(bed, vm, table, name)


@pytest.fixture(scope="module")
def bed_alone(tmp_path_factory, modules):
    if not ALL or "qemu" not in hv.beds():
        pytest.skip("BATUTA_HV=all runs it, on QEMU")
    b = Bed("qemu", tmp_path_factory.mktemp("hv-alone"), modules)
    yield b
    b.down()


@pytest.mark.parametrize("name", ALONE)
def test_one_processor_after_the_other(bed_alone, name):
    isolate(bed_alone, "hostile", HOSTILE, name)


def run_to_its_end(bed, vm, name):
    bed.start(vm, name)
    bed.wait(lambda: bed.off(vm), SECONDS, f"{name} did not come to its end")
    bed.must_have_passed(vm, name)


def test_nothing_is_left_behind(bed):
    """Law 2: what a VM had in memory and registers is not found by the next one, nor by itself when it starts again."""
    bed.up()
    beat = bed.beat()
    for _ in range(2):
        run_to_its_end(bed, "subject", "leave_secrets")
        run_to_its_end(bed, "subject", "find_secrets")
        run_to_its_end(bed, "beside", "leave_secrets")
        run_to_its_end(bed, "subject", "find_secrets")
    bed.must_be_as_before(beat)


def test_nothing_is_seen_beside(bed):
    """Law 2: two VMs take turns on one processor; one has a secret in each register."""
    bed.up()
    beat = bed.beat()
    bed.start("subject", "keep_secrets")
    try:
        bed.wait(lambda: "kept" in bed.said("subject", "keep_secrets"), 20, "no secrets")
        run_to_its_end(bed, "beside", "find_secrets_beside")
    finally:
        bed.stop("subject")
    bed.must_be_as_before(beat)


def runs(bed, vm):
    """Which of the VM's processors use time, by halves of the machine's."""
    def times():
        return [vcpu["run-ns"] for vcpu in bed.machine.command("batuta-statistics", vm=vm)["vcpus"]]

    before, up = times(), bed.machine.command("batuta-host")["up-ns"]
    time.sleep(STORM_SECONDS * PATIENCE * hv.SLOWNESS[bed.name])
    up = bed.machine.command("batuta-host")["up-ns"] - up
    return [after - earlier > up / 10 for earlier, after in zip(before, times())]


@pytest.mark.parametrize("name, expected", [("smp_nmi_unstarted", [True, False]), ("smp_nmi_halted", [False, True])])
def test_asleep_is_asleep(bed, name, expected):
    """Law 2: a vCPU that can take nothing of what it is sent uses no time, nor does one of a VM that is paused."""
    bed.up()
    beat = bed.beat()
    bed.start("hostile", name)
    try:
        bed.wait(lambda: name in "".join(bed.machine.log("hostile", 5)), 20, f"{name} does not begin")
        time.sleep(0.5 * PATIENCE * hv.SLOWNESS[bed.name])
        assert runs(bed, "hostile") == expected
        bed.machine.command("stop", vm="hostile")
        assert runs(bed, "hostile") == [False, False]
        bed.machine.command("cont", vm="hostile")
        assert runs(bed, "hostile") == expected
    finally:
        bed.stop("hostile")
    bed.must_be_as_before(beat)


def test_crash_loop(bed):
    """Law 2: a VM that crashes at once, and is started again each time, takes no more than its share (and is left off
    if that is too often)."""
    bed.up()
    beat = bed.beat()
    bed.start("crasher")
    try:
        goes_on_from = bed.machine.vm("crasher")["starts"]
        run, up = bed.machine.vm("witness")["run-ns"], bed.machine.command("batuta-host")["up-ns"]
        time.sleep(STORM_SECONDS * PATIENCE * hv.SLOWNESS[bed.name])
        run, up = bed.machine.vm("witness")["run-ns"] - run, bed.machine.command("batuta-host")["up-ns"] - up
        assert bed.machine.vm("crasher")["starts"] > goes_on_from
        assert run >= up * 0.5 * 0.9, f"the witness had {run / up:.2f} of a processor"
    finally:
        bed.stop("crasher")
    bed.must_be_as_before(beat)


def test_off_is_off(bed):
    """A VM that is stopped between two of its starts is off: it does not come up once more, and has no memory."""
    bed.up()
    beat = bed.beat()
    for _ in range(3):
        bed.start("crasher")
        bed.wait(lambda: bed.machine.vm("crasher")["state"] == "restarting", 20, "the crasher does not restart")
        bed.stop("crasher")
        starts = bed.machine.vm("crasher")["starts"]
        bed.must_be_as_before(beat)
        time.sleep(0.7)
        assert bed.machine.vm("crasher")["starts"] == starts and bed.off("crasher")


@pytest.mark.skipif(not ALL, reason="BATUTA_HV=all runs it")
def test_reboot_loop(bed):
    """Law 2: a VM that reboots at once, for ever, waits longer each time."""
    bed.up()
    beat = bed.beat()
    bed.start("crasher", "reboot_at_once")
    try:
        starts = bed.machine.vm("crasher")["starts"]
        bed.wait(lambda: bed.machine.vm("crasher")["starts"] >= starts + 2, 20, "it does not reboot")
        time.sleep(6)
        assert bed.machine.vm("crasher")["starts"] <= starts + 4
    finally:
        bed.stop("crasher")
    bed.must_be_as_before(beat)


@pytest.fixture(scope="module")
def counted(tmp_path_factory, modules):
    """One processor, whose time is the number of its instructions: nothing else on this computer disturbs it."""
    if not ALL or "qemu" not in hv.beds():
        pytest.skip("BATUTA_HV=all runs it, on QEMU")
    b = Bed("qemu", tmp_path_factory.mktemp("hv-counted"), modules, cpus=1, extra=(*NIC, "-icount", "shift=1,sleep=off"))
    yield b
    b.down()


@pytest.mark.parametrize("name", [n for n in ISOLATION.of_kind("S") if n.startswith(("storm", "db_", "legacy_ac"))])
def test_progress_beside_a_storm(counted, name):
    """Law 2: of one processor, at equal shares, the witness gets as much done as in half of the time alone, less a tenth."""
    counted.up()
    if counted.alone is None:
        counted.alone = counted.progress(20)
    counted.start("subject", name)
    try:
        counted.beat()
        progress = counted.progress(20)
    finally:
        counted.stop("subject")
    assert progress >= 0.9 * 0.5 * counted.alone, f"{progress / counted.alone:.2f} of what it does alone"


def test_enough():
    """At least 60, each with its law; the short list names only what there is."""
    names = HOSTILE.names + ISOLATION.names
    assert len(ISOLATION.names) >= 60 and len(names) >= 200
    assert {ISOLATION.law[name] for name in ISOLATION.names} == {1, 2, 3}
    assert set(SOME) <= set(names) and all(set(lacks) <= set(names) for lacks in LACKS.values())
