/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a block: decode what lies at s.rip, see which flags matter, choose handlers. */
#include "base/bytes.h"
#include "engine/interp/interp-internal.h"
#include "x86/exec-vec.h"

/* After these nothing may be taken for granted: the block ends. */
#define ENDS_BLOCK (X86_ROW_BRANCH | X86_ROW_SERIALIZE | X86_ROW_PRIVILEGED)

struct builder {
    struct x86_cpu *cpu;
    struct interp *in;
    struct interp_page *page, *page2;
    uint64_t rip;
    unsigned offset; /* of rip in the page */
    unsigned count;  /* instructions decoded, in in->insn */
    unsigned bytes;
    unsigned ops; /* made, in in->op */
    uint8_t code[INTERP_MAX_INSNS * X86_MAX_INSN_LEN];
};

static void decode_run(struct builder *b, size_t avail)
{
    struct interp *in = b->in;

    while (b->count < INTERP_MAX_INSNS && b->bytes < avail) {
        struct x86_insn *insn = &in->insn[b->count];

        if (x86_decode(b->code + b->bytes, MIN(avail - b->bytes, (size_t)X86_MAX_INSN_LEN), b->cpu->mode,
                       insn) < 0)
            break;
        in->insn_offset[b->count++] = (uint16_t)b->bytes;
        b->bytes += insn->length;
        if (x86_insn_row(insn->row)->properties & ENDS_BLOCK)
            break;
    }
}

/* One instruction that crosses into the next page. False: let x86_step() see what is wrong with it. */
static bool decode_crossing(struct builder *b)
{
    enum interp_next next;
    int n = x86_fetch(b->cpu, b->code);
    struct x86_insn *insn = &b->in->insn[0];

    if (n <= 0 || x86_decode(b->code, (size_t)n, b->cpu->mode, insn) < 0)
        return false;
    if (insn->length <= 4096 - b->offset)
        return false; /* it was changed just now */
    b->page2 = interp_find_page(b->cpu, b->in, interp_linear(b->cpu, b->rip + (4096 - b->offset)), &next);
    b->in->insn_offset[0] = 0;
    b->count = 1;
    b->bytes = insn->length;
    return b->page2 != NULL;
}

/*
 * Makes stores to the decoded bytes known to us, then sees that they still are
 * what was decoded.
 */
static bool track(struct builder *b)
{
    unsigned first = MIN(b->bytes, 4096 - b->offset);
    unsigned rest = b->bytes - first;

    if (!interp_track(b->in, b->page, b->offset, b->offset + first - 1) ||
        memcmp(b->code, b->page->host + b->offset, first))
        return false;
    return !rest ||
           (interp_track(b->in, b->page2, 0, rest - 1) && !memcmp(b->code + first, b->page2->host, rest));
}

/* ---- which flags somebody may look at after each instruction ---- */

static bool may_leave(const struct x86_insn *insn)
{
    /* A fault pushes the flags, and x86/ may do anything with them; only what touches registers alone is
     * harmless. */
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].kind == X86_OP_MEM && insn->op[i].access)
            return true;
    }
    switch (insn->id) {
    case X86_ADD:
    case X86_OR:
    case X86_ADC:
    case X86_SBB:
    case X86_AND:
    case X86_SUB:
    case X86_XOR:
    case X86_CMP:
    case X86_TEST:
    case X86_INC:
    case X86_DEC:
    case X86_NEG:
    case X86_NOT:
    case X86_MOV:
    case X86_MOVZX:
    case X86_MOVSX:
    case X86_MOVSXD:
    case X86_LEA:
    case X86_SHL:
    case X86_SHR:
    case X86_SAR:
    case X86_IMUL:
    case X86_NOP:
    case X86_BSWAP:
    case X86_CBW:
    case X86_CWD:
    case X86_CMOVCC:
    case X86_SETCC:
        return false;
    default:
        return true;
    }
}

static bool is_logic(unsigned id)
{
    return id == X86_AND || id == X86_OR || id == X86_XOR || id == X86_TEST;
}

static void find_live_flags(struct builder *b)
{
    unsigned live = X86_FL_ARITH;

    for (unsigned i = b->count; i--;) {
        const struct x86_insn *insn = &b->in->insn[i];
        const struct x86_row *row = x86_insn_row(insn->row);

        b->in->insn_live[i] = (uint16_t)live;
        if (may_leave(insn)) {
            live = X86_FL_ARITH;
            continue;
        }
        if (!(row->properties & X86_ROW_FLAGS_MAYBE))
            live &= ~(unsigned)row->flags_written;
        /* Undefined flags may be the old ones, but every host clears AF here. */
        if (is_logic(insn->id))
            live &= ~X86_FL_AF;
        live |= row->flags_read;
    }
}

/* ---- ops ---- */

static struct interp_op *begin_op(struct builder *b, unsigned first, unsigned last)
{
    struct interp_op *op = &b->in->op[b->ops];
    const struct x86_insn *insn = &b->in->insn[last];

    *op = (struct interp_op){
        .slot = (uint8_t)b->ops,
        .count = (uint8_t)(last + 1),
        .offset = b->in->insn_offset[first],
        .length = (uint8_t)(b->in->insn_offset[last] + insn->length - b->in->insn_offset[first]),
    };
    return op;
}

static void add_exit(struct builder *b, struct interp_op *op, struct interp_exit *exit)
{
    for (unsigned n = 0; n < 2; n++) {
        if (b->cpu->flat && (exit->rip[n] ^ b->rip) < 4096)
            op->links |= (uint8_t)BIT(n);
    }
    b->ops += 2;
}

static void add_generic(struct builder *b, unsigned i)
{
    struct interp_op *op = begin_op(b, i, i);
    x86_exec_fn *exec = x86_exec_table[b->in->insn[i].id];
    bool thunk = exec == x86_exec_vector || exec == x86_exec_x87;
    struct x86_insn *insn = interp_arena(b->in, thunk ? sizeof(struct interp_vector) : sizeof(*insn));

    base_assert(insn);
    if (thunk)
        container_of(insn, struct interp_vector, insn)->thunk = NULL;
    *insn = b->in->insn[i];
    op->insn = insn;
    op->fn = thunk ? interp_op_vector : interp_op_generic;
    if (x86_check(b->cpu, insn) != X86_NEXT)
        op->fn = interp_op_checked;
    b->ops++;
}

static struct interp_select selection(const struct builder *b)
{
    const struct x86_cpu *cpu = b->cpu;
    bool alignment = cpu->s.cr0 & X86_CR0_AM && cpu->s.rflags & X86_FL_AC && cpu->cpl == 3;
    bool plain = cpu->flat && cpu->mode != X86_MODE_16 && !alignment && !b->page2;

    return (struct interp_select){
        .mode = cpu->mode,
        .memory = plain,
        .stack = plain && (cpu->mode == X86_MODE_64 || cpu->s.seg[X86_SS].attr & X86_SEG_DB),
        .flat = plain,
    };
}

/* Makes an op of instruction i, or of it and the next; returns how many instructions it took. *ended: by an
 * exit. */
static unsigned add_op(struct builder *b, struct interp_select *sel, unsigned i, bool *ended)
{
    struct interp *in = b->in;
    const struct x86_insn *insn = &in->insn[i];
    struct interp_op *op = begin_op(b, i, i);
    struct interp_exit *exit = (struct interp_exit *)(op + 1);

    *exit = (struct interp_exit){0};
    sel->live = in->insn_live[i];
    sel->rip = b->rip + in->insn_offset[i] + insn->length;
    if (i + 2 == b->count && sel->flat) {
        struct interp_select pair = *sel;

        pair.rip += in->insn[i + 1].length;
        begin_op(b, i, i + 1);
        if (interp_fuse(&pair, insn, &in->insn[i + 1], op, exit)) {
            add_exit(b, op, exit);
            *ended = true;
            return 2;
        }
        begin_op(b, i, i);
    }
    switch (interp_select(sel, insn, op, exit)) {
    case INTERP_GENERIC:
        add_generic(b, i);
        break;
    case INTERP_SKIP:
        break;
    case INTERP_OP:
        b->ops++;
        break;
    case INTERP_EXIT:
        add_exit(b, op, exit);
        *ended = true;
        break;
    }
    return 1;
}

static void make_ops(struct builder *b)
{
    struct interp_select sel = selection(b);
    bool ended = false;

    for (unsigned i = 0; i < b->count;)
        i += add_op(b, &sel, i, &ended);
    if (!ended) {
        struct interp_op *op = begin_op(b, b->count - 1, b->count - 1);
        struct interp_exit *exit = (struct interp_exit *)(op + 1);
        uint64_t rip = b->rip + b->bytes;

        *exit = (struct interp_exit){.rip = {b->cpu->mode == X86_MODE_64 ? rip : (uint32_t)rip}};
        op->fn = b->cpu->flat ? interp_op_goto : interp_op_leave;
        add_exit(b, op, exit);
    }
}

static struct interp_block *finish(struct builder *b)
{
    struct interp *in = b->in;
    struct interp_block *block = interp_arena(in, sizeof(*block) + b->ops * sizeof(struct interp_op));
    bool verify = !interp_sealed(in, b->page->ram) || (b->page2 && !interp_sealed(in, b->page2->ram));

    base_assert(block);
    *block = (struct interp_block){
        .rip = b->rip,
        .page = b->page,
        .page2 = b->page2,
        .bytes = (uint16_t)b->bytes,
        .op_count = (uint16_t)b->ops,
    };
    memcpy(block->op, in->op, b->ops * sizeof(struct interp_op));
    if (verify || b->page2) {
        struct interp_guard *guard = interp_arena(in, sizeof(*guard) + b->bytes);

        base_assert(guard);
        *guard = (struct interp_guard){.first = block->op[0].fn, .verify = verify};
        memcpy(guard->bytes, b->code, b->bytes);
        block->guard = guard;
        block->op[0].fn = interp_op_guard;
    }
    in->stats.blocks++;
    in->stats.decoded += b->count;
    vm_trace(in->vcpu->vm, TRANSLATE, "vCPU %u: block at 0x%llx, %u instructions, %u ops", in->vcpu->index,
             (unsigned long long)b->rip, b->count, b->ops);
    return block;
}

struct interp_block *interp_build(struct x86_cpu *cpu, struct interp *in, struct interp_page *page,
                                  enum interp_next *next)
{
    struct builder b = {
        .cpu = cpu,
        .in = in,
        .page = page,
        .rip = cpu->s.rip,
        .offset = (unsigned)(interp_linear(cpu, cpu->s.rip) & 4095),
    };
    size_t avail = MIN(sizeof(b.code), 4096 - b.offset);

    *next = INTERP_STEP;
    memcpy(b.code, page->host + b.offset, avail);
    decode_run(&b, avail);
    if (!b.count && !(avail < X86_MAX_INSN_LEN && decode_crossing(&b)))
        return NULL;
    if (!track(&b)) {
        /* Somebody is writing over it right now: what was posted goes first, or, as often as it takes,
         * x86_step(). */
        return NULL;
    }
    find_live_flags(&b);
    make_ops(&b);
    return finish(&b);
}
