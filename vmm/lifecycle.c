/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a run ends, and what people and signals can do to it:
 *
 *   SIGTERM, SIGINT   power button ── again ──► stop
 *   SIGHUP, terminal or output gone   power button ── 5 s ──► stop, status 1
 *   SIGTSTP, SIGCONT  the terminal's mode is put back, and set again
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/vmm.h"

#define GRACE_NS    5000000000ULL
#define FAREWELL_MS 200 /* for whoever reads our messages to make room for the last one */

static void stop(struct vmm *vmm)
{
    vm_request_shutdown(&vmm->vm, VM_SHUTDOWN_HOST);
}

void lifecycle_powerdown(struct vmm *vmm)
{
    if (vmm->vm.state != VM_SHUTDOWN)
        vmm->power_button(vmm);
}

/* ---- signals ---- */

static void on_stop_signal(struct vmm *vmm, uint32_t number)
{
    vmm->stopped_by_signal = true;
    if (vmm->stop_signals++) {
        stop(vmm);
        return;
    }
    vm_log(&vmm->vm, LOG_INFO, "%s: pressed the guest's power button; once more stops it",
           number == SIGINT ? "interrupted" : "told to end");
    lifecycle_powerdown(vmm);
}

static void suspend(void)
{
    terminal_restore();
    kill(getpid(), SIGSTOP);
    terminal_again();
}

static void on_signal(void *opaque, unsigned events)
{
    struct vmm *vmm = opaque;
    struct signalfd_siginfo info;

    while (read(vmm->signals.fd, &info, sizeof(info)) == sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            lifecycle_console_lost(vmm, "the terminal was closed");
            break;
        case SIGTSTP:
            suspend();
            break;
        case SIGCONT:
            terminal_again();
            break;
        default:
            on_stop_signal(vmm, info.ssi_signo);
        }
    }
}

static void grace_over(void *opaque)
{
    stop(opaque);
}

void lifecycle_console_lost(void *opaque, const char *why)
{
    struct vmm *vmm = opaque;

    if (vmm->terminal_lost)
        return;
    vmm->terminal_lost = true;
    vm_log(&vmm->vm, LOG_ERROR, "the console is lost (%s): shutting the guest down", why);
    lifecycle_powerdown(vmm);
    loop_timer_set(vmm->loop, &vmm->grace, loop_now(vmm->loop) + GRACE_NS);
}

int lifecycle_init(struct vmm *vmm, struct error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT};
    sigset_t set;
    int r;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN); /* restoring the terminal from the background must not stop us */
    vmm->grace = (struct loop_timer){.fn = grace_over, .opaque = vmm};
    vmm->signals = (struct loop_fd){.events = LOOP_READ, .fn = on_signal, .opaque = vmm};
    vmm->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    r = vmm->signals.fd < 0 ? -errno : loop_watch(vmm->loop, &vmm->signals);
    return r < 0 ? error_set(err, -r, "cannot handle signals: %s", strerror(-r)) : 0;
}

/* ---- the escape's menu ---- */

void lifecycle_escape(void *opaque, enum escape_action action)
{
    struct vmm *vmm = opaque;
    static const char *const states[] = {"paused", "running", "shut down"};

    switch (action) {
    case ESCAPE_QUIT:
        stop(vmm);
        break;
    case ESCAPE_POWER:
        fputs("\nbatuta: power button pressed\n", stderr);
        lifecycle_powerdown(vmm);
        break;
    case ESCAPE_RESET:
        fputs("\nbatuta: reset\n", stderr);
        vm_request_reset(&vmm->vm, false);
        break;
    case ESCAPE_STATUS:
        fprintf(stderr, "\nbatuta: %s: %s, %u vCPUs, %llu MiB, engine %s, up %llu s\n", vmm->vm.name,
                states[vmm->vm.state], vmm->vm.vcpu_count, (unsigned long long)(vmm->vm.mem.ram_size >> 20),
                vmm->vm.engine->name, (unsigned long long)(clock_now(&vmm->vm) / 1000000000ULL));
        break;
    case ESCAPE_HELP:
        fprintf(stderr, "\n%s", escape_help);
        break;
    case ESCAPE_NONE:
        break;
    }
}

/* ---- the VM's events ---- */

/* pvpanic's byte: bit 0 a panic, bit 1 a crash kernel takes over by itself. */
static void on_panic(struct vmm *vmm, uint64_t byte)
{
    if (!(byte & BIT(1)))
        vm_request_shutdown(&vmm->vm, VM_SHUTDOWN_PANIC);
}

void lifecycle_on_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg)
{
    struct vmm *vmm = opaque;

    if (vmm->control)
        control_event(vmm->control, event, arg, vmm->stopped_by_signal ? "host-signal" : "host-qmp-quit");
    switch (event) {
    case VM_EVENT_SHUTDOWN:
        loop_quit(vmm->loop);
        break;
    case VM_EVENT_WATCHDOG:
        vm_log(vm, LOG_WARN, "the watchdog resets the guest, which has not fed it in time");
        break;
    case VM_EVENT_PANIC:
        on_panic(vmm, arg);
        break;
    case VM_EVENT_DEBUG_EXIT:
        vmm->debug_status = (uint8_t)arg;
        vm_request_shutdown(vm, VM_SHUTDOWN_DEBUG_EXIT);
        break;
    case VM_EVENT_ERROR:
        vm_log(vm, LOG_ERROR, "the %s engine gave up on vCPU %llu", vm->engine->name,
               (unsigned long long)arg);
        break;
    case VM_EVENT_RESET:
    case VM_EVENT_STOP:
    case VM_EVENT_RESUME:
    case VM_EVENT_POWERDOWN:
        break; /* told, and that was all */
    }
}

int lifecycle_status(const struct vmm *vmm)
{
    if (vmm->save_failed || vmm->terminal_lost)
        return STATUS_ERROR;
    if (vmm->saved)
        return STATUS_OFF;
    switch (vmm->vm.shutdown) {
    case VM_SHUTDOWN_GUEST:
        return STATUS_OFF;
    case VM_SHUTDOWN_HOST:
        return STATUS_STOPPED;
    case VM_SHUTDOWN_PANIC:
        return STATUS_PANIC;
    case VM_SHUTDOWN_TRIPLE_FAULT:
        return STATUS_TRIPLE_FAULT;
    case VM_SHUTDOWN_DEBUG_EXIT:
        return vmm->debug_status;
    case VM_SHUTDOWN_ERROR:
        break;
    }
    return STATUS_ERROR;
}

void lifecycle_farewell(const struct vmm *vmm)
{
    static const char *const text[] = {
        [VM_SHUTDOWN_HOST] = "the VM was stopped from outside",
        [VM_SHUTDOWN_PANIC] = "the guest's kernel panicked",
        [VM_SHUTDOWN_TRIPLE_FAULT] = "the guest had a triple fault",
        [VM_SHUTDOWN_ERROR] = "the VM cannot go on",
    };
    unsigned cause = vmm->vm.shutdown;

    if (cause < ARRAY_SIZE(text) && text[cause] && !vmm->saved && !vmm->save_failed && !vmm->terminal_lost &&
        log_has_room(stderr, FAREWELL_MS))
        fprintf(stderr, "batuta: %s\n", text[cause]);
}
