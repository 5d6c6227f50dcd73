/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector and MMX instructions by thunk: what the architecture wants around the
 * host's own instruction. Memory is checked before anything is changed, the
 * exceptions of SSE arithmetic (SDM 1 11.5) are found by running with all of them
 * masked and looking at what was flagged.
 */
#include "x86/exec-vec-internal.h"

#include "base/bytes.h"

bool vec_memory_begin(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_thunk *thunk,
                      struct vec_memory *m, bool bounce)
{
    const struct x86_operand *op = &insn->op[thunk->memory];
    const struct x86_tlb_entry *e;

    m->size = op->size;
    m->write = op->access & X86_WRITE;
    /* Alignment first: the end of a misaligned operand may not even be canonical. */
    if (thunk->flags & X86_THUNK_ALIGN && x86_effective(cpu, insn) & (m->size - 1)) {
        x86_raise_error(cpu, X86_GP, 0);
        return false;
    }
    if (!x86_mem_linear(cpu, insn, m->size, m->write ? X86_MEM_WRITE : X86_MEM_READ, &m->lin))
        return false;
    if (m->write) {
        if (!x86_rmw(cpu, m->lin, m->size, &m->host))
            return false;
        if (bounce || !m->host)
            m->host = m->bounce;
        return true;
    }
    e = x86_tlb_slot(cpu, m->lin);
    if (likely(m->lin - e->tag_read <= 4096 - m->size)) {
        m->host = (void *)(uintptr_t)(m->lin + e->addend);
        return true;
    }
    m->host = m->bounce;
    return x86_load_bytes(cpu, m->lin, m->bounce, m->size, cpu->mmu_index);
}

bool vec_memory_end(struct x86_cpu *cpu, struct vec_memory *m)
{
    if (m->host == m->bounce)
        return x86_store_bytes(cpu, m->lin, m->bounce, m->size, cpu->mmu_index);
    x86_rmw_done(cpu, m->lin, m->size);
    return true;
}

void vec_mmx_enter(struct x86_cpu *cpu)
{
    x86_x87_set_top(&cpu->s.x87, 0);
    cpu->s.x87.ftw = 0xff;
}

/* What an instruction may have changed when it turns out to fault. */
struct undo {
    union x86_vec vec;
    struct x86_x87 x87;
    uint64_t gpr;
    uint32_t cc;
};

static const struct x86_operand *written_register(const struct x86_insn *insn)
{
    const struct x86_operand *op = &insn->op[0];

    return op->kind == X86_OP_REG && op->access & X86_WRITE ? op : NULL;
}

static void undo_save(const struct x86_cpu *cpu, const struct x86_insn *insn, struct undo *undo)
{
    const struct x86_operand *op = written_register(insn);

    undo->cc = cpu->cc;
    if (!op)
        return;
    if (op->reg_class == X86_RC_VEC)
        undo->vec = cpu->s.vec[op->reg];
    else if (op->reg_class == X86_RC_GPR)
        undo->gpr = cpu->s.gpr[op->reg];
    else
        undo->x87 = cpu->s.x87;
}

static void undo_restore(struct x86_cpu *cpu, const struct x86_insn *insn, const struct undo *undo)
{
    const struct x86_operand *op = written_register(insn);

    cpu->cc = undo->cc;
    if (!op)
        return;
    if (op->reg_class == X86_RC_VEC)
        cpu->s.vec[op->reg] = undo->vec;
    else if (op->reg_class == X86_RC_GPR)
        cpu->s.gpr[op->reg] = undo->gpr;
    else
        cpu->s.x87 = undo->x87;
}

/* A denormal half among what VCVTPS2PH, which does not know FZ, has made. */
static bool has_tiny_half(const struct x86_cpu *cpu, const struct x86_insn *insn, const void *mem)
{
    const struct x86_operand *op = &insn->op[0];
    const uint8_t *half = op->kind == X86_OP_MEM ? mem : cpu->s.vec[op->reg].b;

    for (unsigned i = 0; i < (insn->vex_l ? 8 : 4); i++) {
        unsigned v = load_le16(half + i * 2);
        if (!(v & 0x7c00) && v & 0x3ff)
            return true;
    }
    return false;
}

/*
 * Is any result tiny, so that unmasked underflow is signalled even if it is exact? FZ
 * makes the host flag that. It does nothing else to a guest that has underflow
 * unmasked, as it is void then (SDM 1 10.2.3.3).
 */
static bool is_tiny(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_thunk *thunk,
                    void *mem, uint32_t mxcsr)
{
    cpu->s.mxcsr = mxcsr | X86_MXCSR_FZ;
    thunk->code(cpu, mem, NULL);
    return cpu->s.mxcsr & X86_MXCSR_UE || (insn->id == X86_VCVTPS2PH && has_tiny_half(cpu, insn, mem));
}

/*
 * With some exception unmasked: run with all masked, and see what was flagged. What
 * is found before computing (invalid, denormal, divide by zero) suppresses what is
 * found after it, if one of the former is unmasked (SDM 1 11.5.2).
 *
 * Not exact in the flags of what faults: PE beside an unmasked OE or UE is as the
 * masked response has it, not as an unbounded exponent would; and DPPS and DPPD
 * have those of all their steps, not only of the first that faults.
 */
static enum x86_result run_unmasked(struct x86_cpu *cpu, const struct x86_insn *insn,
                                    const struct x86_thunk *thunk, void *mem)
{
    const uint32_t before = X86_MXCSR_IE | X86_MXCSR_DE | X86_MXCSR_ZE;
    uint32_t guest = cpu->s.mxcsr;
    uint32_t run = (guest | X86_MXCSR_MASKS) & ~X86_MXCSR_FLAGS;
    uint32_t enabled = ~(guest >> X86_MXCSR_MASK_SHIFT) & X86_MXCSR_FLAGS;
    uint32_t tiny = 0;
    struct undo undo;

    undo_save(cpu, insn, &undo);
    if (enabled & X86_MXCSR_UE) {
        run &= ~X86_MXCSR_FZ;
        tiny = is_tiny(cpu, insn, thunk, mem, run) ? X86_MXCSR_UE : 0;
        undo_restore(cpu, insn, &undo);
    }
    cpu->s.mxcsr = run;
    thunk->code(cpu, mem, NULL);

    uint32_t flags = (cpu->s.mxcsr & X86_MXCSR_FLAGS) | tiny;
    if (flags & enabled & before)
        flags &= before;
    cpu->s.mxcsr = guest | flags;
    if (!(flags & enabled))
        return X86_NEXT;
    undo_restore(cpu, insn, &undo);
    return x86_raise(cpu, cpu->s.cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

static ATTR_NOINLINE enum x86_result run_with_memory(struct x86_cpu *cpu, const struct x86_insn *insn,
                                                     const struct x86_thunk *thunk)
{
    enum x86_result result = X86_NEXT;
    struct vec_memory m;
    bool fp = thunk->flags & X86_THUNK_FP;

    if (!vec_memory_begin(cpu, insn, thunk, &m, fp))
        return X86_FAULT;
    if (thunk->flags & X86_THUNK_MMX)
        vec_mmx_enter(cpu);
    if (unlikely(fp && ~cpu->s.mxcsr & X86_MXCSR_MASKS))
        result = run_unmasked(cpu, insn, thunk, m.host);
    else
        thunk->code(cpu, m.host, NULL);
    if (m.write && result == X86_NEXT && !vec_memory_end(cpu, &m))
        return X86_FAULT;
    return result;
}

enum x86_result x86_thunk_run(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_thunk *thunk)
{
    if (thunk->flags & X86_THUNK_X87)
        return vec_run_x87(cpu, insn, thunk);
    if (thunk->flags & X86_THUNK_MMX && vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    if (thunk->memory != X86_THUNK_NO_MEM)
        return run_with_memory(cpu, insn, thunk);
    if (thunk->flags & X86_THUNK_MMX)
        vec_mmx_enter(cpu);
    if (unlikely(thunk->flags & X86_THUNK_FP && ~cpu->s.mxcsr & X86_MXCSR_MASKS))
        return run_unmasked(cpu, insn, thunk, NULL);
    thunk->code(cpu, NULL, NULL);
    return X86_NEXT;
}

enum x86_result x86_exec_vector(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_thunk_run(cpu, insn, x86_thunk_get(cpu, insn));
}

enum x86_result x86_exec_emms(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    x86_x87_set_top(&cpu->s.x87, 0);
    cpu->s.x87.ftw = 0;
    return X86_NEXT;
}

static void zero_vectors(struct x86_cpu *cpu, unsigned from)
{
    unsigned count = cpu->mode == X86_MODE_64 ? 16 : 8;

    for (unsigned i = 0; i < count; i++)
        memset(cpu->s.vec[i].b + from, 0, sizeof(cpu->s.vec[i]) - from);
}

enum x86_result x86_exec_vzeroupper(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    zero_vectors(cpu, 16);
    return X86_NEXT;
}

enum x86_result x86_exec_vzeroall(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    zero_vectors(cpu, 0);
    return X86_NEXT;
}
