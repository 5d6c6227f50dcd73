/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An instruction that KVM gave up on: the reference semantics finish it on the same state. */
#include <errno.h>

#include "engine/common/thunk-memory.h"
#include "engine/kvm/kvm-internal.h"
#include "x86/exec.h"

/* What x86_step() wants beside the state; only vCPUs that need it have it. */
static int prepare(struct vcpu *vcpu)
{
    struct plat *plat = vcpu->vm->plat;
    struct x86_thunks *thunks;
    int r;

    if (!vcpu->cpu.tlb) {
        vcpu->cpu.tlb = plat->ops->alloc(plat, sizeof(*vcpu->cpu.tlb));
        if (!vcpu->cpu.tlb)
            return -ENOMEM;
    }
    if (vcpu->cpu.thunks)
        return 0;
    thunks = plat->ops->alloc(plat, sizeof(*thunks));
    if (!thunks)
        return -ENOMEM;
    r = thunk_memory_init(thunks, NULL);
    if (r < 0)
        plat->ops->free(plat, thunks);
    else
        vcpu->cpu.thunks = thunks;
    return r;
}

void kvm_step_finish(struct vcpu *vcpu)
{
    struct x86_thunks *thunks = vcpu->cpu.thunks;

    thunk_memory_finish(thunks);
    vcpu->vm->plat->ops->free(vcpu->vm->plat, thunks);
    vcpu->cpu.thunks = NULL;
}

enum vm_exit kvm_step(struct vcpu *vcpu, bool *go_on)
{
    int r = prepare(vcpu);

    *go_on = false;
    if (r < 0 || (r = kvm_step_get(vcpu)) < 0) {
        vm_log(vcpu->vm, LOG_ERROR, "vCPU %u: cannot finish an instruction that KVM gave up on (error %d)",
               vcpu->index, -r);
        return VM_EXIT_ERROR;
    }
    x86_state_changed(&vcpu->cpu);
    vm_trace(vcpu->vm, ENGINE, "kvm gives up at 0x%llx: interpreting", (unsigned long long)vcpu->cpu.s.rip);
    while (!kvm_guest_enter(vcpu)) {
    }
    (void)x86_step(&vcpu->cpu);
    kvm_guest_leave(vcpu);
    if (vcpu->cpu.s.activity == X86_ACT_SHUTDOWN)
        return VM_EXIT_SHUTDOWN;
    r = kvm_step_put(vcpu);
    if (r < 0) {
        vm_log(vcpu->vm, LOG_ERROR, "vCPU %u: KVM refuses the state after an instruction (error %d)",
               vcpu->index, -r);
        return VM_EXIT_ERROR;
    }
    *go_on = true;
    return VM_EXIT_REQUEST;
}
