/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU thread's life:
 *
 *            ┌──────────── reset done, resumed ───────────┐
 *            ▼                                            │
 *   run ── engine ── REQUEST ─► pause, reset? ── yes ─► parked
 *    ▲       │  └── HALT ────► wait for a request ─┐
 *    │       └── SHUTDOWN ───► ask for a reset     │
 *    └─────────── INIT, SIPI, interrupt ◄──────────┘
 *
 * The thread that parks last carries a requested reset out.
 */
#include "core/vcpu.h"

#include "core/vm.h"
#include "x86/mem.h"

void vcpu_request(struct vcpu *vcpu, uint32_t bits)
{
    struct vm *vm = vcpu->vm;

    __atomic_fetch_or(&vcpu->cpu.request, bits, __ATOMIC_SEQ_CST);
    if (vm->engine && vm->engine->vcpu_kick)
        vm->engine->vcpu_kick(vcpu);
    vm->plat->ops->vcpu_wake(vm->plat, vcpu);
}

static uint32_t take_requests(struct vcpu *vcpu, uint32_t bits)
{
    return __atomic_fetch_and(&vcpu->cpu.request, ~bits, __ATOMIC_SEQ_CST) & bits;
}

/* INIT and start-up IPIs (SDM 3A 8.4.3). */
static void handle_startup(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    struct x86_cpu *cpu = &vcpu->cpu;

    if (take_requests(vcpu, X86_REQ_INIT)) {
        vm_lock(vm);
        x86_reset(cpu, true);
        cpu->s.activity = vcpu->index == 0 ? X86_ACT_RUN : X86_ACT_WAIT_SIPI;
        if (vm->irqs.lapic)
            vm->irqs.lapic->reset(vcpu, true);
        vm_unlock(vm);
    }
    if (take_requests(vcpu, X86_REQ_SIPI) && cpu->s.activity == X86_ACT_WAIT_SIPI) {
        x86_start_sipi(cpu, __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_ACQUIRE));
        cpu->s.activity = X86_ACT_RUN;
    }
}

bool vcpu_runnable(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = &vcpu->cpu;
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;

    switch (cpu->s.activity) {
    case X86_ACT_RUN:
        return true;
    case X86_ACT_HALT:
        if (!cpu->s.nmi_masked &&
            (__atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST) & X86_REQ_NMI || cpu->s.nmi_pending))
            return true;
        if (cpu->s.interrupt_pending)
            return true;
        return x86_can_interrupt(cpu) && lapic && lapic->pending(vcpu);
    default:
        return false;
    }
}

/* Sleeps until the vCPU has something to do, or somebody wants it out. */
static void wait_for_work(struct vcpu *vcpu)
{
    struct plat *plat = vcpu->vm->plat;

    for (;;) {
        /* Cleared before looking: a request that comes after is seen by vcpu_wait(). */
        take_requests(vcpu, X86_REQ_INTERRUPT | X86_REQ_TLB_FLUSH | X86_REQ_ENGINE);
        /* It may have to wait for long: until the IRET of another one's handler, or for a start-up IPI. */
        if (take_requests(vcpu, X86_REQ_NMI))
            vcpu->cpu.s.nmi_pending = true;
        x86_tlb_flush(&vcpu->cpu);
        if (__atomic_load_n(&vcpu->cpu.request, __ATOMIC_SEQ_CST) & X86_REQ_EXIT)
            break;
        handle_startup(vcpu);
        if (vcpu_runnable(vcpu))
            break;
        if (!icount_skip(vcpu))
            plat->ops->vcpu_wait(plat, vcpu, ~0U);
    }
    /* The engine looks for what was taken above. */
    __atomic_fetch_or(&vcpu->cpu.request, X86_REQ_INTERRUPT, __ATOMIC_SEQ_CST);
}

static bool others_parked(const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (!vm->vcpu[i]->parked)
            return false;
    }
    return true;
}

/*
 * Lock held, before the first vCPU of many goes on after a reset or load: an
 * interprocessor interrupt must not reach one whose state is yet to be set.
 */
static bool put_states(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpu[i];

        if (vcpu->state_dirty && vm->engine->state_put && vm->engine->state_put(vcpu) < 0) {
            vm_log(vm, LOG_ERROR, "vCPU %u: the %s engine refuses its state", vcpu->index, vm->engine->name);
            return false;
        }
        vcpu->state_dirty = false;
    }
    return true;
}

/* ---- calls from other threads ---- */

static void do_calls(struct vcpu *vcpu)
{
    const struct engine_ops *engine = vcpu->vm->engine;

    if (vcpu->calls && engine->state_get && !vcpu->state_dirty)
        (void)engine->state_get(vcpu);
    while (vcpu->calls) {
        struct vcpu_call *call = vcpu->calls;

        vcpu->calls = call->next;
        call->fn(call->opaque, vcpu);
        call->done = true; /* now it is its owner's */
    }
}

void vcpu_call(struct vcpu *vcpu, struct vcpu_call *call)
{
    struct vm *vm = vcpu->vm;

    call->done = false;
    call->next = vcpu->calls;
    vcpu->calls = call;
    vcpu_request(vcpu, X86_REQ_EXIT);
    while (!call->done && !vcpu->parked) {
        vm_unlock(vm);
        vm->plat->ops->relax(vm->plat);
        vm_lock(vm);
    }
    if (!call->done)
        do_calls(vcpu);
}

/* ---- in and out ---- */

/* Lock held. True: the vCPU may go into the engine; false: the VM is off. */
static bool wait_for_permission(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;

    for (;;) {
        take_requests(vcpu, X86_REQ_EXIT);
        do_calls(vcpu);
        if (vm->state == VM_SHUTDOWN) {
            vcpu->parked = true;
            return false;
        }
        if (vm->state == VM_RUNNING && !vm->reset_requested)
            break;
        vcpu->parked = true;
        if (vm->reset_requested && others_parked(vm)) {
            vm_reset(vm);
            for (unsigned i = 0; i < vm->vcpu_count; i++)
                vcpu_request(vm->vcpu[i], X86_REQ_EXIT);
            continue;
        }
        vm_unlock(vm);
        vm->plat->ops->vcpu_wait(vm->plat, vcpu, X86_REQ_EXIT); /* all others are for later */
        vm_lock(vm);
    }
    if (!put_states(vm)) {
        vm_request_shutdown(vm, VM_SHUTDOWN_ERROR);
        vcpu->parked = true;
        return false;
    }
    vcpu->parked = false;
    return true;
}

static void handle_exit(struct vcpu *vcpu, enum vm_exit exit)
{
    struct vm *vm = vcpu->vm;

    switch (exit) {
    case VM_EXIT_REQUEST:
        handle_startup(vcpu);
        if (vcpu->cpu.s.activity != X86_ACT_RUN && !vm->icount.on)
            wait_for_work(vcpu);
        break;
    case VM_EXIT_HALT:
        /* Counted, what is due at this instruction comes before the wait; see vcpu_loop(). */
        if (!vm->icount.on)
            wait_for_work(vcpu);
        break;
    case VM_EXIT_LIMIT:
        break;
    case VM_EXIT_SHUTDOWN:
        vm_lock(vm);
        vm_log(vm, LOG_WARN, "vCPU %u: triple fault", vcpu->index);
        vcpu->cpu.s.activity = X86_ACT_SHUTDOWN; /* for whoever asks why, in on_event */
        if (vm->no_reboot)
            vm_request_shutdown(vm, VM_SHUTDOWN_TRIPLE_FAULT);
        else
            vm_request_reset(vm, true);
        vm_unlock(vm);
        break;
    case VM_EXIT_ERROR:
        vm_lock(vm);
        vm_emit(vm, VM_EVENT_ERROR, vcpu->index);
        vm_request_shutdown(vm, VM_SHUTDOWN_ERROR);
        vm_unlock(vm);
        break;
    }
}

void vcpu_loop(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;

    vm_lock(vm);
    while (wait_for_permission(vcpu)) {
        icount_prepare(vcpu);
        if (vm->state != VM_RUNNING) /* it stops here */
            continue;
        vm_unlock(vm);
        if (vm->engine->own_lapic || vcpu_runnable(vcpu))
            handle_exit(vcpu, vm->engine->vcpu_run(vcpu));
        else
            wait_for_work(vcpu);
        vm_lock(vm);
    }
    vm_unlock(vm);
}
