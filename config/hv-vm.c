/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a [vm NAME] section beside those of any machine. */
#include "base/text.h"
#include "config/hv-config-internal.h"
#include "config/parts.h"
#include "config/value.h"
#include "sched/sched-types.h"

#define DISK_MAX GIB(1024 * 1024)
#define DAY      86400U

/* ---- disk ---- */

static int disk_ro(void *object, const char *value, const struct option_source *source, struct error *err)
{
    ((struct hv_vm_disk *)object)->read_only = true;
    return 0;
}

static int disk_serial(void *object, const char *value, const struct option_source *source, struct error *err)
{
    return part_serial(&((struct hv_vm_disk *)object)->serial, value, source, err);
}

static int slice_size(uint64_t *slot, const char *key, const struct hv_vm_disk *disk, const char *value,
                      struct error *err)
{
    if (disk->kind != HV_DISK_VIRTIO)
        return error_set(err, EINVAL, "%s: is for virtio:N, a slice of which is meant", key);
    if (value_size(value, slot) < 0 || *slot > DISK_MAX || *slot % MIB(1))
        return error_set(err, EINVAL, "%s=%s: not a size of whole MiB: say %s=1G", key, value, key);
    return 0;
}

static int disk_offset(void *object, const char *value, const struct option_source *source, struct error *err)
{
    struct hv_vm_disk *disk = object;

    return slice_size(&disk->offset, "offset", disk, value, err);
}

static int disk_size(void *object, const char *value, const struct option_source *source, struct error *err)
{
    struct hv_vm_disk *disk = object;
    int r = slice_size(&disk->size, "size", disk, value, err);

    return r == 0 && !disk->size
               ? error_set(err, EINVAL, "size=%s: leave it out for the rest of the disk", value)
               : r;
}

static int disk_kind(struct hv_vm_disk *disk, const char *word, struct error *err)
{
    uint64_t v = 0;

    if (text_begins(word, "module:") && word[7]) {
        disk->kind = HV_DISK_MODULE;
        disk->module = word + 7;
    } else if (text_begins(word, "ramdisk:")) {
        disk->kind = HV_DISK_RAMDISK;
        if (value_size(word + 8, &v) < 0 || !v || v > DISK_MAX || v % MIB(1))
            return error_set(err, EINVAL, "disk = %s: not a size of whole MiB: say ramdisk:64M", word);
        disk->size = v;
    } else if (text_begins(word, "virtio:")) {
        disk->kind = HV_DISK_VIRTIO;
        if (value_uint(word + 7, 63, &v) < 0)
            return error_set(err, EINVAL, "disk = %s: not a number of the host's disks: say virtio:0", word);
        disk->index = (unsigned)v;
    } else {
        return error_set(err, EINVAL, "disk: there is no '%s': say module:NAME, ramdisk:SIZE or virtio:N",
                         word);
    }
    return 0;
}

static int parse_disk(void *object, const struct option *option, const char *value,
                      const struct option_source *source, struct error *err)
{
    static const struct part_desc desc[] = {{"ro", false, disk_ro},
                                            {"serial", true, disk_serial},
                                            {"offset", true, disk_offset},
                                            {"size", true, disk_size}};
    struct hv_vm *vm = object;
    struct hv_vm_disk disk = {.line = source->line};
    struct parts p;
    int r;

    if (vm->disk_count == HV_MAX_DISKS)
        return option_too_many(option, source, HV_MAX_DISKS, err);
    r = parts_split(&p, option, value, source, err);
    r = r < 0 ? r : disk_kind(&disk, p.part[0], err);
    r = r < 0 ? r : parts_apply(&p, option, desc, ARRAY_SIZE(desc), &disk, source, err);
    if (r == 0)
        vm->disk[vm->disk_count++] = disk;
    return r;
}

/* ---- console ---- */

static int parse_console(void *object, const struct option *option, const char *value,
                         const struct option_source *source, struct error *err)
{
    struct hv_vm *vm = object;

    if (vm->console_count == HV_MAX_CONSOLES)
        return option_too_many(option, source, HV_MAX_CONSOLES, err);
    if (!text_equal(value, "none") && !text_equal(value, "monitor"))
        return error_set(err, EINVAL, "console: there is no '%s': say monitor or none", value);
    vm->console[vm->console_count++] =
        (struct hv_vm_console){.kind = text_equal(value, "none") ? HV_CONSOLE_NONE : HV_CONSOLE_MONITOR};
    return 0;
}

/* ---- processors' time ---- */

static int parse_percent(void *object, const struct option *option, const char *value,
                         const struct option_source *source, struct error *err)
{
    uint64_t v = 0;

    if (hv_percent(value, &v) < 0 || !v || v > 1000 * HV_MAX_PROCESSORS)
        return error_set(err, EINVAL, "%s = %s: not a part of a processor's time: say 50%% (two: 200%%)",
                         option->name, value);
    *(uint64_t *)(void *)((char *)object + option->offset) = v;
    return 0;
}

static int parse_affinity(void *object, const struct option *option, const char *value,
                          const struct option_source *source, struct error *err)
{
    uint8_t bits[HV_MAX_PROCESSORS / 8] = {0};
    struct hv_vm *vm = object;
    int r = hv_ranges(value, ',', HV_MAX_PROCESSORS, bits);

    if (r == -ERANGE)
        return error_set(err, EINVAL, "affinity = %s: processors are 0 to %d", value, HV_MAX_PROCESSORS - 1);
    if (r < 0)
        return error_set(err, EINVAL, "affinity = %s: not a list of processors like 0,2-3", value);
    vm->affinity = 0;
    for (unsigned i = 0; i < HV_MAX_PROCESSORS; i++)
        vm->affinity |= (uint64_t)(bits[i / 8] >> i % 8 & 1) << i;
    return 0;
}

static int parse_realtime(void *object, const struct option *option, const char *value,
                          const struct option_source *source, struct error *err)
{
    struct hv_vm *vm = object;
    uint64_t budget, period;

    if (hv_budget(value, &budget, &period) < 0)
        return error_set(err, EINVAL, "realtime = %s: not of the form BUDGET/PERIOD: say 2ms/10ms", value);
    if (period < SCHED_RT_PERIOD_MIN || period > SCHED_RT_PERIOD_MAX)
        return error_set(err, EINVAL, "realtime = %s: the period must be 500us to 1s", value);
    if (budget < SCHED_RT_BUDGET_MIN || budget > period)
        return error_set(err, EINVAL, "realtime = %s: the budget must be 50us to the period", value);
    vm->budget = budget;
    vm->period = period;
    return 0;
}

/* ---- restart ---- */

static int restart_number(unsigned *slot, const char *name, const char *value, unsigned max,
                          struct error *err)
{
    uint64_t v = 0;

    if (value_uint(value, max, &v) < 0 || !v)
        return error_set(err, EINVAL, "%s=%s: must be 1 to %u", name, value, max);
    *slot = (unsigned)v;
    return 0;
}

static int restart_max(void *object, const char *value, const struct option_source *source, struct error *err)
{
    return restart_number(&((struct hv_vm *)object)->restart_max, "max", value, HV_MAX_RESTARTS, err);
}

static int restart_within(void *object, const char *value, const struct option_source *source,
                          struct error *err)
{
    return restart_number(&((struct hv_vm *)object)->restart_seconds, "within", value, DAY, err);
}

static int parse_restart(void *object, const struct option *option, const char *value,
                         const struct option_source *source, struct error *err)
{
    static const char *const choices[] = {[HV_RESTART_NEVER] = "never",
                                          [HV_RESTART_ON_CRASH] = "on-crash",
                                          [HV_RESTART_ALWAYS] = "always",
                                          NULL};
    static const struct part_desc desc[] = {{"max", true, restart_max}, {"within", true, restart_within}};
    struct hv_vm *vm = object;
    struct parts p;
    int r = parts_split(&p, option, value, source, err), choice;

    if (r < 0)
        return r;
    choice = value_choice("restart", p.part[0], choices, err);
    if (choice < 0)
        return -EINVAL;
    vm->restart = choice;
    return parts_apply(&p, option, desc, ARRAY_SIZE(desc), vm, source, err);
}

/* ---- the table ---- */

#define AT(m) offsetof(struct hv_vm, m)

static const struct option rows[] = {
    {.group = "Devices",
     .name = "disk",
     .before = "rng",
     .arg = "module:NAME|ramdisk:SIZE|virtio:N[,offset=SIZE][,size=SIZE][,ro][,serial=TEXT]",
     .help = "a virtio disk: a boot module, memory, or a disk of the host; may be repeated",
     .kind = OPTION_CUSTOM,
     .parse = parse_disk,
     .repeats = true},
    {.name = "net",
     .before = "rng",
     .arg = "switch[,vlan=N][,trunk][,vlans=N+N-N][,mac=…][,ip=ADDRESS][,any-mac][,router][,dhcp-server]"
            "[,flood=N]|none",
     .help = "a virtio network card at the switch; may be repeated",
     .kind = OPTION_CUSTOM,
     .parse = hv_parse_net,
     .repeats = true},
    {.name = "console",
     .before = "rng",
     .arg = "monitor|none",
     .help = "where ttyS0 is (default: monitor)",
     .kind = OPTION_CUSTOM,
     .parse = parse_console},
    {.group = "Time of the processors",
     .name = "shares",
     .arg = "N",
     .help = "time in proportion to other VMs', 1 to 10000 (default: 100)",
     .kind = OPTION_UINT,
     .offset = AT(shares),
     .min = 1,
     .max = 10000},
    {.name = "cap",
     .arg = "N%",
     .help = "never more time than so much of a processor (default: no cap)",
     .kind = OPTION_CUSTOM,
     .parse = parse_percent,
     .offset = AT(cap)},
    {.name = "reservation",
     .arg = "N%",
     .help = "at least so much of a processor, if it wants it",
     .kind = OPTION_CUSTOM,
     .parse = parse_percent,
     .offset = AT(reservation)},
    {.name = "affinity",
     .arg = "N,N-N",
     .help = "the processors that it may run on (default: all)",
     .kind = OPTION_CUSTOM,
     .parse = parse_affinity},
    {.name = "realtime",
     .arg = "BUDGET/PERIOD",
     .help = "this time of every period, whatever others want: 2ms/10ms",
     .kind = OPTION_CUSTOM,
     .parse = parse_realtime},
    {.group = "Its life",
     .name = "restart",
     .arg = "never|on-crash|always[,max=N][,within=SECONDS]",
     .help = "when it ends (default: on-crash,max=5,within=60)",
     .kind = OPTION_CUSTOM,
     .parse = parse_restart},
    {.name = "watchdog",
     .arg = "SECONDS",
     .help = "reset it if its watchdog is not fed for so long (default: 0, no watchdog)",
     .kind = OPTION_UINT,
     .offset = AT(watchdog),
     .max = DAY},
    {.name = "autostart",
     .arg = "on|off",
     .help = "start it with the hypervisor (default: on)",
     .kind = OPTION_BOOL,
     .offset = AT(autostart)},
};

const struct option_table hv_vm_options = {.rows = rows, .count = ARRAY_SIZE(rows), .base = &machine_options};

_Static_assert(offsetof(struct hv_vm, machine) == 0, "the machine's rows have its own offsets");

void hv_vm_init(struct hv_vm *vm)
{
    *vm = (struct hv_vm){.shares = 100,
                         .restart = HV_RESTART_ON_CRASH,
                         .restart_max = 5,
                         .restart_seconds = 60,
                         .autostart = true};
    machine_init(&vm->machine);
}

unsigned hv_vm_line(const struct hv_vm *vm, const struct option_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_equal(list->row[i]->name, key) && vm->key_line[i])
            return vm->key_line[i];
    }
    return vm->line;
}

static int check_module_name(const char *key, const char *name, struct error *err)
{
    if (text_find(name, '/') || text_find(name, ' '))
        return error_set(err, EINVAL, "%s = %s: is a boot module's name, not a path: leave its folders out",
                         key, name);
    if (text_length(name) > HV_MAX_MODULE)
        return error_set(err, EINVAL, "%s = %.20s…: a boot module's name has at most %d characters", key,
                         name, HV_MAX_MODULE);
    return 0;
}

static int check_module_names(const struct hv_vm *vm, const struct option_list *list, unsigned *line,
                              struct error *err)
{
    int r;

    *line = hv_vm_line(vm, list, "kernel");
    r = check_module_name("kernel", vm->machine.kernel, err);
    if (r < 0)
        return r;
    *line = hv_vm_line(vm, list, "initrd");
    for (unsigned i = 0; r == 0 && i < vm->machine.initrd_count; i++)
        r = check_module_name("initrd", vm->machine.initrd[i].path, err);
    for (unsigned i = 0; r == 0 && i < vm->disk_count; i++) {
        *line = vm->disk[i].line;
        r = vm->disk[i].module ? check_module_name("disk", vm->disk[i].module, err) : 0;
    }
    return r;
}

int hv_vm_check(const struct hv_vm *vm, const struct option_list *list, const struct option_source *source,
                unsigned *line, struct error *err)
{
    *line = vm->line;
    if (!vm->machine.kernel)
        return error_set(err, EINVAL, "nothing to start: name a boot module with kernel = NAME");
    if (check_module_names(vm, list, line, err) < 0)
        return -EINVAL;
    *line = hv_vm_line(vm, list, "memory");
    if (machine_check(&vm->machine, source, err) < 0)
        return -EINVAL;
    *line = hv_vm_line(vm, list, "realtime");
    if (vm->budget && (vm->cap || vm->reservation))
        return error_set(err, EINVAL,
                         "realtime: promises time by its budget: remove the cap and the reservation");
    *line = hv_vm_line(vm, list, "reservation");
    if (vm->cap && vm->reservation > vm->cap)
        return error_set(err, EINVAL, "reservation: is more than the cap, and would never be had");
    return 0;
}
