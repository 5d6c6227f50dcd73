/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/bus.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "core/vm.h"

static bool region_has(const struct io_region *r, uint64_t address)
{
    return address - r->base < r->size;
}

int bus_map(struct bus *bus, struct io_region *region)
{
    uint64_t end;
    unsigned at;

    if (!region->size || !add_fits(region->base, region->size - 1, &end))
        return -EINVAL;
    if (region->mapped)
        return -EBUSY;
    if (bus->count == BUS_MAX_REGIONS)
        return -ENOSPC;
    for (at = 0; at < bus->count; at++) {
        const struct io_region *r = bus->region[at];
        if (r->priority == region->priority && ranges_overlap(r->base, r->size, region->base, region->size))
            return -EBUSY;
    }
    for (at = bus->count; at && bus->region[at - 1]->priority < region->priority; at--)
        bus->region[at] = bus->region[at - 1];
    bus->region[at] = region;
    bus->count++;
    region->mapped = true;
    return 0;
}

void bus_unmap(struct bus *bus, struct io_region *region)
{
    unsigned at;

    if (!region->mapped)
        return;
    for (at = 0; bus->region[at] != region; at++)
        base_assert(at < bus->count);
    bus->count--;
    for (; at < bus->count; at++)
        bus->region[at] = bus->region[at + 1];
    region->mapped = false;
}

struct io_region *bus_find(const struct bus *bus, uint64_t address)
{
    for (unsigned i = 0; i < bus->count; i++) {
        if (region_has(bus->region[i], address))
            return bus->region[i];
    }
    return NULL;
}

static bool region_has_all(const struct io_region *r, uint64_t address, unsigned size)
{
    return r && size <= r->size && address - r->base <= r->size - size;
}

static uint64_t region_read(struct io_region *r, uint64_t offset, unsigned size)
{
    unsigned min = r->ops->min_size ? r->ops->min_size : 1;
    unsigned max = r->ops->max_size ? r->ops->max_size : 4;

    if (size > max) {
        uint64_t v = 0;
        for (unsigned i = 0; i < size; i += max)
            v |= low_bytes(r->ops->read(r->opaque, offset + i, max), max) << (i * 8);
        return v;
    }
    if (size < min) {
        uint64_t start = ALIGN_DOWN(offset, min);
        uint64_t v = r->ops->read(r->opaque, start, min);
        return low_bytes(v >> ((offset - start) * 8), size);
    }
    return low_bytes(r->ops->read(r->opaque, offset, size), size);
}

static void region_write(struct io_region *r, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned min = r->ops->min_size ? r->ops->min_size : 1;
    unsigned max = r->ops->max_size ? r->ops->max_size : 4;

    if (size < min)
        return;
    if (size <= max) {
        r->ops->write(r->opaque, offset, low_bytes(value, size), size);
        return;
    }
    for (unsigned i = 0; i < size && r->mapped; i += max)
        r->ops->write(r->opaque, offset + i, low_bytes(value >> (i * 8), max), max);
}

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size)
{
    struct io_region *r = bus_find(bus, address);
    uint64_t v = 0;

    if (region_has_all(r, address, size))
        return region_read(r, address - r->base, size);
    if (size == 1)
        return 0xff;
    for (unsigned i = 0; i < size; i++)
        v |= bus_read(bus, address + i, 1) << (i * 8);
    return v;
}

void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned size)
{
    struct io_region *r = bus_find(bus, address);

    if (region_has_all(r, address, size)) {
        region_write(r, address - r->base, value, size);
        return;
    }
    if (size == 1)
        return;
    for (unsigned i = 0; i < size; i++)
        bus_write(bus, address + i, value >> (i * 8) & 0xff, 1);
}

static void trace_access(struct vm *vm, bool mmio, bool write, uint64_t address, uint64_t value,
                         unsigned size)
{
    const struct io_region *r = bus_find(mmio ? &vm->mmio : &vm->pio, address);

    if (mmio)
        vm_trace(vm, MMIO, "%s %s 0x%llx size %u: 0x%llx", r ? r->name : "-", write ? "write" : "read",
                 (unsigned long long)address, size, (unsigned long long)value);
    else
        vm_trace(vm, PIO, "%s %s 0x%llx size %u: 0x%llx", r ? r->name : "-", write ? "out" : "in",
                 (unsigned long long)address, size, (unsigned long long)value);
    if (!r)
        vm_trace(vm, UNASSIGNED, "%s %s 0x%llx size %u", mmio ? "mmio" : "port", write ? "write" : "read",
                 (unsigned long long)address, size);
}

static uint64_t vcpu_bus_read(struct vcpu *vcpu, bool mmio, uint64_t address, unsigned size)
{
    struct vm *vm = vcpu->vm;
    uint64_t v;

    vm_lock(vm);
    vm->current_vcpu = vcpu;
    v = bus_read(mmio ? &vm->mmio : &vm->pio, address, size);
    vm->current_vcpu = NULL;
    if (unlikely(vm->trace.mask))
        trace_access(vm, mmio, false, address, v, size);
    vm_unlock(vm);
    return v;
}

static void vcpu_bus_write(struct vcpu *vcpu, bool mmio, uint64_t address, uint64_t value, unsigned size)
{
    struct vm *vm = vcpu->vm;

    vm_lock(vm);
    if (unlikely(vm->trace.mask))
        trace_access(vm, mmio, true, address, value, size);
    vm->current_vcpu = vcpu;
    bus_write(mmio ? &vm->mmio : &vm->pio, address, value, size);
    vm->current_vcpu = NULL;
    vm_unlock(vm);
}

uint64_t vcpu_pio_read(struct vcpu *vcpu, uint16_t port, unsigned size)
{
    return vcpu_bus_read(vcpu, false, port, size);
}

void vcpu_pio_write(struct vcpu *vcpu, uint16_t port, uint64_t value, unsigned size)
{
    vcpu_bus_write(vcpu, false, port, value, size);
}

uint64_t vcpu_mmio_read(struct vcpu *vcpu, uint64_t gpa, unsigned size)
{
    return vcpu_bus_read(vcpu, true, gpa, size);
}

void vcpu_mmio_write(struct vcpu *vcpu, uint64_t gpa, uint64_t value, unsigned size)
{
    vcpu_bus_write(vcpu, true, gpa, value, size);
}
