/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves, exchanges, extensions, conditional moves, and instructions that only order or hint. */
#include "x86/exec-alu-internal.h"

/* MOV, MOVZX (reads are zero-extended), MOVNTI */
enum x86_result x86_exec_mov(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value) || !x86_operand_write(cpu, insn, 0, value))
        return X86_FAULT;
    return X86_NEXT;
}

/* MOVSX, MOVSXD */
enum x86_result x86_exec_movsx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    x86_gpr_write(cpu, &insn->op[0], (uint64_t)sign_extend(value, insn->op[1].size));
    return X86_NEXT;
}

enum x86_result x86_exec_movbe(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    value = __builtin_bswap64(value) >> (64 - size * 8);
    return x86_operand_write(cpu, insn, 0, value) ? X86_NEXT : X86_FAULT;
}

enum x86_result x86_exec_lea(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_gpr_write(cpu, &insn->op[0], x86_offset(cpu, insn));
    return X86_NEXT;
}

/* The source is read, and the upper half of a 32-bit register cleared, also if the condition is false. */
enum x86_result x86_exec_cmovcc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    if (!x86_operand_read(cpu, insn, 1, &value))
        return X86_FAULT;
    if (!x86_condition(cpu->cc, insn->opcode))
        value = x86_gpr_read(cpu, &insn->op[0]);
    x86_gpr_write(cpu, &insn->op[0], value);
    return X86_NEXT;
}

enum x86_result x86_exec_setcc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return x86_operand_write(cpu, insn, 0, x86_condition(cpu->cc, insn->opcode)) ? X86_NEXT : X86_FAULT;
}

/* CBW, CWDE, CDQE */
enum x86_result x86_exec_cbw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize;

    x86_reg_write(cpu, X86_RAX, size, (uint64_t)sign_extend(cpu->s.gpr[X86_RAX], size / 2));
    return X86_NEXT;
}

/* CWD, CDQ, CQO */
enum x86_result x86_exec_cwd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize;

    x86_reg_write(cpu, X86_RDX, size, sign_extend(cpu->s.gpr[X86_RAX], size) < 0 ? ~0ULL : 0);
    return X86_NEXT;
}

/* With 16 bits the manual says undefined; every known processor clears them. */
enum x86_result x86_exec_bswap(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t value = x86_gpr_read(cpu, &insn->op[0]);

    x86_gpr_write(cpu, &insn->op[0], size == 2 ? 0 : __builtin_bswap64(value) >> (64 - size * 8));
    return X86_NEXT;
}

static uint64_t replace(uint64_t old, const struct x86_modify_args *args, unsigned size, uint32_t *cc)
{
    return args->a;
}

/* With memory it is atomic, LOCK or not. */
enum x86_result x86_exec_xchg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *op = insn->op;
    struct x86_modify_args args = {.a = x86_gpr_read(cpu, &op[1])};
    uint64_t lin, old;

    if (op[0].kind == X86_OP_REG) {
        old = x86_gpr_read(cpu, &op[0]);
        x86_gpr_write(cpu, &op[0], args.a);
    } else if (!x86_mem_linear(cpu, insn, op[0].size, X86_MEM_WRITE, &lin) ||
               !x86_modify(cpu, lin, op[0].size, true, replace, &args, &old)) {
        return X86_FAULT;
    }
    x86_gpr_write(cpu, &op[1], old);
    return X86_NEXT;
}

/* AL = [seg:rBX + AL] */
enum x86_result x86_exec_xlat(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t offset = low_bytes(cpu->s.gpr[X86_RBX] + (cpu->s.gpr[X86_RAX] & 0xff), insn->addrsize);
    uint64_t value;

    if (!x86_seg_load(cpu, insn->mem.seg, offset, 1, &value))
        return X86_FAULT;
    x86_reg_write(cpu, X86_RAX, 1, value);
    return X86_NEXT;
}

/* NOP in all its encodings, and prefetches: no access, no fault. */
enum x86_result x86_exec_nop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return X86_NEXT;
}

enum x86_result x86_exec_pause(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    __asm__ volatile("pause");
    return X86_NEXT;
}

/* LFENCE, SFENCE, MFENCE: guest accesses are host accesses in program order, so the host's strongest does. */
enum x86_result x86_exec_fence(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return X86_NEXT;
}

/* CLFLUSH, CLFLUSHOPT, CLWB: caches are coherent and not modelled; the address is checked as a load's. */
enum x86_result x86_exec_clflush(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_translation t;
    uint64_t lin;

    if (!x86_mem_linear(cpu, insn, 1, X86_MEM_READ, &lin) ||
        !x86_translate(cpu, lin, X86_MEM_READ, cpu->mmu_index, &t))
        return X86_FAULT;
    return X86_NEXT;
}
