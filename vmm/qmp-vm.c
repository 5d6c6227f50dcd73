/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's commands that act on the VM, and the list of all commands. */
#include "vmm/vmm.h"

static json_t *stop(void *host, json_t *args, struct error *err)
{
    vm_pause(&((struct vmm *)host)->vm);
    return NULL;
}

static json_t *cont(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;

    if (vmm->vm.state == VM_SHUTDOWN)
        error_set(err, EINVAL, "The guest is off");
    vm_resume(&vmm->vm);
    return NULL;
}

static json_t *system_powerdown(void *host, json_t *args, struct error *err)
{
    lifecycle_powerdown(host);
    return NULL;
}

static json_t *system_reset(void *host, json_t *args, struct error *err)
{
    vm_request_reset(&((struct vmm *)host)->vm, false);
    return NULL;
}

static json_t *quit(void *host, json_t *args, struct error *err)
{
    vm_request_shutdown(&((struct vmm *)host)->vm, VM_SHUTDOWN_HOST);
    return NULL;
}

static json_t *save(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    const char *file = json_string_value(json_object_get(args, "file"));
    bool running = vmm->vm.state == VM_RUNNING;

    if (!file || !*file) {
        error_set(err, EINVAL, "Invalid parameter type for 'file', expected: string");
        return NULL;
    }
    if (vmm->vm.state == VM_SHUTDOWN) {
        error_set(err, EINVAL, "The guest is off");
        return NULL;
    }
    vm_pause(&vmm->vm);
    vmm_save(vmm, file, err);
    if (running)
        vm_resume(&vmm->vm);
    return NULL;
}

const struct qmp_command qmp_commands[] = {
    {"batuta-stop-at", "!instructions", qmp_stop_at},
    {"cont", NULL, cont},
    {"query-batuta-code", "!address", qmp_query_code},
    {"query-batuta-counters", NULL, qmp_query_counters},
    {"query-batuta-icount", NULL, qmp_query_icount},
    {"query-batuta-samples", NULL, qmp_query_samples},
    {"query-block", NULL, qmp_query_block},
    {"query-cpus-fast", NULL, qmp_query_cpus_fast},
    {"query-name", NULL, qmp_query_name},
    {"query-status", NULL, qmp_query_status},
    {"query-version", NULL, qmp_query_version},
    {"quit", NULL, quit},
    {"stop", NULL, stop},
    {"system_powerdown", NULL, system_powerdown},
    {"system_reset", NULL, system_reset},
    {"x-batuta-save", "!file", save},
    {"x-batuta-statistics", NULL, qmp_statistics},
    {NULL, NULL, NULL},
};
