/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attacks by virtio's registers: queue set-up, status, features, configuration space, interrupt vectors,
 * resets. */
#include "tests/guest/hostile/hostile.h"
#include "tests/guest/hostile/virtio-targets.h"

static void at_each_device(void (*attack)(struct vdev *d, const struct target *t))
{
    struct vdev d;

    for (unsigned i = 0; i < target_count(); i++) {
        vdev_find(&d, targets[i].id);
        attack(&d, &targets[i]);
        must_work(&targets[i], &d);
    }
}

/* ---- where the rings are, and how large ---- */

/* One request, with rings that were set up wrongly: nothing may come of it. */
static void try_to_use(struct vdev *d, const struct target *t)
{
    struct vqueue *q = &d->q[t->queue];

    vq_enable(d, t->queue);
    vdev_add_status(d, ST_DRIVER_OK);
    vq_desc(q, 0, DATA, 16, t->direction, 0);
    q->avail[2] = 0;
    q->avail[1] = 1;
    vq_notify(q, t->queue);
}

static void wrong_sizes(struct vdev *d, const struct target *t)
{
    for (unsigned i = 0; i < 7; i++) {
        uint16_t size[] = {0, 3, 0, 0xffff, 0x8000, 100, 0};

        vdev_begin(d, 0);
        vq_place(d, t->queue, 0);
        size[2] = (uint16_t)(d->q[t->queue].max * 2);
        size[6] = (uint16_t)(d->q[t->queue].max - 1);
        common_write16(d, C_QUEUE_SIZE, size[i]);
        try_to_use(d, t);
        linger();
        CHECK(d->q[t->queue].used[1] == 0);
    }
}

void virtq_sizes(void)
{
    at_each_device(wrong_sizes);
}

static void rings_at(struct vdev *d, const struct target *t, const uint64_t *places, unsigned count)
{
    for (unsigned ring = C_QUEUE_DESC; ring <= C_QUEUE_DEVICE; ring += 8) {
        for (unsigned i = 0; i < count; i++) {
            vdev_begin(d, 0);
            vq_place(d, t->queue, 0);
            common_write64(d, (enum common)ring, places[i]);
            try_to_use(d, t);
            if (vdev_breaks(d))
                continue;
            print("ring ");
            print_hex(ring);
            print(" at ");
            print_hex(places[i]);
            print(" was taken\n");
            finish(false);
        }
    }
}

static void rings_in_mmio_of(struct vdev *d, const struct target *t)
{
    const uint64_t places[] = {0xfee00000, 0xfec00000, 0xe0000000, 0xfed00000, d->registers};

    rings_at(d, t, places, 5);
}

void virtq_rings_in_mmio(void)
{
    at_each_device(rings_in_mmio_of);
}

static void rings_beyond_ram_of(struct vdev *d, const struct target *t)
{
    static const uint64_t places[] = {RAM_END, RAM_END - 16, 0x70000000, 1ULL << 40, 1ULL << 63};

    rings_at(d, t, places, 5);
}

void virtq_rings_beyond_ram(void)
{
    at_each_device(rings_beyond_ram_of);
}

static void rings_wrap_of(struct vdev *d, const struct target *t)
{
    static const uint64_t places[] = {~0ULL - 15, 0xfffffffffffffff0ULL, 0xfffffffffffff000ULL};

    rings_at(d, t, places, 3);
}

void virtq_rings_wrap(void)
{
    at_each_device(rings_wrap_of);
}

static void rings_unaligned_of(struct vdev *d, const struct target *t)
{
    static const uint64_t places[] = {RINGS + 0x20001, RINGS + 0x20007};

    rings_at(d, t, places, 2);
}

void virtq_rings_unaligned(void)
{
    at_each_device(rings_unaligned_of);
}

/* All three rings at one place: what the device writes changes what it reads. */
static void overlap(struct vdev *d, const struct target *t)
{
    struct vqueue *q = &d->q[t->queue];

    for (unsigned i = 0; i < 64; i++) {
        vdev_begin(d, 0);
        vq_place(d, t->queue, 0);
        for (unsigned ring = C_QUEUE_DESC; ring <= C_QUEUE_DEVICE; ring += 8)
            common_write64(d, (enum common)ring, RINGS + random_below(i < 8 ? 1 : 64) * 16);
        q->desc = (volatile struct vdesc *)RINGS;
        q->avail = (volatile uint16_t *)RINGS;
        vq_enable(d, t->queue);
        vdev_add_status(d, ST_DRIVER_OK);
        vq_desc(q, 0, DATA, 16, t->direction, 0);
        vq_desc(q, 1, RINGS, 64, t->direction | D_NEXT, 0);
        q->avail[1] = (uint16_t)(1 + random_below(q->size));
        vq_notify(q, t->queue);
        linger();
    }
}

void virtq_rings_overlap(void)
{
    at_each_device(overlap);
}

/* Once live, a queue stays where it is. */
static void move_live(struct vdev *d, const struct target *t)
{
    vdev_start(d, 0);
    common_write16(d, C_QUEUE_SELECT, (uint16_t)t->queue);
    for (unsigned i = 0; i < 1000; i++) {
        common_write64(d, C_QUEUE_DESC, random64());
        common_write64(d, C_QUEUE_DRIVER, random64());
        common_write64(d, C_QUEUE_DEVICE, random64());
        common_write16(d, C_QUEUE_SIZE, (uint16_t)random64());
        common_write16(d, C_QUEUE_ENABLE, (uint16_t)(i & 1));
        d->q[t->queue].avail[1]++;
        vq_notify(&d->q[t->queue], t->queue);
    }
}

void virtq_moves_while_live(void)
{
    at_each_device(move_live);
}

/* ---- notifications ---- */

static void notify_early(struct vdev *d, const struct target *t)
{
    struct vqueue *q = &d->q[t->queue];

    vdev_begin(d, 0);
    vq_place(d, t->queue, 0);
    vq_desc(q, 0, DATA, 16, t->direction, 0);
    vq_offer(q, 0);
    vq_notify(q, t->queue); /* not even enabled */
    vq_enable(d, t->queue);
    for (unsigned i = 0; i < 100; i++)
        vq_notify(q, t->queue);
    linger();
    CHECK(q->used[1] == 0); /* not before DRIVER_OK */
}

void virtio_notify_early(void)
{
    at_each_device(notify_early);
}

static void notify_nobody(struct vdev *d, const struct target *t)
{
    vdev_start(d, 0);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t at = d->notify + random_below(4096 - 4);

        if (i & 1)
            MMIO16(at & ~1ULL) = (uint16_t)random64();
        else
            MMIO32(at & ~3ULL) = (uint32_t)random64();
    }
    CHECK(!(vdev_status(d) & ST_NEEDS_RESET)); /* the queues are empty */
}

void virtio_notify_no_such_queue(void)
{
    at_each_device(notify_nobody);
}

static void no_such_queue(struct vdev *d, const struct target *t)
{
    vdev_begin(d, 0);
    for (unsigned i = 0; i < 3000; i++) {
        uint16_t queue = (uint16_t)(common16(d, C_NUM_QUEUES) + random_below(0xff00));

        common_write16(d, C_QUEUE_SELECT, queue);
        CHECK(common16(d, C_QUEUE_SIZE) == 0);
        common_write64(d, C_QUEUE_DESC, RINGS);
        common_write64(d, C_QUEUE_DRIVER, RINGS + 4096);
        common_write64(d, C_QUEUE_DEVICE, RINGS + 8192);
        common_write16(d, C_QUEUE_SIZE, 8);
        common_write16(d, C_QUEUE_VECTOR, 0);
        common_write16(d, C_QUEUE_ENABLE, 1);
        CHECK(common16(d, C_QUEUE_ENABLE) == 0);
    }
}

void virtio_no_such_queue(void)
{
    at_each_device(no_such_queue);
}

/* ---- status and features ---- */

static void too_many_features(struct vdev *d, const struct target *t)
{
    uint64_t taken = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        if (d->offered & 1ULL << bit)
            continue;
        vdev_begin(d, 1ULL << bit);
        if (!(vdev_status(d) & ST_FEATURES_OK))
            continue; /* refused, as it should be, or else they were not taken: */
        for (unsigned half = 0; half < 2; half++) {
            MMIO32(d->common + C_DRIVER_FEATURE_SELECT) = half;
            taken |= (uint64_t)MMIO32(d->common + C_DRIVER_FEATURE) << (32 * half);
        }
        CHECK(!(taken & ~d->offered));
    }
    for (unsigned i = 0; i < 1000; i++) {
        MMIO32(d->common + C_DRIVER_FEATURE_SELECT) = (uint32_t)random64();
        MMIO32(d->common + C_DEVICE_FEATURE_SELECT) = (uint32_t)random64();
        MMIO32(d->common + C_DRIVER_FEATURE) = (uint32_t)random64();
        (void)MMIO32(d->common + C_DEVICE_FEATURE);
    }
}

void virtio_features_not_offered(void)
{
    at_each_device(too_many_features);
}

static void features_change(struct vdev *d, const struct target *t)
{
    vdev_start(d, 0);
    for (unsigned i = 0; i < 64; i++) {
        MMIO32(d->common + C_DRIVER_FEATURE_SELECT) = i & 1;
        MMIO32(d->common + C_DRIVER_FEATURE) = (uint32_t)random64();
        vq_notify(&d->q[t->queue], t->queue);
    }
}

void virtio_features_change_while_live(void)
{
    at_each_device(features_change);
}

static void odd_status(struct vdev *d, const struct target *t)
{
    vdev_reset(d);
    vdev_add_status(d, ST_DRIVER_OK); /* at once */
    vq_place(d, t->queue, 0);
    try_to_use(d, t);
    linger();
    CHECK(d->q[t->queue].used[1] == 0); /* no features were agreed upon */
    for (unsigned i = 0; i < 3000; i++) {
        MMIO8(d->common + C_STATUS) = (uint8_t)random64();
        vq_enable(d, t->queue);
        vq_notify(&d->q[t->queue], t->queue);
    }
    vdev_start(d, 0);
    for (int bits = 0xf; bits > 0; bits--) /* backwards */
        MMIO8(d->common + C_STATUS) = (uint8_t)bits;
}

void virtio_status_backwards(void)
{
    at_each_device(odd_status);
}

/* ---- registers ---- */

static void all_registers(struct vdev *d, const struct target *t)
{
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t at = d->registers + random_below(0x4000 - 8);
        uint64_t v = random_below(2) ? random_below(4) : random64();

        if (random_below(4) == 0) /* where most is */
            at = d->common + random_below(64);
        switch (random_below(8)) {
        case 0:
            (void)MMIO8(at);
            break;
        case 1:
            (void)MMIO16(at);
            break;
        case 2:
            (void)MMIO32(at);
            break;
        case 3:
            (void)MMIO64(at);
            break;
        case 4:
            MMIO8(at) = (uint8_t)v;
            break;
        case 5:
            MMIO16(at) = (uint16_t)v;
            break;
        case 6:
            MMIO32(at) = (uint32_t)v;
            break;
        default:
            MMIO64(at) = v;
            break;
        }
    }
}

void virtio_registers_random(void)
{
    at_each_device(all_registers);
}

static void config_space(struct vdev *d, const struct target *t)
{
    if (!d->config)
        return;
    vdev_start(d, 0);
    for (unsigned at = 0; at < 4096 - 8; at++) {
        (void)MMIO8(d->config + at);
        (void)MMIO16(d->config + at);
        (void)MMIO32(d->config + at);
        (void)MMIO64(d->config + at);
        if (at >= d->config_len)
            CHECK(MMIO8(d->config + at) == 0 || MMIO8(d->config + at) == 0xff);
        MMIO8(d->config + at) = (uint8_t)random64();
        MMIO32(d->config + at) = (uint32_t)random64();
        MMIO64(d->config + at) = random64();
    }
}

void virtio_config_out_of_range(void)
{
    at_each_device(config_space);
}

/* The capability through which BARs are reached by configuration accesses. */
static void window(struct vdev *d, const struct target *t)
{
    if (!d->window)
        return;
    vdev_start(d, 0);
    for (unsigned i = 0; i < 10000; i++) {
        pci_write(d->devfn, d->window + 4, (uint32_t)(random_below(2) ? 0 : random64()));
        pci_write(d->devfn, d->window + 8, random_below(4) ? random_below(0x5000) : (uint32_t)random64());
        pci_write(d->devfn, d->window + 12, random_below(2) ? 1U << random_below(4) : (uint32_t)random64());
        (void)pci_read(d->devfn, d->window + 16);
        pci_write(d->devfn, d->window + 16, (uint32_t)random64());
    }
}

void virtio_config_window(void)
{
    at_each_device(window);
}

static void vectors(struct vdev *d, const struct target *t)
{
    unsigned msix = pci_read(d->devfn, 0x34) & 0xfc, count;

    while (msix && (pci_read(d->devfn, msix) & 0xff) != 0x11)
        msix = pci_read(d->devfn, msix) >> 8 & 0xfc;
    CHECK(msix);
    count = (pci_read(d->devfn, msix) >> 16 & 0x7ff) + 1;
    for (unsigned i = 0; i < 200; i++) {
        uint16_t vector = (uint16_t)(i < 4 ? count + i : random64());

        vdev_start(d, 0);
        pci_write(d->devfn, msix, i & 1 ? 0x80000000 : 0xc0000000);
        common_write16(d, C_CONFIG_VECTOR, vector);
        CHECK(vector < count || common16(d, C_CONFIG_VECTOR) == 0xffff);
        for (uint16_t k = 0; k < d->queues; k++) {
            common_write16(d, C_QUEUE_SELECT, k);
            common_write16(d, C_QUEUE_VECTOR, vector);
            CHECK(vector < count || common16(d, C_QUEUE_VECTOR) == 0xffff);
        }
        vq_desc(&d->q[t->queue], 0, DATA, 16, t->direction | D_NEXT, 0); /* loops: a change interrupt */
        vq_offer(&d->q[t->queue], 0);
        vq_notify(&d->q[t->queue], t->queue);
    }
    pci_write(d->devfn, msix, 0);
}

void virtio_vectors_out_of_range(void)
{
    at_each_device(vectors);
}

/* ---- requests that lose their ground ---- */

static void fill_queue(struct vdev *d, const struct target *t)
{
    struct vqueue *q = &d->q[t->queue];

    for (uint16_t i = 0; i < q->size; i++) {
        vq_desc(q, i, DATA + i * 4096ULL, 4096, t->direction, 0);
        vq_offer(q, i);
    }
    vq_notify(q, t->queue);
}

static void dma_off(struct vdev *d, const struct target *t)
{
    memset((void *)DATA, 0xff, DATA_SIZE); /* for the balloon: no page */
    for (unsigned i = 0; i < 50; i++) {
        uint32_t command = pci_read(d->devfn, 4) & 0xffff;

        vdev_start(d, 0);
        fill_queue(d, t);
        pci_write(d->devfn, 4, command & ~4U);
        for (unsigned k = random_below(2000); k; k--)
            __asm__ volatile("pause");
        pci_write(d->devfn, 4, command & ~2U);
        pci_write(d->devfn, 4, command);
    }
}

void virtio_dma_off_in_flight(void)
{
    at_each_device(dma_off);
}

static void reset_under_way(struct vdev *d, const struct target *t)
{
    memset((void *)DATA, 0xff, DATA_SIZE);
    for (unsigned i = 0; i < 200; i++) {
        vdev_start(d, 0);
        fill_queue(d, t);
        for (unsigned k = random_below(1000); k; k--)
            __asm__ volatile("pause");
    }
}

void virtio_reset_in_flight(void)
{
    at_each_device(reset_under_way);
}

void virtio_all_at_once(void)
{
    static struct vdev d[TARGETS];

    memset((void *)DATA, 0xff, DATA_SIZE);
    for (unsigned i = 0; i < target_count(); i++)
        vdev_find(&d[i], targets[i].id);
    /* They share the rings' places: each takes the others' indices for its own. */
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < target_count(); i++)
            vdev_start(&d[i], F_INDIRECT & d[i].offered);
        for (unsigned i = 0; i < target_count(); i++)
            fill_queue(&d[i], &targets[i]);
        for (unsigned i = 0; i < target_count(); i++)
            vq_notify(&d[i].q[targets[i].queue], targets[i].queue);
    }
    for (unsigned i = 0; i < target_count(); i++)
        vdev_reset(&d[i]);
    for (unsigned i = 0; i < target_count(); i++)
        must_work(&targets[i], &d[i]);
}
