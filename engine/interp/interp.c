/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine: its VMs and vCPUs, and the loop around blocks. */
#include "engine/interp/interp.h"

#include "base/fmt.h"
#include "core/device.h"
#include "core/vcpu-env.h"
#include "engine/common/thunk-memory.h"
#include "engine/interp/interp-internal.h"
#include "x86/exec-sys.h"

static struct interp *interp_of(struct vcpu *vcpu)
{
    return vcpu->engine_data;
}

/* ---- making and ending ---- */

static int interp_probe(struct error *err)
{
    return thunk_memory_probe(err);
}

static int interp_vm_init(struct vm *vm, struct error *err)
{
    struct interp_vm *ivm = vm_alloc(vm, sizeof(*ivm));

    if (!ivm)
        return error_set(err, ENOMEM, "no memory for the interpreter");
    ivm->vm = vm;
    ivm->ram_pages = vm->mem.ram_size / MEM_PAGE;
    ivm->ram = vm_alloc(vm, ivm->ram_pages * sizeof(*ivm->ram));
    if (!ivm->ram) {
        vm_free(vm, ivm);
        return error_set(err, ENOMEM, "no memory for the interpreter's page table");
    }
    vm->plat->ops->lock_init(vm->plat, &ivm->lock);
    vm->plat->ops->lock_init(vm->plat, &ivm->exclusive);
    vm->engine_data = ivm;
    return 0;
}

static void interp_vm_finish(struct vm *vm)
{
    struct interp_vm *ivm = vm->engine_data;

    if (ivm)
        vm_free(vm, ivm->ram);
    vm_free(vm, ivm);
    vm->engine_data = NULL;
}

static void interp_vcpu_finish(struct vcpu *vcpu)
{
    struct interp *in = interp_of(vcpu);

    if (!in)
        return;
    interp_cache_finish(in);
    thunk_memory_finish(&in->thunks);
    vcpu->cpu.thunks = NULL;
    vm_free(vcpu->vm, in);
    vcpu->engine_data = NULL;
}

static int interp_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    struct vm *vm = vcpu->vm;
    struct interp *in = vm_alloc(vm, sizeof(*in));
    int r;

    if (!in)
        return error_set(err, ENOMEM, "no memory for vCPU %u", vcpu->index);
    in->vcpu = vcpu;
    in->ivm = vm->engine_data;
    in->ack = INTERP_PARKED;
    vcpu->cpu.env = &vcpu_env;
    vcpu->engine_data = in;
    if (!vcpu->cpu.tlb)
        vcpu->cpu.tlb = vm_alloc(vm, sizeof(*vcpu->cpu.tlb));
    if (!vcpu->cpu.tlb || interp_cache_init(in) < 0) {
        interp_vcpu_finish(vcpu);
        return error_set(err, ENOMEM, "no memory for vCPU %u's translations", vcpu->index);
    }
    r = thunk_memory_init(&in->thunks, err);
    if (r < 0) {
        interp_vcpu_finish(vcpu);
        return r;
    }
    vcpu->cpu.thunks = &in->thunks;
    return 0;
}

/* The state lives in vcpu.cpu.s; what is derived from it follows here. */
static int interp_state_get(struct vcpu *vcpu)
{
    x86_state_flush(&vcpu->cpu);
    return 0;
}

static int interp_state_put(struct vcpu *vcpu)
{
    x86_state_changed(&vcpu->cpu);
    interp_flush(interp_of(vcpu));
    return 0;
}

/* ---- between blocks ---- */

/* All that may happen between two instructions. False: *exit is why to leave. */
static bool see_to_requests(struct vcpu *vcpu, struct interp *in, enum vm_exit *exit)
{
    struct x86_cpu *cpu = &vcpu->cpu;

    if (events_take(cpu, X86_REQ_ENGINE))
        interp_attend(in);
    if (events_take(cpu, X86_REQ_TLB_FLUSH))
        interp_tlb_flush(in);
    return events_see_to(vcpu, &in->events, exit);
}

/* After an instruction or event that may have changed more than registers and memory. */
static void look_around(struct x86_cpu *cpu, struct interp *in)
{
    in->single = x86_debug_active(cpu);
    /* RF only ever matters to breakpoints; it lasts for one instruction. */
    if (!in->single)
        cpu->s.rflags &= ~(uint64_t)X86_FL_RF;
    interp_restamp(cpu, in);
}

static void respect_shadow(struct x86_cpu *cpu, struct interp *in)
{
    in->single = events_in_shadow(cpu, &in->events) || in->single;
}

static enum interp_next step(struct x86_cpu *cpu, struct interp *in)
{
    enum x86_result result;

    in->stats.steps++;
    result = x86_step(cpu);
    if (result == X86_HALT)
        return INTERP_HALT;
    return INTERP_BREAK; /* a fault it has delivered */
}

/* How far blocks may go: where the longest ends at the limit. */
static uint64_t block_limit(const struct x86_cpu *cpu)
{
    uint64_t limit = cpu->instruction_limit;

    return limit < INTERP_MAX_INSNS ? 0 : limit - INTERP_MAX_INSNS + 1;
}

/* Runs blocks until something other than the next block is called for. */
static enum interp_next run_blocks(struct x86_cpu *cpu, struct interp *in)
{
    enum interp_next next;

    if (__atomic_load_n(&in->block_limit, __ATOMIC_RELAXED) != block_limit(cpu)) {
        __atomic_store_n(&in->block_limit, block_limit(cpu), __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST))
            return INTERP_LOOK;
    }
    do {
        const struct interp_block *block = interp_find(cpu, in, &next);

        if (!block)
            break;
        next = block->op[0].fn(cpu, block->op, in);
        while (next == INTERP_CHAIN) {
            const struct interp_op *op = in->chain;
            next = op->fn(cpu, op, in);
        }
        /* A request of this thread's own, as by an IPI to itself, moves no limit. */
    } while (next == INTERP_LOOK && interp_free(cpu, in) && !interp_request(cpu));
    cpu->uncounted = 0;
    return next;
}

static bool deliver_fault(struct vcpu *vcpu, struct interp *in)
{
    struct x86_cpu *cpu = &vcpu->cpu;

    in->stats.faults++;
    vm_trace(vcpu->vm, EXCEPTION, "vCPU %u: exception %u, error 0x%x, at 0x%llx, cr2 0x%llx", vcpu->index,
             cpu->fault.vector, cpu->fault.has_error ? cpu->fault.error : 0, (unsigned long long)cpu->s.rip,
             (unsigned long long)cpu->fault_cr2);
    return x86_deliver_fault(cpu);
}

static enum vm_exit run(struct vcpu *vcpu, struct interp *in)
{
    struct x86_cpu *cpu = &vcpu->cpu;
    enum vm_exit exit;

    cpu->s.dr[4] = 0; /* see INTERP_ZERO */
    if (cpu->instructions >= cpu->instruction_limit)
        return VM_EXIT_LIMIT;
    if (cpu->s.exception_pending || cpu->s.interrupt_pending || events_due(cpu, &in->events)) {
        if (!see_to_requests(vcpu, in, &exit))
            return exit;
    }
    look_around(cpu, in);
    if (cpu->s.shadow)
        respect_shadow(cpu, in);
    for (;;) {
        bool one = in->single || cpu->instructions >= block_limit(cpu);
        enum interp_next next = one ? INTERP_STEP : run_blocks(cpu, in);

        if (next == INTERP_STEP)
            next = step(cpu, in);
        if (next == INTERP_FAULT && !deliver_fault(vcpu, in))
            return VM_EXIT_SHUTDOWN;
        if (cpu->instructions >= cpu->instruction_limit)
            return VM_EXIT_LIMIT;
        if (next != INTERP_LOOK)
            look_around(cpu, in);
        if (unlikely(cpu->s.shadow) && cpu->s.activity == X86_ACT_RUN) {
            respect_shadow(cpu, in);
        } else if (events_due(cpu, &in->events)) {
            if (!see_to_requests(vcpu, in, &exit))
                return exit;
            look_around(cpu, in);
        }
    }
}

static void interp_vcpu_kick(struct vcpu *vcpu)
{
    struct interp *in = interp_of(vcpu);

    if (in)
        interp_kick(in);
}

static enum vm_exit interp_vcpu_run(struct vcpu *vcpu)
{
    struct interp *in = interp_of(vcpu);
    enum vm_exit exit;

    interp_enter(in);
    exit = run(vcpu, in);
    interp_park(in);
    x86_state_flush(&vcpu->cpu);
    return exit;
}

/* ---- statistics ---- */

void interp_stats_get(struct vcpu *vcpu, struct interp_stats *stats)
{
    *stats = interp_of(vcpu)->stats;
    stats->instructions = vcpu->cpu.instructions;
    stats->interrupts = interp_of(vcpu)->events.interrupts;
}

size_t interp_stats_format(struct vcpu *vcpu, char *buf, size_t size)
{
    struct interp_stats s;

    interp_stats_get(vcpu, &s);
    return fmt_print(buf, size,
                     "instructions %llu\nlookups %llu\nblocks %llu of %llu instructions\nsteps %llu\n"
                     "tlb misses %llu\nredone %llu\npages protected %llu, overwritten %llu\n"
                     "cache flushes %llu\nfaults %llu\ninterrupts %llu\nmemory for blocks %llu\n",
                     (unsigned long long)s.instructions, (unsigned long long)s.lookups,
                     (unsigned long long)s.blocks, (unsigned long long)s.decoded, (unsigned long long)s.steps,
                     (unsigned long long)s.misses, (unsigned long long)s.redone,
                     (unsigned long long)s.protected_pages, (unsigned long long)s.killed,
                     (unsigned long long)s.flushes, (unsigned long long)s.faults,
                     (unsigned long long)s.interrupts, (unsigned long long)s.arena);
}

static void interp_counters(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque)
{
    struct interp_stats s;

    interp_stats_get(vcpu, &s);
    tell(opaque, "cache", "used", s.arena);
    tell(opaque, "cache", "flushes", s.flushes);
    tell(opaque, "code", "blocks", s.blocks);
    tell(opaque, "code", "instructions", s.decoded);
    tell(opaque, "code", "overwritten-pages", s.killed);
    tell(opaque, "code", "protected-pages", s.protected_pages);
    tell(opaque, "run", "instructions", s.instructions);
    tell(opaque, "run", "lookups", s.lookups);
    tell(opaque, "run", "steps", s.steps);
    tell(opaque, "run", "faults", s.faults);
    tell(opaque, "run", "interrupts", s.interrupts);
    tell(opaque, "slow", "tlb-misses", s.misses);
    tell(opaque, "slow", "redone", s.redone);
}

const struct engine_ops interp_engine = {
    .name = "interp",
    .can_count = true,
    .probe = interp_probe,
    .vm_init = interp_vm_init,
    .vm_finish = interp_vm_finish,
    .vcpu_init = interp_vcpu_init,
    .vcpu_finish = interp_vcpu_finish,
    .vcpu_run = interp_vcpu_run,
    .vcpu_kick = interp_vcpu_kick,
    .state_get = interp_state_get,
    .state_put = interp_state_put,
    .memory_written = interp_memory_written,
    .page_write_fast = interp_page_write_fast,
    .exclusive = interp_exclusive,
    .counters = interp_counters,
};
