/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes are put together from the row's key with everything else random, then
 * decoded: what comes back as another row, or with a register that the caller
 * does not want, is thrown away and made again. So this cannot disagree with the
 * decoder about what an encoding means.
 */
#include "tests/diff/insn-random.h"

#include "base/bytes.h"
#include "x86/insn-table-internal.h"

#include <errno.h>

#define TRIES 2000

struct bytes {
    uint8_t *at;
};

/* The free bits of an encoding. */
struct choice {
    unsigned pp, w, l, modrm, rex, vvvv;
    bool opsize, is_memory, lock, index;
};

uint64_t x86_random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)((x86_random_next(state) >> 32) * n >> 32);
}

static bool one_in(uint64_t *state, unsigned n)
{
    return below(state, n) == 0;
}

static void put(struct bytes *b, unsigned byte)
{
    *b->at++ = (uint8_t)byte;
}

/* A random value with the row's fixed bits laid over it. */
static unsigned key_field(const struct insn_desc *desc, unsigned shift, unsigned width, unsigned random)
{
    unsigned mask = desc->mask >> shift & (BIT(width) - 1), value = desc->value >> shift & (BIT(width) - 1);
    return (random & ~mask & (BIT(width) - 1)) | value;
}

static void choose(uint64_t *state, uint16_t row, const struct x86_random_options *options, struct choice *c)
{
    const struct insn_desc *desc = &x86_insn_descs[row];
    bool vex = desc->map >= 4;
    unsigned r = (unsigned)(x86_random_next(state) >> 32);
    /* A row that no prefix chooses takes an operand-size prefix now and then, and no other. */
    c->pp = key_field(desc, KEY_PP_SHIFT, 2, 0);
    bool no_prefix = desc->mask >> KEY_PP_SHIFT & 1 && c->pp == PP_NONE;
    bool vector = x86_insn_row(row)->properties & X86_ROW_VECTOR;
    c->opsize = !vex && (c->pp == PP_66 || (!no_prefix && !vector && one_in(state, 4)));
    c->w = key_field(desc, KEY_W_SHIFT, 1, r & 1);
    c->l = key_field(desc, KEY_L_SHIFT, 1, r >> 1 & 1);
    bool both = !(desc->mask & KEY_MOD3);
    c->is_memory = both ? options->allow_mem && (options->only_mem || r >> 2 & 1) : !(desc->value & KEY_MOD3);
    if (desc->flags & INSN_NOMOD)
        c->is_memory = false;
    c->modrm = key_field(desc, KEY_REG_SHIFT, 3, r >> 3) << 3 | key_field(desc, KEY_RM_SHIFT, 3, r >> 6);
    c->rex = r >> 9 & 7;
    c->rex = (c->rex & 6) | key_field(desc, KEY_B_SHIFT, 1, c->rex);
    if (!vex && one_in(state, 3))
        c->rex = 0;
    c->vvvv = desc->flags & INSN_VVVV ? r >> 12 & 15 : 0;
    c->lock = c->is_memory && options->allow_lock && one_in(state, 3);
    c->index = options->allow_index && one_in(state, 4);
}

static void put_vex(struct bytes *b, const struct choice *c, unsigned map)
{
    if (map == 1 && !c->w && !(c->rex & 3)) {
        put(b, 0xc5);
        put(b, (c->rex & 4 ? 0 : 0x80) | (~c->vvvv & 15) << 3 | c->l << 2 | c->pp);
        return;
    }
    put(b, 0xc4);
    put(b, (~c->rex & 7) << 5 | map);
    put(b, c->w << 7 | (~c->vvvv & 15) << 3 | c->l << 2 | c->pp);
}

static void put_prefixes(uint64_t *state, struct bytes *b, const struct choice *c,
                         const struct x86_random_options *options)
{
    static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e};
    if (options->allow_segment && one_in(state, 8))
        put(b, segments[below(state, 4)]);
    if (c->lock)
        put(b, 0xf0);
    if (c->opsize)
        put(b, 0x66);
}

/* [mem_base + disp32], for gathers with a vector index, now and then with mem_index. */
static void put_memory(uint64_t *state, struct bytes *b, const struct choice *c, const struct insn_desc *desc,
                       const struct x86_random_options *options)
{
    unsigned base = options->mem_base & 7, align = MAX(options->disp_align, 1U);
    bool vsib = desc->flags & INSN_VSIB;
    bool sib = vsib || c->index || base == X86_RSP;
    put(b, 0x80 | (c->modrm & 0x38) | (sib ? 4 : base));
    if (vsib)
        put(b, below(state, 4) << 6 | below(state, 8) << 3 | base);
    else if (sib)
        put(b, (c->index ? below(state, 4) << 6 | (options->mem_index & 7U) << 3 : 0x20) | base);
    unsigned steps = (unsigned)(options->disp_max - options->disp_min) / align + 1;
    uint32_t disp = (uint32_t)options->disp_min + below(state, steps) * align;
    store_le32(b->at, disp);
    b->at += 4;
}

/* Immediates of a kind that meets the corners: small, all ones, sign bits. */
static void put_immediates(uint64_t *state, struct bytes *b)
{
    uint64_t value = x86_random_next(state);
    if (one_in(state, 4))
        value &= 0x1f;
    else if (one_in(state, 6))
        value = ~0ULL;
    store_le64(b->at, value);
    b->at += 8;
}

static size_t assemble(uint64_t *state, const struct insn_desc *desc, const struct choice *c,
                       const struct x86_random_options *options, uint8_t *bytes)
{
    struct bytes b = {bytes};
    unsigned map = desc->map & 3, rex = c->rex;
    if (c->is_memory) {
        rex = (rex & 4) | (options->mem_base >> 3 & 1);
        if (desc->flags & INSN_VSIB)
            rex |= c->rex & 2;
        else if (c->index)
            rex |= options->mem_index >> 3 << 1 & 2U;
    }
    put_prefixes(state, &b, c, options);
    if (desc->map >= 4) {
        struct choice vex = *c;
        vex.rex = rex;
        put_vex(&b, &vex, map);
    } else {
        if (c->pp == PP_F3 || c->pp == PP_F2)
            put(&b, c->pp == PP_F3 ? 0xf3 : 0xf2);
        if (rex || c->w || one_in(state, 8))
            put(&b, 0x40 | c->w << 3 | rex);
        if (map)
            put(&b, 0x0f);
        if (map > 1)
            put(&b, map == 2 ? 0x38 : 0x3a);
    }
    put(&b, desc->opcode + below(state, desc->span));
    if (c->is_memory && desc->flags & INSN_MODRM)
        put_memory(state, &b, c, desc, options);
    else if (desc->flags & INSN_MODRM)
        put(&b, 0xc0 | c->modrm);
    put_immediates(state, &b);
    return (size_t)(b.at - bytes);
}

static bool is_wanted(const struct x86_insn *insn, const struct x86_random_options *options)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        if (op->kind != X86_OP_REG || op->implicit)
            continue;
        /* AH counts as RAX. */
        if ((op->reg_class == X86_RC_GPR || op->reg_class == X86_RC_GPR8H) && options->avoid >> op->reg & 1)
            return false;
    }
    bool memory = insn->has_modrm && insn->modrm < 0xc0;
    if (options->only_mem && !memory)
        return false;
    bool vsib = x86_insn_descs[insn->row].flags & INSN_VSIB;
    return !vsib || !options->vsib_mask || options->vsib_mask >> insn->mem.index & 1;
}

int x86_insn_random(uint64_t *state, uint16_t row, const struct x86_random_options *options, uint8_t out[15],
                    struct x86_insn *insn)
{
    const struct insn_desc *desc = &x86_insn_descs[row];
    bool not_in_64 = desc->mask & X86_MODE_64 && !(desc->value & X86_MODE_64);
    bool only_memory = desc->mask & KEY_MOD3 && !(desc->value & KEY_MOD3);
    if (not_in_64 || (only_memory && !options->allow_mem))
        return -EINVAL;
    for (unsigned i = 0; i < TRIES; i++) {
        uint8_t bytes[40] = {0};
        struct choice c;
        struct x86_insn decoded;
        choose(state, row, options, &c);
        assemble(state, desc, &c, options, bytes);
        if (x86_decode(bytes, sizeof(bytes), X86_MODE_64, &decoded) || decoded.row != row ||
            !is_wanted(&decoded, options))
            continue;
        memcpy(out, bytes, decoded.length);
        if (insn)
            *insn = decoded;
        return decoded.length;
    }
    return -EINVAL;
}
