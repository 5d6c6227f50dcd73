/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/metal.h: the machine as the engines want it. */
#include "core/metal.h"

#include "base/bytes.h"
#include "core/vm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/mem/heap.h"
#include "hv/mem/map.h"
#include "hv/mem/ram.h"
#include "hv/thread.h"

struct metal_cpu *metal_cpu(void)
{
    return &cpu_this()->metal;
}

uint32_t metal_tsc_khz(void)
{
    return time_tsc_khz();
}

uint64_t metal_phys(const void *p)
{
    return virt_to_phys(p);
}

void *metal_virt(uint64_t phys)
{
    return phys_to_virt(phys);
}

uint64_t metal_ram(struct vm *vm, uint64_t offset, uint64_t *size)
{
    for (unsigned i = 0; i < vm->mem.ram_count; i++) {
        const struct mem_ram *r = &vm->mem.ram[i];

        if (!r->rom && offset - r->offset < r->size)
            return guest_ram_phys(guest_ram_find(r->host), offset, size);
    }
    __builtin_trap(); /* an offset outside of the VM's RAM */
}

/* ---- generated code: its pages are written through the direct map and executed through a window ---- */

/* Behind the code, in a page that is not executable, stands where the window is. */
static uint64_t *window_of(void *code, size_t size)
{
    return (uint64_t *)((uint8_t *)code + ALIGN_UP(size, (size_t)PAGE_SIZE));
}

void *metal_code_alloc(size_t size, const void **exec_map)
{
    uint64_t len = ALIGN_UP(size, (size_t)PAGE_SIZE), window;
    void *code = heap_alloc(len + sizeof(window), &memory_own);

    if (!code)
        return NULL;
    window = map_reserve(len, PAGE_SIZE);
    if (!window)
        goto free_code;
    if (map_add(window, virt_to_phys(code), len, MAP_CODE) < 0)
        goto free_window;
    *window_of(code, size) = window;
    *exec_map = (const void *)window;
    return code;

free_window:
    map_remove(window, len);
free_code:
    heap_free(code);
    return NULL;
}

void metal_code_free(void *write_map, size_t size)
{
    if (!write_map)
        return;
    map_remove(*window_of(write_map, size), ALIGN_UP(size, (size_t)PAGE_SIZE));
    heap_free(write_map);
}

/* ---- the processor's time ---- */

bool metal_must_yield(void)
{
    const struct cpu *cpu = cpu_this();

    return __atomic_load_n(&cpu->must_yield, __ATOMIC_RELAXED) || __builtin_ia32_rdtsc() >= cpu->yield_tsc;
}

void metal_yield(struct vcpu *vcpu)
{
    thread_yield();
}

void metal_yield_to_sibling(struct vcpu *vcpu)
{
    cpu_irq_window();
    thread_yield_to_sibling();
}

void metal_kick(struct vcpu *vcpu)
{
    const struct thread *thread = vcpu->plat_data;
    int32_t cpu = thread ? __atomic_load_n(&thread->on_cpu, __ATOMIC_SEQ_CST) : -1;

    if (cpu >= 0)
        cpu_poke(cpus[cpu]);
}
