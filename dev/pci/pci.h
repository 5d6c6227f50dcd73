/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI functions (PCI Local Bus 3.0, PCI Express Base 4.0 chapter 7) on bus 0, the
 * only bus. A device model embeds a struct pci_function beside its struct device:
 *
 *   pci_function_init(&nic->pci, bus, &id, &ops, nic);    config header
 *   pci_bar_register(&nic->pci, 0, PCI_BAR_MEM64, ...);   one region a BAR
 *   msix_init(&nic->pci, 1, vectors);                     a BAR of its own
 *   pci_express_init(&nic->pci);
 *   pci_function_add(&nic->pci, PCI_DEVFN_AUTO);          now it answers
 *   device_add(&nic->dev, vm, ...);
 *
 * and calls pci_function_reset() from its reset, pci_function_loaded() from its
 * post_load, pci_function_remove() from its destroy. Its state table has
 * STATE_STRUCT(type, pci, struct pci_function, pci_function_fields).
 *
 * No bridges, no expansion ROMs, no power management; bus mastering is honoured
 * for MSI-X here, and for DMA by the model (pci_can_dma()). Lock held for all.
 */
#ifndef DEV_PCI_PCI_H
#define DEV_PCI_PCI_H

#include "core/device.h"

#define PCI_CONFIG_SIZE             256U
#define PCI_BAR_COUNT               6U
#define PCI_MSIX_MAX                128U
#define PCI_DEVFN(device, function) ((device) << 3 | (function))
#define PCI_DEVFN_AUTO              (-1)
#define PCI_PIRQ_COUNT              8U
#define PCI_PIRQ_GSI                16U /* PIRQ A..H arrive at GSI 16..23 */

/* Configuration header, type 0 (PCI 3.0 section 6.1) */
enum pci_register {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_CODE = 0x09,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BASE_ADDRESS_0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_FIRST_CAPABILITY = 0x40,
};

#define PCI_COMMAND_IO           BIT(0)
#define PCI_COMMAND_MEMORY       BIT(1)
#define PCI_COMMAND_MASTER       BIT(2)
#define PCI_COMMAND_INTX_DISABLE BIT(10)
#define PCI_STATUS_INTERRUPT     BIT(3)
#define PCI_STATUS_CAP_LIST      BIT(4)

/* Capability ids (PCI Code and ID Assignment) */
#define PCI_CAP_VENDOR  0x09
#define PCI_CAP_EXPRESS 0x10
#define PCI_CAP_MSIX    0x11

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_bus;
struct pci_function;

struct pci_id {
    uint16_t vendor, device;
    uint32_t class_code; /* base << 16 | sub << 8 | interface */
    uint8_t revision;
    uint16_t sub_vendor, sub_device;
    bool intx; /* has INTA# */
};

/* Every slot may be NULL. */
struct pci_function_ops {
    /* Before the guest reads config space: a last chance to refresh config[] there. */
    void (*config_read)(struct pci_function *fn, unsigned offset, unsigned size);
    /* After the write masks were applied. */
    void (*config_written)(struct pci_function *fn, unsigned offset, unsigned size);
    /* A BAR appeared at, moved to, or (mapped false) left `address`. */
    void (*bar_changed)(struct pci_function *fn, unsigned bar, bool mapped, uint64_t address);
    /* MSI-X was turned on, off, masked or unmasked, or an entry's mask changed: ask msix_masked(). */
    void (*msix_changed)(struct pci_function *fn);
};

struct pci_bar {
    enum pci_bar_kind kind;
    uint64_t size;
    struct io_region region; /* mapped as the BAR and the command register say */
};

struct pci_msix {
    uint16_t count; /* 0: no MSI-X */
    uint8_t cap;    /* offset of the capability */
    uint8_t bar;
    uint8_t table[PCI_MSIX_MAX * 16]; /* address low, high, data, control, as the guest sees it */
    uint8_t pending[PCI_MSIX_MAX / 8];
};

struct pci_function {
    struct vm *vm;
    struct pci_bus *bus;
    uint8_t devfn;
    bool added;
    const struct pci_function_ops *ops;
    void *opaque;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t wmask[PCI_CONFIG_SIZE];   /* bits the guest may write */
    uint8_t initial[PCI_CONFIG_SIZE]; /* config[] as at power-on, taken by pci_function_add() */
    uint8_t next_cap;                 /* free config space for capabilities */
    struct pci_bar bar[PCI_BAR_COUNT];
    struct pci_msix msix;
    bool intx_level; /* what the model asserts, before INTX_DISABLE */
    bool intx_wired; /* what the bus was told */
};

extern const struct state_field pci_function_fields[];

/* Zeroes the function and fills its header. ops may be NULL. */
void pci_function_init(struct pci_function *fn, struct pci_bus *bus, const struct pci_id *id,
                       const struct pci_function_ops *ops, void *opaque);
/* Puts it on the bus. devfn: a number or PCI_DEVFN_AUTO (function 0 of a free device). -EBUSY: taken;
 * -ENOSPC: bus full. */
int pci_function_add(struct pci_function *fn, int devfn);
/* Harmless if it was never added. */
void pci_function_remove(struct pci_function *fn);
void pci_function_reset(struct pci_function *fn);
/* After loading: maps BARs and wires INTx as the state says; -EINVAL if it cannot be a state of this
 * function. */
int pci_function_loaded(struct pci_function *fn);

/* Before pci_function_add(). size: a power of two, at least 16 (memory: 4096 is best). A MEM64 BAR takes
 * index and index + 1. The region's ops get offsets in the BAR; opaque is passed to them. name is static
 * text. */
void pci_bar_register(struct pci_function *fn, unsigned index, enum pci_bar_kind kind, uint64_t size,
                      const struct io_ops *ops, void *opaque, const char *name);
/* The address that the guest or pci_assign() gave; 0: none. */
uint64_t pci_bar_address(const struct pci_function *fn, unsigned index);

/* Before pci_function_add(). Appends a capability of `size` bytes (id and link included), all read-only and
 * zero but for these; returns its offset in config space. The caller fills config[] and wmask[]. */
unsigned pci_capability_add(struct pci_function *fn, uint8_t id, unsigned size);
/* The same for the PCI Express capability of a root-complex integrated endpoint. */
void pci_express_init(struct pci_function *fn);

/* MSI-X with `count` vectors (1..PCI_MSIX_MAX), its table and PBA in the memory BAR `bar`, which it
 * registers. */
void msix_init(struct pci_function *fn, unsigned bar, unsigned count);
bool msix_enabled(const struct pci_function *fn);
/* Is the vector held back by its own or the function's mask? (Out of range: true.) */
bool msix_masked(const struct pci_function *fn, unsigned vector);
/* Sends the vector's message, or notes it in the PBA while masked. Nothing if MSI-X is off or vector is out
 * of range. */
void msix_notify(struct pci_function *fn, unsigned vector);
/* For irqfd-like shortcuts: the message of a vector. */
void msix_message(const struct pci_function *fn, unsigned vector, uint64_t *address, uint32_t *data);

/* Level of INTA#; not to be used while MSI-X is enabled. */
void pci_intx_set(struct pci_function *fn, bool level);

static inline bool pci_can_dma(const struct pci_function *fn)
{
    return fn->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* ---- the bus: for host bridges and tables ---- */

struct pci_bus {
    struct vm *vm;
    struct pci_function *function[256];  /* by devfn */
    unsigned pirq_level[PCI_PIRQ_COUNT]; /* how many functions hold each PIRQ */
    /* Told of a PIRQ's level changes. */
    void (*pirq_set)(void *opaque, unsigned pirq, bool level);
    void *pirq_opaque;
};

void pci_bus_init(struct pci_bus *bus, struct vm *vm);
/* Configuration cycles; any bus number, offset and size 1, 2, 4; nobody there reads all ones. */
uint32_t pci_config_read(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned offset,
                         unsigned size);
void pci_config_write(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned offset,
                      uint32_t value, unsigned size);

/* What PIRQ (0..7) a device's pin (1 is INTA#) is wired to. */
static inline unsigned pci_pirq(unsigned device, unsigned pin)
{
    return (device + pin - 1) % PCI_PIRQ_COUNT;
}

/* The 8259 input that pci_assign() and the tables route a PIRQ to, for guests that use no IO-APIC. */
static inline uint8_t pci_pic_irq(unsigned pirq)
{
    return pirq % 2 ? 11 : 10;
}

/*
 * What firmware does, for guests that boot without: gives every BAR an address in
 * MEM_PCI32_*, MEM_PCI64_* or ports from 0xc000 on, sets the interrupt line and
 * turns decoding and bus mastering on. -ENOSPC: a window is full.
 */
int pci_assign(struct pci_bus *bus);

#endif
