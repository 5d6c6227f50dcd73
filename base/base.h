/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every file of batuta may assume: fixed-width integers, bool, and a few
 * macros. Freestanding: nothing here needs a C library.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)     __builtin_expect(!!(x), 1)
#define unlikely(x)   __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Of one type, as far as signs go; each argument is evaluated once. Not in constant expressions. */
#define MIN(a, b)          PICK_(<, a, b, __COUNTER__)
#define MAX(a, b)          PICK_(>, a, b, __COUNTER__)
#define PICK_(is, a, b, n) PICK__(is, a, b, n)
#define PICK__(is, a, b, n)                                                                                  \
    ({                                                                                                       \
        __typeof__(a) a_##n = (a);                                                                           \
        __typeof__(b) b_##n = (b);                                                                           \
        a_##n is b_##n ? a_##n : b_##n;                                                                      \
    })

#define BIT(n)   (1U << (n))
#define BIT64(n) (1ULL << (n))

/* Rounds to a multiple of n, a power of two. */
#define ALIGN_DOWN(x, n) ((x) & ~((__typeof__(x))(n)-1))
#define ALIGN_UP(x, n)   ALIGN_DOWN((x) + ((__typeof__(x))(n)-1), n)

#define KIB(n)           ((uint64_t)(n) << 10)
#define MIB(n)           ((uint64_t)(n) << 20)
#define GIB(n)           ((uint64_t)(n) << 30)

/* The structure of which ptr is the member. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ATTR_PRINTF(fmt, args)          __attribute__((format(printf, fmt, args)))
#define ATTR_NOINLINE                   __attribute__((noinline))
#define ATTR_COLD                       __attribute__((cold))

/*
 * States one of our own invariants: never what a guest, a file or a peer sent.
 * A false one is a bug in batuta and ends the program in a trap.
 */
#define base_assert(cond)                                                                                    \
    do {                                                                                                     \
        if (unlikely(!(cond)))                                                                               \
            __builtin_trap();                                                                                \
    } while (0)

#endif
