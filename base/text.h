/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few things that are done with NUL-ended text, without a C library. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/base.h"

static inline size_t text_length(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}

static inline bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static inline bool text_begins(const char *text, const char *prefix)
{
    while (*prefix && *text == *prefix) {
        text++;
        prefix++;
    }
    return !*prefix;
}

/* The first c in the text, NULL: none. */
static inline const char *text_find(const char *text, char c)
{
    while (*text && *text != c)
        text++;
    return *text == c ? text : NULL;
}

#endif
