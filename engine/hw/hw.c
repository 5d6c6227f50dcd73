/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and ending; the state's way out and in; the guest's TSC.
 *
 * own_tsc: the guest's TSC is the processor's, moved, and scaled for a VM that was
 * saved on a machine of another rate, where the processor can. It equals
 * clock_tsc() + cpu.s.tsc_offset, as under every engine, so that a saved state needs
 * nothing converted: when the VM's clock starts, the distance between the processor's
 * TSC and the clock's is taken once for all vCPUs, which keeps them in step.
 */
#include "core/device.h"
#include "core/vcpu-env.h"
#include "engine/hw/hw-internal.h"
#include "x86/fpu.h"
#include "x86/thunk.h"

#define THUNK_CODE KIB(16) /* when it is full, all are made anew: vector instructions on MMIO are rare */
#define RATIO_ONE  BIT64(32)
#define TSC_READS  5U

void hw_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    uint32_t base = leaf & 0xc0000000U;

    __asm__ volatile("cpuid"
                     : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                     : "a"(base), "c"(0));
    if (regs[0] < leaf || (regs[0] & 0xc0000000U) != base) {
        regs[0] = regs[1] = regs[2] = regs[3] = 0;
        return;
    }
    __asm__ volatile("cpuid"
                     : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                     : "a"(leaf), "c"(subleaf));
}

/* ---- a processor ---- */

static bool host_has_ibpb(void)
{
    uint32_t seven[4], sizes[4];

    hw_host_cpuid(7, 0, seven);
    hw_host_cpuid(0x80000008, 0, sizes);
    return seven[3] & BIT(26) || sizes[1] & BIT(12);
}

int hw_cpu_init(struct hw_cpu *cpu, struct metal_cpu *metal, struct plat *plat, struct error *err)
{
    struct hw_facts facts;
    const void *exec;
    void *write = metal_code_alloc(THUNK_CODE, &exec);

    cpu->metal = metal;
    cpu->tlb = plat->ops->alloc(plat, sizeof(*cpu->tlb));
    cpu->thunks = plat->ops->alloc(plat, sizeof(*cpu->thunks));
    if (!write || !cpu->tlb || !cpu->thunks) {
        if (write)
            metal_code_free(write, THUNK_CODE);
        plat->ops->free(plat, cpu->tlb);
        plat->ops->free(plat, cpu->thunks);
        return error_set(err, ENOMEM, "processor %u: no memory to run guests", metal->index);
    }
    x86_thunks_init(cpu->thunks, write, exec, THUNK_CODE);
    cpu->ibpb = host_has_ibpb();
    hw_facts_read(&facts);
    hw_speculation_choose(&cpu->speculation, &facts);
    cpu->enter_flags =
        (cpu->speculation.verw ? HW_ENTER_VERW : 0) | (cpu->speculation.fill_rsb ? HW_ENTER_RSB : 0);
    cpu->tag_next = 1;
    cpu->tag_round = 1;
    hw_fpu_cpu(cpu);
    return 0;
}

/* ---- a VM ---- */

int hw_vm_init(struct hw_vm *h, struct vm *vm, const struct hw_format *format, struct error *err)
{
    struct plat *plat = vm->plat;

    h->vm = vm;
    h->format = format;
    h->id = hw_rdtsc();
    h->tsc_ratio = RATIO_ONE;
    vm->clock.tsc_khz = metal_tsc_khz();
    plat->ops->lock_init(plat, &h->alone);
    return hw_pages_init(h) < 0 ? error_set(err, ENOMEM, "no memory for the VM's page tables") : 0;
}

void hw_vm_finish(struct hw_vm *h)
{
    hw_pages_finish(h);
}

/* ---- a vCPU ---- */

int hw_vcpu_init(struct hw_vcpu *v, struct vcpu *vcpu, const struct hw_ops *ops, struct error *err)
{
    v->vcpu = vcpu;
    v->ops = ops;
    v->known = HW_ALL;
    vcpu->cpu.env = &vcpu_env;
    v->xsave = vm_alloc(vcpu->vm, X86_XSAVE_SIZE);
    return v->xsave ? 0 : error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
}

void hw_vcpu_finish(struct hw_vcpu *v)
{
    vm_free(v->vcpu->vm, v->xsave);
    v->xsave = NULL;
}

/* All but vectors and x87 is there since hw_vcpu_run() returned. */
int hw_state_get(struct vcpu *vcpu)
{
    hw_fpu_to_state(hw_vcpu_of(vcpu));
    return 0;
}

int hw_state_put(struct vcpu *vcpu)
{
    struct hw_vcpu *v = hw_vcpu_of(vcpu);

    x86_state_changed(&vcpu->cpu);
    v->fpu = HW_FPU_STATE;
    v->flush = true;
    v->irq = true;
    return 0;
}

/* ---- the TSC ---- */

uint64_t hw_scaled_tsc(const struct hw_vm *h)
{
    uint64_t tsc = hw_rdtsc();

    return h->tsc_ratio == RATIO_ONE ? tsc : (uint64_t)((unsigned __int128)tsc * h->tsc_ratio >> 32);
}

void hw_tsc_moved(struct hw_vcpu *v)
{
    v->tsc_offset = hw_vm_of(v->vcpu->vm)->tsc_base + (uint64_t)v->vcpu->cpu.s.tsc_offset;
    v->changed |= HW_TSC;
}

/*
 * Two clocks are never read at once, and what comes between may take long: an NMI, firmware, a machine that
 * is itself a guest's. So the two reads count that lie closest together; and what is left makes the guest's
 * TSC go ahead of the VM's clock, never behind it: a paravirtual clock whose time stamp its reader's TSC has
 * not reached yet is off by centuries.
 */
static uint64_t tsc_base(struct vm *vm, const struct hw_vm *h)
{
    uint64_t best = ~0ULL, base = 0;

    for (unsigned i = 0; i < TSC_READS; i++) {
        uint64_t before = hw_scaled_tsc(h), clock = clock_tsc(vm), took = hw_scaled_tsc(h) - before;

        if (took < best) {
            best = took;
            base = clock - before;
        }
    }
    return base;
}

void hw_clock_changed(struct vm *vm, bool running)
{
    struct hw_vm *h = hw_vm_of(vm);

    if (running && h)
        h->tsc_base = tsc_base(vm, h);
}

int hw_tsc_rate(struct vm *vm, uint32_t khz)
{
    struct hw_vm *h = hw_vm_of(vm);

    if (khz != metal_tsc_khz() && !h->tsc_scales)
        return -ENOTSUP;
    h->tsc_ratio = khz == metal_tsc_khz() ? RATIO_ONE : ((uint64_t)khz << 32) / metal_tsc_khz();
    for (unsigned i = 0; i < vm->cpuid.count; i++) {
        struct x86_cpuid_leaf *leaf = &vm->cpuid.leaf[i];

        if (leaf->leaf == 0x15) /* a multiple of the crystal, which counts eax of it */
            leaf->ebx = khz;
        else if (leaf->leaf == 0x16)
            leaf->eax = leaf->ebx = khz / 1000;
        else if (leaf->leaf == 0x40000010)
            leaf->eax = khz;
    }
    return 0;
}

/* ---- statistics ---- */

void hw_counters(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque)
{
    static const char *const name[HW_N_COUNT] = {
        [HW_N_EXITS] = "all",         [HW_N_CPUID] = "cpuid",    [HW_N_MSR] = "msr",
        [HW_N_PIO] = "port",          [HW_N_MMIO] = "mmio",      [HW_N_STEPS] = "interpreted",
        [HW_N_PAGES] = "page",        [HW_N_HALTS] = "halt",     [HW_N_INTERRUPTS] = "interrupt",
        [HW_N_EXTERNAL] = "external", [HW_N_WINDOWS] = "window", [HW_N_PAUSES] = "pause",
    };
    const struct hw_vcpu *v = hw_vcpu_of(vcpu);

    for (unsigned i = 0; i < HW_N_COUNT; i++)
        tell(opaque, "exits", name[i], v->count[i]);
    if (of_vm)
        tell(opaque, "memory", "tables", hw_vm_of(vcpu->vm)->tables * MEM_PAGE);
}
