/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of a split virtqueue (virtio 1.2, section 2.7). Its users fill
 * slots of up to `room` segments: an indirect table each, or where the device knows
 * none (or one segment is all they need) that many descriptors of the ring. The device
 * is not believed: a slot comes back once, and only if it was out. The caller locks.
 */
#ifndef HV_DRV_VQUEUE_H
#define HV_DRV_VQUEUE_H

#include "base/error.h"

#define VQUEUE_MAX_SIZE 256U

struct vqueue {
    uint16_t size;  /* descriptors in the ring, a power of two */
    uint16_t slots; /* that there are of it */
    uint16_t room;  /* segments in each */
    bool indirect;
    bool broken; /* the device did what it must not: nothing more comes out */
    uint16_t posted, published, last_used, out;
    uint16_t free[VQUEUE_MAX_SIZE], free_count;
    bool busy[VQUEUE_MAX_SIZE];
    uint8_t *memory; /* descriptors, available ring, used ring, tables */
    uint64_t phys;
    uint32_t avail, used, tables; /* offsets in it */
    void *notify;                 /* set by the transport; NULL: nobody to tell */
    uint16_t index, vector;       /* the transport's */
};

/* size: a power of two up to VQUEUE_MAX_SIZE. -ENOMEM. */
int vqueue_init(struct vqueue *q, unsigned index, unsigned size, unsigned room, bool indirect);
void vqueue_finish(struct vqueue *q);
/* As after vqueue_init(), for a device that was reset; interrupts stay as they are. */
void vqueue_reset(struct vqueue *q);

/* A slot to fill; negative: all are out. */
int vqueue_get(struct vqueue *q);
/* Gives it back unused. */
void vqueue_put(struct vqueue *q, unsigned slot);
/* The n-th segment of the slot, n < room. Those that the device writes come last. */
void vqueue_segment(struct vqueue *q, unsigned slot, unsigned n, uint64_t phys, uint32_t len,
                    bool device_writes);
/* With its first `count` segments, to the device from vqueue_kick() on. */
void vqueue_post(struct vqueue *q, unsigned slot, unsigned count);
void vqueue_kick(struct vqueue *q);
/* The next slot that the device is done with, still to be given back (vqueue_put()), and how many bytes it
 * says it wrote. -EAGAIN: none; -EIO: broken. */
int vqueue_take(struct vqueue *q, uint32_t *len);
/* Would it be one? */
bool vqueue_pending(const struct vqueue *q);
/* Should the device interrupt when it is done with something? After turning that on, look once more. */
void vqueue_interrupts(struct vqueue *q, bool on);

#endif
