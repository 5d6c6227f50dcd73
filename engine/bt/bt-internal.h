/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translator's inside: frames, blocks, sites, and the code cache.
 *
 * Registers in translated code
 *   guest  rdx rbx rbp rsi rdi r8 to r12      in the same host register
 *   guest  rax → r15, rcx → r14, rsp → r13;   r13, r14, r15 in the frame
 *   host   rcx: addresses; rax: flags and all else; rsp: the host's stack; GS: the frame
 *
 * Flags are where they were made, in EFLAGS, or saved in frame.cc in the form of
 * x86_cpu.cc: saving them takes LAHF, SETO and a store, and each check of an
 * address wants EFLAGS. A block has two entries, one for each place.
 *
 * A memory access looks in a slot of the frame, chosen by the base register, for
 * the page's host address. What is not there is looked for in C (bt_slow()), which
 * fills the slot, or executes the instruction by its reference semantics.
 *
 * Locking: bt_vm.lock guards the cache, all blocks, pages and links. Frames belong
 * to their vCPU's thread, but for `poll` and what bt_vcpu says.
 */
#ifndef ENGINE_BT_BT_INTERNAL_H
#define ENGINE_BT_BT_INTERNAL_H

#include "core/vm.h"
#include "engine/bt/bt.h"
#include "engine/bt/region.h"
#include "engine/common/events.h"
#include "x86/exec.h"
#include "x86/mem.h"
#include "x86/thunk.h"

struct bt_vm;
struct bt_block;
struct bt_page;

/* ---- what translated code sees through GS ---- */

/*
 * The translation of one page, for accesses by one base register; tags as in
 * x86_tlb_entry. A right that is not there has bt_vm.none as its tag: a random page
 * that is not canonical, so that honest code never asks for it; who guesses it all
 * the same finds frame.scratch behind it.
 */
struct bt_slot {
    uint64_t tag[2];    /* read, write */
    uint64_t addend[2]; /* host = lin + addend */
};

#define BT_SLOT_GROUP    0  /* + base register */
#define BT_SLOT_ALONE    16 /* + base or index register: accesses in no group */
#define BT_SLOT_ABSOLUTE 32 /* + hash of the page */
#define BT_SLOT_SEGMENT  48 /* + 8 for GS, + hash */
#define BT_SLOTS         64

/* Tables for indirect branches, by what code they lead to. */
enum bt_class { BT_CLASS_USER, BT_CLASS_KERNEL, BT_CLASS_KERNEL_AC, BT_CLASS_OTHER, BT_CLASSES };

#define BT_JUMP_BITS    16 /* by the low bits of the target: MOVZX needs no flags */
#define BT_ITLB_BITS    12

#define BT_SHADOW_WORDS 2048

/* After so many refills of slots bt_slow() is asked; counted by some bits of the caller's address. */
#define BT_REFILLS     32
#define BT_REFILL_BITS 10

struct bt_frame {
    struct bt_frame *self;
    struct x86_cpu *cpu;
    uint64_t gpr[16]; /* only those that live here while translated code runs */
    uint32_t cc;
    uint32_t vec_dead; /* the guest's vector registers are in cpu->s, not in the host's */
    uint32_t poll;     /* atomic: look at cpu->request */
    uint32_t waiting;  /* for IF, or something like it, an interrupt or NMI does; beside poll: both are asked
                          at once */
    uint32_t host_mxcsr;
    uint32_t x87_dead;        /* the same for the x87 */
    uint64_t x87_image;       /* address of an XSAVE image in x87_room */
    struct bt_site *x87_last; /* the last x87 instruction since the state became live, or NULL */
    uint64_t x87_fdp;
    uint64_t fs_base, gs_base;
    uint64_t count, limit; /* --icount: instructions before the block that runs; where no block may begin */
    uint64_t lin;          /* of the access that missed; or where an indirect branch led */
    uint64_t kept;         /* a value between the two accesses of PUSH or CALL */
    uint64_t host_sp;      /* C's stack */
    uint64_t shadow_sp;    /* translated code's, while C runs */
    uint64_t shadow_top;
    uint64_t shadow_low;  /* a CALL below it starts anew; atomic: beside poll, all of them do */
    struct bt_site *site; /* who called; NULL: an indirect branch that nobody knows */
    uint64_t target;      /* host code to go on at */
    uint32_t branch;      /* offset of the latest indirect branch's site in the cache */
    /* refill.c */
    uint64_t spill[3];
    uint64_t none, none_addend;        /* of a slot's right that is not there */
    uint64_t slot_used[X86_MMU_COUNT]; /* bits: slots that may hold something */
    uint16_t refills[1U << BT_REFILL_BITS];
    uint32_t itlb[1U << BT_ITLB_BITS]; /* bt_page.id of pages that may be run now */
    uint32_t class_key[BT_CLASSES];    /* whose tables these are */
    struct bt_slot slot[X86_MMU_COUNT][BT_SLOTS];
    uint64_t group_addend[16]; /* by base register: of a group that looked in the TLB itself, in its block */
    uint32_t jump[BT_CLASSES][1U << BT_JUMP_BITS]; /* host addresses, below 4 GiB */
    uint8_t scratch[4096];
    uint8_t x87_room[640]; /* 576, aligned to 64 */
    /*
     * Translated code's stack, where each CALL of the guest leaves its return address and the host's: a RET
     * that leads where its CALL said is the host's RET, which the processor predicts. Whoever enters
     * translated code, and a RET that finds something else, begins at the top again, where an address lies
     * that none matches.
     */
    uint8_t signal_room[KIB(24)];
    uint64_t shadow[BT_SHADOW_WORDS];
    struct x86_tlb tlb;
};

/* ---- sites: places in translated code that call C ---- */

enum bt_site_kind {
    BT_SITE_ACCESS,  /* a memory access whose slot missed */
    BT_SITE_GENERIC, /* an instruction without translation */
    BT_SITE_EXIT,    /* the end of a block: a direct branch */
    BT_SITE_X87,     /* an x87 instruction, for who asks which was the last; calls nothing */
    BT_SITE_BRANCH,  /* an indirect branch, for its fault */
};

struct bt_site {
    uint64_t rip; /* of the instruction */
    struct bt_block *block;
    uint32_t key;    /* of the state here, which STAC and CLAC change inside of a block */
    uint16_t offset; /* of the instruction in the block, bytes */
    uint16_t index;  /* of the instruction in the block, for counts */
    uint8_t kind;    /* enum bt_site_kind */
    uint8_t length;  /* of the instruction */
    bool vec;        /* the code behind counts on vector registers being live */
    bool x87;        /* and on the x87 */
    bool shadow;     /* behind an STI that opened IF */
    union {
        struct {            /* accesses, and instructions by reference */
            bool group;     /* other accesses count on this check */
            bool poly;      /* looks in the TLB itself */
            uint8_t mmu;    /* enum x86_mmu_index */
            uint8_t access; /* enum x86_mem_access */
            uint8_t slot;
            uint16_t span;               /* bytes from lin on that the check covers */
            uint16_t delta;              /* from lin to the access itself */
            uint16_t misses;             /* while the TLB had it, since then */
            uint32_t since;              /* host's time stamp, in units of 1024 */
            uint32_t retry;              /* code offsets: do the access again */
            uint32_t resume;             /* the instruction behind */
            const struct x86_insn *insn; /* generic */
        };
        uint16_t fop;  /* x87 */
        uint32_t undo; /* branches: bytes that a RET has moved rSP */
        struct {       /* exits */
            uint64_t rip;
            struct bt_block *to;
            struct bt_site *next;    /* of those linked to the same block */
            struct bt_site *sibling; /* of the same block */
            uint32_t jump;           /* code offset of the displacement to patch */
            uint32_t unlinked;       /* where it led at first: code offset */
            uint32_t guard;          /* code offset of the page id to compare, 0: none */
            bool saved;              /* flags are in frame.cc at the jump */
        } exit;
    };
};

/* Most sites are accesses. */
static inline size_t bt_site_size(enum bt_site_kind kind)
{
    switch (kind) {
    case BT_SITE_ACCESS:
        return offsetof(struct bt_site, insn);
    case BT_SITE_GENERIC:
        return offsetof(struct bt_site, insn) + sizeof(void *);
    case BT_SITE_X87:
        return offsetof(struct bt_site, fop) + sizeof(uint16_t);
    case BT_SITE_BRANCH:
        return offsetof(struct bt_site, undo) + sizeof(uint32_t);
    default:
        return sizeof(struct bt_site);
    }
}

/* ---- blocks and pages ---- */

/* Where one guest instruction is, from the block's start, and where its host code ends, from its code's. */
struct bt_extent {
    uint16_t guest, host_end;
};

struct bt_block {
    uint64_t rip;
    uint32_t key;
    uint32_t bytes;
    uint32_t entry_host, entry_saved, entry_checked; /* code offsets */
    uint32_t code, code_size;
    bool dead;             /* atomic */
    bool sealed;           /* atomic: all stores to its bytes are told by now */
    bool plain;            /* made without groups */
    struct bt_page *page;  /* where it starts */
    struct bt_page *page2; /* where its last instruction ends, if elsewhere */
    struct bt_block *next_hash, *next_page, *next_page2, *next_region;
    struct bt_site *incoming; /* exits linked to us */
    struct bt_site *exits;
    struct bt_extent *extents; /* of its instructions */
    uint16_t insns;
    const uint8_t *bytes_seen; /* as decoded */
};

/* A linear page of code, for programs or for supervisors. */
struct bt_page {
    uint64_t lin, gpa;
    bool user;
    uint32_t id; /* even; unique in the VM */
    uint8_t *host;
    struct bt_ram *ram; /* NULL: ROM */
    struct bt_block *blocks, *blocks2;
    struct bt_page *next_lin, *next_ram;
    bool gone;      /* atomic: will not be found again, and be freed when no vCPU knows it */
    uint64_t swept; /* the eviction that last looked at its blocks */
};

/* What the VM knows of one page of RAM. */
struct bt_ram {
    uint64_t lines; /* 64-byte lines with code; atomic, written under lock */
    uint64_t seq;   /* when it was protected; see smc.c */
    struct bt_page *pages;
    uint32_t stores; /* atomic; beside the code, since the last time that it was unprotected */
};

/* ---- VM and vCPU ---- */

/*
 * No block needs more. Of those that were made to need much, the longest took 11 KiB of code (64 LOCK BTS
 * with a segment, index and displacement), and 32 KiB of descriptions (64 IDIV of memory).
 */
#define BT_CODE_RESERVE  KIB(64)
#define BT_ARENA_RESERVE KIB(40)
#define BT_HASH_BITS     17
#define BT_PAGE_BITS     12
#define BT_MARK_BITS     12
#define BT_MAX_INSNS     64
#define BT_PARKED        UINT64_MAX
#define BT_WAITS         64 /* instructions to step while there is no room, before others get our processor */

/* In the key: MXCSR lets an exception through, which the host must not raise. */
#define BT_KEY_UNMASKED BIT(18)
/* The x87's control word does, or an exception is pending. */
#define BT_KEY_X87 BIT(20)
/* EFLAGS.AC at CPL 3 under CR0.AM: all accesses are checked for alignment. */
#define BT_KEY_ALIGNED BIT(13)
/* CR4.SMAP: AC changes rights. */
#define BT_KEY_SMAP BIT(19)

/* Stubs for string instructions: strings.c. */
enum bt_string_op {
    BT_STRING_MOVS,
    BT_STRING_STOS,
    BT_STRING_LODS,
    BT_STRING_SCAS,
    BT_STRING_CMPS,
    BT_STRING_OPS,
};
enum bt_string_repeat { BT_STRING_ONCE, BT_STRING_REP, BT_STRING_REPNE, BT_STRING_REPEATS };

struct bt_mapping {
    void *cache, *room; /* the latter with what is around it; NULL: none */
    size_t size;        /* of the room, bytes */
};

struct bt_code {
    uint8_t *write;      /* the writable mapping */
    const uint8_t *exec; /* the executable one, below 2 GiB */
    size_t size;
    size_t used;
    struct bt_mapping mapping[2];
    size_t fixed; /* stubs, which are never dropped */
    /* Stubs' offsets; 0 is the one for indirect branches. */
    uint32_t enter, slow, leave, vec_load, x87_load, tsc, flags_save;
    uint32_t refill[X86_MMU_COUNT][2];                                   /* reads, writes */
    uint32_t string[X86_MMU_COUNT][BT_STRING_OPS][4][BT_STRING_REPEATS]; /* by log2 of the element's size */
};

/* Addresses of instructions, by hash: a newer one takes an older one's place. */
struct bt_marks {
    uint64_t rip[1U << BT_MARK_BITS];
};

struct bt_vm {
    struct vm *vm;
    struct plat_lock lock;
    struct bt_code code;
    struct bt_ram *ram; /* one per page of RAM, by mem_ram.offset */
    uint64_t seq;       /* protections asked for; atomic */
    uint64_t none;      /* see struct bt_slot */
    uint32_t published; /* atomic: grows when a block is whole, before anything leads to it */
    uint32_t next_id;
    uint32_t epoch; /* of the cache: grows when all is dropped; atomic */

    struct bt_block *hash[1U << BT_HASH_BITS];
    struct bt_page *by_lin[1U << BT_PAGE_BITS];
    struct bt_marks poly;     /* their accesses miss their slots: look in the TLB */
    struct bt_marks crossing; /* their groups are often in two pages: leave them alone */
    struct bt_regions regions;

    struct plat_lock exclusive; /* held by the vCPU that runs alone */
    uint32_t exclusive_wanted;  /* atomic */

    bool avx, bmi2, fsgsbase, shifts_make_flags; /* of the host */
    struct bt_translation *translation;          /* the one in the making */
    struct bt_stats stats;                       /* of translations and links; killed is atomic */
};

struct bt_vcpu {
    struct bt_frame *frame;
    struct vcpu *vcpu;
    struct bt_vm *bvm;
    uint32_t key;                                   /* of the present state */
    uint32_t epoch;                                 /* of the cache that the frame's tables belong to */
    uint64_t generation;                            /* of the TLB that slots and itlb were filled from */
    struct bt_page *itlb_page[1U << BT_ITLB_BITS];  /* whose id frame.itlb has; only where that is not 0 */
    uint64_t itlb_used[(1U << BT_ITLB_BITS) / 64];  /* bits: where it is not 0 */
    uint64_t itlb_local[(1U << BT_ITLB_BITS) / 64]; /* bits, of those: where the page is not global */
    struct events events;
    bool single; /* run by x86_step(): TF, breakpoints, an interrupt shadow */

    /* set by bt_slow() when it returns 0 */
    int next;        /* enum bt_next */
    bool want_plain; /* the next block shall have no groups */

    /* shared with other threads */
    uint64_t ack;            /* atomic: bt_vm.seq as of our last TLB flush, BT_PARKED */
    uint64_t flushed;        /* the same, while parked too */
    uint32_t running;        /* atomic: must be waited for before another vCPU is alone */
    uint64_t evictions;      /* atomic: of which nothing is left here (region.h), BT_PARKED */
    uint32_t waits;          /* times that there was no room, as others had not acknowledged yet */
    uint64_t evictions_seen; /* the same, while parked too */

    struct bt_stats stats; /* of what ran */
    uint64_t *generic;     /* runs of reference semantics, by x86_id */
    struct x86_thunks thunks;
};

/* Why translated code came back. */
enum bt_next {
    BT_LOOK,  /* go on at s.rip */
    BT_BREAK, /* go on at s.rip; mode, translation or interrupt conditions may have changed */
    BT_FAULT, /* deliver cpu->fault; s.rip is at the instruction */
    BT_STEP,  /* let x86_step() do the instruction at s.rip */
    BT_HALT,  /* s.activity was set */
    BT_DOWN,  /* triple fault */
};

/*
 * For those who come from translated code to a block's data: links are made by release stores, but no
 * compiler or checker sees the jump that acquires them.
 */
static inline void bt_acquire(const struct bt_vm *bvm)
{
    (void)__atomic_load_n(&bvm->published, __ATOMIC_ACQUIRE);
}

static inline bool bt_polled(const struct bt_frame *frame)
{
    return __atomic_load_n(&frame->poll, __ATOMIC_RELAXED);
}

/*
 * Asks for a look, from any thread. Neither CALLs to what lies ahead nor the RETs that match them look at
 * poll; so each CALL starts the shadow stack anew meanwhile, and the second RET in a row finds nothing there,
 * and looks. In this order, and the other one to end it: where poll is set in the end, so is the other.
 */
static inline void bt_set_poll(struct bt_frame *frame)
{
    __atomic_store_n(&frame->poll, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&frame->shadow_low, UINT64_MAX, __ATOMIC_SEQ_CST);
}

static inline void bt_clear_poll(struct bt_frame *frame)
{
    __atomic_store_n(&frame->shadow_low, (uint64_t)(uintptr_t)&frame->shadow[2], __ATOMIC_SEQ_CST);
    __atomic_store_n(&frame->poll, 0, __ATOMIC_SEQ_CST);
}

/* Is poll set, or has this vCPU's own instruction asked for something? */
static inline bool bt_is_asked(const struct bt_frame *frame)
{
    return bt_polled(frame) || events_requests(frame->cpu);
}

static inline bool bt_is_sealed(const struct bt_block *block)
{
    return __atomic_load_n(&block->sealed, __ATOMIC_RELAXED);
}

static inline bool bt_is_dead(const struct bt_block *block)
{
    return __atomic_load_n(&block->dead, __ATOMIC_RELAXED);
}

static inline bool bt_is_gone(const struct bt_page *page)
{
    return __atomic_load_n(&page->gone, __ATOMIC_RELAXED);
}

static inline struct bt_vcpu *bt_of(struct vcpu *vcpu)
{
    return vcpu->engine_data;
}

static inline uint64_t bt_linear(const struct x86_cpu *cpu, uint64_t rip)
{
    return cpu->mode == X86_MODE_64 ? rip : (uint32_t)rip; /* flat */
}

static inline bool bt_is_canonical(const struct x86_cpu *cpu, uint64_t lin)
{
    unsigned unused = cpu->s.cr4 & X86_CR4_LA57 ? 7 : 16;

    return cpu->mode != X86_MODE_64 || (uint64_t)((int64_t)(lin << unused) >> unused) == lin;
}

static inline enum bt_class bt_class_of(uint32_t key)
{
    if ((key & 3) != X86_MODE_64)
        return BT_CLASS_OTHER;
    if ((key >> 2 & 3) == 3)
        return BT_CLASS_USER;
    return (key >> 16 & 3) == X86_MMU_KERNEL_AC ? BT_CLASS_KERNEL_AC : BT_CLASS_KERNEL;
}

/* The key after a change of privilege or rights, AC being clear in user mode. */
static inline uint32_t bt_key_of(uint32_t key, unsigned cpl, unsigned mmu)
{
    return (key & ~(3U << 2 | 3U << 16 | BT_KEY_ALIGNED)) | cpl << 2 | mmu << 16;
}

static inline unsigned bt_itlb_slot(uint64_t lin)
{
    return (unsigned)(lin >> 12 ^ lin >> (12 + BT_ITLB_BITS)) & (BIT(BT_ITLB_BITS) - 1);
}

static inline void bt_lock(struct bt_vm *bvm)
{
    bvm->vm->plat->ops->lock(bvm->vm->plat, &bvm->lock);
}

static inline void bt_unlock(struct bt_vm *bvm)
{
    bvm->vm->plat->ops->unlock(bvm->vm->plat, &bvm->lock);
}

/* The state that translation looks at. */
uint32_t bt_state_key(const struct x86_cpu *cpu);

/* ---- code.c: the code cache's memory ---- */
/* Can there be a code cache here, and can what lies in it run? */
int bt_code_probe(struct error *err);
/* size 0: the default, or less where the host does not give that. */
int bt_code_init(struct bt_vm *bvm, size_t size, struct error *err);
void bt_code_finish(struct bt_vm *bvm);
/* These bytes of the cache will be used: from the host's large pages if it has some, for fewer TLB misses. */
void bt_code_want_large(const struct bt_vm *bvm, size_t from, size_t to);
/* The address of the frame for translated code, as GS. */
void bt_set_gs(const struct bt_vm *bvm, struct bt_frame *frame);

/* ---- stubs.c ---- */
void bt_stubs_make(struct bt_vm *bvm);
typedef void bt_enter_fn(struct bt_frame *frame, const void *code);

/* ---- system.c: what a stub calls with vector registers untouched ---- */
uint64_t bt_tsc(struct x86_cpu *cpu);

/* ---- slow.c: what stubs call ---- */
/* Sees to frame->site. Returns the host address to go on at, 0: leave translated code (bt_vcpu.next). */
uint64_t bt_slow(struct bt_frame *frame);

/* ---- copies.c: copies of translations, in slots and the itlb ---- */
void bt_fill_slot(struct bt_vcpu *bv, unsigned mmu, unsigned number, const struct x86_tlb_entry *e);
/* The page may be run where it lies. */
void bt_fill_itlb(struct bt_vcpu *bv, struct bt_page *page);
/* All go; those that give write rights to a page of RAM. */
void bt_forget(struct bt_vcpu *bv);
void bt_forget_writes(struct bt_vcpu *bv, const uint8_t *page);
/* Pages that will not be found again. */
void bt_forget_gone(struct bt_vcpu *bv);
/* After C code ran: copies of what the TLB has dropped go. True: it dropped something. */
bool bt_check_generation(struct bt_vcpu *bv);

/* ---- resume.c: from C back to translated code ---- */
/*
 * Behind an instruction that left its block (bv->next): delivers its fault, and
 * returns the host address to go on at. 0: the dispatcher shall see to it.
 */
uint64_t bt_go_on(struct bt_vcpu *bv);
/*
 * The same for the dispatcher, at s.rip, where `exit` leads to. tried: translated code has looked in the
 * table itself, and found another block or page.
 */
uint64_t bt_shortcut(struct bt_vcpu *bv, const struct bt_site *exit, bool tried);
/* Has nobody to be asked before the next instruction: no event, request, or debugging? */
bool bt_is_quiet(const struct bt_vcpu *bv);
/* False: triple fault. */
bool bt_deliver_fault(struct bt_vcpu *bv);

/* ---- cache.c ---- */
/* The block at s.rip, made if need be. NULL: bv->next says what to do instead. plain: one without groups. */
struct bt_block *bt_find(struct bt_vcpu *bv, bool plain);
/* Ties an exit to its block. */
void bt_link(struct bt_vcpu *bv, struct bt_site *exit, struct bt_block *to);
void bt_remember_jump(struct bt_vcpu *bv, struct bt_block *block);
/* The page of a linear address, valid now. NULL: bv->next. Lock not held on entry, held on success. */
struct bt_page *bt_find_page(struct bt_vcpu *bv, uint64_t lin);
/* The same if it is known to be valid, without asking; lock held. */
struct bt_page *bt_known_page(const struct bt_vcpu *bv, uint64_t lin);
void bt_kill(struct bt_vm *bvm, struct bt_block *block); /* lock held */
/* All of a region's blocks; lock held. Returns how many were alive. */
unsigned bt_kill_all(struct bt_vm *bvm, struct bt_block *blocks, uint64_t eviction);
/* The page has no blocks and will not be found again; lock held. */
void bt_forget_page(struct bt_page *page);
bool bt_is_marked(const struct bt_marks *marks, uint64_t rip);
void bt_mark(struct bt_marks *marks, uint64_t rip); /* lock held */

/* ---- translate.c ---- */
/* Lock held. NULL: bv->next. */
struct bt_block *bt_translate(struct bt_vcpu *bv, struct bt_page *page, bool plain);

/* ---- dump.c ---- */
unsigned bt_dump_code(struct vm *vm, uint64_t lin, engine_line_fn *line, void *opaque);

/* ---- stats.c ---- */
void bt_counters(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque);

/* ---- smc.c ---- */
struct bt_ram *bt_ram_of(struct vm *vm, uint64_t gpa);
/* Blocks were made from bytes first..last of the page. Lock held. */
void bt_track(struct bt_vcpu *bv, struct bt_page *page, unsigned first, unsigned last);
bool bt_sealed(const struct bt_vcpu *bv, const struct bt_ram *ram);
bool bt_page_write_fast(struct vm *vm, uint64_t gpa);
void bt_memory_written(struct vm *vm, uint64_t gpa, uint64_t len);
void bt_attend(struct bt_vcpu *bv);
void bt_enter_guest(struct bt_vcpu *bv);
void bt_park(struct bt_vcpu *bv);
void bt_tlb_flush(struct bt_vcpu *bv);
void bt_exclusive(struct vcpu *vcpu, bool begin);
/* Drops all code; the other vCPUs wait outside meanwhile. */
void bt_flush_all(struct bt_vcpu *bv);
/* Has the other vCPU leave translated code and look at the request. */
void bt_ask(struct bt_vcpu *bv, uint32_t request);

#endif
