/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a processor says it can do to the controls that its VMCSs have: pure
 * arithmetic on capability MSRs, tested on the host.
 */
#ifndef ENGINE_VMX_VMX_CAPS_H
#define ENGINE_VMX_VMX_CAPS_H

#include "base/error.h"

/* The words of controls; of each, the MSR says in its low half which bits must be set, in its high half which
 * may be. */
enum vmx_word { VMX_PIN, VMX_CPU, VMX_CPU2, VMX_EXIT, VMX_ENTRY, VMX_WORDS };

struct vmx_msrs {
    uint64_t feature_control;
    uint64_t basic, misc;
    uint64_t word[VMX_WORDS];
    uint64_t ept_vpid;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

struct vmx_caps {
    uint32_t revision;           /* first word of a VMCS and of the VMXON region */
    uint32_t control[VMX_WORDS]; /* required and optional ones that are there; a guest may want less */
    uint64_t ept_bits;           /* of the EPT pointer: memory type (write-back) and walk length less 1 */
    uint64_t cr0_must, cr0_may, cr4_must, cr4_may; /* in VMX operation */
    bool vpid, tsc_scaling, tpr_shadow;
    bool ept_2m, ept_1g;
    bool invept_single;
    uint8_t timer_shift; /* the preemption timer counts each 2^n ticks of the TSC */
};

/* -ENOTSUP with one line that names what the processor lacks or the firmware took away. */
int vmx_caps_compute(struct vmx_caps *caps, const struct vmx_msrs *msrs, struct error *err);

/* The largest bit in a cr0_must that an unrestricted guest need not have set. */
#define VMX_CR0_UNRESTRICTED (BIT64(31) | BIT64(0))

#endif
