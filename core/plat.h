/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine model needs from what runs it: Linux (vmm/), the bare machine
 * (hv/), or a unit test with a fake clock. One struct plat serves one VM.
 */
#ifndef CORE_PLAT_H
#define CORE_PLAT_H

#include "base/base.h"

struct plat;
struct vcpu;

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* A piece of work for the VM's I/O thread. The owner keeps it alive until run or cancelled. */
struct plat_work {
    void (*fn)(void *opaque);
    void *opaque;
    struct plat_work *next; /* the platform's */
    bool queued;            /* the platform's */
};

/* A descriptor that an engine signals for the guest. The owner keeps it alive until closed. */
struct plat_event {
    void (*fn)(void *opaque); /* on the I/O thread, VM lock held; several signals may be one call */
    void *opaque;
    int fd;     /* the platform's */
    void *data; /* the platform's */
};

struct plat_lock {
    uint64_t opaque[8];
};

struct plat_ops {
    /* Zeroed memory, aligned to 64 bytes (to 4096 from that size on); NULL: none left. free(NULL) is
     * harmless. */
    void *(*alloc)(struct plat *plat, size_t size);
    void (*free)(struct plat *plat, void *p);

    void (*lock_init)(struct plat *plat, struct plat_lock *lock);
    void (*lock)(struct plat *plat, struct plat_lock *lock);
    void (*unlock)(struct plat *plat, struct plat_lock *lock);

    uint64_t (*now)(struct plat *plat);      /* monotonic nanoseconds */
    uint64_t (*realtime)(struct plat *plat); /* nanoseconds since 1970, UTC */
    void (*random)(struct plat *plat, void *buf, size_t len);

    /*
     * Asks for clock_run() on the I/O thread at this time of now() (replaces an
     * earlier request; ~0: none). Any thread, VM lock held.
     */
    void (*timer_set)(struct plat *plat, uint64_t deadline);
    /* Runs w on the I/O thread, with the VM lock held, soon. Queuing twice before it runs is once. Any
     * thread. */
    void (*defer)(struct plat *plat, struct plat_work *w);

    /*
     * Is this piece of guest RAM there to be used at once? False: it takes time to make it so, of which a
     * little has been spent; ask again in a later piece of work. The I/O thread, lock held. NULL: always.
     */
    bool (*ram_ready)(struct plat *plat, const void *host, uint64_t len);

    /* 0 or a negative errno; lock held. NULL: this platform has no descriptors. */
    int (*event_open)(struct plat *plat, struct plat_event *event);
    void (*event_close)(struct plat *plat, struct plat_event *event);

    /* Sleeps until vcpu_wake(), unless `request` has one of the bits; only the vCPU's own thread. Wakes may
     * be spurious, but who is asked for nothing must sleep: hv/ has no other way to take the processor from
     * it. */
    void (*vcpu_wait)(struct plat *plat, struct vcpu *vcpu, uint32_t bits);
    void (*vcpu_wake)(struct plat *plat, struct vcpu *vcpu);

    /* Nanoseconds that the vCPU has wanted a processor of the host, and got none; only grows. NULL: nobody
     * knows. Its own thread. */
    uint64_t (*vcpu_stolen)(struct plat *plat, struct vcpu *vcpu);

    /* Gives the processor away for about 100 microseconds; no lock held. */
    void (*relax)(struct plat *plat);

    void (*log)(struct plat *plat, enum log_level level, const char *text);
};

struct plat {
    const struct plat_ops *ops;
};

#endif
