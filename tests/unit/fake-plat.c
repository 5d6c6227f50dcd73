/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/fake-plat.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/vm.h"

static struct fake_plat *fake_of(struct plat *plat)
{
    return (struct fake_plat *)plat;
}

static void *fake_alloc(struct plat *plat, size_t size)
{
    struct fake_plat *fake = fake_of(plat);
    size_t align = size >= 4096 ? 4096 : 64;
    void *p;

    if (fake->fail_after && --fake->fail_after == 0)
        return NULL;
    p = aligned_alloc(align, ALIGN_UP(size ? size : 1, align));
    if (!p)
        return NULL;
    __atomic_fetch_add(&fake->allocations, 1, __ATOMIC_RELAXED);
    return memset(p, 0, size);
}

static void fake_free(struct plat *plat, void *p)
{
    if (p)
        __atomic_fetch_sub(&fake_of(plat)->allocations, 1, __ATOMIC_RELAXED);
    free(p);
}

static pthread_mutex_t *mutex_of(struct plat_lock *lock)
{
    _Static_assert(sizeof(pthread_mutex_t) <= sizeof(*lock), "a lock has room for a mutex");
    return (pthread_mutex_t *)lock;
}

static void fake_lock_init(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_init(mutex_of(lock), NULL);
}

static void fake_lock(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_lock(mutex_of(lock));
}

static void fake_unlock(struct plat *plat, struct plat_lock *lock)
{
    pthread_mutex_unlock(mutex_of(lock));
}

static uint64_t fake_now(struct plat *plat)
{
    struct timespec ts;

    if (!fake_of(plat)->real_time)
        return fake_of(plat)->now += fake_of(plat)->step;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t fake_realtime(struct plat *plat)
{
    return fake_of(plat)->realtime;
}

static void fake_random(struct plat *plat, void *buf, size_t len)
{
    struct fake_plat *fake = fake_of(plat);

    for (size_t i = 0; i < len; i++) {
        fake->random ^= fake->random << 13;
        fake->random ^= fake->random >> 7;
        fake->random ^= fake->random << 17;
        ((uint8_t *)buf)[i] = (uint8_t)fake->random;
    }
}

static void fake_timer_set(struct plat *plat, uint64_t deadline)
{
    fake_of(plat)->deadline = deadline;
}

static void fake_defer(struct plat *plat, struct plat_work *w)
{
    struct plat_work **end = &fake_of(plat)->work;

    if (w->queued || fake_of(plat)->stopped)
        return;
    w->queued = true;
    w->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = w;
}

static bool fake_ram_ready(struct plat *plat, const void *host, uint64_t len)
{
    struct fake_plat *fake = fake_of(plat);
    bool ready = !fake->not_ready;

    fake->not_ready -= !ready;
    return ready && (!fake->untouched || (uintptr_t)fake->untouched - (uintptr_t)host >= len);
}

static int fake_event_open(struct plat *plat, struct plat_event *event)
{
    struct fake_plat *fake = fake_of(plat);

    for (unsigned i = 0; i < FAKE_EVENTS; i++) {
        if (fake->event[i])
            continue;
        fake->event[i] = event;
        event->fd = FAKE_EVENT_FD0 + (int)i;
        return 0;
    }
    return -EMFILE;
}

static void fake_event_close(struct plat *plat, struct plat_event *event)
{
    fake_of(plat)->event[event->fd - FAKE_EVENT_FD0] = NULL;
}

static void fake_vcpu(struct plat *plat, struct vcpu *vcpu)
{
}

static void fake_vcpu_wait(struct plat *plat, struct vcpu *vcpu, uint32_t bits)
{
}

static void fake_relax(struct plat *plat)
{
    if (fake_of(plat)->real_time)
        usleep(100);
}

static void fake_log(struct plat *plat, enum log_level level, const char *text)
{
    snprintf(fake_of(plat)->last_log, sizeof(fake_of(plat)->last_log), "%s", text);
}

static const struct plat_ops ops = {
    .alloc = fake_alloc,
    .free = fake_free,
    .lock_init = fake_lock_init,
    .lock = fake_lock,
    .unlock = fake_unlock,
    .now = fake_now,
    .realtime = fake_realtime,
    .random = fake_random,
    .timer_set = fake_timer_set,
    .defer = fake_defer,
    .ram_ready = fake_ram_ready,
    .event_open = fake_event_open,
    .event_close = fake_event_close,
    .vcpu_wait = fake_vcpu_wait,
    .vcpu_wake = fake_vcpu,
    .relax = fake_relax,
    .log = fake_log,
};

void fake_plat_init(struct fake_plat *fake)
{
    *fake = (struct fake_plat){
        .plat = {.ops = &ops},
        .now = 1000000,
        .realtime = 1700000000ULL * 1000000000,
        .deadline = ~0ULL,
        .random = 88172645463325252ULL,
    };
}

void fake_plat_advance(struct fake_plat *fake, struct vm *vm, uint64_t ns)
{
    uint64_t end = fake->now + ns;

    while (fake->deadline <= end) {
        if (fake->now < fake->deadline)
            fake->now = fake->deadline;
        clock_run(vm);
    }
    fake->now = MAX(fake->now, end);
    clock_run(vm);
}

bool fake_plat_run_one(struct fake_plat *fake)
{
    struct plat_work *w = fake->work;

    if (!w)
        return false;
    fake->work = w->next;
    w->queued = false;
    w->fn(w->opaque);
    return true;
}

void fake_plat_run_work(struct fake_plat *fake)
{
    while (fake_plat_run_one(fake))
        continue;
}

void fake_plat_stop(struct fake_plat *fake, bool stopped)
{
    for (; fake->work; fake->work = fake->work->next)
        fake->work->queued = false;
    fake->stopped = stopped;
}

unsigned fake_plat_events(const struct fake_plat *fake)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_EVENTS; i++)
        n += fake->event[i] != NULL;
    return n;
}
