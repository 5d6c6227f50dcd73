/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stubs that fill a slot from the TLB, for accesses that miss the one and hit the
 * other. C is asked (bt_slow()) only if the TLB has not the page either, if the
 * access leaves it, and once in a while, to see which accesses miss often.
 *
 *         mov  eax,limit << 16 | slot     limit: 4096 - span; slot: its offset among those of the MMU index
 *         call stub
 *         jmp  behind the check           rcx: lin - tag, before and behind
 *         .long site's offset in the cache
 */
#include "engine/bt/refill.h"

#include "engine/bt/emit.h"

_Static_assert(sizeof(struct x86_tlb_entry) == 32 && sizeof(struct bt_slot) == 32, "shifts below");

static struct host_mem at(size_t offset, unsigned base)
{
    return (struct host_mem){.base = (uint8_t)base, .index = HOST_NONE, .gs = true, .disp = (int32_t)offset};
}

static struct host_mem tlb_field(unsigned mmu, size_t field)
{
    return at(offsetof(struct bt_frame, tlb.entry) + mmu * X86_TLB_SIZE * sizeof(struct x86_tlb_entry) +
                  field,
              HOST_RDX);
}

static struct host_mem slot_field(unsigned mmu, size_t field)
{
    return at(offsetof(struct bt_frame, slot) + mmu * BT_SLOTS * sizeof(struct bt_slot) + field, HOST_RSI);
}

static void put_restore(struct emit *e)
{
    emit_load(e, HOST_RDX, HOST_FRAME(spill[0]));
    emit_load(e, HOST_RBX, HOST_FRAME(spill[1]));
    emit_load(e, HOST_RSI, HOST_FRAME(spill[2]));
}

/* rdx := offset of the TLB entry; rbx := lin - its tag. Returns the jump to take if that is beyond the limit.
 */
static uint32_t put_lookup(struct emit *e, unsigned mmu, bool write)
{
    size_t tag = write ? offsetof(struct x86_tlb_entry, tag_write) : offsetof(struct x86_tlb_entry, tag_read);

    emit_rr(e, 0, 0x8b, HOST_RDX, HOST_RCX);
    emit_rr(e, 0, 0xc1, 5, HOST_RDX); /* shr edx, 7 */
    put8(e, 7);
    emit_rr(e, 0, 0x81, 4, HOST_RDX); /* and edx */
    put32(e, (X86_TLB_SIZE - 1) << 5);
    emit_mov_rr(e, HOST_RBX, HOST_RCX);
    emit_rm(e, EMIT_W, 0x2b, HOST_RBX, tlb_field(mmu, tag)); /* sub */
    emit_rr(e, 0, 0x8b, HOST_RSI, HOST_RAX);
    emit_rr(e, 0, 0xc1, 5, HOST_RSI); /* shr esi, 16 */
    put8(e, 16);
    emit_rr(e, EMIT_W, 0x3b, HOST_RBX, HOST_RSI); /* cmp */
    return emit_jcc(e, 7, 0);
}

/* Counts down; by the caller's address, so that nothing of the site is touched. rax: which counter. */
static uint32_t put_countdown(struct emit *e)
{
    emit_load32(e, HOST_RAX, host_at(HOST_RSP, 0));
    emit_rr(e, 0, 0xc1, 5, HOST_RAX); /* shr eax, 3 */
    put8(e, 3);
    emit_rr(e, 0, 0x81, 4, HOST_RAX); /* and eax */
    put32(e, (BIT(BT_REFILL_BITS) - 1) << 1);
    emit_rm(e, EMIT_66, 0xff, 1, at(offsetof(struct bt_frame, refills), HOST_RAX)); /* dec word */
    return emit_jcc(e, 4, 0);
}

/* From the TLB entry at rdx to the slot at rsi. */
static void put_fill(struct emit *e, unsigned mmu)
{
    uint32_t read_only, done;

    emit_load(e, HOST_RAX, tlb_field(mmu, offsetof(struct x86_tlb_entry, tag_read)));
    emit_load(e, HOST_RCX, tlb_field(mmu, offsetof(struct x86_tlb_entry, addend)));
    emit_store(e, HOST_RAX, slot_field(mmu, offsetof(struct bt_slot, tag[0])));
    emit_store(e, HOST_RCX, slot_field(mmu, offsetof(struct bt_slot, addend[0])));
    emit_rm(e, EMIT_W, 0x3b, HOST_RAX, tlb_field(mmu, offsetof(struct x86_tlb_entry, tag_write)));
    read_only = emit_jcc(e, 5, 0);
    done = emit_offset(e);
    emit_store(e, HOST_RAX, slot_field(mmu, offsetof(struct bt_slot, tag[1])));
    emit_store(e, HOST_RCX, slot_field(mmu, offsetof(struct bt_slot, addend[1])));
    emit_rr(e, 0, 0xc1, 5, HOST_RSI); /* shr esi, 5 */
    put8(e, 5);
    emit_load(e, HOST_RAX, at(offsetof(struct bt_frame, slot_used[0]) + mmu * 8, HOST_NONE));
    emit_rr(e, EMIT_W, 0x0fab, HOST_RSI, HOST_RAX); /* bts */
    emit_store(e, HOST_RAX, at(offsetof(struct bt_frame, slot_used[0]) + mmu * 8, HOST_NONE));
    emit_mov_rr(e, HOST_RCX, HOST_RBX);
    put_restore(e);
    put8(e, 0xc3); /* ret */
    emit_patch(e, read_only, emit_offset(e));
    emit_load(e, HOST_RAX, HOST_FRAME(none));
    emit_load(e, HOST_RCX, HOST_FRAME(none_addend));
    emit_jump(e, done);
}

static void make(struct bt_vm *bvm, struct emit *e, unsigned mmu, bool write)
{
    size_t tag = write ? offsetof(struct bt_slot, tag[1]) : offsetof(struct bt_slot, tag[0]);
    uint32_t miss, due;

    emit_align(e, 0, 64);
    bvm->code.refill[mmu][write] = emit_offset(e);
    emit_store(e, HOST_RDX, HOST_FRAME(spill[0]));
    emit_store(e, HOST_RBX, HOST_FRAME(spill[1]));
    emit_store(e, HOST_RSI, HOST_FRAME(spill[2]));
    emit_rr(e, 0, 0x0fb7, HOST_RSI, HOST_RAX); /* movzx esi, ax: the slot */
    emit_rm(e, EMIT_W, 0x03, HOST_RCX, slot_field(mmu, tag));
    miss = put_lookup(e, mmu, write);
    emit_rr(e, 0, 0x0fb7, HOST_RSI, HOST_RAX);
    due = put_countdown(e);
    put_fill(e, mmu);
    emit_patch(e, due, emit_offset(e));
    emit_rm(e, EMIT_66, 0xc7, 0, at(offsetof(struct bt_frame, refills), HOST_RAX)); /* mov word */
    put8(e, BT_REFILLS);
    put8(e, 0);
    emit_patch(e, miss, emit_offset(e));
    put_restore(e);
    put8(e, 0x58); /* pop rax */
    emit_load32(e, HOST_RAX, host_at(HOST_RAX, 5));
    emit_jump(e, bvm->code.slow);
}

void bt_refill_make(struct bt_vm *bvm, struct emit *e)
{
    for (unsigned mmu = 0; mmu < X86_MMU_COUNT; mmu++) {
        make(bvm, e, mmu, false);
        make(bvm, e, mmu, true);
    }
}

void bt_refill_init(struct bt_vcpu *bv)
{
    struct bt_frame *f = bv->frame;

    for (unsigned i = 0; i < ARRAY_SIZE(f->refills); i++)
        f->refills[i] = BT_REFILLS;
    f->none = bv->bvm->none;
    f->none_addend = (uint64_t)(uintptr_t)f->scratch - f->none;
}

void bt_put_refill(struct bt_translation *t, const struct bt_later *later)
{
    const struct bt_site *site = later->site;
    struct emit *e = &t->e;

    put8(e, 0xb8); /* mov eax */
    put32(e, (4096U - site->span) << 16 | (uint32_t)(site->slot * sizeof(struct bt_slot)));
    emit_call(e, t->bvm->code.refill[site->mmu][site->access == X86_MEM_WRITE]);
    emit_jump(e, later->from[0] + 4);
    put32(e, bt_site_offset(t, site));
}
