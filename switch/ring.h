/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that wait for their receiver: a bounded ring of bytes that any number of
 * senders fill and one receiver empties. A sender reserves room under the ring's spin
 * lock, copies without it, and commits; entries come out in the order of reservation.
 * Neither side waits for the other.
 */
#ifndef SWITCH_RING_H
#define SWITCH_RING_H

#include "base/spin.h"

struct net_ring {
    struct spinlock lock; /* guards head's change */
    uint8_t *data;
    uint32_t size; /* a power of two */
    uint64_t head; /* atomic; where the next reservation goes, counted in bytes since ever */
    uint64_t tail; /* atomic; what the receiver is at */
};

/* data: `size` bytes, a power of two, aligned to 64. */
void ring_init(struct net_ring *ring, uint8_t *data, uint32_t size);
/* Room for len bytes; NULL: there is none. `mark` is kept beside. To be committed before long. */
void *ring_reserve(struct net_ring *ring, size_t len, uint32_t mark);
void ring_commit(void *room);
/* The oldest entry; false: none, or it is still being written. Receiver only. */
bool ring_peek(struct net_ring *ring, uint8_t **bytes, size_t *len, uint32_t *mark);
/* It is done with. */
void ring_pop(struct net_ring *ring);

#endif
