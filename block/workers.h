/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few threads that carry out disk requests with blocking calls. A finished request
 * goes on a list, and the event descriptor is signalled; the I/O thread collects
 * it from there. Requests are linked by backend[0]; backend[1] holds the result.
 */
#ifndef BLOCK_WORKERS_H
#define BLOCK_WORKERS_H

#include "core/blk.h"

struct workers;

/* run carries a request out and returns its result, on some thread. NULL: no memory. */
struct workers *workers_create(int event_fd, int (*run)(void *opaque, struct blk_req *req), void *opaque);
/* All requests were collected. NULL is harmless. */
void workers_destroy(struct workers *w);

void workers_submit(struct workers *w, struct blk_req *req);
/* The finished requests as a list, or NULL. */
struct blk_req *workers_collect(struct workers *w);

static inline struct blk_req *workers_next(const struct blk_req *req)
{
    return req->backend[0];
}

static inline int workers_result(const struct blk_req *req)
{
    return (int)(intptr_t)req->backend[1];
}

#endif
