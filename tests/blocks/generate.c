/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a block is made of. Pointers mostly keep pointing to the data pages, so
 * that most accesses succeed; their neighbourhood is chosen so that some cross
 * into another page, meet one that is read-only, or one that is not there.
 *
 *   rBX, rBP, rDI, (R12)   into the data pages   rSI   a small index
 *   rSP                    the stack, which is full of addresses of items
 */
#include "tests/blocks/generate-internal.h"

#include <stdlib.h>

/* ---- which rows ---- */

enum group { HOT, INTEGER, VECTOR, FLOATING, RARE, GROUPS };

#define MAX_ROWS 4096

struct rows {
    uint16_t row[GROUPS][MAX_ROWS];
    unsigned count[GROUPS];
    bool made;
};

static bool is_hot(unsigned id)
{
    static const uint16_t ids[] = {
        X86_ADD,   X86_OR,   X86_ADC,     X86_SBB, X86_AND,   X86_SUB,   X86_XOR,    X86_CMP, X86_TEST,
        X86_INC,   X86_DEC,  X86_NEG,     X86_NOT, X86_SHL,   X86_SHR,   X86_SAR,    X86_ROL, X86_ROR,
        X86_RCL,   X86_RCR,  X86_IMUL,    X86_MUL, X86_DIV,   X86_IDIV,  X86_BT,     X86_BTS, X86_BTR,
        X86_BTC,   X86_XADD, X86_CMPXCHG, X86_MOV, X86_MOVZX, X86_MOVSX, X86_MOVSXD, X86_LEA, X86_CMOVCC,
        X86_SETCC, X86_XCHG, X86_BSWAP,   X86_CBW, X86_CWD,   X86_NOP,   X86_PUSH,   X86_POP, X86_SHLD,
        X86_SHRD,  X86_CMC,  X86_STC,     X86_CLC, X86_LAHF,  X86_SAHF,  X86_BSF,    X86_BSR, X86_PUSHF,
    };

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Of the instructions that change what the machine is, only these, whatever the privilege. */
static bool is_harmless(unsigned id)
{
    switch (id) {
    case X86_CLI:
    case X86_STI:
    case X86_SWAPGS:
    case X86_INVLPG:
    case X86_HLT:
    case X86_CLAC:
    case X86_STAC:
    case X86_CLTS:
        return true;
    default:
        return false;
    }
}

static bool is_rare(const struct x86_row *row)
{
    switch (row->id) {
    case X86_INT:
    case X86_INT3:
    case X86_SYSCALL:
    case X86_IRET:
    case X86_RETF:
    case X86_CPUID:
    case X86_POPF:
    case X86_UD2:
        return true;
    default:
        return row->properties & X86_ROW_IO || is_harmless(row->id);
    }
}

static bool is_wanted(const struct x86_row *row)
{
    if (is_rare(row))
        return true;
    /* Branches are made by themselves; what is privileged would change the test's own ground. */
    return !(row->properties & (X86_ROW_BRANCH | X86_ROW_PRIVILEGED | X86_ROW_STRING));
}

static void make_rows(struct rows *rows, const struct x86_cpuid_model *model)
{
    for (uint16_t i = 0; i < x86_insn_row_count(); i++) {
        const struct x86_row *row = x86_insn_row(i);
        enum group g = INTEGER;

        if (!is_wanted(row))
            continue;
        if (is_rare(row) || (row->feature != X86_FEAT_NONE && !x86_feature(model, row->feature)))
            g = RARE;
        else if (is_hot(row->id))
            g = HOT;
        else if (row->properties & X86_ROW_VECTOR)
            g = VECTOR;
        else if (row->properties & X86_ROW_X87)
            g = FLOATING;
        if (rows->count[g] < MAX_ROWS)
            rows->row[g][rows->count[g]++] = i;
    }
    rows->made = true;
}

static uint16_t pick_row(struct maker *m)
{
    static struct rows rows;
    static const uint8_t weights[16] = {HOT,     HOT,     HOT,    HOT,    HOT,    HOT,    HOT,      HOT,
                                        INTEGER, INTEGER, VECTOR, VECTOR, VECTOR, VECTOR, FLOATING, FLOATING};
    enum group g = m->floating && one_in(&m->r, 2) ? FLOATING : weights[below(&m->r, 16)];

    if (!rows.made)
        make_rows(&rows, m->model);
    if (one_in(&m->r, 100))
        g = RARE;
    return rows.row[g][below(&m->r, rows.count[g])];
}

/* ---- items ---- */

/* A 32-bit field for the fix, `tail` bytes before the instruction's end. */
static void put_fix(struct item *it, enum fix fix, unsigned tail)
{
    it->fix = (uint8_t)fix;
    it->fix_at = it->length;
    it->fix_tail = (uint8_t)tail;
    put32(it, 0);
}

/* Any item, mostly one ahead; the count is known only at the end, so it is brought into range then. */
static uint8_t pick_target(struct maker *m)
{
    unsigned now = m->block->count - 1;

    if (one_in(&m->r, 4))
        return (uint8_t)(now - MIN(now, below(&m->r, 8)));
    return (uint8_t)(now + 1 + below(&m->r, 6));
}

/* [base + disp32] becomes [rip + disp32] with an address in the data pages. */
static void make_relative(struct maker *m, struct item *it, const struct x86_insn *insn)
{
    unsigned at = insn->modrm_offset;

    if (!insn->has_modrm || insn->modrm >> 6 != 2 || (insn->modrm & 7) == 4)
        return;
    it->bytes[at] = (uint8_t)((insn->modrm & 0x38) | 5);
    it->fix = FIX_DATA;
    it->fix_at = (uint8_t)(at + 1);
    it->fix_tail = (uint8_t)(it->length - (at + 5));
    it->place = DATA_BASE + 0x80 + below(&m->r, 2 * 4096 - 0x80);
}

static void put_segment(struct maker *m, struct item *it, const struct x86_insn *insn)
{
    if (insn->prefixes & X86_PFX_SEG || it->length > 13)
        return;
    memmove(it->bytes + 1, it->bytes, it->length);
    it->bytes[0] = one_in(&m->r, 2) ? 0x64 : 0x65;
    it->length++;
}

static const uint8_t bases64[] = {X86_RBX, X86_RBX, X86_RBX, X86_RBP, X86_RDI,
                                  X86_R12, X86_RSP, X86_R13, X86_R14};
static const uint8_t bases32[] = {X86_RBX, X86_RBX, X86_RBP, X86_RDI, X86_RSP};

static struct x86_random_options random_options(struct maker *m, uint16_t row)
{
    bool aligned = x86_insn_row(row)->properties & X86_ROW_VECTOR && !one_in(&m->r, 8);
    int32_t far = one_in(&m->r, 3) ? (one_in(&m->r, 2) ? 0x1000 : 0x240) : 64;
    struct x86_random_options o = {
        .allow_mem = true,
        .disp_min = -far,
        .disp_max = far,
        .disp_align = aligned ? 32 : 1,
        .allow_lock = true,
        .allow_segment = true,
        .allow_index = !aligned,
        .mem_index = X86_RSI,
    };

    o.mem_base =
        is_64(m) ? bases64[below(&m->r, ARRAY_SIZE(bases64))] : bases32[below(&m->r, ARRAY_SIZE(bases32))];
    if (aligned && !one_in(&m->r, 8))
        o.mem_base = X86_RBX;
    if (!one_in(&m->r, 50))
        o.avoid = BIT(X86_RSP) | BIT(X86_RBX) | BIT(X86_RBP) | BIT(X86_RSI) | BIT(X86_RDI) | BIT(X86_R12) |
                  (one_in(&m->r, 2) ? BIT(X86_R13) | BIT(X86_R14) : 0);
    return o;
}

/* A bit number in a register reaches far from its memory operand: seldom. */
static bool reaches_far(const struct x86_insn *insn)
{
    bool bit = insn->id == X86_BT || insn->id == X86_BTS || insn->id == X86_BTR || insn->id == X86_BTC;

    return bit && insn->op[0].kind == X86_OP_MEM && insn->op[1].kind == X86_OP_REG;
}

static bool is_for_mode(const struct maker *m, const uint8_t *bytes, int n, struct x86_insn *insn)
{
    struct x86_insn other;

    if (is_64(m))
        return true;
    if (insn->prefixes & (X86_PFX_REX | X86_PFX_VEX) ||
        x86_decode(bytes, (size_t)n, X86_MODE_32, &other) < 0 || other.length != n)
        return false;
    *insn = other;
    return true;
}

static void put_random(struct maker *m)
{
    struct item *it = new_item(m);
    struct x86_insn insn;

    for (;;) {
        uint16_t row = pick_row(m);
        struct x86_random_options options = random_options(m, row);
        int n = x86_insn_random(&m->r, row, &options, it->bytes, &insn);

        if (n <= 0 || !is_for_mode(m, it->bytes, n, &insn) || (reaches_far(&insn) && !one_in(&m->r, 16)))
            continue;
        it->length = (uint8_t)n;
        break;
    }
    if (insn.imm_offset && insn.op[insn.operand_count - 1].kind == X86_OP_IMM &&
        insn.length >= insn.imm_offset + 4)
        it->imm_at = insn.imm_offset;
    if (is_64(m) && one_in(&m->r, 6)) {
        make_relative(m, it, &insn);
    } else if (insn.has_modrm && insn.modrm < 0xc0 && one_in(&m->r, 8)) {
        put_segment(m, it, &insn);
        it->imm_at = 0;
    }
}

/* Jcc, with or without a comparison of registers before it. */
static void put_jcc(struct maker *m)
{
    static const uint8_t compares[] = {0x39, 0x85, 0x38, 0x84, 0x3b, 0x29, 0x21};
    struct item *it;

    if (one_in(&m->r, 2)) {
        unsigned regs = below(&m->r, 64);

        it = new_item(m);
        if (is_64(m) && one_in(&m->r, 2))
            put(it, (uint8_t)(0x48 | (one_in(&m->r, 2) ? 5 : 0)));
        put(it, compares[below(&m->r, ARRAY_SIZE(compares))]);
        /* SUB and AND to pointers would lose them. */
        if (it->bytes[it->length - 1] == 0x29 || it->bytes[it->length - 1] == 0x21)
            regs &= ~7U;
        put(it, (uint8_t)(0xc0 | regs));
    }
    it = new_item(m);
    it->target = pick_target(m);
    it->can_short = !one_in(&m->r, 4);
    put(it, 0x0f);
    put(it, (uint8_t)(0x80 | below(&m->r, 16)));
    put_fix(it, FIX_ITEM, 0);
}

static void put_jump(struct maker *m)
{
    struct item *it = new_item(m);

    it->target = pick_target(m);
    it->can_short = !one_in(&m->r, 3);
    put(it, 0xe9);
    put_fix(it, FIX_ITEM, 0);
}

static void put_call(struct maker *m)
{
    struct item *it = new_item(m);

    it->target = pick_target(m);
    put(it, 0xe8);
    put_fix(it, FIX_ITEM, 0);
}

static void put_return(struct maker *m)
{
    struct item *it = new_item(m);

    if (one_in(&m->r, 4)) {
        put(it, 0xc2);
        put(it, (uint8_t)(below(&m->r, 4) * 8));
        put(it, 0);
    } else {
        put(it, 0xc3);
    }
}

/* LOOPNE, LOOPE, LOOP, JrCXZ over a jump: these reach 127 bytes only. */
static void put_loop(struct maker *m)
{
    struct item *it = new_item(m);

    it->target = pick_target(m);
    put(it, (uint8_t)(0xe0 + below(&m->r, 4)));
    put(it, 2);
    put(it, 0xeb);
    put(it, 5);
    put(it, 0xe9);
    put_fix(it, FIX_ITEM, 0);
}

/* By a register, or through the table of items. */
static void put_indirect(struct maker *m)
{
    struct item *it = new_item(m);
    bool call = one_in(&m->r, 3);

    it->target = pick_target(m);
    if (one_in(&m->r, 2)) { /* [rSI * size + TABLE] */
        put(it, 0xff);
        put(it, call ? 0x14 : 0x24);
        put(it, is_64(m) ? 0xf5 : 0xb5);
        put32(it, TABLE_AT);
    } else if (is_64(m)) {
        put_n(it, "\x4c\x8d\x1d", 3); /* lea r11, [rip + …] */
        put_fix(it, FIX_ITEM, 0);
        put_n(it, call ? "\x41\xff\xd3" : "\x41\xff\xe3", 3);
    } else {
        put(it, 0xb8); /* mov eax, … */
        put_fix(it, FIX_ITEM_ABS, 0);
        put_n(it, call ? "\xff\xd0" : "\xff\xe0", 2);
    }
}

/* A store over code: over some instruction's constant (settled by finish()), or anywhere in an item. */
static void put_store(struct maker *m)
{
    struct item *it = new_item(m);
    bool byte = one_in(&m->r, 2);

    it->target = pick_target(m);
    it->alias = one_in(&m->r, 4);
    it->place = below(&m->r, 6);
    put(it, byte ? 0xc6 : 0xc7);
    put(it, 5);
    put_fix(it, is_64(m) ? FIX_CODE : FIX_CODE_ABS, byte ? 1 : 4);
    if (byte)
        put(it, (uint8_t)x86_random_next(&m->r));
    else
        put32(it, (uint32_t)x86_random_next(&m->r));
}

static void put_string(struct maker *m)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    struct item *it = new_item(m);

    /* Both ends into the data, a count of up to a page and a half. */
    if (!one_in(&m->r, 8)) {
        put(it, 0xb9); /* mov ecx, … */
        put32(it, one_in(&m->r, 4) ? below(&m->r, 6000) : below(&m->r, 40));
    }
    it->bytes[it->length++] = 0x56; /* push rSI */
    put(it, 0xbe);                  /* mov esi, … */
    put32(it, (uint32_t)DATA_BASE + below(&m->r, 3 * 4096));
    if (one_in(&m->r, 6))
        put(it, 0xfd); /* STD */
    put(it, one_in(&m->r, 4) ? 0xf2 : 0xf3);
    if (is_64(m) && one_in(&m->r, 3))
        put(it, 0x48);
    put(it, opcodes[below(&m->r, sizeof(opcodes))]);
    put(it, 0xfc); /* CLD */
    put(it, 0x5e); /* pop rSI */
}

/* rBX and friends back to where data is. */
static void put_pointer(struct maker *m)
{
    static const uint8_t regs[] = {X86_RBX, X86_RBP, X86_RDI};
    struct item *it = new_item(m);

    put(it, (uint8_t)(0xb8 + regs[below(&m->r, 3)]));
    it->imm_at = 0;
    put32(it, (uint32_t)DATA_BASE + (below(&m->r, 0x2000) & (one_in(&m->r, 2) ? ~63U : ~0U)));
}

/* PUSHF, a bit or two, POPF; STI; CLI. */
static void put_flags(struct maker *m)
{
    struct item *it = new_item(m);

    if (m->block->user || one_in(&m->r, 2)) {
        static const uint32_t bits[] = {X86_FL_DF, X86_FL_TF, X86_FL_AC, X86_FL_IF, X86_FL_NT, X86_FL_RF};

        put(it, 0x9c);
        put_n(it, "\x81\x34\x24", 3); /* xor dword [rsp], … */
        put32(it, (uint32_t)(x86_random_next(&m->r) & X86_FL_ARITH) |
                      (one_in(&m->r, 4) ? bits[below(&m->r, ARRAY_SIZE(bits))] : 0));
        put(it, 0x9d);
    } else {
        put(it, one_in(&m->r, 3) ? 0xfa : 0xfb);
    }
}

/* What only touches the processor, its privilege and its rights. Behind SYSCALL, SYSRET finds its way back.
 */
static void put_system(struct maker *m)
{
    static const char *const plain[] = {"\x0f\x05",     "\x0f\x01\xca", "\x0f\x01\xcb",
                                        "\x0f\x01\xf8", "\xfb\x90",     "\xfa"};
    struct item *it = new_item(m);
    unsigned which = below(&m->r, 12), reg = below(&m->r, 8) & ~4U;

    if (which < ARRAY_SIZE(plain)) {
        put_n(it, plain[which], strlen(plain[which]));
    } else if (which < 9) {
        if (one_in(&m->r, 3)) {
            put_n(it, "\x41\xbb", 2); /* mov r11d, … */
            put32(it, (uint32_t)x86_random_next(&m->r) &
                          (one_in(&m->r, 4) ? 0x3fffff : X86_FL_ARITH | X86_FL_IF));
        }
        it->target = pick_target(m);
        put(it, 0xb9); /* mov ecx, … */
        put_fix(it, FIX_ITEM_ABS, 0);
        put_n(it, "\x48\x0f\x07", 3);
    } else if (which == 9) {
        static const uint8_t cr[] = {0, 2, 3, 4};

        put_n(it, "\x0f\x20", 2);
        put(it, (uint8_t)(0xc0 | cr[below(&m->r, 4)] << 3 | reg));
    } else if (which == 10) {
        put(it, 0x8c); /* mov r32, segment */
        put(it, (uint8_t)(0xc0 | below(&m->r, 6) << 3 | reg));
    } else {
        put(it, 0xf3);
        if (one_in(&m->r, 2))
            put(it, 0x48);
        put_n(it, "\x0f\xae", 2); /* RDFSBASE and its kin */
        put(it, (uint8_t)(0xc0 | below(&m->r, 4) << 3 | reg));
    }
}

static void put_something(struct maker *m)
{
    static void (*const seldom[])(struct maker * m) = {
        put_jcc,        put_jcc,           put_jcc,       put_jump,     put_call,    put_return,
        put_loop,       put_indirect,      put_store,     put_string,   put_pointer, put_flags,
        generate_stack, generate_absolute, generate_move, generate_move};
    bool system = is_64(m) && (m->block->in.lstar || !m->block->user);

    if (m->floating && one_in(&m->r, 2))
        generate_x87(m);
    else if (system && one_in(&m->r, 12))
        put_system(m);
    else if (below(&m->r, 16) < 11)
        put_random(m);
    else
        seldom[below(&m->r, ARRAY_SIZE(seldom))](m);
}

/* Targets beyond the end come back; stores that aim at a constant find it. */
static void finish(struct maker *m)
{
    struct block *b = m->block;

    for (unsigned i = 0; i < b->count; i++) {
        struct item *it = &b->item[i];
        bool code = it->fix == FIX_CODE || it->fix == FIX_CODE_ABS;

        if (it->target >= b->count)
            it->target = (uint8_t)(b->count - 1 - below(&m->r, MIN(b->count, 4U)));
        if (!code || one_in(&m->r, 3))
            continue;
        for (unsigned n = 0; n < b->count; n++) {
            unsigned at = (it->target + n) % b->count;

            if (b->item[at].imm_at) {
                it->target = (uint8_t)at;
                it->place = b->item[at].imm_at;
                break;
            }
        }
    }
}

/* ---- the start ---- */

static uint64_t pick_pointer(struct maker *m)
{
    static const uint64_t edges[] = {DATA_BASE,          DATA_BASE + 0x1000, DATA_BASE + 0x2000,
                                     DATA_BASE + 0x3000, DATA_BASE + 0x4000, DATA_BASE + 0x5000,
                                     DATA_BASE + 0x6000};

    switch (below(&m->r, 16)) {
    case 0:
        return edges[below(&m->r, ARRAY_SIZE(edges))] + below(&m->r, 128) - 64;
    case 1:
        return DATA_BASE + 0x5000 + 64 + below(&m->r, 0xf00); /* the alias */
    case 2:
        return DATA_BASE + 0x1000 + below(&m->r, 128) - 64;
    case 3:
        return CODE_BASE + below(&m->r, CODE_PAGES * 4096);
    case 4:
        return one_in(&m->r, 4) ? x86_random_next(&m->r) : DATA_BASE + 0x100;
    default:
        return DATA_BASE + 64 + (below(&m->r, 0x1f00) & ~63U) + (one_in(&m->r, 3) ? below(&m->r, 64) : 0);
    }
}

static void make_start(struct maker *m)
{
    struct block *b = m->block;
    struct x86_state *s = &b->in;

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = random_value(&m->r);
    s->gpr[X86_RBX] = DATA_BASE + 64 + (below(&m->r, 0x1f00) & ~63U);
    s->gpr[X86_RBP] = pick_pointer(m);
    s->gpr[X86_RDI] = pick_pointer(m);
    s->gpr[X86_R12] = pick_pointer(m);
    s->gpr[X86_R13] = pick_pointer(m);
    s->gpr[X86_R14] = pick_pointer(m);
    s->gpr[X86_RSI] = below(&m->r, 8);
    s->gpr[X86_RSP] = STACK_BASE + 0x1000 + below(&m->r, 128) * 8 - (one_in(&m->r, 8) ? below(&m->r, 8) : 0);
    for (unsigned i = 0; i < 16 && b->mode == X86_MODE_32; i++)
        s->gpr[i] = i < 8 ? (uint32_t)s->gpr[i] : 0;
    s->rflags = X86_FL_FIXED | (x86_random_next(&m->r) & X86_FL_ARITH);
    s->rflags |= one_in(&m->r, 2) ? X86_FL_IF : 0;
    s->cr4 = one_in(&m->r, 6) ? X86_CR4_SMAP : 0;
    s->rflags |= one_in(&m->r, 8) == !(s->cr4 && !b->user) ? X86_FL_AC : 0;
    s->rflags |= one_in(&m->r, 64) ? X86_FL_TF : 0;
    s->rflags |= one_in(&m->r, 16) ? X86_FL_DF : 0;
    s->cr0 = b->user && one_in(&m->r, 8) ? X86_CR0_AM : 0;
    s->seg[X86_FS].base = one_in(&m->r, 4) ? 0x1000 : below(&m->r, 256);
    s->seg[X86_GS].base = one_in(&m->r, 16) ? random_value(&m->r) : below(&m->r, 0x800);
    if (b->mode == X86_MODE_32)
        s->seg[X86_GS].base = (uint32_t)s->seg[X86_GS].base;
    s->kernel_gs_base = below(&m->r, 0x800);
    s->sfmask = one_in(&m->r, 2) ? X86_FL_IF | X86_FL_TF | (one_in(&m->r, 2) ? X86_FL_AC : 0) : 0;
    generate_x87_start(m, s);
    for (unsigned i = 0; i < 16; i++)
        random_vector(&m->r, s->vec[i].b);
}

static void make_surroundings(struct maker *m)
{
    static const struct {
        enum x86_mode mode;
        bool user, legacy;
    } modes[] = {
        {X86_MODE_64, false, false}, {X86_MODE_64, false, false}, {X86_MODE_64, true, false},
        {X86_MODE_64, true, false},  {X86_MODE_64, true, false},  {X86_MODE_32, true, false},
        {X86_MODE_32, false, true},  {X86_MODE_32, true, true},
    };
    struct block *b = m->block;
    unsigned mode = below(&m->r, ARRAY_SIZE(modes));

    b->mode = modes[mode].mode;
    b->user = modes[mode].user;
    b->legacy = modes[mode].legacy;
    b->ist = !b->legacy && (b->user || one_in(&m->r, 2));
    b->split_code = one_in(&m->r, 2);
    b->data_nx = one_in(&m->r, 4);
    b->last_code = below(&m->r, 2);
    /* Mostly in the middle of a page, often over its end, now and then up to the code's last byte. */
    b->start = CODE_BASE + below(&m->r, 0x2000);
    if (one_in(&m->r, 3))
        b->start = CODE_BASE + 0x1000 - below(&m->r, 120);
    if (one_in(&m->r, 16))
        b->start = CODE_BASE + 0x2000 + below(&m->r, 0x300);
    b->fill = x86_random_next(&m->r);
    b->random = x86_random_next(&m->r);
    /* The last 64 instructions before a stop are not for translated code. */
    b->limit = 1 + below(&m->r, one_in(&m->r, 3) ? 60 : one_in(&m->r, 4) ? 2000 : 300);
    b->stop = one_in(&m->r, 3) ? below(&m->r, (unsigned)b->limit) : 0;
    b->interrupt = one_in(&m->r, 4) ? below(&m->r, (unsigned)b->limit) : ~0ULL;
    /* The number of an item, or the stubs that halt. */
    b->in.lstar = one_in(&m->r, 2) ? 1 + below(&m->r, MAX_ITEMS) : 0;
}

void block_generate(struct block *block, const struct x86_cpuid_model *model, uint64_t seed, uint64_t number)
{
    struct maker m = {.block = block,
                      .model = model,
                      .r = (seed * 0x9e3779b97f4a7c15ULL ^ number * 0xd1342543de82ef95ULL) | 1};
    unsigned items;

    for (unsigned i = 0; i < 4; i++)
        x86_random_next(&m.r);
    memset(block, 0, sizeof(*block));
    block->number = number;
    block->seed = seed;
    m.floating = one_in(&m.r, 4);
    make_surroundings(&m);
    items = 2 + below(&m.r, one_in(&m.r, 4) ? MAX_ITEMS - 4 : 16);
    while (block->count < items)
        put_something(&m);
    finish(&m);
    make_start(&m);
}
