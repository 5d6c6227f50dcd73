/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/fake-loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#define MAX_WATCHES 256U

struct loop {
    struct loop_fd *watch[MAX_WATCHES];
    unsigned count;
    struct loop_timer *timers;
    struct loop_hook *hooks;
};

struct loop *fake_loop_create(void)
{
    return calloc(1, sizeof(struct loop));
}

void fake_loop_destroy(struct loop *loop)
{
    base_assert(!loop->count && !loop->timers && !loop->hooks);
    free(loop);
}

unsigned fake_loop_watches(const struct loop *loop)
{
    return loop->count;
}

int loop_watch(struct loop *loop, struct loop_fd *watch)
{
    if (loop->count == MAX_WATCHES)
        return -ENOSPC;
    loop->watch[loop->count++] = watch;
    return 0;
}

int loop_change(struct loop *loop, struct loop_fd *watch, unsigned events)
{
    watch->events = events;
    return 0;
}

void loop_unwatch(struct loop *loop, struct loop_fd *watch)
{
    for (unsigned i = 0; i < loop->count; i++) {
        if (loop->watch[i] == watch)
            loop->watch[i--] = loop->watch[--loop->count];
    }
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    for (struct loop_timer **p = &loop->timers; *p; p = &(*p)->next) {
        if (*p == timer) {
            *p = timer->next;
            break;
        }
    }
    timer->deadline = 0;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline)
{
    loop_timer_clear(loop, timer);
    timer->deadline = deadline;
    timer->next = loop->timers;
    loop->timers = timer;
}

uint64_t loop_now(struct loop *loop)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    hook->next = loop->hooks;
    loop->hooks = hook;
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
    for (struct loop_hook **p = &loop->hooks; *p; p = &(*p)->next) {
        if (*p == hook) {
            *p = hook->next;
            return;
        }
    }
}

static bool watched(const struct loop *loop, const struct loop_fd *watch)
{
    for (unsigned i = 0; i < loop->count; i++) {
        if (loop->watch[i] == watch)
            return true;
    }
    return false;
}

static void run_timers(struct loop *loop)
{
    uint64_t now = loop_now(loop);

    for (struct loop_timer *t = loop->timers, *next; t; t = next) {
        next = t->next;
        if (t->deadline <= now) {
            loop_timer_clear(loop, t);
            t->fn(t->opaque);
            next = loop->timers; /* the callback may have changed the list */
        }
    }
}

void fake_loop_turn(struct loop *loop, int max_ms)
{
    struct loop_fd *watch[MAX_WATCHES];
    struct pollfd p[MAX_WATCHES];
    unsigned n;

    for (struct loop_hook *h = loop->hooks; h; h = h->next)
        h->prepare(h->opaque, &max_ms);
    n = loop->count;
    for (unsigned i = 0; i < n; i++) {
        watch[i] = loop->watch[i];
        p[i] = (struct pollfd){.fd = watch[i]->fd,
                               .events = (short)((watch[i]->events & LOOP_READ ? POLLIN : 0) |
                                                 (watch[i]->events & LOOP_WRITE ? POLLOUT : 0))};
    }
    for (struct loop_timer *t = loop->timers; t; t = t->next)
        max_ms = max_ms < 0 || max_ms > 5 ? 5 : max_ms;
    poll(p, n, max_ms);
    for (unsigned i = 0; i < n; i++) {
        unsigned events = (p[i].revents & POLLIN ? LOOP_READ : 0U) |
                          (p[i].revents & POLLOUT ? LOOP_WRITE : 0U) |
                          (p[i].revents & (POLLHUP | POLLERR) ? LOOP_HANGUP : 0U);
        if (events && watched(loop, watch[i]))
            watch[i]->fn(watch[i]->opaque, events);
    }
    run_timers(loop);
    for (struct loop_hook *h = loop->hooks; h; h = h->next)
        h->check(h->opaque);
}
