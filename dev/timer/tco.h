/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chipset's watchdog (ICH9 datasheet section 13.9, "TCO"): a counter of 0.6 s ticks
 * that the guest reloads. When it runs out the first time it says so in TCO1_STS;
 * the second time VM_EVENT_WATCHDOG is told and the VM is reset. It stands still until the
 * guest lets it count, or counts from power-on if the board was told so. Drivers find
 * it by the ACPI table WDAT. Of the block's other functions there are none.
 */
#ifndef DEV_TIMER_TCO_H
#define DEV_TIMER_TCO_H

#include "core/vm.h"

#define TCO_OFFSET 0x60U /* from the power management block's base */
#define TCO_SIZE   0x20U

/* Offsets */
#define TCO_RLD          0x00U
#define TCO1_STS         0x04U
#define TCO2_STS         0x06U
#define TCO1_CNT         0x08U
#define TCO2_CNT         0x0aU
#define TCO_TMR          0x12U

#define TCO1_STS_TIMEOUT BIT(3)
#define TCO2_STS_SECOND  BIT(1) /* it has reset the machine; stays over the reset */
#define TCO1_CNT_HALT    BIT(11)

#define TCO_TICK_MS      600U
#define TCO_TICKS_MIN    4U
#define TCO_TICKS_MAX    0x3ffU

struct tco;

/* seconds: it counts from power-on, so that it fires after so long (0: not until the guest says so). */
int tco_create(struct vm *vm, unsigned seconds, struct tco **out);
/* Follows the power management block; 0: hidden. */
void tco_move(struct tco *tco, uint16_t pm_base);

#endif
