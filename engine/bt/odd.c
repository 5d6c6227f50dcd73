/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions of no family that are common all the same: fences, upper halves, compares of strings in
 * registers, branches by a count, and the accumulator's MOV from and to an address of 64 bits. */
#include "engine/bt/translate.h"

/* PCMPESTRI and PCMPISTRI: ECX := an index. The lengths of the former are in rAX and rDX. */
static bool is_index_of(const struct x86_insn *insn)
{
    return insn->id == X86_PCMPESTRI || insn->id == X86_PCMPISTRI || insn->id == X86_VPCMPESTRI ||
           insn->id == X86_VPCMPISTRI;
}

/* MOV moffs, with the registers that are the same to all: JITs and the code they embed. */
static bool is_absolute(const struct x86_insn *insn)
{
    return insn->id == X86_MOV && !insn->has_modrm && insn->map == 0 && (insn->opcode & 0xfc) == 0xa0;
}

static bool is_counted(unsigned id)
{
    return id == X86_JCXZ || id == X86_LOOP || id == X86_LOOPE || id == X86_LOOPNE;
}

bool bt_is_odd(const struct bt_translation *t, const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_MOV:
        return is_absolute(insn);
    case X86_JCXZ:
    case X86_LOOP:
    case X86_LOOPE:
    case X86_LOOPNE:
        return insn->opsize == (t->wide ? 8 : 4) && insn->addrsize >= 4;
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

static void put_absolute(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned size = insn->op[0].size, flags = size == 8   ? EMIT_W
                                              : size == 2 ? EMIT_66
                                              : size == 1 ? EMIT_BYTE
                                                          : 0;
    struct host_mem m = bt_access(t, 0, false);

    /* A0 to A3 become 8A, 8B, 88, 89. */
    emit_rm(&t->e, flags, (insn->opcode & 2 ? 0x88U : 0x8aU) | (insn->opcode & 1), bt_host(X86_RAX), m);
}

/*
 * LOOP and its kin, JCXZ: rCX in EFLAGS, the guest's flags in the frame. LOOPE and LOOPNE ask for ZF only
 * if the count lets them.
 */
static bool put_counted(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    uint64_t to = bt_next_rip(t) + (uint64_t)insn->op[0].imm;
    unsigned count = bt_host(X86_RCX), w = insn->addrsize == 8 ? EMIT_W : 0;
    bool by_flag = insn->id == X86_LOOPE || insn->id == X86_LOOPNE;
    struct emit *e = &t->e;
    uint32_t over = 0;

    to = t->wide ? to : (uint32_t)to;
    if (t->wide && (uint64_t)((int64_t)(to << 16) >> 16) != to)
        return false;
    bt_flags_saved(t);
    if (insn->id != X86_JCXZ && w)
        emit_lea(e, count, host_at(count, -1));
    else if (insn->id != X86_JCXZ)
        emit_lea32(e, count, host_at(count, -1));
    emit_rr(e, w, 0x85, count, count); /* test */
    if (by_flag) {
        over = emit_jcc(e, 4, 0);
        t->flags = BT_FLAGS_SAVED;
        bt_flags_host(t);
    }
    /* What is in EFLAGS is for the branch to look at; where it leads they are taken from the frame. */
    t->flags = BT_FLAGS_BOTH;
    bt_put_branch(t, insn->id == X86_JCXZ || insn->id == X86_LOOPE ? 4 : 5, to);
    if (over)
        emit_patch(e, over, emit_offset(e));
    t->flags = BT_FLAGS_SAVED;
    return true;
}

bool bt_put_odd(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    if (!bt_is_odd(t, insn))
        return false;
    if (is_counted(insn->id))
        return put_counted(t);
    if (is_absolute(insn)) {
        put_absolute(t);
        return true;
    }
    if (is_index_of(insn))
        return put_index_of(t);
    if (insn->id == X86_VZEROUPPER || insn->id == X86_VZEROALL)
        put_zero_vectors(t);
    else
        put_fence(t);
    return true;
}
