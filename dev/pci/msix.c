/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI-X (PCI 3.0 section 6.8.2): the capability, its table and its pending bits. */
#include "base/bytes.h"
#include "base/checked.h"
#include "dev/pci/pci-internal.h"

#define CONTROL        2 /* in the capability */
#define CONTROL_ENABLE BIT(15)
#define CONTROL_MASK   BIT(14)

#define ENTRY_SIZE     16U
#define ENTRY_CONTROL  12U
#define ENTRY_MASKED   BIT(0)

#define PBA_OFFSET     0x800U /* behind the largest table */
#define BAR_SIZE       0x1000U
_Static_assert(PCI_MSIX_MAX *ENTRY_SIZE <= PBA_OFFSET, "the table fits before the PBA");

static unsigned control(const struct pci_function *fn)
{
    return fn->msix.count ? load_le16(fn->config + fn->msix.cap + CONTROL) : 0;
}

bool msix_enabled(const struct pci_function *fn)
{
    return control(fn) & CONTROL_ENABLE;
}

bool msix_masked(const struct pci_function *fn, unsigned vector)
{
    return vector >= fn->msix.count || !msix_enabled(fn) || control(fn) & CONTROL_MASK ||
           fn->msix.table[vector * ENTRY_SIZE + ENTRY_CONTROL] & ENTRY_MASKED;
}

void msix_message(const struct pci_function *fn, unsigned vector, uint64_t *address, uint32_t *data)
{
    const uint8_t *entry = fn->msix.table + vector % PCI_MSIX_MAX * ENTRY_SIZE;

    *address = load_le64(entry);
    *data = load_le32(entry + 8);
}

static void send(struct pci_function *fn, unsigned vector)
{
    uint64_t address;
    uint32_t data;

    msix_message(fn, vector, &address, &data);
    if (pci_can_dma(fn)) /* a message is a memory write like others */
        msi_send(fn->vm, address, data);
}

void msix_notify(struct pci_function *fn, unsigned vector)
{
    if (!msix_enabled(fn) || vector >= fn->msix.count)
        return;
    if (msix_masked(fn, vector))
        fn->msix.pending[vector / 8] |= (uint8_t)BIT(vector % 8);
    else
        send(fn, vector);
}

/* Sends what waited for an unmasking. */
static void flush(struct pci_function *fn, unsigned first, unsigned count)
{
    for (unsigned v = first; v < first + count && v < fn->msix.count; v++) {
        if (!(fn->msix.pending[v / 8] & BIT(v % 8)) || msix_masked(fn, v))
            continue;
        fn->msix.pending[v / 8] &= (uint8_t)~BIT(v % 8);
        send(fn, v);
    }
}

static void changed(struct pci_function *fn)
{
    if (fn->ops->msix_changed)
        fn->ops->msix_changed(fn);
}

void msix_config_written(struct pci_function *fn, unsigned offset, unsigned size)
{
    if (!fn->msix.count || !ranges_overlap(offset, size, fn->msix.cap + CONTROL, 2))
        return;
    flush(fn, 0, fn->msix.count);
    changed(fn);
}

static uint64_t msix_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct pci_function *fn = opaque;

    if (offset + size <= fn->msix.count * ENTRY_SIZE)
        return load_le32(fn->msix.table + offset);
    if (offset >= PBA_OFFSET && offset - PBA_OFFSET + size <= sizeof(fn->msix.pending))
        return load_le32(fn->msix.pending + (offset - PBA_OFFSET));
    return 0;
}

static void msix_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    static const uint32_t writable[4] = {~3U, ~0U, ~0U, ENTRY_MASKED};
    struct pci_function *fn = opaque;

    if (offset + size > fn->msix.count * ENTRY_SIZE)
        return;
    store_le32(fn->msix.table + offset, (uint32_t)value & writable[offset / 4 % 4]);
    if (offset % ENTRY_SIZE == ENTRY_CONTROL)
        flush(fn, (unsigned)(offset / ENTRY_SIZE), 1);
    changed(fn);
}

static const struct io_ops msix_ops = {.read = msix_read, .write = msix_write, .min_size = 4, .max_size = 4};

void msix_init(struct pci_function *fn, unsigned bar, unsigned count)
{
    unsigned cap = pci_capability_add(fn, PCI_CAP_MSIX, 12);

    base_assert(count >= 1 && count <= PCI_MSIX_MAX);
    pci_bar_register(fn, bar, PCI_BAR_MEM32, BAR_SIZE, &msix_ops, fn, "msix");
    fn->msix.count = (uint16_t)count;
    fn->msix.cap = (uint8_t)cap;
    fn->msix.bar = (uint8_t)bar;
    store_le16(fn->config + cap + CONTROL, (uint16_t)(count - 1));
    store_le16(fn->wmask + cap + CONTROL, CONTROL_ENABLE | CONTROL_MASK);
    store_le32(fn->config + cap + 4, bar);
    store_le32(fn->config + cap + 8, PBA_OFFSET | bar);
    msix_reset(fn);
}

void msix_reset(struct pci_function *fn)
{
    memset(fn->msix.table, 0, sizeof(fn->msix.table));
    memset(fn->msix.pending, 0, sizeof(fn->msix.pending));
    for (unsigned v = 0; v < fn->msix.count; v++)
        fn->msix.table[v * ENTRY_SIZE + ENTRY_CONTROL] = ENTRY_MASKED;
    if (fn->added && fn->msix.count)
        changed(fn);
}

/* The table has no illegal contents once its fixed bits are cleared; the model hears what to wire anew. */
void msix_loaded(struct pci_function *fn)
{
    for (unsigned v = 0; v < PCI_MSIX_MAX; v++) {
        fn->msix.table[v * ENTRY_SIZE] &= (uint8_t)~3U;
        store_le32(fn->msix.table + v * ENTRY_SIZE + ENTRY_CONTROL,
                   fn->msix.table[v * ENTRY_SIZE + ENTRY_CONTROL] & ENTRY_MASKED);
    }
    if (fn->msix.count)
        changed(fn);
}
