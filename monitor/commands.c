/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that only a machine with many VMs has. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "monitor/monitor-internal.h"

#define LOG_LINES 40U

static struct monitor *monitor_of(struct control_call *call)
{
    return container_of(call->session->server, struct monitor, server);
}

struct control_target *monitor_find(struct monitor *m, const char *name, unsigned *number)
{
    struct control_target *target;

    for (unsigned i = 0; (target = m->config.ops->vm(m->config.host, i)); i++) {
        if (text_equal(target->name, name)) {
            *number = i;
            return target;
        }
    }
    return NULL;
}

void monitor_no_vm(struct monitor *m, const char *name, struct error *err)
{
    struct control_target *target;
    char names[200];
    size_t n = 0;

    for (unsigned i = 0; (target = m->config.ops->vm(m->config.host, i)); i++) {
        bool fits = n + text_length(target->name) + 8 < sizeof(names);

        n += fmt_print(names + n, sizeof(names) - n, "%s%s", i ? ", " : "", fits ? target->name : "...");
        if (!fits)
            break;
    }
    error_set(err, ENOENT, "There is no VM '%s'%s%s", name, n ? ": choose one of " : ", nor any other",
              n ? names : "");
}

/* The VM that the arguments name. NULL: none, and err says so. */
static struct control_target *named(struct control_call *call, unsigned *number)
{
    struct control_target *target;
    char name[64] = "";

    if (!control_arg_text(call, "vm", name, sizeof(name)))
        return NULL;
    target = monitor_find(monitor_of(call), name, number);
    if (!target)
        monitor_no_vm(monitor_of(call), name, call->err);
    return target;
}

/* ---- lists ---- */

static void put_times(struct json_writer *w, const struct monitor_vm_stats *s)
{
    json_add_uint(w, "up-ns", s->up_ns);
    json_add_uint(w, "run-ns", s->run_ns);
    json_add_uint(w, "wait-ns", s->wait_ns);
    json_add_uint(w, "starts", s->starts);
}

static void put_vm(struct control_call *call, struct control_target *target)
{
    const struct monitor_config *config = &monitor_of(call)->config;
    struct monitor_vm_stats s = {0};
    struct json_writer *w = call->out;

    config->ops->vm_stats(config->host, target, &s);
    json_open(w, '{');
    json_add_text(w, "vm", target->name);
    json_add_text(w, "state", s.state);
    json_add_uint(w, "vcpus", s.vcpus);
    json_add_uint(w, "memory", s.memory);
    put_times(w, &s);
    json_add_text(w, "why", s.why.code ? s.why.text : "");
    json_close(w, '{');
}

static void list_vms(struct control_call *call)
{
    const struct monitor_config *config = &monitor_of(call)->config;
    struct control_target *target;

    json_open(call->out, '[');
    for (unsigned i = 0; (target = config->ops->vm(config->host, i)); i++)
        put_vm(call, target);
    json_close(call->out, '[');
}

static void put_console(struct json_writer *w, struct console *c)
{
    json_open(w, '{');
    json_add_uint(w, "written", console_end(c));
    json_add_uint(w, "not-shown", c->unseen_all);
    json_close(w, '{');
}

static void statistics(struct control_call *call)
{
    struct monitor *m = monitor_of(call);
    const struct monitor_config *config = &m->config;
    struct monitor_vcpu_stats vcpu = {0};
    struct monitor_vm_stats vm = {0};
    struct json_writer *w = call->out;
    unsigned number;
    struct control_target *target = named(call, &number);

    if (!target)
        return;
    config->ops->vm_stats(config->host, target, &vm);
    json_open(w, '{');
    json_add_text(w, "vm", target->name);
    json_add_text(w, "state", vm.state);
    json_add_uint(w, "memory", vm.memory);
    json_add_uint(w, "memory-used", vm.memory_used);
    put_times(w, &vm);
    json_key(w, "console");
    put_console(w, &m->consoles[number]);
    json_key(w, "vcpus");
    json_open(w, '[');
    for (unsigned i = 0; config->ops->vcpu_stats(config->host, target, i, &vcpu); i++) {
        json_open(w, '{');
        json_add_uint(w, "vcpu", i);
        json_add_uint(w, "cpu", vcpu.cpu);
        json_add_uint(w, "run-ns", vcpu.run_ns);
        json_add_uint(w, "wait-ns", vcpu.wait_ns);
        json_close(w, '{');
    }
    json_close(w, '[');
    json_close(w, '{');
}

static void host(struct control_call *call)
{
    const struct monitor_config *config = &monitor_of(call)->config;
    struct monitor_host_stats s = {0};
    struct monitor_cpu_stats cpu = {0};
    struct json_writer *w = call->out;

    config->ops->host_stats(config->host, &s);
    json_open(w, '{');
    json_add_text(w, "version", config->package);
    json_add_text(w, "processor", s.processor ? s.processor : "");
    json_add_text(w, "engine", s.engine ? s.engine : "");
    json_add_uint(w, "up-ns", s.up_ns);
    json_add_uint(w, "memory", s.memory);
    json_add_uint(w, "memory-free", s.memory_free);
    json_add_uint(w, "memory-own", s.memory_own);
    json_add_uint(w, "run-ns", s.run_ns);
    json_key(w, "cpus");
    json_open(w, '[');
    for (unsigned i = 0; config->ops->cpu_stats(config->host, i, &cpu); i++) {
        json_open(w, '{');
        json_add_uint(w, "cpu", i);
        json_add_uint(w, "apic-id", cpu.apic_id);
        json_add_uint(w, "idle-ns", cpu.idle_ns);
        json_add_text(w, "running", cpu.running);
        json_close(w, '{');
    }
    json_close(w, '[');
    json_close(w, '{');
}

/* ---- logs ---- */

/* A reader of a log in pieces: a VM's console, or the hypervisor's own ring. */
struct source {
    struct monitor *m;
    struct console *console; /* NULL: the hypervisor */
    uint64_t position;
};

static size_t next_piece(struct source *s, char *buf, size_t size)
{
    const struct monitor_config *config = &s->m->config;

    return s->console ? console_read(s->console, &s->position, buf, size)
                      : config->ops->log(config->host, &s->position, buf, size);
}

/* Calls line() for each, the last one even if it has no end. Nobody who goes on writing keeps us here. */
static void each_line(struct source *s, void (*fn)(void *opaque, const struct line *line), void *opaque)
{
    struct line line = {0};
    size_t n, total = 0;
    char buf[256];

    while (total < 2 * CONSOLE_RING && (n = next_piece(s, buf, sizeof(buf)))) {
        total += n;
        for (size_t i = 0; i < n; i++) {
            enum line_result r = line_put(&line, (uint8_t)buf[i]);

            if (r == LINE_MORE)
                continue;
            fn(opaque, &line);
            line_clear(&line);
            i -= r == LINE_AGAIN;
        }
    }
    if (line.len)
        fn(opaque, &line);
}

struct lines {
    struct json_writer *out; /* NULL: only counts */
    uint64_t count, skip;
};

static void one_line(void *opaque, const struct line *line)
{
    struct lines *lines = opaque;

    if (lines->out && lines->count >= lines->skip)
        json_put_bytes(lines->out, line->text, line->len);
    lines->count++;
}

static void log_lines(struct control_call *call)
{
    struct monitor *m = monitor_of(call);
    struct lines all = {0}, some = {.out = call->out};
    uint64_t wanted = LOG_LINES;
    struct source source = {.m = m};
    unsigned number = 0;
    struct control_target *target = NULL;

    if (json_member(call->args, "vm").text && !(target = named(call, &number)))
        return;
    if (!control_arg_number(call, "lines", &wanted))
        return;
    source.console = target ? &m->consoles[number] : NULL;
    each_line(&(struct source){m, source.console, 0}, one_line, &all);
    some.skip = all.count > wanted ? all.count - wanted : 0;
    json_open(call->out, '{');
    if (target)
        json_add_text(call->out, "vm", target->name);
    json_key(call->out, "lines");
    json_open(call->out, '[');
    each_line(&source, one_line, &some);
    json_close(call->out, '[');
    json_close(call->out, '{');
}

/* ---- what happens to VMs ---- */

#define START_APPEND 2048 /* Linux's own limit */

static void start(struct control_call *call)
{
    const struct monitor_config *config = &monitor_of(call)->config;
    unsigned number;
    struct control_target *target = named(call, &number);
    char append[START_APPEND];
    bool given = json_member(call->args, "append").text;

    if (target && (!given || control_arg_text(call, "append", append, sizeof(append))))
        config->ops->start(config->host, target, given ? append : NULL, call->err);
}

static void stop(struct control_call *call)
{
    const struct monitor_config *config = &monitor_of(call)->config;
    bool force = false;
    unsigned number;
    struct control_target *target = named(call, &number);

    if (target && control_arg_bool(call, "force", &force))
        config->ops->stop(config->host, target, force, call->err);
}

static void dump(struct control_call *call)
{
    const struct monitor_config *config = &monitor_of(call)->config;
    unsigned number;
    struct control_target *target = named(call, &number);

    if (!target)
        return;
    if (config->ops->dump)
        config->ops->dump(config->host, target, call->out, call->err);
    else
        error_set(call->err, ENOTSUP, "This machine keeps no dumps of its VMs");
}

static void network(struct control_call *call)
{
    const struct monitor_config *config = &monitor_of(call)->config;

    if (config->ops->network)
        config->ops->network(config->host, call->out);
    else
        error_set(call->err, ENOTSUP, "This machine has no switch");
}

static void attach(struct control_call *call)
{
    unsigned number;

    if (named(call, &number))
        port_attach(container_of(call->session, struct port, session), &monitor_of(call)->consoles[number]);
}

static void poweroff(struct control_call *call)
{
    monitor_of(call)->config.ops->machine(monitor_of(call)->config.host, false);
}

static void reboot(struct control_call *call)
{
    monitor_of(call)->config.ops->machine(monitor_of(call)->config.host, true);
}

const struct control_command monitor_commands[] = {
    {"batuta-console-attach", "!vm", CONTROL_HOST, attach},
    {"batuta-dump", "!vm", CONTROL_HOST, dump},
    {"batuta-host", NULL, CONTROL_HOST, host},
    {"batuta-list-vms", NULL, CONTROL_HOST, list_vms},
    {"batuta-log", "vm lines", CONTROL_HOST, log_lines},
    {"batuta-network", NULL, CONTROL_HOST, network},
    {"batuta-poweroff", NULL, CONTROL_HOST, poweroff},
    {"batuta-reboot", NULL, CONTROL_HOST, reboot},
    {"batuta-start", "!vm append", CONTROL_HOST, start},
    {"batuta-statistics", "!vm", CONTROL_HOST, statistics},
    {"batuta-stop", "!vm force", CONTROL_HOST, stop},
    {NULL, NULL, CONTROL_HOST, NULL},
};

#define NAME "!vm", "", "NAME"

const struct control_word monitor_words[] = {
    {"attach", "batuta-console-attach", NAME, "give a VM this terminal; Ctrl-] leaves it", true},
    {"cont", "cont", NAME, "go on after pause", false},
    {"counters", "query-batuta-counters", NAME, "what the engine has counted", false},
    {"dump", "batuta-dump", NAME, "the VM's state when it crashed, or now", false},
    {"host", "batuta-host", "", "", "", "the machine, its processors and memory", false},
    {"kill", "batuta-stop", "!vm", "\"force\":true", "NAME", "pull a VM's plug", false},
    {"list", "batuta-list-vms", "", "", "", "the VMs", false},
    {"log", "batuta-log", "vm lines", "", "[NAME [LINES]]", "what a VM wrote last (none: the hypervisor)",
     false},
    {"net", "batuta-network", "", "", "", "the switch's ports, and what they dropped", false},
    {"pause", "stop", NAME, "stop the VM's processors and its time", false},
    {"poweroff", "batuta-poweroff", "", "", "", "shut all VMs down, then the machine", false},
    {"reboot", "batuta-reboot", "", "", "", "shut all VMs down, then restart the machine", false},
    {"reset", "system_reset", NAME, "press a VM's reset button", false},
    {"samples", "query-batuta-samples", NAME, "where a VM's processors are", false},
    {"start", "batuta-start", "!vm *append", "", "NAME [CMDLINE]", "switch a VM on", false},
    {"stats", "batuta-statistics", NAME, "a VM's use of the machine", false},
    {"stop", "batuta-stop", NAME, "press a VM's power button; it stays off", false},
    {NULL, NULL, NULL, NULL, NULL, NULL, false},
};
