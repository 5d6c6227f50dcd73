/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI fixed hardware (ACPI 6.4 chapter 4.8) laid out as in the ICH9 (datasheet
 * section 13.8): PM1a event and control blocks, PM timer, GPE0; and the reset
 * registers at 0xcf9 and 0x92. SCI is GSI 9. ACPI mode is always on; of the
 * sleeping states there is S5.
 */
#ifndef DEV_TIMER_PM_H
#define DEV_TIMER_PM_H

#include "core/vm.h"

#define PM_BASE     0x600U /* as pm_create() maps it; firmware may move it by the LPC bridge */
#define PM_SIZE     0x80U
#define PM_SCI_GSI  9U
#define PM_TIMER_HZ 3579545U
#define PM_S5_TYPE  7U /* SLP_TYP of S5 */

/* Offsets from PM_BASE */
#define PM1_STS        0x00U
#define PM1_EN         0x02U
#define PM1_CNT        0x04U
#define PM1_TMR        0x08U
#define PM_GPE0        0x20U /* 8 bytes of status, 8 of enables */

#define PM_RESET_PORT  0xcf9U
#define PM_RESET_VALUE 0x0eU

struct pm;

int pm_create(struct vm *vm, struct pm **out);
/* Moves the block to a base (a multiple of PM_SIZE), or hides it (0). */
void pm_move(struct pm *pm, uint16_t base);
/* A part of the block that moves with it; it outlives us. */
struct tco;
void pm_set_watchdog(struct pm *pm, struct tco *tco);
/* Presses the power button: PWRBTN_STS, an SCI if the guest wants it, and VM_EVENT_POWERDOWN. Lock held. */
void pm_power_button(struct vm *vm);

#endif
