/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A translation in the making. One at a time in a VM, under bt_vm.lock.
 *
 * plan.c looks at all instructions first: which accesses share a check. Then
 * translate.c and its emit_*.c write code, instruction by instruction; what is
 * rarely run (slot misses, exits not yet linked) is noted and written behind.
 */
#ifndef ENGINE_BT_TRANSLATE_H
#define ENGINE_BT_TRANSLATE_H

#include "engine/bt/bt-internal.h"
#include "engine/bt/emit.h"
#include "engine/bt/map.h"

/* Where the arithmetic flags are. */
enum bt_flags {
    BT_FLAGS_HOST = 1,  /* in EFLAGS */
    BT_FLAGS_SAVED = 2, /* in frame.cc */
    BT_FLAGS_BOTH = 3,
    BT_FLAGS_RECIPE = 4, /* they can be made again; see flags.c */
    BT_FLAGS_DEAD = 8,   /* nobody looks at them until they are made anew */
};

#define BT_SPAN_MAX 512 /* bytes that one check may stand for */

/* One of at most two accesses of an instruction: [0] the operand's, [1] the stack's. */
struct bt_access {
    bool present;
    bool grouped; /* by base register, sharing one check */
    bool first;   /* the group's first of its kind: check here */
    bool alone;   /* nobody else in the group */
    bool poly;    /* its check, or the group's, looks in the TLB itself */
    bool write;
    uint8_t base;  /* guest register */
    uint8_t group; /* number */
    uint16_t size;
    int32_t low;   /* of the group's range, from the base register's value here */
    uint16_t span; /* bytes of the range */
};

struct bt_plan {
    struct bt_access access[2];
};

enum bt_later_kind { BT_LATER_ACCESS, BT_LATER_EXIT, BT_LATER_SIDE, BT_LATER_SHADOW };

/* Code to be written behind the block. */
struct bt_later {
    uint8_t kind;  /* enum bt_later_kind */
    uint8_t lin;   /* access: how to get at it, enum bt_later_lin */
    uint8_t index; /* side: the instruction */
    uint8_t recipe;
    enum bt_flags flags;
    uint32_t key;     /* side */
    uint32_t from[4]; /* displacements that lead here; 0: none */
    int32_t tag;      /* BT_LIN_TABLE: the tags' place in the frame */
    uint64_t value;   /* side: the target; shadow: code offset to go on at */
    struct bt_site *site;
};

enum bt_later_lin {
    BT_LIN_TAG,   /* rcx + slot's tag; refill.c */
    BT_LIN_TABLE, /* rcx + tag of the TLB entry at rax */
    BT_LIN_RCX,
};

#define BT_LATER_MAX (BT_MAX_INSNS * 6)

struct bt_translation {
    struct emit e;
    struct bt_vcpu *bv;
    struct bt_vm *bvm;
    struct x86_cpu *cpu;
    struct bt_page *page, *page2;
    struct bt_block *block;
    uint64_t rip;
    unsigned offset, bytes, count; /* offset of rip in the page */
    unsigned now;                  /* the instruction in work */
    bool plain, wide;              /* wide: 64-bit mode */
    bool vec_live, x87_live;       /* checked in this block */
    bool counting;                 /* --icount */
    enum bt_flags flags;
    uint8_t recipe;    /* the instruction whose flags they are, while BT_FLAGS_RECIPE */
    uint8_t mirror[2]; /* mirror.c: guest registers that rax and rcx hold, at mirror_at only */
    uint8_t mirror_last;
    uint32_t mirror_at;
    unsigned later_count, exit_count;
    uint32_t key;       /* of the state at the present instruction */
    unsigned shadow_of; /* the instruction behind an STI that opened IF */
    uint8_t mmu;
    struct x86_insn insn[BT_MAX_INSNS];
    uint16_t insn_offset[BT_MAX_INSNS];
    bool is_inline[BT_MAX_INSNS];    /* has a translation; by the plan */
    uint32_t insn_end[BT_MAX_INSNS]; /* code offsets, for dumps */
    struct bt_plan plan[BT_MAX_INSNS];
    bool flags_wanted[BT_MAX_INSNS]; /* behind each instruction */
    uint8_t save_at;                 /* the instruction whose flags are saved as they are made */
    struct bt_later later[BT_LATER_MAX];
    uint8_t code[BT_MAX_INSNS * X86_MAX_INSN_LEN];
};

static inline const struct x86_insn *bt_now(const struct bt_translation *t)
{
    return &t->insn[t->now];
}

static inline uint64_t bt_insn_rip(const struct bt_translation *t)
{
    return t->rip + t->insn_offset[t->now];
}

static inline uint64_t bt_next_rip(const struct bt_translation *t)
{
    uint64_t rip = bt_insn_rip(t) + bt_now(t)->length;

    return t->wide ? rip : (uint32_t)rip;
}

static inline uint8_t bt_host(unsigned guest)
{
    return bt_host_reg[guest];
}

static inline struct host_mem bt_frame_gpr(unsigned reg)
{
    struct host_mem m = HOST_FRAME(gpr);

    m.disp += (int32_t)(8 * reg);
    return m;
}

/* ---- mirror.c ---- */

/* The host register that holds what frame.gpr has of the guest's, here; HOST_NONE: none. */
unsigned bt_mirror_of(const struct bt_translation *t, unsigned guest);
/* rax or rcx := a guest register that lives in the frame. */
void bt_mirror_load(struct bt_translation *t, unsigned host, unsigned guest);
/* Code that is written between these two leaves rax and rcx as they were, but for what is said. */
void bt_mirror_open(struct bt_translation *t);
void bt_mirror_close(struct bt_translation *t);
void bt_mirror_lose(struct bt_translation *t, unsigned host);
void bt_mirror_changed(struct bt_translation *t, unsigned guest);
void bt_mirror_set(struct bt_translation *t, unsigned host, unsigned guest);
/* Control may come here from elsewhere. */
void bt_mirror_forget(struct bt_translation *t);

/* ---- plan.c ---- */

/* Uses the stack by itself: bytes that rSP moves (negative: a push), 0 if not. Only what is translated. */
int bt_stack_move(const struct x86_insn *insn);
bool bt_is_inline(const struct bt_translation *t, const struct x86_insn *insn);
void bt_make_plan(struct bt_translation *t);

/* Does the instruction change the register? */
bool bt_writes(const struct x86_insn *insn, unsigned reg);
/* Is there a check of its address? */
bool bt_has_check(const struct bt_translation *t, unsigned insn);

/* ---- flags.c ---- */

/* What an instruction wants of the flags before it. */
enum bt_flags_need {
    BT_NEED_NOTHING,
    BT_NEED_MADE, /* it makes them all */
    BT_NEED_ALL,  /* it reads some, leaves some as they were, or leaves some undefined */
};
enum bt_flags_need bt_flags_need(const struct bt_translation *t, const struct x86_insn *insn);
void bt_flags_host(struct bt_translation *t);          /* makes them be in EFLAGS; rax is lost */
void bt_flags_saved(struct bt_translation *t);         /* makes them be in frame.cc; rax is lost */
void bt_flags_saved_briefly(struct bt_translation *t); /* in few bytes, for code that seldom runs */
void bt_put_flags_save(struct emit *e);                /* from EFLAGS to frame.cc */
void bt_flags_spare(struct bt_translation *t); /* makes them be elsewhere than in EFLAGS alone; rax is lost */
void bt_flags_lost(struct bt_translation *t);  /* what was written changed EFLAGS */
/* Finds where nobody wants the flags. After the plan. */
void bt_flags_plan(struct bt_translation *t);
/* Around each instruction. */
void bt_flags_before(struct bt_translation *t);
void bt_flags_after(struct bt_translation *t);

/* ---- address.c ---- */
/*
 * Makes the host address of access n of the present instruction, checked. The
 * result uses rcx; rax is lost, EFLAGS perhaps. no_rex: the address
 * needs no REX prefix.
 */
struct host_mem bt_access(struct bt_translation *t, unsigned n, bool no_rex);
/* rcx := the operand's effective address (with its segment's base). rax is lost, flags are kept. */
void bt_effective(struct bt_translation *t);
/* Loads a guest register if it lives in the frame; returns the host register that has it. */
unsigned bt_get(struct bt_translation *t, unsigned guest, unsigned scratch);
/* All of a guest register := a host register. */
void bt_set(struct bt_translation *t, unsigned guest, unsigned from);

/* ---- exits.c ---- */
struct bt_site *bt_new_site(struct bt_translation *t, enum bt_site_kind kind);

/* What translated code knows it by: bt_site_at(). */
static inline uint32_t bt_site_offset(const struct bt_translation *t, const struct bt_site *site)
{
    return (uint32_t)((const uint8_t *)site - t->bvm->code.write);
}
struct bt_later *bt_new_later(struct bt_translation *t, enum bt_later_kind kind, struct bt_site *site);
/* A jump to guest code at rip. */
void bt_put_exit(struct bt_translation *t, uint64_t rip);
void bt_put_branch(struct bt_translation *t, unsigned condition, uint64_t rip);
/* To the guest address in rcx. */
void bt_put_indirect(struct bt_translation *t);
/* Calls, whose return address is on the guest's stack already; and returns, to the guest address in rcx. */
void bt_put_call(struct bt_translation *t, uint64_t rip);
void bt_put_indirect_call(struct bt_translation *t);
void bt_put_return(struct bt_translation *t);
void bt_put_generic(struct bt_translation *t);
/* A jump, on a condition, to where the instruction is done by its reference semantics. */
void bt_put_escape(struct bt_translation *t, unsigned condition);
void bt_put_later(struct bt_translation *t);
void bt_put_checked_entry(struct bt_translation *t);
/* Leaves if the instructions that may run are all but used up. */
void bt_put_limit(struct bt_translation *t);
/* Leaves if the page that the block ends in is another now. */
void bt_put_page2_guard(struct bt_translation *t);

/* ---- bits.c ---- */
bool bt_is_bit_string(const struct x86_insn *insn);
/* rcx += the units that the bit is away; back: -=. Saved flags only; rax is lost. */
void bt_put_bit_units(struct bt_translation *t, bool back);
void bt_put_bit_string(struct bt_translation *t);

/* ---- odd.c ---- */
bool bt_is_odd(const struct bt_translation *t, const struct x86_insn *insn);
/* False: not this one. */
bool bt_put_odd(struct bt_translation *t);

/* ---- dump.c ---- */
void bt_dump(const struct bt_translation *t);

/* ---- system.c ---- */
bool bt_is_system(const struct bt_translation *t, const struct x86_insn *insn);
bool bt_put_system(struct bt_translation *t);
/* Privileged, but the block goes on behind it; leaves the block for good; moves the rights of accesses. */
bool bt_system_goes_on(const struct x86_insn *insn);
bool bt_system_leaves(const struct x86_insn *insn);
bool bt_changes_rights(const struct x86_insn *insn);
/* A jump if the tables are not of the present key; returns its place. */
uint32_t bt_put_key_check(struct bt_translation *t);

/* ---- special.c, native.c ---- */
/* False: not this one. */
bool bt_put_special(struct bt_translation *t);
bool bt_put_native(struct bt_translation *t);
/* The guest's vector registers into the host's, once in a block. rcx is lost. */
void bt_want_vectors(struct bt_translation *t);
/* Does special.c know it? */
bool bt_is_special(const struct x86_insn *insn, bool wide);
/* Can native.c write it? */
bool bt_is_native(const struct bt_translation *t, const struct x86_insn *insn);

#endif
