/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of the tables that tools/insn-gen.py makes of x86/insn-*.tab. For
 * the decoder, and for the tests that make instructions from the same table.
 */
#ifndef X86_INSN_TABLE_INTERNAL_H
#define X86_INSN_TABLE_INTERNAL_H

#include "x86/insn.h"

/*
 * A key packs everything of an encoding that chooses between the rows that
 * share an opcode. A row matches if (key & mask) == value; the first one wins.
 */
#define KEY_MODE_SHIFT 0 /* enum x86_mode, two bits */
#define KEY_PP_SHIFT   2 /* enum insn_pp, two bits */
#define KEY_MOD3_SHIFT 4 /* ModRM.mod is 3 */
#define KEY_REG_SHIFT  5 /* ModRM.reg without REX.R */
#define KEY_RM_SHIFT   8 /* ModRM.rm without REX.B */
#define KEY_W_SHIFT    11
#define KEY_L_SHIFT    12
#define KEY_B_SHIFT    13 /* REX.B */
#define KEY_MOD3       BIT(KEY_MOD3_SHIFT)
#define KEY_W          BIT(KEY_W_SHIFT)
#define KEY_L          BIT(KEY_L_SHIFT)
#define KEY_B          BIT(KEY_B_SHIFT)

/* The mandatory prefix. F2 and F3 hide a 66, and the last of those two counts. */
enum insn_pp { PP_NONE, PP_66, PP_F3, PP_F2 };

/* How an operand is found. */
enum operand_how {
    OPERAND_REG,    /* ModRM.reg */
    OPERAND_RM,     /* ModRM.rm, register or memory */
    OPERAND_VVVV,   /* VEX.vvvv */
    OPERAND_OPCODE, /* the opcode's low three bits */
    OPERAND_FIXED,
    OPERAND_IMM8,
    OPERAND_IMM8S, /* sign-extended */
    OPERAND_IMM16,
    OPERAND_IMMZ, /* 16 or 32 bits, sign-extended */
    OPERAND_IMMV, /* up to 64 bits */
    OPERAND_ONE,  /* the 1 of a shift by 1 */
    OPERAND_REL8,
    OPERAND_RELZ,
    OPERAND_FAR,
    OPERAND_MOFFS,
    OPERAND_IS4, /* the high half of an immediate byte */
    OPERAND_DS_RSI,
    OPERAND_ES_RDI,
    OPERAND_MEM_AT, /* a fixed base register */
};

enum size_selector { SIZE_BY_NOTHING, SIZE_BY_OPSIZE, SIZE_BY_ADDRSIZE, SIZE_BY_MODE, SIZE_BY_VEX_L };

struct insn_size {
    uint16_t bytes[3];
    uint16_t selector; /* enum size_selector */
};

struct insn_template {
    uint8_t how;       /* enum operand_how */
    uint8_t reg_class; /* enum x86_reg_class */
    uint8_t reg;
    uint8_t access;
    uint8_t size; /* of x86_insn_sizes */
    uint8_t mem_size;
    uint8_t implicit;
};

#define INSN_MODRM        BIT(0)
#define INSN_D64          BIT(1) /* 64-bit mode: 64 bits unless 66 says 16 */
#define INSN_F64          BIT(2) /* 64-bit mode: 64 bits */
#define INSN_NOMOD        BIT(3) /* ModRM.mod is not looked at: rm is a register */
#define INSN_VVVV         BIT(4) /* VEX.vvvv is an operand */
#define INSN_VSIB         BIT(5)
#define INSN_MANDATORY_66 BIT(7) /* the 66 is part of the opcode, not of the operand size */
#define INSN_MAX32        BIT(8) /* REX.W does not make it 64 bits: ports */

struct insn_desc {
    uint32_t mask;
    uint32_t value;
    uint16_t flags; /* INSN_… */
    uint8_t map;    /* + 4 for VEX */
    uint8_t opcode;
    uint8_t span; /* that many opcodes from this one on */
    uint8_t operand_count;
    uint8_t operands[X86_MAX_OPERANDS]; /* of x86_insn_templates */
    uint8_t vsib_size;                  /* the index register's, of x86_insn_sizes */
};

struct insn_candidate {
    uint32_t mask;
    uint32_t value;
    uint16_t row;
};

#define SLOT_MODRM  BIT(0)
#define SLOT_BY_REG BIT(1) /* first: of x86_insn_groups, one for each ModRM.reg */

struct insn_slot {
    uint16_t first; /* of x86_insn_candidates */
    uint8_t count;
    uint8_t flags; /* SLOT_… */
};

extern const struct insn_size x86_insn_sizes[];
extern const struct insn_template x86_insn_templates[];
extern const struct x86_row x86_insn_rows[];
extern const uint16_t x86_insn_rows_count;
extern const struct insn_desc x86_insn_descs[];
extern const struct insn_candidate x86_insn_candidates[];
extern const struct insn_slot x86_insn_groups[];
extern const struct insn_slot x86_insn_slots[8][256];

#endif
