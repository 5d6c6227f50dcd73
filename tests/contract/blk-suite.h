/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every struct blk must do, whoever implements it: random operations, several
 * in flight, in lockstep with an array of bytes that does the same.
 */
#ifndef TESTS_CONTRACT_BLK_SUITE_H
#define TESTS_CONTRACT_BLK_SUITE_H

#include "core/blk.h"

struct loop;

struct blk_subject {
    const char *name;
    struct blk *blk;
    struct loop *loop; /* turned until a request is done */
    /* Fails the next n requests for which it chooses so with -EIO; NULL: no faults to be had. */
    void (*inject)(struct blk_subject *s, unsigned n);
    bool faults_seen; /* the suite's: an injected fault came through */
    unsigned seed;    /* the suite's */
};

/*
 * Starts from what the disk holds, three times. Traps (with a message on stderr)
 * where it differs, and where nothing failed though faults were injected. The
 * blk stays open.
 */
void blk_suite_run(struct blk_subject *s);

/* Reads the whole disk, blk->size bytes; traps where that fails. */
void blk_suite_read(struct blk *blk, uint8_t *content);

/*
 * A wrapper that misbehaves as storage does: delays, reorders and fails requests.
 * base is the wrapper's; closing it closes both.
 */
struct blk *faulty_create(struct blk *base);
void faulty_fail(struct blk *faulty, int error, unsigned count);

#endif
