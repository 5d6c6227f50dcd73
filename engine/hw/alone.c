/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86_step() does locked accesses with the host's own locked instructions on the
 * guest's memory, which other processors respect. One over two pages it cannot do:
 * for that it stops the VM's other vCPUs.
 *
 *   the one                         the others
 *   alone_wanted++                  in = GUEST or STEP
 *   in = OUT                        alone_wanted? in = OUT, wait for alone, again
 *   take alone, in = STEP           guest code, or x86_step()
 *   kick each other                 in = OUT
 *   until none is in
 *   read, modify, write
 *   alone_wanted--, give alone
 *
 * Nobody waits for longer than an exit or one instruction takes: a vCPU that is in
 * runs on a processor now, and holds nothing that the one could be asked for.
 */
#include "engine/hw/hw-internal.h"

static void put_in(struct hw_vcpu *v, enum hw_in in)
{
    __atomic_store_n(&v->in, (uint8_t)in, __ATOMIC_SEQ_CST);
}

void hw_wait(struct hw_vcpu *v, enum hw_in in)
{
    struct hw_vm *h = hw_vm_of(v->vcpu->vm);
    struct plat *plat = v->vcpu->vm->plat;

    while (__atomic_load_n(&h->alone_wanted, __ATOMIC_SEQ_CST)) {
        put_in(v, HW_OUT);
        plat->ops->lock(plat, &h->alone);
        plat->ops->unlock(plat, &h->alone);
        put_in(v, in);
    }
}

void hw_step_enter(struct hw_vcpu *v)
{
    put_in(v, HW_IN_STEP);
    if (unlikely(__atomic_load_n(&hw_vm_of(v->vcpu->vm)->alone_wanted, __ATOMIC_SEQ_CST)))
        hw_wait(v, HW_IN_STEP);
}

void hw_step_leave(struct hw_vcpu *v)
{
    put_in(v, HW_OUT);
}

void hw_exclusive(struct vcpu *vcpu, bool begin)
{
    struct vm *vm = vcpu->vm;
    struct hw_vm *h = hw_vm_of(vm);

    if (!begin) {
        __atomic_fetch_sub(&h->alone_wanted, 1, __ATOMIC_SEQ_CST);
        vm->plat->ops->unlock(vm->plat, &h->alone);
        return;
    }
    __atomic_fetch_add(&h->alone_wanted, 1, __ATOMIC_SEQ_CST);
    /* The instruction has not touched anything yet: another that is alone need not wait for us. */
    put_in(hw_vcpu_of(vcpu), HW_OUT);
    vm->plat->ops->lock(vm->plat, &h->alone);
    put_in(hw_vcpu_of(vcpu), HW_IN_STEP);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *other = vm->vcpu[i];

        if (other == vcpu)
            continue;
        metal_kick(other);
        while (__atomic_load_n(&hw_vcpu_of(other)->in, __ATOMIC_SEQ_CST) != HW_OUT)
            __builtin_ia32_pause();
    }
}
