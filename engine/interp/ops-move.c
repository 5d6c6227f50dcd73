/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hot handlers: moves, extensions, conditional moves and sets, addresses. */
#include "engine/interp/ops-internal.h"

#define EAS_OF(prefix)                                                                                       \
    {                                                                                                        \
        prefix##b, prefix##i, prefix##s                                                                      \
    }
#define SIZES_OF(prefix)                                                                                     \
    {                                                                                                        \
        prefix##8, prefix##16, prefix##32, prefix##64                                                        \
    }
#define SIZES_EAS_OF(prefix)                                                                                 \
    {                                                                                                        \
        EAS_OF(prefix##8), EAS_OF(prefix##16), EAS_OF(prefix##32), EAS_OF(prefix##64)                        \
    }

#define MOVE_MEM(bits, ea)                                                                                   \
    OP(mov_rm##bits##ea)                                                                                     \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        SET##bits(op->dst, PEEK##bits(host_));                                                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(mov_mr##bits##ea)                                                                                     \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        POKE##bits(host_, GET##bits(op->src));                                                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(mov_mi##bits##ea)                                                                                     \
    {                                                                                                        \
        AT_WRITE(bits, EA_##ea);                                                                             \
        POKE##bits(host_, IMM(bits));                                                                        \
        NEXT;                                                                                                \
    }
#define MOVE(bits)                                                                                           \
    OP(mov_rr##bits)                                                                                         \
    {                                                                                                        \
        SET##bits(op->dst, GET##bits(op->src));                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(mov_ri##bits)                                                                                         \
    {                                                                                                        \
        SET##bits(op->dst, IMM(bits));                                                                       \
        NEXT;                                                                                                \
    }                                                                                                        \
    MOVE_MEM(bits, b) MOVE_MEM(bits, i) MOVE_MEM(bits, s)

/* clang-format off */
MOVE(8) MOVE(16) MOVE(32) MOVE(64)
    /* clang-format on */

    OP(mov_wide)
{
    cpu->s.gpr[op->dst] = (uint64_t)op->disp;
    NEXT;
}

const struct interp_move_handlers interp_move_handlers = {
    .rr = SIZES_OF(mov_rr),
    .ri = SIZES_OF(mov_ri),
    .rm = SIZES_EAS_OF(mov_rm),
    .mr = SIZES_EAS_OF(mov_mr),
    .mi = SIZES_EAS_OF(mov_mi),
    .wide = mov_wide,
};

/* ---- MOVZX, MOVSX, MOVSXD ---- */

#define EXTEND_MEM(name, to, from, type, ea)                                                                 \
    OP(name##to##_rm##from##ea)                                                                              \
    {                                                                                                        \
        AT_READ(from, EA_##ea);                                                                              \
        SET##to(op->dst, (UINT(to))(type)PEEK##from(host_));                                                 \
        NEXT;                                                                                                \
    }
#define EXTEND(name, to, from, type)                                                                         \
    OP(name##to##_rr##from)                                                                                  \
    {                                                                                                        \
        SET##to(op->dst, (UINT(to))(type)GET##from(op->src));                                                \
        NEXT;                                                                                                \
    }                                                                                                        \
    EXTEND_MEM(name, to, from, type, b)                                                                      \
    EXTEND_MEM(name, to, from, type, i)                                                                      \
    EXTEND_MEM(name, to, from, type, s)

/* clang-format off */
EXTEND(zx, 16, 8, uint8_t) EXTEND(zx, 32, 8, uint8_t) EXTEND(zx, 64, 8, uint8_t)
EXTEND(zx, 32, 16, uint16_t) EXTEND(zx, 64, 16, uint16_t)
EXTEND(sx, 16, 8, int8_t) EXTEND(sx, 32, 8, int8_t) EXTEND(sx, 64, 8, int8_t)
EXTEND(sx, 32, 16, int16_t) EXTEND(sx, 64, 16, int16_t) EXTEND(sx, 64, 32, int32_t)
    /* clang-format on */

    const struct interp_extend_handlers interp_zx_handlers = {
        .rr = {[1] = {zx16_rr8}, [2] = {zx32_rr8, zx32_rr16}, [3] = {zx64_rr8, zx64_rr16}},
        .rm = {[1] = {EAS_OF(zx16_rm8)},
               [2] = {EAS_OF(zx32_rm8), EAS_OF(zx32_rm16)},
               [3] = {EAS_OF(zx64_rm8), EAS_OF(zx64_rm16)}},
};
const struct interp_extend_handlers interp_sx_handlers = {
    .rr = {[1] = {sx16_rr8}, [2] = {sx32_rr8, sx32_rr16}, [3] = {sx64_rr8, sx64_rr16, sx64_rr32}},
    .rm = {[1] = {EAS_OF(sx16_rm8)},
           [2] = {EAS_OF(sx32_rm8), EAS_OF(sx32_rm16)},
           [3] = {EAS_OF(sx64_rm8), EAS_OF(sx64_rm16), EAS_OF(sx64_rm32)}},
};

/* ---- addresses: without the segment, which LEA ignores; the selection leaves it out ---- */

#define LEA(bits, ea)                                                                                        \
    OP(lea##bits##ea)                                                                                        \
    {                                                                                                        \
        SET##bits(op->dst, EA_##ea);                                                                         \
        NEXT;                                                                                                \
    }

/* clang-format off */
LEA(32, b) LEA(32, i) LEA(32, s) LEA(64, b) LEA(64, i) LEA(64, s)
    /* clang-format on */

    interp_fn *const interp_lea_handlers[2][3] = {EAS_OF(lea32), EAS_OF(lea64)};

/* ---- conditional ---- */

#define CMOV_MEM(cond, bits, ea)                                                                             \
    OP(cmov##cond##_rm##bits##ea)                                                                            \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        UINT(bits) value = PEEK##bits(host_);                                                                \
        SET##bits(op->dst, COND_##cond(cpu->cc) ? value : GET##bits(op->dst));                               \
        NEXT;                                                                                                \
    }
#define CMOV_REG(cond, bits)                                                                                 \
    OP(cmov##cond##_rr##bits)                                                                                \
    {                                                                                                        \
        UINT(bits) value = GET##bits(op->src);                                                               \
        SET##bits(op->dst, COND_##cond(cpu->cc) ? value : GET##bits(op->dst));                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    CMOV_MEM(cond, bits, b) CMOV_MEM(cond, bits, i) CMOV_MEM(cond, bits, s)
#define SET_MEM(cond, ea)                                                                                    \
    OP(set##cond##_m##ea)                                                                                    \
    {                                                                                                        \
        AT_WRITE(8, EA_##ea);                                                                                \
        POKE8(host_, COND_##cond(cpu->cc) ? 1 : 0);                                                          \
        NEXT;                                                                                                \
    }
#define CONDITIONAL(cond)                                                                                    \
    CMOV_REG(cond, 32)                                                                                       \
    CMOV_REG(cond, 64)                                                                                       \
    OP(set##cond##_r)                                                                                        \
    {                                                                                                        \
        SET8(op->dst, COND_##cond(cpu->cc) ? 1 : 0);                                                         \
        NEXT;                                                                                                \
    }                                                                                                        \
    SET_MEM(cond, b) SET_MEM(cond, i) SET_MEM(cond, s)

FOR_CONDITIONS(CONDITIONAL)

#define CMOV_RR_OF(cond) {cmov##cond##_rr32, cmov##cond##_rr64},
#define CMOV_RM_OF(cond) {EAS_OF(cmov##cond##_rm32), EAS_OF(cmov##cond##_rm64)},
#define SET_R_OF(cond)   set##cond##_r,
#define SET_M_OF(cond)   EAS_OF(set##cond##_m),

interp_fn *const interp_cmov_rr[16][2] = {FOR_CONDITIONS(CMOV_RR_OF)};
interp_fn *const interp_cmov_rm[16][2][3] = {FOR_CONDITIONS(CMOV_RM_OF)};
interp_fn *const interp_set_r[16] = {FOR_CONDITIONS(SET_R_OF)};
interp_fn *const interp_set_m[16][3] = {FOR_CONDITIONS(SET_M_OF)};

/* ---- the rest ---- */

#define EXCHANGE(bits, swap)                                                                                 \
    OP(xchg_rr##bits)                                                                                        \
    {                                                                                                        \
        UINT(bits) value = GET##bits(op->dst);                                                               \
        SET##bits(op->dst, GET##bits(op->src));                                                              \
        SET##bits(op->src, value);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(bswap##bits)                                                                                          \
    {                                                                                                        \
        SET##bits(op->dst, swap(GET##bits(op->dst)));                                                        \
        NEXT;                                                                                                \
    }

EXCHANGE(32, __builtin_bswap32)
EXCHANGE(64, __builtin_bswap64)

interp_fn *const interp_xchg_rr[2] = {xchg_rr32, xchg_rr64};
interp_fn *const interp_bswap[2] = {bswap32, bswap64};

/* CBW CWDE CDQE, and CWD CDQ CQO */
#define SIGN(bits, half, type, half_type)                                                                    \
    OP(cbw##bits)                                                                                            \
    {                                                                                                        \
        SET##bits(X86_RAX, (UINT(bits))(half_type)cpu->s.gpr[X86_RAX]);                                      \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(cwd##bits)                                                                                            \
    {                                                                                                        \
        SET##bits(X86_RDX, (UINT(bits))((type)GET##bits(X86_RAX) >> (bits - 1)));                            \
        NEXT;                                                                                                \
    }

SIGN(16, 8, int16_t, int8_t)
SIGN(32, 16, int32_t, int16_t)
SIGN(64, 32, int64_t, int32_t)

interp_fn *const interp_cbw[3] = {cbw16, cbw32, cbw64};
interp_fn *const interp_cwd[3] = {cwd16, cwd32, cwd64};
