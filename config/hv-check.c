/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration held against a machine: what it has, and how much of it. */
#include "base/text.h"
#include "config/hv-config-internal.h"
#include "config/value.h"
#include "sched/sched.h"

struct admission;

struct check {
    struct hv_config *config;
    const struct hv_machine *machine;
    struct option_list list;     /* of a VM's keys */
    uint64_t memory;             /* of the VMs so far that start at boot, bytes */
    struct admission *admission; /* NULL: processors are unknown */
    unsigned admitted;
};

/* ---- modules ---- */

static const char *module_name(const void *list, size_t i)
{
    return ((const struct hv_module *)list)[i].name;
}

static int check_module(const struct check *c, const char *what, const char *name, struct error *err)
{
    const struct hv_machine *m = c->machine;
    const char *near;

    for (unsigned i = 0; i < m->module_count; i++) {
        if (text_equal(m->modules[i].name, name))
            return m->modules[i].size ? 0
                                      : error_set(err, EINVAL, "%s%s: the boot module is empty", what, name);
    }
    near = nearest_name(name, module_name, m->modules, m->module_count);
    if (near)
        return error_set(err, ENOENT, "%s%s: there is no boot module of this name: did you mean '%s'?", what,
                         name, near);
    return error_set(err, ENOENT, "%s%s: there is no boot module of this name: have the boot loader load it",
                     what, name);
}

static int check_modules(const struct check *c, const struct hv_vm *vm, unsigned *line, struct error *err)
{
    int r;

    if (!c->machine->modules_known)
        return 0;
    *line = hv_vm_line(vm, &c->list, "kernel");
    r = check_module(c, "kernel = ", vm->machine.kernel, err);
    if (r < 0)
        return r;
    *line = hv_vm_line(vm, &c->list, "initrd");
    for (unsigned i = 0; r == 0 && i < vm->machine.initrd_count; i++)
        r = check_module(c, "initrd = ", vm->machine.initrd[i].path, err);
    for (unsigned i = 0; r == 0 && i < vm->disk_count; i++) {
        *line = vm->disk[i].line;
        if (vm->disk[i].kind == HV_DISK_MODULE)
            r = check_module(c, "disk = module:", vm->disk[i].module, err);
    }
    return r;
}

/* ---- devices and processors ---- */

static int check_disks(const struct check *c, const struct hv_vm *vm, unsigned *line, struct error *err)
{
    for (unsigned i = 0; c->machine->devices_known && i < vm->disk_count; i++) {
        const struct hv_vm_disk *disk = &vm->disk[i];

        *line = disk->line;
        if (disk->kind == HV_DISK_VIRTIO && disk->index >= c->machine->disks)
            return error_set(err, ENODEV, "disk = virtio:%u: the machine has %u such disks, counted from 0",
                             disk->index, c->machine->disks);
    }
    return 0;
}

static int check_affinity(const struct check *c, const struct hv_vm *vm, unsigned *line, struct error *err)
{
    unsigned n = c->machine->processors;

    *line = hv_vm_line(vm, &c->list, "affinity");
    if (!n || n >= HV_MAX_PROCESSORS || !(vm->affinity >> n))
        return 0;
    return error_set(err, EINVAL, "affinity: names processor %u, the machine has 0 to %u",
                     63 - (unsigned)__builtin_clzll(vm->affinity), n - 1);
}

/* ---- what is promised ---- */

void hv_vm_sched(const struct hv_vm *vm, struct sched_params *params)
{
    *params = (struct sched_params){
        .shares = (uint32_t)vm->shares,
        .cap = (uint32_t)vm->cap,
        .reservation = (uint32_t)vm->reservation,
        .budget = vm->budget,
        .period = vm->period,
        .affinity = vm->affinity ? &vm->affinity : NULL,
    };
}

/* The scheduler itself, on processors that never run: it admits here what it does at boot. */
struct admission {
    struct sched sched;
    struct sched_queue *queue[HV_MAX_PROCESSORS], queues[HV_MAX_PROCESSORS];
    struct sched_group own, group[HV_MAX_VMS];
};

static void nothing(struct sched_queue *queue)
{
}

static int admission_init(struct check *c, struct error *err)
{
    static const struct sched_hooks hooks = {nothing, nothing, nothing};
    static const struct sched_params own = SCHED_OWN_PARAMS;
    struct admission *a;

    if (!c->machine->processors)
        return 0;
    a = c->config->pool.alloc(sizeof(*a));
    if (!a)
        return error_set(err, ENOMEM, "no memory to see whether the VMs' time can be promised");
    for (unsigned i = 0; i < HV_MAX_PROCESSORS; i++) {
        a->queues[i] = (struct sched_queue){0};
        a->queue[i] = &a->queues[i];
    }
    sched_init(&a->sched, a->queue, MIN(c->machine->processors, (unsigned)HV_MAX_PROCESSORS), &hooks);
    c->admission = a;
    return sched_group_init(&a->sched, &a->own, &own, err);
}

/* The key that the scheduler complains of. */
static const char *key_of(const struct error *err)
{
    static const char *const keys[] = {"shares", "cap", "reservation", "affinity", "realtime"};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (text_begins(err->text, keys[i]))
            return keys[i];
    }
    return "";
}

static int check_time(struct check *c, const struct hv_vm *vm, unsigned *line, struct error *err)
{
    struct admission *a = c->admission;
    struct sched_params params;
    int r;

    if (!a)
        return 0;
    hv_vm_sched(vm, &params);
    r = sched_group_init(&a->sched, &a->group[c->admitted], &params, err);
    if (r < 0)
        *line = hv_vm_line(vm, &c->list, key_of(err));
    else
        c->admitted++;
    return r;
}

/* ---- memory ---- */

#define BASE_MEMORY MIB(2)
#define CPU_MEMORY  KIB(64)
#define NET_MEMORY  KIB(640) /* half a MiB of frames that wait for it */
#define DISK_MEMORY MIB(2)   /* its requests */

uint64_t hv_vm_memory(const struct hv_vm *vm, uint64_t (*module_size)(const void *opaque, const char *name),
                      const void *opaque)
{
    uint64_t sum = vm->machine.memory + vm->machine.memory / 256 + BASE_MEMORY +
                   vm->machine.cpus * CPU_MEMORY + vm->net_count * NET_MEMORY + vm->disk_count * DISK_MEMORY;

    for (unsigned i = 0; i < vm->disk_count; i++) {
        const struct hv_vm_disk *disk = &vm->disk[i];
        uint64_t size = disk->kind == HV_DISK_RAMDISK  ? disk->size
                        : disk->kind == HV_DISK_MODULE ? module_size(opaque, disk->module)
                                                       : 0;

        sum += size / 512 + (disk->read_only ? 0 : size); /* with the lists of their pieces */
    }
    return sum;
}

static uint64_t module_size(const void *opaque, const char *name)
{
    const struct hv_machine *m = opaque;

    for (unsigned i = 0; i < m->module_count; i++) {
        if (text_equal(m->modules[i].name, name))
            return m->modules[i].size;
    }
    return 0;
}

static int check_memory(const struct check *c, const struct hv_vm *vm, uint64_t *need, unsigned *line,
                        struct error *err)
{
    uint64_t left = c->machine->memory - MIN(c->machine->memory, vm->autostart ? c->memory : 0);

    *need = hv_vm_memory(vm, module_size, c->machine);
    *line = hv_vm_line(vm, &c->list, "memory");
    if (!c->machine->memory || *need <= left)
        return 0;
    return error_set(
        err, ENOMEM,
        "memory: %llu MiB are needed, with RAM disks and tables; of %llu MiB for VMs %llu are left: "
        "give it less, or autostart = off to another one",
        (unsigned long long)((*need + MIB(1) - 1) >> 20), (unsigned long long)(c->machine->memory >> 20),
        (unsigned long long)(left >> 20));
}

static int check_vm(struct check *c, const struct hv_vm *vm, unsigned *line, struct error *err)
{
    uint64_t memory;
    int r = check_modules(c, vm, line, err);

    r = r < 0 ? r : check_disks(c, vm, line, err);
    r = r < 0 ? r : check_affinity(c, vm, line, err);
    r = r < 0 ? r : check_memory(c, vm, &memory, line, err);
    r = r < 0 ? r : check_time(c, vm, line, err);
    if (r == 0 && vm->autostart)
        c->memory += memory;
    return r;
}

void hv_config_check(struct hv_config *config, const struct hv_machine *machine, hv_report_fn *report,
                     void *opaque)
{
    const struct hv_reporter to = {config, report, opaque};
    struct check c = {.config = config, .machine = machine};
    struct error err = {0};

    option_list_make(&c.list, &hv_vm_options);
    if (admission_init(&c, &err) < 0)
        hv_mistake(&to, 0, NULL, &err);
    for (unsigned i = 0; i < config->vm_count;) {
        unsigned line = 0;

        err.code = 0;
        if (check_vm(&c, config->vm[i], &line, &err) < 0) {
            hv_mistake(&to, line, config->vm[i]->machine.name, &err);
            hv_leave_out(config, i);
        } else {
            i++;
        }
    }
    for (unsigned i = 0; machine->devices_known && i < HV_MAX_NICS; i++) {
        err.code = 0;
        if (!config->nic[i].line || i < machine->nics)
            continue;
        error_set(&err, ENODEV, "[nic %u]: the machine has %u network cards, counted from 0", i,
                  machine->nics);
        hv_mistake(&to, config->nic[i].line, NULL, &err);
    }
    if (c.admission)
        config->pool.free(c.admission);
}
