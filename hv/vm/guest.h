/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's life on the bare machine, from its description. Its I/O thread lives it:
 *
 *   OFF ── start ──► STARTING ── built ──► ON ── off, reset, crash, stop ──► ENDING ──► OFF
 *                    ▲   └─── wrong: why is kept ──────────────────────────────┘ │
 *                    │                                                           │
 *                    └── RESTARTING ◄── it rebooted, or the restart policy ◄─────┘
 *                            └── stop ──► OFF
 *
 * A reset makes the whole VM anew, with fresh memory: nothing of the old one is left. OFF and RESTARTING have
 * no memory but what is kept on purpose: RAM disks' contents, the last crash's dump.
 */
#ifndef HV_VM_GUEST_H
#define HV_VM_GUEST_H

#include "boot/boot.h"
#include "config/hv-config.h"
#include "control/control.h"
#include "core/vm.h"
#include "dev/board.h"
#include "hv/vm/plat.h"

struct guest_ram;
struct hv;

enum guest_state { GUEST_OFF, GUEST_STARTING, GUEST_ON, GUEST_ENDING, GUEST_RESTARTING };

struct guest {
    struct control_target target; /* first: commands come from the one to the other */
    struct hv *hv;
    const struct hv_vm *config;
    unsigned index;
    struct plat_metal plat;
    struct sched_group group;
    struct thread *io;

    struct spinlock lock;    /* guards all up to the next comment */
    enum guest_state state;  /* changed by the I/O thread; RESTARTING to OFF by a stop */
    bool wanted;             /* it shall run: until a stop, whatever it says; read without the lock */
    unsigned pins;           /* users of vm from other threads */
    unsigned quick;          /* reboots in a row, each soon after its start */
    struct json_writer dump; /* of the last crash; text NULL: none */
    unsigned starts;
    uint64_t started;     /* time_now() of the last */
    struct error failure; /* why it could not be started, or gave up; code 0: nothing */

    /* While STARTING, ON and ENDING; the I/O thread's, and of who has a pin. */
    struct vm vm;
    struct board board;
    struct boot *boot;
    struct guest_ram *ram;
    struct thread *vcpu_thread[VM_MAX_VCPUS];
    struct blk *disk[HV_MAX_DISKS]; /* the devices', for questions */
    struct chardev *console_open;   /* NULL: it has none */
    struct host_timer stop_timer;
    struct plat_work stop_work;
    bool rebooting;
    const char *crash; /* NULL: none; beside what vm.shutdown says */

    struct blk *ramdisk[HV_MAX_DISKS]; /* disks in memory, by the number of the disk: they stay */
    char *append;                      /* for the next start, instead of the description's; NULL: that one */
    unsigned restarts;
    uint64_t restarted[HV_MAX_RESTARTS]; /* when, the last ones: a bound on their rate */
};

/* Its threads and accounts; OFF. */
int guest_create(struct guest *guest, struct hv *hv, const struct hv_vm *config, unsigned index,
                 struct error *err);

/* -EALREADY: it is on. It may fail later: then `failure` says why. */
/* append: instead of the description's command line, from now on; NULL: the description's again. */
int guest_start(struct guest *guest, const char *append, struct error *err);
/* By its power button and, if it is not off after half a minute, or with force, by pulling the plug. It stays
 * off. -EALREADY: it is. -EBUSY: it is paused, and nothing was done. */
int guest_stop(struct guest *guest, bool force, struct error *err);

/* The VM, if it is on: it stays until guest_put(). NULL: it is off. */
struct vm *guest_get(struct guest *guest);
void guest_put(struct guest *guest);

static inline const char *guest_name(const struct guest *guest)
{
    return guest->config->machine.name;
}

const char *guest_state_name(struct guest *guest);

/* ---- dump.c ---- */
/* The vCPUs' threads have ended. */
void guest_dump_crash(struct guest *guest, const char *why);
/* Of the last crash, or else of now, as one value. -ENOENT: neither. */
int guest_dump(struct guest *guest, struct json_writer *out, struct error *err);

extern const struct control_target_ops guest_target_ops; /* owner.c */

/* ---- build.c ---- */
/* In power-on state, its kernel loaded; no threads yet. On failure vm.plat tells whether there is a VM to
 * finish. */
int guest_build(struct guest *guest, struct error *err);
/* The VM's on_event. */
void guest_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg);

/* ---- devices.c: what the description gives it, and what is behind that ---- */
int guest_devices(struct guest *guest, struct error *err);
/* vm_finish() has been. */
void guest_devices_gone(struct guest *guest);

#endif
