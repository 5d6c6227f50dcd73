/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's memory: whole pages in blocks of 2^order, from a buddy allocator over
 * what the firmware's map says is free; and all of it mapped, not executable, at
 * DIRECT_BASE. Blocks are handed out with whatever they hold: who gives one to a
 * guest zeroes it first (hv/mem/ram.h).
 */
#ifndef HV_MEM_PAGE_H
#define HV_MEM_PAGE_H

#include "base/error.h"
#include "base/spin.h"

#define PAGE_SIZE      4096U
#define PAGE_MAX_ORDER 18U /* 1 GiB */
#define PAGE_ORDER_2M  9U
#define PAGE_NONE      (~0ULL)

#define DIRECT_BASE    0xffff888000000000ULL

struct heap_slab;
#define HEAP_CLASSES 10

/*
 * Whose memory it is, and how much that one may have: the sum of used never passes the
 * limit. A VM's holds its RAM and all that the hypervisor keeps for it.
 */
struct memory_account {
    const char *name;
    uint64_t limit;                        /* bytes; ~0: none */
    uint64_t used;                         /* atomic */
    uint64_t peak;                         /* atomic */
    struct spinlock lock;                  /* guards slabs and what is in them */
    struct heap_slab *slabs[HEAP_CLASSES]; /* hv/mem/heap.c: those with room */
};

extern struct memory_account memory_own; /* the hypervisor's */

/* The block's physical address, PAGE_NONE: none left, or the account's limit. Any processor. */
uint64_t page_alloc(unsigned order, struct memory_account *account);
void page_free(uint64_t phys, unsigned order, struct memory_account *account);

/* The same for any number of contiguous pages, up to 2^PAGE_MAX_ORDER; as aligned as the next power of two.
 */
uint64_t page_alloc_many(uint64_t count, struct memory_account *account);
void page_free_many(uint64_t phys, uint64_t count, struct memory_account *account);

/* A block of 2^order that is freed in blocks of 2^piece. */
uint64_t page_alloc_split(unsigned order, unsigned piece, struct memory_account *account);

/* What boot took and page_total_bytes() does not count: our image, and the allocator's bytes. */
extern uint64_t memory_fixed;

uint64_t page_free_bytes(void);
uint64_t page_total_bytes(void);

/*
 * At boot: the allocator covers [low, high), of which nothing is free yet; `map` is a
 * byte for each of its pages, mapped. Then what is free is added, piece by piece, and
 * so may be later what the loader left and nobody needs any more (a module).
 */
void page_init(uint64_t low, uint64_t high, uint8_t *map);
void page_add(uint64_t phys, uint64_t size);

static inline void *phys_to_virt(uint64_t phys)
{
    return (void *)(DIRECT_BASE + phys);
}

/* Of an address in the direct map, the image, or a mapping of hv/mem/map.h; base_assert()s that it is mapped.
 */
uint64_t virt_to_phys(const void *p);

#endif
