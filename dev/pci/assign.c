/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives BARs their addresses where no firmware does; see pci_assign(). */
#include "base/bytes.h"
#include "base/checked.h"
#include "dev/pci/pci.h"

#define IO_BASE 0xc000U
#define IO_END  0x10000U

struct window {
    uint64_t next, end;
};

static int window_take(struct window *window, uint64_t size, uint64_t *address)
{
    uint64_t start = ALIGN_UP(window->next, size);

    if (start < window->next || !range_inside(start, size, window->end))
        return -ENOSPC;
    window->next = start + size;
    *address = start;
    return 0;
}

static void bar_write(struct pci_function *fn, unsigned index, uint64_t address)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + index * 4;

    pci_config_write(fn->bus, 0, fn->devfn, offset, (uint32_t)address, 4);
    if (fn->bar[index].kind == PCI_BAR_MEM64)
        pci_config_write(fn->bus, 0, fn->devfn, offset + 4, (uint32_t)(address >> 32), 4);
}

static int assign_function(struct pci_function *fn, struct window window[])
{
    unsigned command = PCI_COMMAND_MASTER;

    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        enum pci_bar_kind kind = fn->bar[i].kind;
        uint64_t address;
        int r;

        if (kind == PCI_BAR_NONE)
            continue;
        r = window_take(&window[kind], fn->bar[i].size, &address);
        if (r)
            return r;
        bar_write(fn, i, address);
        command |= kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    }
    if (fn->config[PCI_INTERRUPT_PIN])
        pci_config_write(fn->bus, 0, fn->devfn, PCI_INTERRUPT_LINE,
                         pci_pic_irq(pci_pirq(fn->devfn >> 3, fn->config[PCI_INTERRUPT_PIN])), 1);
    pci_config_write(fn->bus, 0, fn->devfn, PCI_COMMAND, command, 2);
    return 0;
}

int pci_assign(struct pci_bus *bus)
{
    struct window window[] = {
        [PCI_BAR_IO] = {IO_BASE, IO_END},
        [PCI_BAR_MEM32] = {MEM_PCI32_BASE, MEM_PCI32_BASE + MEM_PCI32_SIZE},
        [PCI_BAR_MEM64] = {MEM_PCI64_BASE, MEM_PCI64_BASE + MEM_PCI64_SIZE},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bus->function); i++) {
        int r = bus->function[i] ? assign_function(bus->function[i], window) : 0;

        if (r)
            return r;
    }
    return 0;
}
