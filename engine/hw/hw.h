/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What engine/svm and engine/vmx have in common: everything but the instructions
 * that enter the guest and the layout of the control block. An engine translates
 * its exits into the hw_*() calls below, which act on cpu.s; its struct engine_ops
 * is made of hw_*() functions but for what is its own.
 *
 * Which state lives where, while a vCPU is in hw_vcpu_run():
 *  - Always current in cpu.s: gpr[] (rSP too), rip, rflags, shadow, efer, cr4, xcr0, the MSRs that are not
 *    in a part below, dr[0..3], dr[7] (MOV DR exits), and of cr0 all that MOV to CR0 exits for (all but TS
 *    and MP). The engine's enter() brings rip, rflags, rSP, shadow and takes them back.
 *  - The HW_… parts are in the control block. hw_need() brings those asked for, once an exit;
 *    what is changed is marked in v->changed, and the next enter() writes it back.
 *  - Vectors, x87, MXCSR and XCR0 are in the processor's registers from load to unload (engine/hw/fpu.c).
 *  - exception_pending, interrupt_pending, nmi_pending: to be delivered; hw_vcpu_run() injects them.
 * Outside of hw_vcpu_run() all of cpu.s is current but for vectors and x87, which hw_state_get() brings.
 *
 * A vCPU is loaded on a processor from its first entry until its thread gives the processor away.
 */
#ifndef ENGINE_HW_HW_H
#define ENGINE_HW_HW_H

#include "core/metal.h"
#include "core/vm.h"
#include "engine/hw/enter.h"
#include "engine/hw/speculation.h"
#include "x86/cpuid.h"

/* Parts of cpu.s that live in the control block. */
#define HW_CODE     BIT(0) /* seg[CS], cr3: what finds the instruction at rip */
#define HW_SEGMENTS BIT(1) /* the other segments, gdtr, idtr */
#define HW_CONTROL  BIT(2) /* cr0, cr2, pat, dr[6]; to write: cr4, efer, dr[7], xcr0 too */
#define HW_SYSCALL  BIT(3) /* star … sysenter_eip, kernel_gs_base */
#define HW_ALL      (BIT(4) - 1)
/* In v->changed only. */
#define HW_TSC        BIT(4) /* v->tsc_offset */
#define HW_TPR        BIT(5) /* the local APIC's TPR, for a processor that answers reads of CR8 itself */
#define HW_MSRS       BIT(6) /* tsc_aux, spec_ctrl, which are in the processor's registers while loaded */
#define HW_EVERYTHING (BIT(7) - 1)

enum hw_event { HW_INTERRUPT, HW_NMI, HW_EXCEPTION };

struct hw_vcpu;
struct hw_cpu;

struct hw_ops {
    /*
     * hw_guest_enter(); writes v->changed and v->flush (guest translations of this vCPU are stale) to the
     * control block and clears both; runs guest code until something ends it; hw_guest_leave(), which forgets
     * v->known; hw_requeue() if an event was being delivered; and sees to the exit by a call of hw_*().
     */
    void (*enter)(struct hw_vcpu *v);
    /* Brings parts into cpu.s. */
    void (*fetch)(struct hw_vcpu *v, uint32_t parts);
    /* The next enter() delivers this event. At most one between two of them. */
    void (*inject)(struct hw_vcpu *v, enum hw_event event, uint8_t vector, bool has_error, uint32_t error);
    /*
     * From the next enter() on, until it is called again: an exit as soon as an interrupt can be taken; one
     * as soon as an NMI can. Whether NMIs are masked is cpu.s.nmi_masked: set when one is injected, and
     * cleared by the engine, before it calls anything else, in an exit that finds them unmasked.
     */
    void (*window)(struct hw_vcpu *v, bool interrupt, bool nmi);
    /* This processor runs it from now on (v->cpu; moved: another did before). hw_ has loaded the vectors. */
    void (*load)(struct hw_vcpu *v, bool moved);
    /* The thread is about to give the processor away: nothing of the guest may stay in its registers that the
     * next guest could see, nor that the hypervisor would mind. */
    void (*unload)(struct hw_vcpu *v);
};

enum hw_fpu { HW_FPU_STATE, HW_FPU_AREA, HW_FPU_REGISTERS }; /* where vectors and x87 are */

enum hw_in { HW_OUT, HW_IN_GUEST, HW_IN_STEP };

/* What is counted, for engine_ops.counters. */
enum hw_counter {
    HW_N_EXITS,
    HW_N_CPUID,
    HW_N_MSR,
    HW_N_PIO,
    HW_N_MMIO,
    HW_N_STEPS,
    HW_N_PAGES,
    HW_N_HALTS,
    HW_N_INTERRUPTS,
    HW_N_EXTERNAL,
    HW_N_WINDOWS,
    HW_N_PAUSES,
    HW_N_COUNT
};

/* Engines embed it first in what vcpu.engine_data points to. */
struct hw_vcpu {
    struct vcpu *vcpu;
    const struct hw_ops *ops;
    uint32_t known;    /* parts of cpu.s that are current */
    uint32_t changed;  /* parts that the control block must get */
    bool flush;        /* the next entry drops the guest's translations */
    bool look;         /* something to see to before the next entry */
    bool irq;          /* the local APIC may have an interrupt */
    bool yield;        /* an interrupt of the machine waits */
    bool left;         /* leave hw_vcpu_run() with `exit` */
    bool delivering;   /* an event's delivery ended in this exit */
    uint8_t fpu;       /* enum hw_fpu */
    uint8_t in;        /* enum hw_in; atomic */
    enum vm_exit exit; /* if left */

    struct hw_cpu *cpu;   /* where it is loaded; NULL: nowhere */
    struct hw_cpu *older; /* where it was loaded last */
    uint32_t tag;         /* ASID or VPID, on `older` */
    uint64_t tag_round;
    uint64_t flushed; /* hw_vm.flushes that it has heeded; atomic */
    uint64_t tsc_offset;
    uint64_t paging[4];  /* cr0, cr3, cr4, efer when hw_vcpu_run() returned */
    uint64_t xcr0;       /* in the processor's register */
    uint64_t soft_until; /* TSC: by then a string that x86/ works at is left for a look around */

    uint8_t *xsave;    /* X86_XSAVE_SIZE bytes, 64-byte aligned */
    const void *bytes; /* of the instruction at rip, from the processor; the engine's, valid in one exit */
    uint8_t byte_count;
    uint64_t count[HW_N_COUNT];
};

/* Nested page tables: 4 levels, entries that differ between NPT and EPT in a few bits only. */
struct hw_format {
    uint64_t
        table;     /* bits of an entry that points to a table; bit 0 is set if it is there, bit 1: writable */
    uint64_t leaf; /* of one that maps a page, writable */
    uint64_t execute; /* the bit of that which large pages go without, as long as nothing there is executed;
                         0: none */
    bool huge;        /* pages of 1 GiB */
    bool large;       /* of 2 MiB */
};

/* Engines embed it first in what vm.engine_data points to. */
struct hw_vm {
    struct vm *vm;
    const struct hw_format *format;
    uint64_t *root;
    struct plat_lock lock; /* of the tables */
    bool tracked;          /* small pages only, writable once written */
    uint64_t tables;       /* pages that they take */
    uint64_t flushes;      /* grows when rights were taken away; atomic */

    struct plat_lock alone;
    uint32_t alone_wanted; /* atomic: how many vCPUs want to be */

    uint64_t id;        /* no other VM of this boot has it */
    uint64_t tsc_base;  /* guest TSC of an offset of 0, less the host's (scaled) */
    uint64_t tsc_ratio; /* of the guest's rate and the host's, 32 bits behind the point */
    bool tsc_scales;    /* the processor can */
};

/* A processor; engines embed it first in what metal_cpu.engine_data points to. */
struct hw_cpu {
    struct metal_cpu *metal;
    struct x86_tlb *tlb; /* x86_step()'s, empty between two of them */
    struct x86_thunks *thunks;
    uint64_t xcr0; /* what it has of x87, SSE, AVX; 0: no XSAVE */
    bool ibpb;     /* has MSR PRED_CMD */
    struct hw_speculation speculation;
    unsigned enter_flags;      /* HW_ENTER_… */
    bool x87_leaks;            /* FXRSTOR and XRSTOR leave the last x87 addresses as they are */
    struct hw_vcpu *fpu_owner; /* whose vectors are in the registers, or were when it left; compared only */
    uint64_t last_vm;          /* hw_vm.id of whose code trained its branch predictors */
    uint32_t tag_max;          /* the engine's: tags are 1..tag_max */
    uint32_t tag_next;
    uint64_t tag_round;
};

static inline struct hw_vcpu *hw_vcpu_of(const struct vcpu *vcpu)
{
    return vcpu->engine_data;
}

static inline struct hw_vm *hw_vm_of(const struct vm *vm)
{
    return vm->engine_data;
}

/* ---- making and ending (hw.c); *_finish() accept what init left half done ---- */

/* This processor. plat: whose memory it is; tag_max is set before. */
int hw_cpu_init(struct hw_cpu *cpu, struct metal_cpu *metal, struct plat *plat, struct error *err);
int hw_vm_init(struct hw_vm *h, struct vm *vm, const struct hw_format *format, struct error *err);
void hw_vm_finish(struct hw_vm *h);
int hw_vcpu_init(struct hw_vcpu *v, struct vcpu *vcpu, const struct hw_ops *ops, struct error *err);
void hw_vcpu_finish(struct hw_vcpu *v);

/* ---- engine_ops, for both ---- */

enum vm_exit hw_vcpu_run(struct vcpu *vcpu);
int hw_state_get(struct vcpu *vcpu);
int hw_state_put(struct vcpu *vcpu);
int hw_tsc_rate(struct vm *vm, uint32_t khz);
void hw_clock_changed(struct vm *vm, bool running);
void hw_exclusive(struct vcpu *vcpu, bool begin);
int hw_dirty_track(struct vm *vm, bool on);
int hw_dirty_collect(struct vm *vm);
void hw_counters(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque);

/* What a guest wants of a page; 0: to read it. */
#define HW_WRITE BIT(0)
#define HW_FETCH BIT(1)

/* ---- exits; next_rip 0: the processor does not tell, so the instruction is decoded (exits.c) ---- */

void hw_cpuid(struct hw_vcpu *v, uint64_t next_rip);
void hw_msr(struct hw_vcpu *v, bool write, uint64_t next_rip);
/* IN and OUT; string forms go to hw_step(). */
void hw_pio(struct hw_vcpu *v, uint16_t port, unsigned size, bool in, uint64_t next_rip);
void hw_halt(struct hw_vcpu *v, uint64_t next_rip);
/* An access that the nested tables do not allow; of_data: to the operand, not to code or a page table. */
void hw_nested_fault(struct hw_vcpu *v, uint64_t gpa, unsigned access, bool of_data);
/* PAUSE in a loop. */
void hw_pause(struct hw_vcpu *v);
/* The machine interrupts: hw_vcpu_run() lets it. */
static inline void hw_external(struct hw_vcpu *v)
{
    v->count[HW_N_EXTERNAL]++;
    v->yield = v->look = true;
}
/* A window asked for is open. */
static inline void hw_window(struct hw_vcpu *v)
{
    v->count[HW_N_WINDOWS]++;
    v->look = true;
}
/* All others: x86_step() does the instruction, or whatever the event that was being delivered wants. */
void hw_step(struct hw_vcpu *v);
/* Delivers the pending exception or interrupt by software. */
void hw_deliver_soft(struct hw_vcpu *v);
/* An exception for the guest, instead of what it did. */
void hw_raise(struct hw_vcpu *v, enum x86_vector vector, bool has_error, uint32_t error);
/* An event whose delivery an exit cut short: it is delivered again. Not for INT n, INT3, INTO, which are run
 * again. */
void hw_requeue(struct hw_vcpu *v, enum hw_event event, uint8_t vector, bool has_error, uint32_t error);
/* Ends hw_vcpu_run(). */
static inline void hw_leave(struct hw_vcpu *v, enum vm_exit exit)
{
    v->left = v->look = true;
    v->exit = exit;
}

static inline void hw_need(struct hw_vcpu *v, uint32_t parts)
{
    uint32_t missing = parts & ~v->known;

    if (missing) {
        v->ops->fetch(v, missing);
        v->known |= missing;
    }
}

/* ---- around the instruction that enters the guest ---- */

/* Another vCPU is alone: waits for its end (alone.c). */
void hw_wait(struct hw_vcpu *v, enum hw_in in);

static inline void hw_guest_enter(struct hw_vcpu *v)
{
    const struct hw_vm *h = hw_vm_of(v->vcpu->vm);
    uint64_t flushes;

    __atomic_store_n(&v->in, HW_IN_GUEST, __ATOMIC_SEQ_CST);
    if (unlikely(__atomic_load_n(&h->alone_wanted, __ATOMIC_SEQ_CST)))
        hw_wait(v, HW_IN_GUEST);
    flushes = __atomic_load_n(&h->flushes, __ATOMIC_SEQ_CST);
    if (unlikely(flushes != v->flushed)) {
        v->flush = true;
        __atomic_store_n(&v->flushed, flushes, __ATOMIC_SEQ_CST);
    }
}

static inline void hw_guest_leave(struct hw_vcpu *v)
{
    __atomic_store_n(&v->in, HW_OUT, __ATOMIC_RELEASE);
    v->known = 0;
    v->byte_count = 0;
    v->delivering = false;
    v->count[HW_N_EXITS]++;
}

/* ---- tags of the TLB; true: the processor must drop all its guests' translations first ---- */

/* Gives the vCPU a tag that no translation has. v->tag is 0 after it was loaded where its own is no good. */
bool hw_tag(struct hw_vcpu *v);

/* ---- nested page tables (pages.c) ---- */

int hw_pages_init(struct hw_vm *h);
void hw_pages_finish(struct hw_vm *h);
/* False: neither RAM nor, for reads, ROM. */
bool hw_pages_fill(struct hw_vm *h, uint64_t gpa, unsigned access);
/* Returns once no processor uses translations from before. Any thread. */
void hw_pages_flush(struct hw_vm *h);

/* ---- vectors and x87 (fpu.c) ---- */

void hw_fpu_cpu(struct hw_cpu *cpu);             /* turns this processor's units on */
void hw_fpu_load(struct hw_vcpu *v, bool moved); /* into the registers; moved: was on another processor */
void hw_fpu_save(struct hw_vcpu *v);             /* out of them */
void hw_fpu_to_state(struct hw_vcpu *v);         /* into cpu.s, from where the next load takes them */

/* ---- the processor ---- */

static inline uint64_t hw_rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void hw_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
}

static inline uint64_t hw_rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Zeroes where the processor has no such leaf. */
void hw_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

#endif
