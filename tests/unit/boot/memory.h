/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A recipe from bytes in memory, for unit tests and fuzzing. */
#ifndef TESTS_UNIT_BOOT_MEMORY_H
#define TESTS_UNIT_BOOT_MEMORY_H

#include "boot/boot.h"

/* module NULL: none. */
int boot_open_memory(struct boot **boot, struct plat *plat, enum boot_protocol protocol, const void *kernel,
                     size_t len, const void *module, size_t module_len, const char *append,
                     struct error *err);

#endif
