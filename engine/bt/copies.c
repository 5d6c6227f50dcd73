/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame's copies of what the TLB holds: slots, and the numbers of code pages in
 * the itlb. Each is dropped when the TLB drops what it was made from, and not
 * before: the TLB remembers what its latest steps were about.
 */
#include "engine/bt/bt-internal.h"

static void empty_slot(struct bt_vcpu *bv, unsigned mmu, unsigned number)
{
    struct bt_frame *f = bv->frame;

    f->slot[mmu][number] =
        (struct bt_slot){.tag = {f->none, f->none}, .addend = {f->none_addend, f->none_addend}};
    f->slot_used[mmu] &= ~BIT64(number);
}

_Static_assert(BT_SLOTS == 64, "slot_used has a bit for each");

/* Runs the block for each slot that may hold something. */
#define FOR_EACH_SLOT(bv, m, n)                                                                              \
    for (unsigned m = 0; m < X86_MMU_COUNT; m++)                                                             \
        for (uint64_t left_ = (bv)->frame->slot_used[m], n;                                                  \
             left_ && (n = (unsigned)__builtin_ctzll(left_), 1); left_ &= left_ - 1)

/* The same for places of the itlb. */
#define FOR_EACH_PAGE(bv, n)                                                                                 \
    for (unsigned w_ = 0; w_ < ARRAY_SIZE((bv)->itlb_used); w_++)                                            \
        for (uint64_t left_ = (bv)->itlb_used[w_], n;                                                        \
             left_ && (n = w_ * 64 + (unsigned)__builtin_ctzll(left_), 1); left_ &= left_ - 1)

static void forget_slots(struct bt_vcpu *bv)
{
    for (unsigned m = 0; m < X86_MMU_COUNT; m++) {
        for (unsigned n = 0; n < BT_SLOTS; n++)
            empty_slot(bv, m, n);
    }
}

void bt_forget(struct bt_vcpu *bv)
{
    forget_slots(bv);
    memset(bv->frame->itlb, 0, sizeof(bv->frame->itlb));
    memset(bv->itlb_used, 0, sizeof(bv->itlb_used));
    memset(bv->itlb_local, 0, sizeof(bv->itlb_local));
}

static unsigned fetch_table(const struct bt_page *page)
{
    return page->user ? X86_TLB_FETCH_USER : X86_TLB_FETCH_KERNEL;
}

void bt_fill_itlb(struct bt_vcpu *bv, struct bt_page *page)
{
    unsigned n = bt_itlb_slot(page->lin);

    bv->frame->itlb[n] = page->id;
    bv->itlb_page[n] = page;
    bv->itlb_used[n / 64] |= BIT64(n % 64);
    if (x86_tlb_global(&bv->frame->tlb, fetch_table(page), page->lin))
        bv->itlb_local[n / 64] &= ~BIT64(n % 64);
    else
        bv->itlb_local[n / 64] |= BIT64(n % 64);
}

static void empty_itlb(struct bt_vcpu *bv, unsigned n)
{
    bv->frame->itlb[n] = 0;
    bv->itlb_used[n / 64] &= ~BIT64(n % 64);
    bv->itlb_local[n / 64] &= ~BIT64(n % 64);
}

void bt_fill_slot(struct bt_vcpu *bv, unsigned mmu, unsigned number, const struct x86_tlb_entry *e)
{
    struct bt_frame *f = bv->frame;
    struct bt_slot *slot = &f->slot[mmu][number];
    bool write = e->tag_write == e->tag_read;

    slot->tag[0] = e->tag_read;
    slot->addend[0] = e->addend;
    slot->tag[1] = write ? e->tag_read : f->none;
    slot->addend[1] = write ? e->addend : f->none_addend;
    f->slot_used[mmu] |= BIT64(number);
}

void bt_forget_writes(struct bt_vcpu *bv, const uint8_t *page)
{
    FOR_EACH_SLOT (bv, m, n) {
        const struct bt_slot *slot = &bv->frame->slot[m][n];

        if (slot->tag[1] + slot->addend[1] == (uint64_t)(uintptr_t)page)
            empty_slot(bv, m, (unsigned)n);
    }
}

/* A page that is described anew has another number. */
void bt_forget_gone(struct bt_vcpu *bv)
{
    FOR_EACH_PAGE (bv, n) {
        if (bt_is_gone(bv->itlb_page[n]) || bv->itlb_page[n]->id != bv->frame->itlb[n])
            empty_itlb(bv, (unsigned)n);
    }
}

/* ---- what the TLB dropped ---- */

static void forget_region(struct bt_vcpu *bv, uint64_t lin, unsigned bits)
{
    struct bt_frame *f = bv->frame;

    FOR_EACH_SLOT (bv, m, n) {
        if (!((f->slot[m][n].tag[0] ^ lin) >> bits))
            empty_slot(bv, m, (unsigned)n);
    }
    if (bits == 12) {
        unsigned n = bt_itlb_slot(lin);

        if (f->itlb[n] && bv->itlb_page[n]->lin == lin)
            empty_itlb(bv, n);
        return;
    }
    FOR_EACH_PAGE (bv, n) {
        if (!((bv->itlb_page[n]->lin ^ lin) >> bits))
            empty_itlb(bv, (unsigned)n);
    }
}

static const struct x86_tlb_entry *entry_of(const struct bt_vcpu *bv, unsigned table, uint64_t lin)
{
    return &bv->frame->tlb.entry[table][lin >> 12 & (X86_TLB_SIZE - 1)];
}

/* Global translations are those that the TLB still holds; what it holds by now may also be new. */
static void forget_local(struct bt_vcpu *bv)
{
    struct bt_frame *f = bv->frame;

    FOR_EACH_SLOT (bv, m, n) {
        const struct bt_slot *slot = &f->slot[m][n];
        const struct x86_tlb_entry *e = entry_of(bv, m, slot->tag[0]);

        if (m != X86_MMU_USER && e->tag_read == slot->tag[0])
            bt_fill_slot(bv, m, (unsigned)n, e);
        else
            empty_slot(bv, m, (unsigned)n);
    }
    for (unsigned w = 0; w < ARRAY_SIZE(bv->itlb_local); w++) {
        while (bv->itlb_local[w])
            empty_itlb(bv, w * 64 + (unsigned)__builtin_ctzll(bv->itlb_local[w]));
    }
}

static bool forget_step(struct bt_vcpu *bv, const struct x86_tlb_drop *drop)
{
    if (drop->bits == X86_TLB_DROP_ALL)
        return false;
    if (drop->bits == X86_TLB_DROP_LOCAL)
        forget_local(bv);
    else
        forget_region(bv, drop->lin, drop->bits);
    return true;
}

bool bt_check_generation(struct bt_vcpu *bv)
{
    const struct x86_tlb *tlb = &bv->frame->tlb;
    uint64_t now = tlb->generation, known = bv->generation;

    if (likely(known == now))
        return false;
    bv->generation = now;
    if (now - known > X86_TLB_DROPS) {
        bt_forget(bv);
        return true;
    }
    while (known != now) {
        if (!forget_step(bv, &tlb->drop[++known % X86_TLB_DROPS])) {
            bt_forget(bv);
            break;
        }
    }
    return true;
}
