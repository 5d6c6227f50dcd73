/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between dev/pci's own files. */
#ifndef DEV_PCI_PCI_INTERNAL_H
#define DEV_PCI_PCI_INTERNAL_H

#include "dev/pci/pci.h"

void msix_reset(struct pci_function *fn);
void msix_loaded(struct pci_function *fn);
void msix_config_written(struct pci_function *fn, unsigned offset, unsigned size);

#endif
