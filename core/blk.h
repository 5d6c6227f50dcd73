/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is behind a disk. Requests are asynchronous: submit() never blocks on
 * storage, and done() is called once per request on the I/O thread with the VM
 * lock held, possibly before submit() returns.
 */
#ifndef CORE_BLK_H
#define CORE_BLK_H

#include "base/error.h"

struct blk;

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };

struct blk_vec {
    void *base;
    size_t len;
};

#define BLK_MAX_VECS 256

/* The submitter owns the request and its vectors until done(). */
struct blk_req {
    enum blk_op op;
    bool unmap;      /* WRITE_ZEROES may deallocate */
    uint64_t offset; /* bytes, a multiple of 512 */
    uint64_t len;    /* bytes, a multiple of 512; for READ and WRITE the vectors' sum */
    struct blk_vec *vec;
    unsigned vec_count;
    void (*done)(struct blk_req *req, int result); /* 0 or a negative errno */
    void *opaque;
    void *backend[4]; /* the implementation's */
};

struct blk_ops {
    const char *name;
    void (*submit)(struct blk *blk, struct blk_req *req);
    /* The submitter has no more for now: what submit() gathered goes to the storage in one go. Optional. */
    void (*kick)(struct blk *blk);
    /* Waits until every submitted request is done. Any thread, lock held throughout. */
    void (*drain)(struct blk *blk);
    /* Nobody wants the submitted requests any more: those not yet with the storage may end with -ECANCELED.
     * Optional. */
    void (*cancel)(struct blk *blk);
    void (*close)(struct blk *blk); /* drains, then frees */
};

struct blk {
    const struct blk_ops *ops;
    uint64_t size;       /* bytes, a multiple of 512 */
    uint32_t block_size; /* logical: 512 or 4096 */
    bool read_only;
    bool can_discard;
    bool can_write_zeroes;
    char serial[21];
};

/* To be called after a batch of submit(). */
static inline void blk_kick(struct blk *blk)
{
    if (blk->ops->kick)
        blk->ops->kick(blk);
}

#endif
