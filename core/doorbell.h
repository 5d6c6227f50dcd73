/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells: addresses where a guest's store says no more than "come and look".
 * Where engine and platform can, the store signals a descriptor that the I/O
 * thread waits for, and the vCPU goes on without leaving the guest. Everywhere
 * else, and for stores of another width, it reaches the bus as ever: a device
 * answers both. A bell may ring once after it was unhung.
 *
 * A descriptor lives from a bell's first hanging to its end, however often it
 * moves meanwhile. Lock held for all.
 */
#ifndef CORE_DOORBELL_H
#define CORE_DOORBELL_H

#include "core/plat.h"

struct vm;

/* Lives in its owner, zeroed. */
struct doorbell {
    struct plat_event event; /* fn and opaque are the owner's to fill */
    uint64_t address;        /* where it hangs */
    uint8_t size;
    bool open; /* the event has its descriptor */
    bool hung;
};

/* At this guest-physical address, for stores of `size` bytes; moves it if it hangs elsewhere. Not being able
 * to is no error. */
void doorbell_hang(struct vm *vm, struct doorbell *bell, uint64_t address, unsigned size);
void doorbell_unhang(struct vm *vm, struct doorbell *bell);
/* Unhangs it and gives its descriptor back. */
void doorbell_finish(struct vm *vm, struct doorbell *bell);

#endif
