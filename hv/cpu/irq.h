/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of the machine. The hypervisor runs with them off; handlers are called
 * where it opens a window (cpu_irq_window(), when idle), so never while a lock is
 * held, and one after the other. They may take locks and wake threads; they do not wait.
 */
#ifndef HV_CPU_IRQ_H
#define HV_CPU_IRQ_H

#include "base/error.h"

struct cpu;
struct sched_group;

typedef void irq_handler_fn(void *opaque);

/* A vector of its own on one processor, for MSI or MSI-X: *address and *data are what the device sends.
 * -ENOSPC: none left. */
int irq_msi_alloc(unsigned cpu, irq_handler_fn *fn, void *opaque, uint64_t *address, uint32_t *data);
/* An input of an IO-APIC, as ACPI numbers them, to the first processor. -EBUSY: it is connected already;
 * -ENOENT: no IO-APIC has it. */
int irq_gsi_connect(unsigned gsi, bool level, bool active_low, irq_handler_fn *fn, void *opaque);
/* The same for an input of the old 8259s (4: the first UART), wherever ACPI says it goes. */
int irq_isa_connect(unsigned line, irq_handler_fn *fn, void *opaque);

/*
 * Whoever is interrupted does not pay for it: between begin and end the time is charged to this group, or to
 * what a handler has named meanwhile; the hypervisor's own where none has. Outside of handlers
 * irq_work_for() does nothing.
 */
void irq_work_begin(struct sched_group *group, uint64_t now);
void irq_work_for(struct sched_group *group);
void irq_work_end(void);

/* At boot: masks the 8259s and all inputs of the IO-APICs. */
void irq_init(void);
int irq_init_cpu(struct cpu *cpu);
/* A vector has come. */
void irq_handle(unsigned vector);

#endif
