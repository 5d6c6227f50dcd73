/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's memory as a loader sees it: what exists, and what is taken. */
#include "base/bytes.h"
#include "base/checked.h"
#include "boot/boot-internal.h"

/* The PC's holes below 1 MiB: the extended BIOS data area, video memory, and where BIOSes put tables. */
#define EBDA_BASE 0x9fc00ULL
#define LOW_END   0xa0000ULL
#define BIOS_BASE 0xe0000ULL
#define HIGH_BASE 0x100000ULL

static int map_insert(struct boot_load *load, unsigned at, struct boot_range range)
{
    if (!range.size)
        return 0;
    if (load->map_count == BOOT_MAX_MAP)
        return error_set(load->err, ENOSPC, "the memory map has too many pieces");
    memmove(&load->map[at + 1], &load->map[at], (load->map_count - at) * sizeof(load->map[0]));
    load->map[at] = range;
    load->map_count++;
    return 0;
}

static int map_add(struct boot_load *load, uint64_t gpa, uint64_t size, uint32_t type)
{
    unsigned at = 0;

    while (at < load->map_count && load->map[at].gpa < gpa)
        at++;
    return map_insert(load, at, (struct boot_range){gpa, size, type});
}

/* Cuts [gpa, gpa + size) out of what is there and puts it in with its own type. */
static int map_reserve(struct boot_load *load, const struct boot_range *range)
{
    uint64_t end = range->gpa + range->size;

    for (unsigned i = 0; i < load->map_count; i++) {
        struct boot_range old = load->map[i];
        uint64_t old_end = old.gpa + old.size;

        if (!ranges_overlap(old.gpa, old.size, range->gpa, range->size))
            continue;
        memmove(&load->map[i], &load->map[i + 1], (load->map_count - i - 1) * sizeof(old));
        load->map_count--;
        if (old_end > end && map_insert(load, i, (struct boot_range){end, old_end - end, old.type}) < 0)
            return -ENOSPC;
        if (old.gpa < range->gpa &&
            map_insert(load, i, (struct boot_range){old.gpa, range->gpa - old.gpa, old.type}) < 0)
            return -ENOSPC;
        /* The pieces that stay do not overlap any more; look at the same place again. */
        i = (unsigned)-1;
    }
    return map_add(load, range->gpa, range->size, range->type);
}

int boot_map_build(struct boot_load *load)
{
    const struct memory *mem = &load->vm->mem;
    int r = 0;

    r = r < 0 ? r : map_add(load, 0, EBDA_BASE, BOOT_MEM_RAM);
    r = r < 0 ? r : map_add(load, EBDA_BASE, LOW_END - EBDA_BASE, BOOT_MEM_RESERVED);
    r = r < 0 ? r : map_add(load, BIOS_BASE, HIGH_BASE - BIOS_BASE, BOOT_MEM_RESERVED);
    r = r < 0 ? r : map_add(load, HIGH_BASE, mem->ram_low - HIGH_BASE, BOOT_MEM_RAM);
    r = r < 0 ? r : map_add(load, MEM_ECAM_BASE, MEM_ECAM_SIZE, BOOT_MEM_RESERVED);
    r = r < 0 ? r : map_add(load, MEM_HIGH_BASE, mem->ram_size - mem->ram_low, BOOT_MEM_RAM);
    for (unsigned i = 0; r == 0 && i < load->boot->reserved_count; i++)
        r = map_reserve(load, &load->boot->reserved[i]);
    return r;
}

/* The RAM piece of the map that holds all of [gpa, gpa + size). */
static const struct boot_range *map_ram(const struct boot_load *load, uint64_t gpa, uint64_t size)
{
    for (unsigned i = 0; i < load->map_count; i++) {
        const struct boot_range *m = &load->map[i];

        if (m->type == BOOT_MEM_RAM && gpa >= m->gpa && range_inside(gpa - m->gpa, size, m->size))
            return m;
    }
    return NULL;
}

int boot_claim(struct boot_load *load, uint64_t gpa, uint64_t size, const char *what)
{
    const char *path = load->boot->kernel.name;

    if (!size)
        return 0;
    if (!map_ram(load, gpa, size)) {
        uint64_t end;

        if (!add_fits(gpa, size, &end))
            return error_set(load->err, EINVAL, "%s: %s at 0x%llx is %llu bytes long and wraps around", path,
                             what, (unsigned long long)gpa, (unsigned long long)size);
        return error_set(load->err, ENOMEM,
                         "%s: %s needs memory from 0x%llx to 0x%llx, which the VM does not have%s", path,
                         what, (unsigned long long)gpa, (unsigned long long)end,
                         gpa >= HIGH_BASE && end <= MEM_LOW_MAX ? ": give it more with --memory" : "");
    }
    if (load->claim_count == BOOT_MAX_CLAIMS)
        return error_set(load->err, E2BIG, "%s: has too many pieces to load", path);
    load->claim[load->claim_count++] = (struct boot_range){gpa, size, BOOT_MEM_RAM};
    return 0;
}

/* A claim that overlaps [gpa, gpa + size), or NULL. */
static const struct boot_range *find_claim(const struct boot_load *load, uint64_t gpa, uint64_t size)
{
    for (unsigned i = 0; i < load->claim_count; i++) {
        if (ranges_overlap(load->claim[i].gpa, load->claim[i].size, gpa, size))
            return &load->claim[i];
    }
    return NULL;
}

bool boot_claimed(const struct boot_load *load, uint64_t gpa, uint64_t size)
{
    return find_claim(load, gpa, size) != NULL;
}

/* Lowest free place in [low, high); each step jumps over a claim, so it ends. */
static bool place_bottom(const struct boot_load *load, uint64_t low, uint64_t high, uint64_t size,
                         uint64_t align, uint64_t *gpa)
{
    uint64_t at = ALIGN_UP(low, align);
    const struct boot_range *claim;

    while (at >= low && at < high && size <= high - at) {
        claim = find_claim(load, at, size);
        if (!claim) {
            *gpa = at;
            return true;
        }
        at = ALIGN_UP(claim->gpa + claim->size, align);
    }
    return false;
}

static bool place_top(const struct boot_load *load, uint64_t low, uint64_t high, uint64_t size,
                      uint64_t align, uint64_t *gpa)
{
    const struct boot_range *claim;

    while (high >= low && size <= high - low) {
        uint64_t at = ALIGN_DOWN(high - size, align);

        if (at < low)
            return false;
        claim = find_claim(load, at, size);
        if (!claim) {
            *gpa = at;
            return true;
        }
        high = claim->gpa;
    }
    return false;
}

int boot_place(struct boot_load *load, uint64_t size, uint64_t align, uint64_t low, uint64_t high, bool top,
               const char *what, uint64_t *gpa)
{
    uint64_t at = 0;

    size = MAX(size, 1ULL);
    for (unsigned n = 0; n < load->map_count; n++) {
        const struct boot_range *m = &load->map[top ? load->map_count - 1 - n : n];
        uint64_t from = MAX(low, m->gpa), to = MIN(high, m->gpa + m->size);

        if (m->type != BOOT_MEM_RAM || from >= to)
            continue;
        if (!(top ? place_top : place_bottom)(load, from, to, size, align, &at))
            continue;
        if (boot_claim(load, at, size, what) < 0)
            return -E2BIG;
        *gpa = at;
        return 0;
    }
    return error_set(load->err, ENOMEM,
                     "%s: no room for %s (%llu KiB) in the VM's memory: give it more with --memory",
                     load->boot->kernel.name, what, (unsigned long long)((size + 1023) / 1024));
}

void boot_put(struct boot_load *load, uint64_t gpa, const void *buf, uint64_t len)
{
    int r = mem_write(load->vm, gpa, buf, len);

    base_assert(r == 0); /* claimed, hence RAM */
}

int boot_put_file(struct boot_load *load, uint64_t gpa, const struct boot_source *image, uint64_t offset,
                  uint64_t len)
{
    void *host;
    int r;

    if (!len)
        return 0;
    host = mem_span(load->vm, gpa, len, true);
    base_assert(host);
    r = boot_source_read(image, offset, host, len, load->err);
    mem_written(load->vm, gpa, len);
    return r;
}

void boot_put_zero(struct boot_load *load, uint64_t gpa, uint64_t len)
{
    void *host;

    /* Fresh RAM is zero, and touching it would cost memory for nothing. */
    if (!len || !load->boot->loaded_once)
        return;
    host = mem_span(load->vm, gpa, len, true);
    base_assert(host);
    memset(host, 0, len);
    mem_written(load->vm, gpa, len);
}

int boot_put_modules(struct boot_load *load, uint64_t low, uint64_t high, uint64_t *gpa)
{
    for (unsigned i = 0; i < load->boot->module_count; i++) {
        const struct boot_source *image = &load->boot->modules[i].image;
        uint64_t padded = ALIGN_UP(image->size, (uint64_t)MEM_PAGE);
        int r;

        if (padded < image->size)
            return error_set(load->err, EFBIG, "%s: is too large", image->name);
        r = boot_place(load, padded, MEM_PAGE, low, high, false, image->name, &gpa[i]);
        if (r == 0)
            r = boot_put_file(load, gpa[i], image, 0, image->size);
        if (r < 0)
            return r;
        boot_put_zero(load, gpa[i] + image->size, padded - image->size);
    }
    return 0;
}

int boot_put_string(struct boot_load *load, const char *text, uint64_t *gpa)
{
    uint64_t len = text_length(text) + 1;
    int r = boot_place(load, len, 16, 0x1000, MEM_LOW_MAX, false, "a command line", gpa);

    if (r == 0)
        boot_put(load, *gpa, text, len);
    return r;
}

int boot_put_addressed(struct boot_load *load, const struct boot_addresses *a)
{
    const struct boot_source *image = &load->boot->kernel;
    uint64_t offset, size, total;
    int r;

    if (a->header < a->load || a->header - a->load > a->header_at)
        return error_set(load->err, EINVAL,
                         "%s: is corrupt: its multiboot header's load addresses contradict its place",
                         image->name);
    offset = a->header_at - (a->header - a->load);
    size = a->load_end ? a->load_end - a->load : image->size - offset;
    if ((a->load_end && a->load_end < a->load) || (a->bss_end && a->bss_end < a->load + size))
        return error_set(load->err, EINVAL,
                         "%s: is corrupt: its multiboot header's addresses are out of order", image->name);
    if (!range_inside(offset, size, image->size))
        return error_set(load->err, EINVAL, "%s: is truncated: %llu bytes, its multiboot header wants %llu",
                         image->name, (unsigned long long)image->size, (unsigned long long)(offset + size));
    total = a->bss_end ? a->bss_end - a->load : size;
    r = boot_claim(load, a->load, total, "the kernel");
    r = r < 0 ? r : boot_put_file(load, a->load, image, offset, size);
    if (r == 0)
        boot_put_zero(load, a->load + size, total - size);
    return r;
}
