/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions with translations of their own: the stack, branches, and those that name RAX, RCX or RSP. */
#include "engine/bt/translate.h"

static unsigned word_flags(unsigned size)
{
    return size == 8 ? EMIT_W : size == 2 ? EMIT_66 : 0;
}

static bool is_gpr(const struct x86_operand *op)
{
    return op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR;
}

/* rSP += by. */
static void move_stack(struct bt_translation *t, int by)
{
    unsigned sp = bt_host(X86_RSP);

    if (t->wide)
        emit_lea(&t->e, sp, host_at(sp, by));
    else
        emit_lea32(&t->e, sp, host_at(sp, by));
}

static unsigned stack_flags(const struct bt_translation *t)
{
    return t->wide ? EMIT_W : 0;
}

/* ---- moves ---- */

static void put_lea(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned to = insn->op[0].reg;
    bool in_frame = bt_host(to) == HOST_NONE;
    unsigned size = insn->op[0].size;

    if (insn->mem.base == X86_RIP || insn->mem.base == X86_NO_REG || size == 2 || in_frame) {
        t->insn[t->now].mem.seg = X86_DS; /* it has no say */
        bt_effective(t);
        if (size == 4)
            emit_rr(&t->e, 0, 0x8b, HOST_RCX, HOST_RCX);
        if (size == 2 && in_frame)
            emit_rm(&t->e, EMIT_66, 0x89, HOST_RCX, bt_frame_gpr(to));
        else if (size == 2)
            emit_rr(&t->e, EMIT_66, 0x8b, bt_host(to), HOST_RCX);
        else
            bt_set(t, to, HOST_RCX);
        if (size != 2 && in_frame) {
            bt_mirror_open(t);
            bt_mirror_set(t, HOST_RCX, to);
        }
        return;
    }
    struct host_mem m = {.base = (uint8_t)bt_get(t, insn->mem.base, HOST_RCX),
                         .index = HOST_NONE,
                         .disp = (int32_t)insn->mem.disp};
    if (insn->mem.index < X86_NO_REG) {
        m.index = (uint8_t)bt_get(t, insn->mem.index, HOST_RAX);
        m.scale = insn->mem.scale;
    }
    bt_mirror_open(t);
    if (size == 8 && insn->addrsize == 8)
        emit_lea(&t->e, bt_host(to), m);
    else
        emit_lea32(&t->e, bt_host(to), m);
    bt_mirror_close(t);
}

/* MOVZX from AH, CH, DH, BH. */
static void put_movzx_high(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    emit_mov_rr(&t->e, HOST_RAX, bt_host(insn->op[1].reg));
    put8(&t->e, 0x0f); /* movzx eax, ah */
    put8(&t->e, 0xb6);
    put8(&t->e, 0xc4);
    bt_set(t, insn->op[0].reg, HOST_RAX);
}

static void put_cbw(struct bt_translation *t)
{
    unsigned size = bt_now(t)->opsize, a = bt_host(X86_RAX);

    if (size == 2)
        emit_rr(&t->e, EMIT_66 | EMIT_BYTE, 0x0fbe, a, a);
    else if (size == 4)
        emit_rr(&t->e, 0, 0x0fbf, a, a);
    else
        emit_rr(&t->e, EMIT_W, 0x63, a, a);
}

static void put_cwd(struct bt_translation *t)
{
    unsigned size = bt_now(t)->opsize;

    emit_mov_rr(&t->e, HOST_RAX, bt_host(X86_RAX));
    if (size == 2)
        put8(&t->e, 0x66);
    if (size == 8)
        put8(&t->e, 0x48);
    put8(&t->e, 0x99);
}

/* ---- arithmetic that names RAX or CL ---- */

/* An operand that is a register: its host register, or its place in the frame. */
static void put_group3(struct bt_translation *t, unsigned digit, unsigned size, const struct host_mem *memory)
{
    const struct x86_operand *op = &bt_now(t)->op[0];

    if (memory)
        emit_rm(&t->e, word_flags(size), 0xf7, digit, *memory);
    else if (bt_host(op->reg) == HOST_NONE)
        emit_rm(&t->e, word_flags(size), 0xf7, digit, bt_frame_gpr(op->reg));
    else
        emit_rr(&t->e, word_flags(size), 0xf7, digit, bt_host(op->reg));
}

static void take_rax(struct bt_translation *t, unsigned size)
{
    if (size == 2)
        emit_rr(&t->e, EMIT_66, 0x8b, bt_host(X86_RAX), HOST_RAX);
    else
        emit_mov_rr(&t->e, bt_host(X86_RAX), HOST_RAX);
}

static void put_mul(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    bool memory = insn->op[0].kind == X86_OP_MEM;
    struct host_mem m;

    if (memory)
        m = bt_access(t, 0, false);
    bt_flags_host(t);
    emit_mov_rr(&t->e, HOST_RAX, bt_host(X86_RAX));
    put_group3(t, insn->id == X86_MUL ? 4 : 5, insn->opsize, memory ? &m : NULL);
    take_rax(t, insn->opsize);
    t->flags = BT_FLAGS_HOST;
}

/* Only quotients that surely fit: unsigned, if the high half is below the divisor; signed, if it is but the
 * sign of the low half, and the divisor is neither 0 nor -1. All others by the reference, which may raise
 * #DE. */
static void put_div(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned w = word_flags(insn->opsize);
    struct emit *e = &t->e;

    if (insn->op[0].kind == X86_OP_MEM) {
        struct host_mem m = bt_access(t, 0, false);
        emit_rm(e, w, 0x8b, HOST_RCX, m);
    } else {
        emit_rr(e, w, 0x8b, HOST_RCX, bt_get(t, insn->op[0].reg, HOST_RCX));
    }
    bt_flags_spare(t);
    if (insn->id == X86_DIV) {
        emit_rr(e, w, 0x3b, HOST_RDX, HOST_RCX);
        bt_flags_lost(t);
        bt_put_escape(t, 3); /* above or equal */
    } else {
        emit_rr(e, w, 0x8b, HOST_RAX, bt_host(X86_RAX));
        emit_rr(e, w, 0xc1, 7, HOST_RAX); /* sar */
        put8(e, insn->opsize == 8 ? 63 : 31);
        emit_rr(e, w, 0x3b, HOST_RAX, HOST_RDX);
        bt_flags_lost(t);
        bt_put_escape(t, 5);
        if (w)
            emit_lea(e, HOST_RAX, host_at(HOST_RCX, 1));
        else
            emit_lea32(e, HOST_RAX, host_at(HOST_RCX, 1));
        emit_alu_imm(e, w, 7, HOST_RAX, 1);
        bt_put_escape(t, 6); /* below or equal */
    }
    bt_flags_host(t);
    emit_mov_rr(e, HOST_RAX, bt_host(X86_RAX));
    emit_rr(e, w, 0xf7, insn->id == X86_DIV ? 6 : 7, HOST_RCX);
    take_rax(t, insn->opsize);
    t->flags = BT_FLAGS_HOST;
}

/* Shifts, SHLD and SHRD by CL. */
static void put_shift(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    const struct x86_operand *to = &insn->op[0];
    struct emit *e = &t->e;
    struct x86_encoding enc;
    struct host_mem m = {.base = HOST_NONE, .index = HOST_NONE};
    bool in_frame = to->kind == X86_OP_REG && bt_host(to->reg) == HOST_NONE;

    x86_encoding_of(insn, &enc);
    if (enc.memory)
        m = bt_access(t, 0, false);
    bt_flags_host(t);
    if (enc.memory) {
        emit_lea(e, HOST_RAX, m);
        m = host_at(HOST_RAX, 0);
    } else if (in_frame) {
        emit_load(e, HOST_RAX, bt_frame_gpr(to->reg));
        enc.rm = HOST_RAX;
    } else {
        enc.rm = bt_host(to->reg);
    }
    if (enc.reg_operand != X86_ENCODING_NONE)
        enc.reg = bt_host(enc.reg);
    emit_rr(e, 0, 0x8b, HOST_RCX, bt_host(X86_RCX));
    emit_encoding(e, to->size == 1 ? EMIT_BYTE : 0, &enc, &m);
    if (in_frame)
        emit_store(e, HOST_RAX, bt_frame_gpr(to->reg));
    t->flags = BT_FLAGS_HOST;
}

static void put_cmpxchg(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct x86_encoding enc;
    struct host_mem m = {.base = HOST_NONE, .index = HOST_NONE};
    unsigned flags = insn->prefixes & X86_PFX_LOCK ? EMIT_LOCK : 0U;

    x86_encoding_of(insn, &enc);
    if (enc.memory)
        m = bt_access(t, 0, false);
    else
        enc.rm = bt_host(enc.rm);
    enc.reg = bt_host(enc.reg);
    emit_mov_rr(&t->e, HOST_RAX, bt_host(X86_RAX));
    emit_encoding(&t->e, flags | (insn->op[0].size == 1 ? EMIT_BYTE : 0), &enc, &m);
    emit_mov_rr(&t->e, bt_host(X86_RAX), HOST_RAX);
    t->flags = BT_FLAGS_HOST;
}

/* RCX is wanted for itself: the address goes where the guest's RCX was. */
static void put_cmpxchg_wide(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct emit *e = &t->e;
    struct host_mem m = bt_access(t, 0, false);
    unsigned flags =
        (insn->prefixes & X86_PFX_LOCK ? EMIT_LOCK : 0U) | (insn->id == X86_CMPXCHG16B ? EMIT_W : 0U);

    bt_flags_host(t);
    emit_lea(e, HOST_RCX, m);
    emit_mov_rr(e, HOST_RAX, bt_host(X86_RAX));
    emit_rr(e, EMIT_W, 0x87, HOST_RCX, bt_host(X86_RCX)); /* xchg */
    emit_rm(e, flags, 0x0fc7, 1, host_at(bt_host(X86_RCX), 0));
    emit_mov_rr(e, bt_host(X86_RCX), HOST_RCX);
    emit_mov_rr(e, bt_host(X86_RAX), HOST_RAX);
    t->flags = BT_FLAGS_HOST;
}

/* ---- flags ---- */

static void put_flag_insn(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct emit *e = &t->e;

    bt_flags_host(t);
    if (insn->id == X86_LAHF || insn->id == X86_SAHF)
        emit_mov_rr(e, HOST_RAX, bt_host(X86_RAX));
    put8(e, insn->opcode);
    if (insn->id == X86_LAHF)
        emit_rr(e, EMIT_66, 0x8b, bt_host(X86_RAX), HOST_RAX);
    else
        t->flags = BT_FLAGS_HOST;
}

/* ---- the stack ---- */

static void put_push(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    const struct x86_operand *op = &insn->op[0];
    struct emit *e = &t->e;
    struct host_mem m;

    if (op->kind == X86_OP_MEM) {
        m = bt_access(t, 0, false);
        emit_rm(e, stack_flags(t), 0x8b, HOST_RCX, m);
        emit_store(e, HOST_RCX, HOST_FRAME(kept));
    }
    m = bt_access(t, 1, false);
    if (op->kind == X86_OP_MEM) {
        emit_load(e, HOST_RAX, HOST_FRAME(kept));
        emit_rm(e, stack_flags(t), 0x89, HOST_RAX, m);
    } else if (op->kind == X86_OP_IMM) {
        emit_rm(e, stack_flags(t), 0xc7, 0, m);
        put32(e, (uint32_t)op->imm);
    } else {
        emit_rm(e, stack_flags(t), 0x89, bt_get(t, op->reg, HOST_RAX), m);
    }
    move_stack(t, bt_stack_move(insn));
}

static void put_pop(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned reg = insn->op[0].reg;
    struct host_mem m = bt_access(t, 1, false);

    if (bt_host(reg) == HOST_NONE) {
        emit_rm(&t->e, stack_flags(t), 0x8b, HOST_RAX, m);
        emit_store(&t->e, HOST_RAX, bt_frame_gpr(reg));
    } else {
        emit_rm(&t->e, stack_flags(t), 0x8b, bt_host(reg), m);
    }
    if (reg != X86_RSP)
        move_stack(t, bt_stack_move(insn));
}

static void put_leave(struct bt_translation *t)
{
    struct host_mem m = bt_access(t, 1, false);
    unsigned sp = bt_host(X86_RSP), bp = bt_host(X86_RBP), w = stack_flags(t);

    emit_rm(&t->e, w, 0x8b, HOST_RAX, m);
    if (t->wide)
        emit_lea(&t->e, sp, host_at(bp, 8));
    else
        emit_lea32(&t->e, sp, host_at(bp, 4));
    emit_rr(&t->e, w, 0x8b, bp, HOST_RAX);
}

/* ---- branches ---- */

static uint64_t relative(const struct bt_translation *t)
{
    uint64_t rip = bt_insn_rip(t) + bt_now(t)->length + (uint64_t)bt_now(t)->op[0].imm;

    return t->wide ? rip : (uint32_t)rip;
}

static void push_return(struct bt_translation *t)
{
    struct host_mem m = bt_access(t, 1, false);
    uint64_t rip = bt_next_rip(t);

    if (!t->wide || (uint64_t)(int64_t)(int32_t)rip == rip) {
        emit_rm(&t->e, stack_flags(t), 0xc7, 0, m);
        put32(&t->e, (uint32_t)rip);
    } else {
        emit_mov_imm(&t->e, HOST_RAX, rip);
        emit_rm(&t->e, EMIT_W, 0x89, HOST_RAX, m);
    }
    move_stack(t, t->wide ? -8 : -4);
}

/* rcx := where JMP or CALL leads. */
static void load_target(struct bt_translation *t)
{
    const struct x86_operand *op = &bt_now(t)->op[0];
    unsigned w = stack_flags(t);

    if (op->kind == X86_OP_MEM) {
        struct host_mem m = bt_access(t, 0, false);
        emit_rm(&t->e, w, 0x8b, HOST_RCX, m);
    } else {
        emit_rr(&t->e, w, 0x8b, HOST_RCX, bt_get(t, op->reg, HOST_RCX));
    }
}

/* A CALL to where no code can be faults before it pushes. */
static void check_canonical(struct bt_translation *t)
{
    struct emit *e = &t->e;

    if (!t->wide)
        return;
    bt_flags_spare(t);
    emit_mov_rr(e, HOST_RAX, HOST_RCX);
    emit_rr(e, EMIT_W, 0xc1, 7, HOST_RAX); /* sar rax, 47 */
    put8(e, 47);
    emit_lea(e, HOST_RAX, host_at(HOST_RAX, 1));
    emit_alu_imm(e, EMIT_W, 7, HOST_RAX, 1);
    bt_flags_lost(t);
    bt_put_escape(t, 7);
}

static void put_call(struct bt_translation *t)
{
    if (bt_now(t)->op[0].kind == X86_OP_REL) {
        push_return(t);
        bt_put_call(t, relative(t));
        return;
    }
    load_target(t);
    check_canonical(t);
    emit_store(&t->e, HOST_RCX, HOST_FRAME(kept));
    push_return(t);
    emit_load(&t->e, HOST_RCX, HOST_FRAME(kept));
    bt_put_indirect_call(t);
}

static void put_jmp(struct bt_translation *t)
{
    if (bt_now(t)->op[0].kind == X86_OP_REL) {
        bt_put_exit(t, relative(t));
        return;
    }
    load_target(t);
    bt_put_indirect(t);
}

static void put_ret(struct bt_translation *t)
{
    struct host_mem m = bt_access(t, 1, false);

    emit_rm(&t->e, stack_flags(t), 0x8b, HOST_RCX, m);
    move_stack(t, bt_stack_move(bt_now(t)));
    bt_put_return(t);
}

/* ---- all of them ---- */

static bool canonical48(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

static bool by_cl(const struct x86_insn *insn)
{
    const struct x86_operand *count = &insn->op[MAX(insn->operand_count, 1) - 1];
    struct x86_encoding enc;

    return insn->operand_count >= 2 && is_gpr(count) && count->reg == X86_RCX && count->size == 1 &&
           insn->op[0].kind != X86_OP_IMM && x86_encoding_of(insn, &enc) &&
           enc.reg_operand != insn->operand_count - 1 &&
           (enc.reg_operand == X86_ENCODING_NONE || bt_host(enc.reg) != HOST_NONE) &&
           (insn->op[0].kind == X86_OP_MEM || is_gpr(&insn->op[0]));
}

static bool is_stack(const struct x86_insn *insn, bool wide)
{
    return insn->opsize == (wide ? 8 : 4);
}

static bool register_or_memory(const struct x86_operand *op)
{
    return op->kind == X86_OP_MEM || is_gpr(op);
}

bool bt_is_special(const struct x86_insn *insn, bool wide)
{
    const struct x86_operand *op = &insn->op[0];

    switch (insn->id) {
    case X86_LEA:
        return wide || insn->addrsize == 4;
    case X86_MOVZX:
        return insn->op[1].kind == X86_OP_REG && insn->op[1].reg_class == X86_RC_GPR8H && op->size != 2;
    case X86_CBW:
    case X86_CWD:
    case X86_CLC:
    case X86_STC:
    case X86_CMC:
    case X86_LAHF:
    case X86_SAHF:
    case X86_NOP:
    case X86_PAUSE:
    case X86_PREFETCH:
    case X86_PREFETCHW:
    case X86_PREFETCHWT1:
    case X86_PREFETCHNTA:
    case X86_PREFETCHT0:
    case X86_PREFETCHT1:
    case X86_PREFETCHT2:
        return true;
    case X86_MUL:
    case X86_IMUL:
        return insn->opcode == 0xf7 && insn->map == 0;
    case X86_DIV:
    case X86_IDIV:
        return insn->opcode == 0xf7 && insn->opsize >= 4;
    case X86_SHL:
    case X86_SHR:
    case X86_SAR:
    case X86_ROL:
    case X86_ROR:
    case X86_RCL:
    case X86_RCR:
    case X86_SHLD:
    case X86_SHRD:
        return by_cl(insn);
    case X86_CMPXCHG:
        return is_gpr(&insn->op[1]) && bt_host(insn->op[1].reg) != HOST_NONE &&
               (op->kind == X86_OP_MEM ||
                (is_gpr(op) && op->reg != X86_RAX && bt_host(op->reg) != HOST_NONE));
    case X86_CMPXCHG8B:
    case X86_CMPXCHG16B:
        return true;
    case X86_BT:
    case X86_BTS:
    case X86_BTR:
    case X86_BTC:
        return bt_is_bit_string(insn);
    case X86_PUSH:
        return is_stack(insn, wide) && (op->kind == X86_OP_IMM || register_or_memory(op));
    case X86_POP:
        return is_stack(insn, wide) && is_gpr(op);
    case X86_LEAVE:
    case X86_RET:
        return is_stack(insn, wide);
    case X86_CALL:
    case X86_JMP:
        return is_stack(insn, wide) &&
               (op->kind == X86_OP_REL ||
                (register_or_memory(op) && !(insn->id == X86_CALL && is_gpr(op) && op->reg == X86_RSP)));
    case X86_JCC:
        return is_stack(insn, wide);
    default:
        return false;
    }
}

static bool leads_nowhere(const struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    return t->wide && (insn->id == X86_CALL || insn->id == X86_JMP || insn->id == X86_JCC) &&
           insn->op[0].kind == X86_OP_REL && !canonical48(relative(t));
}

bool bt_put_special(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    if (!bt_is_special(insn, t->wide) || leads_nowhere(t))
        return false;
    switch (insn->id) {
    case X86_LEA:
        put_lea(t);
        break;
    case X86_MOVZX:
        put_movzx_high(t);
        break;
    case X86_CBW:
        put_cbw(t);
        break;
    case X86_CWD:
        put_cwd(t);
        break;
    case X86_CLC:
    case X86_STC:
    case X86_CMC:
    case X86_LAHF:
    case X86_SAHF:
        put_flag_insn(t);
        break;
    case X86_PAUSE:
        put8(&t->e, 0xf3);
        put8(&t->e, 0x90);
        break;
    case X86_MUL:
    case X86_IMUL:
        put_mul(t);
        break;
    case X86_DIV:
    case X86_IDIV:
        put_div(t);
        break;
    case X86_SHL:
    case X86_SHR:
    case X86_SAR:
    case X86_ROL:
    case X86_ROR:
    case X86_RCL:
    case X86_RCR:
    case X86_SHLD:
    case X86_SHRD:
        put_shift(t);
        break;
    case X86_CMPXCHG:
        put_cmpxchg(t);
        break;
    case X86_CMPXCHG8B:
    case X86_CMPXCHG16B:
        put_cmpxchg_wide(t);
        break;
    case X86_BT:
    case X86_BTS:
    case X86_BTR:
    case X86_BTC:
        bt_put_bit_string(t);
        break;
    case X86_PUSH:
        put_push(t);
        break;
    case X86_POP:
        put_pop(t);
        break;
    case X86_LEAVE:
        put_leave(t);
        break;
    case X86_RET:
        put_ret(t);
        break;
    case X86_CALL:
        put_call(t);
        break;
    case X86_JMP:
        put_jmp(t);
        break;
    case X86_JCC:
        bt_put_branch(t, insn->opcode & 15, relative(t));
        break;
    default: /* NOP, PREFETCH */
        break;
    }
    return true;
}
