/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this machine does not have: virtualization of its own, above all. */
#include "tests/guest/isolation/isolation.h"

#define INSN(name, text)                                                                                     \
    static void name(void)                                                                                   \
    {                                                                                                        \
        __asm__ volatile(text ::"a"(operand), "b"(operand), "c"(0), "d"(0) : "memory", "cc", "rsi", "rdi");  \
    }

static uint64_t operand_area[512] __attribute__((aligned(4096)));
#define operand ((uintptr_t)operand_area)

/* AMD's are bytes: with them an operand of AX is the address of a page. */
INSN(i_vmrun, ".byte 0x0f, 0x01, 0xd8")
INSN(i_vmmcall, ".byte 0x0f, 0x01, 0xd9")
INSN(i_vmload, ".byte 0x0f, 0x01, 0xda")
INSN(i_vmsave, ".byte 0x0f, 0x01, 0xdb")
INSN(i_stgi, ".byte 0x0f, 0x01, 0xdc")
INSN(i_clgi, ".byte 0x0f, 0x01, 0xdd")
INSN(i_skinit, ".byte 0x0f, 0x01, 0xde")
INSN(i_invlpga, ".byte 0x0f, 0x01, 0xdf")

INSN(i_vmcall, "vmcall")
INSN(i_vmlaunch, "vmlaunch")
INSN(i_vmresume, "vmresume")
INSN(i_vmxoff, "vmxoff")
INSN(i_vmfunc, ".byte 0x0f, 0x01, 0xd4")
INSN(i_vmread, "vmread %%rcx, %%rdx")
INSN(i_vmwrite, "vmwrite %%rdx, %%rcx")
INSN(i_vmptrld, "vmptrld (%%rax)")
INSN(i_vmclear, "vmclear (%%rax)")
INSN(i_vmxon, "vmxon (%%rax)")
INSN(i_vmptrst, "vmptrst (%%rax)")
INSN(i_invept, "invept (%%rax), %%rcx")
INSN(i_invvpid, "invvpid (%%rax), %%rcx")

INSN(i_getsec, "getsec")
INSN(i_rsm, "rsm")

INSN(i_monitor, "monitor %%rax, %%rcx, %%rdx")
INSN(i_mwait, "mov $0, %%eax; mwait %%rax, %%rcx")
INSN(i_monitorx, ".byte 0x0f, 0x01, 0xfa")
INSN(i_mwaitx, ".byte 0x0f, 0x01, 0xfb")
INSN(i_umonitor, ".byte 0xf3, 0x0f, 0xae, 0xf0")
INSN(i_tpause, ".byte 0x66, 0x0f, 0xae, 0xf1")

INSN(i_rdpkru, ".byte 0x0f, 0x01, 0xee")
INSN(i_wrpkru, "xor %%eax, %%eax; .byte 0x0f, 0x01, 0xef")
INSN(i_encls, ".byte 0x0f, 0x01, 0xcf")
INSN(i_enclu, ".byte 0x0f, 0x01, 0xd7")
INSN(i_enclv, ".byte 0x0f, 0x01, 0xc0")
INSN(i_pconfig, ".byte 0x0f, 0x01, 0xc5")
INSN(i_xsaves, ".byte 0x48, 0x0f, 0xc7, 0x28")
INSN(i_xrstors, ".byte 0x48, 0x0f, 0xc7, 0x18")
INSN(i_clzero, ".byte 0x0f, 0x01, 0xfc")
INSN(i_rdpru, ".byte 0x0f, 0x01, 0xfd")
INSN(i_invlpgb, ".byte 0x0f, 0x01, 0xfe")
INSN(i_psmash, ".byte 0xf3, 0x0f, 0x01, 0xff")
INSN(i_xbegin, "xbegin 1f; 1:")
INSN(i_wrmsrns, ".byte 0x0f, 0x01, 0xc6")
INSN(i_senduipi, ".byte 0xf3, 0x0f, 0xc7, 0xf0")
INSN(i_hreset, ".byte 0xf3, 0x0f, 0x3a, 0xf0, 0xc0, 0x00")
INSN(i_ud0, ".byte 0x0f, 0xff, 0xc0")
INSN(i_ud1, ".byte 0x0f, 0xb9, 0xc0")
INSN(i_ud2, "ud2")

struct insn {
    const char *name;
    void (*run)(void);
};
#define I(name)                                                                                              \
    {                                                                                                        \
#name, i_##name                                                                                      \
    }

/* #UD, whoever executes it. */
static void must_not_exist(const struct insn *insn)
{
    for (; insn->name; insn++) {
        expect(insn->name, (uint64_t)try_run(insn->run), 6);
        expect(insn->name, (uint64_t)try_user(insn->run), 6);
    }
}

/* Where the hypervisor below uses AMD's, EFER.SVME is on in the processor, which then looks at the ring
 * first. */
static void must_be_refused(const struct insn *insn)
{
    for (; insn->name; insn++) {
        int v = try_user(insn->run);

        expect(insn->name, (uint64_t)try_run(insn->run), 6);
        expect(insn->name, v == 6 || v == 13, 1);
    }
}

void svm_instructions(void)
{
    static const struct insn insns[] = {I(vmrun), I(vmmcall), I(vmload),  I(vmsave), I(stgi),
                                        I(clgi),  I(skinit),  I(invlpga), {0}};

    for (unsigned i = 0; i < 1000; i++)
        must_be_refused(insns);
}

void vmx_instructions(void)
{
    static const struct insn insns[] = {I(vmcall),  I(vmlaunch), I(vmresume), I(vmxoff),  I(vmfunc),
                                        I(vmread),  I(vmwrite),  I(vmptrld),  I(vmclear), I(vmxon),
                                        I(vmptrst), I(invept),   I(invvpid),  {0}};

    for (unsigned i = 0; i < 1000; i++)
        must_not_exist(insns);
    CHECK(try_cr('4', read_cr4() | 1U << 13) == 13);
    must_not_exist(insns);
}

void smx_instructions(void)
{
    static const struct insn insns[] = {I(getsec), I(rsm), {0}};

    must_not_exist(insns);
    CHECK(try_cr('4', read_cr4() | 1U << 14) == 13);
    must_not_exist(insns);
}

void monitor_and_mwait(void)
{
    static const struct insn monitor[] = {I(monitor), I(mwait), {0}},
                             monitorx[] = {I(monitorx), I(mwaitx), {0}};

    CHECK(!has_bit(1, 0, 'c', 3));
    must_not_exist(monitor);
    CHECK(!has_bit(0x80000001, 0, 'c', 29));
    must_not_exist(monitorx);
}

void user_waits(void)
{
    static const struct insn insns[] = {I(umonitor), I(tpause), {0}};

    CHECK(!has_bit(7, 0, 'c', 5));
    must_not_exist(insns);
}

void hidden_instructions(void)
{
    static const struct {
        struct insn insn[2];
        uint32_t leaf;
        char reg;
        uint8_t bit;
    } map[] = {{{I(rdpkru)}, 7, 'c', 4},
               {{I(wrpkru)}, 7, 'c', 4},
               {{I(encls)}, 7, 'b', 2},
               {{I(enclu)}, 7, 'b', 2},
               {{I(enclv)}, 7, 'b', 2},
               {{I(pconfig)}, 7, 'd', 18},
               {{I(clzero)}, 0x80000008, 'b', 0},
               {{I(rdpru)}, 0x80000008, 'b', 4},
               {{I(invlpgb)}, 0x80000008, 'b', 3},
               {{I(psmash)}, 0x8000001f, 'a', 4},
               {{I(senduipi)}, 7, 'd', 5}};
    static const struct insn never[] = {I(ud0), I(ud1), I(ud2), I(wrmsrns), I(hreset), {0}};
    static const struct insn supervisor[] = {I(xsaves), I(xrstors), {0}};

    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (!has_bit(map[i].leaf, 0, map[i].reg, map[i].bit))
            must_not_exist(map[i].insn);
    }
    must_not_exist(never);
    if (!has_bit(0xd, 1, 'a', 3))
        must_not_exist(supervisor);
}

void transactions(void)
{
    static const struct insn insns[] = {I(xbegin), {0}};

    CHECK(!has_bit(7, 0, 'b', 11));
    must_not_exist(insns);
}

/* ---- CPUID ---- */

void cpuid_hides(void)
{
    static const struct {
        uint32_t leaf;
        char reg;
        uint8_t bit;
    } hidden[] = {{1, 'c', 3 /* MONITOR */},
                  {1, 'c', 5 /* VMX */},
                  {1, 'c', 6 /* SMX */},
                  {1, 'c', 15 /* PDCM */},
                  {1, 'd', 21 /* DS */},
                  {1, 'd', 22 /* ACPI thermal */},
                  {7, 'b', 2 /* SGX */},
                  {7, 'b', 4 /* HLE */},
                  {7, 'b', 11 /* RTM */},
                  {7, 'b', 12 /* RDT-M */},
                  {7, 'b', 15 /* RDT-A */},
                  {7, 'b', 25 /* PT */},
                  {7, 'd', 18 /* PCONFIG */},
                  {7, 'd', 19 /* LBR */},
                  {0x80000001, 'c', 2 /* SVM */},
                  {0x80000001, 'c', 10 /* IBS */},
                  {0x80000001, 'c', 12 /* SKINIT */},
                  {0x80000001, 'c', 15 /* LWP */},
                  {0x80000001, 'c', 23 /* PerfCtrExtCore */},
                  {0x80000001, 'c', 29 /* MONITORX */}};
    static const uint32_t empty[] = {5,    9,    0xa,  0xf,        0x10,       0x12,
                                     0x14, 0x17, 0x18, 0x8000000a, 0x8000001b, 0x8000001f};
    struct cpuid name = cpuid(0x40000000, 0);

    CHECK(has_bit(1, 0, 'c', 31));
    CHECK(name.b && name.a >= 0x40000001);
    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        expect_of("CPUID bit", hidden[i].leaf << 8 | hidden[i].bit,
                  has_bit(hidden[i].leaf, 0, hidden[i].reg, hidden[i].bit), 0);
    for (unsigned i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct cpuid r = cpuid(empty[i], 0);

        if (cpuid(empty[i] & 0x80000000, 0).a >= empty[i]) /* beyond it, Intel's repeat another leaf */
            expect_of("CPUID leaf", empty[i], r.a | r.b | r.c | r.d, 0);
    }
}

/* Whatever processor it is asked on, and whenever. */
void cpuid_is_constant(void)
{
    static struct cpuid first[0x60];
    unsigned n = 0;

    for (unsigned round = 0; round < 200; round++) {
        n = 0;
        for (uint32_t base = 0; base <= 0x80000000; base += 0x40000000) {
            for (uint32_t leaf = base; leaf < base + 0x20; leaf++, n++) {
                struct cpuid r = cpuid(leaf, 0);

                if (!round)
                    first[n] = r;
                expect_of("CPUID", leaf, r.a, first[n].a);
                expect_of("CPUID", leaf, r.b, first[n].b);
                expect_of("CPUID", leaf, r.c, first[n].c);
                expect_of("CPUID", leaf, r.d, first[n].d);
            }
        }
    }
}
