/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traditional memory balloon (virtio 1.2, section 5.5) with statistics, free
 * page reporting and deflation when the guest runs out of memory. Pages that the
 * guest gives up go back to the host by memory.discard.
 */
#ifndef DEV_VIRTIO_BALLOON_H
#define DEV_VIRTIO_BALLOON_H

#include "core/vm.h"

struct pci_bus;
struct device;

int virtio_balloon_create(struct vm *vm, struct pci_bus *bus, const char *id, struct device **out,
                          struct error *err);

/* Asks the guest to give up this much of its RAM (bytes; rounded down to pages, at most all of it). */
void virtio_balloon_set_target(struct device *dev, uint64_t bytes);
/* How much it says that it gave up. */
uint64_t virtio_balloon_actual(const struct device *dev);

/* Section 5.5.6.3 */
enum virtio_balloon_stat {
    VIRTIO_BALLOON_S_SWAP_IN,
    VIRTIO_BALLOON_S_SWAP_OUT,
    VIRTIO_BALLOON_S_MAJFLT,
    VIRTIO_BALLOON_S_MINFLT,
    VIRTIO_BALLOON_S_MEMFREE,
    VIRTIO_BALLOON_S_MEMTOT,
    VIRTIO_BALLOON_S_AVAIL,
    VIRTIO_BALLOON_S_CACHES,
    VIRTIO_BALLOON_S_HTLB_PGALLOC,
    VIRTIO_BALLOON_S_HTLB_PGFAIL,
    VIRTIO_BALLOON_S_COUNT,
};

/* The guest's latest word, ~0 where it said nothing; asks for a new one at the same time. */
uint64_t virtio_balloon_stat(struct device *dev, enum virtio_balloon_stat which);

#define VIRTIO_BALLOON_F_STATS_VQ       1U
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM 2U
#define VIRTIO_BALLOON_F_REPORTING      5U

#define VIRTIO_BALLOON_INFLATE          0U
#define VIRTIO_BALLOON_DEFLATE          1U

#endif
