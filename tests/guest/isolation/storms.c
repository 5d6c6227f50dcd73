/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests that want all of the machine, for ever, on every processor that they have. */
#include "tests/guest/hostile/virtio-driver.h"
#include "tests/guest/isolation/isolation.h"

static void everywhere(void (*storm)(unsigned index))
{
    print("storm\n");
    start_all(storm);
    storm(0);
}

static void cpuids(unsigned index)
{
    for (;;)
        cpuid(0, 0);
}

void storm_cpuid(void)
{
    everywhere(cpuids);
}

static void ports(unsigned index)
{
    for (;;) {
        outb(0x80, inb(0x61));
        (void)inl(PM_TIMER);
    }
}

void storm_ports(void)
{
    everywhere(ports);
}

static void mmios(unsigned index)
{
    for (;;) {
        (void)hpet_counter();
        (void)MMIO32(IOAPIC + 0x10);
        MMIO32(0xc0000000) = 1;
    }
}

void storm_mmio(void)
{
    everywhere(mmios);
}

static void read_and_write_msrs(void)
{
    for (;;) {
        wrmsr(0x277, rdmsr(0x277));
        wrmsr(0xc0000082, 0xffffffff80000000);
        wrmsr(0x8b, 0);
        (void)rdmsr(0x1b);
        (void)rdmsr(0xc0010114); /* this one traps: and again */
    }
}

void storm_msr(void)
{
    print("storm\n");
    for (;;)
        try_run(read_and_write_msrs);
}

static void halts(unsigned index)
{
    lapic_on();
    MMIO32(LAPIC_LVTT) = 0x20040; /* periodic, as fast as may be */
    MMIO32(LAPIC_TICR) = 1;
    for (;;)
        __asm__ volatile("sti; hlt");
}

void storm_halt(void)
{
    everywhere(halts);
}

static void pauses(unsigned index)
{
    for (;;)
        __asm__ volatile("pause; pause; pause; pause");
}

void storm_pause(void)
{
    everywhere(pauses);
}

static void ipis(unsigned index)
{
    lapic_on();
    __asm__ volatile("sti");
    for (;;) {
        MMIO32(LAPIC_ICR) = 0x44000 | (0x30 + random_below(0xc0)); /* to itself */
        MMIO32(LAPIC_ICR) = 0xc4000 | (0x30 + random_below(0xc0)); /* to all others */
        send_ipi(0xff, 0x4400);                                    /* NMI to everybody */
    }
}

void storm_ipi(void)
{
    everywhere(ipis);
}

static void page_fault(void)
{
    (void)MMIO8(1ULL << 46);
}

void storm_page_faults(void)
{
    print("storm\n");
    for (;;)
        try_run(page_fault);
}

/* Memory that there is not: each access leaves the guest, and RAM that it touches for the first time. */
static void nested_faults(unsigned index)
{
    uint64_t at = ram_end();

    for (;;) {
        (void)MMIO64(0x70000000 + (at & 0xffff000));
        MMIO32(0x78000000 + (at & 0x7fff000)) = 5;
        at += 4096;
    }
}

void storm_nested_faults(void)
{
    everywhere(nested_faults);
}

static void flushes(unsigned index)
{
    uint64_t cr4 = read_cr4();

    for (;;) {
        flush_tlb();
        write_cr4(cr4 ^ 0x80);
        write_cr4(cr4);
        for (uint64_t at = FREE_RAM; at < FREE_RAM + 0x1000000; at += 0x40000) {
            invlpg(at);
            (void)MMIO8(at);
        }
    }
}

void storm_tlb(void)
{
    everywhere(flushes);
}

static void deadlines(unsigned index)
{
    bool deadline = has_bit(1, 0, 'c', 24);

    lapic_on();
    MMIO32(LAPIC_LVTT) = deadline ? 0x40040 : 0x40;
    __asm__ volatile("sti");
    for (;;) {
        if (deadline)
            wrmsr(0x6e0, rdtsc() + 100);
        else
            MMIO32(LAPIC_TICR) = 100;
    }
}

void storm_timer(void)
{
    everywhere(deadlines);
}

static void talk(unsigned index)
{
    for (;;) {
        for (char c = ' '; c < 127; c++)
            outb(0x3f8, (uint8_t)c);
    }
}

void storm_console(void)
{
    everywhere(talk);
}

/* As many requests as the queue holds, all the time; reads, since the disk is the harness's. */
void storm_disk(void)
{
    struct vdev d;
    struct vqueue *q;

    vdev_find(&d, ID_BLK);
    vdev_start(&d, 0);
    q = &d.q[0];
    print("storm\n");
    for (uint64_t n = 0;; n++) {
        unsigned slots = q->size / 3U;

        for (unsigned i = 0; i < slots; i++) {
            uint64_t at = DATA + i * 0x11000ULL;

            MMIO64(at) = 0;
            MMIO64(at + 8) = n % 64;
            vq_desc(q, 3 * i, at, 16, D_NEXT, 3 * i + 1);
            vq_desc(q, 3 * i + 1, at + 4096, 0x8000, D_NEXT | D_WRITE, 3 * i + 2);
            vq_desc(q, 3 * i + 2, at + 64, 1, D_WRITE, 0);
            vq_offer(q, (uint16_t)(3 * i));
            vq_notify(q, 0);
        }
        for (unsigned i = 0; i < slots && vq_wait(&d, 0, NULL); i++)
            ;
    }
}

/* Broadcasts: everybody in the segment must look at them. */
void storm_network(void)
{
    struct vdev d;
    struct vqueue *q;

    vdev_find(&d, ID_NET);
    vdev_start(&d, 0);
    q = &d.q[1];
    for (unsigned i = 0; i < 12; i++)
        MMIO8(DATA + i) = 0;
    memset((void *)(DATA + 12), 0xff, 6); /* to all */
    memset((void *)(DATA + 18), 0x52, 6); /* from somebody */
    MMIO16(DATA + 24) = 0x0608;           /* ARP */
    memset((void *)(DATA + 26), 0x11, 1488);
    print("storm\n");
    for (;;) {
        for (unsigned i = 0; i < q->size; i++) {
            vq_desc(q, i, DATA, 12 + 1514, 0, 0);
            vq_offer(q, (uint16_t)i);
        }
        vq_notify(q, 1);
        for (unsigned i = 0; i < q->size && vq_wait(&d, 1, NULL); i++)
            ;
    }
}

static void caches(unsigned index)
{
    for (;;) {
        write_cr0(read_cr0() | 1 << 30);
        __asm__ volatile("wbinvd; invd; wbinvd" ::: "memory");
        write_cr0(read_cr0() & ~(1ULL << 30));
    }
}

void storm_cache(void)
{
    everywhere(caches);
}

/* Debug registers and task switches of the FPU, which hypervisors like to be lazy about. */
static void registers(unsigned index)
{
    uint64_t cr0 = read_cr0();

    for (;;) {
        write_dr7(0x400 | 0x55);
        write_dr0(random64());
        write_cr0(cr0 | 8);
        __asm__ volatile("clts");
        write_cr8(random_below(16));
        write_dr7(0x400);
    }
}

void storm_modes(void)
{
    everywhere(registers);
}

static void spin(unsigned index)
{
    __asm__ volatile("cli; 1: jmp 1b");
}

void storm_spin(void)
{
    everywhere(spin);
}

/* Nobody counts these: a reboot is no crash. */
void reboot_at_once(void)
{
    print("storm\n");
    for (;;)
        outb(0xcf9, 6);
}

/* Under a policy of restarting, this is a loop of starts. */
void storm_crash(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } none = {0, 0};

    print("storm\n");
    __asm__ volatile("lidt %0; int3" ::"m"(none));
}
