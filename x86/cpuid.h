/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUID model: one table (x86/cpuid.c) says, for each feature, its CPUID bit,
 * the level that brings it (v2, v3) and what it needs of the host; what a guest
 * sees, what decodes, and which control bits may be set all come from it.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include "base/error.h"
#include "x86/insn.h"

/*
 * What a processor has beyond instructions of its own. Continues enum
 * x86_feature (x86/insn-ids.h); both number the bits of x86_cpuid_model.features.
 */
enum x86_system_feature {
    X86_FEAT_APIC = X86_FEAT_COUNT,
    X86_FEAT_3DNOWPREFETCH,
    X86_FEAT_AMD_IBPB,
    X86_FEAT_AMD_IBRS,
    X86_FEAT_AMD_SSBD,
    X86_FEAT_AMD_STIBP,
    X86_FEAT_ARAT,
    X86_FEAT_ARCH_CAPABILITIES,
    X86_FEAT_AUTOIBRS,
    X86_FEAT_BHI_CTRL,
    X86_FEAT_BTC_NO,
    X86_FEAT_CMP_LEGACY,
    X86_FEAT_DE,
    X86_FEAT_ERMS,
    X86_FEAT_FSRM,
    X86_FEAT_HTT,
    X86_FEAT_HYPERVISOR,
    X86_FEAT_INVARIANT_TSC,
    X86_FEAT_LA57,
    X86_FEAT_LFENCE_SERIALIZES,
    X86_FEAT_MCA,
    X86_FEAT_MCE,
    X86_FEAT_MD_CLEAR,
    X86_FEAT_MMXEXT,
    X86_FEAT_MTRR,
    X86_FEAT_NULL_SEL_CLEARS_BASE,
    X86_FEAT_NX,
    X86_FEAT_PAE,
    X86_FEAT_PAT,
    X86_FEAT_PCID,
    X86_FEAT_PDPE1GB,
    X86_FEAT_PGE,
    X86_FEAT_PSE,
    X86_FEAT_PSE36,
    X86_FEAT_SMEP,
    X86_FEAT_SPEC_CTRL,
    X86_FEAT_SRSO_NO,
    X86_FEAT_SSBD,
    X86_FEAT_SSB_NO,
    X86_FEAT_STIBP,
    X86_FEAT_TOPOEXT,
    X86_FEAT_TSA_L1_NO,
    X86_FEAT_TSA_SQ_NO,
    X86_FEAT_TSC_ADJUST,
    X86_FEAT_TSC_DEADLINE,
    X86_FEAT_UMIP,
    X86_FEAT_VME,
    X86_FEAT_X2APIC,
    X86_FEAT_XGETBV1,
    X86_FEAT_XSAVEERPTR,
    X86_FEAT_ALL,
};

enum x86_cpu_level { X86_CPU_V2, X86_CPU_V3, X86_CPU_HOST };

#define X86_CPUID_MAX_LEAVES 64

struct x86_cpuid_leaf {
    uint32_t leaf, subleaf;
    bool indexed; /* subleaf matters */
    uint32_t eax, ebx, ecx, edx;
};

struct x86_cpuid_model {
    struct x86_cpuid_leaf leaf[X86_CPUID_MAX_LEAVES];
    unsigned count;
    uint64_t features[4]; /* bit n: enum x86_feature n may execute */
    uint64_t cr4_allowed, efer_allowed, xcr0_allowed;
    uint64_t arch_capabilities; /* what that MSR says */
    uint8_t phys_bits, lin_bits;
};

struct x86_cpuid_config {
    enum x86_cpu_level level;
    unsigned vcpus;             /* topology: one socket, one thread a core */
    uint32_t tsc_khz;           /* told by the hypervisor leaves */
    bool steal_time;            /* the platform tells it (core/plat.h) */
    bool software_engine;       /* only what the interpreter or translator carries out */
    uint64_t arch_capabilities; /* the host's MSR, where its processor runs guests; 0: it has none */
    /* Engines with limits of their own mask features: NULL or a function that lowers leaves after the table.
     */
};

/*
 * Fills the model from the table and the host's own CPUID (what the host lacks
 * and software cannot do is left out). -ENOTSUP with a reason if the level itself
 * cannot be had here.
 */
int x86_cpuid_build(struct x86_cpuid_model *model, const struct x86_cpuid_config *config, struct error *err);

/* One row of the feature table, for those who list or test what there is (x86/cpuid-table.c). */
struct x86_feature_row {
    const char *name;
    uint32_t leaf;
    uint16_t feature; /* enum x86_feature or x86_system_feature */
    uint8_t subleaf, reg, bit;
    uint8_t level;  /* enum x86_cpu_level that brings it */
    uint8_t needs;  /* enum x86_feature_needs */
    uint8_t vendor; /* enum x86_feature_vendor */
    uint8_t flags;  /* X86_FEATURE_… */
};

enum x86_feature_needs {
    X86_NEEDS_NOTHING,  /* the model's own, or emulated under every engine */
    X86_NEEDS_HARDWARE, /* the host's bit, where the host's processor runs the guest; software does it itself
                         */
    X86_NEEDS_HOST,     /* the host's bit under every engine: its own instructions do the work */
};

enum x86_feature_vendor { X86_VENDOR_ANY, X86_VENDOR_AMD, X86_VENDOR_INTEL };

#define X86_FEATURE_REQUIRED BIT(0) /* no such level without it */
#define X86_FEATURE_NO_SOFT  BIT(1) /* software engines do not offer it */
#define X86_FEATURE_SMP      BIT(2) /* only with several vCPUs */

extern const struct x86_feature_row x86_feature_table[];
extern const unsigned x86_feature_table_size;

/* The guest's CPUID: apic_id and state-dependent bits (OSXSAVE, APIC …) filled in. */
struct x86_cpu;
void x86_cpuid_read(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

static inline bool x86_feature(const struct x86_cpuid_model *model, unsigned feature)
{
    return model->features[feature / 64] >> (feature % 64) & 1;
}

#endif
