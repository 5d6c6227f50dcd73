/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fast 64-bit hash, for telling whether two states are the same. It is no
 * protection against somebody who wants two things to look alike.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/bytes.h"

#define HASH_BEGIN 0x243f6a8885a308d3ULL

static inline uint64_t hash_word(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9fb21c651e98df25ULL;
    return h ^ h >> 32;
}

/* Goes on from h. The length counts: what is hashed in other pieces has another hash. */
static inline uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t lane[4] = {h, ~h, h << 1 | 1, len}, tail = 0;
    size_t left = len;

    /* Four at a time do not wait for each other's multiplications. */
    for (; left >= 32; p += 32, left -= 32) {
        for (unsigned i = 0; i < 4; i++)
            lane[i] = hash_word(lane[i], load_le64(p + 8 * i));
    }
    for (; left >= 8; p += 8, left -= 8)
        lane[0] = hash_word(lane[0], load_le64(p));
    while (left)
        tail = tail << 8 | p[--left];
    lane[0] = hash_word(lane[0], tail);
    return hash_word(hash_word(hash_word(lane[0], lane[1]), lane[2]), lane[3]);
}

#endif
