/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A raw file or block device: raw.c has the asynchronous side, raw-sync.c the blocking calls. */
#ifndef BLOCK_RAW_INTERNAL_H
#define BLOCK_RAW_INTERNAL_H

#include <liburing.h>

#include "block/block.h"
#include "block/workers.h"
#include "core/loop.h"

struct raw {
    struct blk blk;
    struct loop *loop;
    int fd;
    bool device;
    bool direct;        /* the descriptor has O_DIRECT: vectors must be aligned */
    uint32_t mem_align; /* then to this */

    int event_fd; /* signalled by the ring and by the workers */
    struct loop_fd watch;
    struct workers *workers;
    struct io_uring ring;
    bool have_ring;
    unsigned in_flight;
    bool sync; /* BLOCK_IO_SYNC */

    bool no_punch, no_zero_range; /* atomic: the file system said that it cannot */
};

static inline struct raw *raw_of(struct blk *blk)
{
    return container_of(blk, struct raw, blk);
}

/* Carries a request out from byte `skip` on; 0 or a negative errno. Any thread. */
int raw_execute(struct raw *raw, const struct blk_req *req, uint64_t skip);

/* Can these vectors go to the kernel as they are? */
bool raw_aligned(const struct raw *raw, const struct blk_req *req);

/* What raw_create() is told of an open descriptor. */
struct raw_config {
    int fd; /* the disk's from success on */
    uint64_t size;
    uint32_t block_size;
    uint32_t mem_align;
    bool device, direct, read_only;
    enum block_io io;
};

int raw_create(struct loop *loop, const struct raw_config *config, struct blk **out, struct error *err);

#endif
