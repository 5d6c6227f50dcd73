/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/contract/blk-suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake-loop.h"

#define IN_FLIGHT   16U
#define MAX_VECS    9U
#define MAX_SECTORS 300U
#define SECTOR      512U
#define ROUNDS      400U
#define SEEDS       3U

#define check(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s (seed %u): not so: %s\n", __FILE__, __LINE__, s->subject->name,       \
                    s->subject->seed, #cond);                                                                \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* What the model knows of a sector. */
enum knowledge {
    KNOWN,  /* it holds model[] */
    EITHER, /* a write to it failed, or it was discarded: whatever is read is right, and known from then on */
};

struct op {
    struct suite *s;
    struct blk_req req;
    struct blk_vec vec[MAX_VECS];
    uint8_t *buf; /* aligned to a page; the vectors lie in it, in order, with or without gaps */
    bool busy, done;
    int result;
    uint64_t first, count; /* sectors */
};

struct suite {
    struct blk_subject *subject;
    struct blk *blk;
    uint8_t *model, *known;
    uint64_t sectors, unit; /* sectors in a block */
    uint64_t random;
    struct op op[IN_FLIGHT];
    unsigned completions, errors;
};

static uint64_t roll(struct suite *s, uint64_t n)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random % n;
}

static void op_done(struct blk_req *req, int result)
{
    struct op *op = req->opaque;
    struct suite *s = op->s;

    check(op->busy && !op->done); /* once, and for requests that are under way */
    op->done = true;
    op->result = result;
    s->completions++;
}

/* Requests under way at the same time do not overlap, so that the model has one answer. */
static bool is_free(struct suite *s, uint64_t first, uint64_t count)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        const struct op *o = &s->op[i];
        if (o->busy && o->count && first < o->first + o->count && o->first < first + count)
            return false;
    }
    return true;
}

/* Cuts the op's bytes into vectors: now and then at odd addresses, so that direct I/O has to take care. */
static void vectors_make(struct suite *s, struct op *op)
{
    uint64_t left = op->count * SECTOR, at = roll(s, 4) ? 0 : roll(s, 100);
    unsigned n = 0;

    while (left) {
        uint64_t len = roll(s, 3) ? SECTOR * (1 + roll(s, 16)) : 1 + roll(s, left);

        if (n + 1 == MAX_VECS || !roll(s, 3) || len > left)
            len = left;
        op->vec[n++] = (struct blk_vec){op->buf + at, len};
        at += len + (roll(s, 8) ? 0 : roll(s, 64));
        left -= len;
    }
    op->req.vec = op->vec;
    op->req.vec_count = n;
}

static void fill(struct suite *s, struct op *op)
{
    for (unsigned i = 0; i < op->req.vec_count; i++) {
        uint8_t *p = op->vec[i].base;
        for (size_t j = 0; j < op->vec[i].len; j++)
            p[j] = (uint8_t)(op->req.op == BLK_WRITE ? roll(s, 256) : 0xcc);
    }
}

static void op_start(struct suite *s, struct op *op)
{
    static const enum blk_op ops[] = {BLK_READ,  BLK_READ,  BLK_READ,    BLK_WRITE,       BLK_WRITE,
                                      BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES};
    enum blk_op kind = ops[roll(s, ARRAY_SIZE(ops))];
    uint64_t count = (1 + roll(s, roll(s, 4) ? 16 : MAX_SECTORS)) * s->unit, first;

    count = MIN(count, s->sectors);
    first = roll(s, (s->sectors - count) / s->unit + 1) * s->unit;
    if (!roll(s, 16))
        first = s->sectors - count; /* the very end */
    if (kind == BLK_FLUSH)
        first = count = 0;
    if ((kind == BLK_DISCARD && !s->blk->can_discard) ||
        (kind == BLK_WRITE_ZEROES && !s->blk->can_write_zeroes) ||
        (kind != BLK_READ && kind != BLK_FLUSH && s->blk->read_only) || !is_free(s, first, count))
        return;
    op->busy = true;
    op->done = false;
    op->first = first;
    op->count = count;
    op->req = (struct blk_req){.op = kind,
                               .unmap = roll(s, 2),
                               .offset = first * SECTOR,
                               .len = count * SECTOR,
                               .done = op_done,
                               .opaque = op};
    if (kind == BLK_READ || kind == BLK_WRITE) {
        vectors_make(s, op);
        fill(s, op);
    }
    s->blk->ops->submit(s->blk, &op->req);
}

/* The op's data, joined. */
static void gather(const struct op *op, uint8_t *out)
{
    for (unsigned i = 0; i < op->req.vec_count; i++) {
        memcpy(out, op->vec[i].base, op->vec[i].len);
        out += op->vec[i].len;
    }
}

static void compare(struct suite *s, const struct op *op, const uint8_t *data)
{
    for (uint64_t i = 0; i < op->count; i++) {
        uint64_t sector = op->first + i;

        if (s->known[sector] == KNOWN)
            check(memcmp(s->model + sector * SECTOR, data + i * SECTOR, SECTOR) == 0);
        memcpy(s->model + sector * SECTOR, data + i * SECTOR, SECTOR);
        s->known[sector] = KNOWN;
    }
}

/* The model does what the disk has done. */
static void op_settle(struct suite *s, struct op *op)
{
    static uint8_t data[(MAX_SECTORS + 1) * 8 * SECTOR];
    uint8_t *model = s->model + op->first * SECTOR;

    op->busy = false;
    if (op->result) {
        check(s->subject->inject && op->result == -EIO);
        s->errors++;
        if (op->req.op != BLK_READ)
            memset(s->known + op->first, EITHER, op->count);
        return;
    }
    switch (op->req.op) {
    case BLK_READ:
        gather(op, data);
        compare(s, op, data);
        break;
    case BLK_WRITE:
        gather(op, model);
        memset(s->known + op->first, KNOWN, op->count);
        break;
    case BLK_WRITE_ZEROES:
        memset(model, 0, op->count * SECTOR);
        memset(s->known + op->first, KNOWN, op->count);
        break;
    case BLK_DISCARD:
        memset(s->known + op->first, EITHER, op->count);
        break;
    case BLK_FLUSH:
        break;
    }
}

static void settle_all(struct suite *s)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        if (s->op[i].busy && s->op[i].done)
            op_settle(s, &s->op[i]);
    }
}

static bool any_busy(const struct suite *s)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        if (s->op[i].busy)
            return true;
    }
    return false;
}

static void round_run(struct suite *s)
{
    unsigned tries = 0;

    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        if (!s->op[i].busy)
            op_start(s, &s->op[i]);
    }
    blk_kick(s->blk);
    if (!roll(s, 10)) {
        s->blk->ops->drain(s->blk);
        settle_all(s);
        check(!any_busy(s));
        return;
    }
    /* At least one gets done without being waited for. */
    while (any_busy(s) && s->completions == 0) {
        fake_loop_turn(s->subject->loop, 100);
        check(++tries < 1000);
    }
    s->completions = 0;
    settle_all(s);
}

static void read_all(struct suite *s)
{
    struct op *op = &s->op[0];
    uint64_t step = 64 * s->unit;

    for (uint64_t at = 0; at < s->sectors; at += step) {
        op->first = at;
        op->count = MIN(step, s->sectors - at);
        op->busy = true;
        op->done = false;
        op->vec[0] = (struct blk_vec){op->buf, op->count * SECTOR};
        op->req = (struct blk_req){.op = BLK_READ,
                                   .offset = at * SECTOR,
                                   .len = op->count * SECTOR,
                                   .vec = op->vec,
                                   .vec_count = 1,
                                   .done = op_done,
                                   .opaque = op};
        s->blk->ops->submit(s->blk, &op->req);
        s->blk->ops->drain(s->blk);
        check(op->done && !op->result);
        op_settle(s, op);
    }
}

static void store_result(struct blk_req *req, int result)
{
    *(int *)req->opaque = result;
}

void blk_suite_read(struct blk *blk, uint8_t *content)
{
    struct blk_vec vec = {content, blk->size};
    int result = 1;
    struct blk_req req = {.op = BLK_READ,
                          .len = blk->size,
                          .vec = &vec,
                          .vec_count = 1,
                          .done = store_result,
                          .opaque = &result};

    blk->ops->submit(blk, &req);
    blk->ops->drain(blk);
    if (result) {
        fprintf(stderr, "reading the whole disk: %d\n", result);
        abort();
    }
}

/* How many requests failed. */
static unsigned seed_run(struct blk_subject *subject)
{
    struct suite *s = calloc(1, sizeof(*s));
    unsigned errors;

    s->subject = subject;
    s->blk = subject->blk;
    s->unit = s->blk->block_size / SECTOR;
    s->sectors = s->blk->size / SECTOR;
    s->random = 0x9e3779b97f4a7c15ULL ^ ((uint64_t)subject->seed << 17 | 1);
    s->model = calloc(1, s->blk->size);
    s->known = calloc(1, s->sectors);
    blk_suite_read(s->blk, s->model);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        s->op[i].s = s;
        s->op[i].buf = aligned_alloc(4096, 2 << 20);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (subject->inject && i % 16 == 8)
            subject->inject(subject, 2);
        round_run(s);
    }
    if (subject->inject)
        subject->inject(subject, 0);
    s->blk->ops->drain(s->blk);
    settle_all(s);
    check(!any_busy(s));
    errors = s->errors;
    read_all(s);
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        free(s->op[i].buf);
    free(s->model);
    free(s->known);
    free(s);
    return errors;
}

void blk_suite_run(struct blk_subject *subject)
{
    unsigned errors = 0;

    for (subject->seed = 1; subject->seed <= SEEDS; subject->seed++)
        errors += seed_run(subject);
    /* Not with each seed: an overlay that is full asks its base no more. */
    if (subject->inject && !errors) {
        fprintf(stderr, "%s: no injected fault came through\n", subject->name);
        abort();
    }
}
