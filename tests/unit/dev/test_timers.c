/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every timer against a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dev/irq/lapic.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pit.h"
#include "dev/timer/pm.h"
#include "dev/timer/tco.h"
#include "tests/unit/dev/fixture.h"

#define MS 1000000ULL
#define S  1000000000ULL

/* How often the vector arrives while time passes in small steps. */
static unsigned count(struct fixture *f, int vector, uint64_t ns, uint64_t step)
{
    unsigned n = 0;

    for (uint64_t t = 0; t < ns; t += step) {
        int v;

        advance(f, step);
        while ((v = take(f)) >= 0)
            n += v == vector;
    }
    return n;
}

/* ---- 8254 ---- */

static void program(struct fixture *f, unsigned counter, unsigned mode, uint16_t reload)
{
    outb(f, 0x43, (uint8_t)(counter << 6 | 3 << 4 | mode << 1));
    outb(f, (uint16_t)(0x40 + counter), (uint8_t)reload);
    outb(f, (uint16_t)(0x40 + counter), (uint8_t)(reload >> 8));
}

static uint16_t latched(struct fixture *f, unsigned counter)
{
    unsigned low;

    outb(f, 0x43, (uint8_t)(counter << 6));
    low = inb(f, (uint16_t)(0x40 + counter));
    return (uint16_t)(low | inb(f, (uint16_t)(0x40 + counter)) << 8);
}

static void pit_is_periodic(void **state)
{
    struct fixture *f = *state;

    route(f, 2, 0x30, false);
    program(f, 0, 2, 11932); /* 100 Hz */
    (void)take(f);
    assert_in_range(count(f, 0x30, S, MS), 99, 101);
    program(f, 0, 3, 11932);
    (void)take(f);
    assert_in_range(count(f, 0x30, S, MS), 99, 101);
}

static void pit_one_shot_fires_once(void **state)
{
    struct fixture *f = *state;

    route(f, 2, 0x30, false);
    program(f, 0, 0, 11932);
    assert_int_equal(count(f, 0x30, 9 * MS, MS), 0);
    assert_int_equal(count(f, 0x30, 2 * MS, MS), 1);
    assert_int_equal(count(f, 0x30, S, 10 * MS), 0);
    program(f, 0, 4, 11932);
    (void)take(f);
    assert_int_equal(count(f, 0x30, 20 * MS, MS), 1);
}

static void pit_counts_down(void **state)
{
    struct fixture *f = *state;

    program(f, 0, 2, 0);
    assert_int_equal(latched(f, 0), 0); /* 65536 */
    advance(f, 10 * MS);
    assert_in_range(65536 - latched(f, 0), 11930, 11933);
    program(f, 0, 3, 1000);
    advance(f, 400000); /* 477 ticks, two each */
    assert_in_range(latched(f, 0), 40, 50);
}

/* Counter 2 as Linux measures its TSC with: mode 0, gate by port 0x61, output read there. */
static void pit_gate_and_port61(void **state)
{
    struct fixture *f = *state;

    outb(f, 0x61, 1);
    program(f, 2, 0, 11932);
    advance(f, 9 * MS);
    assert_false(inb(f, 0x61) & 0x20);
    outb(f, 0x61, 0); /* the gate stops it */
    advance(f, 50 * MS);
    assert_false(inb(f, 0x61) & 0x20);
    outb(f, 0x61, 1);
    advance(f, MS / 2);
    assert_false(inb(f, 0x61) & 0x20);
    advance(f, MS);
    assert_true(inb(f, 0x61) & 0x20);
}

static void pit_gate_triggers_mode_1_and_5(void **state)
{
    struct fixture *f = *state;

    program(f, 2, 1, 11932);
    assert_true(inb(f, 0x61) & 0x20); /* high until triggered */
    outb(f, 0x61, 1);
    assert_false(inb(f, 0x61) & 0x20);
    advance(f, 9 * MS);
    outb(f, 0x61, 0);
    outb(f, 0x61, 1); /* again from the start */
    advance(f, 9 * MS);
    assert_false(inb(f, 0x61) & 0x20);
    advance(f, 2 * MS);
    assert_true(inb(f, 0x61) & 0x20);
}

static void pit_status_and_bcd(void **state)
{
    struct fixture *f = *state;

    outb(f, 0x43, 0xc2 | 0x20);                                    /* read-back: the status of counter 0 */
    assert_int_equal(inb(f, 0x40) & 0x7f, 0x40 | 3 << 4 | 3 << 1); /* power-on: no count yet */
    outb(f, 0x43, 0 << 6 | 3 << 4 | 2 << 1 | 1);
    outb(f, 0x40, 0x00);
    outb(f, 0x40, 0x10); /* 1000 */
    advance(f, 100 * 838);
    assert_in_range(latched(f, 0), 0x895, 0x905);
}

static void refresh_toggles(void **state)
{
    struct fixture *f = *state;
    uint8_t first = inb(f, 0x61) & 0x10;

    advance(f, 15100);
    assert_int_not_equal(inb(f, 0x61) & 0x10, first);
}

/* A period below what the host's timer can do is stretched, not obeyed. */
static void pit_does_not_storm(void **state)
{
    struct fixture *f = *state;

    program(f, 0, 2, 1);
    program(f, 0, 3, 2);
    advance(f, 100 * MS); /* ends: at most 10,000 firings */
}

/* ---- RTC ---- */

static uint8_t cmos(struct fixture *f, uint8_t index)
{
    outb(f, 0x70, index);
    return inb(f, 0x71);
}

static void cmos_set(struct fixture *f, uint8_t index, uint8_t value)
{
    outb(f, 0x70, index);
    outb(f, 0x71, value);
}

static void rtc_tells_utc(void **state)
{
    struct fixture *f = *state;

    /* 1700000000 is 2023-11-14 22:13:20, a Tuesday */
    assert_int_equal(cmos(f, 0), 0x20);
    assert_int_equal(cmos(f, 2), 0x13);
    assert_int_equal(cmos(f, 4), 0x22);
    assert_int_equal(cmos(f, 6), 0x03);
    assert_int_equal(cmos(f, 7), 0x14);
    assert_int_equal(cmos(f, 8), 0x11);
    assert_int_equal(cmos(f, 9), 0x23);
    assert_int_equal(cmos(f, 0x32), 0x20);
    assert_int_equal(cmos(f, 13), 0x80);
    advance(f, 2 * 3600 * S);
    assert_int_equal(cmos(f, 4), 0x00);
    assert_int_equal(cmos(f, 7), 0x15);
    cmos_set(f, 11, 0x04); /* binary, 12 hours */
    assert_int_equal(cmos(f, 9), 23);
    assert_int_equal(cmos(f, 4), 12);
    advance(f, 13 * 3600 * S);
    assert_int_equal(cmos(f, 4), 0x81);
}

static void rtc_can_be_set(void **state)
{
    struct fixture *f = *state;
    static const uint8_t date[][2] = {{0, 0x58}, {2, 0x59}, {4, 0x23}, {7, 0x28}, {8, 0x02}, {9, 0x24}};

    cmos_set(f, 11, 0x82);
    for (unsigned i = 0; i < ARRAY_SIZE(date); i++)
        cmos_set(f, date[i][0], date[i][1]);
    advance(f, 10 * S);
    assert_int_equal(cmos(f, 0), 0x58); /* it stands still */
    cmos_set(f, 11, 0x02);
    advance(f, 2 * S);
    assert_int_equal(cmos(f, 7), 0x29); /* 2024 is a leap year */
    assert_int_equal(cmos(f, 8), 0x02);
    advance(f, 86400 * S);
    assert_int_equal(cmos(f, 7), 0x01);
    assert_int_equal(cmos(f, 8), 0x03);
    vm_reset(&f->vm);
    assert_int_equal(cmos(f, 8), 0x03); /* the battery */
}

static void rtc_interrupts(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;

    cmos_set(f, 11, 0x12); /* update */
    advance(f, S);
    assert_true(line_up(f, 8));
    assert_int_equal(cmos(f, 12) & 0x90, 0x90);
    assert_false(line_up(f, 8));
    cmos_set(f, 11, 0x42); /* periodic, 1024 Hz */
    for (unsigned i = 0; i < 10000; i++) {
        advance(f, MS / 10);
        n += cmos(f, 12) >> 7;
    }
    assert_in_range(n, 1020, 1026);
    cmos_set(f, 1, (uint8_t)(cmos(f, 0)));
    cmos_set(f, 3, 0xff);
    cmos_set(f, 5, 0xc0);
    cmos_set(f, 11, 0x22); /* alarm: once a minute */
    advance(f, 59 * S);
    assert_false(line_up(f, 8));
    advance(f, S);
    assert_true(line_up(f, 8));
    assert_int_equal(cmos(f, 12) & 0xa0, 0xa0);
}

static void rtc_update_in_progress(void **state)
{
    struct fixture *f = *state;
    unsigned seen = 0;

    for (unsigned i = 0; i < 10000; i++) {
        advance(f, MS / 10);
        seen += cmos(f, 10) >> 7;
    }
    assert_in_range(seen, 2, 3); /* 244 us of a second */
}

static void rtc_knows_memory(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(cmos(f, 0x15) | cmos(f, 0x16) << 8, 640);
    assert_int_equal(cmos(f, 0x17) | cmos(f, 0x18) << 8, 3 * 1024);
    outb(f, 0x72, 5);
    outb(f, 0x73, 0x77);
    outb(f, 0x72, 0x85);
    assert_int_equal(inb(f, 0x73), 0x77); /* the upper bank, whatever bit 7 */
}

/* ---- ACPI power management ---- */

static void pm_timer_runs(void **state)
{
    struct fixture *f = *state;
    uint32_t a = inl(f, PM_BASE + PM1_TMR), b;

    advance(f, S);
    b = inl(f, PM_BASE + PM1_TMR);
    assert_in_range(b - a, PM_TIMER_HZ - 1, PM_TIMER_HZ + 1);
    advance(f, 10 * S);
    assert_true(inl(f, PM_BASE + PM1_TMR) < BIT(24));
}

static void pm_timer_overflow_is_an_sci(void **state)
{
    struct fixture *f = *state;

    bus_write(&f->vm.pio, PM_BASE + PM1_STS, 0xffff, 2);
    bus_write(&f->vm.pio, PM_BASE + PM1_EN, 1, 2);
    advance(f, 2 * S);
    assert_false(line_up(f, PM_SCI_GSI));
    advance(f, S); /* 2^23 ticks are 2.34 s */
    assert_true(line_up(f, PM_SCI_GSI));
    bus_write(&f->vm.pio, PM_BASE + PM1_STS, 1, 2);
    assert_false(line_up(f, PM_SCI_GSI));
    advance(f, 2500 * MS);
    assert_true(line_up(f, PM_SCI_GSI));
}

static void pm_power(void **state)
{
    struct fixture *f = *state;

    pm_power_button(&f->vm);
    assert_int_equal(f->events[VM_EVENT_POWERDOWN], 1);
    assert_false(line_up(f, PM_SCI_GSI));
    bus_write(&f->vm.pio, PM_BASE + PM1_EN, 0x100, 2);
    assert_true(line_up(f, PM_SCI_GSI));
    assert_int_equal(bus_read(&f->vm.pio, PM_BASE + PM1_STS + 1, 1), 1);
    bus_write(&f->vm.pio, PM_BASE + PM1_STS + 1, 1, 1);
    assert_false(line_up(f, PM_SCI_GSI));
    assert_int_equal(bus_read(&f->vm.pio, PM_BASE + PM1_CNT, 2) & 1, 1);
    bus_write(&f->vm.pio, PM_BASE + PM1_CNT, 5U << 10 | 1U << 13, 2); /* S3: there is none */
    assert_int_equal(f->events[VM_EVENT_SHUTDOWN], 0);
    bus_write(&f->vm.pio, PM_BASE + PM1_CNT, PM_S5_TYPE << 10 | 1U << 13, 2);
    assert_int_equal(f->events[VM_EVENT_SHUTDOWN], 1);
    assert_int_equal(f->event_arg, VM_SHUTDOWN_GUEST);
}

static void pm_resets(void **state)
{
    struct fixture *f = *state;

    outb(f, 0xcf9, 0x02);
    assert_int_equal(f->events[VM_EVENT_RESET], 0);
    outb(f, 0xcf9, 0x06);
    assert_int_equal(f->events[VM_EVENT_RESET], 1);
}

/* ---- HPET ---- */

static void hpet_counts(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(readl(f, 0, HPET_BASE + 4), 10000000); /* femtoseconds */
    advance(f, MS);
    assert_int_equal(readl(f, 0, HPET_BASE + 0xf0), 0);
    writel(f, 0, HPET_BASE + 0x10, 1);
    advance(f, MS);
    assert_int_equal(readl(f, 0, HPET_BASE + 0xf0), 100000);
    writel(f, 0, HPET_BASE + 0x10, 0);
    advance(f, MS);
    assert_int_equal(readl(f, 0, HPET_BASE + 0xf0), 100000);
    writel(f, 0, HPET_BASE + 0xf4, 5);
    assert_int_equal(vcpu_mmio_read(f->vm.vcpu[0], HPET_BASE + 0xf0, 8), 5ULL << 32 | 100000);
}

static void hpet_fires_once_and_periodically(void **state)
{
    struct fixture *f = *state;

    route(f, 16, 0x40, false);
    writel(f, 0, HPET_BASE + 0x140, 16U << 9 | BIT(2)); /* timer 2, edge, GSI 16 */
    writel(f, 0, HPET_BASE + 0x148, 100000);
    writel(f, 0, HPET_BASE + 0x14c, 0);
    writel(f, 0, HPET_BASE + 0x10, 1);
    assert_int_equal(count(f, 0x40, 10 * MS, MS / 4), 1);
    writel(f, 0, HPET_BASE + 0x140, 16U << 9 | BIT(2) | BIT(3) | BIT(6));
    writel(f, 0, HPET_BASE + 0x148, readl(f, 0, HPET_BASE + 0xf0) + 100000);
    writel(f, 0, HPET_BASE + 0x148, 100000);
    assert_in_range(count(f, 0x40, 100 * MS, MS / 4), 99, 101);
}

static void hpet_level_waits_for_status(void **state)
{
    struct fixture *f = *state;

    writel(f, 0, HPET_BASE + 0x140, 20U << 9 | BIT(2) | BIT(1));
    writel(f, 0, HPET_BASE + 0x148, 1000);
    writel(f, 0, HPET_BASE + 0x14c, 0);
    writel(f, 0, HPET_BASE + 0x10, 1);
    advance(f, MS);
    assert_true(line_up(f, 20));
    assert_int_equal(readl(f, 0, HPET_BASE + 0x20), 4);
    writel(f, 0, HPET_BASE + 0x20, 4);
    assert_false(line_up(f, 20));
}

static void hpet_replaces_the_pit(void **state)
{
    struct fixture *f = *state;

    route(f, 2, 0x30, false);
    program(f, 0, 2, 11932);
    (void)take(f);
    writel(f, 0, HPET_BASE + 0x10, 3);
    assert_int_equal(count(f, 0x30, 100 * MS, MS), 0);
    writel(f, 0, HPET_BASE + 0x100, BIT(2) | BIT(3) | BIT(6) | BIT(8));
    writel(f, 0, HPET_BASE + 0x108, readl(f, 0, HPET_BASE + 0xf0) + 200000);
    writel(f, 0, HPET_BASE + 0x108, 200000); /* 2 ms */
    assert_in_range(count(f, 0x30, 100 * MS, MS / 4), 49, 51);
    writel(f, 0, HPET_BASE + 0x10, 0);
    (void)take(f);
    assert_in_range(count(f, 0x30, 100 * MS, MS), 9, 11);
}

/* In 32-bit mode a comparator fires again when the counter comes around. */
static void hpet_wraps(void **state)
{
    struct fixture *f = *state;

    route(f, 16, 0x40, false);
    writel(f, 0, HPET_BASE + 0x140, 16U << 9 | BIT(2) | BIT(8));
    writel(f, 0, HPET_BASE + 0x148, 100);
    writel(f, 0, HPET_BASE + 0x10, 1);
    assert_int_equal(count(f, 0x40, 40 * S, S), 1);
    assert_int_equal(count(f, 0x40, 5 * S, S), 1);
}

/* ---- a host that does something else between two looks at the clock ---- */

static void pit_is_late(void **state)
{
    struct fixture *f = *state;

    for (unsigned mode = 0; mode <= 4; mode += 4) {
        route(f, 2, 0x30, false);
        (void)take(f);
        f->plat.step = MS;
        program(f, 0, mode, 120); /* 100 us */
        f->plat.step = 0;
        if (mode)
            (void)take(f); /* its output rises with the mode */
        assert_int_equal(count(f, 0x30, 10 * MS, MS / 4), 1);
    }
}

static void hpet_is_late(void **state)
{
    struct fixture *f = *state;

    route(f, 16, 0x40, false);
    writel(f, 0, HPET_BASE + 0x140, 16U << 9 | BIT(2));
    writel(f, 0, HPET_BASE + 0x148, 1000);
    writel(f, 0, HPET_BASE + 0x14c, 0);
    f->plat.step = MS;
    writel(f, 0, HPET_BASE + 0x10, 1); /* 10 us of it are left, and gone at the next look */
    f->plat.step = 0;
    assert_int_equal(count(f, 0x40, 10 * MS, MS / 4), 1);
    writel(f, 0, HPET_BASE + 0x140, 16U << 9 | BIT(2) | BIT(3) | BIT(6));
    writel(f, 0, HPET_BASE + 0x148, readl(f, 0, HPET_BASE + 0xf0) + 20000);
    writel(f, 0, HPET_BASE + 0x148, 20000); /* 200 us */
    f->plat.step = MS;
    assert_in_range(count(f, 0x40, 3 * MS, MS), 1, 100);
    f->plat.step = 0;
    assert_in_range(count(f, 0x40, 10 * MS, MS / 10), 49, 51);
}

/* ---- local APIC ---- */

static void lapic_on(struct fixture *f, uint32_t lvt)
{
    writel(f, 0, LAPIC_BASE + 0xf0, 0x1ff);
    writel(f, 0, LAPIC_BASE + 0x3e0, 0xb); /* by 1 */
    writel(f, 0, LAPIC_BASE + 0x320, lvt);
}

static void lapic_one_shot(void **state)
{
    struct fixture *f = *state;

    lapic_on(f, 0x50);
    writel(f, 0, LAPIC_BASE + 0x380, 5000000);
    advance(f, 2 * MS);
    assert_int_equal(readl(f, 0, LAPIC_BASE + 0x390), 3000000);
    assert_int_equal(count(f, 0x50, 20 * MS, MS), 1);
    assert_int_equal(readl(f, 0, LAPIC_BASE + 0x390), 0);
    writel(f, 0, LAPIC_BASE + 0x3e0, 0x3); /* by 16 */
    writel(f, 0, LAPIC_BASE + 0x380, 1000000);
    assert_int_equal(count(f, 0x50, 15 * MS, MS), 0);
    assert_int_equal(count(f, 0x50, 2 * MS, MS), 1);
}

static void lapic_periodic(void **state)
{
    struct fixture *f = *state;

    lapic_on(f, 0x50 | BIT(17));
    writel(f, 0, LAPIC_BASE + 0x380, 1000000);
    assert_in_range(count(f, 0x50, 100 * MS, MS / 4), 99, 101);
    writel(f, 0, LAPIC_BASE + 0x320, 0x10050 | BIT(17)); /* masked */
    assert_int_equal(count(f, 0x50, 100 * MS, MS), 0);
    writel(f, 0, LAPIC_BASE + 0x320, 0x50 | BIT(17));
    writel(f, 0, LAPIC_BASE + 0x380, 1); /* a nanosecond: no storm */
    advance(f, 10 * MS);
    writel(f, 0, LAPIC_BASE + 0x380, 0);
    (void)take(f);
    assert_int_equal(count(f, 0x50, 10 * MS, MS), 0);
}

static void lapic_deadline(void **state)
{
    struct fixture *f = *state;
    const struct lapic_ops *ops = f->vm.irqs.lapic;
    struct vcpu *vcpu = f->vm.vcpu[0];
    uint64_t v = 1;

    lapic_on(f, 0x50);
    assert_true(ops->msr_write(vcpu, 0x6e0, clock_tsc(&f->vm) + MS)); /* not in this mode: ignored */
    assert_true(ops->msr_read(vcpu, 0x6e0, &v));
    assert_int_equal(v, 0);
    lapic_on(f, 0x50 | BIT(18));
    advance(f, MS);
    vcpu->cpu.s.tsc_offset = -1000;
    ops->msr_write(vcpu, 0x6e0, clock_tsc(&f->vm) + MS);
    assert_int_equal(count(f, 0x50, MS - 2000, MS / 1000), 0);
    assert_int_equal(count(f, 0x50, MS, MS), 1);
    ops->msr_read(vcpu, 0x6e0, &v);
    assert_int_equal(v, 0);         /* disarmed */
    ops->msr_write(vcpu, 0x6e0, 1); /* long past */
    assert_int_equal(take(f), 0x50);
    ops->msr_write(vcpu, 0x6e0, ~0ULL); /* in 584 years */
    assert_int_equal(count(f, 0x50, 100 * S, S), 0);
    ops->msr_write(vcpu, 0x6e0, clock_tsc(&f->vm) + MS);
    ops->msr_write(vcpu, 0x6e0, 0);
    assert_int_equal(count(f, 0x50, S, S), 0);
}

/* ---- the watchdog ---- */

#define TCO (PM_BASE + TCO_OFFSET)

static uint32_t inw(struct fixture *f, uint16_t port)
{
    return inb(f, port) | (uint32_t)inb(f, (uint16_t)(port + 1)) << 8;
}

static void outw(struct fixture *f, uint16_t port, uint16_t value)
{
    vcpu_pio_write(f->vm.vcpu[0], port, value, 2);
}

static void watchdog_resets_who_does_not_feed_it(void **state)
{
    struct fixture *f = *state;

    advance(f, 1000 * S); /* it stands still until it is told to count */
    assert_int_equal(f->events[VM_EVENT_WATCHDOG], 0);
    outw(f, TCO + TCO_TMR, 10);
    outw(f, TCO + TCO_RLD, 1);
    outw(f, TCO + TCO1_CNT, 0);
    for (unsigned i = 0; i < 20; i++) {
        advance(f, 5 * S);
        outw(f, TCO + TCO_RLD, 1);
    }
    assert_int_equal(inw(f, TCO + TCO_RLD), 10);
    assert_int_equal(inw(f, TCO + TCO1_STS), 0);
    advance(f, 7 * S);
    assert_int_equal(inw(f, TCO + TCO1_STS), TCO1_STS_TIMEOUT);
    assert_int_equal(f->events[VM_EVENT_WATCHDOG], 0);
    advance(f, 6 * S);
    assert_int_equal(f->events[VM_EVENT_WATCHDOG], 1);
    assert_int_equal(f->events[VM_EVENT_RESET], 1);
    vm_reset(&f->vm);
    assert_int_equal(inw(f, TCO + TCO2_STS), TCO2_STS_SECOND); /* the guest may ask why it starts again */
    outw(f, TCO + TCO2_STS, TCO2_STS_SECOND);
    assert_int_equal(inw(f, TCO + TCO2_STS), 0);
    advance(f, 1000 * S);
    assert_int_equal(f->events[VM_EVENT_WATCHDOG], 1);
}

static void watchdog_keeps_its_promises(void **state)
{
    struct fixture *f = *state;

    outw(f, TCO + TCO_TMR, 0); /* no shorter than the shortest */
    assert_int_equal(inw(f, TCO + TCO_TMR), TCO_TICKS_MIN);
    outw(f, TCO + TCO_TMR, 0xffff);
    assert_int_equal(inw(f, TCO + TCO_TMR), TCO_TICKS_MAX);
    outw(f, TCO + TCO_TMR, 100);
    outw(f, TCO + TCO_RLD, 1);
    outw(f, TCO + TCO1_CNT, 0);
    advance(f, 6 * S);
    outw(f, TCO + TCO1_CNT, TCO1_CNT_HALT); /* and stands still where it was */
    advance(f, 1000 * S);
    assert_int_equal(inw(f, TCO + TCO_RLD), 90);
    outw(f, TCO + TCO1_CNT, BIT(12)); /* locked while it counts: nothing stops it */
    outw(f, TCO + TCO1_CNT, TCO1_CNT_HALT);
    assert_int_equal(inw(f, TCO + TCO1_CNT), BIT(12));
    advance(f, 200 * S);
    assert_int_equal(f->events[VM_EVENT_WATCHDOG], 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pit_is_periodic),
        T(pit_one_shot_fires_once),
        T(pit_counts_down),
        T(pit_gate_and_port61),
        T(pit_gate_triggers_mode_1_and_5),
        T(pit_status_and_bcd),
        T(refresh_toggles),
        T(pit_does_not_storm),
        T(rtc_tells_utc),
        T(rtc_can_be_set),
        T(rtc_interrupts),
        T(rtc_update_in_progress),
        T(rtc_knows_memory),
        T(pm_timer_runs),
        T(pm_timer_overflow_is_an_sci),
        T(pm_power),
        T(pm_resets),
        T(hpet_counts),
        T(hpet_fires_once_and_periodically),
        T(hpet_level_waits_for_status),
        T(hpet_replaces_the_pit),
        T(hpet_wraps),
        T(pit_is_late),
        T(hpet_is_late),
        T(lapic_one_shot),
        T(lapic_periodic),
        T(lapic_deadline),
        T(watchdog_resets_who_does_not_feed_it),
        T(watchdog_keeps_its_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
