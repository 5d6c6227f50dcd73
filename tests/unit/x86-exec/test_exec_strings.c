/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String instructions and REP: faults in the middle, overlaps, slices, devices. */
#include "tests/unit/x86-exec/fixture.h"
#include "x86/alu.h"

static void fill_pattern(struct flat_cpu *f, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        f->ram[at + i] = (uint8_t)(i * 7 + (i >> 8) + 1);
}

/* REP as the engines see it: again until it is done. */
static enum x86_result rep_all(struct flat_cpu *f, const uint8_t *code, size_t len)
{
    enum x86_result result;

    do {
        result = flat_exec(f, code, len);
    } while (result == X86_AGAIN);
    return result;
}

static void rep_movs_restarts_after_fault(void **state)
{
    struct flat_cpu *f = *state;
    static const uint8_t rep_movsd[] = {0xf3, 0xa5};

    fill_pattern(f, DATA, 0x4000);
    flat_page(f, DATA + 0x12000, 0, 0);
    gpr(f)[X86_RSI] = DATA + 1; /* misaligned: elements cross the pages */
    gpr(f)[X86_RDI] = DATA + 0x10002;
    gpr(f)[X86_RCX] = 0xc00;
    assert_int_equal(rep_all(f, rep_movsd, 2), X86_FAULT);
    assert_page_fault(f, DATA + 0x12000, X86_PF_W);
    assert_int_equal(gpr(f)[X86_RDI], DATA + 0x11ffe); /* the element that crosses is not begun */
    assert_int_equal(gpr(f)[X86_RSI], DATA + 1 + 0x1ffc);
    assert_int_equal(gpr(f)[X86_RCX], 0xc00 - 0x1ffc / 4);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE);
    flat_page(f, DATA + 0x12000, DATA + 0x12000, FLAT_RW);
    assert_int_equal(rep_all(f, rep_movsd, 2), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RCX], 0);
    assert_memory_equal(f->ram + DATA + 0x10002, f->ram + DATA + 1, 0x3000);
}

/* Against the definition, byte for byte, with overlap both ways and in both directions. */
static void rep_movs_overlap(void **state)
{
    struct flat_cpu *f = *state;
    static const uint8_t code[3][3] = {{0xf3, 0xa4}, {0xf3, 0xa5}, {0xf3, 0x48, 0xa5}};
    static const size_t lens[3] = {2, 2, 3};
    static const unsigned sizes[3] = {1, 4, 8};
    static uint8_t model[0x6000];

    for (unsigned kind = 0; kind < 3; kind++) {
        for (int distance = -9; distance <= 9; distance++) {
            for (int down = 0; down < 2; down++) {
                size_t size = sizes[kind], n = 0x1800 / size;
                size_t from = 0x2003 + (down ? 0x1800 : 0), to = from + (size_t)distance;

                fill_pattern(f, DATA, sizeof(model));
                memcpy(model, f->ram + DATA, sizeof(model));
                gpr(f)[X86_RSI] = DATA + from;
                gpr(f)[X86_RDI] = DATA + to;
                gpr(f)[X86_RCX] = n;
                f->cpu.s.rflags = X86_FL_FIXED | (down ? X86_FL_DF : 0);
                assert_int_equal(rep_all(f, code[kind], lens[kind]), X86_NEXT);
                for (size_t i = 0; i < n; i++) {
                    uint8_t element[8];

                    memcpy(element, model + from, size);
                    memcpy(model + to, element, size);
                    from += down ? -size : size;
                    to += down ? -size : size;
                }
                assert_memory_equal(f->ram + DATA, model, sizeof(model));
                assert_int_equal(gpr(f)[X86_RSI], DATA + from);
                assert_int_equal(gpr(f)[X86_RDI], DATA + to);
            }
        }
    }
}

static void rep_slices_and_requests(void **state)
{
    struct flat_cpu *f = *state;
    unsigned calls = 0;

    gpr(f)[X86_RDI] = DATA;
    gpr(f)[X86_RCX] = 0x18000;
    gpr(f)[X86_RAX] = 0x5a;
    while (FLAT_EXEC(f, 0xf3, 0xaa) == X86_AGAIN) {
        calls++;
        assert_int_equal(gpr(f)[X86_RDI] - DATA + gpr(f)[X86_RCX], 0x18000);
    }
    assert_true(calls >= 2);
    assert_int_equal(f->ram[DATA + 0x17fff], 0x5a);
    assert_int_equal(f->ram[DATA + 0x18000], 0);
    /* A request ends the call early, but each call gets ahead. */
    f->cpu.request = X86_REQ_INTERRUPT;
    gpr(f)[X86_RDI] = DATA;
    gpr(f)[X86_RCX] = 0x2000;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0xaa), X86_AGAIN);
    assert_true(gpr(f)[X86_RCX] < 0x2000 && gpr(f)[X86_RCX] >= 0x1000);
}

static unsigned elements_left;

static bool no_more_time(struct x86_cpu *cpu)
{
    return --elements_left == 0;
}

/* The same where nobody takes the processor from it: asked after each element that goes by itself. */
static void rep_yields(void **state)
{
    struct flat_cpu *f = *state;

    f->cpu.must_yield = no_more_time;
    gpr(f)[X86_RSI] = DATA;
    gpr(f)[X86_RDI] = FLAT_MMIO;
    gpr(f)[X86_RCX] = 100;
    elements_left = 7;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0xa5), X86_AGAIN); /* rep movsd to a device */
    assert_int_equal(f->mmio_writes, 7);
    assert_int_equal(gpr(f)[X86_RCX], 93);
    assert_int_equal(gpr(f)[X86_RSI], DATA + 28);
    assert_int_equal(gpr(f)[X86_RDI], FLAT_MMIO + 28);
    /* REPE CMPS: the flags of a comparison in the middle are nobody's, but its end is its end. */
    gpr(f)[X86_RSI] = DATA;
    gpr(f)[X86_RDI] = FLAT_MMIO;
    for (unsigned i = 0; i < 64; i++)
        f->ram[DATA + i] = (uint8_t)(i | 0x80); /* as the device reads */
    f->ram[DATA + 40] = 2;
    gpr(f)[X86_RCX] = 64;
    elements_left = 10;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0xa6), X86_AGAIN);
    assert_int_equal(gpr(f)[X86_RCX], 54);
    elements_left = 1000;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0xa6), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RCX], 64 - 41);
}

static void rep_compares(void **state)
{
    struct flat_cpu *f = *state;
    static const uint8_t repne_scasb[] = {0xf2, 0xae}, repe_cmpsb[] = {0xf3, 0xa6};

    memset(f->ram + DATA, 0x11, 0x3000);
    memset(f->ram + DATA + 0x8000, 0x11, 0x3000);
    f->ram[DATA + 0x2345] = 0x10;
    gpr(f)[X86_RAX] = 0x10;
    gpr(f)[X86_RDI] = DATA;
    gpr(f)[X86_RCX] = ~0ULL;
    assert_int_equal(rep_all(f, repne_scasb, 2), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RDI], DATA + 0x2346);
    assert_int_equal(gpr(f)[X86_RCX], ~0ULL - 0x2346);
    assert_true(f->cpu.cc & ALU_CC_ZF);
    gpr(f)[X86_RSI] = DATA;
    gpr(f)[X86_RDI] = DATA + 0x8000;
    gpr(f)[X86_RCX] = 0x3000;
    assert_int_equal(rep_all(f, repe_cmpsb, 2), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RSI], DATA + 0x2346);
    assert_int_equal(gpr(f)[X86_RCX], 0x3000 - 0x2346);
    assert_true(f->cpu.cc & ALU_CC_CF); /* 10h - 11h */
    /* rCX 0: nothing happens, flags included, not even on an unmapped page. */
    gpr(f)[X86_RDI] = FLAT_RAM;
    gpr(f)[X86_RCX] = 0;
    f->cpu.cc = ALU_CC_PF;
    assert_int_equal(rep_all(f, repne_scasb, 2), X86_NEXT);
    assert_int_equal(f->cpu.cc, ALU_CC_PF);
}

static void rep_with_mmio(void **state)
{
    struct flat_cpu *f = *state;
    static const uint8_t rep_movsb[] = {0xf3, 0xa4}, rep_stosd[] = {0xf3, 0xab};

    gpr(f)[X86_RSI] = FLAT_MMIO;
    gpr(f)[X86_RDI] = DATA;
    gpr(f)[X86_RCX] = 16;
    assert_int_equal(rep_all(f, rep_movsb, 2), X86_NEXT);
    assert_int_equal(f->mmio_reads, 16);
    assert_int_equal(load_le64(f->ram + DATA + 8), 0x8f8e8d8c8b8a8988);
    gpr(f)[X86_RDI] = FLAT_MMIO;
    gpr(f)[X86_RCX] = 4;
    assert_int_equal(rep_all(f, rep_stosd, 2), X86_NEXT);
    assert_int_equal(f->mmio_writes, 4);
    assert_int_equal(f->mmio_gpa, FLAT_MMIO + 12);
}

/* 32-bit addresses in 64-bit mode: ESI and EDI wrap at 4 GiB, ECX counts, upper halves clear. */
static void string_address_size(void **state)
{
    struct flat_cpu *f = *state;

    gpr(f)[X86_RSI] = 0xabcd00000000 + DATA;
    gpr(f)[X86_RDI] = 0xabcd00000000 + DATA + 0x1000;
    gpr(f)[X86_RCX] = 0x100000002;
    fill_pattern(f, DATA, 16);
    assert_int_equal(FLAT_EXEC(f, 0x67, 0xf3, 0xa4), X86_NEXT); /* two bytes */
    assert_int_equal(gpr(f)[X86_RSI], DATA + 2);
    assert_int_equal(gpr(f)[X86_RDI], DATA + 0x1002);
    assert_int_equal(gpr(f)[X86_RCX], 0);
    assert_memory_equal(f->ram + DATA + 0x1000, f->ram + DATA, 2);
    assert_int_equal(f->ram[DATA + 0x1002], 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(rep_movs_restarts_after_fault),
        TEST(rep_movs_overlap),
        TEST(rep_slices_and_requests),
        TEST(rep_yields),
        TEST(rep_compares),
        TEST(rep_with_mmio),
        TEST(string_address_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
