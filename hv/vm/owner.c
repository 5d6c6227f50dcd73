/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs and the machine, as the monitor shows and commands them. */
#include "base/fmt.h"
#include "dev/timer/pm.h"
#include "hv/cpu/cpu.h"
#include "hv/drv/host-virtio.h"
#include "hv/drv/ramdisk.h"
#include "hv/hv.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "monitor/monitor.h"

#define NS_PER_S 1000000000ULL
#define GRACE_S  30U /* that VMs have to power off when the machine ends */

static struct guest *guest_of(struct control_target *target)
{
    return container_of(target, struct guest, target);
}

/* ---- one VM ---- */

static bool target_started(struct control_target *target)
{
    return target->vm;
}

static void target_powerdown(struct control_target *target)
{
    pm_power_button(target->vm);
}

static bool target_disk(struct control_target *target, unsigned i, struct control_disk *disk)
{
    struct guest *g = guest_of(target);
    const struct hv_vm_disk *c = &g->config->disk[i];

    if (i >= g->config->disk_count)
        return false;
    disk->blk = g->disk[i];
    disk->file = c->kind == HV_DISK_MODULE ? c->module : c->kind == HV_DISK_RAMDISK ? "ramdisk" : "virtio";
    return true;
}

const struct control_target_ops guest_target_ops = {
    .started = target_started,
    .powerdown = target_powerdown,
    .disk = target_disk,
};

static struct control_target *op_vm(void *host, unsigned i)
{
    struct hv *hv = host;

    return i < hv->guest_count ? &hv->guest[i]->target : NULL;
}

static void op_acquire(void *host, struct control_target *target)
{
    target->vm = guest_get(guest_of(target));
    if (target->vm)
        vm_lock(target->vm);
}

static void op_release(void *host, struct control_target *target)
{
    if (!target->vm)
        return;
    vm_unlock(target->vm);
    target->vm = NULL;
    guest_put(guest_of(target));
}

static int op_start(void *host, struct control_target *target, const char *append, struct error *err)
{
    return guest_start(guest_of(target), append, err);
}

static int op_stop(void *host, struct control_target *target, bool force, struct error *err)
{
    return guest_stop(guest_of(target), force, err);
}

static int op_dump(void *host, struct control_target *target, struct json_writer *out, struct error *err)
{
    return guest_dump(guest_of(target), out, err);
}

static void op_vm_stats(void *host, struct control_target *target, struct monitor_vm_stats *s)
{
    struct guest *g = guest_of(target);
    uint64_t run = 0, wait = 0;
    const char *state = guest_state_name(g);

    sched_group_times(&g->group, time_now(), &run, &wait);
    spin_lock(&g->lock);
    *s = (struct monitor_vm_stats){
        .state = state,
        .why = g->failure,
        .vcpus = (unsigned)g->config->machine.cpus,
        .memory = g->config->machine.memory,
        .memory_used = __atomic_load_n(&g->plat.account.used, __ATOMIC_RELAXED),
        .up_ns = g->state == GUEST_ON ? time_now() - g->started : 0,
        .run_ns = run,
        .wait_ns = wait,
        .starts = g->starts,
    };
    spin_unlock(&g->lock);
}

static bool op_vcpu_stats(void *host, struct control_target *target, unsigned i, struct monitor_vcpu_stats *s)
{
    struct guest *g = guest_of(target);
    struct vm *vm = guest_get(g);
    bool is = vm && i < vm->vcpu_count;

    if (is) {
        sched_entity_times(&g->vcpu_thread[i]->entity, time_now(), &s->run_ns, &s->wait_ns);
        s->cpu = g->vcpu_thread[i]->entity.cpu;
    }
    if (vm)
        guest_put(g);
    return is;
}

/* ---- the machine ---- */

static void op_machine(void *host, bool reboot)
{
    struct hv *hv = host;

    hv->reboot = reboot;
    hv->ending = time_now() + GRACE_S * NS_PER_S;
    for (unsigned i = 0; i < hv->guest_count; i++)
        if (guest_stop(hv->guest[i], false, NULL) == -EBUSY)
            (void)guest_stop(hv->guest[i], true, NULL);
}

/* The monitor's thread, when the machine ends. */
static void end_when_off(struct hv *hv)
{
    bool off = true;

    for (unsigned i = 0; i < hv->guest_count; i++)
        off &= hv->guest[i]->state == GUEST_OFF;
    if (!off && time_now() < hv->ending)
        return;
    hv_log(LOG_INFO, hv->reboot ? "restarting the machine" : "switching the machine off");
    if (hv->reboot)
        machine_reset();
    machine_off();
}

/* RAM, and what was written to RAM disks. */
static uint64_t guests_bytes(const struct hv *hv)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < hv->guest_count; i++) {
        const struct guest *g = hv->guest[i];

        sum += __atomic_load_n(&g->ram, __ATOMIC_RELAXED) ? g->config->machine.memory : 0;
        for (unsigned k = 0; k < HV_MAX_DISKS; k++)
            sum += g->ramdisk[k] ? ramdisk_bytes(g->ramdisk[k]) : 0;
    }
    return sum;
}

static void op_host_stats(void *host, struct monitor_host_stats *s)
{
    struct hv *hv = host;
    uint64_t now = time_now(), run[2], wait;

    sched_group_times(&hv_group, now, &run[0], &wait);
    sched_group_times(&hv->net_group, now, &run[1], &wait);
    *s = (struct monitor_host_stats){
        .processor = hv->processor,
        .engine = hv->engine_name,
        .up_ns = now,
        .run_ns = run[0] + run[1],
        .memory = page_total_bytes(),
        .memory_free = page_free_bytes(),
        .memory_own = memory_fixed + page_total_bytes() - page_free_bytes() - guests_bytes(hv),
    };
}

static bool op_cpu_stats(void *host, unsigned i, struct monitor_cpu_stats *s)
{
    if (i >= cpu_count)
        return false;
    *s = (struct monitor_cpu_stats){.apic_id = cpus[i]->metal.apic_id, .idle_ns = cpus[i]->idle_ns};
    if (__atomic_load_n(&cpus[i]->current, __ATOMIC_RELAXED) == cpus[i]->idle)
        fmt_print(s->running, sizeof(s->running), "idle");
    else
        thread_running(cpus[i], s->running);
    return true;
}

/* "mac=3 full=20": what was dropped for which reason. */
static uint64_t drops_text(const struct switch_stats *s, char *buf, size_t size)
{
    uint64_t sum = 0;
    size_t n = 0;

    buf[0] = 0;
    for (unsigned i = DROP_NONE + 1; i < DROP_COUNT; i++) {
        sum += s->drops[i];
        if (s->drops[i] && n < size)
            n += fmt_print(buf + n, size - n, "%s%s=%llu", n ? " " : "", net_drop_names[i],
                           (unsigned long long)s->drops[i]);
    }
    return sum;
}

static void op_network(void *host, struct json_writer *w)
{
    struct hv *hv = host;
    struct switch_port_info info;
    char why[160];

    json_open(w, '[');
    for (unsigned i = 0; i < SWITCH_PORTS; i++) {
        switch_port_info(&hv->net, i, &info);
        if (!info.name[0])
            continue;
        json_open(w, '{');
        json_add_text(w, "port", info.name);
        json_add_uint(w, "vlan", info.vlan);
        json_add_text(w, "kind", info.trunk ? "trunk" : "access");
        json_add_uint(w, "in-frames", info.stats.in_frames);
        json_add_uint(w, "in-bytes", info.stats.in_bytes);
        json_add_uint(w, "out-frames", info.stats.out_frames);
        json_add_uint(w, "out-bytes", info.stats.out_bytes);
        json_add_uint(w, "dropped", drops_text(&info.stats, why, sizeof(why)));
        json_add_text(w, "why", why);
        json_close(w, '{');
    }
    json_close(w, '[');
}

static size_t op_log(void *host, uint64_t *position, char *buf, size_t size)
{
    return log_read(position, buf, size);
}

static void op_wake(void *host)
{
    struct hv *hv = host;

    if (hv->monitor_thread)
        thread_wake(hv->monitor_thread);
}

static const struct monitor_ops ops = {
    .vm = op_vm,
    .acquire = op_acquire,
    .release = op_release,
    .start = op_start,
    .stop = op_stop,
    .dump = op_dump,
    .machine = op_machine,
    .vm_stats = op_vm_stats,
    .vcpu_stats = op_vcpu_stats,
    .host_stats = op_host_stats,
    .cpu_stats = op_cpu_stats,
    .network = op_network,
    .log = op_log,
    .wake = op_wake,
};

/* The monitor's; the log has one sink, without an argument. */
static struct monitor *log_monitor;

static void log_sink(const char *text, size_t len)
{
    monitor_log(log_monitor, text, len);
}

/* A virtio console names its ports a moment after it was found, and wakes us then. */
static bool find_management(struct hv *hv)
{
    struct chardev *port = host_console_port(MONITOR_PORT);

    if (port)
        monitor_set_management(hv->monitor, port);
    return port;
}

static void monitor_main(void *arg)
{
    struct hv *hv = arg;
    bool found = false;

    host_console_watch(op_wake, hv);
    for (;;) {
        uint64_t now = time_now(), until = monitor_step(hv->monitor, now);

        found = found || find_management(hv);
        if (hv->ending) { /* a VM that is off by now wakes us */
            end_when_off(hv);
            until = MIN(until, hv->ending);
        }
        if (until <= time_now())
            thread_yield();
        else
            thread_wait_until(until);
    }
}

int hv_monitor_start(struct hv *hv, struct chardev *terminal, struct error *err)
{
    const struct monitor_config config = {
        .ops = &ops,
        .host = hv,
        .plat = &hv->plat.plat,
        .terminal = terminal,
        .version = {BATUTA_VERSION_MAJOR, BATUTA_VERSION_MINOR, BATUTA_VERSION_MICRO},
        .package = "batuta-hv " BATUTA_VERSION};

    hv->monitor = monitor_create(&config, err);
    if (!hv->monitor)
        return -err->code;
    hv->monitor_thread = thread_create("monitor", &hv_group, &memory_own, monitor_main, hv);
    if (!hv->monitor_thread)
        return error_set(err, ENOMEM, "no memory for the monitor's thread");
    log_monitor = hv->monitor;
    log_set_sink(log_sink);
    return 0;
}
