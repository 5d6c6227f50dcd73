/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which accesses to memory share a check.
 *
 * Accesses by the same base register, without an index, are a group as long as the
 * register only moves by constants. The first read and the first write of a group
 * check the whole range that its accesses reach; the others find the page's
 * address in the slot, or where the check has left it. A range that does not lie
 * in one page is no error: the block is then run in another translation, without
 * groups; and who does that often is in a group no more.
 */
#include "engine/bt/translate.h"

#include "base/bytes.h"
#include "engine/bt/strings.h"

/* A group that is open: where it began, how far its register has moved since. */
struct group {
    bool open;
    uint8_t number;
    int32_t moved;
    int32_t low, high; /* of the range, relative to the register's value at the start */
};

int bt_stack_move(const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_PUSH:
    case X86_PUSHF:
        return -(int)insn->opsize;
    case X86_POP:
    case X86_POPF:
        return insn->opsize;
    case X86_CALL:
        return -(int)insn->opsize;
    case X86_RET:
        return insn->opsize + (insn->operand_count ? (int)(uint16_t)insn->op[0].imm : 0);
    default:
        return 0;
    }
}

static int memory_operand(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].kind == X86_OP_MEM && insn->op[i].access)
            return (int)i;
    }
    return -1;
}

static void find_accesses(const struct bt_translation *t, const struct x86_insn *insn, struct bt_plan *p)
{
    int m = bt_is_string(t, insn) ? -1 : memory_operand(insn);
    int move = bt_stack_move(insn);

    if (m >= 0) {
        const struct x86_mem *mem = &insn->mem;

        p->access[0] = (struct bt_access){
            .present = true,
            .write = insn->op[m].access & X86_WRITE,
            .size = insn->op[m].size,
            .base = mem->base,
            .grouped = t->wide && insn->addrsize == 8 && mem->base < X86_NO_REG && mem->index == X86_NO_REG &&
                       mem->seg != X86_FS && mem->seg != X86_GS && bt_host(mem->base) != HOST_NONE &&
                       !bt_is_bit_string(insn) && mem->disp > -0x40000000 && mem->disp < 0x40000000,
            .low = (int32_t)mem->disp,
        };
        p->access[0].span = p->access[0].size;
    }
    if (move || insn->id == X86_LEAVE) {
        p->access[1] = (struct bt_access){
            .present = true,
            .write = move < 0,
            .size = insn->opsize,
            .base = insn->id == X86_LEAVE ? X86_RBP : X86_RSP,
            .grouped = t->wide,
            .low = move < 0 ? move : 0,
            .span = insn->opsize,
        };
    }
}

/* Does the instruction move the register by a constant, and do nothing else to it? */
static bool moves_by(const struct x86_insn *insn, unsigned reg, int64_t *by)
{
    const struct x86_operand *to = &insn->op[0], *from = &insn->op[1];
    bool itself = to->kind == X86_OP_REG && to->reg_class == X86_RC_GPR && to->reg == reg && to->size == 8;

    if (reg == X86_RSP && bt_stack_move(insn) && !(insn->id == X86_POP && itself)) {
        *by = bt_stack_move(insn);
        return true;
    }
    if (!itself)
        return false;
    switch (insn->id) {
    case X86_ADD:
    case X86_SUB:
        *by = insn->id == X86_ADD ? from->imm : -from->imm;
        return from->kind == X86_OP_IMM;
    case X86_INC:
        *by = 1;
        return true;
    case X86_DEC:
        *by = -1;
        return true;
    case X86_LEA:
        *by = insn->mem.disp;
        return insn->mem.base == reg && insn->mem.index == X86_NO_REG && insn->addrsize == 8;
    default:
        return false;
    }
}

bool bt_writes(const struct x86_insn *insn, unsigned reg)
{
    if (reg == X86_RSP && (bt_stack_move(insn) || insn->id == X86_LEAVE))
        return true;
    if (reg == X86_RBP && insn->id == X86_LEAVE)
        return true;
    if (x86_insn_row(insn->row)->properties & X86_ROW_STRING &&
        (reg == X86_RSI || reg == X86_RDI || reg == X86_RCX || reg == X86_RAX))
        return true;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];

        if (op->kind == X86_OP_REG && op->reg == reg && op->access & X86_WRITE &&
            (op->reg_class == X86_RC_GPR || op->reg_class == X86_RC_GPR8H))
            return true;
    }
    return false;
}

static void join(struct bt_translation *t, struct group *g, struct bt_access *a, uint8_t *numbers)
{
    int32_t low = a->low + g->moved, high = low + a->size;

    /* In 64 bits, as displacements alone may lie 2 GiB apart. */
    if (g->open && (int64_t)MAX(high, g->high) - MIN(low, g->low) > BT_SPAN_MAX)
        g->open = false;
    if (!g->open) {
        *g = (struct group){.open = true, .number = (*numbers)++, .low = a->low, .high = a->low + a->size};
    } else {
        g->low = MIN(low, g->low);
        g->high = MAX(high, g->high);
    }
    a->group = g->number;
    a->low = -g->moved; /* of the start, for now: finish() adds the range */
}

/* The registers that live on past the instruction keep their groups. */
static void advance(struct group *groups, const struct x86_insn *insn, bool is_inline)
{
    for (unsigned reg = 0; reg < 16; reg++) {
        struct group *g = &groups[reg];
        int64_t by;

        if (!g->open)
            continue;
        if (!is_inline || bt_changes_rights(insn)) {
            g->open = false;
        } else if (moves_by(insn, reg, &by)) {
            int64_t moved = g->moved + by;

            g->moved = (int32_t)moved;
            if (moved > 0x1000 || moved < -0x1000)
                g->open = false;
        } else if (bt_writes(insn, reg)) {
            g->open = false;
        }
    }
}

bool bt_has_check(const struct bt_translation *t, unsigned insn)
{
    bool aligned = x86_insn_row(t->insn[insn].row)->properties & X86_ROW_ALIGNED;

    for (unsigned n = 0; n < 2; n++) {
        const struct bt_access *a = &t->plan[insn].access[n];

        if (a->present && (!a->grouped || a->first || aligned))
            return true;
    }
    return false;
}

struct range {
    int32_t low, high;
    bool checked[2]; /* read, write */
    bool poly;
    uint16_t members;
};

static void finish(struct bt_translation *t, struct range *ranges)
{
    for (unsigned i = 0; i < t->count; i++) {
        for (unsigned n = 0; n < 2; n++) {
            struct bt_access *a = &t->plan[i].access[n];
            struct range *r = &ranges[a->group];

            if (!a->present || !a->grouped)
                continue;
            a->low += r->low;
            a->span = (uint16_t)(r->high - r->low);
            a->first = !r->checked[1] && (a->write || !r->checked[0]);
            a->alone = r->members == 1;
            a->poly = r->poly;
            r->checked[a->write] = true;
        }
    }
}

void bt_make_plan(struct bt_translation *t)
{
    struct group groups[16] = {{0}};
    struct range ranges[2 * BT_MAX_INSNS];
    uint8_t numbers = 0;

    memset(ranges, 0, sizeof(ranges));
    for (unsigned i = 0; i < t->count; i++) {
        const struct x86_insn *insn = &t->insn[i];
        struct bt_plan *p = &t->plan[i];
        bool is_inline = t->is_inline[i] = bt_is_inline(t, insn);
        uint64_t rip = t->rip + t->insn_offset[i];
        bool alone = t->plain || bt_is_marked(&t->bvm->crossing, rip),
             poly = bt_is_marked(&t->bvm->poly, rip);

        *p = (struct bt_plan){0};
        if (is_inline)
            find_accesses(t, insn, p);
        for (unsigned n = 0; n < 2; n++) {
            struct bt_access *a = &p->access[n];
            struct group *g;

            a->poly = poly;
            if (alone)
                a->grouped = false;
            if (!a->present || !a->grouped)
                continue;
            g = &groups[a->base];
            join(t, g, a, &numbers);
            ranges[g->number].low = g->low;
            ranges[g->number].high = g->high;
            ranges[g->number].members++;
            ranges[g->number].poly |= poly;
        }
        advance(groups, insn, is_inline);
    }
    finish(t, ranges);
}
