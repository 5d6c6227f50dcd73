/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks of the machine, and slices of them as VMs' disks (core/blk.h). A driver
 * carries out pieces of requests (struct disk_io); everything else is here.
 *
 * A VM's requests are cut and started in its own time, with its lock held. An
 * interrupt only notes which pieces are done; done() is called by the VM's I/O thread.
 * Each slice has its own few pieces, so no VM keeps another from the disk for longer
 * than those take.
 *
 * Locks: a VM's, then disk.lock, which guards all below but what is said to be fixed.
 */
#ifndef HV_DRV_DISK_H
#define HV_DRV_DISK_H

#include "base/list.h"
#include "base/spin.h"
#include "core/blk.h"
#include "core/plat.h"

#define DISK_MAX          16U
#define DISK_MAX_SEGMENTS 128U
#define DISK_PIECE_MAX    KIB(512)

struct disk;
struct slice;

struct disk_segment {
    uint64_t phys;
    uint32_t len;
};

struct disk_io {
    enum blk_op op;
    bool unmap;
    uint64_t offset, len; /* bytes, on the disk */
    unsigned segments;
    struct disk_segment segment[DISK_MAX_SEGMENTS];
    /* the core's */
    struct slice *slice; /* NULL: the driver's own */
    struct blk_req *req;
    struct disk_io *next_free;
    bool bounced, under_way;
};

struct disk_ops {
    const char *name;
    /* Starts it, or -EAGAIN: too many are under way; disk_room() says when to come again. Lock held. */
    int (*start)(struct disk *disk, struct disk_io *io);
    /* What was started goes to the device. Lock held. */
    void (*kick)(struct disk *disk);
    /* Calls disk_io_done() for all that the device is done with. -EIO: it cannot be trusted. Lock held. */
    int (*poll)(struct disk *disk);
    /* Stops it for good: afterwards it reaches no memory. Lock held. */
    void (*stop)(struct disk *disk);
};

struct disk {
    /* filled by the driver before disk_add(), fixed then */
    const struct disk_ops *ops;
    const char *where; /* "PCI 00:04.0" */
    uint64_t size;
    uint32_t block_size;
    unsigned max_segments;                  /* of a piece, at most DISK_MAX_SEGMENTS */
    uint64_t max_discard, max_write_zeroes; /* bytes in one piece; 0: cannot */
    bool read_only;
    char serial[21];

    struct spinlock lock;
    struct list_node slices;
    struct list_node waiting; /* slices that found no room in the device */
    uint64_t ended;           /* pieces, ever: does it get on? */
    unsigned slow;            /* pieces under way that may take a device long: flushes, discards */
    bool dead;
};

/* The number that it has from now on, or -ENOSPC. It stays until the machine is off. */
int disk_add(struct disk *disk);
/* NULL: there is none. */
struct disk *disk_get(unsigned number);

/*
 * Bytes [offset, offset + size) of a disk (size 0: all behind offset) as a VM's. A byte that one VM may write
 * is no other's; any number may read. The VM's lock held, or before it runs; from its memory. close() sleeps
 * until the device has let go of the VM's memory: no lock held. A device of which nothing comes back for half
 * a minute (or five, with a flush under way) is given up then, for all.
 */
int disk_open(unsigned number, uint64_t offset, uint64_t size, bool read_only, struct plat *plat,
              struct blk **out, struct error *err);

/* ---- for drivers ---- */

/* A piece ended. Lock held. */
void disk_io_done(struct disk *disk, struct disk_io *io, int result);
/* start() would find room again. Lock held. */
void disk_room(struct disk *disk);
/* From an interrupt: polls, and gives a device up that cannot be trusted. */
void disk_interrupt(struct disk *disk);

#endif
