/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte strings for the comparison. A few are noise; most are put together as an
 * instruction is, so that every opcode of every map is met with every kind of
 * prefix, ModRM and SIB; some have the fixed bits of a row of the table.
 */
#include "tests/diff/insn-random.h"
#include "tests/diff/zydis.h"
#include "x86/insn-table-internal.h"

struct writer {
    uint8_t *at, *end;
};

static void put(struct writer *w, unsigned byte)
{
    if (w->at < w->end)
        *w->at++ = (uint8_t)byte;
}

/* Takes the lowest bits of *random as a number below n (a power of two). */
static unsigned take(uint64_t *random, unsigned n)
{
    unsigned value = (unsigned)*random & (n - 1);
    *random /= n;
    return value;
}

static void put_prefixes(struct writer *w, uint64_t *random, enum x86_mode mode)
{
    static const uint8_t legacy[16] = {0x66, 0x66, 0x66, 0xf2, 0xf2, 0xf3, 0xf3, 0xf0,
                                       0x67, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
    static const uint8_t counts[16] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4};
    unsigned count = counts[take(random, 16)];
    for (unsigned i = 0; i < count; i++) {
        put(w, legacy[take(random, 16)]);
        if (mode == X86_MODE_64 && take(random, 64) == 0)
            put(w, 0x40 + take(random, 16));
    }
    if (mode == X86_MODE_64 && take(random, 2))
        put(w, 0x40 + take(random, 16));
}

static void put_opcode(struct writer *w, uint64_t *random)
{
    unsigned kind = take(random, 16), opcode = take(random, 256);
    if (kind < 3) {
        put(w, opcode);
    } else if (kind < 8) {
        put(w, 0x0f);
        put(w, opcode);
    } else if (kind < 11) {
        put(w, 0x0f);
        put(w, kind == 8 ? 0x3a : 0x38);
        put(w, opcode);
    } else if (kind < 12) {
        put(w, 0xc5);
        put(w, take(random, 256) | (take(random, 2) ? 0x78 : 0));
        put(w, opcode);
    } else if (kind < 15) {
        static const uint8_t maps[8] = {1, 2, 2, 2, 3, 3, 0, 5};
        unsigned map = maps[take(random, 8)];
        put(w, 0xc4);
        put(w, take(random, 8) << 5 | (map ? map : take(random, 32)));
        put(w, take(random, 256) | (take(random, 2) ? 0x78 : 0));
        put(w, opcode);
    } else {
        put(w, take(random, 2) ? 0x62 : 0x8f);
        put(w, opcode);
    }
}

static void put_random(struct writer *w, uint64_t *state)
{
    while (w->at < w->end) {
        uint64_t r = x86_random_next(state);
        for (unsigned i = 0; i < 8 && w->at < w->end; i++, r >>= 8)
            *w->at++ = (uint8_t)r;
    }
}

/* A row's fixed bits in a random value. */
static unsigned key_field(const struct insn_desc *desc, unsigned shift, unsigned width, unsigned random)
{
    unsigned mask = desc->mask >> shift & (BIT(width) - 1), value = desc->value >> shift & (BIT(width) - 1);
    return (random & ~mask & (BIT(width) - 1)) | value;
}

static void put_row_vex(struct writer *w, uint64_t *random, const struct insn_desc *desc)
{
    unsigned vvvv = desc->flags & INSN_VVVV || take(random, 32) == 0 ? take(random, 16) : 15;
    unsigned wide = key_field(desc, KEY_W_SHIFT, 1, take(random, 2));
    unsigned payload = vvvv << 3 | key_field(desc, KEY_L_SHIFT, 1, take(random, 2)) << 2 |
                       key_field(desc, KEY_PP_SHIFT, 2, 0);
    put(w, 0xc4);
    put(w, take(random, 8) << 5 | (desc->map & 3));
    put(w, wide << 7 | payload);
}

/* The fixed bits of a random row, so that the rare ones are met too. */
static void put_row(struct writer *w, uint64_t *state, enum x86_mode mode)
{
    static const uint8_t mandatory[] = {[PP_66] = 0x66, [PP_F3] = 0xf3, [PP_F2] = 0xf2};
    uint64_t random = x86_random_next(state), more = x86_random_next(state);
    const struct insn_desc *desc = &x86_insn_descs[random % x86_insn_row_count()];
    unsigned pp = key_field(desc, KEY_PP_SHIFT, 2, 0);
    put_prefixes(w, &more, X86_MODE_32);
    if (desc->map >= 4) {
        put_row_vex(w, &more, desc);
    } else {
        if (pp)
            put(w, mandatory[pp]);
        if (mode == X86_MODE_64 && (take(&more, 2) || desc->mask & desc->value & KEY_W))
            put(w, 0x40 | key_field(desc, KEY_W_SHIFT, 1, take(&more, 2)) << 3 | take(&more, 8));
        if (desc->map)
            put(w, 0x0f);
        if (desc->map > 1)
            put(w, desc->map == 2 ? 0x38 : 0x3a);
    }
    put(w, desc->opcode + take(&more, 16) % desc->span);
    if (!(desc->flags & INSN_MODRM))
        return;
    unsigned mod = take(&more, 4);
    if (desc->mask & KEY_MOD3)
        mod = desc->value & KEY_MOD3 ? 3 : mod % 3;
    put(w, mod << 6 | key_field(desc, KEY_REG_SHIFT, 3, take(&more, 8)) << 3 |
               key_field(desc, KEY_RM_SHIFT, 3, take(&more, 8)));
}

static void put_instruction(struct writer *w, uint64_t *random, uint64_t *more, enum x86_mode mode)
{
    put_prefixes(w, random, mode);
    put_opcode(w, more);
    if (take(more, 2))
        put(w, take(more, 2) ? 0xc0 | take(more, 64) : 0x04 | take(more, 256));
}

/* So many prefixes that the end lies about at the limit of 15 bytes. */
static void put_too_long(struct writer *w, uint64_t *random, enum x86_mode mode)
{
    for (unsigned i = 0; i < 7; i++)
        put(w, take(random, 2) ? 0x66 : 0x2e);
    put_prefixes(w, random, mode);
    put_opcode(w, random);
}

void zydis_bytes(uint64_t *state, struct pair *pair)
{
    static const enum x86_mode modes[4] = {X86_MODE_64, X86_MODE_64, X86_MODE_32, X86_MODE_16};
    struct writer w = {pair->bytes, pair->bytes + ZYDIS_BYTES};
    uint64_t random = x86_random_next(state), more = x86_random_next(state);
    pair->mode = modes[take(&random, 4)];
    pair->avail = take(&random, 8) ? ZYDIS_BYTES : take(&random, 16);
    if (pair->avail == 0)
        pair->avail = 1;
    unsigned kind = take(&random, 16);
    if (kind < 5)
        put_row(&w, state, pair->mode);
    else if (kind < 14)
        put_instruction(&w, &random, &more, pair->mode);
    else if (kind == 14 && take(&random, 8) == 0)
        put_too_long(&w, &random, pair->mode);
    put_random(&w, state);
}
