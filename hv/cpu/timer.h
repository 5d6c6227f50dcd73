/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's time, from the TSC, and timers on it. A timer fires on the processor
 * that armed it, in an interrupt window (hv/cpu/irq.h), a little late or not at all
 * early. The local APIC's timer is set for the nearest deadline only: a processor
 * without one is not disturbed.
 */
#ifndef HV_CPU_TIMER_H
#define HV_CPU_TIMER_H

#include "base/list.h"

#define TIMER_NEVER (~0ULL)

struct cpu;
struct sched_group;

/* Nanoseconds since boot, on any processor. */
uint64_t time_now(void);
/* Nanoseconds since 1970, UTC, from the real-time clock at boot. */
uint64_t time_real(void);
/* At boot: time begins, not yet in its right measure. */
void time_boot(void);
/* Measures the TSC, and the local APIC's timer. */
void time_init(void);
/* time_now() at a value of the TSC, and the first value of the TSC at which time_now() is `ns`. */
uint64_t time_from_tsc(uint64_t tsc);
uint64_t time_to_tsc(uint64_t ns);
uint32_t time_tsc_khz(void);
/* Spins; for hardware that wants a pause. */
void time_delay(uint64_t ns);

struct host_timer {
    struct list_node link; /* guarded by the list's lock of the processor in `cpu` */
    uint64_t deadline;
    unsigned cpu;
    void (*fn)(void *opaque);
    void *opaque;
    struct sched_group *group; /* whose time fn takes; NULL: the hypervisor's. Its owner sets it after init */
};

void host_timer_init(struct host_timer *timer, void (*fn)(void *opaque), void *opaque);
/* Replaces an earlier deadline; TIMER_NEVER disarms. Any processor; fn may be about to run meanwhile. */
void host_timer_set(struct host_timer *timer, uint64_t deadline);
/* Disarms, and waits while fn runs on another processor: the timer's memory is its owner's again. No lock
 * held that fn takes. */
void host_timer_finish(struct host_timer *timer);

/* Fires what is due on this processor, notes the end of a time slice, and sets the hardware for what comes
 * next. Where interrupts are handled. */
void timers_run(void);
/* The slice's end has changed. */
void timers_rearm(struct cpu *cpu);

#endif
