/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the isolation guests need of a processor and a board, beside tests/guest/kernel/kernel.h. */
#ifndef TESTS_GUEST_MACHINE_H
#define TESTS_GUEST_MACHINE_H

#include "tests/guest/kernel/kernel.h"
#include "tests/guest/kernel/smp.h"

#define LAPIC      0xfee00000ULL
#define LAPIC_TPR  (LAPIC + 0x80)
#define LAPIC_EOI  (LAPIC + 0xb0)
#define LAPIC_SVR  (LAPIC + 0xf0)
#define LAPIC_IRR  (LAPIC + 0x200)
#define LAPIC_ICR  (LAPIC + 0x300)
#define LAPIC_LVTT (LAPIC + 0x320)
#define LAPIC_TICR (LAPIC + 0x380)
#define LAPIC_TCCR (LAPIC + 0x390)
#define LAPIC_TDCR (LAPIC + 0x3e0)
#define IOAPIC     0xfec00000ULL
#define HPET       0xfed00000ULL
#define ECAM       0xe0000000ULL
#define PM_TIMER   0x608

#define MSR_EFER   0xc0000080U
#define PRESENT    1ULL
#define WRITABLE   2ULL
#define USER       4ULL
#define LARGE      0x80ULL
#define GLOBAL     0x100ULL
#define NO_EXECUTE (1ULL << 63)

struct cpuid {
    uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r = {leaf, 0, subleaf, 0};

    __asm__ volatile("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
    return r;
}
/* False, too, where the leaf is beyond the last one. */
bool has_bit(uint32_t leaf, uint32_t subleaf, char reg, unsigned bit);
bool is_amd(void);

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return lo | (uint64_t)hi << 32;
}
uint64_t tsc_khz(void);
static inline uint64_t ticks_to_us(uint64_t ticks)
{
    return ticks * 1000 / tsc_khz();
}
uint64_t microseconds(void); /* by the TSC */
void wait_us(uint64_t us);

#define READ_REG(name)                                                                                       \
    static inline uint64_t read_##name(void)                                                                 \
    {                                                                                                        \
        uint64_t v;                                                                                          \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v)::"memory");                                         \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void write_##name(uint64_t v)                                                              \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%" #name ::"r"(v) : "memory");                                            \
    }
READ_REG(cr0)
READ_REG(cr2)
READ_REG(cr3)
READ_REG(cr4)
READ_REG(cr8)
READ_REG(dr0)
READ_REG(dr1)
READ_REG(dr2)
READ_REG(dr3)
READ_REG(dr6)
READ_REG(dr7)

static inline uint64_t read_flags(void)
{
    uint64_t f;
    __asm__ volatile("pushfq; pop %0" : "=r"(f)::"memory");
    return f;
}

/* -1 or the vector that it ended with. */
int try_rdmsr(uint32_t msr, uint64_t *value);
int try_wrmsr(uint32_t msr, uint64_t value);
/* The same, for what is written into a control register: the name is one of "048x" (x: XCR0). */
int try_cr(char cr, uint64_t value);

/* Runs fn in ring 3, on a stack of its own; all memory is the user's, too, unless page tables say otherwise.
 */
int try_user(void (*fn)(void));
void load_user_tss(void);
extern uint8_t user_tss[104];

/* ---- memory ---- */

/* Where RAM below 4 GiB ends, and where the program does. */
uint64_t ram_end(void);
extern char kernel_end[];
#define PROGRAM_END ((uint64_t)(uintptr_t)kernel_end)
/* Free RAM for tests that want page tables, or data at known places: 16 pages of 2 MiB. */
#define FREE_RAM 0x4000000ULL

/* Maps the page of 4 KiB that lies at `lin` (from WINDOW on, 2 MiB) to `gpa` with these bits. */
#define WINDOW 0x8000000000ULL
void map_page(uint64_t lin, uint64_t gpa, uint64_t bits);
volatile uint64_t *page_entry(uint64_t lin);
static inline void invlpg(uint64_t lin)
{
    __asm__ volatile("invlpg (%0)" ::"r"(lin) : "memory");
}
/* One access; the fault's vector or -1. peek_value is what was read. */
int try_read(uint64_t lin);
int try_write(uint64_t lin, uint64_t value);
extern volatile uint64_t peek_value;

/* ---- interrupts ---- */

void lapic_on(void);
void lapic_eoi(void);
/* To this processor, fixed; it has been accepted when this returns. */
void self_ipi(unsigned vector);
/* One-shot, in nanoseconds. */
void lapic_timer(unsigned vector, uint32_t ns);
void hpet_start(void);
static inline uint64_t hpet_counter(void)
{
    return MMIO64(HPET + 0xf0);
}

void print_number(uint64_t value);
/* "name: is X, expected Y" and the end, unless they are equal. */
void expect(const char *name, uint64_t is, uint64_t expected);
/* "name 5: …" */
void expect_of(const char *name, uint64_t which, uint64_t is, uint64_t expected);

#endif
