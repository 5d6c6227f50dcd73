/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's PCI functions (PCI Local Bus 3.0, PCI Express Base 4.0 chapter 7), as
 * the firmware numbered and placed them. dev/pci has those that guests see.
 */
#ifndef HV_DRV_HOST_PCI_H
#define HV_DRV_HOST_PCI_H

#include "hv/drv/io.h"

#define HOST_PCI_MAX  64U
#define HOST_PCI_BARS 6U

struct host_pci {
    uint8_t bus, devfn;
    uint16_t vendor, device;
    uint32_t class_code; /* base << 16 | sub << 8 | interface */
    char name[12];       /* 00:1f.2, for people */
    const char *driver;  /* NULL: nobody's */
    bool sized;          /* bar[] is known */
    struct {
        uint64_t address, size; /* size 0: none, or not of memory */
    } bar[HOST_PCI_BARS];
    uint8_t msix, msi; /* where the capabilities are; 0: none */
    unsigned msix_count;
    uint8_t *msix_table;
};

/* Finds all functions, behind bridges too, and what drives them (hv/drv/drivers.c). To be called once. */
void host_pci_scan(void);
/* The i-th; NULL: there are no more. */
struct host_pci *host_pci_get(unsigned i);

static inline uint32_t host_pci_read(const struct host_pci *fn, unsigned offset, unsigned size)
{
    return config_read(fn->bus, fn->devfn, offset, size);
}

static inline void host_pci_write(struct host_pci *fn, unsigned offset, uint32_t value, unsigned size)
{
    config_write(fn->bus, fn->devfn, offset, value, size);
}

/* The next capability of the kind behind `after` (0: the first); 0: none. */
unsigned host_pci_capability(const struct host_pci *fn, uint8_t id, unsigned after);
/* [offset, offset + len) of a memory BAR, mapped; NULL: it is not inside, or no memory. */
void *host_pci_map(struct host_pci *fn, unsigned bar, uint64_t offset, uint64_t len);
/* Sizes the BARs and turns decoding and bus mastering on. Says what is missing. */
int host_pci_enable(struct host_pci *fn, struct error *err);
void host_pci_disable(struct host_pci *fn);

/* Turns MSI-X on, all vectors masked; -ENODEV: it has none. */
int host_pci_msix_enable(struct host_pci *fn);
/* A vector of MSI-X, with its handler. */
int host_pci_msix_connect(struct host_pci *fn, unsigned vector, io_handler_fn *handler, void *opaque);
/* The one message of MSI, for functions that have no MSI-X. */
int host_pci_msi_connect(struct host_pci *fn, io_handler_fn *handler, void *opaque);

/* ---- drivers ---- */

struct host_driver {
    const char *name;
    uint16_t vendor, device;         /* 0: any */
    uint32_t class_code, class_mask; /* a mask of 0: any */
    int (*attach)(struct host_pci *fn, struct error *err);
};

extern const struct host_driver host_drivers[];
extern const unsigned host_driver_count;

#endif
