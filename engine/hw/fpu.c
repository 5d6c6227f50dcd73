/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's vectors, x87, MXCSR and XCR0 in the processor's registers. They are
 * there from load to unload, as the hypervisor has no use for them: an exit costs
 * nothing. In between XCR0 holds all that is switched, so that what a guest has
 * turned off is saved as well.
 *
 *        pack, XRSTOR                     XSAVE                  unpack
 *   cpu.s ──────────► registers ◄──────────────────► v->xsave ──────────► cpu.s
 */
#include "x86/fpu.h"
#include "base/bytes.h"
#include "engine/hw/hw-internal.h"

#define XSTATE (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX)

static void set_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(0));
}

static uint64_t read_cr4(void)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    return cr4;
}

void hw_fpu_cpu(struct hw_cpu *cpu)
{
    uint64_t cr0, cr4 = read_cr4() | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    uint32_t basic[4], sizes[4], state[4], vendor[4];

    hw_host_cpuid(1, 0, basic);
    hw_host_cpuid(0xd, 0, state);
    hw_host_cpuid(0x80000008, 0, sizes);
    hw_host_cpuid(0, 0, vendor);
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    cr0 = (cr0 & ~(uint64_t)(X86_CR0_EM | X86_CR0_TS)) | X86_CR0_MP | X86_CR0_NE;
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
    if (basic[2] & BIT(26))
        cr4 |= X86_CR4_OSXSAVE;
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    /* AMD's restore the addresses only if an exception waits, unless they say that they always do. */
    cpu->x87_leaks = vendor[1] == 0x68747541 /* Auth */ && !(sizes[1] & BIT(2));
    cpu->xcr0 = 0;
    if (cr4 & X86_CR4_OSXSAVE) {
        cpu->xcr0 = state[0] & XSTATE;
        set_xcr0(cpu->xcr0);
    }
}

/* Has the x87's last addresses and opcode be those of this instruction, not of another VM's. */
static void forget_x87_addresses(void)
{
    static const uint32_t zero;

    __asm__ volatile("fnclex; emms; fildl %0" : : "m"(zero));
}

/* A guest whose model has no XSAVE has no XCR0 either: its CR4.OSXSAVE stays clear. */
static void load_xcr0(struct hw_vcpu *v)
{
    const struct vcpu *vcpu = v->vcpu;

    v->xcr0 = vcpu->vm->cpuid.xcr0_allowed ? vcpu->cpu.s.xcr0 : v->cpu->xcr0;
    if (v->xcr0 != v->cpu->xcr0)
        set_xcr0(v->xcr0);
}

void hw_fpu_load(struct hw_vcpu *v, bool moved)
{
    struct hw_cpu *cpu = v->cpu;
    uint64_t have = cpu->xcr0 ? cpu->xcr0 : X86_XCR0_X87 | X86_XCR0_SSE;

    /* Nobody else was here since they were saved. */
    if (v->fpu == HW_FPU_AREA && cpu->fpu_owner == v && !moved) {
        v->fpu = HW_FPU_REGISTERS;
        if (cpu->xcr0)
            load_xcr0(v);
        return;
    }
    cpu->fpu_owner = v;
    if (v->fpu == HW_FPU_STATE)
        x86_xsave_pack(&v->vcpu->cpu.s, v->xsave, have);
    if (cpu->x87_leaks)
        forget_x87_addresses();
    v->fpu = HW_FPU_REGISTERS;
    if (!cpu->xcr0) {
        __asm__ volatile("fxrstor64 %0" : : "m"(*(uint8_t(*)[512])v->xsave));
        return;
    }
    __asm__ volatile("xrstor64 %0"
                     :
                     : "m"(*(uint8_t(*)[X86_XSAVE_SIZE])v->xsave), "a"((uint32_t)have), "d"(0));
    load_xcr0(v);
}

void hw_fpu_save(struct hw_vcpu *v)
{
    const struct hw_cpu *cpu = v->cpu;

    if (v->fpu != HW_FPU_REGISTERS)
        return;
    v->fpu = HW_FPU_AREA;
    if (!cpu->xcr0) {
        __asm__ volatile("fxsave64 %0" : "=m"(*(uint8_t(*)[512])v->xsave));
        store_le64(v->xsave + X86_XSAVE_HEADER, X86_XCR0_X87 | X86_XCR0_SSE);
        return;
    }
    if (v->xcr0 != cpu->xcr0)
        set_xcr0(cpu->xcr0);
    __asm__ volatile("xsave64 %0"
                     : "+m"(*(uint8_t(*)[X86_XSAVE_SIZE])v->xsave)
                     : "a"((uint32_t)cpu->xcr0), "d"(0));
}

void hw_fpu_reload(struct hw_vcpu *v)
{
    if (v->fpu == HW_FPU_STATE) {
        hw_fpu_load(v, false);
    } else if (v->cpu->xcr0 && v->vcpu->cpu.s.xcr0 != v->xcr0) {
        set_xcr0(v->cpu->xcr0);
        load_xcr0(v);
    }
}

void hw_fpu_to_state(struct hw_vcpu *v)
{
    static const uint32_t mxcsr = X86_MXCSR_INIT;

    hw_fpu_save(v);
    if (v->fpu == HW_FPU_AREA)
        x86_xsave_unpack(&v->vcpu->cpu.s, v->xsave, XSTATE);
    v->fpu = HW_FPU_STATE;
    /* Thunks (x86/thunk.h) start from what a compiler expects; no exception of the guest's may wait. */
    if (v->cpu)
        __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}
