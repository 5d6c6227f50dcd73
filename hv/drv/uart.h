/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's serial line. */
#ifndef HV_DRV_UART_H
#define HV_DRV_UART_H

#include "core/chardev.h"

/*
 * The UART of hv/console.h, driven by interrupts from now on (a panic still writes past
 * them). Calls come in interrupts, one at a time, with nothing held; it may be written to
 * from any thread. NULL: there is none, or nobody knows its interrupt.
 */
struct chardev *uart_open(void);

#endif
