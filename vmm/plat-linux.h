/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux beneath the machine: core/plat.h on pthreads, futexes and the event loop,
 * the guest's RAM, and the vCPUs' threads.
 */
#ifndef VMM_PLAT_LINUX_H
#define VMM_PLAT_LINUX_H

#include <pthread.h>
#include <stdio.h>

#include "core/vm.h"
#include "vmm/loop.h"

struct plat_linux {
    struct plat plat;
    struct loop *loop;
    struct vm *vm;
    FILE *log; /* borrowed; NULL: stderr */
    enum log_level log_level;
    uint64_t warning_due;   /* atomic: monotonic ns from when on a warning is let through */
    unsigned messages_lost; /* atomic: since the last one that was written */
};

/* Memory and the time of day work without more. */
extern const struct plat_ops plat_linux_ops;

/* Binds plat, loop and VM together; before vm_init(). */
void plat_linux_init(struct plat_linux *plat, struct loop *loop, struct vm *vm);

/* Waits that long for room for a line. A message that nobody reads is lost: its writer may hold the VM lock,
 * and a guest that fills our pipe must not stop us. Any thread. */
bool log_has_room(FILE *file, int ms);

/* Of the host; memory of that size and more is worth asking for them. */
#define LARGE_PAGE MIB(2)

/* The guest's RAM, in the host's large pages where it gives them. */
struct host_ram {
    void *base;
    uint64_t size;
    void *room; /* with what surrounds it */
    uint64_t room_size;
};

int host_ram_init(struct host_ram *ram, uint64_t size, struct error *err);
void host_ram_finish(struct host_ram *ram);
/* Gives whole pages back to the host; they read as zeroes from then on. opaque is the struct host_ram. */
void host_ram_discard(void *opaque, uint8_t *host, uint64_t len);

/* One per vCPU: its thread, and where it sleeps. */
struct vcpu_thread {
    pthread_t thread;
    bool started;
    pid_t tid;      /* atomic; 0 until it runs */
    uint32_t token; /* futex: see plat-linux.c */
    struct vcpu *vcpu;
};

/* Makes the wait channels; after vm_engine_init(). *threads has vm->vcpu_count of them, to be freed after
 * vm_finish(). */
int vcpu_threads_create(struct vcpu_thread **threads, struct vm *vm, struct error *err);
/* Starts them with every signal blocked but those that a fault raises. */
int vcpu_threads_start(struct vcpu_thread *threads, struct vm *vm, struct error *err);
/* Waits for their ends; the VM is shut down. */
void vcpu_threads_join(struct vcpu_thread *threads, struct vm *vm);

#endif
