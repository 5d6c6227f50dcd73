/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/encode.h"

#include "x86/insn-table-internal.h"

static const uint8_t prefix_of_pp[] = {[PP_NONE] = 0, [PP_66] = 0x66, [PP_F3] = 0xf3, [PP_F2] = 0xf2};

static void add_imm(struct x86_encoding *e, unsigned size, int64_t value)
{
    e->imm_size[e->imm_count & 1] = (uint8_t)size;
    e->imm[e->imm_count & 1] = value;
    e->imm_count++;
}

/* False: an operand that this does not describe. */
static bool place(struct x86_encoding *e, const struct x86_insn *insn, const struct insn_template *template,
                  unsigned n)
{
    const struct x86_operand *op = &insn->op[n];

    switch (template->how) {
    case OPERAND_REG:
        e->reg = op->reg;
        e->reg_operand = (uint8_t)n;
        return true;
    case OPERAND_RM:
        e->memory = op->kind == X86_OP_MEM;
        e->rm = e->memory ? 0 : op->reg;
        e->rm_operand = (uint8_t)n;
        return true;
    case OPERAND_VVVV:
        e->vvvv = op->reg;
        e->vvvv_operand = (uint8_t)n;
        return true;
    case OPERAND_IS4:
        e->is4 = op->reg;
        e->is4_operand = (uint8_t)n;
        e->has_is4 = true;
        return true;
    case OPERAND_OPCODE:
        e->opcode_reg = true;
        e->opcode &= 0xf8;
        e->rm = op->reg;
        e->rm_operand = (uint8_t)n;
        return true;
    case OPERAND_IMM8:
    case OPERAND_IMM8S:
        add_imm(e, 1, op->imm);
        return true;
    case OPERAND_IMM16:
        add_imm(e, 2, op->imm);
        return true;
    case OPERAND_IMMZ:
        add_imm(e, insn->opsize == 2 ? 2 : 4, op->imm);
        return true;
    case OPERAND_IMMV:
        add_imm(e, insn->opsize, op->imm);
        return true;
    case OPERAND_FIXED:
    case OPERAND_ONE:
        return true;
    default:
        return false;
    }
}

bool x86_encoding_of(const struct x86_insn *insn, struct x86_encoding *out)
{
    const struct insn_desc *desc = &x86_insn_descs[insn->row];
    unsigned pp = desc->mask >> KEY_PP_SHIFT & 3 ? desc->value >> KEY_PP_SHIFT & 3 : 0;
    bool integer = !(x86_insn_row(insn->row)->properties & (X86_ROW_VECTOR | X86_ROW_X87));

    *out = (struct x86_encoding){
        .opcode = insn->opcode,
        .map = insn->map,
        .prefix = prefix_of_pp[pp],
        .vex = insn->prefixes & X86_PFX_VEX,
        .l = insn->vex_l,
        .has_modrm = insn->has_modrm,
        .reg = insn->modrm >> 3 & 7,
        .rm = insn->modrm & 7,
        .reg_operand = X86_ENCODING_NONE,
        .rm_operand = X86_ENCODING_NONE,
        .vvvv_operand = X86_ENCODING_NONE,
        .is4_operand = X86_ENCODING_NONE,
    };
    if (desc->flags & INSN_VSIB)
        return false;
    out->w = out->vex ? insn->vex_w : integer ? insn->opsize == 8 : !!(insn->prefixes & X86_PFX_REX_W);
    out->opsize = !out->vex && integer && insn->opsize == 2 && !(desc->flags & INSN_MANDATORY_66);
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (!place(out, insn, &x86_insn_templates[desc->operands[i]], i))
            return false;
    }
    if (out->prefix == 0x66)
        out->opsize = false;
    return out->imm_count <= 2;
}
