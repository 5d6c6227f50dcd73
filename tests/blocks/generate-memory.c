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
