/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor's own page tables.
 *
 *   0xffff888000000000  all memory, read and write (DIRECT_BASE); the image's text and constants, read only
 *   0xffffc00000000000  windows: device registers, guests' RAM (hv/mem/ram.h), stacks with guard pages
 *   0xffffffff80000000  the image: text read and execute, constants read, data read and write
 *
 * Nothing is both writable and executable, and nothing is mapped below: a NULL that
 * is followed faults.
 */
#ifndef HV_MEM_MAP_H
#define HV_MEM_MAP_H

#include "base/error.h"

#define WINDOW_BASE 0xffffc00000000000ULL
#define WINDOW_END  0xffffe00000000000ULL
#define IMAGE_BASE  0xffffffff80000000ULL

enum map_kind { MAP_RAM, MAP_RAM_READ, MAP_CODE, MAP_DEVICE, MAP_FRAMEBUFFER };

/* Room in the windows, of whole pages, aligned, and with a hole behind; given again only after map_remove()
 * and when all other room has been used, so a stale pointer faults. 0: no memory. */
uint64_t map_reserve(uint64_t size, uint64_t align);
/* 4 KiB pages, or 2 MiB ones where all three are aligned to that. -ENOMEM: no page for a table. */
int map_add(uint64_t virt, uint64_t phys, uint64_t size, enum map_kind kind);
/* Makes the tables for 2 MiB pages (and 4 KiB ones in what is left): map_add() of these does not fail then.
 */
int map_prepare(uint64_t virt, uint64_t size);
/* All that was mapped in what map_reserve() gave, and the room with it. Gone on all processors when it
 * returns; waits for them, so no lock is held. */
void map_remove(uint64_t virt, uint64_t size);

/* Device registers. NULL: no memory. */
void *map_device(uint64_t phys, uint64_t size);
void *map_framebuffer(uint64_t phys, uint64_t size);
/* Any physical memory, for reading: in the direct map, or mapped now and for good. NULL: no memory. */
const void *map_read_only(uint64_t phys, uint64_t size);

/* The physical address, or PAGE_NONE: nothing there. */
uint64_t map_lookup(uint64_t virt);

/* At boot: our tables replace the loader's; memory above 4 GiB is given to the allocator then. */
void map_init(void);
/* On a further processor: our tables. */
void map_use(void);
/* Makes the loader's root table fit for starting processors: low memory as it was, the rest ours. Its
 * physical address. */
uint64_t map_trampoline_root(uint64_t *boot_root);

/* Is nothing both writable and executable, or reachable from user mode, in all of our tables? */
bool map_is_safe(void);

/* Has this processor's TLB forgotten what was removed? Called where interrupts are handled. */
void map_catch_up(void);

#endif
