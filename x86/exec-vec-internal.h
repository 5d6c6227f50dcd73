/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of vector and x87 semantics share. */
#ifndef X86_EXEC_VEC_INTERNAL_H
#define X86_EXEC_VEC_INTERNAL_H

#include "x86/exec-vec.h"
#include "x86/fpu.h"
#include "x86/insn-ids.h"
#include "x86/operand.h"
#include "x86/thunk.h"

/* A memory operand, reachable by the host: guest RAM itself, or `bounce` where that cannot be. */
struct vec_memory {
    uint8_t bounce[64] __attribute__((aligned(64)));
    void *host;
    uint64_t lin;
    unsigned size;
    bool write;
};

/* Checks alignment, rights and presence, and reads what is to be read. False: fault is set. */
bool vec_memory_begin(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_thunk *thunk,
                      struct vec_memory *m, bool bounce);
/* After a write to m->host. */
bool vec_memory_end(struct x86_cpu *cpu, struct vec_memory *m);

/* The first MMX instruction: TOP becomes 0 and all registers are in use. */
void vec_mmx_enter(struct x86_cpu *cpu);

/* An x87 exception is pending: the next waiting instruction raises #MF (with CR0.NE clear too: IRQ 13 is not
 * modelled). */
static inline bool vec_x87_pending(const struct x86_cpu *cpu)
{
    return cpu->s.x87.fsw & X86_FSW_ES;
}

enum x86_result vec_run_x87(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_thunk *thunk);

#endif
