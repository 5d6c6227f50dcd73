/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decimal adjustments (SDM 2A, AAA … DAS), which 64-bit hosts no longer have.
 * Flags that the manual leaves undefined come out as in a logical operation.
 */
#include "x86/exec-int.h"
#include "x86/flags.h"
#include "x86/operand.h"

static uint8_t al(const struct x86_cpu *cpu)
{
    return (uint8_t)cpu->s.gpr[X86_RAX];
}

/* SF, ZF and PF of the byte; OF, AF, CF clear. */
static void set_result(struct x86_cpu *cpu, uint8_t value)
{
    x86_reg_write(cpu, X86_RAX, 1, value);
    alu_test8(value, value, &cpu->cc);
}

static void set_carries(struct x86_cpu *cpu, bool carry, bool adjust)
{
    x86_flags_arith(cpu, X86_FL_CF | X86_FL_AF, (carry ? X86_FL_CF : 0) | (adjust ? X86_FL_AF : 0));
}

static enum x86_result decimal(struct x86_cpu *cpu, int sign)
{
    unsigned old = al(cpu), value = old;
    bool carry = x86_carry(cpu), adjust = (old & 15) > 9 || cpu->cc & ALU_CC_AF;
    bool carry_out = carry || old > 0x99;

    if (adjust) {
        if (sign < 0 && old < 6)
            carry_out = true;
        value += (unsigned)(6 * sign);
    }
    if (carry || old > 0x99)
        value += (unsigned)(0x60 * sign);
    set_result(cpu, (uint8_t)value);
    set_carries(cpu, carry_out, adjust);
    return X86_NEXT;
}

enum x86_result x86_exec_daa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return decimal(cpu, 1);
}

enum x86_result x86_exec_das(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return decimal(cpu, -1);
}

/* AX moves by 106h: since the 286 the carry out of AL goes into AH. */
static enum x86_result ascii(struct x86_cpu *cpu, int sign)
{
    bool adjust = (al(cpu) & 15) > 9 || cpu->cc & ALU_CC_AF;
    unsigned ax = (uint16_t)cpu->s.gpr[X86_RAX];

    if (adjust)
        ax += (unsigned)(0x106 * sign);
    x86_reg_write(cpu, X86_RAX, 2, ax & 0xff0f);
    set_result(cpu, ax & 0x0f);
    set_carries(cpu, adjust, adjust);
    return X86_NEXT;
}

enum x86_result x86_exec_aaa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return ascii(cpu, 1);
}

enum x86_result x86_exec_aas(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return ascii(cpu, -1);
}

enum x86_result x86_exec_aam(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t base = (uint8_t)insn->op[0].imm, value = al(cpu);

    if (base == 0)
        return x86_raise(cpu, X86_DE);
    x86_reg_write(cpu, X86_RAX, 2, (unsigned)(value / base) << 8);
    set_result(cpu, value % base);
    return X86_NEXT;
}

enum x86_result x86_exec_aad(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t base = (uint8_t)insn->op[0].imm;
    unsigned ah = (uint8_t)(cpu->s.gpr[X86_RAX] >> 8);
    uint8_t value = (uint8_t)(al(cpu) + ah * base);

    x86_reg_write(cpu, X86_RAX, 2, value);
    set_result(cpu, value);
    return X86_NEXT;
}
