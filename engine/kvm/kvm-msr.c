/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers under KVM, in three kinds:
 *
 *   carried out by KVM     those that the processor or the kernel's own APIC and clock act on
 *   kept by our model      all others that the model has: KVM denies them, and the
 *                          exit is answered by x86/msr.c as under every engine
 *   not in the model       the same way, and #GP
 */
#include <string.h>

#include "engine/kvm/kvm-internal.h"
#include "x86/exec-sys.h"

/* KVM's own: for the filter, and for the state those that have a member. */
static const struct {
    uint32_t msr;
    bool has_member;
    bool at_rest; /* exchanged after a reset, load, or for a save only */
    size_t offset;
} passed[] = {
#define MSR(number, member)                                                                                  \
    {                                                                                                        \
        number, true, false, offsetof(struct x86_state, member)                                              \
    }
#define MSR_AT_REST(number, member)                                                                          \
    {                                                                                                        \
        number, true, true, offsetof(struct x86_state, member)                                               \
    }
#define MSR_ELSEWHERE(number)                                                                                \
    {                                                                                                        \
        number, false, false, 0                                                                              \
    }
    MSR_ELSEWHERE(X86_MSR_TSC),
    MSR_ELSEWHERE(X86_MSR_APIC_BASE),
    MSR_AT_REST(X86_MSR_TSC_ADJUST, tsc_adjust),
    MSR(X86_MSR_SPEC_CTRL, spec_ctrl),
    MSR_ELSEWHERE(X86_MSR_PRED_CMD),
    MSR_ELSEWHERE(X86_MSR_ARCH_CAPABILITIES),
    MSR(X86_MSR_SYSENTER_CS, sysenter_cs),
    MSR(X86_MSR_SYSENTER_ESP, sysenter_esp),
    MSR(X86_MSR_SYSENTER_EIP, sysenter_eip),
    MSR(X86_MSR_PAT, pat),
    MSR_ELSEWHERE(X86_MSR_TSC_DEADLINE),
    MSR_AT_REST(X86_MSR_KVM_SYSTEM_TIME_NEW, kvm_system_time),
    MSR_ELSEWHERE(X86_MSR_EFER),
    MSR(X86_MSR_STAR, star),
    MSR(X86_MSR_LSTAR, lstar),
    MSR(X86_MSR_CSTAR, cstar),
    MSR(X86_MSR_SFMASK, sfmask),
    MSR_ELSEWHERE(X86_MSR_FS_BASE),
    MSR_ELSEWHERE(X86_MSR_GS_BASE),
    MSR(X86_MSR_KERNEL_GS_BASE, kernel_gs_base),
    MSR(X86_MSR_TSC_AUX, tsc_aux),
#undef MSR
#undef MSR_AT_REST
#undef MSR_ELSEWHERE
};

/* ---- the filter; the x2APIC's MSRs are outside of it, KVM's by right ---- */

#define RANGE_SIZE 0x800U

int kvm_msr_filter(struct kvm_vm *k, struct error *err)
{
    static const uint32_t bases[] = {0, 0x4b564d00, 0xc0000000};
    struct kvm_enable_cap exits = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_FILTER}};
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_DENY};
    uint64_t allowed[ARRAY_SIZE(bases)][RANGE_SIZE / 64] = {{0}};
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        for (size_t m = 0; m < ARRAY_SIZE(passed); m++) {
            uint32_t bit = passed[m].msr - bases[i];

            if (bit < RANGE_SIZE)
                allowed[i][bit / 64] |= BIT64(bit % 64);
        }
        filter.ranges[i] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
            .base = bases[i],
            .nmsrs = RANGE_SIZE,
            .bitmap = (uint8_t *)allowed[i],
        };
    }
    r = kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &exits);
    if (r >= 0)
        r = kvm_ioctl(k->vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
    return r < 0 ? error_set(err, -r, "KVM refuses the filter for MSRs") : 0;
}

void kvm_msr_exit(struct vcpu *vcpu, struct kvm_run *run)
{
    uint64_t value = run->msr.data;
    bool known;

    if (run->exit_reason == KVM_EXIT_X86_RDMSR)
        known = x86_msr_read(&vcpu->cpu, run->msr.index, &value);
    else
        known = x86_msr_write(&vcpu->cpu, run->msr.index, value);
    vm_trace(vcpu->vm, MSR, "%s 0x%x: %s0x%llx", run->exit_reason == KVM_EXIT_X86_RDMSR ? "rdmsr" : "wrmsr",
             run->msr.index, known ? "" : "#GP ", (unsigned long long)value);
    run->msr.data = value;
    run->msr.error = !known;
}

/* ---- state ---- */

int kvm_msr_get(int fd, uint32_t msr, uint64_t *value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } m = {.head = {.nmsrs = 1}, .entry = {.index = msr}};
    int r = kvm_ioctl(fd, KVM_GET_MSRS, &m);

    if (r != 1)
        return r < 0 ? r : -ENOTSUP;
    *value = m.entry.data;
    return 0;
}

int kvm_msr_set(int fd, uint32_t msr, uint64_t value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } m = {.head = {.nmsrs = 1}, .entry = {.index = msr, .data = value}};
    int r = kvm_ioctl(fd, KVM_SET_MSRS, &m);

    return r == 1 ? 0 : r < 0 ? r : -ENOTSUP;
}

struct batch {
    struct kvm_msrs head;
    struct kvm_msr_entry entry[ARRAY_SIZE(passed)];
};

/* Goes on behind an MSR that this KVM does not have: it must not keep the others out. */
static void transfer(int fd, const struct batch *all, struct batch *done, bool put)
{
    uint32_t at = 0;

    done->head.nmsrs = 0;
    while (at < all->head.nmsrs) {
        struct batch b = {.head = {.nmsrs = all->head.nmsrs - at}};
        int r;

        memcpy(b.entry, all->entry + at, b.head.nmsrs * sizeof(b.entry[0]));
        r = kvm_ioctl(fd, put ? KVM_SET_MSRS : KVM_GET_MSRS, &b);
        if (r > 0) {
            memcpy(done->entry + done->head.nmsrs, b.entry, (size_t)r * sizeof(b.entry[0]));
            done->head.nmsrs += (uint32_t)r;
            at += (uint32_t)r;
        }
        at++;
    }
}

static uint64_t *member(struct x86_state *s, size_t i)
{
    return (uint64_t *)(void *)((char *)s + passed[i].offset);
}

void kvm_msrs_transfer(int fd, struct x86_state *s, bool at_rest, bool put)
{
    struct batch all = {.head = {.nmsrs = 0}}, done;

    for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
        if (passed[i].has_member && (at_rest || !passed[i].at_rest))
            all.entry[all.head.nmsrs++] =
                (struct kvm_msr_entry){.index = passed[i].msr, .data = *member(s, i)};
    }
    transfer(fd, &all, &done, put);
    for (uint32_t d = 0; !put && d < done.head.nmsrs; d++) {
        for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
            if (passed[i].has_member && passed[i].msr == done.entry[d].index)
                *member(s, i) = done.entry[d].data;
        }
    }
}
