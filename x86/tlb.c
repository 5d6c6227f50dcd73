/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software TLB behind x86/mem.h: filling and dropping translations.
 *
 * A slot is empty when its tags belong to another slot. Bitmaps remember which
 * slots are in use, so that a flush costs what it drops and not the table's
 * size; which translations are global, so that a load of CR3 keeps them; and
 * which pages may be written although stores must not go straight to the host.
 *
 * INVLPG drops whole large pages, which lie here as many small ones: hashes of
 * the large pages entered since the last flush say whether there may be any.
 */
#include "x86/system-internal.h"

#define SLOT(lin) ((unsigned)((lin) >> 12) & (X86_TLB_SIZE - 1))
#define WORDS     (X86_TLB_SIZE / 64)

_Static_assert(WORDS % 64 == 0, "used_words has whole words");

static inline uint64_t empty_tag(unsigned slot)
{
    return slot ? 0 : 0x1000;
}

static inline bool bit_test(const uint64_t *map, unsigned slot)
{
    return map[slot / 64] >> (slot % 64) & 1;
}

static inline void bit_put(uint64_t *map, unsigned slot, bool value)
{
    uint64_t mask = BIT64(slot % 64);

    map[slot / 64] = value ? map[slot / 64] | mask : map[slot / 64] & ~mask;
}

static void use(struct x86_tlb *tlb, unsigned table, unsigned slot)
{
    bit_put(tlb->used[table], slot, true);
    bit_put(tlb->used_words[table], slot / 64, true);
}

static void drop(struct x86_tlb *tlb, unsigned table, unsigned slot)
{
    tlb->entry[table][slot] =
        (struct x86_tlb_entry){.tag_read = empty_tag(slot), .tag_write = empty_tag(slot)};
    bit_put(tlb->used[table], slot, false);
    if (!tlb->used[table][slot / 64])
        bit_put(tlb->used_words[table], slot / 64, false);
}

/* The first word of `used` from w on that is not 0, or WORDS. */
static unsigned next_word(const struct x86_tlb *tlb, unsigned table, unsigned w)
{
    for (; w < WORDS; w = (w | 63) + 1) {
        uint64_t left = tlb->used_words[table][w / 64] >> (w % 64);

        if (left)
            return w + (unsigned)__builtin_ctzll(left);
    }
    return WORDS;
}

#define FOR_EACH_WORD(tlb, table, w)                                                                         \
    for (unsigned w = next_word(tlb, table, 0); w < WORDS; w = next_word(tlb, table, w + 1))

/* A step of the generation, and what it is about. */
static void next_generation(struct x86_tlb *tlb, uint64_t lin, unsigned bits)
{
    tlb->generation++;
    tlb->drop[tlb->generation % X86_TLB_DROPS] = (struct x86_tlb_drop){lin, (uint8_t)bits};
}

static void flush(struct x86_tlb *tlb, bool keep_global)
{
    next_generation(tlb, 0, keep_global ? X86_TLB_DROP_LOCAL : X86_TLB_DROP_ALL);
    for (unsigned t = 0; t < X86_TLB_TABLES; t++) {
        FOR_EACH_WORD (tlb, t, w) {
            uint64_t set = tlb->used[t][w];

            if (keep_global)
                set &= ~tlb->global[t][w];
            for (; set; set &= set - 1)
                drop(tlb, t, w * 64 + (unsigned)__builtin_ctzll(set));
        }
    }
    if (!keep_global) {
        memset(tlb->large, 0, sizeof(tlb->large));
        tlb->huge = 0;
        memset(tlb->table_page, 0, sizeof(tlb->table_page));
    }
}

void x86_tlb_init(struct x86_cpu *cpu)
{
    struct x86_tlb *tlb = cpu->tlb;

    if (!tlb) /* an engine that needs none */
        return;
    for (unsigned t = 0; t < X86_TLB_TABLES; t++)
        drop(tlb, t, 0);
    flush(tlb, false);
}

void x86_tlb_flush(struct x86_cpu *cpu)
{
    if (cpu->tlb)
        flush(cpu->tlb, false);
}

void x86_tlb_flush_local(struct x86_cpu *cpu)
{
    if (cpu->tlb)
        flush(cpu->tlb, true);
}

/* One of 4,096 bits for the 2 MiB that lin lies in. */
static unsigned large_hash(uint64_t lin)
{
    return (unsigned)((lin >> 21) * 0x9e3779b97f4a7c15ULL >> 52);
}

/* One of 64 for the 1 GiB. */
static uint64_t huge_hash(uint64_t lin)
{
    return BIT64((lin >> 30) * 0x9e3779b97f4a7c15ULL >> 58);
}

/* Drops every page of the naturally aligned region of 2^bits bytes around lin. */
static void flush_region(struct x86_tlb *tlb, uint64_t lin, unsigned bits)
{
    unsigned pages = bits - 12 < X86_TLB_BITS ? 1U << (bits - 12) : X86_TLB_SIZE;
    unsigned first = SLOT(lin) & ~(pages - 1);

    for (unsigned t = 0; t < X86_TLB_TABLES; t++) {
        for (unsigned w = first / 64; w < (first + pages) / 64; w++) {
            for (uint64_t set = tlb->used[t][w]; set; set &= set - 1) {
                unsigned slot = w * 64 + (unsigned)__builtin_ctzll(set);

                if (!((tlb->entry[t][slot].tag_read ^ lin) >> bits))
                    drop(tlb, t, slot);
            }
        }
    }
}

void x86_tlb_flush_page(struct x86_cpu *cpu, uint64_t lin)
{
    struct x86_tlb *tlb = cpu->tlb;
    unsigned slot = SLOT(lin), bits = 12;

    lin = ALIGN_DOWN(lin, 4096);
    for (unsigned t = 0; t < X86_TLB_TABLES; t++) {
        if (tlb->entry[t][slot].tag_read == lin)
            drop(tlb, t, slot);
    }
    if (unlikely(tlb->huge & huge_hash(lin)))
        bits = 30;
    else if (unlikely(bit_test(tlb->large, large_hash(lin))))
        bits = 22; /* 4 MiB without PAE */
    if (bits > 12)
        flush_region(tlb, lin, bits);
    next_generation(tlb, lin, bits);
}

void x86_tlb_protect(struct x86_cpu *cpu, uint64_t gpa)
{
    struct x86_tlb *tlb = cpu->tlb;

    gpa = ALIGN_DOWN(gpa, 4096);
    for (unsigned t = 0; t < X86_MMU_COUNT; t++) {
        FOR_EACH_WORD (tlb, t, w) {
            for (uint64_t set = tlb->used[t][w]; set; set &= set - 1) {
                unsigned slot = w * 64 + (unsigned)__builtin_ctzll(set);
                struct x86_tlb_entry *e = &tlb->entry[t][slot];

                if (e->gpa == gpa)
                    e->tag_write = empty_tag(slot);
            }
        }
    }
}

bool x86_tlb_find(const struct x86_cpu *cpu, unsigned table, uint64_t lin, bool write, unsigned *slot)
{
    const struct x86_tlb *tlb = cpu->tlb;
    unsigned n = SLOT(lin);

    if (tlb->entry[table][n].tag_read != ALIGN_DOWN(lin, 4096))
        return false;
    if (write && !bit_test(tlb->writable[table], n))
        return false;
    *slot = n;
    return true;
}

void x86_tlb_fill(struct x86_cpu *cpu, unsigned table, uint64_t lin, const struct x86_walk *walk,
                  const struct x86_page *page, bool writable)
{
    struct x86_tlb *tlb = cpu->tlb;
    unsigned slot = SLOT(lin);
    struct x86_tlb_entry *e = &tlb->entry[table][slot];

    lin = ALIGN_DOWN(lin, 4096);
    e->tag_read = lin;
    e->tag_write = writable && page->write_fast && !page->rom ? lin : empty_tag(slot);
    e->addend = (uint64_t)(uintptr_t)page->host - lin;
    e->gpa = ALIGN_DOWN(walk->gpa, 4096);
    use(tlb, table, slot);
    bit_put(tlb->global[table], slot, walk->global);
    bit_put(tlb->writable[table], slot, writable);
    if (walk->page_bits >= 30) {
        tlb->huge |= huge_hash(lin);
    } else if (walk->page_bits > 12) {
        bit_put(tlb->large, large_hash(lin), true);
        if (walk->page_bits > 21)
            bit_put(tlb->large, large_hash(lin ^ BIT64(21)), true);
    }
}
