/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instructions of operating systems: semantics behind x86_exec_table, and
 * the processor services (debugging, MSRs) that engines call directly.
 *
 * Instructions that change what decoding, privileges or interruptibility mean
 * return X86_BREAK or X86_JUMP. STI, MOV SS and POP SS set s.shadow; whoever
 * steps clears the shadow that was there before the instruction.
 */
#ifndef X86_EXEC_SYS_H
#define X86_EXEC_SYS_H

#include "x86/exec.h"

/* X(id, function's name after x86_exec_) */
/* clang-format off */
#define X86_EXEC_SYS_LIST(X) \
    X(ARPL, arpl) X(CALL_FAR, call_far) X(CLAC, clac) X(CLI, cli) X(CLTS, clts) X(CPUID, cpuid) \
    X(HLT, hlt) X(IN, in) X(INS, ins) X(INT, int) X(INT1, int1) X(INT3, int3) X(INTO, into) \
    X(INVD, wbinvd) X(INVLPG, invlpg) X(INVPCID, invpcid) X(IRET, iret) X(JMP_FAR, jmp_far) \
    X(LAR, lar) X(LDS, lds) X(LES, les) X(LFS, lfs) X(LGDT, lgdt) X(LGS, lgs) X(LIDT, lidt) \
    X(LLDT, lldt) X(LMSW, lmsw) X(LSL, lsl) X(LSS, lss) X(LTR, ltr) X(MONITOR, monitor) \
    X(MOV_CR, mov_cr) X(MOV_DR, mov_dr) X(MOV_SEG, mov_seg) X(MWAIT, mwait) X(OUT, out) X(OUTS, outs) \
    X(RDFSBASE, rdfsbase) X(RDGSBASE, rdgsbase) X(RDMSR, rdmsr) X(RDPID, rdpid) X(RDPMC, rdpmc) \
    X(RDRAND, rdrand) X(RDSEED, rdrand) X(RDTSC, rdtsc) X(RDTSCP, rdtscp) X(RETF, retf) X(RSM, ud) \
    X(SERIALIZE, serialize) X(SGDT, sgdt) X(SIDT, sidt) X(SLDT, sldt) X(SMSW, smsw) X(STAC, stac) \
    X(STI, sti) X(STR, str) X(SWAPGS, swapgs) X(SYSCALL, syscall) X(SYSENTER, sysenter) \
    X(SYSEXIT, sysexit) X(SYSRET, sysret) X(UD0, ud) X(UD1, ud) X(UD2, ud) X(VERR, verr) \
    X(VERW, verw) X(VMCALL, ud) X(VMMCALL, ud) X(WBINVD, wbinvd) X(WRFSBASE, wrfsbase) \
    X(WRGSBASE, wrgsbase) X(WRMSR, wrmsr) X(XGETBV, xgetbv) X(XSETBV, xsetbv)
/* clang-format on */

#define X86_EXEC_SYS_ENTRY(id, name) [X86_##id] = x86_exec_##name,
/* Designated initialisers for x86_exec_table. */
#define X86_EXEC_SYS_TABLE             X86_EXEC_SYS_LIST(X86_EXEC_SYS_ENTRY)

#define X86_EXEC_SYS_DECLARE(id, name) x86_exec_fn x86_exec_##name;
X86_EXEC_SYS_LIST(X86_EXEC_SYS_DECLARE)
#undef X86_EXEC_SYS_DECLARE

/* PUSH and POP share their id with the general-purpose forms: call these where op[0] is a segment register.
 */
x86_exec_fn x86_exec_push_seg, x86_exec_pop_seg;

/* False: #GP(0) is due (nothing is raised here). */
bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value);

/*
 * Debugging. While this is true, engines must go one instruction at a time through x86_step(), or call the
 * functions below themselves.
 */
static inline bool x86_debug_active(const struct x86_cpu *cpu)
{
    return unlikely(cpu->s.rflags & X86_FL_TF || cpu->s.dr[7] & 0xff);
}

/* Before the instruction at s.rip: its code breakpoint, if RF is clear. X86_FAULT: #DB is set. */
enum x86_result x86_debug_before(struct x86_cpu *cpu);
/* At each data access of the slow paths; the trap comes after the instruction. */
void x86_debug_data(struct x86_cpu *cpu, uint64_t lin, unsigned size, bool write);
/*
 * After an instruction that did not fault: TF (its value before the instruction) and the data breakpoints
 * met. X86_FAULT: #DB is set, s.rip being at the next instruction: deliver it.
 */
enum x86_result x86_debug_after(struct x86_cpu *cpu, const struct x86_insn *insn, bool tf);

/* Events that s holds (s.exception_pending …), after a load of saved state. False: triple fault. */
bool x86_deliver_pending(struct x86_cpu *cpu);

#endif
