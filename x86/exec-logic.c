/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AND, OR, XOR, NOT, TEST, and the frame that all two-operand ALU instructions share. */
#include "x86/exec-alu-internal.h"

enum x86_result x86_exec_modify(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn,
                                const struct x86_modify_args *args)
{
    const struct x86_operand *op = &insn->op[0];
    uint64_t lin;

    if (op->kind == X86_OP_REG) {
        x86_gpr_write(cpu, op, fn(x86_gpr_read(cpu, op), args, op->size, &cpu->cc));
        return X86_NEXT;
    }
    if (!x86_mem_linear(cpu, insn, op->size, X86_MEM_WRITE, &lin) ||
        !x86_modify(cpu, lin, op->size, insn->prefixes & X86_PFX_LOCK, fn, args, NULL))
        return X86_FAULT;
    return X86_NEXT;
}

enum x86_result x86_exec_binary(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn)
{
    struct x86_modify_args args = {0};

    if (!x86_operand_read(cpu, insn, 1, &args.a))
        return X86_FAULT;
    return x86_exec_modify(cpu, insn, fn, &args);
}

enum x86_result x86_exec_compare(struct x86_cpu *cpu, const struct x86_insn *insn, x86_modify_fn *fn)
{
    struct x86_modify_args args = {0};
    uint64_t a;

    if (!x86_operand_read(cpu, insn, 0, &a) || !x86_operand_read(cpu, insn, 1, &args.a))
        return X86_FAULT;
    fn(a, &args, insn->op[0].size, &cpu->cc);
    return X86_NEXT;
}

ALU_ANY_BINARY(and)
ALU_ANY_BINARY(or)
ALU_ANY_BINARY(xor)

static uint64_t not_any(uint64_t old, const struct x86_modify_args *args, unsigned size, uint32_t *cc)
{
    return low_bytes(~old, size);
}

enum x86_result x86_exec_and(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, and_any);
}

enum x86_result x86_exec_or(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, or_any);
}

enum x86_result x86_exec_xor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_binary(cpu, insn, xor_any);
}

enum x86_result x86_exec_test(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_exec_compare(cpu, insn, and_any);
}

enum x86_result x86_exec_not(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    static const struct x86_modify_args none;

    return x86_exec_modify(cpu, insn, not_any, &none);
}
