/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways out of a block, and what is written behind it.
 *
 * A forward branch within the page is a jump. To another page, the page's number in
 * the frame's itlb says whether the target is still what lies there; and backward
 * branches look at poll, so that each loop does:
 *
 *     cmp gs:[itlb+…],id; jne later; cmp gs:[poll],0; jne later; jmp target
 *
 * with the flags saved before. That is cheap where JRCXZ, which needs no flags, is
 * not: seven cycles on some processors.
 */
#include "engine/bt/refill.h"
#include "engine/bt/translate.h"

struct bt_site *bt_new_site(struct bt_translation *t, enum bt_site_kind kind)
{
    struct bt_site *site = bt_arena(t->bvm, bt_site_size(kind));

    site->block = t->block;
    site->rip = bt_insn_rip(t);
    site->kind = (uint8_t)kind;
    site->offset = t->insn_offset[t->now];
    site->length = bt_now(t)->length;
    site->index = (uint16_t)t->now;
    site->vec = t->vec_live;
    site->key = t->key;
    site->shadow = t->now == t->shadow_of;
    site->x87 = t->x87_live;
    return site;
}

struct bt_later *bt_new_later(struct bt_translation *t, enum bt_later_kind kind, struct bt_site *site)
{
    struct bt_later *later;

    base_assert(t->later_count < BT_LATER_MAX);
    later = &t->later[t->later_count++];
    *later = (struct bt_later){
        .kind = (uint8_t)kind, .site = site, .flags = t->flags, .recipe = t->recipe, .key = t->key};
    return later;
}

/* ---- direct branches ---- */

/* Exits of a block are linked through their sites: unlink wants to find them all. */
static struct bt_site *exit_site(struct bt_translation *t, uint64_t rip)
{
    struct bt_site *site = bt_new_site(t, BT_SITE_EXIT);

    site->exit.rip = rip;
    site->exit.saved = t->flags & BT_FLAGS_SAVED;
    site->exit.sibling = t->block->exits;
    t->block->exits = site;
    return site;
}

static bool same_page(const struct bt_translation *t, uint64_t rip)
{
    return (rip ^ t->rip) < 4096;
}

static void put_poll(struct bt_translation *t, struct bt_later *later)
{
    emit_rm(&t->e, 0, 0x83, 7, HOST_FRAME(poll)); /* cmp */
    put8(&t->e, 0);
    later->from[1] = emit_jcc(&t->e, 5, 0);
    t->flags = BT_FLAGS_SAVED;
}

/* Until it is linked it compares with no page's number. */
static uint32_t put_guard(struct bt_translation *t, uint64_t rip, struct bt_later *later)
{
    struct host_mem itlb = HOST_FRAME(itlb);

    itlb.disp += (int32_t)(4 * bt_itlb_slot(rip));
    emit_align_patch(&t->e, 8);
    emit_rm(&t->e, 0, 0x81, 7, itlb);
    put32(&t->e, 1);
    later->from[2] = emit_jcc(&t->e, 5, 0);
    t->flags = BT_FLAGS_SAVED;
    return emit_offset(&t->e) - 10;
}

/* The present instruction is the last of the block that runs. rax is lost. */
static void put_count(struct bt_translation *t)
{
    if (!t->counting)
        return;
    emit_load(&t->e, HOST_RAX, HOST_FRAME(count));
    emit_lea(&t->e, HOST_RAX, host_at(HOST_RAX, (int32_t)t->now + 1));
    emit_store(&t->e, HOST_RAX, HOST_FRAME(count));
}

/*
 * The block is left in another state than it was entered in. What lies on the shadow stack is of the old one;
 * and the tables may be of others. Returns the place of a jump for that, 0: none.
 */
static uint32_t put_key_change(struct bt_translation *t)
{
    if (t->key == t->block->key)
        return 0;
    emit_load(&t->e, HOST_RSP, HOST_FRAME(shadow_top));
    return bt_system_leaves(bt_now(t)) ? 0 : bt_put_key_check(t); /* they have looked */
}

/* What is to be seen to before a jump to rip: is the page still the one, and are there requests? Returns what
 * to do if not. */
static struct bt_later *put_exit_checks(struct bt_translation *t, uint64_t rip, bool guard, bool poll)
{
    struct bt_site *site;
    struct bt_later *later;

    if (guard || poll || t->key != t->block->key)
        bt_flags_saved(t);
    else if (!(t->flags & BT_FLAGS_SAVED))
        bt_flags_host(t);
    site = exit_site(t, rip);
    later = bt_new_later(t, BT_LATER_EXIT, site);
    later->from[3] = put_key_change(t);
    if (guard)
        site->exit.guard = put_guard(t, rip, later);
    if (poll)
        put_poll(t, later);
    later->flags = t->flags;
    return later;
}

static void put_exit_jump(struct bt_translation *t, struct bt_later *later)
{
    emit_align_patch(&t->e, 1);
    later->site->exit.jump = later->from[0] = emit_jump(&t->e, 0);
}

void bt_put_exit(struct bt_translation *t, uint64_t rip)
{
    put_count(t);
    put_exit_jump(t, put_exit_checks(t, rip, !same_page(t, rip), rip <= bt_insn_rip(t)));
}

void bt_put_branch(struct bt_translation *t, unsigned condition, uint64_t rip)
{
    bt_flags_host(t);
    if (same_page(t, rip) && rip > bt_insn_rip(t) && !t->counting && t->key == t->block->key) {
        struct bt_site *site = exit_site(t, rip);
        struct bt_later *later = bt_new_later(t, BT_LATER_EXIT, site);

        emit_align_patch(&t->e, 2);
        site->exit.jump = later->from[0] = emit_jcc(&t->e, condition, 0);
    } else if (same_page(t, rip) && rip <= bt_insn_rip(t)) {
        uint32_t skip = emit_jcc(&t->e, condition ^ 1, 0);
        enum bt_flags flags = t->flags;

        bt_put_exit(t, rip);
        t->flags = flags;
        emit_patch(&t->e, skip, emit_offset(&t->e));
    } else {
        struct bt_later *later = bt_new_later(t, BT_LATER_SIDE, NULL);

        later->value = rip;
        later->index = (uint8_t)t->now;
        later->from[0] = emit_jcc(&t->e, condition, 0);
    }
}

/* Leaves for the dispatcher at the block's start, on a condition. */
static void put_back_out(struct bt_translation *t, unsigned condition)
{
    struct bt_site *site = bt_new_site(t, BT_SITE_EXIT);
    struct bt_later *later = bt_new_later(t, BT_LATER_EXIT, site);

    site->exit.rip = t->rip; /* never linked: it has no jump of its own */
    later->from[0] = emit_jcc(&t->e, condition, 0);
    later->flags = t->flags = BT_FLAGS_SAVED;
}

void bt_put_page2_guard(struct bt_translation *t)
{
    struct host_mem itlb = HOST_FRAME(itlb);

    itlb.disp += (int32_t)(4 * bt_itlb_slot(t->page2->lin));
    bt_flags_saved(t);
    emit_rm(&t->e, 0, 0x81, 7, itlb);
    put32(&t->e, t->page2->id);
    put_back_out(t, 5);
}

void bt_put_limit(struct bt_translation *t)
{
    bt_flags_saved(t);
    emit_load(&t->e, HOST_RAX, HOST_FRAME(count));
    emit_rm(&t->e, EMIT_W, 0x3b, HOST_RAX, HOST_FRAME(limit));
    put_back_out(t, 3); /* above or equal */
}

/* ---- others ---- */

/* To a stub that sees to the site. No CALL: these come back by jumps, and the processor keeps count. */
static void put_ask(struct bt_translation *t, uint32_t stub, const struct bt_site *site)
{
    emit_mov_imm(&t->e, HOST_RAX, bt_site_offset(t, site));
    emit_jump(&t->e, stub);
}

/* For its fault, should there be nothing where it leads. */
static void put_branch_site(struct bt_translation *t)
{
    struct bt_site *site = bt_new_site(t, BT_SITE_BRANCH);

    site->undo = bt_now(t)->id == X86_RET ? (uint32_t)bt_stack_move(bt_now(t)) : 0;
    emit_store_imm32(&t->e, HOST_FRAME(branch), bt_site_offset(t, site));
}

/* Where rcx leads, by the table of those that are known: rax. */
static void put_lookup(struct bt_translation *t)
{
    struct host_mem table = HOST_FRAME(jump);
    struct emit *e = &t->e;

    table.base = HOST_NONE;
    table.index = HOST_RAX;
    table.scale = 2;
    table.disp += (int32_t)(bt_class_of(t->key) * sizeof(t->bv->frame->jump[0]));
    bt_flags_saved(t);
    emit_rr(e, 0, 0x0fb7, HOST_RAX, HOST_RCX); /* movzx eax, cx */
    emit_load32(e, HOST_RAX, table);
}

static void put_jump_table(struct bt_translation *t)
{
    uint32_t change;

    put_branch_site(t);
    change = put_key_change(t);
    put_lookup(t);
    if (change)
        emit_patch(&t->e, change, 0);
    emit_rr(&t->e, 0, 0xff, 4, HOST_RAX); /* jmp */
}

void bt_put_indirect(struct bt_translation *t)
{
    put_count(t);
    put_jump_table(t);
}

/* ---- calls and returns ---- */

/* The guest's return address to the shadow stack; flags are saved, rax is lost. */
static void put_shadow(struct bt_translation *t)
{
    struct emit *e = &t->e;
    struct bt_later *later = bt_new_later(t, BT_LATER_SHADOW, NULL);
    uint64_t rip = bt_next_rip(t);

    emit_rm(e, EMIT_W, 0x3b, HOST_RSP, HOST_FRAME(shadow_low));
    later->from[0] = emit_jcc(e, 2, 0); /* below */
    later->value = emit_offset(e);
    if ((uint64_t)(int64_t)(int32_t)rip == rip) {
        put8(e, 0x68); /* push */
        put32(e, (uint32_t)rip);
    } else {
        emit_mov_imm(e, HOST_RAX, rip);
        put8(e, 0x50);
    }
}

/* Where the callee comes back to. Meanwhile our page may have become another. */
static void put_landing(struct bt_translation *t)
{
    t->flags = BT_FLAGS_SAVED;
    emit_lea(&t->e, HOST_RSP, host_at(HOST_RSP, 8));
    put_exit_jump(t, put_exit_checks(t, bt_next_rip(t), true, false));
}

void bt_put_call(struct bt_translation *t, uint64_t rip)
{
    struct bt_later *later;

    put_count(t);
    bt_flags_saved(t);
    later = put_exit_checks(t, rip, !same_page(t, rip), rip <= bt_insn_rip(t));
    put_shadow(t);
    emit_align_patch(&t->e, 1);
    later->site->exit.jump = later->from[0] = emit_call(&t->e, 0);
    put_landing(t);
}

void bt_put_indirect_call(struct bt_translation *t)
{
    uint32_t change;

    put_count(t);
    bt_flags_saved(t);
    put_branch_site(t);
    change = put_key_change(t);
    if (change)
        emit_patch(&t->e, change, 0);
    put_shadow(t);
    put_lookup(t);
    emit_rr(&t->e, 0, 0xff, 2, HOST_RAX); /* call */
    put_landing(t);
}

void bt_put_return(struct bt_translation *t)
{
    struct emit *e = &t->e;
    uint32_t other;

    put_count(t);
    bt_flags_saved(t);
    if (t->key != t->block->key) {
        put_jump_table(t);
        return;
    }
    emit_rm(e, EMIT_W, 0x3b, HOST_RCX, host_at(HOST_RSP, 8));
    other = emit_jcc(e, 5, 0);
    put8(e, 0xc3); /* ret */
    emit_patch(e, other, emit_offset(e));
    emit_load(e, HOST_RSP, HOST_FRAME(shadow_top));
    t->flags = BT_FLAGS_SAVED;
    put_jump_table(t);
}

/* ---- by reference ---- */

static struct bt_site *generic_site(struct bt_translation *t)
{
    struct bt_site *site = bt_new_site(t, BT_SITE_GENERIC);
    struct x86_insn *insn = bt_arena(t->bvm, sizeof(*insn));

    *insn = *bt_now(t);
    site->insn = insn;
    return site;
}

void bt_put_generic(struct bt_translation *t)
{
    struct bt_site *site;

    bt_flags_saved(t);
    site = generic_site(t);
    put_ask(t, t->bvm->code.slow, site);
    site->resume = emit_offset(&t->e);
    t->flags = BT_FLAGS_BOTH;
}

void bt_put_escape(struct bt_translation *t, unsigned condition)
{
    struct bt_later *later = bt_new_later(t, BT_LATER_ACCESS, NULL);

    later->site = generic_site(t);
    later->lin = BT_LIN_RCX;
    later->from[0] = emit_jcc(&t->e, condition, 0);
}

/* ---- behind the block ---- */

static void patch_from(const struct bt_translation *t, const struct bt_later *later)
{
    for (unsigned i = 0; i < ARRAY_SIZE(later->from); i++) {
        if (later->from[i])
            emit_patch(&t->e, later->from[i], emit_offset(&t->e));
    }
}

/* The flags are where they were when the jump was written. */
static void take_flags(struct bt_translation *t, const struct bt_later *later)
{
    t->flags = later->flags;
    t->recipe = later->recipe;
}

static void put_later_access(struct bt_translation *t, const struct bt_later *later)
{
    struct host_mem tag = {.base = HOST_RAX, .index = HOST_NONE, .gs = true, .disp = later->tag};

    if (later->lin == BT_LIN_TABLE)
        emit_rm(&t->e, EMIT_W, 0x03, HOST_RCX, tag);
    take_flags(t, later);
    bt_flags_saved_briefly(t);
    if (later->lin == BT_LIN_TAG)
        bt_put_refill(t, later);
    else
        put_ask(t, t->bvm->code.slow, later->site);
}

static void put_later_exit(struct bt_translation *t, const struct bt_later *later)
{
    later->site->exit.unlinked = emit_offset(&t->e);
    take_flags(t, later);
    bt_flags_saved_briefly(t);
    put_ask(t, t->bvm->code.leave, later->site);
}

void bt_put_later(struct bt_translation *t)
{
    for (unsigned i = 0; i < t->later_count; i++) { /* grows meanwhile */
        struct bt_later *later = &t->later[i];

        patch_from(t, later);
        switch (later->kind) {
        case BT_LATER_ACCESS:
            put_later_access(t, later);
            break;
        case BT_LATER_EXIT:
            put_later_exit(t, later);
            break;
        case BT_LATER_SHADOW:
            emit_load(&t->e, HOST_RSP, HOST_FRAME(shadow_top));
            emit_jump(&t->e, (uint32_t)later->value);
            break;
        case BT_LATER_SIDE:
            take_flags(t, later);
            t->now = later->index;
            t->key = later->key;
            bt_put_exit(t, later->value);
            break;
        }
    }
}

/* rcx is where an indirect branch led. Flags are saved. */
void bt_put_checked_entry(struct bt_translation *t)
{
    struct emit *e = &t->e;
    struct host_mem itlb = HOST_FRAME(itlb);
    uint32_t other, page;

    itlb.disp += (int32_t)(4 * bt_itlb_slot(t->page->lin));
    emit_align(e, 0, 8); /* bt_kill() writes there */
    t->block->entry_checked = emit_offset(e);
    if ((uint64_t)(int64_t)(int32_t)t->rip == t->rip) {
        emit_rr(e, EMIT_W, 0x81, 7, HOST_RCX); /* cmp */
        put32(e, (uint32_t)t->rip);
    } else {
        emit_mov_imm(e, HOST_RAX, t->rip);
        emit_rr(e, EMIT_W, 0x3b, HOST_RCX, HOST_RAX);
    }
    other = emit_jcc8(e, 5);
    emit_rm(e, 0, 0x81, 7, itlb);
    put32(e, t->page->id);
    page = emit_jcc8(e, 5);
    emit_rm(e, 0, 0x83, 7, HOST_FRAME(poll));
    put8(e, 0);
    emit_jcc(e, 4, t->block->entry_saved);
    emit_patch8(e, other);
    emit_patch8(e, page);
    emit_jump(e, 0);
}
