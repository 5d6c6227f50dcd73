/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/hw/fake-metal.h"

#include <stdlib.h>

#include "core/vm.h"

struct fake_metal fake_metal;

struct metal_cpu *metal_cpu(void)
{
    return &fake_metal.cpu;
}

uint32_t metal_tsc_khz(void)
{
    return 2000000;
}

uint64_t metal_phys(const void *p)
{
    return (uintptr_t)p ^ FAKE_PHYS_MOVE;
}

void *metal_virt(uint64_t phys)
{
    return (void *)(uintptr_t)(phys ^ FAKE_PHYS_MOVE);
}

uint64_t metal_ram(struct vm *vm, uint64_t offset, uint64_t *size)
{
    *size = fake_metal.piece;
    return FAKE_RAM_PHYS + fake_metal.ram_skew + offset;
}

void *metal_code_alloc(size_t size, const void **exec_map)
{
    void *p = aligned_alloc(4096, ALIGN_UP(size, 4096));

    *exec_map = p;
    return p;
}

void metal_code_free(void *write_map, size_t size)
{
    free(write_map);
}

bool metal_must_yield(void)
{
    return fake_metal.must_yield;
}

void metal_yield(struct vcpu *vcpu)
{
    fake_metal.yields++;
    fake_metal.must_yield = false;
    if (fake_metal.on_yield)
        fake_metal.on_yield(vcpu);
}

void metal_yield_to_sibling(struct vcpu *vcpu)
{
    fake_metal.siblings++;
}

void metal_kick(struct vcpu *vcpu)
{
    __atomic_fetch_add(&fake_metal.kicks, 1, __ATOMIC_RELAXED);
}
