/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control block of AMD-V: a state that goes in comes out, and what the processor needs otherwise stays
 * hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/svm/svm-internal.h"
#include "tests/unit/fake-plat.h"
#include "tests/unit/hw/fake-metal.h"

struct fixture {
    struct fake_plat fake;
    struct vm vm;
    uint64_t random;
    struct svm_cpu cpu;
};

static uint64_t random64(struct fixture *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vm_config config = {.name = "test", .ram_size = MIB(1), .vcpus = 1, .ram = (void *)0x10000000};
    struct x86_cpuid_config cpuid = {
        .level = X86_CPU_V2, .vcpus = 1, .tsc_khz = 1000000, .software_engine = true};

    fake_metal = (struct fake_metal){.piece = MEM_PAGE};
    fake_plat_init(&f->fake);
    f->random = 88172645463325252ULL;
    fake_metal.cpu.engine_data = &f->cpu;
    assert_int_equal(vm_init(&f->vm, &f->fake.plat, &config, NULL), 0);
    assert_int_equal(x86_cpuid_build(&f->vm.cpuid, &cpuid, NULL), 0);
    assert_int_equal(vm_engine_init(&f->vm, &svm_engine, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vm_finish(&f->vm);
    assert_int_equal(f->fake.allocations, 0);
    free(f);
    return 0;
}

static void random_segment(struct fixture *f, struct x86_segment *s)
{
    *s = (struct x86_segment){
        .base = random64(f),
        .limit = (uint32_t)random64(f),
        .attr = (uint32_t)random64(f) & 0xf0ff,
        .selector = (uint16_t)random64(f),
    };
    if (!(s->attr & X86_SEG_P))
        *s = (struct x86_segment){.selector = s->selector, .attr = X86_SEG_UNUSABLE};
}

static void random_state(struct fixture *f, struct x86_state *s)
{
    static const uint32_t modes[] = {0, X86_CR0_PE, X86_CR0_PE | X86_CR0_TS | X86_CR0_WP};
    uint64_t *direct[] = {&s->cr2,         &s->cr3,          &s->pat,         &s->star,
                          &s->lstar,       &s->cstar,        &s->sfmask,      &s->kernel_gs_base,
                          &s->sysenter_cs, &s->sysenter_esp, &s->sysenter_eip};

    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        random_segment(f, &s->seg[i]);
    s->seg[X86_TR].attr = X86_SEG_P | 0xb; /* a processor always has one, and it is busy */
    s->gdtr = (struct x86_table_reg){random64(f), (uint16_t)random64(f)};
    s->idtr = (struct x86_table_reg){random64(f), (uint16_t)random64(f)};
    for (unsigned i = 0; i < ARRAY_SIZE(direct); i++)
        *direct[i] = random64(f);
    s->cr0 = X86_CR0_ET | modes[random64(f) % 3] | (random64(f) & (X86_CR0_CD | X86_CR0_NW));
    s->cr4 = random64(f) & (X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE);
    s->efer = random64(f) & (X86_EFER_SCE | X86_EFER_NXE);
    s->dr[6] = X86_DR6_FIXED | (random64(f) & 15);
    s->dr[7] = X86_DR7_FIXED;
    s->rflags = X86_FL_FIXED;
    /* Privilege lies in SS. */
    if (!(s->cr0 & X86_CR0_PE))
        s->seg[X86_SS].attr &= ~X86_SEG_DPL;
}

static void assert_segment(const struct x86_segment *a, const struct x86_segment *b)
{
    assert_int_equal(a->base, b->base);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->attr, b->attr);
    assert_int_equal(a->selector, b->selector);
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct vcpu *vcpu = f->vm.vcpu[0];
    struct svm_vcpu *v = vcpu->engine_data;
    struct x86_state *s = &vcpu->cpu.s, *before = malloc(sizeof(*before));

    for (unsigned n = 0; n < 2000; n++) {
        random_state(f, s);
        *before = *s;
        v->hw.changed = HW_ALL | HW_TSC;
        v->hw.tsc_offset = n;
        svm_flush_state(v);
        assert_int_equal(v->hw.changed, 0);
        assert_int_equal(v->vmcb->tsc_offset, n);
        memset(s->seg, 0x55, sizeof(s->seg));
        s->gdtr.base = s->idtr.limit = 0x55;
        s->cr2 = s->cr3 = s->star = s->sysenter_eip = s->kernel_gs_base = s->dr[6] = 0x5555;
        s->cr0 ^= X86_CR0_TS | X86_CR0_PE;
        v->hw.known = 0;
        hw_need(&v->hw, HW_ALL);
        for (unsigned i = 0; i < X86_SEG_COUNT; i++)
            assert_segment(&s->seg[i], &before->seg[i]);
        assert_int_equal(s->gdtr.base, before->gdtr.base);
        assert_int_equal(s->gdtr.limit, before->gdtr.limit);
        assert_int_equal(s->idtr.base, before->idtr.base);
        assert_int_equal(s->idtr.limit, before->idtr.limit);
        assert_memory_equal(&s->cr0, &before->cr0,
                            offsetof(struct x86_state, tsc_aux) - offsetof(struct x86_state, cr0));
    }
    free(before);
}

/* What VMRUN insists on, and the host's share, are there whatever the guest has. */
static void test_hidden(void **state)
{
    struct fixture *f = *state;
    struct svm_vcpu *v = f->vm.vcpu[0]->engine_data;
    struct x86_state *s = &f->vm.vcpu[0]->cpu.s;
    const struct vmcb *c = v->vmcb;

    random_state(f, s);
    s->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
    s->cr4 = 0;
    v->hw.changed = HW_ALL;
    svm_flush_state(v);
    assert_int_equal(c->cr0, X86_CR0_ET);
    assert_int_equal(c->cr4, X86_CR4_MCE);
    assert_true(c->efer & X86_EFER_SVME);
    assert_int_equal(c->cr_read, BIT(0) | BIT(4));
    assert_int_equal(c->cr_write, BIT(0) | BIT(4) | BIT(8));
    s->cr0 = X86_CR0_PE | X86_CR0_ET;
    s->cr4 = X86_CR4_MCE;
    v->hw.changed = HW_CONTROL;
    svm_flush_state(v);
    assert_int_equal(c->cr_read, 0);
    assert_int_equal(c->cr_write, BIT(4) | BIT(8));
    assert_true(c->intercept[1] & SVM_I_VMRUN);
    assert_int_equal(c->nested, 1);
    assert_int_equal(c->nested_cr3, metal_phys(hw_vm_of(&f->vm)->root));
}

/* SYSRET leaves SS as it was, and the privilege elsewhere. */
static void test_privilege(void **state)
{
    struct fixture *f = *state;
    struct svm_vcpu *v = f->vm.vcpu[0]->engine_data;
    struct x86_state *s = &f->vm.vcpu[0]->cpu.s;

    v->vmcb->ss = (struct vmcb_segment){.selector = 0x2b, .attr = 0xc93, .limit = ~0U};
    v->vmcb->cpl = 3;
    v->hw.known = 0;
    hw_need(&v->hw, HW_SEGMENTS);
    assert_int_equal(s->seg[X86_SS].attr, 0xc0f3);
    s->cr0 = X86_CR0_PE | X86_CR0_ET;
    s->rflags = X86_FL_FIXED;
    v->vmcb->cpl = 0;
    v->hw.changed = HW_SEGMENTS;
    svm_flush_state(v);
    assert_int_equal(v->vmcb->cpl, 3);
    s->seg[X86_SS].attr = 0xc093;
    s->rflags |= X86_FL_VM;
    v->hw.changed = HW_SEGMENTS;
    svm_flush_state(v);
    assert_int_equal(v->vmcb->cpl, 3);
}

/* All ports exit; of the MSRs those that the block holds do not. */
static void test_maps(void **state)
{
    struct fixture *f = *state;
    const uint8_t *maps = svm_vm_of(&f->vm)->maps, *msrs = maps + 3 * 4096;
    unsigned open = 0;

    for (unsigned i = 0; i < 3 * 4096; i++)
        assert_int_equal(maps[i], 0xff);
    for (unsigned i = 0; i < 2 * 4096; i++)
        open += (unsigned)__builtin_popcount((uint8_t)~msrs[i]);
    assert_int_equal(open, 2 * 10);
    assert_int_equal(msrs[0x800 + 0x81 / 4] >> (0x81 % 4 * 2) & 3, 0); /* STAR */
    assert_int_equal(msrs[0x800 + 0x80 / 4] >> (0x80 % 4 * 2) & 3, 3); /* EFER */
    assert_int_equal(msrs[0x174 / 4] >> (0x174 % 4 * 2) & 3, 0);
    assert_int_equal(msrs[0x10 / 4] & 3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_privilege, setup, teardown),
        cmocka_unit_test_setup_teardown(test_maps, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
