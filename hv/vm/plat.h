/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/plat.h on the bare machine, one for each VM: its memory account, its I/O thread
 * with what that has to do, and its log.
 */
#ifndef HV_VM_PLAT_H
#define HV_VM_PLAT_H

#include "core/plat.h"
#include "hv/cpu/timer.h"
#include "hv/mem/page.h"
#include "hv/thread.h"

struct guest_ram;
struct vm;

struct plat_metal {
    struct plat plat; /* first: metal code comes from the one to the other */
    struct memory_account account;
    struct sched_group *group; /* who pays for what is done for it */
    struct thread *io;         /* NULL: none yet */
    struct guest_ram *ram;     /* the VM's; NULL: none */
    unsigned pieces;           /* of it, that may be cleared in this turn of the I/O thread */
    struct host_timer timer;
    bool timer_due;       /* atomic */
    uint64_t timer_fired; /* atomic: when it did last */

    struct spinlock lock;
    struct plat_work *work, **work_end; /* guarded by lock */
    bool stopped;                       /* guarded by lock: nothing is deferred any more */
    void (*log)(struct plat_metal *plat, enum log_level level, const char *text);
    uint64_t log_due;     /* base/limit.h: lines that a guest provokes are few */
    unsigned log_missing; /* atomic: those that were not logged */
};

void plat_metal_init(struct plat_metal *plat, const char *name, uint64_t limit, struct sched_group *group);
/* Who pays for what is done for it. */
struct sched_group *plat_metal_group(struct plat *plat);
/* What the I/O thread does until the VM is off: due timers and deferred work, with the VM's lock held. */
void plat_metal_run(struct plat_metal *plat, struct vm *vm);
/*
 * Before the VM's devices go: forgets timers and work, and takes no more, though disks' interrupts and other
 * VMs' frames still come: what they would defer is about to be freed.
 */
void plat_metal_stop(struct plat_metal *plat);
/* The VM is gone, the next may come. */
void plat_metal_reset(struct plat_metal *plat);

#endif
