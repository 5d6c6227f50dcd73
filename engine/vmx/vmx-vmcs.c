/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VMCS says once and for all: what exits, and which MSRs do not.
 *
 * Exits for: interrupts and NMIs of the machine, HLT, MWAIT, all ports, CR0 (but TS
 * and MP), CR4, debug registers, most MSRs, RDPMC, WBINVD, PAUSE in a loop.
 * CR8 exits when it is lowered, as an interrupt may wait for that.
 * No exits for: CR3, INVLPG, INVPCID, RDTSC, exceptions, but #DB and #AC, which can be
 * made to follow each other without end inside the processor, and machine checks.
 */
#include "base/bytes.h"
#include "engine/vmx/vmx-internal.h"

#define PAUSE_GAP    128U  /* TSC ticks between two PAUSEs of one loop at most */
#define PAUSE_WINDOW 4096U /* that a loop may last */

/* What the guest's CPUID does not have shall not work either, where the processor lets us choose. */
static uint32_t secondary(const struct vm *vm, const struct vmx_caps *caps)
{
    uint32_t controls = caps->control[VMX_CPU2];

    if (!x86_feature(&vm->cpuid, X86_FEAT_RDTSCP) && !x86_feature(&vm->cpuid, X86_FEAT_RDPID))
        controls &= ~VMX_CPU2_RDTSCP;
    if (!x86_feature(&vm->cpuid, X86_FEAT_INVPCID))
        controls &= ~VMX_CPU2_INVPCID;
    if (vm->vcpu_count < 2)
        controls &= ~VMX_CPU2_PAUSE_LOOP;
    if (!hw_vm_of(vm)->tsc_scales)
        controls &= ~VMX_CPU2_TSC_SCALING;
    return controls;
}

/* Nobody stays in the guest for longer than 10 ms: Bochs 2.7 enters it with interrupts of the machine blocked
 * if the guest's IF is clear, until the guest changes that. */
static uint64_t longest_stay(const struct vm *vm, const struct vmx_caps *caps)
{
    return MIN((vm->clock.tsc_khz * 10ULL >> caps->timer_shift) + 1, UINT32_MAX);
}

void vmx_controls_write(struct vmx_vcpu *v)
{
    const struct vm *vm = v->hw.vcpu->vm;
    const struct vmx_vm *x = vmx_vm_of(vm);
    const struct vmx_caps *caps = &x->caps;
    uint32_t cpu2 = secondary(vm, caps);

    v->cpu_controls = caps->control[VMX_CPU];
    if (!v->apic && caps->tpr_shadow)
        v->cpu_controls = (v->cpu_controls & ~VMX_CPU_TPR_SHADOW) | VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE;
    vmcs_write(VMCS_PIN_CONTROLS, caps->control[VMX_PIN]);
    if (caps->control[VMX_PIN] & VMX_PIN_TIMER)
        vmcs_write(VMCS_TIMER, longest_stay(vm, caps));
    vmcs_write(VMCS_CPU_CONTROLS, v->cpu_controls);
    vmcs_write(VMCS_CPU2_CONTROLS, cpu2);
    vmcs_write(VMCS_EXIT_CONTROLS, caps->control[VMX_EXIT]);
    vmcs_write(VMCS_EXCEPTIONS, BIT(X86_DB) | BIT(X86_AC) | BIT(X86_MC));
    vmcs_write(VMCS_CR3_TARGETS, 0);
    vmcs_write(VMCS_EXIT_STORE_COUNT, 0);
    vmcs_write(VMCS_EXIT_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_EVENT, 0);
    vmcs_write(VMCS_MSR_BITMAP, metal_phys(x->msr_bitmap));
    vmcs_write(VMCS_EPT_POINTER, x->ept_pointer);
    vmcs_write(VMCS_LINK_POINTER, ~0ULL);
    vmcs_write(VMCS_CR0_MASK, ~(uint64_t)(X86_CR0_TS | X86_CR0_MP));
    vmcs_write(VMCS_CR4_MASK, ~0ULL);
    vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    if (cpu2 & VMX_CPU2_PAUSE_LOOP) {
        vmcs_write(VMCS_PAUSE_GAP, PAUSE_GAP);
        vmcs_write(VMCS_PAUSE_WINDOW, PAUSE_WINDOW);
    }
    if (cpu2 & VMX_CPU2_TSC_SCALING)
        vmcs_write(VMCS_TSC_MULTIPLIER, BIT64(48));
    if (v->apic) {
        vmcs_write(VMCS_VIRTUAL_APIC, metal_phys(v->apic));
        vmcs_write(VMCS_TPR_THRESHOLD, 0);
    }
    vmx_state_init(v, caps);
    v->made = true;
}

/* ---- MSRs (SDM 24.6.9): reads of 0..1fff, reads of c0000000.., writes of both; a set bit exits ---- */

static void direct(uint8_t *bitmap, uint32_t msr, bool write)
{
    uint32_t n = msr & 0x1fff;
    uint8_t *quarter = bitmap + (write ? 2048 : 0) + (msr >= 0xc0000000U ? 1024 : 0);

    quarter[n / 8] &= (uint8_t)~BIT(n % 8);
}

static void direct_both(uint8_t *bitmap, uint32_t msr)
{
    direct(bitmap, msr, false);
    direct(bitmap, msr, true);
}

/* What is written once in a guest's life exits then, and so is checked and known. */
void vmx_msr_bitmap(uint8_t bitmap[4096], const struct x86_cpuid_model *model, const struct vmx_caps *caps)
{
    memset(bitmap, 0xff, 4096);
    direct(bitmap, X86_MSR_TSC, false);
    direct(bitmap, X86_MSR_EFER, false);
    direct_both(bitmap, X86_MSR_PAT);
    if (x86_feature(model, X86_FEAT_SEP)) {
        direct(bitmap, X86_MSR_SYSENTER_CS, false);
        direct_both(bitmap, X86_MSR_SYSENTER_ESP);
        direct_both(bitmap, X86_MSR_SYSENTER_EIP);
    }
    if (x86_feature(model, X86_FEAT_SYSCALL))
        direct(bitmap, X86_MSR_STAR, false);
    if (x86_feature(model, X86_FEAT_LM)) {
        direct(bitmap, X86_MSR_LSTAR, false);
        direct(bitmap, X86_MSR_CSTAR, false);
        direct(bitmap, X86_MSR_SFMASK, false);
        direct_both(bitmap, X86_MSR_FS_BASE);
        direct_both(bitmap, X86_MSR_GS_BASE);
        direct_both(bitmap, X86_MSR_KERNEL_GS_BASE);
    }
    if (x86_feature(model, X86_FEAT_RDTSCP) && caps->control[VMX_CPU2] & VMX_CPU2_RDTSCP)
        direct(bitmap, X86_MSR_TSC_AUX, false);
}
