/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 256 buses are decoded; all but bus 0 are empty. ECAM is on from the start at
 * MEM_ECAM_BASE, and goes where PCIEXBAR says.
 *
 * Deliberately not modelled: what the PAM and SMRAM registers do to memory (all of
 * 0xc0000 to 0xfffff is RAM, unless a ROM is there); they keep what is written.
 */
#include "dev/pci/host.h"

#include "base/bytes.h"
#include "dev/regions.h"

#define CONFIG_ADDRESS  0xcf8U
#define CONFIG_DATA     0xcfcU
#define ADDRESS_ENABLE  BIT(31)

#define PCIEXBAR        0x60U
#define PCIEXBAR_ENABLE 1U
#define PCIEXBAR_LENGTH 6U /* 0: 256 buses, 2: 128, 4: 64 */
#define PAM0            0x90U
#define SMRAM           0x9dU

static const struct pci_id host_id = {
    .vendor = 0x8086,
    .device = 0x29c0,
    .class_code = 0x060000,
    .revision = 2,
    .sub_vendor = 0x1af4,
    .sub_device = 0x1100,
};

struct pci_host {
    struct device dev;
    struct pci_function pci;
    struct pci_bus bus;
    struct io_region address_region, data_region, ecam_region;
    uint32_t address;
};

static const struct state_field host_fields[] = {
    STATE_STRUCT(struct pci_host, pci, struct pci_function, pci_function_fields),
    STATE_INT(struct pci_host, address),
    STATE_END,
};

/* 0xcf8 is one register of 32 bits; narrower accesses are not for it. */
static uint64_t address_read(void *opaque, uint64_t offset, unsigned size)
{
    return size == 4 ? ((struct pci_host *)opaque)->address : ~0ULL;
}

static void address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (size == 4)
        ((struct pci_host *)opaque)->address = (uint32_t)value & 0x80fffffc;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_host *host = opaque;
    uint32_t a = host->address;

    if (!(a & ADDRESS_ENABLE))
        return ~0ULL;
    return pci_config_read(&host->bus, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) | (unsigned)offset, size);
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_host *host = opaque;
    uint32_t a = host->address;

    if (a & ADDRESS_ENABLE)
        pci_config_write(&host->bus, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) | (unsigned)offset,
                         (uint32_t)value, size);
}

static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_host *host = opaque;

    return pci_config_read(&host->bus, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff, size);
}

static void ecam_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_host *host = opaque;

    pci_config_write(&host->bus, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff,
                     (uint32_t)value, size);
}

static const struct io_ops address_ops = {.read = address_read, .write = address_write, .max_size = 4};
static const struct io_ops data_ops = {.read = data_read, .write = data_write, .max_size = 4};
static const struct io_ops ecam_ops = {.read = ecam_read, .write = ecam_write, .max_size = 4};

static void ecam_update(struct pci_host *host)
{
    struct vm *vm = host->dev.vm;
    uint64_t bar = load_le64(host->pci.config + PCIEXBAR);
    uint64_t size = MEM_ECAM_SIZE >> ((bar & PCIEXBAR_LENGTH) >> 1);
    uint64_t base = bar & 0xff0000000ULL & ~(size - 1);
    bool on = bar & PCIEXBAR_ENABLE && (bar & PCIEXBAR_LENGTH) != PCIEXBAR_LENGTH;
    struct io_region *region = &host->ecam_region;

    if (on && region->mapped && region->base == base && region->size == size)
        return;
    bus_unmap(&vm->mmio, region);
    if (on && region_map(&vm->mmio, region, "ecam", base, size, &ecam_ops, host))
        vm_trace(vm, PCI, "ECAM at %llx collides", (unsigned long long)base);
}

static void host_config_written(struct pci_function *fn, unsigned offset, unsigned size)
{
    ecam_update(fn->opaque);
}

static const struct pci_function_ops host_pci_ops = {.config_written = host_config_written};

static void host_reset(struct device *dev)
{
    struct pci_host *host = device_object(dev);

    pci_function_reset(&host->pci);
    host->address = 0;
    ecam_update(host);
}

static int host_post_load(void *object, unsigned version)
{
    struct pci_host *host = object;
    int r = pci_function_loaded(&host->pci);

    if (r || host->address & ~0x80fffffcU)
        return -EINVAL;
    ecam_update(host);
    return 0;
}

static const struct state_table host_state = {
    .name = "pci-host",
    .version = 1,
    .fields = host_fields,
    .post_load = host_post_load,
};

static void host_destroy(struct device *dev)
{
    struct pci_host *host = device_object(dev);
    struct vm *vm = dev->vm;

    pci_function_remove(&host->pci);
    bus_unmap(&vm->pio, &host->address_region);
    bus_unmap(&vm->pio, &host->data_region);
    bus_unmap(&vm->mmio, &host->ecam_region);
    vm_free(vm, host);
}

static const struct device_ops host_device = {
    .name = "pci-host",
    .state = &host_state,
    .state_offset = offsetof(struct pci_host, dev),
    .reset = host_reset,
    .destroy = host_destroy,
};

int pci_host_create(struct vm *vm, struct pci_bus **bus)
{
    struct pci_host *host = vm_alloc(vm, sizeof(*host));
    struct pci_function *fn;
    int r;

    if (!host)
        return -ENOMEM;
    pci_bus_init(&host->bus, vm);
    fn = &host->pci;
    pci_function_init(fn, &host->bus, &host_id, &host_pci_ops, host);
    r = device_add(&host->dev, vm, &host_device, "pci-host");
    if (r) {
        vm_free(vm, host);
        return r;
    }
    store_le64(fn->config + PCIEXBAR, MEM_ECAM_BASE | PCIEXBAR_ENABLE);
    store_le64(fn->wmask + PCIEXBAR, 0xff0000000ULL | PCIEXBAR_LENGTH | PCIEXBAR_ENABLE);
    memset(fn->wmask + PAM0, 0x33, 7);
    fn->wmask[SMRAM] = 0x78;
    r = pci_function_add(fn, PCI_DEVFN(0, 0));
    if (!r)
        r = region_map(&vm->pio, &host->address_region, "pci-address", CONFIG_ADDRESS, 4, &address_ops, host);
    if (!r)
        r = region_map(&vm->pio, &host->data_region, "pci-data", CONFIG_DATA, 4, &data_ops, host);
    if (r)
        return r;
    host_reset(&host->dev);
    *bus = &host->bus;
    return 0;
}
