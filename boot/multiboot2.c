/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot 2.0: a header of tags in the first 32 KiB, and information in tags.
 * ELF images of both widths, or the address tag's own addresses; entered in
 * 32-bit protected mode with eax the magic and ebx → the information. Relocatable
 * images are loaded where they are linked. There is no framebuffer and no EFI: a
 * kernel that says it cannot do without gets a clear refusal.
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "boot/boot-internal.h"

#define SEARCH       32768U
#define HEADER_MAGIC 0xe85250d6U
#define LOADER_MAGIC 0x36d76289U

enum { /* tags of the header */
       H_END,
       H_REQUEST,
       H_ADDRESS,
       H_ENTRY,
       H_CONSOLE,
       H_FRAMEBUFFER,
       H_ALIGN,
       H_EFI_SERVICES,
       H_ENTRY_EFI32,
       H_ENTRY_EFI64,
       H_RELOCATABLE,
};

enum { /* tags of the information */
       I_END = 0,
       I_CMDLINE = 1,
       I_NAME = 2,
       I_MODULE = 3,
       I_MEMORY = 4,
       I_BIOS_DEVICE = 5,
       I_MAP = 6,
       I_ELF = 9,
       I_ACPI_OLD = 14,
       I_ACPI_NEW = 15,
       I_LOAD_BASE = 21,
};

struct header {
    uint8_t *bytes; /* boot_alloc()ed; the whole header */
    uint64_t at;    /* in the file */
    uint32_t len;
    const uint8_t *address; /* tags, NULL: not there */
    const uint8_t *entry;
};

/* The information, growing. */
struct info {
    const struct boot *boot;
    uint8_t *buf;
    size_t len, room;
    bool failed;
};

static long find_header(const uint8_t *head, size_t len)
{
    len = MIN(len, SEARCH);
    for (size_t at = 0; at + 16 <= len; at += 8) {
        const uint8_t *h = head + at;

        if (load_le32(h) == HEADER_MAGIC && load_le32(h + 4) == 0 &&
            load_le32(h) + load_le32(h + 8) + load_le32(h + 12) == 0 && load_le32(h + 8) >= 16)
            return (long)at;
    }
    return -1;
}

bool multiboot2_probe(const uint8_t *head, size_t len)
{
    return find_header(head, len) >= 0;
}

static int refuse(struct boot_load *load, const char *what)
{
    return error_set(load->err, ENOTSUP,
                     "%s: its multiboot 2 header requires %s, which this machine does not have",
                     load->boot->kernel.name, what);
}

/* Can we tell what the kernel insists on? */
static bool is_known(uint32_t type)
{
    static const uint8_t known[] = {I_CMDLINE, I_NAME, I_MODULE,   I_MEMORY,   I_BIOS_DEVICE,
                                    I_MAP,     I_ELF,  I_ACPI_OLD, I_ACPI_NEW, I_LOAD_BASE};

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i] == type)
            return true;
    }
    return false;
}

static int check_request(struct boot_load *load, const uint8_t *tag, uint32_t size)
{
    for (uint32_t at = 8; at + 4 <= size; at += 4) {
        uint32_t type = load_le32(tag + at);

        if (!is_known(type))
            return error_set(
                load->err, ENOTSUP,
                "%s: its multiboot 2 header requires information of type %u, which there is none of",
                load->boot->kernel.name, type);
    }
    return 0;
}

static int check_tag(struct boot_load *load, struct header *h, const uint8_t *tag, uint32_t size)
{
    bool optional = load_le16(tag + 2) & 1;

    switch (load_le16(tag)) {
    case H_REQUEST:
        return optional ? 0 : check_request(load, tag, size);
    case H_ADDRESS:
        if (size < 24)
            break;
        h->address = tag;
        return 0;
    case H_ENTRY:
        if (size < 12)
            break;
        h->entry = tag;
        return 0;
    case H_CONSOLE:
    case H_ALIGN:
    case H_ENTRY_EFI32: /* for EFI machines, which this is not */
    case H_ENTRY_EFI64:
    case H_EFI_SERVICES:
    case H_RELOCATABLE:
        return 0;
    case H_FRAMEBUFFER: /* a wish, even without the optional bit: GRUB falls back to text too */
        return 0;
    default:
        return optional ? 0 : refuse(load, "a feature that is not in the specification 2.0");
    }
    return error_set(load->err, EINVAL, "%s: is corrupt: a tag of its multiboot 2 header is too short",
                     load->boot->kernel.name);
}

static int parse_tags(struct boot_load *load, struct header *h)
{
    uint32_t at = 16;

    while (range_inside(at, 8, h->len)) {
        const uint8_t *tag = h->bytes + at;
        uint32_t size = load_le32(tag + 4);
        int r;

        if (load_le16(tag) == H_END)
            return 0;
        if (size < 8 || !range_inside(at, size, h->len))
            break;
        r = check_tag(load, h, tag, size);
        if (r < 0)
            return r;
        at += ALIGN_UP(size, 8U);
    }
    return error_set(load->err, EINVAL, "%s: is corrupt: the tags of its multiboot 2 header do not end",
                     load->boot->kernel.name);
}

static int read_header(struct boot_load *load, struct header *h)
{
    const struct boot_source *image = &load->boot->kernel;
    size_t len = MIN(image->size, SEARCH);
    uint8_t *head = boot_alloc(load->boot, SEARCH);
    int r = head ? boot_source_read(image, 0, head, len, load->err)
                 : error_set(load->err, ENOMEM, "out of memory");
    long at = head ? find_header(head, len) : -1;

    if (r == 0 && at < 0)
        r = error_set(load->err, EINVAL, "%s: has no multiboot 2 header any more", image->name);
    if (r == 0) {
        h->at = (uint64_t)at;
        h->len = load_le32(head + at + 8);
        if (!range_inside(h->at, h->len, len))
            r = error_set(load->err, EINVAL, "%s: its multiboot 2 header is not whole in the first 32 KiB",
                          image->name);
    }
    if (r == 0) {
        memmove(head, head + at, h->len);
        h->bytes = head;
        return parse_tags(load, h);
    }
    boot_free(load->boot, head);
    return r;
}

static void *info_tag(struct info *info, uint32_t type, size_t size)
{
    size_t padded = ALIGN_UP(size, (size_t)8), need = info->len + padded;
    uint8_t *tag;

    if (need > info->room) {
        size_t room = MAX(need, info->room * 2 + 4096);
        uint8_t *buf = boot_alloc(info->boot, room);

        if (!buf) {
            info->failed = true;
            return NULL;
        }
        if (info->len)
            memcpy(buf, info->buf, info->len);
        boot_free(info->boot, info->buf);
        info->buf = buf;
        info->room = room;
    }
    tag = info->buf + info->len;
    memset(tag, 0, padded);
    store_le32(tag, type);
    store_le32(tag + 4, (uint32_t)size);
    info->len = need;
    return tag;
}

static void info_string(struct info *info, uint32_t type, const char *text)
{
    size_t len = text_length(text) + 1;
    uint8_t *tag = info_tag(info, type, 8 + len);

    if (tag)
        memcpy(tag + 8, text, len);
}

static int load_by_addresses(struct boot_load *load, const struct header *h)
{
    struct boot_addresses addresses = {
        .header_at = h->at,
        .header = load_le32(h->address + 8),
        .load = load_le32(h->address + 12),
        .load_end = load_le32(h->address + 16),
        .bss_end = load_le32(h->address + 20),
    };
    int r;

    if (addresses.load == UINT32_MAX) /* from the file's beginning */
        addresses.load = addresses.header - MIN(h->at, addresses.header);
    r = boot_put_addressed(load, &addresses);
    if (r < 0)
        return r;
    if (!h->entry)
        return error_set(load->err, EINVAL,
                         "%s: its multiboot 2 header has load addresses, but no entry address",
                         load->boot->kernel.name);
    return 0;
}

static int load_elf(struct boot_load *load, struct info *info)
{
    struct elf_file *elf = boot_alloc(load->boot, sizeof(*elf));
    uint8_t *table = NULL, *tag;
    uint64_t base = UINT64_MAX;
    int r =
        elf ? elf_parse(&load->boot->kernel, elf, load->err) : error_set(load->err, ENOMEM, "out of memory");

    r = r < 0 ? r : elf_load(load, elf);
    r = r < 0 ? r : elf_load_sections(load, elf, &table);
    if (r == 0 && table) {
        size_t size = (size_t)elf->shnum * elf->shentsize;

        tag = info_tag(info, I_ELF, 20 + size);
        if (tag) {
            store_le32(tag + 8, elf->shnum);
            store_le32(tag + 12, elf->shentsize);
            store_le32(tag + 16, elf->shstrndx);
            memcpy(tag + 20, table, size);
        }
    }
    if (r == 0) {
        load->entry.rip = elf_entry_physical(elf);
        for (unsigned i = 0; i < elf->load_count; i++)
            base = MIN(base, elf->load[i].paddr);
        tag = info_tag(info, I_LOAD_BASE, 12);
        if (tag)
            store_le32(tag + 8, (uint32_t)base);
    }
    boot_free(load->boot, table);
    boot_free(load->boot, elf);
    return r;
}

static int info_modules(struct boot_load *load, struct info *info)
{
    uint64_t gpa[BOOT_MAX_MODULES];
    int r = boot_put_modules(load, MIB(1), MEM_LOW_MAX, gpa);

    for (unsigned i = 0; r == 0 && i < load->boot->module_count; i++) {
        const struct boot_module *m = &load->boot->modules[i];
        size_t len = text_length(m->cmdline) + 1;
        uint8_t *tag = info_tag(info, I_MODULE, 16 + len);

        if (!tag)
            break;
        store_le32(tag + 8, (uint32_t)gpa[i]);
        store_le32(tag + 12, (uint32_t)(gpa[i] + m->image.size));
        memcpy(tag + 16, m->cmdline, len);
    }
    return r;
}

static void info_memory(struct boot_load *load, struct info *info)
{
    uint8_t *tag = info_tag(info, I_MEMORY, 16);

    if (!tag)
        return;
    store_le32(tag + 8, 639);
    store_le32(tag + 12, (uint32_t)((load->vm->mem.ram_low - MIB(1)) / 1024));
    tag = info_tag(info, I_MAP, 16 + (size_t)load->map_count * 24);
    if (!tag)
        return;
    store_le32(tag + 8, 24); /* of an entry */
    for (unsigned i = 0; i < load->map_count; i++) {
        uint8_t *e = tag + 16 + (size_t)i * 24;

        store_le64(e, load->map[i].gpa);
        store_le64(e + 8, load->map[i].size);
        store_le32(e + 16, load->map[i].type);
    }
}

/* A copy of the ACPI root pointer: 20 bytes of version 1, 36 of later ones. */
static void info_acpi(struct boot_load *load, struct info *info)
{
    uint8_t rsdp[36], *tag;

    if (!load->boot->rsdp || mem_read(load->vm, load->boot->rsdp, rsdp, sizeof(rsdp)) < 0)
        return;
    tag = info_tag(info, I_ACPI_OLD, 8 + 20);
    if (tag)
        memcpy(tag + 8, rsdp, 20);
    tag = rsdp[15] >= 2 ? info_tag(info, I_ACPI_NEW, 8 + 36) : NULL;
    if (tag)
        memcpy(tag + 8, rsdp, 36);
}

static int put_info(struct boot_load *load, struct info *info)
{
    uint64_t gpa;
    int r;

    info_tag(info, I_END, 8);
    if (info->failed)
        return error_set(load->err, ENOMEM, "out of memory");
    r = boot_place(load, info->len, 8, 0x1000, MEM_LOW_MAX, false, "the boot information", &gpa);
    if (r < 0)
        return r;
    store_le32(info->buf, (uint32_t)info->len);
    store_le32(info->buf + 4, 0);
    boot_put(load, gpa, info->buf, info->len);
    load->entry.rax = LOADER_MAGIC;
    load->entry.rbx = gpa;
    return 0;
}

int multiboot2_load(struct boot_load *load)
{
    struct header h = {0};
    struct info info = {.boot = load->boot};
    int r = read_header(load, &h);

    if (r == 0) {
        info_tag(&info, 0, 8); /* total size and reserved, filled in at the end */
        r = h.address ? load_by_addresses(load, &h) : load_elf(load, &info);
    }
    r = r < 0 ? r : info_modules(load, &info);
    if (r == 0) {
        info_string(&info, I_CMDLINE, load->boot->append);
        info_string(&info, I_NAME, BOOT_LOADER_NAME);
        info_memory(load, &info);
        info_acpi(load, &info);
        r = put_info(load, &info);
    }
    if (r == 0 && h.entry)
        load->entry.rip = load_le32(h.entry + 8);
    boot_free(load->boot, h.bytes);
    boot_free(load->boot, info.buf);
    return r;
}
