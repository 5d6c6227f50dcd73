/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold before an instruction may run at all: its CPUID feature, its
 * privilege, and the state of the x87 and vector units (SDM 3A tables 2-2,
 * 13-1; SDM 2A 2.4 for the exception classes).
 */
#include "x86/exec.h"
#include "x86/system-internal.h"

static enum x86_result raise_ud(struct x86_cpu *cpu)
{
    return x86_raise(cpu, X86_UD);
}

/* LZCNT and TZCNT are BSR and BSF where the processor does not know them; their semantics see to that. */
static bool has_feature(const struct x86_cpu *cpu, const struct x86_row *row)
{
    return row->feature == X86_FEAT_NONE || x86_feature(cpu->cpuid, row->feature) || row->id == X86_LZCNT ||
           row->id == X86_TZCNT;
}

/* AVX state enabled, and a mode that has VEX. */
static enum x86_result check_avx(struct x86_cpu *cpu)
{
    uint64_t avx = X86_XCR0_SSE | X86_XCR0_AVX;

    if (!(cpu->s.cr4 & X86_CR4_OSXSAVE) || (cpu->s.xcr0 & avx) != avx)
        return raise_ud(cpu);
    return cpu->s.cr0 & X86_CR0_TS ? x86_raise(cpu, X86_NM) : X86_NEXT;
}

static enum x86_result check_vector(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (insn->prefixes & X86_PFX_VEX)
        return check_avx(cpu);
    if (cpu->s.cr0 & X86_CR0_EM || !(cpu->s.cr4 & X86_CR4_OSFXSR))
        return raise_ud(cpu);
    return cpu->s.cr0 & X86_CR0_TS ? x86_raise(cpu, X86_NM) : X86_NEXT;
}

/* x87: EM and TS are #NM, WAIT heeds MP; MMX: EM is #UD. */
static enum x86_result check_x87(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool x87 = insn->map == 0 && insn->opcode >= 0xd8 && insn->opcode <= 0xdf;
    uint64_t wait = X86_CR0_MP | X86_CR0_TS;

    if (insn->map == 0 && insn->opcode == 0x9b)
        return (cpu->s.cr0 & wait) == wait ? x86_raise(cpu, X86_NM) : X86_NEXT;
    if (cpu->s.cr0 & X86_CR0_EM)
        return x87 ? x86_raise(cpu, X86_NM) : raise_ud(cpu);
    return cpu->s.cr0 & X86_CR0_TS ? x86_raise(cpu, X86_NM) : X86_NEXT;
}

/* FXSAVE and XSAVE and their like: rules of their own. */
static enum x86_result check_state_save(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_FXSAVE:
    case X86_FXRSTOR:
        return cpu->s.cr0 & (X86_CR0_EM | X86_CR0_TS) ? x86_raise(cpu, X86_NM) : X86_NEXT;
    case X86_XGETBV:
    case X86_XSETBV:
        return cpu->s.cr4 & X86_CR4_OSXSAVE ? X86_NEXT : raise_ud(cpu);
    default:
        if (!(cpu->s.cr4 & X86_CR4_OSXSAVE))
            return raise_ud(cpu);
        return cpu->s.cr0 & X86_CR0_TS ? x86_raise(cpu, X86_NM) : X86_NEXT;
    }
}

static enum x86_result check_privilege(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_CLAC:
    case X86_STAC:
    case X86_MONITOR:
    case X86_MWAIT:
        return raise_ud(cpu);
    case X86_SYSRET: /* looks at EFER.SCE first */
        return X86_NEXT;
    default:
        return x86_raise_error(cpu, X86_GP, 0);
    }
}

enum x86_result x86_check(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_row *row = x86_insn_row(insn->row);
    enum x86_result result = X86_NEXT;

    if (unlikely(!has_feature(cpu, row)))
        return raise_ud(cpu);
    if (insn->prefixes & X86_PFX_VEX && x86_real_segments(cpu))
        return raise_ud(cpu);
    switch (insn->id) {
    case X86_FXSAVE:
    case X86_FXRSTOR:
    case X86_XGETBV:
    case X86_XSETBV:
    case X86_XSAVE:
    case X86_XSAVEC:
    case X86_XSAVEOPT:
    case X86_XSAVES:
    case X86_XRSTOR:
    case X86_XRSTORS:
        result = check_state_save(cpu, insn);
        break;
    default:
        if (row->properties & X86_ROW_X87)
            result = check_x87(cpu, insn);
        if (result == X86_NEXT && row->properties & X86_ROW_VECTOR)
            result = check_vector(cpu, insn);
        break;
    }
    if (result == X86_NEXT && row->properties & X86_ROW_PRIVILEGED && cpu->cpl != 0) {
        if (row->properties & X86_ROW_PROTECTED &&
            x86_real_segments(cpu)) /* LLDT, LTR in virtual-8086 mode */
            return raise_ud(cpu);
        result = check_privilege(cpu, insn);
    }
    return result;
}
