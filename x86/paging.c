/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From linear to guest-physical addresses (SDM 3A chapter 4): no paging, 32-bit
 * with PSE, PAE, and 4- and 5-level tables, all walked by one loop over a
 * description of the format.
 *
 * A and D are set in the guest's tables by compare-and-exchange, as other
 * processors may write to them; if an entry changed under the walk, the walk
 * starts anew. PAE's four top entries are read at each walk, as AMD's
 * processors do, not kept in registers.
 */
#include "x86/system-internal.h"

struct paging_format {
    uint8_t levels;
    uint8_t entry_size;
    uint8_t index_bits;
};

static const struct paging_format format_32 = {2, 4, 10};
static const struct paging_format format_pae = {3, 8, 9};
static const struct paging_format format_4 = {4, 8, 9};
static const struct paging_format format_5 = {5, 8, 9};

#define ADDRESS_MASK 0x000ffffffffff000ULL
#define MAX_LEVELS   5
/* A walk that keeps losing races ends in a page fault, which software must expect at any time. */
#define MAX_RACES 256

/* One entry that a walk used. */
struct step {
    uint64_t gpa;
    uint64_t value;
    bool has_accessed;
};

struct path {
    struct step step[MAX_LEVELS];
    unsigned count;
};

static const struct paging_format *format_of(const struct x86_cpu *cpu)
{
    if (x86_long(cpu))
        return cpu->s.cr4 & X86_CR4_LA57 ? &format_5 : &format_4;
    return cpu->s.cr4 & X86_CR4_PAE ? &format_pae : &format_32;
}

/* The page of tables that gpa lies in; NULL: it is no memory. */
static void *table_page(struct x86_cpu *cpu, uint64_t gpa)
{
    struct x86_tlb *tlb = cpu->tlb;
    unsigned n = (unsigned)(gpa >> 12) % X86_TLB_TABLE_PAGES;
    uint64_t tag = (gpa & ~0xfffULL) | 1;
    void *host;

    if (tlb && tlb->table_page[n].gpa == tag)
        return tlb->table_page[n].host;
    host = cpu->env->page(cpu, ALIGN_DOWN(gpa, 4096)).host;
    if (tlb && host) {
        tlb->table_page[n].gpa = tag;
        tlb->table_page[n].host = host;
    }
    return host;
}

static uint64_t entry_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    void *page = table_page(cpu, gpa);

    if (!page)
        return cpu->env->mmio_read(cpu, gpa, size);
    if (size == 4)
        return __atomic_load_n((uint32_t *)page + (gpa & 0xfff) / 4, __ATOMIC_ACQUIRE);
    return __atomic_load_n((uint64_t *)page + (gpa & 0xfff) / 8, __ATOMIC_ACQUIRE);
}

/* Replaces the entry if it still has the value the walk saw. */
static bool entry_update(struct x86_cpu *cpu, uint64_t gpa, unsigned size, uint64_t old, uint64_t value)
{
    struct x86_page page = cpu->env->page(cpu, ALIGN_DOWN(gpa, 4096));
    bool done;

    if (!page.host || page.rom)
        return true;
    if (size == 4) {
        uint32_t expected = (uint32_t)old;

        done = __atomic_compare_exchange_n((uint32_t *)page.host + (gpa & 0xfff) / 4, &expected,
                                           (uint32_t)value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        done = __atomic_compare_exchange_n((uint64_t *)page.host + (gpa & 0xfff) / 8, &old, value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    if (done && !page.write_fast)
        cpu->env->stored(cpu, gpa, size);
    return done;
}

/* Bits that must be zero in an entry of this level; leaf: it maps a page. */
static uint64_t reserved_bits(const struct x86_cpu *cpu, const struct paging_format *f, unsigned level,
                              bool leaf)
{
    uint64_t mask = ADDRESS_MASK & ~(BIT64(cpu->cpuid->phys_bits) - 1);

    if (f->entry_size == 4) /* PSE-36: bits 13..20 are address bits 32..39 */
        return leaf && level == 2 ? BIT64(21) | ((mask >> 32 & 0xff) << 13) : 0;
    if (!(cpu->s.efer & X86_EFER_NXE))
        mask |= X86_PTE_NX;
    if (f == &format_pae) {
        mask |= 0x7ff0000000000000ULL;
        if (level == 3)
            return mask | X86_PTE_NX | 0x1e6;
    }
    if (leaf && level > 1)
        mask |= (BIT64(12 + 9 * (level - 1)) - 1) & 0x3fffe000ULL;
    return mask;
}

/* May an entry of this level map a page, if its PS bit says so? */
static bool leaf_allowed(const struct x86_cpu *cpu, const struct paging_format *f, unsigned level)
{
    if (f->entry_size == 4)
        return level == 2 && cpu->s.cr4 & X86_CR4_PSE;
    if (level == 3)
        return f->levels > 3 && x86_feature(cpu->cpuid, X86_FEAT_PDPE1GB);
    return level == 2;
}

/* Is PS reserved here (rather than ignored)? */
static bool leaf_reserved(const struct paging_format *f, unsigned level)
{
    return f->levels > 3 && level >= 3;
}

static uint64_t leaf_address(const struct paging_format *f, uint64_t entry, unsigned bits, uint64_t lin)
{
    uint64_t base = f->entry_size == 8 ? entry & ADDRESS_MASK : entry & 0xfffff000U;

    if (f->entry_size == 4 && bits == 22)
        base = (base & 0xffc00000U) | (entry >> 13 & 0xff) << 32;
    return ALIGN_DOWN(base, BIT64(bits)) | (lin & (BIT64(bits) - 1));
}

/* Walks the tables. False: *error has P and RSVD. */
static bool walk_tables(struct x86_cpu *cpu, uint64_t lin, struct x86_walk *walk, struct path *path,
                        uint32_t *error)
{
    const struct paging_format *f = format_of(cpu);
    uint64_t table = f->entry_size == 8 ? cpu->s.cr3 & ADDRESS_MASK : cpu->s.cr3 & 0xfffff000U;

    if (f == &format_pae)
        table = cpu->s.cr3 & 0xffffffe0U;
    path->count = 0;
    walk->user = walk->writable = walk->executable = true;
    for (unsigned level = f->levels; level; level--) {
        unsigned bits = 12 + (level - 1) * f->index_bits;
        uint64_t index = (lin >> bits) & (BIT64(f->index_bits) - 1);
        uint64_t gpa, entry;
        bool top_pae = f == &format_pae && level == 3, leaf;

        if (top_pae)
            index &= 3;
        gpa = table + index * f->entry_size;
        entry = entry_read(cpu, gpa, f->entry_size);
        if (!(entry & X86_PTE_P)) {
            *error = 0;
            return false;
        }
        leaf = level == 1 || (entry & X86_PTE_PS && leaf_allowed(cpu, f, level));
        if (entry & reserved_bits(cpu, f, level, leaf) ||
            (!leaf && entry & X86_PTE_PS && leaf_reserved(f, level))) {
            *error = X86_PF_P | X86_PF_RSVD;
            return false;
        }
        path->step[path->count++] = (struct step){gpa, entry, !top_pae};
        if (!top_pae) {
            walk->user = walk->user && entry & X86_PTE_U;
            walk->writable = walk->writable && entry & X86_PTE_W;
            walk->executable = walk->executable && !(f->entry_size == 8 && entry & X86_PTE_NX);
        }
        if (leaf) {
            walk->page_bits = bits;
            walk->gpa = leaf_address(f, entry, bits, lin);
            walk->global = entry & X86_PTE_G && cpu->s.cr4 & X86_CR4_PGE;
            walk->dirty = entry & X86_PTE_D;
            return true;
        }
        table = f->entry_size == 8 ? entry & ADDRESS_MASK : entry & 0xfffff000U;
    }
    return false; /* not reached: level 1 is a leaf */
}

/* Sets A along the path, and D at its end. False: an entry has changed, walk again. */
static bool mark_used(struct x86_cpu *cpu, const struct path *path, bool dirty)
{
    unsigned size = format_of(cpu)->entry_size;

    for (unsigned i = 0; i < path->count; i++) {
        const struct step *s = &path->step[i];
        uint64_t want = s->value;

        if (!s->has_accessed)
            continue;
        want |= X86_PTE_A;
        if (dirty && i + 1 == path->count)
            want |= X86_PTE_D;
        if (want != s->value && !entry_update(cpu, s->gpa, size, s->value, want))
            return false;
    }
    return true;
}

static bool may_write(const struct x86_cpu *cpu, const struct x86_walk *walk, unsigned mmu)
{
    return walk->writable || (mmu != X86_MMU_USER && !(cpu->s.cr0 & X86_CR0_WP));
}

static bool allowed(const struct x86_cpu *cpu, const struct x86_walk *walk, enum x86_mem_access access,
                    unsigned mmu)
{
    if (mmu == X86_MMU_USER && !walk->user)
        return false;
    if (access == X86_MEM_FETCH)
        return walk->executable && !(mmu != X86_MMU_USER && walk->user && cpu->s.cr4 & X86_CR4_SMEP);
    if (mmu == X86_MMU_KERNEL && walk->user && cpu->s.cr4 & X86_CR4_SMAP)
        return false;
    return access == X86_MEM_READ || may_write(cpu, walk, mmu);
}

static bool page_fault(struct x86_cpu *cpu, uint64_t lin, enum x86_mem_access access, unsigned mmu,
                       uint32_t error)
{
    bool tells_fetch = cpu->s.cr4 & X86_CR4_SMEP || (cpu->s.efer & X86_EFER_NXE && cpu->s.cr4 & X86_CR4_PAE);

    if (access == X86_MEM_WRITE)
        error |= X86_PF_W;
    if (access == X86_MEM_FETCH && tells_fetch)
        error |= X86_PF_I;
    if (mmu == X86_MMU_USER)
        error |= X86_PF_U;
    cpu->fault_cr2 = lin;
    return x86_fail(cpu, X86_PF, error);
}

static void walk_flat(uint64_t lin, struct x86_walk *walk)
{
    *walk = (struct x86_walk){
        .gpa = lin, .page_bits = 12, .user = true, .writable = true, .executable = true, .dirty = true};
}

/* Walk, rights, A and D. */
static bool walk_checked(struct x86_cpu *cpu, uint64_t lin, enum x86_mem_access access, unsigned mmu,
                         struct x86_walk *walk)
{
    struct path path;
    uint32_t error;
    bool write = access == X86_MEM_WRITE;

    for (unsigned i = 0; i < MAX_RACES; i++) {
        if (!walk_tables(cpu, lin, walk, &path, &error))
            return page_fault(cpu, lin, access, mmu, error);
        if (!allowed(cpu, walk, access, mmu))
            return page_fault(cpu, lin, access, mmu, X86_PF_P);
        if (mark_used(cpu, &path, write)) {
            walk->dirty = walk->dirty || write;
            return true;
        }
    }
    return page_fault(cpu, lin, access, mmu, 0);
}

static void translation_of(struct x86_translation *out, const struct x86_page *page, uint64_t gpa)
{
    *out = (struct x86_translation){
        .gpa = gpa,
        .host = page->host ? (uint8_t *)page->host + (gpa & 0xfff) : NULL,
        .write_fast = page->write_fast,
        .rom = page->rom,
    };
}

/* What the TLB knows already. Stores get here where they must be told of, so ask the environment anew. */
static bool translate_cached(struct x86_cpu *cpu, uint64_t lin, bool write, unsigned table,
                             struct x86_translation *out)
{
    struct x86_tlb_entry *e;
    struct x86_page page;
    unsigned slot;

    if (!x86_tlb_find(cpu, table, lin, write, &slot))
        return false;
    e = &cpu->tlb->entry[table][slot];
    page = (struct x86_page){.host = (void *)(uintptr_t)(e->tag_read + e->addend), .write_fast = true};
    if (write && e->tag_write != e->tag_read) {
        page = cpu->env->page(cpu, e->gpa);
        if (!page.host)
            return false;
        if (page.write_fast && !page.rom)
            e->tag_write = e->tag_read;
    }
    translation_of(out, &page, e->gpa | (lin & 0xfff));
    return true;
}

bool x86_translate(struct x86_cpu *cpu, uint64_t lin, enum x86_mem_access access, unsigned mmu,
                   struct x86_translation *out)
{
    bool write = access == X86_MEM_WRITE;
    unsigned table = mmu;
    struct x86_walk walk;
    struct x86_page page;

    if (access == X86_MEM_FETCH)
        table = mmu == X86_MMU_USER ? X86_TLB_FETCH_USER : X86_TLB_FETCH_KERNEL;
    if (!x86_long(cpu))
        lin &= X86_LIN_MASK32;
    else if (!x86_canonical(cpu, lin))
        return x86_fail(cpu, X86_GP, 0);
    if (translate_cached(cpu, lin, write, table, out))
        return true;
    if (!(cpu->s.cr0 & X86_CR0_PG))
        walk_flat(lin, &walk);
    else if (!walk_checked(cpu, lin, access, mmu, &walk))
        return false;
    page = cpu->env->page(cpu, ALIGN_DOWN(walk.gpa, 4096));
    translation_of(out, &page, walk.gpa);
    if (page.host && !(access != X86_MEM_FETCH && x86_debug_page(cpu, lin)))
        x86_tlb_fill(cpu, table, lin, &walk, &page, walk.dirty && may_write(cpu, &walk, mmu));
    return true;
}

bool x86_walk_quiet(struct x86_cpu *cpu, uint64_t lin, uint64_t *gpa)
{
    struct x86_walk walk;
    struct path path;
    uint32_t error;

    if (!x86_long(cpu))
        lin &= X86_LIN_MASK32;
    else if (!x86_canonical(cpu, lin))
        return false;
    if (!(cpu->s.cr0 & X86_CR0_PG))
        walk_flat(lin, &walk);
    else if (!walk_tables(cpu, lin, &walk, &path, &error))
        return false;
    *gpa = walk.gpa;
    return true;
}
