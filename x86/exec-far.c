/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Far JMP, CALL and RET (SDM 2A/2B, their operation sections): real mode,
 * code segments, call gates with and without a change of stack, tasks.
 */
#include "x86/exec-sys.h"
#include "x86/operand.h"
#include "x86/system-internal.h"

struct far_pointer {
    uint16_t selector;
    uint64_t offset;
};

/* What a far transfer wants: its instruction, where it returns to, and whether it saves that. */
struct transfer {
    const struct x86_insn *insn;
    struct far_pointer target;
    uint64_t next_rip;
    unsigned size; /* operand size, of what is pushed */
    bool call;
};

static bool pointer_read(struct x86_cpu *cpu, const struct x86_insn *insn, struct far_pointer *p)
{
    unsigned size = insn->opsize;
    uint64_t selector, offset, lin;

    if (insn->op[0].kind == X86_OP_FAR) {
        p->offset = low_bytes((uint64_t)insn->imm, size);
        p->selector = (uint16_t)insn->imm2;
        return true;
    }
    if (!x86_mem_linear(cpu, insn, size + 2, X86_MEM_READ, &lin) || !x86_load(cpu, lin, size, &offset) ||
        !x86_load(cpu, x86_wrap(cpu, lin + size), 2, &selector))
        return false;
    p->offset = offset;
    p->selector = (uint16_t)selector;
    return true;
}

static void enter_code(struct x86_cpu *cpu, const struct x86_segment *cs, uint16_t selector, uint64_t offset)
{
    cpu->s.seg[X86_CS] = *cs;
    cpu->s.seg[X86_CS].selector = selector;
    cpu->s.rip = offset;
    x86_mode_changed(cpu);
}

static bool push_return(struct x86_cpu *cpu, struct x86_stack *stack, const struct transfer *t)
{
    return x86_stack_push(stack, cpu->s.seg[X86_CS].selector, t->size) &&
           x86_stack_push(stack, t->next_rip, t->size);
}

static bool transfer_real(struct x86_cpu *cpu, const struct transfer *t)
{
    struct x86_stack stack = x86_stack_now(cpu);
    struct x86_segment *cs = &cpu->s.seg[X86_CS];

    if (!x86_code_offset(cpu, cs, t->target.offset))
        return false;
    if (t->call) {
        if (!push_return(cpu, &stack, t))
            return false;
        x86_stack_commit_sp(&stack);
    }
    cs->selector = t->target.selector;
    cs->base = (uint64_t)cs->selector << 4;
    cpu->s.rip = t->target.offset;
    x86_mode_changed(cpu);
    return true;
}

/* To a code segment of the same privilege. */
static bool transfer_code(struct x86_cpu *cpu, const struct transfer *t, struct x86_descriptor *d)
{
    struct x86_stack stack = x86_stack_now(cpu);
    unsigned rpl = t->target.selector & 3, dpl = x86_seg_dpl(&d->seg);
    bool allowed = x86_seg_conforming(&d->seg) ? dpl <= cpu->cpl : rpl <= cpu->cpl && dpl == cpu->cpl;

    if (!x86_seg_is_code(&d->seg) || !allowed)
        return x86_fail(cpu, X86_GP, t->target.selector & 0xfffc);
    if (!x86_code_prepare(cpu, d, 0) || (t->call && !push_return(cpu, &stack, t)) ||
        !x86_code_offset(cpu, &d->seg, t->target.offset))
        return false;
    if (t->call)
        x86_stack_commit_sp(&stack);
    enter_code(cpu, &d->seg, (uint16_t)((t->target.selector & ~3U) | cpu->cpl), t->target.offset);
    return true;
}

/* The inner stack of a call through a gate, with old SS:rSP, parameters, and the return address on it. */
static bool gate_stack(struct x86_cpu *cpu, const struct transfer *t, unsigned cpl, unsigned params,
                       struct x86_stack *inner)
{
    struct x86_stack outer = x86_stack_now(cpu);
    struct x86_descriptor d;
    struct x86_segment ss;
    uint16_t selector;
    uint64_t sp, value;

    if (!x86_tss_stack(cpu, cpl, 0, &selector, &sp))
        return false;
    if (x86_long(cpu)) {
        ss = x86_null_stack((uint16_t)cpl, cpl);
        params = 0;
    } else {
        if (!x86_stack_descriptor(cpu, selector, cpl, X86_TS, 0, &d))
            return false;
        ss = d.seg;
    }
    *inner = x86_stack_of(cpu, &ss, sp, cpl, x86_long(cpu), x86_long(cpu) ? 0 : selector & 0xfffcU);
    if (!x86_stack_push(inner, cpu->s.seg[X86_SS].selector, t->size) ||
        !x86_stack_push(inner, cpu->s.gpr[X86_RSP], t->size))
        return false;
    while (params--) {
        if (!x86_stack_peek(&outer, params * t->size, t->size, &value) ||
            !x86_stack_push(inner, value, t->size))
            return false;
    }
    return push_return(cpu, inner, t);
}

static bool transfer_gate(struct x86_cpu *cpu, struct transfer t, const struct x86_descriptor *gate)
{
    uint16_t selector = (uint16_t)(gate->low >> 16);
    uint32_t error = selector & 0xfffc;
    bool big = x86_seg_type(&gate->seg) & 8;
    uint64_t offset = (gate->low & 0xffff) | (big ? gate->low >> 32 & 0xffff0000U : 0) | gate->high << 32;
    struct x86_descriptor d;
    struct x86_stack stack;
    unsigned dpl, cpl = cpu->cpl;
    bool allowed;

    t.size = x86_long(cpu) ? 8 : big ? 4 : 2;
    if (!error)
        return x86_fail(cpu, X86_GP, 0);
    if (!x86_descriptor_read(cpu, selector, false, X86_GP, 0, &d))
        return false;
    dpl = x86_seg_dpl(&d.seg);
    allowed = t.call || x86_seg_conforming(&d.seg) ? dpl <= cpu->cpl : dpl == cpu->cpl;
    if (!x86_seg_is_code(&d.seg) || !allowed || (x86_long(cpu) && !(d.seg.attr & X86_SEG_L)))
        return x86_fail(cpu, X86_GP, error);
    if (!x86_code_prepare(cpu, &d, 0))
        return false;
    if (t.call && !x86_seg_conforming(&d.seg))
        cpl = dpl;
    if (!t.call) {
        stack = x86_stack_now(cpu);
    } else if (cpl < cpu->cpl) {
        if (!gate_stack(cpu, &t, cpl, (unsigned)(gate->low >> 32) & 0x1f, &stack))
            return false;
    } else {
        stack = x86_stack_of(cpu, &cpu->s.seg[X86_SS], cpu->s.gpr[X86_RSP], cpl, x86_long(cpu), 0);
        if (!push_return(cpu, &stack, &t))
            return false;
    }
    if (!x86_code_offset(cpu, &d.seg, offset))
        return false;
    cpu->s.seg[X86_SS] = stack.ss;
    x86_stack_commit_sp(&stack);
    enter_code(cpu, &d.seg, (uint16_t)((selector & ~3U) | cpl), offset);
    return true;
}

static bool transfer_system(struct x86_cpu *cpu, const struct transfer *t, const struct x86_descriptor *d)
{
    unsigned type = x86_seg_type(&d->seg);
    unsigned level = MAX(cpu->cpl, t->target.selector & 3U);
    enum x86_task_kind kind = t->call ? X86_TASK_CALL : X86_TASK_JUMP;
    uint32_t error = t->target.selector & 0xfffc;
    bool known =
        type == X86_SYS_CALL32 || (!x86_long(cpu) && (type == X86_SYS_CALL16 || type == X86_SYS_TASK ||
                                                      type == X86_SYS_TSS16 || type == X86_SYS_TSS32));

    if (!known || x86_seg_dpl(&d->seg) < level)
        return x86_fail(cpu, X86_GP, error);
    if (!(d->seg.attr & X86_SEG_P))
        return x86_fail(cpu, X86_NP, error);
    if (type == X86_SYS_CALL32 || type == X86_SYS_CALL16)
        return transfer_gate(cpu, *t, d);
    if (type == X86_SYS_TASK)
        return x86_task_gate(cpu, d, kind, t->next_rip, 0);
    return x86_task_switch(cpu, t->target.selector, kind, t->next_rip, 0);
}

static enum x86_result transfer(struct x86_cpu *cpu, const struct x86_insn *insn, bool call)
{
    struct transfer t = {
        .insn = insn, .next_rip = cpu->s.rip + insn->length, .size = insn->opsize, .call = call};
    struct x86_descriptor d;
    bool done;

    if (!pointer_read(cpu, insn, &t.target))
        return X86_FAULT;
    if (x86_real_segments(cpu))
        return transfer_real(cpu, &t) ? X86_JUMP : X86_FAULT;
    if (!(t.target.selector & 0xfffc))
        return x86_raise_error(cpu, X86_GP, 0);
    if (!x86_descriptor_read(cpu, t.target.selector, true, X86_GP, 0, &d))
        return X86_FAULT;
    done = d.seg.attr & X86_SEG_S ? transfer_code(cpu, &t, &d) : transfer_system(cpu, &t, &d);
    return done ? X86_JUMP : X86_FAULT;
}

enum x86_result x86_exec_jmp_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return transfer(cpu, insn, false);
}

enum x86_result x86_exec_call_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return transfer(cpu, insn, true);
}

/* ---- RET ---- */

static enum x86_result retf_real(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned extra)
{
    struct x86_stack stack = x86_stack_now(cpu);
    struct x86_segment *cs = &cpu->s.seg[X86_CS];
    uint64_t rip, selector;

    if (!x86_stack_pop(&stack, &rip, insn->opsize) || !x86_stack_pop(&stack, &selector, insn->opsize) ||
        !x86_code_offset(cpu, cs, rip))
        return X86_FAULT;
    stack.sp += extra;
    x86_stack_commit_sp(&stack);
    cs->selector = (uint16_t)selector;
    cs->base = (uint64_t)cs->selector << 4;
    cpu->s.rip = rip;
    x86_mode_changed(cpu);
    return X86_JUMP;
}

bool x86_return_code(struct x86_cpu *cpu, uint16_t selector, uint64_t offset, struct x86_descriptor *d)
{
    uint32_t error = selector & 0xfffc;
    unsigned rpl = selector & 3, dpl;

    if (!error)
        return x86_fail(cpu, X86_GP, 0);
    if (!x86_descriptor_read(cpu, selector, false, X86_GP, 0, d))
        return false;
    dpl = x86_seg_dpl(&d->seg);
    if (!x86_seg_is_code(&d->seg) || rpl < cpu->cpl || (x86_seg_conforming(&d->seg) ? dpl > rpl : dpl != rpl))
        return x86_fail(cpu, X86_GP, error);
    return x86_code_prepare(cpu, d, 0) && x86_code_offset(cpu, &d->seg, offset);
}

bool x86_return_stack(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, bool to_64bit,
                      struct x86_segment *ss)
{
    struct x86_descriptor d;

    if (!(selector & 0xfffc)) {
        if (!to_64bit || cpl == 3 || (selector & 3) != cpl)
            return x86_fail(cpu, X86_GP, 0);
        *ss = x86_null_stack(selector, cpl);
        return true;
    }
    if (!x86_stack_descriptor(cpu, selector, cpl, X86_GP, 0, &d))
        return false;
    *ss = d.seg;
    return true;
}

enum x86_result x86_exec_retf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned extra = insn->operand_count ? (unsigned)insn->imm & 0xffff : 0, size = insn->opsize, cpl;
    struct x86_stack stack = x86_stack_now(cpu);
    struct x86_descriptor d;
    struct x86_segment ss = cpu->s.seg[X86_SS];
    uint64_t rip, selector, sp, ss_selector;
    bool flat, outer;

    if (x86_real_segments(cpu))
        return retf_real(cpu, insn, extra);
    if (!x86_stack_pop(&stack, &rip, size) || !x86_stack_pop(&stack, &selector, size) ||
        !x86_return_code(cpu, (uint16_t)selector, rip, &d))
        return X86_FAULT;
    cpl = selector & 3;
    outer = cpl > cpu->cpl;
    flat = x86_long(cpu) && d.seg.attr & X86_SEG_L;
    stack.sp += extra;
    if (outer) {
        if (!x86_stack_pop(&stack, &sp, size) || !x86_stack_pop(&stack, &ss_selector, size) ||
            !x86_return_stack(cpu, (uint16_t)ss_selector, cpl, flat, &ss))
            return X86_FAULT;
        stack = x86_stack_of(cpu, &ss, sp + extra, cpl, flat, 0);
        cpu->s.seg[X86_SS] = ss;
    }
    x86_stack_commit_sp(&stack);
    enter_code(cpu, &d.seg, (uint16_t)selector, rip);
    if (outer)
        x86_segments_outer(cpu);
    x86_mode_changed(cpu);
    return X86_JUMP;
}
