/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the loaders share: images as byte ranges, a map of the guest's memory with
 * what is taken in it, and the processor states that the protocols begin in.
 */
#ifndef BOOT_INTERNAL_H
#define BOOT_INTERNAL_H

#include "base/text.h"
#include "boot/boot.h"

struct boot_module {
    struct boot_source image;
    char *cmdline;
};

#define BOOT_MAX_MAP    32
#define BOOT_MAX_CLAIMS 320

struct boot {
    struct plat *plat;
    enum boot_protocol protocol;
    struct boot_source kernel;
    struct boot_module modules[BOOT_MAX_MODULES];
    unsigned module_count;
    char *append;
    struct boot_range reserved[BOOT_MAX_RESERVED];
    unsigned reserved_count;
    uint64_t rsdp;
    bool loaded_once; /* RAM is no longer all zeroes */
};

/* How the first processor starts. */
struct boot_entry {
    bool long_mode; /* else 32-bit protected mode, paging off */
    uint64_t rip;
    uint64_t rax, rbx, rsi, rdi, rsp;
    uint64_t cr3, gdt; /* filled in by boot_load() */
};

/* One load in progress. */
struct boot_load {
    struct boot *boot;
    struct vm *vm;
    struct error *err;
    struct boot_range map[BOOT_MAX_MAP]; /* sorted, without overlap: what the guest is told */
    unsigned map_count;
    struct boot_range claim[BOOT_MAX_CLAIMS]; /* RAM that the loader uses */
    unsigned claim_count;
    struct boot_entry entry;
};

/* Zeroed; NULL: no memory is left. */
static inline void *boot_alloc(const struct boot *boot, size_t size)
{
    return boot->plat->ops->alloc(boot->plat, size);
}

static inline void boot_free(const struct boot *boot, void *p)
{
    boot->plat->ops->free(boot->plat, p);
}

/* ---- source.c ---- */
/* Copies the name; an error if there are no bytes. The source is closed if that fails. */
int boot_source_take(const struct boot *boot, struct boot_source *own, const struct boot_source *source,
                     struct error *err);
void boot_source_close(const struct boot *boot, struct boot_source *source);
/* All of len bytes, or an error that names the source. */
int boot_source_read(const struct boot_source *source, uint64_t offset, void *buf, uint64_t len,
                     struct error *err);
char *boot_text_copy(const struct boot *boot, const char *text);

/* ---- space.c ---- */
/* The memory map from the VM's RAM, the holes of a PC, and the reserved ranges. */
int boot_map_build(struct boot_load *load);
/* Takes [gpa, gpa + size) for `what`; an error if that is not free RAM by the map. Claims may overlap. */
int boot_claim(struct boot_load *load, uint64_t gpa, uint64_t size, const char *what);
bool boot_claimed(const struct boot_load *load, uint64_t gpa, uint64_t size);
/* Finds and takes free RAM within [low, high), from the top down if `top`. align is a power of two. */
int boot_place(struct boot_load *load, uint64_t size, uint64_t align, uint64_t low, uint64_t high, bool top,
               const char *what, uint64_t *gpa);
/* Copies into claimed RAM. */
void boot_put(struct boot_load *load, uint64_t gpa, const void *buf, uint64_t len);
/* Reads a piece of an image into claimed RAM. */
int boot_put_file(struct boot_load *load, uint64_t gpa, const struct boot_source *image, uint64_t offset,
                  uint64_t len);
/* Zeroes claimed RAM; free on the first load. */
void boot_put_zero(struct boot_load *load, uint64_t gpa, uint64_t len);

/* A multiboot header's own addresses: one piece of the kernel's file at `load`, and bss after it. */
struct boot_addresses {
    uint64_t header_at; /* where the header is in the file, and in memory: */
    uint64_t header;
    uint64_t load, load_end, bss_end; /* 0: to the end of the file; no bss */
};
int boot_put_addressed(struct boot_load *load, const struct boot_addresses *a);
/* Places the modules page-aligned in [low, high) and reads them in; gpa[i] is where. */
int boot_put_modules(struct boot_load *load, uint64_t low, uint64_t high, uint64_t *gpa);
/* Places a string. */
int boot_put_string(struct boot_load *load, const char *text, uint64_t *gpa);

/* ---- cpu.c ---- */
/* Builds GDT and, for long mode, page tables of the first 4 GiB. */
int boot_cpu_prepare(struct boot_load *load);
void boot_cpu_apply(const struct boot_load *load);

/* ---- elf.c ---- */
#define ELF_MAX_SEGMENTS 128

struct elf_segment {
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

struct elf_file {
    bool is64;
    uint16_t machine;
    uint64_t entry;
    struct elf_segment load[ELF_MAX_SEGMENTS];
    unsigned load_count;
    struct elf_segment note[ELF_MAX_SEGMENTS];
    unsigned note_count;
    uint64_t shoff;
    unsigned shnum, shentsize, shstrndx;
};

bool elf_probe(const uint8_t *head, size_t len);
int elf_parse(const struct boot_source *image, struct elf_file *elf, struct error *err);
/* Claims and fills the segments at their physical addresses. */
int elf_load(struct boot_load *load, const struct elf_file *elf);
/* The physical address of the entry point. */
uint64_t elf_entry_physical(const struct elf_file *elf);
/* Finds the note that names a PVH entry point. -ENOENT: none. */
int elf_pvh_entry(const struct boot *boot, const struct elf_file *elf, uint32_t *entry);
/*
 * The section headers as a boot loader hands them on: sections that no segment
 * holds (symbols, debug information) are put into RAM and given an address.
 * *table is boot_alloc()ed and holds shnum headers of shentsize bytes; NULL: there are none.
 */
int elf_load_sections(struct boot_load *load, const struct elf_file *elf, uint8_t **table);

/* ---- one file each ---- */
/* Is it mine? head holds the file's first bytes, at most BOOT_PROBE_SIZE. */
#define BOOT_PROBE_SIZE 32768
bool linux_probe(const uint8_t *head, size_t len);
int linux_load(struct boot_load *load);
bool multiboot1_probe(const uint8_t *head, size_t len);
int multiboot1_load(struct boot_load *load);
bool multiboot2_probe(const uint8_t *head, size_t len);
int multiboot2_load(struct boot_load *load);
int pvh_load(struct boot_load *load);
int plain_elf_load(struct boot_load *load);

#define BOOT_LOADER_NAME "batuta"

#endif
