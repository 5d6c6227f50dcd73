/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/vm/plat.h"

#include "base/fmt.h"
#include "base/limit.h"
#include "core/metal.h"
#include "core/vm.h"
#include "hv/cpu/cpu.h"
#include "hv/mem/heap.h"
#include "hv/mem/ram.h"
#include "hv/random.h"

#define RELAX_NS    100000U
#define LOG_BURST   20U /* lines at once, and then one in so long: a guest can provoke them for ever */
#define LOG_NS      1000000000ULL
#define TURN_PIECES 1U /* of RAM, 2 MiB each, that the I/O thread clears before others have their turns */
/* Between two timers, while others wait for a processor: each is an interrupt and two switches of threads. */
#define TIMER_SPACING 100000U

static struct plat_metal *metal_of(struct plat *plat)
{
    return container_of(plat, struct plat_metal, plat);
}

static void *op_alloc(struct plat *plat, size_t size)
{
    return heap_alloc(size, &metal_of(plat)->account);
}

static void op_free(struct plat *plat, void *p)
{
    heap_free(p);
}

static struct spinlock *spinlock_of(struct plat_lock *lock)
{
    _Static_assert(sizeof(struct spinlock) <= sizeof(struct plat_lock), "a spin lock fits");
    return (struct spinlock *)(void *)lock->opaque;
}

static void op_lock_init(struct plat *plat, struct plat_lock *lock)
{
    *spinlock_of(lock) = (struct spinlock){0};
}

static void op_lock(struct plat *plat, struct plat_lock *lock)
{
    spin_lock(spinlock_of(lock));
}

static void op_unlock(struct plat *plat, struct plat_lock *lock)
{
    spin_unlock(spinlock_of(lock));
}

static uint64_t op_now(struct plat *plat)
{
    return time_now();
}

static uint64_t op_realtime(struct plat *plat)
{
    return time_real();
}

static void op_random(struct plat *plat, void *buf, size_t len)
{
    random_bytes(buf, len);
}

/* ---- the I/O thread ---- */

static void wake_io(struct plat_metal *plat)
{
    if (plat->io)
        thread_wake(plat->io);
}

static void timer_fired(void *opaque)
{
    struct plat_metal *plat = opaque;

    __atomic_store_n(&plat->timer_fired, time_now(), __ATOMIC_RELAXED);
    __atomic_store_n(&plat->timer_due, true, __ATOMIC_RELEASE);
    wake_io(plat);
}

static void op_timer_set(struct plat *plat, uint64_t deadline)
{
    struct plat_metal *metal = metal_of(plat);
    uint64_t soonest = __atomic_load_n(&metal->timer_fired, __ATOMIC_RELAXED) + TIMER_SPACING;

    if (deadline < soonest && !metal->group->params.budget && sched_anybody_waits(&hv_sched))
        deadline = soonest;
    host_timer_set(&metal->timer, deadline);
}

static void op_defer(struct plat *plat, struct plat_work *work)
{
    struct plat_metal *metal = metal_of(plat);
    bool first = false;

    spin_lock(&metal->lock);
    if (!work->queued && !metal->stopped) {
        work->queued = true;
        work->next = NULL;
        first = !metal->work;
        *metal->work_end = work;
        metal->work_end = &work->next;
    }
    spin_unlock(&metal->lock);
    if (first)
        wake_io(metal);
}

static bool op_ram_ready(struct plat *plat, const void *host, uint64_t len)
{
    struct plat_metal *metal = metal_of(plat);

    return !metal->ram || guest_ram_ready(metal->ram, host, len, &metal->pieces);
}

static struct plat_work *take_work(struct plat_metal *plat)
{
    struct plat_work *work;

    spin_lock(&plat->lock);
    work = plat->work;
    if (work) {
        plat->work = work->next;
        if (!plat->work)
            plat->work_end = &plat->work;
        work->queued = false;
    }
    spin_unlock(&plat->lock);
    return work;
}

/* One thing after the other, so that between two of them others may run. */
static bool do_one(struct plat_metal *plat, struct vm *vm)
{
    struct plat_work *work;

    plat->pieces = TURN_PIECES;
    if (__atomic_exchange_n(&plat->timer_due, false, __ATOMIC_ACQUIRE)) {
        clock_run(vm);
        return true;
    }
    work = take_work(plat);
    if (work)
        work->fn(work->opaque);
    return work;
}

void plat_metal_run(struct plat_metal *plat, struct vm *vm)
{
    vm_lock(vm);
    while (vm->state != VM_SHUTDOWN) {
        bool more = do_one(plat, vm);

        vm_unlock(vm);
        if (!more)
            thread_wait();
        else if (metal_must_yield())
            thread_yield();
        else
            cpu_irq_window(); /* devices' interrupts are not seen otherwise, however long there is more to do
                               */
        vm_lock(vm);
    }
    vm_unlock(vm);
}

/* ---- vCPUs' threads ---- */

static void op_vcpu_wait(struct plat *plat, struct vcpu *vcpu, uint32_t bits)
{
    if (!(__atomic_load_n(&vcpu->cpu.request, __ATOMIC_SEQ_CST) & bits))
        thread_wait();
}

static void op_vcpu_wake(struct plat *plat, struct vcpu *vcpu)
{
    struct thread *thread = vcpu->plat_data;

    if (thread)
        thread_wake(thread);
}

static uint64_t op_vcpu_stolen(struct plat *plat, struct vcpu *vcpu)
{
    struct thread *thread = vcpu->plat_data;
    uint64_t run, wait;

    sched_entity_times(&thread->entity, time_now(), &run, &wait);
    return wait;
}

static void op_relax(struct plat *plat)
{
    thread_wait_until(time_now() + RELAX_NS);
}

static void op_log(struct plat *plat, enum log_level level, const char *text)
{
    struct plat_metal *metal = metal_of(plat);
    unsigned missing;
    char line[64];

    if (!limit_allows(&metal->log_due, time_now(), LOG_BURST, LOG_NS)) {
        __atomic_fetch_add(&metal->log_missing, 1, __ATOMIC_RELAXED);
        return;
    }
    missing = __atomic_exchange_n(&metal->log_missing, 0, __ATOMIC_RELAXED);
    if (missing) {
        fmt_print(line, sizeof(line), "%u lines before this one were dropped", missing);
        metal->log(metal, LOG_WARN, line);
    }
    metal->log(metal, level, text);
}

static const struct plat_ops ops = {
    .alloc = op_alloc,
    .free = op_free,
    .lock_init = op_lock_init,
    .lock = op_lock,
    .unlock = op_unlock,
    .now = op_now,
    .realtime = op_realtime,
    .random = op_random,
    .timer_set = op_timer_set,
    .defer = op_defer,
    .ram_ready = op_ram_ready,
    .vcpu_wait = op_vcpu_wait,
    .vcpu_wake = op_vcpu_wake,
    .vcpu_stolen = op_vcpu_stolen,
    .relax = op_relax,
    .log = op_log,
};

struct sched_group *plat_metal_group(struct plat *plat)
{
    return plat->ops == &ops ? metal_of(plat)->group
                             : &hv_group; /* tests/hv/drv.c has a platform of its own */
}

void plat_metal_init(struct plat_metal *plat, const char *name, uint64_t limit, struct sched_group *group)
{
    plat->plat.ops = &ops;
    plat->group = group;
    plat->account = (struct memory_account){.name = name, .limit = limit};
    plat->work_end = &plat->work;
    host_timer_init(&plat->timer, timer_fired, plat);
    plat->timer.group = group;
}

void plat_metal_stop(struct plat_metal *plat)
{
    struct plat_work *work;

    spin_lock(&plat->lock);
    plat->stopped = true;
    spin_unlock(&plat->lock);
    host_timer_set(&plat->timer, TIMER_NEVER);
    do
        work = take_work(plat);
    while (work);
}

void plat_metal_reset(struct plat_metal *plat)
{
    host_timer_set(&plat->timer, TIMER_NEVER);
    plat->timer_due = false;
    plat->stopped = false;
}
