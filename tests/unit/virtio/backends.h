/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands behind the devices under test: a disk in memory that completes when
 * told to, a cable that records, a slow terminal; and one table that makes each
 * device with them.
 */
#ifndef TESTS_UNIT_VIRTIO_BACKENDS_H
#define TESTS_UNIT_VIRTIO_BACKENDS_H

#include "core/blk.h"
#include "core/chardev.h"
#include "core/net.h"
#include "tests/unit/virtio/driver.h"

#define DISK_SIZE        MIB(1)
#define DISK_MAX_PENDING 256U

struct fake_disk {
    struct blk blk;
    uint8_t data[DISK_SIZE];
    struct blk_req *pending[DISK_MAX_PENDING];
    unsigned pending_count, kicks, submits;
    bool hold; /* requests wait for fake_disk_complete() or a drain */
    int fail;  /* the next requests end with this */
    bool closed;
};

void fake_disk_init(struct fake_disk *disk);
void fake_disk_complete(struct fake_disk *disk);

struct fake_net {
    struct net net;
    uint8_t last[70000];
    size_t last_len;
    unsigned sent, resumed;
    bool header;
    unsigned offloads;
    bool closed;
};

void fake_net_init(struct fake_net *net, bool offloads);

struct fake_tty {
    struct chardev chardev;
    uint8_t out[8192];
    size_t out_len, room; /* room: how much more it takes before it is slow */
    unsigned resumed;
    bool closed;
};

void fake_tty_init(struct fake_tty *tty);

struct backends {
    struct fake_disk disk;
    struct fake_net net;
    struct fake_tty tty[2];
    uint64_t discarded; /* bytes */
    uint64_t discard_at;
    unsigned discards;
};

/* Every kind of device, by how it is made. */
struct kind {
    const char *name;
    void (*create)(struct driver *d, struct backends *b, struct device **out);
};

extern const struct kind kinds[];
extern const unsigned kind_count;

enum kind_index { KIND_BLK, KIND_NET, KIND_CONSOLE, KIND_RNG, KIND_BALLOON };

/* A VM with one such device and its driver attached, not started. */
struct device *bench_make(struct driver *d, struct backends *b, unsigned kind);

#endif
