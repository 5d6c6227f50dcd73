/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's questions to engines that only the hosted program has: translations, instruction
 * numbers. */
#include <string.h>

#include "core/hash.h"
#include "vmm/engines.h"
#include "vmm/vmm.h"

/* ---- translations ---- */

static void add_line(void *opaque, const char *text)
{
    json_put_text(opaque, text);
}

void qmp_query_code(struct control_call *call)
{
    struct vm *vm = call->target->vm;
    uint64_t address = 0;
    unsigned blocks;

    if (!control_arg_number(call, "address", &address))
        return;
    if (!vm->engine->dump_code) {
        error_set(call->err, EINVAL, "the %s engine does not translate", vm->engine->name);
        return;
    }
    json_open(call->out, '{');
    json_key(call->out, "lines");
    json_open(call->out, '[');
    blocks = vm->engine->dump_code(vm, address, add_line, call->out);
    json_close(call->out, '[');
    json_add_uint(call->out, "blocks", blocks);
    json_close(call->out, '{');
}

/* The engine's lines, as they are for people: an array for each vCPU, which stands still for it. */
void qmp_statistics(struct control_call *call)
{
    struct vm *vm = call->target->vm;
    struct json_writer *w = call->out;
    bool running = vm->state == VM_RUNNING;

    vm_pause(vm);
    json_open(w, '{');
    json_add_text(w, "engine", vm->engine->name);
    json_key(w, "vcpus");
    json_open(w, '[');
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        char text[1024], *rest = text, *line;

        engine_statistics(vm->vcpu[i], text, sizeof(text));
        json_open(w, '[');
        while ((line = strsep(&rest, "\n"))) {
            if (*line)
                json_put_text(w, line);
        }
        json_close(w, '[');
    }
    json_close(w, '[');
    json_close(w, '{');
    if (running)
        vm_resume(vm);
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

void qmp_stop_at(struct control_call *call)
{
    struct stop stop = {.vmm = call->host};

    if (!control_arg_number(call, "instructions", &stop.at))
        return;
    if (!call->target->vm->icount.on) {
        error_set(call->err, EINVAL, "instructions are counted with --icount only");
        return;
    }
    vcpu_call(call->target->vm->vcpu[0], &(struct vcpu_call){.fn = set_stop, .opaque = &stop});
    if (stop.past)
        error_set(call->err, EINVAL, "instruction %llu has been executed already",
                  (unsigned long long)stop.at);
}

static void add_hash(struct json_writer *w, const char *name, uint64_t hash)
{
    json_key(w, name);
    json_put_format(w, "%016llx", (unsigned long long)hash);
}

void qmp_query_icount(struct control_call *call)
{
    struct vm *vm = call->target->vm;
    struct json_writer *w = call->out;

    if (!vm->icount.on || vm->state == VM_RUNNING) {
        error_set(call->err, EINVAL,
                  vm->icount.on ? "the VM is running: stop it first"
                                : "instructions are counted with --icount only");
        return;
    }
    json_open(w, '{');
    json_add_uint(w, "instructions", vm->vcpu[0]->cpu.instructions);
    json_add_uint(w, "virtual-ns", clock_now(vm));
    json_key(w, "hash");
    json_open(w, '{');
    add_hash(w, "cpu", vcpu_hash(vm->vcpu[0]));
    add_hash(w, "devices", vm_hash_devices(vm));
    add_hash(w, "ram", vm_hash_ram(vm));
    json_close(w, '{');
    json_close(w, '{');
}
