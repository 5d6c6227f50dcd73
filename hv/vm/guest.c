/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/vm/guest.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "dev/timer/pm.h"
#include "hv/hv.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/mem/ram.h"
#include "monitor/monitor.h"

#define RESTART_PAUSE_NS 500000000ULL   /* from a start to the one that follows by itself */
#define QUICK_NS         10000000000ULL /* who reboots sooner than this waits twice as long each time */
#define QUICK_MAX        5
#define STOP_GRACE_S     30U
#define NS_PER_S         1000000000ULL

/* ---- state ---- */

static void set_state(struct guest *g, enum guest_state state)
{
    spin_lock(&g->lock);
    g->state = state;
    spin_unlock(&g->lock);
}

const char *guest_state_name(struct guest *g)
{
    static const char *const names[] = {[GUEST_OFF] = "off",
                                        [GUEST_STARTING] = "starting",
                                        [GUEST_ON] = "running",
                                        [GUEST_ENDING] = "ending",
                                        [GUEST_RESTARTING] = "restarting"};
    const char *name;

    spin_lock(&g->lock);
    name = names[g->state];
    if (g->state == GUEST_ON && g->vm.state == VM_PAUSED)
        name = "paused";
    else if (g->state == GUEST_OFF && g->wanted)
        name = "starting";
    else if (g->state == GUEST_OFF && g->failure.code)
        name = "failed";
    spin_unlock(&g->lock);
    return name;
}

struct vm *guest_get(struct guest *g)
{
    struct vm *vm = NULL;

    spin_lock(&g->lock);
    if (g->state == GUEST_ON) {
        g->pins++;
        vm = &g->vm;
    }
    spin_unlock(&g->lock);
    return vm;
}

void guest_put(struct guest *g)
{
    spin_lock(&g->lock);
    g->pins--;
    spin_unlock(&g->lock);
    thread_wake(g->io);
}

static bool pinned(struct guest *g)
{
    bool pinned;

    spin_lock(&g->lock);
    pinned = g->pins;
    spin_unlock(&g->lock);
    return pinned;
}

/* ---- the VM's events ---- */

void guest_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg)
{
    struct guest *g = opaque;

    switch (event) {
    case VM_EVENT_RESET:
        g->rebooting = true;
        for (unsigned i = 0; i < vm->vcpu_count; i++) {
            if (vm->vcpu[i]->cpu.s.activity == X86_ACT_SHUTDOWN)
                g->crash = "triple fault";
        }
        vm_request_shutdown(vm, VM_SHUTDOWN_GUEST);
        break;
    case VM_EVENT_WATCHDOG:
        hv_log(LOG_WARN, "%s: the watchdog resets it: it was not fed in time", vm->name);
        g->crash = "the watchdog";
        break;
    case VM_EVENT_PANIC:
        /* Bit 1: its crash kernel takes over by itself. */
        if (!(arg & BIT(1)))
            vm_request_shutdown(vm, VM_SHUTDOWN_PANIC);
        break;
    case VM_EVENT_DEBUG_EXIT:
        hv_log(LOG_INFO, "%s: ends with status %llu", vm->name, (unsigned long long)arg);
        vm_request_shutdown(vm, VM_SHUTDOWN_DEBUG_EXIT);
        break;
    case VM_EVENT_SHUTDOWN:
        thread_wake(g->io);
        break;
    default:
        break;
    }
    monitor_event(g->hv->monitor, g->index, event, arg);
}

/* ---- its vCPUs' threads ---- */

static void vcpu_main(void *arg)
{
    vcpu_loop(arg);
}

static int start_vcpus(struct guest *g, struct error *err)
{
    for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
        char name[24];

        fmt_print(name, sizeof(name), "%.16s/%u", guest_name(g), i);
        g->vcpu_thread[i] = thread_create(name, &g->group, &g->plat.account, vcpu_main, g->vm.vcpu[i]);
        if (!g->vcpu_thread[i])
            return error_set(err, ENOMEM, "no memory for the thread of vCPU %u", i);
        __atomic_store_n(&g->vm.vcpu[i]->plat_data, g->vcpu_thread[i], __ATOMIC_RELEASE);
    }
    return 0;
}

/* ---- the end ---- */

/* Threads that were made end once the VM is off, whether or not it ever ran. None goes before all have ended:
 * until then they wake each other. */
static void join_vcpus(struct guest *g)
{
    for (unsigned i = 0; i < VM_MAX_VCPUS; i++) {
        if (g->vcpu_thread[i])
            thread_wait_end(g->vcpu_thread[i]);
    }
    for (unsigned i = 0; i < VM_MAX_VCPUS; i++) {
        if (!g->vcpu_thread[i])
            continue;
        thread_join(g->vcpu_thread[i]);
        g->vcpu_thread[i] = NULL;
    }
}

/* What to call its end if that was a crash; NULL: it was none. */
static const char *crash_of(const struct guest *g)
{
    switch (g->vm.shutdown) {
    case VM_SHUTDOWN_PANIC:
        return "the guest's kernel panicked";
    case VM_SHUTDOWN_ERROR:
        return "the engine gave up";
    default:
        return g->crash;
    }
}

static void tear_down(struct guest *g)
{
    host_timer_finish(&g->stop_timer);
    if (g->console_open)
        monitor_console_close(g->hv->monitor, g->index); /* first: it leaves work for the I/O thread */
    plat_metal_stop(&g->plat);
    if (g->vm.plat)
        vm_finish(&g->vm);
    guest_devices_gone(g);
    plat_metal_reset(&g->plat);
    boot_close(g->boot);
    g->boot = NULL;
    g->vm.plat = NULL;
    if (g->ram)
        guest_ram_destroy(g->ram);
    g->ram = g->plat.ram = NULL;
}

/* A VM that falls over again and again is left off. */
static bool too_often(struct guest *g)
{
    unsigned max = g->config->restart_max;
    uint64_t window = g->config->restart_seconds * NS_PER_S, now = time_now();
    uint64_t *slot = max ? &g->restarted[g->restarts % max] : NULL;

    if (!slot || (g->restarts >= max && now - *slot < window))
        return true;
    *slot = now;
    g->restarts++;
    return false;
}

static bool restarts(struct guest *g, struct error *err)
{
    enum vm_shutdown_cause cause = g->vm.shutdown;
    bool crashed = crash_of(g);

    if (cause == VM_SHUTDOWN_HOST)
        return false;
    if (!crashed && g->rebooting)
        return true;
    if (g->config->restart == HV_RESTART_NEVER || (g->config->restart == HV_RESTART_ON_CRASH && !crashed))
        return false;
    if (too_often(g)) {
        error_set(err, EAGAIN, "it ended more than %u times in %u s: it stays off", g->config->restart_max,
                  g->config->restart_seconds);
        hv_log(LOG_ERROR, "%s: %s", guest_name(g), err->text);
        return false;
    }
    return true;
}

/* ---- the thread ---- */

/* To be started, and not stopped meanwhile: from here on it is STARTING. */
static bool begins(struct guest *g)
{
    bool wanted;

    spin_lock(&g->lock);
    wanted = g->wanted;
    if (wanted) {
        g->state = GUEST_STARTING;
        g->failure = (struct error){0};
        g->started = time_now();
        g->starts++;
    }
    spin_unlock(&g->lock);
    return wanted;
}

static void run(struct guest *g)
{
    set_state(g, GUEST_ON);
    vm_lock(&g->vm);
    /* A stop that came before it was on has found no VM to stop. */
    if (__atomic_load_n(&g->wanted, __ATOMIC_ACQUIRE))
        vm_resume(&g->vm);
    else
        vm_request_shutdown(&g->vm, VM_SHUTDOWN_HOST);
    vm_unlock(&g->vm);
    plat_metal_run(&g->plat, &g->vm);
}

static void live(struct guest *g)
{
    struct error err = {0};
    bool again;
    int r;

    g->rebooting = false;
    g->crash = NULL;
    r = guest_build(g, &err);
    r = r < 0 ? r : start_vcpus(g, &err);
    if (r == 0) {
        run(g);
    } else if (g->vm.plat) {
        vm_lock(&g->vm); /* for the threads that did start */
        vm_request_shutdown(&g->vm, VM_SHUTDOWN_ERROR);
        vm_unlock(&g->vm);
    }
    set_state(g, GUEST_ENDING);
    while (pinned(g))
        thread_wait();
    join_vcpus(g);
    if (r == 0 && crash_of(g))
        guest_dump_crash(g, crash_of(g));
    tear_down(g);
    if (r < 0)
        hv_log(LOG_ERROR, "%s: not started: %s", guest_name(g), err.text);
    again = r == 0 && restarts(g, &err);
    spin_lock(&g->lock);
    g->failure = err;
    if (!g->rebooting || crash_of(g) || time_now() - g->started > QUICK_NS)
        g->quick = 0;
    else if (g->quick < QUICK_MAX)
        g->quick++;
    g->wanted = again && g->wanted;
    g->state = g->wanted ? GUEST_RESTARTING : GUEST_OFF;
    spin_unlock(&g->lock);
    if (g->hv->ending)
        thread_wake(g->hv->monitor_thread);
}

/* One that reboots at once, for ever, is not all that the machine does. 0: at once. */
static uint64_t next_start(struct guest *g)
{
    uint64_t at;

    spin_lock(&g->lock);
    at = g->state == GUEST_RESTARTING ? g->started + (RESTART_PAUSE_NS << g->quick) : 0;
    spin_unlock(&g->lock);
    return at;
}

static void guest_main(void *arg)
{
    struct guest *g = arg;
    uint64_t until;

    for (;;) {
        while (!__atomic_load_n(&g->wanted, __ATOMIC_ACQUIRE))
            thread_wait();
        while ((until = next_start(g)) > time_now())
            thread_wait_until(until);
        if (begins(g))
            live(g);
    }
}

/* On the I/O thread, the VM's lock held. */
static void pull_plug(void *opaque)
{
    struct guest *g = opaque;

    hv_log(LOG_WARN, "%s: did not power off: stopped", guest_name(g));
    vm_request_shutdown(&g->vm, VM_SHUTDOWN_HOST);
}

static void stop_late(void *opaque)
{
    struct guest *g = opaque;

    g->plat.plat.ops->defer(&g->plat.plat, &g->stop_work);
}

static uint64_t module_size(const void *opaque, const char *name)
{
    const struct boot_module *module = hv_module_find(name);

    return module ? module->size : 0;
}

static void vm_says(struct plat_metal *plat, enum log_level level, const char *text)
{
    hv_log(level, "%s: %s", plat->account.name, text);
}

int guest_create(struct guest *g, struct hv *hv, const struct hv_vm *config, unsigned index,
                 struct error *err)
{
    struct sched_params params;
    char name[24];
    int r;

    g->hv = hv;
    g->config = config;
    g->index = index;
    g->target.name = config->machine.name;
    g->target.ops = &guest_target_ops;
    g->stop_work = (struct plat_work){.fn = pull_plug, .opaque = g};
    host_timer_init(&g->stop_timer, stop_late, g);
    g->stop_timer.group = &g->group;
    plat_metal_init(&g->plat, config->machine.name, hv_vm_memory(config, module_size, NULL), &g->group);
    g->plat.log = vm_says;
    hv_vm_sched(config, &params);
    r = sched_group_init(&hv_sched, &g->group, &params, err);
    if (r < 0)
        return r;
    fmt_print(name, sizeof(name), "%.18s/io", config->machine.name);
    g->io = g->plat.io = thread_create(name, &g->group, &memory_own, guest_main, g);
    if (!g->io) {
        sched_group_finish(&hv_sched, &g->group);
        return error_set(err, ENOMEM, "no memory for its thread");
    }
    return 0;
}

int guest_start(struct guest *g, const char *append, struct error *err)
{
    char *text = NULL;
    bool on;

    if (append) {
        size_t len = text_length(append);

        text = heap_alloc(len + 1, &memory_own);
        if (!text)
            return error_set(err, ENOMEM, "no memory for the command line");
        memcpy(text, append, len);
    }
    spin_lock(&g->lock);
    on = g->wanted || g->state != GUEST_OFF;
    if (!on) {
        heap_free(g->append);
        g->append = text;
        g->quick = 0;
        __atomic_store_n(&g->wanted, true, __ATOMIC_RELEASE);
    }
    spin_unlock(&g->lock);
    if (on)
        heap_free(text);
    if (on)
        return error_set(err, EALREADY, "%s is %s already", guest_name(g), guest_state_name(g));
    thread_wake(g->io);
    return 0;
}

int guest_stop(struct guest *g, bool force, struct error *err)
{
    struct vm *vm;
    bool off, deaf;

    spin_lock(&g->lock);
    off = !g->wanted && g->state == GUEST_OFF;
    deaf = !force && g->state == GUEST_ON && g->vm.state == VM_PAUSED;
    if (!deaf)
        __atomic_store_n(&g->wanted, false, __ATOMIC_RELEASE);
    if (g->state == GUEST_RESTARTING)
        g->state = GUEST_OFF;
    spin_unlock(&g->lock);
    if (deaf)
        return error_set(err, EBUSY,
                         "%s is paused, and does not see its power button: cont it first, or kill it",
                         guest_name(g));
    if (off)
        return error_set(err, EALREADY, "%s is off", guest_name(g));
    vm = guest_get(g);
    if (!vm) /* it is on its way up or down, and looks */
        return 0;
    vm_lock(vm);
    if (force || vm->state != VM_RUNNING)
        vm_request_shutdown(vm, VM_SHUTDOWN_HOST);
    else
        pm_power_button(vm);
    vm_unlock(vm);
    if (!force)
        host_timer_set(&g->stop_timer, time_now() + STOP_GRACE_S * NS_PER_S);
    guest_put(g);
    return 0;
}
