/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct starts of ELF images with PVH's description of the machine
 * (xen/include/public/arch-x86/hvm/start_info.h, version 1):
 *
 *   PVH        32-bit protected mode at the note's entry point, ebx → start info
 *   plain ELF  at e_entry with a small stack; 32-bit files in 32-bit protected
 *              mode, 64-bit files in long mode with the first 4 GiB mapped one to
 *              one; ebx and rdi → start info, for those who care
 */
#include "base/bytes.h"
#include "boot/boot-internal.h"

#define START_MAGIC    0x336ec578U
#define START_SIZE     56
#define MODULE_SIZE    32
#define MAP_ENTRY_SIZE 24
#define STACK_SIZE     KIB(16)

static int put_modules(struct boot_load *load, uint8_t *start)
{
    uint64_t gpa[BOOT_MAX_MODULES], list, cmdline;
    uint8_t entry[MODULE_SIZE] = {0};
    unsigned count = load->boot->module_count;
    int r;

    if (!count)
        return 0;
    r = boot_put_modules(load, MIB(1), MEM_LOW_MAX, gpa);
    r = r < 0
            ? r
            : boot_place(load, count * MODULE_SIZE, 8, 0x1000, MEM_LOW_MAX, false, "the module list", &list);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        r = boot_put_string(load, load->boot->modules[i].cmdline, &cmdline);
        if (r < 0)
            return r;
        store_le64(entry, gpa[i]);
        store_le64(entry + 8, load->boot->modules[i].image.size);
        store_le64(entry + 16, cmdline);
        boot_put(load, list + i * MODULE_SIZE, entry, MODULE_SIZE);
    }
    if (r == 0) {
        store_le32(start + 12, count);
        store_le64(start + 16, list);
    }
    return r;
}

static int put_memory_map(struct boot_load *load, uint8_t *start)
{
    uint8_t table[BOOT_MAX_MAP * MAP_ENTRY_SIZE] = {0};
    uint64_t size = load->map_count * MAP_ENTRY_SIZE, gpa;
    int r = boot_place(load, size, 8, 0x1000, MEM_LOW_MAX, false, "the memory map", &gpa);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < load->map_count; i++) {
        uint8_t *e = table + i * MAP_ENTRY_SIZE;

        store_le64(e, load->map[i].gpa);
        store_le64(e + 8, load->map[i].size);
        store_le32(e + 16, load->map[i].type);
    }
    boot_put(load, gpa, table, size);
    store_le64(start + 40, gpa);
    store_le32(start + 48, load->map_count);
    return 0;
}

static int put_start_info(struct boot_load *load, uint64_t *gpa)
{
    uint8_t start[START_SIZE] = {0};
    uint64_t cmdline;
    int r = boot_put_string(load, load->boot->append, &cmdline);

    r = r < 0 ? r : put_modules(load, start);
    r = r < 0 ? r : put_memory_map(load, start);
    r = r < 0 ? r : boot_place(load, START_SIZE, 16, 0x1000, MEM_LOW_MAX, false, "the start info", gpa);
    if (r < 0)
        return r;
    store_le32(start, START_MAGIC);
    store_le32(start + 4, 1); /* version */
    store_le64(start + 24, cmdline);
    store_le64(start + 32, load->boot->rsdp);
    boot_put(load, *gpa, start, sizeof(start));
    return 0;
}

static int load_image(struct boot_load *load, struct elf_file *elf, uint64_t *start)
{
    int r = elf_parse(&load->boot->kernel, elf, load->err);

    r = r < 0 ? r : elf_load(load, elf);
    return r < 0 ? r : put_start_info(load, start);
}

int pvh_load(struct boot_load *load)
{
    struct elf_file *elf = boot_alloc(load->boot, sizeof(*elf));
    uint32_t entry = 0;
    uint64_t start;
    int r = elf ? load_image(load, elf, &start) : error_set(load->err, ENOMEM, "out of memory");

    if (r == 0 && elf_pvh_entry(load->boot, elf, &entry) < 0)
        r = error_set(load->err, EINVAL, "%s: has no PVH entry point", load->boot->kernel.name);
    if (r == 0)
        load->entry = (struct boot_entry){.rip = entry, .rbx = start};
    boot_free(load->boot, elf);
    return r;
}

int plain_elf_load(struct boot_load *load)
{
    struct elf_file *elf = boot_alloc(load->boot, sizeof(*elf));
    uint64_t start, stack;
    int r = elf ? load_image(load, elf, &start) : error_set(load->err, ENOMEM, "out of memory");

    r = r < 0 ? r : boot_place(load, STACK_SIZE, 16, 0x1000, MEM_LOW_MAX, false, "a stack", &stack);
    if (r == 0) {
        boot_put_zero(load, stack, STACK_SIZE);
        load->entry = (struct boot_entry){
            .long_mode = elf->is64,
            .rip = elf_entry_physical(elf),
            .rbx = start,
            .rdi = start,
            .rsp = stack + STACK_SIZE - 8, /* as after a call */
        };
    }
    boot_free(load->boot, elf);
    return r;
}
