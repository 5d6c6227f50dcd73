/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/timer/tco.h"

#include "dev/regions.h"
#include "dev/timer/pm.h"

#define TICK_NS       (TCO_TICK_MS * 1000000ULL)

#define TCO1_CNT_LOCK BIT(12)
#define TCO1_CNT_BITS (BIT(8) | BIT(9) | TCO1_CNT_HALT | TCO1_CNT_LOCK)
#define TCO1_STS_BITS (TCO1_STS_TIMEOUT)
#define TCO2_STS_BITS (TCO2_STS_SECOND | BIT(2))
#define TCO2_CNT_BITS 0x3eU

struct tco {
    struct device dev;
    struct io_region region;
    struct timer timer;
    unsigned seconds;
    uint16_t base; /* of our own block; 0: hidden */
    uint16_t sts1, sts2, cnt1, cnt2, reload;
    uint16_t left;     /* ticks, while it stands still */
    uint64_t deadline; /* VM clock: it runs out then, while it counts */
};

static const struct state_field tco_fields[] = {
    STATE_INT(struct tco, base), STATE_INT(struct tco, sts1),     STATE_INT(struct tco, sts2),
    STATE_INT(struct tco, cnt1), STATE_INT(struct tco, cnt2),     STATE_INT(struct tco, reload),
    STATE_INT(struct tco, left), STATE_INT(struct tco, deadline), STATE_END,
};

static bool counts(const struct tco *tco)
{
    return !(tco->cnt1 & TCO1_CNT_HALT);
}

static uint16_t ticks_left(const struct tco *tco)
{
    uint64_t now = clock_now(tco->dev.vm);

    if (!counts(tco))
        return tco->left;
    return now >= tco->deadline ? 0 : (uint16_t)((tco->deadline - now + TICK_NS - 1) / TICK_NS);
}

static void count_from(struct tco *tco, uint16_t ticks)
{
    tco->left = ticks;
    tco->deadline = deadline_after(clock_now(tco->dev.vm), ticks * TICK_NS);
    if (counts(tco))
        timer_arm(&tco->timer, tco->deadline);
    else
        timer_disarm(&tco->timer);
}

static void fired(void *opaque)
{
    struct tco *tco = opaque;
    struct vm *vm = tco->dev.vm;

    if (!(tco->sts1 & TCO1_STS_TIMEOUT)) {
        tco->sts1 |= TCO1_STS_TIMEOUT;
        count_from(tco, tco->reload);
        return;
    }
    tco->sts2 |= TCO2_STS_SECOND;
    tco->cnt1 |= TCO1_CNT_HALT;
    vm_emit(vm, VM_EVENT_WATCHDOG, 0);
    vm_request_reset(vm, true);
}

static uint64_t word_read(const struct tco *tco, unsigned offset)
{
    switch (offset) {
    case TCO_RLD:
        return ticks_left(tco);
    case TCO1_STS:
        return tco->sts1;
    case TCO2_STS:
        return tco->sts2;
    case TCO1_CNT:
        return tco->cnt1;
    case TCO2_CNT:
        return tco->cnt2;
    case TCO_TMR:
        return tco->reload;
    }
    return 0;
}

/* The lock keeps HALT as it is until the next reset. */
static void control_write(struct tco *tco, uint16_t value)
{
    uint16_t left = ticks_left(tco);
    uint16_t kept = tco->cnt1 & TCO1_CNT_LOCK ? TCO1_CNT_HALT | TCO1_CNT_LOCK : 0;

    tco->cnt1 = (uint16_t)((tco->cnt1 & kept) | (value & TCO1_CNT_BITS & ~kept));
    count_from(tco, left);
}

static void word_write(struct tco *tco, unsigned offset, uint16_t value)
{
    switch (offset) {
    case TCO_RLD:
        tco->sts1 &= (uint16_t)~TCO1_STS_TIMEOUT;
        count_from(tco, tco->reload);
        break;
    case TCO1_STS:
        tco->sts1 &= (uint16_t) ~(value & TCO1_STS_BITS);
        break;
    case TCO2_STS:
        tco->sts2 &= (uint16_t) ~(value & TCO2_STS_BITS);
        break;
    case TCO1_CNT:
        control_write(tco, value);
        break;
    case TCO2_CNT:
        tco->cnt2 = value & TCO2_CNT_BITS;
        break;
    case TCO_TMR:
        tco->reload = (uint16_t)MAX(value & TCO_TICKS_MAX, TCO_TICKS_MIN);
        break;
    }
}

/* The block is one of 16-bit registers, each with an effect of its own: other sizes are put together. */
static uint64_t block_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i;

        value |= (word_read(opaque, (unsigned)at & ~1U) >> (at & 1) * 8 & 0xff) << (i * 8);
    }
    return value;
}

static void block_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct tco *tco = opaque;

    for (unsigned i = 0; i < size;) {
        unsigned at = (unsigned)offset + i, shift = (at & 1) * 8;
        unsigned n = size - i >= 2 && !shift ? 2 : 1;
        uint16_t mask = (uint16_t)(n == 2 ? 0xffff : 0xff << shift);
        uint16_t part = (uint16_t)(value >> (i * 8) << shift);
        /* Half a register: status bits of the other half are not cleared, its other bits stay. */
        uint16_t other =
            (at & ~1U) == TCO1_STS || (at & ~1U) == TCO2_STS ? 0 : (uint16_t)word_read(tco, at & ~1U);

        word_write(tco, at & ~1U, (uint16_t)((part & mask) | (other & ~mask)));
        i += n;
    }
}

static const struct io_ops tco_ops = {.read = block_read, .write = block_write, .max_size = 4};

void tco_move(struct tco *tco, uint16_t pm_base)
{
    struct vm *vm = tco->dev.vm;
    uint16_t base = pm_base ? (uint16_t)(pm_base + TCO_OFFSET) : 0;

    bus_unmap(&vm->pio, &tco->region);
    tco->base = base;
    if (!base)
        return;
    /* Inside of the power management block's own region. */
    tco->region = (struct io_region){.name = "tco",
                                     .base = base,
                                     .size = TCO_SIZE,
                                     .ops = &tco_ops,
                                     .opaque = tco,
                                     .priority = REGION_CHIPSET + 1};
    if (bus_map(&vm->pio, &tco->region))
        vm_trace(vm, PCI, "watchdog at 0x%x collides", base);
}

static void tco_reset(struct device *dev)
{
    struct tco *tco = device_object(dev);
    uint64_t ticks = (tco->seconds * 1000ULL + TCO_TICK_MS - 1) / TCO_TICK_MS / 2;

    tco->sts1 = 0;
    tco->cnt2 = 0;
    tco->reload = (uint16_t)(ticks ? MIN(MAX(ticks, TCO_TICKS_MIN), TCO_TICKS_MAX) : TCO_TICKS_MIN);
    tco->cnt1 = tco->seconds ? 0 : TCO1_CNT_HALT;
    count_from(tco, tco->reload);
}

static int tco_post_load(void *object, unsigned version)
{
    struct tco *tco = object;
    uint16_t pm_base = tco->base ? (uint16_t)(tco->base - TCO_OFFSET) : 0;

    if (pm_base & (PM_SIZE - 1) || tco->sts1 & ~TCO1_STS_BITS || tco->sts2 & ~TCO2_STS_BITS ||
        tco->cnt1 & ~TCO1_CNT_BITS || tco->cnt2 & ~TCO2_CNT_BITS || tco->reload < TCO_TICKS_MIN ||
        tco->reload > TCO_TICKS_MAX || tco->left > TCO_TICKS_MAX)
        return -EINVAL;
    tco_move(tco, pm_base);
    if (counts(tco))
        timer_arm(&tco->timer, tco->deadline);
    else
        timer_disarm(&tco->timer);
    return 0;
}

static const struct state_table tco_state = {
    .name = "tco",
    .version = 1,
    .fields = tco_fields,
    .post_load = tco_post_load,
};

static void tco_destroy(struct device *dev)
{
    struct tco *tco = device_object(dev);

    timer_disarm(&tco->timer);
    bus_unmap(&dev->vm->pio, &tco->region);
    vm_free(dev->vm, tco);
}

static const struct device_ops tco_device = {
    .name = "tco",
    .state = &tco_state,
    .state_offset = offsetof(struct tco, dev),
    .reset = tco_reset,
    .destroy = tco_destroy,
};

int tco_create(struct vm *vm, unsigned seconds, struct tco **out)
{
    struct tco *tco = vm_alloc(vm, sizeof(*tco));
    int r;

    if (!tco)
        return -ENOMEM;
    tco->seconds = seconds;
    timer_init(&tco->timer, vm, "tco", fired, tco);
    r = device_add(&tco->dev, vm, &tco_device, "tco");
    if (r) {
        vm_free(vm, tco);
        return r;
    }
    tco_move(tco, PM_BASE);
    tco_reset(&tco->dev);
    *out = tco;
    return 0;
}
