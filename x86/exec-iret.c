/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Software interrupts, and IRET in all its forms (SDM 2A: IRET, INT n).
 */
#include "x86/exec-sys.h"
#include "x86/system-internal.h"

/* ---- INT ---- */

static enum x86_result soft(struct x86_cpu *cpu, const struct x86_insn *insn, uint8_t vector,
                            enum x86_event_kind kind)
{
    if (!x86_event_enter(cpu, vector, kind, false, 0, cpu->s.rip + insn->length))
        return X86_FAULT;
    return X86_JUMP;
}

enum x86_result x86_exec_int(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (x86_protected(cpu) && x86_vm86(cpu) && x86_iopl(cpu) < 3)
        return x86_raise_error(cpu, X86_GP, 0);
    return soft(cpu, insn, (uint8_t)insn->imm, X86_EVENT_SOFT);
}

enum x86_result x86_exec_int3(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return soft(cpu, insn, X86_BP, X86_EVENT_SOFT);
}

enum x86_result x86_exec_int1(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return soft(cpu, insn, X86_DB, X86_EVENT_INT1);
}

enum x86_result x86_exec_into(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!(x86_flags_get(cpu) & X86_FL_OF))
        return X86_NEXT;
    return soft(cpu, insn, X86_OF, X86_EVENT_SOFT);
}

/* ---- IRET ---- */

#define FLAGS_USER (X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT)
#define FLAGS_WIDE (X86_FL_RF | X86_FL_AC | X86_FL_ID)

struct frame {
    uint64_t rip, cs, flags, sp, ss;
};

/* The new RFLAGS: what the image may change with this operand size and the given rights. */
static uint64_t flags_merge(struct x86_cpu *cpu, uint64_t image, unsigned size, uint64_t privileged)
{
    uint64_t old = x86_flags_get(cpu), mask = FLAGS_USER | privileged;

    if (size > 2)
        mask |= FLAGS_WIDE;
    else
        mask &= 0xffff;
    return ((old & ~mask) | (image & mask) | X86_FL_FIXED) & ~(uint64_t)(size > 2 ? 0 : X86_FL_RF);
}

static uint64_t privileged_flags(const struct x86_cpu *cpu)
{
    uint64_t mask = 0;

    if (cpu->cpl == 0)
        mask |= X86_FL_IOPL | X86_FL_VIF | X86_FL_VIP;
    if (cpu->cpl <= x86_iopl(cpu))
        mask |= X86_FL_IF;
    return mask;
}

static bool frame_pop(struct x86_stack *stack, unsigned size, struct frame *f)
{
    return x86_stack_pop(stack, &f->rip, size) && x86_stack_pop(stack, &f->cs, size) &&
           x86_stack_pop(stack, &f->flags, size);
}

/* Real mode, and virtual-8086 mode with IOPL 3. */
static enum x86_result iret_real(struct x86_cpu *cpu, unsigned size)
{
    struct x86_stack stack = x86_stack_now(cpu);
    struct x86_segment *cs = &cpu->s.seg[X86_CS];
    struct frame f;

    if (x86_protected(cpu) && x86_iopl(cpu) < 3)
        return x86_raise_error(cpu, X86_GP, 0);
    if (!frame_pop(&stack, size, &f) || !x86_code_offset(cpu, cs, f.rip))
        return X86_FAULT;
    x86_stack_commit_sp(&stack);
    x86_flags_set(cpu, flags_merge(cpu, f.flags, size, X86_FL_IF | (x86_vm86(cpu) ? 0 : X86_FL_IOPL)));
    cs->selector = (uint16_t)f.cs;
    cs->base = (uint64_t)cs->selector << 4;
    cpu->s.rip = f.rip;
    return X86_JUMP;
}

static enum x86_result iret_to_vm86(struct x86_cpu *cpu, struct x86_stack *stack, const struct frame *f)
{
    static const uint8_t order[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    uint64_t selector[ARRAY_SIZE(order)], sp, ss;

    if (!x86_stack_pop(stack, &sp, 4) || !x86_stack_pop(stack, &ss, 4))
        return X86_FAULT;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        if (!x86_stack_pop(stack, &selector[i], 4))
            return X86_FAULT;
    }
    if (f->rip > 0xffff)
        return x86_raise_error(cpu, X86_GP, 0);
    x86_flags_set(cpu, (f->flags & (FLAGS_USER | FLAGS_WIDE | X86_FL_IF | X86_FL_IOPL | X86_FL_VIF |
                                    X86_FL_VIP | X86_FL_VM)) |
                           X86_FL_FIXED);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        cpu->s.seg[order[i]] = x86_real_segment((uint16_t)selector[i], 0xf3);
    cpu->s.seg[X86_CS] = x86_real_segment((uint16_t)f->cs, 0xf3);
    cpu->s.seg[X86_SS] = x86_real_segment((uint16_t)ss, 0xf3);
    cpu->s.gpr[X86_RSP] = sp & X86_LIN_MASK32;
    cpu->s.rip = f->rip;
    return X86_JUMP;
}

static enum x86_result iret_protected(struct x86_cpu *cpu, unsigned size)
{
    struct x86_stack stack = x86_stack_now(cpu);
    struct x86_segment ss = cpu->s.seg[X86_SS];
    struct x86_descriptor d;
    struct frame f;
    unsigned cpl;
    bool flat, from_64bit = cpu->mode == X86_MODE_64, outer;

    if (!frame_pop(&stack, size, &f))
        return X86_FAULT;
    if (f.flags & X86_FL_VM && size > 2 && cpu->cpl == 0 && !x86_long(cpu))
        return iret_to_vm86(cpu, &stack, &f);
    if (!x86_return_code(cpu, (uint16_t)f.cs, f.rip, &d))
        return X86_FAULT;
    cpl = f.cs & 3;
    outer = cpl > cpu->cpl;
    flat = x86_long(cpu) && d.seg.attr & X86_SEG_L;
    if (outer || from_64bit) {
        if (!x86_stack_pop(&stack, &f.sp, size) || !x86_stack_pop(&stack, &f.ss, size) ||
            !x86_return_stack(cpu, (uint16_t)f.ss, cpl, flat, &ss))
            return X86_FAULT;
        stack = x86_stack_of(cpu, &ss, f.sp, cpl, flat, 0);
    }
    x86_flags_set(cpu, flags_merge(cpu, f.flags, size, privileged_flags(cpu)));
    cpu->s.seg[X86_SS] = ss;
    x86_stack_commit_sp(&stack);
    cpu->s.seg[X86_CS] = d.seg;
    cpu->s.rip = f.rip;
    if (outer) {
        cpu->cpl = (uint8_t)cpl;
        x86_segments_outer(cpu);
    }
    return X86_JUMP;
}

static enum x86_result iret_task(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_segment *tr = &cpu->s.seg[X86_TR];
    uint64_t link;

    if (!x86_system_load(cpu, x86_wrap(cpu, tr->base), 2, &link))
        return X86_FAULT;
    if (!x86_task_switch(cpu, (uint16_t)link, X86_TASK_IRET, cpu->s.rip + insn->length, 0))
        return X86_FAULT;
    return X86_JUMP;
}

enum x86_result x86_exec_iret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_result result;

    if (x86_real_segments(cpu))
        result = iret_real(cpu, insn->opsize);
    else if (!(cpu->s.rflags & X86_FL_NT))
        result = iret_protected(cpu, insn->opsize);
    else if (x86_long(cpu))
        result = x86_raise_error(cpu, X86_GP, 0);
    else
        result = iret_task(cpu, insn);
    if (result == X86_JUMP) {
        cpu->s.nmi_masked = false;
        x86_mode_changed(cpu);
    }
    return result;
}
