/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Semantics: what each instruction does to a processor.
 *
 * One function per mnemonic (or family), found by x86_exec_table[id]. These are
 * the reference: exact, with every check, in every mode. Engines may have
 * faster ways for common cases and call these for all others.
 *
 * A semantic function sees s.rip at the instruction itself and must leave all
 * architectural state unchanged if it returns X86_FAULT (but for what the
 * architecture says: string instructions' progress, accessed bits …).
 */
#ifndef X86_EXEC_H
#define X86_EXEC_H

#include "x86/cpu.h"

enum x86_result {
    X86_NEXT,  /* go on with the following instruction (the caller advances s.rip) */
    X86_JUMP,  /* s.rip was set */
    X86_AGAIN, /* the same instruction goes on (REP after a slice): s.rip stays; poll requests first */
    X86_FAULT, /* cpu->fault is set, s.rip is at the instruction */
    X86_BREAK, /* as NEXT, but decoded blocks, mode or interrupt conditions may have changed: end the block */
    X86_HALT,  /* as NEXT; s.activity was set */
};

typedef enum x86_result x86_exec_fn(struct x86_cpu *cpu, const struct x86_insn *insn);

/* By enum x86_id; no entry is NULL: what has no semantics raises #UD. */
extern x86_exec_fn *const x86_exec_table[];

/* Sets cpu->fault; returns X86_FAULT. The first is for vectors without an error code. */
enum x86_result x86_raise(struct x86_cpu *cpu, enum x86_vector vector);
enum x86_result x86_raise_error(struct x86_cpu *cpu, enum x86_vector vector, uint32_t error);

/*
 * Checks that hold for every execution of the instruction in the present state:
 * CPUID feature, CPL of privileged rows, CR0.EM/TS/MP, CR4.OSFXSR/OSXSAVE+XCR0,
 * mode restrictions that decoding cannot see. X86_NEXT: go ahead.
 */
enum x86_result x86_check(struct x86_cpu *cpu, const struct x86_insn *insn);

/*
 * Fetches, decodes, checks and executes one instruction, delivering the fault if
 * it raises one. The processor's interrupts are not looked at. Returns what the
 * instruction returned, X86_FAULT meaning that the handler's first instruction is
 * next; after a triple fault s.activity is X86_ACT_SHUTDOWN and the result X86_HALT.
 */
enum x86_result x86_step(struct x86_cpu *cpu);

/* Instruction bytes at s.rip: fills buf (15 bytes), returns how many are readable, or -1 with cpu->fault set
 * if none. */
int x86_fetch(struct x86_cpu *cpu, uint8_t buf[X86_MAX_INSN_LEN]);

/* x86/event.c: delivery through IVT or IDT. False: triple fault, s.activity is SHUTDOWN. */
bool x86_deliver_fault(struct x86_cpu *cpu);                     /* cpu->fault, with double-fault rules */
bool x86_deliver_interrupt(struct x86_cpu *cpu, uint8_t vector); /* external; wakes from HALT */
bool x86_deliver_nmi(struct x86_cpu *cpu);
/* Is an external interrupt acceptable now (IF, shadow)? */
bool x86_can_interrupt(const struct x86_cpu *cpu);

/* x86/cpu.c: power-on (SDM 3A table 9-1) or INIT state; the CPUID model must be set. */
void x86_reset(struct x86_cpu *cpu, bool init);
void x86_start_sipi(struct x86_cpu *cpu, uint8_t vector);
/* Recomputes mode, cpl, mmu_index, flat from s; after any write to CS, SS, CR0, CR4, EFER, RFLAGS.VM/AC. */
void x86_mode_changed(struct x86_cpu *cpu);
/* After s was written from outside (load, another engine): cc, mode, TLB. Before it is read:
 * x86_state_flush(). */
void x86_state_changed(struct x86_cpu *cpu);
void x86_state_flush(struct x86_cpu *cpu);

/* ---- operands; all in x86/operand.c and x86/mem.h ---- */

/* Linear address of insn->mem with segment base, truncated to the address size; no limit check. */
uint64_t x86_effective(struct x86_cpu *cpu, const struct x86_insn *insn);

/* Reads operand n zero-extended (GPR, segment, immediate, or memory up to 8 bytes); false: fault is set. */
bool x86_operand_read(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t *value);
/* Writes it: 32-bit GPR writes clear the upper half, 8 and 16 keep it. */
bool x86_operand_write(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t value);

uint64_t x86_gpr_read(const struct x86_cpu *cpu, const struct x86_operand *op);
void x86_gpr_write(struct x86_cpu *cpu, const struct x86_operand *op, uint64_t value);

/* Stack in the present stack size (SS.B, long mode); size 2, 4, 8. rSP changes only on success. */
bool x86_push(struct x86_cpu *cpu, uint64_t value, unsigned size);
bool x86_pop(struct x86_cpu *cpu, uint64_t *value, unsigned size);

/* The whole RFLAGS, arithmetic bits taken from cc; and back. */
uint64_t x86_flags_get(const struct x86_cpu *cpu);
void x86_flags_set(struct x86_cpu *cpu, uint64_t rflags);

#endif
