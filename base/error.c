/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include "base/bytes.h"
#include "base/fmt.h"

int error_vset(struct error *err, int code, const char *fmt, va_list ap)
{
    if (err && !err->code) {
        err->code = code;
        fmt_vprint(err->text, sizeof(err->text), fmt, ap);
    }
    return -code;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = error_vset(err, code, fmt, ap);
    va_end(ap);
    return r;
}

void error_prefix(struct error *err, const char *fmt, ...)
{
    struct error old;
    va_list ap;
    size_t n;

    if (!err || !err->code)
        return;
    old = *err;
    va_start(ap, fmt);
    n = fmt_vprint(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n < sizeof(err->text))
        fmt_print(err->text + n, sizeof(err->text) - n, ": %s", old.text);
}
