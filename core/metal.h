/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an engine that owns the processor (engine/svm, engine/vmx) needs of the
 * bare machine, beside core/plat.h. hv/ implements it; unit tests do with a fake.
 *
 * The hypervisor runs with interrupts off and is never preempted: a thread gives
 * its processor away only inside metal_yield(), metal_yield_to() and the platform's
 * vcpu_wait() and relax(). Between two of them an engine may leave guest state in
 * registers that the hypervisor does not use (x87 and vectors, XCR0, DR0 to DR3,
 * KERNEL_GS_BASE, STAR …); before each it takes them back. After each it may be on
 * another processor.
 */
#ifndef CORE_METAL_H
#define CORE_METAL_H

#include "base/error.h"

struct vm;
struct vcpu;

/* A processor, as engines see it. */
struct metal_cpu {
    unsigned index; /* 0.., in the order of start */
    uint32_t apic_id;
    void *engine_data; /* the engine's, from its cpu_on() */
};

/* The processor that this code runs on. */
struct metal_cpu *metal_cpu(void);

/* The host's TSC, kHz: the same and in step on all processors. */
uint32_t metal_tsc_khz(void);

/* Where memory of the hypervisor (of plat alloc() or its image) lies; one page of it at a time. */
uint64_t metal_phys(const void *p);
/* The other way: an address for it. */
void *metal_virt(uint64_t phys);

/*
 * The host-physical address of guest RAM at `offset` (struct mem_ram), which is zeroed by then, and in *size
 * the naturally aligned piece that holds it and is contiguous: 4 KiB, 2 MiB or 1 GiB. Never fails: a VM's RAM
 * is its own from the start. Any thread, any lock held.
 */
uint64_t metal_ram(struct vm *vm, uint64_t offset, uint64_t *size);

/* Pages for code that is generated (x86/thunk.h): the same bytes writable and executable; NULL: none left. */
void *metal_code_alloc(size_t size, const void **exec_map);
void metal_code_free(void *write_map, size_t size);

/* Has this processor other things to do than guest code: a pending interrupt, the end of a time slice? */
bool metal_must_yield(void);
/* Does them: takes interrupts, lets others run. */
void metal_yield(struct vcpu *vcpu);
/* The vCPU spins for something that another one of its VM holds: lets one of those run that waits. */
void metal_yield_to_sibling(struct vcpu *vcpu);

/* Makes the processor that runs the vCPU leave guest code, if one does. Any thread. */
void metal_kick(struct vcpu *vcpu);

#endif
