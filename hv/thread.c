/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries out what sched decides. A thread that goes to sleep may be woken, chosen
 * elsewhere and wanted there before its registers are stored here: `on_cpu` says when they are, and
 * thread_switch() (hv/cpu/traps.S) waits for that.
 *
 * No wake-up is lost: thread_wake() sets the token and then asks the scheduler, which remembers
 * it if the thread still runs; who goes to sleep looks at the token and then asks the scheduler.
 */
#include "hv/thread.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/mem/heap.h"
#include "hv/mem/map.h"
#include "hv/panic.h"

extern void thread_switch(struct thread *prev, struct thread *next, size_t rsp, size_t on_cpu, uint32_t cpu);
extern void thread_entry(void);
extern uint8_t boot_stack[];

struct sched hv_sched;
struct sched_group hv_group;

static struct thread first_idle;
static struct sched_queue *queues[HV_MAX_CPUS];

struct thread *thread_this(void)
{
    return cpu_this()->current;
}

bool thread_guard_hit(uint64_t address)
{
    const struct cpu *cpu = cpu_this();
    uint64_t stack = cpu->current ? (uint64_t)(uintptr_t)cpu->current->stack : 0;

    return stack && address < stack && address >= stack - PAGE_SIZE;
}

/* ---- the dispatcher ---- */

static void poke_if_any(unsigned cpu)
{
    if (cpu != SCHED_NOBODY)
        cpu_poke(cpus[cpu]);
}

/* A thread at its end has asked to sleep. If a wake-up from before is remembered it is let through once more;
 * else this is final, and its owner may have it as soon as its registers are stored. */
static void note_end(struct thread *t)
{
    struct thread *joiner;

    if (__atomic_load_n(&t->entity.where, __ATOMIC_ACQUIRE) != SCHED_ASLEEP)
        return;
    __atomic_store_n(&t->finished, true, __ATOMIC_SEQ_CST);
    joiner = __atomic_load_n(&t->joiner, __ATOMIC_SEQ_CST);
    if (joiner)
        thread_wake(joiner);
}

/* A name that changes under its reader's eyes may be half of one and half of the next, and always ends. */
static void tell_name(struct cpu *cpu, const struct thread *t)
{
    uint64_t word;

    _Static_assert(sizeof(cpu->running) == sizeof(t->name), "a name fits");
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->running); i++) {
        memcpy(&word, t->name + i * sizeof(word), sizeof(word));
        __atomic_store_n(&cpu->running[i], word, __ATOMIC_RELAXED);
    }
}

void thread_running(const struct cpu *cpu, char name[24])
{
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->running); i++) {
        uint64_t word = __atomic_load_n(&cpu->running[i], __ATOMIC_RELAXED);

        memcpy(name + i * sizeof(word), &word, sizeof(word));
    }
}

static void reschedule(bool blocked)
{
    struct cpu *cpu = cpu_this();
    struct thread *prev = cpu->current, *next;
    struct sched_entity *entity;
    uint64_t now = time_now(), until = SCHED_NEVER;

    (void)__atomic_exchange_n(&cpu->must_yield, false, __ATOMIC_SEQ_CST);
    map_catch_up();
    entity = sched_next(&hv_sched, cpu->metal.index, blocked, now, &until);
    if (blocked && prev->ending)
        note_end(prev);
    next = entity ? container_of(entity, struct thread, entity) : cpu->idle;
    cpu->slice_end = until;
    timers_rearm(cpu);
    if (next == prev)
        return;
    cpu->current = next;
    tell_name(cpu, next);
    thread_switch(prev, next, offsetof(struct thread, rsp), offsetof(struct thread, on_cpu),
                  cpu->metal.index);
}

void thread_yield(void)
{
    struct cpu *cpu = cpu_this();

    cpu_irq_window();
    if (time_now() >= cpu->timer_armed)
        timers_run();
    reschedule(false);
}

void thread_yield_to_sibling(void)
{
    sched_prefer_sibling(&hv_sched, cpu_this()->metal.index, time_now());
    reschedule(false);
}

void thread_idle_loop(void)
{
    for (;;) {
        uint64_t begin = time_now();

        cpu_idle_wait();
        cpu_this()->idle_ns += time_now() - begin;
        reschedule(false);
    }
}

/* ---- waiting ---- */

void thread_wait(void)
{
    struct thread *t = thread_this();

    if (!__atomic_exchange_n(&t->token, false, __ATOMIC_SEQ_CST)) {
        reschedule(true);
        (void)__atomic_exchange_n(&t->token, false, __ATOMIC_SEQ_CST);
    }
}

static void wake_timer(void *opaque)
{
    thread_wake(opaque);
}

void thread_wait_until(uint64_t deadline)
{
    struct thread *t = thread_this();

    host_timer_set(&t->timer, deadline);
    thread_wait();
    host_timer_set(&t->timer, TIMER_NEVER);
}

void thread_wake(struct thread *thread)
{
    __atomic_fetch_add(&thread->wakers, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_exchange_n(&thread->token, true, __ATOMIC_SEQ_CST))
        poke_if_any(sched_wake(&hv_sched, &thread->entity, time_now()));
    __atomic_fetch_sub(&thread->wakers, 1, __ATOMIC_SEQ_CST);
}

/* ---- life ---- */

static _Noreturn void run(struct thread *t)
{
    t->fn(t->arg);
    host_timer_finish(&t->timer);
    /* With the token set for good nobody asks the scheduler to wake it; those who were about to have done it.
     */
    (void)__atomic_exchange_n(&t->token, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&t->wakers, __ATOMIC_SEQ_CST))
        cpu_pause();
    t->ending = true;
    for (;;)
        reschedule(true);
}

static struct thread *create(const char *name, struct memory_account *account)
{
    struct thread *t = heap_alloc(sizeof(*t), account);
    uint64_t room = t ? map_reserve(THREAD_STACK + PAGE_SIZE, PAGE_SIZE) : 0, phys;

    if (!room)
        goto free_thread;
    phys = page_alloc_many(THREAD_STACK / PAGE_SIZE, account);
    if (phys == PAGE_NONE)
        goto free_room;
    if (map_add(room + PAGE_SIZE, phys, THREAD_STACK, MAP_RAM) < 0)
        goto free_stack;
    t->stack = (uint8_t *)(room + PAGE_SIZE);
    t->account = account;
    t->on_cpu = -1;
    fmt_print(t->name, sizeof(t->name), "%s", name);
    host_timer_init(&t->timer, wake_timer, t);
    return t;

free_stack:
    page_free_many(phys, THREAD_STACK / PAGE_SIZE, account);
free_room:
    map_remove(room, PAGE_SIZE);
free_thread:
    heap_free(t);
    return NULL;
}

static void destroy(struct thread *t)
{
    uint64_t phys = virt_to_phys(t->stack);

    map_remove((uint64_t)(uintptr_t)t->stack - PAGE_SIZE, THREAD_STACK + PAGE_SIZE);
    page_free_many(phys, THREAD_STACK / PAGE_SIZE, t->account);
    heap_free(t);
}

struct thread *thread_create(const char *name, struct sched_group *group, struct memory_account *account,
                             void (*fn)(void *arg), void *arg)
{
    struct thread *t = create(name, account);
    uint64_t *top;

    if (!t)
        return NULL;
    t->fn = fn;
    t->arg = arg;
    /* As thread_switch() finds it: r15 to r12, rbx, rbp, and where to go. */
    top = (uint64_t *)(t->stack + THREAD_STACK);
    *--top = (uint64_t)(uintptr_t)thread_entry;
    *--top = 0;
    *--top = (uint64_t)(uintptr_t)run;
    *--top = (uint64_t)(uintptr_t)t;
    top -= 3;
    t->rsp = (uint64_t)(uintptr_t)top;
    sched_entity_init(&hv_sched, &t->entity, group);
    t->timer.group = group;
    thread_wake(t);
    return t;
}

void thread_wait_end(struct thread *t)
{
    __atomic_store_n(&t->joiner, thread_this(), __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&t->finished, __ATOMIC_SEQ_CST))
        thread_wait();
}

void thread_join(struct thread *t)
{
    thread_wait_end(t);
    while (__atomic_load_n(&t->on_cpu, __ATOMIC_ACQUIRE) != -1)
        cpu_pause();
    sched_entity_finish(&hv_sched, &t->entity);
    destroy(t);
}

/* ---- boot ---- */

void thread_init_first(void)
{
    struct cpu *cpu = cpu_this();

    first_idle.stack = boot_stack;
    first_idle.on_cpu = 0;
    fmt_print(first_idle.name, sizeof(first_idle.name), "idle0");
    cpu->current = cpu->idle = &first_idle;
    tell_name(cpu, &first_idle);
}

bool thread_create_idle(struct cpu *cpu, uint64_t *stack)
{
    char name[16];
    struct thread *t;

    fmt_print(name, sizeof(name), "idle%u", cpu->metal.index);
    t = create(name, &memory_own);
    if (!t)
        return false;
    t->on_cpu = (int32_t)cpu->metal.index;
    cpu->current = cpu->idle = t;
    tell_name(cpu, t);
    *stack = (uint64_t)(uintptr_t)t->stack + THREAD_STACK;
    return true;
}

static void queue_lock(struct sched_queue *queue)
{
    spin_lock(&container_of(queue, struct cpu, queue)->queue_lock);
}

static void queue_unlock(struct sched_queue *queue)
{
    spin_unlock(&container_of(queue, struct cpu, queue)->queue_lock);
}

static void queue_kick(struct sched_queue *queue)
{
    cpu_poke(container_of(queue, struct cpu, queue));
}

void thread_start(void)
{
    static const struct sched_hooks hooks = {queue_lock, queue_unlock, queue_kick};
    static const struct sched_params own = SCHED_OWN_PARAMS;
    struct error err = {0};

    for (unsigned i = 0; i < cpu_count; i++)
        queues[i] = &cpus[i]->queue;
    sched_init(&hv_sched, queues, cpu_count, &hooks);
    if (sched_group_init(&hv_sched, &hv_group, &own, &err) < 0)
        panic("the scheduler refuses the hypervisor's own threads: %s", err.text);
}
