/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operands: registers, memory, immediates, the stack, and read-modify-write. */
#include "x86/operand.h"
#include "x86/flags.h"

uint64_t x86_effective(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t offset = x86_offset(cpu, insn);
    unsigned seg = insn->mem.seg;

    if (cpu->mode == X86_MODE_64)
        return offset + (seg == X86_FS || seg == X86_GS ? cpu->s.seg[seg].base : 0);
    return (uint32_t)(offset + cpu->s.seg[seg].base);
}

uint64_t x86_gpr_read(const struct x86_cpu *cpu, const struct x86_operand *op)
{
    if (op->reg_class == X86_RC_GPR8H)
        return cpu->s.gpr[op->reg & 3] >> 8 & 0xff;
    return x86_reg_read(cpu, op->reg & 15, op->size);
}

void x86_gpr_write(struct x86_cpu *cpu, const struct x86_operand *op, uint64_t value)
{
    if (op->reg_class == X86_RC_GPR8H) {
        uint64_t *r = &cpu->s.gpr[op->reg & 3];

        *r = (*r & ~0xff00ULL) | (value & 0xff) << 8;
        return;
    }
    x86_reg_write(cpu, op->reg & 15, op->size, value);
}

bool x86_operand_read(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t *value)
{
    const struct x86_operand *op = &insn->op[n];
    uint64_t lin;

    switch (op->kind) {
    case X86_OP_REG:
        if (op->reg_class == X86_RC_SEG)
            *value = cpu->s.seg[op->reg].selector;
        else
            *value = x86_gpr_read(cpu, op);
        return true;
    case X86_OP_MEM:
        return x86_mem_linear(cpu, insn, op->size, X86_MEM_READ, &lin) && x86_load(cpu, lin, op->size, value);
    default:
        *value = low_bytes((uint64_t)op->imm, op->size);
        return true;
    }
}

bool x86_operand_write(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t value)
{
    const struct x86_operand *op = &insn->op[n];
    uint64_t lin;

    if (op->kind == X86_OP_MEM)
        return x86_mem_linear(cpu, insn, op->size, X86_MEM_WRITE, &lin) &&
               x86_store(cpu, lin, op->size, value);
    x86_gpr_write(cpu, op, value);
    return true;
}

bool x86_push(struct x86_cpu *cpu, uint64_t value, unsigned size)
{
    unsigned width = x86_stack_width(cpu);
    uint64_t sp = low_bytes(cpu->s.gpr[X86_RSP] - size, width);

    if (!x86_seg_store(cpu, X86_SS, sp, size, value))
        return false;
    x86_reg_write(cpu, X86_RSP, width, sp);
    return true;
}

bool x86_pop(struct x86_cpu *cpu, uint64_t *value, unsigned size)
{
    unsigned width = x86_stack_width(cpu);
    uint64_t sp = x86_reg_read(cpu, X86_RSP, width);

    if (!x86_seg_load(cpu, X86_SS, sp, size, value))
        return false;
    x86_reg_write(cpu, X86_RSP, width, sp + size);
    return true;
}

bool x86_branch_check(struct x86_cpu *cpu, uint64_t target)
{
    if (likely(cpu->mode == X86_MODE_64)) {
        unsigned shift = cpu->s.cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

        if (likely((int64_t)(target << shift) >> shift == (int64_t)target))
            return true;
    } else if (likely(target <= cpu->s.seg[X86_CS].limit)) {
        return true;
    }
    x86_raise_error(cpu, X86_GP, 0);
    return false;
}

/* LOCK CMPXCHG of the host; any alignment. True: *p was *expected and is desired now. */
#define COMPARE_EXCHANGE(bits, sfx)                                                                          \
    static bool compare_exchange##bits(void *p, uint64_t *expected, uint64_t desired)                        \
    {                                                                                                        \
        uint##bits##_t old = (uint##bits##_t) * expected;                                                    \
        bool done;                                                                                           \
        __asm__ volatile("lock cmpxchg" #sfx " %[new], (%[p])"                                               \
                         : "+a"(old), "=@ccz"(done)                                                          \
                         : [p] "r"(p), [new] "r"((uint##bits##_t)desired)                                    \
                         : "memory");                                                                        \
        *expected = old;                                                                                     \
        return done;                                                                                         \
    }

COMPARE_EXCHANGE(8, b)
COMPARE_EXCHANGE(16, w)
COMPARE_EXCHANGE(32, l)
COMPARE_EXCHANGE(64, q)

static bool compare_exchange(void *p, unsigned size, uint64_t *expected, uint64_t desired)
{
    switch (size) {
    case 1:
        return compare_exchange8(p, expected, desired);
    case 2:
        return compare_exchange16(p, expected, desired);
    case 4:
        return compare_exchange32(p, expected, desired);
    default:
        return compare_exchange64(p, expected, desired);
    }
}

/* MMIO, ROM or a page crossing; the rights to write are known to be there. */
static bool modify_slow(struct x86_cpu *cpu, uint64_t lin, unsigned size, x86_modify_fn *fn,
                        const struct x86_modify_args *args, uint64_t *old, uint32_t *cc)
{
    return x86_load(cpu, lin, size, old) && x86_store(cpu, lin, size, fn(*old, args, size, cc));
}

bool x86_modify(struct x86_cpu *cpu, uint64_t lin, unsigned size, bool locked, x86_modify_fn *fn,
                const struct x86_modify_args *args, uint64_t *old)
{
    uint32_t cc = cpu->cc;
    uint64_t was = 0;
    void *host;

    if (!x86_rmw(cpu, lin, size, &host))
        return false;
    if (unlikely(!host)) {
        bool ok;

        if (locked)
            cpu->env->exclusive_begin(cpu);
        ok = modify_slow(cpu, lin, size, fn, args, &was, &cc);
        if (locked)
            cpu->env->exclusive_end(cpu);
        if (!ok)
            return false;
    } else {
        was = x86_host_load(host, size);
        if (locked) {
            uint64_t now;

            do {
                cc = cpu->cc;
                now = fn(was, args, size, &cc);
            } while (!compare_exchange(host, size, &was, now));
        } else {
            x86_host_store(host, size, fn(was, args, size, &cc));
        }
        x86_rmw_done(cpu, lin, size);
    }
    cpu->cc = cc;
    if (old)
        *old = was;
    return true;
}
