/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From guest addresses to host addresses.
 *
 *   a slot:  lea rcx,[base+low]          the TLB:  lea rcx,[…]
 *            sub rcx,gs:[slot.tag]                 rorx eax,ecx,7; and eax,fffe0h
 *            cmp rcx,4096-span                     sub rcx,gs:[rax+tlb.tag]
 *            ja  later                             cmp rcx,4096-span
 *            mov rcx,gs:[slot.addend]              ja  later
 *            …   [rcx+base+disp]                   add rcx,gs:[rax+tlb.tag]; add rcx,gs:[rax+tlb.addend]
 *
 * One unsigned comparison sees both another page and an access that leaves it. A
 * group of accesses that looks in the TLB leaves the addend in frame.group_addend
 * for those behind its check.
 */
#include "engine/bt/translate.h"

/* ---- effective addresses ---- */

unsigned bt_get(struct bt_translation *t, unsigned guest, unsigned scratch)
{
    if (bt_host(guest) != HOST_NONE)
        return bt_host(guest);
    bt_mirror_load(t, scratch, guest);
    return scratch;
}

void bt_set(struct bt_translation *t, unsigned guest, unsigned from)
{
    if (bt_host(guest) == HOST_NONE)
        emit_store(&t->e, from, bt_frame_gpr(guest));
    else
        emit_mov_rr(&t->e, bt_host(guest), from);
}

/* The operand's address in host registers, without its segment; rcx and rax may be used for it. */
static struct host_mem address_of(struct bt_translation *t, const struct x86_mem *mem)
{
    struct host_mem m = {.base = HOST_NONE, .index = HOST_NONE, .disp = (int32_t)mem->disp};

    if (mem->base < X86_NO_REG)
        m.base = (uint8_t)bt_get(t, mem->base, HOST_RCX);
    if (mem->index < X86_NO_REG) {
        m.index = (uint8_t)bt_get(t, mem->index, HOST_RAX);
        m.scale = mem->scale;
    }
    return m;
}

static bool is_constant(const struct bt_translation *t, const struct x86_mem *mem)
{
    return mem->index == X86_NO_REG && (mem->base == X86_RIP || mem->base == X86_NO_REG);
}

static uint64_t constant_address(const struct bt_translation *t, const struct x86_insn *insn)
{
    uint64_t a = (uint64_t)insn->mem.disp + (insn->mem.base == X86_RIP ? bt_next_rip(t) : 0);

    return low_bytes(a, insn->addrsize);
}

static void add_segment(struct bt_translation *t, unsigned seg)
{
    if (seg != X86_FS && seg != X86_GS)
        return;
    emit_load(&t->e, HOST_RAX, seg == X86_FS ? HOST_FRAME(fs_base) : HOST_FRAME(gs_base));
    emit_lea(&t->e, HOST_RCX, (struct host_mem){.base = HOST_RCX, .index = HOST_RAX});
}

void bt_effective(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    if (is_constant(t, &insn->mem)) {
        emit_mov_imm(&t->e, HOST_RCX, constant_address(t, insn));
    } else {
        struct host_mem m = address_of(t, &insn->mem);

        if (insn->addrsize != 8)
            emit_lea32(&t->e, HOST_RCX, m);
        else if (m.base != HOST_RCX || m.index != HOST_NONE || m.disp) /* else it is there */
            emit_lea(&t->e, HOST_RCX, m);
    }
    if (bt_is_bit_string(insn))
        bt_put_bit_units(t, false);
    add_segment(t, insn->mem.seg);
}

/* ---- checks ---- */

static int32_t slot_at(const struct bt_translation *t, unsigned slot)
{
    return (int32_t)(offsetof(struct bt_frame, slot) + (t->mmu * BT_SLOTS + slot) * sizeof(struct bt_slot));
}

static struct host_mem in_frame(int32_t offset, unsigned base)
{
    return (struct host_mem){.base = (uint8_t)base, .index = HOST_NONE, .gs = true, .disp = offset};
}

/* For an access by itself. The slots of groups are not for these: what others count on would change under
 * them. */
static unsigned slot_of(const struct bt_translation *t, const struct x86_insn *insn,
                        const struct bt_access *a, unsigned n)
{
    const struct x86_mem *mem = &insn->mem;

    if (n == 1)
        return BT_SLOT_ALONE + a->base;
    if (mem->seg == X86_FS || mem->seg == X86_GS)
        return BT_SLOT_SEGMENT + (mem->seg == X86_GS ? 8U : 0) + ((unsigned)(mem->disp >> 12) & 7);
    if (is_constant(t, mem))
        return BT_SLOT_ABSOLUTE + ((unsigned)(constant_address(t, insn) >> 12) & 15);
    return BT_SLOT_ALONE + (mem->base < X86_NO_REG ? mem->base : mem->index & 15U);
}

static struct bt_site *access_site(struct bt_translation *t, const struct bt_access *a, unsigned slot)
{
    struct bt_site *site = bt_new_site(t, BT_SITE_ACCESS);

    site->access = a->write ? X86_MEM_WRITE : X86_MEM_READ;
    site->slot = (uint8_t)slot;
    site->span = a->grouped ? a->span : a->size;
    base_assert(site->span && site->span <= BT_SPAN_MAX);
    site->group = a->grouped && !a->alone;
    site->mmu = t->mmu;
    site->retry = emit_offset(&t->e);
    bt_mirror_forget(t);
    return site;
}

/* rcx: lin. Leaves rcx - tag compared, a jump noted for the miss. */
static void check_slot(struct bt_translation *t, struct bt_site *site, int32_t tag)
{
    struct bt_later *later;

    bt_flags_lost(t);
    later = bt_new_later(t, BT_LATER_ACCESS, site);
    emit_rm(&t->e, EMIT_W, 0x2b, HOST_RCX, in_frame(tag, HOST_NONE));
    emit_alu_imm(&t->e, EMIT_W, 7, HOST_RCX, 4096 - (int32_t)site->span);
    later->from[0] = emit_jcc(&t->e, 7, 0);
    later->lin = BT_LIN_TAG;
}

/* What a lookup found: the entry is at rax. */
struct found {
    struct host_mem tag, addend;
};

/* rcx: lin. Looks in the TLB itself: leaves rcx - tag compared, a jump noted for the miss. */
static struct found check_table(struct bt_translation *t, struct bt_site *site)
{
    struct emit *e = &t->e;
    size_t table =
        offsetof(struct bt_frame, tlb.entry) + t->mmu * X86_TLB_SIZE * sizeof(struct x86_tlb_entry);
    size_t tag = table + (site->access == X86_MEM_WRITE ? offsetof(struct x86_tlb_entry, tag_write)
                                                        : offsetof(struct x86_tlb_entry, tag_read));
    struct found found = {.tag = in_frame((int32_t)tag, HOST_RAX),
                          .addend =
                              in_frame((int32_t)(table + offsetof(struct x86_tlb_entry, addend)), HOST_RAX)};
    struct bt_later *later;

    bt_flags_lost(t);
    later = bt_new_later(t, BT_LATER_ACCESS, site);
    site->poly = true;
    if (t->bvm->bmi2) {
        put32(e, 0xf07be3c4); /* rorx eax, ecx, 7 */
        put16(e, 0x07c1);
    } else {
        emit_rr(e, 0, 0x8b, HOST_RAX, HOST_RCX);
        emit_rr(e, 0, 0xc1, 5, HOST_RAX); /* shr eax, 7 */
        put8(e, 7);
    }
    put8(e, 0x25); /* and eax */
    put32(e, (X86_TLB_SIZE - 1) << 5);
    emit_rm(e, EMIT_W, 0x2b, HOST_RCX, found.tag);
    emit_alu_imm(e, EMIT_W, 7, HOST_RCX, 4096 - (int32_t)site->span);
    later->from[0] = emit_jcc(e, 7, 0);
    later->lin = BT_LIN_TABLE;
    later->tag = found.tag.disp;
    return found;
}

_Static_assert(sizeof(struct x86_tlb_entry) == 32, "check_table() shifts by 7");

/* #GP(0), by the reference, for what is not aligned to its size. Before the slot's check, as real ones have
 * it. */
static void check_alignment(struct bt_translation *t, unsigned size)
{
    put8(&t->e, 0xf6); /* test cl, size - 1 */
    put8(&t->e, 0xc1);
    put8(&t->e, size - 1);
    bt_flags_lost(t);
    bt_put_escape(t, 5);
}

static bool wants_alignment(const struct x86_insn *insn, unsigned size, unsigned n)
{
    return n == 0 && x86_insn_row(insn->row)->properties & X86_ROW_ALIGNED && size > 1;
}

static struct host_mem check_group(struct bt_translation *t, const struct bt_access *a, unsigned n)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned base = bt_host(a->base), slot = BT_SLOT_GROUP + a->base;
    int32_t tag = slot_at(t, slot) + (a->write ? 8 : 0);
    struct host_mem addend = in_frame(
        a->poly ? (int32_t)(offsetof(struct bt_frame, group_addend) + 8 * a->base) : tag + 16, HOST_NONE);
    int32_t disp = n == 0 ? (int32_t)insn->mem.disp : a->write ? -(int32_t)a->size : 0;

    if (wants_alignment(insn, a->size, n)) {
        bt_flags_spare(t);
        emit_lea(&t->e, HOST_RCX, host_at(base, disp));
        check_alignment(t, a->size);
    }
    if (a->first) {
        struct bt_site *site;

        bt_flags_spare(t);
        site = access_site(t, a, slot);
        site->delta = (uint16_t)(disp - a->low);
        emit_lea(&t->e, HOST_RCX, host_at(base, a->low));
        if (a->poly) {
            emit_load(&t->e, HOST_RCX, check_table(t, site).addend);
            if (!a->alone)
                emit_store(&t->e, HOST_RCX, addend);
        } else {
            check_slot(t, site, tag);
        }
    }
    if (!a->poly || !a->first)
        emit_load(&t->e, HOST_RCX, addend);
    return (struct host_mem){.base = HOST_RCX, .index = (uint8_t)base, .disp = disp};
}

/* Are all registers of the address in the host's, and is it nothing but their sum? */
static bool is_plain_sum(const struct bt_translation *t, unsigned n)
{
    const struct x86_insn *insn = bt_now(t);
    const struct x86_mem *mem = &insn->mem;

    if (n == 1)
        return t->wide;
    return t->wide && insn->addrsize == 8 && !bt_is_bit_string(insn) && mem->seg != X86_FS &&
           mem->seg != X86_GS && (mem->base < X86_NO_REG || mem->index < X86_NO_REG) &&
           mem->base != X86_RIP && (mem->base == X86_NO_REG || bt_host(mem->base) != HOST_NONE) &&
           (mem->index == X86_NO_REG || bt_host(mem->index) != HOST_NONE);
}

/* rcx: lin - tag, compared. Makes it the host's address: from the address's registers where they are at hand,
 * so that nothing waits for the tag. */
static struct host_mem host_address(struct bt_translation *t, const struct bt_access *a, unsigned n,
                                    struct host_mem tag, struct host_mem addend)
{
    const struct x86_mem *mem = &bt_now(t)->mem;
    struct emit *e = &t->e;
    struct host_mem m = host_at(HOST_RCX, 0);

    if (!is_plain_sum(t, n)) {
        emit_rm(e, EMIT_W, 0x03, HOST_RCX, tag);
        emit_rm(e, EMIT_W, 0x03, HOST_RCX, addend);
        return m;
    }
    emit_load(e, HOST_RCX, addend);
    if (n == 1) {
        m.index = bt_host(a->base);
        m.disp = a->write ? -(int32_t)a->size : 0;
        return m;
    }
    m.disp = (int32_t)mem->disp;
    if (mem->index < X86_NO_REG) {
        m.index = bt_host(mem->index);
        m.scale = mem->scale;
        if (mem->base == X86_NO_REG)
            return m;
        emit_lea(e, HOST_RCX, m);
        m = host_at(HOST_RCX, 0);
    }
    m.index = bt_host(mem->base);
    return m;
}

static struct host_mem check_alone(struct bt_translation *t, const struct bt_access *a, unsigned n)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned slot = slot_of(t, insn, a, n);
    int32_t tag = slot_at(t, slot) + (a->write ? 8 : 0);
    struct bt_site *site;

    bt_flags_spare(t);
    site = access_site(t, a, slot);
    if (n == 0)
        bt_effective(t);
    else if (t->wide)
        emit_lea(&t->e, HOST_RCX, host_at(bt_host(a->base), a->write ? -(int32_t)a->size : 0));
    else
        emit_lea32(&t->e, HOST_RCX, host_at(bt_host(a->base), a->write ? -(int32_t)a->size : 0));
    if (wants_alignment(insn, a->size, n))
        check_alignment(t, a->size);
    if (a->poly) {
        struct found found = check_table(t, site);

        return host_address(t, a, n, found.tag, found.addend);
    }
    check_slot(t, site, tag);
    return host_address(t, a, n, in_frame(tag, HOST_NONE), in_frame(tag + 16, HOST_NONE));
}

struct host_mem bt_access(struct bt_translation *t, unsigned n, bool no_rex)
{
    const struct bt_access *a = &t->plan[t->now].access[n];
    struct host_mem m = a->grouped ? check_group(t, a, n) : check_alone(t, a, n);

    if (no_rex && m.index != HOST_NONE) {
        emit_lea(&t->e, HOST_RCX, m);
        m = host_at(HOST_RCX, 0);
    }
    return m;
}
