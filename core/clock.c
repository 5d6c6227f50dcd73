/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/clock.h"

#include "core/vm.h"

/* What virtual time runs by: the host's clock, or the guest's instructions. */
static uint64_t source_now(struct vm *vm)
{
    return vm->icount.on ? icount_now(vm) : vm->plat->ops->now(vm->plat);
}

void clock_init(struct vm *vm)
{
    struct vm_clock *c = &vm->clock;

    list_init(&c->timers);
    c->base = 0;
    c->running = false;
    c->tsc_khz = 1000000;
    c->rtc_base = vm->plat->ops->realtime(vm->plat);
}

/* Readers on other threads see base and started change only while they are parked. */
uint64_t clock_now(struct vm *vm)
{
    const struct vm_clock *c = &vm->clock;

    return c->running ? c->base + (source_now(vm) - c->started) : c->base;
}

/* a * b / c without the 128-bit division that a freestanding compiler has not; saturates. */
static uint64_t mul_div(uint64_t a, uint32_t b, uint32_t c)
{
    uint64_t low = (a & 0xffffffff) * b;
    uint64_t high = (a >> 32) * b + (low >> 32); /* the product is high : low's lower half */
    uint64_t quotient_high = high / c;

    if (quotient_high >> 32)
        return ~0ULL;
    return quotient_high << 32 | ((high % c) << 32 | (low & 0xffffffff)) / c;
}

uint64_t clock_ns_to_tsc(const struct vm *vm, uint64_t ns)
{
    if (vm->clock.tsc_khz == 1000000)
        return ns;
    return mul_div(ns, vm->clock.tsc_khz, 1000000);
}

uint64_t clock_tsc_to_ns(const struct vm *vm, uint64_t tsc)
{
    if (vm->clock.tsc_khz == 1000000)
        return tsc;
    return mul_div(tsc, 1000000, vm->clock.tsc_khz);
}

uint64_t clock_tsc(struct vm *vm)
{
    return clock_ns_to_tsc(vm, clock_now(vm));
}

static struct timer *first_timer(struct vm_clock *c)
{
    return list_empty(&c->timers) ? NULL : list_entry(c->timers.next, struct timer, link);
}

static void ask_platform(struct vm *vm)
{
    struct vm_clock *c = &vm->clock;
    struct timer *t = first_timer(c);
    uint64_t at = CLOCK_NEVER;

    if (c->running && t) {
        uint64_t delta = t->deadline > c->base ? t->deadline - c->base : 0;
        at = c->started > CLOCK_NEVER - 1 - delta ? CLOCK_NEVER - 1 : c->started + delta;
    }
    if (vm->icount.on)
        icount_deadline(vm, at);
    else
        vm->plat->ops->timer_set(vm->plat, at);
}

static void tell_engine(struct vm *vm)
{
    if (vm->engine && vm->engine->clock_changed)
        vm->engine->clock_changed(vm, vm->clock.running);
}

void clock_start(struct vm *vm)
{
    struct vm_clock *c = &vm->clock;

    if (c->running)
        return;
    c->started = source_now(vm);
    c->running = true;
    ask_platform(vm);
    tell_engine(vm);
}

void clock_stop(struct vm *vm)
{
    struct vm_clock *c = &vm->clock;

    if (!c->running)
        return;
    c->base = clock_now(vm);
    c->running = false;
    ask_platform(vm);
    tell_engine(vm);
}

void timer_init(struct timer *timer, struct vm *vm, const char *name, void (*fn)(void *opaque), void *opaque)
{
    list_init(&timer->link);
    timer->deadline = CLOCK_NEVER;
    timer->name = name;
    timer->fn = fn;
    timer->opaque = opaque;
    timer->vm = vm;
}

void timer_arm(struct timer *timer, uint64_t deadline)
{
    struct vm_clock *c = &timer->vm->clock;
    struct timer *first = first_timer(c);
    struct timer *t;

    vm_trace(timer->vm, TIMER, "%s: armed for %llu ns", timer->name, (unsigned long long)deadline);
    list_remove(&timer->link);
    timer->deadline = deadline;
    list_for_each (t, &c->timers, link) {
        if (t->deadline > deadline)
            break;
    }
    list_insert(&t->link, &timer->link);
    if (first_timer(c) != first || first == timer)
        ask_platform(timer->vm);
}

void timer_disarm(struct timer *timer)
{
    list_remove(&timer->link);
}

void clock_run(struct vm *vm)
{
    struct vm_clock *c = &vm->clock;
    struct timer *t;
    uint64_t now;

    if (!c->running)
        return;
    /* Read once: time that callbacks take cannot keep this loop alive. */
    now = clock_now(vm);
    while ((t = first_timer(c)) && t->deadline <= now) {
        list_remove(&t->link);
        vm_trace(vm, TIMER, "%s: fired at %llu ns, armed for %llu", t->name, (unsigned long long)now,
                 (unsigned long long)t->deadline);
        t->fn(t->opaque);
    }
    ask_platform(vm);
}
