/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/host-pci.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/fmt.h"

enum config {
    VENDOR_ID = 0x00,
    DEVICE_ID = 0x02,
    COMMAND = 0x04,
    STATUS = 0x06,
    CLASS_REVISION = 0x08,
    HEADER_TYPE = 0x0e,
    BASE_ADDRESS_0 = 0x10,
    SECONDARY_BUS = 0x19,
    MEMORY_WINDOW = 0x20,
    PREFETCH_WINDOW = 0x24,
    CAPABILITIES = 0x34,
};

#define COMMAND_MEMORY    BIT(1)
#define COMMAND_MASTER    BIT(2)
#define COMMAND_INTX_OFF  BIT(10)
#define STATUS_CAP_LIST   BIT(4)
#define CAP_MSI           0x05U
#define CAP_MSIX          0x11U
#define CAPABILITIES_MAX  48U
#define DEPTH_MAX         8U

#define MSI_ENABLE        BIT(0)
#define MSI_64            BIT(7)
#define MSI_MULTIPLE      (7U << 4)
#define MSIX_ENABLE       BIT(15)
#define MSIX_FUNCTION_OFF BIT(14)
#define MSIX_ENTRY        16U

static struct host_pci functions[HOST_PCI_MAX];
static unsigned function_count;
/* What bridges pass on to the buses behind them. */
static struct {
    uint64_t address, size;
} windows[2 * HOST_PCI_MAX];
static unsigned window_count;

struct host_pci *host_pci_get(unsigned i)
{
    return i < function_count ? &functions[i] : NULL;
}

unsigned host_pci_capability(const struct host_pci *fn, uint8_t id, unsigned after)
{
    unsigned at;

    if (!(host_pci_read(fn, STATUS, 2) & STATUS_CAP_LIST))
        return 0;
    at = host_pci_read(fn, after ? after + 1 : CAPABILITIES, 1) & 0xfc;
    for (unsigned i = 0; at && i < CAPABILITIES_MAX; i++) {
        if (host_pci_read(fn, at, 1) == id)
            return at;
        at = host_pci_read(fn, at + 1, 1) & 0xfc;
    }
    return 0;
}

/* ---- BARs ---- */

/* Reads one by writing all ones to it, while it does not decode. Returns how many registers it takes. */
static unsigned bar_size(struct host_pci *fn, unsigned i)
{
    unsigned at = BASE_ADDRESS_0 + 4 * i;
    uint32_t low = host_pci_read(fn, at, 4), high = 0;
    bool wide = (low & 7) == 4 && i + 1 < HOST_PCI_BARS;
    uint64_t mask;

    if (low & 1)
        return 1; /* ports: no driver of ours wants them */
    host_pci_write(fn, at, ~0U, 4);
    mask = host_pci_read(fn, at, 4) & ~15U;
    host_pci_write(fn, at, low, 4);
    if (wide) {
        high = host_pci_read(fn, at + 4, 4);
        host_pci_write(fn, at + 4, ~0U, 4);
        mask |= (uint64_t)host_pci_read(fn, at + 4, 4) << 32;
        host_pci_write(fn, at + 4, high, 4);
    } else {
        mask |= mask ? ~0ULL << 32 : 0;
    }
    fn->bar[i].address = (low & ~15ULL) | (uint64_t)high << 32;
    fn->bar[i].size = mask ? ~mask + 1 : 0;
    return wide ? 2 : 1;
}

static void bars_read(struct host_pci *fn)
{
    uint32_t command = host_pci_read(fn, COMMAND, 2);

    if (fn->sized)
        return;
    fn->sized = true;
    host_pci_write(fn, COMMAND, command & ~(COMMAND_MEMORY | COMMAND_MASTER), 2);
    for (unsigned i = 0; i < HOST_PCI_BARS;)
        i += bar_size(fn, i);
    host_pci_write(fn, COMMAND, command, 2);
}

/* Where the highest thing begins that [at, at + size) would overlap; 0: there is none. */
static uint64_t in_the_way(uint64_t at, uint64_t size)
{
    uint64_t begins = 0;

    for (unsigned i = 0; i < function_count; i++) {
        for (unsigned k = 0; k < HOST_PCI_BARS; k++) {
            if (functions[i].bar[k].address &&
                ranges_overlap(at, size, functions[i].bar[k].address, functions[i].bar[k].size))
                begins = MAX(begins, functions[i].bar[k].address);
        }
    }
    for (unsigned i = 0; i < window_count; i++) {
        if (ranges_overlap(at, size, windows[i].address, windows[i].size))
            begins = MAX(begins, windows[i].address);
    }
    return begins;
}

/* The firmware gave it no address: the highest that is free. What is behind a bridge would need room there.
 */
static int bar_assign(struct host_pci *fn, unsigned i)
{
    uint64_t begin, at, taken, size = fn->bar[i].size;

    mmio_room(&begin, &at);
    if (fn->bus || size > at - begin)
        return -ENOSPC;
    for (unsigned k = 0; k < function_count; k++)
        bars_read(&functions[k]);
    for (at = ALIGN_DOWN(at - size, size); (taken = in_the_way(at, size));
         at = ALIGN_DOWN(taken - size, size)) {
        if (taken < begin + size)
            return -ENOSPC;
    }
    if (at < begin)
        return -ENOSPC;
    host_pci_write(fn, BASE_ADDRESS_0 + 4 * i, (uint32_t)at, 4);
    fn->bar[i].address = at;
    return 0;
}

int host_pci_enable(struct host_pci *fn, struct error *err)
{
    uint32_t command = host_pci_read(fn, COMMAND, 2);

    bars_read(fn);
    for (unsigned i = 0; i < HOST_PCI_BARS; i++) {
        if (fn->bar[i].size && !fn->bar[i].address && bar_assign(fn, i) < 0)
            return error_set(err, ENOSPC, "PCI %s: its BAR %u has no address, and there is no room for it",
                             fn->name, i);
    }
    host_pci_write(fn, COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_OFF, 2);
    return 0;
}

void host_pci_disable(struct host_pci *fn)
{
    host_pci_write(fn, COMMAND, host_pci_read(fn, COMMAND, 2) & ~COMMAND_MASTER, 2);
}

void *host_pci_map(struct host_pci *fn, unsigned bar, uint64_t offset, uint64_t len)
{
    if (bar >= HOST_PCI_BARS || !len || !range_inside(offset, len, fn->bar[bar].size))
        return NULL;
    return mmio_map(fn->bar[bar].address + offset, len);
}

/* ---- MSI-X and MSI (PCI 3.0, 6.8) ---- */

int host_pci_msix_enable(struct host_pci *fn)
{
    uint32_t table;

    if (!fn->msix)
        return -ENODEV;
    fn->msix_count = (host_pci_read(fn, fn->msix + 2U, 2) & 0x7ff) + 1;
    table = host_pci_read(fn, fn->msix + 4U, 4);
    fn->msix_table = host_pci_map(fn, table & 7, table & ~7U, (uint64_t)fn->msix_count * MSIX_ENTRY);
    if (!fn->msix_table)
        return -ENODEV;
    host_pci_write(fn, fn->msix + 2U, MSIX_ENABLE | MSIX_FUNCTION_OFF, 2);
    for (unsigned i = 0; i < fn->msix_count; i++)
        mmio_write(fn->msix_table + i * MSIX_ENTRY + 12, 1, 4);
    host_pci_write(fn, fn->msix + 2U, MSIX_ENABLE, 2);
    return 0;
}

static unsigned spread; /* devices' interrupts over the processors */

int host_pci_msix_connect(struct host_pci *fn, unsigned vector, io_handler_fn *handler, void *opaque)
{
    uint64_t address;
    uint8_t *entry;
    uint32_t data;
    int r;

    if (!fn->msix_table || vector >= fn->msix_count)
        return -ENODEV;
    r = io_irq_alloc(spread++, handler, opaque, &address, &data);
    if (r < 0)
        return r;
    entry = fn->msix_table + vector * MSIX_ENTRY;
    mmio_write(entry, address, 8);
    mmio_write(entry + 8, data, 4);
    mmio_write(entry + 12, 0, 4);
    return 0;
}

int host_pci_msi_connect(struct host_pci *fn, io_handler_fn *handler, void *opaque)
{
    unsigned control, at = fn->msi;
    uint64_t address;
    uint32_t data;
    int r;

    if (!at)
        return -ENODEV;
    r = io_irq_alloc(spread++, handler, opaque, &address, &data);
    if (r < 0)
        return r;
    control = host_pci_read(fn, at + 2, 2);
    host_pci_write(fn, at + 4, (uint32_t)address, 4);
    if (control & MSI_64)
        host_pci_write(fn, at + 8, (uint32_t)(address >> 32), 4);
    host_pci_write(fn, at + (control & MSI_64 ? 12 : 8), data, 2);
    host_pci_write(fn, at + 2, (control & ~MSI_MULTIPLE) | MSI_ENABLE, 2);
    return 0;
}

/* ---- finding them ---- */

static bool matches(const struct host_driver *d, const struct host_pci *fn)
{
    return (!d->vendor || d->vendor == fn->vendor) && (!d->device || d->device == fn->device) &&
           !((d->class_code ^ fn->class_code) & d->class_mask);
}

static void driver_attach(struct host_pci *fn)
{
    struct error err = {0};

    for (unsigned i = 0; i < host_driver_count; i++) {
        const struct host_driver *d = &host_drivers[i];

        if (!matches(d, fn))
            continue;
        if (d->attach(fn, &err) == 0) {
            fn->driver = d->name;
        } else {
            host_pci_disable(fn);
            io_log(LOG_WARN, "%s", err.text);
        }
        return;
    }
}

/* In the order of their addresses, by which people count disks and NICs. */
static void function_add(unsigned bus, unsigned devfn, uint32_t id)
{
    struct host_pci *fn;

    if (function_count == HOST_PCI_MAX) {
        io_log(LOG_WARN, "PCI: more than %u functions; the rest is left alone", HOST_PCI_MAX);
        return;
    }
    fn = &functions[function_count++];
    for (; fn > functions && ((unsigned)fn[-1].bus << 8 | fn[-1].devfn) > (bus << 8 | devfn); fn--)
        *fn = fn[-1];
    *fn = (struct host_pci){
        .bus = (uint8_t)bus, .devfn = (uint8_t)devfn, .vendor = (uint16_t)id, .device = (uint16_t)(id >> 16)};
    fn->class_code = host_pci_read(fn, CLASS_REVISION, 4) >> 8;
    fmt_print(fn->name, sizeof(fn->name), "%02x:%02x.%u", bus, devfn >> 3, devfn & 7);
    fn->msix = (uint8_t)host_pci_capability(fn, CAP_MSIX, 0);
    fn->msi = (uint8_t)host_pci_capability(fn, CAP_MSI, 0);
}

static void bus_scan(unsigned bus, unsigned depth);

/* A register of a bridge with base and limit, in 1 MiB; 64-bit ones may have upper halves. */
static void window_add(unsigned bus, unsigned devfn, unsigned at)
{
    uint32_t both = config_read(bus, devfn, at, 4);
    uint64_t base = (both & 0xfff0ULL) << 16, limit = both & 0xfff00000ULL;

    if (at == PREFETCH_WINDOW && both & 1) {
        base |= (uint64_t)config_read(bus, devfn, at + 4, 4) << 32;
        limit |= (uint64_t)config_read(bus, devfn, at + 8, 4) << 32;
    }
    if (base && base <= limit && window_count < ARRAY_SIZE(windows)) {
        windows[window_count].address = base;
        windows[window_count++].size = limit - base + MIB(1);
    }
}

static void function_scan(unsigned bus, unsigned devfn, unsigned depth)
{
    uint32_t id = config_read(bus, devfn, VENDOR_ID, 4);
    unsigned secondary;

    if ((id & 0xffff) == 0xffff || !id)
        return;
    if ((config_read(bus, devfn, HEADER_TYPE, 1) & 0x7f) != 1) {
        function_add(bus, devfn, id);
        return;
    }
    /* A bridge. Bus numbers grow on the way down; what does not is no number that firmware gave. */
    window_add(bus, devfn, MEMORY_WINDOW);
    window_add(bus, devfn, PREFETCH_WINDOW);
    secondary = config_read(bus, devfn, SECONDARY_BUS, 1);
    if (secondary > bus && depth < DEPTH_MAX)
        bus_scan(secondary, depth + 1);
}

static void bus_scan(unsigned bus, unsigned depth)
{
    for (unsigned device = 0; device < 32; device++) {
        unsigned devfn = device << 3;
        bool several = config_read(bus, devfn, HEADER_TYPE, 1) & 0x80;

        if ((config_read(bus, devfn, VENDOR_ID, 2)) == 0xffff)
            continue;
        for (unsigned i = 0; i < (several ? 8U : 1U); i++)
            function_scan(bus, devfn + i, depth);
    }
}

void host_pci_scan(void)
{
    function_count = window_count = 0;
    bus_scan(0, 0);
    for (unsigned i = 0; i < function_count; i++)
        driver_attach(&functions[i]);
}
