/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may happen between two instructions, for engines that step through guest
 * code themselves: requests of other threads, interrupts, NMIs, halts. The engine
 * sees to X86_REQ_ENGINE and X86_REQ_TLB_FLUSH by itself, before.
 */
#ifndef ENGINE_COMMON_EVENTS_H
#define ENGINE_COMMON_EVENTS_H

#include "core/vm.h"

struct events {
    bool irq;            /* the local APIC may have an interrupt for us */
    uint64_t interrupts; /* delivered, for statistics */
};

static inline uint32_t events_requests(const struct x86_cpu *cpu)
{
    return __atomic_load_n(&cpu->request, __ATOMIC_RELAXED);
}

/* Those of the bits that were set; they no longer are. */
uint32_t events_take(struct x86_cpu *cpu, uint32_t bits);

/* Takes requests and delivers the event that is due. False: *exit is why to leave the engine. */
bool events_see_to(struct vcpu *vcpu, struct events *events, enum vm_exit *exit);

/* Is there a reason for events_see_to()? */
static inline bool events_due(const struct x86_cpu *cpu, const struct events *events)
{
    return events_requests(cpu) || (events->irq && x86_can_interrupt(cpu)) ||
           (cpu->s.nmi_pending && !cpu->s.nmi_masked) || cpu->s.activity != X86_ACT_RUN;
}

/*
 * After STI, MOV SS and POP SS one more instruction runs before anything else. True: something waits, so that
 * one instruction shall go through x86_step(), which ends the shadow. False: there is none any more, as
 * engines look for requests behind their first instruction at the earliest.
 */
bool events_in_shadow(struct x86_cpu *cpu, const struct events *events);

#endif
