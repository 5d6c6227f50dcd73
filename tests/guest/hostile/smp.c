/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attacks by several processors at once, and by code in the old modes: further
 * processors start in real mode wherever and as often as one likes.
 */
#include "tests/guest/kernel/smp.h"
#include "tests/guest/hostile/hostile.h"

#define SOUP 0x10000ULL /* 64 KiB */

/* ---- storms that never end: the VMM must go on answering ---- */

static void storm_ports(unsigned index)
{
    for (;;)
        outb(0x80, (uint8_t)inb(0x61));
}

void smp_port_storm(void)
{
    start_all(storm_ports);
    storm_ports(0);
}

static void storm_mmio(unsigned index)
{
    for (;;) {
        (void)MMIO32(0xfed000f0);
        MMIO32(0xfee00080) = 0;
        (void)MMIO32(0xfec00010);
    }
}

void smp_mmio_storm(void)
{
    start_all(storm_mmio);
    storm_mmio(0);
}

static void storm_ipis(unsigned index)
{
    MMIO32(0xfee000f0) = 0x1ff;
    __asm__ volatile("lidt 0xa800\n\tsti" ::: "memory");
    for (;;)
        send_ipi(0, (index & 1 ? 0x84000 : 0x80000) | (32 + random_below(200)));
}

void smp_ipi_storm(void)
{
    __asm__ volatile("sidt 0xa800" ::: "memory");
    start_all(storm_ipis);
    storm_ipis(0);
}

#define NMI 0x4400U

/* To processors that wait for their start-up IPI. */
void smp_nmi_unstarted(void)
{
    for (unsigned id = 1; id < 4; id++)
        send_ipi(id, NMI);
    for (;;)
        pause_a_little(1000);
}

static void send_nmis(unsigned index)
{
    for (unsigned i = 0; i < 1000; i++) {
        send_ipi(0, NMI);
        pause_a_little(100);
    }
    for (;;)
        pause_a_little(1000);
}

static bool halt_in_nmi(struct trap_frame *frame)
{
    while (frame->vector == 2)
        __asm__ volatile("cli; hlt");
    return false;
}

/* To one that halts in the handler of the first: it has to take none of them, and sleeps for good. */
void smp_nmi_halted(void)
{
    trap_hook = halt_in_nmi;
    start_all(send_nmis);
    for (;;)
        pause_a_little(1000);
}

/* The shortest period that each timer has, unmasked and taken. */
void timer_storm(void)
{
    MMIO32(0xfee000f0) = 0x1ff;
    MMIO32(0xfee003e0) = 0xb;     /* divide by 1 */
    MMIO32(0xfee00320) = 0x20040; /* periodic */
    MMIO32(0xfee00380) = 1;
    for (unsigned pin = 0; pin < 24; pin++) {
        MMIO32(0xfec00000) = 0x11 + pin * 2;
        MMIO32(0xfec00010) = 0;
        MMIO32(0xfec00000) = 0x10 + pin * 2;
        MMIO32(0xfec00010) = 0x50 + pin;
    }
    MMIO64(0xfed00010) = 0;
    for (unsigned t = 0; t < 3; t++) {
        MMIO64(0xfed00100ULL + t * 0x20) = 0x4c | (uint64_t)(16 + t) << 9;
        MMIO64(0xfed00108ULL + t * 0x20) = 1;
        MMIO64(0xfed00108ULL + t * 0x20) = 1;
    }
    MMIO64(0xfed00010) = 1;
    outb(0x43, 0x34);
    outb(0x40, 2);
    outb(0x40, 0);
    outb(0x70, 0xa);
    outb(0x71, 0x21);
    outb(0x70, 0xb);
    outb(0x71, 0x42);
    for (;;)
        __asm__ volatile("sti; pause");
}

static void storm_deadline(unsigned index)
{
    MMIO32(0xfee000f0) = 0x1ff;
    MMIO32(0xfee00320) = 0x40040; /* TSC deadline */
    __asm__ volatile("lidt 0xa800\n\tsti" ::: "memory");
    for (;;)
        wrmsr(0x6e0, 1 + (index & 1 ? rdmsr(0x10) : 0));
}

void smp_deadline_storm(void)
{
    __asm__ volatile("sidt 0xa800" ::: "memory");
    start_all(storm_deadline);
    storm_deadline(0);
}

/* Instructions that take long if one lets them. */
void endless_strings(void)
{
    __asm__ volatile("1: mov $-1, %%rcx; xor %%esi, %%esi; addr32 rep lodsb; jmp 1b" ::
                         : "rcx", "rsi", "rax", "memory");
}

void endless_port_strings(void)
{
    __asm__ volatile("1: mov $-1, %%rcx; mov $0x3000000, %%edi; mov $0x61, %%edx; rep insb; jmp 1b" ::
                         : "rcx", "rdi", "rdx", "memory");
}

/* The first serial port, whose far end may not read. */
void uart_flood(void)
{
    outb(0x3f9, 2);
    outb(0x3fa, 1);
    for (;;)
        outb(0x3f8, '.');
}

/* A message comes on top. */
void uart_flood_and_fault(void)
{
    outb(0x3fa, 1);
    for (unsigned i = 0; i < 300000; i++)
        outb(0x3f8, '.');
    triple_fault();
}

/* ---- code that other processors write ---- */

static uint8_t shared_code[4096 * 2] __attribute__((aligned(4096)));
static volatile bool stop_writing;

static void rewrite_code(unsigned index)
{
    for (uint32_t i = index; !stop_writing; i += 3) {
        MMIO32(shared_code + 4096 - 3) = i;
        MMIO8(shared_code + 64) = i & 1 ? 0x90 : 0xcc;
        MMIO64(shared_code + 1024 + random_below(8) * 8) = random64();
    }
}

static void call_shared(void)
{
    uint32_t r;

    __asm__ volatile("call *%1; call *%2"
                     : "=&a"(r)
                     : "r"(shared_code + 4096 - 4), "r"(shared_code + 64)
                     : "memory");
}

void smp_cross_modifying(void)
{
    shared_code[4096 - 4] = 0xb8;
    shared_code[4097] = 0xc3;
    shared_code[64] = 0x90;
    shared_code[65] = 0xc3;
    start_all(rewrite_code);
    for (unsigned i = 0; i < 300000; i++) {
        int v = try_run(call_shared);
        CHECK(v == -1 || v == 3);
    }
    stop_writing = true;
}

/* INIT and SIPI at all times, to processors in all states. */
void smp_init_storm(void)
{
    start_all(storm_mmio);
    for (unsigned i = 0; i < 5000; i++) {
        send_ipi(1 + random_below(3), 0x4500);
        pause_a_little(random_below(50));
        send_ipi(1 + random_below(3), 0x4608);
        pause_a_little(random_below(500));
        ap_count = 0;
    }
}

/* ---- random code in the old modes ---- */

static void make_old_tables(void)
{
    volatile uint32_t *tss = (volatile uint32_t *)0x9000, *fault_tss = (volatile uint32_t *)0x9100;

    for (unsigned i = 0; i < 0x1100 / 4; i++)
        tss[i] = 0;
    tss[1] = 0x6800;
    tss[2] = 0x10;
    fault_tss[8] = 0xb000; /* EIP */
    fault_tss[9] = 2;
    fault_tss[14] = 0x6400;
    for (unsigned i = 18; i < 24; i++)
        fault_tss[i] = i == 19 ? 0x18 : 0x10;
    for (unsigned v = 0; v < 256; v++) {
        MMIO32(v * 4) = 0x0000b000; /* the real-mode table: 0000:b000 */
        MMIO64(0xa000 + v * 8) = v == 8 ? 0x0000850000380000 : 0x00008e0000180000 | 0xb000;
    }
    MMIO32(0xb000) = 0xfdebf4fa; /* cli; hlt; jmp */
}

/* Random code without OUT, which could end the machine by the debug exit or the reset ports. */
static void fill_old_soup(unsigned round)
{
    static const uint32_t likely[] = {0x9a669a9a, 0xcfcfcfea, 0x220f010f, 0x8e0fb28e, 0x1e0fa90f, 0xcd669d66};

    for (unsigned i = 0; i < 512; i += 8)
        MMIO64(SOUP + i) = random64();
    for (unsigned i = 0; round & 4 && i < 4; i++) /* what belongs to these modes */
        MMIO32(SOUP + random_below(24)) = likely[random_below(6)];
    for (unsigned i = 0; i < 512; i++) {
        uint8_t b = MMIO8(SOUP + i);
        if ((b & 0xf6) == 0xe6 || (b & 0xfe) == 0x6e)
            MMIO8(SOUP + i) = 0x90;
    }
}

void smp_old_modes(void)
{
    for (uint64_t n = rdmsr(0x10) % 65536; n; n--)
        random64();
    print("random from ");
    print_hex(random64());
    print("; this one may end in a triple fault\n");
    MMIO32(0xfee000f0) = 0x1ff;
    for (unsigned i = 0; i < 4000; i++) {
        make_old_tables();
        fill_old_soup(i);
        place_trampoline(1 + i % 4);
        send_ipi(1, 0x4500);
        send_ipi(1, 0x4608);
        pause_a_little(300);
    }
    send_ipi(1, 0x4500);
}
