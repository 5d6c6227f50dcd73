/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop around guest code, and what happens between two instructions of it:
 *
 *   vcpu_run ─► look: requests, events, halt ─► load ─► enter ─► exit ─┐
 *                 ▲        │ a reason to leave            ▲            │
 *                 │        ▼                              │ nothing    │
 *                 │     unload, return                    │ to look at │
 *                 └── something to look at ◄──────────────┴────────────┘
 *
 * The processor is given away only here, by metal_yield(), and in hw_pause(): both
 * unload first.
 */
#include "base/bytes.h"
#include "engine/common/events.h"
#include "engine/hw/hw-internal.h"
#include "x86/exec-sys.h"

/* ---- on and off the processor ---- */

bool hw_tag(struct hw_vcpu *v)
{
    struct hw_cpu *cpu = v->cpu;
    bool all = false;

    if (cpu->tag_next > cpu->tag_max) {
        cpu->tag_next = 1;
        cpu->tag_round++;
        all = true;
    }
    v->tag = cpu->tag_next++;
    v->tag_round = cpu->tag_round;
    return all;
}

/* The branch predictors do not tell one VM what another did. */
static void part_from_last_vm(struct hw_vcpu *v)
{
    uint64_t id = hw_vm_of(v->vcpu->vm)->id;

    if (v->cpu->last_vm == id)
        return;
    if (v->cpu->ibpb && v->cpu->last_vm)
        hw_wrmsr(X86_MSR_PRED_CMD, 1);
    v->cpu->last_vm = id;
}

static void load(struct hw_vcpu *v)
{
    struct hw_cpu *cpu = metal_cpu()->engine_data;
    bool moved = v->older != cpu;

    v->cpu = v->older = cpu;
    /* What the guest dropped on another processor is still here. */
    if (moved || v->tag_round != cpu->tag_round) {
        v->tag = 0;
        v->flush = true;
    }
    part_from_last_vm(v);
    if (cpu->speculation.flush_l1d) /* what was done for others since */
        hw_wrmsr(X86_MSR_FLUSH_CMD, 1);
    hw_fpu_load(v, moved);
    v->changed |= HW_MSRS;
    v->ops->load(v, moved);
}

static void unload(struct hw_vcpu *v)
{
    if (!v->cpu)
        return;
    v->ops->unload(v);
    hw_fpu_save(v);
    v->cpu = NULL;
}

static void yield(struct hw_vcpu *v)
{
    v->yield = false;
    unload(v);
    metal_yield(v->vcpu);
}

void hw_pause(struct hw_vcpu *v)
{
    v->count[HW_N_PAUSES]++;
    unload(v);
    metal_yield_to_sibling(v->vcpu);
    v->look = true;
}

/* ---- events ---- */

/* The processor takes exceptions of any mode, interrupts, and NMIs; software what another engine left. */
static void inject_pending(struct hw_vcpu *v)
{
    struct x86_state *s = &v->vcpu->cpu.s;

    if (s->exception_pending) {
        s->exception_pending = false;
        /* Real mode pushes no error codes. */
        v->ops->inject(v, HW_EXCEPTION, s->exception_vector, s->exception_has_error && s->cr0 & X86_CR0_PE,
                       s->exception_error);
    } else if (s->interrupt_soft) {
        hw_deliver_soft(v);
    } else {
        s->interrupt_pending = false;
        v->ops->inject(v, HW_INTERRUPT, s->interrupt_vector, false, 0);
    }
}

/* What waits for its moment: an NMI before an interrupt. Returns whether an event goes in. */
static bool inject_waiting(struct hw_vcpu *v)
{
    struct vcpu *vcpu = v->vcpu;
    struct x86_state *s = &vcpu->cpu.s;
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;
    int vector;

    if (v->irq && !(lapic && lapic->pending(vcpu)))
        v->irq = false;
    if (s->nmi_pending && !s->nmi_masked && !s->shadow) {
        s->nmi_pending = false;
        s->nmi_masked = true;
        v->ops->inject(v, HW_NMI, X86_NMI, false, 0);
        return true;
    }
    if (!v->irq || !x86_can_interrupt(&vcpu->cpu))
        return false;
    vector = lapic->acknowledge(vcpu);
    v->irq = lapic->pending(vcpu); /* one of higher priority; others wait for the EOI, which asks to look */
    if (vector < 0)
        return false;
    v->count[HW_N_INTERRUPTS]++;
    v->ops->inject(v, HW_INTERRUPT, (uint8_t)vector, false, 0);
    return true;
}

/* Loaded, nothing to leave for. */
static void see_to_events(struct hw_vcpu *v)
{
    struct x86_state *s = &v->vcpu->cpu.s;
    bool injected = true;

    if (s->exception_pending || s->interrupt_pending)
        inject_pending(v);
    else
        injected = inject_waiting(v);
    if (injected && s->activity == X86_ACT_HALT)
        s->activity = X86_ACT_RUN;
    v->look = v->irq || s->nmi_pending || v->left;
    v->ops->window(v, v->irq, s->nmi_pending);
}

/* Takes what other threads ask for. False: leave. */
static bool see_to_requests(struct hw_vcpu *v)
{
    struct x86_cpu *cpu = &v->vcpu->cpu;
    uint32_t taken = events_take(cpu, X86_REQ_NMI | X86_REQ_INTERRUPT | X86_REQ_TLB_FLUSH | X86_REQ_ENGINE);

    if (taken & X86_REQ_NMI)
        cpu->s.nmi_pending = true;
    if (taken & X86_REQ_INTERRUPT)
        v->irq = true;
    if (taken & X86_REQ_TLB_FLUSH)
        v->flush = true;
    if (events_requests(cpu) & (X86_REQ_EXIT | X86_REQ_INIT | X86_REQ_SIPI))
        hw_leave(v, VM_EXIT_REQUEST);
    else if (cpu->s.activity == X86_ACT_WAIT_SIPI)
        hw_leave(v, VM_EXIT_HALT);
    else if (cpu->s.activity == X86_ACT_SHUTDOWN)
        hw_leave(v, VM_EXIT_SHUTDOWN);
    return !v->left;
}

/* Something may be due. False: leave. */
static bool look(struct hw_vcpu *v)
{
    const struct x86_state *s = &v->vcpu->cpu.s;

    /* Whoever wants this processor since it was given away, and asked from here, has sent it no interrupt: in
     * guest code nobody would hear of it. */
    do {
        if (v->left)
            return false;
        if (v->yield || metal_must_yield())
            yield(v);
        if (!see_to_requests(v))
            return false;
        if (!v->cpu)
            load(v);
        /* The one instruction behind STI or MOV SS is done here: no window opens behind it for NMIs, and
         * QEMU's VMRUN forgets the shadow. */
        if (s->shadow && s->activity == X86_ACT_RUN && !s->exception_pending && !s->interrupt_pending)
            hw_step(v);
    } while (metal_must_yield());
    see_to_events(v);
    if (s->activity == X86_ACT_HALT)
        hw_leave(v, VM_EXIT_HALT);
    return !v->left;
}

/* Paging as the processor knew it; INIT changes it from outside. */
static bool paging_changed(struct hw_vcpu *v)
{
    const struct x86_state *s = &v->vcpu->cpu.s;
    uint64_t now[] = {s->cr0, s->cr3, s->cr4, s->efer};
    bool changed = memcmp(v->paging, now, sizeof(now)) != 0;

    memcpy(v->paging, now, sizeof(now));
    return changed;
}

enum vm_exit hw_vcpu_run(struct vcpu *vcpu)
{
    struct hw_vcpu *v = hw_vcpu_of(vcpu);

    v->known = HW_ALL;
    v->changed = HW_EVERYTHING;
    v->left = false;
    v->look = true;
    v->flush |= paging_changed(v);
    hw_tsc_moved(v);
    for (;;) {
        if (unlikely(v->look || events_requests(&vcpu->cpu) || metal_must_yield()) && !look(v))
            break;
        v->ops->enter(v);
    }
    if (v->known != HW_ALL) {
        if (!v->cpu)
            load(v);
        hw_need(v, HW_ALL);
    }
    unload(v);
    (void)paging_changed(v);
    x86_mode_changed(&vcpu->cpu);
    return v->exit;
}
