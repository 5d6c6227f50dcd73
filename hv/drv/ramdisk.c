/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/ramdisk.h"

#include "base/bytes.h"
#include "base/checked.h"

#define CHUNK     KIB(64) /* of memory, and of work */
#define SIZE_MOST GIB(4096)

/* A request's backend[]: the next one, how many bytes are done. */
enum { NEXT, DONE };

struct ramdisk {
    struct blk blk;
    struct plat *plat;
    struct plat_work work;
    const uint8_t *bytes; /* beneath what was written */
    uint64_t len;
    bool keep;
    struct blk_req *first, *last;
    uint64_t chunk_count;
    uint8_t *chunk[]; /* what was written; NULL: nothing there */
};

static struct ramdisk *ramdisk_of(struct blk *blk)
{
    return container_of(blk, struct ramdisk, blk);
}

/* What the disk held at the start. */
static void original(const struct ramdisk *disk, uint64_t offset, uint8_t *out, uint64_t n)
{
    uint64_t have = offset < disk->len ? MIN(n, disk->len - offset) : 0;

    if (have)
        memcpy(out, disk->bytes + offset, have);
    memset(out + have, 0, n - have);
}

/* The chunk as memory that may be written; NULL: none left. */
static uint8_t *chunk_own(struct ramdisk *disk, uint64_t i)
{
    if (!disk->chunk[i]) {
        disk->chunk[i] = disk->plat->ops->alloc(disk->plat, CHUNK);
        if (disk->chunk[i] && i * CHUNK < disk->len)
            original(disk, i * CHUNK, disk->chunk[i], CHUNK);
    }
    return disk->chunk[i];
}

/* [offset, offset + n) lies in one chunk. */
static int zero(struct ramdisk *disk, uint64_t offset, uint64_t n)
{
    uint64_t i = offset / CHUNK;
    uint8_t *chunk = disk->chunk[i];

    if (i * CHUNK >= disk->len && (!chunk || n == CHUNK)) {
        disk->plat->ops->free(disk->plat, chunk);
        disk->chunk[i] = NULL;
        return 0;
    }
    chunk = chunk_own(disk, i);
    if (!chunk)
        return -ENOSPC;
    memset(chunk + offset % CHUNK, 0, n);
    return 0;
}

static void copy_vec(struct ramdisk *disk, uint64_t offset, uint8_t *base, uint64_t n, bool write)
{
    uint8_t *chunk = disk->chunk[offset / CHUNK];

    if (write)
        memcpy(chunk + offset % CHUNK, base, n);
    else if (chunk)
        memcpy(base, chunk + offset % CHUNK, n);
    else
        original(disk, offset, base, n);
}

/* n bytes of the request from its byte `at` on, which are at `offset` of the disk, in one chunk. */
static int copy(struct ramdisk *disk, const struct blk_req *req, uint64_t at, uint64_t offset, uint64_t n)
{
    bool write = req->op == BLK_WRITE;

    if (write && !chunk_own(disk, offset / CHUNK))
        return -ENOSPC;
    for (unsigned i = 0; i < req->vec_count && n; i++) {
        const struct blk_vec *v = &req->vec[i];
        uint64_t part;

        if (at >= v->len) {
            at -= v->len;
            continue;
        }
        part = MIN(n, v->len - at);
        copy_vec(disk, offset, (uint8_t *)v->base + at, part, write);
        offset += part;
        n -= part;
        at = 0;
    }
    return 0;
}

static int check(const struct ramdisk *disk, const struct blk_req *req)
{
    if (req->op == BLK_FLUSH)
        return 0;
    if (disk->blk.read_only && req->op != BLK_READ)
        return -EROFS;
    return range_inside(req->offset, req->len, disk->blk.size) ? 0 : -EIO;
}

/* Goes on with a request by at most a chunk. True: it ended. */
static bool step(struct ramdisk *disk, struct blk_req *req, int *result)
{
    uint64_t at = (uintptr_t)req->backend[DONE], offset = req->offset + at;
    uint64_t n = MIN(req->len - at, CHUNK - offset % CHUNK);

    *result = check(disk, req);
    if (*result || req->op == BLK_FLUSH || at == req->len)
        return true;
    if (req->op == BLK_READ || req->op == BLK_WRITE)
        *result = copy(disk, req, at, offset, n);
    else
        *result = zero(disk, offset, n);
    req->backend[DONE] = (void *)(uintptr_t)(at + n);
    return *result || at + n == req->len;
}

/* False: there is nothing to do. */
static bool work_once(struct ramdisk *disk)
{
    struct blk_req *req = disk->first;
    int result;

    if (!req)
        return false;
    if (step(disk, req, &result)) {
        disk->first = req->backend[NEXT];
        req->done(req, result);
    }
    return true;
}

static void work(void *opaque)
{
    struct ramdisk *disk = opaque;

    work_once(disk);
    if (disk->first)
        disk->plat->ops->defer(disk->plat, &disk->work);
}

static void ramdisk_submit(struct blk *blk, struct blk_req *req)
{
    struct ramdisk *disk = ramdisk_of(blk);

    req->backend[NEXT] = req->backend[DONE] = NULL;
    if (disk->first)
        disk->last->backend[NEXT] = req;
    else
        disk->first = req;
    disk->last = req;
    disk->plat->ops->defer(disk->plat, &disk->work);
}

static void ramdisk_drain(struct blk *blk)
{
    while (work_once(ramdisk_of(blk)))
        continue;
}

static void ramdisk_cancel(struct blk *blk)
{
    struct ramdisk *disk = ramdisk_of(blk);

    while (disk->first) {
        struct blk_req *req = disk->first;

        disk->first = req->backend[NEXT];
        req->done(req, -ECANCELED);
    }
}

static void ramdisk_close(struct blk *blk)
{
    struct ramdisk *disk = ramdisk_of(blk);
    struct plat *plat = disk->plat;

    ramdisk_cancel(blk); /* nobody waits for it, and it may be seconds of work */
    if (disk->keep)
        return;
    for (uint64_t i = 0; i < disk->chunk_count; i++)
        plat->ops->free(plat, disk->chunk[i]);
    plat->ops->free(plat, disk);
}

uint64_t ramdisk_bytes(struct blk *blk)
{
    const struct ramdisk *disk = ramdisk_of(blk);
    uint64_t n = 0;

    for (uint64_t i = 0; i < disk->chunk_count; i++)
        n += __atomic_load_n(&disk->chunk[i], __ATOMIC_RELAXED) ? CHUNK : 0;
    return n;
}

void ramdisk_keep(struct blk *blk, bool keep)
{
    ramdisk_of(blk)->keep = keep;
}

static const struct blk_ops ramdisk_ops = {
    .name = "ramdisk",
    .submit = ramdisk_submit,
    .drain = ramdisk_drain,
    .cancel = ramdisk_cancel,
    .close = ramdisk_close,
};

int ramdisk_create(struct plat *plat, const void *bytes, uint64_t len, uint64_t size, bool read_only,
                   struct blk **out, struct error *err)
{
    struct ramdisk *disk;
    uint64_t count;

    if (!size)
        size = ALIGN_UP(len, 512);
    if (!size || size % 512 || size < len || size > SIZE_MOST)
        return error_set(err, EINVAL,
                         "a ramdisk's size must be a multiple of 512 from %llu to %llu, not %llu",
                         (unsigned long long)MAX(ALIGN_UP(len, 512), 512ULL), (unsigned long long)SIZE_MOST,
                         (unsigned long long)size);
    count = (size + CHUNK - 1) / CHUNK;
    disk = plat->ops->alloc(plat, sizeof(*disk) + count * sizeof(disk->chunk[0]));
    if (!disk)
        return error_set(err, ENOMEM, "no memory for a ramdisk of %llu MiB",
                         (unsigned long long)(size >> 20));
    disk->plat = plat;
    disk->work = (struct plat_work){.fn = work, .opaque = disk};
    disk->bytes = bytes;
    disk->len = bytes ? len : 0;
    disk->chunk_count = count;
    disk->blk = (struct blk){.ops = &ramdisk_ops,
                             .size = size,
                             .block_size = 512,
                             .read_only = read_only,
                             .can_discard = !read_only,
                             .can_write_zeroes = !read_only,
                             .serial = "ramdisk"};
    *out = &disk->blk;
    return 0;
}
