/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual time: nanoseconds since power-on, standing still while the VM is
 * paused, and timers on it. The guest's TSC, before each vCPU's offset, counts
 * the same time at tsc_khz. All under the VM lock, but clock_now() and
 * clock_tsc(), which any thread may call.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "base/list.h"

struct vm;

#define CLOCK_NEVER (~0ULL)

struct timer {
    struct list_node link; /* in vm_clock.timers while armed, sorted by deadline */
    uint64_t deadline;
    const char *name; /* for --trace timer */
    void (*fn)(void *opaque);
    void *opaque;
    struct vm *vm;
};

struct vm_clock {
    struct list_node timers;
    uint64_t base;    /* virtual = base + (now - started) while running */
    uint64_t started; /* plat now(), or icount_now() */
    bool running;
    uint32_t tsc_khz;  /* 1,000,000 where the engine has no TSC of its own: 1 tick is 1 ns */
    uint64_t rtc_base; /* realtime ns at virtual 0 */
};

uint64_t clock_now(struct vm *vm);
uint64_t clock_tsc(struct vm *vm);
uint64_t clock_ns_to_tsc(const struct vm *vm, uint64_t ns);
uint64_t clock_tsc_to_ns(const struct vm *vm, uint64_t tsc);

void clock_init(struct vm *vm);
void clock_start(struct vm *vm);
void clock_stop(struct vm *vm);

void timer_init(struct timer *timer, struct vm *vm, const char *name, void (*fn)(void *opaque), void *opaque);
/* Fires once when clock_now() reaches deadline, soon if that has passed. Re-arming moves it. */
void timer_arm(struct timer *timer, uint64_t deadline);
void timer_disarm(struct timer *timer);
static inline bool timer_armed(const struct timer *timer)
{
    return !list_empty(&timer->link);
}

/* Fires what is due and asks the platform for the next deadline. I/O thread (the vCPU's when instructions
 * are counted, core/icount.h), lock held. */
void clock_run(struct vm *vm);

#endif
