/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an exit was for, in the terms of engine/hw. */
#include "engine/vmx/vmx-internal.h"
#include "x86/exec.h"

#define IO_IN          BIT(3)
#define IO_STRING      BIT(4)

#define EPT_TRANSLATED (BIT(7) | BIT(8)) /* of the operand, not of a page table on the way to it */

/* Behind the instruction that exited. */
static uint64_t next_rip(struct vmx_vcpu *v)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;
    uint64_t next = s->rip + vmcs_read(VMCS_EXIT_LENGTH);

    if (!(s->efer & X86_EFER_LMA))
        return (uint32_t)next;
    if (unlikely(next >> 32 != s->rip >> 32)) {
        hw_need(&v->hw, HW_CODE);
        if (!(s->seg[X86_CS].attr & X86_SEG_L))
            return (uint32_t)next;
    }
    return next;
}

/* The event that was on its way into its handler, for another try. INT n and its kin are executed again. */
static void requeue(struct vmx_vcpu *v)
{
    uint32_t event = (uint32_t)vmcs_read(VMCS_IDT_EVENT);
    bool has_error = event & VMX_EVENT_HAS_ERROR;

    if (likely(!(event & VMX_EVENT_VALID)))
        return;
    switch (event & VMX_EVENT_TYPE) {
    case VMX_EVENT_EXTERNAL:
        hw_requeue(&v->hw, HW_INTERRUPT, (uint8_t)event, false, 0);
        break;
    case VMX_EVENT_NMI:
        hw_requeue(&v->hw, HW_NMI, X86_NMI, false, 0);
        break;
    case VMX_EVENT_EXCEPTION:
        hw_requeue(&v->hw, HW_EXCEPTION, (uint8_t)event, has_error,
                   has_error ? (uint32_t)vmcs_read(VMCS_IDT_ERROR) : 0);
        break;
    }
}

/* An IRET that faults had ended the blocking of NMIs too early (SDM 27.2.3). */
static void block_nmis_again(struct vmx_vcpu *v, bool unblocked)
{
    if (unlikely(unblocked) && !(vmcs_read(VMCS_IDT_EVENT) & VMX_EVENT_VALID))
        v->hw.vcpu->cpu.s.nmi_masked = true;
}

/* A debug exception has changed nothing yet: DR6 and DR7 are ours to set (27.2.1). */
static void debug_exception(struct vmx_vcpu *v)
{
    struct x86_state *s = &v->hw.vcpu->cpu.s;

    hw_need(&v->hw, HW_CONTROL);
    s->dr[6] |= vmcs_read(VMCS_QUALIFICATION) & (0xf | X86_DR6_BD | X86_DR6_BS);
    s->dr[7] &= ~(uint64_t)X86_DR7_GD;
    v->hw.changed |= HW_CONTROL;
    hw_raise(&v->hw, X86_DB, false, 0);
}

static void exception(struct vmx_vcpu *v)
{
    uint32_t event = (uint32_t)vmcs_read(VMCS_EXIT_EVENT);

    if ((event & VMX_EVENT_TYPE) == VMX_EVENT_NMI) {
        /* The machine's. Its handler's IRET lets the next one in. */
        __asm__ volatile("int $2" : : : "memory");
        return;
    }
    block_nmis_again(v, event & VMX_EVENT_NMI_UNBLOCKED);
    switch (event & 0xff) {
    case X86_MC:
        __asm__ volatile("int $18" : : : "memory");
        return;
    case X86_DB:
        if ((event & VMX_EVENT_TYPE) == VMX_EVENT_INT1)
            hw_step(&v->hw);
        else
            debug_exception(v);
        return;
    case X86_AC:
        hw_raise(&v->hw, X86_AC, true, (uint32_t)vmcs_read(VMCS_EXIT_ERROR));
        return;
    default:
        hw_raise(&v->hw, (enum x86_vector)(event & 31), event & VMX_EVENT_HAS_ERROR,
                 (uint32_t)vmcs_read(VMCS_EXIT_ERROR));
    }
}

static void port(struct vmx_vcpu *v)
{
    uint64_t q = vmcs_read(VMCS_QUALIFICATION);

    if (q & IO_STRING)
        hw_step(&v->hw);
    else
        hw_pio(&v->hw, (uint16_t)(q >> 16), (q & 7) + 1, q & IO_IN, next_rip(v));
}

static void nested_fault(struct vmx_vcpu *v)
{
    uint64_t q = vmcs_read(VMCS_QUALIFICATION);

    block_nmis_again(v, q & VMX_EPT_NMI_UNBLOCKED);
    hw_nested_fault(&v->hw, vmcs_read(VMCS_GUEST_PHYSICAL),
                    (q & VMX_EPT_WRITE ? HW_WRITE : 0) | (q & VMX_EPT_FETCH ? HW_FETCH : 0),
                    (q & EPT_TRANSLATED) == EPT_TRANSLATED && !(q & VMX_EPT_FETCH));
}

static void stop(struct vmx_vcpu *v, uint32_t reason, const char *why)
{
    const struct x86_state *s = &v->hw.vcpu->cpu.s;

    vm_log(v->hw.vcpu->vm, LOG_ERROR,
           "vCPU %u: %s (VT-x reason %u, qualification 0x%llx) at 0x%llx; CR0 %llx, CR4 %llx, EFER %llx",
           v->hw.vcpu->index, why, reason & 0xffff, (unsigned long long)vmcs_read(VMCS_QUALIFICATION),
           (unsigned long long)s->rip, (unsigned long long)s->cr0, (unsigned long long)s->cr4,
           (unsigned long long)s->efer);
    hw_leave(&v->hw, VM_EXIT_ERROR);
}

/* The guest hurts only itself with a state that cannot be. */
static void entry_failed(struct vmx_vcpu *v, uint32_t reason)
{
    switch (reason & 0xffff) {
    case VMX_REASON_GUEST_STATE:
        hw_need(&v->hw, HW_ALL);
        stop(v, reason, vmx_state_complaint(&v->hw.vcpu->cpu.s));
        break;
    case VMX_REASON_MACHINE_CHECK:
        __asm__ volatile("int $18" : : : "memory");
        break;
    default:
        stop(v, reason, "the processor cannot load the guest's MSRs");
    }
}

/*
 * An instruction that exits has passed its breakpoint, but is saved with RF clear
 * (27.3.3): whoever finishes it shall not hit the breakpoint again. (One that the
 * nested tables stop is saved with RF set, but not by all emulators.)
 */
static void pass_breakpoint(struct vmx_vcpu *v, uint32_t reason)
{
    struct x86_state *s = &v->hw.vcpu->cpu.s;

    if (likely(!(s->dr[7] & 0xff)) || v->hw.delivering)
        return;
    if (reason >= VMX_REASON_TASK_SWITCH && reason != VMX_REASON_TPR)
        s->rflags |= X86_FL_RF;
}

void vmx_exit(struct vmx_vcpu *v)
{
    struct hw_vcpu *h = &v->hw;
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);

    if (unlikely(reason & VMX_REASON_ENTRY_FAILED)) {
        entry_failed(v, reason);
        return;
    }
    requeue(v);
    pass_breakpoint(v, reason & 0xffff);
    switch (reason & 0xffff) {
    case VMX_REASON_EXCEPTION:
        exception(v);
        break;
    case VMX_REASON_EXTERNAL:
    case VMX_REASON_TIMER:
        hw_external(h);
        break;
    case VMX_REASON_TRIPLE_FAULT:
        hw_leave(h, VM_EXIT_SHUTDOWN);
        break;
    case VMX_REASON_TPR:  /* the local APIC has it already, and asks for us if that lets an interrupt in */
    case VMX_REASON_INIT: /* the machine's, for processors that are not in VMX operation */
    case VMX_REASON_SIPI:
    case VMX_REASON_IO_SMI:
    case VMX_REASON_SMI:
        break;
    case VMX_REASON_INTERRUPT_WINDOW:
    case VMX_REASON_NMI_WINDOW:
        hw_window(h);
        break;
    case VMX_REASON_CPUID:
        hw_cpuid(h, next_rip(v));
        break;
    case VMX_REASON_HLT:
        hw_halt(h, next_rip(v));
        break;
    case VMX_REASON_IO:
        port(v);
        break;
    case VMX_REASON_RDMSR:
    case VMX_REASON_WRMSR:
        hw_msr(h, (reason & 0xffff) == VMX_REASON_WRMSR, next_rip(v));
        break;
    case VMX_REASON_EPT_VIOLATION:
        nested_fault(v);
        break;
    case VMX_REASON_PAUSE:
        hw_pause(h);
        break;
    case VMX_REASON_TASK_SWITCH:
    case VMX_REASON_INVD:
    case VMX_REASON_RDPMC:
    case VMX_REASON_CR:
    case VMX_REASON_DR:
    case VMX_REASON_MWAIT:
    case VMX_REASON_MONITOR:
    case VMX_REASON_WBINVD:
    case VMX_REASON_XSETBV:
        hw_step(h);
        break;
    case VMX_REASON_GETSEC:
    case VMX_REASON_RSM:
    case VMX_REASON_VMCALL ... VMX_REASON_VMXON:
    case VMX_REASON_INVEPT:
    case VMX_REASON_INVVPID:
    case VMX_REASON_VMFUNC:
        hw_raise(h, X86_UD, false, 0);
        break;
    case VMX_REASON_EPT_MISCONFIGURED:
        stop(v, reason, "its nested page tables are wrong");
        break;
    default:
        stop(v, reason, "an exit that is not known");
    }
}
