/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector instructions that touch memory element by element: masked moves and
 * gathers. Elements whose mask is clear are not accessed and cannot fault.
 */
#include "x86/exec-vec-internal.h"

#include "base/bytes.h"

static uint64_t element(const union x86_vec *v, unsigned i, unsigned size)
{
    return size == 4 ? load_le32(v->b + i * 4UL) : load_le64(v->b + i * 8UL);
}

static void set_element(union x86_vec *v, unsigned i, unsigned size, uint64_t value)
{
    if (size == 4)
        store_le32(v->b + i * 4UL, (uint32_t)value);
    else
        store_le64(v->b + i * 8UL, value);
}

static bool is_set(const union x86_vec *mask, unsigned i, unsigned size)
{
    return mask->b[i * size + size - 1] & 0x80;
}

/* Clears all above the first `size` bytes. */
static void clear_above(union x86_vec *v, unsigned size)
{
    memset(v->b + size, 0, sizeof(*v) - size);
}

static bool load_element(struct x86_cpu *cpu, unsigned seg, uint64_t offset, unsigned size, uint64_t *value)
{
    uint64_t lin;

    return x86_linear(cpu, seg, offset, size, X86_MEM_READ, &lin) && x86_load(cpu, lin, size, value);
}

static enum x86_result masked_load(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    const union x86_vec *mask = &cpu->s.vec[insn->op[1].reg];
    unsigned bytes = insn->op[0].size;
    uint64_t offset = x86_offset(cpu, insn);
    union x86_vec result = {{0}};

    for (unsigned i = 0; i < bytes / size; i++) {
        uint64_t value;
        if (!is_set(mask, i, size))
            continue;
        if (!load_element(cpu, insn->mem.seg, low_bytes(offset + (uint64_t)i * size, insn->addrsize), size,
                          &value))
            return X86_FAULT;
        set_element(&result, i, size, value);
    }
    cpu->s.vec[insn->op[0].reg] = result;
    return X86_NEXT;
}

/* Stores the elements for which `mask` has a bit, all or nothing: the addresses are checked first. */
static enum x86_result store_masked(struct x86_cpu *cpu, const struct x86_insn *insn, const uint8_t *data,
                                    uint32_t mask, unsigned bytes, unsigned size)
{
    uint64_t offset = x86_offset(cpu, insn), lin[8];

    for (unsigned i = 0; i < bytes / size; i++) {
        void *host;
        if (!(mask >> i & 1))
            continue;
        uint64_t at = low_bytes(offset + (uint64_t)i * size, insn->addrsize);
        if (!x86_linear(cpu, insn->mem.seg, at, size, X86_MEM_WRITE, &lin[i]) ||
            !x86_rmw(cpu, lin[i], size, &host))
            return X86_FAULT;
    }
    for (unsigned i = 0; i < bytes / size; i++)
        if (mask >> i & 1 && !x86_store_bytes(cpu, lin[i], data + i * size, size, cpu->mmu_index))
            return X86_FAULT;
    return X86_NEXT;
}

/* VMASKMOVPS/PD, VPMASKMOVD/Q: a load, or with memory first a store. */
enum x86_result x86_exec_vmaskmov(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->id == X86_VMASKMOVPS || insn->id == X86_VPMASKMOVD ? 4 : 8;
    uint32_t mask = 0;

    if (insn->op[0].kind == X86_OP_REG)
        return masked_load(cpu, insn, size);
    const struct x86_operand *data = &insn->op[2];
    for (unsigned i = 0; i < data->size / size; i++)
        mask |= is_set(&cpu->s.vec[insn->op[1].reg], i, size) ? BIT(i) : 0;
    return store_masked(cpu, insn, cpu->s.vec[data->reg].b, mask, data->size, size);
}

/*
 * MASKMOVQ, MASKMOVDQU: bytes to [rDI]. All of them must be writable, whatever the
 * mask (SDM 2B leaves that open), and the x87 becomes MMX even if they are not: as
 * AMD's processors have it.
 */
enum x86_result x86_exec_maskmov(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool mmx = insn->id == X86_MASKMOVQ;
    unsigned bytes = mmx ? 8 : 16;
    uint64_t lin;
    void *host;

    if (mmx && vec_x87_pending(cpu))
        return x86_raise(cpu, X86_MF);
    if (mmx)
        vec_mmx_enter(cpu);
    if (!x86_linear(cpu, insn->mem.seg, x86_offset(cpu, insn), bytes, X86_MEM_WRITE, &lin) ||
        !x86_rmw(cpu, lin, bytes, &host))
        return X86_FAULT;
    const uint8_t *data = mmx ? cpu->s.x87.st[insn->op[0].reg] : cpu->s.vec[insn->op[0].reg].b;
    const uint8_t *select = mmx ? cpu->s.x87.st[insn->op[1].reg] : cpu->s.vec[insn->op[1].reg].b;
    for (unsigned i = 0; i < bytes; i++)
        if (select[i] & 0x80 && !x86_store_bytes(cpu, lin + i, data + i, 1, cpu->mmu_index))
            return X86_FAULT;
    return X86_NEXT;
}

struct gather {
    unsigned size;  /* of an element */
    unsigned index; /* size of an index */
    unsigned count;
};

static struct gather gather_shape(const struct x86_insn *insn)
{
    struct gather g = {.size = 4, .index = 4};
    unsigned bytes = insn->vex_l ? 32 : 16;

    switch (insn->id) {
    case X86_VGATHERDPD:
    case X86_VPGATHERDQ:
        g.size = 8;
        break;
    case X86_VGATHERQPS:
    case X86_VPGATHERQD:
        g.index = 8;
        break;
    case X86_VGATHERQPD:
    case X86_VPGATHERQQ:
        g.size = g.index = 8;
        break;
    default:
        break;
    }
    g.count = bytes / MAX(g.size, g.index);
    return g;
}

static uint64_t gather_offset(const struct x86_cpu *cpu, const struct x86_insn *insn, const struct gather *g,
                              unsigned i)
{
    const struct x86_mem *mem = &insn->mem;
    uint64_t index = element(&cpu->s.vec[mem->index & 15], i, g->index);
    uint64_t offset = (uint64_t)mem->disp + ((uint64_t)sign_extend(index, g->index) << mem->scale);

    if (mem->base < X86_NO_REG)
        offset += cpu->s.gpr[mem->base];
    return low_bytes(offset, insn->addrsize);
}

/*
 * From the lowest element up. One that is done has its mask cleared, so after a
 * fault the instruction goes on where it stopped (SDM 2C VPGATHERDD). The mask of
 * those to come stays as it is, as AMD has it; Intel spreads their sign bits first.
 */
enum x86_result x86_exec_gather(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct gather g = gather_shape(insn);
    union x86_vec *to = &cpu->s.vec[insn->op[0].reg];
    union x86_vec *mask = &cpu->s.vec[insn->op[2].reg];

    for (unsigned i = 0; i < g.count; i++) {
        uint64_t value;
        if (is_set(mask, i, g.size)) {
            if (!load_element(cpu, insn->mem.seg, gather_offset(cpu, insn, &g, i), g.size, &value))
                return X86_FAULT;
            set_element(to, i, g.size, value);
        }
        set_element(mask, i, g.size, 0);
    }
    clear_above(to, g.count * g.size);
    clear_above(mask, 0);
    return X86_NEXT;
}
