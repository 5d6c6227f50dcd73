/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single bits, scans, counts, BMI1 and BMI2, CRC32. What the CPUID model may
 * offer without the host having it is done in C; POPCNT and CRC32 come with the
 * levels that need the host's SSE4.2 anyway, and are the host's.
 */
#include "x86/cpuid.h"
#include "x86/exec-alu-internal.h"

/* ---- BT, BTS, BTR, BTC ---- */

#define BIT_ANY(name)                                                                                        \
    static uint64_t name##_any(uint64_t old, const struct x86_modify_args *args, unsigned size,              \
                               uint32_t *cc)                                                                 \
    {                                                                                                        \
        if (size == 2)                                                                                       \
            return alu_##name##16((uint16_t)old, (uint16_t)args->a, cc);                                     \
        if (size == 4)                                                                                       \
            return alu_##name##32((uint32_t)old, (uint32_t)args->a, cc);                                     \
        return alu_##name##64(old, args->a, cc);                                                             \
    }

BIT_ANY(bt)
BIT_ANY(bts)
BIT_ANY(btr)
BIT_ANY(btc)

/* A register's bit number is signed and reaches beyond the operand in memory; an immediate's does not. */
static bool bit_linear(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t bit,
                       enum x86_mem_access access, uint64_t *lin)
{
    unsigned size = insn->op[0].size;
    uint64_t offset = x86_offset(cpu, insn);

    if (insn->op[1].kind == X86_OP_REG) {
        int64_t units = sign_extend(bit, size) >> (size == 2 ? 4 : size == 4 ? 5 : 6);

        offset = low_bytes(offset + (uint64_t)units * size, insn->addrsize);
    }
    return x86_linear(cpu, insn->mem.seg, offset, size, access, lin);
}

static enum x86_result bit_op(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn)
{
    unsigned size = insn->op[0].size;
    struct x86_modify_args args = {0};
    uint64_t lin;

    if (!x86_operand_read(cpu, insn, 1, &args.a))
        return X86_FAULT;
    if (insn->op[0].kind == X86_OP_REG)
        return x86_exec_modify(cpu, insn, fn, &args);
    if (!bit_linear(cpu, insn, args.a, X86_MEM_WRITE, &lin) ||
        !x86_modify(cpu, lin, size, insn->prefixes & X86_PFX_LOCK, fn, &args, NULL))
        return X86_FAULT;
    return X86_NEXT;
}

enum x86_result x86_exec_bts(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return bit_op(cpu, insn, bts_any);
}

enum x86_result x86_exec_btr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return bit_op(cpu, insn, btr_any);
}

enum x86_result x86_exec_btc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return bit_op(cpu, insn, btc_any);
}

enum x86_result x86_exec_bt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    struct x86_modify_args args = {0};
    uint64_t lin, value;

    if (!x86_operand_read(cpu, insn, 1, &args.a))
        return X86_FAULT;
    if (insn->op[0].kind == X86_OP_REG)
        value = x86_gpr_read(cpu, &insn->op[0]);
    else if (!bit_linear(cpu, insn, args.a, X86_MEM_READ, &lin) || !x86_load(cpu, lin, size, &value))
        return X86_FAULT;
    bt_any(value, &args, size, &cpu->cc);
    return X86_NEXT;
}

/* ---- scans and counts ---- */

static enum x86_result bit_scan(struct x86_cpu *cpu, const struct x86_insn *insn, bool reverse)
{
    uint64_t *dest = &cpu->s.gpr[insn->op[0].reg & 15];
    uint64_t v;

    if (!x86_operand_read(cpu, insn, 1, &v))
        return X86_FAULT;
    switch (insn->op[0].size) {
    case 2:
        *dest = (reverse ? alu_bsr16 : alu_bsf16)(*dest, (uint16_t)v, &cpu->cc);
        break;
    case 4:
        *dest = (reverse ? alu_bsr32 : alu_bsf32)(*dest, (uint32_t)v, &cpu->cc);
        break;
    default:
        *dest = (reverse ? alu_bsr64 : alu_bsf64)(*dest, v, &cpu->cc);
        break;
    }
    return X86_NEXT;
}

enum x86_result x86_exec_bsf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return bit_scan(cpu, insn, false);
}

enum x86_result x86_exec_bsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return bit_scan(cpu, insn, true);
}

static bool has_feature(const struct x86_cpu *cpu, unsigned feature)
{
    return !cpu->cpuid || x86_feature(cpu->cpuid, feature);
}

/* CF: the source was zero. ZF: the count is. Of the undefined, OF stays and the rest clear, as AMD has it. */
static enum x86_result count_zeros(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t value,
                                   bool leading)
{
    unsigned bits = insn->op[0].size * 8;
    uint64_t count = bits;

    if (value)
        count = leading ? (unsigned)__builtin_clzll(value) - (64 - bits) : (unsigned)__builtin_ctzll(value);
    x86_flags_arith(cpu, X86_FL_ARITH & ~X86_FL_OF, (value ? 0 : X86_FL_CF) | (count ? 0 : X86_FL_ZF));
    x86_gpr_write(cpu, &insn->op[0], count);
    return X86_NEXT;
}

/* A processor without BMI1 or LZCNT ignores the F3: compilers rely on REP BSF being either. */
enum x86_result x86_exec_tzcnt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!has_feature(cpu, X86_FEAT_BMI1))
        return bit_scan(cpu, insn, false);
    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    return count_zeros(cpu, insn, value, false);
}

enum x86_result x86_exec_lzcnt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!has_feature(cpu, X86_FEAT_LZCNT))
        return bit_scan(cpu, insn, true);
    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    return count_zeros(cpu, insn, value, true);
}

enum x86_result x86_exec_popcnt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    cpu->cc = value ? 0 : ALU_CC_ZF;
    __asm__("popcnt %[v], %[v]" : [v] "+r"(value) : : "cc");
    x86_gpr_write(cpu, &insn->op[0], value);
    return X86_NEXT;
}

/* CRC-32C of op[1]'s bytes, going on from op[0]. */
enum x86_result x86_exec_crc32(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value, crc = x86_reg_read(cpu, insn->op[0].reg & 15, 4);

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    switch (insn->op[1].size) {
    case 1:
        __asm__("crc32b %b[v], %k[crc]" : [crc] "+r"(crc) : [v] "r"(value));
        break;
    case 2:
        __asm__("crc32w %w[v], %k[crc]" : [crc] "+r"(crc) : [v] "r"(value));
        break;
    case 4:
        __asm__("crc32l %k[v], %k[crc]" : [crc] "+r"(crc) : [v] "r"(value));
        break;
    default:
        __asm__("crc32q %[v], %[crc]" : [crc] "+r"(crc) : [v] "r"(value));
        break;
    }
    x86_gpr_write(cpu, &insn->op[0], (uint32_t)crc);
    return X86_NEXT;
}

/* ---- BMI1, BMI2 ---- */

/* Writes op[0]; the result's SF and ZF, OF clear, CF as told. Undefined PF and AF as after a logical
 * operation. */
static enum x86_result bmi_result(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t value,
                                  bool carry)
{
    unsigned size = insn->op[0].size;

    value = low_bytes(value, size);
    if (size == 4)
        alu_test32((uint32_t)value, (uint32_t)value, &cpu->cc);
    else
        alu_test64(value, value, &cpu->cc);
    cpu->cc |= carry ? ALU_CC_CF : 0;
    x86_gpr_write(cpu, &insn->op[0], value);
    return X86_NEXT;
}

enum x86_result x86_exec_andn(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 2, &value))
        return X86_FAULT;
    return bmi_result(cpu, insn, ~x86_gpr_read(cpu, &insn->op[1]) & value, false);
}

enum x86_result x86_exec_blsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    return bmi_result(cpu, insn, value & (value - 1), value == 0);
}

enum x86_result x86_exec_blsmsk(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    return bmi_result(cpu, insn, value ^ (value - 1), value == 0);
}

enum x86_result x86_exec_blsi(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    return bmi_result(cpu, insn, value & -value, value != 0);
}

/* n low bits; n may be anything. */
static uint64_t low_bits(uint64_t value, unsigned n)
{
    return n >= 64 ? value : value & (BIT64(n) - 1);
}

/* op[2]: start in bits 0..7, length in 8..15. Of the undefined flags, SF is clear and AF set, as AMD has it.
 */
enum x86_result x86_exec_bextr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value, control = x86_gpr_read(cpu, &insn->op[2]);
    unsigned start = control & 0xff, length = control >> 8 & 0xff;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    value = low_bits(start >= 64 ? 0 : value >> start, length);
    bmi_result(cpu, insn, value, false);
    cpu->cc = (cpu->cc & ~ALU_CC_SF) | ALU_CC_AF;
    return X86_NEXT;
}

enum x86_result x86_exec_bzhi(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned n = x86_gpr_read(cpu, &insn->op[2]) & 0xff;
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    return bmi_result(cpu, insn, low_bits(value, n), n >= insn->op[0].size * 8U);
}

/* Scatters the low bits of op[1] to the places that the mask op[2] has. */
enum x86_result x86_exec_pdep(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t source = x86_gpr_read(cpu, &insn->op[1]), mask, value = 0;

    if (!x86_operand_read(cpu, insn, 2, &mask))
        return X86_FAULT;
    for (; mask; mask &= mask - 1, source >>= 1) {
        if (source & 1)
            value |= mask & -mask;
    }
    x86_gpr_write(cpu, &insn->op[0], value);
    return X86_NEXT;
}

/* Gathers the bits of op[1] that the mask op[2] has into the low ones. */
enum x86_result x86_exec_pext(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t source = x86_gpr_read(cpu, &insn->op[1]), mask, value = 0;

    if (!x86_operand_read(cpu, insn, 2, &mask))
        return X86_FAULT;
    for (unsigned n = 0; mask; mask &= mask - 1, n++)
        value |= (source & mask & -mask ? 1ULL : 0) << n;
    x86_gpr_write(cpu, &insn->op[0], value);
    return X86_NEXT;
}
