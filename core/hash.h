/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hashes of a VM's state, to see whether two VMs are in the same one: under two
 * engines, or in two runs. All want the VM lock, and the vCPUs not running.
 */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/vm.h"

/* The architectural state, as its table lists it; what means nothing now (the vector of an event that is not
 * pending, registers that no present processor has) is left out. */
uint64_t vcpu_hash(struct vcpu *vcpu);
/* That state, as it is hashed. */
void vcpu_normal_state(struct vcpu *vcpu, struct x86_state *out);
/* Every device by its table, virtual time and the interrupt lines. */
uint64_t vm_hash_devices(struct vm *vm);
uint64_t vm_hash_ram(const struct vm *vm);

#endif
