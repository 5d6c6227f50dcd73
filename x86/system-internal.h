/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the system half of x86/ shares among its own files: paging, descriptors,
 * stacks of control transfers, events, tasks. Nobody else includes this.
 *
 * Functions that return bool: false means cpu->fault is set and no
 * architectural state has changed.
 */
#ifndef X86_SYSTEM_INTERNAL_H
#define X86_SYSTEM_INTERNAL_H

#include "x86/cpuid.h"
#include "x86/exec.h"
#include "x86/mem.h"

#define X86_LIN_MASK32 0xffffffffULL

/* ---- modes ---- */

static inline bool x86_protected(const struct x86_cpu *cpu)
{
    return cpu->s.cr0 & X86_CR0_PE;
}

static inline bool x86_vm86(const struct x86_cpu *cpu)
{
    return cpu->s.rflags & X86_FL_VM;
}

/* Segments are selector * 16: real mode or virtual-8086. */
static inline bool x86_real_segments(const struct x86_cpu *cpu)
{
    return !x86_protected(cpu) || x86_vm86(cpu);
}

static inline bool x86_long(const struct x86_cpu *cpu)
{
    return cpu->s.efer & X86_EFER_LMA;
}

static inline unsigned x86_iopl(const struct x86_cpu *cpu)
{
    return (unsigned)(cpu->s.rflags >> 12) & 3;
}

static inline bool x86_canonical(const struct x86_cpu *cpu, uint64_t lin)
{
    unsigned shift = cpu->s.cr4 & X86_CR4_LA57 ? 7 : 16;

    return (uint64_t)((int64_t)(lin << shift) >> shift) == lin;
}

static inline bool x86_vendor_amd(const struct x86_cpu *cpu)
{
    return cpu->cpuid->leaf[0].ebx == 0x68747541; /* "Auth" */
}

/* x86_raise() where false is wanted. */
static inline bool x86_fail(struct x86_cpu *cpu, enum x86_vector vector, uint32_t error)
{
    x86_raise_error(cpu, vector, error);
    return false;
}

/* ---- memory with the supervisor's implicit rights: descriptor tables, TSS, inner stacks ---- */

static inline bool x86_system_load(struct x86_cpu *cpu, uint64_t lin, unsigned size, uint64_t *value)
{
    return x86_load_slow(cpu, lin, size, X86_MMU_KERNEL, value);
}

static inline bool x86_system_store(struct x86_cpu *cpu, uint64_t lin, unsigned size, uint64_t value)
{
    return x86_store_slow(cpu, lin, size, X86_MMU_KERNEL, value);
}

/* A linear address as wide as the mode has them. */
static inline uint64_t x86_wrap(const struct x86_cpu *cpu, uint64_t lin)
{
    return x86_long(cpu) ? lin : lin & X86_LIN_MASK32;
}

/* ---- TLB (x86/tlb.c) ---- */

struct x86_walk {
    uint64_t gpa; /* of the byte */
    unsigned page_bits;
    bool user, writable, executable, global;
    bool dirty; /* D is set, or there is no such bit */
};

void x86_tlb_init(struct x86_cpu *cpu);
/* Everything but global pages, of all address spaces. */
void x86_tlb_flush_local(struct x86_cpu *cpu);
/* CR3 is loaded under CR4.PCIDE. keep: what is known of the new address space stays valid. */
void x86_tlb_switch(struct x86_cpu *cpu, uint16_t from, uint16_t to, bool keep);
/* All of one address space but global pages. */
void x86_tlb_flush_pcid(struct x86_cpu *cpu, uint16_t pcid);
/* Is there an entry that gives this right? The slot's number comes back. */
bool x86_tlb_find(const struct x86_cpu *cpu, unsigned table, uint64_t lin, bool write, unsigned *slot);
void x86_tlb_fill(struct x86_cpu *cpu, unsigned table, uint64_t lin, const struct x86_walk *walk,
                  const struct x86_page *page, bool writable);

/* ---- segments (x86/segment.c) ---- */

struct x86_descriptor {
    struct x86_segment seg; /* base, limit and attributes; the selector as asked for */
    uint64_t low;           /* the first 8 bytes, for gates */
    uint64_t high;          /* of 16-byte descriptors in long mode */
    uint64_t lin;           /* where it lies, for the accessed and busy bits */
};

#define X86_TYPE_CODE       BIT(3) /* with S: code, else data */
#define X86_TYPE_CONFORMING BIT(2) /* code */
#define X86_TYPE_DOWN       BIT(2) /* data: expand-down */
#define X86_TYPE_READ       BIT(1) /* code */
#define X86_TYPE_WRITE      BIT(1) /* data */
#define X86_TYPE_ACCESSED   BIT(0)

/* System types (SDM 3A table 3-2); the 32-bit ones have bit 3 set. */
enum x86_system_type {
    X86_SYS_TSS16 = 1,
    X86_SYS_LDT = 2,
    X86_SYS_TSS16_BUSY = 3,
    X86_SYS_CALL16 = 4,
    X86_SYS_TASK = 5,
    X86_SYS_INT16 = 6,
    X86_SYS_TRAP16 = 7,
    X86_SYS_TSS32 = 9,
    X86_SYS_TSS32_BUSY = 11,
    X86_SYS_CALL32 = 12,
    X86_SYS_INT32 = 14,
    X86_SYS_TRAP32 = 15,
};

static inline unsigned x86_seg_dpl(const struct x86_segment *seg)
{
    return (seg->attr & X86_SEG_DPL) >> 5;
}

static inline unsigned x86_seg_type(const struct x86_segment *seg)
{
    return seg->attr & X86_SEG_TYPE;
}

/* A code or data segment, as opposed to a system one? */
static inline bool x86_seg_is_code(const struct x86_segment *seg)
{
    return seg->attr & X86_SEG_S && seg->attr & X86_TYPE_CODE;
}

static inline bool x86_seg_is_data(const struct x86_segment *seg)
{
    return seg->attr & X86_SEG_S && !(seg->attr & X86_TYPE_CODE);
}

static inline bool x86_seg_conforming(const struct x86_segment *seg)
{
    return seg->attr & X86_TYPE_CONFORMING;
}

enum x86_fetch { X86_FETCH_OK, X86_FETCH_OUTSIDE, X86_FETCH_FAULT };

/* Reads a descriptor; OUTSIDE: beyond the table or no table (no fault is set). wide: system ones have 16
 * bytes. */
enum x86_fetch x86_descriptor_fetch(struct x86_cpu *cpu, uint16_t selector, bool wide,
                                    struct x86_descriptor *d);
/* The same; outside raises `vector` with the selector and ext (0 or 1). */
bool x86_descriptor_read(struct x86_cpu *cpu, uint16_t selector, bool wide, enum x86_vector vector,
                         uint32_t ext, struct x86_descriptor *d);
/* Sets the accessed bit in memory and in *d. */
bool x86_descriptor_accessed(struct x86_cpu *cpu, struct x86_descriptor *d);
/* Atomic change of the type byte of a descriptor in memory. */
bool x86_descriptor_busy(struct x86_cpu *cpu, uint64_t lin, bool busy);

/* Are [offset, offset + size) inside the limit? */
bool x86_segment_inside(const struct x86_segment *seg, uint64_t offset, unsigned size);

/* What MOV, POP, LDS … do for ES, SS, DS, FS, GS in any mode. */
bool x86_segment_load(struct x86_cpu *cpu, unsigned seg, uint16_t selector);
/* Checks a stack segment for privilege `cpl` as transfers and tasks want it; faults are `vector`. */
bool x86_stack_descriptor(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, enum x86_vector vector,
                          uint32_t ext, struct x86_descriptor *d);
/* A NULL stack segment that carries the privilege (long mode). */
struct x86_segment x86_null_stack(uint16_t selector, unsigned cpl);
struct x86_segment x86_real_segment(uint16_t selector, uint32_t attr);
/* ES, DS, FS, GS that the new, outer privilege may not use become NULL. */
void x86_segments_outer(struct x86_cpu *cpu);
/* LDTR and TR, with the checks of LLDT and LTR. */
bool x86_ldt_load(struct x86_cpu *cpu, uint16_t selector, enum x86_vector vector, uint32_t ext);

/* ---- stacks of control transfers ---- */

/* A stack that is not (yet) the processor's: SS, pointer, and rights. Committed by the caller. */
struct x86_stack {
    struct x86_cpu *cpu;
    struct x86_segment ss;
    uint64_t sp;
    uint64_t mask; /* of the pointer's bits that change */
    bool flat;     /* 64-bit: no segment */
    unsigned mmu;
    uint32_t error; /* of the #SS if it overflows */
};

/* The processor's present stack. */
struct x86_stack x86_stack_now(struct x86_cpu *cpu);
/* One for privilege cpl; flat: of 64-bit code. */
struct x86_stack x86_stack_of(struct x86_cpu *cpu, const struct x86_segment *ss, uint64_t sp, unsigned cpl,
                              bool flat, uint32_t error);
bool x86_stack_push(struct x86_stack *stack, uint64_t value, unsigned size);
bool x86_stack_pop(struct x86_stack *stack, uint64_t *value, unsigned size);
/* Reads `size` bytes `offset` above the top. */
bool x86_stack_peek(const struct x86_stack *stack, unsigned offset, unsigned size, uint64_t *value);
/* SS untouched; rSP as wide as the stack. */
void x86_stack_commit_sp(const struct x86_stack *stack);

/* ---- code segments of control transfers ---- */

/* May code be entered at offset of this segment (limit, or canonical)? */
bool x86_code_offset(struct x86_cpu *cpu, const struct x86_segment *cs, uint64_t offset);
/* Present, L and D not both, accessed bit set. */
bool x86_code_prepare(struct x86_cpu *cpu, struct x86_descriptor *d, uint32_t ext);

/* What RETF and IRET want of the code segment they return to, and of an outer stack segment. */
bool x86_return_code(struct x86_cpu *cpu, uint16_t selector, uint64_t offset, struct x86_descriptor *d);
bool x86_return_stack(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, bool to_64bit,
                      struct x86_segment *ss);

/* Stack pointer for privilege cpl from the TSS: *ss is the selector (32- and 16-bit TSS only). */
bool x86_tss_stack(struct x86_cpu *cpu, unsigned cpl, uint32_t ext, uint16_t *ss, uint64_t *sp);

/* ---- events and tasks ---- */

enum x86_event_kind {
    X86_EVENT_FAULT,    /* an exception; s.rip is the instruction */
    X86_EVENT_EXTERNAL, /* interrupt or NMI */
    X86_EVENT_SOFT,     /* INT n, INT3, INTO: the gate's DPL counts */
    X86_EVENT_INT1,     /* as SOFT but no DPL check, and EXT is set */
};

/* Enters the handler of one event, returning to next_rip. False: cpu->fault is what happened on the way. */
bool x86_event_enter(struct x86_cpu *cpu, uint8_t vector, enum x86_event_kind kind, bool has_error,
                     uint32_t error, uint64_t next_rip);

enum x86_task_kind { X86_TASK_JUMP, X86_TASK_CALL, X86_TASK_IRET, X86_TASK_EVENT };

/*
 * Switches to the task of a TSS. next_rip is what the old task goes on with. If the switch itself fails
 * before the point of no return: false. After it, faults belong to the new task: false too, s.rip being
 * there.
 */
bool x86_task_switch(struct x86_cpu *cpu, uint16_t selector, enum x86_task_kind kind, uint64_t next_rip,
                     uint32_t ext);
/* The task gate's TSS selector checked and used. */
bool x86_task_gate(struct x86_cpu *cpu, const struct x86_descriptor *gate, enum x86_task_kind kind,
                   uint64_t next_rip, uint32_t ext);

/* ---- control registers, debug (x86/control.c, x86/debug.c) ---- */

enum x86_result x86_cr_write(struct x86_cpu *cpu, unsigned cr, uint64_t value);
/* CR3 as a task switch loads it. */
void x86_cr3_load(struct x86_cpu *cpu, uint64_t cr3);

/* May the port be used (IOPL, TSS bitmap)? */
bool x86_port_allowed(struct x86_cpu *cpu, uint16_t port, unsigned size);
/* DR6 bits of the I/O breakpoints that match. */
void x86_debug_io(struct x86_cpu *cpu, uint16_t port, unsigned size);

/* A #DB fault with DR6 bits. */
enum x86_result x86_debug_fault(struct x86_cpu *cpu, uint32_t dr6);
/* Has this page a data breakpoint, so that it must not be in the TLB? */
bool x86_debug_page(const struct x86_cpu *cpu, uint64_t lin);

#endif
