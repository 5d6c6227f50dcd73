/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board that this guest sees is its own: devices, ports and addresses of the machine below do not show.
 */
#include "tests/guest/isolation/isolation.h"

static uint32_t config_read(unsigned bus, unsigned devfn, unsigned reg)
{
    outl(0xcf8, 0x80000000U | bus << 16 | devfn << 8 | reg);
    return inl(0xcfc);
}

/* What the board can have: host bridge, LPC bridge, virtio devices. */
static bool own_device(unsigned devfn, uint32_t id)
{
    if (devfn == 0)
        return id == 0x29c08086;
    if (devfn == 0xf8)
        return id == 0x29188086;
    return (id & 0xffff) == 0x1af4 && id >> 16 >= 0x1040 && id >> 16 < 0x1080;
}

void pci_own_devices(void)
{
    unsigned count = 0;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        uint32_t id = config_read(0, devfn, 0);

        expect_of("ECAM of device", devfn, MMIO32(ECAM + devfn * 4096), id);
        if (id == ~0U)
            continue;
        count++;
        expect_of("device", (uint64_t)devfn << 32 | id, own_device(devfn, id), 1);
        for (unsigned reg = 0; reg < 64; reg += 4)
            expect_of("ECAM of register", devfn << 8 | reg, MMIO32(ECAM + devfn * 4096 + reg),
                      config_read(0, devfn, reg));
    }
    CHECK(count >= 2 && count < 32);
    for (unsigned bus = 1; bus < 256; bus++) {
        for (unsigned devfn = 0; devfn < 256; devfn += bus < 4 ? 1 : 8)
            expect_of("device of bus", bus << 8 | devfn, config_read(bus, devfn, 0), ~0U);
        expect_of("ECAM of bus", bus, MMIO32(ECAM + (bus << 20)), ~0U);
    }
}

static bool own_port(unsigned port)
{
    static const struct {
        uint16_t first, last;
    } own[] = {{0x20, 0x21},   {0x40, 0x43},   {0x60, 0x61},   {0x64, 0x64},  {0x70, 0x73},   {0x92, 0x92},
               {0xa0, 0xa1},   {0xb2, 0xb3},   {0xe9, 0xe9},   {0xf4, 0xf7},  {0x3f8, 0x3ff}, {0x4d0, 0x4d1},
               {0x505, 0x505}, {0x510, 0x51b}, {0x600, 0x67f}, {0xcf8, 0xcff}};

    for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (port >= own[i].first && port <= own[i].last)
            return true;
    }
    return false;
}

void ports_own(void)
{
    outl(0xcf8, 0);
    for (unsigned port = 0; port < 0x10000; port++) {
        if (own_port(port))
            continue;
        expect_of("port", port, inb((uint16_t)port), 0xff);
        if (port % 16 != 5)
            continue;
        outb((uint16_t)port, 0x55);
        expect_of("port", port, inb((uint16_t)port), 0xff);
    }
    for (unsigned port = 0x1000; port < 0xfff0; port += 0x101) {
        expect_of("port", port, inw((uint16_t)port), 0xffff);
        expect_of("port", port, inl((uint16_t)port), 0xffffffff);
    }
}

void windows_own(void)
{
    uint64_t period = MMIO64(HPET) >> 32;

    expect("APIC id", MMIO32(LAPIC + 0x20) >> 24, cpuid(1, 0).b >> 24);
    CHECK((MMIO32(LAPIC + 0x30) & 0xf0) == 0x10 && MMIO32(LAPIC + 0x30) != ~0U);
    MMIO32(IOAPIC) = 1;
    expect("IO-APIC's inputs", MMIO32(IOAPIC + 0x10) >> 16 & 0xff, 23);
    for (unsigned pin = 0; pin < 24; pin++) {
        MMIO32(IOAPIC) = 0x10 + 2 * pin;
        expect_of("IO-APIC's entry is masked", pin, MMIO32(IOAPIC + 0x10) >> 16 & 1, 1);
    }
    CHECK(period >= 1000000 && period <= 100000000);
    CHECK((MMIO64(HPET) & 0xffff0000) != 0xffff0000);
}

/* Where this guest's PCI devices answer. */
static bool own_bar(uint64_t gpa)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (config_read(0, devfn, 0) == ~0U || !(config_read(0, devfn, 4) & 2))
            continue;
        for (unsigned reg = 0x10; reg < 0x28; reg += 4) {
            uint32_t low = config_read(0, devfn, reg), size;
            uint64_t base = low & ~15U;

            if (low & 1)
                continue;
            outl(0xcfc, ~0U);
            size = ~(inl(0xcfc) & ~15U) + 1;
            outl(0xcfc, low);
            if ((low & 7) == 4)
                base |= (uint64_t)config_read(0, devfn, reg += 4) << 32;
            if (size && gpa >= base && gpa < base + size)
                return true;
        }
    }
    return false;
}

/* Device registers, firmware and screens of the machine below have their places here. */
void host_addresses(void)
{
    for (uint64_t gpa = 0x80000000; gpa < 0x100000000; gpa += 4096) {
        uint32_t v;

        if ((gpa >= ECAM && gpa < ECAM + 0x10000000) || gpa == IOAPIC || gpa == HPET || gpa == LAPIC)
            continue;
        if ((gpa < IOAPIC || gpa > LAPIC) && gpa % (gpa < 0xf0000000 ? 0x100000 : 0x10000))
            continue; /* looked at more coarsely */
        v = MMIO32(gpa);
        if (v != ~0U && !own_bar(gpa))
            expect_of("read of", gpa, v, ~0U);
    }
    for (uint64_t gpa = IOAPIC; gpa < IOAPIC + 0x200000; gpa += 0x400) {
        if (gpa >> 12 != IOAPIC >> 12 && gpa >> 12 != HPET >> 12 && gpa >> 12 != LAPIC >> 12 && !own_bar(gpa))
            expect_of("read of", gpa, MMIO32(gpa), ~0U);
    }
}

/* ---- clocks ---- */

struct clocks {
    uint64_t tsc, hpet;
    uint32_t pm, lapic;
};

/* All at nearly one time: what takes part of its time away from us is tried again. */
static struct clocks read_clocks(void)
{
    struct clocks c;

    for (unsigned i = 0; i < 2000; i++) {
        c.tsc = rdtsc();
        c.hpet = hpet_counter();
        c.pm = inl(PM_TIMER);
        c.lapic = MMIO32(LAPIC_TCCR);
        if (rdtsc() - c.tsc < tsc_khz()) /* a millisecond */
            break;
    }
    return c;
}

static void near(const char *name, uint64_t us, uint64_t expected)
{
    if (us + 3000 + expected / 200 < expected || us > expected + 3000 + expected / 200)
        expect(name, us, expected);
}

void time_sources_agree(void)
{
    uint64_t period = MMIO64(HPET) >> 32, us;
    struct clocks a, b;

    lapic_on();
    hpet_start();
    MMIO32(LAPIC_LVTT) = 0x10040; /* one-shot, masked */
    for (unsigned i = 0; i < 3; i++) {
        MMIO32(LAPIC_TICR) = 0xffffffff;
        a = read_clocks();
        wait_us(400000);
        b = read_clocks();
        us = ticks_to_us(b.tsc - a.tsc);
        near("HPET, us", (b.hpet - a.hpet) * (period / 1000000) / 1000, us);
        near("PM timer, us", ((b.pm - a.pm) & 0xffffff) * 1000000ULL / 3579545, us);
        near("local APIC's timer, us", (a.lapic - b.lapic) / 1000, us);
    }
    us = ~0ULL;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t start;

        outb(0x61, (uint8_t)(inb(0x61) & ~3));
        outb(0x43, 0xb0); /* counter 2, mode 0 */
        outb(0x42, 50000 & 0xff);
        outb(0x42, 50000 >> 8);
        start = rdtsc();
        outb(0x61, (uint8_t)(inb(0x61) | 1));
        while (!(inb(0x61) & 0x20))
            ;
        start = ticks_to_us(rdtsc() - start);
        CHECK(start >= 41800);
        us = start < us ? start : us;
    }
    CHECK(us < 60000); /* 41.9 ms, and what it took to see it */
}

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

/* A second of the real-time clock's is one of the TSC's. */
void rtc_agrees(void)
{
    uint64_t at[4], best = ~0ULL;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t was = cmos(0);

        while (cmos(0) == was)
            ;
        at[i] = microseconds();
    }
    for (unsigned i = 1; i < 4; i++) {
        uint64_t us = at[i] - at[i - 1], off = us > 1000000 ? us - 1000000 : 1000000 - us;

        best = off < best ? off : best;
    }
    CHECK(best < 50000 && at[3] - at[0] > 2900000 && at[3] - at[0] < 4000000);
    CHECK(cmos(0xd) & 0x80);
}
