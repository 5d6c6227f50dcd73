/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which hot handler an instruction gets, and its operands in the handler's form. */
#include "engine/interp/ops-internal.h"

struct choice {
    const struct interp_select *sel;
    const struct x86_insn *insn;
    struct interp_op *op;
    struct interp_exit *exit;
};

/* 1, 2, 4, 8 bytes: 0..3; -1: no such size. */
static int size_index(unsigned size)
{
    return size && size <= 8 && !(size & (size - 1)) ? __builtin_ctz(size) : -1;
}

/* [0]: 32 bits, [1]: 64 bits; -1: neither */
static int wide_index(unsigned size)
{
    return size == 4 ? 0 : size == 8 ? 1 : -1;
}

static bool is_gpr(const struct x86_operand *o)
{
    return o->kind == X86_OP_REG && (o->reg_class == X86_RC_GPR || o->reg_class == X86_RC_GPR8H);
}

/* A register in the form of struct interp_op. */
static uint8_t reg_of(const struct x86_operand *o)
{
    if (o->size > 1)
        return o->reg;
    return (uint8_t)(o->reg * 8 + (o->reg_class == X86_RC_GPR8H));
}

static enum interp_selected chosen(struct choice *c, interp_fn *fn)
{
    c->op->fn = fn;
    return fn ? INTERP_OP : INTERP_GENERIC;
}

static uint8_t slot_of(unsigned reg)
{
    return (uint8_t)(reg == X86_NO_REG ? INTERP_ZERO : INTERP_SLOT(s.gpr) + reg);
}

/* Fills the address' fields. Returns the index of EA_b, EA_i, EA_s; -1: the hot handlers cannot. */
static int address_of(struct choice *c, bool segment)
{
    const struct x86_mem *m = &c->insn->mem;
    struct interp_op *op = c->op;
    bool truncate = c->insn->addrsize == 4;

    if (c->insn->addrsize == 2 || c->sel->mode == X86_MODE_16)
        return -1;
    op->disp = m->disp;
    op->base = (uint8_t)INTERP_ZERO;
    op->seg = (uint8_t)INTERP_ZERO;
    if (m->base == X86_RIP)
        op->disp += (int64_t)c->sel->rip;
    else
        op->base = slot_of(m->base);
    op->index = slot_of(m->index);
    op->scale = (uint8_t)(m->scale | (truncate ? 32 : 0));
    if (segment && c->sel->mode != X86_MODE_64 && (m->seg == X86_FS || m->seg == X86_GS || m->seg == X86_CS))
        return -1; /* these have limits, or no writing */
    if (segment && (m->seg == X86_FS || m->seg == X86_GS)) {
        op->seg = (uint8_t)(INTERP_SLOT(s.seg[0].base) + m->seg * (sizeof(struct x86_segment) / 8));
        return 2;
    }
    if (truncate)
        return 2;
    return m->index == X86_NO_REG ? 0 : 1;
}

static int memory_of(struct choice *c)
{
    return c->sel->memory ? address_of(c, true) : -1;
}

static bool flags_are_dead(const struct choice *c)
{
    const struct x86_row *row = x86_insn_row(c->insn->row);

    return !((row->flags_written | row->flags_undefined) & c->sel->live);
}

/* ---- by kind of instruction ---- */

static enum interp_selected select_locked(struct choice *c, int alu)
{
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), ea;

    if (d->kind != X86_OP_MEM || n < 0 || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    if (is_gpr(s)) {
        c->op->src = reg_of(s);
        return chosen(c, interp_lock_mr[alu][n][ea]);
    }
    c->op->imm = (int32_t)s->imm;
    return chosen(c, interp_lock_mi[alu][n][ea]);
}

static enum interp_selected select_binary(struct choice *c, int alu)
{
    const struct interp_alu_handlers *h = &interp_alu_handlers[alu];
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), ea;
    bool quiet = flags_are_dead(c);

    if (c->insn->prefixes & X86_PFX_LOCK)
        return select_locked(c, alu);
    if (n < 0)
        return INTERP_GENERIC;
    c->op->imm = (int32_t)s->imm;
    if (is_gpr(d)) {
        c->op->dst = reg_of(d);
        if (is_gpr(s)) {
            c->op->src = reg_of(s);
            return chosen(c, quiet && h->rr_quiet[n] ? h->rr_quiet[n] : h->rr[n]);
        }
        if (s->kind == X86_OP_IMM)
            return chosen(c, quiet && h->ri_quiet[n] ? h->ri_quiet[n] : h->ri[n]);
        if (s->kind != X86_OP_MEM || (ea = memory_of(c)) < 0)
            return INTERP_GENERIC;
        return chosen(c, quiet && h->rm_quiet[n][ea] ? h->rm_quiet[n][ea] : h->rm[n][ea]);
    }
    if (d->kind != X86_OP_MEM || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    if (is_gpr(s)) {
        c->op->src = reg_of(s);
        return chosen(c, h->mr[n][ea]);
    }
    return chosen(c, h->mi[n][ea]);
}

static enum interp_selected select_unary(struct choice *c, int unary)
{
    const struct interp_unary_handlers *h = &interp_unary_handlers[unary];
    const struct x86_operand *d = &c->insn->op[0];
    int n = size_index(d->size), ea;
    bool lock = c->insn->prefixes & X86_PFX_LOCK;

    if (n < 0)
        return INTERP_GENERIC;
    if (is_gpr(d) && !lock) {
        c->op->dst = reg_of(d);
        return chosen(c, h->r[n]);
    }
    if (d->kind != X86_OP_MEM || (lock && unary > UNARY_DEC) || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    return chosen(c, lock ? interp_lock_unary[unary][n][ea] : h->m[n][ea]);
}

static enum interp_selected select_shift(struct choice *c, int shift)
{
    const struct interp_shift_handlers *h = &interp_shift_handlers[shift];
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), ea;

    if (n < 0)
        return INTERP_GENERIC;
    c->op->imm = (int32_t)s->imm & 0xff;
    if (is_gpr(d)) {
        c->op->dst = reg_of(d);
        if (s->kind != X86_OP_IMM)
            return is_gpr(s) ? chosen(c, h->rc[n]) : INTERP_GENERIC;
        return chosen(c, flags_are_dead(c) && h->ri_quiet[n] ? h->ri_quiet[n] : h->ri[n]);
    }
    if (d->kind != X86_OP_MEM || s->kind != X86_OP_IMM || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    return chosen(c, h->mi[n][ea]);
}

static enum interp_selected select_mov(struct choice *c)
{
    const struct interp_move_handlers *h = &interp_move_handlers;
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), ea;

    if (n < 0)
        return INTERP_GENERIC;
    c->op->imm = (int32_t)s->imm;
    if (is_gpr(d)) {
        c->op->dst = reg_of(d);
        if (s->kind == X86_OP_IMM && n == 3 && s->imm != c->op->imm) {
            c->op->disp = s->imm;
            return chosen(c, h->wide);
        }
        if (s->kind == X86_OP_IMM)
            return chosen(c, h->ri[n]);
        c->op->src = reg_of(s);
        if (is_gpr(s))
            return chosen(c, h->rr[n]);
        return s->kind == X86_OP_MEM && (ea = memory_of(c)) >= 0 ? chosen(c, h->rm[n][ea]) : INTERP_GENERIC;
    }
    if (d->kind != X86_OP_MEM || (!is_gpr(s) && s->kind != X86_OP_IMM) || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    if (s->kind == X86_OP_IMM)
        return chosen(c, h->mi[n][ea]);
    c->op->src = reg_of(s);
    return chosen(c, h->mr[n][ea]);
}

static enum interp_selected select_extend(struct choice *c, const struct interp_extend_handlers *h)
{
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), from = size_index(s->size), ea;

    if (!is_gpr(d) || n < 0 || from < 0 || from > 2)
        return INTERP_GENERIC;
    c->op->dst = reg_of(d);
    if (is_gpr(s)) {
        c->op->src = reg_of(s);
        return chosen(c, h->rr[n][from]);
    }
    return s->kind == X86_OP_MEM && (ea = memory_of(c)) >= 0 ? chosen(c, h->rm[n][from][ea]) : INTERP_GENERIC;
}

/* reg, reg or reg, mem; 32 and 64 bits */
static enum interp_selected select_reg_rm(struct choice *c, interp_fn *const rr[2], interp_fn *const rm[2][3])
{
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = wide_index(d->size), ea;

    if (n < 0 || !is_gpr(d))
        return INTERP_GENERIC;
    c->op->dst = reg_of(d);
    if (is_gpr(s)) {
        c->op->src = reg_of(s);
        return chosen(c, rr[n]);
    }
    return s->kind == X86_OP_MEM && (ea = memory_of(c)) >= 0 ? chosen(c, rm[n][ea]) : INTERP_GENERIC;
}

static enum interp_selected select_imul(struct choice *c)
{
    const struct x86_insn *insn = c->insn;
    int n = wide_index(insn->op[0].size);

    if (insn->operand_count == 3 && insn->op[2].kind == X86_OP_IMM) {
        c->op->imm = (int32_t)insn->op[2].imm;
        return select_reg_rm(c, interp_imul_rri, interp_imul_rmi);
    }
    if (insn->operand_count == 2)
        return select_reg_rm(c, interp_imul_rr, interp_imul_rm);
    if (n < 0 || !is_gpr(&insn->op[0]))
        return INTERP_GENERIC;
    c->op->dst = reg_of(&insn->op[0]);
    return chosen(c, interp_imul_r[n]);
}

/* One register of 32 or 64 bits. */
static enum interp_selected select_reg(struct choice *c, interp_fn *const r[2])
{
    const struct x86_operand *d = &c->insn->op[0];
    int n = wide_index(d->size);

    if (n < 0 || !is_gpr(d))
        return INTERP_GENERIC;
    c->op->dst = reg_of(d);
    return chosen(c, r[n]);
}

/* rr: of BT alone, which has memory forms too. */
static enum interp_selected select_bit(struct choice *c, interp_fn *const ri[2], interp_fn *const rr[2])
{
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = wide_index(d->size), ea;

    if (d->kind == X86_OP_MEM) {
        if (!rr || n < 0 || (ea = memory_of(c)) < 0)
            return INTERP_GENERIC;
        c->op->imm = (int32_t)s->imm;
        c->op->src = reg_of(s);
        return chosen(c, s->kind == X86_OP_IMM ? interp_bt_mi[n][ea] : interp_bt_mr[n][ea]);
    }
    c->op->imm = (int32_t)s->imm;
    c->op->src = reg_of(s);
    if (s->kind == X86_OP_IMM)
        return select_reg(c, ri);
    return rr && is_gpr(s) ? select_reg(c, rr) : INTERP_GENERIC;
}

static enum interp_selected select_lea(struct choice *c)
{
    const struct x86_operand *d = &c->insn->op[0];
    int n = wide_index(d->size), ea = address_of(c, false);

    if (n < 0 || ea < 0)
        return INTERP_GENERIC;
    c->op->dst = reg_of(d);
    return chosen(c, interp_lea_handlers[n][ea]);
}

static enum interp_selected select_setcc(struct choice *c, unsigned cond)
{
    const struct x86_operand *d = &c->insn->op[0];
    int ea;

    if (is_gpr(d)) {
        c->op->dst = reg_of(d);
        return chosen(c, interp_set_r[cond]);
    }
    return d->kind == X86_OP_MEM && (ea = memory_of(c)) >= 0 ? chosen(c, interp_set_m[cond][ea])
                                                             : INTERP_GENERIC;
}

static enum interp_selected select_xchg(struct choice *c)
{
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), ea;

    if (is_gpr(d) && is_gpr(s)) {
        c->op->src = reg_of(s);
        return c->insn->prefixes & X86_PFX_LOCK ? INTERP_GENERIC : select_reg(c, interp_xchg_rr);
    }
    if (d->kind != X86_OP_MEM || !is_gpr(s) || n < 0 || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    c->op->src = reg_of(s);
    return chosen(c, interp_xchg_mr[n][ea]);
}

/* XADD, CMPXCHG */
static enum interp_selected select_atomic(struct choice *c, interp_fn *const mr[4][3])
{
    const struct x86_operand *d = &c->insn->op[0], *s = &c->insn->op[1];
    int n = size_index(d->size), ea;

    if (d->kind != X86_OP_MEM || n < 0 || (ea = memory_of(c)) < 0)
        return INTERP_GENERIC;
    c->op->src = reg_of(s);
    return chosen(c, mr[n][ea]);
}

/* ---- stack and branches: only at the mode's own width ---- */

/* Index of the handlers by stack width if the instruction has that width; else -1. */
static int stack_width(const struct choice *c)
{
    if (!c->sel->stack || c->insn->opsize != (c->sel->mode == X86_MODE_64 ? 8 : 4))
        return -1;
    return c->sel->mode == X86_MODE_64;
}

static enum interp_selected select_push(struct choice *c)
{
    const struct x86_operand *s = &c->insn->op[0];
    int w = stack_width(c), ea;

    if (w < 0)
        return INTERP_GENERIC;
    c->op->imm = (int32_t)s->imm;
    if (s->kind == X86_OP_IMM)
        return chosen(c, interp_push_i[w]);
    if (is_gpr(s) && s->size == c->insn->opsize) {
        c->op->src = reg_of(s);
        return chosen(c, interp_push_r[w]);
    }
    return s->kind == X86_OP_MEM && s->size == c->insn->opsize && (ea = memory_of(c)) >= 0
               ? chosen(c, interp_push_m[w][ea])
               : INTERP_GENERIC;
}

static enum interp_selected select_pop(struct choice *c)
{
    const struct x86_operand *d = &c->insn->op[0];
    int w = stack_width(c);

    if (w < 0 || !is_gpr(d) || d->size != c->insn->opsize)
        return INTERP_GENERIC;
    c->op->dst = reg_of(d);
    return chosen(c, interp_pop_r[w]);
}

/* Fills the exits of a direct branch; false: its target is #GP, or this is no place for hot branches. */
static bool direct_target(struct choice *c)
{
    uint64_t target = c->sel->rip + (uint64_t)c->insn->op[0].imm;

    if (!c->sel->flat || c->insn->opsize != (c->sel->mode == X86_MODE_64 ? 8 : 4))
        return false;
    c->exit->rip[0] = c->sel->rip;
    c->exit->rip[1] = target;
    if (c->sel->mode == X86_MODE_64)
        return interp_canonical(target);
    c->exit->rip[0] = (uint32_t)c->sel->rip;
    c->exit->rip[1] = (uint32_t)target;
    return true;
}

static enum interp_selected leaves(struct choice *c, interp_fn *fn)
{
    c->op->fn = fn;
    return INTERP_EXIT;
}

static enum interp_selected select_jmp(struct choice *c)
{
    const struct x86_operand *s = &c->insn->op[0];
    int w = stack_width(c), ea;

    if (s->kind == X86_OP_REL) {
        if (!direct_target(c))
            return INTERP_GENERIC;
        c->exit->rip[0] = c->exit->rip[1];
        return leaves(c, interp_op_goto);
    }
    if (w < 0 || s->size != c->insn->opsize)
        return INTERP_GENERIC;
    if (is_gpr(s)) {
        c->op->src = reg_of(s);
        return leaves(c, interp_jmp_r[w]);
    }
    return s->kind == X86_OP_MEM && (ea = memory_of(c)) >= 0 ? leaves(c, interp_jmp_m[w][ea])
                                                             : INTERP_GENERIC;
}

static enum interp_selected select_call(struct choice *c)
{
    const struct x86_operand *s = &c->insn->op[0];
    int w = stack_width(c), ea;

    if (w < 0)
        return INTERP_GENERIC;
    if (s->kind == X86_OP_REL)
        return direct_target(c) ? leaves(c, interp_call[w]) : INTERP_GENERIC;
    c->exit->rip[0] = w ? c->sel->rip : (uint32_t)c->sel->rip;
    if (s->size != c->insn->opsize)
        return INTERP_GENERIC;
    if (is_gpr(s)) {
        c->op->src = reg_of(s);
        return leaves(c, interp_call_r[w]);
    }
    return s->kind == X86_OP_MEM && (ea = memory_of(c)) >= 0 ? leaves(c, interp_call_m[w][ea])
                                                             : INTERP_GENERIC;
}

static enum interp_selected select_ret(struct choice *c)
{
    int w = stack_width(c);

    if (w < 0)
        return INTERP_GENERIC;
    c->op->imm = c->insn->op[0].kind == X86_OP_IMM ? (uint16_t)c->insn->op[0].imm : 0;
    return leaves(c, interp_ret[w]);
}

static enum interp_selected select_flow(struct choice *c)
{
    int w = stack_width(c);

    switch (c->insn->id) {
    case X86_PUSH:
        return select_push(c);
    case X86_POP:
        return select_pop(c);
    case X86_LEAVE:
        return w < 0 ? INTERP_GENERIC : chosen(c, interp_leave[w]);
    case X86_JMP:
        return select_jmp(c);
    case X86_JCC:
        return direct_target(c) ? leaves(c, interp_jcc[c->insn->opcode & 15]) : INTERP_GENERIC;
    case X86_CALL:
        return select_call(c);
    case X86_RET:
        return select_ret(c);
    default:
        return INTERP_GENERIC;
    }
}

static enum interp_selected select_move(struct choice *c)
{
    unsigned cond = c->insn->opcode & 15;
    int n = size_index(c->insn->opsize);

    switch (c->insn->id) {
    case X86_NOP:
        return INTERP_SKIP;
    case X86_MOV:
        return select_mov(c);
    case X86_MOVZX:
        return select_extend(c, &interp_zx_handlers);
    case X86_MOVSX:
    case X86_MOVSXD:
        return select_extend(c, &interp_sx_handlers);
    case X86_LEA:
        return select_lea(c);
    case X86_CMOVCC:
        return select_reg_rm(c, interp_cmov_rr[cond], interp_cmov_rm[cond]);
    case X86_SETCC:
        return select_setcc(c, cond);
    case X86_XCHG:
        return select_xchg(c);
    case X86_BSWAP:
        return select_reg(c, interp_bswap);
    case X86_CBW:
        return n > 0 ? chosen(c, interp_cbw[n - 1]) : INTERP_GENERIC;
    case X86_CWD:
        return n > 0 ? chosen(c, interp_cwd[n - 1]) : INTERP_GENERIC;
    default:
        return select_flow(c);
    }
}

enum interp_selected interp_select(const struct interp_select *sel, const struct x86_insn *insn,
                                   struct interp_op *op, struct interp_exit *exit)
{
    struct choice c = {.sel = sel, .insn = insn, .op = op, .exit = exit};

    switch (insn->id) {
#define BINARY(id)                                                                                           \
    case X86_##id:                                                                                           \
        return select_binary(&c, ALU_##id);
#define UNARY(id)                                                                                            \
    case X86_##id:                                                                                           \
        return select_unary(&c, UNARY_##id);
#define SHIFT(id)                                                                                            \
    case X86_##id:                                                                                           \
        return select_shift(&c, SHIFT_##id);
        /* clang-format off */
        BINARY(ADD) BINARY(OR) BINARY(ADC) BINARY(SBB) BINARY(AND) BINARY(SUB) BINARY(XOR) BINARY(CMP) BINARY(TEST)
        UNARY(INC) UNARY(DEC) UNARY(NEG) UNARY(NOT)
        SHIFT(SHL) SHIFT(SHR) SHIFT(SAR) SHIFT(ROL) SHIFT(ROR)
            /* clang-format on */
            case X86_IMUL : return select_imul(&c);
    case X86_MUL:
        return select_reg(&c, interp_mul_r);
    case X86_DIV:
        return select_reg(&c, interp_div_r);
    case X86_IDIV:
        return select_reg(&c, interp_idiv_r);
    case X86_BT:
        return select_bit(&c, interp_bt_ri, interp_bt_rr);
    case X86_BTS:
        return select_bit(&c, interp_bts_ri, NULL);
    case X86_BTR:
        return select_bit(&c, interp_btr_ri, NULL);
    case X86_XADD:
        return select_atomic(&c, interp_xadd_mr);
    case X86_CMPXCHG:
        return select_atomic(&c, interp_cmpxchg_mr);
    default:
        return select_move(&c);
    }
}

bool interp_fuse(const struct interp_select *sel, const struct x86_insn *first, const struct x86_insn *jcc,
                 struct interp_op *op, struct interp_exit *exit)
{
    struct choice c = {.sel = sel, .insn = jcc, .op = op, .exit = exit};
    const struct x86_operand *d = &first->op[0], *s = &first->op[1];
    unsigned test = first->id == X86_TEST, cond = jcc->opcode & 15;
    int n = d->size == 1 ? 0 : d->size == 4 ? 1 : d->size == 8 ? 2 : -1;

    if (jcc->id != X86_JCC || (first->id != X86_CMP && first->id != X86_TEST) || n < 0 || !is_gpr(d) ||
        first->prefixes & X86_PFX_LOCK || !direct_target(&c))
        return false;
    op->dst = reg_of(d);
    op->imm = (int32_t)s->imm;
    if (is_gpr(s)) {
        op->src = reg_of(s);
        op->fn = interp_fused_rr[test][n][cond];
        return true;
    }
    op->fn = interp_fused_ri[test][n][cond];
    return s->kind == X86_OP_IMM;
}
