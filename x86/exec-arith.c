/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addition, subtraction, multiplication, division; the exchanges that compare or add. */
#include "x86/exec-alu-internal.h"

ALU_ANY_BINARY(add)
ALU_ANY_BINARY(adc)
ALU_ANY_BINARY(sub)
ALU_ANY_BINARY(sbb)
ALU_ANY_UNARY(inc)
ALU_ANY_UNARY(dec)
ALU_ANY_UNARY(neg)

static const struct x86_modify_args no_args;

enum x86_result x86_exec_add(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, add_any);
}

enum x86_result x86_exec_adc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, adc_any);
}

enum x86_result x86_exec_sub(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, sub_any);
}

enum x86_result x86_exec_sbb(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, sbb_any);
}

enum x86_result x86_exec_cmp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_compare(cpu, insn, sub_any);
}

enum x86_result x86_exec_inc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_modify(cpu, insn, inc_any, &no_args);
}

enum x86_result x86_exec_dec(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_modify(cpu, insn, dec_any, &no_args);
}

enum x86_result x86_exec_neg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_modify(cpu, insn, neg_any, &no_args);
}

/* ADCX and ADOX: the carry in and out is CF or OF, no other flag moves. */
enum x86_result x86_exec_adx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint32_t carry = insn->id == X86_ADCX ? ALU_CC_CF : ALU_CC_OF;
    unsigned size = insn->op[0].size;
    struct x86_modify_args args = {0};
    uint32_t cc = cpu->cc & carry ? ALU_CC_CF : 0;

    if (!x86_operand_read(cpu, insn, 1, &args.a))
        return X86_FAULT;
    x86_gpr_write(cpu, &insn->op[0], adc_any(x86_gpr_read(cpu, &insn->op[0]), &args, size, &cc));
    cpu->cc = (cpu->cc & ~carry) | (cc & ALU_CC_CF ? carry : 0);
    return X86_NEXT;
}

/* ---- multiplication and division: the accumulator is AH:AL or rDX:rAX ---- */

static void accumulator_read(const struct x86_cpu *cpu, unsigned size, uint64_t *low, uint64_t *high)
{
    *low = x86_reg_read(cpu, X86_RAX, size);
    *high = size == 1 ? cpu->s.gpr[X86_RAX] >> 8 & 0xff : x86_reg_read(cpu, X86_RDX, size);
}

static void accumulator_write(struct x86_cpu *cpu, unsigned size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        x86_reg_write(cpu, X86_RAX, 2, low | high << 8);
        return;
    }
    x86_reg_write(cpu, X86_RAX, size, low);
    x86_reg_write(cpu, X86_RDX, size, high);
}

#define WIDE_CASE(name, n, bits)                                                                             \
    case n: {                                                                                                \
        uint##bits##_t h = (uint##bits##_t) * high;                                                          \
        *low = alu_##name##bits((uint##bits##_t) * low, &h, (uint##bits##_t)b, cc);                          \
        *high = h;                                                                                           \
        break;                                                                                               \
    }

/* rDX:rAX in low and high, b the other operand. */
#define WIDE_ANY(name)                                                                                       \
    static void name##_any(uint64_t *low, uint64_t *high, uint64_t b, unsigned size, uint32_t *cc)           \
    {                                                                                                        \
        switch (size) {                                                                                      \
            WIDE_CASE(name, 1, 8)                                                                            \
            WIDE_CASE(name, 2, 16)                                                                           \
            WIDE_CASE(name, 4, 32)                                                                           \
        default:                                                                                             \
            *low = alu_##name##64(*low, high, b, cc);                                                        \
            break;                                                                                           \
        }                                                                                                    \
    }

WIDE_ANY(mul)
WIDE_ANY(imul_wide)
WIDE_ANY(div)
WIDE_ANY(idiv)

typedef void wide_fn(uint64_t *low, uint64_t *high, uint64_t b, unsigned size, uint32_t *cc);

static enum x86_result multiply(struct x86_cpu *cpu, const struct x86_insn *insn, wide_fn *fn)
{
    unsigned size = insn->op[0].size;
    uint64_t b, low, high;

    if (!x86_operand_read(cpu, insn, 0, &b))
        return X86_FAULT;
    accumulator_read(cpu, size, &low, &high);
    fn(&low, &high, b, size, &cpu->cc);
    accumulator_write(cpu, size, low, high);
    return X86_NEXT;
}

enum x86_result x86_exec_mul(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return multiply(cpu, insn, mul_any);
}

/* Three forms: rDX:rAX = rAX * op[0]; op[0] *= op[1]; op[0] = op[1] * op[2]. */
enum x86_result x86_exec_imul(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *op = insn->op;
    bool three = insn->operand_count == 3;
    uint64_t a, b, product;

    if (op[1].implicit)
        return multiply(cpu, insn, imul_wide_any);
    if (!x86_operand_read(cpu, insn, 1, &a))
        return X86_FAULT;
    b = three ? (uint64_t)op[2].imm : x86_gpr_read(cpu, &op[0]);
    if (op[0].size == 2)
        product = alu_imul16((uint16_t)a, (uint16_t)b, &cpu->cc);
    else if (op[0].size == 4)
        product = alu_imul32((uint32_t)a, (uint32_t)b, &cpu->cc);
    else
        product = alu_imul64(a, b, &cpu->cc);
    x86_gpr_write(cpu, &op[0], product);
    return X86_NEXT;
}

/* op[0]:op[1] = rDX * op[2], no flags; if both are one register the high half stays. */
enum x86_result x86_exec_mulx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t b, low = x86_reg_read(cpu, X86_RDX, size), high = 0;
    uint32_t cc = cpu->cc;

    if (!x86_operand_read(cpu, insn, 2, &b))
        return X86_FAULT;
    mul_any(&low, &high, b, size, &cc);
    x86_gpr_write(cpu, &insn->op[1], low);
    x86_gpr_write(cpu, &insn->op[0], high);
    return X86_NEXT;
}

static enum x86_result divide(struct x86_cpu *cpu, const struct x86_insn *insn, bool is_signed)
{
    unsigned size = insn->op[0].size;
    uint64_t b, low, high;
    bool fits;

    if (!x86_operand_read(cpu, insn, 0, &b))
        return X86_FAULT;
    accumulator_read(cpu, size, &low, &high);
    if (is_signed)
        fits = alu_idiv_fits(sign_extend(high, size), low, sign_extend(b, size), size * 8);
    else
        fits = alu_div_fits(high, b);
    if (!fits)
        return x86_raise(cpu, X86_DE);
    (is_signed ? idiv_any : div_any)(&low, &high, b, size, &cpu->cc);
    accumulator_write(cpu, size, low, high);
    return X86_NEXT;
}

enum x86_result x86_exec_div(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return divide(cpu, insn, false);
}

enum x86_result x86_exec_idiv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return divide(cpu, insn, true);
}

/* ---- XADD, CMPXCHG ---- */

enum x86_result x86_exec_xadd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *op = insn->op;
    struct x86_modify_args args = {.a = x86_gpr_read(cpu, &op[1])};
    uint64_t lin, old;

    if (op[0].kind == X86_OP_REG) {
        old = x86_gpr_read(cpu, &op[0]);
        x86_gpr_write(cpu, &op[1], old);
        x86_gpr_write(cpu, &op[0], add_any(old, &args, op[0].size, &cpu->cc));
        return X86_NEXT;
    }
    if (!x86_mem_linear(cpu, insn, op[0].size, X86_MEM_WRITE, &lin) ||
        !x86_modify(cpu, lin, op[0].size, insn->prefixes & X86_PFX_LOCK, add_any, &args, &old))
        return X86_FAULT;
    x86_gpr_write(cpu, &op[1], old);
    return X86_NEXT;
}

/* a: the accumulator, b: what to store. Memory is written in either case, as the hardware does. */
static uint64_t cmpxchg_any(uint64_t old, const struct x86_modify_args *args, unsigned size, uint32_t *cc)
{
    struct x86_modify_args compare = {.a = old};

    sub_any(args->a, &compare, size, cc);
    return *cc & ALU_CC_ZF ? args->b : old;
}

enum x86_result x86_exec_cmpxchg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *op = insn->op;
    unsigned size = op[0].size;
    struct x86_modify_args args = {x86_reg_read(cpu, X86_RAX, size), x86_gpr_read(cpu, &op[1])};
    uint64_t lin, old;

    if (op[0].kind == X86_OP_REG) {
        old = x86_gpr_read(cpu, &op[0]);
        cmpxchg_any(old, &args, size, &cpu->cc);
        if (cpu->cc & ALU_CC_ZF) /* else not even the upper half of a 32-bit one is written */
            x86_gpr_write(cpu, &op[0], args.b);
    } else if (!x86_mem_linear(cpu, insn, size, X86_MEM_WRITE, &lin) ||
               !x86_modify(cpu, lin, size, insn->prefixes & X86_PFX_LOCK, cmpxchg_any, &args, &old)) {
        return X86_FAULT;
    }
    if (!(cpu->cc & ALU_CC_ZF))
        x86_reg_write(cpu, X86_RAX, size, old);
    return X86_NEXT;
}

static uint64_t cmpxchg8b_any(uint64_t old, const struct x86_modify_args *args, unsigned size, uint32_t *cc)
{
    *cc = old == args->a ? *cc | ALU_CC_ZF : *cc & ~ALU_CC_ZF;
    return old == args->a ? args->b : old;
}

enum x86_result x86_exec_cmpxchg8b(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t *gpr = cpu->s.gpr;
    struct x86_modify_args args = {(uint32_t)gpr[X86_RAX] | gpr[X86_RDX] << 32,
                                   (uint32_t)gpr[X86_RBX] | gpr[X86_RCX] << 32};
    uint64_t lin, old;

    if (!x86_mem_linear(cpu, insn, 8, X86_MEM_WRITE, &lin) ||
        !x86_modify(cpu, lin, 8, insn->prefixes & X86_PFX_LOCK, cmpxchg8b_any, &args, &old))
        return X86_FAULT;
    if (!(cpu->cc & ALU_CC_ZF)) {
        x86_reg_write(cpu, X86_RAX, 4, old);
        x86_reg_write(cpu, X86_RDX, 4, old >> 32);
    }
    return X86_NEXT;
}

/* 16 bytes that are not RAM: never atomic on hardware either. */
static bool cmpxchg16b_slow(struct x86_cpu *cpu, uint64_t lin, uint64_t old[2], const uint64_t new[2],
                            bool *equal)
{
    const uint64_t *gpr = cpu->s.gpr;

    if (!x86_load(cpu, lin, 8, &old[0]) || !x86_load(cpu, lin + 8, 8, &old[1]))
        return false;
    *equal = old[0] == gpr[X86_RAX] && old[1] == gpr[X86_RDX];
    return x86_store(cpu, lin, 8, *equal ? new[0] : old[0]) &&
           x86_store(cpu, lin + 8, 8, *equal ? new[1] : old[1]);
}

/* Always atomic: the LOCK prefix adds nothing that software could see missing. */
enum x86_result x86_exec_cmpxchg16b(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t *gpr = cpu->s.gpr;
    uint64_t old[2] = {gpr[X86_RAX], gpr[X86_RDX]}, new[2] = {gpr[X86_RBX], gpr[X86_RCX]};
    uint64_t lin;
    void *host;
    bool equal;

    if (!x86_mem_linear(cpu, insn, 16, X86_MEM_WRITE, &lin))
        return X86_FAULT;
    if (lin & 15)
        return x86_raise_error(cpu, X86_GP, 0);
    if (!x86_rmw(cpu, lin, 16, &host))
        return X86_FAULT;
    if (host) {
        __asm__ volatile("lock cmpxchg16b (%[p])"
                         : "+a"(old[0]), "+d"(old[1]), "=@ccz"(equal)
                         : [p] "r"(host), "b"(new[0]), "c"(new[1])
                         : "memory");
        x86_rmw_done(cpu, lin, 16);
    } else if (!cmpxchg16b_slow(cpu, lin, old, new, &equal)) {
        return X86_FAULT;
    }
    if (equal) {
        cpu->cc |= ALU_CC_ZF;
    } else {
        cpu->cc &= ~ALU_CC_ZF;
        gpr[X86_RAX] = old[0];
        gpr[X86_RDX] = old[1];
    }
    return X86_NEXT;
}
