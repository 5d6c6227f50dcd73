/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hot handlers: the stack, and branches, which end a block. */
#include "engine/interp/ops-internal.h"

#define EAS_OF(prefix)                                                                                       \
    {                                                                                                        \
        prefix##b, prefix##i, prefix##s                                                                      \
    }

/* A stack pointer is as wide as the stack; 32: segments are flat, SS is big. */
#define SP(bits)          ((UINT(bits))cpu->s.gpr[X86_RSP])

#define PUSH(bits, value) PUSH_AT(AT_WRITE, bits, value)
#define PUSH_AT(at, bits, value)                                                                             \
    const UINT(bits) sp_ = (UINT(bits))(SP(bits) - bits / 8);                                                \
    at(bits, sp_);                                                                                           \
    POKE##bits(host_, (UINT(bits))(value));                                                                  \
    cpu->s.gpr[X86_RSP] = sp_

/* Where the next block is looked for by address. Beyond the canonical addresses it is #GP at the branch
 * itself. */
#define CHECK_TARGET(target)                                                                                 \
    if (unlikely(!interp_canonical(target)))                                                                 \
    return interp_redo(cpu, op, in)

#define GO_COUNTED(target)                                                                                   \
    do {                                                                                                     \
        cpu->instructions += op->count;                                                                      \
        cpu->s.rip = (target);                                                                               \
        GO(target);                                                                                          \
    } while (0)

/* PUSH, CALL and JMP by memory: the operand's read and the push are apart, as both declare their address. */
#define STACK_MEM(bits, ea)                                                                                  \
    static enum interp_next push_value##bits##ea(struct x86_cpu *cpu, const struct interp_op *op,            \
                                                 struct interp *in, uint64_t value)                          \
    {                                                                                                        \
        PUSH_AT(AT_WRITE_AGAIN, bits, value);                                                                \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(push_m##bits##ea)                                                                                     \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        return push_value##bits##ea(cpu, op, in, PEEK##bits(host_));                                         \
    }                                                                                                        \
    OP(call_m##bits##ea)                                                                                     \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        return call_to##bits(cpu, op, in, PEEK##bits(host_));                                                \
    }                                                                                                        \
    OP(jmp_m##bits##ea)                                                                                      \
    {                                                                                                        \
        AT_READ(bits, EA_##ea);                                                                              \
        const uint64_t target = PEEK##bits(host_);                                                           \
        CHECK_TARGET(target);                                                                                \
        GO_COUNTED(target);                                                                                  \
    }

#define STACK(bits)                                                                                          \
    OP(push_r##bits)                                                                                         \
    {                                                                                                        \
        PUSH(bits, GET##bits(op->src));                                                                      \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(push_i##bits)                                                                                         \
    {                                                                                                        \
        PUSH(bits, IMM(bits));                                                                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(pop_r##bits)                                                                                          \
    {                                                                                                        \
        const UINT(bits) sp = SP(bits);                                                                      \
        AT_READ(bits, sp);                                                                                   \
        cpu->s.gpr[X86_RSP] = (UINT(bits))(sp + bits / 8);                                                   \
        SET##bits(op->dst, PEEK##bits(host_)); /* last: POP rSP */                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(leave##bits)                                                                                          \
    {                                                                                                        \
        const UINT(bits) bp = GET##bits(X86_RBP);                                                            \
        AT_READ(bits, bp);                                                                                   \
        cpu->s.gpr[X86_RSP] = (UINT(bits))(bp + bits / 8);                                                   \
        SET##bits(X86_RBP, PEEK##bits(host_));                                                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    OP(call##bits)                                                                                           \
    {                                                                                                        \
        PUSH(bits, ((const struct interp_exit *)(const void *)(op + 1))->rip[0]);                            \
        LEAVE(1);                                                                                            \
    }                                                                                                        \
    OP(ret##bits)                                                                                            \
    {                                                                                                        \
        const UINT(bits) sp = SP(bits);                                                                      \
        AT_READ(bits, sp);                                                                                   \
        const uint64_t target = PEEK##bits(host_);                                                           \
        CHECK_TARGET(target);                                                                                \
        cpu->s.gpr[X86_RSP] = (UINT(bits))(sp + bits / 8 + (uint32_t)op->imm);                               \
        GO_COUNTED(target);                                                                                  \
    }                                                                                                        \
    static enum interp_next call_to##bits(struct x86_cpu *cpu, const struct interp_op *op,                   \
                                          struct interp *in, const uint64_t target)                          \
    {                                                                                                        \
        CHECK_TARGET(target);                                                                                \
        PUSH_AT(AT_WRITE_AGAIN, bits, ((const struct interp_exit *)(const void *)(op + 1))->rip[0]);         \
        GO_COUNTED(target);                                                                                  \
    }                                                                                                        \
    OP(call_r##bits)                                                                                         \
    {                                                                                                        \
        return call_to##bits(cpu, op, in, GET##bits(op->src));                                               \
    }                                                                                                        \
    OP(jmp_r##bits)                                                                                          \
    {                                                                                                        \
        const uint64_t target = GET##bits(op->src);                                                          \
        CHECK_TARGET(target);                                                                                \
        GO_COUNTED(target);                                                                                  \
    }                                                                                                        \
    STACK_MEM(bits, b) STACK_MEM(bits, i) STACK_MEM(bits, s)

STACK(32)
STACK(64)

interp_fn *const interp_push_r[2] = {push_r32, push_r64};
interp_fn *const interp_push_i[2] = {push_i32, push_i64};
interp_fn *const interp_push_m[2][3] = {EAS_OF(push_m32), EAS_OF(push_m64)};
interp_fn *const interp_pop_r[2] = {pop_r32, pop_r64};
interp_fn *const interp_leave[2] = {leave32, leave64};
interp_fn *const interp_call[2] = {call32, call64};
interp_fn *const interp_call_r[2] = {call_r32, call_r64};
interp_fn *const interp_call_m[2][3] = {EAS_OF(call_m32), EAS_OF(call_m64)};
interp_fn *const interp_jmp_r[2] = {jmp_r32, jmp_r64};
interp_fn *const interp_jmp_m[2][3] = {EAS_OF(jmp_m32), EAS_OF(jmp_m64)};
interp_fn *const interp_ret[2] = {ret32, ret64};

enum interp_next interp_op_goto(struct x86_cpu *cpu, const struct interp_op *op, struct interp *in)
{
    LEAVE(0);
}

/* ---- conditional branches, alone and with the comparison before them ---- */

#define BRANCH_IF(condition)                                                                                 \
    do {                                                                                                     \
        if (condition)                                                                                       \
            LEAVE(1);                                                                                        \
        LEAVE(0);                                                                                            \
    } while (0)

#define JCC(cond)                                                                                            \
    OP(jcc_##cond)                                                                                           \
    {                                                                                                        \
        BRANCH_IF(COND_##cond(cpu->cc));                                                                     \
    }

#define FUSED(name, bits, cond)                                                                              \
    OP(name##_rr##bits##_j##cond)                                                                            \
    {                                                                                                        \
        uint32_t cc;                                                                                         \
        alu_##name##bits(GET##bits(op->dst), GET##bits(op->src), &cc);                                       \
        cpu->cc = cc;                                                                                        \
        BRANCH_IF(COND_##cond(cc));                                                                          \
    }                                                                                                        \
    OP(name##_ri##bits##_j##cond)                                                                            \
    {                                                                                                        \
        uint32_t cc;                                                                                         \
        alu_##name##bits(GET##bits(op->dst), IMM(bits), &cc);                                                \
        cpu->cc = cc;                                                                                        \
        BRANCH_IF(COND_##cond(cc));                                                                          \
    }

#define CONDITIONAL(cond)                                                                                    \
    JCC(cond)                                                                                                \
    FUSED(cmp, 8, cond)                                                                                      \
    FUSED(cmp, 32, cond)                                                                                     \
    FUSED(cmp, 64, cond)                                                                                     \
    FUSED(test, 8, cond)                                                                                     \
    FUSED(test, 32, cond)                                                                                    \
    FUSED(test, 64, cond)

FOR_CONDITIONS(CONDITIONAL)

#define JCC_OF(cond)    jcc_##cond,
#define CMP_RR8(cond)   cmp_rr8_j##cond,
#define CMP_RR32(cond)  cmp_rr32_j##cond,
#define CMP_RR64(cond)  cmp_rr64_j##cond,
#define CMP_RI8(cond)   cmp_ri8_j##cond,
#define CMP_RI32(cond)  cmp_ri32_j##cond,
#define CMP_RI64(cond)  cmp_ri64_j##cond,
#define TEST_RR8(cond)  test_rr8_j##cond,
#define TEST_RR32(cond) test_rr32_j##cond,
#define TEST_RR64(cond) test_rr64_j##cond,
#define TEST_RI8(cond)  test_ri8_j##cond,
#define TEST_RI32(cond) test_ri32_j##cond,
#define TEST_RI64(cond) test_ri64_j##cond,

interp_fn *const interp_jcc[16] = {FOR_CONDITIONS(JCC_OF)};
interp_fn *const interp_fused_rr[2][3][16] = {
    {{FOR_CONDITIONS(CMP_RR8)}, {FOR_CONDITIONS(CMP_RR32)}, {FOR_CONDITIONS(CMP_RR64)}},
    {{FOR_CONDITIONS(TEST_RR8)}, {FOR_CONDITIONS(TEST_RR32)}, {FOR_CONDITIONS(TEST_RR64)}},
};
interp_fn *const interp_fused_ri[2][3][16] = {
    {{FOR_CONDITIONS(CMP_RI8)}, {FOR_CONDITIONS(CMP_RI32)}, {FOR_CONDITIONS(CMP_RI64)}},
    {{FOR_CONDITIONS(TEST_RI8)}, {FOR_CONDITIONS(TEST_RI32)}, {FOR_CONDITIONS(TEST_RI64)}},
};
