/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random operands that meet corners more often than chance would. */
#ifndef TESTS_DIFF_RANDOM_VALUES_H
#define TESTS_DIFF_RANDOM_VALUES_H

#include "tests/diff/insn-random.h"

static inline unsigned below(uint64_t *r, unsigned n)
{
    return (unsigned)((x86_random_next(r) >> 32) * n >> 32);
}

static inline bool one_in(uint64_t *r, unsigned n)
{
    return below(r, n) == 0;
}

uint64_t random_value(uint64_t *r);
void random_bytes(uint64_t *r, void *p, size_t n);
/* 32 bytes: integers, floats or doubles. */
void random_vector(uint64_t *r, uint8_t *p);
uint32_t random_mxcsr(uint64_t *r);
/* An 80-bit real, valid or not; 10 bytes. */
void random_x87(uint64_t *r, uint8_t *p);
/* The x87 part of an FXSAVE image, registers as well if asked for. */
void random_x87_state(uint64_t *r, uint8_t *image, bool registers);
/* An image for FXRSTOR or XRSTOR, most often a valid one. */
void random_saved_state(uint64_t *r, uint8_t *image, bool xsave);

#endif
