/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hosted I/O thread's event loop, as backends (block/, net/, vmm/) see it.
 * Implemented by vmm/loop.c. Callbacks run on the I/O thread with the VM lock held.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include "base/base.h"

#define LOOP_READ   BIT(0)
#define LOOP_WRITE  BIT(1)
#define LOOP_HANGUP BIT(2)

struct loop;

/* Lives in its owner. */
struct loop_fd {
    int fd;
    unsigned events; /* LOOP_READ | LOOP_WRITE */
    void (*fn)(void *opaque, unsigned events);
    void *opaque;
    void *loop_data; /* the loop's */
};

struct loop_timer {
    void (*fn)(void *opaque);
    void *opaque;
    uint64_t deadline;       /* host monotonic ns; 0: off */
    struct loop_timer *next; /* the loop's */
};

/* 0 or a negative errno. Lock held, or before the loop runs. */
int loop_watch(struct loop *loop, struct loop_fd *watch);
int loop_change(struct loop *loop, struct loop_fd *watch, unsigned events);
void loop_unwatch(struct loop *loop, struct loop_fd *watch);

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
uint64_t loop_now(struct loop *loop);

/* Called on the I/O thread before it sleeps and after it woke: for libslirp's own poll set. */
struct loop_hook {
    void (*prepare)(void *opaque, int *timeout_ms);
    void (*check)(void *opaque);
    void *opaque;
    struct loop_hook *next; /* the loop's */
};
void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);

#endif
