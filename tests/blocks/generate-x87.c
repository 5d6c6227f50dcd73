/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What random instructions seldom come to: a control word that means something, states
 * saved right behind an instruction and some branches later, arithmetic on a stack that
 * is not empty, and a unit that is taken away in between.
 */
#include "tests/blocks/generate-internal.h"

#include "x86/fpu.h"

#include <stdlib.h>

/* [rBX + disp32], of an instruction with the opcode's extension reg. */
static void put_operand(struct item *it, unsigned reg, uint32_t disp)
{
    put(it, (uint8_t)(0x83 | reg << 3));
    put32(it, disp);
}

/* Most of them mask all; precision and rounding vary. Sometimes bits that do not exist are set. */
static uint16_t random_fcw(struct maker *m)
{
    unsigned fcw = (unsigned)x86_random_next(&m->r) & 0xf00;

    fcw |= one_in(&m->r, 4) ? 0xe07f : 0x3f;
    if (one_in(&m->r, 8))
        fcw ^= 1U << below(&m->r, 6);
    return (uint16_t)fcw;
}

static void put_fldcw(struct maker *m)
{
    struct item *it = new_item(m);

    put(it, 0x68); /* push … */
    put32(it, random_fcw(m));
    put_n(it, "\xd9\x2c\x24", 3); /* fldcw [rsp] */
    put(it, 0x58);                /* pop rax */
}

/* FNSTENV, FNSAVE, FLDENV, FRSTOR; 14 bytes or 28. */
static void put_environment(struct maker *m)
{
    static const uint8_t what[][2] = {{0xd9, 6}, {0xd9, 6}, {0xd9, 6}, {0xdd, 6}, {0xd9, 4}, {0xdd, 4}};
    const uint8_t *w = what[below(&m->r, ARRAY_SIZE(what))];
    struct item *it = new_item(m);
    uint32_t at = below(&m->r, 4) * 128;

    if (one_in(&m->r, 4))
        put(it, 0x66);
    put(it, w[0]);
    put_operand(it, w[1], at);
    if (w[1] == 6 && one_in(&m->r, 4)) { /* and back as it was */
        put(it, w[0]);
        put_operand(it, 4, at);
    }
}

/* FXSAVE, XSAVE, XSAVEOPT, XSAVEC; and back. The bases point to multiples of 64. */
static void put_saved(struct maker *m)
{
    static const uint8_t what[][2] = {{0xae, 0}, {0xae, 0}, {0xae, 4}, {0xae, 6}, {0xc7, 4}};
    const uint8_t *w = what[below(&m->r, ARRAY_SIZE(what))];
    bool wide = is_64(m) && one_in(&m->r, 2), back = one_in(&m->r, 4);
    struct item *it = new_item(m);
    uint32_t at = below(&m->r, 4) * 64;

    if (w[1]) {
        put(it, 0xb8); /* mov eax, … */
        put32(it, one_in(&m->r, 4) ? below(&m->r, 8) : 7);
        put_n(it, "\x31\xd2", 2); /* xor edx, edx */
    }
    for (unsigned i = 0; i <= back; i++) {
        if (wide)
            put(it, 0x48);
        put(it, 0x0f);
        put(it, i ? 0xae : w[0]);
        put_operand(it, i ? (w[1] ? 5 : 1) : w[1], at);
    }
}

/* FNCLEX, FNINIT, FWAIT, FNSTSW AX, FNOP, FINCSTP, FDECSTP, EMMS. */
static void put_plain(struct maker *m)
{
    static const char *const plain[] = {"\xdb\xe2", "\xdb\xe3", "\x9b",     "\xdf\xe0",
                                        "\xd9\xd0", "\xd9\xf7", "\xd9\xf6", "\x0f\x77"};
    const char *p = plain[below(&m->r, ARRAY_SIZE(plain))];

    put_n(new_item(m), p, strlen(p));
}

/* Constants onto the stack, something on the two topmost, one back to memory, in all sizes. */
static void put_arithmetic(struct maker *m)
{
    static const uint8_t loads[][2] = {{0xd9, 0}, {0xdd, 0}, {0xdb, 5}, {0xdf, 0}, {0xdb, 0}, {0xdf, 5}};
    static const uint8_t stores[][2] = {{0xd9, 3}, {0xdd, 3}, {0xdb, 7}, {0xdf, 3}, {0xdb, 3}, {0xdf, 7},
                                        {0xd9, 2}, {0xdd, 2}, {0xdf, 2}, {0xdb, 2}, {0xdb, 1}, {0xdf, 6}};
    struct item *it = new_item(m);
    const uint8_t *w;

    if (one_in(&m->r, 3)) {
        put(it, 0xd9);
        put(it, (uint8_t)(0xe8 + below(&m->r, 7))); /* FLD1 and its kin */
    } else {
        w = loads[below(&m->r, ARRAY_SIZE(loads))];
        put(it, w[0]);
        put_operand(it, w[1], below(&m->r, 40) * 8);
    }
    if (!one_in(&m->r, 3)) {
        put(it, (uint8_t)(0xd8 + below(&m->r, 8)));
        put(it, (uint8_t)(0xc0 + below(&m->r, 64)));
    }
    if (one_in(&m->r, 2)) {
        w = stores[below(&m->r, ARRAY_SIZE(stores))];
        put(it, w[0]);
        put_operand(it, w[1], below(&m->r, 40) * 8);
    }
}

/* A comparison, and a branch or a move by it. */
static void put_compare(struct maker *m)
{
    static const uint8_t compares[][2] = {{0xdb, 0xf0}, {0xdb, 0xe8}, {0xdf, 0xf0}, {0xdf, 0xe8}};
    const uint8_t *w = compares[below(&m->r, ARRAY_SIZE(compares))];
    struct item *it = new_item(m);

    put(it, w[0]);
    put(it, (uint8_t)(w[1] + below(&m->r, 8)));
    if (one_in(&m->r, 2)) {
        put(it, (uint8_t)(0xda + below(&m->r, 2))); /* FCMOVcc */
        put(it, (uint8_t)(0xc0 + below(&m->r, 32)));
    } else {
        put_n(it, "\x0f\x9a\xc0", 3); /* setp al */
    }
}

/* An access that faults, or does so after it has crossed into the page that is not there. */
static void put_bad_access(struct maker *m)
{
    static const uint8_t what[][2] = {{0xd9, 0}, {0xdd, 0}, {0xdb, 5}, {0xdd, 3}, {0xdb, 7},
                                      {0xdf, 7}, {0xd8, 0}, {0xdc, 1}, {0xd9, 5}, {0xdd, 7}};
    const uint8_t *w = what[below(&m->r, ARRAY_SIZE(what))];
    struct item *it = new_item(m);
    uint64_t page = DATA_BASE + (one_in(&m->r, 2) ? 3 : 2) * 4096ULL;

    put(it, 0xb9); /* mov ecx, … */
    put32(it, (uint32_t)page + below(&m->r, 24) - 12);
    put(it, w[0]);
    put(it, (uint8_t)(1 | w[1] << 3));
}

/* MMX between x87 instructions: all tags become valid, the stack's top 0. */
static void put_mmx(struct maker *m)
{
    static const char *const mmx[] = {"\x0f\xef\xc1", "\x0f\x6f\xca", "\x0f\xfe\xd3",
                                      "\x0f\x6e\xd8", "\x0f\x7e\xd8", "\x0f\x77"};
    struct item *it = new_item(m);
    const char *p = mmx[below(&m->r, ARRAY_SIZE(mmx))];

    put_n(it, p, strlen(p));
    if (one_in(&m->r, 2)) {
        put_n(it, "\x0f\x7f", 2); /* movq [rbx + …], mm0 */
        put_operand(it, 0, below(&m->r, 40) * 8);
    }
}

/* CR0.TS or CR0.EM, in the middle. */
static void put_take_away(struct maker *m)
{
    struct item *it = new_item(m);

    if (m->block->user || !is_64(m) || one_in(&m->r, 2)) {
        put_n(it, "\x9b", 1);
        return;
    }
    if (one_in(&m->r, 2)) {
        put_n(it, "\x0f\x06", 2); /* clts */
        return;
    }
    put_n(it, "\x0f\x20\xc0\x83\xf0", 5); /* mov rax, cr0; xor eax, … */
    put(it, one_in(&m->r, 3) ? X86_CR0_EM : X86_CR0_TS);
    put_n(it, "\x0f\x22\xc0", 3);
}

void generate_x87(struct maker *m)
{
    static void (*const some[])(struct maker * m) = {
        put_fldcw,      put_fldcw,   put_environment, put_environment, put_saved, put_plain,
        put_arithmetic, put_compare, put_arithmetic,  put_arithmetic,  put_mmx,   put_arithmetic};

    if (one_in(&m->r, 24))
        put_bad_access(m);
    else if (one_in(&m->r, 32))
        put_take_away(m);
    else
        some[below(&m->r, ARRAY_SIZE(some))](m);
}

/* As if something had run before: where it was shows until another instruction has run. */
void generate_x87_start(struct maker *m, struct x86_state *s)
{
    s->mxcsr = one_in(&m->r, 4) ? random_mxcsr(&m->r) : X86_MXCSR_INIT;
    s->x87.fcw = X86_FCW_INIT;
    if (one_in(&m->r, 8))
        s->x87.fcw = (uint16_t)((x86_random_next(&m->r) & 0xf3f) | 0x40);
    s->x87.ftw = one_in(&m->r, 2) ? (uint8_t)x86_random_next(&m->r) : 0;
    s->x87.fsw = (uint16_t)(below(&m->r, 8) << X86_FSW_TOP_SHIFT);
    if (one_in(&m->r, 4)) {
        s->x87.fsw |= (uint16_t)x86_random_next(&m->r) & 0x477f;
        x86_x87_update_summary(&s->x87);
    }
    s->x87.fop = (uint16_t)x86_random_next(&m->r) & 0x7ff;
    s->x87.fip = x86_random_next(&m->r) >> 16;
    s->x87.fdp = x86_random_next(&m->r) >> 16;
    for (unsigned i = 0; i < 8; i++)
        random_x87(&m->r, s->x87.st[i]);
    if (one_in(&m->r, 24))
        s->cr0 |= one_in(&m->r, 2) ? X86_CR0_TS : X86_CR0_EM;
}
