/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that is saved while it waits for a byte on its serial port, and goes on
 * elsewhere: all that it set up before must be there afterwards, and still work.
 */
#include "tests/guest/kernel/kernel.h"

#define MSR_TSC_ADJUST      0x3b
#define MSR_SYSENTER_ESP    0x175
#define MSR_MTRR_DEF_TYPE   0x2ff
#define MSR_MTRR_FIX4K_C8   0x269
#define MSR_PAT             0x277
#define MSR_LSTAR           0xc0000082U
#define MSR_KERNEL_GS_BASE  0xc0000102U
#define MSR_KVM_SYSTEM_TIME 0x4b564d01U

#define APIC(reg)           MMIO32(0xfee00000 + (reg))
#define AP_CODE             0x60000 /* page 0x60 */
#define AP_COUNT            (AP_CODE + 0x800)
#define TIMER_VECTOR        0x40

static const struct {
    uint32_t msr;
    uint64_t value;
} msrs[] = {
    {MSR_SYSENTER_ESP, 0xffff800012345678},  {MSR_MTRR_DEF_TYPE, 0xc06},
    {MSR_MTRR_FIX4K_C8, 0x0505050505050505}, {MSR_PAT, 0x0007040600070105},
    {MSR_LSTAR, 0xffffffff81000000},         {MSR_KERNEL_GS_BASE, 0xffff888000000000},
};

struct __attribute__((packed)) clock_page {
    uint32_t version, pad0;
    uint64_t tsc, time;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, pad[2];
};
static volatile struct clock_page clock_page __attribute__((aligned(64)));
static uint8_t fpu_before[512] __attribute__((aligned(16))), fpu_after[512] __attribute__((aligned(16)));

static uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

/* The paravirtual clock: nanoseconds. */
static uint64_t clock_read(void)
{
    uint32_t version;
    uint64_t time;

    do {
        uint64_t delta;

        version = clock_page.version;
        __asm__ volatile("lfence" ::: "memory");
        delta = rdtsc() - clock_page.tsc;
        delta = clock_page.shift < 0 ? delta >> -clock_page.shift : delta << clock_page.shift;
        time = clock_page.time + (uint64_t)(((unsigned __int128)delta * clock_page.mul) >> 32);
        __asm__ volatile("lfence" ::: "memory");
    } while (version & 1 || version != clock_page.version);
    return time;
}

static void wait_for_ticks(uint64_t n)
{
    uint64_t end = trap_count[TIMER_VECTOR] + n;

    while (trap_count[TIMER_VECTOR] < end)
        __asm__ volatile("sti; hlt; cli");
}

static void set_up_fpu(void)
{
    static const uint64_t pattern[2] = {0x0123456789abcdef, 0xfedcba9876543210};

    __asm__ volatile("fninit; fldpi; fldl2e; movups %0, %%xmm0; movups %0, %%xmm15; fxsave %1"
                     :
                     : "m"(pattern), "m"(fpu_before));
}

static void check_fpu(void)
{
    __asm__ volatile("fxsave %0" : "=m"(fpu_after));
    for (unsigned i = 0; i < 416; i++) {
        /* The last instruction and its address, and what MXCSR may hold, are the processor's affair. */
        if ((i >= 6 && i < 24) || (i >= 28 && i < 32))
            continue;
        CHECK(fpu_before[i] == fpu_after[i]);
    }
}

/* The other processor: counts in its segment, and halts. */
static void send_init(void)
{
    static const uint8_t code[] = {0x2e, 0xf0, 0xff, 0x06, 0x00, 0x08, 0xf4, 0xeb, 0xfd};

    memcpy((void *)AP_CODE, code, sizeof(code));
    MMIO16(AP_COUNT) = 0;
    APIC(0x310) = 1 << 24;
    APIC(0x300) = 0x4500;
}

static void send_startup(void)
{
    APIC(0x310) = 1 << 24;
    APIC(0x300) = 0x4600 | AP_CODE >> 12;
    for (unsigned i = 0; i < 100 && !MMIO16(AP_COUNT); i++)
        wait_for_ticks(1);
    CHECK(MMIO16(AP_COUNT) == 1);
}

static void set_up_apic(void)
{
    APIC(0xf0) = 0x1ff;
    APIC(0xe0) = 0xffffffff;
    APIC(0xd0) = 0x5a000000;
    APIC(0x80) = 0x20;
    APIC(0x3e0) = 0x3; /* by 16 */
    APIC(0x320) = 0x20000 | TIMER_VECTOR;
    APIC(0x380) = 312500; /* 5 ms */
}

static void check_apic(void)
{
    CHECK(APIC(0xf0) == 0x1ff && APIC(0xd0) == 0x5a000000 && APIC(0x80) == 0x20);
    CHECK(APIC(0x3e0) == 0x3 && APIC(0x320) == (0x20000 | TIMER_VECTOR) && APIC(0x380) == 312500);
    CHECK(APIC(0x390) <= 312500);
}

/* A vector that the task priority holds back: it must still be pending afterwards. */
static void pend_low_vector(void)
{
    APIC(0x310) = 0;
    APIC(0x300) = 0x40000 | 0x24;
    __asm__ volatile("sti; nop; nop; cli");
    CHECK(trap_count[0x24] == 0);
}

/*
 * Once and only once. Not at once: a KVM that emulates ring 0 does not look for interrupts
 * between the IRET of the timer's handler and the CLI behind it, so each tick that is
 * already there when wait_for_ticks() halts goes first.
 */
static void take_low_vector(void)
{
    CHECK(APIC(0x210) & 1U << 4); /* IRR */
    APIC(0x80) = 0;
    for (unsigned i = 0; i < 100 && !trap_count[0x24]; i++)
        wait_for_ticks(1);
    wait_for_ticks(2);
    CHECK(trap_count[0x24] == 1);
}

void moving(void)
{
    uint64_t tsc, time, dr, pan;

    for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
        wrmsr(msrs[i].msr, msrs[i].value);
    wrmsr(MSR_KVM_SYSTEM_TIME, (uintptr_t)&clock_page | 1);
    __asm__ volatile("mov %0, %%dr0" ::"r"(0x12345678UL));
    set_up_fpu();
    set_up_apic();
    pend_low_vector();
    send_init();
    wait_for_ticks(3);
    time = clock_read();
    tsc = rdtsc();
    print("ready\n");
    while (!(inb(0x3fd) & 1))
        wait_for_ticks(1);

    CHECK(rdtsc() > tsc);
    CHECK(clock_read() > time && clock_read() - time < 100000000000);
    for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
        CHECK(rdmsr(msrs[i].msr) == msrs[i].value);
    CHECK(rdmsr(MSR_KVM_SYSTEM_TIME) == ((uintptr_t)&clock_page | 1));
    __asm__ volatile("mov %%dr0, %0" : "=r"(dr));
    CHECK(dr == 0x12345678);
    check_fpu();
    check_apic();
    take_low_vector();
    send_startup();

    /* Time passes as fast as the timer says. */
    time = clock_read();
    wait_for_ticks(20);
    pan = clock_read() - time;
    CHECK(pan > 80000000 && pan < 20000000000);
}
