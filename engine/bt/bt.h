/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translating engine: x86-64 guest code becomes x86-64 host code. Flat 64- and
 * 32-bit code is translated; all else, and whatever an instruction's translation
 * does not cover, goes to the reference semantics of x86/. docs/bt.md explains it.
 */
#ifndef ENGINE_BT_BT_H
#define ENGINE_BT_BT_H

#include "core/engine.h"
#include "x86/insn-ids.h"

extern const struct engine_ops bt_engine;

/* What a VM's translator did since it was made; read it while the VM is stopped. */
struct bt_stats {
    uint64_t blocks;                 /* translated */
    uint64_t instructions;           /* in them */
    uint64_t code_bytes;             /* host code made */
    uint64_t killed;                 /* blocks whose code was written over */
    uint64_t flushes;                /* of the whole cache */
    uint64_t evictions;              /* of regions of the cache that was full */
    uint64_t evicted;                /* blocks, by them */
    uint64_t evict_ns, evict_ns_max; /* that they took, no vCPU but those in need of the cache waiting */
    uint64_t cache_size, cache_used; /* bytes of code and its descriptions, now */
    uint64_t links, unlinks;         /* jumps tied together, and taken apart again */
    uint64_t lookups;                /* by the dispatcher */
    uint64_t misses;                 /* accesses that came to C for their page */
    uint64_t tlb_hits;               /* about how many slots a stub refilled, without a miss */
    uint64_t crossings;              /* of the misses: accesses over a page's end */
    uint64_t redone;  /* instructions that the reference semantics finished (MMIO, page crossing …) */
    uint64_t generic; /* instructions that have no translation, executed */
    uint64_t steps;   /* instructions that ran outside of any block */
    uint64_t faults, interrupts;
};

struct vm;
struct vcpu;

void bt_stats_get(struct vm *vm, struct bt_stats *stats);
/* How often instructions of the mnemonic ran by their reference semantics: what to translate next. */
uint64_t bt_generic_count(struct vm *vm, enum x86_id id);

/* A VM's statistics, one line each. Returns as fmt_print(). */
size_t bt_stats_format(struct vm *vm, char *buf, size_t size);

#endif
