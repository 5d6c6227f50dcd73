/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attacks by memory: page tables, code and stacks in strange places, writes over code. */
#include "tests/guest/hostile/hostile.h"

#define RAM_SIZE 0x8000000ULL /* as test_hostile.py gives it */

static volatile uint64_t address;
static uint64_t spare[512] __attribute__((aligned(4096)));
static uint64_t spare2[512] __attribute__((aligned(4096)));

static void touch(void)
{
    (void)MMIO64(address);
    MMIO64(address) = 1;
    MMIO8(address + 4093) = 2;
    MMIO64(address + 4093) = 3;
}

static void execute(void)
{
    __asm__ volatile("call *%0" ::"r"(address)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
}

/* A table that is its own next level, at each level, read, written and executed. */
void page_table_loop(void)
{
    for (unsigned i = 0; i < 512; i++)
        spare[i] = (uintptr_t)spare | 7;
    pml4[1] = (uintptr_t)spare | 7;
    for (unsigned i = 0; i < 300; i++) {
        address = 0x8000000000ULL + (random64() & 0x7fffffffff & ~7ULL);
        flush_tlb();
        try_run(touch);
        try_run(execute);
        for (unsigned k = 0; k < 512; k++)
            spare[k] = (uintptr_t)spare | 7;
    }
    pml4[1] = 0;
}

static void point_tables_at(uint64_t gpa)
{
    for (unsigned level = 0; level < 3; level++) {
        if (level == 0) {
            pml4[1] = gpa | 7;
        } else if (level == 1) {
            spare[0] = gpa | 7;
            pml4[1] = (uintptr_t)spare | 7;
        } else {
            spare2[0] = gpa | 7;
            spare[0] = (uintptr_t)spare2 | 7;
        }
        for (unsigned i = 0; i < 64; i++) {
            address = 0x8000000000ULL + i * 4096 * 8 + (random64() & 0xff8);
            flush_tlb();
            try_run(touch);
            try_run(execute);
        }
    }
    pml4[1] = 0;
    flush_tlb();
}

void page_tables_in_mmio(void)
{
    static const uint64_t places[] = {0xfee00000, 0xfec00000, 0xfed00000, 0xe0000000, 0xa0000, 0xfffff000};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        point_tables_at(places[i]);
}

void page_tables_beyond_ram(void)
{
    point_tables_at(0x7ffff000);
    point_tables_at(0x100000000ULL);
    point_tables_at(0xfffffff000ULL);
    point_tables_at(0xffffffffff000ULL);
}

/* Random entries, reserved bits and all, with random large pages. */
void page_tables_random(void)
{
    pml4[1] = (uintptr_t)spare | 7;
    for (unsigned i = 0; i < 3000; i++) {
        spare[0] = random_below(2) ? ((uintptr_t)spare2 | 7) : random64();
        spare2[0] = random64() & (random_below(2) ? 0xfff0000000fffULL : ~0ULL);
        address = 0x8000000000ULL + (random64() & 0x1ff8);
        flush_tlb();
        try_run(touch);
        __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
        try_run(touch);
    }
    pml4[1] = 0;
    flush_tlb();
}

void code_in_mmio(void)
{
    static const uint64_t places[] = {0xfee00000, 0xfec00000, 0xfed00000, 0xe0000000,
                                      0xe0000ffd, 0xa0000,    0xfee00ffe};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        address = places[i];
        for (unsigned k = 0; k < 20; k++)
            try_run(execute);
    }
}

void code_beyond_ram(void)
{
    static const uint64_t places[] = {0x7fffffff, 0x70000000, 0xc0000000, 0xfffffff0, 0x1000000000ULL};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        address = places[i];
        try_run(execute);
    }
}

static void fault_on_that_stack(void)
{
    __asm__ volatile(
        "mov %0, %%rsp; push %%rax; pop %%rax; call 1f; 1: mov (0x7fffffffffff), %%al" ::"r"(address)
        : "memory");
}

/* The fault of the last instruction pushes its frame into device registers; handlers return through garbage.
 */
void stack_in_mmio(void)
{
    print("this one may end in a triple fault\n");
    address = 0xfee00800;
    try_run(fault_on_that_stack);
    address = 0xe0000800;
    try_run(fault_on_that_stack);
}

void idt_in_mmio(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } p = {0xfff, 0xfee00000};

    print("this one may end in a triple fault\n");
    __asm__ volatile("lidt %0; int $3" ::"m"(p));
}

static volatile uint64_t count, from, to;

static void move_bytes(void)
{
    uint64_t c = count, s = from, d = to;
    __asm__ volatile("rep movsb" : "+c"(c), "+S"(s), "+D"(d)::"memory");
}

static void move_quads(void)
{
    uint64_t c = count, s = from, d = to;
    __asm__ volatile("rep movsq" : "+c"(c), "+S"(s), "+D"(d)::"memory");
}

static void move_down(void)
{
    uint64_t c = count, s = from, d = to;
    __asm__ volatile("std; rep movsl; cld" : "+c"(c), "+S"(s), "+D"(d)::"memory");
}

static void store_quads(void)
{
    uint64_t c = count, d = to;
    __asm__ volatile("rep stosq" : "+c"(c), "+D"(d) : "a"(0x5a5a5a5a5a5a5a5aULL) : "memory");
}

static void clear_direction(void)
{
    __asm__ volatile("cld");
}

void string_into_mmio(void)
{
    static const uint64_t places[] = {0xfee00000, 0xfec00000, 0xfed00000, 0xe0000000, 0xa0000};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        count = 600;
        from = (uintptr_t)spare;
        to = places[i] + random_below(64);
        try_run(move_bytes);
        try_run(move_quads);
        from = places[i];
        to = (uintptr_t)spare;
        count = 500;
        try_run(move_bytes);
        from = places[i];
        to = places[i] + 8;
        try_run(move_quads);
        try_run(store_quads);
        try_run(move_down);
        try_run(clear_direction);
    }
    MMIO32(0xfee000f0) = 0x1ff;
}

void string_wraps(void)
{
    count = 1 << 20;
    from = (uintptr_t)spare;
    to = 0xfffffff0;
    try_run(move_bytes); /* over the end of what is mapped */
    to = ~0ULL - 15;
    try_run(move_bytes);
    to = 0x7ffffffffff8ULL;
    try_run(store_quads);
    from = 0xfffffffffffffff8ULL;
    to = 0;
    count = 4;
    try_run(move_quads);
    from = 8;
    to = 0x3000000;
    count = ~0ULL >> 3;
    try_run(move_down);
    try_run(clear_direction);
}

/* rax is 0, as the local APIC takes what is added to its command register for a command: it might be INIT. */
static void locked(void)
{
    __asm__ volatile(
        "xorl %%eax, %%eax; lock incl (%0); lock xaddq %%rax, (%0); lock btsq $5, (%0); xchgb %%al, (%0)" ::
            "r"(address)
        : "rax", "memory", "cc");
    __asm__ volatile("lock cmpxchg16b (%0)" ::"r"(address & ~15ULL) : "rax", "rdx", "memory", "cc");
}

void locked_on_mmio(void)
{
    static const uint64_t places[] = {0xfee00300, 0xfee00ffd, 0xe0000ffe,   0xfed000f0,
                                      0xa0000,    0x7ffffffd, 0xfffffffdULL};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        address = places[i];
        try_run(locked);
    }
}

/* Every size at every offset around page borders, RAM beside nothing, RAM beside devices. */
void split_accesses(void)
{
    static uint8_t pages[3 * 4096] __attribute__((aligned(4096)));

    for (unsigned at = 4096 - 16; at < 4096 + 16; at++) {
        MMIO16(pages + at) = 0x1234;
        CHECK(MMIO16(pages + at) == 0x1234);
        MMIO32(pages + at) = 0x12345678;
        CHECK(MMIO32(pages + at) == 0x12345678);
        MMIO64(pages + at) = 0x123456789abcdef0;
        CHECK(MMIO64(pages + at) == 0x123456789abcdef0);
        address = (uintptr_t)pages + at;
        locked();
    }
    for (unsigned i = 0; i < 32; i++) {
        address = 0x9fff0 + i;
        try_run(touch);
        address = 0xdffffff0ULL + i;
        try_run(touch);
        address = 0xfec00ff0ULL + i;
        try_run(touch);
    }
}

/* ---- rights ---- */

/* The callee takes AC away, if it shall, and lets go of translated code on its way back. */
static uint64_t takes_away;

static void read_user_page(void)
{
    __asm__ volatile(
        "stac; call 1f; mov (%1), %%eax; jmp 2f\n"
        "1: test %2, %2; jz 3f; clac; 3: mov 0x20(%0), %%eax; mov 0x30(%0), %%eax; ret; 2: clac" ::"b"(
            0xfee00000ULL),
        "d"(64ULL << 20), "c"(takes_away)
        : "rax", "memory", "cc");
}

/* All but the user's page is the kernel's. False: there is no SMAP here. */
static bool smap_on(void)
{
    uint32_t a = 7, b, c = 0, d;
    uint64_t cr4;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(b >> 20 & 1))
        return false;
    for (unsigned i = 0; i < 2048; i++) {
        if (i != 32)
            pd[i] &= ~4ULL;
    }
    flush_tlb();
    __asm__ volatile("mov %%cr4, %0; or $0x200000, %0; mov %0, %%cr4" : "=r"(cr4));
    return true;
}

void smap_after_call(void)
{
    if (!smap_on())
        return;
    for (unsigned i = 0; i < 1000; i++) {
        takes_away = i / 100 % 2;
        CHECK(try_run(read_user_page) == (takes_away ? 14 : -1));
    }
}

extern const char branch_nowhere[];

static void branch_behind_stac(void)
{
    __asm__ volatile("stac; .global branch_nowhere; branch_nowhere: jmp *%0" ::"a"(0x1234567812345678)
                     : "memory");
}

/* The first branch with AC set: it faults where it is. */
void smap_branch_nowhere(void)
{
    if (!smap_on())
        return;
    CHECK(try_run(branch_behind_stac) == 13 && last_rip == (uintptr_t)branch_nowhere);
}

/* ---- writes over code ---- */

static uint8_t code[4096 * 3] __attribute__((aligned(4096)));

static uint32_t call_code(const uint8_t *at)
{
    uint32_t r;
    __asm__ volatile("call *%1" : "=a"(r) : "r"(at) : "rcx", "rdx", "memory", "cc");
    return r;
}

/* movl $imm, next+1(%rip); mov $0, %eax; ret: the store changes the instruction behind it. */
void self_modifying_block(void)
{
    for (uint32_t i = 1; i < 20000; i++) {
        uint8_t *p = code;
        *p++ = 0xc7;
        *p++ = 0x05;
        *(uint32_t *)(void *)p = 1;
        p += 4;
        *(uint32_t *)(void *)p = i;
        p += 4;
        *p++ = 0xb8;
        *(uint32_t *)(void *)p = 0;
        p += 4;
        *p = 0xc3;
        CHECK(call_code(code) == i);
    }
}

/* An instruction that lies on two pages, changed on either side. */
void self_modifying_page(void)
{
    for (uint32_t i = 1; i < 20000; i++) {
        uint8_t *p = code + 4096 - 1 - i % 4;
        p[0] = 0xb8;
        *(uint32_t *)(void *)(p + 1) = i * 0x01010101;
        p[5] = 0xc3;
        CHECK(call_code(p) == i * 0x01010101);
        p[4] = (uint8_t)~p[4];
        CHECK(call_code(p) == ((i * 0x01010101) ^ 0xff000000));
        p[1] = (uint8_t)~p[1];
        CHECK(call_code(p) == ((i * 0x01010101) ^ 0xff0000ff));
    }
}

/* Many small functions on one page, changed in random order, called in another. */
void self_modifying_random(void)
{
    static uint32_t value[128];

    for (unsigned i = 0; i < 200000; i++) {
        unsigned k = random_below(128);
        uint8_t *p = code + k * 32;

        if (random_below(4) == 0) {
            value[k] = (uint32_t)random64();
            p[0] = 0xb8;
            *(uint32_t *)(void *)(p + 1) = value[k];
            p[5] = 0xc3;
        } else if (p[5] == 0xc3) {
            CHECK(call_code(p) == value[k]);
        }
    }
}

/* ---- device memory ---- */

static void any_access(void)
{
    switch (random_below(8)) {
    case 0:
        (void)MMIO8(address);
        break;
    case 1:
        (void)MMIO16(address);
        break;
    case 2:
        (void)MMIO32(address);
        break;
    case 3:
        (void)MMIO64(address);
        break;
    case 4:
        MMIO8(address) = (uint8_t)random64();
        break;
    case 5:
        MMIO16(address) = (uint16_t)random64();
        break;
    case 6:
        MMIO32(address) = (uint32_t)random64();
        break;
    default:
        MMIO64(address) = random64();
        break;
    }
}

void mmio_sweep(void)
{
    for (unsigned i = 0; i < 100000; i++) {
        address = 0x80000000ULL + random_below(0x7fffff00);
        try_run(any_access);
    }
}

void mmio_unaligned(void)
{
    static const uint64_t places[] = {0xfed00000, 0xe0000000, 0xe00f8000};

    for (unsigned i = 0; i < 60000; i++) {
        address = places[random_below(3)] + random_below(4096);
        try_run(any_access);
    }
}

void rom_writes(void)
{
    for (address = 0xc0000; address < 0x100000; address += 256)
        try_run(any_access);
    for (address = 0xffff0000; address < 0xfffffff0; address += 256)
        try_run(any_access);
}

static uint64_t far_value;

static void access_far_apart(void)
{
    __asm__ volatile("movq $0, -0x3fffffff(%1)\n\t"
                     "mov 0x3fffffff(%1), %0\n\t"
                     "movq $1, 0x3fffffff(%1)"
                     : "=&r"(far_value)
                     : "r"((uintptr_t)spare + 0x3fffffff)
                     : "memory");
}

/* By one register, 2 GiB apart: one check must not stand for both. */
void accesses_far_apart(void)
{
    try_run(access_far_apart);
    CHECK(far_value == ~0ULL || far_value == 0);
}

static void load_last_word(void)
{
    __asm__ volatile(".byte 0x66, 0x63, 0x03" ::"b"(RAM_SIZE - 2) : "rax"); /* movsxd (%rbx), %ax */
}

/* AMD's processors read four bytes for MOVSXD of two. */
void operand_at_end_of_ram(void)
{
    try_run(load_last_word);
}
