/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handler of every instruction that has no hot one, and the ways out of those
 * that have: the reference semantics of x86/ finish whatever is not common.
 */
#include "engine/interp/ops-internal.h"

static uint64_t op_rip(const struct interp_op *op)
{
    return interp_block_of(op)->rip + op->offset;
}

/* Before anything that sees the processor from outside: where it is, and how far it has come. */
static void be_exact(struct x86_cpu *cpu, const struct interp_op *op)
{
    cpu->s.rip = op_rip(op);
    cpu->uncounted = op->count - 1;
}

static uint64_t rip_after(const struct x86_cpu *cpu, const struct interp_op *op)
{
    uint64_t rip = op_rip(op) + op->length;

    return cpu->mode == X86_MODE_64 ? rip : (uint32_t)rip;
}

/* s.rip is at the op's instruction, which ended with `result`. */
static enum interp_next finish(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in,
                               enum x86_result result)
{
    switch (result) {
    case X86_NEXT:
        if (likely(!interp_request(cpu)))
            NEXT;
        /* Perhaps the store was over this very block's code: nothing behind it may run. */
        cpu->instructions += op->count;
        cpu->s.rip = rip_after(cpu, op);
        return INTERP_LOOK;
    case X86_JUMP:
        cpu->instructions += op->count;
        return INTERP_BREAK;
    case X86_AGAIN:
        cpu->instructions += op->count - 1U;
        return INTERP_LOOK;
    case X86_FAULT:
        cpu->instructions += op->count - 1U;
        return INTERP_FAULT;
    case X86_HALT:
        cpu->instructions += op->count;
        cpu->s.rip = rip_after(cpu, op);
        return INTERP_HALT;
    case X86_BREAK:
        break;
    }
    cpu->instructions += op->count;
    cpu->s.rip = rip_after(cpu, op);
    return INTERP_BREAK;
}

enum interp_next interp_op_generic(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    be_exact(cpu, op);
    return finish(cpu, op, in, x86_exec_table[op->insn->id](cpu, op->insn));
}

/* Vector and x87 instructions, by the thunk that was made the first time. */
enum interp_next interp_op_vector(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    struct interp_vector *v = container_of(op->insn, struct interp_vector, insn);

    be_exact(cpu, op);
    if (unlikely(!v->thunk || v->generation != cpu->thunks->generation)) {
        v->thunk = x86_thunk_get(cpu, &v->insn);
        v->generation = cpu->thunks->generation;
    }
    return finish(cpu, op, in, x86_thunk_run(cpu, &v->insn, v->thunk));
}

/* For what x86_check() refused when the block was made. */
enum interp_next interp_op_checked(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    enum x86_result result;

    be_exact(cpu, op);
    result = x86_check(cpu, op->insn);
    if (result == X86_NEXT)
        result = x86_exec_table[op->insn->id](cpu, op->insn);
    return finish(cpu, op, in, result);
}

enum interp_next interp_op_dead(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    cpu->s.rip = interp_block_of(op)->rip;
    return INTERP_LOOK;
}

/*
 * Stands before the first op of a block that crosses into a second page, or whose
 * bytes another vCPU may still change unseen. The dispatcher makes good what is
 * wrong here, so that LOOK cannot come back to the same place for ever.
 */
enum interp_next interp_op_guard(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    const struct interp_block *block = interp_block_of(op);
    const struct interp_guard *guard = block->guard;

    if ((block->page2 && block->page2->stamp != in->stamp) || guard->verify) {
        cpu->s.rip = block->rip;
        if (!interp_admit(cpu, in, (struct interp_block *)block))
            return INTERP_LOOK;
    }
    return guard->first(cpu, op, in);
}

/* The decoded instruction of a hot op, from the few last ones asked for. NULL: its bytes are another
 * instruction's now. */
static const struct x86_insn *redo_insn(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    const struct interp_block *block = interp_block_of(op);
    struct interp_redo *redo = &in->redo[((uintptr_t)op / sizeof(*op)) % INTERP_REDO_SIZE];
    uint64_t at = block->rip + op->offset;

    if (redo->op == op)
        return &redo->insn;
    at = interp_linear(cpu, at) & 4095;
    redo->op = NULL;
    if (x86_decode(block->page->host + at, MIN(4096 - at, (unsigned)X86_MAX_INSN_LEN), cpu->mode,
                   &redo->insn) < 0 ||
        redo->insn.length != op->length)
        return NULL;
    redo->op = op;
    return &redo->insn;
}

/* Does the block's exit follow, in an op's place? */
static bool is_last(const struct interp_op *op)
{
    return op->slot + 2U == interp_block_of(op)->op_count;
}

enum interp_next interp_redo(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    const struct x86_insn *insn = redo_insn(cpu, op, in);
    enum x86_result result;

    in->stats.redone++;
    be_exact(cpu, op);
    if (!insn) {
        cpu->instructions += op->count - 1U;
        return INTERP_STEP;
    }
    result = x86_check(cpu, insn); /* guest memory may have another by now than the one the op was made of */
    if (result == X86_NEXT)
        result = x86_exec_table[insn->id](cpu, insn);
    if (unlikely(result == X86_NEXT && is_last(op))) { /* it was a branch: no op is behind it */
        cpu->instructions += op->count;
        cpu->s.rip = rip_after(cpu, op);
        return INTERP_LOOK;
    }
    return finish(cpu, op, in, result);
}

enum refill { REFILL_HIT, REFILL_FAULT, REFILL_NOT };

/* Apart from interp_miss(), whose call of the handler has to be a jump: it has no locals on the stack. */
static ATTR_NOINLINE enum refill refill(struct x86_cpu *cpu, uint64_t lin, enum x86_mem_access access,
                                        unsigned size)
{
    const struct x86_tlb_entry *e = x86_tlb_slot(cpu, lin);
    struct x86_translation t;

    if (!x86_translate(cpu, lin, access, cpu->mmu_index, &t))
        return REFILL_FAULT;
    return lin - (access == X86_MEM_WRITE ? e->tag_write : e->tag_read) <= 4096 - size ? REFILL_HIT
                                                                                       : REFILL_NOT;
}

enum interp_next interp_miss(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in, uint64_t lin,
                             unsigned what)
{
    unsigned size = what & 255;

    in->stats.misses++;
    if ((lin & 4095) + size > 4096 || !interp_canonical(lin))
        return interp_redo(cpu, op, in);
    be_exact(cpu, op);
    switch (refill(cpu, lin, what >> 8, size)) {
    case REFILL_HIT:
        return op->fn(cpu, op, in);
    case REFILL_FAULT:
        cpu->instructions += op->count - 1U;
        return INTERP_FAULT;
    default:
        return interp_redo(cpu, op, in);
    }
}

static enum interp_next follow(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in, unsigned n)
{
    struct interp_exit *exit = (struct interp_exit *)(op + 1);
    const struct interp_block *block = in->jump[interp_jump_hash(cpu->s.rip)];

    if (!interp_free(cpu, in) || block->rip != cpu->s.rip || block->page->stamp != in->stamp)
        return INTERP_LOOK;
    if (op->links & BIT(n))
        exit->link[n] = block->op;
    ENTER(block->op);
}

enum interp_next interp_follow0(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    return follow(cpu, op, in, 0);
}

enum interp_next interp_follow1(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    return follow(cpu, op, in, 1);
}

/* The end of a block where neither links nor the jump cache apply. */
enum interp_next interp_op_leave(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    const struct interp_exit *exit = (const void *)(op + 1);

    cpu->instructions += op->count;
    cpu->s.rip = exit->rip[0];
    return INTERP_LOOK;
}
