/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control registers (SDM 3A 2.5): what may be written, and what each change
 * means for paging, the TLB and the mode; MOV CR, LMSW, SMSW, CLTS, INVLPG,
 * INVPCID, XSETBV.
 */
#include "x86/exec-sys.h"
#include "x86/operand.h"
#include "x86/system-internal.h"

#define CR0_DEFINED                                                                                          \
    (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | \
     X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* Changes that make translations stale, global ones too. */
#define CR0_FLUSH (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE)
#define CR4_FLUSH                                                                                            \
    (X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PCIDE | X86_CR4_LA57)
#define CR3_PCID    0xfffULL
#define CR3_NOFLUSH BIT64(63)

/* What turning paging on or off does to long mode. False: #GP is set. */
static bool paging_switched(struct x86_cpu *cpu, uint64_t cr0, uint64_t *efer)
{
    const struct x86_segment *cs = &cpu->s.seg[X86_CS];
    bool on = cr0 & X86_CR0_PG;

    if (on && cpu->s.efer & X86_EFER_LME) {
        unsigned tss = x86_seg_type(&cpu->s.seg[X86_TR]);

        if (!(cpu->s.cr4 & X86_CR4_PAE) || cs->attr & X86_SEG_L || tss == X86_SYS_TSS16_BUSY ||
            tss == X86_SYS_TSS16)
            return x86_fail(cpu, X86_GP, 0);
        *efer |= X86_EFER_LMA;
    } else if (!on) {
        if (cpu->mode == X86_MODE_64 || cpu->s.cr4 & X86_CR4_PCIDE)
            return x86_fail(cpu, X86_GP, 0);
        *efer &= ~(uint64_t)X86_EFER_LMA;
    }
    return true;
}

static enum x86_result cr0_write(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t efer = cpu->s.efer, changed;

    if (value >> 32 || (value & X86_CR0_PG && !(value & X86_CR0_PE)) ||
        (value & X86_CR0_NW && !(value & X86_CR0_CD)))
        return x86_raise_error(cpu, X86_GP, 0);
    value = (value & CR0_DEFINED) | X86_CR0_ET;
    changed = value ^ cpu->s.cr0;
    if (changed & X86_CR0_PG && !paging_switched(cpu, value, &efer))
        return X86_FAULT;
    cpu->s.cr0 = value;
    cpu->s.efer = efer;
    if (changed & CR0_FLUSH)
        x86_tlb_flush(cpu);
    x86_mode_changed(cpu);
    return X86_BREAK;
}

static enum x86_result cr3_write(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t address = BIT64(cpu->cpuid->phys_bits) - 1;

    bool pcids = cpu->s.cr4 & X86_CR4_PCIDE, keep = pcids && value & CR3_NOFLUSH;

    if (pcids)
        value &= ~CR3_NOFLUSH;
    if (x86_long(cpu) && value & ~address)
        return x86_raise_error(cpu, X86_GP, 0);
    if (!pcids) {
        x86_cr3_load(cpu, value);
        return X86_BREAK;
    }
    x86_tlb_switch(cpu, cpu->s.cr3 & CR3_PCID, value & CR3_PCID, keep);
    cpu->s.cr3 = value;
    return X86_BREAK;
}

void x86_cr3_load(struct x86_cpu *cpu, uint64_t cr3)
{
    cpu->s.cr3 = cr3;
    x86_tlb_flush_local(cpu);
}

static enum x86_result cr4_write(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t changed = value ^ cpu->s.cr4, set = changed & value;

    if (value & ~cpu->cpuid->cr4_allowed)
        return x86_raise_error(cpu, X86_GP, 0);
    if (x86_long(cpu) && (!(value & X86_CR4_PAE) || changed & X86_CR4_LA57))
        return x86_raise_error(cpu, X86_GP, 0);
    if (set & X86_CR4_PCIDE && (!x86_long(cpu) || cpu->s.cr3 & CR3_PCID))
        return x86_raise_error(cpu, X86_GP, 0);
    cpu->s.cr4 = value;
    if (changed & CR4_FLUSH)
        x86_tlb_flush(cpu);
    x86_mode_changed(cpu);
    return X86_BREAK;
}

enum x86_result x86_cr_write(struct x86_cpu *cpu, unsigned cr, uint64_t value)
{
    switch (cr) {
    case 0:
        return cr0_write(cpu, value);
    case 2:
        cpu->s.cr2 = value;
        return X86_NEXT;
    case 3:
        return cr3_write(cpu, value);
    case 4:
        return cr4_write(cpu, value);
    case 8:
        if (value & ~0xfULL)
            return x86_raise_error(cpu, X86_GP, 0);
        cpu->env->cr8_write(cpu, value);
        return X86_BREAK;
    default:
        return x86_raise(cpu, X86_UD);
    }
}

static bool cr_read(struct x86_cpu *cpu, unsigned cr, uint64_t *value)
{
    switch (cr) {
    case 0:
        *value = cpu->s.cr0;
        return true;
    case 2:
        *value = cpu->s.cr2;
        return true;
    case 3:
        *value = cpu->s.cr3;
        return true;
    case 4:
        *value = cpu->s.cr4;
        return true;
    case 8:
        *value = cpu->env->cr8_read(cpu);
        return true;
    default:
        return false;
    }
}

enum x86_result x86_exec_mov_cr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = cpu->mode == X86_MODE_64 ? 8 : 4;
    uint64_t value;

    if (insn->op[0].reg_class == X86_RC_CR)
        return x86_cr_write(cpu, insn->op[0].reg, x86_reg_read(cpu, insn->op[1].reg, size));
    if (!cr_read(cpu, insn->op[1].reg, &value))
        return x86_raise(cpu, X86_UD);
    x86_reg_write(cpu, insn->op[0].reg, size, value);
    return X86_NEXT;
}

enum x86_result x86_exec_lmsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value, mask = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;

    if (!x86_operand_read(cpu, insn, 0, &value))
        return X86_FAULT;
    if (value & X86_CR0_PE) /* can be set, never cleared */
        mask |= X86_CR0_PE;
    return x86_cr_write(cpu, 0, (cpu->s.cr0 & ~mask) | (value & mask));
}

enum x86_result x86_exec_smsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (cpu->s.cr4 & X86_CR4_UMIP && cpu->cpl != 0)
        return x86_raise_error(cpu, X86_GP, 0);
    return x86_operand_write(cpu, insn, 0, cpu->s.cr0) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_clts(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->s.cr0 &= ~(uint64_t)X86_CR0_TS;
    return X86_BREAK;
}

enum x86_result x86_exec_invlpg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_tlb_flush_page(cpu, x86_effective(cpu, insn));
    return X86_BREAK;
}

/* Types (SDM 2A, INVPCID): 0 an address, 1 an address space, 2 everything, 3 everything but global pages. */
enum x86_result x86_exec_invpcid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t type = x86_gpr_read(cpu, &insn->op[0]), lin, pcid, address;

    if (x86_real_segments(cpu) && x86_protected(cpu))
        return x86_raise_error(cpu, X86_GP, 0);
    if (!x86_segment_linear(cpu, insn->mem.seg, x86_offset(cpu, insn), 16, X86_MEM_READ, &lin) ||
        !x86_load(cpu, lin, 8, &pcid) || !x86_load(cpu, x86_wrap(cpu, lin + 8), 8, &address))
        return X86_FAULT;
    if (type > 3 || pcid & ~CR3_PCID)
        return x86_raise_error(cpu, X86_GP, 0);
    if (type < 2 && pcid && !(cpu->s.cr4 & X86_CR4_PCIDE))
        return x86_raise_error(cpu, X86_GP, 0);
    if (type == 0) {
        if (!x86_canonical(cpu, address))
            return x86_raise_error(cpu, X86_GP, 0);
        if (pcid == (cpu->s.cr4 & X86_CR4_PCIDE ? cpu->s.cr3 & CR3_PCID : 0))
            x86_tlb_flush_page(cpu, address);
        else
            x86_tlb_flush_pcid(cpu, (uint16_t)pcid); /* more than asked for is allowed */
    } else if (type == 1) {
        x86_tlb_flush_pcid(cpu, (uint16_t)pcid);
    } else if (type == 2) {
        x86_tlb_flush(cpu);
    } else {
        x86_tlb_flush_local(cpu);
    }
    return X86_BREAK;
}

enum x86_result x86_exec_xgetbv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint32_t index = (uint32_t)cpu->s.gpr[X86_RCX];
    uint64_t value = cpu->s.xcr0;

    /* XCR1 tells the components in use; all that are enabled is a right answer. */
    if (index > 1 || (index == 1 && !x86_feature(cpu->cpuid, X86_FEAT_XGETBV1)))
        return x86_raise_error(cpu, X86_GP, 0);
    cpu->s.gpr[X86_RAX] = (uint32_t)value;
    cpu->s.gpr[X86_RDX] = value >> 32;
    return X86_NEXT;
}

enum x86_result x86_exec_xsetbv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = (uint32_t)cpu->s.gpr[X86_RAX] | cpu->s.gpr[X86_RDX] << 32;

    if ((uint32_t)cpu->s.gpr[X86_RCX] != 0 || value & ~cpu->cpuid->xcr0_allowed || !(value & X86_XCR0_X87) ||
        (value & X86_XCR0_AVX && !(value & X86_XCR0_SSE)))
        return x86_raise_error(cpu, X86_GP, 0);
    cpu->s.xcr0 = value;
    return X86_BREAK;
}
