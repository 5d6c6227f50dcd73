/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment registers, descriptor-table registers, and the questions about
 * descriptors: MOV/PUSH/POP segment, LDS…, LGDT…, LAR, LSL, VERR, VERW, ARPL.
 */
#include "x86/exec-sys.h"
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/system-internal.h"

/* Loads a segment register; what decoded blocks rely on may have changed. */
static enum x86_result segment_set(struct x86_cpu *cpu, unsigned seg, uint16_t selector)
{
    bool flat = cpu->flat;
    uint32_t mode = cpu->mode;

    if (!x86_segment_load(cpu, seg, selector))
        return X86_FAULT;
    x86_mode_changed(cpu);
    if (seg == X86_SS) {
        cpu->s.shadow |= X86_SHADOW_SS;
        return X86_BREAK;
    }
    return flat != cpu->flat || mode != cpu->mode ? X86_BREAK : X86_NEXT;
}

enum x86_result x86_exec_mov_seg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->op[0];
    uint64_t value;

    if (to->kind == X86_OP_REG && to->reg_class == X86_RC_SEG) {
        if (to->reg == X86_CS || to->reg > X86_GS)
            return x86_raise(cpu, X86_UD);
        if (!x86_operand_read(cpu, insn, 1, &value))
            return X86_FAULT;
        return segment_set(cpu, to->reg, (uint16_t)value);
    }
    if (insn->op[1].reg > X86_GS)
        return x86_raise(cpu, X86_UD);
    return x86_operand_write(cpu, insn, 0, cpu->s.seg[insn->op[1].reg].selector) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_push_seg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_push(cpu, cpu->s.seg[insn->op[0].reg].selector, insn->opsize) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_pop_seg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack = x86_stack_now(cpu);
    enum x86_result result;
    uint64_t value;

    if (!x86_stack_pop(&stack, &value, insn->opsize))
        return X86_FAULT;
    result = segment_set(cpu, insn->op[0].reg, (uint16_t)value);
    if (result != X86_FAULT)
        x86_stack_commit_sp(&stack);
    return result;
}

static enum x86_result load_far_pointer(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned seg)
{
    unsigned size = insn->opsize;
    uint64_t lin, offset, selector;
    enum x86_result result;

    if (!x86_mem_linear(cpu, insn, size + 2, X86_MEM_READ, &lin) || !x86_load(cpu, lin, size, &offset) ||
        !x86_load(cpu, x86_wrap(cpu, lin + size), 2, &selector))
        return X86_FAULT;
    result = segment_set(cpu, seg, (uint16_t)selector);
    if (result != X86_FAULT)
        x86_gpr_write(cpu, &insn->op[0], offset);
    return result;
}

enum x86_result x86_exec_lds(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return load_far_pointer(cpu, insn, X86_DS);
}

enum x86_result x86_exec_les(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return load_far_pointer(cpu, insn, X86_ES);
}

enum x86_result x86_exec_lfs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return load_far_pointer(cpu, insn, X86_FS);
}

enum x86_result x86_exec_lgs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return load_far_pointer(cpu, insn, X86_GS);
}

enum x86_result x86_exec_lss(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_result result = load_far_pointer(cpu, insn, X86_SS);

    if (result != X86_FAULT)
        cpu->s.shadow &= (uint8_t)~X86_SHADOW_SS; /* both halves are loaded: no shadow is needed */
    return result;
}

/* ---- descriptor-table registers ---- */

static bool umip_blocks(struct x86_cpu *cpu)
{
    return cpu->s.cr4 & X86_CR4_UMIP && cpu->cpl != 0;
}

static enum x86_result table_store(struct x86_cpu *cpu, const struct x86_insn *insn,
                                   const struct x86_table_reg *table)
{
    unsigned size = cpu->mode == X86_MODE_64 ? 8 : 4;
    uint8_t image[10];
    uint64_t lin;

    if (umip_blocks(cpu))
        return x86_raise_error(cpu, X86_GP, 0);
    store_le16(image, table->limit);
    store_le64(image + 2, table->base);
    if (!x86_segment_linear(cpu, insn->mem.seg, x86_offset(cpu, insn), size + 2, X86_MEM_WRITE, &lin) ||
        !x86_store_bytes(cpu, lin, image, size + 2, cpu->mmu_index))
        return X86_FAULT;
    return X86_NEXT;
}

static enum x86_result table_load(struct x86_cpu *cpu, const struct x86_insn *insn,
                                  struct x86_table_reg *table)
{
    unsigned size = cpu->mode == X86_MODE_64 ? 8 : 4;
    uint8_t image[10] = {0};
    uint64_t lin, base;

    if (!x86_segment_linear(cpu, insn->mem.seg, x86_offset(cpu, insn), size + 2, X86_MEM_READ, &lin) ||
        !x86_load_bytes(cpu, lin, image, size + 2, cpu->mmu_index))
        return X86_FAULT;
    base = low_bytes(load_le64(image + 2), size);
    if (size == 4 && insn->opsize == 2)
        base &= 0xffffff;
    if (!x86_canonical(cpu, base) && size == 8)
        return x86_raise_error(cpu, X86_GP, 0);
    *table = (struct x86_table_reg){.base = base, .limit = load_le16(image)};
    return X86_NEXT;
}

enum x86_result x86_exec_sgdt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_store(cpu, insn, &cpu->s.gdtr);
}

enum x86_result x86_exec_sidt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_store(cpu, insn, &cpu->s.idtr);
}

enum x86_result x86_exec_lgdt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_load(cpu, insn, &cpu->s.gdtr);
}

enum x86_result x86_exec_lidt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_load(cpu, insn, &cpu->s.idtr);
}

static enum x86_result selector_store(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned seg)
{
    if (x86_real_segments(cpu))
        return x86_raise(cpu, X86_UD);
    if (umip_blocks(cpu))
        return x86_raise_error(cpu, X86_GP, 0);
    return x86_operand_write(cpu, insn, 0, cpu->s.seg[seg].selector) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_sldt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return selector_store(cpu, insn, X86_LDTR);
}

enum x86_result x86_exec_str(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return selector_store(cpu, insn, X86_TR);
}

enum x86_result x86_exec_lldt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t selector;

    if (x86_real_segments(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_operand_read(cpu, insn, 0, &selector) || !x86_ldt_load(cpu, (uint16_t)selector, X86_GP, 0))
        return X86_FAULT;
    return X86_NEXT;
}

enum x86_result x86_exec_ltr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_descriptor d;
    uint64_t selector;
    uint32_t error;
    unsigned type;

    if (x86_real_segments(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_operand_read(cpu, insn, 0, &selector))
        return X86_FAULT;
    error = (uint32_t)selector & 0xfffc;
    if (!error || selector & 4)
        return x86_raise_error(cpu, X86_GP, error);
    if (!x86_descriptor_read(cpu, (uint16_t)selector, true, X86_GP, 0, &d))
        return X86_FAULT;
    type = x86_seg_type(&d.seg);
    if (d.seg.attr & X86_SEG_S || !(type == X86_SYS_TSS32 || (type == X86_SYS_TSS16 && !x86_long(cpu))))
        return x86_raise_error(cpu, X86_GP, error);
    if (!(d.seg.attr & X86_SEG_P))
        return x86_raise_error(cpu, X86_NP, error);
    if (x86_long(cpu) && !x86_canonical(cpu, d.seg.base))
        return x86_raise_error(cpu, X86_GP, error);
    if (!x86_descriptor_busy(cpu, d.lin, true))
        return X86_FAULT;
    d.seg.attr |= 2;
    cpu->s.seg[X86_TR] = d.seg;
    return X86_NEXT;
}

/* ---- questions ---- */

/* System types that LAR and LSL answer for: outside of long mode, and in it. */
#define LAR_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11) | BIT(12))
#define LAR_TYPES_LONG (BIT(2) | BIT(9) | BIT(11) | BIT(12))
#define LSL_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11))
#define LSL_TYPES_LONG (BIT(2) | BIT(9) | BIT(11))

enum answer { YES, NO, FAULTED };

/* Is the descriptor there, of such a type, and visible at this privilege? */
static enum answer ask(struct x86_cpu *cpu, uint16_t selector, uint32_t types, struct x86_descriptor *d)
{
    unsigned level = MAX(cpu->cpl, selector & 3U);

    if (!(selector & 0xfffc))
        return NO;
    switch (x86_descriptor_fetch(cpu, selector, true, d)) {
    case X86_FETCH_FAULT:
        return FAULTED;
    case X86_FETCH_OUTSIDE:
        return NO;
    default:
        break;
    }
    if (!(d->seg.attr & X86_SEG_S) && !(types >> x86_seg_type(&d->seg) & 1))
        return NO;
    if (x86_seg_is_code(&d->seg) && x86_seg_conforming(&d->seg))
        return YES;
    return level <= x86_seg_dpl(&d->seg) ? YES : NO;
}

static void set_zf(struct x86_cpu *cpu, bool value)
{
    x86_flags_arith(cpu, X86_FL_ZF, value ? X86_FL_ZF : 0);
}

static enum x86_result lar_lsl(struct x86_cpu *cpu, const struct x86_insn *insn, bool lar)
{
    uint32_t legacy = lar ? LAR_TYPES : LSL_TYPES, wide = lar ? LAR_TYPES_LONG : LSL_TYPES_LONG;
    struct x86_descriptor d;
    uint64_t selector;
    enum answer answer;

    if (x86_real_segments(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_operand_read(cpu, insn, 1, &selector))
        return X86_FAULT;
    answer = ask(cpu, (uint16_t)selector, x86_long(cpu) ? wide : legacy, &d);
    if (answer == FAULTED)
        return X86_FAULT;
    set_zf(cpu, answer == YES);
    if (answer == YES)
        x86_gpr_write(cpu, &insn->op[0], lar ? d.low >> 32 & 0xffff00 : d.seg.limit);
    return X86_NEXT;
}

enum x86_result x86_exec_lar(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return lar_lsl(cpu, insn, true);
}

enum x86_result x86_exec_lsl(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return lar_lsl(cpu, insn, false);
}

static enum x86_result verify(struct x86_cpu *cpu, const struct x86_insn *insn, bool write)
{
    struct x86_descriptor d;
    uint64_t selector;
    enum answer answer;
    bool code;

    if (x86_real_segments(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_operand_read(cpu, insn, 0, &selector))
        return X86_FAULT;
    answer = ask(cpu, (uint16_t)selector, 0, &d);
    if (answer == FAULTED)
        return X86_FAULT;
    if (answer == YES) {
        code = x86_seg_is_code(&d.seg);
        if (write ? code || !(d.seg.attr & X86_TYPE_WRITE) : code && !(d.seg.attr & X86_TYPE_READ))
            answer = NO;
    }
    set_zf(cpu, answer == YES);
    return X86_NEXT;
}

enum x86_result x86_exec_verr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return verify(cpu, insn, false);
}

enum x86_result x86_exec_verw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return verify(cpu, insn, true);
}

enum x86_result x86_exec_arpl(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t to, from;
    bool raised;

    if (x86_real_segments(cpu))
        return x86_raise(cpu, X86_UD);
    if (!x86_operand_read(cpu, insn, 0, &to) || !x86_operand_read(cpu, insn, 1, &from))
        return X86_FAULT;
    raised = (to & 3) < (from & 3);
    if (raised && !x86_operand_write(cpu, insn, 0, (to & 0xfffc) | (from & 3)))
        return X86_FAULT;
    set_zf(cpu, raised);
    return X86_NEXT;
}
