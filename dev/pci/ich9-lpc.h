/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ISA bridge of the ICH9 (Intel ICH9 datasheet, D31:F0): says where the power
 * management block is, and routes the PIRQs to the 8259s beside their own GSIs.
 */
#ifndef DEV_PCI_ICH9_LPC_H
#define DEV_PCI_ICH9_LPC_H

#include "dev/pci/pci.h"

struct pm;
struct lpc;

int lpc_create(struct vm *vm, struct pci_bus *bus, struct pm *pm, struct lpc **out);
/* Routes the PIRQs to the 8259s, as firmware does. */
void lpc_direct_boot(struct lpc *lpc);

#endif
