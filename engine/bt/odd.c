/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions of no family that are common all the same: fences, upper halves, compares of strings in
 * registers. */
#include "engine/bt/translate.h"

/* PCMPESTRI and PCMPISTRI: ECX := an index. The lengths of the former are in rAX and rDX. */
static bool is_index_of(const struct x86_insn *insn)
{
    return insn->id == X86_PCMPESTRI || insn->id == X86_PCMPISTRI || insn->id == X86_VPCMPESTRI ||
           insn->id == X86_VPCMPISTRI;
}

bool bt_is_odd(const struct bt_translation *t, const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_LFENCE:
    case X86_MFENCE:
    case X86_SFENCE:
        return true;
    case X86_VZEROUPPER:
    case X86_VZEROALL:
        return t->wide; /* elsewhere only half of the registers */
    case X86_PCMPESTRI:
    case X86_PCMPISTRI:
    case X86_VPCMPESTRI:
    case X86_VPCMPISTRI:
        return true;
    default:
        return false;
    }
}

static void put_fence(struct bt_translation *t)
{
    unsigned id = bt_now(t)->id;

    put8(&t->e, 0x0f);
    put8(&t->e, 0xae);
    put8(&t->e, id == X86_LFENCE ? 0xe8 : id == X86_MFENCE ? 0xf0 : 0xf8);
}

static void put_zero_vectors(struct bt_translation *t)
{
    bt_want_vectors(t);
    put8(&t->e, 0xc5);
    put8(&t->e, bt_now(t)->id == X86_VZEROALL ? 0xfc : 0xf8);
    put8(&t->e, 0x77);
}

static bool put_index_of(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct host_mem m = {.base = HOST_NONE, .index = HOST_NONE};
    struct x86_encoding enc;

    if (!x86_encoding_of(insn, &enc))
        return false;
    bt_want_vectors(t);
    if (enc.memory)
        m = bt_access(t, 0, false);
    if (insn->id == X86_PCMPESTRI || insn->id == X86_VPCMPESTRI)
        emit_mov_rr(&t->e, HOST_RAX, bt_host(X86_RAX));
    emit_encoding(&t->e, 0, &enc, &m);
    emit_mov_rr(&t->e, bt_host(X86_RCX), HOST_RCX);
    t->flags = BT_FLAGS_HOST;
    return true;
}

bool bt_put_odd(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    if (!bt_is_odd(t, insn))
        return false;
    if (is_index_of(insn))
        return put_index_of(t);
    if (insn->id == X86_VZEROUPPER || insn->id == X86_VZEROALL)
        put_zero_vectors(t);
    else
        put_fence(t);
    return true;
}
