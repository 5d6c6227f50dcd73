/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engines that can be compared: those of the product; one that calls
 * x86_step() for each instruction, the reference of all; and some that are wrong
 * in one thing each, which must be noticed.
 */
#include "engine/bt/bt-internal.h"
#include "engine/bt/bt.h"
#include "engine/interp/interp.h"
#include "tests/blocks/blocks.h"

#include "tests/diff/random-values.h"

#include <string.h>

struct fault_plan {
    bool late_interrupt; /* … by one instruction */
    bool no_shadow;      /* an interrupt right behind STI */
    bool count_faults;   /* an instruction that faults counts */
    bool lose_flag;      /* AF is clear after each instruction */
    bool past_limit;     /* stops one too late */
};

/* Interrupts and requests as core/engine.h wants them, between two instructions. */
static bool look(struct vcpu *vcpu, const struct fault_plan *plan, enum vm_exit *exit)
{
    struct x86_cpu *cpu = &vcpu->cpu;
    const struct lapic_ops *lapic = vcpu->vm->irqs.lapic;
    int vector;

    __atomic_fetch_and(&cpu->request, X86_REQ_EXIT, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST)) {
        *exit = VM_EXIT_REQUEST;
        return false;
    }
    if (plan->no_shadow)
        cpu->s.shadow = 0;
    if (lapic->pending(vcpu) && x86_can_interrupt(cpu) && cpu->s.activity <= X86_ACT_HALT) {
        vector = lapic->acknowledge(vcpu);
        if (vector >= 0 && !x86_deliver_interrupt(cpu, (uint8_t)vector)) {
            *exit = VM_EXIT_SHUTDOWN;
            return false;
        }
    }
    *exit = cpu->s.activity == X86_ACT_SHUTDOWN ? VM_EXIT_SHUTDOWN : VM_EXIT_HALT;
    return cpu->s.activity == X86_ACT_RUN;
}

static struct world *world_of(struct vcpu *vcpu)
{
    return container_of(container_of(vcpu->vm, struct machine, vm), struct world, machine);
}

/* One instruction, or a part of a REP; notes if that wrote over itself. */
static enum x86_result step(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = &vcpu->cpu;
    uint8_t before[X86_MAX_INSN_LEN] = {0}, after[X86_MAX_INSN_LEN] = {0};
    enum x86_result result;

    if (cpu->s.rip + X86_MAX_INSN_LEN > DATA_BASE)
        world_of(vcpu)->data_fetched = true;
    (void)x86_fetch(cpu, before);
    result = x86_step(cpu);
    if (result == X86_AGAIN && x86_fetch(cpu, after) > 0 && memcmp(before, after, sizeof(before)))
        world_of(vcpu)->unspecified = true;
    return result;
}

static enum vm_exit run(struct vcpu *vcpu, const struct fault_plan *plan)
{
    struct x86_cpu *cpu = &vcpu->cpu;
    enum vm_exit exit = VM_EXIT_LIMIT;

    for (;;) {
        uint64_t limit = cpu->instruction_limit + plan->past_limit, before = cpu->instructions;
        enum x86_result result;

        if (cpu->instructions >= limit) {
            exit = VM_EXIT_LIMIT;
            break;
        }
        if (plan->late_interrupt && cpu->s.rflags & X86_FL_IF && !cpu->s.shadow) {
            (void)x86_step(cpu);
            if (cpu->instructions >= limit)
                continue;
        }
        if (!look(vcpu, plan, &exit))
            break;
        result = step(vcpu);
        if (plan->count_faults && result == X86_FAULT && cpu->instructions == before)
            cpu->instructions++;
        if (plan->lose_flag)
            cpu->cc &= ~BIT(12);
    }
    x86_state_flush(cpu);
    return exit;
}

#define PLAN(name, ...)                                                                                      \
    static enum vm_exit run_##name(struct vcpu *vcpu)                                                        \
    {                                                                                                        \
        static const struct fault_plan plan = {__VA_ARGS__};                                                 \
        return run(vcpu, &plan);                                                                             \
    }

PLAN(step, 0)
PLAN(late, .late_interrupt = true)
PLAN(shadow, .no_shadow = true)
PLAN(count, .count_faults = true)
PLAN(flag, .lose_flag = true)
PLAN(limit, .past_limit = true)

/* Nobody tells the interpreter that code was written over. */
static void not_told(struct vm *vm, uint64_t gpa, uint64_t len)
{
}

/*
 * Every store is told, and ends a REP's run of elements, so that step() sees it when one overwrites itself.
 */
static void told(struct vm *vm, uint64_t gpa, uint64_t len)
{
    __atomic_fetch_or(&vm->vcpu[0]->cpu.request, X86_REQ_ENGINE, __ATOMIC_SEQ_CST);
}

static bool never_fast(struct vm *vm, uint64_t gpa)
{
    return false;
}

/* All that interp has, but for how instructions are run. */
struct engine_copy {
    struct engine_ops ops;
    const char *name;
    enum vm_exit (*run)(struct vcpu *vcpu);
    bool deaf;
};

static struct engine_copy copies[] = {
    {.name = "step", .run = run_step},
    {.name = "wrong-late-interrupt", .run = run_late},
    {.name = "wrong-no-shadow", .run = run_shadow},
    {.name = "wrong-count-faults", .run = run_count},
    {.name = "wrong-lose-flag", .run = run_flag},
    {.name = "wrong-past-limit", .run = run_limit},
    {.name = "wrong-stale-code", .deaf = true},
};

static const struct engine_ops *const engines[] = {&interp_engine, &bt_engine};

const char *engine_mutant(unsigned i)
{
    return i + 1 < ARRAY_SIZE(copies) ? copies[i + 1].name : NULL;
}

void engine_learn(struct vm *vm, const struct block *b)
{
    struct bt_vm *bvm;
    uint64_t random = b->random | 1;

    if (vm->engine != &bt_engine)
        return;
    bvm = bt_of(vm->vcpu[0])->bvm;
    bvm->poly = bvm->crossing = (struct bt_marks){0};
    for (unsigned i = 0; i < b->count; i++) {
        switch (below(&random, 8)) {
        case 0:
        case 1:
            bt_mark(&bvm->poly, b->item[i].address);
            break;
        case 2:
            bt_mark(&bvm->crossing, b->item[i].address);
            break;
        }
    }
}

static bool is_named(const char *name, const char *wanted, size_t len)
{
    return strlen(name) == len && !memcmp(name, wanted, len);
}

const struct engine_ops *engine_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (is_named(engines[i]->name, name, len))
            return engines[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
        struct engine_copy *c = &copies[i];

        if (!is_named(c->name, name, len))
            continue;
        c->ops = interp_engine;
        c->ops.name = c->name;
        if (c->run) {
            c->ops.vcpu_run = c->run;
            c->ops.memory_written = told;
            c->ops.page_write_fast = never_fast;
        }
        if (c->deaf)
            c->ops.memory_written = not_told;
        return &c->ops;
    }
    return NULL;
}
