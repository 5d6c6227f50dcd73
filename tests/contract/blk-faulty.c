/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holds up to four requests back and lets them go last first; the next `count`
 * reads and writes end with `error`, writes after half of their data got there.
 */
#include <stdlib.h>

#include "tests/contract/blk-suite.h"

#define HELD 4U

struct faulty {
    struct blk blk;
    struct blk *base;
    int error;
    unsigned count;
    struct blk_req *held[HELD];
    unsigned held_count;
};

struct half {
    struct blk_req req;
    struct blk_req *whole;
    int error;
    struct blk_vec vec;
};

static struct faulty *faulty_of(struct blk *blk)
{
    return container_of(blk, struct faulty, blk);
}

static void half_done(struct blk_req *req, int result)
{
    struct half *half = req->opaque;
    struct blk_req *whole = half->whole;
    int error = half->error;

    free(half);
    whole->done(whole, error);
}

static void fail(struct faulty *f, struct blk_req *req)
{
    struct half *half;

    f->count--;
    if (req->op != BLK_WRITE || req->vec[0].len < 512) {
        req->done(req, f->error);
        return;
    }
    half = calloc(1, sizeof(*half));
    half->whole = req;
    half->error = f->error;
    half->vec = (struct blk_vec){req->vec[0].base, 512};
    half->req = (struct blk_req){.op = BLK_WRITE,
                                 .offset = req->offset,
                                 .len = 512,
                                 .vec = &half->vec,
                                 .vec_count = 1,
                                 .done = half_done,
                                 .opaque = half};
    f->base->ops->submit(f->base, &half->req);
}

static void let_go(struct faulty *f)
{
    while (f->held_count) {
        struct blk_req *req = f->held[--f->held_count];

        if (f->count && req->op <= BLK_WRITE)
            fail(f, req);
        else
            f->base->ops->submit(f->base, req);
    }
}

static void faulty_submit(struct blk *blk, struct blk_req *req)
{
    struct faulty *f = faulty_of(blk);

    f->held[f->held_count++] = req;
    if (f->held_count == HELD)
        let_go(f);
}

static void faulty_kick(struct blk *blk)
{
    let_go(faulty_of(blk));
    blk_kick(faulty_of(blk)->base);
}

static void faulty_drain(struct blk *blk)
{
    struct faulty *f = faulty_of(blk);

    do {
        let_go(f);
        f->base->ops->drain(f->base);
    } while (f->held_count);
}

static void faulty_close(struct blk *blk)
{
    struct faulty *f = faulty_of(blk);

    faulty_drain(blk);
    f->base->ops->close(f->base);
    free(f);
}

static const struct blk_ops faulty_ops = {.name = "faulty",
                                          .submit = faulty_submit,
                                          .kick = faulty_kick,
                                          .drain = faulty_drain,
                                          .close = faulty_close};

struct blk *faulty_create(struct blk *base)
{
    struct faulty *f = calloc(1, sizeof(*f));

    f->blk = *base;
    f->blk.ops = &faulty_ops;
    f->base = base;
    return &f->blk;
}

void faulty_fail(struct blk *blk, int error, unsigned count)
{
    faulty_of(blk)->error = error;
    faulty_of(blk)->count = count;
}
