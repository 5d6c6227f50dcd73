/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor as a whole: its description, its VMs, its switch, its monitor. main.c
 * puts it together; there is one.
 */
#ifndef HV_HV_H
#define HV_HV_H

#include "config/hv-config.h"
#include "hv/boot/boot-info.h"
#include "hv/vm/guest.h"
#include "switch/switch.h"

struct monitor;

struct hv {
    struct hv_config config;
    const struct engine_ops *engine;
    const char *engine_name, *processor; /* for people */
    uint64_t arch_capabilities;          /* of the processors, as their MSR tells it; 0: they have none */
    struct net_switch net;
    struct sched_group net_group;    /* of the threads that pass on what NICs receive */
    struct guest *guest[HV_MAX_VMS]; /* by their number in the configuration */
    unsigned guest_count;

    struct plat_metal plat; /* the hypervisor's own */
    struct monitor *monitor;
    struct thread *monitor_thread;
    uint64_t ending; /* time_now() by which VMs must be off; 0: the machine goes on */
    bool reboot;
};

/* By the name that descriptions use. NULL: there is none. */
const struct boot_module *hv_module_find(const char *name);

/* ---- hv/vm/owner.c: what the machine's owner sees and commands ---- */
int hv_monitor_start(struct hv *hv, struct chardev *terminal, struct error *err);

#endif
