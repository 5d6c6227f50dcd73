/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte strings for the comparison. A few are noise; most are put together as an
 * instruction is, so that every opcode of every map is met with every kind of
 * prefix, ModRM and SIB.
 */
#include "tests/diff/insn-random.h"
#include "tests/diff/zydis.h"

#include <string.h>

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

void zydis_bytes(uint64_t *state, struct pair *pair)
{
    static const enum x86_mode modes[4] = {X86_MODE_64, X86_MODE_64, X86_MODE_32, X86_MODE_16};
    struct writer w = {pair->bytes, pair->bytes + ZYDIS_BYTES};
    uint64_t random = x86_random_next(state), more = x86_random_next(state);
    pair->mode = modes[take(&random, 4)];
    pair->avail = take(&random, 8) ? ZYDIS_BYTES : take(&random, 16);
    if (pair->avail == 0)
        pair->avail = 1;
    if (take(&random, 16)) {
        /* Once in a while enough prefixes to be too long. */
        while (take(&random, 512) == 0)
            memset(w.at, 0x66, 4), w.at += w.at + 4 < w.end ? 4 : 0;
        put_prefixes(&w, &random, pair->mode);
        put_opcode(&w, &more);
        if (take(&more, 2))
            put(&w, take(&more, 2) ? 0xc0 | take(&more, 64) : 0x04 | take(&more, 256));
    }
    put_random(&w, state);
}
