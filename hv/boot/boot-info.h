/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the loader told us, in one form for multiboot 1 and 2. All text is copied: the
 * loader's own structures are forgotten once the page tables are ours.
 */
#ifndef HV_BOOT_BOOT_INFO_H
#define HV_BOOT_BOOT_INFO_H

#include "base/base.h"

#define BOOT_MAX_RANGES  256
#define BOOT_MAX_MODULES 64
#define BOOT_TEXT        8192

enum boot_area_kind { BOOT_FREE, BOOT_ACPI, BOOT_RESERVED };

/* Sorted by base; free ones overlap nothing. Modules and the image lie in free ones. */
struct boot_area {
    uint64_t base, size;
    enum boot_area_kind kind;
};

/* `text` is what stands behind the file's name in GRUB's module2 or QEMU's -initrd ("config", "kernel x=y"),
 * or the file's own name without folders if there is nothing. */
struct boot_module {
    uint64_t phys, size;
    const char *text;
};

enum boot_screen_kind { BOOT_SCREEN_NONE, BOOT_SCREEN_TEXT, BOOT_SCREEN_RGB };

struct boot_screen {
    enum boot_screen_kind kind;
    uint64_t phys;
    uint32_t pitch, width, height; /* pixels; characters for text */
    uint8_t bpp;
};

struct boot_info {
    struct boot_area ranges[BOOT_MAX_RANGES];
    unsigned range_count;
    struct boot_module modules[BOOT_MAX_MODULES];
    unsigned module_count;
    struct boot_screen screen;
    const char *command_line;
    const char *loader;
    uint8_t rsdp[36];    /* a copy; all zeroes: not told */
    uint64_t image_phys; /* where our image begins */
    uint64_t image_size;
    unsigned dropped; /* ranges and modules for which there was no room */
    char text[BOOT_TEXT];
    unsigned text_used;
};

extern struct boot_info boot_info;

/* From the loader's registers; all memory below 4 GiB is mapped at DIRECT_BASE. False: a loader that we do
 * not know. */
bool boot_info_read(uint32_t magic, uint64_t info);

/* The value of `name` or `name=value` on the command line, "" for the former, NULL if it is not there; in
 * `buf`, cut to its size. */
const char *boot_option(const char *name, char *buf, size_t size);
bool boot_option_is(const char *name, const char *value);

#endif
