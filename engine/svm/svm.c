/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a processor must have, turning it on, and what VMs and vCPUs are made of. */
#include "engine/svm/svm.h"

#include "base/bytes.h"
#include "core/device.h"
#include "engine/svm/svm-internal.h"

/* ---- processors ---- */

static bool host_is_amd_v(void)
{
    uint32_t extended[4];

    hw_host_cpuid(0x80000001, 0, extended);
    return extended[2] & BIT(2);
}

static void read_features(struct svm_features *has)
{
    uint32_t svm[4], extended[4], sizes[4], emulator[4];

    hw_host_cpuid(0x8000000a, 0, svm);
    hw_host_cpuid(0x80000001, 0, extended);
    hw_host_cpuid(0x80000008, 0, sizes);
    hw_host_cpuid(0x40000000, 0, emulator);
    *has = (struct svm_features){
        .asids = svm[1],
        .next_rip = svm[3] & BIT(3),
        .tsc_ratio = svm[3] & BIT(4),
        .clean_bits = svm[3] & BIT(5),
        .flush_by_asid = svm[3] & BIT(6),
        .decode_assists = svm[3] & BIT(7),
        .pause_filter = svm[3] & BIT(10),
        .pause_threshold = svm[3] & BIT(12),
        .spec_ctrl = svm[3] & BIT(20),
        .huge = extended[3] & BIT(26),
        .rdtscp = extended[3] & BIT(27),
        .rdpru = sizes[1] & BIT(4),
        .mcommit = sizes[1] & BIT(8),
        .injects_twice = emulator[1] == 0x54474354, /* TCGT */
    };
}

static int svm_probe(struct error *err)
{
    uint32_t svm[4];

    if (!host_is_amd_v())
        return error_set(err, ENOTSUP, "this processor has no AMD-V (SVM)");
    hw_host_cpuid(0x8000000a, 0, svm);
    if (!(svm[3] & BIT(0)))
        return error_set(err, ENOTSUP,
                         "this processor's AMD-V has no nested paging: it is too old (before 2008)");
    if (hw_rdmsr(SVM_MSR_VM_CR) & SVM_VM_CR_SVMDIS)
        return error_set(
            err, EACCES,
            "AMD-V is turned off by the firmware: enable \"SVM mode\" (or \"virtualization\") in its "
            "setup");
    return 0;
}

int svm_cpu_on(struct metal_cpu *metal, struct plat *plat, struct error *err)
{
    struct svm_cpu *cpu;
    void *save;
    int r = svm_probe(err);

    if (r < 0)
        return r;
    cpu = plat->ops->alloc(plat, sizeof(*cpu));
    save = plat->ops->alloc(plat, 4096);
    if (cpu)
        cpu->host = plat->ops->alloc(plat, sizeof(*cpu->host));
    if (!cpu || !save || !cpu->host) {
        r = error_set(err, ENOMEM, "processor %u: no memory for AMD-V", metal->index);
        goto fail;
    }
    read_features(&cpu->has);
    cpu->hw.tag_max = cpu->has.asids > 1 ? cpu->has.asids - 1 : 1;
    r = hw_cpu_init(&cpu->hw, metal, plat, err);
    if (r < 0)
        goto fail;
    cpu->tsc_ratio = BIT64(32);
    cpu->host_phys = metal_phys(cpu->host);
    hw_wrmsr(X86_MSR_EFER, hw_rdmsr(X86_MSR_EFER) | X86_EFER_SVME |
                               (cpu->hw.speculation.auto_ibrs ? X86_EFER_AUTOIBRS : 0));
    hw_wrmsr(SVM_MSR_HSAVE, metal_phys(save));
    if (cpu->has.rdtscp)
        hw_wrmsr(X86_MSR_TSC_AUX, 0);
    __asm__ volatile("vmsave %0" : : "a"(cpu->host_phys) : "memory");
    metal->engine_data = cpu;
    return 0;
fail:
    plat->ops->free(plat, save);
    plat->ops->free(plat, cpu ? cpu->host : NULL);
    plat->ops->free(plat, cpu);
    return r;
}

/* ---- VMs ---- */

/* Two bits an MSR: reads, writes; set: exit. */
static void msr_direct(uint8_t *map, uint32_t msr)
{
    uint32_t index = msr < 0x2000 ? msr : msr - 0xc0000000U + 0x2000;

    map[index / 4] &= (uint8_t) ~(3U << (index % 4 * 2));
}

static int make_maps(struct svm_vm *s, struct vm *vm, struct error *err)
{
    static const uint32_t direct[] = {
        X86_MSR_STAR,         X86_MSR_LSTAR,        X86_MSR_CSTAR,          X86_MSR_SFMASK,
        X86_MSR_FS_BASE,      X86_MSR_GS_BASE,      X86_MSR_KERNEL_GS_BASE, X86_MSR_SYSENTER_CS,
        X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
    };

    s->maps = vm_alloc(vm, SVM_MAPS_SIZE);
    if (!s->maps)
        return error_set(err, ENOMEM, "no memory for the VM's permission maps");
    for (unsigned page = 1; page < SVM_MAPS_SIZE / 4096; page++) {
        if (metal_phys(s->maps + page * 4096) != metal_phys(s->maps) + page * 4096)
            return error_set(err, ENOMEM, "no contiguous memory for the VM's permission maps");
    }
    memset(s->maps, 0xff, SVM_MAPS_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(direct); i++)
        msr_direct(s->maps + SVM_MAPS_IO, direct[i]);
    if (s->spec_ctrl_direct)
        msr_direct(s->maps + SVM_MAPS_IO, X86_MSR_SPEC_CTRL);
    return 0;
}

static void svm_vm_finish(struct vm *vm)
{
    struct svm_vm *s = svm_vm_of(vm);

    if (!s)
        return;
    hw_vm_finish(&s->hw);
    vm_free(vm, s->maps);
    vm_free(vm, s);
    vm->engine_data = NULL;
}

static int svm_vm_init(struct vm *vm, struct error *err)
{
    static const uint16_t speculation[] = {X86_FEAT_AMD_IBRS,  X86_FEAT_AMD_STIBP, X86_FEAT_AMD_SSBD,
                                           X86_FEAT_SPEC_CTRL, X86_FEAT_STIBP,     X86_FEAT_SSBD};
    struct svm_vm *s = vm_alloc(vm, sizeof(*s));
    int r;

    if (!s)
        return error_set(err, ENOMEM, "no memory for the VM");
    vm->engine_data = s;
    s->has = ((struct svm_cpu *)metal_cpu()->engine_data)->has;
    for (unsigned i = 0; i < ARRAY_SIZE(speculation); i++)
        s->spec_ctrl |= x86_feature(&vm->cpuid, speculation[i]);
    s->spec_ctrl_direct = s->spec_ctrl && s->has.spec_ctrl;
    s->spec_ctrl &= !s->spec_ctrl_direct;
    /* Nested translations count as user accesses. Dirty is set, so that the processor need not. */
    s->format = (struct hw_format){
        .table = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A,
        .leaf = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_D,
        .huge = s->has.huge,
        .large = true,
    };
    r = hw_vm_init(&s->hw, vm, &s->format, err);
    s->hw.tsc_scales = s->has.tsc_ratio;
    if (r == 0)
        r = make_maps(s, vm, err);
    if (r < 0)
        svm_vm_finish(vm);
    return r;
}

static void svm_vcpu_finish(struct vcpu *vcpu)
{
    struct svm_vcpu *v = vcpu->engine_data;

    if (!v)
        return;
    hw_vcpu_finish(&v->hw);
    vm_free(vcpu->vm, v->vmcb);
    vm_free(vcpu->vm, v);
    vcpu->engine_data = NULL;
}

static int svm_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    struct svm_vcpu *v = vm_alloc(vcpu->vm, sizeof(*v));
    int r;

    if (!v)
        return error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    vcpu->engine_data = v;
    r = hw_vcpu_init(&v->hw, vcpu, &svm_hw_ops, err);
    if (r == 0) {
        v->vmcb = vm_alloc(vcpu->vm, sizeof(*v->vmcb));
        if (!v->vmcb)
            r = error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    }
    if (r < 0) {
        svm_vcpu_finish(vcpu);
        return r;
    }
    v->phys = metal_phys(v->vmcb);
    svm_vmcb_init(v);
    return 0;
}

const struct engine_ops svm_engine = {
    .name = "svm",
    .own_tsc = true,
    .probe = svm_probe,
    .vm_init = svm_vm_init,
    .vm_finish = svm_vm_finish,
    .vcpu_init = svm_vcpu_init,
    .vcpu_finish = svm_vcpu_finish,
    .vcpu_run = hw_vcpu_run,
    .vcpu_kick = metal_kick,
    .state_get = hw_state_get,
    .state_put = hw_state_put,
    .tsc_rate = hw_tsc_rate,
    .clock_changed = hw_clock_changed,
    .exclusive = hw_exclusive,
    .dirty_track = hw_dirty_track,
    .dirty_collect = hw_dirty_collect,
    .counters = hw_counters,
};
