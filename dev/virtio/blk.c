/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/blk.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "dev/virtio/pci.h"

#define MAX_QUEUES    16U
#define QUEUE_SIZE    256U
#define SECTOR        512U
#define ID_LEN        20U
#define HEADER_LEN    16U /* type, reserved, sector */
#define RANGE_LEN     16U /* a discard or write-zeroes range: sector, sectors, flags */
#define RANGE_F_UNMAP BIT(0)
#define MAX_RANGES    16U
#define MAX_REQUESTS  128U /* of all queues: each takes 12 KiB of the VM's own memory */
/* Bounds on one request's work, and on that of all together, so that a reset never waits long for it. */
#define MAX_TRANSFER     GIB(1)
#define MAX_UNDER_WAY    MIB(256) /* may be passed by one request */
#define MAX_DISCARD      GIB(2)
#define MAX_WRITE_ZEROES MIB(64)

/* Section 5.2.4: offsets in the configuration */
enum config_field {
    CONFIG_CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_BLOCK_EXP = 24,
    CONFIG_ALIGNMENT_OFFSET = 25,
    CONFIG_MIN_IO_SIZE = 26,
    CONFIG_OPT_IO_SIZE = 28,
    CONFIG_WRITEBACK = 32,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_MAX_DISCARD_SECTORS = 36,
    CONFIG_MAX_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_MAX_WRITE_ZEROES_SECTORS = 48,
    CONFIG_MAX_WRITE_ZEROES_SEG = 52,
    CONFIG_WRITE_ZEROES_MAY_UNMAP = 56,
    CONFIG_SIZE = 60,
};

struct range {
    uint64_t offset, len;
    bool unmap;
};

/* One of the driver's requests while it is under way; kept on the free list otherwise. */
struct request {
    struct request *next;
    struct virtio_blk *disk;
    struct virtq *queue;
    uint32_t type;
    unsigned range_count, range_next;
    struct range range[MAX_RANGES];
    struct blk_req io;
    struct blk_vec vec[BLK_MAX_VECS];
    struct virtq_chain chain;
};

struct virtio_blk {
    struct virtio_pci pci;
    struct blk *blk;
    struct request *free;
    unsigned requests; /* made: in flight or free */
    unsigned in_flight;
    uint64_t bytes; /* that the requests in flight move */
    bool throttled; /* queues were left because of that, or as there are enough requests */
};

_Static_assert(VIRTQ_MAX_CHAIN <= BLK_MAX_VECS, "a chain fits in a request");

static struct virtio_blk *disk_of(struct virtio *v)
{
    return container_of(v, struct virtio_blk, pci.virtio);
}

/* ---- requests ---- */

static struct request *request_get(struct virtio_blk *disk)
{
    struct request *r = disk->free;

    if (r) {
        disk->free = r->next;
        return r;
    }
    if (disk->requests < MAX_REQUESTS)
        r = vm_alloc(disk->pci.virtio.vm, sizeof(*r));
    if (r) {
        disk->requests++;
        r->disk = disk;
    }
    return r;
}

static void request_put(struct request *r)
{
    r->next = r->disk->free;
    r->disk->free = r;
}

static enum virtio_blk_status status_of(int result)
{
    if (!result)
        return VIRTIO_BLK_S_OK;
    return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* The status is the last byte of the writable part. */
static void request_finish(struct request *r, enum virtio_blk_status status)
{
    struct virtio_blk *disk = r->disk;
    uint8_t byte = (uint8_t)status;

    if (r->chain.epoch == disk->pci.virtio.epoch) {
        vm_trace(disk->pci.virtio.vm, BLOCK, "%s: type %u done, status %u", disk->pci.virtio.id, r->type,
                 byte);
        virtq_chain_write(&r->chain, r->chain.in_len - 1, &byte, 1);
    }
    virtq_push(r->queue, &r->chain, r->chain.in_len);
    virtq_publish(r->queue);
    request_put(r);
}

static void io_submit(struct request *r)
{
    r->disk->in_flight++;
    if (r->io.vec_count)
        r->disk->bytes += r->io.len;
    r->disk->blk->ops->submit(r->disk->blk, &r->io);
}

static void range_submit(struct request *r)
{
    const struct range *range = &r->range[r->range_next++];

    r->io.offset = range->offset;
    r->io.len = range->len;
    r->io.unmap = range->unmap;
    io_submit(r);
}

static void io_account_done(struct request *r)
{
    struct virtio_blk *disk = r->disk;

    disk->in_flight--;
    if (r->io.vec_count)
        disk->bytes -= r->io.len;
    if (!disk->throttled || disk->bytes >= MAX_UNDER_WAY)
        return;
    disk->throttled = false;
    for (unsigned i = 0; i < disk->pci.virtio.queue_count; i++)
        virtio_queue_notified(&disk->pci.virtio, i);
}

static void io_done(struct blk_req *io, int result)
{
    struct request *r = io->opaque;
    struct virtio *v = &r->disk->pci.virtio;

    io_account_done(r);
    if (r->chain.epoch == v->epoch && !result) {
        if (r->range_next < r->range_count) {
            range_submit(r);
            blk_kick(r->disk->blk);
            return;
        }
        /* A driver that knows no flush expects that what is written stays (section 5.2.6.2). */
        if (io->op == BLK_WRITE && !virtio_has(v, VIRTIO_BLK_F_FLUSH)) {
            io->op = BLK_FLUSH;
            io->len = 0;
            io->vec_count = 0;
            io_submit(r);
            blk_kick(r->disk->blk);
            return;
        }
    }
    request_finish(r, status_of(result));
}

/* ---- what a request asks for: each either submits, and returns -1, or says the status ---- */

static bool range_valid(const struct virtio_blk *disk, uint64_t sector, uint64_t len)
{
    uint64_t offset;

    return mul_fits(sector, SECTOR, &offset) && range_inside(offset, len, disk->blk->size) &&
           offset % disk->blk->block_size == 0 && len % disk->blk->block_size == 0;
}

static int transfer(struct request *r, uint64_t sector)
{
    bool write = r->type == VIRTIO_BLK_T_OUT;
    struct virtio_blk *disk = r->disk;
    uint64_t len = write ? r->chain.out_len - HEADER_LEN : r->chain.in_len - 1;
    struct virtq_cursor c = write ? virtq_cursor_out(&r->chain, HEADER_LEN) : virtq_cursor_in(&r->chain, 0);
    struct virtq_vec piece;
    unsigned n = 0;

    if (len > MAX_TRANSFER || !range_valid(disk, sector, len) || (write && disk->blk->read_only))
        return VIRTIO_BLK_S_IOERR;
    if (!len)
        return VIRTIO_BLK_S_OK;
    r->io.op = write ? BLK_WRITE : BLK_READ;
    r->io.offset = sector * SECTOR;
    r->io.len = len;
    while (virtq_cursor_next(&c, len, &piece)) {
        r->vec[n++] = (struct blk_vec){piece.base, piece.len};
        len -= piece.len;
    }
    r->io.vec_count = n;
    io_submit(r);
    return -1;
}

static int flush(struct request *r)
{
    r->io.op = BLK_FLUSH;
    io_submit(r);
    return -1;
}

static int get_id(struct request *r)
{
    char id[ID_LEN];

    memcpy(id, r->disk->blk->serial, ID_LEN);
    virtq_chain_write(&r->chain, 0, id, (size_t)MIN(r->chain.in_len - 1, ID_LEN));
    return VIRTIO_BLK_S_OK;
}

static int range_parse(const struct virtio_blk *disk, bool discard, const uint8_t *raw, struct range *range)
{
    uint64_t sector = load_le64(raw), len = (uint64_t)load_le32(raw + 8) * SECTOR;
    uint32_t flags = load_le32(raw + 12);

    if (flags & ~RANGE_F_UNMAP || (discard && flags))
        return VIRTIO_BLK_S_UNSUPP;
    if (len > (discard ? MAX_DISCARD : MAX_WRITE_ZEROES) || !range_valid(disk, sector, len))
        return VIRTIO_BLK_S_IOERR;
    *range = (struct range){sector * SECTOR, len, discard || flags & RANGE_F_UNMAP};
    return VIRTIO_BLK_S_OK;
}

static int deallocate(struct request *r)
{
    bool discard = r->type == VIRTIO_BLK_T_DISCARD;
    struct blk *blk = r->disk->blk;
    uint64_t len = r->chain.out_len - HEADER_LEN;
    uint8_t raw[RANGE_LEN];
    int status;

    if (!virtio_has(&r->disk->pci.virtio, discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))
        return VIRTIO_BLK_S_UNSUPP;
    if (blk->read_only || !len || len % RANGE_LEN || len / RANGE_LEN > MAX_RANGES)
        return VIRTIO_BLK_S_IOERR;
    for (uint64_t at = 0; at < len; at += RANGE_LEN) {
        virtq_chain_read(&r->chain, HEADER_LEN + at, raw, RANGE_LEN);
        status = range_parse(r->disk, discard, raw, &r->range[r->range_count]);
        if (status != VIRTIO_BLK_S_OK)
            return status;
        if (r->range[r->range_count].len)
            r->range_count++;
    }
    if (!r->range_count)
        return VIRTIO_BLK_S_OK;
    r->io.op = discard ? BLK_DISCARD : BLK_WRITE_ZEROES;
    range_submit(r);
    return -1;
}

static void request_start(struct request *r)
{
    uint8_t header[HEADER_LEN];
    uint64_t sector;
    int status;

    virtq_chain_read(&r->chain, 0, header, HEADER_LEN);
    r->type = load_le32(header);
    sector = load_le64(header + 8);
    r->range_count = r->range_next = 0;
    r->io = (struct blk_req){.vec = r->vec, .done = io_done, .opaque = r};
    vm_trace(r->disk->pci.virtio.vm, BLOCK, "%s: type %u sector %llu in %llu out %llu",
             r->disk->pci.virtio.id, r->type, (unsigned long long)sector, (unsigned long long)r->chain.in_len,
             (unsigned long long)r->chain.out_len);
    switch (r->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        status = transfer(r, sector);
        break;
    case VIRTIO_BLK_T_FLUSH:
        status = flush(r);
        break;
    case VIRTIO_BLK_T_GET_ID:
        status = get_id(r);
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        status = deallocate(r);
        break;
    default:
        status = VIRTIO_BLK_S_UNSUPP;
    }
    if (status >= 0)
        request_finish(r, (enum virtio_blk_status)status);
}

/* Takes one request. False: there is none, or it cannot be taken now. */
static bool request_take(struct virtio_blk *disk, struct virtq *q)
{
    struct request *r = request_get(disk);

    if (!r) {
        if (disk->in_flight) /* it waits for one of those to end */
            disk->throttled = true;
        else
            virtio_break(&disk->pci.virtio, "no memory for another request");
        return false;
    }
    r->queue = q;
    if (virtq_pop(q, &r->chain) <= 0) {
        request_put(r);
        return false;
    }
    if (r->chain.out_len < HEADER_LEN || !r->chain.in_len) {
        virtio_break(&disk->pci.virtio, "queue %u has a request without room for header or status",
                     virtq_index(q));
        request_put(r);
        return false;
    }
    request_start(r);
    return true;
}

static bool blk_process(struct virtio *v, unsigned queue)
{
    struct virtio_blk *disk = disk_of(v);
    struct virtq *q = &v->queue[queue];
    unsigned budget = QUEUE_SIZE;

    do {
        virtq_notify_off(q);
        while (budget && disk->bytes < MAX_UNDER_WAY && request_take(disk, q))
            budget--;
        disk->throttled |= disk->bytes >= MAX_UNDER_WAY;
    } while (virtq_notify_on(q) && budget && !disk->throttled);
    blk_kick(disk->blk);
    return !budget && !disk->throttled;
}

/* ---- life ---- */

static void requests_drop(struct virtio_blk *disk)
{
    while (disk->free) {
        struct request *r = disk->free;

        disk->free = r->next;
        disk->requests--;
        vm_free(disk->pci.virtio.vm, r);
    }
}

static void blk_virtio_reset(struct virtio *v)
{
    struct virtio_blk *disk = disk_of(v);

    if (disk->blk->ops->cancel)
        disk->blk->ops->cancel(disk->blk);
    disk->throttled = false;
    requests_drop(disk);
}

/* The storage may still be filling guest RAM. */
static bool blk_busy(const struct virtio *v)
{
    return container_of(v, const struct virtio_blk, pci.virtio)->in_flight;
}

static const struct virtio_ops blk_virtio_ops = {
    .name = "virtio-blk",
    .id = 2,
    .class_code = 0x010000,
    .process = blk_process,
    .reach = MAX_TRANSFER + HEADER_LEN,
    .reset = blk_virtio_reset,
    .busy = blk_busy,
};

static void disk_drain(struct virtio_blk *disk)
{
    /* A finished range or write may submit the next step. */
    while (disk->in_flight)
        disk->blk->ops->drain(disk->blk);
}

static void blk_pre_save(void *object)
{
    disk_drain(object);
}

static int blk_post_load(void *object, unsigned version)
{
    return virtio_pci_loaded(&((struct virtio_blk *)object)->pci);
}

static const struct state_field blk_fields[] = {
    STATE_STRUCT(struct virtio_blk, pci, struct virtio_pci, virtio_pci_fields),
    STATE_END,
};

static const struct state_table blk_state = {
    .name = "virtio-blk",
    .version = 1,
    .fields = blk_fields,
    .pre_save = blk_pre_save,
    .post_load = blk_post_load,
};

/* The machine's: what comes next may use the memory without asking. */
static void blk_reset(struct device *dev)
{
    struct virtio_blk *disk = device_object(dev);

    virtio_pci_reset(&disk->pci);
    disk_drain(disk);
}

static void blk_destroy(struct device *dev)
{
    struct virtio_blk *disk = device_object(dev);

    disk->pci.virtio.epoch++;
    virtio_pci_remove(&disk->pci);
    disk->blk->ops->close(disk->blk);
    requests_drop(disk);
    vm_free(dev->vm, disk);
}

static const struct device_ops blk_device_ops = {
    .name = "virtio-blk",
    .state = &blk_state,
    .state_offset = offsetof(struct virtio_blk, pci.dev),
    .reset = blk_reset,
    .destroy = blk_destroy,
};

static void config_fill(struct virtio *v, const struct blk *blk, unsigned queues)
{
    uint8_t *c = v->config;
    uint32_t sectors_per_block = blk->block_size / SECTOR;

    v->config_size = CONFIG_SIZE;
    store_le64(c + CONFIG_CAPACITY, blk->size / SECTOR);
    store_le32(c + CONFIG_SEG_MAX, QUEUE_SIZE - 2); /* header and status take one each */
    store_le32(c + CONFIG_BLK_SIZE, blk->block_size);
    /* Physical blocks of 4 KiB, the host's page: the guest then aligns what it writes. */
    c[CONFIG_PHYSICAL_BLOCK_EXP] = blk->block_size == SECTOR ? 3 : 0;
    store_le16(c + CONFIG_MIN_IO_SIZE, (uint16_t)(4096 / blk->block_size));
    c[CONFIG_WRITEBACK] = 1;
    store_le16(c + CONFIG_NUM_QUEUES, (uint16_t)queues);
    store_le32(c + CONFIG_MAX_DISCARD_SECTORS, (uint32_t)(MAX_DISCARD / SECTOR));
    store_le32(c + CONFIG_MAX_DISCARD_SEG, MAX_RANGES);
    store_le32(c + CONFIG_DISCARD_ALIGNMENT, sectors_per_block);
    store_le32(c + CONFIG_MAX_WRITE_ZEROES_SECTORS, (uint32_t)(MAX_WRITE_ZEROES / SECTOR));
    store_le32(c + CONFIG_MAX_WRITE_ZEROES_SEG, MAX_RANGES);
    c[CONFIG_WRITE_ZEROES_MAY_UNMAP] = blk->can_discard;
}

static uint64_t blk_features(const struct blk *blk)
{
    uint64_t f = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) | BIT64(VIRTIO_BLK_F_FLUSH) |
                 BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_MQ);

    if (blk->read_only)
        return f | BIT64(VIRTIO_BLK_F_RO);
    if (blk->can_discard)
        f |= BIT64(VIRTIO_BLK_F_DISCARD);
    if (blk->can_write_zeroes)
        f |= BIT64(VIRTIO_BLK_F_WRITE_ZEROES);
    return f;
}

int virtio_blk_create(struct vm *vm, struct pci_bus *bus, const char *id, struct blk *blk, unsigned queues,
                      struct device **out, struct error *err)
{
    struct virtio_blk *disk;
    int r;

    if (!queues || queues > MAX_QUEUES)
        return error_set(err, EINVAL, "%s: a disk has 1 to %u queues, not %u", id, MAX_QUEUES, queues);
    if ((blk->block_size != 512 && blk->block_size != 4096) || blk->size % blk->block_size)
        return error_set(err, EINVAL, "%s: the disk's size is no multiple of its block size", id);
    disk = vm_alloc(vm, sizeof(*disk));
    if (!disk)
        return error_set(err, ENOMEM, "%s: no memory", id);
    disk->blk = blk;
    virtio_init(&disk->pci.virtio, vm, &blk_virtio_ops, blk_features(blk), queues, QUEUE_SIZE);
    config_fill(&disk->pci.virtio, blk, queues);
    r = virtio_pci_add(&disk->pci, bus, &blk_device_ops, id);
    if (r < 0) {
        vm_free(vm, disk);
        return error_set(err, -r, "%s: no place for the disk on the PCI bus, or its name is taken", id);
    }
    if (out)
        *out = &disk->pci.dev;
    return 0;
}
