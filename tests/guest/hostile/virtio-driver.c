/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/hostile/virtio-driver.h"

#define VENDOR         0x1af4U
#define PCI_CAP_VENDOR 9U
/* Free space for BARs on this board and on QEMU's q35. */
#define BAR_PLACE 0xc8000000U
#define BAR_ROOM  0x100000U
#define PATIENCE  20000000U /* loops */

static uint32_t bar_place(unsigned devfn)
{
    return BAR_PLACE + (devfn & 0xff) * BAR_ROOM;
}

/* Moves memory BARs below 4 GiB; each device has its own MiB. */
static void place_bars(unsigned devfn)
{
    uint32_t at = bar_place(devfn);

    pci_write(devfn, 4, pci_read(devfn, 4) & ~7U & 0xffff);
    for (unsigned reg = 0x10; reg < 0x28; reg += 4) {
        uint32_t old = pci_read(devfn, reg);
        bool wide = (old & 7) == 4;
        uint32_t size;

        if (old & 1) /* an I/O port BAR of somebody else's device */
            continue;
        pci_write(devfn, reg, 0xffffffff);
        size = ~(pci_read(devfn, reg) & ~15U) + 1;
        if (size) {
            at = (at + size - 1) & ~(size - 1);
            pci_write(devfn, reg, at);
            at += size;
        }
        if (wide) {
            pci_write(devfn, reg + 4, 0);
            reg += 4;
        }
    }
    pci_write(devfn, 4, 6 | (pci_read(devfn, 4) & 0xffff));
}

static uint8_t config8(unsigned devfn, unsigned reg)
{
    return (uint8_t)(pci_read(devfn, reg) >> (8 * (reg & 3)));
}

static void take_capability(struct vdev *d, unsigned cap)
{
    uint64_t bar = pci_read(d->devfn, 0x10 + 4U * config8(d->devfn, cap + 4)) & ~15U;
    uint64_t at = bar + pci_read(d->devfn, cap + 8);

    switch (config8(d->devfn, cap + 3)) {
    case 1:
        d->common = at;
        d->registers = bar;
        break;
    case 2:
        d->notify = at;
        d->notify_step = pci_read(d->devfn, cap + 16);
        break;
    case 3:
        d->isr = at;
        break;
    case 4:
        d->config = at;
        d->config_len = pci_read(d->devfn, cap + 12);
        break;
    case 5:
        d->window = (uint8_t)cap;
        break;
    }
}

void vdev_find(struct vdev *d, enum virtio_id id)
{
    unsigned devfn = 0;

    *d = (struct vdev){0};
    while (devfn < 256 && pci_read(devfn, 0) != (VENDOR | (0x1040U + id) << 16))
        devfn++;
    if (devfn == 256) {
        print("no virtio device ");
        print_hex(id);
        print("\n");
        finish(false);
    }
    d->devfn = devfn;
    place_bars(devfn);
    for (unsigned cap = config8(devfn, 0x34), n = 0; cap && n < 48; cap = config8(devfn, cap + 1), n++) {
        if (config8(devfn, cap) == PCI_CAP_VENDOR)
            take_capability(d, cap);
    }
    CHECK(d->common && d->isr && d->notify);
    for (unsigned half = 0; half < 2; half++) {
        MMIO32(d->common + C_DEVICE_FEATURE_SELECT) = half;
        d->offered |= (uint64_t)MMIO32(d->common + C_DEVICE_FEATURE) << (32 * half);
    }
    CHECK(d->offered & F_VERSION_1);
    d->queues = common16(d, C_NUM_QUEUES);
    CHECK(d->queues);
    if (d->queues > MAX_QUEUES)
        d->queues = MAX_QUEUES;
}

uint16_t common16(const struct vdev *d, enum common at)
{
    return MMIO16(d->common + at);
}

void common_write16(const struct vdev *d, enum common at, uint16_t v)
{
    MMIO16(d->common + at) = v;
}

void common_write64(const struct vdev *d, enum common at, uint64_t v)
{
    MMIO32(d->common + at) = (uint32_t)v;
    MMIO32(d->common + at + 4) = (uint32_t)(v >> 32);
}

uint8_t vdev_status(const struct vdev *d)
{
    return MMIO8(d->common + C_STATUS);
}

void vdev_add_status(const struct vdev *d, uint8_t bits)
{
    MMIO8(d->common + C_STATUS) = vdev_status(d) | bits;
}

void vdev_reset(struct vdev *d)
{
    unsigned i = 0;

    MMIO8(d->common + C_STATUS) = 0;
    while (vdev_status(d) && i < PATIENCE)
        i++;
    CHECK(vdev_status(d) == 0);
}

void vdev_begin(struct vdev *d, uint64_t features)
{
    vdev_reset(d);
    vdev_add_status(d, ST_ACKNOWLEDGE);
    vdev_add_status(d, ST_DRIVER);
    features |= F_VERSION_1;
    for (unsigned half = 0; half < 2; half++) {
        MMIO32(d->common + C_DRIVER_FEATURE_SELECT) = half;
        MMIO32(d->common + C_DRIVER_FEATURE) = (uint32_t)(features >> (32 * half));
    }
    vdev_add_status(d, ST_FEATURES_OK);
}

void vq_place(struct vdev *d, unsigned index, uint16_t size)
{
    struct vqueue *q = &d->q[index];
    uint64_t at = RINGS + index * RING_PAGES * 4096ULL;

    common_write16(d, C_QUEUE_SELECT, (uint16_t)index);
    q->max = common16(d, C_QUEUE_SIZE);
    if (q->max > 256) /* 256 descriptors are a page */
        q->max = 256;
    q->size = size ? size : q->max;
    q->seen = 0;
    q->desc = (volatile struct vdesc *)at;
    q->avail = (volatile uint16_t *)(at + 4096);
    q->used = (volatile uint16_t *)(at + 8192);
    q->result = (volatile struct vused_elem *)(at + 8196);
    for (uint64_t *p = (uint64_t *)at; p < (uint64_t *)(at + RING_PAGES * 4096ULL); p++)
        *(volatile uint64_t *)p = 0;
    q->notify = d->notify + (uint64_t)common16(d, C_QUEUE_NOTIFY_OFF) * d->notify_step;
    common_write16(d, C_QUEUE_SIZE, q->size);
    common_write64(d, C_QUEUE_DESC, (uintptr_t)q->desc);
    common_write64(d, C_QUEUE_DRIVER, (uintptr_t)q->avail);
    common_write64(d, C_QUEUE_DEVICE, (uintptr_t)q->used);
}

void vq_enable(struct vdev *d, unsigned index)
{
    common_write16(d, C_QUEUE_SELECT, (uint16_t)index);
    common_write16(d, C_QUEUE_ENABLE, 1);
}

void vdev_start(struct vdev *d, uint64_t features)
{
    vdev_begin(d, features);
    CHECK(vdev_status(d) & ST_FEATURES_OK);
    for (unsigned i = 0; i < d->queues; i++) {
        vq_place(d, i, 0);
        if (d->q[i].size)
            vq_enable(d, i);
    }
    vdev_add_status(d, ST_DRIVER_OK);
    CHECK((vdev_status(d) & (ST_DRIVER_OK | ST_NEEDS_RESET)) == ST_DRIVER_OK);
}

void vq_desc(struct vqueue *q, unsigned i, uint64_t address, uint32_t len, unsigned flags, unsigned next)
{
    q->desc[i].address = address;
    q->desc[i].len = len;
    q->desc[i].flags = (uint16_t)flags;
    q->desc[i].next = (uint16_t)next;
}

void vq_offer(struct vqueue *q, uint16_t head)
{
    q->avail[2 + q->avail[1] % q->size] = head;
    q->avail[1]++;
}

void vq_notify(const struct vqueue *q, unsigned index)
{
    MMIO16(q->notify) = (uint16_t)index;
}

bool vq_wait(struct vdev *d, unsigned index, struct vused_elem *elem)
{
    struct vqueue *q = &d->q[index];

    for (unsigned i = 0; i < PATIENCE && q->used[1] == q->seen; i++) {
        if (i % 4096 == 4095 && vdev_status(d) & ST_NEEDS_RESET)
            return false;
        __asm__ volatile("pause");
    }
    if (q->used[1] == q->seen)
        return false;
    if (elem) {
        elem->id = q->result[q->seen % q->size].id;
        elem->len = q->result[q->seen % q->size].len;
    }
    q->seen++;
    return true;
}

bool vdev_breaks(const struct vdev *d)
{
    for (unsigned i = 0; i < PATIENCE / 64; i++) {
        if (vdev_status(d) & ST_NEEDS_RESET)
            return true;
    }
    return false;
}

void linger(void)
{
    for (unsigned i = 0; i < 200000; i++)
        __asm__ volatile("pause");
}
