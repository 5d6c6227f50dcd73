/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the hypervisor says: into a ring of 64 KiB for the monitor, and, up to the level
 * of "log=" on the command line (error, warn, info, debug; info if not said), to the console.
 */
#ifndef HV_LOG_H
#define HV_LOG_H

#include "core/plat.h" /* enum log_level */

/* One line, no newline at its end. Any processor, in an interrupt too. */
void hv_log(enum log_level level, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Whole lines with their newlines go there instead of to hv/console.h. It is called with the log's lock held,
 * so it does not log. NULL: to the console again. */
typedef void log_sink_fn(const char *text, size_t len);
void log_set_sink(log_sink_fn *sink);

/* Copies what the ring has from *position on, which moves behind it; returns how much. Begin with 0: the
 * oldest. */
size_t log_read(uint64_t *position, char *buf, size_t size);

void log_init(void);
/* What goes to the console, instead of what the command line says. */
void log_set_level(enum log_level level);
/* In a panic: past locks and sinks, straight to the console (and the ring). */
void log_panic_write(const char *text, size_t len);

#endif
