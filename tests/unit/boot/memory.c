/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/boot/memory.h"

int boot_open_memory(struct boot **out, struct plat *plat, enum boot_protocol protocol, const void *kernel,
                     size_t len, const void *module, size_t module_len, const char *append, struct error *err)
{
    const struct boot_source image = boot_source_memory("kernel", kernel, len);
    const struct boot_source extra = boot_source_memory("module", module, module_len);
    struct boot *boot = NULL;
    int r = boot_open(&boot, plat, protocol, &image, append, err);

    if (r == 0 && module)
        r = boot_add_module(boot, &extra, NULL, err);
    if (r < 0) {
        boot_close(boot);
        return r;
    }
    *out = boot;
    return 0;
}
