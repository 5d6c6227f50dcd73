/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter's inside: blocks, the pages they lie on, and the handlers.
 *
 *   s.rip ──► jump cache ──(miss)──► page by linear address ──► block by rip ──► op, op, op … ──► exit
 *                                                                  ▲                              │
 *                                                                  └──── link, within one page ───┘
 *
 * A block is a run of guest instructions in one page, decoded once into ops. An
 * op's handler does its work and goes on to the next op by a sibling call. Hot
 * handlers only know the common case: whatever is not (a TLB miss, MMIO, a page
 * crossing, a fault) leaves by a tail call to interp_miss() or interp_redo(),
 * before anything has changed, and the reference semantics of x86/ do the same
 * instruction. s.rip is exact only there and between blocks; an op knows its
 * offset in its block, and the block its address.
 *
 * Which blocks may run now. A block depends on
 *  - the state that decoding looked at (mode, CPL, …): the key;
 *  - the translation of its page: lin → gpa, which any TLB flush may change: the epoch.
 * Both make the stamp. A page carries the stamp under which it was last found
 * valid; a block may be entered from the jump cache if its page's stamp is the
 * present one. Links stay within a page, so that they need no check.
 *
 * Self-modifying code: see smc.c.
 *
 * Ownership: struct interp belongs to its vCPU's thread, but for what its comment
 * says. Blocks and pages live in the arena until the whole cache is flushed: a
 * dead block stays readable, and its first op leads back to the dispatcher.
 */
#ifndef ENGINE_INTERP_INTERP_INTERNAL_H
#define ENGINE_INTERP_INTERP_INTERNAL_H

#include "core/vm.h"
#include "engine/common/events.h"
#include "engine/interp/interp.h"
#include "x86/exec.h"
#include "x86/mem.h"
#include "x86/thunk.h"

struct interp;
struct interp_op;

/* Why a run of ops came back to the dispatcher. */
enum interp_next {
    INTERP_LOOK,  /* go on at s.rip, or see to cpu->request first */
    INTERP_CHAIN, /* go on at in->chain; only in builds without sibling calls */
    INTERP_BREAK, /* go on at s.rip; mode, translation or interrupt conditions may have changed */
    INTERP_FAULT, /* deliver cpu->fault; s.rip is at the instruction */
    INTERP_STEP,  /* let x86_step() do the instruction at s.rip */
    INTERP_HALT,  /* s.activity was set */
};

typedef enum interp_next interp_fn(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in);

/* Registers are numbers, or byte offsets in struct x86_cpu where the operand is a byte (AH is 1). */
struct interp_op {
    interp_fn *fn;
    union {
        int64_t disp;                /* of the address; a wide immediate */
        const struct x86_insn *insn; /* of generic ops */
    };
    int32_t imm;
    uint8_t dst;
    uint8_t src;
    uint8_t base;    /* slot: where in struct x86_cpu, in units of 8 bytes; INTERP_ZERO: nothing */
    uint8_t index;   /* slot */
    uint8_t seg;     /* slot of the segment's base */
    uint8_t scale;   /* bits 0..1: shift of the index; bit 5: the address is truncated to 32 bits */
    uint8_t slot;    /* place in block.op[] */
    uint8_t count;   /* guest instructions in the block up to and with this one */
    uint8_t length;  /* bytes, of the whole fused pair too */
    uint8_t links;   /* exits: bit n: exit n may be linked */
    uint16_t offset; /* of the instruction from the block's start */
};

/* Follows the last op of a block, in its array. */
struct interp_exit {
    const struct interp_op *link[2]; /* 0: fall through, 1: taken; NULL: not (yet) */
    uint64_t rip[2];
};

_Static_assert(sizeof(struct interp_op) == 32, "two ops in a cache line");
_Static_assert(sizeof(struct interp_exit) == sizeof(struct interp_op), "an exit takes an op's place");

/* Nothing lies behind DR4: it is always zero here, and so serves as an absent base, index or segment. */
#define INTERP_SLOT(member) (offsetof(struct x86_cpu, member) / 8)
#define INTERP_ZERO         INTERP_SLOT(s.dr[4])
_Static_assert(INTERP_ZERO < 256 && INTERP_SLOT(s.gpr) == 0, "slots are bytes");

#define INTERP_MAX_INSNS 48
#define INTERP_MAX_OPS   (INTERP_MAX_INSNS + 2) /* and the last one's exit */

struct interp_page;

/* Stands before a block's first op, where entering needs a check. */
struct interp_guard {
    interp_fn *first; /* the op's own handler */
    bool verify;      /* compare the bytes: a vCPU may still write without our seeing it (smc.c) */
    uint8_t bytes[];  /* as decoded */
};

struct interp_block {
    uint64_t rip;
    struct interp_page *page;  /* where it starts; in->dead_page if dead */
    struct interp_page *page2; /* where its one instruction ends, if it crosses into another page */
    struct interp_block *next_hash;
    struct interp_block *next_page;
    struct interp_block *next_page2;
    struct interp_guard *guard; /* NULL: none was ever needed */
    uint16_t bytes;
    uint16_t op_count;
    struct interp_op op[];
};

/* One linear page with code, under one key. */
struct interp_page {
    uint64_t stamp; /* in->stamp when lin → gpa was last found true */
    uint64_t lin, gpa;
    uint8_t *host;
    struct interp_block *blocks;  /* that start here */
    struct interp_block *blocks2; /* that end here, having started elsewhere */
    struct interp_page *next_lin, *next_gpa;
    uint32_t key;
    uint32_t gen;           /* the RAM page's when our first block was made */
    struct interp_ram *ram; /* NULL: ROM */
};

/* What the VM knows of one page of RAM. Guarded by interp_vm.lock, but for reads of lines. */
struct interp_ram {
    uint64_t lines;  /* 64-byte lines with code; atomic */
    uint64_t owners; /* vCPUs with blocks on it, by index */
    uint64_t seq;    /* when it was protected; see smc.c */
    uint32_t gen;    /* grows each time that code was written over */
};

struct interp_vm {
    struct vm *vm;
    struct plat_lock lock;
    struct interp_ram *ram; /* one per page of RAM, by mem_ram.offset */
    uint64_t ram_pages;
    uint64_t seq; /* protections asked for; atomic, written under lock */

    struct plat_lock exclusive; /* held by the vCPU that runs alone */
    uint32_t exclusive_wanted;  /* atomic */
};

#define INTERP_PARKED     UINT64_MAX

#define INTERP_JUMP_BITS  12
#define INTERP_HASH_BITS  12
#define INTERP_PAGE_BITS  9
#define INTERP_REDO_SIZE  16
#define INTERP_POSTED_MAX 16

#define INTERP_CHUNK      KIB(256)
#define INTERP_MAX_CHUNKS 10

/* What op.insn of interp_op_vector points to. */
struct interp_vector {
    struct x86_insn insn;
    const struct x86_thunk *thunk; /* NULL: not asked for yet */
    uint32_t generation;           /* of cpu->thunks when it was */
};

struct interp_redo {
    const struct interp_op *op;
    struct x86_insn insn;
};

struct interp {
    uint64_t stamp; /* epoch << 16 | key */
    /*
     * With fewer cpu.instructions than these, blocks may follow each other: the longest would not run past
     * cpu.instruction_limit, and nobody wants our attention. Whoever sets a bit of cpu.request clears it
     * (interp_kick); the vCPU sets it again before it looks at requests. Atomic.
     */
    uint64_t block_limit;
    struct interp_block *jump[1U << INTERP_JUMP_BITS];

    const struct interp_op *chain; /* INTERP_CHAIN's */
    struct vcpu *vcpu;
    struct interp_vm *ivm;
    struct events events;
    bool single; /* run by x86_step(): TF, breakpoints, an interrupt shadow */

    /* shared with other threads */
    uint64_t ack; /* atomic: interp_vm.seq as of our last TLB flush; INTERP_PARKED: not running guest code */
    uint32_t running;      /* atomic: must be waited for before another vCPU is alone */
    uint32_t posted_count; /* under ivm->lock; above INTERP_POSTED_MAX: too many, flush */
    struct interp_ram *posted[INTERP_POSTED_MAX];
    uint64_t flushed; /* interp_vm.seq as of our last TLB flush, while parked too */

    struct interp_block *hash[1U << INTERP_HASH_BITS];
    struct interp_page *by_lin[1U << INTERP_PAGE_BITS];
    struct interp_page *by_gpa[1U << INTERP_PAGE_BITS];
    struct interp_page dead_page;
    struct interp_block *dead_block;

    uint8_t *chunk[INTERP_MAX_CHUNKS];
    unsigned chunk_count; /* allocated */
    unsigned chunk_now;   /* filled from */
    size_t chunk_used;

    struct interp_redo redo[INTERP_REDO_SIZE];
    struct x86_insn insn[INTERP_MAX_INSNS]; /* of the block in the making */
    uint16_t insn_offset[INTERP_MAX_INSNS];
    uint16_t insn_live[INTERP_MAX_INSNS]; /* flags that somebody may look at afterwards */
    struct interp_op op[INTERP_MAX_OPS + 1];

    struct interp_stats stats;
    struct x86_thunks thunks;
};

static inline const struct interp_block *interp_block_of(const struct interp_op *op)
{
    return container_of(op - op->slot, struct interp_block, op[0]);
}

static inline unsigned interp_jump_hash(uint64_t rip)
{
    return (unsigned)(rip ^ rip >> INTERP_JUMP_BITS) & (BIT(INTERP_JUMP_BITS) - 1);
}

static inline bool interp_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static inline uint64_t interp_linear(const struct x86_cpu *cpu, uint64_t rip)
{
    return cpu->mode == X86_MODE_64 ? rip : (uint32_t)(cpu->s.seg[X86_CS].base + rip);
}

/* May a block be entered without a look at requests and limits? */
static inline bool interp_free(const struct x86_cpu *cpu, const struct interp *in)
{
    return cpu->instructions < __atomic_load_n(&in->block_limit, __ATOMIC_RELAXED);
}

/* Makes the vCPU look at cpu.request, where a bit has been set. Any thread. */
static inline void interp_kick(struct interp *in)
{
    __atomic_store_n(&in->block_limit, 0, __ATOMIC_SEQ_CST);
}

static inline uint32_t interp_request(const struct x86_cpu *cpu)
{
    return __atomic_load_n(&cpu->request, __ATOMIC_RELAXED);
}

/* ---- ops-generic.c: the ways out of the hot handlers, each in a tail call ---- */

#define INTERP_MISS(access, size) ((unsigned)(access) << 8 | (unsigned)(size))

/* The software TLB has no entry for an access to lin: fill it and try again, or fault. what: INTERP_MISS().
 */
enum interp_next interp_miss(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in, uint64_t lin,
                             unsigned what);
/* Does the op's instruction by its reference semantics, then goes on. */
interp_fn interp_redo;
/* The exit op's link n is not there: follows it by way of the jump cache, and links it if that is allowed.
 * s.rip is set. */
interp_fn interp_follow0, interp_follow1;
/* Ops by themselves. */
interp_fn interp_op_generic, interp_op_checked, interp_op_vector, interp_op_dead, interp_op_guard,
    interp_op_leave;

/* ---- cache.c ---- */

int interp_cache_init(struct interp *in);
void interp_cache_finish(struct interp *in);
/* The block at s.rip, made if need be. NULL: *next says what to do instead (INTERP_FAULT, INTERP_STEP). */
struct interp_block *interp_find(struct x86_cpu *cpu, struct interp *in, enum interp_next *next);
/* May a block with a guard be entered now? False: it is dead, or its second page is to be looked at by
 * interp_find(). */
bool interp_admit(struct x86_cpu *cpu, struct interp *in, struct interp_block *block);
/* Drops all blocks on a page of RAM. */
void interp_kill_ram(struct interp *in, const struct interp_ram *ram);
void interp_flush(struct interp *in);
/* NULL: no room, which does not happen in interp_build(). */
void *interp_arena(struct interp *in, size_t size);
/* The page of a linear address, valid now; NULL: as interp_find(). */
struct interp_page *interp_find_page(struct x86_cpu *cpu, struct interp *in, uint64_t lin,
                                     enum interp_next *next);
/* After anything that may have changed mode, rights or translation. */
void interp_restamp(struct x86_cpu *cpu, struct interp *in);

/* ---- build.c, select.c ---- */

/* Decodes a block at s.rip on page; NULL: as interp_find(). */
struct interp_block *interp_build(struct x86_cpu *cpu, struct interp *in, struct interp_page *page,
                                  enum interp_next *next);

/* What the selection of a handler may count on. */
struct interp_select {
    enum x86_mode mode;
    bool memory;   /* hot handlers for memory operands apply: flat segments, no alignment checks */
    bool stack;    /* and for the stack */
    bool flat;     /* and for branches */
    uint64_t rip;  /* of the next instruction */
    uint16_t live; /* flags that must be right afterwards */
};

enum interp_selected {
    INTERP_GENERIC, /* no hot handler */
    INTERP_SKIP,    /* it does nothing: no op at all */
    INTERP_OP,
    INTERP_EXIT, /* ends the block; *exit is filled too */
};

/* Fills op's handler and operands if there is a hot one. */
enum interp_selected interp_select(const struct interp_select *sel, const struct x86_insn *insn,
                                   struct interp_op *op, struct interp_exit *exit);
/* Makes CMP or TEST and the JCC that follows one op, an exit. sel->rip is behind the JCC. False: not these.
 */
bool interp_fuse(const struct interp_select *sel, const struct x86_insn *first, const struct x86_insn *jcc,
                 struct interp_op *op, struct interp_exit *exit);
/* An op that does nothing but go on at exit 0. */
interp_fn interp_op_goto;

/* ---- smc.c ---- */

struct interp_ram *interp_ram_of(struct vm *vm, uint64_t gpa);
/* Blocks were made from lines first..last of page. False: the page is stale, its blocks must go first. */
bool interp_track(struct interp *in, struct interp_page *page, unsigned first, unsigned last);
/* Do all vCPUs' stores to the page come by memory_written() by now? */
bool interp_sealed(const struct interp *in, const struct interp_ram *ram);
bool interp_page_write_fast(struct vm *vm, uint64_t gpa);
void interp_memory_written(struct vm *vm, uint64_t gpa, uint64_t len);
/* Sees to what other threads posted, and waits while another vCPU is alone. */
void interp_attend(struct interp *in);
void interp_enter(struct interp *in);
void interp_park(struct interp *in);
void interp_tlb_flush(struct interp *in);
void interp_exclusive(struct vcpu *vcpu, bool begin);

#endif
