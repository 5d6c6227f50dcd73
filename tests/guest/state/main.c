/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that uses all of the machine at once, for tests that save it somewhere and go on elsewhere. What it
 * prints says nothing of time, so that it is the same for every run, interrupted or not.
 *
 * Words of its command line: "net" (there is a NIC, and something that answers ARP at 10.0.2.2), "smp" (two
 * processors).
 */
#include "tests/guest/hostile/virtio-driver.h"
#include "tests/guest/kernel/laws.h"
#include "tests/guest/kernel/smp.h"

#define ROUNDS       80U
#define LAPIC        0xfee00000ULL
#define IOAPIC       0xfec00000ULL
#define HPET_COUNTER 0xfed000f0ULL
#define PM_TIMER     0x608
#define TICK         1000000U /* local APIC timer's counts: a millisecond */
#define BLOCK        512U
#define BLOCKS       32U
#define PCI_CAP_MSIX 0x11U

enum vector { V_LAPIC = 0x40, V_PIT, V_RTC, V_SERIAL, V_DISK = 0x50, V_NET, V_RNG, V_PING = 0x60, V_PONG };

static volatile uint64_t kvm_clock[4] __attribute__((aligned(64))); /* pvclock_vcpu_time_info */
static uint64_t hash = 1;

/* ---- words: the serial port takes them by interrupts ---- */

static char ring[4096];
static volatile unsigned ring_in, ring_out;

static void serial_interrupt(void)
{
    while (ring_out != ring_in && inb(0x3fd) & 0x20)
        outb(0x3f8, (uint8_t)ring[ring_out++ % sizeof(ring)]);
    if (ring_out == ring_in)
        outb(0x3f9, 0);
}

/* Interrupts off. */
static void say(const char *text)
{
    while (*text)
        ring[ring_in++ % sizeof(ring)] = *text++;
    outb(0x3f9, 2); /* an interrupt when the transmitter is empty */
}

static void say_number(uint64_t value, unsigned digits)
{
    char text[17];

    text[digits] = 0;
    while (digits--) {
        text[digits] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
    say(text);
}

/* ---- interrupts ---- */

static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector < 32)
        return false;
    if (frame->vector == V_SERIAL)
        serial_interrupt();
    if (frame->vector == V_RTC) {
        outb(0x70, 0xc);
        (void)inb(0x71);
    }
    MMIO32(LAPIC + 0xb0) = 0;
    if (frame->vector == V_PING)
        send_ipi(0, V_PONG);
    return true;
}

static void route(unsigned pin, enum vector vector)
{
    MMIO32(IOAPIC) = 0x11 + pin * 2;
    MMIO32(IOAPIC + 0x10) = 0;
    MMIO32(IOAPIC) = 0x10 + pin * 2;
    MMIO32(IOAPIC + 0x10) = vector;
}

static void start_clocks(void)
{
    MMIO32(LAPIC + 0xf0) = 0x1ff; /* before others send it what they will not repeat */
    route(2, V_PIT);
    route(8, V_RTC);
    route(4, V_SERIAL);
    outb(0x3fc, 0xb); /* the serial port's line to the interrupt controller */
    outb(0x43, 0x34); /* channel 0, mode 2: 700 times a second */
    outb(0x40, 1705 & 0xff);
    outb(0x40, 1705 >> 8);
    outb(0x70, 0xa);
    outb(0x71, 0x28); /* 256 Hz */
    outb(0x70, 0xb);
    outb(0x71, 0x42);            /* the periodic interrupt */
    MMIO32(0xfed00010) = 1;      /* the HPET counts */
    MMIO32(LAPIC + 0x3e0) = 0xb; /* divide by 1 */
    MMIO32(LAPIC + 0x320) = 0x20000 | V_LAPIC;
    MMIO32(LAPIC + 0x380) = TICK;
    wrmsr(0x4b564d01, (uintptr_t)kvm_clock | 1);
}

/* Interrupts off, before and after. */
static void next_tick(void)
{
    uint64_t was = trap_count[V_LAPIC];

    while (trap_count[V_LAPIC] == was)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* ---- no clock goes back, and none stands still over a tick ---- */

static uint64_t tsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return lo | (uint64_t)hi << 32;
}

static uint64_t kvm_now(void)
{
    uint64_t scaled = tsc() - kvm_clock[1];
    int8_t shift = (int8_t)(kvm_clock[3] >> 32);

    scaled = shift < 0 ? scaled >> -shift : scaled << shift;
    return kvm_clock[2] + (uint64_t)((unsigned __int128)scaled * (uint32_t)kvm_clock[3] >> 32);
}

static void check_clocks(void)
{
    static uint64_t last_tsc, last_hpet, last_kvm;
    static uint32_t last_pm;
    uint64_t now = tsc(), hpet = MMIO64(HPET_COUNTER), kvm = kvm_now();
    uint32_t pm = inl(PM_TIMER);

    CHECK(now > last_tsc && hpet > last_hpet && kvm > last_kvm);
    CHECK(pm != last_pm); /* it wraps */
    last_tsc = now;
    last_hpet = hpet;
    last_kvm = kvm;
    last_pm = pm;
}

/* ---- virtio ---- */

/* Table of MSI-X in its BAR; all vectors send the same interrupt. */
static void arm_msix(struct vdev *d, enum vector vector)
{
    unsigned cap = pci_read(d->devfn, 0x34) & 0xff, bar;
    uint64_t table;

    while (cap && (pci_read(d->devfn, cap) & 0xff) != PCI_CAP_MSIX)
        cap = pci_read(d->devfn, cap) >> 8 & 0xff;
    CHECK(cap);
    bar = pci_read(d->devfn, cap + 4);
    table = (pci_read(d->devfn, 0x10 + 4 * (bar & 7)) & ~15U) + (bar & ~7U);
    for (unsigned i = 0; i <= d->queues; i++) {
        MMIO32(table + i * 16) = LAPIC;
        MMIO32(table + i * 16 + 4) = 0;
        MMIO32(table + i * 16 + 8) = vector;
        MMIO32(table + i * 16 + 12) = 0;
    }
    pci_write(d->devfn, cap, pci_read(d->devfn, cap) | 0x80000000U);
}

/* vdev_start() with rings of their own for each device, and interrupts. */
static void start(struct vdev *d, enum virtio_id id, enum vector vector)
{
    vdev_find(d, id);
    arm_msix(d, vector);
    vdev_begin(d, 0);
    CHECK(vdev_status(d) & ST_FEATURES_OK);
    for (unsigned i = 0; i < d->queues && i < 2; i++) {
        struct vqueue *q = &d->q[i];
        uint64_t at = RINGS + ((unsigned)id * 2 + i) * RING_PAGES * 4096ULL;

        common_write16(d, C_QUEUE_SELECT, (uint16_t)i);
        q->size = q->max = 16;
        q->desc = (volatile struct vdesc *)at;
        q->avail = (volatile uint16_t *)(at + 4096);
        q->used = (volatile uint16_t *)(at + 8192);
        q->result = (volatile struct vused_elem *)(at + 8196);
        q->notify = d->notify + (uint64_t)common16(d, C_QUEUE_NOTIFY_OFF) * d->notify_step;
        common_write16(d, C_QUEUE_SIZE, q->size);
        common_write16(d, C_QUEUE_VECTOR, (uint16_t)(i + 1));
        CHECK(common16(d, C_QUEUE_VECTOR) == i + 1);
        common_write64(d, C_QUEUE_DESC, (uintptr_t)q->desc);
        common_write64(d, C_QUEUE_DRIVER, (uintptr_t)q->avail);
        common_write64(d, C_QUEUE_DEVICE, (uintptr_t)q->used);
        vq_enable(d, i);
    }
    vdev_add_status(d, ST_DRIVER_OK);
    CHECK((vdev_status(d) & (ST_DRIVER_OK | ST_NEEDS_RESET)) == ST_DRIVER_OK);
}

static void offer(struct vdev *d, unsigned index, uint16_t head)
{
    vq_offer(&d->q[index], head);
    vq_notify(&d->q[index], index);
}

/* Waits for the next used buffer by interrupts, or by a tick that comes in any case. */
static uint32_t finish_one(struct vdev *d, unsigned index)
{
    struct vqueue *q = &d->q[index];
    uint32_t len;

    for (unsigned i = 0; q->used[1] == q->seen; i++) {
        CHECK(i < 20000);
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
    len = q->result[q->seen % q->size].len;
    q->seen++;
    return len;
}

/* ---- the disk ---- */

static struct vdev disk;
static uint64_t content[BLOCKS]; /* the seed of what a block holds; 0: nothing yet */

static uint64_t mix(uint64_t v)
{
    v ^= v >> 31;
    v *= 0x7fb5d329728ea185ULL;
    return v ^ v >> 27;
}

static void disk_do(bool write, unsigned block, uint64_t *data)
{
    static struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    static volatile uint8_t status;
    struct vqueue *q = &disk.q[0];

    header.type = write;
    header.sector = block;
    status = 0xff;
    vq_desc(q, 0, (uintptr_t)&header, 16, D_NEXT, 1);
    vq_desc(q, 1, (uintptr_t)data, BLOCK, D_NEXT | (write ? 0 : D_WRITE), 2);
    vq_desc(q, 2, (uintptr_t)&status, 1, D_WRITE, 0);
    offer(&disk, 0, 0);
    (void)finish_one(&disk, 0);
    CHECK(status == 0);
}

static void disk_round(unsigned round)
{
    static uint64_t data[BLOCK / 8];
    unsigned to = round * 7 % BLOCKS, from = round * 5 % BLOCKS;

    content[to] = mix(hash + round) | 1;
    for (unsigned i = 0; i < BLOCK / 8; i++)
        data[i] = mix(content[to] + i);
    disk_do(true, to, data);
    disk_do(false, from, data);
    for (unsigned i = 0; i < BLOCK / 8; i++) {
        CHECK(data[i] == (content[from] ? mix(content[from] + i) : 0));
        hash = mix(hash + data[i]);
    }
}

/* ---- random numbers: a request is always under way ---- */

static struct vdev rng;
static uint64_t random[4];

static void rng_ask(void)
{
    vq_desc(&rng.q[0], 0, (uintptr_t)random, sizeof(random), D_WRITE, 0);
    offer(&rng, 0, 0);
}

static void rng_round(void)
{
    static uint64_t last;

    CHECK(finish_one(&rng, 0) == sizeof(random));
    CHECK(random[0] != last);
    last = random[0];
    rng_ask();
}

/* ---- the network: who has 10.0.2.2? ---- */

#define NET_HEADER 12U
#define BUFFERS    8U

static struct vdev nic;
static uint8_t received[BUFFERS][2048], sent[NET_HEADER + 60];

static void net_start(void)
{
    static const uint8_t ask[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0,  6, 4, 0,
        1,    0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0, 2,    15,   0,    0, 0, 0, 0, 0, 10, 0, 2, 2};

    start(&nic, ID_NET, V_NET);
    memcpy(sent + NET_HEADER, ask, sizeof(ask));
    for (uint16_t i = 0; i < BUFFERS; i++) {
        vq_desc(&nic.q[0], i, (uintptr_t)received[i], sizeof(received[i]), D_WRITE, 0);
        offer(&nic, 0, i);
    }
}

static bool is_answer(const uint8_t *frame)
{
    static const uint8_t from[] = {10, 0, 2, 2};

    for (unsigned i = 0; i < 4; i++) {
        if (frame[28 + i] != from[i])
            return false;
    }
    return frame[12] == 8 && frame[13] == 6 && frame[21] == 2;
}

/* Takes what has come; is one of it the answer? */
static bool net_look(void)
{
    struct vqueue *q = &nic.q[0];
    bool answered = false;

    while (q->used[1] != q->seen) {
        uint16_t head = (uint16_t)q->result[q->seen++ % q->size].id;

        CHECK(head < BUFFERS);
        answered |= is_answer(received[head] + NET_HEADER);
        offer(&nic, 0, head);
    }
    return answered;
}

/* A network may lose a frame, as when its machine moves: asked again after ten ticks. */
static void net_round(void)
{
    for (unsigned again = 0;; again++) {
        CHECK(again < 50);
        vq_desc(&nic.q[1], 0, (uintptr_t)sent, sizeof(sent), 0, 0);
        offer(&nic, 1, 0);
        (void)finish_one(&nic, 1);
        for (unsigned ticks = 0; ticks < 10; ticks++) {
            if (net_look())
                return;
            next_tick();
        }
    }
}

/* ---- the other processor ---- */

static volatile uint64_t pings;

static void other(unsigned index)
{
    MMIO32(LAPIC + 0xf0) = 0x1ff;
    for (;;) {
        __asm__ volatile("sti; hlt; cli" ::: "memory");
        pings = trap_count[V_PING];
    }
}

static void smp_round(void)
{
    uint64_t was = trap_count[V_PONG];

    send_ipi(1, V_PING);
    for (unsigned i = 0; trap_count[V_PONG] == was; i++) {
        CHECK(i < 20000);
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
}

/* ---- what a processor holds beside its general registers ---- */

static const double vector_value[2] = {2.718281828, 3.141592653};

static void fill_registers(void)
{
    __asm__ volatile("fninit; fldpi; movupd %0, %%xmm7" ::"m"(vector_value));
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr3" ::"r"(0x1234567ULL), "r"(0x7654321ULL));
    wrmsr(0xc0000102, 0xffff888012345678); /* KERNEL_GS_BASE */
    wrmsr(0x277, 0x0007010600070106);      /* PAT */
}

static void check_registers(void)
{
    uint64_t found[2], dr0, dr3;
    uint8_t pi[10];
    static const uint8_t right[10] = {0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40};

    __asm__ volatile("movdqu %%xmm7, %0; fstpt %1; fldpi; mov %%dr0, %2; mov %%dr3, %3"
                     : "=m"(found), "=m"(pi), "=r"(dr0), "=r"(dr3));
    for (unsigned i = 0; i < 16; i++)
        CHECK(((uint8_t *)found)[i] == ((const uint8_t *)vector_value)[i]);
    for (unsigned i = 0; i < 10; i++)
        CHECK(pi[i] == right[i]);
    CHECK(dr0 == 0x1234567 && dr3 == 0x7654321);
    CHECK(rdmsr(0xc0000102) == 0xffff888012345678 && rdmsr(0x277) == 0x0007010600070106);
}

/* ---- all of it ---- */

static void state(void)
{
    bool net = told("net"), smp = told("smp");

    trap_hook = on_trap;
    start_clocks();
    start(&disk, ID_BLK, V_DISK);
    start(&rng, ID_RNG, V_RNG);
    rng_ask();
    if (net)
        net_start();
    if (smp)
        CHECK(start_all(other) == 1);
    fill_registers();
    for (unsigned round = 1; round <= ROUNDS; round++) {
        next_tick();
        check_clocks();
        check_registers();
        disk_round(round);
        rng_round();
        if (net)
            net_round();
        if (smp)
            smp_round();
        say("round ");
        say_number(round, 2);
        say(" ");
        say_number(hash, 16);
        say("\n");
    }
    CHECK(trap_count[V_PIT] > 3 && trap_count[V_RTC] > 3);
    CHECK(trap_count[V_DISK] > 3 && trap_count[V_RNG] > 3);
    while (ring_out != ring_in)
        next_tick();
}

const struct test tests[] = {V(1, state), {NULL}};
