/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The four functions of base/bytes.h. The string instructions are the processor's own
 * fast way for long pieces; short ones, which are most, go word by word. Compiled so
 * that the compiler does not find a memcpy() in these loops and calls it.
 */
#include "base/bytes.h"

static inline void *copy_forward(uint8_t *d, const uint8_t *s, size_t n)
{
    uint8_t *dst = d;

    if (n >= 64) {
        size_t words = n / 8;

        __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
        n &= 7;
    }
    for (; n >= 8; n -= 8, d += 8, s += 8)
        store_le64(d, load_le64(s));
    for (; n; n--)
        *d++ = *s++;
    return dst;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    return copy_forward(dst, src, n);
}

void *memmove(void *dst, const void *src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;

    /* Forward is right for a lower destination, word by word or not: each is read before it is written. */
    if (d <= s || d >= s + n)
        return copy_forward(d, s, n);
    while (n >= 8) {
        n -= 8;
        store_le64(d + n, load_le64(s + n));
    }
    while (n) {
        n--;
        d[n] = s[n];
    }
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    uint8_t *d = dst;
    uint64_t word = 0x0101010101010101ULL * (uint8_t)c;

    if (n >= 64) {
        size_t words = n / 8;

        __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
        n &= 7;
    }
    for (; n >= 8; n -= 8, d += 8)
        store_le64(d, word);
    for (; n; n--)
        *d++ = (uint8_t)c;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;

    for (; n >= 8 && load_le64(p) == load_le64(q); n -= 8, p += 8)
        q += 8;
    for (; n; n--, p++, q++) {
        if (*p != *q)
            return *p - *q;
    }
    return 0;
}
