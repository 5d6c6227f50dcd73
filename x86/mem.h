/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory by linear address, as the processor sees it: software TLB in
 * front, page walk behind (x86/paging.c), MMIO by way of the environment.
 *
 * Every function returns false with cpu->fault set if the access faults; then
 * memory is untouched. Aligned accesses of up to 8 bytes are single host
 * accesses, so they are as atomic as the architecture promises.
 */
#ifndef X86_MEM_H
#define X86_MEM_H

#include "base/bytes.h"
#include "x86/cpu.h"

enum x86_mem_access {
    X86_MEM_READ,
    X86_MEM_WRITE,
    X86_MEM_FETCH,
};

/* A linear address translated for one access. */
struct x86_translation {
    uint64_t gpa;
    void *host; /* NULL: MMIO */
    bool write_fast;
    bool rom;
};

/* Walks, checks rights, sets A and D, fills the TLB. size must not cross the page. mmu: enum x86_mmu_index.
 */
bool x86_translate(struct x86_cpu *cpu, uint64_t lin, enum x86_mem_access access, unsigned mmu,
                   struct x86_translation *out);

/* Linear → guest-physical for debuggers: no fault, no A/D, supervisor rights. False: not mapped. */
bool x86_walk_quiet(struct x86_cpu *cpu, uint64_t lin, uint64_t *gpa);

void x86_tlb_flush(struct x86_cpu *cpu);                    /* everything */
void x86_tlb_flush_page(struct x86_cpu *cpu, uint64_t lin); /* INVLPG */
/* Takes fast write rights to one guest-physical page away; O(TLB). */
void x86_tlb_protect(struct x86_cpu *cpu, uint64_t gpa);

/* Is the translation that the table has for this page a global one? (False if it has none.) */
static inline bool x86_tlb_global(const struct x86_tlb *tlb, unsigned table, uint64_t lin)
{
    unsigned slot = (unsigned)(lin >> 12) & (X86_TLB_SIZE - 1);

    return tlb->entry[table][slot].tag_read == ALIGN_DOWN(lin, 4096) &&
           tlb->global[table][slot / 64] >> (slot % 64) & 1;
}

/* The slow halves of the accessors below: any size 1..8, any alignment, page crossing, MMIO. */
bool x86_load_slow(struct x86_cpu *cpu, uint64_t lin, unsigned size, unsigned mmu, uint64_t *value);
bool x86_store_slow(struct x86_cpu *cpu, uint64_t lin, unsigned size, unsigned mmu, uint64_t value);

/* Any length, with explicit rights; both pages are checked before a store changes anything. */
bool x86_load_bytes(struct x86_cpu *cpu, uint64_t lin, void *buf, size_t len, unsigned mmu);
bool x86_store_bytes(struct x86_cpu *cpu, uint64_t lin, const void *buf, size_t len, unsigned mmu);

/*
 * A host pointer for a read-modify-write of `size` bytes (1..64) at lin, rights checked for writing;
 * false: fault, or *host NULL: MMIO or page crossing, do it by load and store (between exclusive_begin/end
 * if LOCKed). After the write call x86_rmw_done().
 */
bool x86_rmw(struct x86_cpu *cpu, uint64_t lin, unsigned size, void **host);
void x86_rmw_done(struct x86_cpu *cpu, uint64_t lin, unsigned size);

static inline struct x86_tlb_entry *x86_tlb_slot(struct x86_cpu *cpu, uint64_t lin)
{
    return &cpu->tlb_now[(lin >> 12) & (X86_TLB_SIZE - 1)];
}

/* Segment-less, present rights. The compiler folds `size` where it is constant. */
static inline bool x86_load(struct x86_cpu *cpu, uint64_t lin, unsigned size, uint64_t *value)
{
    const struct x86_tlb_entry *e = x86_tlb_slot(cpu, lin);
    const void *p = (const void *)(uintptr_t)(lin + e->addend);

    if (unlikely(lin - e->tag_read > 4096 - size))
        return x86_load_slow(cpu, lin, size, cpu->mmu_index, value);
    switch (size) {
    case 1:
        *value = *(const volatile uint8_t *)p;
        return true;
    case 2:
        *value = load_le16(p);
        return true;
    case 4:
        *value = load_le32(p);
        return true;
    default:
        *value = load_le64(p);
        return true;
    }
}

static inline bool x86_store(struct x86_cpu *cpu, uint64_t lin, unsigned size, uint64_t value)
{
    const struct x86_tlb_entry *e = x86_tlb_slot(cpu, lin);
    void *p = (void *)(uintptr_t)(lin + e->addend);

    if (unlikely(lin - e->tag_write > 4096 - size))
        return x86_store_slow(cpu, lin, size, cpu->mmu_index, value);
    switch (size) {
    case 1:
        *(volatile uint8_t *)p = (uint8_t)value;
        return true;
    case 2:
        store_le16(p, (uint16_t)value);
        return true;
    case 4:
        store_le32(p, (uint32_t)value);
        return true;
    default:
        store_le64(p, value);
        return true;
    }
}

/*
 * With segmentation: offset within seg (enum x86_seg_id), limit and type checks
 * where the mode has them, canonical checks in long mode. The linear address
 * comes back in *lin; false: #GP(0) or #SS(0) is set.
 */
bool x86_segment_linear(struct x86_cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                        enum x86_mem_access access, uint64_t *lin);

#endif
