/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's virtio disks (virtio 1.2, section 5.2), beneath hv/drv/disk.c. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "hv/drv/disk.h"
#include "hv/drv/host-virtio.h"
#include "hv/drv/vdev.h"

#define QUEUE_SIZE  64U
#define SECTOR      512U
#define CHAIN_SHORT 18U /* segments of a request where there are no indirect tables */
#define SERIAL_NS   500000000U
#define PIECE_LIMIT GIB(1)

enum feature { F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13, F_WRITE_ZEROES = 14 };
enum config {
    CAPACITY = 0,
    SEG_MAX = 12,
    BLK_SIZE = 20,
    MAX_DISCARD_SECTORS = 36,
    MAX_WRITE_ZEROES_SECTORS = 48,
    WRITE_ZEROES_MAY_UNMAP = 56,
};
enum type { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum status { S_OK = 0, S_UNSUPP = 2 };

/* A request's parts beside its data, where the device reaches them. */
struct parts {
    uint8_t header[16]; /* type, reserved, sector */
    uint8_t range[16];  /* of a discard: sector, sectors, flags */
    uint8_t id[20];
    uint8_t status;
    uint8_t unused[11];
};

_Static_assert(sizeof(struct parts) == 64, "parts never cross a page");

struct host_blk {
    struct disk disk;
    struct vdev vdev;
    struct vqueue queue;
    struct parts *parts; /* one a slot */
    uint64_t parts_phys;
    struct disk_io *io[VQUEUE_MAX_SIZE]; /* by slot */
    bool may_unmap;
    char where[24];
};

static struct host_blk *blk_of(struct disk *disk)
{
    return container_of(disk, struct host_blk, disk);
}

static uint64_t part_phys(const struct host_blk *blk, unsigned slot, size_t offset)
{
    return blk->parts_phys + slot * sizeof(struct parts) + offset;
}

static void request_begin(struct host_blk *blk, unsigned slot, enum type type, uint64_t offset)
{
    struct parts *p = &blk->parts[slot];

    store_le32(p->header, type);
    store_le32(p->header + 4, 0);
    store_le64(p->header + 8, offset / SECTOR);
    p->status = 0xff;
    vqueue_segment(&blk->queue, slot, 0, part_phys(blk, slot, offsetof(struct parts, header)), 16, false);
}

/* With the status behind `n` segments. */
static void request_end(struct host_blk *blk, unsigned slot, unsigned n)
{
    vqueue_segment(&blk->queue, slot, n, part_phys(blk, slot, offsetof(struct parts, status)), 1, true);
    vqueue_post(&blk->queue, slot, n + 1);
}

static unsigned range_add(struct host_blk *blk, unsigned slot, const struct disk_io *io)
{
    uint8_t *range = blk->parts[slot].range;

    store_le64(range, io->offset / SECTOR);
    store_le32(range + 8, (uint32_t)(io->len / SECTOR));
    store_le32(range + 12, io->op == BLK_WRITE_ZEROES && io->unmap && blk->may_unmap);
    vqueue_segment(&blk->queue, slot, 1, part_phys(blk, slot, offsetof(struct parts, range)), 16, false);
    return 2;
}

static int blk_start(struct disk *disk, struct disk_io *io)
{
    static const enum type types[] = {[BLK_READ] = T_IN,
                                      [BLK_WRITE] = T_OUT,
                                      [BLK_FLUSH] = T_FLUSH,
                                      [BLK_DISCARD] = T_DISCARD,
                                      [BLK_WRITE_ZEROES] = T_WRITE_ZEROES};
    struct host_blk *blk = blk_of(disk);
    unsigned n = 1;
    int slot;

    /* A device that knows no flush has nothing to lose (section 5.2.6.2). */
    if (io->op == BLK_FLUSH && !vdev_has(&blk->vdev, F_FLUSH)) {
        disk_io_done(disk, io, 0);
        return 0;
    }
    slot = vqueue_get(&blk->queue);
    if (slot < 0)
        return slot;
    blk->io[slot] = io;
    request_begin(blk, (unsigned)slot, types[io->op],
                  io->op == BLK_READ || io->op == BLK_WRITE ? io->offset : 0);
    if (io->op == BLK_DISCARD || io->op == BLK_WRITE_ZEROES)
        n = range_add(blk, (unsigned)slot, io);
    for (unsigned i = 0; i < io->segments; i++)
        vqueue_segment(&blk->queue, (unsigned)slot, n++, io->segment[i].phys, io->segment[i].len,
                       io->op == BLK_READ);
    request_end(blk, (unsigned)slot, n);
    return 0;
}

static void device_kick(struct disk *disk)
{
    vqueue_kick(&blk_of(disk)->queue);
}

static int blk_poll(struct disk *disk)
{
    struct host_blk *blk = blk_of(disk);
    uint32_t len;
    int slot;

    while ((slot = vqueue_take(&blk->queue, &len)) >= 0) {
        struct disk_io *io = blk->io[slot];
        uint8_t status = blk->parts[slot].status;

        vqueue_put(&blk->queue, (unsigned)slot);
        disk_io_done(disk, io, status == S_OK ? 0 : status == S_UNSUPP ? -EOPNOTSUPP : -EIO);
        disk_room(disk);
    }
    return slot == -EIO ? -EIO : 0;
}

static void blk_stop(struct disk *disk)
{
    vdev_stop(&blk_of(disk)->vdev);
}

static const struct disk_ops blk_ops = {
    .name = "virtio-blk", .start = blk_start, .kick = device_kick, .poll = blk_poll, .stop = blk_stop};

static void blk_interrupt(void *opaque)
{
    disk_interrupt(&((struct host_blk *)opaque)->disk);
}

/* ---- attaching ---- */

/* Asks for the serial number, by polling: once, while nobody else uses the disk. */
static void serial_read(struct host_blk *blk)
{
    unsigned slot = (unsigned)vqueue_get(&blk->queue);
    uint64_t begin = io_now();
    uint32_t len;
    int r;

    request_begin(blk, slot, T_GET_ID, 0);
    vqueue_segment(&blk->queue, slot, 1, part_phys(blk, slot, offsetof(struct parts, id)), 20, true);
    vqueue_interrupts(&blk->queue, false);
    request_end(blk, slot, 2);
    vqueue_kick(&blk->queue);
    do
        r = vqueue_take(&blk->queue, &len);
    while (r == -EAGAIN && io_now() - begin < SERIAL_NS);
    vqueue_interrupts(&blk->queue, true);
    if (r < 0)
        return; /* it is out, and stays so */
    if (blk->parts[slot].status == S_OK)
        memcpy(blk->disk.serial, blk->parts[slot].id, 20);
    vqueue_put(&blk->queue, slot);
}

static uint64_t piece_limit(const struct host_blk *blk, unsigned feature, unsigned field)
{
    uint64_t sectors = vdev_config(&blk->vdev, field, 4), len = MIN(sectors * SECTOR, PIECE_LIMIT);

    return vdev_has(&blk->vdev, feature) ? ALIGN_DOWN(len, (uint64_t)blk->disk.block_size) : 0;
}

static int config_read_all(struct host_blk *blk, struct error *err)
{
    struct disk *d = &blk->disk;
    struct vdev *v = &blk->vdev;
    uint64_t sectors = vdev_config(v, CAPACITY, 8);
    unsigned most = vdev_has(v, VDEV_F_INDIRECT) ? DISK_MAX_SEGMENTS : CHAIN_SHORT - 2;

    d->block_size = vdev_has(v, F_BLK_SIZE) ? (uint32_t)vdev_config(v, BLK_SIZE, 4) : SECTOR;
    if (d->block_size != 512 && d->block_size != 4096)
        return error_set(err, ENODEV, "PCI %s: a disk with blocks of %u bytes; 512 and 4096 are known",
                         v->pci->name, d->block_size);
    if (!sectors || sectors > INT64_MAX / SECTOR)
        return error_set(err, ENODEV, "PCI %s: a disk of %llu sectors", v->pci->name,
                         (unsigned long long)sectors);
    d->size = ALIGN_DOWN(sectors * SECTOR, (uint64_t)d->block_size);
    d->max_segments = vdev_has(v, F_SEG_MAX) ? (unsigned)vdev_config(v, SEG_MAX, 4) : 1;
    d->max_segments = MIN(most, MAX(d->max_segments, 1U));
    d->read_only = vdev_has(v, F_RO);
    d->max_discard = piece_limit(blk, F_DISCARD, MAX_DISCARD_SECTORS);
    d->max_write_zeroes = piece_limit(blk, F_WRITE_ZEROES, MAX_WRITE_ZEROES_SECTORS);
    blk->may_unmap = vdev_config(v, WRITE_ZEROES_MAY_UNMAP, 1);
    return 0;
}

static int queue_init(struct host_blk *blk, struct error *err)
{
    struct vdev *v = &blk->vdev;
    unsigned room = vdev_has(v, VDEV_F_INDIRECT) ? DISK_MAX_SEGMENTS + 2 : CHAIN_SHORT;
    int r = vdev_queue(v, 0, &blk->queue, QUEUE_SIZE, room, blk_interrupt, blk, err);

    if (r < 0)
        return r;
    blk->parts = dma_alloc(blk->queue.slots * sizeof(struct parts), &blk->parts_phys);
    return blk->parts ? 0 : error_set(err, ENOMEM, "PCI %s: no memory for its requests", v->pci->name);
}

int host_blk_attach(struct host_pci *fn, struct error *err)
{
    uint64_t phys, features = BIT64(F_SEG_MAX) | BIT64(F_RO) | BIT64(F_BLK_SIZE) | BIT64(F_FLUSH) |
                              BIT64(F_DISCARD) | BIT64(F_WRITE_ZEROES);
    struct host_blk *blk = dma_alloc(sizeof(*blk), &phys);
    int r;

    if (!blk)
        return error_set(err, ENOMEM, "PCI %s: no memory for a disk", fn->name);
    fmt_print(blk->where, sizeof(blk->where), "PCI %s", fn->name);
    blk->disk = (struct disk){.ops = &blk_ops, .where = blk->where};
    r = vdev_init(&blk->vdev, fn, features, err);
    if (r == 0)
        r = config_read_all(blk, err);
    if (r == 0)
        r = queue_init(blk, err);
    if (r < 0)
        goto fail;
    vdev_start(&blk->vdev);
    serial_read(blk);
    r = disk_add(&blk->disk);
    if (r < 0) {
        vdev_stop(&blk->vdev);
        error_set(err, -r, "PCI %s: more than %u disks", fn->name, DISK_MAX);
        goto fail;
    }
    io_log(LOG_INFO, "PCI %s: disk virtio:%d, %llu MiB%s", fn->name, r,
           (unsigned long long)(blk->disk.size >> 20), blk->disk.read_only ? ", read-only" : "");
    return 0;
fail:
    vqueue_finish(&blk->queue);
    if (blk->parts)
        dma_free(blk->parts, blk->queue.slots * sizeof(struct parts));
    dma_free(blk, sizeof(*blk));
    return r;
}
