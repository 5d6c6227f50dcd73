/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's questions about guest code: counters, samples, translations, instruction numbers. */
#include <string.h>

#include "core/hash.h"
#include "vmm/vmm.h"
#include "x86/mem.h"

/* ---- counters ---- */

/* Those of several vCPUs add up. */
static void add_counter(void *opaque, const char *group, const char *name, uint64_t value)
{
    json_t *groups = opaque, *members = json_object_get(groups, group);

    if (!members) {
        members = json_object();
        json_object_set_new(groups, group, members);
    }
    value += (uint64_t)json_integer_value(json_object_get(members, name));
    json_object_set_new(members, name, json_integer((json_int_t)(value & INT64_MAX)));
}

static void count_vcpu(void *opaque, struct vcpu *vcpu)
{
    vcpu->vm->engine->counters(vcpu, vcpu->index == 0, add_counter, opaque);
}

json_t *qmp_query_counters(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    json_t *groups = json_object();

    for (unsigned i = 0; vmm->vm.engine->counters && i < vmm->vm.vcpu_count; i++)
        vcpu_call(vmm->vm.vcpu[i], &(struct vcpu_call){.fn = count_vcpu, .opaque = groups});
    return json_pack("{s:s, s:o}", "engine", vmm->vm.engine->name, "counters", groups);
}

/* ---- samples ---- */

#define FRAMES_MAX 64

struct sample {
    bool halted;
    unsigned cpl, count;
    uint64_t frame[FRAMES_MAX]; /* innermost first: rip, then return addresses */
};

/* Guest memory as the vCPU sees it, without any effect on it. */
static bool peek(struct vcpu *vcpu, uint64_t lin, uint64_t *value)
{
    uint64_t gpa;

    return !(lin & 7) && x86_walk_quiet(&vcpu->cpu, lin, &gpa) && mem_read(vcpu->vm, gpa, value, 8) == 0;
}

/* Is there a CALL that would come back there? Code without frame pointers has anything in rBP. */
static bool behind_call(struct vcpu *vcpu, uint64_t back)
{
    static const uint8_t indirect[] = {2, 3, 4, 6, 7}; /* lengths of FF /2, without prefixes */
    uint8_t code[8];
    uint64_t gpa;

    if ((back & 4095) < 8 || !x86_walk_quiet(&vcpu->cpu, back - 8, &gpa) ||
        mem_read(vcpu->vm, gpa, code, sizeof(code)) < 0)
        return false;
    if (code[3] == 0xe8)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(indirect); i++) {
        if (code[8 - indirect[i]] == 0xff && (code[9 - indirect[i]] >> 3 & 7) == 2)
            return true;
    }
    return false;
}

/* Frame pointers, as far as they lead up the stack. */
static void walk_frames(struct vcpu *vcpu, struct sample *s)
{
    uint64_t at = vcpu->cpu.s.gpr[X86_RBP], low = vcpu->cpu.s.gpr[X86_RSP], next, back;

    while (s->count < FRAMES_MAX && at >= low && at - low < MIB(8) && peek(vcpu, at, &next) &&
           peek(vcpu, at + 8, &back) && behind_call(vcpu, back)) {
        s->frame[s->count++] = back;
        if (next <= at)
            break;
        low = at;
        at = next;
    }
}

static void take_sample(void *opaque, struct vcpu *vcpu)
{
    struct sample *s = opaque;
    struct x86_cpu *cpu = &vcpu->cpu;

    s->halted = cpu->s.activity != X86_ACT_RUN;
    s->cpl = (cpu->s.seg[X86_SS].attr & X86_SEG_DPL) >> 5;
    s->frame[0] = cpu->s.rip + cpu->s.seg[X86_CS].base;
    s->count = 1;
    if (cpu->s.efer & X86_EFER_LMA && cpu->s.seg[X86_CS].attr & X86_SEG_L)
        walk_frames(vcpu, s);
}

json_t *qmp_query_samples(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    json_t *list = json_array();

    for (unsigned i = 0; i < vmm->vm.vcpu_count; i++) {
        struct sample s = {0};
        json_t *frames = json_array();

        vcpu_call(vmm->vm.vcpu[i], &(struct vcpu_call){.fn = take_sample, .opaque = &s});
        for (unsigned n = 0; n < s.count; n++) {
            char text[24];

            snprintf(text, sizeof(text), "0x%llx", (unsigned long long)s.frame[n]);
            json_array_append_new(frames, json_string(text));
        }
        json_array_append_new(list, json_pack("{s:i, s:b, s:i, s:o}", "cpu-index", (int)i, "halted", s.halted,
                                              "cpl", (int)s.cpl, "frames", frames));
    }
    return list;
}

/* ---- translations ---- */

/* JSON's numbers end at 2^63: addresses may be text, too. */
static bool get_address(json_t *args, const char *name, uint64_t *value, struct error *err)
{
    const json_t *arg = json_object_get(args, name);
    const char *text = json_string_value(arg);
    char *end = NULL;

    errno = 0;
    if (json_is_integer(arg) && json_integer_value(arg) >= 0) {
        *value = (uint64_t)json_integer_value(arg);
        return true;
    }
    if (text && *text >= '0' && *text <= '9')
        *value = strtoull(text, &end, 0);
    if (end && !*end && !errno)
        return true;
    error_set(err, EINVAL, "Invalid parameter type for '%s', expected: a number, or one as a string", name);
    return false;
}

static void add_line(void *opaque, const char *text)
{
    json_array_append_new(opaque, control_text(text));
}

json_t *qmp_query_code(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    const struct engine_ops *engine = vmm->vm.engine;
    uint64_t address;
    json_t *lines;
    unsigned blocks;

    if (!get_address(args, "address", &address, err))
        return NULL;
    if (!engine->dump_code) {
        error_set(err, EINVAL, "the %s engine does not translate", engine->name);
        return NULL;
    }
    lines = json_array();
    blocks = engine->dump_code(&vmm->vm, address, add_line, lines);
    return json_pack("{s:i, s:o}", "blocks", (int)blocks, "lines", lines);
}

/* ---- instruction numbers ---- */

static void stopped(void *opaque, struct vm *vm)
{
    vm->icount.stop_at = ICOUNT_NEVER;
    vm_pause_here(vm);
}

void vmm_stop_at(struct vmm *vmm, uint64_t instructions)
{
    vmm->vm.icount.stop_at = instructions;
    vmm->vm.icount.on_stop = stopped;
}

struct stop {
    struct vmm *vmm;
    uint64_t at;
    bool past;
};

static void set_stop(void *opaque, struct vcpu *vcpu)
{
    struct stop *stop = opaque;

    stop->past = vcpu->cpu.instructions >= stop->at;
    if (!stop->past)
        vmm_stop_at(stop->vmm, stop->at);
}

json_t *qmp_stop_at(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    struct stop stop = {.vmm = vmm};

    if (!get_address(args, "instructions", &stop.at, err))
        return NULL;
    if (!vmm->vm.icount.on) {
        error_set(err, EINVAL, "instructions are counted with --icount only");
        return NULL;
    }
    vcpu_call(vmm->vm.vcpu[0], &(struct vcpu_call){.fn = set_stop, .opaque = &stop});
    if (stop.past)
        error_set(err, EINVAL, "instruction %llu has been executed already", (unsigned long long)stop.at);
    return NULL;
}

static json_t *hash_text(uint64_t hash)
{
    char text[24];

    snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
    return json_string(text);
}

json_t *qmp_query_icount(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    struct vm *vm = &vmm->vm;

    if (!vm->icount.on || vm->state == VM_RUNNING) {
        error_set(err, EINVAL,
                  vm->icount.on ? "the VM is running: stop it first"
                                : "instructions are counted with --icount only");
        return NULL;
    }
    return json_pack("{s:I, s:I, s:{s:o, s:o, s:o}}", "instructions",
                     (json_int_t)vm->vcpu[0]->cpu.instructions, "virtual-ns", (json_int_t)clock_now(vm),
                     "hash", "cpu", hash_text(vcpu_hash(vm->vcpu[0])), "devices",
                     hash_text(vm_hash_devices(vm)), "ram", hash_text(vm_hash_ram(vm)));
}
