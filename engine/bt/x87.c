/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87 on the host's own, in the lazy manner of the vector registers: loaded at a
 * block's first x87 instruction, saved when C is called.
 *
 * Only while the guest's control word masks all exceptions: the host's would report one
 * that is not at its next instruction, wherever that is. A control word that unmasks
 * one, and what loads more than that, goes to the reference semantics.
 *
 * Where the last instruction was (FIP, FOP) is known by its site, kept in the frame; what it
 * accessed (FDP) by its address. The host's own never show: they are not saved.
 */
#include "engine/bt/translate.h"

#include "engine/bt/x87.h"
#include "x86/exec-vec.h"
#include "x86/fpu.h"

/* ---- which ---- */

static bool is_control(unsigned id)
{
    return id == X86_FNSTSW || id == X86_FNSTCW || id == X86_FLDCW || id == X86_FWAIT;
}

static bool in_memory(const struct x86_insn *insn)
{
    return insn->has_modrm && insn->modrm < 0xc0;
}

bool bt_is_x87(const struct bt_translation *t, const struct x86_insn *insn)
{
    if (!t->bvm->avx || t->bv->key & BT_KEY_X87) /* XSAVE comes with AVX */
        return false;
    if (x86_exec_table[insn->id] != x86_exec_x87 && !is_control(insn->id))
        return false;
    return !in_memory(insn) || (insn->mem.seg != X86_FS && insn->mem.seg != X86_GS);
}

/* ---- how ---- */

static void want_x87(struct bt_translation *t)
{
    if (t->x87_live)
        return;
    emit_load32(&t->e, HOST_RCX, HOST_FRAME(x87_dead));
    emit_jrcxz(&t->e, 5);
    emit_call(&t->e, t->bvm->code.x87_load);
    t->x87_live = true;
}

/* What FNSTENV and the like will tell of the instruction. */
static void put_whereabouts(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct bt_site *site = bt_new_site(t, BT_SITE_X87);

    site->fop = (uint16_t)((insn->opcode & 7U) << 8 | insn->modrm);
    emit_mov_imm(&t->e, HOST_RAX, (uint64_t)(uintptr_t)site);
    emit_store(&t->e, HOST_RAX, HOST_FRAME(x87_last));
    if (in_memory(insn)) {
        bt_effective(t);
        emit_store(&t->e, HOST_RCX, HOST_FRAME(x87_fdp));
    }
}

/* A control word that unmasks nothing; bits that do not exist are as set_fcw() has them. */
static void put_fldcw(struct bt_translation *t, struct host_mem m)
{
    struct emit *e = &t->e;

    bt_flags_saved(t);
    t->flags = BT_FLAGS_SAVED;
    emit_rm(e, 0, 0x0fb7, HOST_RCX, m);
    emit_rr(e, 0, 0x8b, HOST_RAX, HOST_RCX);
    emit_alu_imm(e, 0, 4, HOST_RAX, 0x3f);
    emit_alu_imm(e, 0, 7, HOST_RAX, 0x3f);
    bt_put_escape(t, 5);
    emit_alu_imm(e, 0, 4, HOST_RCX, 0x1f3f);
    emit_alu_imm(e, 0, 1, HOST_RCX, 0x40);
    emit_store32(e, HOST_RCX, HOST_FRAME(kept));
    emit_rm(e, 0, 0xd9, 5, HOST_FRAME(kept));
}

static void put_insn(struct bt_translation *t, struct host_mem m)
{
    const struct x86_insn *insn = bt_now(t);
    struct emit *e = &t->e;

    if (in_memory(insn)) {
        emit_rm(e, 0, insn->opcode, insn->modrm >> 3 & 7, m);
    } else {
        put8(e, insn->opcode);
        put8(e, insn->modrm);
    }
    if (insn->id == X86_FNSTSW && !in_memory(insn))
        emit_rr(e, EMIT_66, 0x8b, bt_host(X86_RAX), HOST_RAX);
}

bool bt_put_x87(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    const struct x86_row *row = x86_insn_row(insn->row);
    struct host_mem m = {.base = HOST_NONE, .index = HOST_NONE};

    if (!bt_is_x87(t, insn))
        return false;
    if (insn->id == X86_FWAIT) /* nothing is pending */
        return true;
    want_x87(t);
    if (in_memory(insn))
        m = bt_access(t, 0, false);
    if (insn->id == X86_FLDCW) {
        put_fldcw(t, m);
        return true;
    }
    if (bt_flags_need(t, insn) == BT_NEED_ALL)
        bt_flags_host(t);
    put_insn(t, m);
    if (row->flags_written | row->flags_undefined)
        t->flags = BT_FLAGS_HOST;
    if (!is_control(insn->id))
        put_whereabouts(t);
    return true;
}

/* ---- stubs ---- */

#define CPU(member) ((int32_t)offsetof(struct x86_cpu, member))
#define IMAGE_FCW   0
#define IMAGE_FSW   2
#define IMAGE_FTW   4
#define IMAGE_ST    32

/* A field of 1 or 2 bytes, by edx. */
static void put_copy(struct emit *e, unsigned size, struct host_mem to, struct host_mem from)
{
    emit_rm(e, 0, size == 1 ? 0x0fb6 : 0x0fb7, HOST_RDX, from);
    emit_rm(e, size == 1 ? 0 : EMIT_66, size == 1 ? 0x88 : 0x89, HOST_RDX, to);
}

static void put_copy_stack(struct emit *e, unsigned to, int32_t to_at, unsigned from, int32_t from_at)
{
    for (int32_t i = 0; i < 128; i += 8) {
        emit_load(e, HOST_RDX, host_at(from, from_at + i));
        emit_store(e, HOST_RDX, host_at(to, to_at + i));
    }
}

void bt_put_x87_load(struct emit *e)
{
    put8(e, 0x50 | HOST_RDX);
    emit_load(e, HOST_RAX, HOST_FRAME(cpu));
    emit_load(e, HOST_RCX, HOST_FRAME(x87_image));
    put_copy(e, 2, host_at(HOST_RCX, IMAGE_FCW), host_at(HOST_RAX, CPU(s.x87.fcw)));
    put_copy(e, 2, host_at(HOST_RCX, IMAGE_FSW), host_at(HOST_RAX, CPU(s.x87.fsw)));
    put_copy(e, 1, host_at(HOST_RCX, IMAGE_FTW), host_at(HOST_RAX, CPU(s.x87.ftw)));
    put_copy_stack(e, HOST_RCX, IMAGE_ST, HOST_RAX, CPU(s.x87.st));
    emit_load(e, HOST_RDX, host_at(HOST_RAX, CPU(s.x87.fdp)));
    emit_store(e, HOST_RDX, HOST_FRAME(x87_fdp));
    emit_store_imm32(e, host_at(HOST_RCX, X86_XSAVE_HEADER), 1); /* XSTATE_BV */
    emit_mov_imm(e, HOST_RAX, 1);
    emit_mov_imm(e, HOST_RDX, 0);
    emit_rm(e, 0, 0x0fae, 5, host_at(HOST_RCX, 0)); /* xrstor */
    emit_rm(e, EMIT_W, 0xc7, 0, HOST_FRAME(x87_last));
    put32(e, 0);
    emit_store_imm32(e, HOST_FRAME(x87_dead), 0);
    put8(e, 0x58 | HOST_RDX);
}

/* FIP and FOP from the last instruction's site, if there was one. rsi: cpu. */
static void put_settle(struct emit *e)
{
    uint32_t none;

    emit_load(e, HOST_RDX, HOST_FRAME(x87_fdp));
    emit_store(e, HOST_RDX, host_at(HOST_RSI, CPU(s.x87.fdp)));
    emit_load(e, HOST_RAX, HOST_FRAME(x87_last));
    emit_rr(e, EMIT_W, 0x85, HOST_RAX, HOST_RAX); /* test */
    none = emit_jcc(e, 4, 0);
    put_copy(e, 2, host_at(HOST_RSI, CPU(s.x87.fop)),
             host_at(HOST_RAX, (int32_t)offsetof(struct bt_site, fop)));
    emit_load(e, HOST_RDX, host_at(HOST_RAX, (int32_t)offsetof(struct bt_site, rip)));
    emit_store(e, HOST_RDX, host_at(HOST_RSI, CPU(s.x87.fip)));
    emit_patch(e, none, emit_offset(e));
}

void bt_put_x87_save(struct emit *e)
{
    uint32_t skip;

    emit_rm(e, 0, 0x83, 7, HOST_FRAME(x87_dead)); /* cmp */
    put8(e, 0);
    skip = emit_jcc(e, 5, 0);
    emit_load(e, HOST_RSI, HOST_FRAME(cpu));
    emit_load(e, HOST_RCX, HOST_FRAME(x87_image));
    emit_mov_imm(e, HOST_RAX, 1);
    emit_mov_imm(e, HOST_RDX, 0);
    emit_rm(e, 0, 0x0fae, 4, host_at(HOST_RCX, 0)); /* xsave */
    put8(e, 0xdb);                                  /* fninit: C finds it empty */
    put8(e, 0xe3);
    put_copy(e, 2, host_at(HOST_RSI, CPU(s.x87.fcw)), host_at(HOST_RCX, IMAGE_FCW));
    put_copy(e, 2, host_at(HOST_RSI, CPU(s.x87.fsw)), host_at(HOST_RCX, IMAGE_FSW));
    put_copy(e, 1, host_at(HOST_RSI, CPU(s.x87.ftw)), host_at(HOST_RCX, IMAGE_FTW));
    put_copy_stack(e, HOST_RSI, CPU(s.x87.st), HOST_RCX, IMAGE_ST);
    put_settle(e);
    emit_store_imm32(e, HOST_FRAME(x87_dead), 1);
    emit_patch(e, skip, emit_offset(e));
}
