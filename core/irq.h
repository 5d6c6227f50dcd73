/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts between devices, controllers and processors.
 *
 *   device ── irq_set(line) ──► 8259 pair ── INTR ──┐
 *                          └──► IO-APIC ── MSI ─────┴─► local APIC ──► vcpu_request(INTERRUPT)
 *   device ── msi_send() ──────────────────────────────►
 *
 * The local APICs are dev/irq/lapic or the engine's own; whoever has them fills
 * `struct irqs`. All under the VM lock.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include "base/base.h"

struct vm;
struct vcpu;

#define IRQ_GSI_COUNT 24

/* Something that takes a level: an interrupt controller's input. */
struct irq_sink {
    void (*set)(void *opaque, unsigned pin, bool level);
    void *opaque;
};

/* What the local APICs offer; every slot is required. */
struct lapic_ops {
    void (*msi)(struct vm *vm, uint64_t address, uint32_t data);
    /* The 8259's INTR, wired to LINT0 of every local APIC. */
    void (*extint)(struct vm *vm, bool level);
    /* Is a vector deliverable to this vCPU now, TPR considered? Own thread, no lock needed. */
    bool (*pending)(struct vcpu *vcpu);
    /* Acknowledges and returns it; -1: none after all. Own thread, lock not held: it takes it. */
    int (*acknowledge)(struct vcpu *vcpu);
    bool (*msr_read)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
    bool (*msr_write)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
    uint64_t (*cr8_read)(struct vcpu *vcpu);
    void (*cr8_write)(struct vcpu *vcpu, uint64_t value);
    /* An INIT or start-up reset reached the vCPU. */
    void (*reset)(struct vcpu *vcpu, bool init);
};

/*
 * One local APIC's registers, on the way between an engine that has it (own_lapic)
 * and the model that saves and loads it. reg[] by xAPIC offset / 16 (SDM table
 * 11-1); in x2APIC mode too: ICR in two halves, the ID in bits 24..31.
 */
struct lapic_image {
    uint64_t base;         /* IA32_APIC_BASE */
    uint64_t tsc_deadline; /* 0: not armed */
    uint32_t reg[64];
};

struct irqs {
    struct irq_sink pic;                  /* pins 0..15 */
    struct irq_sink ioapic;               /* pins 0..23 */
    const struct lapic_ops *lapic;        /* NULL: the engine's own */
    int (*pic_acknowledge)(void *opaque); /* INTA cycle: the vector */
    void *pic_opaque;
    void (*ioapic_eoi)(void *opaque, uint8_t vector); /* a level-triggered vector was ended at a local APIC */
    /* What a pin sends, for engines that route level-triggered pins themselves; false: the pin is masked. */
    bool (*ioapic_message)(void *opaque, unsigned pin, uint64_t *address, uint32_t *data);
    void *ioapic_opaque;

    uint16_t line_level[IRQ_GSI_COUNT]; /* how many sources hold the line up */
};

/* One source of a (shareable) line. A device embeds it; changes of level only are forwarded. */
struct irq_line {
    struct vm *vm;
    uint8_t gsi;
    bool level;
};

void irq_line_init(struct irq_line *line, struct vm *vm, unsigned gsi);
void irq_set(struct irq_line *line, bool level);

void msi_send(struct vm *vm, uint64_t address, uint32_t data);

#endif
