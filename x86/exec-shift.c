/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shifts and rotates; the host masks the counts and decides undefined flags. */
#include "x86/exec-alu-internal.h"

ALU_ANY_SHIFT(rol)
ALU_ANY_SHIFT(ror)
ALU_ANY_SHIFT(rcl)
ALU_ANY_SHIFT(rcr)
ALU_ANY_SHIFT(shl)
ALU_ANY_SHIFT(shr)
ALU_ANY_SHIFT(sar)

#define EXEC_SHIFT(name)                                                                                     \
    enum x86_result x86_exec_##name(struct x86_cpu *cpu, const struct x86_insn *insn)                        \
    {                                                                                                        \
        return x86_exec_binary(cpu, insn, name##_any);                                                       \
    }

EXEC_SHIFT(rol)
EXEC_SHIFT(ror)
EXEC_SHIFT(rcl)
EXEC_SHIFT(rcr)
EXEC_SHIFT(shl)
EXEC_SHIFT(shr)
EXEC_SHIFT(sar)

/* a: what is shifted in, b: the count. */
#define SHIFT_DOUBLE_ANY(name)                                                                               \
    static uint64_t name##_any(uint64_t old, const struct x86_modify_args *args, unsigned size,              \
                               uint32_t *cc)                                                                 \
    {                                                                                                        \
        uint8_t count = (uint8_t)args->b;                                                                    \
        if (size == 2)                                                                                       \
            return alu_##name##16((uint16_t)old, (uint16_t)args->a, count, cc);                              \
        if (size == 4)                                                                                       \
            return alu_##name##32((uint32_t)old, (uint32_t)args->a, count, cc);                              \
        return alu_##name##64(old, args->a, count, cc);                                                      \
    }

SHIFT_DOUBLE_ANY(shld)
SHIFT_DOUBLE_ANY(shrd)

static enum x86_result shift_double(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn)
{
    struct x86_modify_args args = {.a = x86_gpr_read(cpu, &insn->op[1])};

    if (!x86_operand_read(cpu, insn, 2, &args.b))
        return X86_FAULT;
    return x86_exec_modify(cpu, insn, fn, &args);
}

enum x86_result x86_exec_shld(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return shift_double(cpu, insn, shld_any);
}

enum x86_result x86_exec_shrd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return shift_double(cpu, insn, shrd_any);
}

/* BMI2's forms: op[0] = op[1] shifted by op[2], no flags. */
static enum x86_result shift_flagless(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn)
{
    struct x86_modify_args args = {0};
    uint64_t value;
    uint32_t cc = cpu->cc;

    if (!x86_operand_read(cpu, insn, 1, &value) || !x86_operand_read(cpu, insn, 2, &args.a))
        return X86_FAULT;
    x86_gpr_write(cpu, &insn->op[0], fn(value, &args, insn->op[0].size, &cc));
    return X86_NEXT;
}

enum x86_result x86_exec_shlx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return shift_flagless(cpu, insn, shl_any);
}

enum x86_result x86_exec_shrx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return shift_flagless(cpu, insn, shr_any);
}

enum x86_result x86_exec_sarx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return shift_flagless(cpu, insn, sar_any);
}

enum x86_result x86_exec_rorx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return shift_flagless(cpu, insn, ror_any);
}
