/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Consoles that are written to on threads while the monitor shows them: nothing is lost, mixed or out of
 * order. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/monitor/fixture.h"

#define LINES 3000

struct writer {
    pthread_t thread;
    struct fixture *f;
    unsigned vm;
    bool done; /* atomic */
};

static void *write_lines(void *arg)
{
    struct writer *w = arg;
    struct chardev *c = w->f->device[w->vm].chardev;

    for (unsigned i = 0; i < LINES; i++) {
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof(text), "line %u of %u\r\n", i, w->vm), at = 0;

        while (at < len) {
            size_t n = c->ops->write(c, (const uint8_t *)text + at, i & 1 ? 1 : len - at);

            at += n;
            if (!n)
                sched_yield();
        }
    }
    __atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void *type_keys(void *arg)
{
    struct writer *w = arg;
    struct chardev *c = &w->f->terminal.chardev;

    for (unsigned i = 0; i < LINES; i++) {
        static const uint8_t keys[] = "\x15x";

        c->receive(c->device, keys, 2);
        monitor_event(w->f->monitor, i & 1, VM_EVENT_STOP, 0);
        monitor_log(w->f->monitor, "log\n", 4);
        sched_yield();
    }
    __atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* What was shown of a console, without names and ends of lines: where a line is cut depends on time. */
struct seen {
    char text[LINES * 32];
    size_t len;
};

static void collect(const char *text, const char *name, struct seen *seen)
{
    char start[32];

    snprintf(start, sizeof(start), "%s| ", name);
    while ((text = strstr(text, start))) {
        const char *end = strstr(text += strlen(start), "\r\n");

        assert_non_null(end);
        assert_true(seen->len + (size_t)(end - text) < sizeof(seen->text));
        memcpy(seen->text + seen->len, text, (size_t)(end - text));
        seen->len += (size_t)(end - text);
        text = end;
    }
}

static void step(struct fixture *f, struct seen seen[2])
{
    f->now += 5000000;
    monitor_step(f->monitor, f->now);
    collect(f->terminal.out, "web", &seen[0]);
    collect(f->terminal.out, "db", &seen[1]);
    f->terminal.len = 0;
    f->terminal.out[0] = 0;
}

static void check(const struct seen *seen, unsigned vm)
{
    const char *at = seen->text;
    char expected[32];

    for (unsigned i = 0; i < LINES; i++) {
        size_t len = (size_t)snprintf(expected, sizeof(expected), "line %u of %u", i, vm);

        if (strncmp(at, expected, len))
            fail_msg("'%.40s', not '%s'", at, expected);
        at += len;
    }
    assert_ptr_equal(at, seen->text + seen->len);
}

static void test_threads(void **state)
{
    struct fixture *f = fixture_create(0);
    struct writer w[3] = {{.f = f, .vm = 0}, {.f = f, .vm = 1}, {.f = f}};
    struct seen *seen = calloc(2, sizeof(*seen));

    for (unsigned i = 0; i < 3; i++)
        pthread_create(&w[i].thread, NULL, i < 2 ? write_lines : type_keys, &w[i]);
    for (bool done = false; !done;) {
        done = true;
        for (unsigned i = 0; i < 3; i++)
            done &= __atomic_load_n(&w[i].done, __ATOMIC_ACQUIRE);
        step(f, seen);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(w[i].thread, NULL);
    for (unsigned i = 0; i < 1000; i++)
        step(f, seen);
    check(&seen[0], 0);
    check(&seen[1], 1);
    free(seen);
    fake_plat_run_work(&f->plat);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
