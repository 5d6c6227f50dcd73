/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's questions. */
#include <string.h>

#include "vmm/engines.h"
#include "vmm/vmm.h"

json_t *qmp_query_status(void *host, json_t *args, struct error *err)
{
    const struct vmm *vmm = host;
    static const char *const names[] = {
        [VM_PAUSED] = "paused", [VM_RUNNING] = "running", [VM_SHUTDOWN] = "shutdown"};
    bool prelaunch = vmm->vm.state == VM_PAUSED && !vmm->booted;

    return json_pack("{s:b, s:b, s:s}", "running", vmm->vm.state == VM_RUNNING, "singlestep", 0, "status",
                     prelaunch ? "prelaunch" : names[vmm->vm.state]);
}

static int thread_id(const struct vmm *vmm, unsigned i)
{
    return vmm->threads ? (int)__atomic_load_n(&vmm->threads[i].tid, __ATOMIC_RELAXED) : 0;
}

json_t *qmp_query_cpus_fast(void *host, json_t *args, struct error *err)
{
    const struct vmm *vmm = host;
    json_t *list = json_array();

    for (unsigned i = 0; i < vmm->vm.vcpu_count; i++) {
        char path[64];

        snprintf(path, sizeof(path), "/machine/cpu[%u]", i);
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:s, s:s, s:{s:i, s:i, s:i}}", "cpu-index", (int)i,
                                        "thread-id", thread_id(vmm, i), "qom-path", path, "target", "x86_64",
                                        "props", "core-id", (int)i, "thread-id", 0, "socket-id", 0));
    }
    return list;
}

static json_t *block_inserted(const struct vmm *vmm, unsigned i)
{
    const struct blk *blk = vmm->disk[i];
    const struct opt_disk *disk = &vmm->options.disk[i];

    return json_pack("{s:o, s:b, s:s, s:b, s:{s:o, s:s, s:I}}", "file", control_text(disk->path), "ro",
                     blk->read_only, "drv", blk->ops->name, "encrypted", 0, "image", "filename",
                     control_text(disk->path), "format", blk->ops->name, "virtual-size",
                     (json_int_t)blk->size);
}

json_t *qmp_query_block(void *host, json_t *args, struct error *err)
{
    const struct vmm *vmm = host;
    json_t *list = json_array();

    for (unsigned i = 0; i < vmm->options.disk_count; i++) {
        char name[16];

        if (!vmm->disk[i])
            continue;
        snprintf(name, sizeof(name), "disk%u", i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b, s:s, s:o}", "device", name, "qdev", name,
                                              "removable", 0, "locked", 0, "type", "unknown", "inserted",
                                              block_inserted(vmm, i)));
    }
    return list;
}

/* The engine's lines, as they are for people: an array for each vCPU, which stands still for it. */
json_t *qmp_statistics(void *host, json_t *args, struct error *err)
{
    struct vmm *vmm = host;
    bool running = vmm->vm.state == VM_RUNNING;
    json_t *list = json_array();

    vm_pause(&vmm->vm);
    for (unsigned i = 0; i < vmm->vm.vcpu_count; i++) {
        char text[1024], *rest = text, *line;
        json_t *lines = json_array();

        engine_statistics(vmm->vm.vcpu[i], text, sizeof(text));
        while ((line = strsep(&rest, "\n"))) {
            if (*line)
                json_array_append_new(lines, json_string(line));
        }
        json_array_append_new(list, lines);
    }
    if (running)
        vm_resume(&vmm->vm);
    return json_pack("{s:s, s:o}", "engine", vmm->vm.engine->name, "vcpus", list);
}

json_t *qmp_query_name(void *host, json_t *args, struct error *err)
{
    return json_pack("{s:o}", "name", control_text(((const struct vmm *)host)->vm.name));
}

json_t *qmp_query_version(void *host, json_t *args, struct error *err)
{
    return control_version();
}
