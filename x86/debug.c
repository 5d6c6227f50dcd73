/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug registers (SDM 3B chapter 18): MOV DR, code, data and I/O breakpoints,
 * single steps.
 *
 * A page with a data breakpoint never enters the TLB, so each access to it takes
 * the slow path, which reports it here. Traps collect in cpu->debug_trap until
 * the instruction is done. Not modelled: DR7.LE/GE, which processors ignore too,
 * and branch tracing by DEBUGCTL.
 */
#include "x86/exec-sys.h"
#include "x86/operand.h"
#include "x86/system-internal.h"

enum breakpoint_kind { BP_CODE, BP_WRITE, BP_IO, BP_ACCESS };

#define DR6_WRITABLE 0xe00fU
#define DR7_WRITABLE 0xffff23ffU

static bool is_enabled(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->s.dr[7] >> (2 * n) & 3;
}

static enum breakpoint_kind kind_of(const struct x86_cpu *cpu, unsigned n)
{
    return (enum breakpoint_kind)(cpu->s.dr[7] >> (16 + 4 * n) & 3);
}

static unsigned length_of(const struct x86_cpu *cpu, unsigned n)
{
    static const uint8_t length[] = {1, 2, 8, 4};

    return length[cpu->s.dr[7] >> (18 + 4 * n) & 3];
}

/* Does [lin, lin + size) touch breakpoint n, which is aligned to its length? */
static bool touches(const struct x86_cpu *cpu, unsigned n, uint64_t lin, unsigned size)
{
    unsigned length = length_of(cpu, n);
    uint64_t start = cpu->s.dr[n] & ~(uint64_t)(length - 1);

    return lin - start < length || start - lin < size;
}

/* DR6 bits of the enabled breakpoints of some kinds (a mask of BIT(enum breakpoint_kind)) that are touched.
 */
static uint32_t matches(const struct x86_cpu *cpu, unsigned kinds, uint64_t lin, unsigned size)
{
    uint32_t hit = 0;

    for (unsigned n = 0; n < 4; n++) {
        if (is_enabled(cpu, n) && kinds & BIT(kind_of(cpu, n)) && touches(cpu, n, lin, size))
            hit |= BIT(n);
    }
    return hit;
}

enum x86_result x86_debug_fault(struct x86_cpu *cpu, uint32_t dr6)
{
    cpu->s.dr[6] |= dr6;
    return x86_raise(cpu, X86_DB);
}

enum x86_result x86_debug_before(struct x86_cpu *cpu)
{
    uint64_t lin = cpu->s.rip;
    uint32_t hit;

    if (likely(!(cpu->s.dr[7] & 0xff)) || cpu->s.rflags & X86_FL_RF)
        return X86_NEXT;
    if (cpu->mode != X86_MODE_64)
        lin = (lin + cpu->s.seg[X86_CS].base) & X86_LIN_MASK32;
    hit = matches(cpu, BIT(BP_CODE), lin, 1);
    return hit ? x86_debug_fault(cpu, hit) : X86_NEXT;
}

void x86_debug_data(struct x86_cpu *cpu, uint64_t lin, unsigned size, bool write)
{
    cpu->debug_trap |= matches(cpu, BIT(BP_ACCESS) | (write ? BIT(BP_WRITE) : 0), lin, size);
}

void x86_debug_io(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    if (unlikely(cpu->s.dr[7] & 0xff) && cpu->s.cr4 & X86_CR4_DE)
        cpu->debug_trap |= matches(cpu, BIT(BP_IO), port, size);
}

bool x86_debug_page(const struct x86_cpu *cpu, uint64_t lin)
{
    if (likely(!(cpu->s.dr[7] & 0xff)))
        return false;
    return matches(cpu, BIT(BP_ACCESS) | BIT(BP_WRITE), ALIGN_DOWN(lin, 4096), 4096);
}

/* A single step: TF was set before the instruction, and the instruction was not one that ends it. */
static bool stepped(const struct x86_cpu *cpu, const struct x86_insn *insn, bool tf)
{
    switch (insn->id) {
    case X86_INT:
    case X86_INT1:
    case X86_INT3:
    case X86_INTO:
        return tf && cpu->s.rflags & X86_FL_TF; /* INTO that was not taken */
    case X86_SYSCALL:
        return cpu->s.rflags & X86_FL_TF;
    default:
        return tf;
    }
}

enum x86_result x86_debug_after(struct x86_cpu *cpu, const struct x86_insn *insn, bool tf)
{
    uint32_t dr6 = cpu->debug_trap;

    if (cpu->s.shadow & X86_SHADOW_SS) /* held back until after the next instruction */
        return X86_NEXT;
    cpu->debug_trap = 0;
    if (stepped(cpu, insn, tf))
        dr6 |= X86_DR6_BS;
    return dr6 ? x86_debug_fault(cpu, dr6) : X86_NEXT;
}

/* ---- MOV DR ---- */

static bool watches_data(const struct x86_cpu *cpu)
{
    for (unsigned n = 0; n < 4; n++) {
        if (is_enabled(cpu, n) && kind_of(cpu, n) != BP_CODE)
            return true;
    }
    return false;
}

static enum x86_result dr_write(struct x86_cpu *cpu, unsigned dr, uint64_t value)
{
    bool watched = watches_data(cpu);

    if (dr >= 6 && value >> 32)
        return x86_raise_error(cpu, X86_GP, 0);
    if (dr == 6)
        value = (value & DR6_WRITABLE) | X86_DR6_FIXED;
    else if (dr == 7)
        value = (value & DR7_WRITABLE) | X86_DR7_FIXED;
    cpu->s.dr[dr] = value;
    if (watched || watches_data(cpu))
        x86_tlb_flush(cpu);
    return X86_BREAK;
}

enum x86_result x86_exec_mov_dr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool write = insn->op[0].reg_class == X86_RC_DR;
    unsigned size = cpu->mode == X86_MODE_64 ? 8 : 4;
    unsigned dr = insn->op[write ? 0 : 1].reg, gpr = insn->op[write ? 1 : 0].reg;

    if (dr > 7 || ((dr == 4 || dr == 5) && cpu->s.cr4 & X86_CR4_DE))
        return x86_raise(cpu, X86_UD);
    if (cpu->s.dr[7] & X86_DR7_GD)
        return x86_debug_fault(cpu, X86_DR6_BD);
    if (dr == 4 || dr == 5)
        dr += 2;
    if (write)
        return dr_write(cpu, dr, x86_reg_read(cpu, gpr, size));
    x86_reg_write(cpu, gpr, size, cpu->s.dr[dr]);
    return X86_NEXT;
}
