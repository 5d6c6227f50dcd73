/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 16550A UART (National Semiconductor PC16550D data sheet): COM1 to COM4 of a
 * PC. The far end is a chardev; a slow one fills the transmitter, which then says
 * so, and nothing is lost. Bytes take no time on the wire.
 */
#ifndef DEV_SERIAL_UART16550_H
#define DEV_SERIAL_UART16550_H

#include "core/chardev.h"
#include "core/vm.h"

#define UART_PORTS 4U

/* Base port and interrupt of COM(n + 1). */
struct uart_location {
    uint16_t port;
    uint8_t irq;
};
extern const struct uart_location uart_location[UART_PORTS];

/* n: 0..3. The chardev (NULL: nobody listens) stays the caller's and outlives the device. */
int uart_create(struct vm *vm, unsigned n, struct chardev *chardev);

#endif
