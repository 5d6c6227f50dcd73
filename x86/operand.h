/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and operands, the parts that are worth being inline: host accesses
 * by size, segmentation's fast cases, the stack pointer, and read-modify-write.
 */
#ifndef X86_OPERAND_H
#define X86_OPERAND_H

#include "x86/exec.h"
#include "x86/mem.h"

/* One host access each; size 1, 2, 4 or 8. */
static inline uint64_t x86_host_load(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)p;
    case 2:
        return load_le16(p);
    case 4:
        return load_le32(p);
    default:
        return load_le64(p);
    }
}

static inline void x86_host_store(void *p, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)p = (uint8_t)value;
        break;
    case 2:
        store_le16(p, (uint16_t)value);
        break;
    case 4:
        store_le32(p, (uint32_t)value);
        break;
    default:
        store_le64(p, value);
        break;
    }
}

/* Bits of an address or operand of 1, 2, 4 or 8 bytes. */
static inline uint64_t x86_size_mask(unsigned size)
{
    return low_bytes(~0ULL, size);
}

/* A general register written in `size` bytes: 4 clears the upper half, 1 and 2 keep what is above. */
static inline void x86_reg_write(struct x86_cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t *r = &cpu->s.gpr[reg];

    if (size == 8)
        *r = value;
    else if (size == 4)
        *r = (uint32_t)value;
    else if (size == 2)
        *r = (*r & ~0xffffULL) | (uint16_t)value;
    else
        *r = (*r & ~0xffULL) | (uint8_t)value;
}

static inline uint64_t x86_reg_read(const struct x86_cpu *cpu, unsigned reg, unsigned size)
{
    return low_bytes(cpu->s.gpr[reg], size);
}

/* insn->mem's offset in its segment. */
static inline uint64_t x86_offset(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_mem *m = &insn->mem;
    uint64_t offset = (uint64_t)m->disp;

    if (m->base < X86_NO_REG)
        offset += cpu->s.gpr[m->base];
    else if (m->base == X86_RIP)
        offset += cpu->s.rip + insn->length;
    if (m->index < X86_NO_REG)
        offset += cpu->s.gpr[m->index] << m->scale;
    return low_bytes(offset, insn->addrsize);
}

/* #AC(0) for a misaligned access of 2, 4 or 8 bytes where the program asked for it (SDM 3A 6.15). */
static inline bool x86_aligned(struct x86_cpu *cpu, uint64_t lin, unsigned size)
{
    if (likely(!(cpu->s.rflags & X86_FL_AC)) || cpu->cpl != 3 || !(cpu->s.cr0 & X86_CR0_AM))
        return true;
    if (size > 8 || (lin & (size - 1)) == 0)
        return true;
    x86_raise_error(cpu, X86_AC, 0);
    return false;
}

/* Canonical with 48-bit addresses, from the first to the last byte; size is not 0. */
static inline bool x86_canonical48(uint64_t lin, unsigned size)
{
    return lin + BIT64(47) <= BIT64(48) - size;
}

/* x86_segment_linear() with its common cases in line, and alignment checks. size: 1 or more. */
static inline bool x86_linear(struct x86_cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                              enum x86_mem_access access, uint64_t *lin)
{
    if (likely(cpu->mode == X86_MODE_64)) {
        uint64_t a = offset + (seg == X86_FS || seg == X86_GS ? cpu->s.seg[seg].base : 0);

        if (likely(x86_canonical48(a, size))) {
            *lin = a;
            return x86_aligned(cpu, a, size);
        }
    } else if (cpu->flat && seg <= X86_DS && seg != X86_CS) {
        *lin = (uint32_t)offset;
        return x86_aligned(cpu, *lin, size);
    }
    return x86_segment_linear(cpu, seg, offset, size, access, lin) && x86_aligned(cpu, *lin, size);
}

/* The same for insn->mem. */
static inline bool x86_mem_linear(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
                                  enum x86_mem_access access, uint64_t *lin)
{
    return x86_linear(cpu, insn->mem.seg, x86_offset(cpu, insn), size, access, lin);
}

/* Loads and stores at seg:offset, size 1, 2, 4 or 8. */
static inline bool x86_seg_load(struct x86_cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                                uint64_t *value)
{
    uint64_t lin;

    return x86_linear(cpu, seg, offset, size, X86_MEM_READ, &lin) && x86_load(cpu, lin, size, value);
}

static inline bool x86_seg_store(struct x86_cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                                 uint64_t value)
{
    uint64_t lin;

    return x86_linear(cpu, seg, offset, size, X86_MEM_WRITE, &lin) && x86_store(cpu, lin, size, value);
}

/* Width of the stack pointer in bytes: 8, or 4 or 2 by SS.B. */
static inline unsigned x86_stack_width(const struct x86_cpu *cpu)
{
    if (cpu->mode == X86_MODE_64)
        return 8;
    return cpu->s.seg[X86_SS].attr & X86_SEG_DB ? 4 : 2;
}

static inline void x86_stack_move(struct x86_cpu *cpu, int64_t bytes)
{
    x86_reg_write(cpu, X86_RSP, x86_stack_width(cpu), cpu->s.gpr[X86_RSP] + (uint64_t)bytes);
}

/* A near branch: limit or canonical check of the target, then s.rip. target is of the operand's size. */
bool x86_branch_check(struct x86_cpu *cpu, uint64_t target);

/*
 * Read-modify-write of memory: the new value is fn(old, args, size, cc). locked:
 * atomic against everything else. False: fault is set, nothing changed; otherwise
 * *old (may be NULL) is what was there and cpu->cc is what fn left.
 */
struct x86_modify_args {
    uint64_t a, b;
};
typedef uint64_t x86_modify_fn(uint64_t old, const struct x86_modify_args *args, unsigned size, uint32_t *cc);

bool x86_modify(struct x86_cpu *cpu, uint64_t lin, unsigned size, bool locked, x86_modify_fn *fn,
                const struct x86_modify_args *args, uint64_t *old);

#endif
