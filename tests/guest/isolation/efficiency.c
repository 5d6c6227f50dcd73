/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must not leave the guest: LOOPS times each. When the loop is over the guest says
 * "measured LOOPS TICKS" and waits, so that whoever runs it can look at the VM's counters:
 * fewer exits than LOOPS / 10 in all are none of the loop's. A key, or five seconds, ends it.
 */
#include "tests/guest/isolation/isolation.h"

#define LOOPS 200000ULL

static uint64_t began;

static void begin(void)
{
    began = rdtsc();
}

static void measured(void)
{
    uint64_t ticks = rdtsc() - began, end = rdtsc() + 5000 * tsc_khz();

    print("measured ");
    print_number(LOOPS);
    print(" ");
    print_number(ticks);
    print("\n");
    lapic_on();
    while (rdtsc() < end && !(inb(0x3fd) & 1)) {
        lapic_timer(0x40, 50000000);
        __asm__ volatile("sti; hlt; cli");
    }
}

void free_user_code(void)
{
    uint64_t sum = 0;

    begin();
    for (uint64_t i = 0; i < LOOPS * 100; i++)
        sum = sum * 6364136223846793005ULL + i;
    expect("sum", sum, 0xa971edaf4fa1a980);
    measured();
}

void free_cr3_loads(void)
{
    begin();
    for (uint64_t i = 0; i < LOOPS; i++)
        flush_tlb();
    measured();
}

void free_invlpg(void)
{
    begin();
    for (uint64_t i = 0; i < LOOPS; i++) {
        invlpg(FREE_RAM);
        (void)MMIO8(FREE_RAM);
    }
    measured();
}

static volatile uint64_t faults;

static bool skip_fault(struct trap_frame *frame)
{
    if (frame->vector != 14)
        return false;
    faults++;
    frame->rip += 2; /* mov (%rax), %al */
    return true;
}

void free_page_faults(void)
{
    map_page(WINDOW, 0, 0);
    trap_hook = skip_fault;
    begin();
    for (uint64_t i = 0; i < LOOPS; i++)
        __asm__ volatile("mov (%%rax), %%al" : : "a"(WINDOW) : "memory");
    expect("page faults", faults, LOOPS);
    trap_hook = NULL;
    measured();
}

__asm__(".text; free_entry: sysretq\n");
extern const char free_entry[];

static void user_calls(void)
{
    for (uint64_t i = 0; i < LOOPS; i++)
        __asm__ volatile("syscall" ::: "rcx", "r11", "memory");
}

void free_syscalls(void)
{
    wrmsr(0xc0000081, 0x0018000800000000ULL);
    wrmsr(0xc0000082, (uintptr_t)free_entry);
    wrmsr(0xc0000084, 0);
    begin();
    expect("ring 3", (uint64_t)try_user(user_calls), ~0ULL);
    measured();
}

void free_rdtsc(void)
{
    uint64_t last = rdtsc();

    begin();
    for (uint64_t i = 0; i < LOOPS; i++) {
        uint64_t t = rdtsc();

        CHECK(t >= last);
        last = t;
    }
    measured();
}

void free_fpu(void)
{
    begin();
    for (uint64_t i = 0; i < LOOPS; i++)
        __asm__ volatile(
            "fninit; fld1; fadd %%st(0); fstp %%st(0); addps %%xmm1, %%xmm0; mulpd %%xmm3, %%xmm2" ::
                : "memory");
    measured();
}

/* All of RAM that is free, again and again: once it is there, it is there. */
void free_memory(void)
{
    uint64_t start = (PROGRAM_END + 0xfff) & ~0xfffULL, end = ram_end(), n = 0;

    begin();
    while (n < LOOPS) {
        for (uint64_t at = start; at < end && n < LOOPS; at += 4096, n++)
            MMIO64(at) += n;
    }
    measured();
}
