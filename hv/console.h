/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first console and the panics': a 16550 that is written to by polling, and the
 * screen as the loader left it (VGA text, or a framebuffer). "console=com1", "com2",
 * "0x<port>" and "none" on the command line say which UART; the screen is written, too.
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include "base/base.h"

void console_open(void);
/* Another UART (0: none), at 115200 / divisor baud. Nothing is being written. */
void console_use(uint16_t port, unsigned divisor);
/* Once the page tables are ours: where the screen's memory is now. */
void console_remap(void);
/* "\n" becomes "\r\n" on the UART. The caller serializes. */
void console_write(const char *text, size_t len);

/* The UART: its first port, 0: there is none. */
uint16_t console_uart(void);

/* Is anything shown there? */
void screen_enable(bool on);
/* Only the screen: for who has taken the UART over. */
void screen_write(const char *text, size_t len);

#endif
