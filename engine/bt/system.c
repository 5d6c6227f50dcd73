/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instructions of operating systems, as translated code: the interrupt flag,
 * AC, flags on the stack, segment bases, SYSCALL and SYSRET. They work on cpu->s
 * itself. Whatever is not the common case (an interrupt that waits, a feature that
 * is off, a flag that changes more) is left to the reference semantics, by
 * bt_put_escape(), before anything has changed.
 *
 * STAC and CLAC change the rights of the accesses behind them, in the same block:
 * bt_translation.key goes along, and where the block is left with another key than
 * it was entered with, the tables of that key are asked for (exits.c).
 *
 * An STI is followed by one instruction that no interrupt comes before. Here that is
 * so because the next instruction is in the same block; if that one leaves the
 * block without having run, bt_site.shadow says that the shadow lasts.
 */
#include "engine/bt/translate.h"

#define CPU(member) host_at(HOST_RAX, (int32_t)offsetof(struct x86_cpu, member))

/* What POPF and SYSRET may change besides the arithmetic flags, IF and DF. */
#define FLAGS_RARE   (X86_FL_TF | X86_FL_IOPL | X86_FL_NT | X86_FL_AC | X86_FL_ID)
#define FLAGS_SYSRET 0x3c7fd7U

#define ATTR_FLAT    (X86_SEG_S | X86_SEG_P | X86_SEG_G)
#define ATTR_CODE    (ATTR_FLAT | X86_SEG_L | 0xb)
#define ATTR_DATA    (ATTR_FLAT | X86_SEG_DB | 0x3)

enum condition { IF_CARRY = 2, IF_ZERO = 4, IF_NOT_ZERO = 5, IF_ABOVE = 7 };

static void load_cpu(struct bt_translation *t)
{
    emit_load(&t->e, HOST_RAX, HOST_FRAME(cpu));
}

/* 32-bit arithmetic with a constant on memory; digit as in opcode 81. */
static void alu_mem(struct bt_translation *t, unsigned digit, struct host_mem m, uint32_t imm)
{
    emit_rm(&t->e, 0, 0x81, digit, m);
    put32(&t->e, imm);
}

static void alu_reg(struct bt_translation *t, unsigned digit, unsigned reg, uint32_t imm)
{
    emit_alu_imm(&t->e, 0, digit, reg, (int32_t)imm);
}

enum { ALU_OR = 1, ALU_AND = 4, ALU_CMP = 7 };

static void test_mem(struct bt_translation *t, struct host_mem m, uint32_t imm)
{
    emit_rm(&t->e, 0, 0xf7, 0, m);
    put32(&t->e, imm);
}

static void test_reg(struct bt_translation *t, unsigned reg, uint32_t imm)
{
    emit_rr(&t->e, 0, 0xf7, 0, reg);
    put32(&t->e, imm);
}

static void shift(struct bt_translation *t, unsigned digit, unsigned reg, unsigned count)
{
    emit_rr(&t->e, 0, 0xc1, digit, reg);
    put8(&t->e, count);
}

enum { SHIFT_LEFT = 4, SHIFT_RIGHT = 5 };

static void store16(struct bt_translation *t, unsigned reg, struct host_mem m)
{
    emit_rm(&t->e, EMIT_66, 0x89, reg, m);
}

/* Does something wait for IF, or has somebody asked for us? */
static void escape_if_waiting(struct bt_translation *t)
{
    _Static_assert(offsetof(struct bt_frame, waiting) == offsetof(struct bt_frame, poll) + 4 &&
                       offsetof(struct bt_frame, poll) % 8 == 0,
                   "both at once");
    emit_rm(&t->e, EMIT_W, 0x83, 7, HOST_FRAME(poll));
    put8(&t->e, 0);
    bt_put_escape(t, IF_NOT_ZERO);
}

/* Compares: are the tables of the class those of the key? */
static void compare_tables(struct bt_translation *t, uint32_t key)
{
    struct host_mem m = HOST_FRAME(class_key);

    m.disp += (int32_t)(bt_class_of(key) * sizeof(t->bv->frame->class_key[0]));
    alu_mem(t, ALU_CMP, m, key);
}

uint32_t bt_put_key_check(struct bt_translation *t)
{
    bt_flags_saved(t);
    compare_tables(t, t->key);
    t->flags = BT_FLAGS_SAVED;
    return emit_jcc(&t->e, IF_NOT_ZERO, 0);
}

/* ---- flags ---- */

static void move_stack(struct bt_translation *t)
{
    unsigned sp = bt_host(X86_RSP);
    struct host_mem to = host_at(sp, bt_stack_move(bt_now(t)));

    if (t->wide)
        emit_lea(&t->e, sp, to);
    else
        emit_lea32(&t->e, sp, to);
}

/* ecx := the arithmetic flags, as RFLAGS has them. They are saved. */
static void flags_to_ecx(struct bt_translation *t)
{
    struct host_mem cc = HOST_FRAME(cc), high = cc;

    high.disp++;
    emit_rm(&t->e, 0, 0x0fb6, HOST_RCX, cc); /* movzx: OF */
    shift(t, SHIFT_LEFT, HOST_RCX, 11);
    emit_rm(&t->e, 0, 0x8a, HOST_RCX, high); /* mov cl */
    alu_reg(t, ALU_AND, HOST_RCX, X86_FL_ARITH);
}

/* frame.cc := of RFLAGS in eax; eax and ecx are lost. */
static void flags_from_eax(struct bt_translation *t)
{
    struct emit *e = &t->e;

    emit_rr(e, 0, 0x8b, HOST_RCX, HOST_RAX);
    alu_reg(t, ALU_AND, HOST_RAX, X86_FL_ARITH & 0xff);
    shift(t, SHIFT_LEFT, HOST_RAX, 8);
    shift(t, SHIFT_RIGHT, HOST_RCX, 11);
    alu_reg(t, ALU_AND, HOST_RCX, 1);
    emit_rr(e, 0, 0x0b, HOST_RAX, HOST_RCX); /* or */
    store16(t, HOST_RAX, HOST_FRAME(cc));
    t->flags = BT_FLAGS_SAVED;
}

static void put_flag(struct bt_translation *t, uint32_t flag, bool set)
{
    bt_flags_saved(t);
    load_cpu(t);
    alu_mem(t, set ? ALU_OR : ALU_AND, CPU(s.rflags), set ? flag : ~flag);
    t->flags = BT_FLAGS_SAVED;
}

static void put_sti(struct bt_translation *t)
{
    bt_flags_saved(t);
    escape_if_waiting(t);
    load_cpu(t);
    test_mem(t, CPU(s.rflags), X86_FL_IF); /* no shadow follows if it was set */
    bt_put_escape(t, IF_NOT_ZERO);
    alu_mem(t, ALU_OR, CPU(s.rflags), X86_FL_IF);
    t->flags = BT_FLAGS_SAVED;
    t->shadow_of = t->now + 1;
}

static void put_pushf(struct bt_translation *t)
{
    struct emit *e = &t->e;
    struct host_mem m;

    bt_flags_saved(t);
    flags_to_ecx(t);
    load_cpu(t);
    emit_load32(e, HOST_RAX, CPU(s.rflags));
    alu_reg(t, ALU_AND, HOST_RAX, ~(uint32_t)(X86_FL_ARITH | X86_FL_RF | X86_FL_VM));
    emit_rr(e, 0, 0x0b, HOST_RCX, HOST_RAX); /* or */
    alu_reg(t, ALU_OR, HOST_RCX, X86_FL_FIXED);
    emit_store(e, HOST_RCX, HOST_FRAME(kept));
    t->flags = BT_FLAGS_SAVED;
    m = bt_access(t, 1, false);
    emit_load(e, HOST_RAX, HOST_FRAME(kept));
    emit_rm(e, t->wide ? EMIT_W : 0, 0x89, HOST_RAX, m);
    move_stack(t);
}

static void put_popf(struct bt_translation *t)
{
    bool kernel = t->cpu->cpl == 0;
    struct host_mem m = bt_access(t, 1, false);
    struct emit *e = &t->e;

    bt_flags_saved(t);
    emit_rm(e, 0, 0x8b, HOST_RCX, m);
    emit_store(e, HOST_RCX, HOST_FRAME(kept));
    load_cpu(t);
    emit_rm(e, 0, 0x33, HOST_RCX, CPU(s.rflags)); /* xor */
    test_reg(t, HOST_RCX, FLAGS_RARE | (kernel ? 0 : X86_FL_IF));
    t->flags = BT_FLAGS_SAVED;
    bt_put_escape(t, IF_NOT_ZERO);
    if (kernel)
        escape_if_waiting(t);
    alu_reg(t, ALU_AND, HOST_RCX, X86_FL_DF | X86_FL_IF);
    emit_rm(e, 0, 0x31, HOST_RCX, CPU(s.rflags)); /* xor */
    emit_load32(e, HOST_RAX, HOST_FRAME(kept));
    flags_from_eax(t);
    move_stack(t);
}

/* ---- rights ---- */

/* cpu.tlb_now and mmu_index := of the index; rcx is lost. rax: cpu */
static void set_mmu(struct bt_translation *t, unsigned mmu)
{
    struct emit *e = &t->e;

    emit_load(e, HOST_RCX, CPU(tlb));
    emit_lea(e, HOST_RCX,
             host_at(HOST_RCX, (int32_t)(offsetof(struct x86_tlb, entry) +
                                         mmu * X86_TLB_SIZE * sizeof(struct x86_tlb_entry))));
    emit_store(e, HOST_RCX, CPU(tlb_now));
    emit_rm(e, 0, 0xc6, 0, CPU(mmu_index));
    put8(e, mmu);
}

/* Without SMAP AC is only a flag. With it, the block's key says whether it is set. */
static void put_ac(struct bt_translation *t, bool set)
{
    unsigned mmu = set ? X86_MMU_KERNEL_AC : X86_MMU_KERNEL;

    if (!(t->key & BT_KEY_SMAP)) {
        put_flag(t, X86_FL_AC, set);
        return;
    }
    if (t->mmu == mmu)
        return;
    put_flag(t, X86_FL_AC, set);
    set_mmu(t, mmu);
    t->mmu = (uint8_t)mmu;
    t->key = bt_key_of(t->key, 0, mmu);
}

/* ---- segment bases, control registers ---- */

static void put_swapgs(struct bt_translation *t)
{
    struct emit *e = &t->e;

    load_cpu(t);
    emit_load(e, HOST_RCX, CPU(s.kernel_gs_base));
    emit_store(e, HOST_RCX, HOST_FRAME(kept));
    emit_load(e, HOST_RCX, HOST_FRAME(gs_base));
    emit_store(e, HOST_RCX, CPU(s.kernel_gs_base));
    emit_load(e, HOST_RCX, HOST_FRAME(kept));
    emit_store(e, HOST_RCX, HOST_FRAME(gs_base));
    emit_store(e, HOST_RCX, CPU(s.seg[X86_GS].base));
}

static void get_gpr(struct bt_translation *t, unsigned to, unsigned guest)
{
    unsigned from = bt_get(t, guest, to);

    if (from != to)
        emit_mov_rr(&t->e, to, from);
}

/* Those with bit 47 in all bits above; the rest is for the reference. rax is lost. */
static void escape_if_high(struct bt_translation *t, unsigned reg)
{
    struct emit *e = &t->e;

    emit_mov_rr(e, HOST_RAX, reg);
    emit_rr(e, EMIT_W, 0xc1, 7, HOST_RAX); /* sar */
    put8(e, 47);
    emit_lea(e, HOST_RAX, host_at(HOST_RAX, 1));
    emit_alu_imm(e, EMIT_W, ALU_CMP, HOST_RAX, 1);
    t->flags = BT_FLAGS_SAVED;
    bt_put_escape(t, IF_ABOVE);
}

static void put_base(struct bt_translation *t, bool gs, bool write)
{
    const struct x86_operand *op = &bt_now(t)->op[0];
    struct host_mem frame = gs ? HOST_FRAME(gs_base) : HOST_FRAME(fs_base);
    unsigned reg = bt_host(op->reg) == HOST_NONE ? HOST_RCX : bt_host(op->reg),
             w = op->size == 8 ? EMIT_W : 0;
    struct emit *e = &t->e;

    bt_flags_saved(t);
    load_cpu(t);
    test_mem(t, CPU(s.cr4), X86_CR4_FSGSBASE);
    t->flags = BT_FLAGS_SAVED;
    bt_put_escape(t, IF_ZERO);
    if (!write) {
        emit_rm(e, w, 0x8b, HOST_RAX, frame);
        bt_set(t, op->reg, HOST_RAX);
        return;
    }
    if (reg == HOST_RCX)
        emit_load(e, HOST_RCX, bt_frame_gpr(op->reg));
    if (w)
        escape_if_high(t, reg);
    else
        emit_rr(e, 0, 0x8b, HOST_RCX, reg);
    load_cpu(t);
    emit_store(e, w ? reg : HOST_RCX, frame);
    emit_store(e, w ? reg : HOST_RCX, gs ? CPU(s.seg[X86_GS].base) : CPU(s.seg[X86_FS].base));
}

static void put_read_cr(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct host_mem from = insn->op[1].reg == 0   ? CPU(s.cr0)
                           : insn->op[1].reg == 2 ? CPU(s.cr2)
                           : insn->op[1].reg == 3 ? CPU(s.cr3)
                                                  : CPU(s.cr4);

    load_cpu(t);
    emit_load(&t->e, HOST_RAX, from);
    bt_set(t, insn->op[0].reg, HOST_RAX);
}

static void put_read_seg(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    struct host_mem from = CPU(s.seg[0].selector);

    from.disp += (int32_t)(insn->op[1].reg * sizeof(struct x86_segment));
    load_cpu(t);
    emit_rm(&t->e, 0, 0x0fb7, HOST_RAX, from);
    bt_set(t, insn->op[0].reg, HOST_RAX);
}

/* ---- the time ---- */

uint64_t bt_tsc(struct x86_cpu *cpu)
{
    return cpu->env->tsc(cpu) + (uint64_t)cpu->s.tsc_offset;
}

/* Not where instructions are counted, which are the time there. */
static void put_rdtsc(struct bt_translation *t, bool aux)
{
    struct emit *e = &t->e;

    bt_flags_saved(t);
    emit_rm(e, 0, 0x83, 7, HOST_FRAME(vec_dead)); /* cmp: what C calls may use vector registers */
    put8(e, 0);
    t->flags = BT_FLAGS_SAVED;
    bt_put_escape(t, IF_ZERO);
    if (t->cpu->cpl != 0) {
        load_cpu(t);
        test_mem(t, CPU(s.cr4), X86_CR4_TSD);
        bt_put_escape(t, IF_NOT_ZERO);
    }
    emit_call(e, t->bvm->code.tsc);
    emit_rr(e, 0, 0x8b, bt_host(X86_RAX), HOST_RAX);
    emit_rr(e, EMIT_W, 0xc1, SHIFT_RIGHT, HOST_RAX);
    put8(e, 32);
    emit_rr(e, 0, 0x8b, bt_host(X86_RDX), HOST_RAX);
    if (aux) {
        load_cpu(t);
        emit_load32(e, bt_host(X86_RCX), CPU(s.tsc_aux));
    }
}

/* ---- SYSCALL and SYSRET ---- */

/* eax/ecx: the selector before its privilege is set; attributes and the rest of a flat segment. */
static void put_flat(struct bt_translation *t, unsigned seg, uint32_t attr, unsigned cpl)
{
    struct host_mem base = CPU(s.seg[0].base), limit = CPU(s.seg[0].limit), attrs = CPU(s.seg[0].attr),
                    selector = CPU(s.seg[0].selector);
    int32_t at = (int32_t)(seg * sizeof(struct x86_segment));
    struct emit *e = &t->e;

    base.disp += at;
    limit.disp += at;
    attrs.disp += at;
    selector.disp += at;
    alu_reg(t, ALU_AND, HOST_RCX, 0xfffc);
    if (cpl)
        alu_reg(t, ALU_OR, HOST_RCX, cpl);
    store16(t, HOST_RCX, selector);
    emit_rm(e, EMIT_W, 0xc7, 0, base);
    put32(e, 0);
    emit_store_imm32(e, limit, UINT32_MAX);
    emit_store_imm32(e, attrs, attr | cpl << 5);
}

/* CS and SS by a half of STAR, privilege and rights; rcx is lost. rax: cpu */
static void put_privilege(struct bt_translation *t, struct host_mem star, int code, unsigned cpl)
{
    emit_rm(&t->e, 0, 0x0fb7, HOST_RCX, star);
    emit_lea32(&t->e, HOST_RCX, host_at(HOST_RCX, code));
    put_flat(t, X86_CS, ATTR_CODE, cpl);
    emit_rm(&t->e, 0, 0x0fb7, HOST_RCX, star);
    emit_lea32(&t->e, HOST_RCX, host_at(HOST_RCX, 8));
    put_flat(t, X86_SS, ATTR_DATA, cpl);
    emit_rm(&t->e, 0, 0xc6, 0, CPU(cpl));
    put8(&t->e, cpl);
    set_mmu(t, cpl ? X86_MMU_USER : X86_MMU_KERNEL);
}

static struct host_mem star_half(bool upper)
{
    struct host_mem m = CPU(s.star);

    m.disp += upper ? 6 : 4;
    return m;
}

static void put_syscall(struct bt_translation *t)
{
    uint32_t key = bt_key_of(t->key, 0, X86_MMU_KERNEL);
    unsigned rcx = bt_host(X86_RCX);
    struct emit *e = &t->e;

    bt_flags_saved(t);
    compare_tables(t, key);
    bt_put_escape(t, IF_NOT_ZERO);
    load_cpu(t);
    test_mem(t, CPU(s.efer), X86_EFER_SCE);
    bt_put_escape(t, IF_ZERO);
    emit_load(e, HOST_RCX, CPU(s.lstar));
    escape_if_high(t, HOST_RCX);
    load_cpu(t);
    emit_load32(e, HOST_RCX, CPU(s.sfmask)); /* AC that would live on */
    emit_rr(e, 0, 0xf7, 2, HOST_RCX);        /* not */
    emit_rm(e, 0, 0x23, HOST_RCX, CPU(s.rflags));
    test_reg(t, HOST_RCX, X86_FL_AC);
    bt_put_escape(t, IF_NOT_ZERO);

    flags_to_ecx(t);
    emit_load32(e, rcx, CPU(s.rflags));
    alu_reg(t, ALU_AND, rcx, ~(uint32_t)(X86_FL_ARITH | X86_FL_RF));
    emit_rr(e, 0, 0x0b, rcx, HOST_RCX); /* or */
    alu_reg(t, ALU_OR, rcx, X86_FL_FIXED);
    bt_set(t, X86_R11, rcx);
    emit_load32(e, HOST_RCX, CPU(s.sfmask));
    emit_rr(e, 0, 0xf7, 2, HOST_RCX); /* not */
    emit_rr(e, 0, 0x23, rcx, HOST_RCX);
    alu_reg(t, ALU_OR, rcx, X86_FL_FIXED);
    emit_store(e, rcx, CPU(s.rflags));
    put_privilege(t, star_half(false), 0, 0);
    emit_rr(e, 0, 0x8b, HOST_RAX, rcx);
    flags_from_eax(t);
    emit_mov_imm(e, rcx, bt_next_rip(t));
    load_cpu(t);
    emit_load(e, HOST_RCX, CPU(s.lstar));
    t->key = key;
    bt_put_indirect(t);
}

static void put_sysret(struct bt_translation *t)
{
    uint32_t key = bt_key_of(t->key, 3, X86_MMU_USER);
    unsigned rcx = bt_host(X86_RCX);
    struct emit *e = &t->e;

    bt_flags_saved(t);
    compare_tables(t, key);
    bt_put_escape(t, IF_NOT_ZERO);
    escape_if_waiting(t);
    escape_if_high(t, rcx);
    load_cpu(t);
    test_mem(t, CPU(s.efer), X86_EFER_SCE);
    bt_put_escape(t, IF_ZERO);
    get_gpr(t, HOST_RCX, X86_R11);
    test_reg(t, HOST_RCX, X86_FL_AC | X86_FL_TF);
    bt_put_escape(t, IF_NOT_ZERO);

    alu_reg(t, ALU_AND, HOST_RCX, FLAGS_SYSRET);
    alu_reg(t, ALU_OR, HOST_RCX, X86_FL_FIXED);
    emit_store(e, HOST_RCX, CPU(s.rflags));
    put_privilege(t, star_half(true), 16, 3);
    get_gpr(t, HOST_RAX, X86_R11);
    flags_from_eax(t);
    emit_mov_rr(e, HOST_RCX, rcx);
    t->key = key;
    bt_put_indirect(t);
}

/* ---- all of them ---- */

static bool is_stack(const struct bt_translation *t, const struct x86_insn *insn)
{
    return insn->opsize == (t->wide ? 8 : 4);
}

/* The instruction behind an STI must be in the block, and run once or not at all. */
static bool may_shadow(const struct bt_translation *t, const struct x86_insn *insn)
{
    unsigned n = (unsigned)(insn - t->insn) + 1;

    return n < t->count && !(t->insn[n].prefixes & (X86_PFX_REP | X86_PFX_REPNE));
}

bool bt_is_system(const struct bt_translation *t, const struct x86_insn *insn)
{
    const struct x86_operand *op = insn->op;
    unsigned cpl = t->cpu->cpl;

    switch (insn->id) {
    case X86_CLD:
    case X86_STD:
        return true;
    case X86_CLI:
    case X86_STAC:
    case X86_CLAC:
        return cpl == 0;
    case X86_STI:
        return cpl == 0 && may_shadow(t, insn);
    case X86_PUSHF:
    case X86_POPF:
        return is_stack(t, insn);
    case X86_SWAPGS:
        return t->wide && cpl == 0;
    case X86_RDFSBASE:
    case X86_RDGSBASE:
    case X86_WRFSBASE:
    case X86_WRGSBASE:
        return t->wide;
    case X86_MOV_CR:
        return t->wide && cpl == 0 && op[1].reg_class == X86_RC_CR &&
               (op[1].reg == 0 || (op[1].reg >= 2 && op[1].reg <= 4));
    case X86_MOV_SEG:
        return op[1].kind == X86_OP_REG && op[1].reg_class == X86_RC_SEG && op[1].reg <= X86_GS &&
               op[0].kind == X86_OP_REG && op[0].size >= 4;
    case X86_RDTSC:
    case X86_RDTSCP:
        return !t->counting;
    case X86_SYSCALL:
        return t->wide && cpl == 3;
    case X86_SYSRET:
        return t->wide && cpl == 0 && insn->opsize == 8;
    default:
        return false;
    }
}

bool bt_system_leaves(const struct x86_insn *insn)
{
    return insn->id == X86_SYSCALL || insn->id == X86_SYSRET;
}

bool bt_system_goes_on(const struct x86_insn *insn)
{
    switch (insn->id) {
    case X86_CLI:
    case X86_STI:
    case X86_STAC:
    case X86_CLAC:
    case X86_SWAPGS:
    case X86_RDMSR:
    case X86_WRMSR:
    case X86_INVLPG:
        return true;
    case X86_MOV_CR:
        return insn->op[1].reg_class == X86_RC_CR;
    default:
        return false;
    }
}

bool bt_changes_rights(const struct x86_insn *insn)
{
    return insn->id == X86_STAC || insn->id == X86_CLAC;
}

bool bt_put_system(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);

    if (!bt_is_system(t, insn))
        return false;
    switch (insn->id) {
    case X86_CLD:
    case X86_STD:
        put_flag(t, X86_FL_DF, insn->id == X86_STD);
        break;
    case X86_CLI:
        put_flag(t, X86_FL_IF, false);
        break;
    case X86_STAC:
    case X86_CLAC:
        put_ac(t, insn->id == X86_STAC);
        break;
    case X86_STI:
        put_sti(t);
        break;
    case X86_PUSHF:
        put_pushf(t);
        break;
    case X86_POPF:
        put_popf(t);
        break;
    case X86_SWAPGS:
        put_swapgs(t);
        break;
    case X86_RDFSBASE:
    case X86_WRFSBASE:
        put_base(t, false, insn->id == X86_WRFSBASE);
        break;
    case X86_RDGSBASE:
    case X86_WRGSBASE:
        put_base(t, true, insn->id == X86_WRGSBASE);
        break;
    case X86_MOV_CR:
        put_read_cr(t);
        break;
    case X86_MOV_SEG:
        put_read_seg(t);
        break;
    case X86_RDTSC:
    case X86_RDTSCP:
        put_rdtsc(t, insn->id == X86_RDTSCP);
        break;
    case X86_SYSCALL:
        put_syscall(t);
        break;
    default:
        put_sysret(t);
        break;
    }
    return true;
}
