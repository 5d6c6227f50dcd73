/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address space of device registers: one for ports, one for MMIO. Regions do
 * not overlap, but for a higher `priority` winning over a lower one. All under
 * the VM lock.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include "base/error.h"

struct vm;
struct vcpu;

/*
 * Register access. offset is relative to the region; size is 1, 2, 4 or 8. An
 * access that the sizes below do not allow is split or widened by the bus: reads
 * wider than max_size are put together, narrower than min_size are cut out;
 * writes narrower than min_size are dropped.
 */
struct io_ops {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    uint8_t min_size; /* 0: 1 */
    uint8_t max_size; /* 0: 4 */
};

/* Lives in its device, whose lifetime it shares. */
struct io_region {
    const char *name; /* static text */
    uint64_t base;
    uint64_t size;
    const struct io_ops *ops;
    void *opaque;
    int priority;
    bool mapped; /* the bus's */
};

#define BUS_MAX_REGIONS 512

struct bus {
    struct io_region *region[BUS_MAX_REGIONS]; /* by falling priority */
    unsigned count;
};

/* Fill the region's base, size, ops, opaque, name first. -ENOSPC: too many; -EINVAL: empty or wraps; -EBUSY:
 * overlap at equal priority. */
int bus_map(struct bus *bus, struct io_region *region);
/* Harmless if not mapped. */
void bus_unmap(struct bus *bus, struct io_region *region);

/* NULL: nobody answers there. */
struct io_region *bus_find(const struct bus *bus, uint64_t address);

/* What no region answers reads as all ones, and swallows writes. Accesses that cross a region's end are split
 * in bytes. */
uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size);
void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned size);

/* For engines: take the VM lock, trace, and access the bus on behalf of a vCPU. */
uint64_t vcpu_pio_read(struct vcpu *vcpu, uint16_t port, unsigned size);
void vcpu_pio_write(struct vcpu *vcpu, uint16_t port, uint64_t value, unsigned size);
uint64_t vcpu_mmio_read(struct vcpu *vcpu, uint64_t gpa, unsigned size);
void vcpu_mmio_write(struct vcpu *vcpu, uint64_t gpa, uint64_t value, unsigned size);

#endif
