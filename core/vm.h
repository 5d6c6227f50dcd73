/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual machine: everything a VM is hangs from here, and one process may
 * hold any number of them.
 *
 * Locking. vm->lock guards all device state, the buses' maps, timers and the
 * interrupt controllers. Engines' threads take it for every port or MMIO access
 * (the core does that), the I/O thread for every callback. It is not taken for
 * guest RAM, whose layout never changes after vm_start(), nor for x86_cpu, which
 * belongs to its thread. Device callbacks always run with the lock held.
 */
#ifndef CORE_VM_H
#define CORE_VM_H

#include "base/error.h"
#include "base/list.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/engine.h"
#include "core/icount.h"
#include "core/irq.h"
#include "core/memory.h"
#include "core/plat.h"
#include "core/trace.h"
#include "core/vcpu.h"
#include "x86/cpuid.h"

#define VM_MAX_VCPUS 64

/* What vm.code_cache may be, bytes. */
#define VM_CODE_CACHE_DEFAULT MIB(128)
#define VM_CODE_CACHE_MIN     MIB(1)
#define VM_CODE_CACHE_MAX     MIB(512)

enum vm_run_state {
    VM_PAUSED, /* not yet started, or stopped by vm_pause() */
    VM_RUNNING,
    VM_SHUTDOWN, /* the guest is off; vm->shutdown says why */
};

enum vm_event {
    VM_EVENT_SHUTDOWN, /* power-off; arg: enum vm_shutdown_cause */
    VM_EVENT_RESET,    /* arg: 1 if the guest asked */
    VM_EVENT_STOP,
    VM_EVENT_RESUME,
    VM_EVENT_POWERDOWN,  /* the power button was pressed */
    VM_EVENT_PANIC,      /* pvpanic or a triple fault reported as such; arg: the guest's byte */
    VM_EVENT_WATCHDOG,   /* the guest did not feed it; a reset follows */
    VM_EVENT_DEBUG_EXIT, /* isa-debug-exit; arg: (value << 1) | 1 */
    VM_EVENT_ERROR,      /* the engine gave up; the text was logged */
};

enum vm_shutdown_cause {
    VM_SHUTDOWN_GUEST, /* ACPI S5 */
    VM_SHUTDOWN_HOST,  /* quit, a second SIGTERM */
    VM_SHUTDOWN_PANIC,
    VM_SHUTDOWN_TRIPLE_FAULT, /* with reset turned off */
    VM_SHUTDOWN_DEBUG_EXIT,
    VM_SHUTDOWN_ERROR,
};

struct device;

struct vm {
    struct plat *plat;
    struct plat_lock lock;
    const char *name; /* borrowed, lives longer than the VM */

    struct memory mem;
    struct bus pio;
    struct bus mmio;
    struct vm_clock clock;
    struct vm_icount icount;
    struct irqs irqs;
    struct trace trace;

    const struct engine_ops *engine;
    void *engine_data; /* the engine's */
    /* Before vm_engine_init(): bytes for translations, 0: the default; who is told of them, NULL: nobody. */
    uint64_t code_cache;
    struct code_listener *code_listener;
    struct x86_cpuid_model cpuid;

    struct vcpu *vcpu[VM_MAX_VCPUS];
    unsigned vcpu_count;

    struct list_node devices; /* struct device, in the order of device_add() */

    struct vcpu
        *current_vcpu; /* whose port or MMIO access runs now, NULL for all other callbacks; guarded by lock */

    /* guarded by lock */
    enum vm_run_state state;
    bool reset_requested;
    bool no_reboot; /* a guest's reset is a shutdown */
    enum vm_shutdown_cause shutdown;

    /*
     * Called at the end of each vm_reset(), lock held, vCPUs parked: puts the boot
     * image back into RAM and the first vCPU at its entry. NULL: the reset vector.
     */
    void (*on_reset)(void *opaque, struct vm *vm);
    void *on_reset_opaque;

    /* To whoever runs the VM; called with the lock held, any thread. */
    void (*on_event)(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg);
    void *on_event_opaque;
};

struct vm_config {
    const char *name;
    uint64_t ram_size; /* bytes, a multiple of 1 MiB */
    unsigned vcpus;    /* 1..VM_MAX_VCPUS */
    void *ram; /* host memory of ram_size bytes, page-aligned, zeroed; the caller's, outlives the VM */
};

/* The plat, clock, memory map, buses; no devices, no engine yet. The vm's memory is the caller's. */
int vm_init(struct vm *vm, struct plat *plat, const struct vm_config *config, struct error *err);
/* Destroys devices in reverse order, vCPUs, and the engine's part. The vCPU threads have ended. */
void vm_finish(struct vm *vm);

/* Gives the VM its engine and makes the vCPUs; the CPUID model is set before. */
int vm_engine_init(struct vm *vm, const struct engine_ops *engine, struct error *err);

void vm_lock(struct vm *vm);
void vm_unlock(struct vm *vm);

/* Power-on state of every device and vCPU. Lock held, vCPUs not running. */
void vm_reset(struct vm *vm);

/*
 * Requests from devices or management; lock held. They tell on_event, and the
 * vCPUs leave their engine; vcpu_loop() carries a reset out once all are stopped.
 */
void vm_request_reset(struct vm *vm, bool by_guest);
void vm_request_shutdown(struct vm *vm, enum vm_shutdown_cause cause);
void vm_emit(struct vm *vm, enum vm_event event, uint64_t arg);

/* Stops virtual time and returns once no vCPU runs guest code. Lock held; dropped while waiting. */
void vm_pause(struct vm *vm);
/* The same on the thread of the only vCPU, between two instructions (core/icount.h): it parks next. */
void vm_pause_here(struct vm *vm);
void vm_resume(struct vm *vm);

void vm_log(struct vm *vm, enum log_level level, const char *fmt, ...) ATTR_PRINTF(3, 4);

#endif
