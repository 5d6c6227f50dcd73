/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550 (PC16550D data sheet), 8 bits, no parity. */
#include "hv/console.h"

#include "hv/boot/boot-info.h"
#include "hv/cpu/insn.h"

#define UART_DATA    0
#define UART_IER     1
#define UART_FCR     2
#define UART_LCR     3
#define UART_MCR     4
#define UART_LSR     5
#define UART_SCRATCH 7
#define LSR_EMPTY    0x20

static uint16_t uart;

static uint16_t parse_port(const char *text)
{
    uint32_t v = 0;

    for (text += 2; *text; text++) {
        char c = *text | 0x20;

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return 0;
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return (uint16_t)v;
}

void console_open(void)
{
    char buf[16];
    const char *wanted = boot_option("console", buf, sizeof(buf));
    uint16_t port = 0x3f8;

    if (wanted && wanted[0] == '0' && wanted[1] == 'x')
        port = parse_port(wanted);
    else if (boot_option_is("console", "com2"))
        port = 0x2f8;
    else if (boot_option_is("console", "none"))
        port = 0;
    console_use(port, 1);
}

void console_use(uint16_t port, unsigned divisor)
{
    uart = 0;
    if (!port)
        return;
    outb(port + UART_SCRATCH, 0x5a);
    if (inb(port + UART_SCRATCH) != 0x5a)
        return;
    outb(port + UART_IER, 0);
    outb(port + UART_LCR, 0x80);
    outb(port + UART_DATA, (uint8_t)divisor);
    outb(port + UART_IER, (uint8_t)(divisor >> 8));
    outb(port + UART_LCR, 3);
    outb(port + UART_FCR, 7);
    outb(port + UART_MCR, 0x0b); /* DTR, RTS; OUT2, which on a PC lets interrupts through */
    uart = port;
}

uint16_t console_uart(void)
{
    return uart;
}

static void uart_put(char c)
{
    if (!uart)
        return;
    /* At most a few characters' time: a UART that is stuck must not stop us. */
    for (unsigned i = 0; i < 100000 && !(inb(uart + UART_LSR) & LSR_EMPTY); i++)
        cpu_pause();
    outb(uart + UART_DATA, (uint8_t)c);
}

void console_write(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            uart_put('\r');
        uart_put(text[i]);
    }
    screen_write(text, len);
}
