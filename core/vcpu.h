/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual processor: the architectural state and what a thread needs to run it.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include "x86/cpu.h"
#include "x86/exec.h"

struct vm;
struct vcpu;

/* Something to be done on a vCPU's thread between two instructions, or while it is parked. */
struct vcpu_call {
    void (*fn)(void *opaque, struct vcpu *vcpu); /* vm->lock held; cpu.s is whole */
    void *opaque;
    struct vcpu_call *next; /* the core's */
    bool done;              /* the core's; guarded by vm->lock */
};

struct vcpu {
    struct x86_cpu cpu; /* cpu.owner points back here */
    struct vm *vm;
    unsigned index; /* 0 is the bootstrap processor; also its APIC id */
    void *engine_data;
    void *lapic;     /* the local APIC's model; where the engine has its own, what saves and loads it */
    void *plat_data; /* the platform's: thread, wait channel */

    struct vcpu_call *calls; /* guarded by vm->lock */
    uint64_t stolen_told;    /* of plat vcpu_stolen(), what the guest knows of; its own thread's */
    uint8_t sipi_vector;     /* of the start-up IPI behind X86_REQ_SIPI; atomic */
    bool parked;             /* not inside the engine, nor waiting to go back; guarded by vm->lock */
    bool state_dirty; /* cpu.s was written while parked: the engine must take it over; guarded by vm->lock */
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

/* Sets bits in cpu.request (X86_REQ_…) and gets the vCPU to look: out of a wait, or out of guest code. Any
 * thread. */
void vcpu_request(struct vcpu *vcpu, uint32_t bits);

/* Has it done, and waits for that. Another thread; lock held, dropped meanwhile. The guest does not notice
 * but by the time that it takes. */
void vcpu_call(struct vcpu *vcpu, struct vcpu_call *call);

/*
 * The MSRs that belong to the platform: local APIC, TSC deadline, kvmclock. Own
 * thread, lock not held. False: no such MSR, or a value it refuses (#GP).
 */
bool vcpu_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool vcpu_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* Tells the guest of time that others have had the processor since the last call (KVM's steal time); if the
 * platform knows. Its own thread, after it was away; lock not held. */
void vcpu_tell_stolen(struct vcpu *vcpu);

/* Has the vCPU anything to wake up for? Its own thread. */
bool vcpu_runnable(struct vcpu *vcpu);

extern const struct state_table x86_state_table; /* core/vcpu-state.c: struct x86_state */

#endif
