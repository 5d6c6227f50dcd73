/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks in memory, for VMs without another (core/blk.h): empty ones, or over a boot
 * module that stays as it is. What is written lies in pieces of the VM's memory, taken
 * when they are first written to and given back when they are discarded.
 *
 * Requests are carried out by the VM's I/O thread, a little at a time.
 */
#ifndef HV_DRV_RAMDISK_H
#define HV_DRV_RAMDISK_H

#include "core/blk.h"
#include "core/plat.h"

/*
 * `bytes`: what it holds at the start, of `len` bytes; it outlives the disk. NULL:
 * zeroes. size: of the disk, a multiple of 512; 0: len rounded up to that. What it
 * could need when all of it is written is not set aside: a write that finds the VM's
 * memory used up ends with -ENOSPC.
 */
int ramdisk_create(struct plat *plat, const void *bytes, uint64_t len, uint64_t size, bool read_only,
                   struct blk **out, struct error *err);

/* Its device's end is not its own: close() leaves it as it is, for the next device. False: the next close()
 * is the last. */
void ramdisk_keep(struct blk *blk, bool keep);

/* The memory that holds what was written. Any thread. */
uint64_t ramdisk_bytes(struct blk *blk);

#endif
