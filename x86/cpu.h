/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One logical processor: its architectural state (struct x86_state, what a
 * snapshot holds and every engine understands), and what software that steps
 * through guest code keeps around it (struct x86_cpu).
 *
 * Ownership: a vCPU embeds one x86_cpu; only the thread that runs the vCPU
 * touches it, or others while that thread is stopped. The environment
 * (struct x86_env) is how the processor reaches the world beyond its pins.
 */
#ifndef X86_CPU_H
#define X86_CPU_H

#include "x86/insn.h"
#include "x86/regs.h"

struct x86_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied */
    uint32_t attr;  /* X86_SEG_… */
    uint16_t selector;
};

struct x86_table_reg { /* GDTR, IDTR */
    uint64_t base;
    uint16_t limit;
};

union x86_vec { /* XMM in the low 16 bytes, YMM in the low 32; 64 for later */
    uint8_t b[64];
    uint64_t q[8];
} __attribute__((aligned(64)));

struct x86_x87 {
    uint8_t st[8][16]; /* 80 bits each, in stack order: st[0] is ST(0); also MM by physical number, see
                          x86/fpu.h */
    uint16_t fcw;
    uint16_t fsw; /* TOP in bits 11..13 */
    uint8_t ftw;  /* abridged as FXSAVE: bit n set: physical register n not empty */
    uint16_t fop;
    uint64_t fip;
    uint64_t fdp;
};

/* What the vCPU is doing between instructions. */
enum x86_activity {
    X86_ACT_RUN,
    X86_ACT_HALT,      /* HLT or MWAIT: waits for an interrupt */
    X86_ACT_WAIT_SIPI, /* application processor after INIT */
    X86_ACT_SHUTDOWN,  /* triple fault */
};

/* Interrupt shadow after STI and MOV/POP SS (SDM 3A 6.8.3) */
#define X86_SHADOW_STI BIT(0)
#define X86_SHADOW_SS  BIT(1)

struct x86_state {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags; /* whole and current outside of x86_run code; see x86_cpu.cc */
    struct x86_segment seg[X86_SEG_COUNT];
    struct x86_table_reg gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t efer, xcr0;
    uint64_t dr[8]; /* 4 and 5 unused */

    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_aux, misc_enable, spec_ctrl;
    uint64_t mtrr_def_type, mtrr_var[16], mtrr_fixed[11];
    uint64_t mcg_status;
    int64_t tsc_offset; /* guest TSC - the VM clock's TSC; IA32_TSC_ADJUST moves it */
    uint64_t tsc_adjust;
    uint64_t kvm_system_time, kvm_wall_clock, kvm_steal_time; /* the MSRs' values */

    union x86_vec vec[32]; /* 16 in use until AVX-512 */
    struct x86_x87 x87;
    uint32_t mxcsr;

    /* events between instructions */
    uint8_t activity; /* enum x86_activity */
    uint8_t shadow;   /* X86_SHADOW_… */
    bool nmi_masked;
    bool nmi_pending;
    bool exception_pending; /* not yet delivered: vector, error code as below */
    uint8_t exception_vector;
    bool exception_has_error;
    uint32_t exception_error;
    bool interrupt_pending; /* acknowledged at the interrupt controller, not yet delivered */
    uint8_t interrupt_vector;
    bool interrupt_soft;
};

struct x86_cpu;

/* What lies behind one guest-physical page, for the software TLB. */
struct x86_page {
    void *host;      /* of the page's first byte; NULL: not RAM or ROM, use mmio */
    bool write_fast; /* stores may go straight to host; else each store must be told to env->stored() */
    bool rom;        /* stores are dropped */
};

/*
 * The processor's surroundings. Calls come on the vCPU's thread and may block
 * on the VM's lock. Sizes are 1, 2, 4 or 8 bytes and naturally within one page.
 */
struct x86_env {
    /* gpa is page-aligned. */
    struct x86_page (*page)(struct x86_cpu *cpu, uint64_t gpa);
    /* After a store to RAM without write_fast: dirty tracking, translated code. */
    void (*stored)(struct x86_cpu *cpu, uint64_t gpa, unsigned size);
    uint64_t (*mmio_read)(struct x86_cpu *cpu, uint64_t gpa, unsigned size);
    void (*mmio_write)(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size);
    uint64_t (*pio_read)(struct x86_cpu *cpu, uint16_t port, unsigned size);
    void (*pio_write)(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size);
    /* The VM clock's TSC, before tsc_offset. */
    uint64_t (*tsc)(struct x86_cpu *cpu);
    uint64_t (*random)(struct x86_cpu *cpu); /* RDRAND, RDSEED */
    /* MSRs that belong to the platform (APIC base, x2APIC, TSC deadline, kvmclock): false → #GP. */
    bool (*msr_read)(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
    bool (*msr_write)(struct x86_cpu *cpu, uint32_t msr, uint64_t value);
    /* CR8 and the local APIC's TPR are one register; value is 0..15. */
    uint64_t (*cr8_read)(struct x86_cpu *cpu);
    void (*cr8_write)(struct x86_cpu *cpu, uint64_t value);
    /* Rare atomics that no host instruction can do (split over two pages) run between these. */
    void (*exclusive_begin)(struct x86_cpu *cpu);
    void (*exclusive_end)(struct x86_cpu *cpu);
};

/*
 * Software TLB, direct-mapped. An access of `size` bytes at linear address `lin`
 * hits if lin - entry.tag_{read,write} <= 4096 - size, unsigned: one compare
 * checks the page and that the access stays inside it. An empty slot holds a tag
 * that belongs to another slot (x86_tlb_flush: 0, and 0x1000 in slot 0), which no
 * address that selects the slot can match, canonical or not.
 */
#define X86_TLB_BITS 15
#define X86_TLB_SIZE (1U << X86_TLB_BITS)

struct x86_tlb_entry {
    uint64_t tag_read;
    uint64_t tag_write; /* only where page.write_fast */
    uint64_t addend;    /* host = lin + addend */
    uint64_t gpa;       /* of the page */
};

/* Which rights an access has: one TLB each. */
enum x86_mmu_index {
    X86_MMU_USER,
    X86_MMU_KERNEL,    /* supervisor, SMAP in force (or CR4.SMAP off: user pages are allowed) */
    X86_MMU_KERNEL_AC, /* supervisor with EFLAGS.AC set under SMAP */
    X86_MMU_COUNT,
};

/* After the tables for data: fetches, by user and by supervisor code; tag_write is not used there. */
#define X86_TLB_FETCH_USER   X86_MMU_COUNT
#define X86_TLB_FETCH_KERNEL (X86_MMU_COUNT + 1)
#define X86_TLB_TABLES       (X86_MMU_COUNT + 2)

/*
 * What one step of the generation dropped: the naturally aligned region of 2^bits bytes around lin. Of two
 * special sizes: all translations, and all but the global ones.
 */
struct x86_tlb_drop {
    uint64_t lin;
    uint8_t bits;
};

/* What the tables held of an address space (PCID) that is not the present one; no global translations. */
#define X86_TLB_CONTEXTS 8
#define X86_TLB_SAVED    512 /* translations of one; more are dropped */

struct x86_tlb_saved {
    struct x86_tlb_entry entry;
    uint8_t table;
    bool writable;
};

struct x86_tlb_context {
    bool valid;
    uint16_t pcid;
    uint16_t count;
    uint64_t used_at;  /* x86_tlb.switches */
    uint64_t protects; /* x86_tlb.protects when it was saved */
    struct x86_tlb_saved page[X86_TLB_SAVED];
};

#define X86_TLB_TABLE_PAGES 64

#define X86_TLB_DROPS       32 /* that are remembered */
#define X86_TLB_DROP_LOCAL  63
#define X86_TLB_DROP_ALL    64

struct x86_tlb {
    struct x86_tlb_entry entry[X86_TLB_TABLES][X86_TLB_SIZE];
    uint64_t generation; /* grows when translations are dropped: for those who keep copies of them */
    struct x86_tlb_drop drop[X86_TLB_DROPS]; /* by generation, modulo */
    /* x86/tlb.c's own: a bit for each slot, and hashes of the large pages that were entered */
    uint64_t used[X86_TLB_TABLES][X86_TLB_SIZE / 64];
    uint64_t used_words[X86_TLB_TABLES]
                       [X86_TLB_SIZE / 64 / 64]; /* a bit for each word of `used` that is not 0 */
    uint64_t global[X86_TLB_TABLES][X86_TLB_SIZE / 64];
    uint64_t writable[X86_TLB_TABLES][X86_TLB_SIZE / 64];
    uint64_t large[64], huge;
    /* x86/paging.c's: where pages of page tables lie; for as long as nobody flushes everything */
    struct {
        uint64_t gpa; /* | 1 */
        void *host;
    } table_page[X86_TLB_TABLE_PAGES];
    uint64_t switches, protects;
    struct x86_tlb_context context[X86_TLB_CONTEXTS];
};

/* Requests from other threads, polled between blocks (atomic OR into cpu->request). */
#define X86_REQ_INTERRUPT BIT(0) /* look at env: an interrupt may be deliverable */
#define X86_REQ_NMI       BIT(1)
#define X86_REQ_INIT      BIT(2)
#define X86_REQ_SIPI      BIT(3)
#define X86_REQ_EXIT      BIT(4) /* return from the engine */
#define X86_REQ_TLB_FLUSH BIT(5) /* drop all translations (write rights were taken away) */
#define X86_REQ_ENGINE    BIT(6) /* the engine's own: its threads' messages to each other */

struct x86_fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
};

struct x86_cpuid_model; /* x86/cpuid.h */
struct x86_thunks;      /* x86/thunk.h: generated code that runs vector instructions on the host */

struct x86_cpu {
    struct x86_state s;

    /*
     * The arithmetic flags while guest code runs, as LAHF and SETO leave them in
     * AX: bit 8 CF, 10 PF, 12 AF, 14 ZF, 15 SF; bit 0 OF. s.rflags has them only
     * after x86_flags_get(). Outside of stepping code s.rflags is whole.
     */
    uint32_t cc;
    uint32_t mode; /* enum x86_mode, from CS and EFER; see x86_mode_changed() */
    uint8_t cpl;
    uint8_t mmu_index;             /* enum x86_mmu_index for ordinary data accesses */
    bool flat;                     /* ES, CS, SS, DS have base 0 and no limit that can be hit */
    struct x86_tlb_entry *tlb_now; /* tlb->entry[mmu_index] */
    struct x86_tlb *tlb;           /* owned by the engine, which made it zeroed */

    uint32_t request; /* atomic, X86_REQ_… */

    struct x86_fault fault; /* valid after X86_FAULT */
    uint64_t fault_cr2;
    uint32_t debug_trap; /* DR6 bits of a #DB that is due after this instruction; see x86_debug_after() */

    const struct x86_env *env;
    /* Brings vector and x87 state into s, where it lies elsewhere: x86_step() calls it before an instruction
     * that touches any of it. NULL: it is in s. */
    void (*want_vectors)(struct x86_cpu *cpu);
    /* Asked between a string's elements: shall the instruction be left here, and gone on with later
     * (X86_AGAIN)? NULL: never, its thread can be taken off the processor at any time. */
    bool (*must_yield)(struct x86_cpu *cpu);
    const struct x86_cpuid_model *cpuid;
    struct x86_thunks *thunks;
    uint32_t apic_id;
    /* The three of them: core/engine.h. */
    uint64_t instructions;      /* completed */
    uint64_t instruction_limit; /* at which to stop */
    int64_t uncounted;          /* what instructions lacks in the middle of a block */
    void *owner;                /* the core's struct vcpu */
};

#endif
