/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's RAM: blocks of physical memory that are its own from the start, seen by the
 * hypervisor through one window, `host` of struct vm_config. Both views appear 2 MiB at
 * a time where they are first touched, by the hypervisor (a page fault in the window)
 * or the guest (metal_ram()), and the piece is zeroed then: no VM sees another's leavings,
 * and starting one does not take the time to clear what it never uses.
 */
#ifndef HV_MEM_RAM_H
#define HV_MEM_RAM_H

#include "hv/mem/page.h"

struct guest_ram;

/* size: a multiple of 1 MiB. -ENOMEM with how much is free. On a thread that may yield, as for the end. */
int guest_ram_create(struct guest_ram **ram, uint64_t size, struct memory_account *account,
                     struct error *err);
/* Nobody uses it any more: the window is unmapped everywhere before the blocks are free. */
void guest_ram_destroy(struct guest_ram *ram);

void *guest_ram_host(struct guest_ram *ram);
/* The one whose window holds the address (struct mem_ram.host); NULL: none. */
struct guest_ram *guest_ram_find(const void *host);
/* As core/metal.h's metal_ram(): 1 GiB only once all of it has been zeroed. */
uint64_t guest_ram_phys(struct guest_ram *ram, uint64_t offset, uint64_t *size);
/*
 * Is what lies there mapped in the window? Makes it so, as long as no more than *pieces of 2 MiB must be
 * cleared for it, which takes some 100 microseconds each; *pieces: how many are left. Who works with a lock
 * held, or for many, asks before it touches what a guest points at.
 */
bool guest_ram_ready(struct guest_ram *ram, const void *host, uint64_t len, unsigned *pieces);
/* For the page fault handler: false: the address is in no window. */
bool guest_ram_fault(uint64_t virt);

#endif
