/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration space, BAR decoding and INTx of PCI functions; see pci.h. */
#include "dev/pci/pci.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "dev/pci/pci-internal.h"

#define COMMAND_WRITABLE                                                                                     \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | BIT(6) | BIT(8) | PCI_COMMAND_INTX_DISABLE)
#define BAR_TYPE_IO    1U
#define BAR_TYPE_MEM64 4U

static const struct state_field msix_fields[] = {
    STATE_BYTES(struct pci_msix, table),
    STATE_BYTES(struct pci_msix, pending),
    STATE_END,
};

const struct state_field pci_function_fields[] = {
    STATE_BYTES(struct pci_function, config),
    STATE_BOOL(struct pci_function, intx_level),
    STATE_STRUCT(struct pci_function, msix, struct pci_msix, msix_fields),
    STATE_END,
};

void pci_function_init(struct pci_function *fn, struct pci_bus *bus, const struct pci_id *id,
                       const struct pci_function_ops *ops, void *opaque)
{
    static const struct pci_function_ops no_ops;

    memset(fn, 0, sizeof(*fn));
    fn->vm = bus->vm;
    fn->bus = bus;
    fn->ops = ops ? ops : &no_ops;
    fn->opaque = opaque;
    fn->next_cap = PCI_FIRST_CAPABILITY;
    store_le16(fn->config + PCI_VENDOR_ID, id->vendor);
    store_le16(fn->config + PCI_DEVICE_ID, id->device);
    fn->config[PCI_REVISION_ID] = id->revision;
    store_le16(fn->config + PCI_CLASS_CODE, (uint16_t)id->class_code);
    fn->config[PCI_CLASS_CODE + 2] = (uint8_t)(id->class_code >> 16);
    store_le16(fn->config + PCI_SUBSYSTEM_VENDOR_ID, id->sub_vendor);
    store_le16(fn->config + PCI_SUBSYSTEM_ID, id->sub_device);
    fn->config[PCI_INTERRUPT_PIN] = id->intx;

    store_le16(fn->wmask + PCI_COMMAND, COMMAND_WRITABLE);
    fn->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    fn->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_bar_register(struct pci_function *fn, unsigned index, enum pci_bar_kind kind, uint64_t size,
                      const struct io_ops *ops, void *opaque, const char *name)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + index * 4;
    struct pci_bar *bar = &fn->bar[index];

    base_assert(index + (kind == PCI_BAR_MEM64) < PCI_BAR_COUNT && !fn->added);
    base_assert(size >= 16 && !(size & (size - 1)));
    bar->kind = kind;
    bar->size = size;
    bar->region = (struct io_region){.name = name, .size = size, .ops = ops, .opaque = opaque};
    if (kind == PCI_BAR_IO) {
        store_le32(fn->config + offset, BAR_TYPE_IO);
        store_le32(fn->wmask + offset, (uint32_t) ~(size - 1));
    } else {
        store_le32(fn->config + offset, kind == PCI_BAR_MEM64 ? BAR_TYPE_MEM64 : 0);
        store_le32(fn->wmask + offset, (uint32_t) ~(size - 1));
    }
    if (kind == PCI_BAR_MEM64)
        store_le32(fn->wmask + offset + 4, (uint32_t)(~(size - 1) >> 32));
}

uint64_t pci_bar_address(const struct pci_function *fn, unsigned index)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + index * 4;

    switch (index < PCI_BAR_COUNT ? fn->bar[index].kind : PCI_BAR_NONE) {
    case PCI_BAR_IO:
        return load_le32(fn->config + offset) & ~3U;
    case PCI_BAR_MEM32:
        return load_le32(fn->config + offset) & ~15U;
    case PCI_BAR_MEM64:
        return load_le64(fn->config + offset) & ~15ULL;
    case PCI_BAR_NONE:
        break;
    }
    return 0;
}

/* Where the BAR answers now; 0: nowhere. All ones, as sizing leaves behind, wraps or meets the top and stays
 * dark. */
static uint64_t bar_decoded(const struct pci_function *fn, unsigned index)
{
    const struct pci_bar *bar = &fn->bar[index];
    bool io = bar->kind == PCI_BAR_IO;
    uint64_t address = pci_bar_address(fn, index);
    uint64_t limit = io ? 0x10000 : bar->kind == PCI_BAR_MEM32 ? BIT64(32) : BIT64(52);

    if (!fn->added || !(fn->config[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return 0;
    return range_inside(address, bar->size, limit) ? address : 0;
}

static struct bus *bar_bus(const struct pci_function *fn, const struct pci_bar *bar)
{
    return bar->kind == PCI_BAR_IO ? &fn->vm->pio : &fn->vm->mmio;
}

static bool unmap_moved(struct pci_function *fn)
{
    bool moved = false;

    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        struct pci_bar *bar = &fn->bar[i];
        uint64_t old = bar->region.base;

        if (bar->kind == PCI_BAR_NONE || !bar->region.mapped || bar_decoded(fn, i) == old)
            continue;
        bus_unmap(bar_bus(fn, bar), &bar->region);
        moved = true;
        if (fn->ops->bar_changed)
            fn->ops->bar_changed(fn, i, false, old);
    }
    return moved;
}

static void map_decoded(struct pci_function *fn)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        struct pci_bar *bar = &fn->bar[i];
        uint64_t address = bar->kind == PCI_BAR_NONE || bar->region.mapped ? 0 : bar_decoded(fn, i);

        if (!address)
            continue;
        bar->region.base = address;
        if (bus_map(bar_bus(fn, bar), &bar->region)) {
            vm_trace(fn->vm, PCI, "%02x.%u bar%u at %llx collides", fn->devfn >> 3, fn->devfn & 7, i,
                     (unsigned long long)address);
            continue;
        }
        vm_trace(fn->vm, PCI, "%02x.%u bar%u at %llx", fn->devfn >> 3, fn->devfn & 7, i,
                 (unsigned long long)address);
        if (fn->ops->bar_changed)
            fn->ops->bar_changed(fn, i, true, address);
    }
}

/* A BAR that lost a collision appears as soon as the winner has gone: after a move, everyone tries again. */
static void remap(struct pci_function *fn)
{
    bool moved = unmap_moved(fn);

    map_decoded(fn);
    if (!moved)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(fn->bus->function); i++)
        if (fn->bus->function[i])
            map_decoded(fn->bus->function[i]);
}

static void intx_update(struct pci_function *fn)
{
    bool wired = fn->added && fn->intx_level && fn->config[PCI_INTERRUPT_PIN] &&
                 !(load_le16(fn->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
    unsigned pirq = pci_pirq(fn->devfn >> 3, MAX(fn->config[PCI_INTERRUPT_PIN], 1U));
    struct pci_bus *bus = fn->bus;

    fn->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
    if (fn->intx_level)
        fn->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    if (wired == fn->intx_wired)
        return;
    fn->intx_wired = wired;
    if (wired)
        bus->pirq_level[pirq]++;
    else
        bus->pirq_level[pirq]--;
    if (bus->pirq_set && bus->pirq_level[pirq] == (wired ? 1U : 0U))
        bus->pirq_set(bus->pirq_opaque, pirq, wired);
}

void pci_intx_set(struct pci_function *fn, bool level)
{
    if (level == fn->intx_level)
        return;
    fn->intx_level = level;
    intx_update(fn);
}

int pci_function_add(struct pci_function *fn, int devfn)
{
    struct pci_bus *bus = fn->bus;
    struct pci_function *first;

    if (devfn == PCI_DEVFN_AUTO)
        for (devfn = 0; devfn < 256 && bus->function[devfn]; devfn += 8)
            ;
    if (devfn < 0 || devfn > 255)
        return -ENOSPC;
    if (bus->function[devfn])
        return -EBUSY;
    first = bus->function[devfn & ~7];
    if (first) /* so that software looks past function 0 */
        first->initial[PCI_HEADER_TYPE] = first->config[PCI_HEADER_TYPE] |= 0x80;
    fn->devfn = (uint8_t)devfn;
    fn->added = true;
    memcpy(fn->initial, fn->config, sizeof(fn->initial));
    bus->function[devfn] = fn;
    return 0;
}

void pci_function_remove(struct pci_function *fn)
{
    if (!fn->added)
        return;
    fn->intx_level = false;
    intx_update(fn);
    fn->added = false;
    fn->bus->function[fn->devfn] = NULL;
    remap(fn);
}

void pci_function_reset(struct pci_function *fn)
{
    fn->intx_level = false;
    memcpy(fn->config, fn->initial, sizeof(fn->config));
    msix_reset(fn);
    intx_update(fn);
    remap(fn);
}

int pci_function_loaded(struct pci_function *fn)
{
    fn->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        if ((fn->config[i] ^ fn->initial[i]) & ~fn->wmask[i] & 0xff)
            return -EINVAL;
    msix_loaded(fn);
    intx_update(fn);
    remap(fn);
    return 0;
}

unsigned pci_capability_add(struct pci_function *fn, uint8_t id, unsigned size)
{
    unsigned offset = fn->next_cap;

    base_assert(!fn->added && size >= 2 && offset + size <= PCI_CONFIG_SIZE);
    fn->config[offset] = id;
    fn->config[offset + 1] = fn->config[PCI_CAPABILITIES];
    fn->config[PCI_CAPABILITIES] = (uint8_t)offset;
    fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    fn->next_cap = (uint8_t)ALIGN_UP(offset + size, 4);
    return offset;
}

void pci_express_init(struct pci_function *fn)
{
    unsigned cap = pci_capability_add(fn, PCI_CAP_EXPRESS, 0x3c);

    store_le16(fn->config + cap + 2, 9 << 4 | 2);       /* root complex integrated endpoint, version 2 */
    store_le32(fn->config + cap + 4, BIT(15));          /* role-based error reporting */
    store_le16(fn->wmask + cap + 8, 0x7fff & ~BIT(11)); /* device control, without FLR */
}

void pci_bus_init(struct pci_bus *bus, struct vm *vm)
{
    memset(bus, 0, sizeof(*bus));
    bus->vm = vm;
}

static uint32_t function_read(struct pci_function *fn, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (fn->ops->config_read)
        fn->ops->config_read(fn, offset, size);
    for (unsigned i = 0; i < size; i++) /* past 256: an extended space without capabilities */
        if (offset + i < PCI_CONFIG_SIZE)
            value |= (uint32_t)fn->config[offset + i] << (i * 8);
    return value;
}

static void function_write(struct pci_function *fn, unsigned offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++) {
        uint8_t mask = fn->wmask[offset + i];
        uint8_t byte = (uint8_t)(value >> (i * 8));

        fn->config[offset + i] = (uint8_t)((fn->config[offset + i] & ~mask) | (byte & mask));
    }
    if (ranges_overlap(offset, size, PCI_COMMAND, 2) ||
        ranges_overlap(offset, size, PCI_BASE_ADDRESS_0, PCI_BAR_COUNT * 4))
        remap(fn);
    if (ranges_overlap(offset, size, PCI_COMMAND, 2))
        intx_update(fn);
    msix_config_written(fn, offset, size);
    if (fn->ops->config_written)
        fn->ops->config_written(fn, offset, size);
}

uint32_t pci_config_read(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned offset,
                         unsigned size)
{
    struct pci_function *fn = bus_number || devfn > 255 ? NULL : bus->function[devfn];
    uint32_t value = fn ? function_read(fn, offset, size) : (uint32_t)low_bytes(~0ULL, size);

    if (fn)
        vm_trace(bus->vm, PCI, "%02x.%u read %02x/%u: %x", devfn >> 3, devfn & 7, offset, size, value);
    return value;
}

void pci_config_write(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned offset,
                      uint32_t value, unsigned size)
{
    struct pci_function *fn = bus_number || devfn > 255 ? NULL : bus->function[devfn];

    if (!fn)
        return;
    vm_trace(bus->vm, PCI, "%02x.%u write %02x/%u: %x", devfn >> 3, devfn & 7, offset, size, value);
    function_write(fn, offset, value, size);
}
