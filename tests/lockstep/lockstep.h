/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two VMs from one description, under two engines, with --icount: each stops at
 * the same numbers of instructions, and there both must be in the same state.
 *
 *   thread 0: VM under engine A ──► stop at N ──┐             ┌──► on to the next stop
 *                                               ├─ compare ───┤
 *   thread 1: VM under engine B ──► stop at N ──┘             └──► different: both end
 */
#ifndef TESTS_LOCKSTEP_LOCKSTEP_H
#define TESTS_LOCKSTEP_LOCKSTEP_H

#include <pthread.h>

#include "boot/boot.h"
#include "core/chardev.h"
#include "core/hash.h"
#include "vmm/plat-linux.h"

#define MAX_INITRDS 8
#define MAX_DISKS   4
#define MAX_SENDS   16
#define CONSOLE_MAX MIB(1)

struct send {
    const char *expect, *text; /* when the console has said one, the other is typed */
};

struct description {
    const struct engine_ops *engine[2];
    const char *kernel, *append;
    const char *initrd[MAX_INITRDS];
    unsigned initrds;
    const char *disk[MAX_DISKS]; /* written to a throw-away layer */
    unsigned disks;
    uint64_t memory, seed, code_cache;
    enum x86_cpu_level cpu;
    struct send send[MAX_SENDS];
    unsigned sends;
    const char *until;    /* end when the console says this; NULL: when the guest powers off */
    uint64_t max;         /* end at this many instructions */
    uint64_t disturb;     /* at this many, change a bit in the second VM; 0: never */
    uint64_t disturb_ram; /* … of this byte of RAM instead of R12's; ~0: R12 */
    bool verbose;
};

/* What is compared at a stop, beside RAM. */
struct digest {
    uint64_t instructions, cpu, devices;
};

struct pair;

/* The far end of the serial line. */
struct console {
    struct chardev chardev;
    struct side *side;
    char *text;
    size_t len, seen; /* seen: where to look for the next expected text */
    unsigned next;    /* send[] */
    const char *typing;
    struct plat_work type;
};

struct side {
    struct pair *pair;
    unsigned index;
    struct loop *loop;
    struct plat_linux plat;
    struct host_ram ram;
    struct vm vm;
    bool vm_made;
    struct vcpu_thread *threads;
    struct boot *boot;
    struct error boot_error;
    struct board *board;
    struct console console;
    struct digest digest;
    struct x86_state state, previous; /* at this stop, at the one before */
    uint64_t previous_instructions;
};

/* One run of both. */
struct pair {
    const struct description *d;
    uint64_t first, every, last; /* stops: first, first + every, … up to last */
    uint64_t ram_every;          /* RAM too, at every so-manieth stop; 0: only at the last and at the end */
    struct side side[2];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned arrived; /* sides at the present stop */
    bool ended[2];
    uint64_t round;  /* stops done */
    uint64_t agreed; /* instructions at the last stop with equal states */
    bool differs;
    bool ram_only; /* … in nothing but RAM */
};

/* ---- lockstep-vm.c ---- */
int side_create(struct side *side, struct error *err);
void side_destroy(struct side *side);
/* Runs the vCPU's thread to the VM's end. */
int side_start(struct side *side, struct error *err);

/* ---- lockstep-console.c ---- */
void console_init(struct console *c, struct side *side);
void console_finish(struct console *c);

/* ---- lockstep.c ---- */
/* The side's VM is at a stop, or off. False: it must end. Its own thread, VM lock held. */
bool pair_meet(struct side *side);
/* Its VM is going off. */
void pair_ended(struct side *side);
uint64_t pair_next_stop(const struct pair *pair, uint64_t now);

/* ---- lockstep-report.c ---- */
void report_difference(struct pair *pair);
/* Only what differs, of processors and devices. */
void report_brief(const struct pair *pair);

#endif
