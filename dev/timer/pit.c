/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A counter is not counted down: its value follows from the time since it was
 * loaded. Counter 0's output is brought to the interrupt line at its rising edges;
 * in the periodic modes the line falls right before it rises, since nothing but
 * edges matters at input 0.
 *
 * Deliberately not modelled: a new count in modes 2 and 3 waiting for the end of
 * the running period; reinjection of ticks that the host slept through.
 */
#include "dev/timer/pit.h"

#include "dev/regions.h"

#define NS_PER_S       1000000000U
#define REFRESH_NS     15085U /* half the period of the refresh toggle */

#define ACCESS_LATCH   0U
#define ACCESS_WORD    3U

#define PORT61_GATE2   BIT(0)
#define PORT61_SPEAKER BIT(1)
#define PORT61_REFRESH BIT(4)
#define PORT61_OUT2    BIT(5)

struct pit_counter {
    uint16_t reload; /* 0 is 65536 (BCD: 10000) */
    uint8_t mode;    /* 0..5 */
    uint8_t access;  /* 1: low byte, 2: high byte, 3: both */
    bool bcd;
    bool gate;
    bool loaded;    /* a count was written since the mode */
    bool triggered; /* modes 1 and 5: the gate rose since then */
    bool high_next; /* which byte of a word comes next: writes … */
    bool read_high_next;
    uint8_t low;
    uint16_t latch;
    bool latched;
    bool status_latched;
    uint8_t status;
    uint64_t start;  /* VM clock when counting began */
    uint64_t paused; /* ticks counted when the gate fell (modes 0, 4) */
};

struct pit {
    struct device dev;
    struct io_region region, port61_region;
    struct irq_line irq;
    struct timer timer;
    struct pit_counter counter[3];
    uint8_t port61;
    bool muted;
    bool irq_out; /* counter 0's output as brought to the line unless muted */
    bool done;    /* counter 0 has come to its end, and does not count from anew */
};

static const struct state_field counter_fields[] = {
    STATE_INT(struct pit_counter, reload),
    STATE_INT(struct pit_counter, mode),
    STATE_INT(struct pit_counter, access),
    STATE_BOOL(struct pit_counter, bcd),
    STATE_BOOL(struct pit_counter, gate),
    STATE_BOOL(struct pit_counter, loaded),
    STATE_BOOL(struct pit_counter, triggered),
    STATE_BOOL(struct pit_counter, high_next),
    STATE_BOOL(struct pit_counter, read_high_next),
    STATE_INT(struct pit_counter, low),
    STATE_INT(struct pit_counter, latch),
    STATE_BOOL(struct pit_counter, latched),
    STATE_BOOL(struct pit_counter, status_latched),
    STATE_INT(struct pit_counter, status),
    STATE_INT(struct pit_counter, start),
    STATE_INT(struct pit_counter, paused),
    STATE_END,
};

static const struct state_field pit_fields[] = {
    STATE_STRUCT(struct pit, counter, struct pit_counter, counter_fields),
    STATE_INT(struct pit, port61),
    STATE_BOOL(struct pit, muted),
    STATE_BOOL(struct pit, irq_out),
    STATE_BOOL(struct pit, irq.level),
    STATE_BOOL_SINCE(2, struct pit, done),
    STATE_END,
};

static uint64_t now(const struct pit *pit)
{
    return clock_now(pit->dev.vm);
}

static uint32_t from_bcd(uint16_t v)
{
    return (v >> 12) * 1000U + (v >> 8 & 15) * 100U + (v >> 4 & 15) * 10U + (v & 15);
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/* The count in ticks, 1..65536. */
static uint32_t count_of(const struct pit_counter *c)
{
    uint32_t n = c->bcd ? from_bcd(c->reload) : c->reload;

    return n ? n : c->bcd ? 10000 : 65536;
}

static bool periodic(const struct pit_counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool hardware_triggered(const struct pit_counter *c)
{
    return c->mode == 1 || c->mode == 5;
}

static bool counting(const struct pit_counter *c)
{
    return c->loaded && (hardware_triggered(c) ? c->triggered : c->gate);
}

static uint64_t ticks(const struct pit *pit, const struct pit_counter *c)
{
    return counting(c) ? mul_div(now(pit) - c->start, PIT_HZ, NS_PER_S) : c->paused;
}

static bool output(const struct pit *pit, const struct pit_counter *c)
{
    uint64_t d = ticks(pit, c);
    uint32_t n = count_of(c);

    if (!c->loaded || (hardware_triggered(c) && !c->triggered))
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1:
        return d >= n;
    case 2:
        return !c->gate || d % n != n - 1;
    case 3:
        return !c->gate || d % n < (n + 1) / 2;
    default:
        return d != n;
    }
}

/* What a read of the counting element gives. */
static uint16_t value(const struct pit *pit, const struct pit_counter *c)
{
    uint64_t d = ticks(pit, c);
    uint32_t n = count_of(c);
    uint32_t wrap = c->bcd ? 10000 : 65536;
    uint32_t v;

    if (c->mode == 3) /* counts down by two, twice a period */
        v = n - (uint32_t)(d % n * 2 % n & ~1U);
    else if (c->mode == 2)
        v = n - (uint32_t)(d % n);
    else
        v = (uint32_t)((n + wrap - d % wrap) % wrap);
    return c->bcd ? to_bcd(v % wrap) : (uint16_t)v;
}

/* ---- counter 0's interrupt ---- */

static void drive(struct pit *pit, bool level)
{
    pit->irq_out = level;
    irq_set(&pit->irq, level && !pit->muted);
}

static void arm(struct pit *pit)
{
    const struct pit_counter *c = &pit->counter[0];
    uint64_t d = ticks(pit, c);
    uint64_t n = count_of(c);
    uint64_t target = periodic(c) ? (d / n + 1) * n : n;
    uint64_t at;

    timer_disarm(&pit->timer);
    if (!counting(c) || (!periodic(c) && pit->done))
        return;
    at = deadline_after(c->start, mul_div(target, NS_PER_S, PIT_HZ) + 1);
    if (periodic(c))
        at = MAX(at, deadline_after(now(pit), TIMER_PERIOD_MIN));
    timer_arm(&pit->timer, at);
}

static void fired(void *opaque)
{
    struct pit *pit = opaque;

    pit->done = true;
    drive(pit, false);
    drive(pit, true);
    arm(pit);
}

static void counter_changed(struct pit *pit, unsigned n)
{
    if (n)
        return;
    pit->done = false;
    drive(pit, pit->counter[0].mode != 0);
    arm(pit);
}

/* ---- registers ---- */

static void load(struct pit *pit, unsigned n, uint16_t reload)
{
    struct pit_counter *c = &pit->counter[n];

    c->reload = reload;
    c->loaded = true;
    c->paused = 0;
    if (!hardware_triggered(c) || !c->triggered)
        c->start = now(pit);
    counter_changed(pit, n);
}

static void counter_write(struct pit *pit, unsigned n, uint8_t byte)
{
    struct pit_counter *c = &pit->counter[n];

    if (c->access == 1) {
        load(pit, n, byte);
    } else if (c->access == 2) {
        load(pit, n, (uint16_t)(byte << 8));
    } else if (!c->high_next) {
        c->low = byte;
        c->high_next = true;
    } else {
        c->high_next = false;
        load(pit, n, (uint16_t)(byte << 8 | c->low));
    }
}

static uint8_t counter_read(struct pit *pit, unsigned n)
{
    struct pit_counter *c = &pit->counter[n];
    uint16_t v = c->latched ? c->latch : value(pit, c);
    bool high = c->access == 2 || (c->access == ACCESS_WORD && c->read_high_next);

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->access == ACCESS_WORD)
        c->read_high_next = !c->read_high_next;
    if (c->access != ACCESS_WORD || high)
        c->latched = false;
    return (uint8_t)(high ? v >> 8 : v);
}

static void latch_count(struct pit *pit, struct pit_counter *c)
{
    if (c->latched)
        return;
    c->latch = value(pit, c);
    c->latched = true;
}

static void latch_status(struct pit *pit, struct pit_counter *c)
{
    if (c->status_latched)
        return;
    c->status = (uint8_t)(output(pit, c) << 7 | !c->loaded << 6 | c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void control_write(struct pit *pit, uint8_t byte)
{
    unsigned n = byte >> 6;
    unsigned mode = byte >> 1 & 7;
    struct pit_counter *c;

    if (n == 3) { /* read-back: a 0 bit asks for count (5) and status (4) */
        for (unsigned i = 0; i < 3; i++) {
            if (byte & BIT(i + 1) && !(byte & BIT(5)))
                latch_count(pit, &pit->counter[i]);
            if (byte & BIT(i + 1) && !(byte & BIT(4)))
                latch_status(pit, &pit->counter[i]);
        }
        return;
    }
    c = &pit->counter[n];
    if ((byte >> 4 & 3) == ACCESS_LATCH) {
        latch_count(pit, c);
        return;
    }
    c->access = byte >> 4 & 3;
    c->mode = (uint8_t)(mode > 5 ? mode & 3 : mode);
    c->bcd = byte & 1;
    c->loaded = c->triggered = c->high_next = c->read_high_next = false;
    c->latched = c->status_latched = false;
    c->paused = 0;
    counter_changed(pit, n);
}

static uint64_t pit_read(void *opaque, uint64_t offset, unsigned size)
{
    return offset < 3 ? counter_read(opaque, (unsigned)offset) : 0xff;
}

static void pit_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    if (offset < 3)
        counter_write(opaque, (unsigned)offset, (uint8_t)v);
    else
        control_write(opaque, (uint8_t)v);
}

/* The gate of counter 2; the others' are tied high. */
static void gate_set(struct pit *pit, bool gate)
{
    struct pit_counter *c = &pit->counter[2];
    uint64_t done;

    if (gate == c->gate)
        return;
    if (!gate) {
        done = ticks(pit, c);
        c->gate = false;
        if (!hardware_triggered(c))
            c->paused = periodic(c) ? 0 : done;
        return;
    }
    c->gate = true;
    if (hardware_triggered(c)) {
        c->triggered = c->loaded;
        c->start = now(pit);
        return;
    }
    done = mul_div(c->paused, NS_PER_S, PIT_HZ);
    c->start = now(pit) > done ? now(pit) - done : 0;
}

static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct pit *pit = opaque;
    uint8_t v = pit->port61;

    if (now(pit) / REFRESH_NS & 1)
        v |= PORT61_REFRESH;
    if (output(pit, &pit->counter[2]))
        v |= PORT61_OUT2;
    return v;
}

static void port61_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    struct pit *pit = opaque;

    pit->port61 = v & 0xf;
    gate_set(pit, v & PORT61_GATE2);
}

static const struct io_ops pit_ops = {.read = pit_read, .write = pit_write, .max_size = 1};
static const struct io_ops port61_ops = {.read = port61_read, .write = port61_write, .max_size = 1};

/* ---- the device ---- */

static void pit_reset(struct device *dev)
{
    struct pit *pit = device_object(dev);

    timer_disarm(&pit->timer);
    for (unsigned i = 0; i < 3; i++)
        pit->counter[i] = (struct pit_counter){.mode = 3, .access = ACCESS_WORD, .gate = i != 2};
    pit->port61 = 0;
    pit->muted = pit->done = false;
    drive(pit, false);
}

static int pit_post_load(void *object, unsigned version)
{
    struct pit *pit = object;

    for (unsigned i = 0; i < 3; i++) {
        const struct pit_counter *c = &pit->counter[i];

        if (c->mode > 5 || !c->access || c->access > 3 || c->start > now(pit) || c->paused > BIT64(48) ||
            (i != 2 && !c->gate))
            return -EINVAL;
    }
    if (version < 2)
        pit->done = ticks(pit, &pit->counter[0]) >= count_of(&pit->counter[0]);
    if (pit->port61 > 15 || pit->counter[2].gate != (pit->port61 & PORT61_GATE2))
        return -EINVAL;
    arm(pit);
    return 0;
}

static const struct state_table pit_state = {
    .name = "i8254",
    .version = 2,
    .fields = pit_fields,
    .post_load = pit_post_load,
};

static void pit_destroy(struct device *dev)
{
    struct pit *pit = device_object(dev);

    timer_disarm(&pit->timer);
    bus_unmap(&dev->vm->pio, &pit->region);
    bus_unmap(&dev->vm->pio, &pit->port61_region);
    vm_free(dev->vm, pit);
}

static const struct device_ops pit_device = {
    .name = "i8254",
    .state = &pit_state,
    .state_offset = offsetof(struct pit, dev),
    .reset = pit_reset,
    .destroy = pit_destroy,
};

void pit_mute(struct pit *pit, bool mute)
{
    pit->muted = mute;
    drive(pit, pit->irq_out);
}

int pit_create(struct vm *vm, struct pit **out)
{
    struct pit *pit = vm_alloc(vm, sizeof(*pit));
    int r;

    if (!pit)
        return -ENOMEM;
    timer_init(&pit->timer, vm, "pit", fired, pit);
    irq_line_init(&pit->irq, vm, 0);
    r = device_add(&pit->dev, vm, &pit_device, "pit");
    if (r) {
        vm_free(vm, pit);
        return r;
    }
    r = region_map(&vm->pio, &pit->region, "pit", 0x40, 4, &pit_ops, pit);
    if (!r)
        r = region_map(&vm->pio, &pit->port61_region, "port61", 0x61, 1, &port61_ops, pit);
    if (r)
        return r;
    pit_reset(&pit->dev);
    *out = pit;
    return 0;
}
