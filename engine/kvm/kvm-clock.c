/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's TSC is the host's, moved (and scaled, where the processor can); its
 * paravirtual clock is KVM's. Both follow the VM's clock where that matters: the
 * paravirtual clock is set when the VM goes on, so that it stands still in a pause,
 * and a saved TSC is that of the moment when the clock stopped.
 */
#include <x86intrin.h>

#include "engine/kvm/kvm-internal.h"

#define TRIES 4
/* vCPUs whose TSCs differ less than this are in step: it is what reading one after the other costs. */
#define IN_STEP_NS 100000U

void kvm_clock_changed(struct vm *vm, bool running)
{
    struct kvm_vm *k = kvm_vm_of(vm);
    struct kvm_clock_data clock = {.clock = clock_now(vm)};

    if (running)
        (void)kvm_ioctl(k->vm_fd, KVM_SET_CLOCK, &clock);
    else
        k->stopped_at = __rdtsc();
}

/* Reads the TSC, and the host's at that moment. */
static int read_tsc(const struct kvm_vcpu *v, uint64_t *guest, uint64_t *host)
{
    uint64_t quickest = ~0ULL;

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc(), value, took;
        int r = kvm_msr_get(v->fd, X86_MSR_TSC, &value);

        if (r < 0)
            return r;
        took = __rdtsc() - before;
        if (took >= quickest)
            continue;
        quickest = took;
        *guest = value;
        *host = before + took / 2;
    }
    return 0;
}

int kvm_tsc_get(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    const struct kvm_vm *k = kvm_vm_of(vm);
    int64_t *offset = &vcpu->cpu.s.tsc_offset, first = vm->vcpu[0]->cpu.s.tsc_offset, apart;
    uint64_t guest = 0, host = 0;
    int r = read_tsc(kvm_vcpu_of(vcpu), &guest, &host);

    if (r < 0)
        return r;
    if (!vm->clock.running) {
        uint64_t since = host - k->stopped_at;

        guest -= (uint64_t)((double)since * vm->clock.tsc_khz / k->native_khz);
    }
    *offset = (int64_t)(guest - clock_tsc(vm));
    apart = *offset - first;
    if ((uint64_t)(apart < 0 ? -apart : apart) < clock_ns_to_tsc(vm, IN_STEP_NS))
        *offset = first;
    return 0;
}

int kvm_tsc_put(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);
    uint64_t now = clock_tsc(vcpu->vm) + (uint64_t)vcpu->cpu.s.tsc_offset;
    int r = kvm_msr_set(v->fd, X86_MSR_TSC, now);

    if (r < 0 || !v->tsc_deadline)
        return r;
    r = kvm_msr_set(v->fd, X86_MSR_TSC_DEADLINE, v->tsc_deadline);
    v->tsc_deadline = 0;
    return r;
}

int kvm_tsc_rate(struct vm *vm, uint32_t khz)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        int fd = kvm_vcpu_of(vm->vcpu[i])->fd;

        /* All of them run at the same rate, so that the first one's answer is everyone's. */
        if (kvm_ioctl(fd, KVM_SET_TSC_KHZ, (void *)(unsigned long)khz) < 0)
            return -ENOTSUP;
    }
    kvm_cpuid_tsc(vm, khz);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        int r = kvm_cpuid_set(vm->vcpu[i], NULL);

        if (r < 0)
            return r;
    }
    return 0;
}
