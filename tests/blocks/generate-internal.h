/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of the generator: how items are made. */
#ifndef TESTS_BLOCKS_GENERATE_INTERNAL_H
#define TESTS_BLOCKS_GENERATE_INTERNAL_H

#include "tests/blocks/blocks.h"

#include "tests/diff/random-values.h"

#include <string.h>

struct maker {
    struct block *block;
    const struct x86_cpuid_model *model;
    uint64_t r;
    bool floating; /* a block that is mostly x87 */
};

static inline struct item *new_item(struct maker *m)
{
    struct item *it = &m->block->item[m->block->count++];

    *it = (struct item){0};
    return it;
}

static inline void put(struct item *it, uint8_t byte)
{
    it->bytes[it->length++] = byte;
}

static inline void put_n(struct item *it, const void *bytes, size_t n)
{
    memcpy(it->bytes + it->length, bytes, n);
    it->length = (uint8_t)(it->length + n);
}

static inline void put32(struct item *it, uint32_t value)
{
    put_n(it, &value, 4);
}

static inline bool is_64(const struct maker *m)
{
    return m->block->mode == X86_MODE_64;
}

/* generate-x87.c: control words, saved states, MMX, CR0.TS and CR0.EM between x87 instructions. */
void generate_x87(struct maker *m);
void generate_x87_start(struct maker *m, struct x86_state *s);

/* generate-memory.c: another stack, and pushes of what crosses into the next page; a base register that moves
 * by a constant; absolute addresses. */
void generate_stack(struct maker *m);
void generate_move(struct maker *m);
void generate_absolute(struct maker *m);

#endif
