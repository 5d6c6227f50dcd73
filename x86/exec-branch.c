/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near branches, loops, and BOUND. Far transfers are with the segments. */
#include "x86/exec-int.h"
#include "x86/flags.h"
#include "x86/operand.h"

static enum x86_result jump(struct x86_cpu *cpu, uint64_t target)
{
    if (!x86_branch_check(cpu, target))
        return X86_FAULT;
    cpu->s.rip = target;
    return X86_JUMP;
}

static uint64_t next_rip(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return cpu->s.rip + insn->length;
}

/* A relative branch's target; 16-bit operand size cuts it to IP. */
static uint64_t relative(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return low_bytes(next_rip(cpu, insn) + (uint64_t)insn->op[0].imm, insn->opsize);
}

/* Target of JMP and CALL: relative, or absolute in a register or memory. */
static bool near_target(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *target)
{
    if (insn->op[0].kind != X86_OP_REL)
        return x86_operand_read(cpu, insn, 0, target);
    *target = relative(cpu, insn);
    return true;
}

enum x86_result x86_exec_jmp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t target;

    if (!near_target(cpu, insn, &target))
        return X86_FAULT;
    return jump(cpu, target);
}

enum x86_result x86_exec_call(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t target;

    if (!near_target(cpu, insn, &target) || !x86_branch_check(cpu, target) ||
        !x86_push(cpu, next_rip(cpu, insn), insn->opsize))
        return X86_FAULT;
    cpu->s.rip = target;
    return X86_JUMP;
}

enum x86_result x86_exec_ret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t old_sp = cpu->s.gpr[X86_RSP], target;

    if (!x86_pop(cpu, &target, insn->opsize))
        return X86_FAULT;
    if (insn->operand_count)
        x86_stack_move(cpu, (uint16_t)insn->op[0].imm);
    if (!x86_branch_check(cpu, target)) {
        cpu->s.gpr[X86_RSP] = old_sp;
        return X86_FAULT;
    }
    cpu->s.rip = target;
    return X86_JUMP;
}

enum x86_result x86_exec_jcc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!x86_condition(cpu->cc, insn->opcode))
        return X86_NEXT;
    return jump(cpu, relative(cpu, insn));
}

/* CX, ECX or RCX by address size. */
enum x86_result x86_exec_jcxz(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (x86_reg_read(cpu, X86_RCX, insn->addrsize) != 0)
        return X86_NEXT;
    return jump(cpu, relative(cpu, insn));
}

/* The count goes down even if the branch is not taken, but not if it faults. */
static enum x86_result loop(struct x86_cpu *cpu, const struct x86_insn *insn, bool condition)
{
    uint64_t count = low_bytes(cpu->s.gpr[X86_RCX] - 1, insn->addrsize);
    enum x86_result result = X86_NEXT;

    if (count != 0 && condition)
        result = jump(cpu, relative(cpu, insn));
    if (result != X86_FAULT)
        x86_reg_write(cpu, X86_RCX, insn->addrsize, count);
    return result;
}

enum x86_result x86_exec_loop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return loop(cpu, insn, true);
}

enum x86_result x86_exec_loope(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return loop(cpu, insn, cpu->cc & ALU_CC_ZF);
}

enum x86_result x86_exec_loopne(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return loop(cpu, insn, !(cpu->cc & ALU_CC_ZF));
}

/* op[0] between the two signed bounds in memory, else #BR. */
enum x86_result x86_exec_bound(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t offset = x86_offset(cpu, insn), low, high;
    int64_t index = sign_extend(x86_gpr_read(cpu, &insn->op[0]), size);

    if (!x86_seg_load(cpu, insn->mem.seg, offset, size, &low) ||
        !x86_seg_load(cpu, insn->mem.seg, low_bytes(offset + size, insn->addrsize), size, &high))
        return X86_FAULT;
    if (index < sign_extend(low, size) || index > sign_extend(high, size))
        return x86_raise(cpu, X86_BR);
    return X86_NEXT;
}
