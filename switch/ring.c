/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "switch/ring.h"

#define ALIGN 16U

enum state { WRITING, READY, SKIP }; /* SKIP: nothing; the next entry is at the ring's start */

struct entry {
    uint32_t len, mark;
    uint32_t state; /* atomic */
    uint32_t size;  /* with this head, aligned */
    uint8_t bytes[];
};

_Static_assert(sizeof(struct entry) == ALIGN, "an entry's head always fits before the ring's end");

static struct entry *entry_at(struct net_ring *ring, uint64_t at)
{
    return (struct entry *)(void *)(ring->data + (at & (ring->size - 1)));
}

void ring_init(struct net_ring *ring, uint8_t *data, uint32_t size)
{
    *ring = (struct net_ring){.data = data, .size = size};
}

void *ring_reserve(struct net_ring *ring, size_t len, uint32_t mark)
{
    size_t size = ALIGN_UP(sizeof(struct entry) + len, ALIGN), rest, skip;
    struct entry *e = NULL;
    uint64_t head;

    spin_lock(&ring->lock);
    head = ring->head;
    rest = ring->size - (size_t)(head & (ring->size - 1));
    skip = size > rest ? rest : 0;
    if (size < ring->size &&
        head + skip + size - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) <= ring->size) {
        if (skip)
            *entry_at(ring, head) = (struct entry){.state = SKIP, .size = (uint32_t)skip};
        e = entry_at(ring, head + skip);
        *e = (struct entry){.len = (uint32_t)len, .mark = mark, .state = WRITING, .size = (uint32_t)size};
        __atomic_store_n(&ring->head, head + skip + size, __ATOMIC_RELEASE);
    }
    spin_unlock(&ring->lock);
    return e ? e->bytes : NULL;
}

void ring_commit(void *room)
{
    struct entry *e = container_of(room, struct entry, bytes);

    __atomic_store_n(&e->state, READY, __ATOMIC_RELEASE);
}

bool ring_peek(struct net_ring *ring, uint8_t **bytes, size_t *len, uint32_t *mark)
{
    while (ring->tail != __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE)) {
        struct entry *e = entry_at(ring, ring->tail);
        uint32_t state = __atomic_load_n(&e->state, __ATOMIC_ACQUIRE);

        if (state == SKIP) {
            ring_pop(ring);
            continue;
        }
        *bytes = e->bytes;
        *len = e->len;
        *mark = e->mark;
        return state == READY;
    }
    return false;
}

void ring_pop(struct net_ring *ring)
{
    __atomic_store_n(&ring->tail, ring->tail + entry_at(ring, ring->tail)->size, __ATOMIC_RELEASE);
}
