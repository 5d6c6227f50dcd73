/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's virtio driver in a unit test: it finds the device by its PCI
 * capabilities, sets it up and works its queues through the buses and guest RAM, as
 * a guest would, and can do all that a driver must not.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include "core/vm.h"
#include "dev/pci/pci.h"
#include "dev/virtio/virtio.h"
#include "tests/unit/fake-plat.h"

#define DRIVER_RAM        MIB(8)
#define DRIVER_QUEUE_BASE 0x100000U /* each queue has 64 KiB from here on */
#define DRIVER_DATA       0x400000U /* free for buffers */

#define DESC_NEXT         1U
#define DESC_WRITE        2U
#define DESC_INDIRECT     4U

struct driver_queue {
    uint16_t size;
    uint64_t desc, avail, used, table; /* table: room for an indirect one */
    uint16_t next, avail_idx, last_used;
};

/* A piece of a buffer. */
struct seg {
    uint64_t gpa;
    uint32_t len;
    bool write;
};

struct driver {
    struct fake_plat plat;
    struct vm vm;
    struct pci_bus bus;
    uint8_t *ram;
    unsigned devfn;
    uint64_t common, notify, isr, config; /* guest-physical addresses of the blocks */
    uint32_t notify_step;
    uint8_t cfg_cap;
    unsigned msi[32]; /* how many came, by data */
    bool intx;
    unsigned queue_count;
    struct driver_queue queue[VIRTIO_MAX_QUEUES];
};

/* A VM with a bus; then the test makes its device, and attaches the driver to it. */
void driver_init(struct driver *d);
void driver_finish(struct driver *d);
/* Assigns BARs, finds capabilities, arms MSI-X (vector n sends data n). */
void driver_attach(struct driver *d);

uint64_t driver_read(struct driver *d, uint64_t gpa, unsigned size);
void driver_write(struct driver *d, uint64_t gpa, uint64_t value, unsigned size);
uint8_t driver_status(struct driver *d);
bool driver_needs_reset(struct driver *d);

uint64_t driver_offered(struct driver *d);
void driver_reset(struct driver *d);
/* Up to FEATURES_OK; returns whether the device agreed. */
bool driver_negotiate(struct driver *d, uint64_t features);
void driver_queue_setup(struct driver *d, unsigned q, uint16_t size);
/* All of it: reset, features, all queues, DRIVER_OK. The features are cut to what is offered. */
void driver_start(struct driver *d, uint64_t features);
#define DRIVER_ALL_FEATURES (~0ULL)

void *driver_ram(struct driver *d, uint64_t gpa);
void driver_desc(struct driver *d, unsigned q, unsigned index, uint64_t gpa, uint32_t len, unsigned flags,
                 unsigned next);
void driver_avail(struct driver *d, unsigned q, unsigned head);
void driver_kick(struct driver *d, unsigned q);
/* Runs the I/O thread's part. */
void driver_run(struct driver *d);
/* A buffer of n pieces, made available; returns its head. */
unsigned driver_add(struct driver *d, unsigned q, const struct seg *seg, unsigned n);
/* The same through an indirect table. */
unsigned driver_add_indirect(struct driver *d, unsigned q, const struct seg *seg, unsigned n);
/* Takes the next used buffer; false: none. */
bool driver_used(struct driver *d, unsigned q, uint32_t *head, uint32_t *len);
unsigned driver_used_count(struct driver *d, unsigned q);

#endif
