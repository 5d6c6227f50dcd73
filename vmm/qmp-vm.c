/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hosted program's VM for the control socket, its own commands, and the list of all. */
#include "vmm/vmm.h"

static struct vmm *vmm_of(struct control_target *target)
{
    return container_of(target, struct vmm, target);
}

static bool started(struct control_target *target)
{
    return vmm_of(target)->booted;
}

static void powerdown(struct control_target *target)
{
    lifecycle_powerdown(vmm_of(target));
}

static int thread_id(struct control_target *target, unsigned vcpu)
{
    const struct vmm *vmm = vmm_of(target);

    return vmm->threads ? (int)__atomic_load_n(&vmm->threads[vcpu].tid, __ATOMIC_RELAXED) : 0;
}

static bool disk(struct control_target *target, unsigned i, struct control_disk *disk)
{
    const struct vmm *vmm = vmm_of(target);

    if (i >= vmm->options.disk_count)
        return false;
    *disk = (struct control_disk){.file = vmm->options.disk[i].path, .blk = vmm->disk[i]};
    return true;
}

const struct control_target_ops qmp_target_ops = {
    .started = started,
    .powerdown = powerdown,
    .thread_id = thread_id,
    .disk = disk,
};

static void save(struct control_call *call)
{
    struct vmm *vmm = call->host;
    bool running = vmm->vm.state == VM_RUNNING;
    char file[4096] = "";

    if (!control_arg_text(call, "file", file, sizeof(file)))
        return;
    if (!*file) {
        error_set(call->err, EINVAL, "Invalid parameter type for 'file', expected: string");
        return;
    }
    if (vmm->vm.state == VM_SHUTDOWN) {
        error_set(call->err, EINVAL, "The guest is off");
        return;
    }
    vm_pause(&vmm->vm);
    vmm_save(vmm, file, call->err);
    if (running)
        vm_resume(&vmm->vm);
}

static const struct control_command own_commands[] = {
    {"batuta-stop-at", "!instructions", CONTROL_LIVE, qmp_stop_at},
    {"query-batuta-code", "!address", CONTROL_LIVE, qmp_query_code},
    {"query-batuta-icount", NULL, CONTROL_LIVE, qmp_query_icount},
    {"x-batuta-save", "!file", CONTROL_LIVE, save},
    {"x-batuta-statistics", NULL, CONTROL_LIVE, qmp_statistics},
    {NULL, NULL, CONTROL_HOST, NULL},
};

const struct control_command *const qmp_commands[] = {control_vm_commands, own_commands, NULL};
