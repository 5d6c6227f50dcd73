/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/isolation/machine.h"

extern uint32_t boot_info;

bool has_bit(uint32_t leaf, uint32_t subleaf, char reg, unsigned bit)
{
    struct cpuid r;

    if (cpuid(leaf & 0x80000000, 0).a < leaf)
        return false;
    r = cpuid(leaf, subleaf);
    return (reg == 'a' ? r.a : reg == 'b' ? r.b : reg == 'c' ? r.c : r.d) >> bit & 1;
}

bool is_amd(void)
{
    return cpuid(0, 0).b == 0x68747541;
}

/* Where nobody tells the rate: by the PM timer, for 50 ms. */
static uint64_t measure_khz(void)
{
    uint32_t start = inl(PM_TIMER);
    uint64_t tsc = rdtsc();

    while (((inl(PM_TIMER) - start) & 0xffffff) < 3579545 / 20)
        ;
    return (rdtsc() - tsc) / 50;
}

uint64_t tsc_khz(void)
{
    static uint64_t khz;

    if (!khz)
        khz = cpuid(0x40000000, 0).a >= 0x40000010 && cpuid(0x40000000, 0).a < 0x50000000
                  ? cpuid(0x40000010, 0).a
                  : measure_khz();
    CHECK(khz > 1000);
    return khz;
}

uint64_t microseconds(void)
{
    return ticks_to_us(rdtsc());
}

void wait_us(uint64_t us)
{
    uint64_t end = rdtsc() + us * tsc_khz() / 1000;

    while ((int64_t)(rdtsc() - end) < 0)
        __asm__ volatile("pause");
}

/* ---- what may fault ---- */

static uint32_t msr_number;
static uint64_t msr_value;

static void read_msr(void)
{
    msr_value = rdmsr(msr_number);
}

static void write_msr(void)
{
    wrmsr(msr_number, msr_value);
}

int try_rdmsr(uint32_t msr, uint64_t *value)
{
    int v;

    msr_number = msr;
    v = try_run(read_msr);
    *value = msr_value;
    return v;
}

int try_wrmsr(uint32_t msr, uint64_t value)
{
    msr_number = msr;
    msr_value = value;
    return try_run(write_msr);
}

static void set_cr0(void)
{
    write_cr0(msr_value);
}
static void set_cr4(void)
{
    write_cr4(msr_value);
}
static void set_cr8(void)
{
    write_cr8(msr_value);
}
static void set_xcr0(void)
{
    __asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)msr_value), "d"((uint32_t)(msr_value >> 32)));
}

int try_cr(char cr, uint64_t value)
{
    msr_value = value;
    return try_run(cr == '0' ? set_cr0 : cr == '4' ? set_cr4 : cr == '8' ? set_cr8 : set_xcr0);
}

uint8_t user_tss[104] __attribute__((aligned(16)));
static uint64_t kernel_stack[1024] __attribute__((aligned(16)));
static uint64_t user_stack[1024] __attribute__((aligned(16)));
static void (*user_fn)(void);

void load_user_tss(void)
{
    uint64_t base = (uintptr_t)user_tss;

    *(uint64_t *)(void *)&user_tss[4] = (uintptr_t)&kernel_stack[1024];
    *(uint16_t *)(void *)&user_tss[102] = 104;
    gdt[6] = 103 | (base & 0xffffff) << 16 | 0x89ULL << 40 | (base >> 24 & 0xff) << 56;
    gdt[7] = base >> 32;
    __asm__ volatile("ltr %w0" ::"r"(0x30));
}

/* The kernel's gates are not for ring 3: INT ends in #GP. */
extern const char user_end[];

static void user_main(void)
{
    user_fn();
    __asm__ volatile(".global user_end; user_end: int $0x80");
}

static void enter_user(void)
{
    __asm__ volatile(
        "push $0x23; push %0; push $0x202; push $0x2b; push %1; iretq" ::"r"((uintptr_t)&user_stack[1023]),
        "r"((uintptr_t)user_main)
        : "memory");
}

int try_user(void (*fn)(void))
{
    int v;

    if (!gdt[6])
        load_user_tss();
    user_fn = fn;
    v = try_run(enter_user);
    __asm__ volatile("mov %0, %%ss" ::"r"(0x10));
    return v == 13 && last_rip == (uintptr_t)user_end ? -1 : v;
}

/* ---- memory ---- */

uint64_t ram_end(void)
{
    const uint32_t *info = (const uint32_t *)(uintptr_t)boot_info;

    CHECK(info[0] & 1);
    return 0x100000 + info[2] * 1024ULL;
}

static uint64_t window_pdpt[512] __attribute__((aligned(4096)));
static uint64_t window_pd[512] __attribute__((aligned(4096)));
static uint64_t window_pt[512] __attribute__((aligned(4096)));

volatile uint64_t *page_entry(uint64_t lin)
{
    return &window_pt[lin >> 12 & 511];
}

void map_page(uint64_t lin, uint64_t gpa, uint64_t bits)
{
    pml4[WINDOW >> 39] = (uintptr_t)window_pdpt | 7;
    window_pdpt[0] = (uintptr_t)window_pd | 7;
    window_pd[0] = (uintptr_t)window_pt | 7;
    *page_entry(lin) = gpa | bits;
    invlpg(lin);
}

volatile uint64_t peek_value;
static uint64_t peek_at;

static void read_once(void)
{
    peek_value = MMIO64(peek_at);
}

static void write_once(void)
{
    MMIO64(peek_at) = msr_value;
}

int try_read(uint64_t lin)
{
    peek_at = lin;
    return try_run(read_once);
}

int try_write(uint64_t lin, uint64_t value)
{
    peek_at = lin;
    msr_value = value;
    return try_run(write_once);
}

/* ---- interrupts ---- */

void lapic_on(void)
{
    MMIO32(LAPIC_SVR) = 0x1ff;
    MMIO32(LAPIC_TDCR) = 0xb; /* the timer counts every tick of its clock: a nanosecond */
}

void lapic_eoi(void)
{
    MMIO32(LAPIC_EOI) = 0;
}

void self_ipi(unsigned vector)
{
    MMIO32(LAPIC_ICR) = 0x44000 | vector;
    while (MMIO32(LAPIC_ICR) & 0x1000)
        __asm__ volatile("pause");
}

void lapic_timer(unsigned vector, uint32_t ns)
{
    MMIO32(LAPIC_LVTT) = vector;
    MMIO32(LAPIC_TICR) = ns;
}

void hpet_start(void)
{
    MMIO64(HPET + 0x10) = 1;
}

/* ---- words ---- */

void print_number(uint64_t value)
{
    char text[24];
    unsigned at = sizeof(text) - 1;

    text[at] = 0;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print(text + at);
}

static void differ(uint64_t is, uint64_t expected)
{
    print(": is ");
    print_hex(is);
    print(", expected ");
    print_hex(expected);
    print("\n");
    finish(false);
}

void expect(const char *name, uint64_t is, uint64_t expected)
{
    if (is == expected)
        return;
    print(name);
    differ(is, expected);
}

void expect_of(const char *name, uint64_t which, uint64_t is, uint64_t expected)
{
    if (is == expected)
        return;
    print(name);
    print(" ");
    print_hex(which);
    differ(is, expected);
}
