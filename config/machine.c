/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/machine.h"

#include "base/text.h"
#include "boot/boot.h"
#include "config/parts.h"

static const char *const cpu_choices[] = {[CPU_V2] = "v2", [CPU_V3] = "v3", [CPU_HOST] = "host", NULL};
static const char *const format_choices[] = {[BOOT_AUTO] = "auto",
                                             [BOOT_LINUX] = "linux",
                                             [BOOT_MULTIBOOT1] = "multiboot1",
                                             [BOOT_MULTIBOOT2] = "multiboot2",
                                             [BOOT_PVH] = "pvh",
                                             [BOOT_ELF] = "elf",
                                             NULL};

static int initrd_cmdline(void *object, const char *value, const struct option_source *source,
                          struct error *err)
{
    return config_text(source->pool, &((struct machine_module *)object)->cmdline, value, err);
}

static int parse_initrd(void *object, const struct option *option, const char *value,
                        const struct option_source *source, struct error *err)
{
    static const struct part_desc desc[] = {{"cmdline", true, initrd_cmdline}};
    struct machine_config *machine = object;
    struct machine_module m = {0};
    struct parts p;
    int r;

    if (machine->initrd_count == MACHINE_MAX_INITRDS)
        return option_too_many(option, source, MACHINE_MAX_INITRDS, err);
    r = parts_split(&p, option, value, source, err);
    if (r < 0)
        return r;
    if (!*p.part[0])
        return error_set(err, EINVAL, "%s%s%s%s: names no file", source->dashes, option->name,
                         source->between, value);
    m.path = option_path(p.part[0], source);
    if (!m.path)
        return error_set(err, ENOMEM, "out of memory");
    r = parts_apply(&p, option, desc, ARRAY_SIZE(desc), &m, source, err);
    if (r == 0)
        machine->initrd[machine->initrd_count++] = m;
    return r;
}

#define AT(m) offsetof(struct machine_config, m)

static const struct option rows[] = {
    {.group = "What to start",
     .name = "kernel",
     .arg = "FILE",
     .help = "Linux bzImage, multiboot 1 or 2 kernel, PVH kernel or plain ELF file",
     .kind = OPTION_PATH,
     .offset = AT(kernel),
     .complete = "file"},
    {.name = "kernel-format",
     .arg = "FORMAT",
     .help = "auto, linux, multiboot1, multiboot2, pvh, elf (default: auto, from its content)",
     .kind = OPTION_CHOICE,
     .offset = AT(kernel_format),
     .choices = format_choices},
    {.name = "initrd",
     .arg = "FILE[,cmdline=TEXT]",
     .help =
         "initial RAM disk; may be repeated: further archives, or multiboot modules with their command lines",
     .kind = OPTION_CUSTOM,
     .parse = parse_initrd,
     .repeats = true,
     .complete = "file"},
    {.name = "append",
     .arg = "TEXT",
     .help = "the kernel's command line",
     .kind = OPTION_TEXT,
     .offset = AT(append)},

    {.group = "The machine",
     .name = "name",
     .arg = "NAME",
     .help = "what the VM is called in logs and over the control socket",
     .kind = OPTION_TEXT,
     .offset = AT(name)},
    {.name = "memory",
     .arg = "SIZE",
     .help = "RAM, in MiB or with K, M, G, T (default: 512M)",
     .kind = OPTION_SIZE,
     .offset = AT(memory),
     .min = MIB(1),
     .max = MEM_PCI64_BASE - MEM_HIGH_BASE},
    {.name = "cpus",
     .arg = "N",
     .help = "virtual processors, 1 to 64 (default: 1)",
     .kind = OPTION_UINT,
     .offset = AT(cpus),
     .min = 1,
     .max = VM_MAX_VCPUS},
    {.name = "cpu",
     .arg = "LEVEL",
     .help = "x86-64 level: v2, v3, host (default: v2)",
     .kind = OPTION_CHOICE,
     .offset = AT(cpu),
     .choices = cpu_choices},

    {.group = "Devices",
     .name = "rng",
     .arg = "on|off",
     .help = "virtio entropy device (default: on)",
     .kind = OPTION_BOOL,
     .offset = AT(rng),
     .complete = "on off"},
    {.name = "balloon",
     .arg = "on|off",
     .help = "virtio balloon, which gives free guest memory back (default: on)",
     .kind = OPTION_BOOL,
     .offset = AT(balloon),
     .complete = "on off"},
    {.name = "debug-exit",
     .arg = "PORT",
     .help = "a port (say 0xf4) that ends the VM: a written value makes the status (value << 1) | 1",
     .kind = OPTION_UINT,
     .offset = AT(debug_exit),
     .min = 1,
     .max = 0xffff},

    {.group = "Running it",
     .name = "no-reboot",
     .help = "end when the guest reboots or has a triple fault",
     .kind = OPTION_BOOL,
     .offset = AT(no_reboot)},
};

const struct option_table machine_options = {.rows = rows, .count = ARRAY_SIZE(rows)};

void machine_init(struct machine_config *machine)
{
    *machine = (struct machine_config){.memory = MIB(512), .cpus = 1, .rng = true, .balloon = true};
}

static bool name_is_good(const char *name)
{
    size_t len = text_length(name);

    for (const char *p = name; *p; p++) {
        if (text_find("/\n\t ", *p))
            return false;
    }
    return len >= 1 && len <= 64;
}

int machine_check(const struct machine_config *machine, const struct option_source *source, struct error *err)
{
    if (machine->memory % MIB(1))
        return error_set(err, EINVAL, "%smemory: %llu bytes are not a whole number of MiB", source->dashes,
                         (unsigned long long)machine->memory);
    if (machine->name && !name_is_good(machine->name))
        return error_set(err, EINVAL, "%sname%s%s: 1 to 64 characters without spaces and slashes",
                         source->dashes, source->between, machine->name);
    return 0;
}
