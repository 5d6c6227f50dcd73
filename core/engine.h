/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A way to run vCPUs. Engines execute guest code and call the core for all that
 * lies outside of the processor: core/memory.h for RAM, bus_read()/bus_write() by
 * way of vcpu_pio_*() and vcpu_mmio_*() for devices, core/irq.h for interrupts.
 * No type of an engine's host interface (KVM, VMCB, VMCS) appears outside of it.
 */
#ifndef CORE_ENGINE_H
#define CORE_ENGINE_H

#include "base/error.h"

struct vm;
struct vcpu;
struct lapic_image;

enum vm_exit {
    VM_EXIT_REQUEST,  /* cpu.request wants the caller's attention (EXIT, INIT, SIPI …) */
    VM_EXIT_HALT,     /* cpu.s.activity is not RUN: wait for something */
    VM_EXIT_LIMIT,    /* cpu.instructions has reached cpu.instruction_limit */
    VM_EXIT_SHUTDOWN, /* triple fault */
    VM_EXIT_ERROR,    /* the engine cannot go on; it has logged why */
};

/* One counter: groups and names are constants, words of small letters, stable from version to version. */
typedef void engine_counter_fn(void *opaque, const char *group, const char *name, uint64_t value);

typedef void engine_line_fn(void *opaque, const char *text);

/* Who wants to know where translated code lies; made() and gone() come from any thread, with the engine's own
 * locks held: they call nothing of the VM. */
struct code_listener {
    /* Host code for guest code at rip. guest false: code of the engine's own, by this name. */
    void (*made)(struct code_listener *listener, const void *code, size_t size, bool guest, uint64_t rip,
                 const char *name);
    /* Nothing lies in this range any more. */
    void (*gone)(struct code_listener *listener, const void *code, size_t size);
};

/*
 * Counting instructions (--icount, core/icount.h; docs/icount.md) asks of an engine with can_count, where
 * vm->icount.on is set and so there is one vCPU:
 *
 *  - cpu.instructions grows by one for each completed instruction, and for nothing else: not for one that
 *    faults, not for the delivery of an event, not for a REP that was interrupted (X86_AGAIN). HLT counts,
 * and so does one that a trap follows.
 *  - Whenever cpu.env is called on behalf of an instruction, and when vcpu_run() returns, cpu.instructions +
 *    cpu.uncounted is the number of completed instructions, without the one that is being executed. When
 *    vcpu_run() returns, and while an event is delivered or x86_step() runs, uncounted is 0.
 *  - vcpu_run() does not begin an instruction with cpu.instructions >= cpu.instruction_limit: it returns
 *    VM_EXIT_LIMIT, at once after the last instruction with its traps, and before it looks at requests,
 *    interrupts or the activity state. cpu.s is whole then (shadow, RF, flags …). So the limit is compared
 *    with cpu.instructions plus the block's length where a block is entered, and what would run past it is
 *    stepped. The limit does not change while vcpu_run() runs.
 *  - A bit of cpu.request that is set by a call of cpu.env is seen to before the next instruction begins.
 *    With X86_REQ_EXIT, vcpu_run() returns VM_EXIT_REQUEST before it delivers an interrupt.
 */
struct engine_ops {
    const char *name; /* as in --engine */
    bool can_count;   /* it does what is said above */
    bool own_lapic;   /* the engine has the local APICs; dev/irq/lapic only saves and loads them */
    bool own_tsc;     /* the guest's TSC is the host's */

    /* Can it run here? 0, or a negative errno with the reason and the mend in err. */
    int (*probe)(struct error *err);
    int (*vm_init)(struct vm *vm, struct error *err);
    void (*vm_finish)(struct vm *vm);
    int (*vcpu_init)(struct vcpu *vcpu, struct error *err);
    void (*vcpu_finish)(struct vcpu *vcpu);

    /* Runs guest code on the calling thread, without the VM lock, until there is a reason not to. */
    enum vm_exit (*vcpu_run)(struct vcpu *vcpu);
    /* Makes a vcpu_run() in another thread poll cpu.request soon. NULL: it polls by itself. */
    void (*vcpu_kick)(struct vcpu *vcpu);
    /* Engine → vcpu.cpu.s and back; the vCPU is not running. NULL: it lives there. */
    int (*state_get)(struct vcpu *vcpu);
    int (*state_put)(struct vcpu *vcpu);

    /* own_lapic: the local APIC's registers, and back, after a reset or load. Lock held, the vCPU parked. */
    int (*lapic_get)(struct vcpu *vcpu, struct lapic_image *image);
    int (*lapic_put)(struct vcpu *vcpu, const struct lapic_image *image);
    /* own_tsc: has the guests' TSC count at this rate, for a VM that was loaded. -ENOTSUP: it keeps its own
     * (clock.tsc_khz). Lock held, vCPUs parked. */
    int (*tsc_rate)(struct vm *vm, uint32_t khz);
    /* The VM's clock was started or stopped. Lock held; NULL: nobody cares. */
    void (*clock_changed)(struct vm *vm, bool running);

    /* A device stored to guest RAM. NULL: nobody cares. Any thread. */
    void (*memory_written)(struct vm *vm, uint64_t gpa, uint64_t len);
    /* What lies behind a RAM page for cpu.env->page: may it be written without telling? NULL: yes. */
    bool (*page_write_fast)(struct vm *vm, uint64_t gpa);
    /* Engines whose guests store to RAM by themselves: notes which pages they write from now on (or no
     * longer), and adds to mem.dirty those since the last time. Lock held; 0 or a negative errno. NULL:
     * mem.dirty is kept up to date. */
    int (*dirty_track)(struct vm *vm, bool on);
    int (*dirty_collect)(struct vm *vm);
    /* Stops all other vCPUs between two instructions until the matching end, for cpu.env->exclusive_begin.
     * The vCPU's thread, lock not held. NULL: such accesses are not atomic. */
    void (*exclusive)(struct vcpu *vcpu, bool begin);
    /* own_lapic: delivers an MSI. Lock held. */
    void (*msi)(struct vm *vm, uint64_t address, uint32_t data);
    /* own_lapic: the 8259's INTR pin, for the bootstrap processor. Lock held. */
    void (*extint)(struct vm *vm, bool level);
    /* own_lapic: the interrupt lines that the IO-APIC routes with level trigger, for EOI exits. Lock held. */
    void (*ioapic_changed)(struct vm *vm);
    /* Writes of `size` bytes at address become a signal of the descriptor instead of an exit (add), or no
     * longer. NULL or an error: not available. Lock held; see core/doorbell.h. */
    int (*ioeventfd)(struct vm *vm, bool mmio, uint64_t address, unsigned size, int fd, bool add);
    /* Tells what the engine has counted for the vCPU; of_vm: and for the VM as a whole. The vCPU's own
     * thread, or it is parked; lock held. NULL: it counts nothing. */
    void (*counters)(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque);
    /* Tells the translations that guest instructions at the linear address are part of, the guest's beside
     * the host's, a line at a time. Returns how many there are. Any thread. NULL: it does not translate. */
    unsigned (*dump_code)(struct vm *vm, uint64_t lin, engine_line_fn *line, void *opaque);
};

#endif
