/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/log.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "base/spin.h"
#include "hv/boot/boot-info.h"
#include "hv/console.h"
#include "hv/cpu/timer.h"

#define LOG_RING KIB(64)

static struct {
    struct spinlock lock; /* guards the rest, and the console */
    log_sink_fn *sink;
    enum log_level level;
    uint64_t end; /* of all that was ever written */
} log = {.level = LOG_INFO};

static char ring[LOG_RING]; /* guarded by log.lock */

void log_init(void)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (boot_option_is("log", names[i]))
            log.level = (enum log_level)i;
    }
}

void log_set_level(enum log_level level)
{
    spin_lock(&log.lock);
    log.level = level;
    spin_unlock(&log.lock);
}

void log_set_sink(log_sink_fn *sink)
{
    spin_lock(&log.lock);
    log.sink = sink;
    spin_unlock(&log.lock);
}

static void keep(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ring[log.end++ % LOG_RING] = text[i];
}

void hv_log(enum log_level level, const char *fmt, ...)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", ""};
    char line[640];
    uint64_t us = time_now() / 1000;
    size_t n = fmt_print(line, sizeof(line), "[%5u.%06u] %s", (unsigned)(us / 1000000),
                         (unsigned)(us % 1000000), prefix[level]);
    va_list ap;

    va_start(ap, fmt);
    n += fmt_vprint(line + n, sizeof(line) - n, fmt, ap);
    va_end(ap);
    n = MIN(n, sizeof(line) - 2);
    line[n++] = '\n';

    spin_lock(&log.lock);
    keep(line, n);
    if (level <= log.level) {
        if (log.sink)
            log.sink(line, n);
        else
            console_write(line, n);
    }
    spin_unlock(&log.lock);
}

size_t log_read(uint64_t *position, char *buf, size_t size)
{
    size_t n = 0;

    spin_lock(&log.lock);
    if (log.end - *position > LOG_RING)
        *position = log.end > LOG_RING ? log.end - LOG_RING : 0;
    while (n < size && *position < log.end)
        buf[n++] = ring[(*position)++ % LOG_RING];
    spin_unlock(&log.lock);
    return n;
}

void log_panic_write(const char *text, size_t len)
{
    keep(text, len);
    console_write(text, len);
}
