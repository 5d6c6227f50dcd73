/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and interrupts on their way into their handlers (SDM 3A chapter 6):
 * the real-mode vector table, 16- and 32-bit gates, task gates, long mode with
 * its stack table, and what happens when delivery itself faults.
 *
 * Nothing of the processor's state changes before all checks and stores of a
 * delivery have succeeded; the exception is a task switch (x86/task.c).
 */
#include "x86/exec-sys.h"
#include "x86/system-internal.h"

#define FLAGS_CLEARED (X86_FL_TF | X86_FL_VM | X86_FL_RF | X86_FL_NT)

struct event {
    uint8_t vector;
    enum x86_event_kind kind;
    bool has_error;
    uint32_t error;
    uint64_t next_rip;
    uint32_t ext; /* EXT bit of the error codes of faults on the way */
};

enum x86_result x86_raise(struct x86_cpu *cpu, enum x86_vector vector)
{
    cpu->fault = (struct x86_fault){.vector = (uint8_t)vector};
    return X86_FAULT;
}

enum x86_result x86_raise_error(struct x86_cpu *cpu, enum x86_vector vector, uint32_t error)
{
    cpu->fault = (struct x86_fault){.vector = (uint8_t)vector, .has_error = true, .error = error};
    return X86_FAULT;
}

/* RFLAGS as the handler's frame holds them. */
static uint64_t flags_image(const struct x86_cpu *cpu, const struct event *ev)
{
    uint64_t flags = x86_flags_get(cpu);

    if (ev->kind == X86_EVENT_FAULT && ev->vector != X86_DB)
        flags |= X86_FL_RF;
    return flags;
}

/* ---- real mode ---- */

static bool enter_real(struct x86_cpu *cpu, const struct event *ev)
{
    struct x86_stack stack = x86_stack_now(cpu);
    uint64_t entry, flags = x86_flags_get(cpu);
    struct x86_segment *cs = &cpu->s.seg[X86_CS];

    if (ev->vector * 4U + 3 > cpu->s.idtr.limit)
        return x86_fail(cpu, X86_GP, ev->vector * 8U + 2 + ev->ext);
    if (!x86_system_load(cpu, x86_wrap(cpu, cpu->s.idtr.base + ev->vector * 4U), 4, &entry))
        return false;
    if (!x86_stack_push(&stack, flags, 2) || !x86_stack_push(&stack, cs->selector, 2) ||
        !x86_stack_push(&stack, ev->next_rip, 2))
        return false;
    x86_stack_commit_sp(&stack);
    x86_flags_set(cpu, flags & ~(uint64_t)(X86_FL_IF | X86_FL_TF | X86_FL_AC | X86_FL_RF));
    cs->selector = (uint16_t)(entry >> 16);
    cs->base = (uint64_t)cs->selector << 4;
    cpu->s.rip = entry & 0xffff;
    x86_mode_changed(cpu);
    return true;
}

/* ---- protected mode and long mode ---- */

static bool gate_type_valid(const struct x86_cpu *cpu, unsigned type)
{
    switch (type) {
    case X86_SYS_INT32:
    case X86_SYS_TRAP32:
        return true;
    case X86_SYS_TASK:
    case X86_SYS_INT16:
    case X86_SYS_TRAP16:
        return !x86_long(cpu);
    default:
        return false;
    }
}

/* The IDT's entry, checked as far as the gate alone can be. */
static bool gate_read(struct x86_cpu *cpu, const struct event *ev, struct x86_descriptor *gate)
{
    unsigned size = x86_long(cpu) ? 16 : 8;
    uint32_t error = ev->vector * 8U + 2 + ev->ext;

    *gate = (struct x86_descriptor){.lin = x86_wrap(cpu, cpu->s.idtr.base + ev->vector * size)};
    if (ev->vector * size + size - 1 > cpu->s.idtr.limit)
        return x86_fail(cpu, X86_GP, error);
    if (!x86_system_load(cpu, gate->lin, 8, &gate->low))
        return false;
    if (size == 16 && !x86_system_load(cpu, gate->lin + 8, 8, &gate->high))
        return false;
    gate->seg.attr = (uint32_t)(gate->low >> 40) & 0xff;
    gate->seg.selector = (uint16_t)(gate->low >> 16);
    if (gate->seg.attr & X86_SEG_S || !gate_type_valid(cpu, x86_seg_type(&gate->seg)))
        return x86_fail(cpu, X86_GP, error);
    if (ev->kind == X86_EVENT_SOFT && x86_seg_dpl(&gate->seg) < cpu->cpl)
        return x86_fail(cpu, X86_GP, error);
    if (!(gate->seg.attr & X86_SEG_P))
        return x86_fail(cpu, X86_NP, error);
    return true;
}

/* The handler's code segment; *cpl is its privilege. */
static bool handler_code(struct x86_cpu *cpu, const struct event *ev, uint16_t selector,
                         struct x86_descriptor *d, unsigned *cpl)
{
    uint32_t error = (selector & 0xfffcU) | ev->ext;

    if (!(selector & 0xfffc))
        return x86_fail(cpu, X86_GP, ev->ext);
    if (!x86_descriptor_read(cpu, selector, false, X86_GP, ev->ext, d))
        return false;
    if (!x86_seg_is_code(&d->seg) || x86_seg_dpl(&d->seg) > cpu->cpl)
        return x86_fail(cpu, X86_GP, error);
    if (x86_long(cpu) && (!(d->seg.attr & X86_SEG_L) || d->seg.attr & X86_SEG_DB))
        return x86_fail(cpu, X86_GP, error);
    *cpl = x86_seg_conforming(&d->seg) ? cpu->cpl : x86_seg_dpl(&d->seg);
    if (x86_vm86(cpu) && *cpl != 0)
        return x86_fail(cpu, X86_GP, error);
    if (!x86_code_prepare(cpu, d, ev->ext))
        return false;
    d->seg.selector = (uint16_t)((selector & ~3U) | *cpl);
    return true;
}

static bool ist_pointer(struct x86_cpu *cpu, unsigned ist, uint32_t ext, uint64_t *rsp)
{
    const struct x86_segment *tr = &cpu->s.seg[X86_TR];
    uint32_t offset = 0x24 + (ist - 1) * 8;

    if (offset + 7 > tr->limit)
        return x86_fail(cpu, X86_TS, (tr->selector & 0xfffcU) | ext);
    return x86_system_load(cpu, tr->base + offset, 8, rsp);
}

/* The stack that the handler starts on. */
static bool handler_stack(struct x86_cpu *cpu, const struct event *ev, unsigned ist, unsigned cpl,
                          struct x86_stack *stack)
{
    struct x86_descriptor d;
    struct x86_segment ss = cpu->s.seg[X86_SS];
    uint64_t sp = cpu->s.gpr[X86_RSP];
    uint16_t selector;

    if (x86_long(cpu)) {
        if (ist ? !ist_pointer(cpu, ist, ev->ext, &sp)
                : cpl < cpu->cpl && !x86_tss_stack(cpu, cpl, ev->ext, &selector, &sp))
            return false;
        if (cpl < cpu->cpl)
            ss = x86_null_stack((uint16_t)cpl, cpl);
        *stack = x86_stack_of(cpu, &ss, ALIGN_DOWN(sp, 16), cpl, true, ev->ext);
        return true;
    }
    if (cpl == cpu->cpl) {
        *stack = x86_stack_now(cpu);
        stack->error = ev->ext;
        return true;
    }
    if (!x86_tss_stack(cpu, cpl, ev->ext, &selector, &sp) ||
        !x86_stack_descriptor(cpu, selector, cpl, X86_TS, ev->ext, &d))
        return false;
    *stack = x86_stack_of(cpu, &d.seg, sp, cpl, false, (selector & 0xfffcU) | ev->ext);
    return true;
}

static bool push_frame(struct x86_cpu *cpu, const struct event *ev, struct x86_stack *stack, unsigned size,
                       bool outer)
{
    static const uint8_t vm86_order[] = {X86_GS, X86_FS, X86_DS, X86_ES};
    const struct x86_segment *seg = cpu->s.seg;

    if (x86_vm86(cpu)) {
        for (unsigned i = 0; i < ARRAY_SIZE(vm86_order); i++) {
            if (!x86_stack_push(stack, seg[vm86_order[i]].selector, size))
                return false;
        }
    }
    if (outer && (!x86_stack_push(stack, seg[X86_SS].selector, size) ||
                  !x86_stack_push(stack, cpu->s.gpr[X86_RSP], size)))
        return false;
    return x86_stack_push(stack, flags_image(cpu, ev), size) &&
           x86_stack_push(stack, seg[X86_CS].selector, size) && x86_stack_push(stack, ev->next_rip, size) &&
           (!ev->has_error || x86_stack_push(stack, ev->error, size));
}

static void leave_vm86(struct x86_cpu *cpu)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        cpu->s.seg[data[i]] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
}

static bool enter_gate(struct x86_cpu *cpu, const struct event *ev, const struct x86_descriptor *gate)
{
    unsigned type = x86_seg_type(&gate->seg), cpl = 0;
    unsigned size = x86_long(cpu) ? 8 : type & 8 ? 4 : 2;
    uint64_t offset =
        (gate->low & 0xffff) | (size > 2 ? gate->low >> 32 & 0xffff0000U : 0) | gate->high << 32;
    uint64_t flags = x86_flags_get(cpu) & ~(uint64_t)FLAGS_CLEARED;
    struct x86_descriptor code;
    struct x86_stack stack;
    bool outer;

    if (!handler_code(cpu, ev, gate->seg.selector, &code, &cpl) ||
        !handler_stack(cpu, ev, x86_long(cpu) ? (unsigned)(gate->low >> 32) & 7 : 0, cpl, &stack))
        return false;
    outer = x86_long(cpu) || cpl != cpu->cpl;
    if (!push_frame(cpu, ev, &stack, size, outer))
        return false;
    if (!x86_code_offset(cpu, &code.seg, offset)) {
        cpu->fault.error |= ev->ext;
        return false;
    }
    if (x86_vm86(cpu))
        leave_vm86(cpu);
    if (!(type & 1))
        flags &= ~(uint64_t)X86_FL_IF;
    x86_flags_set(cpu, flags);
    cpu->s.seg[X86_CS] = code.seg;
    cpu->s.seg[X86_SS] = stack.ss;
    x86_stack_commit_sp(&stack);
    cpu->s.rip = offset;
    x86_mode_changed(cpu);
    return true;
}

static bool enter_task(struct x86_cpu *cpu, const struct event *ev, const struct x86_descriptor *gate)
{
    struct x86_stack stack;

    if (ev->kind == X86_EVENT_FAULT && ev->vector != X86_DB)
        cpu->s.rflags |= X86_FL_RF; /* so that the old task's image has it */
    if (!x86_task_gate(cpu, gate, X86_TASK_EVENT, ev->next_rip, ev->ext))
        return false;
    if (!ev->has_error)
        return true;
    stack = x86_stack_now(cpu);
    if (!x86_stack_push(&stack, ev->error, x86_seg_type(&cpu->s.seg[X86_TR]) & 8 ? 4 : 2))
        return false;
    x86_stack_commit_sp(&stack);
    return true;
}

bool x86_event_enter(struct x86_cpu *cpu, uint8_t vector, enum x86_event_kind kind, bool has_error,
                     uint32_t error, uint64_t next_rip)
{
    struct event ev = {vector, kind, has_error, error, next_rip, kind != X86_EVENT_SOFT};
    struct x86_descriptor gate;

    if (!x86_protected(cpu))
        return enter_real(cpu, &ev);
    if (!gate_read(cpu, &ev, &gate))
        return false;
    if (x86_seg_type(&gate.seg) == X86_SYS_TASK)
        return enter_task(cpu, &ev, &gate);
    return enter_gate(cpu, &ev, &gate);
}

/* ---- faults while delivering (SDM 3A 6.15, interrupt 8) ---- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE };

static enum fault_class class_of(uint8_t vector)
{
    switch (vector) {
    case X86_DE:
    case X86_TS:
    case X86_NP:
    case X86_SS_FAULT:
    case X86_GP:
        return CONTRIBUTORY;
    case X86_PF:
        return PAGE;
    default:
        return BENIGN;
    }
}

static bool shutdown(struct x86_cpu *cpu)
{
    cpu->s.activity = X86_ACT_SHUTDOWN;
    return false;
}

/* Delivers an event; then, if that faults, the fault, and so on until a handler is entered. */
static bool deliver(struct x86_cpu *cpu, struct event ev)
{
    cpu->s.shadow = 0;
    cpu->debug_trap = 0;
    cpu->s.activity = X86_ACT_RUN;
    /* external, contributory, page fault, double fault: the longest way */
    for (unsigned i = 0; i < 6; i++) {
        enum fault_class first = ev.kind == X86_EVENT_FAULT ? class_of(ev.vector) : BENIGN;
        enum fault_class second;

        if (ev.kind == X86_EVENT_FAULT && ev.vector == X86_PF)
            cpu->s.cr2 = cpu->fault_cr2;
        if (x86_event_enter(cpu, ev.vector, ev.kind, ev.has_error, ev.error, ev.next_rip)) {
            if (ev.vector == X86_DB && ev.kind == X86_EVENT_FAULT)
                cpu->s.dr[7] &= ~(uint64_t)X86_DR7_GD;
            return true;
        }
        if (ev.kind == X86_EVENT_FAULT && ev.vector == X86_DF)
            return shutdown(cpu);
        second = class_of(cpu->fault.vector);
        if (second ==
            PAGE) /* even if it becomes a double fault: kernels look there for the overflown stack */
            cpu->s.cr2 = cpu->fault_cr2;
        ev = (struct event){.vector = cpu->fault.vector,
                            .kind = X86_EVENT_FAULT,
                            .has_error = cpu->fault.has_error,
                            .error = cpu->fault.error,
                            .next_rip = cpu->s.rip};
        if ((first == CONTRIBUTORY && second == CONTRIBUTORY) || (first == PAGE && second != BENIGN)) {
            ev.vector = X86_DF;
            ev.has_error = true;
            ev.error = 0;
        }
    }
    return shutdown(cpu);
}

bool x86_deliver_fault(struct x86_cpu *cpu)
{
    return deliver(cpu, (struct event){.vector = cpu->fault.vector,
                                       .kind = X86_EVENT_FAULT,
                                       .has_error = cpu->fault.has_error,
                                       .error = cpu->fault.error,
                                       .next_rip = cpu->s.rip});
}

bool x86_deliver_interrupt(struct x86_cpu *cpu, uint8_t vector)
{
    return deliver(cpu, (struct event){.vector = vector, .kind = X86_EVENT_EXTERNAL, .next_rip = cpu->s.rip});
}

bool x86_deliver_nmi(struct x86_cpu *cpu)
{
    cpu->s.nmi_pending = false;
    cpu->s.nmi_masked = true;
    return x86_deliver_interrupt(cpu, X86_NMI);
}

bool x86_can_interrupt(const struct x86_cpu *cpu)
{
    return cpu->s.rflags & X86_FL_IF && !cpu->s.shadow;
}

bool x86_deliver_pending(struct x86_cpu *cpu)
{
    struct x86_state *s = &cpu->s;

    if (s->exception_pending) {
        s->exception_pending = false;
        cpu->fault = (struct x86_fault){s->exception_vector, s->exception_has_error, s->exception_error};
        cpu->fault_cr2 = s->cr2;
        return x86_deliver_fault(cpu);
    }
    if (s->interrupt_pending) {
        s->interrupt_pending = false;
        return deliver(cpu, (struct event){.vector = s->interrupt_vector,
                                           .kind = s->interrupt_soft ? X86_EVENT_SOFT : X86_EVENT_EXTERNAL,
                                           .next_rip = s->rip});
    }
    if (s->nmi_pending && !s->nmi_masked)
        return x86_deliver_nmi(cpu);
    return true;
}
