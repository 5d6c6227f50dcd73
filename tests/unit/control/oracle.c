/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/control/oracle.h"

#include <jansson.h>

static json_t *load(const char *text, size_t len)
{
    json_error_t err;

    return json_loadb(text, len, JSON_DECODE_ANY, &err);
}

bool oracle_accepts(const char *text, size_t len)
{
    json_t *value = load(text, len);

    json_decref(value);
    return value != NULL;
}

bool oracle_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    json_t *x = load(a, a_len), *y = load(b, b_len);
    bool same = x && y && json_equal(x, y);

    json_decref(x);
    json_decref(y);
    return same;
}

char *oracle_member(const char *text, size_t len, const char *name)
{
    json_t *value = load(text, len);
    char *member = json_dumps(json_object_get(value, name), JSON_COMPACT | JSON_ENCODE_ANY);

    json_decref(value);
    return member;
}
