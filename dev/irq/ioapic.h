/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O APIC (Intel 82093AA data sheet; ICH9 section 13.5): 24 pins at
 * 0xfec00000, version 0x20, whose EOI register ends a level-triggered vector.
 */
#ifndef DEV_IRQ_IOAPIC_H
#define DEV_IRQ_IOAPIC_H

#include "core/vm.h"

#define IOAPIC_BASE 0xfec00000ULL
#define IOAPIC_PINS IRQ_GSI_COUNT
#define IOAPIC_ID   0U

/* Creates it, maps it, and fills vm->irqs.ioapic, .ioapic_eoi and .ioapic_message. 0 or a negative errno. */
int ioapic_create(struct vm *vm);

#endif
