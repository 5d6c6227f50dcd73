/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio device's notifications, before and after its BAR was moved many times under a running driver. */
#include "tests/guest/hostile/virtio-driver.h"

#define MOVES  500U
#define STRIDE 0x10000U

static void ask_for_entropy(struct vdev *d)
{
    struct vqueue *q = &d->q[0];
    struct vused_elem elem;

    vq_desc(q, 0, DATA, 64, D_WRITE, 0);
    vq_offer(q, 0);
    vq_notify(q, 0);
    CHECK(vq_wait(d, 0, &elem));
    CHECK(elem.id == 0 && elem.len == 64);
}

static void move_to(struct vdev *d, uint64_t to)
{
    uint64_t by = to - d->registers;

    pci_write(d->devfn, 0x10, (uint32_t)to);
    d->registers += by;
    d->common += by;
    d->isr += by;
    d->config += by;
    d->notify += by;
    for (unsigned i = 0; i < d->queues && i < MAX_QUEUES; i++)
        d->q[i].notify += by;
}

void doorbell(void)
{
    static struct vdev d;
    uint64_t home;

    vdev_find(&d, ID_RNG);
    vdev_start(&d, 0);
    home = d.registers;
    for (unsigned i = 0; i < 10; i++)
        ask_for_entropy(&d);
    for (unsigned i = 0; i < MOVES; i++) {
        move_to(&d, home + (i % 8) * STRIDE);
        if (i % 100 == 0)
            ask_for_entropy(&d);
    }
    print("moved\n");
    while (!(inb(0x3fd) & 1))
        __asm__ volatile("pause");
    ask_for_entropy(&d);
    vdev_reset(&d);
    vdev_start(&d, 0);
    ask_for_entropy(&d);
}
