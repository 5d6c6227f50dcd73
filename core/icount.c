/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/icount.h"

#include "base/bytes.h"
#include "core/vm.h"

int icount_enable(struct vm *vm, uint64_t seed, struct error *err)
{
    if (vm->vcpu_count != 1)
        return error_set(err, EINVAL,
                         "--icount: counts the instructions of one vCPU, not of %u: use --cpus 1",
                         vm->vcpu_count);
    vm->icount.on = true;
    vm->icount.random = seed;
    vm->icount.stop_at = ICOUNT_NEVER;
    vm->clock.rtc_base = ICOUNT_EPOCH;
    return 0;
}

uint64_t icount_now(const struct vm *vm)
{
    const struct vcpu *vcpu = vm->vcpu[0];
    uint64_t count = 0;

    if (vcpu)
        count = __atomic_load_n(&vcpu->cpu.instructions, __ATOMIC_RELAXED) + (uint64_t)vcpu->cpu.uncounted;
    return count + vm->icount.skipped;
}

/* Each is taken off the list before it runs, so that it may be queued again. */
static void run_work(struct vm_icount *ic)
{
    struct plat_work *list = ic->work;

    ic->work = NULL;
    while (list) {
        struct plat_work *work = list;

        list = work->next;
        work->queued = false;
        work->fn(work->opaque);
    }
}

static struct timer *next_timer(struct vm *vm)
{
    struct vm_clock *c = &vm->clock;

    return c->running && !list_empty(&c->timers) ? list_entry(c->timers.next, struct timer, link) : NULL;
}

/* Instructions completed when virtual time reaches t. */
static uint64_t count_at(const struct vm *vm, uint64_t t)
{
    const struct vm_clock *c = &vm->clock;
    uint64_t delta = t > c->base ? t - c->base : 0;
    uint64_t at = c->started > ICOUNT_NEVER - delta ? ICOUNT_NEVER : c->started + delta;

    return at > vm->icount.skipped ? at - vm->icount.skipped : 0;
}

void icount_prepare(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    struct vm_icount *ic = &vm->icount;
    struct timer *t;
    uint64_t limit = ICOUNT_NEVER;

    if (!ic->on)
        return;
    /* No deadline is sooner: what follows need not ask us to look again. */
    __atomic_store_n(&vcpu->cpu.instruction_limit, 0, __ATOMIC_RELAXED);
    if (vcpu->cpu.instructions >= ic->stop_at) {
        ic->stop_at = ICOUNT_NEVER;
        ic->on_stop(ic->on_stop_opaque, vm);
        if (vm->state != VM_RUNNING)
            return; /* what is due comes when the VM goes on */
    }
    run_work(ic);
    clock_run(vm);
    t = next_timer(vm);
    if (t)
        limit = count_at(vm, t->deadline);
    if (ic->work) /* queued again: one instruction first, or it could keep the guest from ever going on */
        limit = 0;
    /* A timer in the past, or one armed by a timer for right now: also after one instruction. */
    limit = MAX(limit, vcpu->cpu.instructions + 1);
    __atomic_store_n(&vcpu->cpu.instruction_limit, MIN(limit, ic->stop_at), __ATOMIC_RELAXED);
}

bool icount_skip(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    struct timer *t;
    bool more = false;

    if (!vm->icount.on)
        return false;
    vm_lock(vm);
    if (vm->icount.work) {
        run_work(&vm->icount);
        more = true;
    } else if ((t = next_timer(vm)) != NULL) {
        uint64_t now = clock_now(vm);

        if (t->deadline > now)
            vm->icount.skipped += t->deadline - now;
        clock_run(vm);
        more = true;
    }
    vm_unlock(vm);
    return more;
}

static void stop_soon(struct vm *vm)
{
    if (vm->vcpu[0])
        vcpu_request(vm->vcpu[0], X86_REQ_EXIT);
}

void icount_deadline(struct vm *vm, uint64_t at)
{
    const struct vcpu *vcpu = vm->vcpu[0];
    uint64_t count = at > vm->icount.skipped ? at - vm->icount.skipped : 0;

    if (vcpu && count < __atomic_load_n(&vcpu->cpu.instruction_limit, __ATOMIC_RELAXED))
        stop_soon(vm);
}

void vm_defer(struct vm *vm, struct plat_work *work)
{
    struct plat_work **tail = &vm->icount.work;

    if (!vm->icount.on) {
        vm->plat->ops->defer(vm->plat, work);
        return;
    }
    if (work->queued)
        return;
    while (*tail)
        tail = &(*tail)->next;
    work->queued = true;
    work->next = NULL;
    *tail = work;
    stop_soon(vm);
}

/* SplitMix64: every seed is a good one. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

void vm_random(struct vm *vm, void *buf, size_t len)
{
    uint8_t *p = buf;

    if (!vm->icount.on) {
        vm->plat->ops->random(vm->plat, buf, len);
        return;
    }
    while (len) {
        uint64_t value = next_random(&vm->icount.random);
        size_t n = MIN(len, sizeof(value));

        memcpy(p, &value, n);
        p += n;
        len -= n;
    }
}
