/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random encodings of one row of the instruction table, for tests that run the
 * same instruction in two places. 64-bit mode only.
 */
#ifndef TESTS_DIFF_INSN_RANDOM_H
#define TESTS_DIFF_INSN_RANDOM_H

#include "x86/insn.h"

/* What the caller can bear. All zeros: registers only, any of them. */
struct x86_random_options {
    uint32_t
        avoid; /* mask by enum x86_gpr: never an operand (implicit ones are not counted), base or index */
    bool allow_mem;   /* the ModRM operand may be memory: [mem_base + disp32] */
    bool only_mem;    /* … and must be, where the row has a memory form; else -EINVAL */
    uint8_t mem_base; /* enum x86_gpr; may be in `avoid` */
    int32_t disp_min; /* the displacement lies within these, and is a multiple of disp_align */
    int32_t disp_max;
    uint32_t disp_align; /* 0: 1 */
    bool allow_lock;     /* now and then a LOCK, where it is legal */
    bool allow_segment;  /* now and then a DS, ES, SS or CS override, which 64-bit mode ignores */
    bool allow_index;    /* now and then mem_index as the index, with any scale */
    uint8_t mem_index;   /* enum x86_gpr but rSP */
    uint16_t vsib_mask;  /* gathers: vector registers that may be the index; 0: any */
};

/* xorshift64*: the tests' generator. *state must not be 0. */
uint64_t x86_random_next(uint64_t *state);

/*
 * Writes the bytes of a random valid encoding of `row` to out, and if insn is not
 * NULL what x86_decode() says of them. Returns the length; -EINVAL if the row has
 * no encoding in 64-bit mode that the options allow. Rows with implicit memory
 * (strings, XLAT, MASKMOVQ) and branches are made like any other: look at
 * insn->op and x86_insn_row() to leave them out.
 */
int x86_insn_random(uint64_t *state, uint16_t row, const struct x86_random_options *options, uint8_t out[15],
                    struct x86_insn *insn);

#endif
