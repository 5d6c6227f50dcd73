/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PUSH, POP, frames, and the flags on the stack. */
#include "x86/exec-int.h"
#include "x86/exec-sys.h"
#include "x86/flags.h"
#include "x86/operand.h"

static bool is_segment(const struct x86_operand *op)
{
    return op->kind == X86_OP_REG && op->reg_class == X86_RC_SEG;
}

enum x86_result x86_exec_push(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = (uint64_t)insn->op[0].imm;

    if (is_segment(&insn->op[0]))
        return x86_exec_push_seg(cpu, insn);
    if (insn->op[0].kind != X86_OP_IMM && !x86_operand_read(cpu, insn, 0, &value))
        return X86_FAULT;
    return x86_push(cpu, value, insn->opsize) ? X86_NEXT : X86_FAULT;
}

/* A destination in memory that uses rSP is addressed with the pointer already moved. */
enum x86_result x86_exec_pop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t old_sp = cpu->s.gpr[X86_RSP], value;

    if (is_segment(&insn->op[0]))
        return x86_exec_pop_seg(cpu, insn);
    if (!x86_pop(cpu, &value, insn->opsize))
        return X86_FAULT;
    if (!x86_operand_write(cpu, insn, 0, value)) {
        cpu->s.gpr[X86_RSP] = old_sp;
        return X86_FAULT;
    }
    return X86_NEXT;
}

/* What is pushed before a fault lies below the stack pointer, which a fault leaves where it was. */
enum x86_result x86_exec_pusha(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t old_sp = cpu->s.gpr[X86_RSP];

    for (unsigned reg = X86_RAX; reg <= X86_RDI; reg++) {
        if (!x86_push(cpu, reg == X86_RSP ? old_sp : cpu->s.gpr[reg], insn->opsize)) {
            cpu->s.gpr[X86_RSP] = old_sp;
            return X86_FAULT;
        }
    }
    return X86_NEXT;
}

enum x86_result x86_exec_popa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t old_sp = cpu->s.gpr[X86_RSP], value[8];

    for (unsigned reg = X86_RDI + 1; reg-- > X86_RAX;) {
        if (!x86_pop(cpu, &value[reg], insn->opsize)) {
            cpu->s.gpr[X86_RSP] = old_sp;
            return X86_FAULT;
        }
    }
    for (unsigned reg = X86_RAX; reg <= X86_RDI; reg++) {
        if (reg != X86_RSP)
            x86_reg_write(cpu, reg, insn->opsize, value[reg]);
    }
    return X86_NEXT;
}

/* The display of ENTER: level - 1 frame pointers of the caller, copied downwards. */
static bool enter_display(struct x86_cpu *cpu, unsigned level, unsigned size, unsigned width)
{
    uint64_t bp = cpu->s.gpr[X86_RBP];

    for (unsigned i = 1; i < level; i++) {
        uint64_t value;

        bp -= size;
        if (!x86_seg_load(cpu, X86_SS, low_bytes(bp, width), size, &value) || !x86_push(cpu, value, size))
            return false;
    }
    return true;
}

/* SDM 2A, ENTER; the new top of the stack must be writable. */
enum x86_result x86_exec_enter(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize, width = x86_stack_width(cpu), level = insn->op[1].imm & 31;
    uint64_t old_sp = cpu->s.gpr[X86_RSP], frame, lin;
    void *host;

    if (!x86_push(cpu, cpu->s.gpr[X86_RBP], size))
        return X86_FAULT;
    frame = cpu->s.gpr[X86_RSP];
    if (level && (!enter_display(cpu, level, size, width) || !x86_push(cpu, frame, size)))
        goto fault;
    x86_stack_move(cpu, -(int64_t)(uint16_t)insn->op[0].imm);
    if (!x86_linear(cpu, X86_SS, x86_reg_read(cpu, X86_RSP, width), size, X86_MEM_WRITE, &lin) ||
        !x86_rmw(cpu, lin, size, &host))
        goto fault;
    x86_reg_write(cpu, X86_RBP, size, frame);
    return X86_NEXT;
fault:
    cpu->s.gpr[X86_RSP] = old_sp;
    return X86_FAULT;
}

enum x86_result x86_exec_leave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t old_sp = cpu->s.gpr[X86_RSP], value;

    x86_reg_write(cpu, X86_RSP, x86_stack_width(cpu), cpu->s.gpr[X86_RBP]);
    if (!x86_pop(cpu, &value, insn->opsize)) {
        cpu->s.gpr[X86_RSP] = old_sp;
        return X86_FAULT;
    }
    x86_reg_write(cpu, X86_RBP, insn->opsize, value);
    return X86_NEXT;
}

/* ---- PUSHF, POPF (SDM 2B, POPF, table 4-16; virtual-8086: SDM 3B 21.2.7, 21.3) ---- */

static unsigned iopl(const struct x86_cpu *cpu)
{
    return (unsigned)(cpu->s.rflags & X86_FL_IOPL) >> 12;
}

/* In virtual-8086 mode with IOPL below 3, IF is VIF if CR4.VME is on and the operand has 16 bits. */
static bool vm86_restricted(const struct x86_cpu *cpu)
{
    return cpu->s.rflags & X86_FL_VM && iopl(cpu) < 3;
}

static bool uses_vif(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return cpu->s.cr4 & X86_CR4_VME && insn->opsize == 2;
}

enum x86_result x86_exec_pushf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t flags = x86_flags_get(cpu) & ~(uint64_t)(X86_FL_RF | X86_FL_VM);

    if (vm86_restricted(cpu)) {
        if (!uses_vif(cpu, insn))
            return x86_raise_error(cpu, X86_GP, 0);
        flags = (flags & ~(uint64_t)X86_FL_IF) | X86_FL_IOPL | (flags & X86_FL_VIF ? X86_FL_IF : 0);
    }
    return x86_push(cpu, flags, insn->opsize) ? X86_NEXT : X86_FAULT;
}

/* POPF where IF stands for VIF: only 16 bits, IOPL and IF stay. */
static enum x86_result popf_vif(struct x86_cpu *cpu, uint64_t value, uint64_t old_sp)
{
    uint64_t mask = X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT;
    uint64_t flags = x86_flags_get(cpu);

    if (value & X86_FL_TF || (value & X86_FL_IF && flags & X86_FL_VIP)) {
        cpu->s.gpr[X86_RSP] = old_sp;
        return x86_raise_error(cpu, X86_GP, 0);
    }
    flags =
        (flags & ~(mask | X86_FL_VIF | X86_FL_RF)) | (value & mask) | (value & X86_FL_IF ? X86_FL_VIF : 0);
    x86_flags_set(cpu, flags);
    return X86_BREAK;
}

enum x86_result x86_exec_popf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t mask = X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT;
    uint64_t old_sp = cpu->s.gpr[X86_RSP], old = x86_flags_get(cpu), value, changed;
    bool restricted = vm86_restricted(cpu);

    if (restricted && !uses_vif(cpu, insn))
        return x86_raise_error(cpu, X86_GP, 0);
    if (!x86_pop(cpu, &value, insn->opsize))
        return X86_FAULT;
    if (restricted)
        return popf_vif(cpu, value, old_sp);
    if (insn->opsize > 2)
        mask |= X86_FL_AC | X86_FL_ID;
    if (cpu->cpl <= iopl(cpu))
        mask |= X86_FL_IF;
    if (cpu->cpl == 0)
        mask |= X86_FL_IOPL;
    value = (old & ~(mask | X86_FL_RF)) | (value & mask);
    x86_flags_set(cpu, value);
    changed = old ^ value;
    if (changed & X86_FL_AC)
        x86_mode_changed(cpu);
    return changed & (X86_FL_AC | X86_FL_IF | X86_FL_TF) ? X86_BREAK : X86_NEXT;
}
