/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/io.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "base/spin.h"
#include "core/metal.h"
#include "hv/boot/acpi.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/cpu/timer.h"
#include "hv/log.h"
#include "hv/mem/map.h"
#include "hv/mem/page.h"
#include "hv/thread.h"
#include "hv/vm/plat.h"

#define RELAX_NS 100000U

/* ---- device registers ---- */

uint64_t mmio_read(const void *at, unsigned size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)at;
    case 2:
        return *(const volatile uint16_t *)at;
    case 4:
        return *(const volatile uint32_t *)at;
    default:
        return mmio_read(at, 4) | mmio_read((const uint8_t *)at + 4, 4) << 32;
    }
}

void mmio_write(void *at, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)at = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    default:
        mmio_write(at, (uint32_t)value, 4);
        mmio_write((uint8_t *)at + 4, value >> 32, 4);
    }
}

void *mmio_map(uint64_t phys, uint64_t size)
{
    uint64_t in_page = phys & (PAGE_SIZE - 1);
    uint8_t *p = map_device(phys - in_page, size + in_page);

    return p ? p + in_page : NULL;
}

/* ---- configuration space ---- */

#define CONFIG_ADDRESS 0xcf8U
#define IOAPIC_BASE    0xfec00000ULL /* here the processors' own registers begin */
#define CONFIG_DATA    0xcfcU
#define ECAM_BUS       MIB(1)

static struct spinlock config_lock; /* the two ports belong together */
static uint8_t *ecam;
static unsigned ecam_first, ecam_last;

static uint32_t port_read(uint16_t port, unsigned size)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_write(uint16_t port, uint32_t value, unsigned size)
{
    if (size == 1)
        outb(port, (uint8_t)value);
    else if (size == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}

void io_init(void)
{
    for (unsigned i = 0; i < acpi.ecam_count && !ecam; i++) {
        const struct acpi_ecam *e = &acpi.ecams[i];

        if (e->segment || e->first_bus > e->last_bus)
            continue;
        ecam = map_device(e->base + e->first_bus * ECAM_BUS, (e->last_bus - e->first_bus + 1) * ECAM_BUS);
        ecam_first = e->first_bus;
        ecam_last = e->last_bus;
    }
}

static uint8_t *ecam_at(unsigned bus, unsigned devfn, unsigned offset)
{
    if (!ecam || bus < ecam_first || bus > ecam_last)
        return NULL;
    return ecam + (bus - ecam_first) * ECAM_BUS + devfn * 4096 + offset;
}

static uint32_t config_address(unsigned bus, unsigned devfn, unsigned offset)
{
    return 1U << 31 | bus << 16 | devfn << 8 | (offset & 0xfc);
}

uint32_t config_read(unsigned bus, unsigned devfn, unsigned offset, unsigned size)
{
    const uint8_t *at = ecam_at(bus, devfn, offset);
    uint32_t value;

    if (at)
        return (uint32_t)mmio_read(at, size);
    spin_lock(&config_lock);
    outl(CONFIG_ADDRESS, config_address(bus, devfn, offset));
    value = port_read((uint16_t)(CONFIG_DATA + (offset & 3)), size);
    spin_unlock(&config_lock);
    return value;
}

void config_write(unsigned bus, unsigned devfn, unsigned offset, uint32_t value, unsigned size)
{
    uint8_t *at = ecam_at(bus, devfn, offset);

    if (at) {
        mmio_write(at, value, size);
        return;
    }
    spin_lock(&config_lock);
    outl(CONFIG_ADDRESS, config_address(bus, devfn, offset));
    port_write((uint16_t)(CONFIG_DATA + (offset & 3)), value, size);
    spin_unlock(&config_lock);
}

void mmio_room(uint64_t *begin, uint64_t *end)
{
    uint64_t from = 0;

    *begin = *end = 0;
    for (unsigned i = 0; i <= boot_info.range_count; i++) {
        const struct boot_area *r = &boot_info.ranges[i];
        uint64_t to = i < boot_info.range_count ? MIN(r->base, IOAPIC_BASE) : IOAPIC_BASE;

        if (to > from && to - from > *end - *begin) {
            *begin = from;
            *end = to;
        }
        if (i < boot_info.range_count)
            from = MAX(from, r->base + r->size);
    }
}

/* ---- memory ---- */

static unsigned order_of(size_t size)
{
    unsigned order = 0;

    while (((size_t)PAGE_SIZE << order) < size)
        order++;
    return order;
}

void *dma_alloc(size_t size, uint64_t *phys)
{
    unsigned order = order_of(size);
    uint64_t at = page_alloc(order, &memory_own);

    if (at == PAGE_NONE)
        return NULL;
    *phys = at;
    return memset(phys_to_virt(at), 0, (size_t)PAGE_SIZE << order);
}

void dma_free(void *p, size_t size)
{
    page_free(virt_to_phys(p), order_of(size), &memory_own);
}

uint64_t dma_address(const void *p)
{
    /* A guest's page has its place from the first touch on only (hv/mem/ram.h). */
    (void)*(const volatile uint8_t *)p;
    return metal_phys(p);
}

/* ---- the rest ---- */

int io_irq_alloc(unsigned n, io_handler_fn *fn, void *opaque, uint64_t *address, uint32_t *data)
{
    return irq_msi_alloc(n % cpu_count, fn, opaque, address, data);
}

void io_work_for(struct plat *plat)
{
    irq_work_for(plat_metal_group(plat));
}

uint64_t io_now(void)
{
    return time_now();
}

void io_relax(void)
{
    thread_wait_until(time_now() + RELAX_NS);
}

void io_log(enum log_level level, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    hv_log(level, "%s", text);
}
