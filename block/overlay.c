/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A layer that takes the writes of a disk and forgets them at the end. It is a sparse
 * temporary file without a name, as large as the disk, and a bitmap that says, sector
 * by sector, which of the two holds the data; so nothing is ever copied up. The
 * bitmap's memory is the kernel's until a page of it is needed.
 *
 * A sector becomes the layer's when its write has succeeded: a failed write leaves
 * the old data readable. Flush does nothing: there is no later for it to matter.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/raw-internal.h"

#define SECTOR 512U

struct overlay {
    struct blk blk;
    struct blk *base, *top;
    uint64_t *map; /* one bit a sector */
    size_t map_size;
    unsigned in_flight; /* of the submitter's requests */
};

/* One of the submitter's requests: as many children as it touches runs of base and top. */
struct parent {
    struct overlay *overlay;
    struct blk_req *req;
    unsigned left; /* children, and one while they are made */
    int result;
};

struct child {
    struct parent *parent;
    struct blk_req req;
    struct blk_vec vec[];
};

static struct overlay *overlay_of(struct blk *blk)
{
    return container_of(blk, struct overlay, blk);
}

/* ---- the bitmap ---- */

static bool in_top(const struct overlay *o, uint64_t sector)
{
    return o->map[sector / 64] & BIT64(sector % 64);
}

static void map_set(struct overlay *o, uint64_t sector, uint64_t count)
{
    for (; count && sector % 64; sector++, count--)
        o->map[sector / 64] |= BIT64(sector % 64);
    for (; count >= 64; sector += 64, count -= 64)
        o->map[sector / 64] = ~0ULL;
    for (; count; sector++, count--)
        o->map[sector / 64] |= BIT64(sector % 64);
}

/* How many of the next `max` sectors are where the first is. */
static uint64_t run_length(const struct overlay *o, uint64_t sector, uint64_t max)
{
    bool top = in_top(o, sector);
    uint64_t whole = top ? ~0ULL : 0, n = 1;

    while (n < max) {
        if ((sector + n) % 64 == 0 && max - n >= 64 && o->map[(sector + n) / 64] == whole) {
            n += 64;
            continue;
        }
        if (in_top(o, sector + n) != top)
            break;
        n++;
    }
    return n;
}

/* ---- requests ---- */

static void parent_put(struct parent *p)
{
    struct blk_req *req = p->req;
    int result = p->result;

    if (--p->left)
        return;
    if (!result && req->op != BLK_READ && req->op != BLK_FLUSH)
        map_set(p->overlay, req->offset / SECTOR, req->len / SECTOR);
    p->overlay->in_flight--;
    free(p);
    req->done(req, result);
}

static void child_done(struct blk_req *req, int result)
{
    struct child *c = req->opaque;
    struct parent *p = c->parent;

    if (result && !p->result)
        p->result = result;
    free(c);
    parent_put(p);
}

/* The part of the parent's vectors that [skip, skip + len) takes. */
static unsigned vectors_cut(const struct blk_req *req, uint64_t skip, uint64_t len, struct blk_vec *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < req->vec_count && len; i++) {
        const struct blk_vec *v = &req->vec[i];
        uint64_t part;

        if (skip >= v->len) {
            skip -= v->len;
            continue;
        }
        part = MIN(v->len - skip, len);
        out[n++] = (struct blk_vec){(char *)v->base + skip, part};
        len -= part;
        skip = 0;
    }
    return n;
}

static void child_submit(struct parent *p, struct blk *to, uint64_t at, uint64_t len)
{
    const struct blk_req *req = p->req;
    struct child *c = malloc(sizeof(*c) + req->vec_count * sizeof(c->vec[0]));

    if (!c) {
        p->result = -ENOMEM;
        return;
    }
    c->parent = p;
    c->req = (struct blk_req){.op = req->op,
                              .unmap = req->unmap,
                              .offset = req->offset + at,
                              .len = len,
                              .vec = c->vec,
                              .vec_count = vectors_cut(req, at, len, c->vec),
                              .done = child_done,
                              .opaque = c};
    /* Discarded sectors must not show what the layer held before. */
    if (req->op == BLK_DISCARD) {
        c->req.op = BLK_WRITE_ZEROES;
        c->req.unmap = true;
    }
    p->left++;
    to->ops->submit(to, &c->req);
}

static void read_submit(struct overlay *o, struct parent *p)
{
    const struct blk_req *req = p->req;
    uint64_t at = 0;

    while (at < req->len && !p->result) {
        uint64_t sector = (req->offset + at) / SECTOR;
        uint64_t len = run_length(o, sector, (req->len - at) / SECTOR) * SECTOR;

        child_submit(p, in_top(o, sector) ? o->top : o->base, at, len);
        at += len;
    }
}

static void overlay_submit(struct blk *blk, struct blk_req *req)
{
    struct overlay *o = overlay_of(blk);
    struct parent *p = malloc(sizeof(*p));

    if (!p) {
        req->done(req, -ENOMEM);
        return;
    }
    *p = (struct parent){.overlay = o, .req = req, .left = 1};
    o->in_flight++;
    if (req->op == BLK_READ)
        read_submit(o, p);
    else if (req->op != BLK_FLUSH)
        child_submit(p, o->top, 0, req->len);
    parent_put(p);
}

static void overlay_kick(struct blk *blk)
{
    blk_kick(overlay_of(blk)->base);
    blk_kick(overlay_of(blk)->top);
}

static void overlay_drain(struct blk *blk)
{
    struct overlay *o = overlay_of(blk);

    while (o->in_flight) {
        o->base->ops->drain(o->base);
        o->top->ops->drain(o->top);
    }
}

static void overlay_free(struct overlay *o)
{
    if (o->map)
        munmap(o->map, o->map_size);
    free(o);
}

static void overlay_close(struct blk *blk)
{
    struct overlay *o = overlay_of(blk);

    overlay_drain(blk);
    o->top->ops->close(o->top);
    o->base->ops->close(o->base);
    overlay_free(o);
}

static const struct blk_ops overlay_ops = {
    .name = "overlay",
    .submit = overlay_submit,
    .kick = overlay_kick,
    .drain = overlay_drain,
    .close = overlay_close,
};

/* ---- making one ---- */

static int file_unnamed(const char *dir)
{
    char name[4096];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (size_t)snprintf(name, sizeof(name), "%s/batuta-XXXXXX", dir) >= sizeof(name))
        return fd;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

static int top_create(struct loop *loop, const struct blk *base, enum block_io io, struct blk **out,
                      struct error *err)
{
    const char *dir = getenv("TMPDIR");
    struct raw_config c = {.size = base->size, .block_size = base->block_size, .io = io};
    int r;

    dir = dir && *dir ? dir : "/var/tmp";
    c.fd = file_unnamed(dir);
    if (c.fd < 0 || ftruncate(c.fd, (off_t)base->size) < 0) {
        r = error_set(err, errno,
                      "no temporary file for --snapshot in %s: %s; set TMPDIR to a directory with room", dir,
                      strerror(errno));
        goto fail;
    }
    r = raw_create(loop, &c, out, err);
    if (r < 0)
        goto fail;
    return 0;
fail:
    if (c.fd >= 0)
        close(c.fd);
    return r;
}

int block_overlay(struct loop *loop, struct blk *base, enum block_io io, struct blk **out, struct error *err)
{
    struct overlay *o = calloc(1, sizeof(*o));
    int r;

    if (!o)
        return error_set(err, ENOMEM, "no memory for --snapshot");
    o->map_size = (size_t)ALIGN_UP((base->size / SECTOR + 63) / 64 * 8, (uint64_t)4096);
    o->map =
        mmap(NULL, o->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (o->map == MAP_FAILED) {
        o->map = NULL;
        r = error_set(err, ENOMEM, "no memory for --snapshot");
        goto fail;
    }
    r = top_create(loop, base, io, &o->top, err);
    if (r < 0)
        goto fail;
    o->base = base;
    o->blk = (struct blk){.ops = &overlay_ops,
                          .size = base->size,
                          .block_size = base->block_size,
                          .can_discard = true,
                          .can_write_zeroes = true};
    *out = &o->blk;
    return 0;
fail:
    overlay_free(o);
    return r;
}
