/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c's second half: the devices of the machine and what is behind them. */
#ifndef VMM_BOARD_H
#define VMM_BOARD_H

#include "vmm/vmm.h"

/* Makes every device that the options ask for; consoles exist already. */
int board_make(struct vmm *vmm, struct error *err);
/* What firmware would have done, and its tables, before the kernel is loaded; at each reset. */
int board_without_firmware(struct vmm *vmm, struct error *err);
/* After vm_finish(). */
void board_finish(struct vmm *vmm);

#endif
