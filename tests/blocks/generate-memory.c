/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory operands that random instructions seldom have. */
#include "tests/blocks/generate-internal.h"

/* Another stack, and pushes; the first one of what crosses into the next page, mostly. */
void generate_stack(struct maker *m)
{
    struct item *it = new_item(m);

    put(it, 0xbc); /* mov esp, … */
    put32(it, (uint32_t)STACK_BASE + 64 + below(&m->r, 0x1f00 / 8) * 8);
    put_n(it, "\xff\x34\x25", 3); /* push […] */
    put32(it, (uint32_t)DATA_BASE + 0x1000 - below(&m->r, 10));
    for (unsigned n = below(&m->r, 4); n; n--)
        put(it, (uint8_t)((one_in(&m->r, 3) ? 0x58 : 0x50) + below(&m->r, 2)));
}

/* A base register moves by a constant: accesses on both sides of it may share a check. */
void generate_move(struct maker *m)
{
    static const uint8_t bases[] = {X86_RBX, X86_RBX, X86_RBP, X86_RDI, X86_RSP};
    uint8_t reg = bases[below(&m->r, ARRAY_SIZE(bases))];
    unsigned span = one_in(&m->r, 8) ? 0x1800 : 128;
    struct item *it = new_item(m);

    if (is_64(m))
        put(it, 0x48);
    if (one_in(&m->r, 3)) {
        put(it, 0x8d); /* lea */
        put(it, (uint8_t)(0x80 | reg << 3 | reg));
        if (reg == X86_RSP)
            put(it, 0x24);
    } else {
        put(it, 0x81);
        put(it, (uint8_t)((one_in(&m->r, 2) ? 0xc0 : 0xe8) | reg)); /* add, sub */
    }
    put32(it, below(&m->r, span) - span / 2);
}

/* MOV of the accumulator from and to an address in full. */
void generate_absolute(struct maker *m)
{
    struct item *it = new_item(m);
    uint64_t at = DATA_BASE + below(&m->r, one_in(&m->r, 4) ? 0x6000 : 0x2000);

    if (one_in(&m->r, 16))
        at = x86_random_next(&m->r);
    if (one_in(&m->r, 4)) {
        put(it, one_in(&m->r, 2) ? 0x64 : 0x65);
        at -= 128;
    }
    if (one_in(&m->r, 4))
        put(it, 0x66);
    if (is_64(m) && one_in(&m->r, 3))
        put(it, 0x48);
    put(it, (uint8_t)(0xa0 + below(&m->r, 4)));
    put_n(it, &at, is_64(m) ? 8 : 4);
}
