/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/vmx/vmx-caps.h"

#include "engine/vmx/vmx-regs.h"

enum want { REQUIRED, OPTIONAL, MUST_BE_OFF };

static const struct {
    uint8_t word, want;
    uint32_t bit;
    const char *name;
} controls[] = {
    {VMX_PIN, REQUIRED, VMX_PIN_EXTERNAL, "exits for interrupts"},
    {VMX_PIN, REQUIRED, VMX_PIN_NMI, "exits for NMIs"},
    {VMX_PIN, REQUIRED, VMX_PIN_VIRTUAL_NMI, "virtual NMIs"},
    {VMX_PIN, OPTIONAL, VMX_PIN_TIMER, ""},
    {VMX_CPU, REQUIRED, VMX_CPU_SECONDARY, "secondary controls"},
    {VMX_CPU, REQUIRED, VMX_CPU_TSC_OFFSET, "TSC offsetting"},
    {VMX_CPU, REQUIRED, VMX_CPU_HLT, "exits for HLT"},
    {VMX_CPU, REQUIRED, VMX_CPU_MWAIT, "exits for MWAIT"},
    {VMX_CPU, REQUIRED, VMX_CPU_MONITOR, "exits for MONITOR"},
    {VMX_CPU, REQUIRED, VMX_CPU_RDPMC, "exits for RDPMC"},
    {VMX_CPU, REQUIRED, VMX_CPU_CR8_LOAD, "exits for loads of CR8"},
    {VMX_CPU, REQUIRED, VMX_CPU_CR8_STORE, "exits for stores of CR8"},
    {VMX_CPU, OPTIONAL, VMX_CPU_TPR_SHADOW, ""},
    {VMX_CPU, REQUIRED, VMX_CPU_MOV_DR, "exits for debug registers"},
    {VMX_CPU, REQUIRED, VMX_CPU_ALL_IO, "exits for I/O"},
    {VMX_CPU, REQUIRED, VMX_CPU_MSR_BITMAP, "MSR bitmaps"},
    {VMX_CPU, MUST_BE_OFF, VMX_CPU_INTERRUPT_WINDOW, "exits for the interrupt window when wanted"},
    {VMX_CPU, MUST_BE_OFF, VMX_CPU_NMI_WINDOW, "exits for the NMI window when wanted"},
    {VMX_CPU, MUST_BE_OFF, VMX_CPU_CR3_LOAD, "loads of CR3 without exits"},
    {VMX_CPU, MUST_BE_OFF, VMX_CPU_CR3_STORE, "stores of CR3 without exits"},
    {VMX_CPU, MUST_BE_OFF, VMX_CPU_INVLPG, "INVLPG without exits"},
    {VMX_CPU2, REQUIRED, VMX_CPU2_EPT, "extended page tables (EPT)"},
    {VMX_CPU2, REQUIRED, VMX_CPU2_UNRESTRICTED, "unrestricted guests (real mode)"},
    {VMX_CPU2, OPTIONAL, VMX_CPU2_RDTSCP, ""},
    {VMX_CPU2, OPTIONAL, VMX_CPU2_VPID, ""},
    {VMX_CPU2, OPTIONAL, VMX_CPU2_WBINVD, ""},
    {VMX_CPU2, OPTIONAL, VMX_CPU2_PAUSE_LOOP, ""},
    {VMX_CPU2, OPTIONAL, VMX_CPU2_INVPCID, ""},
    {VMX_CPU2, OPTIONAL, VMX_CPU2_TSC_SCALING, ""},
    {VMX_EXIT, REQUIRED, VMX_EXIT_HOST_64, "64-bit hosts"},
    {VMX_EXIT, REQUIRED, VMX_EXIT_SAVE_DEBUG, "saving DR7"},
    {VMX_EXIT, REQUIRED, VMX_EXIT_SAVE_PAT, "saving the PAT"},
    {VMX_EXIT, REQUIRED, VMX_EXIT_LOAD_PAT, "loading the PAT"},
    {VMX_EXIT, REQUIRED, VMX_EXIT_SAVE_EFER, "saving EFER"},
    {VMX_EXIT, REQUIRED, VMX_EXIT_LOAD_EFER, "loading EFER"},
    {VMX_ENTRY, REQUIRED, VMX_ENTRY_LOAD_DEBUG, "loading DR7 for guests"},
    {VMX_ENTRY, REQUIRED, VMX_ENTRY_LOAD_PAT, "loading the PAT for guests"},
    {VMX_ENTRY, REQUIRED, VMX_ENTRY_LOAD_EFER, "loading EFER for guests"},
};

static int lacks(struct error *err, const char *what)
{
    return error_set(err, ENOTSUP,
                     "this processor's VT-x lacks %s: no VM can run here (processors from 2010 on have it)",
                     what);
}

static int control_words(struct vmx_caps *caps, const struct vmx_msrs *msrs, struct error *err)
{
    /* Where long mode is on is the guest's doing, at each entry. */
    for (unsigned i = 0; i < VMX_WORDS; i++)
        caps->control[i] = (uint32_t)msrs->word[i];
    for (unsigned i = 0; i < ARRAY_SIZE(controls); i++) {
        uint64_t word = msrs->word[controls[i].word];
        uint32_t must = (uint32_t)word, may = (uint32_t)(word >> 32);

        if (controls[i].want == MUST_BE_OFF ? must & controls[i].bit
                                            : controls[i].want == REQUIRED && !(may & controls[i].bit))
            return lacks(err, controls[i].name);
        if (controls[i].want != MUST_BE_OFF)
            caps->control[controls[i].word] |= controls[i].bit & may;
    }
    return 0;
}

static int ept(struct vmx_caps *caps, uint64_t ept_vpid, struct error *err)
{
    if (!(ept_vpid & VMX_EPT_WALK4))
        return lacks(err, "EPT of four levels");
    if (!(ept_vpid & VMX_EPT_WRITE_BACK))
        return lacks(err, "EPT in cached memory");
    if (!(ept_vpid & VMX_EPT_INVEPT) || !(ept_vpid & (VMX_EPT_INVEPT_SINGLE | VMX_EPT_INVEPT_ALL)))
        return lacks(err, "INVEPT");
    caps->ept_2m = ept_vpid & VMX_EPT_2M;
    caps->ept_1g = ept_vpid & VMX_EPT_1G;
    caps->invept_single = ept_vpid & VMX_EPT_INVEPT_SINGLE;
    caps->ept_bits = 6 | 3 << 3;
    return 0;
}

int vmx_caps_compute(struct vmx_caps *out, const struct vmx_msrs *msrs, struct error *err)
{
    struct vmx_caps caps = {.revision = (uint32_t)msrs->basic & 0x7fffffff};
    uint64_t vpid = VMX_VPID_INVVPID | VMX_VPID_INVVPID_ALL;
    int r;

    if ((msrs->feature_control & (VMX_FEATURE_LOCKED | VMX_FEATURE_OUTSIDE_SMX)) == VMX_FEATURE_LOCKED)
        return error_set(err, ENOTSUP,
                         "the firmware has turned VT-x off and locked it: turn on \"Intel Virtualization "
                         "Technology\" in the firmware's setup, and switch the machine off and on");
    r = control_words(&caps, msrs, err);
    if (r < 0)
        return r;
    r = ept(&caps, msrs->ept_vpid, err);
    if (r < 0)
        return r;
    /* Tags that cannot be invalidated are worse than none. */
    if ((msrs->ept_vpid & vpid) != vpid)
        caps.control[VMX_CPU2] &= ~VMX_CPU2_VPID;
    caps.vpid = caps.control[VMX_CPU2] & VMX_CPU2_VPID;
    caps.tpr_shadow = caps.control[VMX_CPU] & VMX_CPU_TPR_SHADOW;
    if (caps.tpr_shadow) /* instead of exits for CR8, unless those are forced on us */
        caps.control[VMX_CPU] &= ~(VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE) | (uint32_t)msrs->word[VMX_CPU];
    caps.tsc_scaling = caps.control[VMX_CPU2] & VMX_CPU2_TSC_SCALING;
    caps.timer_shift = msrs->misc & 31;
    caps.cr0_must = msrs->cr0_fixed0;
    caps.cr0_may = msrs->cr0_fixed1;
    caps.cr4_must = msrs->cr4_fixed0;
    caps.cr4_may = msrs->cr4_fixed1;
    *out = caps;
    return 0;
}
