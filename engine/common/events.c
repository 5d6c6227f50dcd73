/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/common/events.h"

#include "x86/exec-sys.h"

uint32_t events_take(struct x86_cpu *cpu, uint32_t bits)
{
    if (!(events_requests(cpu) & bits))
        return 0;
    return __atomic_fetch_and(&cpu->request, ~bits, __ATOMIC_SEQ_CST) & bits;
}

/* False: triple fault. */
static bool deliver_interrupt(struct vcpu *vcpu, struct events *events)
{
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;
    int vector = lapic && lapic->pending(vcpu) ? lapic->acknowledge(vcpu) : -1;

    if (vector < 0) {
        events->irq = false;
        return true;
    }
    events->interrupts++;
    return x86_deliver_interrupt(&vcpu->cpu, (uint8_t)vector);
}

/* False: triple fault. */
static bool deliver(struct vcpu *vcpu, struct events *events)
{
    struct x86_cpu *cpu = &vcpu->cpu;

    if (cpu->s.exception_pending || cpu->s.interrupt_pending)
        return x86_deliver_pending(cpu);
    if (cpu->s.nmi_pending && !cpu->s.nmi_masked && !(cpu->s.shadow & X86_SHADOW_SS))
        return x86_deliver_nmi(cpu);
    if (events->irq && x86_can_interrupt(cpu))
        return deliver_interrupt(vcpu, events);
    return true;
}

bool events_see_to(struct vcpu *vcpu, struct events *events, enum vm_exit *exit)
{
    struct x86_cpu *cpu = &vcpu->cpu;

    if (events_take(cpu, X86_REQ_NMI))
        cpu->s.nmi_pending = true;
    if (events_take(cpu, X86_REQ_INTERRUPT))
        events->irq = true;
    if (events_requests(cpu) & (X86_REQ_EXIT | X86_REQ_INIT | X86_REQ_SIPI)) {
        *exit = VM_EXIT_REQUEST;
        return false;
    }
    if (cpu->s.activity == X86_ACT_WAIT_SIPI) {
        *exit = VM_EXIT_HALT;
        return false;
    }
    if (!deliver(vcpu, events) || cpu->s.activity == X86_ACT_SHUTDOWN) {
        *exit = VM_EXIT_SHUTDOWN;
        return false;
    }
    if (cpu->s.activity == X86_ACT_HALT) {
        *exit = VM_EXIT_HALT;
        return false;
    }
    return true;
}

bool events_in_shadow(struct x86_cpu *cpu, const struct events *events)
{
    if (events_requests(cpu) || events->irq || cpu->s.nmi_pending)
        return true;
    cpu->s.shadow = 0;
    return false;
}
