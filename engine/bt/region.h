/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code cache's regions. Blocks are made in one region after another; when all
 * are used, the oldest is evicted as a whole, and used again once no vCPU can be
 * inside of it or has an address in it.
 *
 *                     oldest, room is wanted               all vCPUs have acknowledged
 *   FREE ──► USED ───────────────────────────► LEAVING ───────────────────────────────► FREE
 *
 * Evicting unties the region's blocks from all others and takes them out of all
 * tables that are the VM's; vCPUs may still be in them, and come out at their next
 * poll, which is asked for. What is a vCPU's own (tables for indirect branches) it
 * cleans by itself, in bt_see_evictions(), where it holds no other reference to a
 * block or site; that is its acknowledgement. A vCPU outside of guest code counts
 * as having acknowledged, and cleans up when it comes back. Nobody waits: whoever
 * has no room meanwhile steps instructions.
 *
 * Code fills a region from its start on, what describes it (blocks, sites) from its end.
 */
#ifndef ENGINE_BT_REGION_H
#define ENGINE_BT_REGION_H

#include "base/base.h"

#define BT_REGIONS_MAX 32
#define BT_REGION_MIN  KIB(256)

struct bt_vm;
struct bt_vcpu;
struct bt_site;
struct bt_block;
struct bt_page;

enum bt_region_state { BT_REGION_FREE, BT_REGION_USED, BT_REGION_LEAVING };

struct bt_region {
    uint32_t code;      /* where its code begins in the cache; constant */
    uint32_t code_used; /* bytes, once another region is filled */
    enum bt_region_state state;
    uint64_t seq;            /* when it was evicted last; atomic */
    size_t data_used;        /* bytes at its end: blocks, sites, instructions */
    struct bt_block *blocks; /* by next_region; dead ones too */
    struct bt_page *pages;   /* that have gone with it, by next_lin: freed when it is free */
};

/* Guarded by bt_vm.lock but for what says otherwise. */
struct bt_regions {
    struct bt_region region[BT_REGIONS_MAX];
    unsigned count, now;
    size_t size;  /* of each */
    uint64_t seq; /* evictions so far; atomic */

    uint64_t
        window_start; /* nanoseconds; evictions are counted from here, to see a cache that is too small */
    unsigned window_evictions;
    bool small_told;

    struct bt_page *free_pages; /* by next_lin */
    struct bt_page **page_chunk;
    unsigned page_chunks, page_chunks_max, page_used; /* the last one's */
};

/* The stubs are in the cache already. 0 or -ENOMEM. */
int bt_regions_init(struct bt_vm *bvm);
void bt_regions_finish(struct bt_vm *bvm);
/* All of them are free: nobody is inside, and all vCPUs drop all they have. */
void bt_regions_empty(struct bt_vm *bvm);

/* ---- lock held ---- */

/* Is there room for a block? If not, sees to it: false, bv->next says what to do meanwhile. */
bool bt_region_ready(struct bt_vcpu *bv);
/* Goes on to the next region, whatever is left of this one. False: not yet, bv->next. */
bool bt_region_next(struct bt_vcpu *bv);
/* After a block was made: evicts the next region in good time, so that it is free when it is wanted. */
void bt_region_used(struct bt_vcpu *bv, struct bt_block *block);
/* Zeroed; in the present region. */
void *bt_arena(struct bt_vm *bvm, size_t size);
/* offset: from the start of the cache. */
struct bt_site *bt_site_at(const struct bt_vm *bvm, uint32_t offset);
/* Bytes in use: code and descriptions. */
size_t bt_regions_used(const struct bt_vm *bvm);

/* NULL: there are too many. */
struct bt_page *bt_page_alloc(struct bt_vm *bvm);

/* ---- a vCPU's own thread ---- */

/* Forgets what leads into evicted regions, and says so. True: blocks and sites known before may be gone. */
bool bt_see_evictions(struct bt_vcpu *bv);

#endif
