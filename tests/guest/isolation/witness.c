/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM beside those that misbehave: it holds something in every register and all
 * memory that it has, and looks for ever whether it is still there. Each 100 ms of its
 * time it says how far it has come; the harness reads that.
 *
 *   witness beat 12 rounds 3456 at 1234567 late 78
 *   witness VIOLATION: DR2: is …, expected …
 *
 * A round is the same work every time, so rounds measure the processor time that it gets.
 * "at" is its time in microseconds, "late" by how many the beat's latest timer interrupt came too late.
 */
#include "tests/guest/isolation/isolation.h"

#define BEAT_US      100000ULL
#define TICK_NS      10000000U
#define TICK_VECTOR  0x40
#define STOPPED_US   5000000ULL /* no timer interrupt for so long: they have stopped */
#define DRIFT_US     2000000ULL
#define MEMORY_START 0x800000ULL
#define MEMORY_SLICE 0x10000ULL
#define CHECK_EVERY  16 /* rounds; what may exit is looked at then */

#define DR7_VALUE    0xe8890401ULL /* DR0: writes of 8 bytes; DR1 to DR3: off, but not empty */

static void violated(const char *what, uint64_t is, uint64_t expected)
{
    print("witness VIOLATION: ");
    print(what);
    print(": is ");
    print_hex(is);
    print(", expected ");
    print_hex(expected);
    print("\n");
}

static void must_be(const char *what, uint64_t is, uint64_t expected)
{
    if (is != expected)
        violated(what, is, expected);
}

/* ---- memory ---- */

static uint64_t memory_end, slice_at;

static uint64_t pattern(uint64_t address)
{
    return (address * 0x9e3779b97f4a7c15) ^ 0x7717e55;
}

static void fill_memory(void)
{
    memory_end = ram_end() & ~(MEMORY_SLICE - 1);
    for (uint64_t at = MEMORY_START; at < memory_end; at += 8)
        MMIO64(at) = pattern(at);
    slice_at = MEMORY_START;
}

static void check_memory(void)
{
    uint64_t bad = 0, where = 0;

    for (uint64_t at = slice_at; at < slice_at + MEMORY_SLICE; at += 8) {
        if (MMIO64(at) != pattern(at)) {
            bad++;
            where = at;
        }
    }
    if (bad) {
        violated("memory", MMIO64(where), pattern(where));
        for (uint64_t at = slice_at; at < slice_at + MEMORY_SLICE; at += 8)
            MMIO64(at) = pattern(at);
    }
    slice_at += MEMORY_SLICE;
    if (slice_at >= memory_end)
        slice_at = MEMORY_START;
}

/* ---- general registers ---- */

/* rax rbx rdx rsi rdi rbp r8 … r15, and the carry flag */
uint64_t witness_want[15], witness_got[15], witness_rsp;
void witness_hold(uint64_t loops);

__asm__(".text\n"
        "witness_hold:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rdi, %rcx\n"
        "mov %rsp, witness_rsp\n"
        "mov witness_want, %rax; mov witness_want+8, %rbx; mov witness_want+16, %rdx\n"
        "mov witness_want+24, %rsi; mov witness_want+32, %rdi; mov witness_want+40, %rbp\n"
        "mov witness_want+48, %r8; mov witness_want+56, %r9; mov witness_want+64, %r10\n"
        "mov witness_want+72, %r11; mov witness_want+80, %r12; mov witness_want+88, %r13\n"
        "mov witness_want+96, %r14; mov witness_want+104, %r15\n"
        "stc\n"
        "1: dec %rcx; jnz 1b\n"
        "mov %rax, witness_got; mov %rbx, witness_got+8; mov %rdx, witness_got+16\n"
        "mov %rsi, witness_got+24; mov %rdi, witness_got+32; mov %rbp, witness_got+40\n"
        "mov %r8, witness_got+48; mov %r9, witness_got+56; mov %r10, witness_got+64\n"
        "mov %r11, witness_got+72; mov %r12, witness_got+80; mov %r13, witness_got+88\n"
        "mov %r14, witness_got+96; mov %r15, witness_got+104\n"
        "sbb %rax, %rax; mov %rax, witness_got+112\n"
        "cmp %rsp, witness_rsp; je 2f; ud2; 2:\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n");

static void check_general(void)
{
    witness_hold(5000);
    for (unsigned i = 0; i < 15; i++)
        must_be("general register", witness_got[i], witness_want[i]);
}

/* ---- x87, MXCSR, vectors ---- */

static uint8_t fpu_want[1024] __attribute__((aligned(64))), fpu_got[1024] __attribute__((aligned(64)));
static uint32_t fpu_size;
static uint64_t xcr0;

static void save_fpu(uint8_t *area)
{
    if (xcr0)
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((uint32_t)xcr0), "d"(0) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

/* Bytes 6 to 23 (opcode and pointers of the last x87 instruction) are not kept by processors of AMD's. */
static bool fpu_compared(unsigned at)
{
    return (at < 6 || at >= 24) && (at < 28 || at >= 32) && (at < 416 || at >= 576) && at < fpu_size &&
           !(at >= 32 && at < 160 && at % 16 >= 10);
}

static void fill_fpu(void)
{
    for (unsigned i = 0; i < sizeof(fpu_want); i++)
        fpu_want[i] = fpu_compared(i) ? (uint8_t)(i * 37 + 11) : 0;
    *(uint16_t *)(void *)&fpu_want[0] = 0x0f7f; /* all masked, round to zero */
    *(uint16_t *)(void *)&fpu_want[2] = 0x2800; /* top is 5 */
    fpu_want[4] = 0xff;
    fpu_want[5] = 0;
    *(uint32_t *)(void *)&fpu_want[24] = 0x3f85;
    if (xcr0) {
        *(uint64_t *)(void *)&fpu_want[512] = xcr0;
        __asm__ volatile("xrstor64 (%0)" ::"r"(fpu_want), "a"((uint32_t)xcr0), "d"(0) : "memory");
    } else {
        __asm__ volatile("fxrstor64 (%0)" ::"r"(fpu_want) : "memory");
    }
}

static void check_fpu(void)
{
    save_fpu(fpu_got);
    for (unsigned i = 0; i < fpu_size; i++) {
        if (fpu_compared(i) && fpu_got[i] != fpu_want[i]) {
            violated("x87 and vectors, at byte", fpu_got[i] | (uint64_t)i << 32,
                     fpu_want[i] | (uint64_t)i << 32);
            fill_fpu();
            return;
        }
    }
}

/* ---- MSRs and control registers ---- */

static struct {
    const char *name;
    uint32_t msr;
    uint64_t value;
} msrs[] = {
    {"PAT", 0x277, 0x0504010600070106},
    {"STAR", 0xc0000081, 0x0023001800777700},
    {"LSTAR", 0xc0000082, 0xffffffff81234560},
    {"CSTAR", 0xc0000083, 0xffffffff89876540},
    {"SFMASK", 0xc0000084, 0x47700},
    {"FS base", 0xc0000100, 0x00007abcdef01230},
    {"GS base", 0xc0000101, 0xffff8abcdef04560},
    {"KERNEL_GS_BASE", 0xc0000102, 0xffff8fedcba09870},
    {"SYSENTER_CS", 0x174, 0x18},
    {"SYSENTER_ESP", 0x175, 0xffffffffa1b2c3d0},
    {"SYSENTER_EIP", 0x176, 0xffffffffa4b5c6d0},
    {"MTRR base 0", 0x200, 0x1234000006},
    {"TSC_AUX", 0xc0000103, 0x715c}, /* the last: where RDTSCP is */
};
static unsigned msr_count = sizeof(msrs) / sizeof(msrs[0]);
static uint64_t cr0, cr3, cr4, efer;
static volatile uint64_t watched;

static void hold_registers(void)
{
    for (unsigned i = 0; i < 14; i++)
        witness_want[i] = pattern(i + 1);
    witness_want[14] = ~0ULL;
    if (!has_bit(0x80000001, 0, 'd', 27))
        msr_count--;
    for (unsigned i = 0; i < msr_count; i++)
        wrmsr(msrs[i].msr, msrs[i].value);
    write_cr8(2);
    if (has_bit(1, 0, 'c', 26)) {
        write_cr4(read_cr4() | 1U << 18);
        xcr0 = has_bit(1, 0, 'c', 28) ? 7 : 3;
        CHECK(try_cr('x', xcr0) == -1);
    }
    fpu_size = xcr0 == 7 ? 832 : 512;
    fill_fpu();
    write_dr0((uintptr_t)&watched);
    write_dr1(0x1122334455667788);
    write_dr2(0x99aabbccddeeff0);
    write_dr3(0x7edcba9876543210);
    write_dr6(0xffff0ff0);
    write_dr7(DR7_VALUE);
    cr0 = read_cr0();
    cr3 = read_cr3();
    cr4 = read_cr4();
    efer = rdmsr(MSR_EFER);
}

static void write_watched(void)
{
    watched++;
}

/* QEMU 7.2 forgets them where VMRUN loads them: the witness says so, and does without. */
static bool watchpoints_work(void)
{
    bool work = true;

    for (unsigned i = 0; work && i < 100; i++) {
        cpuid(0, 0); /* it may take an exit to forget them */
        work = try_run(write_watched) == 1;
        write_dr6(0xffff0ff0);
        write_dr7(DR7_VALUE);
    }
    if (!work)
        print("witness has no watchpoints\n");
    return work;
}

static bool has_watchpoints;

static void check_debug_registers(void)
{
    must_be("DR0", read_dr0(), (uintptr_t)&watched);
    must_be("DR1", read_dr1(), 0x1122334455667788);
    must_be("DR2", read_dr2(), 0x99aabbccddeeff0);
    must_be("DR3", read_dr3(), 0x7edcba9876543210);
    must_be("DR7", read_dr7(), DR7_VALUE);
    if (has_watchpoints) {
        must_be("watchpoint", (uint64_t)try_run(write_watched), 1);
        must_be("DR6", read_dr6(), 0xffff0ff1);
    }
    write_dr6(0xffff0ff0);
    write_dr7(DR7_VALUE);
    __asm__ volatile("sti"); /* which the #DB's gate turned off */
}

/* It is in the local APIC, too: which of the two is wrong, and whether it stays so? */
static void check_cr8(void)
{
    uint64_t is = read_cr8();

    if (is == 2)
        return;
    violated("CR8", is, 2);
    must_be("CR8 read again", read_cr8(), 2);
    must_be("TPR", MMIO32(LAPIC_TPR), 0x20);
    must_be("CR8 read behind TPR", read_cr8(), 2);
    write_cr8(2);
}

static void check_registers(void)
{
    for (unsigned i = 0; i < msr_count; i++)
        must_be(msrs[i].name, rdmsr(msrs[i].msr), msrs[i].value);
    must_be("CR0", read_cr0(), cr0);
    must_be("CR3", read_cr3(), cr3);
    must_be("CR4", read_cr4(), cr4);
    check_cr8();
    must_be("EFER", rdmsr(MSR_EFER), efer);
    if (xcr0) {
        uint32_t lo, hi;

        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
        must_be("XCR0", lo | (uint64_t)hi << 32, xcr0);
    }
    check_debug_registers();
}

/* ---- time ---- */

static volatile uint64_t tick_due, late_most, ticks; /* due: in ticks of the TSC */
static uint64_t last_tsc, last_hpet, first_tsc, first_hpet;

static void next_tick(void)
{
    tick_due = rdtsc() + tsc_khz() * (TICK_NS / 1000000);
    lapic_timer(TICK_VECTOR, TICK_NS);
}

static bool on_trap(struct trap_frame *frame)
{
    uint64_t now = rdtsc();

    if (frame->vector != TICK_VECTOR)
        return false;
    if (now + tsc_khz() / 20 < tick_due)
        violated("timer interrupt too early", now, tick_due);
    else if (now > tick_due && now - tick_due > late_most)
        late_most = now - tick_due;
    ticks++;
    next_tick();
    lapic_eoi();
    return true;
}

static void check_time(void)
{
    uint64_t tsc = rdtsc(), hpet = hpet_counter(), took = rdtsc() - tsc, period = MMIO64(HPET) >> 32, by_tsc,
             by_hpet, due;

    if (tsc < last_tsc)
        violated("TSC went back", tsc, last_tsc);
    if (hpet < last_hpet)
        violated("HPET went back", hpet, last_hpet);
    by_tsc = ticks_to_us(tsc - first_tsc);
    by_hpet = (hpet - first_hpet) * (period / 1000000) / 1000;
    /* Nothing can be said if the processor was another's between the two. */
    if (ticks_to_us(took) < DRIFT_US / 2 &&
        (by_tsc > by_hpet + by_hpet / 500 + DRIFT_US || by_hpet > by_tsc + by_tsc / 500 + DRIFT_US))
        violated("TSC and HPET drift apart, us", by_tsc, by_hpet);
    last_tsc = tsc;
    last_hpet = hpet;
    due = tick_due; /* it may move while we look */
    tsc = rdtsc();
    if (tsc > due && ticks_to_us(tsc - due) > STOPPED_US) {
        violated("timer interrupts stopped, us", ticks_to_us(tsc - due), 0);
        next_tick();
    }
}

static void beat(uint64_t number, uint64_t rounds)
{
    uint64_t late = late_most;

    late_most = 0;
    print("witness beat ");
    print_number(number);
    print(" rounds ");
    print_number(rounds);
    print(" at ");
    print_number(ticks_to_us(rdtsc() - first_tsc));
    print(" late ");
    print_number(ticks_to_us(late));
    print("\n");
}

void witness(void)
{
    uint64_t beats = 0, next;

    fill_memory();
    lapic_on();
    hpet_start();
    hold_registers();
    has_watchpoints = watchpoints_work();
    trap_hook = on_trap;
    first_tsc = last_tsc = rdtsc();
    first_hpet = last_hpet = hpet_counter();
    next = first_tsc + BEAT_US * tsc_khz() / 1000;
    next_tick();
    __asm__ volatile("sti");
    for (uint64_t rounds = 1;; rounds++) {
        check_memory();
        check_general();
        check_cr8(); /* nothing has left the guest for a while but what the machine wants */
        check_fpu();
        if (rounds % CHECK_EVERY == 0)
            check_registers();
        check_time();
        if (rdtsc() >= next) {
            next = rdtsc() + BEAT_US * tsc_khz() / 1000;
            beat(++beats, rounds);
        }
    }
}
