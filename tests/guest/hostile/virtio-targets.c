/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/hostile/virtio-targets.h"

/* ---- disk ---- */

void blk_header(uint32_t type, uint64_t sector)
{
    MMIO32(BLK_HEADER) = type;
    MMIO32(BLK_HEADER + 4) = 0;
    MMIO64(BLK_HEADER + 8) = sector;
}

uint8_t blk_request(struct vdev *d, uint32_t type, uint64_t sector, uint64_t address, uint32_t len)
{
    struct vqueue *q = &d->q[0];
    unsigned direction = type == BLK_OUT || type >= BLK_DISCARD ? 0 : D_WRITE;

    blk_header(type, sector);
    MMIO8(BLK_STATUS) = 0xfe;
    vq_desc(q, 0, BLK_HEADER, 16, D_NEXT, len ? 1 : 2);
    vq_desc(q, 1, address, len, direction | D_NEXT, 2);
    vq_desc(q, 2, BLK_STATUS, 1, D_WRITE, 0);
    vq_offer(q, 0);
    vq_notify(q, 0);
    return vq_wait(d, 0, NULL) ? MMIO8(BLK_STATUS) : 0xff;
}

static bool blk_works(struct vdev *d)
{
    uint64_t mark = random64(), at = BLK_DATA, back = BLK_DATA + 0x10000;

    vdev_start(d, F_INDIRECT);
    for (unsigned i = 0; i < 512; i += 8)
        MMIO64(at + i) = mark + i;
    if (blk_request(d, BLK_OUT, 5, at, 512) || blk_request(d, BLK_FLUSH, 0, 0, 0) ||
        blk_request(d, BLK_IN, 5, back, 512))
        return false;
    for (unsigned i = 0; i < 512; i += 8) {
        if (MMIO64(back + i) != mark + i)
            return false;
    }
    return true;
}

/* ---- network ---- */

uint32_t net_arp(uint64_t at)
{
    static const uint8_t frame[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, /* Ethernet: ARP */
        0,    1,    8,    0,    6,    4,    0,    1,                               /* request */
        0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0,    2, 15,                     /* from */
        0,    0,    0,    0,    0,    0,    10,   0,    2, 2,                      /* whom */
    };

    memset((void *)at, 0, NET_HEADER);
    memcpy((void *)(at + NET_HEADER), frame, sizeof(frame));
    memset((void *)(at + NET_HEADER + sizeof(frame)), 0, 18);
    return NET_HEADER + 60;
}

static bool is_arp_reply(uint64_t at)
{
    return MMIO16(at + NET_HEADER + 12) == 0x0608 && MMIO16(at + NET_HEADER + 20) == 0x0200;
}

static bool net_works(struct vdev *d)
{
    struct vqueue *rx = &d->q[0], *tx = &d->q[1];
    struct vused_elem elem;

    vdev_start(d, F_INDIRECT);
    for (uint16_t i = 0; i < 32; i++) {
        vq_desc(rx, i, DATA + 0x10000 + i * 2048, 2048, D_WRITE, 0);
        vq_offer(rx, i);
    }
    vq_notify(rx, 0);
    vq_desc(tx, 0, DATA, net_arp(DATA), 0, 0);
    vq_offer(tx, 0);
    vq_notify(tx, 1);
    if (!vq_wait(d, 1, NULL))
        return false;
    /* Others may talk too. */
    for (unsigned i = 0; i < 32 && vq_wait(d, 0, &elem); i++) {
        if (is_arp_reply(DATA + 0x10000 + elem.id * 2048))
            return true;
    }
    return false;
}

/* ---- console, entropy, balloon ---- */

static bool console_works(struct vdev *d)
{
    struct vqueue *tx = &d->q[1];

    vdev_start(d, F_INDIRECT);
    memcpy((void *)DATA, "in order\n", 9);
    vq_desc(tx, 0, DATA, 9, 0, 0);
    vq_offer(tx, 0);
    vq_notify(tx, 1);
    return vq_wait(d, 1, NULL);
}

static bool rng_works(struct vdev *d)
{
    struct vqueue *q = &d->q[0];
    struct vused_elem elem;

    vdev_start(d, F_INDIRECT);
    memset((void *)DATA, 0, 64);
    vq_desc(q, 0, DATA, 64, D_WRITE, 0);
    vq_offer(q, 0);
    vq_notify(q, 0);
    return vq_wait(d, 0, &elem) && elem.len > 0 && elem.len <= 64 && (MMIO64(DATA) | MMIO64(DATA + 8));
}

static bool balloon_works(struct vdev *d)
{
    uint64_t page = DATA + 0x100000;

    vdev_start(d, F_INDIRECT);
    for (unsigned i = 0; i < 2; i++) {
        struct vqueue *q = &d->q[i];

        MMIO32(DATA) = (uint32_t)(page >> 12);
        vq_desc(q, 0, DATA, 4, 0, 0);
        vq_offer(q, 0);
        vq_notify(q, i);
        if (!vq_wait(d, i, NULL))
            return false;
    }
    MMIO64(page) = 0x600df00d;
    return MMIO64(page) == 0x600df00d;
}

const struct target targets[TARGETS] = {
    {ID_BLK, 0, 0, blk_works}, {ID_RNG, 0, D_WRITE, rng_works},   {ID_BALLOON, 0, 0, balloon_works},
    {ID_NET, 1, 0, net_works}, {ID_CONSOLE, 1, 0, console_works},
};

unsigned target_count(void)
{
    static unsigned count; /* asked once: the devices may write over the command line */

    if (!count)
        count = told("without=net") ? TARGETS - 2 : told("without=console") ? TARGETS - 1 : TARGETS;
    return count;
}

const struct target *target_of(enum virtio_id id)
{
    const struct target *t = targets;

    while (t->id != id)
        t++;
    return t;
}

void must_work(const struct target *t, struct vdev *d)
{
    if (t->works(d))
        return;
    print("does not work any more: virtio device ");
    print_hex(t->id);
    print(", status ");
    print_hex(vdev_status(d));
    print("\n");
    finish(false);
}
