/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks for the hosted program: raw files and block devices through io_uring, or
 * through a few threads where the host forbids that; and a throwaway layer over any
 * disk. What opens here is a struct blk (core/blk.h); its close() frees it.
 *
 * Threads, if there are any, start when a request first needs one.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include "core/blk.h"

struct loop;

enum block_direct {
    BLOCK_DIRECT_AUTO,
    BLOCK_DIRECT_ON,
    BLOCK_DIRECT_OFF
}; /* O_DIRECT; AUTO: where it works */
/* SYNC: within submit(), for a VM that must be repeatable; every request is done when submit() returns. */
enum block_io { BLOCK_IO_AUTO, BLOCK_IO_URING, BLOCK_IO_THREADS, BLOCK_IO_SYNC };

struct block_options {
    const char *path;
    const char
        *format; /* NULL: raw, unless the file looks like another format; "raw": whatever it looks like */
    const char *serial; /* NULL: none; the first 20 characters count */
    bool read_only;
    bool snapshot; /* the file stays as it is; what the guest writes is gone at the end */
    bool no_lock;  /* do not care who else has it open */
    enum block_direct direct;
    enum block_io io;
};

/* 0, or a negative errno with what is wrong and what to do about it in err. */
int block_open(struct loop *loop, const struct block_options *options, struct blk **out, struct error *err);

/* The same disk with a layer above that takes all writes. base is the layer's from success on. */
int block_overlay(struct loop *loop, struct blk *base, enum block_io io, struct blk **out, struct error *err);

/* "io_uring", "threads" or "synchronous": what is doing a raw disk's work. For people. */
const char *block_io_name(const struct blk *blk);
/* Is io_uring to be had here? 0 or a negative errno. */
int block_probe_uring(void);

#endif
