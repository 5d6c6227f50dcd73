/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values with parts: a first word, then comma-separated settings. A comma inside
 * of a value is written twice.
 */
#ifndef CONFIG_PARTS_H
#define CONFIG_PARTS_H

#include "config/option.h"

#define PARTS_MAX 64

/* A value, cut at its single commas; the texts are the pool's. */
struct parts {
    char *part[PARTS_MAX];
    unsigned count;
};

int parts_split(struct parts *parts, const struct option *option, const char *value,
                const struct option_source *source, struct error *err);

/* One `key=value` or `key` that an option takes after its first word. */
struct part_desc {
    const char *name;
    bool wants_value;
    int (*set)(void *object, const char *value, const struct option_source *source, struct error *err);
};

/* All parts but the first. */
int parts_apply(struct parts *parts, const struct option *option, const struct part_desc *desc, size_t count,
                void *object, const struct option_source *source, struct error *err);

/* A disk's serial number: at most 20 characters. */
int part_serial(const char **slot, const char *value, const struct option_source *source, struct error *err);

#endif
