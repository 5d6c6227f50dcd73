/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH    64
#define NEVER    UINT64_MAX
#define NS_PER_S 1000000000ULL

/*
 * What epoll knows of a watch. An unwatched slot stays until the end of the round,
 * since epoll_wait() may have returned it already.
 */
struct slot {
    struct loop_fd *watch; /* NULL: unwatched */
    struct slot *next_dead;
};

struct loop {
    int epoll, timer, event;
    struct loop_lock lock;
    struct slot *dead;
    struct loop_timer *timers; /* sorted by deadline */
    struct loop_hook *hooks;

    void (*clock_fn)(void *opaque);
    void *clock_opaque;
    uint64_t clock_deadline;
    uint64_t armed; /* what the timerfd is set to; never later than the earliest deadline */

    pthread_mutex_t work_lock; /* guards the queue */
    struct plat_work *work, **work_tail;
    bool quit;     /* atomic */
    bool sleeping; /* atomic: an eventfd signal is needed to be noticed */
};

/* The loop's own two descriptors are told from slots by their addresses. */
static int add_own(struct loop *loop, int *fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = fd};

    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, *fd, &e);
}

struct loop *loop_create(struct error *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&loop->work_lock, NULL);
    loop->work_tail = &loop->work;
    loop->clock_deadline = loop->armed = NEVER;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    loop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll < 0 || loop->timer < 0 || loop->event < 0 || add_own(loop, &loop->timer) < 0 ||
        add_own(loop, &loop->event) < 0) {
        error_set(err, errno, "cannot make the event loop: %s", strerror(errno));
        loop_destroy(loop);
        return NULL;
    }
    return loop;
}

static void bury(struct loop *loop)
{
    while (loop->dead) {
        struct slot *next = loop->dead->next_dead;

        free(loop->dead);
        loop->dead = next;
    }
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    bury(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->timer >= 0)
        close(loop->timer);
    if (loop->event >= 0)
        close(loop->event);
    pthread_mutex_destroy(&loop->work_lock);
    free(loop);
}

void loop_set_lock(struct loop *loop, struct loop_lock lock)
{
    loop->lock = lock;
}

uint64_t loop_now(struct loop *loop)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- descriptors ---- */

static uint32_t epoll_events(unsigned events)
{
    return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0U) | (events & LOOP_WRITE ? EPOLLOUT : 0U);
}

int loop_watch(struct loop *loop, struct loop_fd *watch)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    struct epoll_event e = {.events = epoll_events(watch->events), .data.ptr = slot};

    if (!slot)
        return -ENOMEM;
    slot->watch = watch;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &e) < 0) {
        int code = errno;

        free(slot);
        return -code;
    }
    watch->loop_data = slot;
    return 0;
}

int loop_change(struct loop *loop, struct loop_fd *watch, unsigned events)
{
    struct epoll_event e = {.events = epoll_events(events), .data.ptr = watch->loop_data};

    if (!watch->loop_data)
        return -EINVAL;
    if (events != watch->events && epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &e) < 0)
        return -errno;
    watch->events = events;
    return 0;
}

void loop_unwatch(struct loop *loop, struct loop_fd *watch)
{
    struct slot *slot = watch->loop_data;

    if (!slot)
        return;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->loop_data = NULL;
    slot->watch = NULL;
    slot->next_dead = loop->dead;
    loop->dead = slot;
}

/* ---- time ---- */

/* Sets the timerfd to `deadline` if that is sooner; one that is too early only costs a wake-up. */
static void arm(struct loop *loop, uint64_t deadline)
{
    struct itimerspec its = {0};

    if (deadline >= loop->armed)
        return;
    loop->armed = deadline;
    its.it_value.tv_sec = (time_t)(deadline / NS_PER_S);
    its.it_value.tv_nsec = (long)(deadline % NS_PER_S);
    if (!deadline)
        its.it_value.tv_nsec = 1; /* 0 would disarm it */
    timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &its, NULL);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    struct loop_timer **p = &loop->timers;

    if (!timer->deadline)
        return;
    while (*p && *p != timer)
        p = &(*p)->next;
    if (*p)
        *p = timer->next;
    timer->deadline = 0;
    timer->next = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline)
{
    struct loop_timer **p = &loop->timers;

    loop_timer_clear(loop, timer);
    timer->deadline = MAX(deadline, 1ULL);
    while (*p && (*p)->deadline <= timer->deadline)
        p = &(*p)->next;
    timer->next = *p;
    *p = timer;
    arm(loop, timer->deadline);
}

void loop_clock_init(struct loop *loop, void (*fn)(void *opaque), void *opaque)
{
    loop->clock_fn = fn;
    loop->clock_opaque = opaque;
}

void loop_clock_set(struct loop *loop, uint64_t deadline)
{
    loop->clock_deadline = deadline;
    arm(loop, deadline);
}

static void run_timers(struct loop *loop)
{
    uint64_t now = loop_now(loop), next = loop->clock_deadline;

    if (now >= loop->armed)
        loop->armed = NEVER;
    if (loop->clock_deadline <= now) {
        loop->clock_deadline = NEVER;
        loop->clock_fn(loop->clock_opaque);
        next = loop->clock_deadline;
    }
    /* A timer that sets itself again to the past waits for the next round: `now` stays. */
    while (loop->timers && loop->timers->deadline <= now) {
        struct loop_timer *timer = loop->timers;

        loop->timers = timer->next;
        timer->next = NULL;
        timer->deadline = 0;
        timer->fn(timer->opaque);
        now = MIN(now, loop_now(loop));
    }
    arm(loop, loop->timers ? MIN(next, loop->timers->deadline) : next);
}

/* ---- work from other threads ---- */

static void wake(struct loop *loop)
{
    uint64_t one = 1;

    if (write(loop->event, &one, sizeof(one)) < 0) {
        /* The counter is full: it is awake, or will be. */
    }
}

void loop_defer(struct loop *loop, struct plat_work *work)
{
    bool queued;

    pthread_mutex_lock(&loop->work_lock);
    queued = work->queued;
    if (!queued) {
        work->queued = true;
        work->next = NULL;
        *loop->work_tail = work;
        loop->work_tail = &work->next;
    }
    pthread_mutex_unlock(&loop->work_lock);
    if (!queued && __atomic_load_n(&loop->sleeping, __ATOMIC_SEQ_CST))
        wake(loop);
}

void loop_quit(struct loop *loop)
{
    __atomic_store_n(&loop->quit, true, __ATOMIC_SEQ_CST);
    wake(loop);
}

void loop_resume(struct loop *loop)
{
    __atomic_store_n(&loop->quit, false, __ATOMIC_SEQ_CST);
}

static bool work_waiting(struct loop *loop)
{
    bool waiting;

    pthread_mutex_lock(&loop->work_lock);
    waiting = loop->work != NULL;
    pthread_mutex_unlock(&loop->work_lock);
    return waiting;
}

/* What is queued now; what that work queues again waits for the next round. */
static void run_work(struct loop *loop)
{
    struct plat_work *list, *next;

    pthread_mutex_lock(&loop->work_lock);
    list = loop->work;
    loop->work = NULL;
    loop->work_tail = &loop->work;
    pthread_mutex_unlock(&loop->work_lock);
    while (list) {
        void (*fn)(void *opaque) = list->fn;
        void *opaque = list->opaque;

        pthread_mutex_lock(&loop->work_lock);
        next = list->next;
        list->queued = false;
        pthread_mutex_unlock(&loop->work_lock);
        fn(opaque);
        list = next;
    }
}

/* ---- hooks ---- */

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    hook->next = loop->hooks;
    loop->hooks = hook;
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
    struct loop_hook **p = &loop->hooks;

    while (*p && *p != hook)
        p = &(*p)->next;
    if (*p)
        *p = hook->next;
}

static int prepare(struct loop *loop)
{
    int timeout = -1;

    for (struct loop_hook *h = loop->hooks; h; h = h->next) {
        int t = -1;

        h->prepare(h->opaque, &t);
        if (t >= 0 && (timeout < 0 || t < timeout))
            timeout = t;
    }
    return timeout;
}

static void check(struct loop *loop)
{
    struct loop_hook *next;

    for (struct loop_hook *h = loop->hooks; h; h = next) {
        next = h->next;
        h->check(h->opaque);
    }
}

/* ---- the loop ---- */

static void take_lock(struct loop *loop, bool take)
{
    if (loop->lock.lock)
        (take ? loop->lock.lock : loop->lock.unlock)(loop->lock.opaque);
}

/* Level-triggered: take what it counts, or it would not let us sleep. */
static void drain(int fd)
{
    uint64_t counter;

    while (read(fd, &counter, sizeof(counter)) > 0) {
    }
}

static void dispatch(struct loop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        const struct slot *slot = events[i].data.ptr;
        uint32_t got = events[i].events;
        unsigned told = (got & EPOLLIN ? LOOP_READ : 0) | (got & EPOLLOUT ? LOOP_WRITE : 0) |
                        (got & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? LOOP_HANGUP : 0);

        if (events[i].data.ptr == &loop->timer || events[i].data.ptr == &loop->event)
            drain(*(const int *)events[i].data.ptr);
        else if (slot->watch)
            slot->watch->fn(slot->watch->opaque, told);
    }
}

void loop_run(struct loop *loop)
{
    struct epoll_event events[BATCH];

    while (!__atomic_load_n(&loop->quit, __ATOMIC_SEQ_CST)) {
        int timeout, count;

        take_lock(loop, true);
        timeout = prepare(loop);
        take_lock(loop, false);
        __atomic_store_n(&loop->sleeping, true, __ATOMIC_SEQ_CST);
        if (work_waiting(loop))
            timeout = 0;
        count = epoll_wait(loop->epoll, events, BATCH, timeout);
        __atomic_store_n(&loop->sleeping, false, __ATOMIC_SEQ_CST);
        take_lock(loop, true);
        dispatch(loop, events, count);
        run_timers(loop);
        run_work(loop);
        check(loop);
        bury(loop);
        take_lock(loop, false);
    }
}
