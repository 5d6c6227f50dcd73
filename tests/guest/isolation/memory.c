/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: there is what was given and nothing beyond; paging means what the manuals say. */
#include "tests/guest/isolation/isolation.h"

#define ONES ~0ULL

static unsigned physical_bits(void)
{
    return cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a & 0xff : 36;
}

static void nothing_at(uint64_t gpa)
{
    map_page(WINDOW, gpa & ~0xfffULL, 3);
    expect_of("read of", gpa, (uint64_t)try_read(WINDOW + (gpa & 0xff8)), ~0ULL);
    expect_of("beyond RAM at", gpa, peek_value, ONES);
    expect_of("write of", gpa, (uint64_t)try_write(WINDOW + (gpa & 0xff8), gpa ^ 0x5a5a), ~0ULL);
    try_read(WINDOW + (gpa & 0xff8));
    expect_of("what was written beyond RAM at", gpa, peek_value, ONES);
}

/* Devices lie from 2 GiB on, in windows that are the guest's own; the rest is empty. */
void memory_beyond_ram(void)
{
    uint64_t end = ram_end();

    CHECK(end < 0x80000000ULL);
    nothing_at(end);
    for (uint64_t gpa = (end + 0xfff) & ~0xfffULL; gpa < 0x80000000ULL; gpa += 0x40000)
        nothing_at(gpa + (gpa >> 9 & 0xff8));
    for (uint64_t gpa = 0x100000000ULL; gpa < 0x500000000ULL; gpa += 0x1000000)
        nothing_at(gpa + (gpa >> 21 & 0xff8));
}

static bool window_of_bars(uint64_t gpa)
{
    return gpa >= 0x4000000000ULL && gpa < 0x5000000000ULL;
}

/* Up to the width that CPUID tells; what is beyond it is a reserved bit. */
void every_physical_address(void)
{
    unsigned bits = physical_bits();

    CHECK(bits >= 36 && bits <= 52);
    for (unsigned bit = 32; bit < 52; bit++) {
        uint64_t gpa = 1ULL << bit;

        if (bit < bits) {
            if (!window_of_bars(gpa))
                nothing_at(gpa);
            if (!window_of_bars(gpa - 8))
                nothing_at(gpa - 8 > 0xffffffff ? gpa - 8 : gpa);
            continue;
        }
        map_page(WINDOW, gpa, 3);
        expect_of("read through a reserved bit,", bit, (uint64_t)try_read(WINDOW), 14);
        expect_of("error code for bit", bit, last_error, 9);
    }
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t gpa = random64() & ((1ULL << bits) - 1) & ~7ULL;

        if (gpa >= 0x100000000ULL && !window_of_bars(gpa))
            nothing_at(gpa);
    }
}

/* Pages of 2 MiB and 1 GiB that begin in RAM, or where it ends. */
void huge_pages(void)
{
    bool giant = has_bit(0x80000001, 0, 'd', 26);
    static uint64_t table[512] __attribute__((aligned(4096)));
    uint64_t end = ram_end();

    pml4[2] = (uintptr_t)table | 7;
    table[0] = LARGE | 3; /* 0 to 1 GiB */
    flush_tlb();
    if (!giant) {
        expect("page of 1 GiB", (uint64_t)try_read(2ULL << 39), 14);
        expect("its error code", last_error, 9);
    } else {
        MMIO64(FREE_RAM) = 0x1234;
        CHECK(try_read((2ULL << 39) + FREE_RAM) == -1 && peek_value == 0x1234);
        for (uint64_t at = (end + 0xfff) & ~0xfffULL; at < 0x40000000; at += 0x333000) {
            CHECK(try_read((2ULL << 39) + at) == -1);
            expect_of("beyond RAM at", at, peek_value, ONES);
            CHECK(try_write((2ULL << 39) + at, at) == -1);
        }
    }
    table[0] = (uintptr_t)pd | 7;
    for (uint64_t at = (end + 0x1fffff) & ~0x1fffffULL; at < 0x40000000; at += 0x200000) {
        CHECK(try_read((2ULL << 39) + at + 0x1008) == -1);
        expect_of("beyond RAM at", at, peek_value, ONES);
    }
    CHECK(try_read((2ULL << 39) + end - 8) == -1 && try_read((2ULL << 39) + end) == -1 && peek_value == ONES);
    /* one access, half in RAM */
    MMIO64(end - 8) = 0;
    CHECK(try_read((2ULL << 39) + end - 4) == -1);
    expect("the end of RAM", peek_value, 0xffffffff00000000);
}

/* Entries there read as ones: present, with reserved bits. Nothing is found, nobody comes to harm. */
void tables_beyond_ram(void)
{
    static const uint64_t places[] = {0x70000000, 0x100000000, 0x2000000000, 0xfffff000 /* no ROM here */};
    static uint64_t table[2][512] __attribute__((aligned(4096)));
    unsigned levels = physical_bits() < 52 ? 3 : 2; /* a page's own entry has no other reserved bits */

    for (unsigned i = 0; i < 600; i++) {
        uint64_t place = places[i % 4];
        unsigned level = i / 4 % levels;

        pml4[3] = (level == 0 ? place : (uintptr_t)table[0]) | 7;
        table[0][0] = (level == 1 ? place : (uintptr_t)table[1]) | 7;
        table[1][0] = place | 7;
        flush_tlb();
        expect_of("read through tables at", place, (uint64_t)try_read(3ULL << 39), 14);
        expect_of("error code at", place, last_error, 9);
        expect_of("write through tables at", place, (uint64_t)try_write((3ULL << 39) + 0x800, 1), 14);
        expect_of("error code at", place, last_error, 11);
    }
}

void accessed_and_dirty(void)
{
    const uint64_t a = 0x20, d = 0x40;
    volatile uint64_t *pte = page_entry(WINDOW);

    for (unsigned i = 0; i < 1000; i++) {
        map_page(WINDOW, FREE_RAM, 7);
        CHECK(!(*pte & (a | d)));
        CHECK(try_read(WINDOW) == -1 && (*pte & (a | d)) == a);
        CHECK(try_write(WINDOW, i) == -1 && (*pte & (a | d)) == (a | d));
        map_page(WINDOW, FREE_RAM, 5);
        CHECK(try_write(WINDOW, i) == 14 && !(*pte & d));
        map_page(WINDOW, 0x70000000, 7); /* not RAM: the entry is written all the same */
        CHECK(try_read(WINDOW) == -1 && (*pte & (a | d)) == a);
        CHECK(try_write(WINDOW, i) == -1 && (*pte & (a | d)) == (a | d));
    }
}

static void user_read(void)
{
    (void)MMIO64(WINDOW);
}
static void user_write(void)
{
    MMIO64(WINDOW) = 1;
}
static void execute(void)
{
    ((void (*)(void))(uintptr_t)WINDOW)();
}

static void expect_access(const char *name, int vector, bool faults, uint64_t error)
{
    expect(name, (uint64_t)vector, faults ? 14 : ~0ULL);
    if (faults) {
        expect(name, last_error, error);
        expect(name, read_cr2(), WINDOW);
    }
}

void page_rights(void)
{
    uint64_t cr0 = read_cr0();

    MMIO8(FREE_RAM) = 0xc3;
    for (unsigned i = 0; i < 64; i++) {
        bool p = i & 1, w = i & 2, u = i & 4, nx = i & 8, wp = i & 16;

        write_cr0(wp ? cr0 | 1 << 16 : cr0 & ~(1ULL << 16));
        map_page(WINDOW, FREE_RAM, (i & 7) | (nx ? NO_EXECUTE : 0));
        expect_access("read", try_read(WINDOW), !p, 0);
        expect_access("execution", try_run(execute), !p || nx, p ? 0x11 : 0x10);
        expect_access("write", try_write(WINDOW, 0xc3), !p || (!w && wp), p ? 3 : 2);
        expect_access("read in ring 3", try_user(user_read), !p || !u, p ? 5 : 4);
        expect_access("execution in ring 3", try_user(execute), !p || !u || nx, p ? 0x15 : 0x14);
        expect_access("write in ring 3", try_user(user_write), !p || !u || !w, p ? 7 : 6);
        MMIO8(FREE_RAM) = 0xc3;
    }
    write_cr0(cr0);
}

/* All but one page is made the kernel's: then that one may be neither run nor, without AC, read by it. */
void smep_and_smap(void)
{
    bool smep = has_bit(7, 0, 'b', 7), smap = has_bit(7, 0, 'b', 20);
    uint64_t old = read_cr4();

    MMIO8(FREE_RAM) = 0xc3;
    map_page(WINDOW, FREE_RAM, 7);
    for (unsigned i = 0; i < 2048; i++)
        pd[i] &= ~USER;
    flush_tlb();
    expect("CR4.SMEP", (uint64_t)try_cr('4', old | 1 << 20), smep ? ~0ULL : 13);
    expect_access("execution", try_run(execute), smep, 0x11);
    expect_access("read", try_read(WINDOW), false, 0);
    CHECK(try_cr('4', old) == -1);
    expect("CR4.SMAP", (uint64_t)try_cr('4', old | 1 << 21), smap ? ~0ULL : 13);
    if (!smap)
        return;
    for (unsigned i = 0; i < 500; i++) {
        expect_access("read", try_read(WINDOW), true, 1);
        expect_access("write", try_write(WINDOW, 0xc3), true, 3);
        __asm__ volatile("stac");
        CHECK(try_read(WINDOW) == -1);
        __asm__ volatile("clac");
    }
    write_cr4(old);
}

/* What INVLPG, CR3 and CR4 must make visible. A page that was global may outlive CR3, not CR4.PGE. */
void tlb_is_kept_and_flushed(void)
{
    uint64_t cr4 = read_cr4();

    for (unsigned i = 0; i < 16; i++)
        MMIO64(FREE_RAM + i * 4096) = i;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned n = round % 16;

        map_page(WINDOW, FREE_RAM + n * 4096, 3);
        CHECK(MMIO64(WINDOW) == n);
        *page_entry(WINDOW) = (FREE_RAM + (n ^ 1) * 4096) | 3;
        flush_tlb();
        CHECK(MMIO64(WINDOW) == (n ^ 1));
        write_cr4(cr4 | 0x80);
        map_page(WINDOW, FREE_RAM + n * 4096, 3 | GLOBAL);
        CHECK(MMIO64(WINDOW) == n);
        *page_entry(WINDOW) = (FREE_RAM + (n ^ 2) * 4096) | 3 | GLOBAL;
        flush_tlb();
        CHECK(MMIO64(WINDOW) == n || MMIO64(WINDOW) == (n ^ 2));
        write_cr4(cr4 & ~0x80ULL);
        CHECK(MMIO64(WINDOW) == (n ^ 2));
        *page_entry(WINDOW) = 0;
        invlpg(WINDOW);
        CHECK(try_read(WINDOW) == 14);
    }
}

/* Address spaces by number: what one has seen is not another's. */
void pcids(void)
{
    static uint64_t other_pml4[512] __attribute__((aligned(4096))),
        other_pt[3][512] __attribute__((aligned(4096)));
    uint64_t cr4 = read_cr4(), cr3 = read_cr3();

    if (!has_bit(1, 0, 'c', 17)) {
        CHECK(try_cr('4', cr4 | 1 << 17) == 13);
        return;
    }
    map_page(WINDOW, FREE_RAM, 3);
    for (unsigned i = 0; i < 512; i++)
        other_pml4[i] = pml4[i];
    other_pml4[WINDOW >> 39] = (uintptr_t)other_pt[0] | 7;
    other_pt[0][0] = (uintptr_t)other_pt[1] | 7;
    other_pt[1][0] = (uintptr_t)other_pt[2] | 7;
    other_pt[2][0] = (FREE_RAM + 4096) | 3;
    MMIO64(FREE_RAM) = 1;
    MMIO64(FREE_RAM + 4096) = 2;
    write_cr4(cr4 | 1 << 17);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t keep = i & 1 ? 1ULL << 63 : 0;

        write_cr3(cr3 | (i % 7 + 1) | keep);
        CHECK(MMIO64(WINDOW) == 1);
        write_cr3((uintptr_t)other_pml4 | (i % 5 + 100) | keep);
        CHECK(MMIO64(WINDOW) == 2);
    }
    write_cr3(cr3);
    write_cr4(cr4);
}

/* All of it can be used, each page is a page of its own, and it holds what it was given. */
void ram_is_ones_own(void)
{
    uint64_t start = (PROGRAM_END + 0xfff) & ~0xfffULL, end = ram_end();

    for (uint64_t at = start; at < end; at += 8)
        MMIO64(at) = at * 0x9e3779b97f4a7c15;
    for (uint64_t at = start; at < end; at += 8)
        expect_of("RAM at", at, MMIO64(at), at * 0x9e3779b97f4a7c15);
}

static volatile uint32_t counters[64] __attribute__((aligned(4096)));
#define ADDS 200000

/* One of the counters lies across two lines. */
static void add(unsigned index)
{
    for (unsigned i = 0; i < ADDS; i++)
        __asm__ volatile("lock incl (%0); lock incl 62(%0)" ::"r"(counters) : "memory", "cc");
}

void atomic_between_cpus(void)
{
    unsigned others = start_all(add);

    add(0);
    for (uint64_t end = microseconds() + 20000000; microseconds() < end && counters[0] < ADDS * (others + 1);)
        pause_a_little(100);
    expect("counter", counters[0], ADDS * (others + 1ULL));
    expect("counter across lines", MMIO32((uintptr_t)counters + 62), ADDS * (others + 1ULL));
}
