/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A comparator fires when the counter reaches it, in its width (32 or 64 bits); a
 * value that lies behind waits for the wrap, as in hardware.
 *
 * Deliberately not modelled: FSB (MSI) delivery, which the capabilities do not offer.
 */
#include "dev/timer/hpet.h"

#include "dev/regions.h"
#include "dev/timer/pit.h"
#include "dev/timer/rtc.h"

#define TICK_NS      10U
#define PERIOD_FS    (TICK_NS * 1000000ULL)
#define CAPABILITIES (HPET_ID | PERIOD_FS << 32)

enum hpet_register { REG_CAPABILITIES = 0x00, REG_CONFIG = 0x10, REG_STATUS = 0x20, REG_COUNTER = 0xf0 };
#define REG_TIMERS         0x100U /* 0x20 each: configuration, comparator, FSB route */

#define CONFIG_ENABLE      BIT(0)
#define CONFIG_LEGACY      BIT(1)

#define TIMER_LEVEL        BIT(1)
#define TIMER_ENABLE       BIT(2)
#define TIMER_PERIODIC     BIT(3)
#define TIMER_PERIODIC_CAP BIT(4)
#define TIMER_64BIT_CAP    BIT(5)
#define TIMER_SET_VALUE    BIT(6)
#define TIMER_32BIT        BIT(8)
#define TIMER_ROUTE_SHIFT  9
#define TIMER_ROUTE        (31U << TIMER_ROUTE_SHIFT)
#define TIMER_ROUTE_CAP    0x00ff0104ULL /* GSIs 2, 8, 16 to 23 */
#define TIMER_CAPS         (TIMER_ROUTE_CAP << 32 | TIMER_PERIODIC_CAP | TIMER_64BIT_CAP)
#define TIMER_WRITABLE                                                                                       \
    (TIMER_LEVEL | TIMER_ENABLE | TIMER_PERIODIC | TIMER_SET_VALUE | TIMER_32BIT | TIMER_ROUTE)

struct hpet_timer {
    struct hpet *hpet;
    struct timer timer;
    struct irq_line irq;
    uint64_t config; /* the writable bits */
    uint64_t comparator;
    uint64_t period;
    uint64_t from; /* the counter when this wait began, or at the last match */
    bool wrap;     /* it has fired, and does again when the counter comes around */
};

struct hpet {
    struct device dev;
    struct io_region region;
    struct pit *pit;
    struct rtc *rtc;
    uint64_t config;
    uint64_t status; /* level-triggered interrupts that are up */
    uint64_t base;   /* the counter at `start`, or while it stands still */
    uint64_t start;  /* VM clock */
    struct hpet_timer timer[HPET_TIMERS];
};

static const struct state_field timer_fields[] = {
    STATE_INT(struct hpet_timer, config),        STATE_INT(struct hpet_timer, comparator),
    STATE_INT(struct hpet_timer, period),        STATE_BOOL(struct hpet_timer, wrap),
    STATE_INT_SINCE(2, struct hpet_timer, from), STATE_INT(struct hpet_timer, irq.gsi),
    STATE_BOOL(struct hpet_timer, irq.level),    STATE_END,
};

static const struct state_field hpet_fields[] = {
    STATE_INT(struct hpet, config),
    STATE_INT(struct hpet, status),
    STATE_INT(struct hpet, base),
    STATE_INT(struct hpet, start),
    STATE_STRUCT(struct hpet, timer, struct hpet_timer, timer_fields),
    STATE_END,
};

static bool running(const struct hpet *hpet)
{
    return hpet->config & CONFIG_ENABLE;
}

static uint64_t counter_at(const struct hpet *hpet, uint64_t now)
{
    return running(hpet) ? hpet->base + (now - hpet->start) / TICK_NS : hpet->base;
}

static uint64_t counter(const struct hpet *hpet)
{
    return counter_at(hpet, clock_now(hpet->dev.vm));
}

static uint64_t width_mask(const struct hpet_timer *t)
{
    return t->config & TIMER_32BIT ? 0xffffffff : ~0ULL;
}

/* ---- interrupts ---- */

static unsigned gsi_of(const struct hpet_timer *t)
{
    unsigned n = (unsigned)(t - t->hpet->timer);

    if (t->hpet->config & CONFIG_LEGACY && n < 2)
        return n ? 8 : 0;
    return (t->config & TIMER_ROUTE) >> TIMER_ROUTE_SHIFT;
}

static void drive(struct hpet_timer *t, bool level)
{
    unsigned gsi = gsi_of(t);

    if (t->irq.gsi != gsi)
        irq_set(&t->irq, false);
    if (gsi >= IRQ_GSI_COUNT)
        return;
    t->irq.gsi = (uint8_t)gsi;
    irq_set(&t->irq, level);
}

static void update_line(struct hpet_timer *t)
{
    unsigned n = (unsigned)(t - t->hpet->timer);

    drive(t, t->config & TIMER_ENABLE && t->config & TIMER_LEVEL && t->hpet->status & BIT(n));
}

static void interrupt(struct hpet_timer *t)
{
    unsigned n = (unsigned)(t - t->hpet->timer);

    if (t->config & TIMER_LEVEL) {
        t->hpet->status |= BIT(n);
        update_line(t);
    } else if (t->config & TIMER_ENABLE) {
        drive(t, true);
        drive(t, false);
    }
}

/* ---- comparators ---- */

/* Ticks from t->from to the match. */
static uint64_t wait_of(const struct hpet_timer *t)
{
    uint64_t ticks = (t->comparator - t->from) & width_mask(t);

    if (!t->wrap || ticks)
        return ticks;
    return t->config & TIMER_32BIT ? 1ULL << 32 : CLOCK_NEVER;
}

/* However late it is by now, a match since t->from is not missed. */
static void arm(struct hpet_timer *t)
{
    const uint64_t centuries = (CLOCK_NEVER >> 2) / TICK_NS;
    struct hpet *hpet = t->hpet;
    uint64_t before = t->from - hpet->base;
    uint64_t wait = wait_of(t);
    uint64_t at;

    timer_disarm(&t->timer);
    if (!running(hpet) || !(t->config & TIMER_ENABLE) || wait > centuries || before > centuries)
        return;
    at = deadline_after(hpet->start, (before + wait) * TICK_NS);
    if (t->config & TIMER_PERIODIC)
        at = MAX(at, deadline_after(clock_now(hpet->dev.vm), TIMER_PERIOD_MIN));
    timer_arm(&t->timer, at);
}

static void wait_from(struct hpet_timer *t, uint64_t from)
{
    t->from = from;
    arm(t);
}

/* All of them from the counter's base on, which has just been set. */
static void wait_from_base(struct hpet *hpet)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        wait_from(&hpet->timer[i], hpet->base);
}

/* Periods that went by while the host slept are one interrupt. */
static void next_period(struct hpet_timer *t)
{
    uint64_t late = counter(t->hpet) - t->from;

    late -= late % t->period;
    t->from += late;
    t->comparator = (t->comparator + late + t->period) & width_mask(t);
}

static void fired(void *opaque)
{
    struct hpet_timer *t = opaque;

    t->from += wait_of(t);
    if (t->config & TIMER_PERIODIC && t->period)
        next_period(t);
    else
        t->wrap = true;
    interrupt(t);
    arm(t);
}

/* ---- registers ---- */

/* The half or whole of a 64-bit register that an access of `size` at `shift` writes. */
static uint64_t merge(uint64_t old, uint64_t value, unsigned shift, unsigned size)
{
    uint64_t mask = (size == 8 ? ~0ULL : 0xffffffffULL) << shift;

    return (old & ~mask) | (value << shift & mask);
}

static void config_write(struct hpet *hpet, uint64_t value)
{
    uint64_t now = clock_now(hpet->dev.vm);

    value &= CONFIG_ENABLE | CONFIG_LEGACY;
    hpet->base = counter_at(hpet, now);
    hpet->start = now;
    if ((hpet->config ^ value) & CONFIG_LEGACY) {
        pit_mute(hpet->pit, value & CONFIG_LEGACY);
        rtc_mute(hpet->rtc, value & CONFIG_LEGACY);
    }
    hpet->config = value;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        update_line(&hpet->timer[i]);
    wait_from_base(hpet);
}

static void counter_write(struct hpet *hpet, uint64_t value)
{
    hpet->base = value;
    hpet->start = clock_now(hpet->dev.vm);
    wait_from_base(hpet);
}

static void status_write(struct hpet *hpet, uint64_t value)
{
    hpet->status &= ~value;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        update_line(&hpet->timer[i]);
}

static void timer_config_write(struct hpet_timer *t, uint64_t value)
{
    t->config = value & TIMER_WRITABLE;
    t->wrap = false;
    if (t->config & TIMER_32BIT) {
        t->comparator &= 0xffffffff;
        t->period &= 0xffffffff;
    }
    update_line(t);
    wait_from(t, counter(t->hpet));
}

static void comparator_write(struct hpet_timer *t, uint64_t value, unsigned shift, unsigned size)
{
    bool periodic = t->config & TIMER_PERIODIC;

    if (!periodic || t->config & TIMER_SET_VALUE)
        t->comparator = merge(t->comparator, value, shift, size) & width_mask(t);
    t->period = periodic ? merge(t->period, value, shift, size) & width_mask(t) : 0;
    t->config &= ~(uint64_t)TIMER_SET_VALUE;
    t->wrap = false;
    wait_from(t, counter(t->hpet));
}

static uint64_t register_read(const struct hpet *hpet, unsigned reg)
{
    const struct hpet_timer *t = &hpet->timer[(reg - REG_TIMERS) / 0x20 % HPET_TIMERS];

    switch (reg) {
    case REG_CAPABILITIES:
        return CAPABILITIES;
    case REG_CONFIG:
        return hpet->config;
    case REG_STATUS:
        return hpet->status;
    case REG_COUNTER:
        return counter(hpet);
    }
    if (reg < REG_TIMERS || reg >= REG_TIMERS + HPET_TIMERS * 0x20)
        return 0;
    switch (reg & 0x1f) {
    case 0:
        return t->config | TIMER_CAPS;
    case 8:
        return t->comparator;
    }
    return 0;
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    return register_read(opaque, (unsigned)offset & ~7U) >> (offset & 4) * 8;
}

static void hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct hpet *hpet = opaque;
    unsigned reg = (unsigned)offset & ~7U;
    unsigned shift = (unsigned)(offset & 4) * 8;
    struct hpet_timer *t = &hpet->timer[(reg - REG_TIMERS) / 0x20 % HPET_TIMERS];

    if (offset & (size - 1))
        return;
    switch (reg) {
    case REG_CONFIG:
        config_write(hpet, merge(hpet->config, value, shift, size));
        return;
    case REG_STATUS:
        status_write(hpet, value << shift);
        return;
    case REG_COUNTER:
        counter_write(hpet, merge(counter(hpet), value, shift, size));
        return;
    }
    if (reg < REG_TIMERS || reg >= REG_TIMERS + HPET_TIMERS * 0x20)
        return;
    if ((reg & 0x1f) == 0)
        timer_config_write(t, merge(t->config, value, shift, size));
    else if ((reg & 0x1f) == 8)
        comparator_write(t, value, shift, size);
}

static const struct io_ops hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .min_size = 4,
    .max_size = 8,
};

/* ---- the device ---- */

static void hpet_reset(struct device *dev)
{
    struct hpet *hpet = device_object(dev);

    hpet->config = hpet->status = 0;
    hpet->base = hpet->start = 0;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &hpet->timer[i];

        timer_disarm(&t->timer);
        irq_set(&t->irq, false);
        t->irq.gsi = 0;
        t->config = 0;
        t->comparator = ~0ULL;
        t->period = t->from = 0;
        t->wrap = false;
    }
}

static int hpet_post_load(void *object, unsigned version)
{
    struct hpet *hpet = object;

    if (hpet->config & ~(uint64_t)(CONFIG_ENABLE | CONFIG_LEGACY) || hpet->status >> HPET_TIMERS ||
        hpet->start > clock_now(hpet->dev.vm))
        return -EINVAL;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &hpet->timer[i];

        if (version < 2)
            t->from = counter(hpet);
        if (t->config & ~(uint64_t)TIMER_WRITABLE || t->irq.gsi >= IRQ_GSI_COUNT ||
            t->comparator & ~width_mask(t) || t->period & ~width_mask(t) ||
            t->from - hpet->base > counter(hpet) - hpet->base)
            return -EINVAL;
        arm(t);
    }
    return 0;
}

static const struct state_table hpet_state = {
    .name = "hpet",
    .version = 2,
    .fields = hpet_fields,
    .post_load = hpet_post_load,
};

static void hpet_destroy(struct device *dev)
{
    struct hpet *hpet = device_object(dev);

    for (unsigned i = 0; i < HPET_TIMERS; i++)
        timer_disarm(&hpet->timer[i].timer);
    bus_unmap(&dev->vm->mmio, &hpet->region);
    vm_free(dev->vm, hpet);
}

static const struct device_ops hpet_device = {
    .name = "hpet",
    .state = &hpet_state,
    .state_offset = offsetof(struct hpet, dev),
    .reset = hpet_reset,
    .destroy = hpet_destroy,
};

int hpet_create(struct vm *vm, struct pit *pit, struct rtc *rtc, struct hpet **out)
{
    struct hpet *hpet = vm_alloc(vm, sizeof(*hpet));
    int r;

    if (!hpet)
        return -ENOMEM;
    hpet->pit = pit;
    hpet->rtc = rtc;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        hpet->timer[i].hpet = hpet;
        timer_init(&hpet->timer[i].timer, vm, "hpet", fired, &hpet->timer[i]);
        irq_line_init(&hpet->timer[i].irq, vm, 0);
    }
    r = device_add(&hpet->dev, vm, &hpet_device, "hpet");
    if (r) {
        vm_free(vm, hpet);
        return r;
    }
    r = region_map(&vm->mmio, &hpet->region, "hpet", HPET_BASE, HPET_SIZE, &hpet_ops, hpet);
    if (r)
        return r;
    hpet_reset(&hpet->dev);
    *out = hpet;
    return 0;
}
