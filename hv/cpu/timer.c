/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/cpu/timer.h"

#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/cpu/time-internal.h"
#include "hv/thread.h"

void host_timer_init(struct host_timer *timer, void (*fn)(void *opaque), void *opaque)
{
    *timer = (struct host_timer){.deadline = TIMER_NEVER, .fn = fn, .opaque = opaque};
    list_init(&timer->link);
}

/* Sets the hardware for the earlier of the first timer and the slice's end. The processor's own lock held, or
 * nobody else is there. */
static void arm(struct cpu *cpu)
{
    uint64_t next = cpu->slice_end;

    if (!list_empty(&cpu->timers))
        next = MIN(next, list_entry(cpu->timers.next, struct host_timer, link)->deadline);
    if (next == cpu->timer_armed)
        return;
    cpu->timer_armed = next;
    cpu->yield_tsc = time_to_tsc(next);
    if (apic_timer_is_tsc()) {
        apic_timer_set_tsc(next == TIMER_NEVER ? 0 : MAX(cpu->yield_tsc, 1ULL));
    } else {
        uint64_t now = time_now();

        apic_timer_set_ticks(next == TIMER_NEVER ? 0 : time_to_apic_ticks(next > now ? next - now : 0));
    }
}

void timers_rearm(struct cpu *cpu)
{
    spin_lock(&cpu->timers_lock);
    arm(cpu);
    spin_unlock(&cpu->timers_lock);
}

/* Locks the list that the timer belongs to. */
static struct cpu *lock_list(const struct host_timer *timer)
{
    for (;;) {
        unsigned index = __atomic_load_n(&timer->cpu, __ATOMIC_RELAXED);

        spin_lock(&cpus[index]->timers_lock);
        if (timer->cpu == index)
            return cpus[index];
        spin_unlock(&cpus[index]->timers_lock);
    }
}

static void insert(struct cpu *cpu, struct host_timer *timer)
{
    struct list_node *at = cpu->timers.prev;

    while (at != &cpu->timers && list_entry(at, struct host_timer, link)->deadline > timer->deadline)
        at = at->prev;
    list_insert(at->next, &timer->link);
}

void host_timer_set(struct host_timer *timer, uint64_t deadline)
{
    struct cpu *here = cpu_this();

    for (;;) {
        struct cpu *cpu = lock_list(timer);

        list_remove(&timer->link);
        if (deadline == TIMER_NEVER || cpu == here) {
            timer->deadline = deadline;
            if (deadline != TIMER_NEVER)
                insert(here, timer);
            if (cpu == here)
                arm(here); /* another one's hardware fires in vain */
            spin_unlock(&cpu->timers_lock);
            return;
        }
        __atomic_store_n(&timer->cpu, here->metal.index, __ATOMIC_RELAXED);
        spin_unlock(&cpu->timers_lock);
    }
}

void host_timer_finish(struct host_timer *timer)
{
    host_timer_set(timer, TIMER_NEVER);
    for (unsigned i = 0; i < cpu_count; i++) {
        while (cpus[i] != cpu_this() && __atomic_load_n(&cpus[i]->firing, __ATOMIC_ACQUIRE) == timer)
            cpu_pause();
    }
}

void timers_run(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t now = time_now();
    bool any = false;

    spin_lock(&cpu->timers_lock);
    cpu->timer_armed = 0; /* whatever it was, it has fired, or will be set anew */
    while (!list_empty(&cpu->timers)) {
        struct host_timer *timer = list_entry(cpu->timers.next, struct host_timer, link);
        void (*fn)(void *opaque) = timer->fn;
        void *opaque = timer->opaque;
        struct sched_group *group = timer->group ? timer->group : &hv_group;

        if (timer->deadline > now)
            break;
        list_remove(&timer->link);
        timer->deadline = TIMER_NEVER;
        __atomic_store_n(&cpu->firing, timer, __ATOMIC_RELAXED);
        spin_unlock(&cpu->timers_lock);
        if (any)
            irq_work_for(group);
        else
            irq_work_begin(group, now);
        any = true;
        fn(opaque);
        spin_lock(&cpu->timers_lock);
        __atomic_store_n(&cpu->firing, NULL, __ATOMIC_RELEASE);
    }
    if (cpu->slice_end <= now) {
        cpu->slice_end = TIMER_NEVER;
        __atomic_store_n(&cpu->must_yield, true, __ATOMIC_RELAXED);
    }
    arm(cpu);
    spin_unlock(&cpu->timers_lock);
    if (any)
        irq_work_end();
}
