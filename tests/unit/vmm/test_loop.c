/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/vcpu.h"
#include "vmm/loop.h"
#include "vmm/plat-linux.h"

static void run(struct loop *loop)
{
    alarm(20);
    loop_run(loop);
    alarm(0);
    loop_resume(loop);
}

struct recorder {
    struct loop *loop;
    char order[32];
    unsigned n, quit_at;
};

struct mark {
    struct recorder *r;
    char name;
};

static void record(void *opaque)
{
    const struct mark *m = opaque;

    m->r->order[m->r->n++] = m->name;
    if (m->r->n == m->r->quit_at)
        loop_quit(m->r->loop);
}

static void test_timers(void **state)
{
    struct error err = {0};
    struct loop *loop = loop_create(&err);
    struct recorder r = {.loop = loop, .quit_at = 3};
    struct mark a = {&r, 'a'}, b = {&r, 'b'}, c = {&r, 'c'}, clock = {&r, 'k'};
    struct loop_timer ta = {.fn = record, .opaque = &a}, tb = {.fn = record, .opaque = &b},
                      tc = {.fn = record, .opaque = &c};
    uint64_t now = loop_now(loop);

    (void)state;
    loop_clock_init(loop, record, &clock);
    loop_timer_set(loop, &tc, now + 30000000);
    loop_timer_set(loop, &ta, now + 10000000);
    loop_timer_set(loop, &tb, now + 20000000);
    loop_timer_clear(loop, &tb);
    loop_clock_set(loop, now + 15000000);
    run(loop);
    assert_int_equal(r.n, 3);
    assert_non_null(strchr(r.order, 'k')); /* anywhere: all are due at once on a host that is late */
    assert_non_null(strchr(r.order, 'c'));
    assert_true(strchr(r.order, 'a') < strchr(r.order, 'c') && strchr(r.order, 'a'));
    assert_true(loop_now(loop) >= now + 30000000);

    /* the past fires at once; a moved timer fires once */
    r = (struct recorder){.loop = loop, .quit_at = 1};
    loop_timer_set(loop, &ta, now + 100000000000ULL);
    loop_timer_set(loop, &ta, 0);
    run(loop);
    assert_string_equal(r.order, "a");
    loop_destroy(loop);
}

struct pair {
    struct loop *loop;
    struct loop_fd a, b;
    unsigned fired;
};

/* Both are ready in one round; the first to run removes the other, which must not run. */
static void remove_other(void *opaque, unsigned events)
{
    struct pair *p = opaque;

    p->fired++;
    loop_unwatch(p->loop, &p->a);
    loop_unwatch(p->loop, &p->b);
    loop_quit(p->loop);
}

static void test_unwatch_in_round(void **state)
{
    struct error err = {0};
    struct pair p = {.loop = loop_create(&err)};
    int pipes[2][2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        assert_int_equal(write(pipes[i][1], "x", 1), 1);
    }
    p.a = (struct loop_fd){.fd = pipes[0][0], .events = LOOP_READ, .fn = remove_other, .opaque = &p};
    p.b = (struct loop_fd){.fd = pipes[1][0], .events = LOOP_READ, .fn = remove_other, .opaque = &p};
    assert_int_equal(loop_watch(p.loop, &p.a), 0);
    assert_int_equal(loop_watch(p.loop, &p.b), 0);
    run(p.loop);
    assert_int_equal(p.fired, 1);
    loop_destroy(p.loop);
    for (int i = 0; i < 2; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

/* ---- work from another thread ---- */

#define ROUNDS 20000

struct ping {
    struct loop *loop;
    struct plat_work work;
    unsigned seen; /* atomic */
};

static void pong(void *opaque)
{
    struct ping *p = opaque;

    if (__atomic_add_fetch(&p->seen, 1, __ATOMIC_SEQ_CST) == ROUNDS)
        loop_quit(p->loop);
}

/* Each round waits for the last to be seen: one lost wake-up, and it hangs. */
static void *pinger(void *opaque)
{
    struct ping *p = opaque;

    for (unsigned i = 0; i < ROUNDS; i++) {
        loop_defer(p->loop, &p->work);
        while (__atomic_load_n(&p->seen, __ATOMIC_SEQ_CST) == i) {
        }
    }
    return NULL;
}

static void test_defer(void **state)
{
    struct error err = {0};
    struct ping p = {.loop = loop_create(&err)};
    pthread_t t;

    (void)state;
    p.work = (struct plat_work){.fn = pong, .opaque = &p};
    assert_int_equal(pthread_create(&t, NULL, pinger, &p), 0);
    run(p.loop);
    pthread_join(t, NULL);
    assert_int_equal(p.seen, ROUNDS);
    loop_destroy(p.loop);
}

/* ---- a vCPU's sleep ---- */

struct sleeper {
    struct plat_linux plat;
    struct vcpu vcpu;
    struct vcpu_thread thread;
    unsigned done; /* atomic */
};

static void *sleep_often(void *opaque)
{
    struct sleeper *s = opaque;
    struct plat *plat = &s->plat.plat;

    for (unsigned i = 0; i < ROUNDS; i++) {
        while (!__atomic_exchange_n(&s->vcpu.cpu.request, 0, __ATOMIC_SEQ_CST))
            plat->ops->vcpu_wait(plat, &s->vcpu, ~0U);
        __atomic_store_n(&s->done, i + 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void test_no_lost_wake(void **state)
{
    struct error err = {0};
    struct loop *loop = loop_create(&err);
    struct sleeper *s = calloc(1, sizeof(*s));
    struct plat *plat = &s->plat.plat;
    pthread_t t;

    (void)state;
    plat_linux_init(&s->plat, loop, NULL);
    s->vcpu.plat_data = &s->thread;
    alarm(20);
    assert_int_equal(pthread_create(&t, NULL, sleep_often, s), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        __atomic_fetch_or(&s->vcpu.cpu.request, 1, __ATOMIC_SEQ_CST);
        plat->ops->vcpu_wake(plat, &s->vcpu);
        while (__atomic_load_n(&s->done, __ATOMIC_SEQ_CST) == i) {
        }
    }
    pthread_join(t, NULL);
    alarm(0);
    loop_destroy(loop);
    free(s);
}

static void test_alloc(void **state)
{
    struct plat_linux plat;
    struct error err = {0};
    struct loop *loop = loop_create(&err);

    (void)state;
    plat_linux_init(&plat, loop, NULL);
    for (size_t size = 1; size < MIB(1); size = size * 3 + 1) {
        uint8_t *p = plat.plat.ops->alloc(&plat.plat, size);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (size >= 4096 ? 4096 : 64), 0);
        for (size_t i = 0; i < size; i += 97)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
        plat.plat.ops->free(&plat.plat, p);
    }
    assert_null(plat.plat.ops->alloc(&plat.plat, SIZE_MAX - 10));
    plat.plat.ops->free(&plat.plat, NULL);
    loop_destroy(loop);
}

static void test_ram(void **state)
{
    struct host_ram ram;
    struct error err = {0};

    (void)state;
    assert_int_equal(host_ram_init(&ram, MIB(16), &err), 0);
    assert_int_equal(((uint8_t *)ram.base)[MIB(16) - 1], 0);
    host_ram_finish(&ram);
    assert_true(host_ram_init(&ram, GIB(1ULL << 20), &err) < 0);
    assert_non_null(strstr(err.text, "more than this machine has"));
    host_ram_finish(&ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers), cmocka_unit_test(test_unwatch_in_round),
        cmocka_unit_test(test_defer),  cmocka_unit_test(test_no_lost_wake),
        cmocka_unit_test(test_alloc),  cmocka_unit_test(test_ram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
