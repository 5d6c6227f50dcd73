/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hot handlers: arithmetic, logic, shifts, bits. The flags come from the host's own instructions (x86/alu.h).
 */
#include "engine/interp/ops-internal.h"

/* ---- two operands: reg,reg  reg,imm  reg,mem  mem,reg  mem,imm ---- */

#define BINARY_REG(name, bits)                                                                               \
    OP(name##_rr##bits)                                                                                      \
    {                                                                                                        \
        SET##bits(op->dst, alu_##name##bits(GET##bits(op->dst), GET##bits(op->src), &cpu->cc));              \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_ri##bits)                                                                                      \
    {                                                                                                        \
        SET##bits(op->dst, alu_##name##bits(GET##bits(op->dst), IMM(bits), &cpu->cc));                       \
        NEXT;                                                                                                \
    }

#define BINARY_MEM(name, bits, ea)                                                                           \
    OP(name##_rm##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        SET##bits(op->dst, alu_##name##bits(GET##bits(op->dst), PEEK##bits(host_), &cpu->cc));               \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_mr##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        POKE##bits(host_, alu_##name##bits(PEEK##bits(host_), GET##bits(op->src), &cpu->cc));                \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_mi##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        POKE##bits(host_, alu_##name##bits(PEEK##bits(host_), IMM(bits), &cpu->cc));                         \
        NEXT;                                                                                                \
    }

#define COMPARE_REG(name, bits)                                                                              \
    OP(name##_rr##bits)                                                                                      \
    {                                                                                                        \
        alu_##name##bits(GET##bits(op->dst), GET##bits(op->src), &cpu->cc);                                  \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_ri##bits)                                                                                      \
    {                                                                                                        \
        alu_##name##bits(GET##bits(op->dst), IMM(bits), &cpu->cc);                                           \
        NEXT;                                                                                                \
    }

#define COMPARE_MEM(name, bits, ea)                                                                          \
    OP(name##_rm##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        alu_##name##bits(GET##bits(op->dst), PEEK##bits(host_), &cpu->cc);                                   \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_mr##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        alu_##name##bits(PEEK##bits(host_), GET##bits(op->src), &cpu->cc);                                   \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_mi##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        alu_##name##bits(PEEK##bits(host_), IMM(bits), &cpu->cc);                                            \
        NEXT;                                                                                                \
    }

/* For results whose flags the next instructions overwrite unseen. */
#define QUIET(name, bits, o)                                                                                 \
    OP(name##_rr##bits##q)                                                                                   \
    {                                                                                                        \
        SET##bits(op->dst, GET##bits(op->dst) o GET##bits(op->src));                                         \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_ri##bits##q)                                                                                   \
    {                                                                                                        \
        SET##bits(op->dst, GET##bits(op->dst) o IMM(bits));                                                  \
        NEXT;                                                                                                \
    }                                                                                                        \
    QUIET_MEM(name, bits, o, b) QUIET_MEM(name, bits, o, i) QUIET_MEM(name, bits, o, s)
#define QUIET_MEM(name, bits, o, ea)                                                                         \
    OP(name##_rm##bits##ea##q)                                                                               \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        SET##bits(op->dst, GET##bits(op->dst) o PEEK##bits(host_));                                          \
        NEXT;                                                                                                \
    }

#define ALL_SIZES(kind, name)     kind(name, 8) kind(name, 16) kind(name, 32) kind(name, 64)
#define ALL_EAS(kind, name, bits) kind(name, bits, b) kind(name, bits, i) kind(name, bits, s)
#define BINARY(name, bits)        BINARY_REG(name, bits) ALL_EAS(BINARY_MEM, name, bits)
#define COMPARE(name, bits)       COMPARE_REG(name, bits) ALL_EAS(COMPARE_MEM, name, bits)

/* clang-format off */
ALL_SIZES(BINARY, add)
ALL_SIZES(BINARY, or)
ALL_SIZES(BINARY, adc)
ALL_SIZES(BINARY, sbb)
ALL_SIZES(BINARY, and)
ALL_SIZES(BINARY, sub)
ALL_SIZES(BINARY, xor)
ALL_SIZES(COMPARE, cmp)
ALL_SIZES(COMPARE, test)
QUIET(add, 32, +) QUIET(add, 64, +)
QUIET(or, 32, |) QUIET(or, 64, |)
QUIET(and, 32, &) QUIET(and, 64, &)
QUIET(sub, 32, -) QUIET(sub, 64, -)
QUIET(xor, 32, ^) QUIET(xor, 64, ^)
/* clang-format on */

#define SIZES_OF(prefix)                                                                                     \
    {                                                                                                        \
        prefix##8, prefix##16, prefix##32, prefix##64                                                        \
    }
#define EAS_OF(prefix)                                                                                       \
    {                                                                                                        \
        prefix##b, prefix##i, prefix##s                                                                      \
    }
#define SIZES_EAS_OF(prefix)                                                                                 \
    {                                                                                                        \
        EAS_OF(prefix##8), EAS_OF(prefix##16), EAS_OF(prefix##32), EAS_OF(prefix##64)                        \
    }
#define LOUD_OF(name)                                                                                        \
    .rr = SIZES_OF(name##_rr), .ri = SIZES_OF(name##_ri), .rm = SIZES_EAS_OF(name##_rm),                     \
    .mr = SIZES_EAS_OF(name##_mr), .mi = SIZES_EAS_OF(name##_mi)
#define QUIET_OF(name)                                                                                       \
    .rr_quiet = {[2] = name##_rr32q, [3] = name##_rr64q},                                                    \
    .ri_quiet = {[2] = name##_ri32q, [3] = name##_ri64q},                                                    \
    .rm_quiet = {[2] = {name##_rm32bq, name##_rm32iq, name##_rm32sq},                                        \
                 [3] = {name##_rm64bq, name##_rm64iq, name##_rm64sq}}

        const struct interp_alu_handlers interp_alu_handlers[ALU_COUNT] = {
            [ALU_ADD] = {LOUD_OF(add), QUIET_OF(add)},
            [ALU_OR] = {LOUD_OF(or), QUIET_OF(or)},
            [ALU_ADC] = {LOUD_OF(adc)},
            [ALU_SBB] = {LOUD_OF(sbb)},
            [ALU_AND] = {LOUD_OF(and), QUIET_OF(and)},
            [ALU_SUB] = {LOUD_OF(sub), QUIET_OF(sub)},
            [ALU_XOR] = {LOUD_OF(xor), QUIET_OF(xor)},
            [ALU_CMP] = {LOUD_OF(cmp)},
            [ALU_TEST] = {LOUD_OF(test)},
};

/* ---- one operand ---- */

#define alu_not8(a, cc)  ((uint8_t) ~(a))
#define alu_not16(a, cc) ((uint16_t) ~(a))
#define alu_not32(a, cc) (~(a))
#define alu_not64(a, cc) (~(a))

#define UNARY_MEM(name, bits, ea)                                                                            \
    OP(name##_m##bits##ea)                                                                                   \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        POKE##bits(host_, alu_##name##bits(PEEK##bits(host_), &cpu->cc));                                    \
        NEXT;                                                                                                \
    }
#define UNARY(name, bits)                                                                                    \
    OP(name##_r##bits)                                                                                       \
    {                                                                                                        \
        SET##bits(op->dst, alu_##name##bits(GET##bits(op->dst), &cpu->cc));                                  \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALL_EAS(UNARY_MEM, name, bits)

/* clang-format off */
ALL_SIZES(UNARY, inc)
ALL_SIZES(UNARY, dec)
ALL_SIZES(UNARY, neg)
ALL_SIZES(UNARY, not)
/* clang-format on */

const struct interp_unary_handlers interp_unary_handlers[UNARY_COUNT] = {
    [UNARY_INC] = {SIZES_OF(inc_r), SIZES_EAS_OF(inc_m)},
    [UNARY_DEC] = {SIZES_OF(dec_r), SIZES_EAS_OF(dec_m)},
    [UNARY_NEG] = {SIZES_OF(neg_r), SIZES_EAS_OF(neg_m)},
    [UNARY_NOT] = {SIZES_OF(not_r), SIZES_EAS_OF(not_m)},
};

/* ---- shifts by an immediate or CL ---- */

#define SHIFT_MEM(name, bits, ea)                                                                            \
    OP(name##_mi##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        POKE##bits(host_, alu_##name##bits(PEEK##bits(host_), IMM(8), &cpu->cc));                            \
        NEXT;                                                                                                \
    }
#define SHIFT(name, bits)                                                                                    \
    OP(name##_ri##bits)                                                                                      \
    {                                                                                                        \
        SET##bits(op->dst, alu_##name##bits(GET##bits(op->dst), IMM(8), &cpu->cc));                          \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_rc##bits)                                                                                      \
    {                                                                                                        \
        SET##bits(op->dst, alu_##name##bits(GET##bits(op->dst), (uint8_t)cpu->s.gpr[X86_RCX], &cpu->cc));    \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALL_EAS(SHIFT_MEM, name, bits)

/* The count is below the operand's size: the selection sees to that. */
#define QUIET_SHIFT(name, bits, type, o)                                                                     \
    OP(name##_ri##bits##q)                                                                                   \
    {                                                                                                        \
        SET##bits(op->dst, (UINT(bits))((type)GET##bits(op->dst) o(op->imm & (bits - 1))));                  \
        NEXT;                                                                                                \
    }

/* clang-format off */
ALL_SIZES(SHIFT, shl)
ALL_SIZES(SHIFT, shr)
ALL_SIZES(SHIFT, sar)
ALL_SIZES(SHIFT, rol)
ALL_SIZES(SHIFT, ror)
QUIET_SHIFT(shl, 32, uint32_t, <<) QUIET_SHIFT(shl, 64, uint64_t, <<)
QUIET_SHIFT(shr, 32, uint32_t, >>) QUIET_SHIFT(shr, 64, uint64_t, >>)
QUIET_SHIFT(sar, 32, int32_t, >>) QUIET_SHIFT(sar, 64, int64_t, >>)
/* clang-format on */

#define SHIFTS_OF(name) SIZES_OF(name##_ri), SIZES_OF(name##_rc)

        const struct interp_shift_handlers interp_shift_handlers[SHIFT_COUNT] = {
            [SHIFT_SHL] = {SHIFTS_OF(shl), {[2] = shl_ri32q, [3] = shl_ri64q}, SIZES_EAS_OF(shl_mi)},
            [SHIFT_SHR] = {SHIFTS_OF(shr), {[2] = shr_ri32q, [3] = shr_ri64q}, SIZES_EAS_OF(shr_mi)},
            [SHIFT_SAR] = {SHIFTS_OF(sar), {[2] = sar_ri32q, [3] = sar_ri64q}, SIZES_EAS_OF(sar_mi)},
            [SHIFT_ROL] = {SHIFTS_OF(rol), {NULL}, SIZES_EAS_OF(rol_mi)},
            [SHIFT_ROR] = {SHIFTS_OF(ror), {NULL}, SIZES_EAS_OF(ror_mi)},
};

/* ---- multiplication, division; 32 and 64 bits ---- */

#define IMUL_MEM(name, bits, ea)                                                                             \
    OP(name##_rm##bits##ea)                                                                                  \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        SET##bits(op->dst, alu_imul##bits(GET##bits(op->dst), PEEK##bits(host_), &cpu->cc));                 \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_rmi##bits##ea)                                                                                 \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        SET##bits(op->dst, alu_imul##bits(PEEK##bits(host_), IMM(bits), &cpu->cc));                          \
        NEXT;                                                                                                \
    }
#define IMUL(name, bits)                                                                                     \
    OP(name##_rr##bits)                                                                                      \
    {                                                                                                        \
        SET##bits(op->dst, alu_imul##bits(GET##bits(op->dst), GET##bits(op->src), &cpu->cc));                \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(name##_rri##bits)                                                                                     \
    {                                                                                                        \
        SET##bits(op->dst, alu_imul##bits(GET##bits(op->src), IMM(bits), &cpu->cc));                         \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALL_EAS(IMUL_MEM, name, bits)

/* rDX:rAX = rAX * r, and the divisions; what does not fit is the reference's to raise. */
#define WIDE(bits)                                                                                           \
    OP(mul_r##bits)                                                                                          \
    {                                                                                                        \
        UINT(bits) high = 0;                                                                                 \
        SET##bits(X86_RAX, alu_mul##bits(GET##bits(X86_RAX), &high, GET##bits(op->dst), &cpu->cc));          \
        SET##bits(X86_RDX, high);                                                                            \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(imul_r##bits)                                                                                         \
    {                                                                                                        \
        UINT(bits) high = 0;                                                                                 \
        SET##bits(X86_RAX, alu_imul_wide##bits(GET##bits(X86_RAX), &high, GET##bits(op->dst), &cpu->cc));    \
        SET##bits(X86_RDX, high);                                                                            \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(div_r##bits)                                                                                          \
    {                                                                                                        \
        UINT(bits) high = GET##bits(X86_RDX);                                                                \
        if (unlikely(!alu_div_fits(high, GET##bits(op->dst))))                                               \
            return interp_redo(cpu, op, in);                                                                 \
        SET##bits(X86_RAX, alu_div##bits(GET##bits(X86_RAX), &high, GET##bits(op->dst), &cpu->cc));          \
        SET##bits(X86_RDX, high);                                                                            \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(idiv_r##bits)                                                                                         \
    {                                                                                                        \
        UINT(bits) high = GET##bits(X86_RDX);                                                                \
        if (unlikely(!alu_idiv_fits((int##bits##_t)high, GET##bits(X86_RAX),                                 \
                                    (int##bits##_t)GET##bits(op->dst), bits)))                               \
            return interp_redo(cpu, op, in);                                                                 \
        SET##bits(X86_RAX, alu_idiv##bits(GET##bits(X86_RAX), &high, GET##bits(op->dst), &cpu->cc));         \
        SET##bits(X86_RDX, high);                                                                            \
        NEXT;                                                                                                \
    }

/* clang-format off */
IMUL(imul, 32) IMUL(imul, 64)
WIDE(32) WIDE(64)
    /* clang-format on */

    interp_fn *const interp_imul_rr[2] = {imul_rr32, imul_rr64};
interp_fn *const interp_imul_rri[2] = {imul_rri32, imul_rri64};
interp_fn *const interp_imul_rm[2][3] = {EAS_OF(imul_rm32), EAS_OF(imul_rm64)};
interp_fn *const interp_imul_rmi[2][3] = {EAS_OF(imul_rmi32), EAS_OF(imul_rmi64)};
interp_fn *const interp_mul_r[2] = {mul_r32, mul_r64};
interp_fn *const interp_imul_r[2] = {imul_r32, imul_r64};
interp_fn *const interp_div_r[2] = {div_r32, div_r64};
interp_fn *const interp_idiv_r[2] = {idiv_r32, idiv_r64};

/* ---- bits; a register's bit number reaches beyond its memory operand ---- */

#define BIT_MEM(bits, shift, ea)                                                                             \
    OP(bt_mi##bits##ea)                                                                                      \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        alu_bt##bits(PEEK##bits(host_), IMM(bits), &cpu->cc);                                                \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(bt_mr##bits##ea)                                                                                      \
    {                                                                                                        \
        const int##bits##_t bit = (int##bits##_t)GET##bits(op->src);                                         \
        AT_READ(bits, EA_##ea + (uint64_t)((int64_t)(bit >> shift) * (bits / 8)));                           \
        alu_bt##bits(PEEK##bits(host_), (UINT(bits))bit, &cpu->cc);                                          \
        NEXT;                                                                                                \
    }
#define BITS(bits, shift)                                                                                    \
    BIT_MEM(bits, shift, b)                                                                                  \
    BIT_MEM(bits, shift, i)                                                                                  \
    OP(bt_rr##bits)                                                                                          \
    {                                                                                                        \
        alu_bt##bits(GET##bits(op->dst), GET##bits(op->src), &cpu->cc);                                      \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(bt_ri##bits)                                                                                          \
    {                                                                                                        \
        alu_bt##bits(GET##bits(op->dst), IMM(bits), &cpu->cc);                                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(bts_ri##bits)                                                                                         \
    {                                                                                                        \
        SET##bits(op->dst, alu_bts##bits(GET##bits(op->dst), IMM(bits), &cpu->cc));                          \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(btr_ri##bits)                                                                                         \
    {                                                                                                        \
        SET##bits(op->dst, alu_btr##bits(GET##bits(op->dst), IMM(bits), &cpu->cc));                          \
        NEXT;                                                                                                \
    }

/* clang-format off */
BITS(32, 5) BITS(64, 6)
    /* clang-format on */

    interp_fn *const interp_bt_mi[2][3] = {{bt_mi32b, bt_mi32i}, {bt_mi64b, bt_mi64i}};
interp_fn *const interp_bt_mr[2][3] = {{bt_mr32b, bt_mr32i}, {bt_mr64b, bt_mr64i}};
interp_fn *const interp_bt_rr[2] = {bt_rr32, bt_rr64};
interp_fn *const interp_bt_ri[2] = {bt_ri32, bt_ri64};
interp_fn *const interp_bts_ri[2] = {bts_ri32, bts_ri64};
interp_fn *const interp_btr_ri[2] = {btr_ri32, btr_ri64};
