/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decoded instruction as the fields of its encoding, for those who write it
 * anew with other registers or another address: thunks and translators.
 *
 * The fields are those of 64-bit code. Prefixes that say nothing about the
 * operation (segments, address size, REP without meaning) are gone.
 */
#ifndef X86_ENCODE_H
#define X86_ENCODE_H

#include "x86/insn.h"

#define X86_ENCODING_NONE 0xff /* no operand is there */

struct x86_encoding {
    uint8_t opcode;
    uint8_t map;    /* as insn.map */
    uint8_t prefix; /* 0, 0x66, 0xf3 or 0xf2: mandatory, or VEX.pp's meaning */
    bool opsize;    /* 66 beside a mandatory F2 or F3, or as the operand size */
    bool vex, w, l;
    bool has_modrm;
    bool has_is4;
    bool opcode_reg;            /* the register is in the opcode's low bits, which are 0 in `opcode` */
    uint8_t reg, rm, vvvv, is4; /* as decoded, or the opcode's extension; rm 0 where it is memory */
    bool memory;                /* rm is memory */
    /* Which operand each place holds, or X86_ENCODING_NONE. */
    uint8_t reg_operand, rm_operand, vvvv_operand, is4_operand;
    uint8_t imm_count; /* immediates, in order */
    uint8_t imm_size[2];
    int64_t imm[2];
};

/* False: it has no such form (branches, far pointers, absolute addresses, VSIB). */
bool x86_encoding_of(const struct x86_insn *insn, struct x86_encoding *out);

#endif
