/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "block/raw-internal.h"

#define BOUNCE_SIZE  MIB(1)
#define BOUNCE_ALIGN 4096U

static int retry_code(void)
{
    return errno == EINTR || errno == EAGAIN ? 0 : -errno;
}

bool raw_aligned(const struct raw *raw, const struct blk_req *req)
{
    if (!raw->direct)
        return true;
    for (unsigned i = 0; i < req->vec_count; i++) {
        if ((uintptr_t)req->vec[i].base % raw->mem_align || req->vec[i].len % raw->blk.block_size)
            return false;
    }
    return true;
}

/* The vectors from byte `skip` on. */
static unsigned vectors_from(const struct blk_req *req, uint64_t skip, struct iovec *iov)
{
    unsigned n = 0;

    for (unsigned i = 0; i < req->vec_count; i++) {
        const struct blk_vec *v = &req->vec[i];

        if (skip >= v->len) {
            skip -= v->len;
            continue;
        }
        iov[n++] = (struct iovec){(char *)v->base + skip, v->len - skip};
        skip = 0;
    }
    return n;
}

/* Straight between the disk and the vectors, however short each call turns out. */
static int transfer(struct raw *raw, const struct blk_req *req, uint64_t done)
{
    struct iovec iov[BLK_MAX_VECS];

    while (done < req->len) {
        int n = (int)vectors_from(req, done, iov);
        off_t at = (off_t)(req->offset + done);
        ssize_t r = req->op == BLK_READ ? preadv(raw->fd, iov, n, at) : pwritev(raw->fd, iov, n, at);

        if (r < 0) {
            int e = retry_code();
            if (e)
                return e;
        } else if (!r) {
            return -EIO; /* the file has become shorter than the disk */
        } else {
            done += (uint64_t)r;
        }
    }
    return 0;
}

static int transfer_buffer(struct raw *raw, bool read, uint8_t *buf, uint64_t len, uint64_t offset)
{
    uint64_t done = 0;

    while (done < len) {
        off_t at = (off_t)(offset + done);
        ssize_t r =
            read ? pread(raw->fd, buf + done, len - done, at) : pwrite(raw->fd, buf + done, len - done, at);

        if (r < 0) {
            int e = retry_code();
            if (e)
                return e;
        } else if (!r) {
            return -EIO;
        } else {
            done += (uint64_t)r;
        }
    }
    return 0;
}

/* Copies between a buffer and the vectors from byte `skip` on. */
static void scatter(const struct blk_req *req, uint64_t skip, uint8_t *buf, uint64_t len, bool to_vectors)
{
    struct iovec iov[BLK_MAX_VECS];
    unsigned n = vectors_from(req, skip, iov);

    for (unsigned i = 0; i < n && len; i++) {
        size_t part = MIN(iov[i].iov_len, len);

        if (to_vectors)
            memcpy(iov[i].iov_base, buf, part);
        else
            memcpy(buf, iov[i].iov_base, part);
        buf += part;
        len -= part;
    }
}

/* By way of a buffer that O_DIRECT takes. */
static int transfer_bounced(struct raw *raw, const struct blk_req *req, uint64_t done)
{
    uint64_t size = MIN(BOUNCE_SIZE, ALIGN_UP(req->len, (uint64_t)BOUNCE_ALIGN));
    uint8_t *buf = aligned_alloc(BOUNCE_ALIGN, size);
    bool read = req->op == BLK_READ;
    int r = 0;

    if (!buf)
        return -ENOMEM;
    done = ALIGN_DOWN(done, (uint64_t)raw->blk.block_size);
    while (done < req->len && !r) {
        uint64_t n = MIN(size, req->len - done);

        if (!read)
            scatter(req, done, buf, n, false);
        r = transfer_buffer(raw, read, buf, n, req->offset + done);
        if (read && !r)
            scatter(req, done, buf, n, true);
        done += n;
    }
    free(buf);
    return r;
}

static int flush(struct raw *raw)
{
    int r;

    do
        r = fdatasync(raw->fd);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int file_allocate(struct raw *raw, int mode, const struct blk_req *req)
{
    int r;

    do
        r = fallocate(raw->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)req->offset, (off_t)req->len);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int device_control(struct raw *raw, unsigned long op, const struct blk_req *req)
{
    uint64_t range[2] = {req->offset, req->len};

    return ioctl(raw->fd, op, range) < 0 ? -errno : 0;
}

static bool cannot(int result)
{
    return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENOTTY;
}

/* A way to deallocate that is not tried again once it proved missing. */
static int punch(struct raw *raw, const struct blk_req *req)
{
    int r;

    if (__atomic_load_n(&raw->no_punch, __ATOMIC_RELAXED))
        return -EOPNOTSUPP;
    r = raw->device ? device_control(raw, BLKDISCARD, req) : file_allocate(raw, FALLOC_FL_PUNCH_HOLE, req);
    if (cannot(r))
        __atomic_store_n(&raw->no_punch, true, __ATOMIC_RELAXED);
    return cannot(r) ? -EOPNOTSUPP : r;
}

static int zero_range(struct raw *raw, const struct blk_req *req)
{
    int r;

    if (__atomic_load_n(&raw->no_zero_range, __ATOMIC_RELAXED))
        return -EOPNOTSUPP;
    r = raw->device ? device_control(raw, BLKZEROOUT, req) : file_allocate(raw, FALLOC_FL_ZERO_RANGE, req);
    if (cannot(r))
        __atomic_store_n(&raw->no_zero_range, true, __ATOMIC_RELAXED);
    return cannot(r) ? -EOPNOTSUPP : r;
}

static int write_zeroes_by_hand(struct raw *raw, const struct blk_req *req)
{
    uint64_t size = MIN(BOUNCE_SIZE, ALIGN_UP(req->len, (uint64_t)BOUNCE_ALIGN));
    uint8_t *buf = aligned_alloc(BOUNCE_ALIGN, size);
    int r = 0;

    if (!buf)
        return -ENOMEM;
    memset(buf, 0, size);
    for (uint64_t done = 0; done < req->len && !r; done += size)
        r = transfer_buffer(raw, false, buf, MIN(size, req->len - done), req->offset + done);
    free(buf);
    return r;
}

static int write_zeroes(struct raw *raw, const struct blk_req *req)
{
    /* Holes in files read as zeroes; what devices discard need not. */
    int r = req->unmap && !raw->device ? punch(raw, req) : -EOPNOTSUPP;

    if (r == -EOPNOTSUPP)
        r = zero_range(raw, req);
    return r == -EOPNOTSUPP ? write_zeroes_by_hand(raw, req) : r;
}

int raw_execute(struct raw *raw, const struct blk_req *req, uint64_t skip)
{
    int r;

    switch (req->op) {
    case BLK_READ:
    case BLK_WRITE:
        return raw_aligned(raw, req) && !(raw->direct && skip % raw->blk.block_size)
                   ? transfer(raw, req, skip)
                   : transfer_bounced(raw, req, skip);
    case BLK_FLUSH:
        return flush(raw);
    case BLK_DISCARD:
        r = punch(raw, req);
        return r == -EOPNOTSUPP ? 0 : r; /* advice that cannot be taken */
    case BLK_WRITE_ZEROES:
        return write_zeroes(raw, req);
    }
    return -EINVAL;
}
