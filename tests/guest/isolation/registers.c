/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control and debug registers: bits that CPUID does not give are refused, others hold what was written. */
#include "tests/guest/isolation/isolation.h"

#define CR4_SMEP (1U << 20)
#define CR4_SMAP (1U << 21)

static uint64_t cr4_allowed(void)
{
    static const struct {
        uint8_t cr4_bit;
        uint8_t leaf;
        char reg;
        uint8_t bit;
    } map[] = {{0, 1, 'd', 1},   {1, 1, 'd', 1},  {2, 1, 'd', 4},   {3, 1, 'd', 2},  {4, 1, 'd', 3},
               {5, 1, 'd', 6},   {6, 1, 'd', 7},  {7, 1, 'd', 13},  {9, 1, 'd', 24}, {10, 1, 'd', 25},
               {11, 7, 'c', 2},  {13, 1, 'c', 5}, {14, 1, 'c', 6},  {16, 7, 'b', 0}, {17, 1, 'c', 17},
               {18, 1, 'c', 26}, {20, 7, 'b', 7}, {21, 7, 'b', 20}, {22, 7, 'c', 3}, {23, 7, 'c', 7}};
    uint64_t bits = 1U << 8; /* PCE: RDPMC exists everywhere */

    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        bits |= (uint64_t)has_bit(map[i].leaf, 0, map[i].reg, map[i].bit) << map[i].cr4_bit;
    return bits;
}

void cr4_bits(void)
{
    uint64_t old = read_cr4(), allowed = cr4_allowed();

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t new = old ^ 1ULL << bit;
        /* In long mode PAE stays, and the number of levels of page tables. */
        bool may = allowed >> bit & 1 && bit != 5 && bit != 12;

        if (new &(CR4_SMEP | CR4_SMAP))
            continue; /* all pages here are the user's */
        expect_of("MOV to CR4, bit", bit, (uint64_t)try_cr('4', new), may ? ~0ULL : 13);
        expect_of("CR4 after bit", bit, read_cr4(), may ? new : old);
        if (!may)
            expect_of("error code of bit", bit, last_error, 0);
        CHECK(try_cr('4', old) == -1);
    }
}

void cr0_bits(void)
{
    const uint64_t pe = 1, nw = 1 << 29, cd = 1 << 30, pg = 1U << 31;
    const uint64_t free = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 16 | 1 << 18;
    uint64_t old = read_cr0();

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = 1ULL << bit, new = old ^ mask;
        bool bad = bit >= 32 || mask == pe || mask == pg || mask == nw;
        bool reserved = !bad && !(free & mask) && mask != cd && bit != 2;
        int v = try_cr('0', new);

        if (bit == 2) /* EM: nothing here uses what it takes away */
            reserved = false;
        expect_of("MOV to CR0, bit", bit, (uint64_t)v, bad ? 13 : ~0ULL);
        expect_of("CR0 after bit", bit, read_cr0(), bad || reserved ? old : new);
        CHECK(try_cr('0', old) == -1);
    }
    CHECK(try_cr('0', (old & ~pe)) == 13 && try_cr('0', old | nw) == 13);
    CHECK(try_cr('0', old | nw | cd) == -1 && read_cr0() == (old | nw | cd));
    write_cr0(old);
}

void cr8_bits(void)
{
    for (unsigned bit = 4; bit < 64; bit++) {
        expect_of("MOV to CR8, bit", bit, (uint64_t)try_cr('8', 1ULL << bit), 13);
        expect("CR8", read_cr8(), 0);
    }
    lapic_on();
    for (unsigned v = 0; v < 16; v++) {
        write_cr8(v);
        expect("CR8", read_cr8(), v);
        expect("TPR", MMIO32(LAPIC_TPR), v << 4);
        MMIO32(LAPIC_TPR) = (15 - v) << 4 | 5;
        expect("CR8", read_cr8(), 15 - v);
    }
    write_cr8(0);
}

void efer_bits(void)
{
    const uint64_t lme = 1 << 8, lma = 1 << 10;
    uint64_t old = rdmsr(MSR_EFER), allowed = 1 << 11;

    allowed |= has_bit(0x80000001, 0, 'd', 11) ? 1 : 0;
    allowed |= has_bit(0x80000021, 0, 'a', 8) ? 1 << 21 : 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = 1ULL << bit;
        int v;

        if (mask == lma) /* follows from the rest: what is written there is lost, or refused */
            continue;
        v = try_wrmsr(MSR_EFER, old ^ mask);
        expect_of("EFER bit", bit, (uint64_t)v, allowed & mask ? ~0ULL : 13);
        expect_of("EFER after bit", bit, rdmsr(MSR_EFER), allowed & mask ? old ^ mask : old);
        CHECK(try_wrmsr(MSR_EFER, old) == -1);
    }
    CHECK(try_wrmsr(MSR_EFER, old & ~lme) == 13);
}

static void xsetbv_other(void)
{
    __asm__ volatile("xsetbv" ::"c"(1), "a"(3), "d"(0));
}

void xcr0_values(void)
{
    uint64_t allowed;

    if (!has_bit(1, 0, 'c', 26)) {
        CHECK(try_cr('x', 1) == 6 && try_cr('4', read_cr4() | 1U << 18) == 13);
        return;
    }
    CHECK(try_cr('x', 1) == 6); /* CR4.OSXSAVE is off */
    write_cr4(read_cr4() | 1U << 18);
    CHECK(has_bit(1, 0, 'c', 27));
    allowed = cpuid(0xd, 0).a | (uint64_t)cpuid(0xd, 0).d << 32;
    CHECK(!(allowed & ~7ULL));
    for (unsigned i = 0; i < 600; i++) {
        uint64_t v = i < 64 ? 1ULL << i | 1 : i < 128 ? 1ULL << (i - 64) : i < 136 ? i - 128 : random64();
        bool good = !(v & ~allowed) && v & 1 && (!(v & 4) || v & 2);

        expect_of("XSETBV of", v, (uint64_t)try_cr('x', v), good ? ~0ULL : 13);
    }
    CHECK(try_run(xsetbv_other) == 13);
    CHECK(try_cr('x', allowed) == -1);
}

static uint64_t dr_value;

static void set_dr6(void)
{
    write_dr6(dr_value);
}
static void set_dr7(void)
{
    write_dr7(dr_value);
}
static void set_dr4(void)
{
    __asm__ volatile("mov %0, %%dr4" ::"r"(dr_value));
}

void debug_register_bits(void)
{
    for (unsigned bit = 32; bit < 64; bit++) {
        dr_value = 1ULL << bit;
        expect_of("MOV to DR6, bit", bit, (uint64_t)try_run(set_dr6), 13);
        expect_of("MOV to DR7, bit", bit, (uint64_t)try_run(set_dr7), 13);
    }
    for (unsigned i = 0; i < 500; i++) {
        uint64_t v = random64();

        write_dr0(v);
        write_dr1(~v);
        write_dr2(v + 1);
        write_dr3(v - 1);
        CHECK(read_dr0() == v && read_dr1() == ~v && read_dr2() == v + 1 && read_dr3() == v - 1);
        write_dr6(v & 0xe00f);
        expect("DR6", read_dr6(), 0xffff0ff0 | (v & 0xe00f));
    }
    write_dr6(0xffff0ff0);
    write_dr7(0);
    expect("DR7", read_dr7(), 0x400);
    dr_value = 0xffff0ff0;
    CHECK(try_run(set_dr4) == -1); /* CR4.DE is off: DR4 is DR6 */
    write_cr4(read_cr4() | 8);
    CHECK(try_run(set_dr4) == 6);
    write_cr4(read_cr4() & ~8ULL);
}

void la57_attempts(void)
{
    uint64_t old = read_cr4();

    for (unsigned i = 0; i < 1000; i++) {
        CHECK(try_cr('4', old | 1U << 12) == 13);
        CHECK(read_cr4() == old);
    }
    CHECK(try_read(0x0100000000000000) == 13); /* no such address with four levels */
}

/* INVD throws away what is in the caches only: elsewhere memory would go back to what it was. */
void cache_control(void)
{
    volatile uint64_t *data = (volatile uint64_t *)FREE_RAM;
    uint64_t old = read_cr0();

    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < 512; i++)
            data[i] = random64() | 1;
        uint64_t sum = 0, again = 0;
        for (unsigned i = 0; i < 512; i++)
            sum += data[i];
        write_cr0(old | 1 << 30);
        __asm__ volatile("wbinvd; prefetcht0 (%0); prefetchnta (%1); clflush (%0)" ::"r"(data), "r"(~0ULL)
                         : "memory");
        write_cr0(old);
        __asm__ volatile("invd" ::: "memory");
        for (unsigned i = 0; i < 512; i++)
            again += data[i];
        expect("memory after INVD", again, sum);
    }
}
