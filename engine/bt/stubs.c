/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code around translated code: in, out, and to C and back. Guest registers
 * go to cpu->s.gpr and come from there; vector registers follow only if they are
 * live in the host's.
 */
#include "engine/bt/emit.h"

#include "engine/bt/bt-internal.h"
#include "engine/bt/map.h"
#include "engine/bt/refill.h"
#include "engine/bt/strings.h"
#include "engine/bt/translate.h"
#include "engine/bt/x87.h"

#define CPU(member) ((int32_t)offsetof(struct x86_cpu, member))

static int32_t gpr_offset(unsigned reg)
{
    return CPU(s.gpr) + (int32_t)(8 * reg);
}

static struct host_mem frame_gpr(unsigned reg)
{
    struct host_mem m = HOST_FRAME(gpr);

    m.disp += (int32_t)(8 * reg);
    return m;
}

/* rax = cpu; rcx is lost. */
static void put_save_gprs(struct emit *e)
{
    emit_load(e, HOST_RAX, HOST_FRAME(cpu));
    for (unsigned reg = 0; reg < 16; reg++) {
        if (bt_host_reg[reg] != HOST_NONE) {
            emit_store(e, bt_host_reg[reg], host_at(HOST_RAX, gpr_offset(reg)));
        } else {
            emit_load(e, HOST_RCX, frame_gpr(reg));
            emit_store(e, HOST_RCX, host_at(HOST_RAX, gpr_offset(reg)));
        }
    }
    emit_rm(e, 0, 0x0fb7, HOST_RCX, HOST_FRAME(cc));
    emit_store32(e, HOST_RCX, host_at(HOST_RAX, CPU(cc)));
}

/* Also makes frame.cc current. */
static void put_load_gprs(struct emit *e)
{
    emit_load(e, HOST_RAX, HOST_FRAME(cpu));
    emit_load32(e, HOST_RCX, host_at(HOST_RAX, CPU(cc)));
    emit_store32(e, HOST_RCX, HOST_FRAME(cc));
    for (unsigned reg = 0; reg < 16; reg++) {
        if (bt_host_reg[reg] != HOST_NONE) {
            emit_load(e, bt_host_reg[reg], host_at(HOST_RAX, gpr_offset(reg)));
        } else {
            emit_load(e, HOST_RCX, host_at(HOST_RAX, gpr_offset(reg)));
            emit_store(e, HOST_RCX, frame_gpr(reg));
        }
    }
}

static void put_vec_move(struct emit *e, bool avx, bool store, unsigned reg)
{
    struct host_mem m = host_at(HOST_RAX, CPU(s.vec) + (int32_t)(reg * sizeof(union x86_vec)));
    struct x86_encoding enc = {
        .opcode = store ? 0x29 : 0x28,
        .map = 1,
        .vex = avx,
        .l = avx,
        .reg = (uint8_t)reg,
        .memory = true,
        .reg_operand = X86_ENCODING_NONE,
    };

    emit_encoding(e, 0, &enc, &m);
}

/* rax = cpu. */
static void put_vec_save(struct emit *e, bool avx)
{
    for (unsigned i = 0; i < 16; i++)
        put_vec_move(e, avx, true, i);
    emit_rm(e, 0, 0x0fae, 3, host_at(HOST_RAX, CPU(s.mxcsr))); /* stmxcsr */
    emit_rm(e, 0, 0x0fae, 2, HOST_FRAME(host_mxcsr));          /* ldmxcsr */
    if (avx) {
        put8(e, 0xc5); /* vzeroupper */
        put8(e, 0xf8);
        put8(e, 0x77);
    }
    emit_store_imm32(e, HOST_FRAME(vec_dead), 1);
}

static void put_vec_load(struct emit *e, bool avx)
{
    emit_load(e, HOST_RAX, HOST_FRAME(cpu));
    for (unsigned i = 0; i < 16; i++)
        put_vec_move(e, avx, false, i);
    emit_rm(e, 0, 0x0fae, 2, host_at(HOST_RAX, CPU(s.mxcsr)));
    emit_store_imm32(e, HOST_FRAME(vec_dead), 0);
}

/* if (frame.vec_dead) skip what follows; returns the place to patch. Flags are lost. */
static uint32_t put_if_vec_live(struct emit *e)
{
    emit_rm(e, 0, 0x83, 7, HOST_FRAME(vec_dead)); /* cmp */
    put8(e, 0);
    return emit_jcc(e, 5, 0);
}

static void put_save_all(struct emit *e, bool avx)
{
    uint32_t skip;

    put_save_gprs(e);
    skip = put_if_vec_live(e);
    put_vec_save(e, avx);
    emit_patch(e, skip, emit_offset(e));
    if (avx)
        bt_put_x87_save(e);
}

static void put_pushes(struct emit *e)
{
    static const uint8_t saved[] = {HOST_RBX, HOST_RBP, HOST_R12, HOST_R13, HOST_R14, HOST_R15};

    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++) {
        if (saved[i] & 8)
            put8(e, 0x41);
        put8(e, 0x50 | (saved[i] & 7));
    }
    emit_alu_imm(e, EMIT_W, 5, HOST_RSP, 8);
}

/* Back to who entered. */
static void put_out(struct emit *e)
{
    static const uint8_t saved[] = {HOST_R15, HOST_R14, HOST_R13, HOST_R12, HOST_RBP, HOST_RBX};

    emit_load(e, HOST_RSP, HOST_FRAME(host_sp));
    emit_alu_imm(e, EMIT_W, 0, HOST_RSP, 8);
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++) {
        if (saved[i] & 8)
            put8(e, 0x41);
        put8(e, 0x58 | (saved[i] & 7));
    }
    put8(e, 0xc3);
}

/* Registers and flags from C's side, then to frame.target. */
static void put_resume(struct emit *e)
{
    put_load_gprs(e);
    emit_load32(e, HOST_RAX, HOST_FRAME(cc));
    put8(e, 0x04); /* add al, 127; sahf */
    put8(e, 0x7f);
    put8(e, 0x9e);
    emit_load(e, HOST_RCX, HOST_FRAME(lin));    /* a checked entry compares it */
    emit_rm(e, 0, 0xff, 4, HOST_FRAME(target)); /* jmp */
}

/* The caller's site, whose offset in the cache is eax, to frame.site; rcx is the access's address. */
static void put_take_site(struct emit *e)
{
    emit_store(e, HOST_RCX, HOST_FRAME(lin));
    emit_mov_imm(e, HOST_RCX, (uint64_t)(uintptr_t)e->base);
    emit_rr(e, EMIT_W, 0x03, HOST_RAX, HOST_RCX); /* add */
    emit_store(e, HOST_RAX, HOST_FRAME(site));
}

/* An indirect branch that found nothing: rcx is where it led. */
static void make_indirect(struct emit *e, bool avx)
{
    emit_store(e, HOST_RCX, HOST_FRAME(lin));
    emit_rm(e, EMIT_W, 0xc7, 0, HOST_FRAME(site));
    put32(e, 0);
    put_save_all(e, avx);
    put_out(e);
}

/* if (!site->what) skip what follows; returns the place to patch. */
static uint32_t put_unless_site(struct emit *e, size_t what)
{
    emit_load(e, HOST_RCX, HOST_FRAME(site));
    emit_rm(e, 0, 0x80, 7, host_at(HOST_RCX, (int32_t)what)); /* cmp byte */
    put8(e, 0);
    return emit_jcc(e, 4, 0);
}

static void make_slow(struct emit *e, bool avx, struct bt_code *code)
{
    uint32_t out, no_vec, no_x87;

    code->slow = emit_offset(e);
    put_take_site(e);
    put_save_all(e, avx);
    emit_store(e, HOST_RSP, HOST_FRAME(shadow_sp));
    emit_load(e, HOST_RSP, HOST_FRAME(host_sp));
    emit_load(e, HOST_RDI, HOST_FRAME(self));
    emit_mov_imm(e, HOST_RAX, (uint64_t)(uintptr_t)bt_slow);
    emit_rr(e, 0, 0xff, 2, HOST_RAX); /* call */
    emit_load(e, HOST_RSP, HOST_FRAME(shadow_sp));
    emit_rr(e, EMIT_W, 0x85, HOST_RAX, HOST_RAX); /* test */
    out = emit_jcc(e, 4, 0);
    emit_store(e, HOST_RAX, HOST_FRAME(target));
    no_vec = put_unless_site(e, offsetof(struct bt_site, vec));
    put_vec_load(e, avx);
    emit_patch(e, no_vec, emit_offset(e));
    no_x87 = put_unless_site(e, offsetof(struct bt_site, x87));
    bt_put_x87_load(e);
    emit_patch(e, no_x87, emit_offset(e));
    put_resume(e);
    emit_patch(e, out, emit_offset(e));
    put_out(e);
}

/* rax := bt_tsc(). All that C may change is kept, but for rcx and vector registers. */
static void make_tsc(struct emit *e, struct bt_code *code)
{
    static const uint8_t kept[] = {HOST_RDX, HOST_RSI, HOST_RDI, HOST_R8, HOST_R9, HOST_R10, HOST_R11};

    code->tsc = emit_offset(e);
    emit_store(e, HOST_RSP, HOST_FRAME(shadow_sp));
    emit_load(e, HOST_RSP, HOST_FRAME(host_sp));
    emit_alu_imm(e, EMIT_W, 5, HOST_RSP, 8); /* and seven pushes: aligned */
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        if (kept[i] & 8)
            put8(e, 0x41);
        put8(e, 0x50 | (kept[i] & 7)); /* push */
    }
    emit_load(e, HOST_RDI, HOST_FRAME(cpu));
    emit_mov_imm(e, HOST_RAX, (uint64_t)(uintptr_t)bt_tsc);
    emit_rr(e, 0, 0xff, 2, HOST_RAX); /* call */
    for (unsigned i = ARRAY_SIZE(kept); i-- > 0;) {
        if (kept[i] & 8)
            put8(e, 0x41);
        put8(e, 0x58 | (kept[i] & 7)); /* pop */
    }
    emit_load(e, HOST_RSP, HOST_FRAME(shadow_sp));
    put8(e, 0xc3);
}

void bt_stubs_make(struct bt_vm *bvm)
{
    struct bt_code *code = &bvm->code;
    struct emit e = {.at = code->write, .base = code->write, .end = code->write + code->size};

    make_indirect(&e, bvm->avx);
    emit_align(&e, 0, 64);
    make_slow(&e, bvm->avx, code);
    emit_align(&e, 0, 64);

    code->leave = emit_offset(&e);
    put_take_site(&e);
    put_save_all(&e, bvm->avx);
    put_out(&e);
    emit_align(&e, 0, 64);

    code->enter = emit_offset(&e); /* bt_enter_fn: rdi, rsi */
    put_pushes(&e);
    emit_store(&e, HOST_RSP, HOST_FRAME(host_sp));
    emit_load(&e, HOST_RSP, HOST_FRAME(shadow_top));
    emit_store(&e, HOST_RSI, HOST_FRAME(target));
    put_resume(&e);
    emit_align(&e, 0, 64);

    make_tsc(&e, code);
    emit_align(&e, 0, 64);

    code->flags_save = emit_offset(&e);
    bt_put_flags_save(&e);
    put8(&e, 0xc3);
    emit_align(&e, 0, 64);

    code->vec_load = emit_offset(&e);
    put_vec_load(&e, bvm->avx);
    put8(&e, 0xc3);
    emit_align(&e, 0, 64);
    bt_refill_make(bvm, &e);
    code->x87_load = emit_offset(&e);
    bt_put_x87_load(&e);
    put8(&e, 0xc3);
    emit_align(&e, 0, 64);
    bt_strings_make(bvm, &e);
    emit_align(&e, 0, 64);
    code->used = code->fixed = emit_offset(&e);
    x86_thunk_serialize();
}
