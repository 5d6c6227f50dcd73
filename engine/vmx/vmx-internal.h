/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of engine/vmx. */
#ifndef ENGINE_VMX_VMX_INTERNAL_H
#define ENGINE_VMX_VMX_INTERNAL_H

#include "engine/hw/hw.h"
#include "engine/vmx/vmx-caps.h"
#include "engine/vmx/vmx-insn.h"
#include "engine/vmx/vmx-regs.h"

struct vmx_vcpu;

/* MSRs that are the guest's while it runs and stay in the processor, but for KERNEL_GS_BASE. */
enum vmx_msr { VMX_STAR, VMX_LSTAR, VMX_CSTAR, VMX_SFMASK, VMX_TSC_AUX, VMX_MSR_COUNT };

/* Fields whose contents are remembered, so that they are not written again. */
enum vmx_cached {
    VMX_C_RIP,
    VMX_C_RSP,
    VMX_C_RFLAGS,
    VMX_C_BLOCKING,
    VMX_C_CR0,
    VMX_C_CR0_SHADOW,
    VMX_C_CR3,
    VMX_C_CR4,
    VMX_C_CR4_SHADOW,
    VMX_C_EFER,
    VMX_C_PAT,
    VMX_C_DR7,
    VMX_C_ENTRY,
    VMX_C_SYSENTER_CS,
    VMX_C_SYSENTER_ESP,
    VMX_C_SYSENTER_EIP,
    VMX_C_GDTR_BASE,
    VMX_C_GDTR_LIMIT,
    VMX_C_IDTR_BASE,
    VMX_C_IDTR_LIMIT,
    VMX_C_COUNT
};

/* A processor in VMX operation. */
struct vmx_cpu {
    struct hw_cpu hw; /* first */
    struct vmx_caps caps;
    void *region;                  /* of VMXON */
    const struct vmx_vcpu *loaded; /* whose KERNEL_GS_BASE it holds; for comparing only */
    uint64_t msr[VMX_MSR_COUNT];   /* what it holds else */
    uint64_t spec_ctrl;            /* bits that IA32_SPEC_CTRL has here */
};

struct vmx_vm {
    struct hw_vm hw; /* first */
    struct hw_format format;
    struct vmx_caps caps; /* of the processor that made it */
    uint8_t *msr_bitmap;
    uint64_t ept_pointer;
};

struct vmx_vcpu {
    struct hw_vcpu hw; /* first */
    uint32_t *vmcs;
    uint32_t *apic;  /* the page with CR8's shadow; NULL: CR8 exits */
    uint64_t tpr;    /* of *apic; its threshold too */
    bool made;       /* the VMCS has its controls */
    bool launched;   /* since it was loaded */
    bool msrs_there; /* the processor has the MSRs of HW_SYSCALL and HW_MSRS */
    uint32_t cpu_controls;
    uint32_t event, event_error; /* to be injected; 0: none */
    uint64_t nested_seen;        /* hw.flushed, when the processor's nested translations were dropped */
    uint64_t cr0_must, cr4_must; /* bits that are set whatever the guest thinks */

    /* What the VMCS holds; without granularity and such that it wants otherwise than cpu.s has it. */
    uint64_t cached[VMX_C_COUNT];
    struct x86_segment seg[X86_SEG_COUNT];
    uint64_t
        paging[4]; /* CR0's share of paging, CR3, CR4, EFER; when translations were last dropped for them */
};

static inline struct vmx_cpu *vmx_cpu_of(struct hw_cpu *cpu)
{
    return container_of(cpu, struct vmx_cpu, hw);
}

static inline struct vmx_vm *vmx_vm_of(const struct vm *vm)
{
    return container_of(hw_vm_of(vm), struct vmx_vm, hw);
}

static inline struct vmx_vcpu *vmx_of(struct hw_vcpu *v)
{
    return container_of(v, struct vmx_vcpu, hw);
}

/* vmx-state.c: parts of cpu.s from the current VMCS, and into it; what each exit brings and each entry takes.
 */
void vmx_state_init(struct vmx_vcpu *v, const struct vmx_caps *caps);
void vmx_state_get(struct vmx_vcpu *v, uint32_t parts);
void vmx_state_put(struct vmx_vcpu *v, uint32_t parts);
void vmx_state_exit(struct vmx_vcpu *v);
void vmx_state_enter(struct vmx_vcpu *v);

/* CR8 to and from the local APIC's model. */
void vmx_tpr_put(struct vmx_vcpu *v);
void vmx_tpr_get(struct vmx_vcpu *v);

/* vmx-check.c: what an entry was refused for, as far as the usual checks say. */
const char *vmx_state_complaint(const struct x86_state *s);

/* vmx-cpu.c: the host's part of the current VMCS, for this processor. */
void vmx_host_write(void);

/* vmx-vmcs.c: the control part, once. */
void vmx_controls_write(struct vmx_vcpu *v);
void vmx_msr_bitmap(uint8_t bitmap[4096], const struct x86_cpuid_model *model, const struct vmx_caps *caps);

/* vmx-run.c */
extern const struct hw_ops vmx_ops;

/* vmx-exit.c: of the exit that has just happened. */
void vmx_exit(struct vmx_vcpu *v);

#endif
