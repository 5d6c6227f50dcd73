/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vcpu-env.h"

#include "core/vm.h"

/* Dirty tracking wants to hear of a page's stores until it has heard of one. */
static bool is_tracked(const struct memory *mem, const struct mem_ram *r, uint64_t gpa)
{
    uint64_t p = (r->offset + (gpa - r->gpa)) / MEM_PAGE;

    return mem->dirty && !(__atomic_load_n(&mem->dirty[p / 64], __ATOMIC_RELAXED) & BIT64(p % 64));
}

static struct x86_page env_page(struct x86_cpu *cpu, uint64_t gpa)
{
    struct vm *vm = vcpu_of(cpu)->vm;
    const struct mem_ram *r = mem_find(vm, gpa);

    if (!r)
        return (struct x86_page){.host = NULL};
    return (struct x86_page){
        .host = r->host + (gpa - r->gpa),
        .rom = r->rom,
        .write_fast = !r->rom && !is_tracked(&vm->mem, r, gpa) &&
                      (!vm->engine->page_write_fast || vm->engine->page_write_fast(vm, gpa)),
    };
}

static void env_stored(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    mem_written(vcpu_of(cpu)->vm, gpa, size);
}

static uint64_t env_mmio_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    return vcpu_mmio_read(vcpu_of(cpu), gpa, size);
}

static void env_mmio_write(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
    vcpu_mmio_write(vcpu_of(cpu), gpa, value, size);
}

static uint64_t env_pio_read(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    return vcpu_pio_read(vcpu_of(cpu), port, size);
}

static void env_pio_write(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
    vcpu_pio_write(vcpu_of(cpu), port, value, size);
}

static uint64_t env_tsc(struct x86_cpu *cpu)
{
    return clock_tsc(vcpu_of(cpu)->vm);
}

static uint64_t env_random(struct x86_cpu *cpu)
{
    struct vm *vm = vcpu_of(cpu)->vm;
    uint64_t value;

    /* Counted, it is one of the machine's inputs in order; else several vCPUs may ask at once. */
    if (vm->icount.on)
        vm_lock(vm);
    vm_random(vm, &value, sizeof(value));
    if (vm->icount.on)
        vm_unlock(vm);
    return value;
}

static bool env_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    return vcpu_msr_read(vcpu_of(cpu), msr, value);
}

static bool env_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    return vcpu_msr_write(vcpu_of(cpu), msr, value);
}

static uint64_t env_cr8_read(struct x86_cpu *cpu)
{
    struct vcpu *vcpu = vcpu_of(cpu);
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;
    uint64_t value;

    if (!lapic) /* the engine's: its state exchange keeps this current */
        return cpu->s.cr8;
    vm_lock(vcpu->vm);
    value = lapic->cr8_read(vcpu);
    vm_unlock(vcpu->vm);
    return value;
}

static void env_cr8_write(struct x86_cpu *cpu, uint64_t value)
{
    struct vcpu *vcpu = vcpu_of(cpu);
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;

    cpu->s.cr8 = value;
    if (!lapic)
        return;
    vm_lock(vcpu->vm);
    lapic->cr8_write(vcpu, value);
    vm_unlock(vcpu->vm);
}

static void env_exclusive_begin(struct x86_cpu *cpu)
{
    struct vcpu *vcpu = vcpu_of(cpu);

    if (vcpu->vm->engine->exclusive)
        vcpu->vm->engine->exclusive(vcpu, true);
}

static void env_exclusive_end(struct x86_cpu *cpu)
{
    struct vcpu *vcpu = vcpu_of(cpu);

    if (vcpu->vm->engine->exclusive)
        vcpu->vm->engine->exclusive(vcpu, false);
}

const struct x86_env vcpu_env = {
    .page = env_page,
    .stored = env_stored,
    .mmio_read = env_mmio_read,
    .mmio_write = env_mmio_write,
    .pio_read = env_pio_read,
    .pio_write = env_pio_write,
    .tsc = env_tsc,
    .random = env_random,
    .msr_read = env_msr_read,
    .msr_write = env_msr_write,
    .cr8_read = env_cr8_read,
    .cr8_write = env_cr8_write,
    .exclusive_begin = env_exclusive_begin,
    .exclusive_end = env_exclusive_end,
};
