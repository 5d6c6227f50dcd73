/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a guest without firmware: Linux (bzImage), multiboot 1 and 2, PVH, and
 * plain ELF images.
 *
 * A `struct boot` is a recipe: the images, as sources of bytes, and how to put them
 * into RAM. It is carried out at power-on and again at each reset, reading the
 * sources anew, so that no second copy of them is kept. What they hold is hostile:
 * a loader writes to the guest's RAM only, and says in one line what is wrong with
 * which image. Called with the VM lock held, vCPUs parked.
 */
#ifndef BOOT_H
#define BOOT_H

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

struct boot_source;

struct boot_source_ops {
    /* All of the len bytes, which lie inside of the size; an error names the source. */
    int (*read)(const struct boot_source *source, uint64_t offset, void *buf, uint64_t len,
                struct error *err);
    void (*close)(struct boot_source *source); /* NULL: nothing is to be closed */
};

/* Where an image's bytes come from: a file of the host, a module that a boot loader left in memory. */
struct boot_source {
    const char *name; /* in errors */
    uint64_t size;
    const struct boot_source_ops *ops;
    union {
        const void *data;
        int fd;
    };
};

/* Bytes that stay where they are until the recipe is closed. */
struct boot_source boot_source_memory(const char *name, const void *data, uint64_t size);

struct boot;

/*
 * Recognises the kernel. append is its command line, NULL: empty. The recipe owns the source from here on,
 * and closes it if this fails, too. Texts are copied. Memory comes from the plat, whose other parts are not
 * used.
 */
int boot_open(struct boot **boot, struct plat *plat, enum boot_protocol protocol,
              const struct boot_source *kernel, const char *append, struct error *err);
/* One more initrd or module, under the same terms. cmdline NULL: its name. */
int boot_add_module(struct boot *boot, const struct boot_source *module, const char *cmdline,
                    struct error *err);
/* NULL is harmless. */
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
