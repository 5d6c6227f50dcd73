/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a guest without firmware: Linux (bzImage), multiboot 1 and 2, PVH, and
 * plain ELF images.
 *
 * A `struct boot` is a recipe: the files, open, and how to put them into RAM. It
 * is carried out at power-on and again at each reset, reading the files anew, so
 * that no second copy of them is kept. What the files hold is hostile: a loader
 * writes to the guest's RAM only, and says in one line what is wrong with which
 * file. Called with the VM lock held, vCPUs parked.
 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include "core/vm.h"

enum boot_protocol {
    BOOT_AUTO,
    BOOT_LINUX,
    BOOT_MULTIBOOT1,
    BOOT_MULTIBOOT2,
    BOOT_PVH,
    BOOT_ELF,
    BOOT_PROTOCOL_COUNT,
};

#define BOOT_MAX_MODULES  64
#define BOOT_MAX_RESERVED 8

/* Types of memory as E820, multiboot and PVH number them. */
enum boot_memory_type { BOOT_MEM_RAM = 1, BOOT_MEM_RESERVED = 2, BOOT_MEM_ACPI = 3 };

struct boot_range {
    uint64_t gpa, size;
    uint32_t type; /* enum boot_memory_type */
};

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

struct boot;

/* Opens and recognises the files. The strings are copied. */
int boot_open(struct boot **boot, const struct boot_config *config, struct error *err);
/* The same from bytes in memory that outlive the recipe: for tests and fuzzing. */
int boot_open_memory(struct boot **boot, enum boot_protocol protocol, const void *kernel, size_t len,
                     const void *module, size_t module_len, const char *append, struct error *err);
void boot_close(struct boot *boot);

const char *boot_protocol_name(enum boot_protocol protocol);
/* What was recognised. */
enum boot_protocol boot_protocol(const struct boot *boot);

/* A piece of RAM that already holds something (ACPI tables): kept free, and told to the guest. */
int boot_reserve(struct boot *boot, uint64_t gpa, uint64_t size, enum boot_memory_type type);
/* Where the ACPI root pointer lies; 0: there is none. */
void boot_set_rsdp(struct boot *boot, uint64_t gpa);

/* RAM is not all zeroes any more, although boot_load() has not been called: a state was loaded. */
void boot_ram_used(struct boot *boot);

/* Puts everything into RAM and every vCPU into the state that the protocol promises. */
int boot_load(struct boot *boot, struct vm *vm, struct error *err);

#endif
