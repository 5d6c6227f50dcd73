/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor: how the machine's owner sees and commands it. Two ports, either of which
 * may be missing:
 *
 *   terminal     the serial console: each line that a VM writes, with its name before
 *                it ("web| …"), the hypervisor's own log, and a prompt with commands for
 *                people. A line that begins with { is a command in JSON.
 *   management   a virtio-console port: the protocol of control/, as on the hosted
 *                program's socket; a greeting whenever somebody connects.
 *
 * Either may be attached to one VM's console, bytes as they are; Ctrl-] leaves that, and
 * pressed once more goes back and sends it.
 *
 * What guests write is hostile. Away from an attached console it loses its control
 * characters and escape sequences, so it cannot reach the terminal, and each line has its
 * writer's name: none can look like another's, or like the prompt (long lines would at
 * the terminal's edge, so wrapping is off). A console that writes faster than it is shown
 * waits, as on a real line; the others have their turns between its lines. All that was
 * written stays in a ring for "log". While the terminal is attached, or takes nothing any
 * more, nobody waits: what was not shown is counted and told.
 *
 * One thread runs monitor_step(); VMs' threads and interrupts only leave things for it.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "control/control.h"
#include "core/chardev.h"

#define MONITOR_NEVER (~0ULL)
/* The virtio-console port that is for the management, by its name. */
#define MONITOR_PORT "batuta.control"

struct monitor;

struct monitor_vm_stats {
    const char *state; /* a word: starting, running, paused, ending, restarting, off, failed */
    struct error why;  /* why it is off; code 0: nothing to say */
    unsigned vcpus;
    uint64_t memory;      /* RAM, bytes */
    uint64_t memory_used; /* by it and for it */
    uint64_t up_ns;       /* since its last start; 0: off */
    uint64_t run_ns;      /* its threads had a processor */
    uint64_t wait_ns;     /* they wanted one */
    unsigned starts;
};

struct monitor_vcpu_stats {
    uint64_t run_ns, wait_ns;
    unsigned cpu; /* where it runs, or did last */
};

struct monitor_cpu_stats {
    uint32_t apic_id;
    uint64_t idle_ns;
    char running[24]; /* the thread's name */
};

struct monitor_host_stats {
    const char *processor, *engine; /* "AMD-V …" */
    uint64_t up_ns;
    uint64_t run_ns; /* the hypervisor's own threads, and interrupts that are no VM's, had a processor */
    uint64_t memory, memory_free,
        memory_own; /* bytes; own: beside guests' RAM and RAM disks, the image too */
};

/* Called on the monitor's thread with nothing held, but where said. */
struct monitor_ops {
    /* By number, in the order of the configuration; NULL: past the last. Always the same. */
    struct control_target *(*vm)(void *host, unsigned i);
    /* target->vm is the VM until release(), with its lock held; NULL: it is off. */
    void (*acquire)(void *host, struct control_target *target);
    void (*release)(void *host, struct control_target *target);

    /* append: its command line from now on; NULL: the description's. */
    int (*start)(void *host, struct control_target *target, const char *append, struct error *err);
    /* By its power button, and if that does not help, or with force, by pulling the plug. It stays off. */
    int (*stop)(void *host, struct control_target *target, bool force, struct error *err);
    /* Writes one value; NULL: there are no dumps. */
    int (*dump)(void *host, struct control_target *target, struct json_writer *out, struct error *err);
    void (*machine)(void *host, bool reboot); /* stops all VMs by their power buttons, then the machine */

    void (*vm_stats)(void *host, struct control_target *target, struct monitor_vm_stats *stats);
    /* False: past the last, or it is off. */
    bool (*vcpu_stats)(void *host, struct control_target *target, unsigned i,
                       struct monitor_vcpu_stats *stats);
    void (*host_stats)(void *host, struct monitor_host_stats *stats);
    bool (*cpu_stats)(void *host, unsigned i, struct monitor_cpu_stats *stats);
    /* Writes a list of the switch's ports; NULL: there is no switch. */
    void (*network)(void *host, struct json_writer *out);
    /* The hypervisor's log: as log_read() of hv/log.h. */
    size_t (*log)(void *host, uint64_t *position, char *buf, size_t size);

    /* monitor_step() shall be called soon. Any thread, in an interrupt too, locks held. */
    void (*wake)(void *host);
    /* Lines for a screen beside the terminal; NULL: none. */
    void (*screen)(void *host, const char *text, size_t len);
};

struct monitor_config {
    const struct monitor_ops *ops;
    void *host;
    struct plat *plat;          /* memory, locks, and the time of day */
    struct chardev *terminal;   /* NULL: none */
    struct chardev *management; /* NULL: none yet */
    unsigned version[3];
    const char *package;
};

/* Takes the ports over, and greets at the terminal. NULL with an error. */
struct monitor *monitor_create(const struct monitor_config *config, struct error *err);
/* For a port that is found later. On the monitor's thread, at most once. */
void monitor_set_management(struct monitor *m, struct chardev *management);
/* For tests: a machine's monitor is never destroyed. The consoles are closed. */
void monitor_destroy(struct monitor *m);

/* Does what there is to do. now: ns, monotonic. When to call it again at the latest; at once if not later. */
uint64_t monitor_step(struct monitor *m, uint64_t now);

/* ---- for whoever runs the VMs ---- */

/* The console of the VM's device, from its making to its end; plat runs the device's callbacks. */
struct chardev *monitor_console_open(struct monitor *m, unsigned vm, struct plat *plat);
/* Its threads have ended; plat forgets the console's work after this. */
void monitor_console_close(struct monitor *m, unsigned vm);

/* As on_event of struct vm. Any thread. */
void monitor_event(struct monitor *m, unsigned vm, enum vm_event event, uint64_t arg);
/* A whole line of the hypervisor's own. Any thread, in an interrupt too. */
void monitor_log(struct monitor *m, const char *text, size_t len);

#endif
