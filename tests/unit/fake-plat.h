/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A platform for unit tests: time stands still until the test moves it, deferred work waits until the test
 * runs it.
 */
#ifndef TESTS_UNIT_FAKE_PLAT_H
#define TESTS_UNIT_FAKE_PLAT_H

#include "core/plat.h"

struct vm;

#define FAKE_EVENTS    64U
#define FAKE_EVENT_FD0 1000 /* the descriptor of the first */

struct fake_plat {
    struct plat plat; /* first */
    uint64_t now;     /* nanoseconds; the test's to write */
    uint64_t step;    /* nanoseconds that go by at each look at it: the host was busy elsewhere between two */
    bool real_time;   /* the host's clock instead, for vCPUs on threads */
    uint64_t realtime;
    uint64_t deadline; /* what timer_set() asked for */
    struct plat_work *work;
    bool stopped;                          /* no I/O thread any more: defer() does nothing */
    uint64_t random;                       /* xorshift state */
    unsigned allocations;                  /* alive; atomic */
    unsigned fail_after;                   /* 0: never; n: the n-th allocation from now fails */
    struct plat_event *event[FAKE_EVENTS]; /* open ones, by descriptor; the test calls their fn */
    unsigned not_ready;                    /* so many times ram_ready() says no */
    const void *untouched;                 /* and of what holds this byte, always; NULL: nothing */
    char last_log[256];
};

void fake_plat_init(struct fake_plat *fake);
/* Moves time forward, firing the VM's timers at their deadlines on the way. */
void fake_plat_advance(struct fake_plat *fake, struct vm *vm, uint64_t ns);
/* Runs what was deferred, until nothing is; or the first of it. False: there was nothing. */
void fake_plat_run_work(struct fake_plat *fake);
bool fake_plat_run_one(struct fake_plat *fake);
/* As before the end of a VM: what is deferred is forgotten, and nothing is any more; or (false) it is again.
 */
void fake_plat_stop(struct fake_plat *fake, bool stopped);
/* How many events are open. */
unsigned fake_plat_events(const struct fake_plat *fake);

#endif
