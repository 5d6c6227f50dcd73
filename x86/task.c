/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tasks (SDM 3A chapter 7): the TSS as a source of inner stacks, and hardware
 * task switches between 16- and 32-bit TSSs. Long mode has only the former.
 *
 * A switch reads the whole new TSS and writes the old one before it changes the
 * processor; from then on it is in the new task, and what is wrong with the new
 * task's segments faults there.
 */
#include "x86/system-internal.h"

bool x86_tss_stack(struct x86_cpu *cpu, unsigned cpl, uint32_t ext, uint16_t *ss, uint64_t *sp)
{
    const struct x86_segment *tr = &cpu->s.seg[X86_TR];
    bool wide = x86_long(cpu), big = x86_seg_type(tr) & 8;
    unsigned size = wide ? 8 : big ? 4 : 2;
    uint32_t offset = wide || big ? 4 + cpl * 8 : 2 + cpl * 4;
    uint64_t selector = 0;

    if (offset + (wide || big ? 7 : 3) > tr->limit)
        return x86_fail(cpu, X86_TS, (tr->selector & 0xfffcU) | ext);
    if (!x86_system_load(cpu, x86_wrap(cpu, tr->base + offset), size, sp))
        return false;
    if (!wide && !x86_system_load(cpu, x86_wrap(cpu, tr->base + offset + size), 2, &selector))
        return false;
    *ss = (uint16_t)selector;
    return true;
}

/* The part of a TSS that a switch saves and loads. */
struct task {
    uint32_t eip, eflags;
    uint32_t gpr[8];
    uint16_t seg[6]; /* ES CS SS DS FS GS */
    uint16_t ldt;
    uint32_t cr3;
    bool has_cr3;
    bool trap;
};

/* Where they lie (SDM 3A figures 7-2 and 7-11). */
struct task_layout {
    uint8_t word; /* size of EIP, EFLAGS and registers */
    uint8_t eip, eflags, gpr, seg, seg_stride, seg_count, ldt;
    uint8_t min_limit;
};

static const struct task_layout layout32 = {4, 0x20, 0x24, 0x28, 0x48, 4, 6, 0x60, 0x67};
static const struct task_layout layout16 = {2, 0x0e, 0x10, 0x12, 0x22, 2, 4, 0x2a, 0x2b};

static const struct task_layout *layout_of(const struct x86_segment *tss)
{
    return x86_seg_type(tss) & 8 ? &layout32 : &layout16;
}

static bool field_read(struct x86_cpu *cpu, const struct x86_segment *tss, unsigned offset, unsigned size,
                       uint32_t *value)
{
    uint64_t v;

    if (!x86_system_load(cpu, x86_wrap(cpu, tss->base + offset), size, &v))
        return false;
    *value = (uint32_t)v;
    return true;
}

static bool field_write(struct x86_cpu *cpu, const struct x86_segment *tss, unsigned offset, unsigned size,
                        uint32_t value)
{
    return x86_system_store(cpu, x86_wrap(cpu, tss->base + offset), size, value);
}

static bool task_read(struct x86_cpu *cpu, const struct x86_segment *tss, struct task *task)
{
    const struct task_layout *l = layout_of(tss);
    uint32_t v;

    *task = (struct task){0};
    if (!field_read(cpu, tss, l->eip, l->word, &task->eip) ||
        !field_read(cpu, tss, l->eflags, l->word, &task->eflags))
        return false;
    for (unsigned i = 0; i < 8; i++) {
        if (!field_read(cpu, tss, l->gpr + i * l->word, l->word, &task->gpr[i]))
            return false;
    }
    for (unsigned i = 0; i < l->seg_count; i++) {
        if (!field_read(cpu, tss, l->seg + i * l->seg_stride, 2, &v))
            return false;
        task->seg[i] = (uint16_t)v;
    }
    if (!field_read(cpu, tss, l->ldt, 2, &v))
        return false;
    task->ldt = (uint16_t)v;
    if (l == &layout32) {
        task->has_cr3 = cpu->s.cr0 & X86_CR0_PG;
        if (!field_read(cpu, tss, 0x1c, 4, &task->cr3) || !field_read(cpu, tss, 0x64, 2, &v))
            return false;
        task->trap = v & 1;
    }
    return true;
}

/* The present task into its TSS. */
static bool task_save(struct x86_cpu *cpu, uint64_t next_rip, uint32_t eflags)
{
    const struct x86_segment *tss = &cpu->s.seg[X86_TR];
    const struct task_layout *l = layout_of(tss);

    if (l->min_limit > tss->limit)
        return x86_fail(cpu, X86_TS, tss->selector & 0xfffc);
    if (!field_write(cpu, tss, l->eip, l->word, (uint32_t)next_rip) ||
        !field_write(cpu, tss, l->eflags, l->word, eflags))
        return false;
    for (unsigned i = 0; i < 8; i++) {
        if (!field_write(cpu, tss, l->gpr + i * l->word, l->word, (uint32_t)cpu->s.gpr[i]))
            return false;
    }
    for (unsigned i = 0; i < l->seg_count; i++) {
        if (!field_write(cpu, tss, l->seg + i * l->seg_stride, 2, cpu->s.seg[i].selector))
            return false;
    }
    return true;
}

static bool data_segment_load(struct x86_cpu *cpu, unsigned seg, uint16_t selector)
{
    if (x86_segment_load(cpu, seg, selector))
        return true;
    if (cpu->fault.vector == X86_GP)
        cpu->fault.vector = X86_TS;
    return false;
}

static bool task_code_load(struct x86_cpu *cpu, uint16_t selector)
{
    uint32_t error = selector & 0xfffc;
    struct x86_descriptor d;
    unsigned rpl = selector & 3, dpl;

    if (!error)
        return x86_fail(cpu, X86_TS, 0);
    if (!x86_descriptor_read(cpu, selector, false, X86_TS, 0, &d))
        return false;
    dpl = x86_seg_dpl(&d.seg);
    if (!x86_seg_is_code(&d.seg) || (x86_seg_conforming(&d.seg) ? dpl > rpl : dpl != rpl))
        return x86_fail(cpu, X86_TS, error);
    if (!x86_code_prepare(cpu, &d, 0))
        return false;
    cpu->s.seg[X86_CS] = d.seg;
    return true;
}

/* The new task's segments; the processor is in the new task already. */
static bool task_segments_load(struct x86_cpu *cpu, const struct task *task)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    struct x86_descriptor d;
    unsigned cpl = task->seg[X86_CS] & 3;
    bool vm86 = task->eflags & X86_FL_VM;

    for (unsigned i = 0; i < 6; i++) {
        if (vm86)
            cpu->s.seg[i] = x86_real_segment(task->seg[i], 0xf3);
        else
            cpu->s.seg[i] =
                (struct x86_segment){.selector = task->seg[i], .attr = X86_SEG_UNUSABLE | cpl << 5};
    }
    if (!vm86) /* a CS to be in until the right one is found good */
        cpu->s.seg[X86_CS].attr = X86_SEG_P | X86_SEG_S | 0xb | cpl << 5;
    x86_mode_changed(cpu);
    if (!x86_ldt_load(cpu, task->ldt, X86_TS, 0)) {
        cpu->s.seg[X86_LDTR] = (struct x86_segment){.selector = task->ldt, .attr = X86_SEG_UNUSABLE};
        return false;
    }
    if (vm86)
        return true;
    if (!task_code_load(cpu, task->seg[X86_CS]))
        return false;
    if (!x86_stack_descriptor(cpu, task->seg[X86_SS], cpl, X86_TS, 0, &d))
        return false;
    cpu->s.seg[X86_SS] = d.seg;
    x86_mode_changed(cpu);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        if (!data_segment_load(cpu, data[i], task->seg[data[i]]))
            return false;
    }
    return x86_code_offset(cpu, &cpu->s.seg[X86_CS], task->eip);
}

/* Finds and checks the TSS to switch to. */
static bool target_read(struct x86_cpu *cpu, uint16_t selector, enum x86_task_kind kind, uint32_t ext,
                        struct x86_descriptor *d)
{
    enum x86_vector vector = kind == X86_TASK_IRET ? X86_TS : X86_GP;
    uint32_t error = (selector & 0xfffcU) | ext;
    unsigned type;

    if (selector & 4 || !(selector & 0xfffc))
        return x86_fail(cpu, vector, error);
    if (!x86_descriptor_read(cpu, selector, false, vector, ext, d))
        return false;
    type = x86_seg_type(&d->seg) & ~8U;
    if (d->seg.attr & X86_SEG_S || type != (kind == X86_TASK_IRET ? X86_SYS_TSS16_BUSY : X86_SYS_TSS16))
        return x86_fail(cpu, vector, error);
    if (!(d->seg.attr & X86_SEG_P))
        return x86_fail(cpu, X86_NP, error);
    if (d->seg.limit < layout_of(&d->seg)->min_limit)
        return x86_fail(cpu, X86_TS, error);
    return true;
}

/* Busy bits and the back link: the last stores before the processor changes. */
static bool link_tasks(struct x86_cpu *cpu, const struct x86_descriptor *d, enum x86_task_kind kind)
{
    uint16_t old = cpu->s.seg[X86_TR].selector;

    if (kind == X86_TASK_CALL || kind == X86_TASK_EVENT) {
        if (!field_write(cpu, &d->seg, 0, 2, old))
            return false;
    } else if (!x86_descriptor_busy(cpu, cpu->s.gdtr.base + (old & ~7U), false)) {
        return false;
    }
    return kind == X86_TASK_IRET || x86_descriptor_busy(cpu, d->lin, true);
}

bool x86_task_switch(struct x86_cpu *cpu, uint16_t selector, enum x86_task_kind kind, uint64_t next_rip,
                     uint32_t ext)
{
    bool nested = kind == X86_TASK_CALL || kind == X86_TASK_EVENT;
    uint32_t eflags = (uint32_t)x86_flags_get(cpu);
    struct x86_descriptor d;
    struct task task;

    if (kind == X86_TASK_IRET)
        eflags &= ~X86_FL_NT;
    if (!target_read(cpu, selector, kind, ext, &d) || !task_read(cpu, &d.seg, &task) ||
        !task_save(cpu, next_rip, eflags) || !link_tasks(cpu, &d, kind))
        return false;

    if (nested)
        task.eflags |= X86_FL_NT;
    d.seg.attr |= 2; /* busy */
    cpu->s.seg[X86_TR] = d.seg;
    cpu->s.cr0 |= X86_CR0_TS;
    cpu->s.dr[7] &= ~0x155ULL; /* L0..L3, LE */
    if (task.has_cr3)
        x86_cr3_load(cpu, task.cr3);
    cpu->s.rip = task.eip;
    for (unsigned i = 0; i < 8; i++)
        cpu->s.gpr[i] = task.gpr[i];
    if (layout_of(&d.seg) == &layout16)
        task.eflags &= 0xffff;
    x86_flags_set(cpu, (task.eflags & 0x003f7fd5U) | X86_FL_FIXED);
    if (!task_segments_load(cpu, &task)) {
        x86_mode_changed(cpu);
        return false;
    }
    x86_mode_changed(cpu);
    if (task.trap) {
        x86_debug_fault(cpu, X86_DR6_BT);
        return false;
    }
    return true;
}

bool x86_task_gate(struct x86_cpu *cpu, const struct x86_descriptor *gate, enum x86_task_kind kind,
                   uint64_t next_rip, uint32_t ext)
{
    return x86_task_switch(cpu, (uint16_t)(gate->low >> 16), kind, next_rip, ext);
}
