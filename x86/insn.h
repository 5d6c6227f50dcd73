/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decoded instruction, and what the instruction table knows about it.
 *
 * The table (x86/insn.tab) says every instruction once; tools/insn-gen.py makes
 * from it the enum of mnemonics (x86/insn-ids.h), the decoder's tables, and the
 * properties below. Decoding has no state and no side effects.
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include "base/base.h"
#include "x86/insn-ids.h" /* enum x86_id: X86_INVALID, X86_ADD, X86_ADDPD, … (generated) */

#define X86_MAX_INSN_LEN 15
#define X86_MAX_OPERANDS 6

/* The width of code (the D and L bits of CS), as the decoder sees it. */
enum x86_mode {
    X86_MODE_16,
    X86_MODE_32,
    X86_MODE_64,
};

enum x86_operand_kind {
    X86_OP_NONE,
    X86_OP_REG,
    X86_OP_MEM, /* insn.mem; at most one per instruction but for string instructions */
    X86_OP_IMM, /* imm, already sign- or zero-extended to 64 bits as the instruction does */
    X86_OP_REL, /* imm: signed displacement from the next instruction */
    X86_OP_FAR, /* insn.imm: offset, insn.imm2: selector */
};

enum x86_reg_class {
    X86_RC_GPR,   /* 0..15, in the operand's size; with size 1 always the low byte */
    X86_RC_GPR8H, /* AH CH DH BH as reg 0..3 */
    X86_RC_SEG,   /* enum x86_seg_id */
    X86_RC_CR,
    X86_RC_DR,
    X86_RC_ST, /* x87 stack, relative to the top */
    X86_RC_MMX,
    X86_RC_VEC, /* XMM/YMM by the operand's size of 16 or 32 */
};

enum x86_access {
    X86_READ = 1,
    X86_WRITE = 2,
    X86_RW = 3,
};

/* Indexes of struct x86_state.seg too. */
enum x86_seg_id { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_SEG_COUNT };

enum x86_gpr {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_R12,
    X86_R13,
    X86_R14,
    X86_R15,
    X86_NO_REG, /* as base or index: none */
    X86_RIP,    /* as base: the next instruction's address */
};

/*
 * A string instruction's memory operands are implicit, of kind MEM, and told
 * apart by reg: X86_RSI is insn.mem (DS:rSI, or the override's segment), X86_RDI
 * is ES:rDI, which no override changes and insn.mem does not show. Every other
 * memory operand has reg X86_NO_REG and is in insn.mem, also where the base is
 * implied (XLAT's rBX, of which AL is added by the instruction; MASKMOVQ's rDI;
 * MONITOR's rAX).
 */
struct x86_operand {
    uint8_t kind;      /* enum x86_operand_kind */
    uint8_t reg_class; /* enum x86_reg_class */
    uint8_t reg;
    uint8_t access; /* enum x86_access; 0: only the address is used (LEA, INVLPG, hints) */
    uint16_t size;  /* bytes; for MEM the size of the access, 0 where it has no fixed one (LEA, FXSAVE …) */
    bool implicit;  /* not in the encoding: DIV's rAX, MOVS's memory … */
    int64_t imm;
};

struct x86_mem {
    uint8_t base;  /* enum x86_gpr */
    uint8_t index; /* enum x86_gpr up to X86_NO_REG; a VEC register for VSIB */
    uint8_t scale; /* 0..3: shift */
    uint8_t seg;   /* enum x86_seg_id, the default (SS for rSP/rBP bases) or the override */
    int64_t disp;
};

/* prefixes, as met and not made part of the opcode (a mandatory 66/F2/F3 is still shown) */
#define X86_PFX_LOCK     BIT(0)
#define X86_PFX_REP      BIT(1) /* F3 */
#define X86_PFX_REPNE    BIT(2) /* F2 */
#define X86_PFX_OPSIZE   BIT(3)
#define X86_PFX_ADDRSIZE BIT(4)
#define X86_PFX_SEG      BIT(5)
#define X86_PFX_REX      BIT(6)
#define X86_PFX_REX_W    BIT(7)
#define X86_PFX_VEX      BIT(8)

struct x86_insn {
    uint16_t id;  /* enum x86_id */
    uint16_t row; /* of the instruction table: x86_insn_row() */
    uint16_t prefixes;
    uint8_t length;   /* bytes, 1..15 */
    uint8_t opsize;   /* effective operand size: 2, 4 or 8 (after 64-bit defaults such as PUSH's) */
    uint8_t addrsize; /* 2, 4 or 8 */
    uint8_t vex_l;    /* 0: 128, 1: 256 */
    uint8_t vex_w;
    uint8_t modrm; /* the byte itself; valid if has_modrm */
    bool has_modrm;
    uint8_t opcode;       /* last opcode byte */
    uint8_t map;          /* 0: one-byte, 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t modrm_offset; /* from the start of the instruction, 0 if none */
    uint8_t imm_offset;   /* of the first immediate or displacement of a branch, 0 if none */
    uint8_t operand_count;
    struct x86_operand op[X86_MAX_OPERANDS]; /* in Intel's order, explicit first */
    struct x86_mem mem;
    int64_t imm;
    int64_t imm2;
};

/* Arithmetic flags, in their RFLAGS places. */
#define X86_FL_CF    BIT(0)
#define X86_FL_PF    BIT(2)
#define X86_FL_AF    BIT(4)
#define X86_FL_ZF    BIT(6)
#define X86_FL_SF    BIT(7)
#define X86_FL_OF    BIT(11)
#define X86_FL_ARITH (X86_FL_CF | X86_FL_PF | X86_FL_AF | X86_FL_ZF | X86_FL_SF | X86_FL_OF)

/* Properties of a table row. */
#define X86_ROW_LOCKABLE   BIT(0) /* LOCK is allowed with a memory destination, else #UD */
#define X86_ROW_PRIVILEGED BIT(1) /* CPL 0 only, else #GP(0) */
#define X86_ROW_BRANCH     BIT(2) /* may change RIP */
#define X86_ROW_FP_EXC     BIT(3) /* reads MXCSR and may raise #XM */
#define X86_ROW_ALIGNED    BIT(4) /* legacy-SSE memory operand must be aligned to its size, else #GP(0) */
#define X86_ROW_VECTOR     BIT(5) /* SSE/AVX state (CR4.OSFXSR, CR0.EM/TS rules) */
#define X86_ROW_X87        BIT(6) /* x87/MMX state (CR0.EM/TS/MP rules) */
#define X86_ROW_SERIALIZE  BIT(7)
#define X86_ROW_STRING     BIT(8)
#define X86_ROW_IO         BIT(9) /* checks IOPL and the TSS I/O bitmap */
/* May leave all flags as they were: a shift by 0, REP CMPS with rCX 0. */
#define X86_ROW_FLAGS_MAYBE BIT(10)
#define X86_ROW_PRIV_UD     BIT(11) /* with PRIVILEGED: at CPL > 0 it is #UD, not #GP(0) (STAC, MONITOR …) */
#define X86_ROW_PROTECTED   BIT(12) /* #UD in real and virtual-8086 mode (ARPL, LAR, LLDT …, all of VEX) */

struct x86_row {
    const char *name; /* lower-case mnemonic, for people */
    uint16_t id;
    uint16_t feature;       /* enum x86_feature (generated beside enum x86_id); X86_FEAT_NONE: always there */
    uint16_t flags_read;    /* X86_FL_… */
    uint16_t flags_written; /* defined result */
    uint16_t flags_undefined; /* SDM/APM leave them undefined */
    uint16_t properties;      /* X86_ROW_… */
};

/* Any row number that x86_decode() stored. The table lives as long as the program. */
const struct x86_row *x86_insn_row(uint16_t row);

/* The number of rows, for walks over the whole table. */
uint16_t x86_insn_row_count(void);

/*
 * Decodes the instruction at bytes, of which `avail` may be read. Fills *out and
 * returns 0; -EAGAIN if the instruction goes on past `avail` (15 are always
 * enough); -EINVAL if no processor has it (#UD), with out->length set to what
 * was read; -E2BIG if it would be longer than 15 bytes (#GP). Whether the CPU
 * model has the feature is the caller's question, by x86_insn_row().
 */
int x86_decode(const uint8_t *bytes, size_t avail, enum x86_mode mode, struct x86_insn *out);

/* Intel syntax, for traces and dumps. ip is the address of the instruction. Returns as fmt_print(). */
size_t x86_insn_format(const struct x86_insn *insn, uint64_t ip, char *buf, size_t size);

#endif
