/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our side by a whole engine: a VM of one vCPU, run until the handler of some
 * exception halts. An INT3 behind the instruction ends it when nothing else does.
 * To the translator, the two are one block.
 */
#include "tests/diff/guest.h"

#include "base/bytes.h"
#include "core/memory.h"
#include "engine/bt/bt.h"
#include "engine/interp/interp.h"
#include "tests/unit/interp/machine.h"
#include "x86/exec.h"

#include <stdlib.h>

#define GUEST_GPA MIB(4)

/* Vectors that push an error code. */
#define WITH_ERROR                                                                                           \
    (BIT(X86_DF) | BIT(X86_TS) | BIT(X86_NP) | BIT(X86_SS_FAULT) | BIT(X86_GP) | BIT(X86_PF) | BIT(X86_AC))

struct by_engine {
    struct model base;
    struct machine machine;
};

static struct by_engine *by_engine_of(struct model *model)
{
    return container_of(model, struct by_engine, base);
}

static struct model *create(const struct engine_ops *engine, const struct model_ops *ops)
{
    struct by_engine *in = calloc(1, sizeof(*in));
    struct x86_cpuid_config config = {.level = X86_CPU_HOST, .vcpus = 1, .software_engine = true};
    struct error err = {0};

    if (!in)
        return NULL;
    machine_init(&in->machine, engine, 1);
    struct vm *vm = &in->machine.vm;
    if (x86_cpuid_build(&vm->cpuid, &config, &err)) {
        machine_finish(&in->machine);
        free(in);
        return NULL;
    }
    in->base = (struct model){.ops = ops, .cpuid = &vm->cpuid};
    guest_make(in->machine.ram + GUEST_GPA, GUEST_GPA);
    memset(in->machine.ram + GUEST_GPA + GUEST_CODE * 4096UL, 0xcc, 3 * 4096UL);
    guest_control(&vm->vcpu[0]->cpu, GUEST_GPA);
    return &in->base;
}

static struct model *interp_create(void)
{
    return create(&interp_engine, &interp_model);
}

static struct model *bt_create(void)
{
    return create(&bt_engine, &bt_model);
}

static void engine_destroy(struct model *model)
{
    struct by_engine *in = by_engine_of(model);

    machine_finish(&in->machine);
    free(in);
}

static uint8_t *engine_data(struct model *model)
{
    return by_engine_of(model)->machine.ram + GUEST_GPA + GUEST_DATA * 4096UL;
}

/* What the exception's frame says of the instruction. */
static void take_frame(struct by_engine *in, const struct diff_case *test, struct diff_state *out)
{
    const struct x86_state *s = &in->machine.vm.vcpu[0]->cpu.s;
    const uint8_t *stack = in->machine.ram + GUEST_GPA + GUEST_STACK * 4096UL;
    const uint8_t *frame = stack + (s->gpr[X86_RSP] & 4095);

    out->vector = (int)((s->rip - GUEST_STUBS_AT) / GUEST_STUB_SIZE);
    out->cr2 = s->cr2;
    out->error = 0;
    if (out->vector < 32 && WITH_ERROR >> out->vector & 1) {
        out->error = load_le32(frame);
        frame += 8;
    }
    out->rip = load_le64(frame);
    out->selector[X86_CS] = load_le16(frame + 8);
    out->rflags = load_le64(frame + 16);
    out->gpr[X86_RSP] = load_le64(frame + 24);
    out->selector[X86_SS] = load_le16(frame + 32);
    if (!test->branch && out->vector == X86_BP && out->rip == test->in.rip + test->insn.length + 1) {
        out->vector = -1;
        out->rip--;
    } else if (test->branch && out->vector == X86_BP) {
        out->vector = -1;
        out->rip--;
    } else if (test->branch && out->vector == X86_PF && out->error & X86_PF_I) {
        out->vector = -1;
    }
}

static bool engine_run(struct model *model, const struct diff_case *test, const struct mutation *mutation,
                       struct diff_state *out)
{
    struct by_engine *in = by_engine_of(model);
    struct vm *vm = &in->machine.vm;
    struct vcpu *vcpu = vm->vcpu[0];
    uint64_t gpa = GUEST_GPA + GUEST_CODE * 4096 + (test->in.rip - DIFF_CODE);
    uint8_t code[X86_MAX_INSN_LEN + 1];

    memset(code, 0xcc, sizeof(code));
    memcpy(code, test->bytes, test->insn.length);
    mem_write(vm, gpa, code, sizeof(code));
    guest_load_state(&vcpu->cpu, &test->in);
    /* state_put() would do, but it has the translator drop all that it knows: a millisecond each time. */
    x86_state_changed(&vcpu->cpu);
    machine_run(&in->machine, 0);
    vm->engine->state_get(vcpu);
    guest_store_state(&vcpu->cpu, out);
    take_frame(in, test, out);
    return false;
}

const struct model_ops interp_model = {
    .create = interp_create,
    .destroy = engine_destroy,
    .data = engine_data,
    .run = engine_run,
};

const struct model_ops bt_model = {
    .create = bt_create,
    .destroy = engine_destroy,
    .data = engine_data,
    .run = engine_run,
};
