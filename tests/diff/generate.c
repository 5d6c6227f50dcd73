/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random instructions and the states to run them in. Values are drawn towards
 * corners; addresses towards the mapped pages, their ends and their alignment,
 * so that most instructions succeed and all kinds of faults happen now and then.
 */
#include "tests/diff/diff.h"

#include "base/bytes.h"
#include "tests/diff/insn-random.h"
#include "tests/diff/random-values.h"
#include "x86/regs.h"

#define ARITH_AND_DF (X86_FL_ARITH | X86_FL_DF)

void generator_init(struct generator *g, uint64_t seed)
{
    memset(g, 0, sizeof(*g));
    g->random = seed * 0x9e3779b97f4a7c15ULL + 0x1234567;
    for (unsigned i = 0; i < 4; i++)
        x86_random_next(&g->random);
    random_bytes(&g->random, g->state.xsave + 32, 512 - 32);
    random_bytes(&g->random, g->state.xsave + X86_XSAVE_AVX, 256);
}

/* Where an operand of `size` bytes should lie. */
static uint64_t pick_address(uint64_t *r, unsigned size)
{
    uint64_t last = DIFF_RW + DIFF_RW_SIZE - size;
    uint64_t at = DIFF_RW + below(r, (unsigned)(DIFF_RW_SIZE - size));

    switch (below(r, 32)) {
    case 0: /* across the two pages */
        at = DIFF_RW + 0x1000 - below(r, size + 1);
        break;
    case 1: /* to the last byte, or beyond into what is read-only */
        at = last + below(r, size + 1);
        break;
    case 2: /* across the first mapped byte */
        at = DIFF_RW - below(r, size + 1);
        break;
    case 3: /* across the last */
        at = DIFF_RW + DIFF_DATA_SIZE - below(r, size + 1);
        break;
    case 4:
        at = DIFF_RO + below(r, 4096 - size);
        break;
    case 5:
        if (one_in(r, 4))
            return BIT64(47) - below(r, size + 1); /* the last canonical byte */
        if (one_in(r, 2))
            return x86_random_next(r);
        break;
    default:
        break;
    }
    if (one_in(r, 2))
        at &= ~63ULL;
    else if (one_in(r, 2))
        at &= ~15ULL;
    return at < DIFF_RW ? DIFF_RW + (at & 63) : at;
}

static void poke(struct diff_case *test, uint8_t *a, uint8_t *b, uint64_t at, const void *data, size_t size)
{
    if (at < DIFF_RW || at - DIFF_RW > DIFF_DATA_SIZE - size)
        return;
    memcpy(a + (at - DIFF_RW), data, size);
    memcpy(b + (at - DIFF_RW), data, size);
}

/* Something for the instruction to read. */
static void fill_memory(uint64_t *r, struct diff_case *test, uint8_t *a, uint8_t *b, uint64_t at,
                        unsigned size)
{
    uint8_t data[X86_XSAVE_SIZE + 64];
    unsigned n = MAX(size, 16U);

    for (unsigned i = 0; i < n; i += 32)
        random_vector(r, data + i);
    switch (test->insn.id) {
    case X86_LDMXCSR:
    case X86_VLDMXCSR:
        /* Bit 17 is AMD's misaligned SSE mode, which we do not have: never. */
        store_le32(data, one_in(r, 8) ? load_le32(data) & ~BIT(17) : load_le32(data) & 0xffff);
        break;
    case X86_FXRSTOR:
    case X86_XRSTOR:
        random_saved_state(r, data, test->insn.id == X86_XRSTOR);
        break;
    case X86_FLDENV:
    case X86_FRSTOR:
        break;
    default:
        if (size <= 10 && one_in(r, 2))
            random_x87(r, data);
        break;
    }
    poke(test, a, b, at, data, n);
}

/* Other forms of the same memory operand than [base + disp32]. */
static void reshape_memory(uint64_t *r, struct diff_case *test)
{
    const struct x86_insn *insn = &test->insn;
    unsigned m = insn->modrm_offset, modrm = insn->modrm, choice = below(r, 12);
    if (!insn->has_modrm || modrm >> 6 != 2 || choice > 4)
        return;
    bool sib = (modrm & 7) == 4;
    unsigned disp_at = m + 1 + sib, tail_at = disp_at + 4, tail = insn->length - tail_at, at = m;
    unsigned base = sib ? test->bytes[m + 1] & 7 : modrm & 7;
    uint8_t out[32] = {0};
    memcpy(out, test->bytes, m);
    unsigned reg = modrm & 0x38, disp_size = 4;
    if (choice == 0 || choice == 1) { /* [base + disp8], [base] */
        if (choice == 1 && base == 5)
            return;
        disp_size = choice == 0;
        out[at++] = (uint8_t)((choice == 0 ? 0x40 : 0) | reg | (modrm & 7));
        if (sib)
            out[at++] = test->bytes[m + 1];
    } else if (choice == 2 && !sib) { /* [rip + disp32] */
        out[at++] = (uint8_t)(reg | 5);
    } else { /* [disp32], and the index if there is one */
        out[at++] = (uint8_t)(reg | 4);
        out[at++] = sib ? (test->bytes[m + 1] & 0xf8) | 5 : 0x25;
    }
    memcpy(out + at, test->bytes + disp_at, disp_size);
    at += disp_size;
    memcpy(out + at, test->bytes + tail_at, tail);
    at += tail;
    struct x86_insn again;
    if (at > X86_MAX_INSN_LEN || x86_decode(out, at, X86_MODE_64, &again) || again.row != insn->row)
        return;
    memcpy(test->bytes, out, at);
    test->insn = again;
}

static void put_prefix(struct diff_case *test, unsigned prefix)
{
    uint8_t out[16];
    struct x86_insn again;

    out[0] = (uint8_t)prefix;
    memcpy(out + 1, test->bytes, 15);
    if (test->insn.length == X86_MAX_INSN_LEN ||
        x86_decode(out, test->insn.length + 1U, X86_MODE_64, &again) || again.row != test->insn.row)
        return;
    memcpy(test->bytes, out, again.length);
    test->insn = again;
}

static void put_prefixes(uint64_t *r, struct diff_case *test, bool memory)
{
    if (test->row->properties & X86_ROW_STRING && one_in(r, 2))
        put_prefix(test, one_in(r, 2) ? 0xf3 : 0xf2);
    if (memory && one_in(r, 16))
        put_prefix(test, 0x67);
    if (memory && one_in(r, 16))
        put_prefix(test, one_in(r, 2) ? 0x64 : 0x65);
}

static uint64_t segment_base(const struct diff_case *test)
{
    return test->insn.mem.seg == X86_FS   ? test->in.fs_base
           : test->insn.mem.seg == X86_GS ? test->in.gs_base
                                          : 0;
}

static void redecode(struct diff_case *test)
{
    x86_decode(test->bytes, test->insn.length, X86_MODE_64, &test->insn);
}

/* Gathers: indexes that stay near. */
static void steer_gather(uint64_t *r, struct diff_case *test)
{
    unsigned n = test->insn.mem.index & 15;
    uint8_t *halves[2] = {test->in.xsave + 160 + n * 16UL, test->in.xsave + X86_XSAVE_AVX + n * 16UL};
    bool qwords = one_in(r, 2);

    for (unsigned h = 0; h < 2; h++)
        for (unsigned i = 0; i < 16; i += qwords ? 8 : 4) {
            int64_t index = (int64_t)below(r, 64) - 32;
            if (one_in(r, 32))
                index = (int64_t)x86_random_next(r);
            if (qwords)
                store_le64(halves[h] + i, (uint64_t)index);
            else
                store_le32(halves[h] + i, (uint32_t)index);
        }
}

/* Makes insn.mem lie at `at` by its base register or displacement. */
static void steer_memory(uint64_t *r, struct diff_case *test, uint64_t at)
{
    const struct x86_mem *mem = &test->insn.mem;
    uint64_t *gpr = test->in.gpr;
    uint64_t offset = at - segment_base(test);
    bool vsib = test->insn.op[1].kind == X86_OP_MEM && test->insn.op[2].reg_class == X86_RC_VEC &&
                test->insn.op[2].access == X86_RW;
    unsigned disp_at = test->insn.modrm_offset + 1U + ((test->insn.modrm & 7) == 4);

    if (vsib)
        steer_gather(r, test);
    else if (mem->index < X86_NO_REG && mem->index != mem->base)
        offset -= gpr[mem->index] << mem->scale;
    if (mem->base < X86_NO_REG) {
        gpr[mem->base] = offset - (uint64_t)mem->disp;
        if (test->insn.addrsize == 4)
            gpr[mem->base] = (uint32_t)gpr[mem->base] | x86_random_next(r) << 32;
    } else if (test->insn.has_modrm && test->insn.modrm < 0xc0) {
        if (mem->base == X86_RIP)
            offset -= test->in.rip + test->insn.length;
        store_le32(test->bytes + disp_at, (uint32_t)offset);
        redecode(test);
    } else if (!test->insn.has_modrm &&
               mem->base == X86_NO_REG) { /* MOV moffs: the address ends the instruction */
        unsigned size = test->insn.addrsize;
        memcpy(test->bytes + test->insn.length - size, &offset, size);
        redecode(test);
    }
}

/* A place in the branch page, not the instruction. */
static uint64_t pick_target(uint64_t *r)
{
    uint64_t at = DIFF_BRANCH + 16 + below(r, 4096 - 64);

    return at - DIFF_BRANCH_AT + 16 < 32 ? at + 64 : at;
}

static void steer_branch(uint64_t *r, struct diff_case *test, uint8_t *a, uint8_t *b, uint64_t at)
{
    struct x86_insn *insn = &test->insn;
    const struct x86_operand *op = &insn->op[0];
    uint8_t target[16];

    store_le64(target, pick_target(r));
    store_le64(target + 8, 0x33);
    if (one_in(r, 4))
        random_bytes(r, target, sizeof(target));
    if (op->kind == X86_OP_REL && test->insn.length - test->insn.imm_offset == 4 && one_in(r, 2)) {
        uint64_t next = test->in.rip + insn->length;
        store_le32(test->bytes + insn->imm_offset, (uint32_t)(pick_target(r) - next));
        redecode(test);
    } else if (op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR && !op->implicit && one_in(r, 2)) {
        test->in.gpr[op->reg] = load_le64(target);
    } else if (op->kind == X86_OP_MEM && !op->implicit) {
        poke(test, a, b, at, target, 8);
    }
    if (insn->id == X86_RET)
        poke(test, a, b, test->in.gpr[X86_RSP], target, 8);
}

static bool is_far(unsigned id)
{
    return id == X86_JMP_FAR || id == X86_CALL_FAR || id == X86_RETF || id == X86_IRET;
}

/* Offset and selector in memory; or the frame of RETF and IRET on the stack. */
static void steer_far(uint64_t *r, struct diff_case *test, uint8_t *a, uint8_t *b, uint64_t at)
{
    static const uint16_t code[] = {0x33, 0x33, 0x33, 0x23, 0x30, 0x20, 0x2b, 0x13, 0, 0x3b};
    uint64_t frame[5] = {pick_target(r), code[below(r, ARRAY_SIZE(code))]};
    unsigned size = test->insn.opsize;
    bool stack = test->insn.id == X86_RETF || test->insn.id == X86_IRET;
    uint64_t to = stack ? test->in.gpr[X86_RSP] : at;

    /* A far call's pushes on the way to 32-bit code are as wide as the vendor thinks. */
    if (test->insn.id == X86_CALL_FAR && frame[1] >> 3 == 4)
        frame[1] = 0x33;
    frame[2] =
        (x86_random_next(r) & (X86_FL_ARITH | X86_FL_DF | X86_FL_NT | X86_FL_ID)) | X86_FL_IF | X86_FL_FIXED;
    frame[3] = random_value(r);
    frame[4] = one_in(r, 4) ? below(r, 0x40) : 0x2b;
    if (one_in(r, 8))
        frame[0] = random_value(r);
    for (unsigned i = 0; i < ARRAY_SIZE(frame); i++)
        poke(test, a, b, to + i * size, &frame[i], stack ? size : i ? 2 : size);
}

/* The target must be neither the instruction itself nor the page with the way out. */
static bool is_target_safe(const struct diff_case *test)
{
    if (test->insn.op[0].kind != X86_OP_REL)
        return true;
    uint64_t to = test->in.rip + test->insn.length + (uint64_t)test->insn.op[0].imm;
    return to - test->in.rip >= test->insn.length && to - (DIFF_CODE - 16) >= 4096 + 16;
}

/* Selectors of Linux's GDT. */
static void steer_selector(uint64_t *r, struct diff_case *test, uint8_t *a, uint8_t *b, uint64_t at)
{
    const struct x86_operand *op = &test->insn.op[test->insn.operand_count > 1];
    uint16_t selector = (uint16_t)below(r, 0x40);

    if (one_in(r, 8))
        selector = (uint16_t)x86_random_next(r);
    if (selector >> 3 == 15)
        selector = 0; /* its limit is the number of the processor */
    switch (test->insn.id) {
    case X86_LAR:
    case X86_LSL:
    case X86_VERR:
    case X86_VERW:
    case X86_MOV_SEG:
        if (op->kind == X86_OP_MEM)
            poke(test, a, b, at, &selector, 2);
        else if (op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR)
            test->in.gpr[op->reg] = (test->in.gpr[op->reg] & ~0xffffULL) | selector;
        break;
    case X86_LSS:
    case X86_LFS:
    case X86_LGS:
        poke(test, a, b, at + (op->size >= 2 ? op->size - 2U : 0), &selector, 2);
        break;
    case X86_POP:
        if (test->insn.op[0].kind == X86_OP_REG && test->insn.op[0].reg_class == X86_RC_SEG)
            poke(test, a, b, test->in.gpr[X86_RSP], &selector, 2);
        break;
    default:
        break;
    }
}

/* What some instructions need to be worth running. */
static void steer_special(uint64_t *r, struct diff_case *test, uint8_t *a, uint8_t *b, uint64_t at)
{
    uint64_t *gpr = test->in.gpr;
    const struct x86_insn *insn = &test->insn;

    switch (insn->id) {
    case X86_BT:
    case X86_BTC:
    case X86_BTR:
    case X86_BTS:
        if (insn->op[0].kind == X86_OP_MEM && insn->op[1].kind == X86_OP_REG &&
            insn->op[1].reg != insn->mem.base && insn->op[1].reg != insn->mem.index && !one_in(r, 8))
            gpr[insn->op[1].reg] = (uint64_t)sign_extend(below(r, 0x8000) - 0x4000ULL, 8);
        break;
    case X86_DIV:
    case X86_IDIV:
        if (!one_in(r, 4))
            gpr[X86_RDX] = insn->id == X86_IDIV && one_in(r, 2) ? ~0ULL : below(r, 4);
        if (one_in(r, 2))
            gpr[X86_RAX] &= 0xffff;
        break;
    case X86_CMPXCHG8B:
    case X86_CMPXCHG16B:
        if (one_in(r, 2) && at - DIFF_RW <= DIFF_DATA_SIZE - 16) {
            unsigned half = insn->id == X86_CMPXCHG8B ? 4 : 8;
            gpr[X86_RAX] = low_bytes(load_le64(a + (at - DIFF_RW)), half);
            gpr[X86_RDX] = low_bytes(load_le64(a + (at - DIFF_RW) + half), half);
        }
        break;
    case X86_CMPXCHG:
        if (one_in(r, 2) && at - DIFF_RW <= DIFF_DATA_SIZE - 16)
            gpr[X86_RAX] = load_le64(a + (at - DIFF_RW));
        break;
    case X86_POPF: {
        uint64_t flags = random_value(r) & ~(uint64_t)(X86_FL_TF | X86_FL_AC);
        poke(test, a, b, gpr[X86_RSP], &flags, 8);
        break;
    }
    case X86_XSAVE:
    case X86_XSAVEC:
    case X86_XSAVEOPT:
    case X86_XRSTOR:
        gpr[X86_RAX] = below(r, 8);
        gpr[X86_RDX] = 0;
        break;
    default:
        steer_selector(r, test, a, b, at);
        break;
    }
    if (test->row->properties & X86_ROW_STRING && !one_in(r, 16))
        gpr[X86_RCX] = below(r, 24) | (one_in(r, 8) ? x86_random_next(r) << 32 : 0);
}

static void randomize(struct generator *g, struct diff_case *test)
{
    struct diff_state *s = &g->state;
    uint64_t *r = &g->random;

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = random_value(r);
    s->rflags = (x86_random_next(r) & ARITH_AND_DF) | X86_FL_FIXED | X86_FL_IF;
    s->fs_base = x86_random_next(r) >> 18;
    s->gs_base = x86_random_next(r) >> 18;
    memset(s->selector, 0, sizeof(s->selector));
    if (test->row->properties & (X86_ROW_VECTOR | X86_ROW_X87)) {
        for (unsigned i = 0; i < test->insn.operand_count; i++) {
            const struct x86_operand *op = &test->insn.op[i];
            if (op->kind != X86_OP_REG || op->reg_class != X86_RC_VEC)
                continue;
            uint8_t value[32];
            random_vector(r, value);
            memcpy(s->xsave + 160 + op->reg * 16UL, value, 16);
            memcpy(s->xsave + X86_XSAVE_AVX + op->reg * 16UL, value + 16, 16);
        }
        store_le32(s->xsave + 24, random_mxcsr(r));
    }
    random_x87_state(r, s->xsave, test->row->properties & X86_ROW_X87);
    /* AMD saves zeros while no exception is pending: so do we, then. */
    if (is_state_image(test->insn.id) && !(load_le16(s->xsave + 2) & X86_FSW_ES))
        memset(s->xsave + 6, 0, 18);
    store_le32(s->xsave + 28, X86_MXCSR_ALLOWED);
    store_le64(s->xsave + X86_XSAVE_HEADER, 7);
    test->in = *s;
}

static bool is_far_pointer(unsigned id)
{
    return id == X86_LSS || id == X86_LFS || id == X86_LGS || id == X86_JMP_FAR || id == X86_CALL_FAR;
}

/* Linux's IDT lets user mode through: breakpoint, overflow, system calls, and RDTSCP's of old. */
static bool is_user_gate(unsigned vector)
{
    return vector == 3 || vector == 4 || vector == 0x80;
}

static bool is_canonical(uint64_t address)
{
    return address + BIT64(47) < BIT64(48);
}

/* What the host's processor would see otherwise than the model. */
static bool is_operand_fair(const struct diff_case *test)
{
    /* AMD wants the offset in FS and GS canonical too, not only its sum with the base. */
    if (test->insn.mem.seg >= X86_FS && !is_canonical(operand_offset(test)))
        return false;
    /* With 66, Intel's MOVSXD reads 16 bits (SDM 2A), AMD's 32. */
    if (test->insn.id == X86_MOVSXD && test->insn.opsize == 2 && (operand_linear(test) & 4095) > 4092)
        return false;
    switch (test->insn.id) {
    case X86_XSAVE:
    case X86_XSAVEC:
    case X86_XSAVEOPT:
    case X86_XRSTOR:
        return (uint32_t)test->in.gpr[X86_RAX] <
               8; /* none of the host's other components; rAX may be the base */
    default:
        return true;
    }
}

/* Flags from memory that we did not write could have TF, which traps after our way out has begun. */
static bool is_stack_fair(const struct diff_case *test)
{
    if (test->insn.id != X86_POPF && test->insn.id != X86_IRET)
        return true;
    return test->in.gpr[X86_RSP] - DIFF_RW <= DIFF_DATA_SIZE - 40 ||
           test->in.gpr[X86_RSP] - DIFF_RW >= DIFF_DATA_SIZE;
}

bool generate(struct generator *g, uint16_t row, struct diff_case *test, uint8_t *data_a, uint8_t *data_b)
{
    uint64_t *r = &g->random;
    uint8_t base = (uint8_t)below(r, 16), index = (uint8_t)below(r, 16);
    if (index == X86_RSP || index == base)
        index = base == X86_RAX ? X86_RCX : X86_RAX;
    struct x86_random_options options = {.allow_mem = true,
                                         .only_mem = false,
                                         .mem_base = base,
                                         .mem_index = index,
                                         .allow_index = true,
                                         .allow_lock = true,
                                         .allow_segment = true,
                                         .disp_min = -200,
                                         .disp_max = 200};

    memset(test->bytes, 0, sizeof(test->bytes));
    test->row = x86_insn_row(row);
    if (x86_insn_random(r, row, &options, test->bytes, &test->insn) < 0)
        return false;
    test->branch = test->row->properties & X86_ROW_BRANCH;
    if (test->insn.id == X86_NOP && test->insn.map == 1 && test->insn.opcode == 0x0d)
        return false; /* 0F 0D with a register: #UD on AMD, nothing on Intel */
    if (is_far_pointer(test->insn.id) && test->insn.prefixes & X86_PFX_REX_W)
        return false; /* a 64-bit offset on Intel, nothing on AMD */
    if (test->insn.id == X86_INT && is_user_gate((unsigned)test->insn.imm))
        return false;
    if (test->branch && !is_far(test->insn.id) && test->insn.prefixes & X86_PFX_OPSIZE)
        return false; /* Intel and AMD do not agree on what 66 means to near branches in 64-bit mode */
    reshape_memory(r, test);
    bool memory = has_memory_operand(&test->insn);
    put_prefixes(r, test, memory);
    randomize(g, test);
    unsigned size = image_size(&test->insn);
    uint64_t at = memory ? pick_address(r, size) : DIFF_RW;
    /* SHA wants its operands aligned (SDM 2B, type 4); AMD's Zen 4 does not mind. */
    if (test->row->feature == X86_FEAT_SHA)
        at &= ~15ULL;
    test->in.rip = test->branch ? DIFF_BRANCH_AT : DIFF_CODE + 64 + below(r, 16) * 64;
    test->in.gpr[X86_RSP] = pick_address(r, 64);
    if (one_in(r, 2))
        test->in.gpr[X86_RSP] &= ~7ULL;
    if (test->insn.id == X86_LEAVE || test->insn.id == X86_ENTER)
        test->in.gpr[X86_RBP] = pick_address(r, 64);
    if (test->row->properties & X86_ROW_STRING) {
        test->in.gpr[X86_RDI] = pick_address(r, 64);
        test->in.gpr[X86_RSI] = pick_address(r, 64);
    } else if (memory) {
        steer_memory(r, test, at);
    }
    if (memory)
        fill_memory(r, test, data_a, data_b, at, size);
    steer_special(r, test, data_a, data_b, at);
    if (memory && !(test->row->properties & X86_ROW_STRING))
        steer_memory(r, test, at);
    if (is_far(test->insn.id))
        steer_far(r, test, data_a, data_b, at);
    else if (test->branch)
        steer_branch(r, test, data_a, data_b, at);
    return (!test->branch || is_target_safe(test)) && (!memory || is_operand_fair(test)) &&
           is_stack_fair(test);
}
