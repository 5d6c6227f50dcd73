/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random blocks of code under two engines: branches, loops, calls, faults in the
 * middle, stores over code, interrupts, all of the instruction table. Each block
 * runs for a number of instructions (core/icount.h), so nothing needs to end by
 * itself, and the count at which something happens is compared too.
 *
 *   generate.c   seed, number ──► struct block: a start, and items of code
 *   layout.c     items ──► bytes at addresses, branches linked
 *   world.c      a machine in the block's state; what it leaves
 *   report.c     what differs; which items are needed for it
 */
#ifndef TESTS_BLOCKS_BLOCKS_H
#define TESTS_BLOCKS_BLOCKS_H

#include "core/hash.h"
#include "core/state.h"
#include "tests/unit/interp/machine.h"

/* ---- the address space: 4 KiB pages, linear is physical where nothing else is said ---- */

#define PAGE_PDPT32    0xe000ULL /* of 32-bit code */
#define PAGE_TSS       0xd000ULL
#define CODE_BASE      0x10000ULL /* 3 pages, then one without execution or none */
#define CODE_PAGES     3
#define CODE_ELSEWHERE 0x18000ULL /* physical: now and then the second page of code */
#define CODE_ALIAS     0x20000ULL /* the code's pages once more */
#define DATA_BASE      0x80000ULL /* read-write, read-write, read-only, nothing, supervisor's, the first again */
#define DATA_PAGES     6
#define STACK_BASE     0xee000ULL /* 2 pages, nothing before and behind */
#define IST_BASE       0xe8000ULL
#define TABLE_AT       (DATA_BASE + 0x40) /* of addresses of items, for indirect jumps */
#define TABLE_SIZE     8U

/* ---- a block ---- */

#define MAX_ITEMS  48
#define ITEM_BYTES 32

/* What must be written into an item once addresses are known: 32 bits, relative to the end of its field. */
enum fix {
    FIX_NONE,
    FIX_ITEM,     /* the address of item `target` */
    FIX_ITEM_ABS, /* the same, not relative */
    FIX_CODE,     /* byte `place` of item `target`, in the code or its alias */
    FIX_CODE_ABS,
    FIX_DATA, /* the address `place` */
};

struct item {
    uint8_t bytes[ITEM_BYTES];
    uint8_t length;
    uint8_t fix;      /* enum fix */
    uint8_t fix_at;   /* of the field */
    uint8_t fix_tail; /* bytes of the instruction behind it */
    uint8_t target;
    bool alias;
    bool can_short; /* Jcc and JMP rel32 that may become rel8 */
    uint8_t imm_at; /* where a constant lies that may be overwritten without harm; 0: nowhere */
    uint64_t place;
    bool dropped;     /* while shrinking: jumps to it go to the next one */
    uint64_t address; /* set by the layout */
    uint8_t placed[ITEM_BYTES];
    uint8_t placed_length;
};

struct block {
    uint64_t number, seed;
    enum x86_mode mode;
    bool user;   /* CPL 3 */
    bool legacy; /* 32-bit code without long mode */
    bool split_code, data_nx, ist;
    unsigned last_code; /* the page behind the code: 0 nothing there, 1 no execution */
    uint64_t start;     /* where the first item lies */
    struct item item[MAX_ITEMS];
    unsigned count;

    struct x86_state in; /* but for what world.c sets */
    uint64_t fill;       /* seed of the data's and the stacks' contents */
    uint64_t random;     /* of RDRAND */
    uint64_t limit;      /* instructions */
    uint64_t stop;       /* one stop more before the limit, to go on from; 0: none */
    uint64_t interrupt;  /* an interrupt comes after so many; ~0: never */
};

/* generate.c */
void block_generate(struct block *block, const struct x86_cpuid_model *model, uint64_t seed, uint64_t number);

/* layout.c: addresses and bytes; the whole code, from CODE_BASE on. */
void block_layout(struct block *block, uint8_t code[CODE_PAGES * 4096]);
/* The item that stands for i: itself, or what follows if it was dropped. */
unsigned block_standing(const struct block *block, unsigned i);

/* ---- a machine that runs them ---- */

struct outcome {
    struct x86_state state;
    uint64_t instructions;
    enum vm_exit exit;
};

struct world {
    struct machine machine;
    const char *name;
    struct outcome outcome;
    /* Set by "step": a REP wrote over its own bytes, and how soon that is noticed is nobody's promise. */
    bool unspecified;
    bool data_fetched; /* code ran in the pages for data, or right before them; by "step" */
};

void world_init(struct world *world, const struct engine_ops *engine);
void world_finish(struct world *world);
void world_run(struct world *world, struct block *block);
/* Do both hold the same? NULL, or what differs first. */
const char *worlds_differ(const struct world *a, const struct world *b);

/* ---- engines.c ---- */

/* By its --engines name; NULL: none. "step" is x86_step(), an instruction at a time. The names from
 * engine_mutant() on are wrong on purpose. */
const struct engine_ops *engine_find(const char *name, size_t len);
const char *engine_mutant(unsigned i);
/* Has bt take some accesses for such as miss their slots or cross pages, as if it had seen so. Others:
 * nothing. */
void engine_learn(struct vm *vm, const struct block *b);

/* ---- report.c ---- */

/* Drops items as long as the worlds go on to differ. */
void block_shrink(struct block *block, struct world *a, struct world *b);
void report(struct block *block, struct world *a, struct world *b, const char *what);

#endif
