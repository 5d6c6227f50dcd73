/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RFLAGS whole, and the instructions that do nothing but set or copy flags. */
#include "x86/flags.h"
#include "x86/exec-int.h"

uint64_t x86_flags_get(const struct x86_cpu *cpu)
{
    return (cpu->s.rflags & ~(uint64_t)X86_FL_ARITH) | alu_cc_to_flags(cpu->cc) | X86_FL_FIXED;
}

/* Whoever changes VM or AC calls x86_mode_changed() after this. */
void x86_flags_set(struct x86_cpu *cpu, uint64_t rflags)
{
    cpu->s.rflags = rflags | X86_FL_FIXED;
    cpu->cc = alu_cc_from_flags(rflags);
}

enum x86_result x86_exec_clc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->cc &= ~ALU_CC_CF;
    return X86_NEXT;
}

enum x86_result x86_exec_stc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->cc |= ALU_CC_CF;
    return X86_NEXT;
}

enum x86_result x86_exec_cmc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->cc ^= ALU_CC_CF;
    return X86_NEXT;
}

enum x86_result x86_exec_cld(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->s.rflags &= ~(uint64_t)X86_FL_DF;
    return X86_NEXT;
}

enum x86_result x86_exec_std(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->s.rflags |= X86_FL_DF;
    return X86_NEXT;
}

enum x86_result x86_exec_lahf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t ah = (alu_cc_to_flags(cpu->cc) & 0xffU) | X86_FL_FIXED;

    cpu->s.gpr[X86_RAX] = (cpu->s.gpr[X86_RAX] & ~0xff00ULL) | ah << 8;
    return X86_NEXT;
}

enum x86_result x86_exec_sahf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_flags_arith(cpu, X86_FL_ARITH & 0xffU, (uint32_t)(cpu->s.gpr[X86_RAX] >> 8));
    return X86_NEXT;
}

/* SALC, undocumented by Intel until late: AL = CF ? FFh : 0. */
enum x86_result x86_exec_salc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->s.gpr[X86_RAX] = (cpu->s.gpr[X86_RAX] & ~0xffULL) | (x86_carry(cpu) ? 0xff : 0);
    return X86_NEXT;
}
