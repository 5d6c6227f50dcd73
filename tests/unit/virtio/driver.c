/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/virtio/driver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "dev/virtio/pci.h"

static void record_msi(struct vm *vm, uint64_t address, uint32_t data)
{
    struct driver *d = container_of(vm, struct driver, vm);

    if (data < ARRAY_SIZE(d->msi))
        d->msi[data]++;
}

static const struct lapic_ops lapic = {.msi = record_msi};

static void record_intx(void *opaque, unsigned pirq, bool level)
{
    ((struct driver *)opaque)->intx = level;
}

/* With a page behind it that nobody may touch. */
static uint8_t *ram_map(void)
{
    uint8_t *p = mmap(NULL, DRIVER_RAM + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p, DRIVER_RAM, PROT_READ | PROT_WRITE) < 0)
        abort();
    return p;
}

void driver_init(struct driver *d)
{
    struct vm_config config = {.name = "test", .ram_size = DRIVER_RAM, .vcpus = 1};

    memset(d, 0, sizeof(*d));
    fake_plat_init(&d->plat);
    d->ram = ram_map();
    config.ram = d->ram;
    if (vm_init(&d->vm, &d->plat.plat, &config, NULL) < 0)
        abort();
    d->vm.irqs.lapic = &lapic;
    pci_bus_init(&d->bus, &d->vm);
    d->bus.pirq_set = record_intx;
    d->bus.pirq_opaque = d;
}

void driver_finish(struct driver *d)
{
    vm_finish(&d->vm);
    base_assert(d->plat.allocations == 0);
    munmap(d->ram, DRIVER_RAM + 4096);
}

static uint32_t config(struct driver *d, unsigned offset, unsigned size)
{
    return pci_config_read(&d->bus, 0, d->devfn, offset, size);
}

static uint64_t bar_address(struct driver *d, unsigned bar)
{
    uint64_t low = config(d, 0x10 + 4 * bar, 4), high = 0;

    if ((low & 6) == 4)
        high = config(d, 0x14 + 4 * bar, 4);
    return (low & ~15ULL) | high << 32;
}

static void capability(struct driver *d, unsigned at)
{
    uint64_t where = bar_address(d, config(d, at + 4, 1)) + config(d, at + 8, 4);

    switch (config(d, at + 3, 1)) {
    case 1:
        d->common = where;
        break;
    case 2:
        d->notify = where;
        d->notify_step = config(d, at + 16, 4);
        break;
    case 3:
        d->isr = where;
        break;
    case 4:
        d->config = where;
        break;
    case 5:
        d->cfg_cap = (uint8_t)at;
        break;
    }
}

static void msix_arm(struct driver *d, unsigned at)
{
    unsigned count = (config(d, at + 2, 2) & 0x7ff) + 1;
    uint32_t table = config(d, at + 4, 4);
    uint64_t base = bar_address(d, table & 7) + (table & ~7U);

    for (unsigned i = 0; i < count; i++) {
        driver_write(d, base + i * 16, 0xfee00000, 4);
        driver_write(d, base + i * 16 + 4, 0, 4);
        driver_write(d, base + i * 16 + 8, i, 4);
        driver_write(d, base + i * 16 + 12, 0, 4);
    }
    pci_config_write(&d->bus, 0, d->devfn, at + 2, 0x8000, 2);
}

void driver_attach(struct driver *d)
{
    for (d->devfn = 0; d->devfn < 255 && config(d, 0, 2) != VIRTIO_PCI_VENDOR; d->devfn++)
        continue;
    if (pci_assign(&d->bus) < 0)
        abort();
    for (unsigned at = config(d, PCI_CAPABILITIES, 1); at; at = config(d, at + 1, 1)) {
        if (config(d, at, 1) == PCI_CAP_VENDOR)
            capability(d, at);
        else if (config(d, at, 1) == PCI_CAP_MSIX)
            msix_arm(d, at);
    }
    d->queue_count = (unsigned)driver_read(d, d->common + COMMON_NUM_QUEUES, 2);
}

uint64_t driver_read(struct driver *d, uint64_t gpa, unsigned size)
{
    return bus_read(&d->vm.mmio, gpa, size);
}

void driver_write(struct driver *d, uint64_t gpa, uint64_t value, unsigned size)
{
    bus_write(&d->vm.mmio, gpa, value, size);
}

uint8_t driver_status(struct driver *d)
{
    return (uint8_t)driver_read(d, d->common + COMMON_DEVICE_STATUS, 1);
}

bool driver_needs_reset(struct driver *d)
{
    return driver_status(d) & VIRTIO_STATUS_NEEDS_RESET;
}

static void add_status(struct driver *d, uint8_t bits)
{
    driver_write(d, d->common + COMMON_DEVICE_STATUS, driver_status(d) | bits, 1);
}

uint64_t driver_offered(struct driver *d)
{
    uint64_t features;

    driver_write(d, d->common + COMMON_DEVICE_FEATURE_SELECT, 0, 4);
    features = driver_read(d, d->common + COMMON_DEVICE_FEATURE, 4);
    driver_write(d, d->common + COMMON_DEVICE_FEATURE_SELECT, 1, 4);
    return features | driver_read(d, d->common + COMMON_DEVICE_FEATURE, 4) << 32;
}

void driver_reset(struct driver *d)
{
    driver_write(d, d->common + COMMON_DEVICE_STATUS, 0, 1);
    base_assert(driver_status(d) == 0);
}

bool driver_negotiate(struct driver *d, uint64_t features)
{
    add_status(d, VIRTIO_STATUS_ACKNOWLEDGE);
    add_status(d, VIRTIO_STATUS_DRIVER);
    for (unsigned i = 0; i < 2; i++) {
        driver_write(d, d->common + COMMON_DRIVER_FEATURE_SELECT, i, 4);
        driver_write(d, d->common + COMMON_DRIVER_FEATURE, (uint32_t)(features >> (32 * i)), 4);
    }
    add_status(d, VIRTIO_STATUS_FEATURES_OK);
    return driver_status(d) & VIRTIO_STATUS_FEATURES_OK;
}

void driver_queue_setup(struct driver *d, unsigned q, uint16_t size)
{
    struct driver_queue *dq = &d->queue[q];
    uint64_t base = DRIVER_QUEUE_BASE + q * 0x10000ULL;

    *dq = (struct driver_queue){
        .size = size, .desc = base, .avail = base + 0x4000, .used = base + 0x8000, .table = base + 0xc000};
    memset(d->ram + base, 0, 0x10000);
    driver_write(d, d->common + COMMON_QUEUE_SELECT, q, 2);
    driver_write(d, d->common + COMMON_QUEUE_SIZE, size, 2);
    driver_write(d, d->common + COMMON_QUEUE_MSIX_VECTOR, q + 1, 2);
    driver_write(d, d->common + COMMON_QUEUE_DESC, dq->desc, 4);
    driver_write(d, d->common + COMMON_QUEUE_DESC + 4, dq->desc >> 32, 4);
    driver_write(d, d->common + COMMON_QUEUE_DRIVER, dq->avail, 4);
    driver_write(d, d->common + COMMON_QUEUE_DRIVER + 4, dq->avail >> 32, 4);
    driver_write(d, d->common + COMMON_QUEUE_DEVICE, dq->used, 4);
    driver_write(d, d->common + COMMON_QUEUE_DEVICE + 4, dq->used >> 32, 4);
    driver_write(d, d->common + COMMON_QUEUE_ENABLE, 1, 2);
}

void driver_start(struct driver *d, uint64_t features)
{
    driver_reset(d);
    driver_write(d, d->common + COMMON_CONFIG_MSIX_VECTOR, 0, 2);
    if (!driver_negotiate(d, (features & driver_offered(d)) | BIT64(VIRTIO_F_VERSION_1)))
        abort();
    for (unsigned q = 0; q < d->queue_count; q++)
        driver_queue_setup(d, q, 16);
    add_status(d, VIRTIO_STATUS_DRIVER_OK);
    driver_run(d);
    memset(d->msi, 0, sizeof(d->msi));
}

void *driver_ram(struct driver *d, uint64_t gpa)
{
    return d->ram + gpa;
}

static void desc_store(uint8_t *p, uint64_t gpa, uint32_t len, unsigned flags, unsigned next)
{
    store_le64(p, gpa);
    store_le32(p + 8, len);
    store_le16(p + 12, (uint16_t)flags);
    store_le16(p + 14, (uint16_t)next);
}

void driver_desc(struct driver *d, unsigned q, unsigned index, uint64_t gpa, uint32_t len, unsigned flags,
                 unsigned next)
{
    desc_store(d->ram + d->queue[q].desc + index * 16ULL, gpa, len, flags, next);
}

void driver_avail(struct driver *d, unsigned q, unsigned head)
{
    struct driver_queue *dq = &d->queue[q];
    uint8_t *avail = d->ram + dq->avail;

    store_le16(avail + 4 + 2 * (dq->avail_idx % dq->size), (uint16_t)head);
    dq->avail_idx++;
    store_le16(avail + 2, dq->avail_idx);
}

void driver_kick(struct driver *d, unsigned q)
{
    driver_write(d, d->notify + q * d->notify_step, q, 2);
}

void driver_run(struct driver *d)
{
    fake_plat_run_work(&d->plat);
}

unsigned driver_add(struct driver *d, unsigned q, const struct seg *seg, unsigned n)
{
    struct driver_queue *dq = &d->queue[q];
    unsigned head = dq->next;

    for (unsigned i = 0; i < n; i++) {
        unsigned at = dq->next, next = (at + 1) % dq->size;

        driver_desc(d, q, at, seg[i].gpa, seg[i].len,
                    (seg[i].write ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0), next);
        dq->next = (uint16_t)next;
    }
    driver_avail(d, q, head);
    return head;
}

unsigned driver_add_indirect(struct driver *d, unsigned q, const struct seg *seg, unsigned n)
{
    struct driver_queue *dq = &d->queue[q];
    unsigned head = dq->next;

    for (unsigned i = 0; i < n; i++)
        desc_store(d->ram + dq->table + i * 16ULL, seg[i].gpa, seg[i].len,
                   (seg[i].write ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0), i + 1);
    driver_desc(d, q, head, dq->table, n * 16, DESC_INDIRECT, 0);
    dq->next = (uint16_t)((head + 1) % dq->size);
    driver_avail(d, q, head);
    return head;
}

bool driver_used(struct driver *d, unsigned q, uint32_t *head, uint32_t *len)
{
    struct driver_queue *dq = &d->queue[q];
    const uint8_t *used = d->ram + dq->used, *elem;

    if (load_le16(used + 2) == dq->last_used)
        return false;
    elem = used + 4 + 8 * (size_t)(dq->last_used % dq->size);
    if (head)
        *head = load_le32(elem);
    if (len)
        *len = load_le32(elem + 4);
    dq->last_used++;
    /* With event indices: interrupt for the next one. */
    store_le16(d->ram + dq->avail + 4 + 2 * (size_t)dq->size, dq->last_used);
    return true;
}

unsigned driver_used_count(struct driver *d, unsigned q)
{
    unsigned n = 0;

    while (driver_used(d, q, NULL, NULL))
        n++;
    return n;
}
