/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that need nothing but the VM: each means the same in every program that has VMs. */
#include "base/fmt.h"
#include "control/control-internal.h"
#include "core/blk.h"

/* ---- questions ---- */

static void query_status(struct control_call *call)
{
    static const char *const names[] = {
        [VM_PAUSED] = "paused", [VM_RUNNING] = "running", [VM_SHUTDOWN] = "shutdown"};
    struct control_target *t = call->target;
    enum vm_run_state state = t->vm ? t->vm->state : VM_SHUTDOWN;
    bool prelaunch = state == VM_PAUSED && !t->ops->started(t);

    json_open(call->out, '{');
    json_add_bool(call->out, "running", state == VM_RUNNING);
    json_add_bool(call->out, "singlestep", false);
    json_add_text(call->out, "status", prelaunch ? "prelaunch" : names[state]);
    json_close(call->out, '{');
}

static void query_cpus_fast(struct control_call *call)
{
    struct control_target *t = call->target;
    struct json_writer *w = call->out;

    json_open(w, '[');
    for (unsigned i = 0; i < t->vm->vcpu_count; i++) {
        json_open(w, '{');
        json_add_uint(w, "cpu-index", i);
        json_key(w, "thread-id");
        json_put_int(w, t->ops->thread_id ? t->ops->thread_id(t, i) : 0);
        json_key(w, "qom-path");
        json_put_format(w, "/machine/cpu[%u]", i);
        json_add_text(w, "target", "x86_64");
        json_key(w, "props");
        json_open(w, '{');
        json_add_uint(w, "core-id", i);
        json_add_uint(w, "thread-id", 0);
        json_add_uint(w, "socket-id", 0);
        json_close(w, '{');
        json_close(w, '{');
    }
    json_close(w, '[');
}

static void put_inserted(struct json_writer *w, const struct control_disk *disk)
{
    const struct blk *blk = disk->blk;

    json_open(w, '{');
    json_add_text(w, "file", disk->file);
    json_add_bool(w, "ro", blk->read_only);
    json_add_text(w, "drv", blk->ops->name);
    json_add_bool(w, "encrypted", false);
    json_key(w, "image");
    json_open(w, '{');
    json_add_text(w, "filename", disk->file);
    json_add_text(w, "format", blk->ops->name);
    json_add_uint(w, "virtual-size", blk->size);
    json_close(w, '{');
    json_close(w, '{');
}

static void query_block(struct control_call *call)
{
    struct json_writer *w = call->out;
    struct control_disk disk;

    json_open(w, '[');
    for (unsigned i = 0; call->target->ops->disk(call->target, i, &disk); i++) {
        char name[16];

        if (!disk.blk)
            continue;
        fmt_print(name, sizeof(name), "disk%u", i);
        json_open(w, '{');
        json_add_text(w, "device", name);
        json_add_text(w, "qdev", name);
        json_add_bool(w, "removable", false);
        json_add_bool(w, "locked", false);
        json_add_text(w, "type", "unknown");
        json_key(w, "inserted");
        put_inserted(w, &disk);
        json_close(w, '{');
    }
    json_close(w, '[');
}

static void query_name(struct control_call *call)
{
    json_open(call->out, '{');
    json_add_text(call->out, "name", call->target->name);
    json_close(call->out, '{');
}

static void query_version(struct control_call *call)
{
    control_put_version(call->out, call->session->server);
}

/* ---- what happens to it ---- */

static void stop(struct control_call *call)
{
    vm_pause(call->target->vm);
}

static void cont(struct control_call *call)
{
    struct vm *vm = call->target->vm;

    if (vm->state == VM_SHUTDOWN)
        error_set(call->err, EINVAL, "The guest is off");
    vm_resume(vm);
}

static void system_powerdown(struct control_call *call)
{
    if (call->target->vm->state != VM_SHUTDOWN)
        call->target->ops->powerdown(call->target);
}

static void system_reset(struct control_call *call)
{
    vm_request_reset(call->target->vm, false);
}

static void quit(struct control_call *call)
{
    vm_request_shutdown(call->target->vm, VM_SHUTDOWN_HOST);
}

const struct control_command control_vm_commands[] = {
    {"cont", NULL, CONTROL_LIVE, cont},
    {"query-batuta-counters", NULL, CONTROL_LIVE, control_query_counters},
    {"query-batuta-registers", NULL, CONTROL_LIVE, control_query_registers},
    {"query-batuta-samples", NULL, CONTROL_LIVE, control_query_samples},
    {"query-block", NULL, CONTROL_LIVE, query_block},
    {"query-cpus-fast", NULL, CONTROL_LIVE, query_cpus_fast},
    {"query-name", NULL, CONTROL_VM, query_name},
    {"query-status", NULL, CONTROL_VM, query_status},
    {"query-version", NULL, CONTROL_HOST, query_version},
    {"quit", NULL, CONTROL_LIVE, quit},
    {"stop", NULL, CONTROL_LIVE, stop},
    {"system_powerdown", NULL, CONTROL_LIVE, system_powerdown},
    {"system_reset", NULL, CONTROL_LIVE, system_reset},
    {NULL, NULL, CONTROL_HOST, NULL},
};
