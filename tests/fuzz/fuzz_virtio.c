/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver and a backend that do anything. The first byte chooses the device, the
 * rest is a program: registers, descriptors, rings, guest memory, kicks, what
 * happens behind the device, resets, a save and a load. Whatever comes, the device
 * stays inside of its guest's memory and works after a reset.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/device.h"
#include "core/state-internal.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p, *end;
};

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes && in->p < in->end; i++)
        v |= (uint64_t)*in->p++ << (8 * i);
    return v;
}

/* Mostly addresses that mean something. */
static uint64_t take_gpa(struct input *in, const struct driver *d)
{
    uint64_t low = take(in, 3);

    switch (take(in, 1) % 8) {
    case 0:
        return DRIVER_RAM - (low & 0xff);
    case 1:
        return d->common + (low & 0x3fff);
    case 2:
        return ~low;
    case 3:
        return DRIVER_QUEUE_BASE + (low & 0x7ffff);
    default:
        return DRIVER_DATA + (low & 0x1fffff);
    }
}

static struct driver d;
static struct backends b;

static void register_access(struct input *in)
{
    static const uint16_t blocks[] = {VIRTIO_PCI_COMMON, VIRTIO_PCI_ISR, VIRTIO_PCI_DEVICE,
                                      VIRTIO_PCI_NOTIFY};
    uint8_t how = (uint8_t)take(in, 1);
    uint64_t at = d.common + blocks[how & 3] + (take(in, 1) & 0x7f);
    unsigned size = 1U << (how >> 2 & 3);

    if (how & 0x10)
        driver_write(&d, at, take(in, size), size);
    else
        driver_read(&d, at, size);
}

static void config_access(struct input *in)
{
    unsigned offset = (unsigned)take(in, 1) & ~3U;

    /* BARs and the command register stay: there would be nothing left to fuzz. */
    if (offset >= PCI_FIRST_CAPABILITY)
        pci_config_write(&d.bus, 0, d.devfn, offset, (uint32_t)take(in, 4), 4);
    pci_config_read(&d.bus, 0, d.devfn, offset, 4);
}

static void backend_event(struct input *in, unsigned kind)
{
    static uint8_t bytes[70000];
    size_t len = take(in, 2);
    struct chardev *c = &b.tty[len & 1].chardev;

    switch (kind) {
    case KIND_BLK:
        b.disk.hold = len & 1;
        b.disk.fail = len & 2 ? -EIO : 0;
        if (len & 4)
            fake_disk_complete(&b.disk);
        break;
    case KIND_NET:
        b.net.net.receive(b.net.net.nic, bytes, len);
        break;
    case KIND_CONSOLE:
        b.tty[0].room = b.tty[1].room = len >> 4;
        b.tty[0].out_len = b.tty[1].out_len = 0;
        c->connected = len & 2;
        if (len & 4)
            c->connection(c->device, c->connected);
        else if (len & 8)
            c->writable(c->device);
        else
            c->receive(c->device, bytes, len);
        break;
    }
}

struct memory_io {
    struct state_io io;
    uint8_t bytes[65536];
    size_t len;
};

static int append(struct state_io *io, void *buf, size_t len)
{
    struct memory_io *m = container_of(io, struct memory_io, io);

    if (len > sizeof(m->bytes) - m->len)
        return -ENOSPC;
    memcpy(m->bytes + m->len, buf, len);
    m->len += len;
    return 0;
}

/* What a device saves of itself, it takes; with a byte turned over, it may refuse. */
static void save_and_load(struct input *in, struct device *dev)
{
    static struct memory_io m;
    size_t at;

    m = (struct memory_io){.io = {append}};
    if (state_save_object(&m.io, dev->ops->state, dev->id, device_object(dev), NULL) < 0)
        abort();
    if (state_load_object(m.bytes + STATE_RECORD_SIZE, m.len - STATE_RECORD_SIZE, dev->ops->state->version,
                          dev->ops->state, device_object(dev), NULL) < 0)
        abort();
    at = STATE_RECORD_SIZE + take(in, 2) % (m.len - STATE_RECORD_SIZE);
    m.bytes[at] ^= (uint8_t)take(in, 1);
    if (state_load_object(m.bytes + STATE_RECORD_SIZE, m.len - STATE_RECORD_SIZE, dev->ops->state->version,
                          dev->ops->state, device_object(dev), NULL) < 0)
        dev->ops->reset(dev);
    driver_attach(&d);
}

static void queue_set(struct input *in)
{
    unsigned q = (unsigned)take(in, 1) % d.queue_count;

    driver_queue_setup(&d, q, (uint16_t)(1U << (take(in, 1) % 9)));
}

static void step(struct input *in, struct device *dev, unsigned kind)
{
    uint8_t op = (uint8_t)take(in, 1);
    unsigned q = (op >> 4) % d.queue_count;
    uint64_t gpa;

    switch (op & 15) {
    case 0:
        register_access(in);
        break;
    case 1:
        config_access(in);
        break;
    case 2:
        backend_event(in, kind);
        break;
    case 3:
        gpa = take_gpa(in, &d);
        mem_write(&d.vm, gpa, in->p, MIN((size_t)(in->end - in->p), 8U));
        take(in, 8);
        break;
    case 4:
        driver_start(&d, op & 0x80 ? DRIVER_ALL_FEATURES : take(in, 5));
        break;
    case 5:
        queue_set(in);
        break;
    case 6:
        save_and_load(in, dev);
        break;
    case 7:
    case 8:
        driver_kick(&d, q);
        driver_run(&d);
        break;
    case 9:
    case 10:
        if (d.queue[q].size)
            driver_avail(&d, q, (unsigned)take(in, 1));
        break;
    default:
        gpa = take_gpa(in, &d);
        if (d.queue[q].desc)
            driver_desc(&d, q, (unsigned)take(in, 1) % 32, gpa, (uint32_t)take(in, 2),
                        (unsigned)take(in, 1) & 7, (unsigned)take(in, 1) % 40);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    unsigned kind = (unsigned)take(&in, 1) % kind_count;
    struct device *dev = bench_make(&d, &b, kind);

    driver_start(&d, DRIVER_ALL_FEATURES);
    while (in.p < in.end)
        step(&in, dev, kind);
    driver_run(&d);
    driver_start(&d, DRIVER_ALL_FEATURES);
    base_assert(!driver_needs_reset(&d));
    driver_finish(&d);
    return 0;
}
