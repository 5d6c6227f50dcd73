/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hosted program's own context: one VM, what it was told to be, and what is
 * behind its devices. main.c puts it together; lifecycle.c, qmp-*.c and save.c
 * act on it, always with the VM lock held.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include "boot/boot.h"
#include "core/blk.h"
#include "core/chardev.h"
#include "core/vm.h"
#include "vmm/console.h"
#include "vmm/control.h"
#include "vmm/loop.h"
#include "vmm/options.h"
#include "vmm/plat-linux.h"

/* Exit statuses, beside (value << 1) | 1 of a debug exit. */
enum {
    STATUS_OFF = 0,   /* the guest powered itself off */
    STATUS_ERROR = 1, /* ours */
    STATUS_USAGE = 2,
    STATUS_PANIC = 64,        /* the guest's kernel panicked */
    STATUS_TRIPLE_FAULT = 66, /* with --no-reboot */
    STATUS_STOPPED = 68,      /* quit, the escape's q, or a second signal */
};

struct vmm {
    struct run_options options;
    struct loop *loop;
    struct plat_linux plat;
    struct host_ram ram;
    struct vm vm;
    bool vm_made;
    struct vcpu_thread *threads;
    struct boot *boot;
    struct error boot_error; /* of the first load */
    int load_fd;             /* of --load, until vmm_load() */
    bool booted;

    struct chardev *console[OPT_MAX_CONSOLES];
    struct chardev *debugcon;
    struct blk *disk[OPT_MAX_DISKS];       /* the devices', for questions */
    void (*power_button)(struct vmm *vmm); /* set by main.c */
    struct board *board;

    struct perf_map *perf_map;
    struct control *control;
    struct control_target target; /* the VM, for its commands */
    struct loop_fd signals;
    struct loop_timer grace; /* after the terminal was lost */
    unsigned stop_signals;
    bool terminal_lost;
    bool stopped_by_signal; /* why the host shut down, for the event */
    uint8_t debug_status;
    struct timer save_timer;
    struct plat_work save_work;
    bool save_failed;
    bool saved; /* the run ended because --save was done */
};

/* ---- lifecycle.c ---- */
/* Blocks the signals that the loop reads; before any thread, and after what may take its time. */
int lifecycle_init(struct vmm *vmm, struct error *err);
void lifecycle_on_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg);
void lifecycle_escape(void *opaque, enum escape_action action);
void lifecycle_console_lost(void *opaque, const char *why);
/* Presses the power button, which tells of it whether or not the guest cares. */
void lifecycle_powerdown(struct vmm *vmm);
/* The program's exit status after the VM's end. */
int lifecycle_status(const struct vmm *vmm);
/* Says how it ended, if that is worth a word. */
void lifecycle_farewell(const struct vmm *vmm);

/* ---- qmp-vm.c ---- */
extern const struct control_target_ops qmp_target_ops;
extern const struct control_command *const qmp_commands[];

/* ---- qmp-engine.c ---- */
void qmp_query_code(struct control_call *call);
void qmp_query_icount(struct control_call *call);
void qmp_statistics(struct control_call *call);
void qmp_stop_at(struct control_call *call);
/* Pauses the VM when so many instructions have been executed; the vCPU's thread, or it does not run. */
void vmm_stop_at(struct vmm *vmm, uint64_t instructions);

/* ---- save.c ---- */
/* The VM is paused. The file appears whole or not at all. */
int vmm_save(struct vmm *vmm, const char *path, struct error *err);
/* From load_fd, which it closes. A signal that would end the VM ends it. */
int vmm_load(struct vmm *vmm, struct error *err);
/* Carries --save-at-ns out: arms the timer; the VM ends when it is done. */
void vmm_save_arm(struct vmm *vmm);

/* ---- doctor.c ---- */
int doctor(int argc, char *const *argv);

#endif
