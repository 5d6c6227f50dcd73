/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/bt/emit.h"

static void put_rex(struct emit *e, unsigned flags, unsigned r, unsigned x, unsigned b, bool low_byte)
{
    unsigned rex = (flags & EMIT_W ? 8U : 0) | (r & 8) >> 1 | (x & 8) >> 2 | (b & 8) >> 3;

    if (rex || low_byte)
        put8(e, 0x40 | rex);
}

static void put_prefixes(struct emit *e, unsigned flags, bool gs)
{
    if (gs)
        put8(e, 0x65);
    if (flags & EMIT_LOCK)
        put8(e, 0xf0);
    if (flags & EMIT_66)
        put8(e, 0x66);
}

static void put_opcode(struct emit *e, unsigned opcode)
{
    if (opcode > 0xff)
        put8(e, opcode >> 8);
    put8(e, opcode);
}

static void put_modrm_mem(struct emit *e, unsigned reg, struct host_mem m)
{
    unsigned r = (reg & 7) << 3;
    bool sib = m.index != HOST_NONE || m.base == HOST_NONE || (m.base & 7) == HOST_RSP;
    unsigned mod, index = m.index == HOST_NONE ? 4 : m.index & 7U;

    if (m.base == HOST_NONE) {
        put8(e, r | 4);
        put8(e, (unsigned)m.scale << 6 | index << 3 | 5);
        put32(e, (uint32_t)m.disp);
        return;
    }
    if (m.disp == 0 && (m.base & 7) != HOST_RBP)
        mod = 0;
    else
        mod = m.disp >= -128 && m.disp <= 127 ? 1 : 2;
    put8(e, mod << 6 | r | (sib ? 4U : m.base & 7U));
    if (sib)
        put8(e, (unsigned)m.scale << 6 | index << 3 | (m.base & 7U));
    if (mod == 1)
        put8(e, (unsigned)m.disp & 0xff);
    else if (mod == 2)
        put32(e, (uint32_t)m.disp);
}

static unsigned rex_bit(uint8_t reg)
{
    return reg == HOST_NONE ? 0 : reg;
}

void emit_rr(struct emit *e, unsigned flags, unsigned opcode, unsigned reg, unsigned rm)
{
    put_prefixes(e, flags, false);
    put_rex(e, flags, reg, 0, rm, flags & EMIT_BYTE && ((reg >= 4 && reg < 8) || (rm >= 4 && rm < 8)));
    put_opcode(e, opcode);
    put8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void emit_rm(struct emit *e, unsigned flags, unsigned opcode, unsigned reg, struct host_mem m)
{
    put_prefixes(e, flags, m.gs);
    put_rex(e, flags, reg, rex_bit(m.index), rex_bit(m.base), flags & EMIT_BYTE && reg >= 4 && reg < 8);
    put_opcode(e, opcode);
    put_modrm_mem(e, reg, m);
}

static void put_vex(struct emit *e, const struct x86_encoding *enc, const struct host_mem *m)
{
    static const uint8_t pp[] = {[0] = 0, [1] = 1, [2] = 2, [3] = 3};
    unsigned x = enc->memory ? rex_bit(m->index) : 0, b = enc->memory ? rex_bit(m->base) : enc->rm;
    unsigned p = enc->prefix == 0x66 ? pp[1] : enc->prefix == 0xf3 ? pp[2] : enc->prefix == 0xf2 ? pp[3] : 0;

    if (enc->memory && m->gs)
        put8(e, 0x65);
    put8(e, 0xc4);
    put8(e, (enc->reg & 8 ? 0 : 0x80U) | (x & 8 ? 0 : 0x40U) | (b & 8 ? 0 : 0x20U) | enc->map);
    put8(e, (enc->w ? 0x80U : 0) | (~(unsigned)enc->vvvv & 15) << 3 | (enc->l ? 4U : 0) | p);
    put8(e, enc->opcode);
}

static void put_legacy(struct emit *e, unsigned flags, const struct x86_encoding *enc,
                       const struct host_mem *m)
{
    unsigned x = enc->memory ? rex_bit(m->index) : 0, b = enc->memory ? rex_bit(m->base) : enc->rm;
    bool low =
        flags & EMIT_BYTE && ((enc->reg_operand != X86_ENCODING_NONE && enc->reg >= 4 && enc->reg < 8) ||
                              (!enc->memory && enc->rm >= 4 && enc->rm < 8));

    put_prefixes(e, (flags & EMIT_LOCK) | (enc->opsize ? EMIT_66 : 0), enc->memory && m->gs);
    if (enc->prefix)
        put8(e, enc->prefix);
    put_rex(e, enc->w ? EMIT_W : 0, enc->reg, x, b, low);
    if (enc->map)
        put8(e, 0x0f);
    if (enc->map > 1)
        put8(e, enc->map == 2 ? 0x38 : 0x3a);
    put8(e, enc->opcode_reg ? enc->opcode | (enc->rm & 7U) : enc->opcode);
}

void emit_encoding(struct emit *e, unsigned flags, const struct x86_encoding *enc, const struct host_mem *m)
{
    if (enc->vex)
        put_vex(e, enc, m);
    else
        put_legacy(e, flags, enc, m);
    if (enc->memory)
        put_modrm_mem(e, enc->reg, *m);
    else if (enc->has_modrm)
        put8(e, 0xc0 | (enc->reg & 7U) << 3 | (enc->rm & 7U));
    if (enc->has_is4)
        put8(e, (unsigned)enc->is4 << 4);
    for (unsigned i = 0; i < enc->imm_count; i++) {
        for (unsigned n = 0; n < enc->imm_size[i]; n++)
            put8(e, (unsigned)((uint64_t)enc->imm[i] >> (8 * n)) & 0xff);
    }
}

void emit_mov_imm(struct emit *e, unsigned to, uint64_t imm)
{
    if (imm <= UINT32_MAX) {
        put_rex(e, 0, 0, 0, to, false);
        put8(e, 0xb8 | (to & 7));
        put32(e, (uint32_t)imm);
    } else if (imm >= (uint64_t)INT32_MIN) {
        emit_rr(e, EMIT_W, 0xc7, 0, to);
        put32(e, (uint32_t)imm);
    } else {
        put_rex(e, EMIT_W, 0, 0, to, false);
        put8(e, 0xb8 | (to & 7));
        put64(e, imm);
    }
}

void emit_alu_imm(struct emit *e, unsigned flags, unsigned digit, unsigned reg, int32_t imm)
{
    if (imm >= -128 && imm <= 127) {
        emit_rr(e, flags, 0x83, digit, reg);
        put8(e, (unsigned)imm & 0xff);
    } else {
        emit_rr(e, flags, 0x81, digit, reg);
        put32(e, (uint32_t)imm);
    }
}

static void put_nops(struct emit *e, unsigned bytes)
{
    static const uint8_t nop[8][7] = {{0},
                                      {0x90},
                                      {0x66, 0x90},
                                      {0x0f, 0x1f, 0x00},
                                      {0x0f, 0x1f, 0x40, 0x00},
                                      {0x0f, 0x1f, 0x44, 0x00, 0x00},
                                      {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
                                      {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00}};

    while (bytes) {
        unsigned k = MIN(bytes, 7U);

        memcpy(e->at, nop[k], k);
        e->at += k;
        bytes -= k;
    }
}

void emit_align(struct emit *e, unsigned lead, unsigned n)
{
    put_nops(e, (n - (emit_offset(e) + lead) % n) % n);
}

void emit_align_patch(struct emit *e, unsigned lead)
{
    unsigned at = (emit_offset(e) + lead) % 8;

    put_nops(e, at > 4 ? 8 - at : 0);
}
