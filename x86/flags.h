/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RFLAGS in two places: the arithmetic bits in cpu->cc while guest code runs
 * (x86/alu.h), all others in s.rflags. x86_flags_get() joins them.
 */
#ifndef X86_FLAGS_H
#define X86_FLAGS_H

#include "x86/alu.h"
#include "x86/exec.h"

/* Replaces the arithmetic flags under mask (X86_FL_…) by those of flags. */
static inline void x86_flags_arith(struct x86_cpu *cpu, uint32_t mask, uint32_t flags)
{
    uint32_t m = alu_cc_from_flags(mask);

    cpu->cc = (cpu->cc & ~m) | (alu_cc_from_flags(flags) & m);
}

static inline bool x86_carry(const struct x86_cpu *cpu)
{
    return cpu->cc & ALU_CC_CF;
}

#endif
