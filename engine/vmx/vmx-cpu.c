/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A processor's way into VMX operation, and the parts of a VMCS that are the processor's and not a vCPU's. */
#include "base/bytes.h"
#include "engine/vmx/vmx-internal.h"
#include "engine/vmx/vmx.h"

#define PAGE     4096U
#define MAX_VPID 0xffffU

#define REGISTER_ACCESS(name)                                                                                \
    static uint64_t name##_get(void)                                                                         \
    {                                                                                                        \
        uint64_t value;                                                                                      \
                                                                                                             \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                               \
        return value;                                                                                        \
    }                                                                                                        \
    __attribute__((unused)) static inline void name##_set(uint64_t value)                                    \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                                      \
    }

REGISTER_ACCESS(cr0)
REGISTER_ACCESS(cr3)
REGISTER_ACCESS(cr4)

bool vmx_present(void)
{
    uint32_t regs[4];

    hw_host_cpuid(1, 0, regs);
    return regs[2] & BIT(5);
}

static void read_msrs(struct vmx_msrs *m)
{
    uint32_t first;

    *m = (struct vmx_msrs){.feature_control = hw_rdmsr(VMX_MSR_FEATURE_CONTROL),
                           .basic = hw_rdmsr(VMX_MSR_BASIC),
                           .misc = hw_rdmsr(VMX_MSR_MISC),
                           .cr0_fixed0 = hw_rdmsr(VMX_MSR_CR0_FIXED0),
                           .cr0_fixed1 = hw_rdmsr(VMX_MSR_CR0_FIXED1),
                           .cr4_fixed0 = hw_rdmsr(VMX_MSR_CR4_FIXED0),
                           .cr4_fixed1 = hw_rdmsr(VMX_MSR_CR4_FIXED1)};
    first = m->basic & VMX_BASIC_TRUE ? VMX_MSR_TRUE_PINBASED : VMX_MSR_PINBASED;
    m->word[VMX_PIN] = hw_rdmsr(first);
    m->word[VMX_CPU] = hw_rdmsr(first + 1);
    m->word[VMX_EXIT] = hw_rdmsr(first + 2);
    m->word[VMX_ENTRY] = hw_rdmsr(first + 3);
    /* These two exist only where a control says so. */
    if (m->word[VMX_CPU] >> 32 & VMX_CPU_SECONDARY)
        m->word[VMX_CPU2] = hw_rdmsr(VMX_MSR_PROCBASED2);
    if (m->word[VMX_CPU2] >> 32 & (VMX_CPU2_EPT | VMX_CPU2_VPID))
        m->ept_vpid = hw_rdmsr(VMX_MSR_EPT_VPID);
}

static int enter_operation(const struct vmx_caps *caps, void *region, struct error *err)
{
    uint64_t cr0 = (cr0_get() | caps->cr0_must) & caps->cr0_may;
    uint64_t cr4 = cr4_get() | VMX_CR4_VMXE | caps->cr4_must;

    if (cr4 & ~caps->cr4_may)
        return error_set(err, ENOTSUP, "VT-x does not work with the hypervisor's CR4 (0x%llx)",
                         (unsigned long long)cr4);
    if (!(hw_rdmsr(VMX_MSR_FEATURE_CONTROL) & VMX_FEATURE_LOCKED))
        hw_wrmsr(VMX_MSR_FEATURE_CONTROL,
                 hw_rdmsr(VMX_MSR_FEATURE_CONTROL) | VMX_FEATURE_LOCKED | VMX_FEATURE_OUTSIDE_SMX);
    cr0_set(cr0);
    cr4_set(cr4);
    *(uint32_t *)region = caps->revision;
    if (!vmx_on(metal_phys(region)))
        return error_set(err, EIO, "this processor refuses VMXON");
    return 0;
}

static uint64_t spec_ctrl_bits(void)
{
    uint32_t seven[4], two[4];

    hw_host_cpuid(7, 0, seven);
    hw_host_cpuid(7, 2, two);
    return (seven[3] & BIT(26) ? 1 : 0) | (seven[3] & BIT(27) ? 2 : 0) | (seven[3] & BIT(31) ? 4 : 0) |
           (seven[0] >= 2 && two[3] & BIT(4) ? 0x400 : 0);
}

static int turn_on(struct vmx_cpu *cpu, struct metal_cpu *metal, struct plat *plat, struct error *err)
{
    struct vmx_msrs msrs;
    int r;

    read_msrs(&msrs);
    r = vmx_caps_compute(&cpu->caps, &msrs, err);
    if (r < 0)
        return r;
    cpu->hw.tag_max = MAX_VPID;
    r = hw_cpu_init(&cpu->hw, metal, plat, err);
    return r < 0 ? r : enter_operation(&cpu->caps, cpu->region, err);
}

int vmx_cpu_on(struct metal_cpu *metal, struct plat *plat, struct error *err)
{
    struct vmx_cpu *cpu;
    int r;

    if (!vmx_present())
        return error_set(err, ENOTSUP, "this processor has no VT-x");
    cpu = plat->ops->alloc(plat, sizeof(*cpu));
    if (cpu)
        cpu->region = plat->ops->alloc(plat, PAGE);
    r = cpu && cpu->region ? turn_on(cpu, metal, plat, err)
                           : error_set(err, ENOMEM, "no memory for VT-x on processor %u", metal->index);
    if (r < 0) {
        if (cpu)
            plat->ops->free(plat, cpu->region);
        plat->ops->free(plat, cpu);
        return r;
    }
    cpu->spec_ctrl = spec_ctrl_bits();
    if (cpu->hw.speculation.spec_ctrl)
        hw_wrmsr(X86_MSR_SPEC_CTRL, cpu->hw.speculation.spec_ctrl);
    hw_wrmsr(X86_MSR_STAR, 0);
    hw_wrmsr(X86_MSR_LSTAR, 0);
    hw_wrmsr(X86_MSR_CSTAR, 0);
    hw_wrmsr(X86_MSR_SFMASK, 0);
    if (cpu->caps.control[VMX_CPU2] & VMX_CPU2_RDTSCP)
        hw_wrmsr(X86_MSR_TSC_AUX, 0);
    /* What an earlier kernel left behind. */
    vmx_invept(0);
    if (cpu->caps.vpid)
        vmx_invvpid_all();
    metal->engine_data = &cpu->hw;
    return 0;
}

void vmx_cpu_off(struct metal_cpu *metal)
{
    if (!metal->engine_data)
        return;
    vmx_off();
    cr4_set(cr4_get() & ~(uint64_t)VMX_CR4_VMXE);
    metal->engine_data = NULL;
}

/* ---- the host's part of a VMCS ---- */

struct table {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

#define SELECTOR(name)                                                                                       \
    ({                                                                                                       \
        uint16_t value_;                                                                                     \
        __asm__("mov %%" #name ", %0" : "=rm"(value_));                                                      \
        value_;                                                                                              \
    })

static uint64_t tss_base(uint64_t gdt, uint16_t selector)
{
    const uint8_t *d = (const uint8_t *)(uintptr_t)(gdt + (selector & ~7U));

    return load_le16(d + 2) | (uint64_t)d[4] << 16 | (uint64_t)d[7] << 24 | (uint64_t)load_le32(d + 8) << 32;
}

void vmx_host_write(void)
{
    struct table gdt, idt;
    uint16_t tr;

    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("sidt %0" : "=m"(idt));
    __asm__ volatile("str %0" : "=rm"(tr));
    vmcs_write(VMCS_HOST_CR0, cr0_get());
    vmcs_write(VMCS_HOST_CR3, cr3_get());
    vmcs_write(VMCS_HOST_CR4, cr4_get());
    vmcs_write(VMCS_HOST_CS, SELECTOR(cs) & ~7U);
    vmcs_write(VMCS_HOST_SS, SELECTOR(ss) & ~7U);
    vmcs_write(VMCS_HOST_DS, SELECTOR(ds) & ~7U);
    vmcs_write(VMCS_HOST_ES, SELECTOR(es) & ~7U);
    vmcs_write(VMCS_HOST_FS, SELECTOR(fs) & ~7U);
    vmcs_write(VMCS_HOST_GS, SELECTOR(gs) & ~7U);
    vmcs_write(VMCS_HOST_TR, tr);
    vmcs_write(VMCS_HOST_FS_BASE, hw_rdmsr(X86_MSR_FS_BASE));
    vmcs_write(VMCS_HOST_GS_BASE, hw_rdmsr(X86_MSR_GS_BASE));
    vmcs_write(VMCS_HOST_TR_BASE, tss_base(gdt.base, tr));
    vmcs_write(VMCS_HOST_GDTR_BASE, gdt.base);
    vmcs_write(VMCS_HOST_IDTR_BASE, idt.base);
    vmcs_write(VMCS_HOST_PAT, hw_rdmsr(X86_MSR_PAT));
    vmcs_write(VMCS_HOST_EFER, hw_rdmsr(X86_MSR_EFER));
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
}
