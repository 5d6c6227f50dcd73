/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small virtio 1.2 driver over PCI that can be told to misbehave: nothing that it
 * is asked to write is checked. Rings and data have fixed places in guest memory, so
 * that a test can aim at them; BARs are put where the test kernel's map reaches.
 * One test uses it at a time; it polls, and takes no interrupts.
 */
#ifndef TESTS_GUEST_VIRTIO_DRIVER_H
#define TESTS_GUEST_VIRTIO_DRIVER_H

#include "tests/guest/kernel/kernel.h"

/* Section 5: device types */
enum virtio_id { ID_NET = 1, ID_BLK = 2, ID_CONSOLE = 3, ID_RNG = 4, ID_BALLOON = 5 };

/* Section 2.1 */
#define ST_ACKNOWLEDGE 1U
#define ST_DRIVER      2U
#define ST_DRIVER_OK   4U
#define ST_FEATURES_OK 8U
#define ST_NEEDS_RESET 0x40U

/* Chapter 6 */
#define F_INDIRECT  (1ULL << 28)
#define F_EVENT_IDX (1ULL << 29)
#define F_VERSION_1 (1ULL << 32)

/* Section 4.1.4.3: offsets in the common configuration */
enum common {
    C_DEVICE_FEATURE_SELECT = 0,
    C_DEVICE_FEATURE = 4,
    C_DRIVER_FEATURE_SELECT = 8,
    C_DRIVER_FEATURE = 12,
    C_CONFIG_VECTOR = 16,
    C_NUM_QUEUES = 18,
    C_STATUS = 20,
    C_QUEUE_SELECT = 22,
    C_QUEUE_SIZE = 24,
    C_QUEUE_VECTOR = 26,
    C_QUEUE_ENABLE = 28,
    C_QUEUE_NOTIFY_OFF = 30,
    C_QUEUE_DESC = 32,
    C_QUEUE_DRIVER = 40,
    C_QUEUE_DEVICE = 48,
};

#define D_NEXT     1U
#define D_WRITE    2U
#define D_INDIRECT 4U

struct vdesc {
    uint64_t address;
    uint32_t len;
    uint16_t flags, next;
};

struct vused_elem {
    uint32_t id, len;
};

struct vqueue {
    uint16_t size, max;
    uint16_t seen; /* used index up to which the test has looked */
    volatile struct vdesc *desc;
    volatile uint16_t *avail;           /* flags, index, ring */
    volatile uint16_t *used;            /* flags, index */
    volatile struct vused_elem *result; /* used's ring */
    uint64_t notify;
};

#define MAX_QUEUES 6

struct vdev {
    unsigned devfn;
    uint64_t common, isr, config, notify; /* guest physical; the map is an identity */
    uint32_t notify_step, config_len;
    uint8_t window;     /* the PCI_CFG capability */
    uint64_t registers; /* start of the BAR with the common configuration */
    uint64_t offered;
    unsigned queues;
    struct vqueue q[MAX_QUEUES];
};

/* Guest memory: 128 MiB. Each queue's three rings lie on pages of their own. */
#define RAM_END    0x8000000ULL
#define RINGS      0x2000000ULL
#define RING_PAGES 4
#define DATA       0x3000000ULL
#define DATA_SIZE  0x1000000ULL

/* Ends the test as failed if the machine has no such device. */
void vdev_find(struct vdev *d, enum virtio_id id);
/* Writes 0 to the status and waits until it reads as 0. */
void vdev_reset(struct vdev *d);
uint8_t vdev_status(const struct vdev *d);
void vdev_add_status(const struct vdev *d, uint8_t bits);
/* Reset, ACKNOWLEDGE, DRIVER, features (with VERSION_1), FEATURES_OK. */
void vdev_begin(struct vdev *d, uint64_t features);
/* vdev_begin(), all queues at their usual places, DRIVER_OK. */
void vdev_start(struct vdev *d, uint64_t features);

uint16_t common16(const struct vdev *d, enum common at);
void common_write16(const struct vdev *d, enum common at, uint16_t v);
void common_write64(const struct vdev *d, enum common at, uint64_t v);

/* Forgets what was in the rings and tells the device where they are: size 0 is the device's own size. */
void vq_place(struct vdev *d, unsigned index, uint16_t size);
void vq_enable(struct vdev *d, unsigned index);
void vq_desc(struct vqueue *q, unsigned i, uint64_t address, uint32_t len, unsigned flags, unsigned next);
/* Makes the chain that begins with head available; the device is not told. */
void vq_offer(struct vqueue *q, uint16_t head);
void vq_notify(const struct vqueue *q, unsigned index);
/* Waits for the next used element; false: none came, or the device is broken. */
bool vq_wait(struct vdev *d, unsigned index, struct vused_elem *elem);
/* Waits for DEVICE_NEEDS_RESET. */
bool vdev_breaks(const struct vdev *d);
/* Gives the device time to do something that cannot be waited for. */
void linger(void);

#endif
