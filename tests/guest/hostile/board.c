/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attacks by the board's registers. */
#include "tests/guest/hostile/hostile.h"

/* Ports that end or reset the machine by design: debug exit, 8042 reset, port 92, ACPI sleep control, reset
 * control. */
static bool ends_the_machine(uint16_t port)
{
    static const struct {
        uint16_t first, last;
    } ranges[] = {{0xf0, 0xf7},   {0x60, 0x67},   {0x90, 0x93}, {0xcf6, 0xcff},
                  {0x600, 0x67f}, {0x502, 0x507}, {0xb0, 0xb3}};

    for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (port + 3 >= ranges[i].first && port <= ranges[i].last) /* the widest access is four ports */
            return true;
    }
    return false;
}

static uint16_t port;

static void one_port(void)
{
    uint64_t v = random64();

    (void)inb(port);
    (void)inw(port);
    (void)inl(port);
    if (ends_the_machine(port))
        return;
    outb(port, (uint8_t)v);
    outw(port, (uint16_t)v);
    outl(port, (uint32_t)v);
}

void port_sweep(void)
{
    for (unsigned p = 0; p < 0x10000; p++) {
        port = (uint16_t)p;
        try_run(one_port);
    }
}

void pci_config_sweep(void)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (pci_read(devfn, 0) == 0xffffffff)
            continue;
        for (unsigned reg = 4; reg < 256; reg += 4) {
            uint32_t old = pci_read(devfn, reg);
            if (devfn == 0xf8 && reg >= 0x40 && reg < 0x48)
                continue; /* PMBASE: moves the registers that end the machine */
            pci_write(devfn, reg, 0xffffffff);
            pci_write(devfn, reg, 0);
            pci_write(devfn, reg, (uint32_t)random64());
            outb(0xcfc + random_below(4), (uint8_t)random64());
            outw(0xcfe, (uint16_t)random64());
            pci_write(devfn, reg, old);
        }
    }
    for (unsigned i = 0; i < 20000; i++) {
        outl(0xcf8, (uint32_t)random64());
        (void)inl(0xcfc);
        (void)inb(0xcff);
        (void)inl(0xcfd);
    }
}

void pci_config_ecam_sweep(void)
{
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t at = 0xe0000000ULL + random_below(0x10000000);
        if (i & 1)
            at = 0xe0000000ULL + random_below(32 * 8 * 4096);
        (void)MMIO32(at & ~3ULL);
        (void)MMIO16(at);
        (void)MMIO64(at);
        if ((at & 0xff000) != 0xf8000)
            MMIO32(at & ~3ULL) = (uint32_t)random64();
    }
}

/* Writes every BAR of every function, memory decoding on. */
static void place_bars(uint32_t (*low)(void), uint32_t high)
{
    for (unsigned devfn = 8; devfn < 256; devfn++) {
        if (pci_read(devfn, 0) == 0xffffffff || devfn == 0xf8)
            continue;
        pci_write(devfn, 4, 7);
        for (unsigned bar = 0x10; bar < 0x28; bar += 4) {
            uint32_t old = pci_read(devfn, bar);
            pci_write(devfn, bar, low());
            if ((old & 7) == 4) {
                pci_write(devfn, bar + 4, high);
                bar += 4;
            }
        }
    }
}

static uint32_t in_ram(void)
{
    return random_below(0x8000000) & ~0xfffU;
}
static uint32_t same_place(void)
{
    return 0xc0000000;
}
static uint32_t at_the_top(void)
{
    return 0xfffff000 - random_below(16) * 4096;
}
static uint32_t on_the_apics(void)
{
    return 0xfee00000;
}
static uint32_t anywhere(void)
{
    return (uint32_t)random64();
}

static void touch_around(void)
{
    (void)MMIO32(0xc0000000);
    MMIO32(0xc0000010) = (uint32_t)random64();
    (void)MMIO32(0xfffff000);
    (void)MMIO32(0xfee00020);
    (void)MMIO32(0x200000);
}

void pci_bars_over_ram(void)
{
    volatile uint32_t *ram = (volatile uint32_t *)0x2000000;

    for (unsigned i = 0; i < 200; i++) {
        *ram = i;
        place_bars(in_ram, 0);
        CHECK(*ram == i);
    }
}

void pci_bars_over_each_other(void)
{
    for (unsigned i = 0; i < 200; i++) {
        place_bars(same_place, 0);
        try_run(touch_around);
        place_bars(on_the_apics, 0);
        try_run(touch_around);
        place_bars(anywhere, 0);
        try_run(touch_around);
    }
}

void pci_bars_wrap(void)
{
    for (unsigned i = 0; i < 200; i++) {
        place_bars(at_the_top, 0);
        try_run(touch_around);
        place_bars(at_the_top, 0xffffffff);
        place_bars(anywhere, (uint32_t)random64());
        try_run(touch_around);
    }
}

/* Table and pending bits of every MSI-X function: garbage, enabled, unmasked. */
void msix_garbage(void)
{
    for (unsigned devfn = 8; devfn < 256; devfn++) {
        unsigned cap = pci_read(devfn, 0x34) & 0xfc;

        if (pci_read(devfn, 0) == 0xffffffff)
            continue;
        for (unsigned n = 0; cap && n < 48; n++, cap = pci_read(devfn, cap) >> 8 & 0xfc) {
            uint32_t table, bar;
            if ((pci_read(devfn, cap) & 0xff) != 0x11)
                continue;
            table = pci_read(devfn, cap + 4);
            bar = pci_read(devfn, 0x10 + (table & 7) * 4);
            pci_write(devfn, 4, 7);
            pci_write(devfn, 0x10 + (table & 7) * 4, 0xc0000000);
            if ((bar & 6) == 4)
                pci_write(devfn, 0x14 + (table & 7) * 4, 0);
            pci_write(devfn, cap, 0x80000000);
            for (unsigned i = 0; i < 4096; i += 4)
                MMIO32(0xc0000000ULL + (table & ~7U) + i) = (uint32_t)random64();
            pci_write(devfn, cap, 0xc0000000);
            pci_write(devfn, cap, 0x80000000);
        }
    }
}

void lapic_sweep(void)
{
    for (unsigned i = 0; i < 60000; i++) {
        unsigned reg = random_below(64) * 16;
        (void)MMIO32(0xfee00000ULL + random_below(4092));
        if (reg != 0x300 && reg != 0x310 && reg != 0x320 && reg != 0x380)
            MMIO32(0xfee00000ULL + reg) = (uint32_t)random64();
        MMIO8(0xfee00000ULL + reg + random_below(16)) = (uint8_t)random64();
    }
}

static uint32_t msr;
static uint64_t msr_value;

static void one_msr(void)
{
    (void)rdmsr(msr);
    wrmsr(msr, msr_value);
}

void x2apic_sweep(void)
{
    wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
    for (unsigned i = 0; i < 40000; i++) {
        msr = 0x800 + random_below(0x100);
        msr_value = random_below(2) ? random64() : (uint32_t)random64();
        if (msr == 0x830 || msr == 0x83f || msr == 0x832 || msr == 0x838)
            continue;
        try_run(one_msr);
    }
}

/* IPIs to everybody, all modes but INIT, SIPI and SMI. */
void ipi_storm(void)
{
    MMIO32(0xfee000f0) = 0x1ff;
    __asm__ volatile("sti");
    for (unsigned i = 0; i < 50000; i++) {
        MMIO32(0xfee00310) = (uint32_t)random64();
        MMIO32(0xfee00300) = (32 + random_below(224)) | random_below(4) << 18 | random_below(2) << 8;
    }
    __asm__ volatile("cli");
    MMIO32(0xfee00300) = 0x40080; /* one to self, for sure */
    __asm__ volatile("sti; nop; nop; cli");
    CHECK(trap_count[0x80] > 0);
}

/* INIT to the only processor resets it: it starts again at the reset vector, where there is nothing. */
void init_and_sipi_self(void)
{
    print("this one may end in a triple fault\n");
    for (unsigned i = 0; i < 256; i++) {
        MMIO32(0xfee00310) = 0x01000000 * i;
        MMIO32(0xfee00300) = 0x4600 | i;
    }
    MMIO32(0xfee00300) = 0x44600;
    MMIO32(0xfee00300) = 0x44500;
}

static void one_apic_base(void)
{
    wrmsr(0x1b, msr_value);
    (void)MMIO32(msr_value & 0xfffff000);
    MMIO32(msr_value & 0xfffff000) = 0xffffffff;
}

void apic_base_moves(void)
{
    uint64_t old = rdmsr(0x1b);

    for (unsigned i = 0; i < 3000; i++) {
        msr_value = i & 1 ? random64() : (old & 0xfff) | 0x2000000 | (uint64_t)random_below(16) << 12;
        try_run(one_apic_base);
    }
}

void ioapic_garbage(void)
{
    outb(0x43, 0x34);
    outb(0x40, 1);
    outb(0x40, 1);
    for (unsigned i = 0; i < 40000; i++) {
        uint32_t v = (uint32_t)random64();
        MMIO32(0xfec00000) = random_below(4) ? 0x10 + random_below(48) : (uint32_t)random64();
        if ((v & 0x700) == 0x500 || (v & 0x700) == 0x200)
            v ^= 0x100; /* INIT and SMI would be an end */
        MMIO32(0xfec00010) = v;
        (void)MMIO32(0xfec00010);
        MMIO32(0xfec00040) = v;
        (void)MMIO8(0xfec00000ULL + random_below(0x1000));
    }
}

void pic_garbage(void)
{
    outb(0x43, 0x34);
    outb(0x40, 1);
    outb(0x40, 1);
    for (unsigned i = 0; i < 60000; i++) {
        static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
        uint16_t p = ports[random_below(6)];
        outb(p, (uint8_t)random64());
        (void)inb(p);
    }
}

void pit_storm(void)
{
    outb(0x21, 0xfe);
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0x21, 0xfe);
    __asm__ volatile("sti");
    for (unsigned i = 0; i < 20000; i++) {
        outb(0x43, (uint8_t)random64());
        outb(0x40 + random_below(3), (uint8_t)random_below(4));
        (void)inb(0x40 + random_below(3));
        outb(0x61, (uint8_t)random64());
        (void)inb(0x61);
    }
    __asm__ volatile("cli");
}

void hpet_storm(void)
{
    MMIO64(0xfed00010) = 0;
    for (unsigned t = 0; t < 3; t++) {
        MMIO64(0xfed00100ULL + t * 0x20) = 0x4c; /* periodic, enabled, settable */
        MMIO64(0xfed00108ULL + t * 0x20) = 1;
        MMIO64(0xfed00108ULL + t * 0x20) = 1;
    }
    MMIO64(0xfed00010) = 3;
    for (unsigned i = 0; i < 40000; i++) {
        uint64_t at = 0xfed00000ULL + random_below(0x400);
        (void)MMIO32(at & ~3ULL);
        MMIO32(at & ~3ULL) = random_below(4) ? random_below(16) : (uint32_t)random64();
        MMIO64(at & ~7ULL) = random_below(2) ? ~0ULL : random64();
        (void)MMIO8(at);
    }
    MMIO64(0xfed00010) = 0;
}

void rtc_storm(void)
{
    for (unsigned i = 0; i < 40000; i++) {
        outb(0x70, (uint8_t)(random_below(4) ? random_below(16) : random64()));
        outb(0x71, (uint8_t)random64());
        (void)inb(0x71);
        if (i % 100 == 0) {
            outb(0x70, 0xa);
            outb(0x71, 0x21);
            outb(0x70, 0xb);
            outb(0x71, 0x72);
        }
    }
}

void i8042_garbage(void)
{
    for (unsigned i = 0; i < 40000; i++) {
        uint8_t command = (uint8_t)random64();
        if (command >= 0xf0 || command == 0xd1)
            command = 0xaa; /* pulses and the output port can reset the machine, as they should */
        outb(0x64, command);
        outb(0x60, (uint8_t)(random64() & 0xfe) | 1);
        (void)inb(0x60);
        (void)inb(0x64);
    }
}

void uart_garbage(void)
{
    for (unsigned i = 0; i < 40000; i++) {
        static const uint16_t bases[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
        uint16_t p = bases[random_below(4)] + (uint16_t)random_below(8);
        outb(p, (uint8_t)random64());
        (void)inb(p);
    }
    for (unsigned i = 0; i < 4; i++)
        outb(0x3fb, 3);
    outb(0x3f9, 0);
    outb(0x3fc, 0xb);
    outb(0x3fa, 7);
}

static struct {
    uint32_t control, length;
    uint64_t address;
} dma __attribute__((aligned(16)));

void fw_cfg_dma_garbage(void)
{
    static const uint64_t places[] = {0,     0xfee00000, 0xe0000000, 0x7ffffff0,
                                      ~0ULL, 0xfffffff8, 0xa0000,    0x3000000};

    for (unsigned i = 0; i < 4000; i++) {
        uint64_t at = random_below(4) ? (uintptr_t)&dma : places[random_below(8)];
        dma.control = __builtin_bswap32(random_below(64) | random_below(64) << 16);
        dma.length = __builtin_bswap32(random_below(2) ? (uint32_t)random64() : random_below(4096));
        dma.address = __builtin_bswap64(places[random_below(8)] + (random_below(4) ? 0x3000000 : 0));
        if (__builtin_bswap64(dma.address) < 0x3000000)
            dma.address = __builtin_bswap64(0x3000000);
        outl(0x514, __builtin_bswap32((uint32_t)(at >> 32)));
        outl(0x518, __builtin_bswap32((uint32_t)at));
        outw(0x510, (uint16_t)random64());
        (void)inb(0x511);
        outb(0x511, (uint8_t)random64());
    }
}

/* Each element of the string is a request for 16 MiB, most of it behind the item's end: refused, nothing
 * written. */
void fw_cfg_dma_flood(void)
{
    static struct {
        uint32_t control, length;
        uint64_t address;
    } request[1024] __attribute__((aligned(16)));
    static uint32_t list[1024];
    const uint32_t *from = list;
    uint64_t count = 1024;

    for (unsigned i = 0; i < 1024; i++) {
        request[i].control = __builtin_bswap32(8 | 2); /* select the signature, and read */
        request[i].length = __builtin_bswap32(0x1000000);
        request[i].address = __builtin_bswap64(0x3000000);
        list[i] = __builtin_bswap32((uint32_t)(uintptr_t)&request[i]);
    }
    MMIO32(0x3800000) = 0xa5a5a5a5;
    outl(0x514, 0);
    __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(0x518) : "memory");
    for (unsigned i = 0; i < 1024; i++)
        CHECK(request[i].control == __builtin_bswap32(1));
    CHECK(MMIO32(0x3800000) == 0xa5a5a5a5);
}

void acpi_pm_garbage(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint16_t p = 0x600 + (uint16_t)random_below(0x80);
        (void)inb(p);
        (void)inw(p);
        (void)inl(p);
        if (p < 0x604 || p > 0x607)
            outw(p & ~1U, (uint16_t)random64() & ~0x2000U);
    }
}
