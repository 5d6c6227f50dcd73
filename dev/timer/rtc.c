/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time registers are made from the clock when read, and set the clock's offset
 * when written; while SET is on they stand still. Flags for which nobody wants an
 * interrupt are found out when register C is read; a timer runs only for enabled
 * interrupts.
 *
 * Deliberately not modelled: the divider chain's reset, daylight saving, the
 * square wave; the alarm flag without its interrupt enabled.
 */
#include "dev/timer/rtc.h"

#include "base/bytes.h"
#include "dev/regions.h"

enum rtc_register {
    RTC_SECONDS = 0,
    RTC_SECONDS_ALARM = 1,
    RTC_MINUTES = 2,
    RTC_MINUTES_ALARM = 3,
    RTC_HOURS = 4,
    RTC_HOURS_ALARM = 5,
    RTC_WEEKDAY = 6,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11,
    RTC_C = 12,
    RTC_D = 13,
};

#define A_UIP     BIT(7)
#define A_RATE    15U
#define B_SET     BIT(7)
#define B_PIE     BIT(6)
#define B_AIE     BIT(5)
#define B_UIE     BIT(4)
#define B_BINARY  BIT(2)
#define B_24H     BIT(1)
#define C_IRQF    BIT(7)
#define C_ENABLES (B_PIE | B_AIE | B_UIE) /* the same bits as the flags in C */
#define D_VALID   BIT(7)

#define NS_PER_S  1000000000ULL
#define UIP_NS    244000U
#define DAY       86400

struct rtc {
    struct device dev;
    struct io_region region;
    struct irq_line irq;
    struct timer update_timer, periodic_timer;
    uint8_t cmos[256]; /* time and alarm registers 0..9 as of the last refresh, A, B; C is flags */
    uint8_t index[2];  /* of the two banks */
    uint8_t flags;     /* C without IRQF */
    bool muted;
    int64_t offset; /* seconds */
    uint64_t seen;  /* VM clock when C was last looked through */
};

static const struct state_field rtc_fields[] = {
    STATE_BYTES(struct rtc, cmos),     STATE_BYTES(struct rtc, index),
    STATE_INT(struct rtc, flags),      STATE_BOOL(struct rtc, muted),
    STATE_INT(struct rtc, offset),     STATE_INT(struct rtc, seen),
    STATE_BOOL(struct rtc, irq.level), STATE_END,
};

struct date {
    int64_t year;
    unsigned month, day, hour, minute, second, weekday; /* weekday: 1 is Sunday */
};

/* ---- the calendar ---- */

/* Days since 1970-01-01 of the proleptic Gregorian calendar, years counted from March. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static struct date date_of(int64_t seconds)
{
    int64_t days = (seconds >= 0 ? seconds : seconds - DAY + 1) / DAY;
    unsigned rest = (unsigned)(seconds - days * DAY);
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t in_era = z - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (unsigned)((5 * in_year + 2) / 153); /* 0 is March */

    return (struct date){
        .year = year + era * 400 + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = (unsigned)(in_year - (153 * (int64_t)month + 2) / 5 + 1),
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (unsigned)(((days + 4) % 7 + 7) % 7 + 1),
    };
}

/* ---- time and registers ---- */

static uint64_t wall_ns(const struct rtc *rtc)
{
    return rtc->dev.vm->clock.rtc_base + clock_now(rtc->dev.vm);
}

static int64_t seconds_now(const struct rtc *rtc)
{
    return (int64_t)(wall_ns(rtc) / NS_PER_S) + rtc->offset;
}

static uint8_t encode(const struct rtc *rtc, unsigned v)
{
    return (uint8_t)(rtc->cmos[RTC_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *rtc, uint8_t v)
{
    return rtc->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10U + (v & 15U);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->cmos[RTC_B] & B_24H)
        return encode(rtc, hour);
    return (uint8_t)(encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t v)
{
    if (rtc->cmos[RTC_B] & B_24H)
        return decode(rtc, v);
    return decode(rtc, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static bool frozen(const struct rtc *rtc)
{
    return rtc->cmos[RTC_B] & B_SET;
}

/* Clock to registers. */
static void refresh(struct rtc *rtc)
{
    struct date d;

    if (frozen(rtc))
        return;
    d = date_of(seconds_now(rtc));
    rtc->cmos[RTC_SECONDS] = encode(rtc, d.second);
    rtc->cmos[RTC_MINUTES] = encode(rtc, d.minute);
    rtc->cmos[RTC_HOURS] = encode_hour(rtc, d.hour);
    rtc->cmos[RTC_WEEKDAY] = encode(rtc, d.weekday);
    rtc->cmos[RTC_DAY] = encode(rtc, d.day);
    rtc->cmos[RTC_MONTH] = encode(rtc, d.month);
    rtc->cmos[RTC_YEAR] = encode(rtc, (unsigned)(d.year % 100));
    rtc->cmos[RTC_CENTURY] = encode(rtc, (unsigned)(d.year / 100 % 100));
}

/* Registers to clock; what is no date is taken as the nearest one. */
static void commit(struct rtc *rtc)
{
    unsigned year = decode(rtc, rtc->cmos[RTC_CENTURY]) % 100 * 100 + decode(rtc, rtc->cmos[RTC_YEAR]) % 100;
    unsigned month = decode(rtc, rtc->cmos[RTC_MONTH]);
    unsigned day = decode(rtc, rtc->cmos[RTC_DAY]);
    int64_t days = days_of(year, MIN(MAX(month, 1U), 12U), MIN(MAX(day, 1U), 31U));
    int64_t seconds = days * DAY + (int64_t)(decode_hour(rtc, rtc->cmos[RTC_HOURS]) % 24 * 3600) +
                      decode(rtc, rtc->cmos[RTC_MINUTES]) % 60 * 60 +
                      decode(rtc, rtc->cmos[RTC_SECONDS]) % 60;

    rtc->offset = seconds - (int64_t)(wall_ns(rtc) / NS_PER_S);
}

static bool alarm_field(const struct rtc *rtc, unsigned reg)
{
    return rtc->cmos[reg] >= 0xc0 || rtc->cmos[reg] == rtc->cmos[reg - 1];
}

static bool alarm_matches(const struct rtc *rtc)
{
    return alarm_field(rtc, RTC_SECONDS_ALARM) && alarm_field(rtc, RTC_MINUTES_ALARM) &&
           alarm_field(rtc, RTC_HOURS_ALARM);
}

/* ---- interrupts ---- */

/* 0: no periodic interrupt. */
static uint64_t periodic_ns(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[RTC_A] & A_RATE;

    if (!rate)
        return 0;
    return mul_div(1U << ((rate <= 2 ? rate + 7 : rate) - 1), (uint32_t)NS_PER_S, 32768);
}

/* Raises the flags of what has happened since the last look. */
static void look(struct rtc *rtc)
{
    uint64_t now = clock_now(rtc->dev.vm);
    uint64_t base = rtc->dev.vm->clock.rtc_base;
    uint64_t period = periodic_ns(rtc);

    if (period && now / period != rtc->seen / period)
        rtc->flags |= B_PIE;
    if (!frozen(rtc) && (base + now) / NS_PER_S != (base + rtc->seen) / NS_PER_S) {
        rtc->flags |= B_UIE;
        refresh(rtc);
        if (rtc->cmos[RTC_B] & B_AIE && alarm_matches(rtc))
            rtc->flags |= B_AIE;
    }
    rtc->seen = now;
}

static void update_irq(struct rtc *rtc)
{
    irq_set(&rtc->irq, rtc->flags & rtc->cmos[RTC_B] & C_ENABLES && !rtc->muted);
}

static void arm(struct rtc *rtc)
{
    uint64_t now = clock_now(rtc->dev.vm);
    uint64_t period = periodic_ns(rtc);
    uint8_t wanted = rtc->cmos[RTC_B] & (uint8_t)~rtc->flags;

    timer_disarm(&rtc->update_timer);
    timer_disarm(&rtc->periodic_timer);
    if (rtc->cmos[RTC_B] & (B_UIE | B_AIE) && !frozen(rtc))
        timer_arm(&rtc->update_timer, now + NS_PER_S - wall_ns(rtc) % NS_PER_S);
    if (wanted & B_PIE && period) /* an interrupt that was not read yet holds the next one back */
        timer_arm(&rtc->periodic_timer, (now / period + 1) * period);
}

static void fired(void *opaque)
{
    struct rtc *rtc = opaque;

    look(rtc);
    update_irq(rtc);
    arm(rtc);
}

/* ---- ports ---- */

static uint8_t c_read(struct rtc *rtc)
{
    uint8_t v;

    look(rtc);
    v = rtc->flags;
    if (v & rtc->cmos[RTC_B] & C_ENABLES)
        v |= C_IRQF;
    rtc->flags = 0;
    update_irq(rtc);
    arm(rtc);
    return v;
}

static uint8_t cmos_read(struct rtc *rtc, uint8_t index)
{
    switch (index) {
    case RTC_A:
        return (uint8_t)(rtc->cmos[RTC_A] |
                         (!frozen(rtc) && wall_ns(rtc) % NS_PER_S >= NS_PER_S - UIP_NS ? A_UIP : 0));
    case RTC_C:
        return c_read(rtc);
    case RTC_D:
        return D_VALID;
    case RTC_SECONDS ... RTC_YEAR:
    case RTC_CENTURY:
        refresh(rtc);
        break;
    }
    return rtc->cmos[index];
}

static void b_write(struct rtc *rtc, uint8_t value)
{
    bool was_frozen = frozen(rtc);

    refresh(rtc);
    rtc->cmos[RTC_B] = value;
    if (value & B_SET)
        rtc->cmos[RTC_B] &= (uint8_t)~B_UIE;
    else if (was_frozen)
        commit(rtc);
}

static void cmos_write(struct rtc *rtc, uint8_t index, uint8_t value)
{
    look(rtc);
    switch (index) {
    case RTC_SECONDS_ALARM:
    case RTC_MINUTES_ALARM:
    case RTC_HOURS_ALARM:
        rtc->cmos[index] = value;
        break;
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_WEEKDAY ... RTC_YEAR:
    case RTC_CENTURY:
        refresh(rtc);
        rtc->cmos[index] = value;
        if (!frozen(rtc))
            commit(rtc);
        break;
    case RTC_A:
        rtc->cmos[RTC_A] = value & 0x7f;
        break;
    case RTC_B:
        b_write(rtc, value);
        break;
    case RTC_C:
    case RTC_D:
        break;
    default:
        rtc->cmos[index] = value;
        return;
    }
    update_irq(rtc);
    arm(rtc);
}

/* Even ports select, odd ones read and write; bit 7 of port 0x70 is the NMI mask, which nothing here asks
 * for. */
static uint64_t rtc_read(void *opaque, uint64_t offset, unsigned size)
{
    struct rtc *rtc = opaque;
    unsigned bank = (unsigned)offset >> 1;

    return offset & 1 ? cmos_read(rtc, rtc->index[bank]) : rtc->index[bank];
}

static void rtc_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct rtc *rtc = opaque;
    unsigned bank = (unsigned)offset >> 1;

    if (offset & 1)
        cmos_write(rtc, rtc->index[bank], (uint8_t)value);
    else
        rtc->index[bank] = (uint8_t)((value & 0x7f) | bank << 7);
}

static const struct io_ops rtc_ops = {.read = rtc_read, .write = rtc_write, .max_size = 1};

/* ---- the device ---- */

/* Memory sizes where PC firmware and old systems look for them. */
static void fill_cmos(struct rtc *rtc)
{
    struct vm *vm = rtc->dev.vm;
    uint64_t low = vm->mem.ram_low, high = vm->mem.ram_size - low;
    uint64_t above_1m = low > MIB(1) ? MIN((low - MIB(1)) / 1024, 0xffffU) : 0;
    uint64_t above_16m = low > MIB(16) ? MIN((low - MIB(16)) >> 16, 0xffffU) : 0;
    unsigned sum = 0;

    rtc->cmos[RTC_A] = 0x26; /* 32.768 kHz, 1024 Hz */
    rtc->cmos[RTC_B] = B_24H;
    rtc->cmos[0x14] = 0x02; /* equipment: a coprocessor */
    store_le16(rtc->cmos + 0x15, 640);
    store_le16(rtc->cmos + 0x17, (uint16_t)above_1m);
    store_le16(rtc->cmos + 0x30, (uint16_t)above_1m);
    store_le16(rtc->cmos + 0x34, (uint16_t)above_16m);
    store_le16(rtc->cmos + 0x5b, (uint16_t)(high >> 16));
    rtc->cmos[0x5d] = (uint8_t)(high >> 32);
    rtc->cmos[0x5f] = (uint8_t)(vm->vcpu_count - 1);
    for (unsigned i = 0x10; i < 0x2e; i++)
        sum += rtc->cmos[i];
    rtc->cmos[0x2e] = (uint8_t)(sum >> 8);
    rtc->cmos[0x2f] = (uint8_t)sum;
}

static void rtc_reset(struct device *dev)
{
    struct rtc *rtc = device_object(dev);

    rtc->cmos[RTC_B] &= (uint8_t)~C_ENABLES;
    rtc->index[0] = 0;
    rtc->index[1] = 0x80;
    rtc->flags = 0;
    rtc->muted = false;
    rtc->seen = clock_now(dev->vm);
    irq_set(&rtc->irq, false);
    arm(rtc);
}

static int rtc_post_load(void *object, unsigned version)
{
    struct rtc *rtc = object;
    int64_t century = 100LL * 366 * DAY;

    if (rtc->seen > clock_now(rtc->dev.vm) || rtc->offset > 200 * century || rtc->offset < -200 * century ||
        rtc->index[0] > 0x7f || rtc->index[1] < 0x80 || rtc->flags & ~C_ENABLES)
        return -EINVAL;
    rtc->cmos[RTC_A] &= 0x7f;
    arm(rtc);
    return 0;
}

static const struct state_table rtc_state = {
    .name = "mc146818",
    .version = 1,
    .fields = rtc_fields,
    .post_load = rtc_post_load,
};

static void rtc_destroy(struct device *dev)
{
    struct rtc *rtc = device_object(dev);

    timer_disarm(&rtc->update_timer);
    timer_disarm(&rtc->periodic_timer);
    bus_unmap(&dev->vm->pio, &rtc->region);
    vm_free(dev->vm, rtc);
}

static const struct device_ops rtc_device = {
    .name = "mc146818",
    .state = &rtc_state,
    .state_offset = offsetof(struct rtc, dev),
    .reset = rtc_reset,
    .destroy = rtc_destroy,
};

void rtc_mute(struct rtc *rtc, bool mute)
{
    rtc->muted = mute;
    update_irq(rtc);
}

int rtc_create(struct vm *vm, struct rtc **out)
{
    struct rtc *rtc = vm_alloc(vm, sizeof(*rtc));
    int r;

    if (!rtc)
        return -ENOMEM;
    timer_init(&rtc->update_timer, vm, "rtc-update", fired, rtc);
    timer_init(&rtc->periodic_timer, vm, "rtc-periodic", fired, rtc);
    irq_line_init(&rtc->irq, vm, 8);
    r = device_add(&rtc->dev, vm, &rtc_device, "rtc");
    if (r) {
        vm_free(vm, rtc);
        return r;
    }
    r = region_map(&vm->pio, &rtc->region, "rtc", 0x70, 4, &rtc_ops, rtc);
    if (r)
        return r;
    fill_cmos(rtc);
    rtc_reset(&rtc->dev);
    *out = rtc;
    return 0;
}
