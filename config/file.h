/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of a description file: `key = value` lines, comments, sections
 * (docs/formats/vm-file.md, docs/formats/hv-file.md).
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "base/error.h"

#define CONFIG_FILE_MAX KIB(256)

struct config_reader {
    char *rest; /* NULL: the text is at its end */
    unsigned line;
};

struct config_line {
    unsigned number;
    char *section; /* the whole line [ … ]; NULL: a setting */
    char *key, *value;
};

/* The text ends with a NUL, is cut up, and holds what the lines point to. */
void config_reader_init(struct config_reader *reader, char *text);
/* 1: a line; 0: there are no more; -EINVAL: it has no form, and reading can go on. line->number is set for
 * both.
 */
int config_reader_next(struct config_reader *reader, struct config_line *line, struct error *err);

#endif
