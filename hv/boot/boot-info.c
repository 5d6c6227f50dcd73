/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot 1 (0.6.96) and multiboot 2 (2.0) information structures. The loader is
 * trusted, but a wrong length in what it says ends the reading, not the machine.
 */
#include "hv/boot/boot-info.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "hv/mem/page.h"

#define MB1_MAGIC 0x2badb002U
#define MB2_MAGIC 0x36d76289U

struct boot_info boot_info;

/* ---- common ---- */

/* A copy of at most len bytes of text. */
static const char *keep_text(const char *text, size_t len)
{
    struct boot_info *b = &boot_info;
    char *copy = b->text + b->text_used;
    size_t n = 0;

    while (n < len && n < sizeof(b->text) - b->text_used - 1 && text[n]) {
        copy[n] = text[n];
        n++;
    }
    copy[n] = '\0';
    if (b->text_used + n + 1 < sizeof(b->text))
        b->text_used += (unsigned)n + 1;
    return copy;
}

static void add_range(uint64_t base, uint64_t size, uint32_t type)
{
    struct boot_info *b = &boot_info;
    unsigned at;

    if (!size || base + size < base)
        return;
    if (b->range_count == BOOT_MAX_RANGES) {
        b->dropped++;
        return;
    }
    for (at = b->range_count++; at > 0 && b->ranges[at - 1].base > base; at--)
        b->ranges[at] = b->ranges[at - 1];
    b->ranges[at] = (struct boot_area){base, size,
                                       type == 1                ? BOOT_FREE
                                       : type == 3 || type == 4 ? BOOT_ACPI
                                                                : BOOT_RESERVED};
}

static void add_module(uint64_t start, uint64_t end, const char *text)
{
    struct boot_info *b = &boot_info;

    if (end < start || b->module_count == BOOT_MAX_MODULES) {
        b->dropped++;
        return;
    }
    b->modules[b->module_count++] = (struct boot_module){start, end - start, text};
}

static bool overlaps_others(unsigned i, uint64_t base, uint64_t size, uint64_t *end)
{
    const struct boot_info *b = &boot_info;

    for (unsigned k = 0; k < b->range_count; k++) {
        const struct boot_area *r = &b->ranges[k];

        if (k == i || (r->kind == BOOT_FREE && k > i) || !ranges_overlap(base, size, r->base, r->size))
            continue;
        *end = r->base;
        return true;
    }
    return false;
}

/* Whole pages; what two ranges claim is not free. Firmware that says such things is rare: the rest of a range
 * behind an overlap is given up. */
static void trim_free_ranges(void)
{
    struct boot_info *b = &boot_info;

    for (unsigned i = 0; i < b->range_count; i++) {
        struct boot_area *r = &b->ranges[i];
        uint64_t base = ALIGN_UP(r->base, PAGE_SIZE), end = ALIGN_DOWN(r->base + r->size, PAGE_SIZE), other;

        if (r->kind != BOOT_FREE)
            continue;
        if (base < end && overlaps_others(i, base, end - base, &other))
            end = ALIGN_DOWN(other, PAGE_SIZE);
        r->size = end > base ? end - base : 0;
        r->base = base;
    }
}

/* ---- multiboot 1 ---- */

/* QEMU writes "file rest", GRUB only the rest. */
static const char *without_file(const char *text, bool with_file)
{
    const char *name = text;

    for (const char *p = text; with_file && *p; p++) {
        if (*p == ' ')
            return p + 1;
        if (*p == '/')
            name = p + 1;
    }
    return name;
}

static const char *low_text(uint32_t address)
{
    return address ? keep_text(phys_to_virt(address), BOOT_TEXT) : "";
}

static void read_mb1(const uint8_t *info)
{
    struct boot_info *b = &boot_info;
    uint32_t flags = load_le32(info);
    bool qemu;

    b->loader = flags & BIT(9) ? low_text(load_le32(info + 64)) : "";
    qemu = !memcmp(b->loader, "qemu", sizeof("qemu"));
    b->command_line = flags & BIT(2) ? low_text(load_le32(info + 16)) : "";
    if (qemu) {
        while (*b->command_line && *b->command_line != ' ')
            b->command_line++;
    }
    if (flags & BIT(3)) {
        const uint8_t *m = phys_to_virt(load_le32(info + 24));

        for (uint32_t n = load_le32(info + 20); n; n--, m += 16)
            add_module(load_le32(m), load_le32(m + 4), without_file(low_text(load_le32(m + 8)), qemu));
    }
    if (flags & BIT(6)) {
        uint32_t length = load_le32(info + 44), at = 0;
        const uint8_t *map = phys_to_virt(load_le32(info + 48));

        while (range_inside(at, 24, length)) {
            uint32_t size = load_le32(map + at);

            if (size < 20)
                break;
            add_range(load_le64(map + at + 4), load_le64(map + at + 12), load_le32(map + at + 20));
            at += size + 4;
        }
    }
    b->screen = (struct boot_screen){BOOT_SCREEN_TEXT, 0xb8000, 160, 80, 25, 16};
}

/* ---- multiboot 2 ---- */

static void read_mb2_map(const uint8_t *tag, uint32_t size)
{
    uint32_t entry = size >= 16 ? load_le32(tag + 8) : 0;

    if (entry < 24)
        return;
    for (uint32_t at = 16; range_inside(at, entry, size); at += entry)
        add_range(load_le64(tag + at), load_le64(tag + at + 8), load_le32(tag + at + 16));
}

static void read_mb2_screen(const uint8_t *tag)
{
    struct boot_screen *s = &boot_info.screen;

    s->phys = load_le64(tag + 8);
    s->pitch = load_le32(tag + 16);
    s->width = load_le32(tag + 20);
    s->height = load_le32(tag + 24);
    s->bpp = tag[28];
    s->kind = tag[29] == 2                                     ? BOOT_SCREEN_TEXT
              : tag[29] == 1 && (s->bpp == 32 || s->bpp == 24) ? BOOT_SCREEN_RGB
                                                               : BOOT_SCREEN_NONE;
}

static void read_mb2_tag(const uint8_t *tag, uint32_t type, uint32_t size)
{
    struct boot_info *b = &boot_info;
    const char *text = (const char *)tag;

    switch (type) {
    case 1:
        b->command_line = keep_text(text + 8, size - 8);
        break;
    case 2:
        b->loader = keep_text(text + 8, size - 8);
        break;
    case 3:
        if (size >= 16)
            add_module(load_le32(tag + 8), load_le32(tag + 12), keep_text(text + 16, size - 16));
        break;
    case 6:
        read_mb2_map(tag, size);
        break;
    case 8:
        if (size >= 30)
            read_mb2_screen(tag);
        break;
    case 14: /* the old RSDP, unless the new one was there */
        if (size >= 8 + 20 && !b->rsdp[0])
            memcpy(b->rsdp, tag + 8, 20);
        break;
    case 15:
        if (size >= 8 + 36)
            memcpy(b->rsdp, tag + 8, 36);
        break;
    default:
        break;
    }
}

static void read_mb2(const uint8_t *info)
{
    uint32_t total = load_le32(info), at = 8;

    while (range_inside(at, 8, total)) {
        uint32_t type = load_le32(info + at), size = load_le32(info + at + 4);

        if (type == 0 || size < 8 || !range_inside(at, size, total))
            break;
        read_mb2_tag(info + at, type, size);
        at += ALIGN_UP(size, 8U);
    }
}

bool boot_info_read(uint32_t magic, uint64_t info)
{
    struct boot_info *b = &boot_info;

    b->command_line = b->loader = "";
    if (magic == MB2_MAGIC)
        read_mb2(phys_to_virt(info));
    else if (magic == MB1_MAGIC)
        read_mb1(phys_to_virt(info));
    else
        return false;
    trim_free_ranges();
    return true;
}

/* ---- the command line ---- */

const char *boot_option(const char *name, char *buf, size_t size)
{
    const char *p = boot_info.command_line ? boot_info.command_line : "";
    size_t n = 0;

    for (;;) {
        const char *wanted = name;

        while (*p == ' ')
            p++;
        if (!*p)
            return NULL;
        for (; *wanted && *p == *wanted; p++)
            wanted++;
        if (!*wanted && (!*p || *p == ' ' || *p == '='))
            break;
        while (*p && *p != ' ')
            p++;
    }
    for (p += *p == '='; *p && *p != ' ' && n + 1 < size; p++)
        buf[n++] = *p;
    buf[n] = '\0';
    return buf;
}

bool boot_option_is(const char *name, const char *value)
{
    char buf[32];
    const char *got = boot_option(name, buf, sizeof(buf));

    if (!got)
        return false;
    while (*got && *got == *value) {
        got++;
        value++;
    }
    return *got == *value;
}
