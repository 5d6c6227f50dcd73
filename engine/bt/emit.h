/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing host instructions. An emitter writes into the writable mapping of the
 * code cache; places in it are offsets from the cache's start, the same in both
 * mappings. All jumps between places are 32 bits wide.
 */
#ifndef ENGINE_BT_EMIT_H
#define ENGINE_BT_EMIT_H

#include "base/bytes.h"
#include "x86/encode.h"

enum bt_reg {
    HOST_RAX,
    HOST_RCX,
    HOST_RDX,
    HOST_RBX,
    HOST_RSP,
    HOST_RBP,
    HOST_RSI,
    HOST_RDI,
    HOST_R8,
    HOST_R9,
    HOST_R10,
    HOST_R11,
    HOST_R12,
    HOST_R13,
    HOST_R14,
    HOST_R15,
    HOST_NONE,
};

struct emit {
    uint8_t *at;
    uint8_t *base; /* of the cache */
    uint8_t *end;
};

/* An address in host registers; gs: in the frame. */
struct host_mem {
    uint8_t base, index; /* HOST_NONE: none */
    uint8_t scale;       /* shift */
    bool gs;
    int32_t disp;
};

#define HOST_FRAME(member)                                                                                   \
    ((struct host_mem){.base = HOST_NONE,                                                                    \
                       .index = HOST_NONE,                                                                   \
                       .gs = true,                                                                           \
                       .disp = (int32_t)offsetof(struct bt_frame, member)})

static inline uint32_t emit_offset(const struct emit *e)
{
    return (uint32_t)(e->at - e->base);
}

static inline void put8(struct emit *e, unsigned byte)
{
    *e->at++ = (uint8_t)byte;
}

static inline void put16(struct emit *e, uint16_t v)
{
    store_le16(e->at, v);
    e->at += 2;
}

static inline void put32(struct emit *e, uint32_t v)
{
    store_le32(e->at, v);
    e->at += 4;
}

static inline void put64(struct emit *e, uint64_t v)
{
    store_le64(e->at, v);
    e->at += 8;
}

static inline struct host_mem host_at(enum bt_reg base, int32_t disp)
{
    return (struct host_mem){.base = (uint8_t)base, .index = HOST_NONE, .disp = disp};
}

/* ---- general forms ---- */

#define EMIT_W    BIT(0) /* 64 bits */
#define EMIT_66   BIT(1) /* 16 bits, or mandatory */
#define EMIT_BYTE BIT(4) /* registers 4..7 are SPL … DIL */
#define EMIT_LOCK BIT(5)

/* opcode: one byte, or 0x0fXX. */
void emit_rr(struct emit *e, unsigned flags, unsigned opcode, unsigned reg, unsigned rm);
void emit_rm(struct emit *e, unsigned flags, unsigned opcode, unsigned reg, struct host_mem m);
/* A whole encoding; m: its memory operand if it has one. flags: EMIT_BYTE, EMIT_LOCK. */
void emit_encoding(struct emit *e, unsigned flags, const struct x86_encoding *enc, const struct host_mem *m);

/* ---- common instructions; none changes flags unless its name is of arithmetic ---- */

static inline void emit_mov_rr(struct emit *e, unsigned to, unsigned from)
{
    emit_rr(e, EMIT_W, 0x8b, to, from);
}

static inline void emit_load(struct emit *e, unsigned to, struct host_mem m)
{
    emit_rm(e, EMIT_W, 0x8b, to, m);
}

static inline void emit_load32(struct emit *e, unsigned to, struct host_mem m)
{
    emit_rm(e, 0, 0x8b, to, m);
}

static inline void emit_store(struct emit *e, unsigned from, struct host_mem m)
{
    emit_rm(e, EMIT_W, 0x89, from, m);
}

static inline void emit_store32(struct emit *e, unsigned from, struct host_mem m)
{
    emit_rm(e, 0, 0x89, from, m);
}

static inline void emit_store_imm32(struct emit *e, struct host_mem m, uint32_t imm)
{
    emit_rm(e, 0, 0xc7, 0, m);
    put32(e, imm);
}

/* A move, which costs processors nothing, where there is nothing to add. */
static inline void emit_lea(struct emit *e, unsigned to, struct host_mem m)
{
    if (m.base != HOST_NONE && m.index == HOST_NONE && !m.disp && !m.gs)
        emit_mov_rr(e, to, m.base);
    else
        emit_rm(e, EMIT_W, 0x8d, to, m);
}

static inline void emit_lea32(struct emit *e, unsigned to, struct host_mem m)
{
    emit_rm(e, 0, 0x8d, to, m);
}

void emit_mov_imm(struct emit *e, unsigned to, uint64_t imm); /* the shortest that keeps flags */

/* op: the /digit of 81: 0 ADD, 5 SUB, 7 CMP, 4 AND; 64 bits. */
void emit_alu_imm(struct emit *e, unsigned flags, unsigned digit, unsigned reg, int32_t imm);

/* ---- jumps; return the place of the displacement ---- */

static inline uint32_t emit_jump(struct emit *e, uint32_t target)
{
    uint32_t at;

    put8(e, 0xe9);
    at = emit_offset(e);
    put32(e, target - (at + 4));
    return at;
}

static inline uint32_t emit_jcc(struct emit *e, unsigned condition, uint32_t target)
{
    uint32_t at;

    put8(e, 0x0f);
    put8(e, 0x80 | condition);
    at = emit_offset(e);
    put32(e, target - (at + 4));
    return at;
}

static inline uint32_t emit_call(struct emit *e, uint32_t target)
{
    uint32_t at;

    put8(e, 0xe8);
    at = emit_offset(e);
    put32(e, target - (at + 4));
    return at;
}

/* The same, forward by less than 128 bytes: emit_patch8() makes it lead to the present place. */
static inline uint32_t emit_jcc8(struct emit *e, unsigned condition)
{
    put8(e, 0x70 | condition);
    put8(e, 0);
    return emit_offset(e) - 1;
}

static inline void emit_patch8(const struct emit *e, uint32_t at)
{
    base_assert(emit_offset(e) - (at + 1) < 128);
    e->base[at] = (uint8_t)(emit_offset(e) - (at + 1));
}

/* The displacement at `at` leads to target. For code that does not run yet. */
static inline void emit_patch(const struct emit *e, uint32_t at, uint32_t target)
{
    store_le32(e->base + at, target - (at + 4));
}

/* if (!rcx) skip the next `bytes`. */
static inline void emit_jrcxz(struct emit *e, unsigned bytes)
{
    put8(e, 0xe3);
    put8(e, bytes);
}

/* NOPs until the place after `lead` more bytes is a multiple of n. */
void emit_align(struct emit *e, unsigned lead, unsigned n);
/* The same until the 4 bytes there can be written at once, by all processors' word: all in 8 aligned ones. */
void emit_align_patch(struct emit *e, unsigned lead);

#endif
