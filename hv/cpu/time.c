/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the TSC and the local APIC's timer count: as CPUID says (leaf 15H, or
 * a hypervisor's 40000010H), or measured for 10 ms against the ACPI timer, the HPET or the 8254.
 */
#include "hv/boot/acpi.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/time-internal.h"
#include "hv/cpu/timer.h"
#include "hv/log.h"
#include "hv/mem/map.h"
#include "hv/panic.h"

#define PM_HZ  3579545U
#define PIT_HZ 1193182U
#define WINDOW 10U /* ms */

/* 32.32 fixed point. Until time_init(): as if the TSC counted 1 GHz. */
static struct {
    uint64_t base; /* the TSC at boot */
    uint64_t ns_per_tick;
    uint64_t ticks_per_ns;
    uint64_t apic_ticks_per_ns; /* of the local APIC's timer */
    uint64_t real;              /* ns since 1970 at base */
    uint32_t khz;
} tsc = {.ns_per_tick = 1ULL << 32, .ticks_per_ns = 1ULL << 32, .khz = 1000000};

static uint64_t scale(uint64_t value, uint64_t by)
{
    return (uint64_t)((unsigned __int128)value * by >> 32);
}

uint64_t time_from_tsc(uint64_t ticks)
{
    return ticks > tsc.base ? scale(ticks - tsc.base, tsc.ns_per_tick) : 0;
}

uint64_t time_to_tsc(uint64_t ns)
{
    return ns >> 62 ? TIMER_NEVER : tsc.base + scale(ns, tsc.ticks_per_ns) + 1;
}

uint32_t time_to_apic_ticks(uint64_t ns)
{
    return (uint32_t)MIN(scale(MIN(ns, 1ULL << 40), tsc.apic_ticks_per_ns) + 1, 0xffffffffULL);
}

uint64_t time_now(void)
{
    return time_from_tsc(rdtsc());
}

uint64_t time_real(void)
{
    return tsc.real + time_now();
}

uint32_t time_tsc_khz(void)
{
    return tsc.khz;
}

void time_delay(uint64_t ns)
{
    uint64_t end = time_now() + ns;

    while (time_now() < end)
        cpu_pause();
}

void time_boot(void)
{
    tsc.base = rdtsc();
}

/* ---- the rates ---- */

/* kHz, 0: CPUID does not say. */
static uint32_t tsc_from_cpuid(void)
{
    struct cpuid top = cpuid(0, 0);

    if (cpuid(1, 0).ecx & BIT(31) && cpuid(0x40000000, 0).eax >= 0x40000010 &&
        cpuid(0x40000000, 0).eax < 0x40010000 && cpuid(0x40000010, 0).eax > 10000)
        return cpuid(0x40000010, 0).eax;
    if (top.eax >= 0x15) {
        struct cpuid c = cpuid(0x15, 0);

        if (c.eax && c.ebx && c.ecx)
            return (uint32_t)((uint64_t)c.ecx * c.ebx / c.eax / 1000);
    }
    return 0;
}

/* A clock of known rate that counts up. */
struct reference {
    const char *name;
    uint32_t hz;
    uint32_t mask;
    uint32_t (*read)(void);
};

static const volatile uint8_t *hpet;

static uint32_t read_pm(void)
{
    return inl(acpi.pm_timer);
}

static uint32_t read_hpet(void)
{
    return mmio_read32(hpet + 0xf0);
}

/* Channel 2 counts down from 65535, once, with the speaker off: 55 ms. */
static uint32_t read_pit(void)
{
    uint8_t low;

    outb(0x43, 0x80);
    low = inb(0x42);
    return 0xffffU - (low | (uint32_t)inb(0x42) << 8);
}

static void choose(struct reference *r)
{
    if (acpi.pm_timer && inl(acpi.pm_timer) != 0xffffffff) {
        *r = (struct reference){"the ACPI timer", PM_HZ, acpi.pm_timer_32 ? 0xffffffff : 0xffffff, read_pm};
        return;
    }
    hpet = acpi.hpet ? map_device(acpi.hpet, 0x400) : NULL;
    if (hpet && mmio_read32(hpet + 4)) {
        mmio_write32((volatile uint8_t *)(uintptr_t)hpet + 0x10, mmio_read32(hpet + 0x10) | 1);
        *r = (struct reference){"the HPET", (uint32_t)(1000000000000000ULL / mmio_read32(hpet + 4)),
                                0xffffffff, read_hpet};
        return;
    }
    outb(0x61, (inb(0x61) & 0xfc) | 1);
    outb(0x43, 0xb0);
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    *r = (struct reference){"the 8254", PIT_HZ, 0xffff, read_pit};
}

/* Reads the reference between two reads of the TSC that lie close together: something may have come between.
 */
static uint32_t sample(const struct reference *r, uint64_t *when)
{
    uint64_t best = ~0ULL;
    uint32_t value = 0;

    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = rdtsc();
        uint32_t v = r->read();
        uint64_t after = rdtsc();

        if (after - before < best) {
            best = after - before;
            value = v;
            *when = before + best / 2;
        }
    }
    return value;
}

/* Both rates in one window. khz: of the TSC, if CPUID said it. */
static void measure(uint32_t khz)
{
    struct reference r;
    uint64_t begin, end;
    uint32_t first, last, ticks, wanted, left;

    choose(&r);
    wanted = r.hz / 1000 * (khz ? 1 : WINDOW);
    if (!apic_timer_is_tsc())
        apic_timer_set_ticks(0xffffffff);
    left = apic_timer_is_tsc() ? 0 : apic_timer_ticks_left();
    first = sample(&r, &begin);
    for (uint64_t tries = 0; ((r.read() - first) & r.mask) < wanted; tries++) {
        if (tries == 100000000)
            panic("%s does not count: the time cannot be measured", r.name);
    }
    last = sample(&r, &end);
    ticks = (last - first) & r.mask;
    if (!apic_timer_is_tsc()) {
        left -= apic_timer_ticks_left();
        apic_timer_set_ticks(0);
        tsc.apic_ticks_per_ns = ((uint64_t)left << 32) / ((uint64_t)ticks * 1000000000 / r.hz);
    }
    if (!khz)
        khz = (uint32_t)((end - begin) * r.hz / ticks / 1000);
    tsc.khz = khz;
}

/* ---- the real-time clock (MC146818) ---- */

static uint8_t rtc(uint8_t reg)
{
    outb(0x70, reg | 0x80);
    return inb(0x71);
}

static unsigned from_bcd(uint8_t v, bool binary)
{
    return binary ? v : (v >> 4) * 10U + (v & 15);
}

/* Days from 1970 to a date of the Gregorian calendar. */
static uint64_t days_until(unsigned year, unsigned month, unsigned day)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    unsigned past = year - 1; /* whole years */
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return (uint64_t)past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[(month - 1) % 12] +
           (leap && month > 2) + day - 1;
}

static uint64_t rtc_seconds(void)
{
    static const uint8_t regs[] = {0, 2, 4, 7, 8, 9};
    uint8_t v[6] = {0}, again[6] = {0}, b = rtc(0x0b);
    unsigned hour, year, century = 20;
    bool binary = b & 4;

    /* Read twice alike: it was not being changed. */
    for (unsigned tries = 0; tries < 10000; tries++) {
        bool same = !(rtc(0x0a) & 0x80);

        for (unsigned i = 0; i < 6; i++) {
            v[i] = rtc(regs[i]);
            same &= v[i] == again[i];
            again[i] = v[i];
        }
        if (same)
            break;
    }
    hour = from_bcd(v[2] & 0x7f, binary);
    if (!(b & 2)) /* 12 hours, bit 7: afternoon */
        hour = hour % 12 + (v[2] & 0x80 ? 12 : 0);
    if (acpi.century)
        century = from_bcd(rtc(acpi.century), binary);
    year = (century >= 19 && century <= 21 ? century : 20) * 100 + from_bcd(v[5], binary);
    return ((days_until(year, from_bcd(v[4], binary), from_bcd(v[3], binary)) * 24 + hour) * 60 +
            from_bcd(v[1], binary)) *
               60 +
           from_bcd(v[0], binary);
}

void time_init(void)
{
    uint32_t khz = tsc_from_cpuid();

    if (khz && apic_timer_is_tsc())
        tsc.khz = khz;
    else
        measure(khz);
    tsc.ns_per_tick = (1000000ULL << 32) / tsc.khz;
    tsc.ticks_per_ns = ((uint64_t)tsc.khz << 32) / 1000000;
    tsc.real = rtc_seconds() * 1000000000 - time_now();
    hv_log(LOG_DEBUG, "time: the TSC counts %u.%03u MHz, %s", tsc.khz / 1000, tsc.khz % 1000,
           khz ? "as CPUID says" : "measured");
}
