/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differential test: one random instruction on a random state, by our
 * semantics and by the processor that we run on, then everything compared.
 *
 * Linear addresses are the same on both sides. Natively they are memory of this
 * process; our side sees them through page tables of its own, with other memory
 * behind the data pages.
 */
#ifndef TESTS_DIFF_DIFF_H
#define TESTS_DIFF_DIFF_H

#include "x86/cpu.h"
#include "x86/cpuid.h"
#include "x86/fpu.h"

#include <stdio.h>

/* The layout of the address space, in 32 bits so that short addresses reach it. */
#define DIFF_BASE      0x20000000ULL
#define DIFF_RW        (DIFF_BASE + 0x1000) /* two pages, nothing before them */
#define DIFF_RW_SIZE   0x2000ULL
#define DIFF_RO        (DIFF_RW + DIFF_RW_SIZE) /* one page, nothing behind it */
#define DIFF_DATA_SIZE 0x3000ULL
#define DIFF_CODE      (DIFF_BASE + 0x10000) /* the instruction, then the way out */
#define DIFF_BRANCH    (DIFF_BASE + 0x12000) /* branches: INT3 all around */
#define DIFF_BRANCH_AT (DIFF_BRANCH + 0x800)
#define DIFF_SYSTEM                                                                                          \
    0xffff9a5c00000000ULL /* our side only: tables of the supervisor, far from what is random */

#define DIFF_SELECTORS 6

/* What an instruction finds, and what it leaves. */
struct diff_state {
    uint8_t xsave[X86_XSAVE_SIZE] __attribute__((aligned(64)));
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
    uint64_t fs_base, gs_base;
    uint16_t selector[DIFF_SELECTORS]; /* enum x86_seg_id */
    /* outcome */
    int vector; /* -1: none */
    uint32_t error;
    uint64_t cr2;
};

/* One test. */
struct diff_case {
    uint64_t seed; /* that makes it again, with the row's number */
    uint16_t row_number;
    uint8_t bytes[16];
    struct x86_insn insn;
    const struct x86_row *row;
    bool branch;
    struct diff_state in;
};

/* tests/diff/native.c: the processor itself. */
int native_init(void);
/* Looks for our side's executable memory that an instruction may get at by chance, once our side is made. */
void native_find_code(void);
uint8_t *native_data(void);       /* the data pages, DIFF_DATA_SIZE bytes, writable */
const uint8_t *native_code(void); /* DIFF_CODE's page, then that of DIFF_BRANCH: 2 pages */
/* hidden: with that memory out of sight, as it always is to branches. It is slow, and others can only read
 * it. */
void native_run(const struct diff_case *test, bool hidden, struct diff_state *out);

/* Our side: the semantics alone (tests/diff/model.c), or an engine with all that is around it
 * (engine-model.c). */
struct mutation;
struct model;
struct model_ops {
    struct model *(*create)(void); /* NULL: cannot be */
    void (*destroy)(struct model *model);
    uint8_t *(*data)(struct model *model); /* what stands for native_data() */
    /* mutation: NULL, or what to spoil. Returns whether it was. */
    bool (*run)(struct model *model, const struct diff_case *test, const struct mutation *mutation,
                struct diff_state *out);
};
struct model {
    const struct model_ops *ops;
    const struct x86_cpuid_model *cpuid;
};
extern const struct model_ops reference_model, interp_model, bt_model;

/* tests/diff/mutate.c */
enum mutation_kind {
    MUTATE_REG,
    MUTATE_FLAG,
    MUTATE_MEM, /* from here on in the order in which they are tried */
    MUTATE_RIP,
    MUTATE_FAULT,
    MUTATE_X87,
    MUTATE_MXCSR,
    MUTATE_KINDS,
};
struct mutation {
    uint16_t row;
    enum mutation_kind kind;
    unsigned which; /* operand, or flag */
    unsigned next;
};
/* False: the instruction has no such result. */
bool mutation_apply(struct x86_cpu *cpu, const struct x86_insn *insn, const struct mutation *mutation,
                    bool faulted);
/* The first mutation from number n on that makes sense for a row, `next` being where to go on; false: no
 * more. */
bool mutation_of_row(uint16_t row, unsigned n, struct mutation *mutation);
void mutation_print(const struct mutation *mutation, FILE *to);

/* tests/diff/rows.c */
bool has_memory_operand(const struct x86_insn *insn);
/* Saves or restores an image of the x87 or more. */
bool is_state_image(unsigned id);
/* The size of such an image, of a 64-bit operand otherwise. */
unsigned image_size(const struct x86_insn *insn);
/* Where insn->mem is, in its segment and in all. */
uint64_t operand_offset(const struct diff_case *test);
uint64_t operand_linear(const struct diff_case *test);
/* Why a row is not run here; NULL: it is. */
const char *row_skip_reason(const struct x86_row *row);
/* Why a row may never execute without a fault here; NULL: it should. */
const char *row_fault_reason(const struct x86_row *row);

/* tests/diff/generate.c */
struct generator {
    uint64_t random;
    struct diff_state state; /* goes on from test to test */
};
void generator_init(struct generator *g, uint64_t seed);
/* A case for the row, data memory of both sides prepared. False: no such encoding, or one not to be run. */
bool generate(struct generator *g, uint16_t row, struct diff_case *test, uint8_t *data_a, uint8_t *data_b);

/* tests/diff/compare.c: NULL if the same, else what differs first. */
const char *compare_states(const struct diff_case *test, const struct diff_state *native,
                           const struct diff_state *ours, bool strict);
void print_case(FILE *to, const struct diff_case *test, const struct diff_state *native,
                const struct diff_state *ours);

#endif
