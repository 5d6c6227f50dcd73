/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPU engines that this program has: one list, in the order of preference. */
#ifndef VMM_ENGINES_H
#define VMM_ENGINES_H

#include "core/engine.h"
#include "vmm/options.h"

struct vcpu;

/* Fewer ring-0 instructions a second than this, and our own engine is faster than KVM. */
#define ENGINE_KVM_WORTH 100000000ULL

/*
 * The one that is asked for, if it can run here; or the best that can, and counts
 * instructions if that is wanted. NULL with an error. slower: why the translator was
 * passed over, for one that is slower; otherwise left as it is.
 */
const struct engine_ops *engine_choose(int choice, bool count, struct error *slower, struct error *err);

/* What a vCPU's engine did, a line each; "" if it does not count. The vCPU stands still. */
void engine_statistics(struct vcpu *vcpu, char *buf, size_t size);

/* Measures ring-0 instructions per second under KVM, and remembers them (vmm/kvm-speed.h); the error says why
 * there are none. */
int engine_kvm_speed(uint64_t *instructions_per_second, struct error *err);

#endif
