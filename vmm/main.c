/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * batuta-vmm: one virtual machine as a process. The only file that knows every
 * part: it makes them from the options, in the order of the list in build(), and
 * takes them down in reverse.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/board.h"
#include "vmm/boot-file.h"
#include "vmm/engines.h"
#include "vmm/perf-map.h"
#include "vmm/vmm.h"

/* ---- parts ---- */

static int open_log(struct vmm *vmm, struct error *err)
{
    const char *path = vmm->options.log;

    if (!path)
        return 0;
    vmm->plat.log = fopen(path, "ae");
    return vmm->plat.log ? 0 : error_set(err, errno, "--log %s: cannot be opened: %s", path, strerror(errno));
}

static int make_loop(struct vmm *vmm, struct error *err)
{
    vmm->loop = loop_create(err);
    if (!vmm->loop)
        return -err->code;
    plat_linux_init(&vmm->plat, vmm->loop, &vmm->vm);
    return 0;
}

/* Before anything that is slow or visible: most mistakes are in here. */
static int open_kernel(struct vmm *vmm, struct error *err)
{
    const struct machine_config *m = &vmm->options.machine;
    struct boot_module_config modules[MACHINE_MAX_INITRDS];
    struct boot_config config = {
        .protocol = (enum boot_protocol)m->kernel_format,
        .kernel = m->kernel,
        .append = m->append,
        .modules = modules,
        .module_count = m->initrd_count,
    };

    for (unsigned i = 0; i < m->initrd_count; i++)
        modules[i] = (struct boot_module_config){.path = m->initrd[i].path, .cmdline = m->initrd[i].cmdline};
    return boot_open_files(&vmm->boot, &vmm->plat.plat, &config, err);
}

/* Like the kernel it may be a pipe that keeps us waiting, for as long as signals still end the program. */
static int open_state(struct vmm *vmm, struct error *err)
{
    const char *path = vmm->options.load;

    vmm->load_fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    if (path && vmm->load_fd < 0)
        return error_set(err, errno, "--load %s: cannot be opened: %s", path, strerror(errno));
    return 0;
}

static void emit_trace(void *opaque, enum trace_event event, const char *text)
{
    const struct vmm *vmm = opaque;
    uint64_t us = loop_now(vmm->loop) / 1000;
    FILE *file = vmm->plat.log ? vmm->plat.log : stderr;

    if (log_has_room(file, 0))
        fprintf(file, "%llu.%06llu %s: %s\n", (unsigned long long)(us / 1000000),
                (unsigned long long)(us % 1000000), trace_name(event), text);
}

static void set_traces(struct vmm *vmm)
{
    struct trace *trace = &vmm->vm.trace;

    trace->emit = emit_trace;
    trace->opaque = vmm;
    for (unsigned i = 0; i < vmm->options.trace_count; i++) {
        if (!strcmp(vmm->options.trace[i], "all"))
            trace->mask = BIT64(TRACE_COUNT) - 1;
        else
            trace_enable(trace, vmm->options.trace[i]);
    }
}

static void on_reset(void *opaque, struct vm *vm)
{
    struct vmm *vmm = opaque;
    struct error err = {0};

    if (board_without_firmware(vmm, &err) == 0 && boot_load(vmm->boot, vm, &err) == 0)
        return;
    if (vmm->booted) {
        vm_log(vm, LOG_ERROR, "the guest cannot boot again: %s", err.text);
        vm_request_shutdown(vm, VM_SHUTDOWN_ERROR);
    } else {
        vmm->boot_error = err;
    }
}

static int make_vm(struct vmm *vmm, struct error *err)
{
    const struct run_options *o = &vmm->options;
    const struct machine_config *m = &o->machine;
    struct vm_config config = {
        .name = m->name ? m->name : "vm", .ram_size = m->memory, .vcpus = (unsigned)m->cpus};
    int r = host_ram_init(&vmm->ram, m->memory, err);

    if (r < 0)
        return r;
    config.ram = vmm->ram.base;
    r = vm_init(&vmm->vm, &vmm->plat.plat, &config, err);
    if (r < 0)
        return r;
    vmm->vm_made = true;
    vmm->vm.mem.discard = host_ram_discard;
    vmm->vm.mem.discard_opaque = &vmm->ram;
    vmm->vm.no_reboot = m->no_reboot;
    vmm->vm.code_cache = o->code_cache;
    vmm->vm.on_event = lifecycle_on_event;
    vmm->vm.on_event_opaque = vmm;
    vmm->vm.on_reset_opaque = vmm;
    set_traces(vmm);
    if (o->perf_map) {
        vmm->perf_map = perf_map_create(o->guest_symbols, err);
        if (!vmm->perf_map)
            return -err->code;
        vmm->vm.code_listener = perf_map_listener(vmm->perf_map);
    }
    return o->icount ? icount_enable(&vmm->vm, o->icount_seed, err) : 0;
}

static int make_cpus(struct vmm *vmm, struct error *err)
{
    static const enum x86_cpu_level levels[] = {
        [CPU_V2] = X86_CPU_V2, [CPU_V3] = X86_CPU_V3, [CPU_HOST] = X86_CPU_HOST};
    struct error slower = {0};
    const struct engine_ops *engine = engine_choose(vmm->options.engine, vmm->options.icount, &slower, err);
    struct x86_cpuid_config config = {
        .level = levels[vmm->options.machine.cpu],
        .vcpus = vmm->vm.vcpu_count,
        .tsc_khz = vmm->vm.clock.tsc_khz,
    };
    int r;

    if (!engine)
        return -err->code;
    vm_trace(&vmm->vm, ENGINE, "%s%s", engine->name,
             vmm->options.engine == ENGINE_AUTO ? ", chosen by --engine auto" : "");
    if (slower.code)
        vm_log(&vmm->vm, LOG_WARN, "the guest will be slow: it is interpreted, not translated: %s",
               slower.text);
    if (vmm->options.perf_map && !engine->dump_code)
        return error_set(err, EINVAL,
                         "--perf-map: the %s engine, which was chosen, does not translate: say --engine bt",
                         engine->name);
    config.software_engine = !engine->own_tsc;
    r = x86_cpuid_build(&vmm->vm.cpuid, &config, err);
    r = r < 0 ? r : vm_engine_init(&vmm->vm, engine, err);
    return r < 0 ? r : vcpu_threads_create(&vmm->threads, &vmm->vm, err);
}

static struct chardev *make_console(struct vmm *vmm, unsigned i, struct error *err)
{
    const struct opt_console *c = &vmm->options.console[i];
    const struct console_host host = {.loop = vmm->loop,
                                      .patient = vmm->options.icount,
                                      .escape = lifecycle_escape,
                                      .lost = lifecycle_console_lost,
                                      .opaque = vmm};
    char path[128];
    struct chardev *chardev = NULL;

    switch ((enum opt_console_kind)c->kind) {
    case CONSOLE_STDIO:
        chardev = console_stdio_create(&host, err);
        break;
    case CONSOLE_PTY:
        chardev = console_pty_create(&host, path, sizeof(path), err);
        if (chardev)
            fprintf(stderr, "batuta: console %u is at %s\n", i, path);
        break;
    case CONSOLE_UNIX:
        chardev = console_unix_create(&host, c->path, err);
        break;
    case CONSOLE_FILE:
        chardev = console_file_create(&host, c->path, err);
        break;
    case CONSOLE_NONE:
        chardev = console_null_create(err);
        break;
    }
    error_prefix(err, "--console");
    return chardev;
}

static int make_consoles(struct vmm *vmm, struct error *err)
{
    struct run_options *o = &vmm->options;
    const struct console_host host = {
        .loop = vmm->loop, .patient = vmm->options.icount, .lost = lifecycle_console_lost, .opaque = vmm};

    if (!o->console_count)
        o->console[o->console_count++] = (struct opt_console){.kind = CONSOLE_STDIO};
    for (unsigned i = 0; i < o->console_count; i++) {
        vmm->console[i] = make_console(vmm, i, err);
        if (!vmm->console[i])
            return -err->code;
    }
    if (o->debugcon) {
        vmm->debugcon = console_file_create(&host, o->debugcon, err);
        error_prefix(err, "--debugcon");
        if (!vmm->debugcon)
            return -err->code;
    }
    return 0;
}

static int make_control(struct vmm *vmm, struct error *err)
{
    const struct control_config config = {
        .loop = vmm->loop,
        .plat = &vmm->plat.plat,
        .commands = qmp_commands,
        .target = &vmm->target,
        .host = vmm,
    };

    if (!vmm->options.control)
        return 0;
    vmm->target = (struct control_target){.name = vmm->vm.name, .vm = &vmm->vm, .ops = &qmp_target_ops};
    vmm->control = control_create(&config, err);
    return vmm->control ? control_listen(vmm->control, vmm->options.control, err) : -err->code;
}

/* Power-on, or the saved state; lock held. */
static int power_on(struct vmm *vmm, struct error *err)
{
    int r = 0;

    if (!vmm->options.load) {
        vmm->vm.on_reset = on_reset;
        vm_reset(&vmm->vm);
        if (vmm->boot_error.code)
            r = error_set(err, vmm->boot_error.code, "%s", vmm->boot_error.text);
    } else {
        vm_reset(&vmm->vm);
        r = vmm_load(vmm, err);
        boot_ram_used(vmm->boot);
        vmm->vm.on_reset = on_reset;
    }
    vmm_save_arm(vmm);
    if (vmm->options.stop_at)
        vmm_stop_at(vmm, vmm->options.stop_at);
    return r;
}

static int build(struct vmm *vmm, struct error *err)
{
    static int (*const steps[])(struct vmm * vmm, struct error * err) = {
        make_loop, open_log,  open_kernel,   open_state, lifecycle_init,
        make_vm,   make_cpus, make_consoles, board_make, make_control,
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
        r = steps[i](vmm, err);
    return r;
}

/* ---- the run ---- */

static void greet(const struct vmm *vmm)
{
    const struct opt_console *first = &vmm->options.console[0];

    if (first->kind == CONSOLE_STDIO && isatty(STDIN_FILENO) && terminal_is_ours(STDIN_FILENO))
        fprintf(stderr,
                "batuta: the guest's console is this terminal; Ctrl-] then q quits, Ctrl-] then ? helps\n");
}

static int run(struct vmm *vmm, struct error *err)
{
    int r;

    vm_lock(&vmm->vm);
    r = power_on(vmm, err);
    r = r < 0 ? r : vcpu_threads_start(vmm->threads, &vmm->vm, err);
    if (r == 0) {
        greet(vmm);
        vmm->booted = true;
        if (!vmm->options.paused)
            vm_resume(&vmm->vm);
    } else {
        vm_request_shutdown(&vmm->vm, VM_SHUTDOWN_ERROR); /* for the threads that did start */
    }
    vm_unlock(&vmm->vm);
    if (r == 0)
        loop_run(vmm->loop);
    vcpu_threads_join(vmm->threads, &vmm->vm);
    return r;
}

/* The vCPUs have ended. */
static void trace_statistics(struct vmm *vmm)
{
    for (unsigned i = 0; i < vmm->vm.vcpu_count; i++) {
        char text[1024], *rest = text, *line;

        engine_statistics(vmm->vm.vcpu[i], text, sizeof(text));
        while ((line = strsep(&rest, "\n"))) {
            if (*line)
                vm_trace(&vmm->vm, ENGINE, "vCPU %u: %s", i, line);
        }
    }
}

static void tear_down(struct vmm *vmm)
{
    control_destroy(vmm->control);
    if (vmm->vm_made)
        vm_finish(&vmm->vm);
    perf_map_destroy(vmm->perf_map);
    board_finish(vmm);
    for (unsigned i = 0; i < OPT_MAX_CONSOLES; i++)
        console_close(vmm->console[i]);
    console_close(vmm->debugcon);
    free(vmm->threads);
    boot_close(vmm->boot);
    host_ram_finish(&vmm->ram);
    if (vmm->loop)
        loop_unwatch(vmm->loop, &vmm->signals);
    if (vmm->signals.fd > 0)
        close(vmm->signals.fd);
    loop_destroy(vmm->loop);
    if (vmm->plat.log)
        fclose(vmm->plat.log);
}

static int complain(const struct error *err, int status)
{
    fprintf(stderr, "batuta: %s\n", err->text);
    return status;
}

static int run_vm(struct vmm *vmm)
{
    struct error err = {0};
    int r = build(vmm, &err), status;

    r = r < 0 ? r : run(vmm, &err);
    if (r == 0)
        trace_statistics(vmm);
    status = r < 0 ? STATUS_ERROR : lifecycle_status(vmm);
    tear_down(vmm);
    if (r < 0)
        return complain(&err, status);
    lifecycle_farewell(vmm);
    return status;
}

/* ---- the program ---- */

/* A closed standard descriptor would be taken by the next file that is opened, and written to. */
static void open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static bool wants_trace_list(const struct run_options *o)
{
    for (unsigned i = 0; i < o->trace_count; i++) {
        if (!strcmp(o->trace[i], "help"))
            return true;
    }
    return false;
}

static void print_traces(void)
{
#define PRINT(id, name, help) printf("%-12s %s\n", name, help);
    TRACE_EVENTS(PRINT)
#undef PRINT
}

/* Options that ask for a text instead of a VM. False: none does. */
static bool answer(const struct run_options *o)
{
    if (o->help)
        options_print_help(stdout);
    else if (o->version)
        puts("batuta " BATUTA_VERSION);
    else if (o->completion)
        options_print_completion(stdout);
    else if (wants_trace_list(o))
        print_traces();
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct vmm *vmm;
    struct error err = {0};
    int status, r;

    open_standard_descriptors();
    signal(SIGXFSZ, SIG_IGN); /* past ulimit -f a write fails, as on a full disk */
    if (argc > 1 && !strcmp(argv[1], "--doctor"))
        return doctor(argc - 2, argv + 2);
    vmm = calloc(1, sizeof(*vmm));
    if (!vmm)
        return STATUS_ERROR;
    options_init(&vmm->options);
    r = options_parse(&vmm->options, argc - 1, argv + 1, &err);
    if (r == 0 && answer(&vmm->options)) {
        status = fflush(stdout) ? STATUS_ERROR : STATUS_OFF;
    } else {
        r = r < 0 ? r : options_check(&vmm->options, &err);
        if (r < 0)
            status = complain(&err, r == -EINVAL ? STATUS_USAGE : STATUS_ERROR);
        else
            status = run_vm(vmm);
    }
    options_finish(&vmm->options);
    free(vmm);
    return status;
}
