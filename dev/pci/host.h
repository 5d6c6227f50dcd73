/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host bridge: a memory controller hub like the Q35's (Intel 3 Series chipset
 * datasheet, D0:F0), PCI configuration by ports 0xcf8 and 0xcfc and by ECAM.
 */
#ifndef DEV_PCI_HOST_H
#define DEV_PCI_HOST_H

#include "dev/pci/pci.h"

int pci_host_create(struct vm *vm, struct pci_bus **bus);

#endif
