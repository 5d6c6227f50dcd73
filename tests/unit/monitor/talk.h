/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fixture for each test, what is typed and said to it, and what is looked for in its answers. */
#ifndef TESTS_UNIT_MONITOR_TALK_H
#define TESTS_UNIT_MONITOR_TALK_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/monitor/fixture.h"

#define MS     1000000ULL
#define SECOND 1000000000ULL

enum { WEB, DB, SPARE };

static inline int setup(void **state)
{
    struct fixture *f = fixture_create(0);

    f->terminal.len = 0; /* the greeting */
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture_destroy(*state);
    return 0;
}

static inline void write_text(struct fixture *f, unsigned vm, const char *text)
{
    assert_true(fixture_write(f, vm, text, strlen(text)));
}

/* What the terminal shows of it, all partial lines shown too. */
static inline const char *shown(struct fixture *f)
{
    fixture_run(f, SECOND);
    return fixture_output(f, &f->terminal);
}

static inline const char *type(struct fixture *f, const char *keys)
{
    fixture_type(f, &f->terminal, keys, strlen(keys));
    return fixture_output(f, &f->terminal);
}

static inline const char *say(struct fixture *f, const char *text)
{
    fixture_type(f, &f->management, text, strlen(text));
    return fixture_output(f, &f->management);
}

static inline void check_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("no '%s' in '%s'", part, text ? text : "");
}

static inline void check_has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in '%s'", part, text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
