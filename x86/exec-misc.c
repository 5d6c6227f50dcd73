/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of an operating system's instructions: interrupt flag, halting,
 * MSRs, counters, FS and GS bases, CPUID, random numbers.
 */
#include "x86/exec-sys.h"
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/system-internal.h"

enum x86_result x86_exec_ud(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_raise(cpu, X86_UD);
}

enum x86_result x86_exec_serialize(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return X86_BREAK;
}

/* Guest memory is coherent whatever the guest thinks of caches. */
enum x86_result x86_exec_wbinvd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return X86_NEXT;
}

enum x86_result x86_exec_hlt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->s.activity = X86_ACT_HALT;
    return X86_HALT;
}

/* ---- interrupt flag ---- */

enum if_rule { IF_CHANGES, IF_VIRTUAL, IF_FAULT };

/* What CLI and STI act on (SDM 2A, CLI, table 3-7). */
static enum if_rule if_rule(const struct x86_cpu *cpu)
{
    if (!x86_protected(cpu) || cpu->cpl <= x86_iopl(cpu))
        return x86_vm86(cpu) && x86_iopl(cpu) < 3 ? IF_FAULT : IF_CHANGES;
    if (x86_vm86(cpu))
        return cpu->s.cr4 & X86_CR4_VME ? IF_VIRTUAL : IF_FAULT;
    return cpu->cpl == 3 && cpu->s.cr4 & X86_CR4_PVI ? IF_VIRTUAL : IF_FAULT;
}

enum x86_result x86_exec_cli(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    switch (if_rule(cpu)) {
    case IF_CHANGES:
        cpu->s.rflags &= ~(uint64_t)X86_FL_IF;
        return X86_NEXT;
    case IF_VIRTUAL:
        cpu->s.rflags &= ~(uint64_t)X86_FL_VIF;
        return X86_NEXT;
    default:
        return x86_raise_error(cpu, X86_GP, 0);
    }
}

enum x86_result x86_exec_sti(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    switch (if_rule(cpu)) {
    case IF_CHANGES:
        if (!(cpu->s.rflags & X86_FL_IF))
            cpu->s.shadow |= X86_SHADOW_STI;
        cpu->s.rflags |= X86_FL_IF;
        return X86_BREAK;
    case IF_VIRTUAL:
        if (cpu->s.rflags & X86_FL_VIP)
            return x86_raise_error(cpu, X86_GP, 0);
        cpu->s.rflags |= X86_FL_VIF;
        return X86_NEXT;
    default:
        return x86_raise_error(cpu, X86_GP, 0);
    }
}

static enum x86_result set_ac(struct x86_cpu *cpu, bool ac)
{
    cpu->s.rflags = ac ? cpu->s.rflags | X86_FL_AC : cpu->s.rflags & ~(uint64_t)X86_FL_AC;
    x86_mode_changed(cpu);
    return X86_NEXT;
}

enum x86_result x86_exec_clac(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return set_ac(cpu, false);
}

enum x86_result x86_exec_stac(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return set_ac(cpu, true);
}

/* ---- MONITOR, MWAIT: the wait may end at any time, so it ends at once ---- */

enum x86_result x86_exec_monitor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t lin, value;

    if ((uint32_t)cpu->s.gpr[X86_RCX])
        return x86_raise_error(cpu, X86_GP, 0);
    if (!x86_segment_linear(cpu, insn->mem.seg, x86_offset(cpu, insn), 1, X86_MEM_READ, &lin) ||
        !x86_load(cpu, lin, 1, &value))
        return X86_FAULT;
    return X86_NEXT;
}

enum x86_result x86_exec_mwait(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if ((uint32_t)cpu->s.gpr[X86_RCX] & ~1U)
        return x86_raise_error(cpu, X86_GP, 0);
    return X86_BREAK;
}

/* ---- MSRs, counters ---- */

static void edx_eax(struct x86_cpu *cpu, uint64_t value)
{
    cpu->s.gpr[X86_RAX] = (uint32_t)value;
    cpu->s.gpr[X86_RDX] = value >> 32;
}

enum x86_result x86_exec_rdmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_msr_read(cpu, (uint32_t)cpu->s.gpr[X86_RCX], &value))
        return x86_raise_error(cpu, X86_GP, 0);
    edx_eax(cpu, value);
    return X86_NEXT;
}

enum x86_result x86_exec_wrmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = (uint32_t)cpu->s.gpr[X86_RAX] | cpu->s.gpr[X86_RDX] << 32;

    if (!x86_msr_write(cpu, (uint32_t)cpu->s.gpr[X86_RCX], value))
        return x86_raise_error(cpu, X86_GP, 0);
    return X86_BREAK;
}

static bool tsc_forbidden(const struct x86_cpu *cpu)
{
    return cpu->s.cr4 & X86_CR4_TSD && cpu->cpl != 0;
}

enum x86_result x86_exec_rdtsc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (tsc_forbidden(cpu))
        return x86_raise_error(cpu, X86_GP, 0);
    edx_eax(cpu, cpu->env->tsc(cpu) + (uint64_t)cpu->s.tsc_offset);
    return X86_NEXT;
}

enum x86_result x86_exec_rdtscp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_result result = x86_exec_rdtsc(cpu, insn);

    if (result == X86_NEXT)
        cpu->s.gpr[X86_RCX] = (uint32_t)cpu->s.tsc_aux;
    return result;
}

enum x86_result x86_exec_rdpid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_gpr_write(cpu, &insn->op[0], (uint32_t)cpu->s.tsc_aux);
    return X86_NEXT;
}

/* The CPU model has no performance counters, so no counter's number is right. */
enum x86_result x86_exec_rdpmc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_raise_error(cpu, X86_GP, 0);
}

enum x86_result x86_exec_cpuid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint32_t regs[4];

    x86_cpuid_read(cpu, (uint32_t)cpu->s.gpr[X86_RAX], (uint32_t)cpu->s.gpr[X86_RCX], regs);
    cpu->s.gpr[X86_RAX] = regs[0];
    cpu->s.gpr[X86_RBX] = regs[1];
    cpu->s.gpr[X86_RCX] = regs[2];
    cpu->s.gpr[X86_RDX] = regs[3];
    return X86_NEXT;
}

/* RDRAND and RDSEED: the environment never runs out of entropy. */
enum x86_result x86_exec_rdrand(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_gpr_write(cpu, &insn->op[0], low_bytes(cpu->env->random(cpu), insn->op[0].size));
    x86_flags_arith(cpu, X86_FL_ARITH, X86_FL_CF);
    return X86_NEXT;
}

/* ---- FS and GS bases ---- */

enum x86_result x86_exec_swapgs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t base = cpu->s.seg[X86_GS].base;

    cpu->s.seg[X86_GS].base = cpu->s.kernel_gs_base;
    cpu->s.kernel_gs_base = base;
    return X86_NEXT;
}

static enum x86_result base_read(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned seg)
{
    if (!(cpu->s.cr4 & X86_CR4_FSGSBASE))
        return x86_raise(cpu, X86_UD);
    x86_gpr_write(cpu, &insn->op[0], low_bytes(cpu->s.seg[seg].base, insn->op[0].size));
    return X86_NEXT;
}

static enum x86_result base_write(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned seg)
{
    uint64_t base = x86_gpr_read(cpu, &insn->op[0]);

    if (!(cpu->s.cr4 & X86_CR4_FSGSBASE))
        return x86_raise(cpu, X86_UD);
    if (!x86_canonical(cpu, base))
        return x86_raise_error(cpu, X86_GP, 0);
    cpu->s.seg[seg].base = base;
    return X86_NEXT;
}

enum x86_result x86_exec_rdfsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return base_read(cpu, insn, X86_FS);
}

enum x86_result x86_exec_rdgsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return base_read(cpu, insn, X86_GS);
}

enum x86_result x86_exec_wrfsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return base_write(cpu, insn, X86_FS);
}

enum x86_result x86_exec_wrgsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return base_write(cpu, insn, X86_GS);
}
