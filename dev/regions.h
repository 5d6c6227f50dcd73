/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shorthand for device models: a region filled and mapped in one call. */
#ifndef DEV_REGIONS_H
#define DEV_REGIONS_H

#include "core/device.h"

/* The chipset's own registers win over BARs that a guest moves onto them. */
#define REGION_CHIPSET 1

static inline int region_map(struct bus *bus, struct io_region *region, const char *name, uint64_t base,
                             uint64_t size, const struct io_ops *ops, void *opaque)
{
    *region = (struct io_region){
        .name = name, .base = base, .size = size, .ops = ops, .opaque = opaque, .priority = REGION_CHIPSET};
    return bus_map(bus, region);
}

/* deadline + span, at most "never" - 1. */
static inline uint64_t deadline_after(uint64_t from, uint64_t span)
{
    uint64_t at;

    return __builtin_add_overflow(from, span, &at) || at == CLOCK_NEVER ? CLOCK_NEVER - 1 : at;
}

/* The shortest period that a guest may make the host's timer fire with. */
#define TIMER_PERIOD_MIN 10000ULL

/* value * num / den with a 96-bit product; the quotient is cut to 64 bits. den is not 0. */
static inline uint64_t mul_div(uint64_t value, uint32_t num, uint32_t den)
{
    uint64_t low = (value & 0xffffffff) * num;
    uint64_t high = (value >> 32) * num + (low >> 32);

    return ((high / den) << 32) | (((high % den) << 32 | (low & 0xffffffff)) / den);
}

#endif
