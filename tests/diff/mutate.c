/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wrong semantics on purpose, one thing at a time: the test must notice each. */
#include "tests/diff/diff.h"

#include "x86/exec.h"
#include "x86/mem.h"
#include "x86/operand.h"
#include "x86/regs.h"

static const struct {
    uint16_t flag;
    const char *name;
} flags[] = {{X86_FL_CF, "CF"}, {X86_FL_PF, "PF"}, {X86_FL_AF, "AF"},
             {X86_FL_ZF, "ZF"}, {X86_FL_SF, "SF"}, {X86_FL_OF, "OF"}};

static bool mutate_register(struct x86_cpu *cpu, const struct x86_operand *op)
{
    if (op->kind != X86_OP_REG || !(op->access & X86_WRITE))
        return false;
    switch (op->reg_class) {
    case X86_RC_GPR:
        cpu->s.gpr[op->reg] ^= 1;
        return true;
    case X86_RC_GPR8H:
        cpu->s.gpr[op->reg & 3] ^= 0x100;
        return true;
    case X86_RC_VEC:
        cpu->s.vec[op->reg].b[op->size - 1] ^= 0x10;
        return true;
    case X86_RC_MMX:
        cpu->s.x87.st[op->reg][7] ^= 1;
        return true;
    case X86_RC_ST:
        cpu->s.x87.st[op->reg][0] ^= 1;
        return true;
    case X86_RC_SEG:
        cpu->s.seg[op->reg].selector ^= 3;
        return true;
    default:
        return false;
    }
}

static bool mutate_memory(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        uint64_t lin = x86_effective(cpu, insn), value;
        if (op->kind == X86_OP_MEM && op->access & X86_WRITE && op->reg == X86_NO_REG && op->size)
            return x86_load(cpu, lin, 1, &value) && x86_store(cpu, lin, 1, value ^ 1);
    }
    return false;
}

bool mutation_apply(struct x86_cpu *cpu, const struct x86_insn *insn, const struct mutation *m, bool faulted)
{
    if (m->kind == MUTATE_FAULT)
        return true; /* by the caller */
    if (faulted)
        return false;
    switch (m->kind) {
    case MUTATE_REG:
        return m->which < insn->operand_count && mutate_register(cpu, &insn->op[m->which]);
    case MUTATE_MEM:
        return mutate_memory(cpu, insn);
    case MUTATE_FLAG:
        x86_flags_set(cpu, x86_flags_get(cpu) ^ flags[m->which].flag);
        return true;
    case MUTATE_RIP:
        cpu->s.rip++;
        return true;
    case MUTATE_X87:
        cpu->s.x87.fsw ^= 0x200;
        return true;
    default:
        cpu->s.mxcsr ^= X86_MXCSR_PE;
        return true;
    }
}

bool mutation_of_row(uint16_t number, unsigned n, struct mutation *m)
{
    const struct x86_row *row = x86_insn_row(number);
    const unsigned flags_from = X86_MAX_OPERANDS, rest = flags_from + ARRAY_SIZE(flags);

    for (;; n++) {
        *m = (struct mutation){.row = number, .next = n + 1};
        if (n < flags_from) {
            m->kind = MUTATE_REG;
            m->which = n;
            return true;
        }
        if (n < rest) {
            m->kind = MUTATE_FLAG;
            m->which = n - flags_from;
            if (row->flags_written & ~row->flags_undefined & flags[m->which].flag)
                return true;
            continue;
        }
        m->kind = MUTATE_MEM + (n - rest);
        if (m->kind == MUTATE_X87 && !(row->properties & X86_ROW_X87))
            continue;
        if (m->kind == MUTATE_MXCSR && !(row->properties & X86_ROW_FP_EXC))
            continue;
        return m->kind < MUTATE_KINDS;
    }
}

void mutation_print(const struct mutation *m, FILE *to)
{
    static const char *const names[] = {
        [MUTATE_REG] = "operand", [MUTATE_FLAG] = "flag", [MUTATE_MEM] = "memory", [MUTATE_RIP] = "rip",
        [MUTATE_FAULT] = "fault", [MUTATE_X87] = "fsw",   [MUTATE_MXCSR] = "mxcsr"};

    fprintf(to, "%s %s", x86_insn_row(m->row)->name, names[m->kind]);
    if (m->kind == MUTATE_FLAG)
        fprintf(to, " %s", flags[m->which].name);
    else if (m->kind == MUTATE_REG)
        fprintf(to, " %u", m->which);
}
