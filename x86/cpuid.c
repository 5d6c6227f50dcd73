/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building the CPU model from the feature table and the host, and answering
 * CPUID from it. What a processor is called: the host's vendor (a kernel decides
 * by it which of the hardware's bugs it works around), under v2 and v3 a family
 * and model of that vendor that needs few workarounds, under host the host's.
 */
#include "x86/cpuid.h"
#include "x86/cpu.h"
#include "x86/system-internal.h"

enum { EAX, EBX, ECX, EDX };

#define AMD_SIGNATURE   0x00a00f11U /* family 19h model 01h stepping 1 */
#define INTEL_SIGNATURE 0x000606a6U /* family 6 model 6ah stepping 6 */
#define SOFT_PHYS_BITS  48
#define APIC_BUS_KHZ    1000000U

/* KVM's paravirtual features (Linux Documentation/virt/kvm/x86/cpuid.rst) */
#define KVM_FEATURE_NOP_IO_DELAY       BIT(1)
#define KVM_FEATURE_CLOCKSOURCE2       BIT(3)
#define KVM_FEATURE_STEAL_TIME         BIT(5)
#define KVM_FEATURE_CLOCKSOURCE_STABLE BIT(24)

/* Leaf 1's EDX bits that AMD repeats in 80000001 (APM 3, appendix E.4.1) */
#define AMD_REPEATED 0x0183f3ffU

struct builder {
    struct x86_cpuid_model *model;
    const struct x86_cpuid_config *config;
    bool amd;
    unsigned id_bits; /* of an APIC id that number the processors */
};

static void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(regs[EAX]), "=b"(regs[EBX]), "=c"(regs[ECX]), "=d"(regs[EDX])
                     : "a"(leaf), "c"(subleaf));
}

/* Zeros where the host has no such leaf. */
static void host_leaf(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    uint32_t base = leaf & 0x80000000U;

    host_cpuid(base, 0, regs);
    if (regs[EAX] < leaf || (regs[EAX] & 0x80000000U) != base) {
        memset(regs, 0, 4 * sizeof(regs[0]));
        return;
    }
    host_cpuid(leaf, subleaf, regs);
}

static bool host_has(const struct x86_feature_row *row)
{
    uint32_t regs[4];

    host_leaf(row->leaf, row->subleaf, regs);
    return regs[row->reg] >> row->bit & 1;
}

static bool host_is_amd(void)
{
    uint32_t regs[4];

    host_cpuid(0, 0, regs);
    return regs[EBX] == 0x68747541 /* Auth */ || regs[EBX] == 0x6f677948 /* Hygo */;
}

/* ---- leaves ---- */

static struct x86_cpuid_leaf *leaf_add(struct builder *b, uint32_t leaf, uint32_t subleaf, bool indexed)
{
    struct x86_cpuid_leaf *l = &b->model->leaf[b->model->count++];

    base_assert(b->model->count <= X86_CPUID_MAX_LEAVES);
    *l = (struct x86_cpuid_leaf){.leaf = leaf, .subleaf = subleaf, .indexed = indexed};
    return l;
}

static void leaf_set(struct builder *b, uint32_t leaf, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    struct x86_cpuid_leaf *l = leaf_add(b, leaf, 0, false);

    l->eax = eax;
    l->ebx = ebx;
    l->ecx = ecx;
    l->edx = edx;
}

static void subleaf_set(struct builder *b, uint32_t leaf, uint32_t subleaf, uint32_t eax, uint32_t ebx,
                        uint32_t ecx, uint32_t edx)
{
    leaf_set(b, leaf, eax, ebx, ecx, edx);
    b->model->leaf[b->model->count - 1].subleaf = subleaf;
    b->model->leaf[b->model->count - 1].indexed = true;
}

static const struct x86_cpuid_leaf *leaf_find(const struct x86_cpuid_model *model, uint32_t leaf,
                                              uint32_t subleaf)
{
    for (unsigned i = 0; i < model->count; i++) {
        const struct x86_cpuid_leaf *l = &model->leaf[i];

        if (l->leaf == leaf && (!l->indexed || l->subleaf == subleaf))
            return l;
    }
    return NULL;
}

static uint32_t *leaf_reg(struct x86_cpuid_leaf *l, unsigned reg)
{
    uint32_t *regs[] = {&l->eax, &l->ebx, &l->ecx, &l->edx};

    return regs[reg];
}

/* The table's features into the leaves that exist. */
static void leaves_add_features(struct builder *b)
{
    struct x86_cpuid_model *m = b->model;

    for (unsigned i = 0; i < x86_feature_table_size; i++) {
        const struct x86_feature_row *row = &x86_feature_table[i];

        if (!x86_feature(m, row->feature))
            continue;
        for (unsigned n = 0; n < m->count; n++) {
            if (m->leaf[n].leaf == row->leaf && m->leaf[n].subleaf == row->subleaf)
                *leaf_reg(&m->leaf[n], row->reg) |= BIT(row->bit);
        }
    }
}

/* ---- caches: the same picture for every model, one L3 for all ---- */

struct cache {
    uint8_t type; /* 1 data, 2 code, 3 both */
    uint8_t level;
    uint16_t ways;
    uint16_t sets;
    bool shared;
};

static const struct cache caches[] = {
    {1, 1, 8, 64, false},    /* 32 KiB */
    {2, 1, 8, 64, false},    /* 32 KiB */
    {3, 2, 8, 1024, false},  /* 512 KiB */
    {3, 3, 16, 16384, true}, /* 16 MiB */
};

static void add_caches(struct builder *b, uint32_t leaf)
{
    uint32_t ids = BIT(b->id_bits) - 1;

    for (unsigned i = 0; i < ARRAY_SIZE(caches); i++) {
        const struct cache *c = &caches[i];
        uint32_t eax = c->type | (uint32_t)c->level << 5 | BIT(8) | (c->shared ? ids : 0) << 14;

        if (!b->amd)
            eax |= MIN(ids, 63U) << 26;
        subleaf_set(b, leaf, i, eax, 63 | (c->ways - 1U) << 22, c->sets - 1U, 0);
    }
    subleaf_set(b, leaf, ARRAY_SIZE(caches), 0, 0, 0, 0);
}

/* Leaves 0Bh and 1Fh: one thread a core, all cores in one package. */
static void add_topology(struct builder *b, uint32_t leaf)
{
    subleaf_set(b, leaf, 0, 0, 1, 0x100, 0);
    subleaf_set(b, leaf, 1, b->id_bits, b->config->vcpus, 0x201, 0);
    subleaf_set(b, leaf, 2, 0, 0, 2, 0);
}

static uint32_t signature(const struct builder *b)
{
    uint32_t regs[4];

    if (b->config->level != X86_CPU_HOST)
        return b->amd ? AMD_SIGNATURE : INTEL_SIGNATURE;
    host_cpuid(1, 0, regs);
    return regs[EAX];
}

static void add_basic(struct builder *b)
{
    uint32_t processors = MIN(BIT(b->id_bits), 255U);

    if (b->amd)
        leaf_set(b, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
    else
        leaf_set(b, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69);
    leaf_set(b, 1, signature(b), 8 << 8 | processors << 16, 0, 0);
    if (!b->amd) {
        leaf_set(b, 2, 0x00feff01, 0, 0, 0);
        add_caches(b, 4);
    }
    leaf_set(b, 6, 0, 0, 0, 0);
    subleaf_set(b, 7, 0, b->amd ? 0 : 2, 0, 0, 0);
    if (!b->amd) {
        subleaf_set(b, 7, 1, 0, 0, 0, 0);
        subleaf_set(b, 7, 2, 0, 0, 0, 0);
    }
    add_topology(b, 0xb);
    if (b->model->xcr0_allowed) {
        uint32_t size = b->model->xcr0_allowed & X86_XCR0_AVX ? 832 : 576;

        subleaf_set(b, 0xd, 0, (uint32_t)b->model->xcr0_allowed, size, size, 0);
        subleaf_set(b, 0xd, 1, 0, 0, 0, 0);
        if (b->model->xcr0_allowed & X86_XCR0_AVX)
            subleaf_set(b, 0xd, 2, 256, 576, 0, 0);
    }
    if (!b->amd) { /* the APIC timer's clock is the "crystal" */
        leaf_set(b, 0x15, APIC_BUS_KHZ, b->config->tsc_khz, APIC_BUS_KHZ * 1000, 0);
        leaf_set(b, 0x16, b->config->tsc_khz / 1000, b->config->tsc_khz / 1000, 100, 0);
        add_topology(b, 0x1f);
    }
}

static void add_hypervisor(struct builder *b)
{
    uint32_t features = KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_CLOCKSOURCE_STABLE;

    if (b->config->steal_time)
        features |= KVM_FEATURE_STEAL_TIME;
    leaf_set(b, 0x40000000, 0x40000010, 0x4b4d564b, 0x564b4d56, 0x0000004d);
    leaf_set(b, 0x40000001, features, 0, 0, 0);
    leaf_set(b, 0x40000010, b->config->tsc_khz, APIC_BUS_KHZ, 0, 0);
}

static void add_brand(struct builder *b)
{
    static const char *const names[2][2] = {
        {"Intel Xeon (batuta x86-64-v2)", "Intel Xeon (batuta x86-64-v3)"},
        {"AMD EPYC (batuta x86-64-v2)", "AMD EPYC (batuta x86-64-v3)"},
    };
    uint32_t regs[4];
    char text[48] = {0};

    for (unsigned i = 0; i < 3; i++) {
        if (b->config->level == X86_CPU_HOST) {
            host_leaf(0x80000002 + i, 0, regs);
        } else {
            const char *name = names[b->amd][b->config->level == X86_CPU_V3];

            for (unsigned n = 0; n < sizeof(text) - 1 && name[n]; n++)
                text[n] = name[n];
            memcpy(regs, text + 16 * i, 16);
        }
        leaf_set(b, 0x80000002 + i, regs[EAX], regs[EBX], regs[ECX], regs[EDX]);
    }
}

static void add_extended(struct builder *b)
{
    const struct x86_cpuid_model *m = b->model;
    uint32_t sizes = m->phys_bits | (uint32_t)m->lin_bits << 8;

    if (b->amd)
        leaf_set(b, 0x80000000, 0x80000021, 0x68747541, 0x444d4163, 0x69746e65);
    else
        leaf_set(b, 0x80000000, 0x80000008, 0, 0, 0);
    leaf_set(b, 0x80000001, b->amd ? signature(b) : 0, 0, 0, 0);
    add_brand(b);
    if (b->amd)
        leaf_set(b, 0x80000005, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140);
    /* 512-entry TLBs; 512 KiB 8-way L2; AMD: 16 MiB L3, its ways in 8000001D */
    leaf_set(b, 0x80000006, 0x42004200, 0x42004200, 512 << 16 | 0x6140, b->amd ? 32 << 18 | 0x9140 : 0);
    leaf_set(b, 0x80000007, 0, 0, 0, 0);
    leaf_set(b, 0x80000008, sizes, 0, b->amd ? (b->config->vcpus - 1) | b->id_bits << 12 : 0, 0);
    if (!b->amd)
        return;
    leaf_set(b, 0x8000001a, BIT(1) | BIT(2), 0, 0, 0);
    add_caches(b, 0x8000001d);
    leaf_set(b, 0x8000001e, 0, 0, 0, 0); /* by APIC id: x86_cpuid_read() */
    leaf_set(b, 0x80000021, 0, 0, 0, 0);
}

/* ---- features ---- */

static void feature_set(struct x86_cpuid_model *m, unsigned feature)
{
    m->features[feature / 64] |= BIT64(feature % 64);
}

/* May the model have it, the level aside? */
static bool available(const struct builder *b, const struct x86_feature_row *row)
{
    if ((row->vendor == X86_VENDOR_AMD && !b->amd) || (row->vendor == X86_VENDOR_INTEL && b->amd))
        return false;
    if (row->flags & X86_FEATURE_SMP && b->config->vcpus < 2)
        return false;
    if (b->config->software_engine && row->flags & X86_FEATURE_NO_SOFT)
        return false;
    switch (row->needs) {
    case X86_NEEDS_NOTHING:
        return true;
    case X86_NEEDS_HARDWARE:
        return b->config->software_engine || host_has(row);
    default:
        return host_has(row);
    }
}

static int features_choose(struct builder *b, struct error *err)
{
    static const char *const level[] = {"x86-64-v2", "x86-64-v3", "host"};
    struct x86_cpuid_model *m = b->model;

    for (unsigned i = 0; i < x86_feature_table_size; i++) {
        const struct x86_feature_row *row = &x86_feature_table[i];

        if (row->level > b->config->level)
            continue;
        if (available(b, row))
            feature_set(m, row->feature);
        else if (row->flags & X86_FEATURE_REQUIRED &&
                 (b->config->level != X86_CPU_HOST || row->level == X86_CPU_V2))
            return error_set(
                err, ENOTSUP, "CPU level %s needs the feature %s, which this machine's processor lacks%s",
                level[b->config->level], row->name, b->config->level == X86_CPU_V3 ? "; use --cpu v2" : "");
    }
    /* names of the instruction table for what is two features at once */
    if (x86_feature(m, X86_FEAT_AVX)) {
        if (x86_feature(m, X86_FEAT_AES))
            feature_set(m, X86_FEAT_AVX_AES);
        if (x86_feature(m, X86_FEAT_PCLMULQDQ))
            feature_set(m, X86_FEAT_AVX_PCLMULQDQ);
        if (x86_feature(m, X86_FEAT_GFNI))
            feature_set(m, X86_FEAT_AVX_GFNI);
    }
    feature_set(m, X86_FEAT_PMC); /* RDPMC exists without counters: #GP */
    return 0;
}

/* Control bits, and the features that allow them. */
static const struct {
    uint16_t feature;
    uint32_t bits;
} cr4_bits[] = {
    {X86_FEAT_VME, X86_CR4_VME | X86_CR4_PVI},
    {X86_FEAT_TSC, X86_CR4_TSD},
    {X86_FEAT_DE, X86_CR4_DE},
    {X86_FEAT_PSE, X86_CR4_PSE},
    {X86_FEAT_PAE, X86_CR4_PAE},
    {X86_FEAT_MCE, X86_CR4_MCE},
    {X86_FEAT_PGE, X86_CR4_PGE},
    {X86_FEAT_FXSR, X86_CR4_OSFXSR},
    {X86_FEAT_SSE, X86_CR4_OSXMMEXCPT},
    {X86_FEAT_UMIP, X86_CR4_UMIP},
    {X86_FEAT_LA57, X86_CR4_LA57},
    {X86_FEAT_FSGSBASE, X86_CR4_FSGSBASE},
    {X86_FEAT_PCID, X86_CR4_PCIDE},
    {X86_FEAT_XSAVE, X86_CR4_OSXSAVE},
    {X86_FEAT_SMEP, X86_CR4_SMEP},
    {X86_FEAT_SMAP, X86_CR4_SMAP},
};

static void control_bits(struct x86_cpuid_model *m)
{
    m->cr4_allowed = X86_CR4_PCE;
    for (unsigned i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
        if (x86_feature(m, cr4_bits[i].feature))
            m->cr4_allowed |= cr4_bits[i].bits;
    }
    if (x86_feature(m, X86_FEAT_SYSCALL))
        m->efer_allowed |= X86_EFER_SCE;
    if (x86_feature(m, X86_FEAT_LM))
        m->efer_allowed |= X86_EFER_LME | X86_EFER_LMA;
    if (x86_feature(m, X86_FEAT_NX))
        m->efer_allowed |= X86_EFER_NXE;
    if (x86_feature(m, X86_FEAT_AUTOIBRS))
        m->efer_allowed |= X86_EFER_AUTOIBRS;
    if (x86_feature(m, X86_FEAT_XSAVE))
        m->xcr0_allowed = X86_XCR0_X87 | X86_XCR0_SSE | (x86_feature(m, X86_FEAT_AVX) ? X86_XCR0_AVX : 0);
}

static void address_sizes(struct builder *b)
{
    uint32_t regs[4];

    host_leaf(0x80000008, 0, regs);
    b->model->phys_bits = b->config->software_engine ? SOFT_PHYS_BITS : (uint8_t)MIN(regs[EAX] & 0xff, 52U);
    b->model->lin_bits = x86_feature(b->model, X86_FEAT_LA57) ? 57 : 48;
}

/* Of what software engines are free. */
#define ARCH_SOFTWARE                                                                                        \
    (X86_ARCH_RDCL_NO | X86_ARCH_IBRS_ALL | X86_ARCH_SKIP_L1DFL | X86_ARCH_SSB_NO | X86_ARCH_MDS_NO |        \
     X86_ARCH_PSCHANGE_MC_NO | X86_ARCH_TAA_NO | X86_ARCH_SBDR_SSDP_NO | X86_ARCH_FBSDP_NO |                 \
     X86_ARCH_PSDP_NO | X86_ARCH_BHI_NO | X86_ARCH_PBRSB_NO | X86_ARCH_GDS_NO | X86_ARCH_RFDS_NO |           \
     X86_ARCH_ITS_NO)
/* What of the host's holds for its guests, too: bugs, what VERW does, and return stacks that go astray. Not
 * what announces further MSRs. */
#define ARCH_PASSED_ON                                                                                       \
    (ARCH_SOFTWARE | X86_ARCH_RSBA | X86_ARCH_RRSBA | X86_ARCH_FB_CLEAR | X86_ARCH_RFDS_CLEAR)

int x86_cpuid_build(struct x86_cpuid_model *model, const struct x86_cpuid_config *config, struct error *err)
{
    struct x86_cpuid_model m = {0};
    struct builder b = {.model = &m, .config = config, .amd = host_is_amd()};
    int r;

    if (!config->vcpus || config->vcpus > 64)
        return error_set(err, EINVAL, "a machine has 1 to 64 vCPUs, not %u", config->vcpus);
    while (BIT(b.id_bits) < config->vcpus)
        b.id_bits++;
    r = features_choose(&b, err);
    if (r < 0)
        return r;
    control_bits(&m);
    m.arch_capabilities =
        config->software_engine ? ARCH_SOFTWARE : config->arch_capabilities & ARCH_PASSED_ON;
    address_sizes(&b);
    add_basic(&b);
    add_hypervisor(&b);
    add_extended(&b);
    leaves_add_features(&b);
    if (b.amd) {
        uint32_t repeated = leaf_find(&m, 1, 0)->edx & AMD_REPEATED;

        for (unsigned i = 0; i < m.count; i++) {
            if (m.leaf[i].leaf == 0x80000001)
                m.leaf[i].edx |= repeated;
        }
    }
    *model = m;
    return 0;
}

/* ---- the guest's CPUID ---- */

static bool apic_enabled(const struct x86_cpu *cpu)
{
    struct x86_cpu *mutable = (struct x86_cpu *)cpu; /* reading an MSR changes nothing */
    uint64_t base;

    return !cpu->env || !cpu->env->msr_read || !cpu->env->msr_read(mutable, X86_MSR_APIC_BASE, &base) ||
           base & BIT(11);
}

/* What depends on the processor's number and state. */
static void leaf_live(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    uint32_t xsave_size = cpu->s.xcr0 & X86_XCR0_AVX ? 832 : 576;

    switch (leaf) {
    case 1:
        regs[EBX] |= cpu->apic_id << 24;
        if (cpu->s.cr4 & X86_CR4_OSXSAVE)
            regs[ECX] |= BIT(27);
        if (!apic_enabled(cpu))
            regs[EDX] &= ~BIT(9);
        break;
    case 0xb:
    case 0x1f:
        regs[ECX] |= subleaf & 0xff;
        regs[EDX] = cpu->apic_id;
        break;
    case 0xd:
        if (subleaf == 0 || (subleaf == 1 && regs[EAX] & BIT(1)))
            regs[EBX] = xsave_size;
        break;
    case 0x8000001e:
        regs[EAX] = cpu->apic_id;
        regs[EBX] = cpu->apic_id & 0xff;
        break;
    default:
        break;
    }
}

void x86_cpuid_read(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    const struct x86_cpuid_model *m = cpu->cpuid;
    const struct x86_cpuid_leaf *l;
    uint32_t base = leaf & 0xf0000000U;

    /* Intel answers a leaf that is too high with the highest basic one (SDM 2A, CPUID). */
    if (!x86_vendor_amd(cpu) && base != 0x40000000) {
        const struct x86_cpuid_leaf *first = leaf_find(m, 0, 0);

        l = leaf_find(m, base == 0x80000000 ? base : 0, 0);
        if (first && (!l || leaf > l->eax))
            leaf = first->eax;
    }
    l = leaf_find(m, leaf, subleaf);
    memset(regs, 0, 4 * sizeof(regs[0]));
    if (l) {
        regs[EAX] = l->eax;
        regs[EBX] = l->ebx;
        regs[ECX] = l->ecx;
        regs[EDX] = l->edx;
    }
    if (l || leaf == 0xb || (leaf == 0x1f && !x86_vendor_amd(cpu)))
        leaf_live(cpu, leaf, subleaf, regs);
}
