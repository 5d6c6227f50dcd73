/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/vmx/vmx-internal.h"

/* ---- a VMCS ---- */

static uint64_t vmcs[0x8000];

uint64_t vmcs_read(uint32_t field)
{
    assert_true(field < ARRAY_SIZE(vmcs) && !(field & 1));
    return vmcs[field];
}

void vmcs_write(uint32_t field, uint64_t value)
{
    assert_true(field < ARRAY_SIZE(vmcs) && !(field & 1));
    /* Widths (SDM 24.11.2): 16, 64, 32 bits, natural. */
    if (field >> 13 == 0)
        assert_false(value >> 16);
    if (field >> 13 == 2)
        assert_false(value >> 32);
    vmcs[field] = value;
}

uint64_t metal_phys(const void *p)
{
    return (uintptr_t)p;
}

struct fixture {
    struct vm vm;
    struct vcpu vcpu;
    struct vmx_vm x;
    struct vmx_vcpu v;
    uint8_t ram[65536];
};

static struct vmx_msrs good(void)
{
    struct vmx_msrs m = {
        .feature_control = 5,
        .basic = 0x00da040000000004ULL,
        .ept_vpid = 0x00000f0106334141ULL,
        .cr0_fixed0 = 0x80000021,
        .cr0_fixed1 = 0xffffffff,
        .cr4_fixed0 = 0x2000,
        .cr4_fixed1 = 0x3727ff,
    };

    m.word[VMX_PIN] = 0x0000007f00000016ULL;
    m.word[VMX_CPU] = 0xfff9fffe04006172ULL;
    m.word[VMX_CPU2] = 0x00003cff00000000ULL;
    m.word[VMX_EXIT] = 0x007fffff00036dfbULL;
    m.word[VMX_ENTRY] = 0x0000ffff000011fbULL;
    return m;
}

static struct fixture *fixture(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vmx_msrs msrs = good();

    assert_non_null(f);
    memset(vmcs, 0, sizeof(vmcs));
    assert_int_equal(vmx_caps_compute(&f->x.caps, &msrs, NULL), 0);
    f->vm.engine_data = &f->x.hw;
    f->vm.mem.ram[0] = (struct mem_ram){.size = sizeof(f->ram), .host = f->ram};
    f->vm.mem.ram_count = 1;
    f->x.hw.vm = &f->vm;
    f->vcpu.vm = &f->vm;
    f->vcpu.engine_data = &f->v.hw;
    f->vcpu.cpu.cpuid = &f->vm.cpuid;
    f->v.hw.vcpu = &f->vcpu;
    x86_reset(&f->vcpu.cpu, false);
    vmx_controls_write(&f->v);
    return f;
}

/* ---- capabilities ---- */

static uint64_t model_tpr;

static uint64_t cr8_read(struct x86_cpu *cpu)
{
    return model_tpr;
}

static void cr8_write(struct x86_cpu *cpu, uint64_t value)
{
    model_tpr = value;
}

static void task_priority(void **state)
{
    static const struct x86_env env = {.cr8_read = cr8_read, .cr8_write = cr8_write};
    struct fixture *f = fixture();
    uint32_t page[1024] = {0};

    f->vcpu.cpu.env = &env;
    f->v.apic = page;
    model_tpr = 5;
    vmx_tpr_put(&f->v);
    assert_int_equal(page[0x20] & 0xf0, 0x50);
    assert_int_equal(vmcs[VMCS_TPR_THRESHOLD], 5);
    page[0x20] = 0x20; /* the guest lowers it */
    vmx_tpr_get(&f->v);
    assert_int_equal(model_tpr, 2);
    assert_int_equal(vmcs[VMCS_TPR_THRESHOLD], 2);
    free(f);
}

static void accepts(void **state)
{
    struct vmx_msrs m = good();
    struct vmx_caps caps;

    assert_int_equal(vmx_caps_compute(&caps, &m, NULL), 0);
    assert_int_equal(caps.revision, 4);
    for (unsigned i = 0; i < VMX_WORDS; i++) {
        assert_int_equal(~caps.control[i] & (uint32_t)m.word[i], 0);
        assert_int_equal(caps.control[i] & ~(uint32_t)(m.word[i] >> 32), 0);
    }
    assert_true(caps.vpid && caps.ept_2m && caps.invept_single && !caps.tsc_scaling);
    assert_int_equal(caps.ept_bits, 0x1e);
    assert_false(caps.control[VMX_CPU] & (VMX_CPU_CR3_LOAD | VMX_CPU_CR3_STORE | VMX_CPU_INTERRUPT_WINDOW));
    assert_true(caps.tpr_shadow && !(caps.control[VMX_CPU] & (VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE)));
    assert_false(caps.control[VMX_EXIT] & BIT(15)); /* interrupts are not acknowledged by the exit */
}

static void refused(const struct vmx_msrs *m, const char *text)
{
    struct vmx_caps caps = {.revision = 99};
    struct error err = {0};

    assert_int_equal(vmx_caps_compute(&caps, m, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(caps.revision, 99);
}

static void names_what_lacks(void **state)
{
    struct vmx_msrs m = good();

    m.feature_control = 1;
    refused(&m, "firmware");
    m = good();
    m.word[VMX_CPU2] &= ~((uint64_t)VMX_CPU2_EPT << 32);
    refused(&m, "EPT");
    m = good();
    m.word[VMX_CPU2] &= ~((uint64_t)VMX_CPU2_UNRESTRICTED << 32);
    refused(&m, "unrestricted");
    m = good();
    m.word[VMX_PIN] &= ~((uint64_t)VMX_PIN_VIRTUAL_NMI << 32);
    refused(&m, "virtual NMIs");
    m = good();
    m.word[VMX_CPU] |= VMX_CPU_CR3_LOAD;
    refused(&m, "CR3");
    m = good();
    m.ept_vpid &= ~VMX_EPT_INVEPT;
    refused(&m, "INVEPT");
    m = good();
    m.ept_vpid &= ~VMX_EPT_WALK4;
    refused(&m, "four levels");
}

static void does_without(void **state)
{
    struct vmx_msrs m = good();
    struct vmx_caps caps;

    m.feature_control = 0; /* not locked: we do */
    m.word[VMX_CPU2] = ((uint64_t)(VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED)) << 32;
    m.ept_vpid &= ~(VMX_EPT_2M | VMX_EPT_1G);
    assert_int_equal(vmx_caps_compute(&caps, &m, NULL), 0);
    assert_false(caps.vpid || caps.ept_2m || caps.ept_1g);
    m = good();
    m.word[VMX_CPU] &= ~((uint64_t)VMX_CPU_TPR_SHADOW << 32);
    assert_int_equal(vmx_caps_compute(&caps, &m, NULL), 0);
    assert_true(!caps.tpr_shadow && caps.control[VMX_CPU] & VMX_CPU_CR8_LOAD);
    m = good();
    m.ept_vpid &= ~VMX_VPID_INVVPID_ALL; /* tags that stay */
    assert_int_equal(vmx_caps_compute(&caps, &m, NULL), 0);
    assert_false(caps.vpid);
    assert_false(caps.control[VMX_CPU2] & VMX_CPU2_VPID);
}

/* ---- state ---- */

#define OWN_FLAGS (X86_CR0_TS | X86_CR0_MP)

static void long_mode(struct x86_state *s)
{
    s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_WP | X86_CR0_MP;
    s->cr4 = X86_CR4_PAE | X86_CR4_PGE;
    s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    s->cr3 = 0x1000;
    s->seg[X86_CS] = (struct x86_segment){.selector = 8, .limit = ~0U, .attr = 0xa09b};
    s->seg[X86_SS] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    s->seg[X86_TR] =
        (struct x86_segment){.selector = 0x40, .base = 0xffff800000001000, .limit = 0x67, .attr = 0x8b};
    s->seg[X86_LDTR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
}

static void round_trip(struct fixture *f)
{
    struct x86_state *s = &f->vcpu.cpu.s, before = *s;

    vmx_state_put(&f->v, HW_ALL);
    vmx_state_enter(&f->v);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        s->seg[i].selector = 0xee;
        s->seg[i].limit = 0xee;
        s->seg[i].base = s->seg[i].attr = 0xee;
    }
    s->cr3 = s->pat = s->rip = s->rflags = s->gpr[X86_RSP] = 0xee;
    s->cr0 ^= OWN_FLAGS;
    s->gdtr.base = s->idtr.base = 0xee;
    s->gdtr.limit = s->idtr.limit = 0xee;
    s->shadow = 0xee;
    s->nmi_masked ^= true;
    s->sysenter_esp = s->sysenter_eip = 0xee;
    vmx_state_get(&f->v, HW_ALL);
    vmx_state_exit(&f->v);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        assert_int_equal(s->seg[i].selector, before.seg[i].selector);
        assert_int_equal(s->seg[i].base, before.seg[i].base);
        assert_int_equal(s->seg[i].limit, before.seg[i].limit);
        if (!(before.seg[i].attr & X86_SEG_UNUSABLE) && i != X86_TR)
            assert_int_equal(s->seg[i].attr, before.seg[i].attr);
        else if (i != X86_TR)
            assert_true(s->seg[i].attr & X86_SEG_UNUSABLE);
        s->seg[i].attr = before.seg[i].attr;
    }
    assert_memory_equal(s, &before, sizeof(before));
}

static void keeps_state(void **state)
{
    struct fixture *f = fixture();
    struct x86_state *s = &f->vcpu.cpu.s;

    s->sysenter_cs = 8;
    s->sysenter_esp = 0xffff800000000010;
    s->sysenter_eip = 0xffff800000000020;
    round_trip(f);
    assert_null(strstr(vmx_state_complaint(s), "CS"));
    long_mode(s);
    s->cr0 |= X86_CR0_TS;
    s->shadow = X86_SHADOW_SS;
    s->nmi_masked = true;
    round_trip(f);
    s->shadow = X86_SHADOW_STI;
    s->rflags |= X86_FL_IF;
    round_trip(f);
    free(f);
}

static void control_registers(void **state)
{
    struct fixture *f = fixture();
    struct x86_state *s = &f->vcpu.cpu.s;

    vmx_state_put(&f->v, HW_ALL);
    assert_int_equal(vmcs[VMCS_GUEST_CR0], X86_CR0_ET | X86_CR0_NE); /* caches on, after a reset too */
    assert_int_equal(vmcs[VMCS_CR0_SHADOW], s->cr0);
    assert_int_equal(vmcs[VMCS_GUEST_CR4], VMX_CR4_VMXE | X86_CR4_MCE);
    assert_int_equal(vmcs[VMCS_CR4_SHADOW], 0);
    assert_false(vmcs[VMCS_ENTRY_CONTROLS] & VMX_ENTRY_LONG_MODE);
    f->v.hw.flush = false;
    long_mode(s);
    vmx_state_put(&f->v, HW_ALL);
    assert_true(vmcs[VMCS_ENTRY_CONTROLS] & VMX_ENTRY_LONG_MODE);
    assert_true(f->v.hw.flush);
    f->v.hw.flush = false;
    vmx_state_put(&f->v, HW_ALL);
    assert_false(f->v.hw.flush); /* nothing new */
    s->cr3 = 0x2000;
    vmx_state_put(&f->v, HW_CODE);
    assert_true(f->v.hw.flush);
    free(f);
}

static void pae_entries(void **state)
{
    struct fixture *f = fixture();
    struct x86_state *s = &f->vcpu.cpu.s;
    uint64_t entries[4] = {0x3001, 0x4001, 0, 0x5001};

    memcpy(f->ram + 0x1020, entries, sizeof(entries));
    s->cr0 |= X86_CR0_PE | X86_CR0_PG;
    s->cr4 = X86_CR4_PAE;
    s->cr3 = 0x1020;
    vmx_state_put(&f->v, HW_ALL);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(vmcs[VMCS_GUEST_PDPTE + 2 * i], entries[i]);
    /* The processor has its own; memory counts again when CR3 is loaded. */
    memset(f->ram + 0x1020, 0xff, 32);
    vmx_state_put(&f->v, HW_ALL);
    assert_int_equal(vmcs[VMCS_GUEST_PDPTE], entries[0]);
    free(f);
}

static void odd_segments(void **state)
{
    struct fixture *f = fixture();
    struct x86_state *s = &f->vcpu.cpu.s;

    s->seg[X86_TR] = (struct x86_segment){.attr = X86_SEG_UNUSABLE};
    s->seg[X86_DS].attr = 0x92;                                        /* not accessed */
    s->seg[X86_ES].attr = 0x13;                                        /* not present */
    s->seg[X86_FS] = (struct x86_segment){.limit = ~0U, .attr = 0x93}; /* no G */
    s->seg[X86_GS] = (struct x86_segment){.limit = 0x1234, .attr = 0x8093};
    vmx_state_put(&f->v, HW_SEGMENTS);
    assert_int_equal(vmcs[VMCS_GUEST_RIGHTS + 2 * X86_TR], 0x8b);
    assert_int_equal(vmcs[VMCS_GUEST_RIGHTS + 2 * X86_DS], 0x93);
    assert_true(vmcs[VMCS_GUEST_RIGHTS + 2 * X86_ES] & X86_SEG_UNUSABLE);
    assert_int_equal(vmcs[VMCS_GUEST_RIGHTS + 2 * X86_FS], 0x8093);
    assert_int_equal(vmcs[VMCS_GUEST_RIGHTS + 2 * X86_GS], 0x93);
    free(f);
}

static void shadows(void **state)
{
    struct fixture *f = fixture();
    struct x86_state *s = &f->vcpu.cpu.s;

    s->shadow = X86_SHADOW_STI | X86_SHADOW_SS; /* both at once an entry refuses */
    vmx_state_enter(&f->v);
    assert_int_equal(vmcs[VMCS_GUEST_BLOCKING], VMX_BLOCKED_SS);
    s->shadow = X86_SHADOW_STI;
    s->rflags &= ~(uint64_t)X86_FL_IF;
    vmx_state_enter(&f->v);
    assert_int_equal(vmcs[VMCS_GUEST_BLOCKING], 0);
    s->shadow = X86_SHADOW_SS;
    s->rflags |= X86_FL_TF;
    vmx_state_enter(&f->v);
    assert_int_equal(vmcs[VMCS_GUEST_PENDING_DEBUG], X86_DR6_BS);
    s->shadow = 0;
    s->nmi_masked = true;
    vmx_state_enter(&f->v);
    assert_int_equal(vmcs[VMCS_GUEST_BLOCKING], VMX_BLOCKED_NMI);
    assert_int_equal(vmcs[VMCS_GUEST_PENDING_DEBUG], 0);
    f->v.event = VMX_EVENT_VALID | VMX_EVENT_NMI | 2; /* an NMI that goes in is not blocked by itself */
    vmx_state_enter(&f->v);
    assert_int_equal(vmcs[VMCS_GUEST_BLOCKING], 0);
    free(f);
}

/* ---- bitmaps and complaints ---- */

static bool exits(const uint8_t *bitmap, uint32_t msr, bool write)
{
    unsigned at = (write ? 2048 : 0) + (msr >= 0xc0000000 ? 1024 : 0) + (msr & 0x1fff) / 8;

    return bitmap[at] >> (msr & 7) & 1;
}

static void msr_bitmap(void **state)
{
    struct fixture *f = fixture();
    uint8_t bitmap[4096];

    vmx_msr_bitmap(bitmap, &f->vm.cpuid, &f->x.caps);
    assert_true(exits(bitmap, X86_MSR_LSTAR, false)); /* a guest without long mode */
    for (unsigned i = 0; i < ARRAY_SIZE(f->vm.cpuid.features); i++)
        f->vm.cpuid.features[i] = ~0ULL;
    vmx_msr_bitmap(bitmap, &f->vm.cpuid, &f->x.caps);
    assert_false(exits(bitmap, X86_MSR_FS_BASE, true) || exits(bitmap, X86_MSR_KERNEL_GS_BASE, true) ||
                 exits(bitmap, X86_MSR_LSTAR, false) || exits(bitmap, X86_MSR_TSC, false));
    assert_true(exits(bitmap, X86_MSR_LSTAR, true) && exits(bitmap, X86_MSR_EFER, true) &&
                exits(bitmap, X86_MSR_TSC, true) && exits(bitmap, X86_MSR_SPEC_CTRL, false) &&
                exits(bitmap, X86_MSR_APIC_BASE, false) && exits(bitmap, X86_MSR_SYSENTER_CS, true));
    for (uint32_t msr = X86_MSR_X2APIC_FIRST; msr <= X86_MSR_X2APIC_LAST; msr++)
        assert_true(exits(bitmap, msr, false) && exits(bitmap, msr, true));
    for (uint32_t msr = 0x480; msr < 0x4a0; msr++)
        assert_true(exits(bitmap, msr, false));
    free(f);
}

static void complains(void **state)
{
    struct fixture *f = fixture();
    struct x86_state *s = &f->vcpu.cpu.s;

    assert_string_equal(vmx_state_complaint(s), "a check that is not known here");
    s->rip = 1ULL << 33;
    assert_non_null(strstr(vmx_state_complaint(s), "RIP"));
    s->rip = 0;
    s->seg[X86_CS].attr = 0x12;
    assert_non_null(strstr(vmx_state_complaint(s), "CS"));
    s->seg[X86_CS].attr = 0x9b;
    s->pat = 2;
    assert_non_null(strstr(vmx_state_complaint(s), "PAT"));
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),      cmocka_unit_test(names_what_lacks),  cmocka_unit_test(does_without),
        cmocka_unit_test(keeps_state),  cmocka_unit_test(control_registers), cmocka_unit_test(pae_entries),
        cmocka_unit_test(odd_segments), cmocka_unit_test(shadows),           cmocka_unit_test(msr_bitmap),
        cmocka_unit_test(complains),    cmocka_unit_test(task_priority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
