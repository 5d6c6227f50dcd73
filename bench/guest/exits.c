/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What exits cost a guest: the same program under batuta-hv, KVM and Xen (bench/hv-exits), in ticks of the
 * TSC, which in QEMU with -icount shift=0 is the number of instructions that the machine has executed. Says a
 * line for each, on the serial port and on port 0xe9.
 *
 * Multiboot 1, or Xen's PVH by the note (that gives no command line: it brings its own).
 */
#include "tests/guest/kernel/laws.h"
#include "tests/guest/kernel/smp.h"

#define LAPIC 0xfee00000ULL
#define TIMES 1000U
#define FIRST 0x1000000ULL /* memory that nobody has touched */

enum vector { V_SELF = 0x53, V_PING, V_PONG };

__asm__(".pushsection .note.Xen, \"a\", @note\n"
        ".long 4, 4, 18\n" /* XEN_ELFNOTE_PHYS32_ENTRY */
        ".asciz \"Xen\"\n"
        ".long pvh_start\n"
        ".popsection\n"
        ".text; .code32\n"
        "pvh_start: mov $0x2badb002, %eax; mov $pvh_info, %ebx; jmp _start\n"
        ".code64\n"
        ".pushsection .data\n"
        "pvh_info: .long 4, 0, 0, 0, pvh_line\n" /* multiboot's flags: a command line */
        "pvh_line: .asciz \"exits\"\n"
        ".popsection\n");

static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector < 32)
        return false;
    MMIO32(LAPIC + 0xb0) = 0;
    if (frame->vector == V_PING)
        send_ipi(0, V_PONG);
    return true;
}

static uint64_t tsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return lo | (uint64_t)hi << 32;
}

/* Decimal, on both ports. */
static void say(const char *name, uint64_t ticks)
{
    char text[24];
    unsigned at = sizeof(text) - 1;

    text[at] = 0;
    text[--at] = '\n';
    do {
        text[--at] = (char)('0' + ticks % 10);
        ticks /= 10;
    } while (ticks);
    for (unsigned part = 0; part < 3; part++) {
        const char *words = part == 0 ? name : part == 1 ? " " : text + at;

        print(words);
        while (*words)
            outb(0xe9, (uint8_t)*words++);
    }
}

static void cpuid(void)
{
    uint32_t a = 0, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void port(void)
{
    outl(0xcf8, 0);
}

static void mmio(void)
{
    (void)MMIO32(LAPIC + 0x30);
}

static void page(void)
{
    static uint64_t at = FIRST;

    *(volatile uint8_t *)at = 1;
    at += 4096;
}

static void self(void)
{
    uint64_t was = trap_count[V_SELF];

    MMIO32(LAPIC + 0x300) = 0x40000 | V_SELF; /* to itself */
    while (trap_count[V_SELF] == was)
        __asm__ volatile("pause");
}

/* There and back: each of the two halts until the other's interrupt comes. */
static void ping(void)
{
    uint64_t was = trap_count[V_PONG];

    __asm__ volatile("cli");
    send_ipi(0, 0xc0000 | V_PING); /* to all but itself: not each hypervisor numbers them alike */
    while (trap_count[V_PONG] == was)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
}

static void other(unsigned index)
{
    MMIO32(LAPIC + 0xf0) = 0x1ff;
    for (;;)
        __asm__ volatile("sti; hlt" ::: "memory");
}

static void nothing(void)
{
}

static uint64_t cost(void (*fn)(void), unsigned divide)
{
    uint64_t from;

    for (unsigned i = 0; i < 10 && fn != page; i++)
        fn();
    from = tsc();
    for (unsigned i = 0; i < TIMES; i++)
        fn();
    return (tsc() - from) / TIMES / divide;
}

/* Each less the call and the loop. */
static void exits(void)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } rows[] = {{"cpuid", cpuid}, {"port", port}, {"mmio", mmio}, {"page", page}};
    uint64_t loop = cost(nothing, 1);

    trap_hook = on_trap;
    MMIO32(LAPIC + 0xf0) = 0x1ff;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        say(rows[i].name, cost(rows[i].fn, 1) - loop);
    __asm__ volatile("sti");
    say("self", cost(self, 1) - loop);
    __asm__ volatile("cli");
    start_others(1, other);
    say("ipi", cost(ping, 2) - loop);
    say("end", 0);
}

const struct test tests[] = {V(3, exits), {NULL}};
