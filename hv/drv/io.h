/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What drivers need of the bare machine beneath them: device registers, configuration
 * space, memory that devices reach, interrupts. One file, hv/drv/io.c, so that the
 * drivers themselves also run on the host, against device models (tests/unit/hv).
 */
#ifndef HV_DRV_IO_H
#define HV_DRV_IO_H

#include "base/error.h"
#include "core/plat.h"

typedef void io_handler_fn(void *opaque);

/* Before all others, once ACPI's tables are known: configuration space in memory, where there is one. */
void io_init(void);

/* size: 1, 2, 4 or 8 bytes; 8 are read and written as two halves, low first. */
uint64_t mmio_read(const void *at, unsigned size);
void mmio_write(void *at, uint64_t value, unsigned size);
/* NULL: no memory for page tables. */
void *mmio_map(uint64_t phys, uint64_t size);

/* PCI configuration space, size 1, 2 or 4. Nobody there: all ones. */
uint32_t config_read(unsigned bus, unsigned devfn, unsigned offset, unsigned size);
void config_write(unsigned bus, unsigned devfn, unsigned offset, uint32_t value, unsigned size);

/* Where below 4 GiB neither memory nor the processors' own registers are: room for devices'. */
void mmio_room(uint64_t *begin, uint64_t *end);

/* Zeroed, contiguous, aligned to its size rounded up to a power of two, at least a page. NULL: none left. */
void *dma_alloc(size_t size, uint64_t *phys);
void dma_free(void *p, size_t size);
/* Where a device finds the byte, which may be a guest's or the hypervisor's. Good up to the end of its page.
 */
uint64_t dma_address(const void *p);

/* The message that makes the handler run (hv/cpu/irq.h). n spreads interrupts over processors. */
int io_irq_alloc(unsigned n, io_handler_fn *fn, void *opaque, uint64_t *address, uint32_t *data);

/* From here on an interrupt's handler works for this VM, whose time it is. Elsewhere it does nothing. */
void io_work_for(struct plat *plat);

uint64_t io_now(void); /* ns */
/* Lets others run for a moment. No lock held. */
void io_relax(void);
void io_log(enum log_level level, const char *fmt, ...) ATTR_PRINTF(2, 3);

#endif
