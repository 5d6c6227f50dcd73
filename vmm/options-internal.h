/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMM_OPTIONS_INTERNAL_H
#define VMM_OPTIONS_INTERNAL_H

#include "vmm/options.h"

extern const struct option_table run_option_table;

/* ---- options-device.c: rows of the table ---- */
int parse_disk(void *object, const struct option *option, const char *value,
               const struct option_source *source, struct error *err);
int parse_net(void *object, const struct option *option, const char *value,
              const struct option_source *source, struct error *err);
int parse_console(void *object, const struct option *option, const char *value,
                  const struct option_source *source, struct error *err);
int parse_trace(void *object, const struct option *option, const char *value,
                const struct option_source *source, struct error *err);

#endif
