/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers: those of the machine below do not show, those of this one hold what was written.
 */
#include "tests/guest/isolation/isolation.h"

static void must_not_exist(uint32_t first, uint32_t last)
{
    static const uint64_t values[] = {0, 1, ~0ULL, 0x1000, 1ULL << 63};
    uint64_t v;

    for (uint32_t msr = first; msr <= last; msr++) {
        expect_of("RDMSR", msr, (uint64_t)try_rdmsr(msr, &v), 13);
        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
            expect_of("WRMSR", msr, (uint64_t)try_wrmsr(msr, values[i]), 13);
    }
}

void msr_virtualization(void)
{
    uint64_t v;

    must_not_exist(0xc0010114, 0xc0010119); /* VM_CR, IGNNE, SMM_CTL, VM_HSAVE_PA, SVM_KEY, SMM_KEY */
    must_not_exist(0xc0010130, 0xc0010137); /* encrypted guests */
    must_not_exist(0xc001011a, 0xc001011b);
    must_not_exist(0x480, 0x493);   /* capabilities of VMX */
    must_not_exist(0x8b + 1, 0x8f); /* launch enclave keys */
    if (is_amd()) {
        must_not_exist(0x3a, 0x3a);
        return;
    }
    CHECK(try_rdmsr(0x3a, &v) == -1);
    expect("IA32_FEATURE_CONTROL", v, 1); /* locked, and nothing allowed */
    CHECK(try_wrmsr(0x3a, 5) == 13 && try_wrmsr(0x3a, 0) == 13 && rdmsr(0x3a) == 1);
}

void msr_smm(void)
{
    must_not_exist(0x9b, 0x9b);   /* SMM_MONITOR_CTL */
    must_not_exist(0x9e, 0x9e);   /* SMBASE */
    must_not_exist(0x1f2, 0x1f3); /* SMRR */
    must_not_exist(0x4e0, 0x4e2);
    must_not_exist(0xc0010111, 0xc0010113); /* SMM base, TSeg */
    must_not_exist(0xc0010056, 0xc0010056); /* SMI trigger */
}

void msr_microcode(void)
{
    uint64_t before, after;

    wrmsr(0x8b, 0);
    __asm__ volatile("cpuid" ::"a"(1), "c"(0) : "ebx", "edx");
    before = rdmsr(0x8b);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t v = i & 1 ? FREE_RAM : random64();

        try_wrmsr(0x79, v);
        try_wrmsr(0xc0010020, v);
    }
    wrmsr(0x8b, 0);
    __asm__ volatile("cpuid" ::"a"(1), "c"(0) : "ebx", "edx");
    after = rdmsr(0x8b);
    expect("microcode revision", after, before);
}

static void loop_with_branches(void)
{
    __asm__ volatile("mov $1000, %%ecx; 1: dec %%ecx; jnz 1b" ::: "ecx", "cc");
}

/* Branch traps and records are not there; nothing may come of asking for them. */
void msr_debugctl(void)
{
    uint64_t v;

    for (unsigned i = 0; i < 64; i++) {
        int r = try_wrmsr(0x1d9, 1ULL << i);

        CHECK(r == -1 || r == 13);
        CHECK(r == -1 || i >= 1); /* LBR at least may be asked for */
        CHECK(try_run(loop_with_branches) == -1);
        try_wrmsr(0x1d9, 0);
    }
    if (try_rdmsr(0x1d9, &v) == -1)
        expect("DEBUGCTL", v, 0);
    must_not_exist(0x600, 0x600); /* DS area */
    must_not_exist(0x1c9, 0x1c9); /* top of the branch stack */
    must_not_exist(0x680, 0x69f);
    must_not_exist(0x560, 0x571);           /* processor trace */
    must_not_exist(0xc0011030, 0xc001103d); /* instruction-based sampling */
}

static uint32_t counter;

static void read_counter(void)
{
    __asm__ volatile("rdpmc" ::"c"(counter) : "eax", "edx");
}

void msr_performance(void)
{
    must_not_exist(0xc1, 0xc8);
    must_not_exist(0x186, 0x18d);
    must_not_exist(0x309, 0x30b);
    must_not_exist(0x345, 0x345);
    must_not_exist(0x38d, 0x391);
    must_not_exist(0x3f1, 0x3f1);
    must_not_exist(0x4c1, 0x4c8);
    must_not_exist(0xc0010000, 0xc0010007);
    must_not_exist(0xc0010200, 0xc001020b);
    must_not_exist(0xc0010230, 0xc001023b);
    must_not_exist(0xc0000300, 0xc0000302);
    for (unsigned i = 0; i < 64; i++) {
        counter = i < 16 ? i : i < 32 ? 0x40000000 + i - 16 : (uint32_t)random64();
        expect_of("RDPMC", counter, (uint64_t)try_run(read_counter), 13);
        expect_of("RDPMC in ring 3", counter, (uint64_t)try_user(read_counter), 13);
    }
}

/* Memory types change nothing that a program sees: all of RAM uncacheable, and all the same as before. */
void msr_mtrrs(void)
{
    uint64_t cap = rdmsr(0xfe), sum = 0, again = 0, number = cap & 0xff;
    volatile uint64_t *data = (volatile uint64_t *)FREE_RAM;

    CHECK(number >= 1 && number <= 16 && try_wrmsr(0xfe, cap) == 13);
    for (unsigned i = 0; i < number; i++) {
        uint64_t base = (uint64_t)(i + 1) << 24 | 6, mask = 0xffff000000 | 1 << 11;

        CHECK(try_wrmsr(0x200 + 2 * i, base) == -1 && rdmsr(0x200 + 2 * i) == base);
        CHECK(try_wrmsr(0x201 + 2 * i, mask) == -1 && rdmsr(0x201 + 2 * i) == mask);
        CHECK(try_wrmsr(0x200 + 2 * i, 2) == 13 && try_wrmsr(0x201 + 2 * i, 1ULL << 63) == 13);
        CHECK(try_wrmsr(0x201 + 2 * i, 0) == -1);
    }
    must_not_exist(0x200 + (uint32_t)(2 * number), 0x21f);
    CHECK(try_wrmsr(0x250, 0x0606060606060606) == -1 && rdmsr(0x250) == 0x0606060606060606);
    CHECK(try_wrmsr(0x250, 0x0606060602060606) == 13);
    CHECK(try_wrmsr(0x2ff, 0x802) == 13 && try_wrmsr(0x2ff, 0x1000) == 13);
    for (unsigned i = 0; i < 4096; i++)
        sum += data[i] = random64();
    wrmsr(0x2ff, 0x800); /* on, uncacheable */
    for (unsigned i = 0; i < 4096; i++)
        again += data[i];
    CHECK(sum == again);
    for (unsigned i = 0; i < 2000; i++)
        try_wrmsr(0x200 + random_below(0x100),
                  random_below(2) ? random64() : random64() & 0x0707070707070707);
    again = 0;
    for (unsigned i = 0; i < 4096; i++)
        again += data[i];
    CHECK(sum == again);
}

/* SPEC_CTRL's bits are those that CPUID names; each VM has its own value. */
void msr_speculation(void)
{
    uint64_t allowed = 0, v;
    bool ibpb = has_bit(7, 0, 'd', 26) || has_bit(0x80000008, 0, 'b', 12);

    if (has_bit(7, 0, 'd', 26) || has_bit(0x80000008, 0, 'b', 14))
        allowed |= 1;
    if (has_bit(7, 0, 'd', 27) || has_bit(0x80000008, 0, 'b', 15))
        allowed |= 2;
    if (has_bit(7, 0, 'd', 31) || has_bit(0x80000008, 0, 'b', 24))
        allowed |= 4;
    if (has_bit(7, 2, 'd', 4))
        allowed |= 0x400;
    for (unsigned bit = 0; bit < 64; bit++) {
        bool may = allowed >> bit & 1;

        expect_of("SPEC_CTRL bit", bit, (uint64_t)try_wrmsr(0x48, 1ULL << bit), may ? ~0ULL : 13);
        if (may)
            expect_of("SPEC_CTRL bit", bit, rdmsr(0x48), 1ULL << bit);
        expect_of("PRED_CMD bit", bit, (uint64_t)try_wrmsr(0x49, 1ULL << bit), ibpb && !bit ? ~0ULL : 13);
    }
    CHECK(try_rdmsr(0x49, &v) == 13);
    if (allowed)
        wrmsr(0x48, 0);
}

/* Registers that hold addresses or masks: what is not canonical is refused, all else is kept. */
void msr_addresses(void)
{
    static const uint32_t address[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                       0xc0000102, 0x175,      0x176};
    static const uint64_t good[] = {0, 0x00007fffffffffff, 0xffff800000000000, ~0ULL, 0x123456789abc},
                          bad[] = {0x0000800000000000, 0xffff7fffffffffff, 1ULL << 63, 0x7fffffffffffffff};

    for (unsigned m = 0; m < sizeof(address) / sizeof(address[0]); m++) {
        for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            expect_of("WRMSR", address[m], (uint64_t)try_wrmsr(address[m], good[i]), ~0ULL);
            expect_of("RDMSR", address[m], rdmsr(address[m]), good[i]);
        }
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            expect_of("WRMSR", address[m], (uint64_t)try_wrmsr(address[m], bad[i]), 13);
        expect_of("RDMSR", address[m], rdmsr(address[m]), good[4]);
    }
    for (unsigned i = 0; i < 200; i++) {
        uint64_t v = random64();

        wrmsr(0xc0000081, v);
        CHECK(rdmsr(0xc0000081) == v);
        wrmsr(0xc0000084, v & 0xffffffff);
        CHECK(rdmsr(0xc0000084) == (v & 0xffffffff));
    }
    for (unsigned i = 0; i < 8; i++) {
        CHECK(try_wrmsr(0x277, 2ULL << (8 * i)) == 13);
        CHECK(try_wrmsr(0x277, 0x0007040600070406 ^ (1ULL << (8 * i + 7))) == 13);
    }
    CHECK(try_wrmsr(0x277, 0x0507010400070106) == -1 && rdmsr(0x277) == 0x0507010400070106);
}

/* The local APIC stays where it is, and RAM where it might have gone. */
void msr_apic_base(void)
{
    uint64_t old = rdmsr(0x1b), v;

    expect("APIC base", old & ~0xfffULL, LAPIC);
    for (uint64_t page = 1; page < 1ULL << 40; page <<= 1) {
        int r = try_wrmsr(0x1b, (page << 12) | (old & 0xfff));

        if (r == -1) { /* a board may let it move: then it does, and comes back */
            CHECK(rdmsr(0x1b) == ((page << 12) | (old & 0xfff)));
            CHECK(try_wrmsr(0x1b, old) == -1);
        } else {
            CHECK(r == 13 && rdmsr(0x1b) == old);
        }
    }
    CHECK(try_wrmsr(0x1b, old ^ 1) == 13 && try_wrmsr(0x1b, old | 1ULL << 62) == 13);
    must_not_exist(0x840, 0x8ff);
    if (!(old & 1 << 10))
        CHECK(try_rdmsr(0x802, &v) == 13); /* not in x2APIC mode */
    MMIO32(LAPIC_SVR) = 0x1ff;
    expect("SVR", MMIO32(LAPIC_SVR), 0x1ff);
}

/* ---- the time-stamp counter ---- */

static volatile uint64_t other_tsc, other_last;
static volatile bool other_went_back;

static void watch_tsc(unsigned index)
{
    if (index)
        return;
    for (;;) {
        uint64_t t = rdtsc();

        other_went_back |= t < other_last;
        other_last = t;
        other_tsc = t;
    }
}

/* Writing it moves this processor's only, and no other clock. */
void tsc_is_its_own(void)
{
    const uint64_t jump = 1ULL << 45;
    uint64_t hpet, others, before, after, period = MMIO64(HPET) >> 32, us;

    hpet_start();
    others = start_all(watch_tsc);
    while (others && !other_tsc)
        __asm__ volatile("pause");
    for (int sign = 1; sign >= -1; sign -= 2) {
        hpet = hpet_counter();
        before = rdtsc();
        wrmsr(0x10, before + (uint64_t)sign * jump);
        after = rdtsc();
        us = (hpet_counter() - hpet) * (period / 1000000) / 1000 + 1000;
        CHECK(after - (before + (uint64_t)sign * jump) < us * tsc_khz() / 1000);
        CHECK(us < 3000000);
        if (has_bit(7, 0, 'b', 1)) /* TSC_ADJUST follows */
            CHECK(rdmsr(0x3b) == 0 || rdmsr(0x3b) > jump / 2);
        if (others)
            CHECK(other_tsc < jump && !other_went_back);
    }
    if (has_bit(7, 0, 'b', 1)) {
        wrmsr(0x3b, jump);
        before = rdtsc();
        wrmsr(0x3b, 0);
        CHECK(before > jump && rdtsc() < jump);
    }
    CHECK(!other_went_back);
}
