/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads, writes and flushes go through io_uring, a batch at a time. What it does not
 * do well goes to the workers: deallocation, vectors that O_DIRECT would refuse,
 * the rest of a short transfer, all there is when the ring is full or not to be had.
 */
#include "block/raw-internal.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING_ENTRIES 128U

_Static_assert(sizeof(struct blk_vec) == sizeof(struct iovec) &&
                   offsetof(struct blk_vec, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct blk_vec, len) == offsetof(struct iovec, iov_len),
               "our vectors are the kernel's");

/* Requests that are with the ring; backend[2] holds how many bytes are done when the rest goes to the
 * workers. */

static void finish(struct raw *raw, struct blk_req *req, int result)
{
    raw->in_flight--;
    req->done(req, result);
}

static int run(void *opaque, struct blk_req *req)
{
    return raw_execute(opaque, req, (uintptr_t)req->backend[2]);
}

static bool ring_add(struct raw *raw, struct blk_req *req)
{
    const struct iovec *iov = (const struct iovec *)(const void *)req->vec;
    struct io_uring_sqe *sqe;

    if (!raw->have_ring || req->op > BLK_FLUSH || !raw_aligned(raw, req))
        return false;
    sqe = io_uring_get_sqe(&raw->ring);
    if (!sqe && io_uring_submit(&raw->ring) > 0)
        sqe = io_uring_get_sqe(&raw->ring);
    if (!sqe)
        return false;
    if (req->op == BLK_READ)
        io_uring_prep_readv(sqe, raw->fd, iov, req->vec_count, req->offset);
    else if (req->op == BLK_WRITE)
        io_uring_prep_writev(sqe, raw->fd, iov, req->vec_count, req->offset);
    else
        io_uring_prep_fsync(sqe, raw->fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(sqe, req);
    return true;
}

static void raw_submit(struct blk *blk, struct blk_req *req)
{
    struct raw *raw = raw_of(blk);

    if (raw->sync) {
        req->done(req, raw_execute(raw, req, 0));
        return;
    }
    raw->in_flight++;
    req->backend[2] = NULL;
    if (!ring_add(raw, req))
        workers_submit(raw->workers, req);
}

static void raw_kick(struct blk *blk)
{
    struct raw *raw = raw_of(blk);

    if (!raw->have_ring || !io_uring_sq_ready(&raw->ring))
        return;
    io_uring_submit(&raw->ring);
    /* The kernel was short of something: come back and try again. */
    if (io_uring_sq_ready(&raw->ring))
        eventfd_write(raw->event_fd, 1);
}

static void ring_completed(struct raw *raw, struct blk_req *req, int res)
{
    bool again = res == -EAGAIN || res == -EINTR;

    if (res < 0 && !again) {
        finish(raw, req, res);
    } else if (req->op == BLK_FLUSH && !again) {
        finish(raw, req, 0);
    } else if (!again && (uint64_t)res == req->len) {
        finish(raw, req, 0);
    } else {
        req->backend[2] = (void *)(uintptr_t)(again ? 0 : res);
        workers_submit(raw->workers, req);
    }
}

static void reap(struct raw *raw)
{
    struct io_uring_cqe *cqe;
    struct blk_req *req, *next;

    while (raw->have_ring && io_uring_peek_cqe(&raw->ring, &cqe) == 0) {
        int res = cqe->res;

        req = io_uring_cqe_get_data(cqe);
        io_uring_cqe_seen(&raw->ring, cqe);
        ring_completed(raw, req, res);
    }
    for (req = workers_collect(raw->workers); req; req = next) {
        next = workers_next(req);
        finish(raw, req, workers_result(req));
    }
}

static void raw_event(void *opaque, unsigned events)
{
    struct raw *raw = opaque;
    eventfd_t count;

    eventfd_read(raw->event_fd, &count);
    reap(raw);
    raw_kick(&raw->blk);
}

static void raw_drain(struct blk *blk)
{
    struct raw *raw = raw_of(blk);

    while (raw->in_flight) {
        struct pollfd p = {.fd = raw->event_fd, .events = POLLIN};

        raw_kick(blk);
        poll(&p, 1, 1000);
        raw_event(raw, 0);
    }
}

static void raw_free(struct raw *raw)
{
    if (raw->have_ring)
        io_uring_queue_exit(&raw->ring);
    workers_destroy(raw->workers);
    if (raw->event_fd >= 0)
        close(raw->event_fd);
    free(raw);
}

static void raw_close(struct blk *blk)
{
    struct raw *raw = raw_of(blk);

    raw_drain(blk);
    loop_unwatch(raw->loop, &raw->watch);
    close(raw->fd);
    raw_free(raw);
}

static const struct blk_ops raw_ops = {
    .name = "raw",
    .submit = raw_submit,
    .kick = raw_kick,
    .drain = raw_drain,
    .close = raw_close,
};

const char *block_io_name(const struct blk *blk)
{
    if (blk->ops != &raw_ops)
        return blk->ops->name;
    if (container_of(blk, const struct raw, blk)->sync)
        return "synchronous";
    return container_of(blk, const struct raw, blk)->have_ring ? "io_uring" : "threads";
}

int block_probe_uring(void)
{
    struct io_uring ring;
    int r = io_uring_queue_init(2, &ring, 0);

    if (r == 0)
        io_uring_queue_exit(&ring);
    return r;
}

static int ring_init(struct raw *raw)
{
    int r = io_uring_queue_init(RING_ENTRIES, &raw->ring, 0);

    if (r < 0)
        return r;
    r = io_uring_register_eventfd(&raw->ring, raw->event_fd);
    if (r < 0)
        io_uring_queue_exit(&raw->ring);
    raw->have_ring = r == 0;
    return r;
}

int raw_create(struct loop *loop, const struct raw_config *c, struct blk **out, struct error *err)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    int r;

    if (!raw)
        return error_set(err, ENOMEM, "no memory for a disk");
    raw->blk = (struct blk){.ops = &raw_ops,
                            .size = c->size,
                            .block_size = c->block_size,
                            .read_only = c->read_only,
                            .can_discard = !c->read_only,
                            .can_write_zeroes = !c->read_only};
    raw->loop = loop;
    raw->fd = c->fd;
    raw->device = c->device;
    raw->direct = c->direct;
    raw->mem_align = c->mem_align;
    raw->sync = c->io == BLOCK_IO_SYNC;
    raw->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    raw->workers = workers_create(raw->event_fd, run, raw);
    if (raw->event_fd < 0 || !raw->workers) {
        r = error_set(err, errno, "no memory or descriptors for a disk");
        goto fail;
    }
    r = c->io == BLOCK_IO_THREADS || raw->sync ? 0 : ring_init(raw);
    if (r < 0 && c->io == BLOCK_IO_URING) {
        error_set(err, -r,
                  "io_uring is not available here (a container's seccomp profile, or "
                  "kernel.io_uring_disabled); without io=uring batuta uses threads instead");
        goto fail;
    }
    raw->watch = (struct loop_fd){.fd = raw->event_fd, .events = LOOP_READ, .fn = raw_event, .opaque = raw};
    r = loop_watch(loop, &raw->watch);
    if (r < 0) {
        error_set(err, -r, "the event loop takes no more descriptors");
        goto fail;
    }
    *out = &raw->blk;
    return 0;
fail:
    raw_free(raw);
    return r;
}
