/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio disk (virtio 1.2, section 5.2): several queues, flush, discard, write
 * zeroes, serial number. Data goes straight between the backend and guest RAM.
 */
#ifndef DEV_VIRTIO_BLK_H
#define DEV_VIRTIO_BLK_H

#include "core/blk.h"
#include "core/vm.h"

struct pci_bus;
struct device;

/*
 * The disk is the device's from success on, and closed with it. queues: 1..16, one
 * a vCPU is best. id, as in "disk0", names the device. err may be NULL.
 */
int virtio_blk_create(struct vm *vm, struct pci_bus *bus, const char *id, struct blk *blk, unsigned queues,
                      struct device **out, struct error *err);

/* Section 5.2.6: for tests and tables */
#define VIRTIO_BLK_F_SEG_MAX      2U
#define VIRTIO_BLK_F_RO           5U
#define VIRTIO_BLK_F_BLK_SIZE     6U
#define VIRTIO_BLK_F_FLUSH        9U
#define VIRTIO_BLK_F_TOPOLOGY     10U
#define VIRTIO_BLK_F_MQ           12U
#define VIRTIO_BLK_F_DISCARD      13U
#define VIRTIO_BLK_F_WRITE_ZEROES 14U

enum virtio_blk_type {
    VIRTIO_BLK_T_IN = 0,
    VIRTIO_BLK_T_OUT = 1,
    VIRTIO_BLK_T_FLUSH = 4,
    VIRTIO_BLK_T_GET_ID = 8,
    VIRTIO_BLK_T_DISCARD = 11,
    VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

enum virtio_blk_status { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };

#endif
