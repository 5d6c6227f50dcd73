/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions: stubs that work through runs, as x86/exec-string.c does,
 * without leaving translated code. A run is what lies in one page on either side,
 * if the TLB has these pages; the host's own instruction of the same element size
 * does it, and so has its results with overlap.
 *
 * Registers are up to date between runs, so whatever is not a run (a page that the
 * TLB has not, an element that crosses pages, code that is written over, DF) and
 * whatever comes from outside (poll) is left to the reference semantics, which go
 * on from there: to them it is a repetition that was interrupted.
 *
 *     call stub; jne later
 *
 * Flags are saved before. Comparisons leave theirs in frame.cc, once they have ended:
 * until then the reference may still find a fault, which shows the flags from before.
 */
#include "engine/bt/strings.h"

#include "engine/bt/translate.h"

/* ---- which ---- */

static int op_of(unsigned id)
{
    switch (id) {
    case X86_MOVS:
        return BT_STRING_MOVS;
    case X86_STOS:
        return BT_STRING_STOS;
    case X86_LODS:
        return BT_STRING_LODS;
    case X86_SCAS:
        return BT_STRING_SCAS;
    case X86_CMPS:
        return BT_STRING_CMPS;
    default:
        return -1;
    }
}

static bool compares(unsigned op)
{
    return op == BT_STRING_SCAS || op == BT_STRING_CMPS;
}

static enum bt_string_repeat repeat_of(const struct x86_insn *insn, unsigned op)
{
    if (insn->prefixes & X86_PFX_REPNE) /* wins over REP, as in the reference */
        return compares(op) ? BT_STRING_REPNE : BT_STRING_REP;
    return insn->prefixes & X86_PFX_REP ? BT_STRING_REP : BT_STRING_ONCE;
}

bool bt_is_string(const struct bt_translation *t, const struct x86_insn *insn)
{
    int op = op_of(insn->id);

    if (op < 0 || !t->wide || insn->addrsize != 8 || t->bv->key & BT_KEY_ALIGNED)
        return false;
    if (op == BT_STRING_LODS && insn->prefixes & (X86_PFX_REP | X86_PFX_REPNE))
        return false;
    return op == BT_STRING_STOS || op == BT_STRING_SCAS ||
           (insn->mem.seg != X86_FS && insn->mem.seg != X86_GS);
}

bool bt_put_string(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    unsigned op, size = insn->op[0].size;

    if (!bt_is_string(t, insn))
        return false;
    op = (unsigned)op_of(insn->id);
    bt_flags_saved(t);
    emit_call(&t->e, t->bvm->code.string[t->mmu][op][size == 8 ? 3 : size / 2][repeat_of(insn, op)]);
    t->flags = BT_FLAGS_SAVED;
    bt_put_escape(t, 5);
    return true;
}

/* ---- the stubs ---- */

struct string_stub {
    struct emit *e;
    unsigned mmu, op, shift;
    enum bt_string_repeat repeat;
    uint32_t fail[8]; /* displacements that lead to where the reference is asked for */
    unsigned fails;
};

static void fail_if(struct string_stub *s, unsigned condition)
{
    s->fail[s->fails++] = emit_jcc(s->e, condition, 0);
}

static struct host_mem tlb_field(const struct string_stub *s, size_t field)
{
    struct host_mem m = HOST_FRAME(tlb.entry);

    m.disp += (int32_t)(s->mmu * X86_TLB_SIZE * sizeof(struct x86_tlb_entry) + field);
    m.base = HOST_RAX;
    return m;
}

/* rdx := the offset in its page of the element at `index`; rax: its TLB entry. Fails if it is not to be had.
 */
static void put_lookup(struct string_stub *s, unsigned index, bool write)
{
    struct emit *e = s->e;

    _Static_assert(sizeof(struct x86_tlb_entry) == 32, "page number to offset: a shift by 7");
    emit_rr(e, 0, 0x8b, HOST_RAX, index);
    emit_rr(e, 0, 0xc1, 5, HOST_RAX); /* shr eax, 7 */
    put8(e, 7);
    put8(e, 0x25); /* and eax */
    put32(e, (X86_TLB_SIZE - 1) << 5);
    emit_mov_rr(e, HOST_RDX, index);
    emit_rm(e, EMIT_W, 0x2b, HOST_RDX,
            tlb_field(s, write ? offsetof(struct x86_tlb_entry, tag_write)
                               : offsetof(struct x86_tlb_entry, tag_read)));
    emit_alu_imm(e, EMIT_W, 7, HOST_RDX, 4096 - (1 << s->shift));
    fail_if(s, 7);
}

/* rcx := min(rcx, elements from offset rdx to the page's end). rdx is lost. */
static void put_limit_run(struct string_stub *s)
{
    struct emit *e = s->e;

    emit_rr(e, EMIT_W, 0xf7, 3, HOST_RDX); /* neg */
    emit_alu_imm(e, EMIT_W, 0, HOST_RDX, 4096);
    if (s->shift) {
        emit_rr(e, EMIT_W, 0xc1, 5, HOST_RDX); /* shr */
        put8(e, s->shift);
    }
    emit_rr(e, EMIT_W, 0x3b, HOST_RDX, HOST_RCX);
    emit_rr(e, EMIT_W, 0x0f42, HOST_RCX, HOST_RDX); /* cmovb */
}

static bool uses_si(const struct string_stub *s)
{
    return s->op == BT_STRING_MOVS || s->op == BT_STRING_CMPS || s->op == BT_STRING_LODS;
}

static bool uses_di(const struct string_stub *s)
{
    return s->op != BT_STRING_LODS;
}

/* The instruction itself, on host addresses. */
static void put_host_string(const struct string_stub *s)
{
    static const uint8_t opcode[BT_STRING_OPS] = {
        [BT_STRING_MOVS] = 0xa4, [BT_STRING_STOS] = 0xaa, [BT_STRING_LODS] = 0xac,
        [BT_STRING_SCAS] = 0xae, [BT_STRING_CMPS] = 0xa6,
    };
    struct emit *e = s->e;

    if (s->op == BT_STRING_STOS || s->op == BT_STRING_SCAS || s->op == BT_STRING_LODS)
        emit_mov_rr(e, HOST_RAX, bt_host_reg[X86_RAX]);
    if (s->shift == 1)
        put8(e, 0x66);
    if (s->repeat != BT_STRING_ONCE)
        put8(e, s->repeat == BT_STRING_REPNE ? 0xf2 : 0xf3);
    if (s->shift == 3)
        put8(e, 0x48);
    put8(e, opcode[s->op] | (s->shift ? 1U : 0));
    if (s->op == BT_STRING_LODS)
        emit_rr(e,
                s->shift == 3 || s->shift == 2 ? EMIT_W
                : s->shift == 1                ? EMIT_66
                                               : EMIT_BYTE,
                s->shift ? 0x8b : 0x8a, bt_host_reg[X86_RAX], HOST_RAX);
}

/* Finds both sides and runs: rsi and rdi become host addresses for it. r11 has what is left of the count. */
static void put_run(struct string_stub *s)
{
    unsigned si = HOST_RSI, di = HOST_RDI, count = bt_host_reg[X86_RCX];
    bool repeats = s->repeat != BT_STRING_ONCE;
    struct emit *e = s->e;

    if (repeats)
        emit_mov_rr(e, HOST_RCX, count);
    if (uses_si(s)) {
        put_lookup(s, si, false);
        if (repeats)
            put_limit_run(s);
        emit_load(e, HOST_RBX, tlb_field(s, offsetof(struct x86_tlb_entry, addend)));
    }
    if (uses_di(s)) {
        put_lookup(s, di, !compares(s->op));
        if (repeats)
            put_limit_run(s);
        emit_load(e, HOST_RAX, tlb_field(s, offsetof(struct x86_tlb_entry, addend)));
        emit_store(e, HOST_RAX, HOST_FRAME(kept));
        emit_rr(e, EMIT_W, 0x03, di, HOST_RAX);
    }
    if (uses_si(s))
        emit_rr(e, EMIT_W, 0x03, si, HOST_RBX);
    if (repeats)
        emit_rr(e, EMIT_W, 0x2b, count, HOST_RCX);
    put_host_string(s);
    if (compares(s->op)) {
        put8(e, 0x9f); /* lahf; seto al */
        put8(e, 0x0f);
        put8(e, 0x90);
        put8(e, 0xc0);
        emit_rr(e, 0, 0x0fb7, HOST_RDX, HOST_RAX); /* movzx edx, ax */
        if (repeats)
            emit_rr(e, EMIT_W, 0x03, count, HOST_RCX); /* not all were wanted */
    }
    if (uses_si(s))
        emit_rr(e, EMIT_W, 0x2b, si, HOST_RBX);
    if (uses_di(s))
        emit_rm(e, EMIT_W, 0x2b, di, HOST_FRAME(kept));
}

/* Are there more runs to do? Notes the jumps to the end in done[]. */
static void put_again(struct string_stub *s, uint32_t start, uint32_t *done)
{
    unsigned count = bt_host_reg[X86_RCX];
    struct emit *e = s->e;

    if (compares(s->op)) {
        put8(e, 0xf6); /* test dh, 40h: ZF */
        put8(e, 0xc6);
        put8(e, 0x40);
        done[0] = emit_jcc(e, s->repeat == BT_STRING_REPNE ? 5 : 4, 0);
    }
    emit_rr(e, EMIT_W, 0x85, count, count); /* test */
    done[1] = emit_jcc(e, 4, 0);
    emit_rm(e, 0, 0x83, 7, HOST_FRAME(poll)); /* cmp */
    put8(e, 0);
    emit_jcc(e, 4, start);
    s->fail[s->fails++] = emit_jump(e, 0);
}

static void put_pop_return(struct emit *e)
{
    put8(e, 0x58 | HOST_RBX); /* flags are kept */
    put8(e, 0x58 | HOST_RDX);
    put8(e, 0xc3);
}

static void make_stub(struct string_stub *s)
{
    unsigned count = bt_host_reg[X86_RCX];
    uint32_t done[2] = {0}, nothing = 0, start;
    struct emit *e = s->e;

    put8(e, 0x50 | HOST_RDX);
    put8(e, 0x50 | HOST_RBX);
    if (s->repeat != BT_STRING_ONCE) {
        emit_rr(e, EMIT_W, 0x85, count, count);
        nothing = emit_jcc(e, 4, 0);
    }
    emit_load(e, HOST_RAX, HOST_FRAME(cpu));
    emit_rm(e, 0, 0xf6, 0, host_at(HOST_RAX, (int32_t)offsetof(struct x86_cpu, s.rflags) + 1)); /* test */
    put8(e, X86_FL_DF >> 8);
    fail_if(s, 5);
    start = emit_offset(e);
    put_run(s);
    if (s->repeat != BT_STRING_ONCE)
        put_again(s, start, done);
    for (unsigned i = 0; i < ARRAY_SIZE(done); i++) {
        if (done[i])
            emit_patch(e, done[i], emit_offset(e));
    }
    if (compares(s->op))
        emit_rm(e, EMIT_66, 0x89, HOST_RDX, HOST_FRAME(cc));
    if (nothing)
        emit_patch(e, nothing, emit_offset(e));
    emit_rr(e, 0, 0x33, HOST_RAX, HOST_RAX); /* ZF */
    put_pop_return(e);
    for (unsigned i = 0; i < s->fails; i++)
        emit_patch(e, s->fail[i], emit_offset(e));
    emit_rr(e, EMIT_W, 0x85, HOST_RSP, HOST_RSP); /* not ZF */
    put_pop_return(e);
    emit_align(e, 0, 16);
}

void bt_strings_make(struct bt_vm *bvm, struct emit *e)
{
    for (unsigned mmu = 0; mmu < X86_MMU_COUNT; mmu++) {
        for (unsigned op = 0; op < BT_STRING_OPS; op++) {
            for (unsigned shift = 0; shift < 4; shift++) {
                for (unsigned repeat = 0; repeat < BT_STRING_REPEATS; repeat++) {
                    struct string_stub s = {.e = e, .mmu = mmu, .op = op, .shift = shift, .repeat = repeat};

                    if ((repeat == BT_STRING_REPNE && !compares(op)) ||
                        (repeat != BT_STRING_ONCE && op == BT_STRING_LODS))
                        continue;
                    bvm->code.string[mmu][op][shift][repeat] = emit_offset(e);
                    make_stub(&s);
                }
            }
        }
    }
}
