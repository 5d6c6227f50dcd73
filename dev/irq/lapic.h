/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APICs of all vCPUs (Intel SDM 3A chapter 11): xAPIC at 0xfee00000,
 * x2APIC MSRs, TSC-deadline timer. The timer counts nanoseconds.
 *
 * The VM lock guards everything; beside that, the vCPU's own thread reads its
 * TPR and the highest vectors of IRR and ISR without it (pending(), CR8).
 * acknowledge() takes the lock itself; msr_*() and reset() want it held; cr8_*() do
 * not care.
 *
 * Deliberately not modelled: an APIC base other than the default (#GP), focus
 * processors, thermal and performance counter interrupts, SMIs.
 */
#ifndef DEV_IRQ_LAPIC_H
#define DEV_IRQ_LAPIC_H

#include "core/vm.h"

#define LAPIC_BASE 0xfee00000ULL

/* For all vCPUs, which exist; fills vm->irqs.lapic and vcpu->lapic. Where the engine has them, only their
 * state is here, when it is saved or loaded. 0 or a negative errno. */
int lapic_create(struct vm *vm);
/* Pulls LINT1 of every local APIC: an NMI where it is not masked. */
void lapic_nmi(struct vm *vm);

#endif
