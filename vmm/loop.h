/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O thread's event loop, as the program that owns it sees it (backends see
 * core/loop.h): epoll for descriptors, one timerfd for the VM's clock and all
 * timers, one eventfd for work from other threads.
 *
 * Everything but loop_defer(), loop_wake() and loop_quit() wants the lock held
 * that loop_set_lock() names, or to be called before loop_run().
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include "base/error.h"
#include "core/loop.h"
#include "core/plat.h"

struct loop_lock {
    void (*lock)(void *opaque);
    void (*unlock)(void *opaque);
    void *opaque;
};

struct loop *loop_create(struct error *err);
void loop_destroy(struct loop *loop);

/* What is held around callbacks. Before loop_run(). */
void loop_set_lock(struct loop *loop, struct loop_lock lock);

/* The VM's clock: fn is called once after `deadline`, which replaces an earlier one; ~0: never. */
void loop_clock_init(struct loop *loop, void (*fn)(void *opaque), void *opaque);
void loop_clock_set(struct loop *loop, uint64_t deadline);

/* Any thread, lock or not. */
void loop_defer(struct loop *loop, struct plat_work *work);
/* Has loop_run() return after its present round. Any thread, signal handlers too. */
void loop_quit(struct loop *loop);

/* Takes a loop_quit() back, so that it can run again. */
void loop_resume(struct loop *loop);

/* Runs until loop_quit(). The lock is not held by the caller. */
void loop_run(struct loop *loop);

#endif
