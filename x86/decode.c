/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder: prefixes, opcode, a row of the table, then that row's operands.
 *
 * It works on a copy of at most 15 bytes with zeros behind it, so nothing reads
 * out of bounds and nothing has to check: zero is no prefix, and the longest
 * tail behind 15 prefixes fits the copy. How far it came is compared with what
 * there was once, at the end.
 */
#include "base/bytes.h"
#include "x86/insn-table-internal.h"

#include <errno.h>

#define COPY_SIZE 40 /* 15 prefixes, then VEX, opcode, ModRM, SIB, displacement, two immediates */

#define REX_W     8
#define REX_R     4
#define REX_X     2
#define REX_B     1

#define MAP_VEX   4 /* added to the map's number */

struct decoder {
    uint8_t copy[COPY_SIZE];
    struct x86_insn *out;
    unsigned at; /* the next byte */
    enum x86_mode mode;
    unsigned prefixes; /* X86_PFX_… */
    unsigned pp;       /* enum insn_pp */
    unsigned rex;      /* REX_…, also out of VEX */
    unsigned vvvv;     /* already inverted: 0 is unused */
    unsigned l;
    unsigned reg; /* ModRM fields, extended by rex */
    unsigned rm;
    uint8_t segment;   /* override, X86_SEG_COUNT if none */
    bool is_register;  /* ModRM.rm is one */
    uint8_t select[5]; /* for struct insn_size, by enum size_selector */
    unsigned immediates;
};

enum prefix {
    NOT_A_PREFIX,
    PREFIX_REX,
    PREFIX_SEGMENT, /* to + X86_GS */
    PREFIX_OPSIZE = PREFIX_SEGMENT + X86_GS + 1,
    PREFIX_ADDRSIZE,
    PREFIX_LOCK,
    PREFIX_REPNE,
    PREFIX_REP,
};

static const uint8_t prefix_of[256] = {
    [0x26] = PREFIX_SEGMENT + X86_ES,
    [0x2e] = PREFIX_SEGMENT + X86_CS,
    [0x36] = PREFIX_SEGMENT + X86_SS,
    [0x3e] = PREFIX_SEGMENT + X86_DS,
    [0x40 ... 0x4f] = PREFIX_REX,
    [0x64] = PREFIX_SEGMENT + X86_FS,
    [0x65] = PREFIX_SEGMENT + X86_GS,
    [0x66] = PREFIX_OPSIZE,
    [0x67] = PREFIX_ADDRSIZE,
    [0xf0] = PREFIX_LOCK,
    [0xf2] = PREFIX_REPNE,
    [0xf3] = PREFIX_REP,
};

static uint8_t next_byte(struct decoder *d)
{
    return d->copy[d->at++];
}

static uint64_t next_bytes(struct decoder *d, unsigned size)
{
    uint64_t value = low_bytes(load_le64(d->copy + d->at), size);
    d->at += size;
    return value;
}

static unsigned size_of(const struct decoder *d, unsigned code)
{
    const struct insn_size *size = &x86_insn_sizes[code];
    return size->bytes[d->select[size->selector]];
}

/* In 64-bit mode the overrides that mean nothing there do not undo one that does. */
static void take_segment(struct decoder *d, unsigned segment)
{
    d->prefixes |= X86_PFX_SEG;
    if (d->mode != X86_MODE_64 || segment >= X86_FS)
        d->segment = (uint8_t)segment;
}

/* Up to the opcode. A REX counts only right before it. */
static void take_prefixes(struct decoder *d)
{
    for (;; d->at++) {
        unsigned byte = d->copy[d->at];
        unsigned prefix = prefix_of[byte];
        if (prefix == NOT_A_PREFIX)
            return;
        if (prefix == PREFIX_REX) {
            if (d->mode != X86_MODE_64)
                return;
            d->rex = byte;
            continue;
        }
        d->rex = 0;
        if (prefix < PREFIX_OPSIZE) {
            take_segment(d, prefix - PREFIX_SEGMENT);
        } else if (prefix == PREFIX_OPSIZE) {
            d->prefixes |= X86_PFX_OPSIZE;
            if (d->pp == PP_NONE)
                d->pp = PP_66;
        } else if (prefix == PREFIX_ADDRSIZE) {
            d->prefixes |= X86_PFX_ADDRSIZE;
        } else if (prefix == PREFIX_LOCK) {
            d->prefixes |= X86_PFX_LOCK;
        } else {
            bool rep = prefix == PREFIX_REP;
            d->prefixes &= (uint16_t) ~(X86_PFX_REP | X86_PFX_REPNE); /* the last one counts */
            d->prefixes |= rep ? X86_PFX_REP : X86_PFX_REPNE;
            d->pp = rep ? PP_F3 : PP_F2;
        }
    }
}

/* Behind C4 or C5. Returns false where it is #UD. */
static bool take_vex(struct decoder *d, unsigned first)
{
    unsigned payload = next_byte(d);
    d->rex = (payload & 0x80) ? 0 : REX_R;
    d->out->map = 1;
    if (first == 0xc4) {
        d->rex |= (~payload >> 5 & 3);
        d->out->map = payload & 0x1f;
        payload = next_byte(d);
        d->rex |= payload >> 4 & REX_W;
    }
    d->vvvv = ~payload >> 3 & 15;
    d->l = payload >> 2 & 1;
    unsigned pp = payload & 3; /* VEX numbers them 66, F3, F2, as we do */
    bool ok = !(d->prefixes & (X86_PFX_LOCK | X86_PFX_OPSIZE | X86_PFX_REP | X86_PFX_REPNE | X86_PFX_REX));
    d->pp = pp;
    d->prefixes |= X86_PFX_VEX;
    if (d->mode != X86_MODE_64)
        d->rex &= REX_W;
    return ok && d->out->map >= 1 && d->out->map <= 3;
}

/* The opcode and its map, VEX included. Returns false where it is #UD. */
static bool take_opcode(struct decoder *d)
{
    unsigned byte = next_byte(d);
    if (byte == 0x0f) {
        byte = next_byte(d);
        d->out->map = 1;
        if (byte == 0x38 || byte == 0x3a) {
            d->out->map = byte == 0x38 ? 2 : 3;
            byte = next_byte(d);
        }
    } else if ((byte & 0xfe) == 0xc4 && (d->mode == X86_MODE_64 || d->copy[d->at] >= 0xc0)) {
        if (!take_vex(d, byte))
            return false;
        byte = next_byte(d);
    }
    d->out->opcode = (uint8_t)byte;
    return true;
}

/* The row of this opcode, -1 if there is none. Reads ModRM if the opcode has it. */
static int find_row(struct decoder *d)
{
    struct x86_insn *out = d->out;
    unsigned map = out->map + ((d->prefixes & X86_PFX_VEX) ? MAP_VEX : 0U);
    const struct insn_slot *slot = &x86_insn_slots[map][out->opcode];
    unsigned key = d->mode << KEY_MODE_SHIFT | d->pp << KEY_PP_SHIFT;
    key |= (d->rex & REX_W ? KEY_W : 0) | (d->rex & REX_B ? KEY_B : 0) | (d->l ? KEY_L : 0);
    if (slot->flags & SLOT_MODRM) {
        unsigned modrm = d->copy[d->at];
        out->has_modrm = true;
        out->modrm_offset = (uint8_t)d->at++;
        out->modrm = (uint8_t)modrm;
        d->is_register = modrm >= 0xc0;
        d->reg = modrm >> 3 & 7;
        d->rm = modrm & 7;
        key |= d->reg << KEY_REG_SHIFT | d->rm << KEY_RM_SHIFT | (d->is_register ? KEY_MOD3 : 0);
        if (slot->flags & SLOT_BY_REG)
            slot = &x86_insn_groups[slot->first + d->reg];
        d->reg |= (d->rex & REX_R) << 1;
    }
    const struct insn_candidate *candidate = &x86_insn_candidates[slot->first];
    for (unsigned i = 0; i < slot->count; i++)
        if ((key & candidate[i].mask) == candidate[i].value)
            return candidate[i].row;
    return -1;
}

static void set_sizes(struct decoder *d, const struct insn_desc *desc)
{
    static const uint8_t bytes[] = {2, 4, 8};
    bool small = (d->prefixes & X86_PFX_OPSIZE) && !(desc->flags & INSN_MANDATORY_66);
    bool addr = d->prefixes & X86_PFX_ADDRSIZE;
    unsigned opsize, addrsize;
    if (d->mode == X86_MODE_64) {
        opsize = d->rex & REX_W ? 2 : small ? 0 : 1;
        if (desc->flags & INSN_F64 || (desc->flags & INSN_D64 && !small))
            opsize = 2;
        if (desc->flags & INSN_MAX32)
            opsize = MIN(opsize, 1U);
        addrsize = addr ? 1 : 2;
    } else {
        opsize = small != (d->mode == X86_MODE_32);
        addrsize = addr != (d->mode == X86_MODE_32);
    }
    d->select[SIZE_BY_OPSIZE] = (uint8_t)opsize;
    d->select[SIZE_BY_ADDRSIZE] = (uint8_t)addrsize;
    d->select[SIZE_BY_MODE] = (uint8_t)d->mode;
    d->select[SIZE_BY_VEX_L] = (uint8_t)d->l;
    d->out->opsize = bytes[opsize];
    d->out->addrsize = bytes[addrsize];
}

static void set_segment(struct decoder *d, unsigned by_default)
{
    d->out->mem.seg = d->segment < X86_SEG_COUNT ? d->segment : (uint8_t)by_default;
}

static void take_memory_16(struct decoder *d)
{
    static const struct {
        uint8_t base, index, seg;
    } forms[8] = {
        {X86_RBX, X86_RSI, X86_DS},    {X86_RBX, X86_RDI, X86_DS},    {X86_RBP, X86_RSI, X86_SS},
        {X86_RBP, X86_RDI, X86_SS},    {X86_RSI, X86_NO_REG, X86_DS}, {X86_RDI, X86_NO_REG, X86_DS},
        {X86_RBP, X86_NO_REG, X86_SS}, {X86_RBX, X86_NO_REG, X86_DS},
    };
    struct x86_mem *mem = &d->out->mem;
    unsigned mod = d->out->modrm >> 6;
    mem->base = forms[d->rm].base;
    mem->index = forms[d->rm].index;
    set_segment(d, forms[d->rm].seg);
    if (mod == 0 && d->rm == 6) {
        mem->base = X86_NO_REG;
        set_segment(d, X86_DS);
        mod = 2;
    }
    if (mod == 1)
        mem->disp = sign_extend(next_bytes(d, 1), 1);
    else if (mod == 2)
        mem->disp = sign_extend(next_bytes(d, 2), 2);
}

/* The SIB byte: index and scale. Returns the base without REX.B. */
static unsigned take_sib(struct decoder *d, bool vector_index)
{
    struct x86_mem *mem = &d->out->mem;
    unsigned sib = next_byte(d);
    unsigned index = (sib >> 3 & 7) | (d->rex & REX_X) << 2;
    mem->scale = (uint8_t)(sib >> 6);
    mem->index = (uint8_t)index;
    if (index == X86_RSP && !vector_index) {
        mem->index = X86_NO_REG;
        mem->scale = 0;
    }
    return sib & 7;
}

static void take_memory(struct decoder *d, bool vector_index)
{
    struct x86_mem *mem = &d->out->mem;
    unsigned mod = d->out->modrm >> 6;
    unsigned base = d->rm;
    bool sib = base == X86_RSP;
    mem->index = X86_NO_REG;
    if (sib)
        base = take_sib(d, vector_index);
    if (base == X86_RBP && mod == 0) {
        mem->base = d->mode == X86_MODE_64 && !sib ? X86_RIP : X86_NO_REG;
        set_segment(d, X86_DS);
        mod = 2;
    } else {
        base |= (d->rex & REX_B) << 3;
        mem->base = (uint8_t)base;
        set_segment(d, base == X86_RSP || base == X86_RBP ? X86_SS : X86_DS);
    }
    if (mod == 1)
        mem->disp = sign_extend(next_bytes(d, 1), 1);
    else if (mod == 2)
        mem->disp = sign_extend(next_bytes(d, 4), 4);
}

static void set_register(const struct decoder *d, struct x86_operand *op, unsigned reg)
{
    op->kind = X86_OP_REG;
    switch (op->reg_class) {
    case X86_RC_GPR:
        /* Without any REX, 4 to 7 are the second bytes of the first four. */
        if (op->size == 1 && (reg & ~3U) == 4 && !(d->prefixes & (X86_PFX_REX | X86_PFX_VEX))) {
            op->reg_class = X86_RC_GPR8H;
            reg -= 4;
        }
        break;
    case X86_RC_SEG:
    case X86_RC_ST:
    case X86_RC_MMX:
        reg &= 7; /* REX means nothing to these */
        break;
    default:
        break;
    }
    op->reg = (uint8_t)reg;
}

static void set_memory(struct x86_operand *op, unsigned size, unsigned string_reg)
{
    op->kind = X86_OP_MEM;
    op->size = (uint16_t)size;
    op->reg = (uint8_t)string_reg;
}

static void set_immediate(struct decoder *d, struct x86_operand *op, unsigned kind, int64_t value)
{
    op->kind = (uint8_t)kind;
    op->imm = value;
    if (d->immediates++)
        d->out->imm2 = value;
    else
        d->out->imm = value;
}

static void take_immediate(struct decoder *d, struct x86_operand *op, unsigned kind, unsigned size, bool sign)
{
    if (!d->out->imm_offset)
        d->out->imm_offset = (uint8_t)d->at;
    uint64_t value = next_bytes(d, size);
    set_immediate(d, op, kind, sign ? sign_extend(value, size) : (int64_t)value);
}

static void take_far(struct decoder *d, struct x86_operand *op)
{
    unsigned size = d->out->opsize;
    take_immediate(d, op, X86_OP_FAR, size, false);
    d->out->imm2 = (int64_t)next_bytes(d, 2);
}

static void set_fixed_memory(struct decoder *d, struct x86_operand *op, unsigned base, unsigned reg)
{
    d->out->mem.base = (uint8_t)base;
    d->out->mem.index = X86_NO_REG;
    set_segment(d, X86_DS);
    set_memory(op, op->size, reg);
}

static void take_operand(struct decoder *d, const struct insn_template *template, struct x86_operand *op)
{
    unsigned z = d->out->opsize == 2 ? 2 : 4;
    *op = (struct x86_operand){.reg_class = template->reg_class,
                               .access = template->access,
                               .size = (uint16_t)size_of(d, template->size),
                               .implicit = template->implicit};
    switch (template->how) {
    case OPERAND_REG:
        return set_register(d, op, d->reg);
    case OPERAND_RM:
        if (!d->is_register)
            return set_memory(op, size_of(d, template->mem_size), X86_NO_REG);
        return set_register(d, op, d->rm | (d->rex & REX_B) << 3);
    case OPERAND_VVVV:
        return set_register(d, op, d->vvvv & (d->mode == X86_MODE_64 ? 15U : 7U));
    case OPERAND_OPCODE:
        return set_register(d, op, (d->out->opcode & 7U) | (d->rex & REX_B) << 3);
    case OPERAND_FIXED:
        op->kind = X86_OP_REG;
        op->reg = template->reg;
        return;
    case OPERAND_IMM8:
        return take_immediate(d, op, X86_OP_IMM, 1, false);
    case OPERAND_IMM8S:
        return take_immediate(d, op, X86_OP_IMM, 1, true);
    case OPERAND_IMM16:
        return take_immediate(d, op, X86_OP_IMM, 2, false);
    case OPERAND_IMMZ:
        return take_immediate(d, op, X86_OP_IMM, z, true);
    case OPERAND_IMMV:
        return take_immediate(d, op, X86_OP_IMM, d->out->opsize, false);
    case OPERAND_ONE:
        return set_immediate(d, op, X86_OP_IMM, 1);
    case OPERAND_REL8:
        return take_immediate(d, op, X86_OP_REL, 1, true);
    case OPERAND_RELZ:
        return take_immediate(d, op, X86_OP_REL, z, true);
    case OPERAND_FAR:
        return take_far(d, op);
    case OPERAND_MOFFS:
        set_fixed_memory(d, op, X86_NO_REG, X86_NO_REG);
        d->out->mem.disp = (int64_t)next_bytes(d, d->out->addrsize);
        return;
    case OPERAND_IS4:
        d->out->imm_offset = (uint8_t)d->at;
        return set_register(d, op, next_byte(d) >> 4U & (d->mode == X86_MODE_64 ? 15U : 7U));
    case OPERAND_DS_RSI:
        return set_fixed_memory(d, op, X86_RSI, X86_RSI);
    case OPERAND_ES_RDI:
        return set_memory(op, op->size, X86_RDI);
    default: /* OPERAND_MEM_AT */
        return set_fixed_memory(d, op, template->reg, X86_NO_REG);
    }
}

/* Registers that do not exist: #UD. */
static bool is_register_valid(const struct x86_operand *op)
{
    switch (op->reg_class) {
    case X86_RC_SEG:
        return op->reg <= X86_GS && !(op->reg == X86_CS && op->access & X86_WRITE && !op->implicit);
    case X86_RC_CR:
        return op->reg < 16 && (BIT(op->reg) & (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(8)));
    case X86_RC_DR:
        return op->reg < 8;
    default:
        return true;
    }
}

/* A gather's destination, index and mask must be three registers: #UD. */
static bool is_gather_valid(const struct x86_insn *insn)
{
    unsigned to = insn->op[0].reg, mask = insn->op[2].reg;
    return to != mask && to != insn->mem.index && mask != insn->mem.index;
}

/* What makes #UD of an instruction that has a row. */
static bool is_valid(const struct decoder *d, const struct insn_desc *desc, uint16_t row)
{
    const struct x86_insn *insn = d->out;
    if (d->prefixes & X86_PFX_LOCK &&
        (!(x86_insn_rows[row].properties & X86_ROW_LOCKABLE) || insn->op[0].kind != X86_OP_MEM))
        return false;
    if (d->vvvv && !(desc->flags & INSN_VVVV))
        return false;
    if (desc->flags & INSN_VSIB && !is_gather_valid(insn))
        return false;
    return true;
}

static bool take_operands(struct decoder *d, const struct insn_desc *desc)
{
    struct x86_insn *out = d->out;
    bool ok = true;
    if (desc->flags & INSN_NOMOD)
        d->is_register = true;
    if (out->has_modrm && !d->is_register) {
        bool vsib = desc->flags & INSN_VSIB;
        if (vsib && (d->rm != 4 || out->addrsize == 2))
            return false;
        if (out->addrsize == 2)
            take_memory_16(d);
        else
            take_memory(d, vsib);
    }
    out->operand_count = desc->operand_count;
    for (unsigned i = 0; i < desc->operand_count; i++) {
        struct x86_operand *op = &out->op[i];
        take_operand(d, &x86_insn_templates[desc->operands[i]], op);
        ok &= op->kind != X86_OP_REG || is_register_valid(op);
    }
    return ok;
}

static bool decode_copy(struct decoder *d)
{
    struct x86_insn *out = d->out;
    take_prefixes(d);
    if (d->rex)
        d->prefixes |= X86_PFX_REX | (d->rex & REX_W ? X86_PFX_REX_W : 0U);
    if (!take_opcode(d))
        return false;
    int row = find_row(d);
    if (row < 0)
        return false;
    const struct insn_desc *desc = &x86_insn_descs[row];
    set_sizes(d, desc);
    bool ok = take_operands(d, desc);
    out->id = x86_insn_rows[row].id;
    out->row = (uint16_t)row;
    out->prefixes = (uint16_t)d->prefixes;
    out->vex_l = (uint8_t)d->l;
    out->vex_w = d->prefixes & X86_PFX_VEX && d->rex & REX_W;
    return ok && is_valid(d, desc, (uint16_t)row);
}

/*
 * Everything to zero, in pieces: compilers make one big clearing into REP STOS,
 * which takes as long as the decoding.
 */
static void clear(struct x86_insn *out)
{
    static const struct x86_operand none;
    __builtin_memset(out, 0, offsetof(struct x86_insn, op));
    for (unsigned i = 0; i < X86_MAX_OPERANDS; i++) {
        out->op[i] = none;
        __asm__("" : : : "memory"); /* keeps the loop from becoming a memset() */
    }
    __builtin_memset(&out->mem, 0, sizeof(*out) - offsetof(struct x86_insn, mem));
}

static void begin(struct decoder *d, const uint8_t *bytes, size_t avail)
{
    if (likely(avail >= X86_MAX_INSN_LEN)) {
        __builtin_memcpy(d->copy, bytes, X86_MAX_INSN_LEN);
        __builtin_memset(d->copy + X86_MAX_INSN_LEN, 0, COPY_SIZE - X86_MAX_INSN_LEN);
    } else {
        memset(d->copy, 0, COPY_SIZE);
        memcpy(d->copy, bytes, avail);
    }
    d->at = 0;
    d->prefixes = 0;
    d->pp = PP_NONE;
    d->rex = 0;
    d->vvvv = 0;
    d->l = 0;
    d->segment = X86_SEG_COUNT;
    d->is_register = false;
    d->immediates = 0;
    d->select[SIZE_BY_NOTHING] = 0;
    clear(d->out);
}

int x86_decode(const uint8_t *bytes, size_t avail, enum x86_mode mode, struct x86_insn *out)
{
    struct decoder d;
    d.out = out;
    d.mode = mode;
    begin(&d, bytes, avail);
    bool ok = decode_copy(&d);
    out->length = (uint8_t)MIN(d.at, (unsigned)X86_MAX_INSN_LEN);
    if (unlikely(d.at > avail && avail < X86_MAX_INSN_LEN))
        return -EAGAIN;
    if (unlikely(d.at > X86_MAX_INSN_LEN))
        return -E2BIG;
    return ok ? 0 : -EINVAL;
}

const struct x86_row *x86_insn_row(uint16_t row)
{
    return &x86_insn_rows[row];
}

uint16_t x86_insn_row_count(void)
{
    return x86_insn_rows_count;
}
