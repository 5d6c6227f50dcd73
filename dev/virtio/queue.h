/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues (virtio 1.2, section 2.7), seen from the device, against a
 * driver that may be hostile.
 *
 * Every index and descriptor is read from guest memory once, into our own memory,
 * and only that copy is checked and used. What the specification forbids a driver
 * to do ends in virtio_break(): the device wants a reset, the VM lives.
 *
 * A device takes chains with virtq_pop(), gives them back with virtq_push() in any
 * order, and makes a batch of those visible with virtq_publish(). Chains that were
 * taken before a reset have an old epoch: pushing them does nothing. Lock held for
 * all.
 */
#ifndef DEV_VIRTIO_QUEUE_H
#define DEV_VIRTIO_QUEUE_H

#include "core/state.h"

#define VIRTQ_MAX_SIZE 256U
/* Of a chain, indirect tables included: what a full queue could hold. */
#define VIRTQ_MAX_CHAIN 256U

struct virtio;

struct virtq {
    struct virtio *virtio;
    uint16_t max_size; /* 0: no such queue */
    /* the driver's words */
    uint16_t size;
    uint16_t vector;
    bool ready;
    bool waits; /* ours: memory of the next chain is not ready yet; not saved */
    uint64_t desc_gpa, avail_gpa, used_gpa;
    /* ours; free-running */
    uint16_t last_avail; /* next entry of the available ring to take */
    uint16_t used_idx;   /* next entry of the used ring to fill */
    uint16_t published;  /* the used index that the driver sees */
    /* the rings in host memory while ready */
    const uint8_t *desc, *avail;
    uint8_t *used;
};

extern const struct state_field virtq_fields[];

/* A piece of guest RAM. */
struct virtq_vec {
    uint8_t *base;
    uint32_t len; /* never 0 */
    uint64_t gpa;
};

/* A taken buffer: vec[0..out_count) is the device's to read, the in_count after them its to write. */
struct virtq_chain {
    uint32_t epoch;
    uint16_t head;
    uint16_t out_count, in_count;
    uint64_t out_len, in_len;
    struct virtq_vec vec[VIRTQ_MAX_CHAIN];
};

/* Maps the rings. -EINVAL: sizes or addresses that cannot be. */
int virtq_enable(struct virtq *q);
void virtq_reset(struct virtq *q);
/* After a load: 0, or -EINVAL if the driver's words or ours cannot be so. */
int virtq_loaded(struct virtq *q);

/*
 * 1: chain is filled, and as much of its memory as the device may reach (struct virtio_ops) is ready to be
 * used at once; 0: nothing there, or the device is not live, or the memory is not ready: then the queue is
 * processed again by itself; -EINVAL: the device is broken now.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *chain);
/* `written` bytes of the chain's writable part hold data, counted from its start. */
void virtq_push(struct virtq *q, const struct virtq_chain *chain, uint64_t written);
/* Shows the driver what was pushed, and interrupts it if it wants that. */
void virtq_publish(struct virtq *q);

/* Taken and not yet pushed. */
static inline unsigned virtq_in_flight(const struct virtq *q)
{
    return (uint16_t)(q->last_avail - q->used_idx);
}

/* Where the queue stood, to take back what was popped and pushed since, if nothing of it was published. */
struct virtq_mark {
    uint16_t last_avail, used_idx;
};

static inline struct virtq_mark virtq_mark(const struct virtq *q)
{
    return (struct virtq_mark){q->last_avail, q->used_idx};
}

void virtq_rollback(struct virtq *q, struct virtq_mark mark);

/* Asks the driver not to notify (a hint), and to notify again; true: buffers came in between, go and look. */
void virtq_notify_off(struct virtq *q);
bool virtq_notify_on(struct virtq *q);

/* Copies from the readable or into the writable part, from `offset` on; returns how many bytes there were. */
size_t virtq_chain_read(const struct virtq_chain *chain, uint64_t offset, void *buf, size_t len);
size_t virtq_chain_write(struct virtq_chain *chain, uint64_t offset, const void *buf, size_t len);

/* A walk over one part of a chain, a piece at a time. */
struct virtq_cursor {
    const struct virtq_vec *vec, *end;
    uint64_t skip; /* bytes into *vec */
};

struct virtq_cursor virtq_cursor_out(const struct virtq_chain *chain, uint64_t offset);
struct virtq_cursor virtq_cursor_in(const struct virtq_chain *chain, uint64_t offset);
/* The next piece, at most max bytes of it; false at the end. */
bool virtq_cursor_next(struct virtq_cursor *cursor, uint64_t max, struct virtq_vec *piece);
/* Copies the next bytes; returns how many there were. */
size_t virtq_cursor_read(struct virtq_cursor *cursor, void *buf, size_t len);

#endif
