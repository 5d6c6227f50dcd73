/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formatted text without a C library. Understands %d %i %u %x %X %c %s %p %%,
 * with h/l/ll/z/j, the flags 0 and -, a width, and a precision for %s.
 */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include "base/base.h"

/*
 * Writes at most size bytes, NUL included; size 0 writes nothing. Returns the
 * length that the whole text has, as snprintf does.
 */
size_t fmt_print(char *buf, size_t size, const char *fmt, ...) ATTR_PRINTF(3, 4);
size_t fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap);

#endif
