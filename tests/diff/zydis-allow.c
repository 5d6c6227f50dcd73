/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the decoder and Zydis 4.0 differ, and why that is right. SDM is Intel's
 * manual, APM is AMD's.
 */
#include "tests/diff/zydis.h"

#include <errno.h>

/* Sorted as in Zydis's enum. */
static bool is_unknown_extension(unsigned extension)
{
    switch (extension) {
    case ZYDIS_ISA_EXT_AMD3DNOW:
    case ZYDIS_ISA_EXT_AMD_INVLPGB:
    case ZYDIS_ISA_EXT_AMX_BF16:
    case ZYDIS_ISA_EXT_AMX_INT8:
    case ZYDIS_ISA_EXT_AMX_TILE:
    case ZYDIS_ISA_EXT_AVX512VEX:
    case ZYDIS_ISA_EXT_AVX_VNNI:
    case ZYDIS_ISA_EXT_CET:
    case ZYDIS_ISA_EXT_ENQCMD:
    case ZYDIS_ISA_EXT_FMA4:
    case ZYDIS_ISA_EXT_HRESET:
    case ZYDIS_ISA_EXT_KEYLOCKER:
    case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
    case ZYDIS_ISA_EXT_KNC:
    case ZYDIS_ISA_EXT_KNCE:
    case ZYDIS_ISA_EXT_KNCV:
    case ZYDIS_ISA_EXT_MCOMMIT:
    case ZYDIS_ISA_EXT_MOVDIR:
    case ZYDIS_ISA_EXT_PADLOCK:
    case ZYDIS_ISA_EXT_PCONFIG:
    case ZYDIS_ISA_EXT_PT:
    case ZYDIS_ISA_EXT_SGX:
    case ZYDIS_ISA_EXT_SGX_ENCLV:
    case ZYDIS_ISA_EXT_SNP:
    case ZYDIS_ISA_EXT_TDX:
    case ZYDIS_ISA_EXT_TSX_LDTRK:
    case ZYDIS_ISA_EXT_UINTR:
    case ZYDIS_ISA_EXT_WAITPKG:
    case ZYDIS_ISA_EXT_XOP:
        return true;
    default:
        return false;
    }
}

static bool is_extension(const struct pair *p, enum difference d)
{
    bool old = p->theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
               p->theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    return d == ONLY_THEIRS && p->ours_result == -EINVAL &&
           (!old || is_unknown_extension(p->theirs.meta.isa_ext));
}

static bool is_error_order(const struct pair *p, enum difference d)
{
    return d == ERROR;
}

static bool is_nop(const struct pair *p, enum difference d)
{
    return d >= OPERAND_COUNT && p->ours.id == X86_NOP && p->ours.map == 1;
}

static bool is_sib_without_base(const struct pair *p, enum difference d)
{
    const struct x86_insn *insn = &p->ours;
    unsigned sib = p->bytes[(insn->modrm_offset + 1) % ZYDIS_BYTES];
    return d == OPERAND_MEMORY && p->mode == X86_MODE_64 && (insn->modrm & 0xc7) == 4 && (sib & 7) == 5 &&
           insn->mem.base == X86_NO_REG && p->operands[p->operand].mem.base != ZYDIS_REGISTER_NONE;
}

static bool is_movsxd_16(const struct pair *p, enum difference d)
{
    return p->ours.id == X86_MOVSXD && p->ours.opsize == 2 && d >= OPERAND_REGISTER;
}

static bool is_save_area(const struct pair *p, enum difference d)
{
    return d == OPERAND_SIZE && p->ours.op[0].size == 0 && p->operands[0].size == 576 * 8;
}

static bool is_pause_rexb(const struct pair *p, enum difference d)
{
    return d == MNEMONIC && p->ours.id == X86_XCHG && p->theirs.mnemonic == ZYDIS_MNEMONIC_PAUSE;
}

static bool is_shift_by_one(const struct pair *p, enum difference d)
{
    return d == FLAGS && p->ours.map == 0 && (p->ours.opcode & 0xfe) == 0xd0;
}

static bool is_flags_by_manual(const struct pair *p, enum difference d)
{
    switch (p->ours.id) {
    case X86_ADC:
    case X86_SBB:
    case X86_BEXTR:
    case X86_MOV_DR:
    case X86_PTEST:
    case X86_VPTEST:
    case X86_VTESTPD:
    case X86_VTESTPS:
    case X86_RDPRU:
    case X86_VMCALL:
        return d == FLAGS;
    default:
        return false;
    }
}

static bool is_pushed(const struct pair *p, enum difference d)
{
    switch (p->ours.id) {
    case X86_INT:
    case X86_INT1:
    case X86_INT3:
    case X86_INTO:
    case X86_SYSCALL:
        return d == FLAGS;
    default:
        return false;
    }
}

static bool is_rep_flag(const struct pair *p, enum difference d)
{
    return d == FLAGS && (p->ours.id == X86_SCAS || p->ours.id == X86_CMPS);
}

static bool is_x87_access(const struct pair *p, enum difference d)
{
    return d == OPERAND_ACCESS && x86_insn_row(p->ours.row)->properties & X86_ROW_X87 &&
           p->ours.op[p->operand].reg_class == X86_RC_ST;
}

static bool is_source_zero(const struct pair *p, enum difference d)
{
    return d == OPERAND_ACCESS && p->operand == 0 && (p->ours.id == X86_BSF || p->ours.id == X86_BSR);
}

static bool is_widening(const struct pair *p, enum difference d)
{
    return d == OPERAND_ACCESS && (p->ours.id == X86_CBW || p->ours.id == X86_XLAT);
}

static bool is_system_register(const struct pair *p, enum difference d)
{
    switch (p->ours.id) {
    case X86_GETSEC:
    case X86_MONITOR:
    case X86_MONITORX:
    case X86_MWAIT:
    case X86_MWAITX:
    case X86_SYSCALL:
    case X86_SYSENTER:
    case X86_SYSEXIT:
    case X86_SYSRET:
    case X86_VMFUNC:
        return d == HIDDEN_REGISTER || d == OPERAND_ACCESS;
    default:
        return false;
    }
}

static bool is_movmsk(const struct pair *p, enum difference d)
{
    return d == OPERAND_REGISTER && p->operand == 0 && p->ours.opsize == 8 &&
           (p->ours.id == X86_MOVMSKPS || p->ours.id == X86_MOVMSKPD);
}

static bool is_pcmpestr_w(const struct pair *p, enum difference d)
{
    return d == HIDDEN_REGISTER && p->mode != X86_MODE_64 && p->ours.vex_w &&
           (p->ours.id == X86_VPCMPESTRI || p->ours.id == X86_VPCMPESTRM);
}

const struct allowance zydis_allowances[] = {
    {"extension", "an extension that the table does not have: #UD", is_extension},
    {"error order", "both reject it, but one of them noticed its length or its end first", is_error_order},
    {"hint operands", "the NOPs with ModRM: operands that nothing uses", is_nop},
    {"SIB base 101", "mod 0 has no base whatever REX.B says (SDM 2A 2.2.1.2); Zydis shows r13",
     is_sib_without_base},
    {"MOVSXD r16", "reads 16 bits (SDM 2B MOVSXD); Zydis says 32", is_movsxd_16},
    {"XSAVE area", "its size is XCR0's; Zydis says 576 bytes", is_save_area},
    {"F3 REX.B 90", "is XCHG r8, rAX; Zydis says PAUSE", is_pause_rexb},
    {"shift by 1", "defines OF (SDM 2B SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR)", is_shift_by_one},
    {"flags", "as the SDM lists them; Zydis has others", is_flags_by_manual},
    {"flags saved", "INT and SYSCALL save all flags, so they are read", is_pushed},
    {"REP and ZF", "REPE tests the ZF that the instruction itself made", is_rep_flag},
    {"x87 access", "Zydis's access to stack registers is approximate", is_x87_access},
    {"BSF of 0", "leaves the destination, so that it is read", is_source_zero},
    {"MOVMSK REX.W", "the upper half is zero either way; Zydis says r64, and r32 for all its kin", is_movmsk},
    {"VPCMPESTR W1", "W means nothing outside 64-bit mode; Zydis lists a rDX of no size", is_pcmpestr_w},
    {"CBW, XLAT", "one operand that is read and written; Zydis lists two", is_widening},
    {"system", "registers of system calls, MWAIT and VMX: ours as the manuals have them", is_system_register},
};
const unsigned zydis_allowance_count = ARRAY_SIZE(zydis_allowances);
