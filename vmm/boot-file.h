/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernels, initrds and modules that are files of the host, for boot/boot.h. */
#ifndef VMM_BOOT_FILE_H
#define VMM_BOOT_FILE_H

#include "boot/boot.h"

struct boot_module_config {
    const char *path;
    const char *cmdline; /* NULL: the path */
};

struct boot_config {
    enum boot_protocol protocol;
    const char *kernel;
    const char *append; /* NULL: empty */
    const struct boot_module_config *modules;
    unsigned module_count;
};

/* Opens and recognises the files; a pipe is read to its end. The texts are copied. */
int boot_open_files(struct boot **boot, struct plat *plat, const struct boot_config *config,
                    struct error *err);

#endif
