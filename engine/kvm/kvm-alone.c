/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An instruction that x86_step() finishes may be a locked one over two pages, which
 * no host instruction does. Everything else that is locked it does with the host's
 * own locked instructions on the guest's memory, which the other vCPUs respect.
 * For that one it stops them:
 *
 *   the one                         the others
 *   alone_wanted++                  in_guest = true
 *   in_guest = false                alone_wanted? in_guest = false, wait for alone, again
 *   take alone, in_guest = true     KVM_RUN, or x86_step()
 *   kick each other                 in_guest = false
 *   until none is in_guest
 *   read, modify, write
 *   alone_wanted--, give alone
 *
 * Devices go on, as under every engine.
 */
#include "engine/kvm/kvm-internal.h"

bool kvm_guest_enter(struct vcpu *vcpu)
{
    struct kvm_vm *k = kvm_vm_of(vcpu->vm);
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);

    __atomic_store_n(&v->in_guest, true, __ATOMIC_SEQ_CST);
    if (likely(!__atomic_load_n(&k->alone_wanted, __ATOMIC_SEQ_CST)))
        return true;
    kvm_guest_leave(vcpu);
    pthread_mutex_lock(&k->alone);
    pthread_mutex_unlock(&k->alone);
    return false;
}

void kvm_guest_leave(struct vcpu *vcpu)
{
    __atomic_store_n(&kvm_vcpu_of(vcpu)->in_guest, false, __ATOMIC_SEQ_CST);
}

void kvm_exclusive(struct vcpu *vcpu, bool begin)
{
    struct vm *vm = vcpu->vm;
    struct kvm_vm *k = kvm_vm_of(vm);

    if (!begin) {
        __atomic_fetch_sub(&k->alone_wanted, 1, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&k->alone);
        return;
    }
    __atomic_fetch_add(&k->alone_wanted, 1, __ATOMIC_SEQ_CST);
    /* The instruction has not touched anything yet: another that is alone need not wait for us. */
    kvm_guest_leave(vcpu);
    pthread_mutex_lock(&k->alone);
    __atomic_store_n(&kvm_vcpu_of(vcpu)->in_guest, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *other = vm->vcpu[i];

        if (other == vcpu)
            continue;
        kvm_vcpu_kick(other);
        while (__atomic_load_n(&kvm_vcpu_of(other)->in_guest, __ATOMIC_SEQ_CST))
            vm->plat->ops->relax(vm->plat);
    }
}
