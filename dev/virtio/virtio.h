/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all virtio devices share (virtio 1.2, chapters 2 and 3), whatever carries
 * them: the status machine, features, queues, configuration space.
 *
 *   reset ──► ACKNOWLEDGE ──► DRIVER ──► FEATURES_OK ──► DRIVER_OK (live)
 *     ▲            a status of 0, from anywhere             │ forbidden things
 *     └────────────────────────────────── DEVICE_NEEDS_RESET ◄┘
 *
 * A driver's reset is over when the status reads 0 (section 4.1.4.3.2): not as long as the device is busy
 * with memory of the driver's, and until then nothing but a reset is heard. Nobody waits for that with the
 * lock held.
 *
 * The driver's notifications only note which queue wants attention; the work is
 * done on the I/O thread, so that the vCPU goes on and requests come in batches.
 * Bits only ever get set, until a reset. The epoch counts resets, so that whatever
 * was under way before one can tell. Lock held for all.
 */
#ifndef DEV_VIRTIO_VIRTIO_H
#define DEV_VIRTIO_VIRTIO_H

#include "core/device.h"
#include "dev/virtio/queue.h"

#define VIRTIO_MAX_QUEUES 18U
#define VIRTIO_NO_VECTOR  0xffffU
#define VIRTIO_CONFIG_MAX 64U

/* Section 2.1 */
#define VIRTIO_STATUS_ACKNOWLEDGE BIT(0)
#define VIRTIO_STATUS_DRIVER      BIT(1)
#define VIRTIO_STATUS_DRIVER_OK   BIT(2)
#define VIRTIO_STATUS_FEATURES_OK BIT(3)
#define VIRTIO_STATUS_NEEDS_RESET BIT(6)
#define VIRTIO_STATUS_FAILED      BIT(7)

/* Chapter 6: feature bit numbers */
#define VIRTIO_F_INDIRECT_DESC 28U
#define VIRTIO_F_EVENT_IDX     29U
#define VIRTIO_F_VERSION_1     32U

struct virtio_ops {
    const char *name;    /* of the model: "virtio-blk" */
    uint16_t id;         /* chapter 5's device type */
    uint32_t class_code; /* PCI's */
    /* A live queue may have new buffers. Runs on the I/O thread. True: there is more to do, call again soon.
     */
    bool (*process)(struct virtio *v, unsigned queue);
    /* The driver is up; before the queues' first process(). Optional. */
    void (*driver_ok)(struct virtio *v);
    /* Of a buffer's readable and of its writable part the device uses at most so many bytes. */
    uint64_t reach;
    /* Lets go of everything under way: what of it cannot be stopped ends without effect, but for memory that
     * it may still touch. Optional. */
    void (*reset)(struct virtio *v);
    /* After a reset: is there any such thing? Optional: never. */
    bool (*busy)(const struct virtio *v);
    /* Before the guest reads config[]. Optional. */
    void (*config_read)(struct virtio *v);
    /* The guest stored to [offset, offset + size) of the configuration, which lies inside. Optional:
     * read-only. */
    void (*config_write)(struct virtio *v, unsigned offset, unsigned size, uint32_t value);
};

struct virtio_transport {
    /* q NULL: the configuration or the status changed. */
    void (*interrupt)(struct virtio *v, const struct virtq *q);
    bool (*can_dma)(const struct virtio *v);
};

struct virtio {
    struct vm *vm;
    const char *id; /* for logs */
    const struct virtio_ops *ops;
    const struct virtio_transport *transport;
    uint64_t offered;  /* features, by bit number */
    uint64_t features; /* what the driver took */
    uint8_t status;
    uint8_t config_generation;
    uint8_t complaints; /* logged so far: a hostile driver must not fill the log */
    uint32_t epoch;     /* not saved */
    uint32_t pending;   /* queues to process, one bit each; a load sets them all */
    unsigned turn;      /* the queue to look at first; not saved */
    struct plat_work work;
    uint8_t config[VIRTIO_CONFIG_MAX];
    unsigned config_size;
    unsigned queue_count;
    struct virtq queue[VIRTIO_MAX_QUEUES];
};

extern const struct state_field virtio_fields[];

/* sizes: of each queue, a power of two up to VIRTQ_MAX_SIZE. Adds the features that the core itself brings.
 */
void virtio_init(struct virtio *v, struct vm *vm, const struct virtio_ops *ops, uint64_t features,
                 unsigned queue_count, uint16_t queue_size);
/* Power-on, or the driver's reset. */
void virtio_reset(struct virtio *v);
/* After a load; has all queues looked at. -EINVAL: hostile state. */
int virtio_loaded(struct virtio *v);

uint8_t virtio_status_read(const struct virtio *v);
void virtio_status_write(struct virtio *v, uint8_t value);
/* select: 0 or 1, 32 bits each. */
void virtio_features_write(struct virtio *v, unsigned select, uint32_t value);
/* There is something to do for a queue: the driver says so, or the device itself. */
void virtio_queue_notified(struct virtio *v, unsigned queue);

/* The driver did what it must not: DEVICE_NEEDS_RESET, and it is told. */
void virtio_break(struct virtio *v, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* The configuration changed by itself. */
void virtio_config_changed(struct virtio *v);

static inline bool virtio_has(const struct virtio *v, unsigned feature)
{
    return v->features & BIT64(feature);
}

/* May the device use its queues? */
static inline bool virtio_live(const struct virtio *v)
{
    return (v->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)) ==
               VIRTIO_STATUS_DRIVER_OK &&
           v->transport->can_dma(v);
}

static inline void virtio_interrupt(struct virtio *v, const struct virtq *q)
{
    v->transport->interrupt(v, q);
}

static inline unsigned virtq_index(const struct virtq *q)
{
    return (unsigned)(q - q->virtio->queue);
}

#endif
