/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little- and big-endian integers at any address, and the four memory
 * functions that even a freestanding compiler may call.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/base.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_le16(void *p, uint16_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline void store_le32(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline void store_le64(void *p, uint64_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline uint16_t load_be16(const void *p)
{
    return __builtin_bswap16(load_le16(p));
}

static inline uint32_t load_be32(const void *p)
{
    return __builtin_bswap32(load_le32(p));
}

static inline uint64_t load_be64(const void *p)
{
    return __builtin_bswap64(load_le64(p));
}

static inline void store_be16(void *p, uint16_t v)
{
    store_le16(p, __builtin_bswap16(v));
}

static inline void store_be32(void *p, uint32_t v)
{
    store_le32(p, __builtin_bswap32(v));
}

static inline void store_be64(void *p, uint64_t v)
{
    store_le64(p, __builtin_bswap64(v));
}

/* The low `size` bytes (1, 2, 4 or 8) of v; every bit above is zero. */
static inline uint64_t low_bytes(uint64_t v, unsigned size)
{
    return size >= 8 ? v : v & ((1ULL << (size * 8)) - 1);
}

/* v's low `size` bytes (1, 2, 4 or 8), sign-extended to 64 bits. */
static inline int64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned shift = 64 - size * 8;
    return (int64_t)(v << shift) >> shift;
}

#endif
