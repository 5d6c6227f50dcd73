/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio entropy device (virtio 1.2, section 5.4), fed by the platform's random(). */
#ifndef DEV_VIRTIO_RNG_H
#define DEV_VIRTIO_RNG_H

#include "core/vm.h"

struct pci_bus;
struct device;

int virtio_rng_create(struct vm *vm, struct pci_bus *bus, const char *id, struct device **out,
                      struct error *err);

#endif
