/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without an operating system: it prints a line each second, and answers what
 * is typed. One file, 32 bits, no library: a kernel for `batuta run` and for batuta-hv,
 * on any PC that boots multiboot 1.
 *
 *   examples/hv/build small.elf
 *   batuta run small.elf
 *
 * Two interrupts are all that it does something for: the real-time clock's, once a second, and the
 * serial port's, when a byte has come. In between the processor halts.
 */
#include <stdbool.h>
#include <stdint.h>

#define COM1        0x3f8
#define PIC1        0x20
#define PIC2        0xa0
#define CMOS        0x70
#define PM1_CONTROL 0x604
#define VECTORS     0x20 /* of the interrupt lines 0 to 15 */
#define LINE_SERIAL 4
#define LINE_CLOCK  8

/* Where the boot loader goes in: EBX has its information. */
__asm__(".section .text.start, \"ax\"\n"
        ".align 4\n"
        ".long 0x1badb002, 2, -(0x1badb002 + 2)\n" /* tell about memory, please */
        ".globl _start\n"
        "_start: cli; cld\n"
        "mov $stack + 4096, %esp\n"
        "push %ebx\n"
        "call tick_main\n"
        "1: cli; hlt; jmp 1b\n"
        ".text\n"
        "on_clock: pusha; cld; call clock_ticks; popa; iret\n"
        "on_serial: pusha; cld; call serial_speaks; popa; iret\n");

uint8_t stack[4096] __attribute__((aligned(16)));
extern const char on_clock[], on_serial[];
void tick_main(const uint32_t *info);
void clock_ticks(void);
void serial_speaks(void);

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

/* ---- words ---- */

static void put(char c)
{
    while (!(inb(COM1 + 5) & 0x20))
        ;
    outb(COM1, (uint8_t)c);
}

static void say(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            put('\r');
        put(*text);
    }
}

static void say_number(uint32_t v, unsigned digits)
{
    char text[11];
    unsigned at = sizeof(text) - 1;

    text[at] = 0;
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v || sizeof(text) - 1 - at < digits);
    say(text + at);
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* ---- time ---- */

static volatile uint32_t up; /* seconds */
static volatile bool second_is_over;

static uint8_t cmos(uint8_t reg)
{
    outb(CMOS, reg);
    return inb(CMOS + 1);
}

static void cmos_write(uint8_t reg, uint8_t v)
{
    outb(CMOS, reg);
    outb(CMOS + 1, v);
}

/* The clock counts in decimal digits of four bits, unless told otherwise. */
static uint32_t cmos_number(uint8_t reg)
{
    uint8_t v = cmos(reg);

    return cmos(0xb) & 4 ? v : (v >> 4) * 10U + (v & 15);
}

static void say_time(void)
{
    say_number(cmos_number(4), 2);
    say(":");
    say_number(cmos_number(2), 2);
    say(":");
    say_number(cmos_number(0), 2);
    say(" UTC, up ");
    say_number(up / 3600, 1);
    say(":");
    say_number(up / 60 % 60, 2);
    say(":");
    say_number(up % 60, 2);
}

static void end_of_interrupt(unsigned line)
{
    if (line >= 8)
        outb(PIC2, 0x20);
    outb(PIC1, 0x20);
}

/* The clock has moved on by a second. */
void clock_ticks(void)
{
    if (cmos(0xc) & 0x10) {
        up++;
        second_is_over = true;
    }
    end_of_interrupt(LINE_CLOCK);
}

/* ---- what is typed ---- */

static char line[80];
static volatile unsigned length;
static volatile bool line_is_ready;

void serial_speaks(void)
{
    while (inb(COM1 + 5) & 1) {
        char c = (char)inb(COM1);

        if (line_is_ready)
            continue; /* the last one has not been answered */
        if (c == '\r' || c == '\n') {
            line[length] = 0;
            line_is_ready = true;
            say("\n");
        } else if ((c == 8 || c == 127) && length) {
            length--;
            say("\b \b");
        } else if (c >= ' ' && c < 127 && length < sizeof(line) - 1) {
            line[length++] = c;
            put(c);
        }
    }
    end_of_interrupt(LINE_SERIAL);
}

static bool talkative = true;

static void power_off(void)
{
    uint16_t v = 7 << 10 | 1 << 13; /* S5, as batuta's board calls it, and go */

    say("good-bye\n");
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"((uint16_t)PM1_CONTROL));
}

/* No table of interrupts, and an interrupt: that is the end of a machine. */
static void crash(void)
{
    static const uint8_t none[6];

    say("I am about to crash\n");
    __asm__ volatile("lidt %0; int3" ::"m"(none));
}

static void answer(void)
{
    if (same(line, "time")) {
        say_time();
        say("\n");
    } else if (same(line, "quiet")) {
        talkative = !talkative;
    } else if (same(line, "off")) {
        power_off();
    } else if (same(line, "crash")) {
        crash();
    } else if (same(line, "help")) {
        say("time, quiet (or not), off, crash\n");
    } else if (line[0]) {
        say("you said: ");
        say(line);
        say(" (help tells what I know)\n");
    }
    length = 0;
    line_is_ready = false;
}

/* ---- the machine ---- */

static uint64_t gdt[3] = {0, 0x00cf9a000000ffff, 0x00cf92000000ffff}, idt[256];

static void set_gate(unsigned vector, const char *handler)
{
    uint32_t at = (uint32_t)(uintptr_t)handler;

    idt[vector] = (at & 0xffff) | 8 << 16 | (uint64_t)((at & 0xffff0000) | 0x8e00) << 32;
}

static void load_tables(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } g = {sizeof(gdt) - 1, (uint32_t)(uintptr_t)gdt}, i = {sizeof(idt) - 1, (uint32_t)(uintptr_t)idt};

    __asm__ volatile("lgdt %0; ljmp $8, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss; lidt %2" ::"m"(g),
                     "r"(16), "m"(i)
                     : "memory");
    set_gate(VECTORS + LINE_SERIAL, on_serial);
    set_gate(VECTORS + LINE_CLOCK, on_clock);
}

/* Both interrupt controllers: vectors from VECTORS on, and only our two lines (and the one that joins them).
 */
static void start_interrupts(void)
{
    static const uint8_t setup[][2] = {{VECTORS, VECTORS + 8}, {4, 2}, {1, 1}};

    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    for (unsigned i = 0; i < 3; i++) {
        outb(PIC1 + 1, setup[i][0]);
        outb(PIC2 + 1, setup[i][1]);
    }
    outb(PIC1 + 1, (uint8_t) ~(1 << LINE_SERIAL | 1 << 2));
    outb(PIC2 + 1, (uint8_t) ~(1 << (LINE_CLOCK - 8)));
    cmos_write(0xb, cmos(0xb) | 0x10); /* an interrupt when the time has been updated */
    (void)cmos(0xc);
    outb(COM1 + 4, 0xb); /* lines to the terminal, and to the interrupt controller */
    outb(COM1 + 1, 1);   /* an interrupt when a byte has come */
}

void tick_main(const uint32_t *info)
{
    load_tables();
    outb(COM1 + 3, 3); /* eight bits a byte */
    say("tick: a guest without an operating system");
    if (info[0] & 1) {
        say(", ");
        say_number(info[2] / 1024 + 1, 1);
        say(" MiB of RAM");
    }
    say("; type help\n");
    start_interrupts();
    for (;;) {
        __asm__ volatile("sti; hlt; cli");
        if (line_is_ready)
            answer();
        if (second_is_over && talkative && !length) {
            say("tick: ");
            say_time();
            say("\n");
        }
        second_is_over = false;
    }
}
