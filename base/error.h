/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error that a person will read: what is wrong, with which thing, and what
 * to do about it. Used at configuration and API edges only; elsewhere a
 * negative errno says enough. The caller owns the struct; a NULL pointer means
 * that the caller does not want the text.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <errno.h> /* the constants only */

#include "base/base.h"

struct error {
    int code;       /* a positive errno, 0 when none is set */
    char text[512]; /* one line, no newline at its end */
};

/* Fills err (if not NULL; the first text set stays) and returns -code. code is a positive errno. */
int error_set(struct error *err, int code, const char *fmt, ...) ATTR_PRINTF(3, 4);
int error_vset(struct error *err, int code, const char *fmt, va_list ap);

/* Puts "prefix: " before a text that is already there. */
void error_prefix(struct error *err, const char *fmt, ...) ATTR_PRINTF(2, 3);

#endif
