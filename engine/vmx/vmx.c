/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine: its VMs and vCPUs. */
#include "engine/vmx/vmx.h"

#include "core/device.h"
#include "engine/vmx/vmx-internal.h"

static const struct vmx_cpu *this_cpu(void)
{
    struct hw_cpu *cpu = metal_cpu()->engine_data;

    return cpu ? vmx_cpu_of(cpu) : NULL;
}

static int vmx_probe(struct error *err)
{
    return this_cpu() ? 0 : error_set(err, ENOTSUP, "VT-x is not on, on this processor");
}

static void vmx_vm_finish(struct vm *vm)
{
    struct vmx_vm *x;

    if (!vm->engine_data)
        return;
    x = vmx_vm_of(vm);
    hw_vm_finish(&x->hw);
    vm_free(vm, x->msr_bitmap);
    vm_free(vm, x);
    vm->engine_data = NULL;
}

static int vmx_vm_init(struct vm *vm, struct error *err)
{
    const struct vmx_cpu *cpu = this_cpu();
    struct vmx_vm *x = vm_alloc(vm, sizeof(*x));
    int r;

    if (!cpu || !x) {
        vm_free(vm, x);
        return cpu ? error_set(err, ENOMEM, "no memory for the VM") : vmx_probe(err);
    }
    vm->engine_data = &x->hw;
    x->caps = cpu->caps;
    x->format = (struct hw_format){
        .table = EPT_READ | EPT_WRITE | EPT_EXECUTE,
        .leaf = EPT_READ | EPT_WRITE | EPT_EXECUTE | EPT_WRITE_BACK | EPT_IGNORE_PAT,
        .execute = cpu->hw.speculation.split_code ? EPT_EXECUTE : 0,
        .large = cpu->caps.ept_2m,
        .huge = cpu->caps.ept_1g,
    };
    x->hw.tsc_scales = cpu->caps.tsc_scaling;
    x->msr_bitmap = vm_alloc(vm, MEM_PAGE);
    r = x->msr_bitmap ? hw_vm_init(&x->hw, vm, &x->format, err)
                      : error_set(err, ENOMEM, "no memory for the VM's MSR bitmap");
    if (r < 0) {
        vmx_vm_finish(vm);
        return r;
    }
    vmx_msr_bitmap(x->msr_bitmap, &vm->cpuid, &x->caps);
    x->ept_pointer = metal_phys(x->hw.root) | x->caps.ept_bits;
    return 0;
}

static void vmx_vcpu_finish(struct vcpu *vcpu)
{
    struct vmx_vcpu *v;

    if (!vcpu->engine_data)
        return;
    v = vmx_of(vcpu->engine_data);
    hw_vcpu_finish(&v->hw);
    vm_free(vcpu->vm, v->vmcs);
    vm_free(vcpu->vm, v->apic);
    vm_free(vcpu->vm, v);
    vcpu->engine_data = NULL;
}

static int vmx_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    struct vmx_vcpu *v = vm_alloc(vcpu->vm, sizeof(*v));
    int r;

    if (!v)
        return error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    vcpu->engine_data = &v->hw;
    v->vmcs = vm_alloc(vcpu->vm, MEM_PAGE);
    if (vmx_vm_of(vcpu->vm)->caps.tpr_shadow)
        v->apic = vm_alloc(vcpu->vm, MEM_PAGE); /* without it CR8 exits */
    r = v->vmcs ? hw_vcpu_init(&v->hw, vcpu, &vmx_ops, err)
                : error_set(err, ENOMEM, "no memory for vCPU %u's control block", vcpu->index);
    if (r == 0) {
        *v->vmcs = vmx_vm_of(vcpu->vm)->caps.revision;
        if (!vmcs_clear(metal_phys(v->vmcs)))
            r = error_set(err, EIO, "vCPU %u: the processor refuses its control block", vcpu->index);
    }
    if (r < 0)
        vmx_vcpu_finish(vcpu);
    return r;
}

const struct engine_ops vmx_engine = {
    .name = "vmx",
    .own_tsc = true,
    .probe = vmx_probe,
    .vm_init = vmx_vm_init,
    .vm_finish = vmx_vm_finish,
    .vcpu_init = vmx_vcpu_init,
    .vcpu_finish = vmx_vcpu_finish,
    .vcpu_run = hw_vcpu_run,
    .vcpu_kick = metal_kick,
    .state_get = hw_state_get,
    .state_put = hw_state_put,
    .tsc_rate = hw_tsc_rate,
    .clock_changed = hw_clock_changed,
    .dirty_track = hw_dirty_track,
    .dirty_collect = hw_dirty_collect,
    .exclusive = hw_exclusive,
    .counters = hw_counters,
};
