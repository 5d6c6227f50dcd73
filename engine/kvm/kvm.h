/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM engine: VT-x, AMD-V, or whatever stands behind /dev/kvm. Split irqchip:
 * the local APICs are the kernel's, 8259, IO-APIC and PIT are ours. An instruction
 * that KVM gives up on is finished by x86_step() on the same state.
 */
#ifndef ENGINE_KVM_KVM_H
#define ENGINE_KVM_KVM_H

#include "core/engine.h"

extern const struct engine_ops kvm_engine;

/*
 * Runs a loop in ring 0 for at most about 50 ms and stores how many instructions
 * a second it did: billions with hardware assistance, a few million where the
 * kernel emulates ring 0. 0 or a negative errno with err set.
 */
int kvm_measure(uint64_t *instructions_per_second, struct error *err);

#endif
