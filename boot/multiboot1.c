/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot 0.6.96: a header in the first 8 KiB; the image is ELF, 32- or 64-bit,
 * or loaded by the header's own addresses (the "a.out kludge"). Entered in 32-bit
 * protected mode with eax the magic and ebx → the information structure.
 *
 * Graphics modes are not offered: a kernel that asks for one gets none, and finds
 * that out from the information's flags.
 */
#include "base/bytes.h"
#include "boot/boot-internal.h"

#define SEARCH       8192U
#define HEADER_MAGIC 0x1badb002U
#define LOADER_MAGIC 0x2badb002U

enum { WANT_ALIGN = BIT(0), WANT_MEMORY = BIT(1), WANT_VIDEO = BIT(2), HAS_ADDRESSES = BIT(16) };
enum {
    INFO_MEMORY = BIT(0),
    INFO_CMDLINE = BIT(2),
    INFO_MODULES = BIT(3),
    INFO_ELF = BIT(5),
    INFO_MAP = BIT(6),
    INFO_NAME = BIT(9),
    INFO_SIZE = 120,
    MODULE_SIZE = 16,
    MAP_ENTRY_SIZE = 24,
};

/* The header's offset in head, or -1. */
static long find_header(const uint8_t *head, size_t len)
{
    len = MIN(len, SEARCH);
    for (size_t at = 0; at + 12 <= len; at += 4) {
        const uint8_t *h = head + at;

        if (load_le32(h) == HEADER_MAGIC && load_le32(h) + load_le32(h + 4) + load_le32(h + 8) == 0)
            return (long)at;
    }
    return -1;
}

bool multiboot1_probe(const uint8_t *head, size_t len)
{
    return find_header(head, len) >= 0;
}

/* The header's own addresses: one piece of the file at load_addr, and bss after it. */
static int load_by_addresses(struct boot_load *load, const uint8_t *h, uint64_t header_at)
{
    const struct boot_addresses addresses = {
        .header_at = header_at,
        .header = load_le32(h + 12),
        .load = load_le32(h + 16),
        .load_end = load_le32(h + 20),
        .bss_end = load_le32(h + 24),
    };
    int r = boot_put_addressed(load, &addresses);

    if (r < 0)
        return r;
    load->entry.rip = load_le32(h + 28);
    return 0;
}

static int load_elf(struct boot_load *load, uint8_t *info)
{
    struct elf_file *elf = boot_alloc(load->boot, sizeof(*elf));
    uint8_t *table = NULL;
    uint64_t gpa, size;
    int r =
        elf ? elf_parse(&load->boot->kernel, elf, load->err) : error_set(load->err, ENOMEM, "out of memory");

    r = r < 0 ? r : elf_load(load, elf);
    r = r < 0 ? r : elf_load_sections(load, elf, &table);
    if (r == 0 && table) {
        size = (uint64_t)elf->shnum * elf->shentsize;
        r = boot_place(load, size, 16, 0x1000, MEM_LOW_MAX, false, "the section headers", &gpa);
        if (r == 0) {
            boot_put(load, gpa, table, size);
            store_le32(info, load_le32(info) | INFO_ELF);
            store_le32(info + 28, elf->shnum);
            store_le32(info + 32, elf->shentsize);
            store_le32(info + 36, (uint32_t)gpa);
            store_le32(info + 40, elf->shstrndx);
        }
    }
    if (r == 0)
        load->entry.rip = elf_entry_physical(elf);
    boot_free(load->boot, table);
    boot_free(load->boot, elf);
    return r;
}

static int put_modules(struct boot_load *load, uint8_t *info)
{
    uint64_t gpa[BOOT_MAX_MODULES], list, text;
    unsigned count = load->boot->module_count;
    int r = boot_put_modules(load, MIB(1), MEM_LOW_MAX, gpa);

    r = r < 0 ? r
              : boot_place(load, MAX(count, 1U) * MODULE_SIZE, 16, 0x1000, MEM_LOW_MAX, false,
                           "the module list", &list);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        uint8_t entry[MODULE_SIZE] = {0};

        r = boot_put_string(load, load->boot->modules[i].cmdline, &text);
        if (r < 0)
            return r;
        store_le32(entry, (uint32_t)gpa[i]);
        store_le32(entry + 4, (uint32_t)(gpa[i] + load->boot->modules[i].image.size));
        store_le32(entry + 8, (uint32_t)text);
        boot_put(load, list + i * MODULE_SIZE, entry, sizeof(entry));
    }
    if (r < 0)
        return r;
    store_le32(info, load_le32(info) | INFO_MODULES);
    store_le32(info + 20, count);
    store_le32(info + 24, count ? (uint32_t)list : 0);
    return 0;
}

static int put_memory(struct boot_load *load, uint8_t *info)
{
    uint8_t table[BOOT_MAX_MAP * MAP_ENTRY_SIZE] = {0};
    uint64_t size = load->map_count * MAP_ENTRY_SIZE, gpa;
    int r = boot_place(load, size, 16, 0x1000, MEM_LOW_MAX, false, "the memory map", &gpa);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < load->map_count; i++) {
        uint8_t *e = table + i * MAP_ENTRY_SIZE;

        store_le32(e, MAP_ENTRY_SIZE - 4); /* the size field does not count itself */
        store_le64(e + 4, load->map[i].gpa);
        store_le64(e + 12, load->map[i].size);
        store_le32(e + 20, load->map[i].type);
    }
    boot_put(load, gpa, table, size);
    store_le32(info, load_le32(info) | INFO_MEMORY | INFO_MAP);
    store_le32(info + 4, 639);
    store_le32(info + 8, (uint32_t)((load->vm->mem.ram_low - MIB(1)) / 1024));
    store_le32(info + 44, (uint32_t)size);
    store_le32(info + 48, (uint32_t)gpa);
    return 0;
}

static int put_texts(struct boot_load *load, uint8_t *info)
{
    uint64_t cmdline, name;
    int r = boot_put_string(load, load->boot->append, &cmdline);

    r = r < 0 ? r : boot_put_string(load, BOOT_LOADER_NAME, &name);
    if (r < 0)
        return r;
    store_le32(info, load_le32(info) | INFO_CMDLINE | INFO_NAME);
    store_le32(info + 16, (uint32_t)cmdline);
    store_le32(info + 64, (uint32_t)name);
    return 0;
}

/* Finds the header and refuses what we cannot give. */
static int read_header(struct boot_load *load, uint8_t header[32], uint64_t *header_at)
{
    const struct boot_source *image = &load->boot->kernel;
    size_t len = MIN(image->size, SEARCH);
    uint8_t *head = boot_alloc(load->boot, SEARCH);
    int r = head ? boot_source_read(image, 0, head, len, load->err)
                 : error_set(load->err, ENOMEM, "out of memory");
    long at = r == 0 ? find_header(head, len) : -1;

    memset(header, 0, 32);
    if (at >= 0)
        memcpy(header, head + at, MIN(32U, len - (size_t)at));
    boot_free(load->boot, head);
    if (r < 0)
        return r;
    if (at < 0)
        return error_set(load->err, EINVAL, "%s: has no multiboot header any more", image->name);
    if (load_le32(header + 4) & 0xffff & ~(unsigned)(WANT_ALIGN | WANT_MEMORY | WANT_VIDEO))
        return error_set(load->err, ENOTSUP,
                         "%s: its multiboot header requires features (flags 0x%x) that do not exist",
                         image->name, load_le32(header + 4));
    *header_at = (uint64_t)at;
    return 0;
}

int multiboot1_load(struct boot_load *load)
{
    uint8_t info[INFO_SIZE] = {0}, header[32];
    uint64_t header_at = 0, gpa;
    int r = read_header(load, header, &header_at);

    if (r < 0)
        return r;
    if (load_le32(header + 4) & HAS_ADDRESSES)
        r = load_by_addresses(load, header, header_at);
    else
        r = load_elf(load, info);
    r = r < 0 ? r : put_modules(load, info);
    r = r < 0 ? r : put_memory(load, info);
    r = r < 0 ? r : put_texts(load, info);
    r = r < 0 ? r : boot_place(load, INFO_SIZE, 16, 0x1000, MEM_LOW_MAX, false, "the boot information", &gpa);
    if (r < 0)
        return r;
    boot_put(load, gpa, info, sizeof(info));
    load->entry.rax = LOADER_MAGIC;
    load->entry.rbx = gpa;
    return 0;
}
