/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/disk.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "hv/drv/io.h"

#define SLICE_PIECES 16U
#define BLOCK_MAX    4096U
/* Without any piece ended, of whomever, before a device counts as dead; and with slow ones under way. */
#define SILENCE_NS 30000000000ULL
#define SLOW_NS    300000000000ULL

/*
 * A request's backend[]: the next one in the list, how many of its bytes are started,
 * how many of its pieces are under way, its result.
 */
enum { NEXT, STARTED, PIECES, RESULT };

struct queue {
    struct blk_req *first, *last;
};

struct slice {
    struct blk blk;
    struct disk *disk;
    struct plat *plat;
    struct plat_work work;
    uint64_t offset;
    struct list_node link, wait_link;
    struct queue pending; /* not all started */
    struct queue done;    /* for the I/O thread */
    unsigned outstanding; /* requests whose done() was not called yet */
    struct disk_io io[SLICE_PIECES];
    struct disk_io *free;
    uint8_t *bounce; /* a block, for requests cut smaller than a block */
    bool bounce_busy;
};

static struct disk *disks[DISK_MAX];
static unsigned disk_count;

int disk_add(struct disk *disk)
{
    if (disk_count == DISK_MAX)
        return -ENOSPC;
    list_init(&disk->slices);
    list_init(&disk->waiting);
    disks[disk_count] = disk;
    return (int)disk_count++;
}

struct disk *disk_get(unsigned number)
{
    return number < disk_count ? disks[number] : NULL;
}

static struct slice *slice_of(struct blk *blk)
{
    return container_of(blk, struct slice, blk);
}

static uint64_t field(const struct blk_req *req, unsigned i)
{
    return (uintptr_t)req->backend[i];
}

static void field_set(struct blk_req *req, unsigned i, uint64_t value)
{
    req->backend[i] = (void *)(uintptr_t)value;
}

static void queue_add(struct queue *q, struct blk_req *req)
{
    req->backend[NEXT] = NULL;
    if (q->first)
        q->last->backend[NEXT] = req;
    else
        q->first = req;
    q->last = req;
}

static struct blk_req *queue_take(struct queue *q)
{
    struct blk_req *req = q->first;

    if (req)
        q->first = req->backend[NEXT];
    return req;
}

/* ---- ends: disk lock held ---- */

static void request_ended(struct slice *s, struct blk_req *req)
{
    queue_add(&s->done, req);
    s->plat->ops->defer(s->plat, &s->work);
}

/* No more of it is to be started; what is under way comes to its end. It is the first that is pending. */
static void request_started(struct slice *s)
{
    struct blk_req *req = queue_take(&s->pending);

    field_set(req, STARTED, req->len);
    if (!field(req, PIECES))
        request_ended(s, req);
}

static void bounce_back(struct slice *s, const struct blk_req *req, uint64_t at, uint64_t len,
                        bool to_request)
{
    uint8_t *p = s->bounce;

    for (unsigned i = 0; i < req->vec_count && len; i++) {
        size_t n;

        if (at >= req->vec[i].len) {
            at -= req->vec[i].len;
            continue;
        }
        n = (size_t)MIN(len, req->vec[i].len - at);
        if (to_request)
            memcpy((uint8_t *)req->vec[i].base + at, p, n);
        else
            memcpy(p, (uint8_t *)req->vec[i].base + at, n);
        p += n;
        len -= n;
        at = 0;
    }
}

static bool is_slow(const struct disk_io *io)
{
    return io->op != BLK_READ && io->op != BLK_WRITE;
}

void disk_io_done(struct disk *disk, struct disk_io *io, int result)
{
    struct slice *s = io->slice;
    struct blk_req *req = io->req;

    if (!s || !io->under_way)
        return;
    io_work_for(s->plat);
    io->under_way = false;
    disk->ended++;
    disk->slow -= is_slow(io);
    if (io->bounced) {
        if (!result && io->op == BLK_READ)
            bounce_back(s, req, io->offset - s->offset - req->offset, io->len, true);
        s->bounce_busy = false;
    }
    if (result && !field(req, RESULT))
        field_set(req, RESULT, (uint64_t)(int64_t)result);
    field_set(req, PIECES, field(req, PIECES) - 1);
    io->next_free = s->free;
    s->free = io;
    /* With more to start the I/O thread is needed all the same. */
    if (!field(req, PIECES) && field(req, STARTED) == req->len && s->pending.first != req)
        request_ended(s, req);
    else if (s->pending.first)
        s->plat->ops->defer(s->plat, &s->work);
}

/* All that is pending ends with the result, all that the device has is waited for no more. */
static void disk_give_up(struct disk *disk)
{
    struct slice *s;

    if (disk->dead)
        return;
    disk->dead = true;
    disk->ops->stop(disk);
    io_log(LOG_ERROR, "%s: the disk does not work as it must, and is given up", disk->where);
    list_for_each (s, &disk->slices, link) {
        while (s->pending.first) {
            field_set(s->pending.first, RESULT, (uint64_t)-EIO);
            request_started(s);
        }
        for (unsigned i = 0; i < SLICE_PIECES; i++) {
            if (s->io[i].under_way)
                disk_io_done(disk, &s->io[i], -EIO);
        }
    }
}

void disk_room(struct disk *disk)
{
    struct slice *s;

    if (list_empty(&disk->waiting))
        return;
    s = list_entry(disk->waiting.next, struct slice, wait_link);
    list_remove(&s->wait_link);
    s->plat->ops->defer(s->plat, &s->work);
}

void disk_interrupt(struct disk *disk)
{
    spin_lock(&disk->lock);
    if (!disk->dead && disk->ops->poll(disk) < 0)
        disk_give_up(disk);
    spin_unlock(&disk->lock);
}

/* ---- beginnings: the VM's and the disk's lock held ---- */

/*
 * Segments for up to `limit` bytes of the request from byte `at` on, each within a page
 * but where pages happen to follow each other. Returns how many bytes.
 */
static uint64_t segments_make(struct disk_io *io, unsigned max, const struct blk_req *req, uint64_t at,
                              uint64_t limit)
{
    uint64_t done = 0;

    io->segments = 0;
    for (unsigned i = 0; i < req->vec_count && done < limit; i++) {
        const struct blk_vec *v = &req->vec[i];

        if (at >= v->len) {
            at -= v->len;
            continue;
        }
        while (at < v->len && done < limit) {
            const uint8_t *p = (const uint8_t *)v->base + at;
            struct disk_segment *last = io->segments ? &io->segment[io->segments - 1] : NULL;
            uint64_t phys = dma_address(p), n = MIN(v->len - at, 4096 - ((uintptr_t)p & 4095));

            n = MIN(n, limit - done);
            if (last && last->phys + last->len == phys)
                last->len += (uint32_t)n;
            else if (io->segments == max)
                return done;
            else
                io->segment[io->segments++] = (struct disk_segment){phys, (uint32_t)n};
            at += n;
            done += n;
        }
        at = 0;
    }
    return done;
}

/* Cuts the segments' end off, so that `len` bytes are left. */
static void segments_cut(struct disk_io *io, uint64_t excess)
{
    while (excess) {
        struct disk_segment *last = &io->segment[io->segments - 1];
        uint32_t n = (uint32_t)MIN(excess, last->len);

        last->len -= n;
        excess -= n;
        if (!last->len)
            io->segments--;
    }
}

/* The piece's data. -EAGAIN: it needs the bounce buffer, which is in use. */
static int data_prepare(struct slice *s, struct disk_io *io, const struct blk_req *req, uint64_t at)
{
    uint32_t block = s->disk->block_size;
    uint64_t n = segments_make(io, s->disk->max_segments, req, at, MIN(req->len - at, DISK_PIECE_MAX));

    io->len = n - n % block;
    if (io->len) {
        segments_cut(io, n % block);
        return 0;
    }
    if (s->bounce_busy)
        return -EAGAIN;
    s->bounce_busy = io->bounced = true;
    io->len = block;
    io->segments = 1;
    io->segment[0] = (struct disk_segment){dma_address(s->bounce), block};
    if (req->op == BLK_WRITE)
        bounce_back(s, req, at, block, false);
    return 0;
}

static int piece_prepare(struct slice *s, struct disk_io *io, const struct blk_req *req)
{
    uint64_t at = field(req, STARTED), left = req->len - at;

    io->op = req->op;
    io->unmap = req->unmap;
    io->bounced = false;
    io->offset = s->offset + req->offset + at;
    io->segments = 0;
    io->len = left;
    if (req->op == BLK_DISCARD)
        io->len = MIN(left, s->disk->max_discard);
    else if (req->op == BLK_WRITE_ZEROES)
        io->len = MIN(left, s->disk->max_write_zeroes);
    else if (req->op != BLK_FLUSH)
        return data_prepare(s, io, req, at);
    return 0;
}

/* Starts one piece. False: it is not possible now. */
static bool piece_start(struct slice *s, struct blk_req *req)
{
    struct disk_io *io = s->free;
    uint64_t len;

    if (!io || piece_prepare(s, io, req) < 0)
        return false;
    len = req->op == BLK_FLUSH ? 0 : io->len;
    s->free = io->next_free;
    io->req = req;
    io->under_way = true;
    s->disk->slow += is_slow(io);
    field_set(req, PIECES, field(req, PIECES) + 1);
    if (s->disk->ops->start(s->disk, io) == 0) {
        field_set(req, STARTED, field(req, STARTED) + len);
        return true;
    }
    field_set(req, PIECES, field(req, PIECES) - 1);
    io->under_way = false;
    s->disk->slow -= is_slow(io);
    io->next_free = s->free;
    s->free = io;
    if (io->bounced)
        s->bounce_busy = false;
    if (list_empty(&s->wait_link))
        list_insert(&s->disk->waiting, &s->wait_link);
    return false;
}

static void slice_pump(struct slice *s)
{
    struct blk_req *req;

    while ((req = s->pending.first)) {
        if (field(req, RESULT)) {
            request_started(s);
            continue;
        }
        if (!piece_start(s, req))
            break;
        if (field(req, STARTED) == req->len)
            request_started(s);
    }
    if (!s->disk->dead)
        s->disk->ops->kick(s->disk);
}

/* ---- the VM's side: its lock held ---- */

static bool request_valid(const struct slice *s, const struct blk_req *req)
{
    if (req->op == BLK_FLUSH)
        return true;
    if (s->blk.read_only && req->op != BLK_READ)
        return false;
    return req->len && range_inside(req->offset, req->len, s->blk.size) &&
           !(req->offset % s->disk->block_size) && !(req->len % s->disk->block_size) &&
           (req->op != BLK_DISCARD || s->blk.can_discard) &&
           (req->op != BLK_WRITE_ZEROES || s->blk.can_write_zeroes);
}

static void slice_submit(struct blk *blk, struct blk_req *req)
{
    struct slice *s = slice_of(blk);
    bool flush = req->op == BLK_FLUSH;

    field_set(req, STARTED, 0);
    field_set(req, PIECES, 0);
    field_set(req, RESULT, 0);
    if (flush)
        req->len = 0;
    spin_lock(&s->disk->lock);
    s->outstanding++;
    if (s->disk->dead || !request_valid(s, req))
        field_set(req, RESULT, (uint64_t)-EIO);
    if (field(req, RESULT) || (flush && s->blk.read_only))
        request_ended(s, req);
    else
        queue_add(&s->pending, req);
    spin_unlock(&s->disk->lock);
}

static void slice_kick(struct blk *blk)
{
    struct slice *s = slice_of(blk);

    spin_lock(&s->disk->lock);
    slice_pump(s);
    spin_unlock(&s->disk->lock);
}

/* What ended is told, and what there was no room for is started. */
static void slice_work(void *opaque)
{
    struct slice *s = opaque;
    struct blk_req *req, *next;

    spin_lock(&s->disk->lock);
    slice_pump(s);
    req = s->done.first;
    s->done.first = NULL;
    spin_unlock(&s->disk->lock);
    for (; req; req = next) {
        next = req->backend[NEXT];
        s->outstanding--;
        req->done(req, (int)(int64_t)field(req, RESULT));
    }
}

/* Who waits for a device: since when nothing has come back. */
struct patience {
    uint64_t ended, since;
};

static void watch(struct disk *disk, struct patience *p)
{
    uint64_t now = io_now();

    spin_lock(&disk->lock);
    if (disk->ended != p->ended)
        *p = (struct patience){disk->ended, now};
    else if (now - p->since > (disk->slow ? SLOW_NS : SILENCE_NS))
        disk_give_up(disk);
    spin_unlock(&disk->lock);
}

/* By looking at the device again and again: its interrupt might want this processor, and the VM's I/O thread
 * may be this one. */
static void wait_for_all(struct slice *s, bool sleeps)
{
    struct patience patience = {.ended = ~0ULL};

    while (s->outstanding) {
        disk_interrupt(s->disk);
        slice_work(s);
        watch(s->disk, &patience);
        if (sleeps)
            io_relax();
        else
            __builtin_ia32_pause();
    }
}

static void slice_drain(struct blk *blk)
{
    wait_for_all(slice_of(blk), false);
}

static void slice_cancel(struct blk *blk)
{
    struct slice *s = slice_of(blk);

    spin_lock(&s->disk->lock);
    while (s->pending.first) {
        field_set(s->pending.first, RESULT, (uint64_t)-ECANCELED);
        request_started(s);
    }
    spin_unlock(&s->disk->lock);
}

static void slice_free(struct slice *s)
{
    struct plat *plat = s->plat;

    plat->ops->free(plat, s->bounce);
    plat->ops->free(plat, s);
}

static void slice_close(struct blk *blk)
{
    struct slice *s = slice_of(blk);

    slice_cancel(blk);
    wait_for_all(s, true);
    spin_lock(&s->disk->lock);
    list_remove(&s->link);
    list_remove(&s->wait_link);
    spin_unlock(&s->disk->lock);
    slice_free(s);
}

static const struct blk_ops slice_ops = {
    .name = "disk",
    .submit = slice_submit,
    .kick = slice_kick,
    .drain = slice_drain,
    .cancel = slice_cancel,
    .close = slice_close,
};

/* ---- opening ---- */

static int place_check(const struct disk *disk, unsigned number, uint64_t offset, uint64_t *size,
                       struct error *err)
{
    if (offset >= disk->size || (*size && !range_inside(offset, *size, disk->size)))
        return error_set(err, EINVAL, "disk virtio:%u: has %llu bytes; %llu from %llu on are too many",
                         number, (unsigned long long)disk->size, (unsigned long long)*size,
                         (unsigned long long)offset);
    if (!*size)
        *size = disk->size - offset;
    if (offset % disk->block_size || *size % disk->block_size)
        return error_set(err, EINVAL, "disk virtio:%u: offset and size must be multiples of its blocks of %u",
                         number, disk->block_size);
    return 0;
}

/* Lock held. */
static int slice_insert(struct slice *s, unsigned number, struct error *err)
{
    struct disk *disk = s->disk;
    struct slice *other;

    list_for_each (other, &disk->slices, link) {
        if (ranges_overlap(s->offset, s->blk.size, other->offset, other->blk.size) &&
            !(s->blk.read_only && other->blk.read_only))
            return error_set(err, EBUSY,
                             "disk virtio:%u: another VM has a part of it, and one of them may write; give "
                             "each its own offset and size, or ro to both",
                             number);
    }
    list_insert(&disk->slices, &s->link);
    return 0;
}

int disk_open(unsigned number, uint64_t offset, uint64_t size, bool read_only, struct plat *plat,
              struct blk **out, struct error *err)
{
    struct disk *disk = disk_get(number);
    struct slice *s;
    int r;

    if (!disk)
        return error_set(err, ENODEV, "disk virtio:%u: the machine has %u such disks", number, disk_count);
    if (disk->read_only && !read_only)
        return error_set(err, EROFS, "disk virtio:%u: can only be read: say ro", number);
    r = place_check(disk, number, offset, &size, err);
    if (r < 0)
        return r;
    s = plat->ops->alloc(plat, sizeof(*s));
    if (s)
        s->plat = plat;
    if (!s || !(s->bounce = plat->ops->alloc(plat, BLOCK_MAX))) {
        plat->ops->free(plat, s);
        return error_set(err, ENOMEM, "disk virtio:%u: no memory for its requests", number);
    }
    s->blk = (struct blk){.ops = &slice_ops,
                          .size = size,
                          .block_size = disk->block_size,
                          .read_only = read_only,
                          .can_discard = !read_only && disk->max_discard,
                          .can_write_zeroes = !read_only && disk->max_write_zeroes};
    memcpy(s->blk.serial, disk->serial, sizeof(s->blk.serial));
    s->disk = disk;
    s->offset = offset;
    s->work = (struct plat_work){.fn = slice_work, .opaque = s};
    list_init(&s->wait_link);
    for (unsigned i = 0; i < SLICE_PIECES; i++) {
        s->io[i].slice = s;
        s->io[i].next_free = s->free;
        s->free = &s->io[i];
    }
    spin_lock(&disk->lock);
    r = slice_insert(s, number, err);
    spin_unlock(&disk->lock);
    if (r < 0) {
        slice_free(s);
        return r;
    }
    *out = &s->blk;
    return 0;
}
