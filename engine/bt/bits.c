/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BT, BTS, BTR, BTC of memory by a register: the bit's number is signed and reaches
 * beyond the operand. bt_effective() adds the units that it is away, so that checks
 * see the unit itself.
 *
 *   BT                      load the unit, BT of registers, which take the number modulo their size
 *   without LOCK            the same, and store it
 *   LOCK, or no register    back by the units, and the guest's own form: the host adds them again
 */
#include "engine/bt/translate.h"

bool bt_is_bit_string(const struct x86_insn *insn)
{
    return (insn->id == X86_BT || insn->id == X86_BTS || insn->id == X86_BTR || insn->id == X86_BTC) &&
           insn->op[0].kind == X86_OP_MEM && insn->op[1].kind == X86_OP_REG;
}

static unsigned size_flags(unsigned size)
{
    return size == 8 ? EMIT_W : size == 2 ? EMIT_66 : 0;
}

void bt_put_bit_units(struct bt_translation *t, bool back)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned size = insn->op[0].size, log = size == 8 ? 3 : size == 4 ? 2 : 1;
    unsigned number = bt_get(t, insn->op[1].reg, HOST_RAX);
    struct host_mem to = {.base = HOST_RCX, .index = HOST_RAX, .scale = (uint8_t)log};
    struct emit *e = &t->e;

    if (size == 8)
        emit_mov_rr(e, HOST_RAX, number);
    else
        emit_rr(e, EMIT_W, size == 4 ? 0x63 : 0x0fbf, HOST_RAX, number); /* movsx */
    emit_rr(e, EMIT_W, 0xc1, 7, HOST_RAX);                               /* sar */
    put8(e, log + 3);
    if (back)
        emit_rr(e, EMIT_W, 0xf7, 3, HOST_RAX); /* neg */
    if (insn->addrsize == 8 || back)
        emit_lea(e, HOST_RCX, to);
    else
        emit_lea32(e, HOST_RCX, to);
}

/* 0F A3 BT, AB BTS, B3 BTR, BB BTC: r/m, reg. */
static unsigned opcode_of(const struct x86_insn *insn)
{
    return insn->id == X86_BT ? 0x0fa3 : insn->id == X86_BTS ? 0x0fab : insn->id == X86_BTR ? 0x0fb3 : 0x0fbb;
}

void bt_put_bit_string(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned flags = size_flags(insn->op[0].size), number = bt_host(insn->op[1].reg);
    bool in_place = insn->prefixes & X86_PFX_LOCK || (insn->id != X86_BT && number == HOST_NONE);
    struct host_mem m = bt_access(t, 0, false);
    struct emit *e = &t->e;

    if (in_place) { /* flags are saved now: the check did that */
        bt_put_bit_units(t, true);
        m = host_at(HOST_RCX, 0);
    }
    bt_flags_host(t);
    if (in_place) {
        emit_rm(e, flags | (insn->prefixes & X86_PFX_LOCK ? EMIT_LOCK : 0U), opcode_of(insn),
                bt_get(t, insn->op[1].reg, HOST_RAX), m);
    } else {
        emit_rm(e, flags, 0x8b, HOST_RAX, m);
        if (insn->id == X86_BT)
            number = bt_get(t, insn->op[1].reg, HOST_RCX);
        emit_rr(e, flags, opcode_of(insn), number, HOST_RAX);
        if (insn->id != X86_BT)
            emit_rm(e, flags, 0x89, HOST_RAX, m);
    }
    t->flags = BT_FLAGS_HOST;
}
