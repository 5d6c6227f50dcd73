/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done for processors of these kinds, by what they say of themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/hw/speculation.h"
#include "x86/regs.h"

#define MD_CLEAR  BIT(10)
#define SPEC_CTRL BIT(26)
#define FLUSH_CMD BIT(28)
#define ALL_MMIO  (X86_ARCH_SBDR_SSDP_NO | X86_ARCH_FBSDP_NO | X86_ARCH_PSDP_NO)

static const struct {
    const char *name;
    struct hw_facts facts;
    struct hw_speculation expected;
} rows[] = {
    {"an emulator", {.emulated = true}, {0}},
    {"Haswell before all microcode",
     {.intel = true},
     {.split_code = true, .fill_rsb = true, .wants_retpolines = true, .wants_siblings = true}},
    {"Haswell with microcode",
     {.intel = true, .leaf7_edx = MD_CLEAR | SPEC_CTRL | FLUSH_CMD},
     {.flush_l1d = true,
      .verw = true,
      .fill_rsb = true,
      .split_code = true,
      .wants_retpolines = true,
      .wants_siblings = true}},
    {"within another hypervisor, which flushes",
     {.intel = true, .leaf7_edx = MD_CLEAR | SPEC_CTRL | FLUSH_CMD, .arch_capabilities = X86_ARCH_SKIP_L1DFL},
     {.verw = true, .fill_rsb = true, .split_code = true, .wants_retpolines = true, .wants_siblings = true}},
    {"Cascade Lake",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | SPEC_CTRL | FLUSH_CMD,
      .arch_capabilities = X86_ARCH_RDCL_NO | X86_ARCH_IBRS_ALL | X86_ARCH_SKIP_L1DFL | X86_ARCH_MDS_NO},
     {.verw = true, .fill_rsb = true, .split_code = true, .spec_ctrl = 1}},
    {"Sapphire Rapids",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | SPEC_CTRL | FLUSH_CMD,
      .leaf7_2 = BIT(4),
      .arch_capabilities = X86_ARCH_RDCL_NO | X86_ARCH_IBRS_ALL | X86_ARCH_SKIP_L1DFL | X86_ARCH_MDS_NO |
                           X86_ARCH_PSCHANGE_MC_NO | X86_ARCH_TAA_NO | ALL_MMIO | X86_ARCH_FB_CLEAR |
                           X86_ARCH_PBRSB_NO},
     {.spec_ctrl = 0x401}},
    {"one that needs nothing",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | SPEC_CTRL | FLUSH_CMD,
      .leaf7_2 = BIT(4),
      .arch_capabilities = X86_ARCH_RDCL_NO | X86_ARCH_IBRS_ALL | X86_ARCH_MDS_NO | X86_ARCH_PSCHANGE_MC_NO |
                           X86_ARCH_TAA_NO | X86_ARCH_BHI_NO | X86_ARCH_PBRSB_NO | X86_ARCH_RFDS_NO},
     {.spec_ctrl = 1}},
    {"Gracemont",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | SPEC_CTRL | FLUSH_CMD,
      .arch_capabilities = X86_ARCH_RDCL_NO | X86_ARCH_IBRS_ALL | X86_ARCH_MDS_NO | X86_ARCH_PSCHANGE_MC_NO |
                           X86_ARCH_TAA_NO | X86_ARCH_BHI_NO | X86_ARCH_PBRSB_NO | X86_ARCH_RFDS_CLEAR},
     {.verw = true, .spec_ctrl = 1}},
    {"Zen 2", {0}, {.fill_rsb = true, .wants_retpolines = true}},
    {"Zen 3 with TSA", {.leaf21_eax = BIT(5)}, {.verw = true, .fill_rsb = true, .wants_retpolines = true}},
    {"Zen 4 with TSA", {.leaf21_eax = BIT(5) | BIT(8)}, {.verw = true, .auto_ibrs = true}},
    {"Zen 5", {.leaf21_eax = BIT(5) | BIT(8), .leaf21_ecx = BIT(1) | BIT(2)}, {.auto_ibrs = true}},
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct hw_speculation *e = &rows[i].expected;
        struct hw_speculation s;

        hw_speculation_choose(&s, &rows[i].facts);
        if (s.flush_l1d != e->flush_l1d || s.verw != e->verw || s.fill_rsb != e->fill_rsb ||
            s.auto_ibrs != e->auto_ibrs || s.split_code != e->split_code || s.spec_ctrl != e->spec_ctrl ||
            s.wants_retpolines != e->wants_retpolines || s.wants_siblings != e->wants_siblings)
            fail_msg("%s: L1D %d VERW %d RSB %d auto %d split %d SPEC_CTRL %llx retpolines %d siblings %d",
                     rows[i].name, s.flush_l1d, s.verw, s.fill_rsb, s.auto_ibrs, s.split_code,
                     (unsigned long long)s.spec_ctrl, s.wants_retpolines, s.wants_siblings);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
