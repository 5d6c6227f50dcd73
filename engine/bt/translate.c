/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a block: decode what lies at s.rip, plan its accesses, write its code. A
 * block goes on behind conditional branches that lead forward.
 */
#include "engine/bt/translate.h"

#include "base/bytes.h"
#include "engine/bt/strings.h"
#include "engine/bt/x87.h"
#include "x86/cpuid.h"

#define PLAIN_INSNS 8

/* ---- decoding ---- */

/* Behind these there is nothing to translate now. */
static bool ends_block(const struct x86_insn *insn)
{
    unsigned properties = x86_insn_row(insn->row)->properties;

    switch (insn->id) {
    case X86_JCC:
        return insn->op[0].imm <= 0;
    case X86_UD0:
    case X86_UD1:
    case X86_UD2:
        return true;
    default:
        return !bt_system_goes_on(insn) &&
               properties & (X86_ROW_BRANCH | X86_ROW_SERIALIZE | X86_ROW_PRIVILEGED);
    }
}

static void decode_run(struct bt_translation *t, size_t avail)
{
    unsigned most = t->plain ? PLAIN_INSNS : BT_MAX_INSNS;

    while (t->count < most && t->bytes < avail) {
        struct x86_insn *insn = &t->insn[t->count];

        if (x86_decode(t->code + t->bytes, MIN(avail - t->bytes, (size_t)X86_MAX_INSN_LEN), t->cpu->mode,
                       insn) < 0)
            break;
        t->insn_offset[t->count++] = (uint16_t)t->bytes;
        t->bytes += insn->length;
        if (ends_block(insn))
            break;
    }
}

/* One instruction that crosses into the next page. */
static bool decode_crossing(struct bt_translation *t)
{
    unsigned first = 4096 - t->offset;

    t->page2 = bt_known_page(t->bv, t->page->lin + 4096);
    if (!t->page2 || (!t->wide && t->page2->lin > UINT32_MAX)) /* 32-bit addresses begin anew there */
        return false;
    memcpy(t->code + first, t->page2->host, X86_MAX_INSN_LEN);
    if (x86_decode(t->code, X86_MAX_INSN_LEN, t->cpu->mode, &t->insn[0]) < 0 || t->insn[0].length <= first)
        return false;
    t->insn_offset[0] = 0;
    t->count = 1;
    t->bytes = t->insn[0].length;
    return true;
}

static bool decode(struct bt_translation *t)
{
    size_t avail = MIN(sizeof(t->code), 4096 - t->offset);

    memcpy(t->code, t->page->host + t->offset, avail);
    decode_run(t, avail);
    return t->count || (avail < X86_MAX_INSN_LEN && decode_crossing(t));
}

/* Makes stores to the decoded bytes known to us, then sees that they still are what was decoded. */
static bool track(struct bt_translation *t)
{
    unsigned first = MIN(t->bytes, 4096 - t->offset), rest = t->bytes - first;

    bt_track(t->bv, t->page, t->offset, t->offset + first - 1);
    if (rest)
        bt_track(t->bv, t->page2, 0, rest - 1);
    return !memcmp(t->code, t->page->host + t->offset, first) &&
           (!rest || !memcmp(t->code + first, t->page2->host, rest));
}

/* ---- what can be translated ---- */

static bool memory_fits(const struct bt_translation *t, const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];

        if (op->kind != X86_OP_MEM || !op->access)
            continue;
        if (op->reg != X86_NO_REG || !op->size || op->size > 32 || insn->addrsize == 2 ||
            t->bv->key & BT_KEY_ALIGNED)
            return false;
        if (!t->wide && (insn->mem.seg > X86_DS || (insn->mem.seg == X86_CS && op->access & X86_WRITE)))
            return false;
    }
    return true;
}

bool bt_is_inline(const struct bt_translation *t, const struct x86_insn *insn)
{
    bool stack = bt_stack_move(insn) || insn->id == X86_LEAVE;

    if (x86_check(t->cpu, insn) != X86_NEXT)
        return false;
    if (bt_is_string(t, insn))
        return true;
    if (!memory_fits(t, insn))
        return false;
    if (stack && (t->bv->key & BT_KEY_ALIGNED || !(t->wide || t->cpu->s.seg[X86_SS].attr & X86_SEG_DB)))
        return false;
    return bt_is_special(insn, t->wide) || bt_is_system(t, insn) || bt_is_odd(t, insn) ||
           bt_is_x87(t, insn) || bt_is_native(t, insn);
}

/* ---- entries ---- */

/* Where the block first wants the flags: HOST, SAVED, or, if it makes all of them first, BOTH. */
static enum bt_flags first_want(const struct bt_translation *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct x86_insn *insn = &t->insn[i];
        enum bt_flags_need need = bt_flags_need(t, insn);

        if (!t->is_inline[i] || bt_is_string(t, insn) || bt_is_system(t, insn))
            return BT_FLAGS_SAVED;
        if (bt_has_check(t, i))
            return BT_FLAGS_SAVED;
        if (need == BT_NEED_ALL)
            return BT_FLAGS_HOST;
        if (need == BT_NEED_MADE)
            return BT_FLAGS_BOTH;
        if ((insn->id == X86_JMP || insn->id == X86_CALL || insn->id == X86_RET) &&
            insn->op[0].kind != X86_OP_REL)
            return BT_FLAGS_SAVED;
    }
    return BT_FLAGS_HOST;
}

static void put_entries(struct bt_translation *t)
{
    enum bt_flags want = t->counting ? BT_FLAGS_SAVED : first_want(t);

    emit_align(&t->e, 0, 16);
    if (want == BT_FLAGS_SAVED) {
        t->block->entry_host = emit_offset(&t->e);
        t->flags = BT_FLAGS_HOST;
        bt_flags_saved(t);
        t->block->entry_saved = emit_offset(&t->e);
    } else {
        t->block->entry_saved = emit_offset(&t->e);
        if (want == BT_FLAGS_HOST) {
            t->flags = BT_FLAGS_SAVED;
            bt_flags_host(t);
        }
        t->block->entry_host = emit_offset(&t->e);
    }
    t->flags = want;
}

/* ---- code ---- */

/*
 * Where to go on if C has done the whole instruction: behind it. But not if that passes over a check that
 * later accesses count on.
 */
static void set_resumes(struct bt_translation *t, unsigned first)
{
    bool passes = false;

    for (unsigned i = t->later_count; i-- > first;) {
        struct bt_site *site = t->later[i].site;

        if (t->later[i].kind != BT_LATER_ACCESS)
            continue;
        site->resume = passes ? 0 : emit_offset(&t->e);
        passes |= site->kind == BT_SITE_ACCESS && site->group;
        bt_mirror_forget(t);
    }
}

static void put_insn(struct bt_translation *t)
{
    unsigned first = t->later_count;

    bt_flags_before(t);
    if (!t->is_inline[t->now] || !(bt_put_string(t) || bt_put_odd(t) || bt_put_x87(t) || bt_put_special(t) ||
                                   bt_put_system(t) || bt_put_native(t)))
        bt_put_generic(t);
    set_resumes(t, first);
    bt_flags_after(t);
}

/* Did the last instruction leave the block for good? */
static bool has_left(const struct bt_translation *t)
{
    unsigned id = bt_now(t)->id;

    return (id == X86_JMP || id == X86_CALL || id == X86_RET || bt_system_leaves(bt_now(t))) &&
           t->is_inline[t->now];
}

static void put_block(struct bt_translation *t)
{
    put_entries(t);
    if (t->counting)
        bt_put_limit(t);
    if (t->page2)
        bt_put_page2_guard(t);
    for (t->now = 0; t->now < t->count; t->now++) {
        put_insn(t);
        t->insn_end[t->now] = emit_offset(&t->e);
    }
    t->now = t->count - 1;
    if (!has_left(t))
        bt_put_exit(t, bt_next_rip(t));
    t->insn_end[t->now] = emit_offset(&t->e);
    bt_put_later(t);
    t->now = t->count - 1;
    bt_put_checked_entry(t);
}

static void note_bytes(struct bt_translation *t)
{
    struct bt_block *b = t->block;

    b->sealed = bt_sealed(t->bv, t->page->ram) && (!t->page2 || bt_sealed(t->bv, t->page2->ram));
    b->bytes_seen = memcpy(bt_arena(t->bvm, t->bytes), t->code, t->bytes);
}

/* For those who look at the block later. */
static void note_extents(struct bt_translation *t)
{
    struct bt_block *b = t->block;

    b->extents = bt_arena(t->bvm, t->count * sizeof(*b->extents));
    b->insns = (uint16_t)t->count;
    for (unsigned i = 0; i < t->count; i++)
        b->extents[i] =
            (struct bt_extent){.guest = t->insn_offset[i],
                               .host_end = (uint16_t)MIN(t->insn_end[i] - b->code, (ptrdiff_t)UINT16_MAX)};
}

struct bt_block *bt_translate(struct bt_vcpu *bv, struct bt_page *page, bool plain)
{
    struct bt_vm *bvm = bv->bvm;
    struct bt_translation *t = bvm->translation;
    struct bt_code *code = &bvm->code;

    t->bv = bv;
    t->bvm = bvm;
    t->cpu = &bv->vcpu->cpu;
    t->page = page;
    t->page2 = NULL;
    t->rip = t->cpu->s.rip;
    t->offset = (unsigned)(bt_linear(t->cpu, t->rip) & 4095);
    t->plain = plain;
    t->wide = t->cpu->mode == X86_MODE_64;
    t->mmu = t->cpu->mmu_index;
    t->key = bv->key;
    t->shadow_of = BT_MAX_INSNS;
    t->vec_live = false;
    t->x87_live = false;
    bt_mirror_forget(t);
    t->counting = bvm->vm->icount.on;
    t->count = t->bytes = t->later_count = 0;
    t->now = 0;
    t->e = (struct emit){.at = code->write + code->used, .base = code->write};
    t->e.end = t->e.at + BT_CODE_RESERVE;
    bv->next = BT_STEP;
    if (!decode(t) || !track(t))
        return NULL;
    t->block = bt_arena(bvm, sizeof(*t->block));
    *t->block = (struct bt_block){.rip = t->rip,
                                  .key = bv->key,
                                  .bytes = t->bytes,
                                  .plain = plain,
                                  .page = page,
                                  .page2 = t->page2,
                                  .code = (uint32_t)code->used};
    bt_make_plan(t);
    bt_flags_plan(t);
    put_block(t);
    base_assert(t->e.at < t->e.end);
    t->block->code_size = emit_offset(&t->e) - t->block->code;
    code->used = emit_offset(&t->e);
    note_bytes(t);
    note_extents(t);
    bvm->stats.blocks++;
    bvm->stats.instructions += t->count;
    bvm->stats.code_bytes += t->block->code_size;
    vm_trace(bvm->vm, TRANSLATE, "vCPU %u: block at 0x%llx, %u instructions, %u bytes of code",
             bv->vcpu->index, (unsigned long long)t->rip, t->count, t->block->code_size);
    if (unlikely(bvm->vm->trace.mask & BIT64(TRACE_CODE)))
        bt_dump(t);
    if (bvm->vm->code_listener)
        bvm->vm->code_listener->made(bvm->vm->code_listener, code->exec + t->block->code, t->block->code_size,
                                     true, t->rip, NULL);
    __atomic_add_fetch(&bvm->published, 1, __ATOMIC_RELEASE);
    x86_thunk_serialize();
    return t->block;
}
