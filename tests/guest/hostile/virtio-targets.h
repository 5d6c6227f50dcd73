/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio devices under attack, and for each a valid request that shows it to be in order. */
#ifndef TESTS_GUEST_VIRTIO_TARGETS_H
#define TESTS_GUEST_VIRTIO_TARGETS_H

#include "tests/guest/hostile/virtio-driver.h"

struct target {
    enum virtio_id id;
    unsigned queue;     /* one that the device takes buffers from as soon as it is notified */
    unsigned direction; /* D_WRITE: it wants buffers to write to */
    bool (*works)(struct vdev *d);
};

#define TARGETS 5
extern const struct target targets[TARGETS];
/* The first so many of them are there: a machine may be "without=console", or "without=net" and that. */
unsigned target_count(void);
const struct target *target_of(enum virtio_id id);

/* Resets the device, makes its valid request, and fails the test if the answer is not right. */
void must_work(const struct target *t, struct vdev *d);

/* virtio-blk, section 5.2.6. The buffers lie at DATA: header, then status, then data on a page of its own. */
#define BLK_IN      0U
#define BLK_OUT     1U
#define BLK_FLUSH   4U
#define BLK_GET_ID  8U
#define BLK_DISCARD 11U
#define BLK_ZEROES  13U
#define BLK_HEADER  (DATA)
#define BLK_STATUS  (DATA + 64)
#define BLK_DATA    (DATA + 4096)
#define BLK_SECTORS 2048U /* the test's disk: 1 MiB */

void blk_header(uint32_t type, uint64_t sector);
/* The status byte, 0xfe if the device did not touch it, 0xff if it broke or never answered. */
uint8_t blk_request(struct vdev *d, uint32_t type, uint64_t sector, uint64_t address, uint32_t len);

#define NET_HEADER 12U
/* Asks who has 10.0.2.2; returns the length, header included. */
uint32_t net_arp(uint64_t at);

#endif
