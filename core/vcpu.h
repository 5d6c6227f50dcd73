/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual processor: the architectural state and what a thread needs to run it.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include "x86/cpu.h"
#include "x86/exec.h"

struct vm;

struct vcpu {
    struct x86_cpu cpu; /* cpu.owner points back here */
    struct vm *vm;
    unsigned index; /* 0 is the bootstrap processor; also its APIC id */
    void *engine_data;
    void *lapic;     /* the local APIC's model, NULL if the engine has its own */
    void *plat_data; /* the platform's: thread, wait channel */

    bool paused; /* not inside the engine; guarded by vm->lock */
};

static inline struct vcpu *vcpu_of(struct x86_cpu *cpu)
{
    return cpu->owner;
}

/*
 * Runs the vCPU until the VM shuts down for good; the body of its thread. Handles
 * pauses, resets, halts and start-up IPIs.
 */
void vcpu_loop(struct vcpu *vcpu);

/* Sets bits in cpu.request (X86_REQ_…) and gets the vCPU to look: out of a wait, or out of guest code. Any thread. */
void vcpu_request(struct vcpu *vcpu, uint32_t bits);

/* Has the vCPU anything to wake up for? Its own thread. */
bool vcpu_runnable(struct vcpu *vcpu);

extern const struct state_table x86_state_table; /* core/vcpu-state.c: struct x86_state */

#endif
