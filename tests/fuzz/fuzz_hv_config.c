/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor's configuration: any bytes end in VMs and mistakes, each of these
 * one line, and no more of either than there may be; twice the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "config/hv-config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hash_report(void *opaque, const struct hv_report *report)
{
    uint64_t *h = opaque;

    if (strchr(report->text, '\n'))
        abort();
    *h = hash_bytes(*h, report->text, strlen(report->text));
}

static void look(const struct hv_config *config, uint64_t *h)
{
    if (config->vm_count > HV_MAX_VMS)
        abort();
    for (unsigned i = 0; i < config->vm_count; i++) {
        const struct hv_vm *vm = config->vm[i];

        if (!vm->machine.kernel || !vm->console_count || vm->disk_count > HV_MAX_DISKS ||
            vm->net_count > HV_MAX_NETS || vm->console_count > HV_MAX_CONSOLES ||
            vm->machine.memory % MIB(1) || strlen(vm->machine.name) > HV_MAX_NAME || vm->budget > vm->period)
            abort();
        *h = hash_bytes(*h, vm->machine.kernel, strlen(vm->machine.kernel));
        for (unsigned j = 0; j < vm->net_count; j++) {
            if (!vm->net[j].has_mac || vm->net[j].mac[0] & 1)
                abort();
            *h = hash_bytes(*h, vm->net[j].mac, 6);
        }
    }
}

static uint64_t read_once(const uint8_t *data, size_t size)
{
    static const struct hv_module modules[] = {{"k", 1}, {"vmlinuz", 1000}, {"none", 0}};
    const struct hv_machine machine = {.memory = GIB(4),
                                       .processors = 3,
                                       .modules = modules,
                                       .module_count = ARRAY_SIZE(modules),
                                       .modules_known = size & 1,
                                       .devices_known = size & 2};
    struct hv_config config;
    uint64_t h = HASH_BEGIN;

    if (hv_config_read(&config, "fuzz", (const char *)data, size, malloc, free, hash_report, &h) < 0)
        abort();
    if (config.mistakes > HV_MAX_MISTAKES + 1 + HV_MAX_VMS)
        abort();
    look(&config, &h);
    hv_config_check(&config, &machine, hash_report, &h);
    look(&config, &h);
    hv_config_finish(&config);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);

    memcpy(exact, data, size);
    if (read_once(exact, size) != read_once(exact, size))
        abort();
    free(exact);
    return 0;
}
