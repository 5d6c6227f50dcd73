/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU on a processor: load, entry, unload.
 *
 * The VMCS is current on a processor from load to unload, which ends in VMCLEAR: so
 * the thread may go on anywhere, and no processor has to be asked for it.
 *
 * The hypervisor uses none of the MSRs in HW_SYSCALL and HW_MSRS (SPEC_CTRL apart), so
 * they keep the guest's values until another vCPU is loaded on the processor.
 */
#include "engine/vmx/vmx-internal.h"

static uint64_t cr2_read(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

static void cr2_write(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr2" : : "r"(value));
}

/* ---- what stays in the processor ---- */

/* A saved state may hold what no WRMSR would have taken. */
static uint64_t canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16);
}

static void load_msr(struct vmx_cpu *cpu, enum vmx_msr which, uint64_t value)
{
    static const uint32_t number[VMX_MSR_COUNT] = {
        [VMX_STAR] = X86_MSR_STAR,     [VMX_LSTAR] = X86_MSR_LSTAR,     [VMX_CSTAR] = X86_MSR_CSTAR,
        [VMX_SFMASK] = X86_MSR_SFMASK, [VMX_TSC_AUX] = X86_MSR_TSC_AUX,
    };

    if (cpu->msr[which] == value)
        return;
    cpu->msr[which] = value;
    hw_wrmsr(number[which], value);
}

static void load_msrs(struct vmx_vcpu *v)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;
    struct vmx_cpu *cpu = vmx_cpu_of(v->hw.cpu);

    load_msr(cpu, VMX_STAR, s->star);
    load_msr(cpu, VMX_LSTAR, canonical(s->lstar));
    load_msr(cpu, VMX_CSTAR, canonical(s->cstar));
    load_msr(cpu, VMX_SFMASK, (uint32_t)s->sfmask);
    if (cpu->caps.control[VMX_CPU2] & VMX_CPU2_RDTSCP)
        load_msr(cpu, VMX_TSC_AUX, (uint32_t)s->tsc_aux);
    hw_wrmsr(X86_MSR_KERNEL_GS_BASE, canonical(s->kernel_gs_base));
    cpu->loaded = v;
    v->msrs_there = true;
}

/* Debug registers exit when they are used, but while a breakpoint is set the processor has them. */
static void load_breakpoints(const struct x86_state *s)
{
    __asm__ volatile("mov %0, %%dr0" : : "r"(s->dr[0]));
    __asm__ volatile("mov %0, %%dr1" : : "r"(s->dr[1]));
    __asm__ volatile("mov %0, %%dr2" : : "r"(s->dr[2]));
    __asm__ volatile("mov %0, %%dr3" : : "r"(s->dr[3]));
}

/* ---- translations ---- */

static void drop_nested(struct vmx_vcpu *v)
{
    bool single = vmx_cpu_of(v->hw.cpu)->caps.invept_single;

    vmx_invept(single ? vmx_vm_of(v->hw.vcpu->vm)->ept_pointer : 0);
    v->nested_seen = v->hw.flushed;
}

/* A VPID that no translation has; without VPIDs each entry drops all. */
static void drop_translations(struct vmx_vcpu *v)
{
    if (v->hw.flushed != v->nested_seen)
        drop_nested(v);
    if (vmx_cpu_of(v->hw.cpu)->caps.vpid) {
        if (hw_tag(&v->hw))
            vmx_invvpid_all();
        vmcs_write(VMCS_VPID, v->hw.tag);
    }
    v->hw.flush = false;
}

/* ---- load and unload ---- */

static void vmx_load(struct hw_vcpu *h, bool moved)
{
    struct vmx_vcpu *v = vmx_of(h);
    const struct vmx_cpu *cpu = vmx_cpu_of(h->cpu);
    bool loaded = vmcs_load(metal_phys(v->vmcs));

    base_assert(loaded);
    v->launched = false;
    if (!v->made)
        vmx_controls_write(v);
    if (moved) {
        vmx_host_write();
        drop_nested(
            v); /* what this processor knows of the tables may be from another VM's, in the same page */
    }
    if (moved || cpu->loaded != v)
        v->msrs_there = false;
}

static void vmx_fetch(struct hw_vcpu *h, uint32_t parts)
{
    struct vmx_vcpu *v = vmx_of(h);

    vmx_state_get(v, parts);
    if (parts & HW_SYSCALL && v->msrs_there)
        h->vcpu->cpu.s.kernel_gs_base = hw_rdmsr(X86_MSR_KERNEL_GS_BASE);
}

static void vmx_unload(struct hw_vcpu *h)
{
    struct vmx_vcpu *v = vmx_of(h);
    bool cleared;

    /* Of what is not in the VMCS, only this changes without an exit (SWAPGS). */
    if (v->msrs_there && !(h->known & HW_SYSCALL))
        h->vcpu->cpu.s.kernel_gs_base = hw_rdmsr(X86_MSR_KERNEL_GS_BASE);
    cleared = vmcs_clear(metal_phys(v->vmcs));
    base_assert(cleared);
}

/* ---- events ---- */

/* Which exceptions push an error code (SDM table 6-1); an entry insists on it. */
static bool pushes_error(uint8_t vector)
{
    return BIT(vector & 31) & (BIT(X86_DF) | BIT(X86_TS) | BIT(X86_NP) | BIT(X86_SS_FAULT) | BIT(X86_GP) |
                               BIT(X86_PF) | BIT(X86_AC));
}

static void vmx_inject(struct hw_vcpu *h, enum hw_event event, uint8_t vector, bool has_error, uint32_t error)
{
    struct vmx_vcpu *v = vmx_of(h);
    bool is_protected = h->vcpu->cpu.s.cr0 & X86_CR0_PE;

    switch (event) {
    case HW_INTERRUPT:
        v->event = VMX_EVENT_VALID | VMX_EVENT_EXTERNAL | vector;
        break;
    case HW_NMI:
        v->event = VMX_EVENT_VALID | VMX_EVENT_NMI | X86_NMI;
        break;
    case HW_EXCEPTION:
        v->event = VMX_EVENT_VALID | VMX_EVENT_EXCEPTION | vector;
        if (is_protected && pushes_error(vector))
            v->event |= VMX_EVENT_HAS_ERROR;
        v->event_error = has_error ? error : 0;
        break;
    }
}

/* The processor itself keeps track of when an NMI's handler ends: no exit for that. */
static void vmx_window(struct hw_vcpu *h, bool interrupt, bool nmi)
{
    struct vmx_vcpu *v = vmx_of(h);
    uint32_t controls = v->cpu_controls & ~(VMX_CPU_INTERRUPT_WINDOW | VMX_CPU_NMI_WINDOW);

    controls |= (interrupt ? VMX_CPU_INTERRUPT_WINDOW : 0) |
                (nmi && h->vcpu->cpu.s.nmi_pending ? VMX_CPU_NMI_WINDOW : 0);
    if (controls == v->cpu_controls)
        return;
    v->cpu_controls = controls;
    vmcs_write(VMCS_CPU_CONTROLS, controls);
}

/* ---- entry ---- */

static void write_changes(struct vmx_vcpu *v)
{
    struct hw_vcpu *h = &v->hw;
    const struct hw_vm *hw = hw_vm_of(h->vcpu->vm);

    vmx_state_put(v, h->changed);
    if (h->changed & (HW_SYSCALL | HW_MSRS))
        v->msrs_there = false;
    if (h->changed & HW_TPR)
        vmx_tpr_put(v);
    if (h->changed & HW_TSC) {
        vmcs_write(VMCS_TSC_OFFSET, h->tsc_offset);
        if (hw->tsc_scales)
            vmcs_write(VMCS_TSC_MULTIPLIER, hw->tsc_ratio << 16);
    }
    h->changed = 0;
}

static void vmx_enter_guest(struct hw_vcpu *h)
{
    struct vmx_vcpu *v = vmx_of(h);
    struct x86_state *s = &h->vcpu->cpu.s;
    uint64_t spec_ctrl, own = h->cpu->speculation.spec_ctrl;
    int refused;

    hw_guest_enter(h);
    spec_ctrl = (s->spec_ctrl & vmx_cpu_of(h->cpu)->spec_ctrl) | own;
    if (h->changed)
        write_changes(v);
    if (h->flush)
        drop_translations(v);
    if (!v->msrs_there)
        load_msrs(v);
    if (unlikely(s->dr[7] & 0xff))
        load_breakpoints(s);
    vmx_state_enter(v);
    if (v->event) {
        vmcs_write(VMCS_ENTRY_ERROR, v->event_error);
        vmcs_write(VMCS_ENTRY_EVENT, v->event);
        v->event = 0;
    }
    if (cr2_read() != s->cr2)
        cr2_write(s->cr2);
    if (unlikely(spec_ctrl != own))
        hw_wrmsr(X86_MSR_SPEC_CTRL, spec_ctrl);
    refused = vmx_enter(s->gpr, v->launched, h->cpu->enter_flags);
    if (unlikely(spec_ctrl != own))
        hw_wrmsr(X86_MSR_SPEC_CTRL, own);
    s->cr2 = cr2_read();
    hw_guest_leave(h);
    if (unlikely(refused)) {
        vm_log(h->vcpu->vm, LOG_ERROR, "vCPU %u: VT-x refuses its control block (error %u)", h->vcpu->index,
               (unsigned)vmcs_read(VMCS_INSTRUCTION_ERROR));
        hw_leave(h, VM_EXIT_ERROR);
        return;
    }
    v->launched = true;
    vmx_state_exit(v);
    vmx_tpr_get(v);
    vmx_exit(v);
}

const struct hw_ops vmx_ops = {
    .enter = vmx_enter_guest,
    .fetch = vmx_fetch,
    .inject = vmx_inject,
    .window = vmx_window,
    .load = vmx_load,
    .unload = vmx_unload,
};
