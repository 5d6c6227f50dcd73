/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a VM see what another one left behind, or holds at the same time? One fills
 * whatever can hold a value with a secret, the other looks into all of it.
 */
#include "tests/guest/isolation/isolation.h"

#define LOADER 0x10000U

extern uint32_t boot_registers[14];

/* The program's image must not hold it in one piece. */
static volatile uint32_t half_a = 0x5ec00000, half_b = 0x0002e75a;

static uint32_t secret(void)
{
    return half_a | half_b;
}

static uint64_t secret64(void)
{
    return secret() | (uint64_t)secret() << 32;
}

static uint8_t fpu[1024] __attribute__((aligned(64)));

static bool xsave_on(void)
{
    if (!has_bit(1, 0, 'c', 26))
        return false;
    write_cr4(read_cr4() | 1U << 18);
    CHECK(try_cr('x', has_bit(1, 0, 'c', 28) ? 7 : 3) == -1);
    return true;
}

static void fill_vectors(void)
{
    for (unsigned i = 0; i < sizeof(fpu); i += 8)
        *(uint64_t *)(void *)&fpu[i] = secret64();
    *(uint64_t *)(void *)&fpu[0] = 0xff0000037fULL;
    *(uint64_t *)(void *)&fpu[24] = 0x1f80;
    for (unsigned i = 512; i < 576; i += 8)
        *(uint64_t *)(void *)&fpu[i] = i == 512 ? 7 & (has_bit(1, 0, 'c', 28) ? 7 : 3) : 0;
    if (xsave_on())
        __asm__ volatile("xrstor64 (%0)" ::"r"(fpu), "a"(7), "d"(0) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(fpu) : "memory");
}

static const uint32_t secret_msrs[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
                                       0xc0000102, 0x174,      0x175,      0x176,      0xc0000103, 0x200};

static void fill_registers(void)
{
    for (unsigned i = 0; i < sizeof(secret_msrs) / sizeof(secret_msrs[0]); i++) {
        if (try_wrmsr(secret_msrs[i], secret64()) != -1)
            try_wrmsr(secret_msrs[i], secret());
    }
    write_dr0(secret64());
    write_dr1(secret64());
    write_dr2(secret64());
    write_dr3(secret64());
    __asm__ volatile("mov %0, %%cr2" ::"r"(secret64()));
    fill_vectors();
}

/* Also what lies below the program, but its page tables' and stack's neighbours it needs itself. */
static void fill_memory(uint64_t end)
{
    for (uint64_t at = 0x1000; at < 0x9f000; at += 8)
        MMIO64(at) = secret64();
    for (uint64_t at = (PROGRAM_END + 4095) & ~4095ULL; at < end; at += 8)
        MMIO64(at) = secret64();
}

void leave_secrets(void)
{
    uint64_t end = ram_end();

    fill_registers();
    fill_memory(end); /* the boot loader's information, too */
    CHECK(MMIO32(end - 4) == secret());
}

/* Goes on for ever, and gives its processor away all the time. */
void keep_secrets(void)
{
    print("kept\n");
    lapic_on();
    for (;;) {
        fill_registers();
        lapic_timer(0x40, 200000);
        __asm__ volatile(
            "mov %0, %%rax; mov %0, %%rcx; mov %0, %%rdx; mov %0, %%rsi; mov %0, %%rdi; mov %0, %%r8;"
            "mov %0, %%r9; mov %0, %%r10; mov %0, %%r11; sti; hlt; cli" ::"r"(secret64())
            : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
        wait_us(300);
    }
}

/* ---- the search ---- */

static void found(const char *where, uint64_t at, uint64_t value)
{
    print("found ");
    print(where);
    print(" at ");
    print_hex(at);
    print(": ");
    print_hex(value);
    print("\n");
    finish(false);
}

/* Halves of a value: MSRs and debug registers may hold a shortened one. */
static void look_at(const char *where, uint64_t at, uint64_t value)
{
    if ((uint32_t)value == secret() || value >> 32 == secret() || (value & 0xffff) == (secret() & 0xffff))
        found(where, at, value);
}

static void look_into_vectors(void)
{
    for (unsigned i = 0; i < sizeof(fpu); i++)
        fpu[i] = 0;
    __asm__ volatile("fxsave64 (%0)" ::"r"(fpu) : "memory");
    for (unsigned i = 0; i < 512; i += 4)
        look_at("in the FXSAVE image", i, *(uint32_t *)(void *)&fpu[i]);
    if (!xsave_on())
        return;
    __asm__ volatile("xsave64 (%0)" ::"r"(fpu), "a"(7), "d"(0) : "memory");
    for (unsigned i = 576; i < sizeof(fpu); i += 4)
        look_at("in the XSAVE image", i, *(uint32_t *)(void *)&fpu[i]);
}

static void look_into_registers(void)
{
    uint64_t v;

    for (unsigned i = 0; i < sizeof(secret_msrs) / sizeof(secret_msrs[0]); i++) {
        if (try_rdmsr(secret_msrs[i], &v) == -1)
            look_at("in an MSR", secret_msrs[i], v);
    }
    look_at("in a debug register", 0, read_dr0());
    look_at("in a debug register", 1, read_dr1());
    look_at("in a debug register", 2, read_dr2());
    look_at("in a debug register", 3, read_dr3());
    look_at("in CR2", 0, read_cr2());
    look_into_vectors();
}

/* Fresh memory is zero, but for what the loader put there: the program, and its information behind that. */
static void look_into_memory(void)
{
    uint64_t pages = 0;

    for (uint64_t page = 0; page < ram_end(); page += 4096) {
        bool empty = true;

        if (page == 0xa0000)
            page = 0x100000; /* the rest of the first MiB is not RAM, or the firmware's tables */
        if (page + 4096 > 0x100000 && page < PROGRAM_END)
            continue;
        for (uint64_t at = page; at < page + 4096; at += 8) {
            uint64_t v = MMIO64(at);

            empty &= !v;
            if ((uint32_t)v == secret() || v >> 32 == secret())
                found("in memory", at, v);
        }
        pages += !empty;
        if (!empty && page > PROGRAM_END + LOADER)
            found("something in fresh memory", page, MMIO64(page));
    }
    print("pages that are not empty: ");
    print_number(pages);
    print("\n");
}

void find_secrets(void)
{
    for (unsigned i = 0; i < 14; i++)
        look_at("in a register at the start", i, boot_registers[i]);
    look_into_registers();
    look_into_memory();
    for (uint64_t at = 0x80000000ULL; at < 0xfec00000ULL; at += 0x10000)
        look_at("beyond RAM", at, MMIO32(at));
    look_into_registers();
}

/* While the other one keeps its secrets on the same processor. */
void find_secrets_beside(void)
{
    uint64_t end = rdtsc() + 3000 * tsc_khz();

    find_secrets();
    lapic_on();
    while (rdtsc() < end) {
        look_into_registers();
        lapic_timer(0x40, 150000);
        __asm__ volatile("sti; hlt; cli");
        look_into_vectors();
        wait_us(200);
    }
}
