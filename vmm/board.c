/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"
#include "dev/irq/pic.h"
#include "dev/pci/host.h"
#include "dev/pci/ich9-lpc.h"
#include "dev/serial/uart16550.h"
#include "dev/timer/pit.h"
#include "dev/timer/pm.h"
#include "dev/timer/rtc.h"

struct board {
    struct pci_bus *pci;
    struct pm *pm;
    struct lpc *lpc;
};

static void press_power(struct vmm *vmm)
{
    pm_power_button(&vmm->vm);
}

int board_make(struct vmm *vmm, struct error *err)
{
    struct vm *vm = &vmm->vm;
    struct board *b = calloc(1, sizeof(*b));
    int r = b ? 0 : -ENOMEM;

    vmm->board = b;
    r = r < 0 ? r : pic_create(vm);
    r = r < 0 ? r : ioapic_create(vm);
    r = r < 0 || vm->engine->own_lapic ? r : lapic_create(vm);
    r = r < 0 ? r : pit_create(vm);
    r = r < 0 ? r : rtc_create(vm);
    r = r < 0 ? r : pm_create(vm, &b->pm);
    r = r < 0 ? r : pci_host_create(vm, &b->pci);
    r = r < 0 ? r : lpc_create(vm, b->pci, b->pm, &b->lpc);
    for (unsigned i = 0; r == 0 && i < 1; i++)
        r = uart_create(vm, i, vmm->console[i]);
    if (r < 0)
        return error_set(err, -r, "cannot make the machine's devices: %s", strerror(-r));
    vmm->power_button = press_power;
    return 0;
}

void board_direct_boot(struct vmm *vmm, struct boot *boot)
{
    struct board *b = vmm->board;

    pic_direct_boot(&vmm->vm);
    lpc_direct_boot(b->lpc);
}

void board_finish(struct vmm *vmm)
{
    free(vmm->board);
}
