/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPU model: what CPUID says, what executes and what the control registers
 * take are the same thing; MSRs answer or fault.
 */
#include "tests/unit/x86-sys/sys-cpu.h"

#define VCPUS 6

static const enum x86_cpu_level levels[] = {X86_CPU_V2, X86_CPU_V3, X86_CPU_HOST};

static bool build(struct x86_cpuid_model *m, enum x86_cpu_level level, bool software)
{
    struct x86_cpuid_config config = {
        .level = level, .vcpus = VCPUS, .tsc_khz = 1000000, .software_engine = software};
    struct error err = {0};
    int r = x86_cpuid_build(m, &config, &err);

    if (r < 0)
        print_message("level %d: %s\n", level, err.text);
    return r == 0;
}

static void cpuid(struct flat_cpu *f, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    x86_cpuid_read(&f->cpu, leaf, subleaf, regs);
}

/* Every model this host can have. */
static void each_model(struct flat_cpu *f, void (*check)(struct flat_cpu *f, bool software))
{
    unsigned built = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(levels) * 2; i++) {
        if (!build(&f->model, levels[i / 2], i & 1))
            continue;
        built++;
        x86_reset(&f->cpu, false);
        flat_mode(f, X86_MODE_64, 0);
        f->cpu.s.cr4 &= f->model.cr4_allowed;
        f->cpu.s.xcr0 = f->model.xcr0_allowed;
        check(f, i & 1);
    }
    assert_true(built >= 2); /* v2 at least */
}

static void check_table(struct flat_cpu *f, bool software)
{
    for (unsigned i = 0; i < x86_feature_table_size; i++) {
        const struct x86_feature_row *row = &x86_feature_table[i];
        bool told = x86_feature(&f->model, row->feature);
        uint32_t regs[4];

        cpuid(f, row->leaf, row->subleaf, regs);
        if (row->feature == X86_FEAT_APIC) /* the environment of this test has none to switch off */
            continue;
        if (row->subleaf == 1 && !f->model.xcr0_allowed)
            assert_false(told);
        else
            assert_int_equal(regs[row->reg] >> row->bit & 1, told);
        if (row->flags & X86_FEATURE_NO_SOFT && software)
            assert_false(told);
    }
}

static void bits_follow_features(void **state)
{
    each_model(*state, check_table);
}

/* No bit is set that the table does not know. */
static void check_no_other_bits(struct flat_cpu *f, bool software)
{
    static const struct {
        uint32_t leaf, subleaf;
        unsigned reg;
        uint32_t known; /* fields that are not features */
    } words[] = {
        {1, 0, 2, BIT(27)},    {1, 0, 3, 0},          {7, 0, 1, 0},
        {7, 0, 2, 0},          {7, 0, 3, 0},          {0x80000001, 0, 2, 0},
        {0x80000001, 0, 3, 0}, {0x80000007, 0, 3, 0}, {0x80000008, 0, 1, 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        uint32_t regs[4], known = words[i].known;

        for (unsigned n = 0; n < x86_feature_table_size; n++) {
            const struct x86_feature_row *row = &x86_feature_table[n];

            if (row->leaf == words[i].leaf && row->reg == words[i].reg && row->subleaf == words[i].subleaf)
                known |= BIT(row->bit);
        }
        if (words[i].leaf == 0x80000001 && words[i].reg == 3)
            known |= 0x0183f3ff; /* AMD repeats leaf 1 */
        cpuid(f, words[i].leaf, words[i].subleaf, regs);
        assert_int_equal(regs[words[i].reg] & ~known, 0);
    }
}

static void no_unknown_bits(void **state)
{
    each_model(*state, check_no_other_bits);
}

/*
 * An instruction is there exactly if its feature is: x86_check() and the table of
 * semantics agree with the model for every row.
 */
static void check_rows(struct flat_cpu *f, bool software)
{
    x86_exec_fn *nothing = x86_exec_table[X86_INVALID];

    for (uint16_t n = 0; n < x86_insn_row_count(); n++) {
        const struct x86_row *row = x86_insn_row(n);
        struct x86_insn insn = {.id = row->id, .row = n};
        bool told = row->feature == X86_FEAT_NONE || x86_feature(&f->model, row->feature);

        f->cpu.fault.vector = 0xff;
        if (told) {
            if (x86_exec_table[row->id] == nothing)
                fail_msg("%s is advertised and does nothing", row->name);
        } else if (row->id != X86_LZCNT && row->id != X86_TZCNT) {
            assert_int_equal(x86_check(&f->cpu, &insn), X86_FAULT);
            assert_int_equal(f->cpu.fault.vector, X86_UD);
        }
    }
}

static void instructions_follow_features(void **state)
{
    each_model(*state, check_rows);
}

static void check_control(struct flat_cpu *f, bool software)
{
    static const struct {
        unsigned feature;
        uint64_t bit;
    } cr4[] = {
        {X86_FEAT_PSE, X86_CR4_PSE},    {X86_FEAT_PGE, X86_CR4_PGE},   {X86_FEAT_SMEP, X86_CR4_SMEP},
        {X86_FEAT_SMAP, X86_CR4_SMAP},  {X86_FEAT_UMIP, X86_CR4_UMIP}, {X86_FEAT_FSGSBASE, X86_CR4_FSGSBASE},
        {X86_FEAT_VME, X86_CR4_VME},    {X86_FEAT_PKU, X86_CR4_PKE},   {X86_FEAT_XSAVE, X86_CR4_OSXSAVE},
        {X86_FEAT_PCID, X86_CR4_PCIDE},
    };
    uint64_t base = f->cpu.s.cr4 & ~(uint64_t)X86_CR4_OSXSAVE;

    for (unsigned i = 0; i < ARRAY_SIZE(cr4); i++) {
        bool told = x86_feature(&f->model, cr4[i].feature);

        f->cpu.s.gpr[X86_RAX] = base | cr4[i].bit;
        assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xe0), told ? X86_BREAK : X86_FAULT);
    }
    if (x86_feature(&f->model, X86_FEAT_XSAVE)) {
        uint32_t regs[4];

        f->cpu.s.gpr[X86_RAX] = base | X86_CR4_OSXSAVE;
        assert_int_equal(FLAT_EXEC(f, 0x0f, 0x22, 0xe0), X86_BREAK);
        cpuid(f, 1, 0, regs);
        assert_true(regs[2] & BIT(27));
        for (uint64_t xcr0 = 0; xcr0 < 16; xcr0++) {
            bool valid = xcr0 & 1 && !(xcr0 & ~f->model.xcr0_allowed) && !(xcr0 & 4 && !(xcr0 & 2));

            f->cpu.s.gpr[X86_RAX] = xcr0;
            f->cpu.s.gpr[X86_RCX] = f->cpu.s.gpr[X86_RDX] = 0;
            assert_int_equal(FLAT_EXEC(f, 0x0f, 0x01, 0xd1), valid ? X86_BREAK : X86_FAULT);
            if (valid) {
                cpuid(f, 0xd, 0, regs);
                assert_int_equal(regs[0], f->model.xcr0_allowed);
                assert_int_equal(regs[1], xcr0 & 4 ? 832 : 576);
                assert_int_equal(regs[2], f->model.xcr0_allowed & 4 ? 832 : 576);
            }
        }
    }
}

static void control_bits_follow_features(void **state)
{
    each_model(*state, check_control);
}

static void check_topology(struct flat_cpu *f, bool software)
{
    uint32_t regs[4];

    for (uint32_t id = 0; id < VCPUS; id++) {
        f->cpu.apic_id = id;
        cpuid(f, 1, 0, regs);
        assert_int_equal(regs[1] >> 24, id);
        assert_int_equal(regs[1] >> 16 & 0xff, 8);
        cpuid(f, 0xb, 0, regs);
        assert_int_equal(regs[0], 0);
        assert_int_equal(regs[1], 1);
        assert_int_equal(regs[2], 0x100);
        assert_int_equal(regs[3], id);
        cpuid(f, 0xb, 1, regs);
        assert_int_equal(regs[0], 3);
        assert_int_equal(regs[1], VCPUS);
        assert_int_equal(regs[2], 0x201);
        cpuid(f, 0xb, 7, regs);
        assert_int_equal(regs[2], 7);
        assert_int_equal(regs[3], id);
    }
    f->cpu.apic_id = 0;
    cpuid(f, 0x40000000, 0, regs);
    assert_int_equal(regs[0], 0x40000010);
    assert_memory_equal(&regs[1], "KVMKVMKVM\0\0\0", 12);
    cpuid(f, 0x40000010, 0, regs);
    assert_int_equal(regs[0], 1000000);
    cpuid(f, 0x40000020, 0, regs);
    assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
}

static void topology_and_hypervisor(void **state)
{
    each_model(*state, check_topology);
}

static uint64_t apic_base;

static bool apic_msr(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    *value = apic_base;
    return msr == X86_MSR_APIC_BASE;
}

/* A local APIC that is switched off is not there. */
static void apic_bit(void **state)
{
    struct flat_cpu *f = *state;
    struct x86_env env = flat_env;
    uint32_t regs[4];

    assert_true(build(&f->model, X86_CPU_V2, true));
    env.msr_read = apic_msr;
    f->cpu.env = &env;
    for (unsigned on = 0; on < 2; on++) {
        apic_base = 0xfee00000 | on << 11;
        cpuid(f, 1, 0, regs);
        assert_int_equal(regs[3] >> 9 & 1, on);
    }
    f->cpu.env = &flat_env;
}

static void bad_configurations(void **state)
{
    struct x86_cpuid_config config = {.level = X86_CPU_V2, .vcpus = 65, .software_engine = true};
    struct x86_cpuid_model m = {.count = 77};
    struct error err = {0};

    assert_int_equal(x86_cpuid_build(&m, &config, &err), -EINVAL);
    config.vcpus = 0;
    assert_int_equal(x86_cpuid_build(&m, &config, NULL), -EINVAL);
    assert_int_equal(m.count, 77);
    config.vcpus = 64;
    assert_int_equal(x86_cpuid_build(&m, &config, NULL), 0);
}

/* ---- MSRs ---- */

/* What the processor says of its bugs: the host's bad news and good news, nothing that the guest cannot have;
 * software engines are free of them, whatever the host is. */
static void arch_capabilities(void **state)
{
    static const uint64_t host[][2] = {
        {0, 0},
        {~0ULL, X86_ARCH_RDCL_NO | X86_ARCH_IBRS_ALL | X86_ARCH_RSBA | X86_ARCH_SKIP_L1DFL | X86_ARCH_SSB_NO |
                    X86_ARCH_MDS_NO | X86_ARCH_PSCHANGE_MC_NO | X86_ARCH_TAA_NO | X86_ARCH_SBDR_SSDP_NO |
                    X86_ARCH_FBSDP_NO | X86_ARCH_PSDP_NO | X86_ARCH_FB_CLEAR | X86_ARCH_RRSBA |
                    X86_ARCH_BHI_NO | X86_ARCH_PBRSB_NO | X86_ARCH_GDS_NO | X86_ARCH_RFDS_NO |
                    X86_ARCH_RFDS_CLEAR | X86_ARCH_ITS_NO},
        {X86_ARCH_MDS_NO | BIT64(7) /* TSX_CTRL */ | BIT64(12) /* DOITM */, X86_ARCH_MDS_NO},
    };
    struct x86_cpuid_model m;

    for (unsigned i = 0; i < ARRAY_SIZE(host) * 2; i++) {
        struct x86_cpuid_config config = {.level = X86_CPU_V2,
                                          .vcpus = 1,
                                          .tsc_khz = 1000000,
                                          .software_engine = i & 1,
                                          .arch_capabilities = host[i / 2][0]};

        assert_int_equal(x86_cpuid_build(&m, &config, NULL), 0);
        if (i & 1)
            assert_true(m.arch_capabilities & X86_ARCH_RDCL_NO && m.arch_capabilities & X86_ARCH_MDS_NO);
        else
            assert_int_equal(m.arch_capabilities, host[i / 2][1]);
    }
}

static void check_msrs(struct flat_cpu *f, bool software)
{
    static const uint32_t ranges[] = {0,          0x2000,     0x40000000, 0x40000200, 0x4b564d00,
                                      0x4b564e00, 0xc0000000, 0xc0002000, 0xc0010000, 0xc0012000};
    unsigned readable = 0;
    struct x86_state saved;

    for (unsigned r = 0; r < ARRAY_SIZE(ranges); r += 2) {
        for (uint32_t msr = ranges[r]; msr < ranges[r + 1]; msr++) {
            uint64_t value = 0, again;

            saved = f->cpu.s;
            readable += x86_msr_read(&f->cpu, msr, &value);
            assert_memory_equal(&saved, &f->cpu.s, sizeof(saved));
            x86_msr_write(&f->cpu, msr, ~0ULL);
            x86_msr_write(&f->cpu, msr, 0x5555555555555555ULL);
            x86_msr_write(&f->cpu, msr, 0);
            /* what it reads it takes, if it takes anything */
            if (msr != X86_MSR_TSC && x86_msr_write(&f->cpu, msr, value) &&
                x86_msr_read(&f->cpu, msr, &again))
                assert_int_equal(value, again);
            f->cpu.s = saved;
            x86_state_changed(&f->cpu);
        }
    }
    assert_in_range(readable, 40, 120);
}

static void msr_sweep(void **state)
{
    each_model(*state, check_msrs);
}

static bool wrmsr(struct flat_cpu *f, uint32_t msr, uint64_t value)
{
    f->cpu.s.gpr[X86_RCX] = msr;
    f->cpu.s.gpr[X86_RAX] = (uint32_t)value;
    f->cpu.s.gpr[X86_RDX] = value >> 32;
    if (FLAT_EXEC(f, 0x0f, 0x30) == X86_BREAK)
        return true;
    assert_int_equal(f->cpu.fault.vector, X86_GP);
    assert_int_equal(f->cpu.fault.error, 0);
    return false;
}

static void msr_rules(void **state)
{
    struct flat_cpu *f = *state;
    uint64_t value;

    assert_true(build(&f->model, X86_CPU_V2, true));
    flat_mode(f, X86_MODE_64, 0);
    assert_false(wrmsr(f, 0x12345, 0));
    assert_false(wrmsr(f, X86_MSR_LSTAR, BIT64(47)));
    assert_true(wrmsr(f, X86_MSR_LSTAR, 0xffff800000000000ULL));
    assert_false(wrmsr(f, X86_MSR_EFER, f->cpu.s.efer | BIT(1)));
    assert_false(wrmsr(f, X86_MSR_EFER, 0)); /* LME under paging */
    assert_true(wrmsr(f, X86_MSR_EFER, X86_EFER_LME));
    assert_true(f->cpu.s.efer & X86_EFER_LMA);
    assert_false(wrmsr(f, X86_MSR_PAT, 0x02));
    assert_true(wrmsr(f, X86_MSR_PAT, 0x0007010600070106ULL));
    assert_false(wrmsr(f, X86_MSR_MTRR_DEF_TYPE, 0x2));
    assert_true(wrmsr(f, X86_MSR_MTRR_DEF_TYPE, 0xc06));
    assert_false(wrmsr(f, X86_MSR_MTRR_PHYSBASE0 + 1, BIT64(60)));
    assert_false(wrmsr(f, X86_MSR_MTRRCAP, 0));
    assert_false(wrmsr(f, X86_MSR_TSC_AUX, BIT64(32)));

    assert_true(wrmsr(f, X86_MSR_TSC, 1000000));
    assert_true(x86_msr_read(&f->cpu, X86_MSR_TSC, &value));
    assert_in_range(value, 1000000, 1001000);
    assert_true(x86_msr_read(&f->cpu, X86_MSR_TSC_ADJUST, &value));
    assert_int_equal((int64_t)value, f->cpu.s.tsc_offset);
    assert_true(wrmsr(f, X86_MSR_TSC_ADJUST, 0));
    assert_int_equal(f->cpu.s.tsc_offset, 0);

    f->cpu.s.seg[X86_CS].selector |= 3; /* ring 3 */
    flat_mode(f, X86_MODE_64, 3);
    assert_false(wrmsr(f, X86_MSR_TSC_AUX, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_follow_features, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(no_unknown_bits, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(instructions_follow_features, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(control_bits_follow_features, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(topology_and_hypervisor, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(apic_bit, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(bad_configurations, sys_setup, sys_teardown),
        cmocka_unit_test_setup_teardown(msr_sweep, sys_setup, sys_teardown),
        cmocka_unit_test(arch_capabilities),
        cmocka_unit_test_setup_teardown(msr_rules, sys_setup, sys_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
