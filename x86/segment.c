/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmentation (SDM 3A chapters 3 and 5): checks at each access, and loading
 * ES, SS, DS, FS, GS, LDTR from descriptors. CS belongs to the transfers of
 * control, TR to x86/task.c.
 */
#include "x86/system-internal.h"

bool x86_segment_inside(const struct x86_segment *seg, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;

    if (x86_seg_is_data(seg) && seg->attr & X86_TYPE_DOWN)
        return offset > seg->limit && last <= (seg->attr & X86_SEG_DB ? 0xffffffffU : 0xffffU);
    return last <= seg->limit;
}

/* Does the segment's type allow it? Real mode does not look at types. */
static bool type_allows(const struct x86_cpu *cpu, const struct x86_segment *seg, enum x86_mem_access access)
{
    if (x86_real_segments(cpu))
        return true;
    if (seg->attr & X86_SEG_UNUSABLE || !(seg->attr & X86_SEG_P))
        return false;
    switch (access) {
    case X86_MEM_FETCH:
        return true;
    case X86_MEM_READ:
        return !x86_seg_is_code(seg) || seg->attr & X86_TYPE_READ;
    default:
        return x86_seg_is_data(seg) && seg->attr & X86_TYPE_WRITE;
    }
}

bool x86_segment_linear(struct x86_cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                        enum x86_mem_access access, uint64_t *lin)
{
    const struct x86_segment *s = &cpu->s.seg[seg];
    enum x86_vector vector = seg == X86_SS ? X86_SS_FAULT : X86_GP;

    if (cpu->mode == X86_MODE_64) {
        uint64_t address = offset + (seg == X86_FS || seg == X86_GS ? s->base : 0);

        if (!x86_canonical(cpu, address) || !x86_canonical(cpu, address + size - 1))
            return x86_fail(cpu, vector, 0);
        *lin = address;
        return true;
    }
    offset &= X86_LIN_MASK32;
    if (!type_allows(cpu, s, access) || !x86_segment_inside(s, offset, size))
        return x86_fail(cpu, vector, 0);
    *lin = (s->base + offset) & X86_LIN_MASK32;
    return true;
}

/* ---- descriptors ---- */

static void unpack(struct x86_descriptor *d, uint16_t selector)
{
    uint64_t v = d->low;
    uint32_t limit = (uint32_t)(v & 0xffff) | ((uint32_t)(v >> 32) & 0xf0000);

    d->seg.selector = selector;
    d->seg.attr = (uint32_t)(v >> 40) & 0xf0ff;
    d->seg.limit = d->seg.attr & X86_SEG_G ? limit << 12 | 0xfff : limit;
    d->seg.base = (v >> 16 & 0xffffff) | (v >> 32 & 0xff000000U) | d->high << 32;
}

enum x86_fetch x86_descriptor_fetch(struct x86_cpu *cpu, uint16_t selector, bool wide,
                                    struct x86_descriptor *d)
{
    const struct x86_segment *ldt = &cpu->s.seg[X86_LDTR];
    bool local = selector & 4;
    uint64_t base = local ? ldt->base : cpu->s.gdtr.base;
    uint32_t limit = local ? ldt->limit : cpu->s.gdtr.limit;
    uint32_t offset = selector & ~7U;

    if (local && (ldt->attr & X86_SEG_UNUSABLE || !(ldt->attr & X86_SEG_P)))
        return X86_FETCH_OUTSIDE;
    if (offset + 7 > limit)
        return X86_FETCH_OUTSIDE;
    *d = (struct x86_descriptor){.lin = x86_wrap(cpu, base + offset)};
    if (!x86_system_load(cpu, d->lin, 8, &d->low))
        return X86_FETCH_FAULT;
    if (wide && x86_long(cpu) && !(d->low & BIT64(44))) {
        if (offset + 15 > limit)
            return X86_FETCH_OUTSIDE;
        if (!x86_system_load(cpu, d->lin + 8, 8, &d->high))
            return X86_FETCH_FAULT;
        if (d->high >> 40 & 0x1f) /* the upper half's type must be 0 */
            return X86_FETCH_OUTSIDE;
    }
    unpack(d, selector);
    return X86_FETCH_OK;
}

bool x86_descriptor_read(struct x86_cpu *cpu, uint16_t selector, bool wide, enum x86_vector vector,
                         uint32_t ext, struct x86_descriptor *d)
{
    switch (x86_descriptor_fetch(cpu, selector, wide, d)) {
    case X86_FETCH_OK:
        return true;
    case X86_FETCH_OUTSIDE:
        return x86_fail(cpu, vector, (selector & 0xfffcU) | ext);
    default:
        return false;
    }
}

/* Sets and clears bits of one byte in guest memory, atomically. */
static bool byte_change(struct x86_cpu *cpu, uint64_t lin, uint8_t set, uint8_t clear)
{
    struct x86_translation t;
    uint8_t *p;

    if (!x86_translate(cpu, lin, X86_MEM_WRITE, X86_MMU_KERNEL, &t))
        return false;
    if (!t.host) {
        uint8_t v = (uint8_t)cpu->env->mmio_read(cpu, t.gpa, 1);

        cpu->env->mmio_write(cpu, t.gpa, (uint8_t)((v & ~clear) | set), 1);
        return true;
    }
    if (t.rom)
        return true;
    p = t.host;
    if (set)
        __atomic_fetch_or(p, set, __ATOMIC_SEQ_CST);
    if (clear)
        __atomic_fetch_and(p, (uint8_t)~clear, __ATOMIC_SEQ_CST);
    if (!t.write_fast)
        cpu->env->stored(cpu, t.gpa, 1);
    return true;
}

bool x86_descriptor_accessed(struct x86_cpu *cpu, struct x86_descriptor *d)
{
    if (d->seg.attr & X86_TYPE_ACCESSED)
        return true;
    if (!byte_change(cpu, x86_wrap(cpu, d->lin + 5), X86_TYPE_ACCESSED, 0))
        return false;
    d->seg.attr |= X86_TYPE_ACCESSED;
    return true;
}

bool x86_descriptor_busy(struct x86_cpu *cpu, uint64_t lin, bool busy)
{
    return byte_change(cpu, x86_wrap(cpu, lin + 5), busy ? 2 : 0, busy ? 0 : 2);
}

/* ---- loading ---- */

struct x86_segment x86_null_stack(uint16_t selector, unsigned cpl)
{
    return (struct x86_segment){.selector = selector, .attr = X86_SEG_UNUSABLE | cpl << 5};
}

struct x86_segment x86_real_segment(uint16_t selector, uint32_t attr)
{
    return (struct x86_segment){
        .selector = selector, .base = (uint64_t)selector << 4, .limit = 0xffff, .attr = attr};
}

/* Real mode keeps limit and attributes ("unreal mode" lives from it). */
static void load_real(struct x86_cpu *cpu, unsigned seg, uint16_t selector)
{
    struct x86_segment *s = &cpu->s.seg[seg];

    if (x86_vm86(cpu)) {
        *s = x86_real_segment(selector, 0xf3);
    } else if (s->attr & X86_SEG_UNUSABLE) {
        *s = x86_real_segment(selector, 0x93);
    } else {
        s->selector = selector;
        s->base = (uint64_t)selector << 4;
    }
}

static bool load_null(struct x86_cpu *cpu, unsigned seg, uint16_t selector)
{
    if (seg != X86_SS) {
        cpu->s.seg[seg] = (struct x86_segment){.selector = selector, .attr = X86_SEG_UNUSABLE};
        return true;
    }
    if (cpu->mode != X86_MODE_64 || cpu->cpl == 3 || (selector & 3) != cpu->cpl)
        return x86_fail(cpu, X86_GP, 0);
    cpu->s.seg[X86_SS] = x86_null_stack(selector, cpu->cpl);
    return true;
}

/* A data or readable code segment that privilege `level` may use? */
static bool data_usable(const struct x86_segment *s, unsigned level)
{
    if (!(s->attr & X86_SEG_S))
        return false;
    if (x86_seg_is_code(s)) {
        if (!(s->attr & X86_TYPE_READ))
            return false;
        if (x86_seg_conforming(s))
            return true;
    }
    return level <= x86_seg_dpl(s);
}

bool x86_stack_descriptor(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, enum x86_vector vector,
                          uint32_t ext, struct x86_descriptor *d)
{
    uint32_t error = (selector & 0xfffcU) | ext;

    if (!(selector & 0xfffc))
        return x86_fail(cpu, vector, ext);
    if (!x86_descriptor_read(cpu, selector, false, vector, ext, d))
        return false;
    if ((selector & 3U) != cpl || x86_seg_dpl(&d->seg) != cpl || !x86_seg_is_data(&d->seg) ||
        !(d->seg.attr & X86_TYPE_WRITE))
        return x86_fail(cpu, vector, error);
    if (!(d->seg.attr & X86_SEG_P))
        return x86_fail(cpu, X86_SS_FAULT, error);
    return x86_descriptor_accessed(cpu, d);
}

bool x86_segment_load(struct x86_cpu *cpu, unsigned seg, uint16_t selector)
{
    struct x86_descriptor d;
    unsigned rpl = selector & 3;

    if (x86_real_segments(cpu)) {
        load_real(cpu, seg, selector);
        return true;
    }
    if (!(selector & 0xfffc))
        return load_null(cpu, seg, selector);
    if (seg == X86_SS) {
        if (!x86_stack_descriptor(cpu, selector, cpu->cpl, X86_GP, 0, &d))
            return false;
    } else {
        if (!x86_descriptor_read(cpu, selector, false, X86_GP, 0, &d))
            return false;
        if (!data_usable(&d.seg, MAX(rpl, cpu->cpl)))
            return x86_fail(cpu, X86_GP, selector & 0xfffc);
        if (!(d.seg.attr & X86_SEG_P))
            return x86_fail(cpu, X86_NP, selector & 0xfffc);
        if (!x86_descriptor_accessed(cpu, &d))
            return false;
    }
    cpu->s.seg[seg] = d.seg;
    return true;
}

void x86_segments_outer(struct x86_cpu *cpu)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        struct x86_segment *s = &cpu->s.seg[data[i]];
        bool code = x86_seg_is_code(s);

        if (s->attr & X86_SEG_UNUSABLE) {
            s->selector = 0;
        } else if (!(code && x86_seg_conforming(s)) && x86_seg_dpl(s) < cpu->cpl) {
            *s = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
        }
    }
}

bool x86_ldt_load(struct x86_cpu *cpu, uint16_t selector, enum x86_vector vector, uint32_t ext)
{
    uint32_t error = (selector & 0xfffcU) | ext;
    struct x86_descriptor d;

    if (!(selector & 0xfffc)) {
        cpu->s.seg[X86_LDTR] = (struct x86_segment){.selector = selector, .attr = X86_SEG_UNUSABLE};
        return true;
    }
    if (selector & 4)
        return x86_fail(cpu, vector, error);
    if (!x86_descriptor_read(cpu, selector, true, vector, ext, &d))
        return false;
    if (d.seg.attr & X86_SEG_S || x86_seg_type(&d.seg) != X86_SYS_LDT)
        return x86_fail(cpu, vector, error);
    if (!(d.seg.attr & X86_SEG_P))
        return x86_fail(cpu, vector == X86_TS ? X86_TS : X86_NP, error);
    if (x86_long(cpu) && !x86_canonical(cpu, d.seg.base))
        return x86_fail(cpu, X86_GP, error);
    cpu->s.seg[X86_LDTR] = d.seg;
    return true;
}

/* ---- stacks of control transfers ---- */

struct x86_stack x86_stack_of(struct x86_cpu *cpu, const struct x86_segment *ss, uint64_t sp, unsigned cpl,
                              bool flat, uint32_t error)
{
    uint64_t mask = flat ? ~0ULL : ss->attr & X86_SEG_DB ? X86_LIN_MASK32 : 0xffff;

    return (struct x86_stack){.cpu = cpu,
                              .ss = *ss,
                              .sp = sp,
                              .mask = mask,
                              .flat = flat,
                              .mmu = cpl == 3 ? X86_MMU_USER : X86_MMU_KERNEL,
                              .error = error};
}

struct x86_stack x86_stack_now(struct x86_cpu *cpu)
{
    struct x86_stack stack =
        x86_stack_of(cpu, &cpu->s.seg[X86_SS], cpu->s.gpr[X86_RSP], cpu->cpl, cpu->mode == X86_MODE_64, 0);

    stack.mmu = cpu->mmu_index;
    return stack;
}

static bool stack_linear(const struct x86_stack *stack, uint64_t sp, unsigned size, uint64_t *lin)
{
    struct x86_cpu *cpu = stack->cpu;

    if (stack->flat) {
        if (!x86_canonical(cpu, sp) || !x86_canonical(cpu, sp + size - 1))
            return x86_fail(cpu, X86_SS_FAULT, stack->error);
        *lin = sp;
        return true;
    }
    if (!type_allows(cpu, &stack->ss, X86_MEM_WRITE) || !x86_segment_inside(&stack->ss, sp, size))
        return x86_fail(cpu, X86_SS_FAULT, stack->error);
    *lin = (stack->ss.base + sp) & X86_LIN_MASK32;
    return true;
}

static uint64_t stack_move(const struct x86_stack *stack, uint64_t by)
{
    return (stack->sp & ~stack->mask) | ((stack->sp + by) & stack->mask);
}

bool x86_stack_push(struct x86_stack *stack, uint64_t value, unsigned size)
{
    uint64_t sp = stack_move(stack, -(uint64_t)size), lin;

    if (!stack_linear(stack, sp & stack->mask, size, &lin) ||
        !x86_store_slow(stack->cpu, lin, size, stack->mmu, low_bytes(value, size)))
        return false;
    stack->sp = sp;
    return true;
}

bool x86_stack_peek(const struct x86_stack *stack, unsigned offset, unsigned size, uint64_t *value)
{
    uint64_t lin;

    return stack_linear(stack, stack_move(stack, offset) & stack->mask, size, &lin) &&
           x86_load_slow(stack->cpu, lin, size, stack->mmu, value);
}

bool x86_stack_pop(struct x86_stack *stack, uint64_t *value, unsigned size)
{
    if (!x86_stack_peek(stack, 0, size, value))
        return false;
    stack->sp = stack_move(stack, size);
    return true;
}

void x86_stack_commit_sp(const struct x86_stack *stack)
{
    uint64_t *rsp = &stack->cpu->s.gpr[X86_RSP];

    *rsp = (*rsp & ~stack->mask) | (stack->sp & stack->mask);
    if (stack->mask == X86_LIN_MASK32)
        *rsp &= X86_LIN_MASK32;
}

/* ---- code segments ---- */

bool x86_code_offset(struct x86_cpu *cpu, const struct x86_segment *cs, uint64_t offset)
{
    if (x86_long(cpu) && cs->attr & X86_SEG_L) {
        if (!x86_canonical(cpu, offset))
            return x86_fail(cpu, X86_GP, 0);
    } else if (offset > cs->limit) {
        return x86_fail(cpu, X86_GP, 0);
    }
    return true;
}

bool x86_code_prepare(struct x86_cpu *cpu, struct x86_descriptor *d, uint32_t ext)
{
    uint32_t error = (d->seg.selector & 0xfffcU) | ext;

    if (x86_long(cpu) && d->seg.attr & X86_SEG_L && d->seg.attr & X86_SEG_DB)
        return x86_fail(cpu, X86_GP, error);
    if (!(d->seg.attr & X86_SEG_P))
        return x86_fail(cpu, X86_NP, error);
    return x86_descriptor_accessed(cpu, d);
}
