/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instruction counting: with one vCPU, virtual time is the number of instructions
 * that it has completed, a nanosecond each, and what a halted vCPU skips. Nothing
 * else tells the guest of time, so that a run with the same inputs is the same to
 * the bit, under every engine, and any instruction's number is a place to stop at.
 *
 * All that devices do happens on the vCPU's thread: within an instruction that
 * accesses one, or between two instructions in icount_prepare(). What engines have
 * to do for it is in core/engine.h; what counts, in docs/icount.md.
 *
 * Lock: vm->lock, but for what belongs to the vCPU's thread (x86_cpu).
 */
#ifndef CORE_ICOUNT_H
#define CORE_ICOUNT_H

#include "base/error.h"
#include "core/plat.h"

struct vm;
struct vcpu;

#define ICOUNT_NEVER (~0ULL)
/* What the real-time clock shows at power-on: 2020-01-01 00:00:00 UTC, in nanoseconds since 1970. */
#define ICOUNT_EPOCH 1577836800000000000ULL

struct vm_icount {
    bool on;
    uint64_t skipped; /* ns that passed while the vCPU was halted */
    uint64_t random;  /* the generator's state */
    struct plat_work *work;

    /*
     * Called on the vCPU's thread, lock held, as soon as instructions have reached
     * stop_at, before anything else happens there. It has to set another stop_at, or
     * ICOUNT_NEVER, and may vm_pause_here(); the vCPU's state is whole. Set while the vCPU does not run.
     */
    uint64_t stop_at;
    void (*on_stop)(void *opaque, struct vm *vm);
    void *on_stop_opaque;
};

/* Between vm_init() and vm_engine_init(). Random numbers come from `seed`. */
int icount_enable(struct vm *vm, uint64_t seed, struct error *err);

/* The time that instructions have made so far. The vCPU's thread, or it is not running. */
uint64_t icount_now(const struct vm *vm);

/* ---- for the core; no-ops while counting is off ---- */

/* Before the vCPU goes into its engine or waits: does what is due, then sets cpu.instruction_limit. Own
 * thread, lock held. */
void icount_prepare(struct vcpu *vcpu);
/* The vCPU is halted: moves time to the next timer. False: there is none. Own thread, lock not held. */
bool icount_skip(struct vcpu *vcpu);
/* The first timer's deadline on the scale of icount_now() has become `at`: the vCPU must not run past it. */
void icount_deadline(struct vm *vm, uint64_t at);

/* ---- for everybody, counting or not ---- */

/* plat_ops.defer; counting, fn is called between two instructions instead. */
void vm_defer(struct vm *vm, struct plat_work *work);
/* plat_ops.random, or the seeded generator. */
void vm_random(struct vm *vm, void *buf, size_t len);

#endif
