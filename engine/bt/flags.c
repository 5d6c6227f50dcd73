/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the arithmetic flags are, and how to have them again.
 *
 * They are in EFLAGS, where they were made, until a check of an address wants EFLAGS
 * for itself. Then they are in frame.cc; or, better, nowhere: many instructions can
 * be done again (CMP, TEST), or undone and done again (ADD, SUB), as long as their
 * operands are what they were. That takes one or two instructions where saving and
 * loading take six, and only where somebody looks: the next branch, or the reference
 * semantics, when the page is not there.
 */
#include "engine/bt/strings.h"
#include "engine/bt/translate.h"

/* ---- what instructions do ---- */

/* Shifts by a constant: what they leave undefined is the same whatever was there, on this host. */
static bool makes_all(const struct bt_translation *t, const struct x86_insn *insn)
{
    const struct x86_operand *count = &insn->op[1];

    return t->bvm->shifts_make_flags && insn->operand_count == 2 && count->kind == X86_OP_IMM &&
           insn->op[0].size >= 4 && (insn->id == X86_SHL || insn->id == X86_SHR || insn->id == X86_SAR) &&
           count->imm & (insn->op[0].size == 8 ? 63 : 31);
}

enum bt_flags_need bt_flags_need(const struct bt_translation *t, const struct x86_insn *insn)
{
    const struct x86_row *row = x86_insn_row(insn->row);
    unsigned written = row->flags_written;

    if (row->id == X86_AND || row->id == X86_OR || row->id == X86_XOR || row->id == X86_TEST)
        written |= X86_FL_AF; /* every host clears it */
    if (row->flags_read)
        return BT_NEED_ALL;
    if (!(row->flags_written | row->flags_undefined))
        return BT_NEED_NOTHING;
    if (makes_all(t, insn))
        return BT_NEED_MADE;
    return written == X86_FL_ARITH && !(row->properties & X86_ROW_FLAGS_MAYBE) ? BT_NEED_MADE : BT_NEED_ALL;
}

/* Nothing that it does looks at flags, faults or leaves, but for its accesses. */
static bool is_quiet(const struct bt_translation *t, const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_LEA:
    case X86_CBW:
    case X86_CWD:
    case X86_NOP:
    case X86_PUSH:
    case X86_POP:
    case X86_LEAVE:
        return true;
    default:
        return bt_is_native(t, insn);
    }
}

static bool wants_flags(const struct bt_translation *t, unsigned i)
{
    const struct x86_insn *insn = &t->insn[i];

    return !t->is_inline[i] || bt_has_check(t, i) || bt_flags_need(t, insn) == BT_NEED_ALL ||
           bt_is_string(t, insn) || !is_quiet(t, insn);
}

/* The exits that always check something. */
static bool ends_by_saving(const struct x86_insn *last)
{
    return last->id == X86_RET || last->id == X86_CALL ||
           (last->id == X86_JMP && last->op[0].kind != X86_OP_REL);
}

/* Who makes the flags that the block's end will save, if a check comes between: the recipe would only be
 * followed to save them. Saves at once. */
static unsigned saves_at_once(const struct bt_translation *t)
{
    bool check = false;

    if (!ends_by_saving(&t->insn[t->count - 1]))
        return t->count;
    for (unsigned i = t->count; i-- > 0;) {
        const struct x86_row *row = x86_insn_row(t->insn[i].row);

        if (row->flags_written | row->flags_undefined)
            return bt_flags_need(t, &t->insn[i]) == BT_NEED_MADE && check ? i : t->count;
        check = check || bt_has_check(t, i);
    }
    return t->count;
}

void bt_flags_plan(struct bt_translation *t)
{
    bool wanted = true; /* by the next block */

    t->save_at = (uint8_t)saves_at_once(t);
    for (unsigned i = t->count; i-- > 0;) {
        t->flags_wanted[i] = wanted;
        if (wants_flags(t, i))
            wanted = true;
        else if (bt_flags_need(t, &t->insn[i]) == BT_NEED_MADE)
            wanted = false;
    }
}

/* ---- recipes ---- */

static bool is_host_gpr(const struct x86_operand *op)
{
    return op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR && bt_host(op->reg) != HOST_NONE;
}

static bool has_recipe(const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->op[0], *from = &insn->op[1];
    bool from_fits = from->kind == X86_OP_IMM || is_host_gpr(from);

    if (!is_host_gpr(to))
        return false;
    switch (insn->id) {
    case X86_CMP:
    case X86_TEST:
        return from_fits;
    case X86_AND:
    case X86_OR:
    case X86_XOR:
        return true;
    case X86_ADD:
    case X86_SUB:
        return to->size >= 4 && from_fits && !(from->kind == X86_OP_REG && from->reg == to->reg);
    case X86_NEG:
        return to->size >= 4;
    default:
        return false;
    }
}

static bool uses(const struct x86_operand *op, const struct x86_insn *writer)
{
    return op->kind == X86_OP_REG && bt_writes(writer, op->reg);
}

/* Does the present instruction change what the recipe is made of? */
static bool spoils_recipe(const struct bt_translation *t)
{
    const struct x86_insn *made = &t->insn[t->recipe], *insn = bt_now(t);

    return uses(&made->op[0], insn) || (made->operand_count > 1 && uses(&made->op[1], insn));
}

enum alu { ALU_ADD = 0, ALU_SUB = 5, ALU_CMP = 7 };

static unsigned width_flags(unsigned size)
{
    return size == 8 ? EMIT_W : size == 2 ? EMIT_66 : size == 1 ? EMIT_BYTE : 0;
}

static void put_imm(struct emit *e, unsigned size, int64_t imm)
{
    if (size == 1)
        put8(e, (unsigned)imm & 0xff);
    else if (size == 2)
        put16(e, (uint16_t)imm);
    else
        put32(e, (uint32_t)imm);
}

static void put_alu(struct emit *e, enum alu op, const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->op[0], *from = &insn->op[1];
    unsigned size = to->size, w = width_flags(size), wide = size > 1;

    if (from->kind == X86_OP_REG) {
        emit_rr(e, w, (unsigned)op << 3 | wide, bt_host(from->reg), bt_host(to->reg));
    } else if (size > 1 && from->imm >= -128 && from->imm <= 127) {
        emit_alu_imm(e, w, op, bt_host(to->reg), (int32_t)from->imm);
    } else {
        emit_rr(e, w, wide ? 0x81 : 0x80, op, bt_host(to->reg));
        put_imm(e, size, from->imm);
    }
}

static void put_test(struct emit *e, const struct x86_operand *to, const struct x86_operand *with)
{
    unsigned w = width_flags(to->size), wide = to->size > 1;

    if (with->kind == X86_OP_REG) {
        emit_rr(e, w, 0x84 | wide, bt_host(with->reg), bt_host(to->reg));
    } else {
        emit_rr(e, w, 0xf6 | wide, 0, bt_host(to->reg));
        put_imm(e, to->size, with->imm);
    }
}

/* Follows the recipe: the flags are in EFLAGS then. */
static void make_again(struct bt_translation *t)
{
    const struct x86_insn *insn = &t->insn[t->recipe];
    const struct x86_operand *to = &insn->op[0];
    struct emit *e = &t->e;

    switch (insn->id) {
    case X86_CMP:
        put_alu(e, ALU_CMP, insn);
        break;
    case X86_TEST:
        put_test(e, to, &insn->op[1]);
        break;
    case X86_ADD:
        put_alu(e, ALU_SUB, insn);
        put_alu(e, ALU_ADD, insn);
        break;
    case X86_SUB:
        put_alu(e, ALU_ADD, insn);
        put_alu(e, ALU_SUB, insn);
        break;
    case X86_NEG:
        for (unsigned i = 0; i < 2; i++)
            emit_rr(e, width_flags(to->size), 0xf7, 3, bt_host(to->reg));
        break;
    default: /* AND, OR, XOR: all by the result */
        put_test(e, to, to);
        break;
    }
    t->flags |= BT_FLAGS_HOST;
}

/* ---- where they are ---- */

void bt_put_flags_save(struct emit *e)
{
    put8(e, 0x9f); /* lahf; seto al */
    put8(e, 0x0f);
    put8(e, 0x90);
    put8(e, 0xc0);
    emit_rm(e, EMIT_66, 0x89, HOST_RAX, HOST_FRAME(cc));
}

void bt_flags_saved(struct bt_translation *t)
{
    if (t->flags & BT_FLAGS_SAVED)
        return;
    if (!(t->flags & BT_FLAGS_HOST))
        make_again(t);
    bt_put_flags_save(&t->e);
    t->flags |= BT_FLAGS_SAVED;
}

void bt_flags_saved_briefly(struct bt_translation *t)
{
    if (t->flags & BT_FLAGS_SAVED)
        return;
    if (!(t->flags & BT_FLAGS_HOST))
        make_again(t);
    emit_call(&t->e, t->bvm->code.flags_save);
    t->flags |= BT_FLAGS_SAVED;
}

void bt_flags_host(struct bt_translation *t)
{
    struct emit *e = &t->e;

    if (t->flags & BT_FLAGS_HOST)
        return;
    if (t->flags & BT_FLAGS_RECIPE) {
        make_again(t);
        return;
    }
    emit_rm(e, 0, 0x0fb7, HOST_RAX, HOST_FRAME(cc)); /* movzx: as wide as the store */
    put8(e, 0x04);                                   /* add al, 127; sahf */
    put8(e, 0x7f);
    put8(e, 0x9e);
    t->flags |= BT_FLAGS_HOST;
}

void bt_flags_spare(struct bt_translation *t)
{
    if (!(t->flags & BT_FLAGS_RECIPE))
        bt_flags_saved(t);
}

void bt_flags_lost(struct bt_translation *t)
{
    t->flags &= ~BT_FLAGS_HOST;
}

void bt_flags_before(struct bt_translation *t)
{
    const struct x86_row *row = x86_insn_row(bt_now(t)->row);

    if (t->flags & BT_FLAGS_RECIPE && t->flags_wanted[t->now] &&
        !(row->flags_written | row->flags_undefined) && spoils_recipe(t))
        bt_flags_saved(t);
}

void bt_flags_after(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    const struct x86_row *row = x86_insn_row(insn->row);

    if (!t->flags_wanted[t->now]) {
        t->flags = BT_FLAGS_BOTH | BT_FLAGS_DEAD;
    } else if (t->flags == BT_FLAGS_HOST && row->flags_written | row->flags_undefined) {
        if (has_recipe(insn)) {
            t->flags |= BT_FLAGS_RECIPE;
            t->recipe = (uint8_t)t->now;
        }
    } else if (t->flags & BT_FLAGS_RECIPE && spoils_recipe(t)) {
        t->flags &= ~BT_FLAGS_RECIPE;
    }
    if (t->now == t->save_at && t->flags & BT_FLAGS_HOST)
        bt_flags_saved(t);
}
