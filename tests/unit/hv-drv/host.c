/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/hv-drv/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/drv/io.h"

#define MMIO_BASE 0x200000000000ULL /* what mmio_map() gives: never followed */

struct host host;

static void record_msi(struct vm *vm, uint64_t address, uint32_t data)
{
    base_assert(address == 0xfee00000 && data < host.irq_count);
    host.irq[data].pending = true;
}

static const struct lapic_ops lapic = {.msi = record_msi};

static void no_intx(void *opaque, unsigned pirq, bool level)
{
    base_assert(!level);
}

void host_init(void)
{
    struct vm_config config = {.name = "host", .ram_size = MIB(1), .vcpus = 1};

    memset(&host, 0, sizeof(host));
    fake_plat_init(&host.plat);
    config.ram = mmap(NULL, MIB(1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm_init(&host.vm, &host.plat.plat, &config, NULL) < 0)
        abort();
    munmap(config.ram, MIB(1));
    host.vm.mem.ram[0] = (struct mem_ram){.gpa = 0x1000, .size = 1ULL << 47, .host = (uint8_t *)0x1000};
    host.vm.irqs.lapic = &lapic;
    pci_bus_init(&host.bus, &host.vm);
    host.bus.pirq_set = no_intx;
    host.room = MEM_PCI32_SIZE;
}

void host_boot(void)
{
    if (pci_assign(&host.bus) < 0)
        abort();
}

void host_finish(void)
{
    vm_finish(&host.vm);
    base_assert(host.plat.allocations == 0);
}

static void devices_run(void)
{
    if (!host.frozen)
        fake_plat_run_work(&host.plat);
}

void host_run(void)
{
    bool more = true;

    while (more) {
        more = false;
        devices_run();
        for (unsigned i = 0; i < host.irq_count; i++) {
            if (!host.irq[i].pending)
                continue;
            host.irq[i].pending = false;
            host.irqs_taken++;
            host.irq[i].fn(host.irq[i].opaque);
            more = true;
        }
    }
}

/* ---- hv/drv/io.h ---- */

uint64_t mmio_read(const void *at, unsigned size)
{
    if (size == 8)
        return mmio_read(at, 4) | mmio_read((const uint8_t *)at + 4, 4) << 32;
    return bus_read(&host.vm.mmio, (uintptr_t)at - MMIO_BASE, size);
}

void mmio_write(void *at, uint64_t value, unsigned size)
{
    if (size == 8) {
        mmio_write(at, (uint32_t)value, 4);
        mmio_write((uint8_t *)at + 4, value >> 32, 4);
        return;
    }
    bus_write(&host.vm.mmio, (uintptr_t)at - MMIO_BASE, value, size);
}

void *mmio_map(uint64_t phys, uint64_t size)
{
    return (void *)(uintptr_t)(MMIO_BASE + phys);
}

void mmio_room(uint64_t *begin, uint64_t *end)
{
    *begin = MEM_PCI32_BASE;
    *end = MEM_PCI32_BASE + host.room;
}

uint32_t config_read(unsigned bus, unsigned devfn, unsigned offset, unsigned size)
{
    return pci_config_read(&host.bus, bus, devfn, offset, size);
}

void config_write(unsigned bus, unsigned devfn, unsigned offset, uint32_t value, unsigned size)
{
    pci_config_write(&host.bus, bus, devfn, offset, value, size);
}

void *dma_alloc(size_t size, uint64_t *phys)
{
    void *p = aligned_alloc(4096, ALIGN_UP(size, 4096));

    memset(p, 0, ALIGN_UP(size, 4096));
    host.dma_bytes += (long)size;
    *phys = (uintptr_t)p;
    return p;
}

void dma_free(void *p, size_t size)
{
    host.dma_bytes -= (long)size;
    free(p);
}

uint64_t dma_address(const void *p)
{
    return (uintptr_t)p;
}

int io_irq_alloc(unsigned n, io_handler_fn *fn, void *opaque, uint64_t *address, uint32_t *data)
{
    if (host.irq_count == HOST_IRQS)
        return -ENOSPC;
    host.irq[host.irq_count].fn = fn;
    host.irq[host.irq_count].opaque = opaque;
    *address = 0xfee00000;
    *data = host.irq_count++;
    return 0;
}

/* While one waits, time passes and devices work. */
uint64_t io_now(void)
{
    if (host.thaw && host.now >= host.thaw)
        host.frozen = false;
    devices_run();
    return host.now += 1000000;
}

void io_work_for(struct plat *plat)
{
}

void io_relax(void)
{
    host.slept++;
}

void io_log(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(host.last_log, sizeof(host.last_log), fmt, ap);
    if (level <= LOG_WARN)
        fprintf(stderr, "%s\n", host.last_log);
    va_end(ap);
}
