/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest-physical memory: RAM in at most two pieces around the PCI hole, ROMs
 * over it, and everything else MMIO (core/bus.h) or unassigned.
 *
 *   0 .. ram_low          RAM (at most MEM_LOW_MAX)
 *   MEM_PCI32_BASE ..     32-bit BARs
 *   MEM_ECAM_BASE ..      PCIe configuration space, 256 buses
 *   0xfec00000            IO-APIC; 0xfed00000 HPET; 0xfee00000 local APICs
 *   4 GiB ..              the rest of RAM
 *   MEM_PCI64_BASE ..     64-bit BARs
 *
 * RAM's layout is fixed by vm_init() and read without a lock. DMA by devices goes
 * through mem_read(), mem_write(), mem_span(), and reaches RAM only.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include "base/error.h"
#include "base/list.h"

#define MEM_LOW_MAX    0x80000000ULL
#define MEM_PCI32_BASE 0x80000000ULL
#define MEM_PCI32_SIZE 0x60000000ULL
#define MEM_ECAM_BASE  0xe0000000ULL
#define MEM_ECAM_SIZE  0x10000000ULL
#define MEM_HIGH_BASE  0x100000000ULL
#define MEM_PCI64_BASE 0x4000000000ULL
#define MEM_PCI64_SIZE 0x1000000000ULL

#define MEM_PAGE       4096U

struct vm;

struct mem_ram {
    uint64_t gpa;
    uint64_t size;
    uint8_t *host;
    uint64_t offset; /* in the VM's RAM as one file */
    bool rom;        /* the guest's stores are dropped */
};

#define MEM_MAX_RAM 8

struct memory {
    struct mem_ram ram[MEM_MAX_RAM]; /* ROMs first: they win where they overlap RAM */
    unsigned ram_count;
    uint64_t ram_size; /* all of it, without ROMs */
    uint64_t ram_low;  /* below 4 GiB */
    uint64_t *dirty;   /* one bit a page of RAM (by mem_ram.offset), atomic; NULL: not tracked */
    /* Gives the host back whole pages, which read as zeroes from then on (ballooning). NULL: pages are kept.
     */
    void (*discard)(void *opaque, uint8_t *host, uint64_t len);
    void *discard_opaque;
};

/* The RAM or ROM that holds gpa, or NULL. */
const struct mem_ram *mem_find(const struct vm *vm, uint64_t gpa);

/*
 * The host address of [gpa, gpa + len) if that lies in one piece of RAM (write:
 * and not in ROM); NULL otherwise. After writing through it: mem_written().
 */
void *mem_span(struct vm *vm, uint64_t gpa, uint64_t len, bool write);

/* Tells dirty tracking and the engine of a store. */
void mem_written(struct vm *vm, uint64_t gpa, uint64_t len);

/* Copy; may cross pieces of RAM. -EFAULT if any byte is not RAM: then nothing was copied. */
int mem_read(struct vm *vm, uint64_t gpa, void *buf, uint64_t len);
int mem_write(struct vm *vm, uint64_t gpa, const void *buf, uint64_t len);

/* Adds a ROM; host must outlive the VM. Before vm_start() only. -ENOSPC: too many. */
int mem_add_rom(struct vm *vm, uint64_t gpa, uint8_t *host, uint64_t size);

#endif
