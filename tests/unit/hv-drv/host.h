/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for the hypervisor's drivers (hv/drv), made of batuta's own device models: the
 * drivers' registers and DMA (hv/drv/io.h) reach dev/virtio as a guest's would. There is
 * one. Its memory is this whole process: an address is its own physical address.
 */
#ifndef TESTS_UNIT_HV_DRV_HOST_H
#define TESTS_UNIT_HV_DRV_HOST_H

#include "core/vm.h"
#include "dev/pci/pci.h"
#include "tests/unit/fake-plat.h"

#define HOST_IRQS 64U

struct host {
    struct fake_plat plat; /* the devices' */
    struct vm vm;
    struct pci_bus bus;
    struct {
        void (*fn)(void *opaque);
        void *opaque;
        bool pending;
    } irq[HOST_IRQS];
    unsigned irq_count;
    unsigned irqs_taken;
    bool frozen;   /* the devices do nothing, however long one waits */
    uint64_t thaw; /* or until then; 0: never */
    unsigned slept;
    uint64_t now;
    char last_log[256];
    long dma_bytes; /* given out */
    uint64_t room;  /* for BARs, from MEM_PCI32_BASE on */
};

extern struct host host;

/* Without devices; then the test makes some, and host_boot() gives them addresses, as firmware does. */
void host_init(void);
void host_boot(void);
void host_finish(void);
/* Devices work and interrupts are taken, until nothing happens. */
void host_run(void);

#endif
