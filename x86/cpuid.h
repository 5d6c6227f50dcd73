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
    uint8_t phys_bits, lin_bits;
};

struct x86_cpuid_config {
    enum x86_cpu_level level;
    unsigned vcpus;       /* topology: one socket, one thread a core */
    uint32_t tsc_khz;     /* told by the hypervisor leaves */
    bool software_engine; /* only what the interpreter or translator carries out */
    /* Engines with limits of their own mask features: NULL or a function that lowers leaves after the table.
     */
};

/*
 * Fills the model from the table and the host's own CPUID (what the host lacks
 * and software cannot do is left out). -ENOTSUP with a reason if the level itself
 * cannot be had here.
 */
int x86_cpuid_build(struct x86_cpuid_model *model, const struct x86_cpuid_config *config, struct error *err);

/* The guest's CPUID: apic_id and state-dependent bits (OSXSAVE, APIC …) filled in. */
struct x86_cpu;
void x86_cpuid_read(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

static inline bool x86_feature(const struct x86_cpuid_model *model, unsigned feature)
{
    return model->features[feature / 64] >> (feature % 64) & 1;
}

#endif
