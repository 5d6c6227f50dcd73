/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "engine/kvm/kvm-internal.h"
#include "x86/cpuid.h"

#define MAX_ENTRIES 256

/* Registers that are sets of features, of which a guest may have no more than KVM carries out. */
static const struct {
    uint32_t leaf, subleaf;
    bool eax, ebx, ecx, edx;
    /* Bits that the local APIC or we bring, whatever KVM says of them. */
    uint32_t keep_ecx;
} feature_leaves[] = {
    {0x1, 0, false, false, true, true, BIT(31) | BIT(24) | BIT(21)}, /* hypervisor, TSC deadline, x2APIC */
    {0x7, 0, false, true, true, true, 0},
    {0x7, 1, true, false, false, true, 0},
    {0xd, 1, true, false, false, false, 0},
    {0x80000001, 0, false, false, true, true, 0},
    {0x80000007, 0, false, false, false, false, 0},
    {0x80000008, 0, false, true, false, false, 0},
};

int kvm_cpuid_load(struct kvm_vm *k, struct error *err)
{
    int r;

    k->supported = calloc(1, sizeof(*k->supported) + MAX_ENTRIES * sizeof(k->supported->entries[0]));
    if (!k->supported)
        return error_set(err, ENOMEM, "no memory for the KVM engine");
    k->supported->nent = MAX_ENTRIES;
    r = kvm_ioctl(k->kvm_fd, KVM_GET_SUPPORTED_CPUID, k->supported);
    return r < 0 ? error_set(err, -r, "KVM does not tell its CPUID") : 0;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *set, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < set->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &set->entries[i];
        bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

        if (e->function == leaf && (!indexed || e->index == subleaf))
            return e;
    }
    return NULL;
}

static void mask_features(const struct kvm_cpuid2 *supported, struct kvm_cpuid_entry2 *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(feature_leaves); i++) {
        const struct kvm_cpuid_entry2 *s;

        if (feature_leaves[i].leaf != e->function || feature_leaves[i].subleaf != e->index)
            continue;
        s = find(supported, e->function, e->index);
        if (feature_leaves[i].eax)
            e->eax &= s ? s->eax : 0;
        if (feature_leaves[i].ebx)
            e->ebx &= s ? s->ebx : 0;
        if (feature_leaves[i].ecx)
            e->ecx &= (s ? s->ecx : 0) | feature_leaves[i].keep_ecx;
        if (feature_leaves[i].edx)
            e->edx &= s ? s->edx : 0;
    }
}

void kvm_cpuid_tsc(struct vm *vm, uint32_t khz)
{
    for (unsigned i = 0; i < vm->cpuid.count; i++) {
        struct x86_cpuid_leaf *leaf = &vm->cpuid.leaf[i];

        switch (leaf->leaf) {
        case 0x15: /* a multiple of the crystal, which counts eax of it */
            leaf->ebx = khz;
            break;
        case 0x16:
            leaf->eax = leaf->ebx = khz / 1000;
            break;
        case 0x40000010:
            leaf->eax = khz;
            break;
        }
    }
}

int kvm_cpuid_set(struct vcpu *vcpu, struct error *err)
{
    const struct x86_cpuid_model *model = &vcpu->vm->cpuid;
    const struct kvm_cpuid2 *supported = kvm_vm_of(vcpu->vm)->supported;
    struct kvm_cpuid2 *set = calloc(1, sizeof(*set) + X86_CPUID_MAX_LEAVES * sizeof(set->entries[0]));
    int r;

    if (!set)
        return error_set(err, ENOMEM, "no memory for vCPU %u's CPUID", vcpu->index);
    for (unsigned i = 0; i < model->count; i++) {
        const struct x86_cpuid_leaf *leaf = &model->leaf[i];
        struct kvm_cpuid_entry2 *e = &set->entries[set->nent++];
        uint32_t regs[4];

        x86_cpuid_read(&vcpu->cpu, leaf->leaf, leaf->subleaf, regs);
        e->function = leaf->leaf;
        e->index = leaf->subleaf;
        e->flags = leaf->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
        e->eax = regs[0];
        e->ebx = regs[1];
        e->ecx = regs[2];
        e->edx = regs[3];
        mask_features(supported, e);
    }
    r = kvm_ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_CPUID2, set);
    free(set);
    return r < 0 ? error_set(err, -r, "KVM refuses the CPUID of vCPU %u (%s)", vcpu->index, strerror(-r)) : 0;
}
