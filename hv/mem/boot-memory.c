/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the firmware's map to the page allocator: what is free, without the first MiB
 * (real mode's, and the other processors begin there), our image, the modules, and the
 * allocator's own bytes. First what the loader's tables map, so that our own can be made.
 */
#include "base/bytes.h"
#include "hv/boot/boot-info.h"
#include "hv/mem/map.h"
#include "hv/mem/page.h"
#include "hv/panic.h"
#include "hv/start.h"

#define LOADER_MAPS GIB(4)

static struct {
    uint64_t base, size;
} taken[BOOT_MAX_MODULES + 3];
static unsigned taken_count;

uint64_t memory_fixed;

static void take(uint64_t base, uint64_t size)
{
    uint64_t from = ALIGN_DOWN(base, PAGE_SIZE);

    taken[taken_count].base = from;
    taken[taken_count++].size = ALIGN_UP(base + size, PAGE_SIZE) - from;
}

/* Calls fn with what is left of [from, to), until it says false. */
static bool for_left(uint64_t from, uint64_t to, bool (*fn)(uint64_t from, uint64_t to, void *arg), void *arg)
{
    while (from < to) {
        uint64_t end = to, skip = 0;

        for (unsigned i = 0; i < taken_count; i++) {
            uint64_t base = taken[i].base, behind = base + taken[i].size;

            if (base <= from && behind > from)
                skip = behind;
            else if (base > from)
                end = MIN(end, base);
        }
        if (skip) {
            from = skip;
            continue;
        }
        if (!fn(from, end, arg))
            return false;
        from = end;
    }
    return true;
}

static void for_free(uint64_t low, uint64_t high, bool (*fn)(uint64_t from, uint64_t to, void *arg),
                     void *arg)
{
    const struct boot_info *b = &boot_info;

    for (unsigned i = 0; i < b->range_count; i++) {
        const struct boot_area *r = &b->ranges[i];

        if (r->kind == BOOT_FREE && r->size &&
            !for_left(MAX(r->base, low), MIN(r->base + r->size, high), fn, arg))
            return;
    }
}

struct search {
    uint64_t size, found;
};

static bool fits(uint64_t from, uint64_t to, void *arg)
{
    struct search *s = arg;

    if (to - from < s->size)
        return true;
    s->found = from;
    return false;
}

static bool add(uint64_t from, uint64_t to, void *arg)
{
    page_add(from, to - from);
    return true;
}

void memory_init(void)
{
    const struct boot_info *b = &boot_info;
    struct search map = {.found = PAGE_NONE};
    uint64_t high = 0;

    take(0, MIB(1));
    take(b->image_phys, b->image_size);
    for (unsigned i = 0; i < b->module_count; i++)
        take(b->modules[i].phys, b->modules[i].size);
    for (unsigned i = 0; i < b->range_count; i++) {
        if (b->ranges[i].kind == BOOT_FREE && b->ranges[i].size)
            high = MAX(high, b->ranges[i].base + b->ranges[i].size);
    }
    if (high <= MIB(1))
        panic("the loader names no free memory (%u ranges)", b->range_count);
    map.size = (high - MIB(1)) / PAGE_SIZE;
    for_free(MIB(1), LOADER_MAPS, fits, &map);
    if (map.found == PAGE_NONE)
        panic("no room below 4 GiB for %llu KiB that describe %llu MiB of memory",
              (unsigned long long)map.size >> 10, (unsigned long long)high >> 20);
    take(map.found, map.size);
    memory_fixed = b->image_size + map.size;
    page_init(MIB(1), high, phys_to_virt(map.found));
    for_free(MIB(1), LOADER_MAPS, add, NULL);
    map_init();
    for_free(LOADER_MAPS, ~0ULL, add, NULL);
}
