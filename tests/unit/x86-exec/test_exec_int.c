/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer instructions: what a comparison of registers with the host's would not show. */
#include <pthread.h>

#include "tests/unit/x86-exec/fixture.h"
#include "x86/alu.h"

/* ---- registers and flags ---- */

static void partial_register_writes(void **state)
{
    struct flat_cpu *f = *state;

    gpr(f)[X86_RAX] = 0x1122334455667788;
    gpr(f)[X86_RCX] = 0xfffffffffffffffe;
    FLAT_EXEC(f, 0x00, 0xcc); /* add ah, cl: without REX, 4 is AH */
    FLAT_EXEC(f, 0x88, 0xcc); /* mov ah, cl */
    assert_int_equal(gpr(f)[X86_RAX], 0x112233445566fe88);
    FLAT_EXEC(f, 0x66, 0x89, 0xc8); /* mov ax, cx */
    assert_int_equal(gpr(f)[X86_RAX], 0x112233445566fffe);
    FLAT_EXEC(f, 0x40, 0x88, 0xcc); /* mov spl, cl */
    assert_int_equal(gpr(f)[X86_RSP], (FLAT_STACK & ~0xffULL) | 0xfe);
    FLAT_EXEC(f, 0x01, 0xc8); /* add eax, ecx: clears the upper half */
    assert_int_equal(gpr(f)[X86_RAX], (uint32_t)(0x5566fffe + 0xfffffffe));
    gpr(f)[X86_RDX] = ~0ULL;
    f->cpu.cc = 0;
    FLAT_EXEC(f, 0x0f, 0x44, 0xd1); /* cmovz edx, ecx: false, yet the upper half goes */
    assert_int_equal(gpr(f)[X86_RDX], 0xffffffff);
}

static void flags_go_around(void **state)
{
    struct flat_cpu *f = *state;

    for (unsigned i = 0; i < 64; i++) {
        uint64_t flags = (i & 1 ? X86_FL_CF : 0) | (i & 2 ? X86_FL_PF : 0) | (i & 4 ? X86_FL_AF : 0) |
                         (i & 8 ? X86_FL_ZF : 0) | (i & 16 ? X86_FL_SF : 0) | (i & 32 ? X86_FL_OF : 0);

        gpr(f)[X86_RSP] = FLAT_STACK;
        store_le64(f->ram + FLAT_STACK, flags | X86_FL_DF | X86_FL_ID);
        assert_int_equal(FLAT_EXEC(f, 0x9d), X86_NEXT); /* popf */
        assert_int_equal(x86_flags_get(&f->cpu), flags | X86_FL_DF | X86_FL_ID | X86_FL_FIXED);
        FLAT_EXEC(f, 0x9f);             /* lahf */
        FLAT_EXEC(f, 0x80, 0xf4, 0xff); /* xor ah, -1: all flags change */
        FLAT_EXEC(f, 0x80, 0xf4, 0xff);
        FLAT_EXEC(f, 0x9e); /* sahf: OF stays as XOR left it */
        assert_int_equal(x86_flags_get(&f->cpu) & X86_FL_ARITH, flags & 0xff);
        FLAT_EXEC(f, 0x9c); /* pushf */
        assert_int_equal(load_le64(f->ram + FLAT_STACK), x86_flags_get(&f->cpu));
    }
}

/* RCL by its definition, bit by bit. */
static void rcl_all_counts(void **state)
{
    struct flat_cpu *f = *state;

    for (unsigned count = 0; count < 256; count++) {
        for (unsigned carry = 0; carry < 2; carry++) {
            uint16_t value = 0x9a5c;
            unsigned c = carry;

            f->cpu.cc = carry ? ALU_CC_CF : 0;
            gpr(f)[X86_RAX] = value;
            gpr(f)[X86_RCX] = count;
            FLAT_EXEC(f, 0x66, 0xd3, 0xd0); /* rcl ax, cl */
            for (unsigned i = 0; i < (count & 31); i++) {
                unsigned out = value >> 15;

                value = (uint16_t)(value << 1 | c);
                c = out;
            }
            assert_int_equal(gpr(f)[X86_RAX], value);
            assert_int_equal(f->cpu.cc & ALU_CC_CF ? 1 : 0, c);
        }
    }
}

static void division_faults(void **state)
{
    struct flat_cpu *f = *state;
    static const struct {
        uint64_t high, low, divisor;
        bool signed_ok, unsigned_ok;
    } cases[] = {
        {0, 1, 0, false, false},
        {0, 7, 2, true, true},
        {1, 0, 1, false, false},
        {1, 0, 2, false, true},                  /* 2^63 is one too much for IDIV */
        {~0ULL, BIT64(63), 1, true, false},      /* -2^63 / 1 */
        {~0ULL, BIT64(63), ~0ULL, false, false}, /* -2^63 / -1 */
        {~0ULL, ~0ULL, ~0ULL, true, false},      /* -1 / -1; unsigned: 2^64 + 1 - … too big */
        {0x7fffffffffffffff, 0, 0x8000000000000000, false, true},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned is_signed = 0; is_signed < 2; is_signed++) {
            bool ok = is_signed ? cases[i].signed_ok : cases[i].unsigned_ok;

            gpr(f)[X86_RDX] = cases[i].high;
            gpr(f)[X86_RAX] = cases[i].low;
            gpr(f)[X86_RCX] = cases[i].divisor;
            assert_int_equal(FLAT_EXEC(f, 0x48, 0xf7, is_signed ? 0xf9 : 0xf1), ok ? X86_NEXT : X86_FAULT);
            if (!ok) {
                assert_int_equal(f->cpu.fault.vector, X86_DE);
                assert_int_equal(gpr(f)[X86_RDX], cases[i].high);
                assert_int_equal(gpr(f)[X86_RAX], cases[i].low);
            }
        }
    }
    gpr(f)[X86_RAX] = 0xff80; /* -128 / 1 fits a byte, 128 does not */
    gpr(f)[X86_RCX] = 1;
    assert_int_equal(FLAT_EXEC(f, 0xf6, 0xf9), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RAX], 0x0080);
    assert_int_equal(FLAT_EXEC(f, 0xf6, 0xf9), X86_FAULT);
}

static void bit_strings(void **state)
{
    struct flat_cpu *f = *state;

    gpr(f)[X86_RBX] = DATA;
    gpr(f)[X86_RCX] = (uint64_t)-1;
    FLAT_EXEC(f, 0x48, 0x0f, 0xab, 0x0b); /* bts [rbx], rcx: the bit before */
    assert_int_equal(f->ram[DATA - 1], 0x80);
    gpr(f)[X86_RCX] = 0x12345;
    FLAT_EXEC(f, 0x0f, 0xab, 0x0b); /* bts dword [rbx], ecx */
    assert_int_equal(f->ram[DATA + 0x12345 / 8], 1 << (0x12345 % 8));
    FLAT_EXEC(f, 0x0f, 0xba, 0x2b, 0xff); /* bts dword [rbx], 255: an immediate stays in the operand */
    assert_int_equal(load_le32(f->ram + DATA), 0x80000000);
    assert_false(f->cpu.cc & ALU_CC_CF);
    FLAT_EXEC(f, 0x0f, 0xba, 0x33, 0x1f); /* btr dword [rbx], 31 */
    assert_true(f->cpu.cc & ALU_CC_CF);
    assert_int_equal(load_le32(f->ram + DATA), 0);
}

static void rep_bsf_without_bmi(void **state)
{
    struct flat_cpu *f = *state;

    gpr(f)[X86_RAX] = 0x1234;
    gpr(f)[X86_RCX] = 0;
    FLAT_EXEC(f, 0xf3, 0x48, 0x0f, 0xbc, 0xc1); /* tzcnt rax, rcx */
    assert_int_equal(gpr(f)[X86_RAX], 64);
    memset(f->model.features, 0, sizeof(f->model.features));
    gpr(f)[X86_RAX] = 0x1234;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x48, 0x0f, 0xbc, 0xc1), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RAX], 0x1234); /* BSF leaves it alone */
    gpr(f)[X86_RCX] = 0x100;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0x0f, 0xbd, 0xc1), X86_NEXT); /* lzcnt as bsr */
    assert_int_equal(gpr(f)[X86_RAX], 8);
}

/* ---- faults leave everything as it was ---- */

static void store_across_unmapped_page(void **state)
{
    struct flat_cpu *f = *state;

    flat_page(f, DATA + 0x1000, 0, 0);
    memset(f->ram + DATA, 0x55, 0x2000);
    gpr(f)[X86_RAX] = 0x1122334455667788;
    gpr(f)[X86_RBX] = DATA + 0x1000 - 3;
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x89, 0x03), X86_FAULT); /* mov [rbx], rax */
    assert_page_fault(f, DATA + 0x1000, X86_PF_W);
    assert_int_equal(load_le64(f->ram + DATA + 0x1000 - 3), 0x5555555555555555);
    f->cpu.cc = 0;
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x01, 0x03), X86_FAULT); /* add [rbx], rax: a write from the start */
    assert_page_fault(f, DATA + 0x1000, X86_PF_W);
    assert_int_equal(f->cpu.cc, 0);
    assert_int_equal(FLAT_EXEC(f, 0xf0, 0x48, 0x01, 0x03), X86_FAULT); /* lock add */
    assert_int_equal(f->exclusive_calls, 0);
    flat_page(f, DATA + 0x1000, DATA + 0x1000, FLAT_RW);
    assert_int_equal(FLAT_EXEC(f, 0xf0, 0x48, 0x01, 0x03), X86_NEXT);
    assert_int_equal(f->exclusive_calls, 2); /* begun and ended */
    assert_int_equal(load_le64(f->ram + DATA + 0x1000 - 3), 0x5555555555555555 + 0x1122334455667788);
}

static void read_only_pages(void **state)
{
    struct flat_cpu *f = *state;

    flat_page(f, DATA, DATA, X86_PTE_P | X86_PTE_U);
    gpr(f)[X86_RBX] = DATA;
    gpr(f)[X86_RAX] = 1;
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x39, 0x03), X86_NEXT);        /* cmp [rbx], rax only reads */
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x0f, 0xb1, 0x0b), X86_FAULT); /* cmpxchg writes, though unequal */
    assert_page_fault(f, DATA, X86_PF_P | X86_PF_W);
    assert_int_equal(gpr(f)[X86_RAX], 1);
}

static void stack_pointer_survives_faults(void **state)
{
    struct flat_cpu *f = *state;

    flat_page(f, DATA, 0, 0);
    gpr(f)[X86_RSP] = DATA + 0x1004;
    assert_int_equal(FLAT_EXEC(f, 0x50), X86_FAULT); /* push rax */
    assert_page_fault(f, DATA + 0xffc, X86_PF_W);
    assert_int_equal(gpr(f)[X86_RSP], DATA + 0x1004);
    gpr(f)[X86_RSP] = FLAT_STACK;
    gpr(f)[X86_RBX] = DATA;
    assert_int_equal(FLAT_EXEC(f, 0x8f, 0x03), X86_FAULT); /* pop [rbx] */
    assert_int_equal(gpr(f)[X86_RSP], FLAT_STACK);
    gpr(f)[X86_RBP] = DATA;
    assert_int_equal(FLAT_EXEC(f, 0xc9), X86_FAULT); /* leave */
    assert_int_equal(gpr(f)[X86_RSP], FLAT_STACK);
    assert_int_equal(gpr(f)[X86_RBP], DATA);
    store_le64(f->ram + FLAT_STACK, BIT64(63) | 1);
    assert_int_equal(FLAT_EXEC(f, 0xc3), X86_FAULT); /* ret to a non-canonical address */
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    assert_int_equal(gpr(f)[X86_RSP], FLAT_STACK);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE);
}

static void non_canonical_operands(void **state)
{
    struct flat_cpu *f = *state;

    gpr(f)[X86_RBX] = BIT64(47);
    assert_int_equal(FLAT_EXEC(f, 0x8a, 0x03), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    gpr(f)[X86_RBP] = BIT64(47) - 1;
    assert_int_equal(FLAT_EXEC(f, 0x66, 0x8b, 0x45, 0x00), X86_FAULT); /* mov ax, [rbp]: the second byte */
    assert_int_equal(f->cpu.fault.vector, X86_SS_FAULT);
}

static void pop_through_moved_stack_pointer(void **state)
{
    struct flat_cpu *f = *state;

    store_le64(f->ram + FLAT_STACK, 0x1111);
    assert_int_equal(FLAT_EXEC(f, 0x8f, 0x04, 0x24), X86_NEXT); /* pop [rsp] */
    assert_int_equal(load_le64(f->ram + FLAT_STACK + 8), 0x1111);
    assert_int_equal(FLAT_EXEC(f, 0x5c), X86_NEXT); /* pop rsp */
    assert_int_equal(gpr(f)[X86_RSP], 0x1111);
    gpr(f)[X86_RSP] = FLAT_STACK;
    FLAT_EXEC(f, 0x54); /* push rsp: the old value */
    assert_int_equal(load_le64(f->ram + FLAT_STACK - 8), FLAT_STACK);
}

static void alignment_check(void **state)
{
    struct flat_cpu *f = *state;

    flat_mode(f, X86_MODE_64, 3);
    gpr(f)[X86_RBX] = DATA + 1;
    assert_int_equal(FLAT_EXEC(f, 0x8b, 0x03), X86_NEXT);
    f->cpu.s.cr0 |= X86_CR0_AM;
    f->cpu.s.rflags |= X86_FL_AC;
    x86_mode_changed(&f->cpu);
    assert_int_equal(FLAT_EXEC(f, 0x8b, 0x03), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_AC);
    assert_int_equal(FLAT_EXEC(f, 0x8a, 0x03), X86_NEXT); /* bytes are always aligned */
}

/* ---- atomics ---- */

static void cmpxchg16b(void **state)
{
    struct flat_cpu *f = *state;

    store_le64(f->ram + DATA, 1);
    store_le64(f->ram + DATA + 8, 2);
    gpr(f)[X86_RDI] = DATA;
    gpr(f)[X86_RAX] = 1;
    gpr(f)[X86_RDX] = 3;
    gpr(f)[X86_RBX] = 10;
    gpr(f)[X86_RCX] = 20;
    f->cpu.cc = ALU_CC_CF | ALU_CC_OF | ALU_CC_ZF;
    assert_int_equal(FLAT_EXEC(f, 0xf0, 0x48, 0x0f, 0xc7, 0x0f), X86_NEXT);
    assert_int_equal(f->cpu.cc, ALU_CC_CF | ALU_CC_OF); /* only ZF moves */
    assert_int_equal(gpr(f)[X86_RDX], 2);
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x0f, 0xc7, 0x0f), X86_NEXT);
    assert_true(f->cpu.cc & ALU_CC_ZF);
    assert_int_equal(load_le64(f->ram + DATA), 10);
    assert_int_equal(load_le64(f->ram + DATA + 8), 20);
    gpr(f)[X86_RDI] = DATA + 8;
    assert_int_equal(FLAT_EXEC(f, 0x48, 0x0f, 0xc7, 0x0f), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_GP);
}

static void cmpxchg8b(void **state)
{
    struct flat_cpu *f = *state;

    store_le64(f->ram + DATA + 3, 0x0000000200000001);
    gpr(f)[X86_RDI] = DATA + 3;
    gpr(f)[X86_RAX] = 0xffffffff00000009;
    gpr(f)[X86_RDX] = 2;
    gpr(f)[X86_RBX] = 0xaaaaaaaa;
    gpr(f)[X86_RCX] = 0xbbbbbbbb;
    assert_int_equal(FLAT_EXEC(f, 0x0f, 0xc7, 0x0f), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RAX], 1);
    assert_int_equal(FLAT_EXEC(f, 0xf0, 0x0f, 0xc7, 0x0f), X86_NEXT);
    assert_int_equal(load_le64(f->ram + DATA + 3), 0xbbbbbbbbaaaaaaaa);
}

#define ROUNDS 20000

/* lock inc dword [rbx]; lock xadd [rbx+8], rcx; lock bts/btr … by two processors at once. */
static void *hammer(void *arg)
{
    struct flat_cpu *f = arg;

    gpr(f)[X86_RBX] = DATA;
    for (unsigned i = 0; i < ROUNDS; i++) {
        FLAT_EXEC(f, 0xf0, 0xff, 0x03); /* lock inc dword [rbx] */
        gpr(f)[X86_RCX] = 3;
        FLAT_EXEC(f, 0xf0, 0x48, 0x0f, 0xc1, 0x4b, 0x09); /* lock xadd [rbx+9], rcx: misaligned */
        do {                                              /* a spin lock by xchg around a plain increment */
            gpr(f)[X86_RAX] = 1;
            FLAT_EXEC(f, 0x86, 0x43, 0x20); /* xchg [rbx+32], al */
        } while (gpr(f)[X86_RAX]);
        FLAT_EXEC(f, 0x48, 0xff, 0x43, 0x28); /* inc qword [rbx+40] */
        FLAT_EXEC(f, 0xc6, 0x43, 0x20, 0x00); /* mov byte [rbx+32], 0 */
    }
    return NULL;
}

static void locked_from_two_threads(void **state)
{
    struct flat_cpu *f = *state, *g = aligned_alloc(64, ALIGN_UP(sizeof(*g), 64));
    pthread_t thread;

    flat_init(g, f->ram);
    assert_int_equal(pthread_create(&thread, NULL, hammer, g), 0);
    hammer(f);
    pthread_join(thread, NULL);
    assert_int_equal(load_le32(f->ram + DATA), 2 * ROUNDS);
    assert_int_equal(load_le64(f->ram + DATA + 9), 6 * ROUNDS);
    assert_int_equal(load_le64(f->ram + DATA + 40), 2 * ROUNDS);
    flat_finish(g);
    free(g);
}

/* ---- MMIO, watched pages ---- */

static void mmio_accesses(void **state)
{
    struct flat_cpu *f = *state;

    gpr(f)[X86_RBX] = FLAT_MMIO + 4;
    assert_int_equal(FLAT_EXEC(f, 0x8b, 0x03), X86_NEXT); /* mov eax, [rbx] */
    assert_int_equal(gpr(f)[X86_RAX], 0x87868584);
    assert_int_equal(f->mmio_size, 4);
    assert_int_equal(f->mmio_reads, 1);
    assert_int_equal(FLAT_EXEC(f, 0xf0, 0x83, 0x0b, 0x01), X86_NEXT); /* lock or dword [rbx], 1 */
    assert_int_equal(f->mmio_value, 0x87868585);
    assert_int_equal(f->exclusive_calls, 2);
    gpr(f)[X86_RBX] = FLAT_MMIO - 2;
    gpr(f)[X86_RAX] = 0x11223344;
    assert_int_equal(FLAT_EXEC(f, 0x89, 0x03), X86_NEXT); /* half RAM, half device */
    assert_int_equal(f->mmio_value, 0x1122);
    assert_int_equal(f->mmio_size, 2);
    assert_int_equal(load_le16(f->ram + FLAT_MMIO - 2), 0x3344);
}

static void watched_pages_are_told(void **state)
{
    struct flat_cpu *f = *state;

    f->slow_page = DATA;
    gpr(f)[X86_RBX] = DATA;
    FLAT_EXEC(f, 0x89, 0x03);       /* mov */
    FLAT_EXEC(f, 0x01, 0x03);       /* add */
    FLAT_EXEC(f, 0xf0, 0x01, 0x03); /* lock add */
    assert_int_equal(f->stored_calls, 3);
    FLAT_EXEC(f, 0x39, 0x03); /* cmp */
    assert_int_equal(f->stored_calls, 3);
}

/* ---- 16 bits ---- */

static void real_like_segments(struct flat_cpu *f)
{
    uint32_t attr = X86_SEG_P | X86_SEG_S | 0x3;

    flat_mode(f, X86_MODE_16, 0);
    flat_segment(f, X86_DS, 0x4000, DATA, 0xffff, attr);
    flat_segment(f, X86_ES, 0x4000, DATA, 0xffff, attr);
    flat_segment(f, X86_SS, 0x4000, DATA, 0xffff, attr);
    x86_mode_changed(&f->cpu);
}

static void strings_wrap_at_64k(void **state)
{
    struct flat_cpu *f = *state;

    real_like_segments(f);
    gpr(f)[X86_RDI] = 0x7777fffc;
    gpr(f)[X86_RCX] = 0x11110006;
    gpr(f)[X86_RAX] = 0x99;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0xaa), X86_NEXT); /* rep stosb */
    assert_int_equal(gpr(f)[X86_RDI], 0x77770002);
    assert_int_equal(gpr(f)[X86_RCX], 0x11110000);
    assert_int_equal(load_le32(f->ram + DATA + 0xfffc), 0x99999999);
    assert_int_equal(load_le32(f->ram + DATA), 0x9999);
    assert_int_equal(f->ram[DATA + 0x10000], 0);
    gpr(f)[X86_RDI] = 0xffff;
    gpr(f)[X86_RCX] = 1;
    assert_int_equal(FLAT_EXEC(f, 0xf3, 0xab), X86_FAULT); /* a word over the limit */
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    assert_int_equal(gpr(f)[X86_RCX], 1);
}

static void stack_wraps_at_64k(void **state)
{
    struct flat_cpu *f = *state;

    real_like_segments(f);
    gpr(f)[X86_RSP] = 0x12340000;
    gpr(f)[X86_RAX] = 0xbeef;
    assert_int_equal(FLAT_EXEC(f, 0x50), X86_NEXT); /* push ax */
    assert_int_equal(gpr(f)[X86_RSP], 0x1234fffe);
    assert_int_equal(load_le16(f->ram + DATA + 0xfffe), 0xbeef);
    assert_int_equal(FLAT_EXEC(f, 0x59), X86_NEXT); /* pop cx */
    assert_int_equal(gpr(f)[X86_RSP], 0x12340000);
    gpr(f)[X86_RSP] = 1;
    assert_int_equal(FLAT_EXEC(f, 0x50), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_SS_FAULT);
    assert_int_equal(gpr(f)[X86_RSP], 1);
}

static void addresses_wrap_at_64k(void **state)
{
    struct flat_cpu *f = *state;

    real_like_segments(f);
    f->ram[DATA + 1] = 0x42;
    gpr(f)[X86_RBX] = 0xfff0;
    gpr(f)[X86_RSI] = 0x0011;
    assert_int_equal(FLAT_EXEC(f, 0x8a, 0x00), X86_NEXT); /* mov al, [bx+si] */
    assert_int_equal(gpr(f)[X86_RAX] & 0xff, 0x42);
    f->cpu.s.rip = FLAT_CODE;
    gpr(f)[X86_RAX] = 0x12345678;
    assert_int_equal(FLAT_EXEC(f, 0xff, 0xe0), X86_JUMP); /* jmp ax */
    assert_int_equal(f->cpu.s.rip, 0x5678);
    gpr(f)[X86_RCX] = 0x50000;                            /* CX is 0 */
    assert_int_equal(FLAT_EXEC(f, 0xe3, 0x10), X86_JUMP); /* jcxz */
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 0x12);
}

static void decimal_adjust(void **state)
{
    struct flat_cpu *f = *state;

    flat_mode(f, X86_MODE_32, 0);
    for (unsigned a = 0; a < 100; a++) {
        for (unsigned b = 0; b < 100; b++) {
            unsigned sum = (a + b) % 100;

            gpr(f)[X86_RAX] = a / 10 << 4 | a % 10;
            gpr(f)[X86_RCX] = b / 10 << 4 | b % 10;
            FLAT_EXEC(f, 0x00, 0xc8); /* add al, cl */
            FLAT_EXEC(f, 0x27);       /* daa */
            assert_int_equal(gpr(f)[X86_RAX], sum / 10 << 4 | sum % 10);
            assert_int_equal(f->cpu.cc & ALU_CC_CF ? 1 : 0, a + b >= 100);
            FLAT_EXEC(f, 0x28, 0xc8); /* sub al, cl */
            FLAT_EXEC(f, 0x2f);       /* das */
            assert_int_equal(gpr(f)[X86_RAX], a / 10 << 4 | a % 10);
            assert_int_equal(f->cpu.cc & ALU_CC_CF ? 1 : 0, a + b >= 100);
        }
    }
    gpr(f)[X86_RAX] = 0x1234;
    assert_int_equal(FLAT_EXEC(f, 0xd4, 0x00), X86_FAULT); /* aam 0 */
    assert_int_equal(f->cpu.fault.vector, X86_DE);
    FLAT_EXEC(f, 0xd4, 0x0a);
    assert_int_equal(gpr(f)[X86_RAX], 0x0502);
    FLAT_EXEC(f, 0xd5, 0x0a);
    assert_int_equal(gpr(f)[X86_RAX], 52);
}

static void enter_and_bound(void **state)
{
    struct flat_cpu *f = *state;

    store_le64(f->ram + DATA - 8, 0x1111);
    store_le64(f->ram + DATA - 16, 0x2222);
    gpr(f)[X86_RBP] = DATA;
    assert_int_equal(FLAT_EXEC(f, 0xc8, 0x20, 0x00, 0x03), X86_NEXT); /* enter 32, 3 */
    assert_int_equal(gpr(f)[X86_RBP], FLAT_STACK - 8);
    assert_int_equal(gpr(f)[X86_RSP], FLAT_STACK - 8 - 3 * 8 - 32);
    assert_int_equal(load_le64(f->ram + FLAT_STACK - 8), DATA);
    assert_int_equal(load_le64(f->ram + FLAT_STACK - 16), 0x1111);
    assert_int_equal(load_le64(f->ram + FLAT_STACK - 24), 0x2222);
    assert_int_equal(load_le64(f->ram + FLAT_STACK - 32), FLAT_STACK - 8);
    assert_int_equal(FLAT_EXEC(f, 0xc9), X86_NEXT); /* leave */
    assert_int_equal(gpr(f)[X86_RSP], FLAT_STACK);
    assert_int_equal(gpr(f)[X86_RBP], DATA);

    flat_mode(f, X86_MODE_32, 0);
    store_le32(f->ram + DATA, (uint32_t)-5);
    store_le32(f->ram + DATA + 4, 5);
    gpr(f)[X86_RBX] = DATA;
    gpr(f)[X86_RAX] = (uint32_t)-5;
    assert_int_equal(FLAT_EXEC(f, 0x62, 0x03), X86_NEXT);
    gpr(f)[X86_RAX] = 6;
    assert_int_equal(FLAT_EXEC(f, 0x62, 0x03), X86_FAULT);
    assert_int_equal(f->cpu.fault.vector, X86_BR);
}

/* ---- x86_step ---- */

static void step_runs_over_page_ends(void **state)
{
    struct flat_cpu *f = *state;
    static const uint8_t mov[] = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}; /* mov rax, imm64 */

    flat_page(f, DATA + 0x1000, DATA + 0x5000, FLAT_RW); /* neighbours only in linear addresses */
    memcpy(f->ram + DATA + 0xffd, mov, 3);
    memcpy(f->ram + DATA + 0x5000, mov + 3, 7);
    f->cpu.s.rip = DATA + 0xffd;
    assert_int_equal(x86_step(&f->cpu), X86_NEXT);
    assert_int_equal(gpr(f)[X86_RAX], 0x0807060504030201);
    assert_int_equal(f->cpu.s.rip, DATA + 0x1007);
    /* The page behind an instruction that ends before it need not be there. */
    flat_page(f, DATA + 0x1000, 0, 0);
    f->ram[DATA + 0xfff] = 0x90;
    f->cpu.s.rip = DATA + 0xfff;
    assert_int_equal(x86_step(&f->cpu), X86_NEXT);
    assert_int_equal(f->cpu.s.rip, DATA + 0x1000);
    assert_int_equal(f->cpu.instructions, 2);
}

/* The IDT at 0: gates to handlers at FLAT_CODE + 16 * vector; the GDT at 0x800. */
static void make_tables(struct flat_cpu *f)
{
    for (unsigned v = 0; v < 32; v++) {
        uint64_t handler = FLAT_CODE + 16 * v;

        store_le64(f->ram + 0x400 + v * 16,
                   (handler & 0xffff) | 8ULL << 16 | 0x8e00ULL << 32 | (handler >> 16) << 48);
        store_le64(f->ram + 0x400 + v * 16 + 8, 0);
    }
    store_le64(f->ram + 0x808, 0x00af9b000000ffff); /* 64-bit code */
    store_le64(f->ram + 0x810, 0x00cf93000000ffff);
    f->cpu.s.idtr = (struct x86_table_reg){.base = 0x400, .limit = 0x1ff};
    f->cpu.s.gdtr = (struct x86_table_reg){.base = 0x800, .limit = 0x17};
}

static void step_delivers_faults(void **state)
{
    struct flat_cpu *f = *state;

    make_tables(f);
    flat_page(f, DATA, 0, 0);
    f->ram[FLAT_STACK] = 0x8a; /* mov al, [rbx] */
    f->ram[FLAT_STACK + 1] = 0x03;
    f->cpu.s.rip = FLAT_STACK;
    gpr(f)[X86_RBX] = DATA + 5;
    assert_int_equal(x86_step(&f->cpu), X86_FAULT);
    assert_int_equal(f->cpu.s.rip, FLAT_CODE + 16 * X86_PF);
    assert_int_equal(f->cpu.s.cr2, DATA + 5);
    assert_int_equal(load_le64(f->ram + gpr(f)[X86_RSP] + 8), FLAT_STACK); /* above the error code */
}

static void step_traps_each_instruction(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t code = DATA;

    make_tables(f);
    f->ram[code] = 0xf3; /* rep stosb */
    f->ram[code + 1] = 0xaa;
    f->ram[code + 2] = 0x90;
    for (unsigned i = 0; i < 3; i++) {
        f->cpu.s.rip = code;
        gpr(f)[X86_RSP] = FLAT_STACK;
        f->cpu.s.rflags = X86_FL_FIXED | X86_FL_TF;
        gpr(f)[X86_RCX] = 3 - i;
        gpr(f)[X86_RDI] = DATA + 0x100;
        assert_int_equal(x86_step(&f->cpu), X86_FAULT);
        assert_int_equal(f->cpu.s.rip, FLAT_CODE + 16 * X86_DB);
        assert_int_equal(gpr(f)[X86_RCX], 2 - i);
        /* after the last repetition the next instruction is behind it */
        assert_int_equal(load_le64(f->ram + gpr(f)[X86_RSP]), i == 2 ? code + 2 : code);
        assert_true(f->cpu.s.dr[6] & X86_DR6_BS);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(partial_register_writes),
        TEST(flags_go_around),
        TEST(rcl_all_counts),
        TEST(division_faults),
        TEST(bit_strings),
        TEST(rep_bsf_without_bmi),
        TEST(store_across_unmapped_page),
        TEST(read_only_pages),
        TEST(stack_pointer_survives_faults),
        TEST(non_canonical_operands),
        TEST(pop_through_moved_stack_pointer),
        TEST(alignment_check),
        TEST(cmpxchg16b),
        TEST(cmpxchg8b),
        TEST(locked_from_two_threads),
        TEST(mmio_accesses),
        TEST(watched_pages_are_told),
        TEST(strings_wrap_at_64k),
        TEST(stack_wraps_at_64k),
        TEST(addresses_wrap_at_64k),
        TEST(decimal_adjust),
        TEST(enter_and_bound),
        TEST(step_runs_over_page_ends),
        TEST(step_delivers_faults),
        TEST(step_traps_each_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
