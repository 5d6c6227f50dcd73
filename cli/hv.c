/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/hv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"
#include "config/hv-config.h"
#include "config/value.h"

#define USAGE       2
#define MAX_MODULES 256U

static const char hv_text[] =
    "Usage: batuta hv check FILE [OPTION…]\n"
    "Looks through a configuration of batuta-hv, the type-1 hypervisor, and says what is wrong with it, as\n"
    "the hypervisor does at boot.\n"
    "\n"
    "  --modules DIR    the folder's files are the boot modules: are those there that it names?\n"
    "  --memory SIZE    the machine's memory: do the VMs that start at boot fit in?\n"
    "  --cpus N         the machine's processors: are those there that it names, and their time not "
    "promised\n"
    "                   twice?\n"
    "  --json           print the VMs and the mistakes as one object\n"
    "\n"
    "Exit status: 0 all is well, 1 something is wrong, 2 wrong usage. See batuta-hv(1).\n";

struct hv_args {
    const char *file, *modules;
    uint64_t memory;
    unsigned cpus;
    bool json;
};

/* ---- arguments ---- */

static int complain(const char *word, const char *why)
{
    fprintf(stderr, "batuta hv: %s%s%s\n", word, *word ? ": " : "", why);
    return USAGE;
}

static int set_option(struct hv_args *args, const char *option, const char *value)
{
    uint64_t v = 0;

    if (!strcmp(option, "--modules")) {
        args->modules = value;
    } else if (!strcmp(option, "--memory")) {
        if (value_size(value, &args->memory) < 0 || !args->memory)
            return complain(option, "not a size: say 2048M or 2G");
    } else {
        if (value_uint(value, HV_MAX_PROCESSORS, &v) < 0 || !v)
            return complain(option, "must be 1 to 64");
        args->cpus = (unsigned)v;
    }
    return 0;
}

static int parse(struct hv_args *args, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            args->json = true;
        } else if (!strcmp(argv[i], "--modules") || !strcmp(argv[i], "--memory") ||
                   !strcmp(argv[i], "--cpus")) {
            if (i + 1 == argc)
                return complain(argv[i], "a value is missing");
            if (set_option(args, argv[i], argv[i + 1]))
                return USAGE;
            i++;
        } else if (argv[i][0] == '-') {
            return complain(argv[i], "there is no such option: see batuta hv --help");
        } else if (args->file) {
            return complain(argv[i], "only one file can be checked at a time");
        } else {
            args->file = argv[i];
        }
    }
    return args->file ? 0 : complain("", "name the file to check: batuta hv check FILE");
}

/* ---- the file, the modules ---- */

/* One byte more than a configuration has, so that a larger one is seen to be. */
static ssize_t read_whole(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(text, 1, size, f) : 0;
    int code = !f || ferror(f) ? errno : 0;

    if (f)
        fclose(f);
    if (!code)
        return (ssize_t)len;
    fprintf(stderr, "batuta hv: %s: cannot be %s: %s\n", path, f ? "read" : "opened", strerror(code));
    return -1;
}

struct modules {
    struct hv_module module[MAX_MODULES];
    unsigned count;
    uint64_t bytes;
};

static int add_module(struct modules *m, int folder, const char *path, const char *name)
{
    struct stat st;

    if (fstatat(folder, name, &st, 0) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (m->count == MAX_MODULES) {
        fprintf(stderr, "batuta hv: --modules %s: has more than %u files\n", path, MAX_MODULES);
        return -1;
    }
    m->module[m->count].name = strdup(name);
    m->module[m->count].size = (uint64_t)st.st_size;
    if (!m->module[m->count].name)
        return -1;
    m->count++;
    m->bytes += (uint64_t)st.st_size;
    return 0;
}

static int list_modules(struct modules *m, const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int r = 0;

    if (!folder) {
        fprintf(stderr, "batuta hv: --modules %s: cannot be opened: %s\n", path, strerror(errno));
        return -1;
    }
    while (r == 0 && (entry = readdir(folder)))
        r = add_module(m, dirfd(folder), path, entry->d_name);
    closedir(folder);
    return r;
}

static void free_modules(struct modules *m)
{
    for (unsigned i = 0; i < m->count; i++)
        free((char *)(uintptr_t)m->module[i].name);
}

/* ---- what is said ---- */

static void print_mistake(void *opaque, const struct hv_report *report)
{
    fprintf(stderr, "%s\n", report->text);
}

static void keep_mistake(void *opaque, const struct hv_report *report)
{
    json_t *o =
        json_pack("{s:i,s:s?,s:s}", "line", (int)report->line, "vm", report->vm, "text", report->text);

    if (!o) /* not UTF-8 */
        o = json_pack("{s:i,s:n,s:s}", "line", (int)report->line, "vm", "text", "the line is not UTF-8 text");
    json_array_append_new(opaque, o);
}

static void print_json(const struct hv_config *config, json_t *mistakes)
{
    json_t *vms = json_array(), *all;

    for (unsigned i = 0; i < config->vm_count; i++) {
        const struct hv_vm *vm = config->vm[i];

        json_array_append_new(vms, json_pack("{s:s,s:I,s:I,s:i,s:i,s:b}", "name", vm->machine.name, "memory",
                                             (json_int_t)vm->machine.memory, "cpus",
                                             (json_int_t)vm->machine.cpus, "disks", (int)vm->disk_count,
                                             "networks", (int)vm->net_count, "autostart", vm->autostart));
    }
    all = json_pack("{s:o,s:i,s:O}", "vms", vms, "left-out", (int)config->left_out, "mistakes", mistakes);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(all);
}

static void print_text(const struct hv_config *config)
{
    for (unsigned i = 0; i < config->vm_count; i++) {
        const struct hv_vm *vm = config->vm[i];

        printf("%-16s %6llu MiB  %2llu vCPUs  %u disks  %u networks%s\n", vm->machine.name,
               (unsigned long long)(vm->machine.memory >> 20), (unsigned long long)vm->machine.cpus,
               vm->disk_count, vm->net_count, vm->autostart ? "" : "  not started at boot");
    }
    if (config->left_out)
        printf("%u VM%s left out\n", config->left_out, config->left_out == 1 ? " is" : "s are");
}

/* ---- the check ---- */

static int check_text(const struct hv_args *args, const struct modules *modules, const char *text, size_t len)
{
    struct hv_machine machine = {.processors = args->cpus,
                                 .modules = modules->module,
                                 .module_count = modules->count,
                                 .modules_known = args->modules};
    uint64_t taken = HV_OWN_MEMORY + modules->bytes;
    json_t *mistakes = json_array();
    hv_report_fn *report = args->json ? keep_mistake : print_mistake;
    struct hv_config config;
    int r = hv_config_read(&config, args->file, text, len, malloc, free, report, mistakes);

    if (args->memory)
        machine.memory = args->memory > taken ? args->memory - taken : 1; /* 0 is unknown */
    if (r == 0)
        hv_config_check(&config, &machine, report, mistakes);
    if (r == 0 && args->json)
        print_json(&config, mistakes);
    else if (r == 0)
        print_text(&config);
    if (r < 0)
        fputs("batuta hv: out of memory\n", stderr);
    r = r < 0 || config.mistakes ? 1 : 0;
    hv_config_finish(&config);
    json_decref(mistakes);
    return fflush(stdout) ? 1 : r;
}

static int check(const struct hv_args *args)
{
    size_t size = CONFIG_FILE_MAX + 1;
    struct modules *modules = calloc(1, sizeof(*modules));
    char *text = malloc(size);
    ssize_t len = modules && text ? read_whole(args->file, text, size) : -1;
    int r = 1;

    if (len >= 0 && (!args->modules || list_modules(modules, args->modules) == 0))
        r = check_text(args, modules, text, (size_t)len);
    if (modules)
        free_modules(modules);
    free(modules);
    free(text);
    return r;
}

int cmd_hv(int argc, char **argv)
{
    struct hv_args args = {0};

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(hv_text, stdout);
            return fflush(stdout) ? 1 : 0;
        }
    }
    if (argc < 2) {
        fputs(hv_text, stderr);
        return USAGE;
    }
    if (strcmp(argv[1], "check"))
        return complain(argv[1], "there is no such command: say batuta hv check FILE");
    return parse(&args, argc - 2, argv + 2) ? USAGE : check(&args);
}
