/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel: SDM 4, IA32_ARCH_CAPABILITIES; AMD: APM 2, 3.2.9, and CPUID 80000021. */
#include "engine/hw/speculation.h"

#include "engine/hw/hw.h"
#include "x86/regs.h"

#define MD_CLEAR       BIT(10) /* leaf 7, EDX */
#define HAS_SPEC_CTRL  BIT(26)
#define HAS_FLUSH_CMD  BIT(28)
#define HAS_ARCH_CAP   BIT(29)
#define BHI_CTRL       BIT(4) /* leaf 7.2, EDX */
#define VERW_CLEAR     BIT(5) /* leaf 80000021, EAX */
#define AUTOMATIC_IBRS BIT(8)
#define TSA_SQ_NO      BIT(1) /* ECX */
#define TSA_L1_NO      BIT(2)

#define SPEC_IBRS      BIT64(0)
#define SPEC_BHI_DIS_S BIT64(10)

static bool all_of(uint64_t value, uint64_t bits)
{
    return (value & bits) == bits;
}

static bool intel_verw(const struct hw_facts *f)
{
    uint64_t cap = f->arch_capabilities;
    uint64_t mmio = X86_ARCH_SBDR_SSDP_NO | X86_ARCH_FBSDP_NO | X86_ARCH_PSDP_NO;

    return (f->leaf7_edx & MD_CLEAR && !all_of(cap, X86_ARCH_MDS_NO | X86_ARCH_TAA_NO)) ||
           (cap & X86_ARCH_FB_CLEAR && !all_of(cap, mmio)) ||
           (cap & X86_ARCH_RFDS_CLEAR && !(cap & X86_ARCH_RFDS_NO));
}

static void intel(struct hw_speculation *s, const struct hw_facts *f)
{
    uint64_t cap = f->arch_capabilities;

    s->flush_l1d = f->leaf7_edx & HAS_FLUSH_CMD && !(cap & (X86_ARCH_RDCL_NO | X86_ARCH_SKIP_L1DFL));
    s->verw = intel_verw(f);
    s->split_code = !(cap & X86_ARCH_PSCHANGE_MC_NO);
    s->wants_siblings = !all_of(cap, X86_ARCH_RDCL_NO | X86_ARCH_MDS_NO);
    if (cap & X86_ARCH_IBRS_ALL && f->leaf7_edx & HAS_SPEC_CTRL) {
        s->spec_ctrl = SPEC_IBRS;
        if (f->leaf7_2 & BHI_CTRL && !(cap & X86_ARCH_BHI_NO))
            s->spec_ctrl |= SPEC_BHI_DIS_S;
        s->fill_rsb = !(cap & X86_ARCH_PBRSB_NO);
    } else {
        s->fill_rsb = s->wants_retpolines = true;
    }
}

/* Automatic IBRS drops what a guest left on the return stack by itself. */
static void amd(struct hw_speculation *s, const struct hw_facts *f)
{
    s->verw = f->leaf21_eax & VERW_CLEAR && !all_of(f->leaf21_ecx, TSA_SQ_NO | TSA_L1_NO);
    s->auto_ibrs = f->leaf21_eax & AUTOMATIC_IBRS;
    s->fill_rsb = s->wants_retpolines = !s->auto_ibrs;
}

void hw_speculation_choose(struct hw_speculation *s, const struct hw_facts *f)
{
    *s = (struct hw_speculation){0};
    if (f->emulated)
        return;
    if (f->intel)
        intel(s, f);
    else
        amd(s, f);
}

void hw_facts_read(struct hw_facts *f)
{
    uint32_t vendor[4], seven[4], seven2[4], more[4], emulator[4];

    hw_host_cpuid(0, 0, vendor);
    hw_host_cpuid(7, 0, seven);
    hw_host_cpuid(7, 2, seven2);
    hw_host_cpuid(0x80000021, 0, more);
    hw_host_cpuid(0x40000000, 0, emulator);
    *f = (struct hw_facts){
        .intel = vendor[1] == 0x756e6547,      /* Genu */
        .emulated = emulator[1] == 0x54474354, /* TCGT */
        .leaf7_edx = seven[3],
        .leaf7_2 = seven[0] >= 2 ? seven2[3] : 0,
        .leaf21_eax = more[0],
        .leaf21_ecx = more[2],
        .arch_capabilities = seven[3] & HAS_ARCH_CAP ? hw_rdmsr(X86_MSR_ARCH_CAPABILITIES) : 0,
    };
}
