/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers (SDM 4; AMD's BKDG and PPR for c001xxxx). One table
 * says what each is: a member of x86_state with the bits that may be set, or a
 * constant; those with more to them have functions below. What the platform
 * owns (APIC, TSC deadline, paravirtual clock) goes to the environment.
 *
 * Registers that only exist to be poked once by a kernel that thinks it is on
 * the real part (SYSCFG, HWCR, NB_CFG, DE_CFG …) read as a constant and take
 * writes without effect. Everything not named here is #GP.
 */
#include "x86/exec-sys.h"
#include "x86/system-internal.h"

#define MSR_EBL_CR_POWERON   0x2a
#define MSR_SMI_COUNT        0x34
#define MSR_UCODE_WRITE      0x79
#define MSR_PLATFORM_INFO    0xce
#define MSR_PERF_STATUS      0x198
#define MSR_DEBUGCTL         0x1d9
#define MSR_LASTBRANCH_FROM  0x1db
#define MSR_LASTBRANCH_TO    0x1dc
#define MSR_LASTINT_FROM     0x1dd
#define MSR_LASTINT_TO       0x1de
#define MSR_SYSCFG           0xc0010010U
#define MSR_HWCR             0xc0010015U
#define MSR_TOP_MEM          0xc001001aU
#define MSR_TOP_MEM2         0xc001001dU
#define MSR_NB_CFG           0xc001001fU
#define MSR_PATCH_LOADER     0xc0010020U
#define MSR_INT_PENDING      0xc0010055U
#define MSR_MMIO_CONF_BASE   0xc0010058U
#define MSR_DC_CFG           0xc0011022U
#define MSR_DE_CFG           0xc0011029U
#define MSR_BU_CFG2          0xc001102aU

#define HWCR_MC_STATUS_WR_EN BIT64(18)
#define HWCR_TSC_FREQ_SEL    BIT64(24) /* the TSC counts at the P0 frequency */
#define HWCR_IGNORED         (BIT64(3) | BIT64(6) | BIT64(8) | HWCR_MC_STATUS_WR_EN | HWCR_TSC_FREQ_SEL)
#define DE_CFG_LFENCE        BIT64(1)
#define DEBUGCTL_LBR_BTF     0x3ULL /* neither is modelled */

#define MTRRCAP_VARIABLE     8
#define MTRRCAP              (MTRRCAP_VARIABLE | BIT64(8) /* fixed ranges */ | BIT64(10) /* write-combining */)

enum msr_kind {
    MSR_STATE,     /* a member; bits outside of `bits` are #GP */
    MSR_CANONICAL, /* a member that holds a linear address */
    MSR_CONST,     /* reads as `value`; writes are #GP */
    MSR_IGNORE,    /* reads as `value`; writes of `bits` have no effect, others are #GP */
};

struct msr_rule {
    uint32_t msr;
    uint8_t kind;
    uint8_t vendor;
    uint16_t feature;
    uint16_t offset;
    uint64_t value;
    uint64_t bits;
};

#define STATE(number, member, mask, feat)                                                                    \
    {                                                                                                        \
        .msr = number, .kind = MSR_STATE, .feature = feat, .offset = offsetof(struct x86_state, member),     \
        .bits = mask                                                                                         \
    }
#define ADDRESS(number, member, feat)                                                                        \
    {                                                                                                        \
        .msr = number, .kind = MSR_CANONICAL, .feature = feat, .offset = offsetof(struct x86_state, member)  \
    }
#define CONST(number, vend, val)                                                                             \
    {                                                                                                        \
        .msr = number, .kind = MSR_CONST, .vendor = X86_VENDOR_##vend, .value = val                          \
    }
#define IGNORE(number, vend, val, mask)                                                                      \
    {                                                                                                        \
        .msr = number, .kind = MSR_IGNORE, .vendor = X86_VENDOR_##vend, .value = val, .bits = mask           \
    }

static const struct msr_rule rules[] = {
    STATE(X86_MSR_SYSENTER_CS, sysenter_cs, 0xffffffff, X86_FEAT_SEP),
    ADDRESS(X86_MSR_SYSENTER_ESP, sysenter_esp, X86_FEAT_SEP),
    ADDRESS(X86_MSR_SYSENTER_EIP, sysenter_eip, X86_FEAT_SEP),
    STATE(X86_MSR_STAR, star, ~0ULL, X86_FEAT_SYSCALL),
    ADDRESS(X86_MSR_LSTAR, lstar, X86_FEAT_LM),
    ADDRESS(X86_MSR_CSTAR, cstar, X86_FEAT_LM),
    STATE(X86_MSR_SFMASK, sfmask, 0xffffffff, X86_FEAT_LM),
    ADDRESS(X86_MSR_FS_BASE, seg[X86_FS].base, X86_FEAT_LM),
    ADDRESS(X86_MSR_GS_BASE, seg[X86_GS].base, X86_FEAT_LM),
    ADDRESS(X86_MSR_KERNEL_GS_BASE, kernel_gs_base, X86_FEAT_LM),
    STATE(X86_MSR_TSC_AUX, tsc_aux, 0xffffffff, X86_FEAT_RDTSCP),
    STATE(X86_MSR_MCG_STATUS, mcg_status, 0x7, X86_FEAT_MCA),
    STATE(X86_MSR_MISC_ENABLE, misc_enable, 0x0000000400c51889ULL, X86_FEAT_NONE),
    IGNORE(X86_MSR_MCG_CAP, ANY, 0, 0), /* no banks */
    CONST(X86_MSR_MTRRCAP, ANY, MTRRCAP),
    CONST(X86_MSR_PLATFORM_ID, INTEL, 0),
    IGNORE(MSR_EBL_CR_POWERON, INTEL, 0, 0),
    CONST(MSR_SMI_COUNT, INTEL, 0),
    CONST(X86_MSR_FEATURE_CONTROL, INTEL, BIT64(0)), /* locked, nothing enabled */
    IGNORE(MSR_UCODE_WRITE, ANY, 0, ~0ULL),
    CONST(MSR_PLATFORM_INFO, INTEL, 0),
    CONST(MSR_PERF_STATUS, INTEL, 0),
    IGNORE(MSR_DEBUGCTL, ANY, 0, DEBUGCTL_LBR_BTF),
    CONST(MSR_LASTBRANCH_FROM, ANY, 0),
    CONST(MSR_LASTBRANCH_TO, ANY, 0),
    CONST(MSR_LASTINT_FROM, ANY, 0),
    CONST(MSR_LASTINT_TO, ANY, 0),
    IGNORE(MSR_SYSCFG, AMD, 0, 0x00fc0000),
    IGNORE(MSR_HWCR, AMD, HWCR_TSC_FREQ_SEL, HWCR_IGNORED),
    CONST(MSR_TOP_MEM, AMD, 0),
    CONST(MSR_TOP_MEM2, AMD, 0),
    IGNORE(MSR_NB_CFG, AMD, 0, ~0ULL),
    IGNORE(MSR_PATCH_LOADER, AMD, 0, ~0ULL),
    IGNORE(MSR_INT_PENDING, AMD, 0, 0),
    CONST(MSR_MMIO_CONF_BASE, AMD, 0),
    IGNORE(MSR_DC_CFG, AMD, 0, ~0ULL),
    IGNORE(MSR_DE_CFG, AMD, DE_CFG_LFENCE, DE_CFG_LFENCE),
    IGNORE(MSR_BU_CFG2, AMD, 0, ~0ULL),
};

static const struct msr_rule *rule_find(const struct x86_cpu *cpu, uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
        const struct msr_rule *r = &rules[i];

        if (r->msr != msr)
            continue;
        if (r->vendor != X86_VENDOR_ANY && (r->vendor == X86_VENDOR_AMD) != x86_vendor_amd(cpu))
            return NULL;
        if (r->feature != X86_FEAT_NONE && !x86_feature(cpu->cpuid, r->feature))
            return NULL;
        return r;
    }
    return NULL;
}

static uint64_t *member(struct x86_cpu *cpu, const struct msr_rule *r)
{
    return (uint64_t *)(void *)((uint8_t *)&cpu->s + r->offset);
}

static bool is_platform(uint32_t msr)
{
    switch (msr) {
    case X86_MSR_APIC_BASE:
    case X86_MSR_TSC_DEADLINE:
    case X86_MSR_KVM_WALL_CLOCK_NEW:
    case X86_MSR_KVM_SYSTEM_TIME_NEW:
    case X86_MSR_KVM_STEAL_TIME:
        return true;
    default:
        return msr >= X86_MSR_X2APIC_FIRST && msr <= X86_MSR_X2APIC_LAST;
    }
}

/* ---- memory types: PAT and MTRRs change nothing here but must hold what was written ---- */

static bool memory_type_valid(uint64_t type, bool pat)
{
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6 || (pat && type == 7);
}

static bool memory_types_valid(uint64_t eight, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        if (!memory_type_valid(eight >> (8 * i) & 0xff, pat))
            return false;
    }
    return true;
}

/* Index of a fixed-range MTRR in x86_state, or -1. */
static int mtrr_fixed_index(uint32_t msr)
{
    switch (msr) {
    case X86_MSR_MTRR_FIX64K_00000:
        return 0;
    case X86_MSR_MTRR_FIX16K_80000:
    case X86_MSR_MTRR_FIX16K_A0000:
        return 1 + (int)(msr - X86_MSR_MTRR_FIX16K_80000);
    default:
        if (msr >= X86_MSR_MTRR_FIX4K_C0000 && msr <= X86_MSR_MTRR_FIX4K_C0000 + 7)
            return 3 + (int)(msr - X86_MSR_MTRR_FIX4K_C0000);
        return -1;
    }
}

static bool is_mtrr_variable(uint32_t msr)
{
    return msr >= X86_MSR_MTRR_PHYSBASE0 && msr < X86_MSR_MTRR_PHYSBASE0 + 2 * MTRRCAP_VARIABLE;
}

static uint64_t *mtrr_find(struct x86_cpu *cpu, uint32_t msr)
{
    int fixed = mtrr_fixed_index(msr);

    if (fixed >= 0)
        return &cpu->s.mtrr_fixed[fixed];
    if (is_mtrr_variable(msr))
        return &cpu->s.mtrr_var[msr - X86_MSR_MTRR_PHYSBASE0];
    return msr == X86_MSR_MTRR_DEF_TYPE ? &cpu->s.mtrr_def_type : NULL;
}

static bool mtrr_valid(const struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    uint64_t address = BIT64(cpu->cpuid->phys_bits) - 1;

    if (mtrr_fixed_index(msr) >= 0)
        return memory_types_valid(value, false);
    if (msr == X86_MSR_MTRR_DEF_TYPE)
        return !(value & ~0xcffULL) && memory_type_valid(value & 0xff, false);
    if (msr & 1) /* mask */
        return !(value & ~((address & ~0xfffULL) | BIT64(11)));
    return !(value & ~((address & ~0xfffULL) | 0xff)) && memory_type_valid(value & 0xff, false);
}

/* ---- registers with more to them ---- */

static bool efer_write(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t changed;

    if (value & ~cpu->cpuid->efer_allowed)
        return false;
    value = (value & ~(uint64_t)X86_EFER_LMA) | (cpu->s.efer & X86_EFER_LMA);
    changed = value ^ cpu->s.efer;
    if (changed & X86_EFER_LME && cpu->s.cr0 & X86_CR0_PG)
        return false;
    cpu->s.efer = value;
    if (changed & X86_EFER_NXE)
        x86_tlb_flush(cpu);
    x86_mode_changed(cpu);
    return true;
}

static void tsc_move(struct x86_cpu *cpu, uint64_t by)
{
    cpu->s.tsc_offset = (int64_t)((uint64_t)cpu->s.tsc_offset + by);
    cpu->s.tsc_adjust += by;
}

static uint64_t tsc_now(struct x86_cpu *cpu)
{
    return cpu->env->tsc(cpu) + (uint64_t)cpu->s.tsc_offset;
}

/* Bits of IA32_SPEC_CTRL that the model has. */
static uint64_t spec_ctrl_bits(const struct x86_cpu *cpu)
{
    static const struct {
        uint16_t feature;
        uint16_t bits;
    } map[] = {
        {X86_FEAT_SPEC_CTRL, 1}, {X86_FEAT_AMD_IBRS, 1}, {X86_FEAT_STIBP, 2},        {X86_FEAT_AMD_STIBP, 2},
        {X86_FEAT_SSBD, 4},      {X86_FEAT_AMD_SSBD, 4}, {X86_FEAT_BHI_CTRL, 0x400},
    };
    uint64_t bits = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        if (x86_feature(cpu->cpuid, map[i].feature))
            bits |= map[i].bits;
    }
    return bits;
}

static bool has_ibpb(const struct x86_cpu *cpu)
{
    return x86_feature(cpu->cpuid, X86_FEAT_SPEC_CTRL) || x86_feature(cpu->cpuid, X86_FEAT_AMD_IBPB);
}

/* The revision of the microcode; bits 32..63 on Intel. */
static uint64_t microcode(const struct x86_cpu *cpu)
{
    return x86_vendor_amd(cpu) ? 0x0a0011d5 : 0x100000000ULL;
}

static bool special_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case X86_MSR_TSC:
        *value = tsc_now(cpu);
        return true;
    case X86_MSR_TSC_ADJUST:
        *value = cpu->s.tsc_adjust;
        return x86_feature(cpu->cpuid, X86_FEAT_TSC_ADJUST);
    case X86_MSR_EFER:
        *value = cpu->s.efer;
        return true;
    case X86_MSR_PAT:
        *value = cpu->s.pat;
        return true;
    case X86_MSR_SPEC_CTRL:
        *value = cpu->s.spec_ctrl;
        return spec_ctrl_bits(cpu) != 0;
    case X86_MSR_ARCH_CAPABILITIES:
        *value = cpu->cpuid->arch_capabilities;
        return x86_feature(cpu->cpuid, X86_FEAT_ARCH_CAPABILITIES);
    case X86_MSR_BIOS_SIGN_ID:
        *value = microcode(cpu);
        return true;
    default:
        return false;
    }
}

static bool special_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case X86_MSR_TSC:
        tsc_move(cpu, value - tsc_now(cpu));
        return true;
    case X86_MSR_TSC_ADJUST:
        if (!x86_feature(cpu->cpuid, X86_FEAT_TSC_ADJUST))
            return false;
        tsc_move(cpu, value - cpu->s.tsc_adjust);
        return true;
    case X86_MSR_EFER:
        return efer_write(cpu, value);
    case X86_MSR_PAT:
        if (!memory_types_valid(value, true))
            return false;
        cpu->s.pat = value;
        return true;
    case X86_MSR_SPEC_CTRL:
        if (!spec_ctrl_bits(cpu) || value & ~spec_ctrl_bits(cpu))
            return false;
        cpu->s.spec_ctrl = value;
        return true;
    case X86_MSR_PRED_CMD:
        return has_ibpb(cpu) && !(value & ~1ULL);
    case X86_MSR_BIOS_SIGN_ID: /* written with 0 before it is read */
        return true;
    default:
        return false;
    }
}

bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    const struct msr_rule *r;
    const uint64_t *mtrr;
    uint64_t v;

    if (is_platform(msr))
        return cpu->env->msr_read(cpu, msr, value);
    r = rule_find(cpu, msr);
    if (r) {
        *value = r->kind == MSR_STATE || r->kind == MSR_CANONICAL ? *member(cpu, r) : r->value;
        return true;
    }
    mtrr = mtrr_find(cpu, msr);
    if (mtrr) {
        *value = *mtrr;
        return true;
    }
    if (!special_read(cpu, msr, &v))
        return false;
    *value = v;
    return true;
}

static bool rule_write(struct x86_cpu *cpu, const struct msr_rule *r, uint64_t value)
{
    switch (r->kind) {
    case MSR_STATE:
        if (value & ~r->bits)
            return false;
        *member(cpu, r) = value;
        return true;
    case MSR_CANONICAL:
        if (!x86_canonical(cpu, value))
            return false;
        *member(cpu, r) = value;
        return true;
    case MSR_IGNORE:
        return !(value & ~r->bits);
    default:
        return false;
    }
}

bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    const struct msr_rule *r;
    uint64_t *mtrr;

    if (is_platform(msr))
        return cpu->env->msr_write(cpu, msr, value);
    r = rule_find(cpu, msr);
    if (r)
        return rule_write(cpu, r, value);
    mtrr = mtrr_find(cpu, msr);
    if (!mtrr)
        return special_write(cpu, msr, value);
    if (!mtrr_valid(cpu, msr, value))
        return false;
    *mtrr = value;
    return true;
}
