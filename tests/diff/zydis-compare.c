/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/diff/zydis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Zydis's mnemonic: ours. Where Zydis has a name for each operand size, ours is the operation. */
static const struct {
    const char *theirs, *ours;
} aliases[] = {
    {"cbw", "cbw"},
    {"cwde", "cbw"},
    {"cdqe", "cbw"},
    {"cwd", "cwd"},
    {"cdq", "cwd"},
    {"cqo", "cwd"},
    {"movsb", "movs"},
    {"movsw", "movs"},
    {"movsq", "movs"},
    {"cmpsb", "cmps"},
    {"cmpsw", "cmps"},
    {"cmpsq", "cmps"},
    {"stosb", "stos"},
    {"stosw", "stos"},
    {"stosd", "stos"},
    {"stosq", "stos"},
    {"lodsb", "lods"},
    {"lodsw", "lods"},
    {"lodsd", "lods"},
    {"lodsq", "lods"},
    {"scasb", "scas"},
    {"scasw", "scas"},
    {"scasd", "scas"},
    {"scasq", "scas"},
    {"insb", "ins"},
    {"insw", "ins"},
    {"insd", "ins"},
    {"outsb", "outs"},
    {"outsw", "outs"},
    {"outsd", "outs"},
    {"pusha", "pusha"},
    {"pushad", "pusha"},
    {"popa", "popa"},
    {"popad", "popa"},
    {"pushf", "pushf"},
    {"pushfd", "pushf"},
    {"pushfq", "pushf"},
    {"popf", "popf"},
    {"popfd", "popf"},
    {"popfq", "popf"},
    {"iret", "iret"},
    {"iretd", "iret"},
    {"iretq", "iret"},
    {"jcxz", "jcxz"},
    {"jecxz", "jcxz"},
    {"jrcxz", "jcxz"},
    {"fxsave64", "fxsave"},
    {"fxrstor64", "fxrstor"},
    {"xsave64", "xsave"},
    {"xrstor64", "xrstor"},
    {"xsaveopt64", "xsaveopt"},
    {"xsavec64", "xsavec"},
    {"xsaves64", "xsaves"},
    {"xrstors64", "xrstors"},
    {"sysret", "sysret"},
    {"sysexit", "sysexit"},
    {"xlat", "xlat"},
    {"ret", "ret"},
    {"repz", "rep"},
    {"fdisi8087_nop", "fdisi"},
    {"feni8087_nop", "feni"},
    {"fsetpm287_nop", "fsetpm"},
    {"fwait", "fwait"},
    {"int1", "int1"},
};

/* Zydis has one mnemonic where we have several. */
static const struct {
    const char *theirs, *ours;
} splits[] = {
    {"mov", "mov_cr"},  {"mov", "mov_dr"}, {"mov", "mov_seg"}, {"call", "call_far"},
    {"jmp", "jmp_far"}, {"ret", "retf"},   {"movsd", "movs"},  {"cmpsd", "cmps"},
};

static uint16_t id_of[ZYDIS_MNEMONIC_MAX_VALUE + 1];       /* enum x86_id by Zydis's mnemonic */
static uint8_t condition_of[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* 16 + condition for the families */
static bool split[ZYDIS_MNEMONIC_MAX_VALUE + 1][X86_ID_COUNT];

static unsigned id_by_name(const char *name)
{
    for (unsigned i = 0; i < x86_insn_row_count(); i++)
        if (!strcmp(x86_insn_row((uint16_t)i)->name, name))
            return x86_insn_row((uint16_t)i)->id;
    return X86_INVALID;
}

static void find_condition(unsigned mnemonic, const char *name)
{
    static const char *const conditions[] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                             "s", "ns", "p", "np", "l", "nl", "le", "nle"};
    static const struct {
        const char *prefix;
        uint16_t id;
    } families[] = {{"j", X86_JCC}, {"set", X86_SETCC}, {"cmov", X86_CMOVCC}};
    for (unsigned f = 0; f < ARRAY_SIZE(families); f++)
        for (unsigned c = 0; c < 16; c++) {
            size_t length = strlen(families[f].prefix);
            if (strncmp(name, families[f].prefix, length) || strcmp(name + length, conditions[c]))
                continue;
            id_of[mnemonic] = families[f].id;
            condition_of[mnemonic] = (uint8_t)(16 + c);
        }
}

void zydis_compare_init(void)
{
    for (unsigned m = 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
        const char *name = ZydisMnemonicGetString((ZydisMnemonic)m);
        id_of[m] = (uint16_t)id_by_name(name);
        for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++)
            if (!strcmp(name, aliases[i].theirs))
                id_of[m] = (uint16_t)id_by_name(aliases[i].ours);
        find_condition(m, name);
        for (unsigned i = 0; i < ARRAY_SIZE(splits); i++)
            if (!strcmp(name, splits[i].theirs))
                split[m][id_by_name(splits[i].ours)] = true;
    }
}

static bool is_same_mnemonic(const struct pair *p)
{
    unsigned m = p->theirs.mnemonic;
    if (split[m][p->ours.id])
        return true;
    return id_of[m] == p->ours.id && (!condition_of[m] || condition_of[m] - 16 == (p->ours.opcode & 15));
}

static ZydisRegister gpr(unsigned reg, unsigned size)
{
    switch (size) {
    case 1:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR8, (ZyanU8)(reg < 4 ? reg : reg + 4));
    case 2:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR16, (ZyanU8)reg);
    case 4:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR32, (ZyanU8)reg);
    default:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, (ZyanU8)reg);
    }
}

static ZydisRegister segment(unsigned reg)
{
    static const uint8_t theirs[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
                                     ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};
    return reg < ARRAY_SIZE(theirs) ? theirs[reg] : ZYDIS_REGISTER_NONE;
}

static ZydisRegister operand_register(const struct x86_operand *op)
{
    ZyanU8 reg = op->reg;
    switch (op->reg_class) {
    case X86_RC_GPR:
        return gpr(reg, op->size);
    case X86_RC_GPR8H:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR8, (ZyanU8)(reg + 4));
    case X86_RC_SEG:
        return segment(reg);
    case X86_RC_CR:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_CONTROL, reg);
    case X86_RC_DR:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_DEBUG, reg);
    case X86_RC_ST:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_X87, reg);
    case X86_RC_MMX:
        return ZydisRegisterEncode(ZYDIS_REGCLASS_MMX, reg);
    default:
        return ZydisRegisterEncode(op->size == 32 ? ZYDIS_REGCLASS_YMM : ZYDIS_REGCLASS_XMM, reg);
    }
}

static bool is_same_memory(const struct pair *p, const struct x86_operand *op,
                           const ZydisDecodedOperand *theirs)
{
    const struct x86_mem *mem = &p->ours.mem;
    unsigned addrsize = p->ours.addrsize;
    uint64_t mask = addrsize == 8 ? ~0ULL : BIT64(addrsize * 8) - 1;
    ZydisRegister base = ZYDIS_REGISTER_NONE, index = ZYDIS_REGISTER_NONE;
    if (op->reg == X86_RDI)
        return theirs->mem.segment == ZYDIS_REGISTER_ES && theirs->mem.base == gpr(X86_RDI, addrsize);
    if (mem->base == X86_RIP)
        base = addrsize == 8 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_EIP;
    else if (mem->base != X86_NO_REG)
        base = gpr(mem->base, addrsize);
    if (theirs->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
        index = ZydisRegisterEncode(ZydisRegisterGetClass(theirs->mem.index), mem->index);
    else if (mem->index != X86_NO_REG)
        index = gpr(mem->index, addrsize);
    unsigned scale = index == ZYDIS_REGISTER_NONE ? 0 : 1U << mem->scale;
    bool same_segment = theirs->mem.segment == segment(mem->seg) || theirs->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
    return same_segment && theirs->mem.base == base && theirs->mem.index == index &&
           (theirs->mem.scale == scale || index == ZYDIS_REGISTER_NONE) &&
           !(((uint64_t)mem->disp ^ (uint64_t)theirs->mem.disp.value) & mask);
}

static bool is_same_immediate(const struct pair *p, const struct x86_operand *op,
                              const ZydisDecodedOperand *theirs)
{
    unsigned size = op->size >= 8 || op->kind == X86_OP_REL ? 8 : op->size;
    uint64_t mask = size == 8 ? ~0ULL : BIT64(size * 8) - 1;
    if (op->kind == X86_OP_FAR)
        return (uint64_t)p->ours.imm == theirs->ptr.offset && (uint64_t)p->ours.imm2 == theirs->ptr.segment;
    if ((op->kind == X86_OP_REL) != theirs->imm.is_relative)
        return false;
    return !(((uint64_t)op->imm ^ theirs->imm.value.u) & mask);
}

/*
 * Ours says that a register is read if any of its old value stays: where the
 * write may not happen, or is of a part (theirs gives that part's size).
 */
static bool is_same_access(const struct x86_operand *op, const ZydisDecodedOperand *theirs)
{
    unsigned actions = theirs->actions;
    unsigned access = (actions & ZYDIS_OPERAND_ACTION_MASK_READ ? X86_READ : 0U) |
                      (actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? X86_WRITE : 0U);
    if (op->access == 0 && op->kind == X86_OP_MEM)
        return true; /* only the address: theirs calls that a read */
    bool partly = op->kind == X86_OP_REG && op->reg_class == X86_RC_VEC && theirs->size / 8 < op->size;
    if (actions & ZYDIS_OPERAND_ACTION_CONDWRITE || (partly && access == X86_WRITE))
        return (access | X86_READ) == op->access || access == op->access;
    return access == op->access;
}

static enum difference compare_operand(const struct pair *p, const struct x86_operand *op,
                                       const ZydisDecodedOperand *theirs)
{
    static const ZydisOperandType types[] = {
        [X86_OP_REG] = ZYDIS_OPERAND_TYPE_REGISTER,  [X86_OP_MEM] = ZYDIS_OPERAND_TYPE_MEMORY,
        [X86_OP_IMM] = ZYDIS_OPERAND_TYPE_IMMEDIATE, [X86_OP_REL] = ZYDIS_OPERAND_TYPE_IMMEDIATE,
        [X86_OP_FAR] = ZYDIS_OPERAND_TYPE_POINTER,
    };
    if (theirs->type != types[op->kind])
        return OPERAND_KIND;
    if (op->kind == X86_OP_REG && theirs->reg.value != operand_register(op))
        return OPERAND_REGISTER;
    if (op->kind == X86_OP_MEM && !is_same_memory(p, op, theirs))
        return OPERAND_MEMORY;
    if (op->kind == X86_OP_MEM && op->access && theirs->size / 8 != op->size)
        return OPERAND_SIZE;
    if (op->kind >= X86_OP_IMM && !is_same_immediate(p, op, theirs))
        return OPERAND_IMMEDIATE;
    if (op->kind <= X86_OP_MEM && !is_same_access(op, theirs))
        return OPERAND_ACCESS;
    return SAME;
}

static enum difference compare_operands(struct pair *p)
{
    unsigned visible = 0;
    for (unsigned i = 0; i < p->ours.operand_count; i++)
        visible += !p->ours.op[i].implicit;
    if (visible != p->theirs.operand_count_visible)
        return OPERAND_COUNT;
    for (unsigned i = 0; i < visible; i++) {
        enum difference d = compare_operand(p, &p->ours.op[i], &p->operands[i]);
        p->operand = i;
        if (d)
            return d;
    }
    return SAME;
}

/*
 * The table does not list what goes without saying: the stack's pointer and
 * frame, a string instruction's pointers and count, all registers of PUSHA, what
 * the x87 finds below its top.
 */
static bool is_understood(const struct pair *p, ZydisRegister reg)
{
    unsigned id = ZydisRegisterGetId(reg);
    if (p->ours.id == X86_PUSHA || p->ours.id == X86_POPA || id == X86_RSP || id == X86_RBP)
        return true;
    bool string = x86_insn_row(p->ours.row)->properties & X86_ROW_STRING;
    return string && (id == X86_RSI || id == X86_RDI || id == X86_RCX);
}

/* The general registers and memory that an instruction touches without encoding them. */
static enum difference compare_hidden(struct pair *p)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < p->ours.operand_count; i++) {
        const struct x86_operand *op = &p->ours.op[i];
        if (!op->implicit || op->kind == X86_OP_MEM || op->reg_class == X86_RC_ST)
            continue;
        p->operand = i;
        unsigned k = p->theirs.operand_count_visible;
        while (k < p->theirs.operand_count && (p->operands[k].type != ZYDIS_OPERAND_TYPE_REGISTER ||
                                               p->operands[k].reg.value != operand_register(op)))
            k++;
        if (k == p->theirs.operand_count)
            return HIDDEN_REGISTER;
        seen |= BIT(k);
        if (!is_same_access(op, &p->operands[k]))
            return OPERAND_ACCESS;
    }
    for (unsigned k = p->theirs.operand_count_visible; k < p->theirs.operand_count; k++) {
        const ZydisDecodedOperand *op = &p->operands[k];
        ZydisRegisterClass rclass = op->type == ZYDIS_OPERAND_TYPE_REGISTER
                                        ? ZydisRegisterGetClass(op->reg.value)
                                        : ZYDIS_REGCLASS_INVALID;
        bool counts =
            rclass >= ZYDIS_REGCLASS_GPR8 && rclass <= ZYDIS_REGCLASS_YMM && rclass != ZYDIS_REGCLASS_X87;
        p->operand = k;
        if (counts && !(seen & BIT(k)) && !is_understood(p, op->reg.value))
            return HIDDEN_REGISTER;
    }
    return SAME;
}

static enum difference compare_flags(const struct pair *p)
{
    const struct x86_row *row = x86_insn_row(p->ours.row);
    const ZydisAccessedFlags *flags = p->theirs.cpu_flags;
    if (!flags)
        return row->flags_read | row->flags_written | row->flags_undefined ? FLAGS : SAME;
    uint32_t written = (flags->modified | flags->set_0 | flags->set_1) & X86_FL_ARITH;
    bool same = row->flags_read == (flags->tested & X86_FL_ARITH) &&
                (row->flags_written & ~row->flags_undefined) == written &&
                row->flags_undefined == (flags->undefined & X86_FL_ARITH);
    if (row->id == X86_JCC || row->id == X86_SETCC || row->id == X86_CMOVCC)
        same = (flags->tested & ~row->flags_read & X86_FL_ARITH) == 0;
    return same ? SAME : FLAGS;
}

static bool is_same_prefixes(const struct pair *p)
{
    static const struct {
        uint64_t theirs;
        uint16_t ours;
    } bits[] = {
        {0xf0, X86_PFX_LOCK},   {0xf3, X86_PFX_REP},      {0xf2, X86_PFX_REPNE},
        {0x66, X86_PFX_OPSIZE}, {0x67, X86_PFX_ADDRSIZE},
    };
    const unsigned repeats = X86_PFX_REP | X86_PFX_REPNE; /* the last one counts */
    unsigned found = 0;
    for (unsigned i = 0; i < p->theirs.raw.prefix_count; i++)
        for (unsigned k = 0; k < ARRAY_SIZE(bits); k++)
            if (p->theirs.raw.prefixes[i].value == bits[k].theirs)
                found = (bits[k].ours & repeats ? found & ~repeats : found) | bits[k].ours;
    unsigned mask = X86_PFX_LOCK | X86_PFX_REP | X86_PFX_REPNE | X86_PFX_OPSIZE | X86_PFX_ADDRSIZE;
    return found == (p->ours.prefixes & mask);
}

/*
 * Zydis's operand width is 8 for byte operations, and has no meaning for vectors
 * and for what has one size in each mode: nearly all that has a feature bit.
 */
static bool is_same_details(const struct pair *p)
{
    const struct x86_insn *ours = &p->ours;
    const ZydisDecodedInstruction *theirs = &p->theirs;
    bool vex = theirs->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    bool wide = theirs->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    unsigned modrm_offset = wide ? theirs->raw.modrm.offset : 0;
    unsigned vector = X86_ROW_VECTOR | X86_ROW_X87;
    if (ours->has_modrm != wide || ours->modrm_offset != modrm_offset || ours->opcode != theirs->opcode)
        return false;
    if (wide && ours->modrm != p->bytes[modrm_offset])
        return false;
    if (ours->imm_offset != theirs->raw.imm[0].offset || ours->addrsize != theirs->address_width / 8)
        return false;
    if (vex && (ours->vex_l != theirs->raw.vex.L || ours->vex_w != theirs->raw.vex.W))
        return false;
    const struct x86_row *row = x86_insn_row(ours->row);
    bool sized = theirs->operand_width > 8 && row->feature == X86_FEAT_NONE && !(row->properties & vector) &&
                 row->id != X86_MOV_CR && row->id != X86_MOV_DR && row->id != X86_NOP && row->id != X86_INS &&
                 row->id != X86_OUTS;
    if (sized && ours->opsize != theirs->operand_width / 8)
        return false;
    return is_same_prefixes(p);
}

enum difference zydis_compare(struct pair *p)
{
    bool ours = p->ours_result == 0, theirs = ZYAN_SUCCESS(p->theirs_result);
    p->operand = 0;
    if (!ours && !theirs) {
        bool end = p->theirs_result == ZYDIS_STATUS_NO_MORE_DATA;
        bool too_long = p->theirs_result == ZYDIS_STATUS_INSTRUCTION_TOO_LONG;
        return (p->ours_result == -EAGAIN) != end || (p->ours_result == -E2BIG) != too_long ? ERROR : SAME;
    }
    if (!ours || !theirs)
        return ours ? ONLY_OURS : ONLY_THEIRS;
    if (p->ours.length != p->theirs.length)
        return LENGTH;
    if (!is_same_mnemonic(p))
        return MNEMONIC;
    if (!is_same_details(p))
        return DETAIL;
    enum difference d = compare_operands(p);
    if (!d)
        d = compare_hidden(p);
    return d ? d : compare_flags(p);
}
