/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched with real threads as processors (for ThreadSanitizer, too): they run, block,
 * wake and steal at once. An entity runs once at a time, none is lost, every
 * wake-up is followed by a run, and those who wait for another's stack never wait in a circle.
 */
#include "sched/sched.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CPUS     6
#define GROUPS   6
#define ENTITIES 40
#define ROUNDS   20000 /* of each processor */

struct job {
    struct sched_entity entity;
    bool on_cpu;       /* atomic, as in hv/thread.c: somebody is on its stack */
    uint64_t asked;    /* atomic: wake-ups */
    uint64_t answered; /* its own: of them it saw */
    uint64_t runs;
    uint64_t random;
};

struct processor {
    struct sched_queue queue;
    pthread_mutex_t lock;
    pthread_t thread;
    bool poked;
    struct job *current;
    uint64_t random;
};

static struct sched sched;
static struct processor processors[CPUS];
static struct job jobs[ENTITIES];
static struct sched_group groups[GROUPS];
static unsigned failures, finished;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
}

static void hook_lock(struct sched_queue *queue)
{
    pthread_mutex_lock(queue->lock);
}

static void hook_unlock(struct sched_queue *queue)
{
    pthread_mutex_unlock(queue->lock);
}

static void poke(unsigned cpu)
{
    __atomic_store_n(&processors[cpu].poked, true, __ATOMIC_RELEASE);
}

static void hook_kick(struct sched_queue *queue)
{
    poke(queue->cpu);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static uint64_t any(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (*state >> 11) % below;
}

static void wake(struct job *job)
{
    unsigned cpu;

    __atomic_add_fetch(&job->asked, 1, __ATOMIC_SEQ_CST);
    cpu = sched_wake(&sched, &job->entity, now_ns());
    if (cpu != SCHED_NOBODY)
        poke(cpu);
}

/* The dispatcher of hv/thread.c without stacks. */
static void dispatch(struct processor *p, unsigned cpu, bool blocked, uint64_t *until)
{
    struct job *old = p->current, *job;
    struct sched_entity *entity = sched_next(&sched, cpu, blocked, now_ns(), until);

    job = entity ? container_of(entity, struct job, entity) : NULL;
    if (job != old) {
        while (job && __atomic_load_n(&job->on_cpu, __ATOMIC_ACQUIRE))
            sched_yield();
        if (job)
            __atomic_store_n(&job->on_cpu, true, __ATOMIC_RELAXED);
        if (old)
            __atomic_store_n(&old->on_cpu, false, __ATOMIC_RELEASE);
    }
    p->current = job;
}

/* What a job does in one visit. Does it block? */
static bool work(struct processor *p, unsigned cpu, struct job *job)
{
    uint64_t asked = __atomic_load_n(&job->asked, __ATOMIC_SEQ_CST);

    job->runs++; /* ThreadSanitizer sees if two are here */
    if (any(&job->random, 4) == 0)
        wake(&jobs[any(&job->random, ENTITIES)]);
    if (any(&job->random, 8) == 0)
        sched_prefer_sibling(&sched, cpu, now_ns());
    if (any(&job->random, 16) == 0)
        sched_charge_other(&sched, cpu, &groups[any(&job->random, GROUPS)], 1000);
    job->answered = asked;
    return any(&job->random, 3) == 0;
}

static void *processor(void *arg)
{
    struct processor *p = arg;
    unsigned cpu = p->queue.cpu;
    uint64_t until = 0, run, wait;

    for (unsigned round = 0; round < ROUNDS; round++) {
        bool blocked = p->current && work(p, cpu, p->current);

        __atomic_store_n(&p->poked, false, __ATOMIC_RELEASE);
        dispatch(p, cpu, blocked, &until);
        if (any(&p->random, 4) == 0)
            wake(&jobs[any(&p->random, ENTITIES)]);
        sched_entity_times(&jobs[any(&p->random, ENTITIES)].entity, now_ns(), &run, &wait);
        if (!p->current && !__atomic_load_n(&p->poked, __ATOMIC_ACQUIRE))
            sched_yield();
    }
    /* The rest: nothing new, until all have seen their wake-ups. */
    __atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
    for (unsigned quiet = 0; quiet < 200;) {
        bool blocked = false;

        if (p->current) {
            p->current->answered = __atomic_load_n(&p->current->asked, __ATOMIC_SEQ_CST);
            blocked = true;
        }
        dispatch(p, cpu, blocked, &until);
        quiet = p->current || __atomic_load_n(&finished, __ATOMIC_SEQ_CST) < CPUS ? 0 : quiet + 1;
        if (!p->current) {
            struct timespec pause = {.tv_nsec = 100000};
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

static void set_up(void)
{
    static const uint64_t half[SCHED_CPU_WORDS] = {7};
    static struct sched_queue *queues[CPUS];
    const struct sched_hooks hooks = {.lock = hook_lock, .unlock = hook_unlock, .kick = hook_kick};
    const struct sched_params params[GROUPS] = {
        {.shares = 100},
        {.shares = 1000},
        {.shares = 100, .cap = 900},
        {.shares = 10, .reservation = 500},
        {.shares = 100, .affinity = half},
        {.shares = 1, .budget = 2000000, .period = 10000000},
    };

    for (unsigned i = 0; i < CPUS; i++) {
        pthread_mutex_init(&processors[i].lock, NULL);
        processors[i].queue.lock = &processors[i].lock;
        processors[i].random = i + 1;
        queues[i] = &processors[i].queue;
    }
    sched_init(&sched, queues, CPUS, &hooks);
    for (unsigned i = 0; i < GROUPS; i++)
        if (sched_group_init(&sched, &groups[i], &params[i], NULL))
            fail("a group does not fit");
    for (unsigned i = 0; i < ENTITIES; i++) {
        jobs[i].random = i + 1;
        sched_entity_init(&sched, &jobs[i].entity, &groups[i % GROUPS]);
    }
}

int main(void)
{
    uint64_t runs = 0;

    set_up();
    for (unsigned i = 0; i < ENTITIES; i++)
        wake(&jobs[i]);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_create(&processors[i].thread, NULL, processor, &processors[i]);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(processors[i].thread, NULL);
    for (unsigned i = 0; i < ENTITIES; i++) {
        runs += jobs[i].runs;
        if (jobs[i].answered != jobs[i].asked)
            fail("a wake-up was lost");
        if (!jobs[i].runs)
            fail("a job never ran");
    }
    printf("%llu visits of %u jobs on %u processors, %u failures\n", (unsigned long long)runs, ENTITIES, CPUS,
           failures);
    return failures != 0;
}
