/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The APIC timer: one-shot, periodic, TSC-deadline (SDM 3A 11.5.4). One tick of its input is one nanosecond.
 */
#include "dev/irq/lapic-internal.h"
#include "dev/regions.h"

/* How far ahead a TSC deadline is converted to time at once; further ones are looked at again then. */
#define DEADLINE_HORIZON BIT64(40)

unsigned lapic_timer_shift(const struct lapic *apic)
{
    unsigned code = (apic->divide & 3) | (apic->divide >> 1 & 4);

    return (code + 1) & 7; /* 000: by 2 … 110: by 128, 111: by 1 */
}

static uint32_t timer_mode(const struct lapic *apic)
{
    return apic->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static uint64_t period(const struct lapic *apic)
{
    return (uint64_t)apic->initial_count << lapic_timer_shift(apic);
}

static uint64_t guest_tsc(const struct lapic *apic)
{
    return clock_tsc(apic->vcpu->vm) + (uint64_t)apic->vcpu->cpu.s.tsc_offset;
}

static void arm_deadline(struct lapic *apic)
{
    struct vm *vm = apic->vcpu->vm;
    uint64_t now = guest_tsc(apic);
    uint64_t ahead = apic->tsc_deadline > now ? apic->tsc_deadline - now : 0;
    uint64_t ns = clock_tsc_to_ns(vm, MIN(ahead, DEADLINE_HORIZON));

    timer_arm(&apic->timer, deadline_after(clock_now(vm), ahead ? ns + 1 : 0));
}

void lapic_timer_arm(struct lapic *apic)
{
    timer_disarm(&apic->timer);
    if (apic->tsc_deadline)
        arm_deadline(apic);
    else if (apic->timer_running)
        timer_arm(&apic->timer, deadline_after(apic->timer_start, period(apic)));
}

/* A period that is too short for the host, or ticks that were slept through, are one interrupt: IRR holds no
 * more. */
static void next_period(struct lapic *apic)
{
    uint64_t now = clock_now(apic->vcpu->vm);
    uint64_t len = period(apic);
    uint64_t elapsed = now - apic->timer_start;

    apic->timer_start += elapsed - elapsed % len;
    timer_arm(&apic->timer,
              MAX(deadline_after(apic->timer_start, len), deadline_after(now, TIMER_PERIOD_MIN)));
}

static void timer_fired(void *opaque)
{
    struct lapic *apic = opaque;

    if (apic->tsc_deadline) {
        if (guest_tsc(apic) < apic->tsc_deadline) {
            arm_deadline(apic);
            return;
        }
        apic->tsc_deadline = 0;
    } else if (timer_mode(apic) == LVT_TIMER_PERIODIC) {
        next_period(apic);
    } else {
        apic->timer_running = false;
    }
    lapic_lvt_fire(apic, LVT_TIMER);
}

void lapic_timer_init(struct lapic *apic)
{
    timer_init(&apic->timer, apic->vcpu->vm, "lapic", timer_fired, apic);
}

void lapic_timer_stop(struct lapic *apic)
{
    timer_disarm(&apic->timer);
    apic->timer_running = false;
    apic->tsc_deadline = 0;
}

void lapic_timer_start(struct lapic *apic, uint32_t initial_count)
{
    if (timer_mode(apic) == LVT_TIMER_DEADLINE)
        return;
    apic->initial_count = initial_count;
    apic->timer_running = initial_count;
    apic->timer_start = clock_now(apic->vcpu->vm);
    lapic_timer_arm(apic);
}

/* The counter keeps its value and goes on at the new pace. */
void lapic_timer_divide(struct lapic *apic, uint32_t divide)
{
    uint64_t count = lapic_timer_count(apic);
    uint64_t now = clock_now(apic->vcpu->vm);
    uint64_t done;

    apic->divide = divide & 0xb;
    if (!apic->timer_running)
        return;
    done = (apic->initial_count - count) << lapic_timer_shift(apic);
    apic->timer_start = now > done ? now - done : 0;
    lapic_timer_arm(apic);
}

uint32_t lapic_timer_count(const struct lapic *apic)
{
    uint64_t elapsed;

    if (!apic->timer_running || timer_mode(apic) == LVT_TIMER_DEADLINE)
        return 0;
    elapsed = clock_now(apic->vcpu->vm) - apic->timer_start;
    if (timer_mode(apic) == LVT_TIMER_PERIODIC)
        elapsed %= period(apic);
    else if (elapsed >= period(apic))
        return 0;
    return apic->initial_count - (uint32_t)(elapsed >> lapic_timer_shift(apic));
}

void lapic_timer_deadline(struct lapic *apic, uint64_t tsc)
{
    if (timer_mode(apic) != LVT_TIMER_DEADLINE)
        return;
    apic->tsc_deadline = tsc;
    timer_disarm(&apic->timer);
    if (!tsc)
        return;
    if (guest_tsc(apic) >= tsc)
        timer_fired(apic);
    else
        arm_deadline(apic);
}
