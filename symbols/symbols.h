/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of addresses: from a System.map, a copy of /proc/kallsyms, or an ELF file
 * with a symbol table. The file is foreign: what does not fit is left out.
 */
#ifndef SYMBOLS_SYMBOLS_H
#define SYMBOLS_SYMBOLS_H

#include "base/error.h"

struct symbol {
    uint64_t address;
    uint64_t size; /* bytes; 0: not known */
    char *name;
};

/* Zeroed, it knows nothing. */
struct symbols {
    struct symbol *list; /* by address */
    size_t count, room;
};

/* Adds the file's, a bias added to their addresses. An error too if it has none. */
int symbols_load(struct symbols *symbols, const char *path, uint64_t bias, struct error *err);
/* The same of a file's content. How many were found, or -ENOMEM. */
long symbols_parse(struct symbols *symbols, const void *data, size_t size, uint64_t bias);
void symbols_finish(struct symbols *symbols);
/* The last one at or before the address, if that lies within its size, or within 1 MiB where that is not
 * known; NULL: none. */
const struct symbol *symbols_find(const struct symbols *symbols, uint64_t address);

#endif
