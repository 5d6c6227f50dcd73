/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports: IN, OUT, INS, OUTS, and who may use them (SDM 1 chapter 18.5).
 */
#include "x86/exec-sys.h"
#include "x86/operand.h"
#include "x86/system-internal.h"

/* So many elements of a repeated INS or OUTS run before requests are looked at. */
#define STRING_SLICE 1024

/* The TSS's bitmap: all bits of the ports must be there and clear. */
static bool bitmap_allows(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    const struct x86_segment *tr = &cpu->s.seg[X86_TR];
    uint64_t map, bits;

    if (x86_seg_type(tr) != X86_SYS_TSS32_BUSY || tr->attr & X86_SEG_UNUSABLE || tr->limit < 0x67)
        return x86_fail(cpu, X86_GP, 0);
    if (!x86_system_load(cpu, x86_wrap(cpu, tr->base + 0x66), 2, &map))
        return false;
    map += port / 8;
    if (map + 1 > tr->limit)
        return x86_fail(cpu, X86_GP, 0);
    if (!x86_system_load(cpu, x86_wrap(cpu, tr->base + map), 2, &bits))
        return false;
    if (bits >> (port % 8) & ((1U << size) - 1))
        return x86_fail(cpu, X86_GP, 0);
    return true;
}

bool x86_port_allowed(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    if (!x86_protected(cpu) || (cpu->cpl <= x86_iopl(cpu) && !x86_vm86(cpu)))
        return true;
    return bitmap_allows(cpu, port, size);
}

static uint64_t port_read(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    x86_debug_io(cpu, port, size);
    return low_bytes(cpu->env->pio_read(cpu, port, size), size);
}

static void port_write(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
    x86_debug_io(cpu, port, size);
    cpu->env->pio_write(cpu, port, low_bytes(value, size), size);
}

/* DX, or an immediate byte. */
static uint16_t port_of(struct x86_cpu *cpu, const struct x86_operand *op)
{
    return op->kind == X86_OP_IMM ? (uint8_t)op->imm : (uint16_t)cpu->s.gpr[X86_RDX];
}

enum x86_result x86_exec_in(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint16_t port = port_of(cpu, &insn->op[1]);

    if (!x86_port_allowed(cpu, port, size))
        return X86_FAULT;
    x86_gpr_write(cpu, &insn->op[0], port_read(cpu, port, size));
    return X86_BREAK;
}

enum x86_result x86_exec_out(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[1].size;
    uint16_t port = port_of(cpu, &insn->op[0]);

    if (!x86_port_allowed(cpu, port, size))
        return X86_FAULT;
    port_write(cpu, port, x86_gpr_read(cpu, &insn->op[1]), size);
    return X86_BREAK;
}

/* ---- strings ---- */

/* Would a store there succeed? Asked before a port is read, for what is read is gone. */
static bool store_possible(struct x86_cpu *cpu, uint64_t lin, unsigned size)
{
    uint64_t next = x86_wrap(cpu, ALIGN_DOWN(lin, 4096) + 4096);
    struct x86_translation t;

    return x86_translate(cpu, lin, X86_MEM_WRITE, cpu->mmu_index, &t) &&
           ((lin & 0xfff) + size <= 4096 || x86_translate(cpu, next, X86_MEM_WRITE, cpu->mmu_index, &t));
}

static bool ins_one(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t port, unsigned size)
{
    uint64_t offset = x86_reg_read(cpu, X86_RDI, insn->addrsize), lin;

    return x86_linear(cpu, X86_ES, offset, size, X86_MEM_WRITE, &lin) && store_possible(cpu, lin, size) &&
           x86_store(cpu, lin, size, port_read(cpu, port, size));
}

static bool outs_one(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t port, unsigned size)
{
    uint64_t offset = x86_reg_read(cpu, X86_RSI, insn->addrsize), value;

    if (!x86_seg_load(cpu, insn->mem.seg, offset, size, &value))
        return false;
    port_write(cpu, port, value, size);
    return true;
}

typedef bool string_fn(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t port, unsigned size);

static enum x86_result string_io(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
                                 unsigned index, string_fn *one)
{
    uint64_t step = cpu->s.rflags & X86_FL_DF ? -(uint64_t)size : size;
    uint16_t port = (uint16_t)cpu->s.gpr[X86_RDX];
    bool repeat = insn->prefixes & (X86_PFX_REP | X86_PFX_REPNE);
    unsigned slice = cpu->s.rflags & X86_FL_TF ? 1 : STRING_SLICE, width = insn->addrsize;
    uint64_t count = repeat ? x86_reg_read(cpu, X86_RCX, width) : 1;

    if (!x86_port_allowed(cpu, port, size))
        return X86_FAULT;
    for (; count && slice; slice--) {
        if (!one(cpu, insn, port, size))
            return X86_FAULT;
        x86_reg_write(cpu, index, width, cpu->s.gpr[index] + step);
        count--;
        if (repeat)
            x86_reg_write(cpu, X86_RCX, width, count);
        if (cpu->debug_trap || (cpu->must_yield && cpu->must_yield(cpu)))
            break;
    }
    return count ? X86_AGAIN : X86_BREAK;
}

enum x86_result x86_exec_ins(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return string_io(cpu, insn, insn->op[0].size, X86_RDI, ins_one);
}

enum x86_result x86_exec_outs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return string_io(cpu, insn, insn->op[1].size, X86_RSI, outs_one);
}
