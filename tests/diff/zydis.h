/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder beside Zydis: one byte string, what both say of it, and where
 * they first differ.
 */
#ifndef TESTS_DIFF_ZYDIS_H
#define TESTS_DIFF_ZYDIS_H

#include "x86/insn.h"

#include <Zydis/Zydis.h>

#define ZYDIS_BYTES 15

enum difference {
    SAME,
    ONLY_OURS,   /* Zydis calls it invalid */
    ONLY_THEIRS, /* we call it invalid */
    ERROR,       /* both reject it, one for its length and the other not */
    LENGTH,
    MNEMONIC,
    DETAIL, /* offsets within the bytes, prefixes, sizes */
    FLAGS,  /* read, written, undefined */
    OPERAND_COUNT,
    OPERAND_KIND,
    OPERAND_REGISTER,
    OPERAND_SIZE,
    OPERAND_ACCESS,
    OPERAND_MEMORY,
    OPERAND_IMMEDIATE,
    HIDDEN_REGISTER, /* one that Zydis lists as not in the encoding and we do not, or the reverse */
    DIFFERENCES
};

struct pair {
    uint8_t bytes[ZYDIS_BYTES];
    unsigned avail;
    enum x86_mode mode;
    int ours_result; /* of x86_decode() */
    struct x86_insn ours;
    ZyanStatus theirs_result;
    ZydisDecodedInstruction theirs;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    unsigned operand; /* the one that differs */
};

/* Fills bytes, avail and mode: wild bytes, or something that looks like an instruction. */
void zydis_bytes(uint64_t *state, struct pair *pair);

/* Where the two differ first. */
enum difference zydis_compare(struct pair *pair);

/* To be called once before zydis_compare(): lays the two lists of mnemonics side by side. */
void zydis_compare_init(void);

/* A difference that is known, and whose right or wrong is settled. */
struct allowance {
    const char *name;
    const char *why;
    bool (*matches)(const struct pair *pair, enum difference difference);
};

extern const struct allowance zydis_allowances[];
extern const unsigned zydis_allowance_count;

#endif
