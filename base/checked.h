/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic on sizes and offsets that foreigners chose. Each function is true
 * when the result fits and then stores it; on false the output is untouched.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include "base/base.h"

static inline bool add_fits(uint64_t a, uint64_t b, uint64_t *sum)
{
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *sum = r;
    return true;
}

static inline bool mul_fits(uint64_t a, uint64_t b, uint64_t *product)
{
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *product = r;
    return true;
}

/* Is [start, start + len) inside [0, limit)? Never wraps; an empty range at limit is inside. */
static inline bool range_inside(uint64_t start, uint64_t len, uint64_t limit)
{
    return start <= limit && len <= limit - start;
}

/* Do [a, a + alen) and [b, b + blen) share a byte? Neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen && blen && a <= b + (blen - 1) && b <= a + (alen - 1);
}

#endif
