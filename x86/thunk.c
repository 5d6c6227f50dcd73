/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and finding thunks.
 *
 * The instruction is encoded anew from its row and operands: vector, MMX and
 * x87 registers keep their numbers, a general register becomes rAX, memory
 * becomes [rSI], and all prefixes that do not choose the row are gone. In the
 * thunk rDI is the struct x86_cpu, rSI the memory operand, rDX the FXSAVE image.
 */
#include "x86/thunk.h"

#include "base/bytes.h"
#include "x86/insn-table-internal.h"
#include "x86/regs.h"

/* No thunk is longer. */
#define THUNK_MAX  256

#define MXCSR_HOST 0x1f80U

#define RM_MEMORY  0x10

/* What an encoding consists of, once the operands' places are known. */
struct form {
    uint8_t opcode, map, pp, w, l, reg, rm, vvvv, is4, imm[2], imms;
    bool vex, has_is4, has_modrm;
};

struct emitter {
    uint8_t *at;
};

static void put8(struct emitter *e, unsigned byte)
{
    *e->at++ = (uint8_t)byte;
}

static void put32(struct emitter *e, uint32_t v)
{
    store_le32(e->at, v);
    e->at += 4;
}

/* ModRM of [rdi + disp32], the field of the processor at that offset. */
static void put_cpu_field(struct emitter *e, unsigned reg, size_t offset)
{
    put8(e, 0x87 | (reg & 7) << 3);
    put32(e, (uint32_t)offset);
}

static size_t vec_offset(unsigned reg)
{
    return offsetof(struct x86_cpu, s.vec) + reg * sizeof(union x86_vec);
}

static size_t mmx_offset(unsigned reg)
{
    return offsetof(struct x86_cpu, s.x87.st) + reg * 16UL;
}

static size_t gpr_offset(unsigned reg)
{
    return offsetof(struct x86_cpu, s.gpr) + reg * 8UL;
}

/* MOVAPS, or VMOVAPS of a whole YMM. */
static void put_vec_move(struct emitter *e, bool store, unsigned reg, bool ymm)
{
    if (ymm) {
        put8(e, 0xc5);
        put8(e, (reg & 8 ? 0 : 0x80) | 0x7c);
    } else {
        if (reg & 8)
            put8(e, 0x44);
        put8(e, 0x0f);
    }
    put8(e, store ? 0x29 : 0x28);
    put_cpu_field(e, reg, vec_offset(reg));
}

static void put_mmx_load(struct emitter *e, unsigned reg)
{
    put8(e, 0x0f);
    put8(e, 0x6f);
    put_cpu_field(e, reg, mmx_offset(reg));
}

/* MOVQ, and all ones where the x87 register's sign and exponent are (SDM 1 9.2.2). */
static void put_mmx_store(struct emitter *e, unsigned reg)
{
    put8(e, 0x0f);
    put8(e, 0x7f);
    put_cpu_field(e, reg, mmx_offset(reg));
    put8(e, 0x66);
    put8(e, 0xc7);
    put_cpu_field(e, 0, mmx_offset(reg) + 8);
    put8(e, 0xff);
    put8(e, 0xff);
}

static void put_gpr_move(struct emitter *e, bool store, unsigned host, unsigned guest)
{
    put8(e, 0x48);
    put8(e, store ? 0x89 : 0x8b);
    put_cpu_field(e, host, gpr_offset(guest));
}

static void put_mxcsr(struct emitter *e, unsigned digit)
{
    put8(e, 0x0f);
    put8(e, 0xae);
    put_cpu_field(e, digit, offsetof(struct x86_cpu, s.mxcsr));
}

static void put_bytes(struct emitter *e, const char *bytes, size_t n)
{
    memcpy(e->at, bytes, n);
    e->at += n;
}

#define PUT(e, literal) put_bytes(e, literal, sizeof(literal) - 1)

/* cc is AX as LAHF and SETO leave it. */
static void put_flags_load(struct emitter *e)
{
    PUT(e, "\x8b"); /* mov eax, [rdi + cc] */
    put_cpu_field(e, 0, offsetof(struct x86_cpu, cc));
    PUT(e, "\x04\x7f\x9e"); /* add al, 127: OF; sahf */
}

static void put_flags_store(struct emitter *e)
{
    PUT(e, "\x9f\x0f\x90\xc0\x0f\xb7\xc0\x89"); /* lahf; seto al; movzx eax, ax; mov [rdi + cc], eax */
    put_cpu_field(e, 0, offsetof(struct x86_cpu, cc));
}

static void put_opcode_legacy(struct emitter *e, const struct form *f)
{
    static const uint8_t prefix[] = {[PP_66] = 0x66, [PP_F3] = 0xf3, [PP_F2] = 0xf2};
    unsigned rex = (f->w ? 8U : 0) | (f->reg & 8 ? 4U : 0) | (f->rm & 8 ? 1U : 0);

    if (f->pp != PP_NONE)
        put8(e, prefix[f->pp]);
    if (rex)
        put8(e, 0x40 | rex);
    if (f->map)
        put8(e, 0x0f);
    if (f->map > 1)
        put8(e, f->map == 2 ? 0x38 : 0x3a);
    put8(e, f->opcode);
}

static void put_opcode_vex(struct emitter *e, const struct form *f)
{
    put8(e, 0xc4);
    put8(e, (f->reg & 8 ? 0 : 0x80U) | 0x40 | (f->rm & 8 ? 0 : 0x20U) | f->map);
    put8(e, (unsigned)f->w << 7 | (~f->vvvv & 15U) << 3 | (unsigned)f->l << 2 | f->pp);
    put8(e, f->opcode);
}

static void put_instruction(struct emitter *e, const struct form *f)
{
    if (f->vex)
        put_opcode_vex(e, f);
    else
        put_opcode_legacy(e, f);
    if (f->has_modrm)
        put8(e, (f->reg & 7U) << 3 | (f->rm == RM_MEMORY ? 6 : 0xc0 | (f->rm & 7U)));
    if (f->has_is4)
        put8(e, (unsigned)f->is4 << 4);
    for (unsigned i = 0; i < f->imms; i++)
        put8(e, f->imm[i]);
}

/* Where an operand goes in the encoding. */
static void place_operand(struct form *f, const struct insn_template *template, const struct x86_operand *op)
{
    unsigned reg = op->kind == X86_OP_MEM ? RM_MEMORY : op->reg_class == X86_RC_GPR ? 0U : op->reg;

    switch (template->how) {
    case OPERAND_REG:
        f->reg = (uint8_t)reg;
        break;
    case OPERAND_RM:
        f->rm = (uint8_t)reg;
        break;
    case OPERAND_VVVV:
        f->vvvv = (uint8_t)reg;
        break;
    case OPERAND_IS4:
        f->is4 = (uint8_t)reg;
        f->has_is4 = true;
        break;
    case OPERAND_IMM8:
        f->imm[f->imms++ & 1] = (uint8_t)op->imm;
        break;
    default:
        break;
    }
}

static bool is_explicit_gpr(const struct insn_template *template)
{
    return template->reg_class == X86_RC_GPR && (template->how == OPERAND_REG || template->how == OPERAND_RM);
}

static void form_of(const struct x86_cpu *cpu, const struct x86_insn *insn, struct form *f)
{
    const struct insn_desc *desc = &x86_insn_descs[insn->row];
    bool gpr = false;

    *f = (struct form){.opcode = insn->opcode,
                       .map = insn->map,
                       .reg = insn->modrm >> 3 & 7,
                       .rm = insn->modrm >= 0xc0 ? insn->modrm & 7 : RM_MEMORY,
                       .vex = insn->prefixes & X86_PFX_VEX,
                       .has_modrm = insn->has_modrm,
                       .l = insn->vex_l};
    if (desc->mask >> KEY_PP_SHIFT & 3)
        f->pp = desc->value >> KEY_PP_SHIFT & 3;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct insn_template *template = &x86_insn_templates[desc->operands[i]];
        place_operand(f, template, &insn->op[i]);
        gpr |= is_explicit_gpr(template);
    }
    f->w = f->vex ? insn->vex_w : !!(insn->prefixes & X86_PFX_REX_W);
    /* VEX.W cannot make a general register 64 bits wide outside of 64-bit mode. */
    if (gpr && cpu->mode != X86_MODE_64)
        f->w = 0;
}

/* All that a thunk depends on. Not 0. */
static uint64_t key_of(const struct x86_insn *insn, const struct form *f)
{
    uint64_t key = 1;
    uint64_t gpr = X86_NO_REG;

    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->op[i].kind == X86_OP_REG && insn->op[i].reg_class == X86_RC_GPR)
            gpr = insn->op[i].reg;
    key = key << 12 | insn->row;
    key = key << 5 | f->rm;
    key = key << 4 | f->reg;
    key = key << 4 | f->vvvv;
    key = key << 4 | f->is4;
    key = key << 5 | gpr;
    key = key << 2 | (unsigned)f->l << 1 | f->w;
    key = key << 8 | f->imm[0];
    return key << 8 | f->imm[1];
}

static bool is_pcmpestr(unsigned id)
{
    return id == X86_PCMPESTRI || id == X86_PCMPESTRM || id == X86_VPCMPESTRI || id == X86_VPCMPESTRM;
}

/* An implicit general register is the host's own of that number; PCMPxSTRI's ECX is the only one written. */
static unsigned host_gpr(const struct x86_operand *op)
{
    return op->implicit ? op->reg : (unsigned)X86_RAX;
}

/* Written registers are loaded too: what the instruction does not write of them stays. */
static void put_loads(struct emitter *e, const struct x86_insn *insn, bool vex)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        if (op->kind != X86_OP_REG)
            continue;
        if (op->reg_class == X86_RC_VEC)
            put_vec_move(e, false, op->reg, vex && op->size == 32);
        else if (op->reg_class == X86_RC_MMX)
            put_mmx_load(e, op->reg);
        else if (op->reg_class == X86_RC_GPR)
            put_gpr_move(e, false, host_gpr(op), op->reg);
    }
    if (is_pcmpestr(insn->id)) {
        put_gpr_move(e, false, X86_RAX, X86_RAX);
        put_gpr_move(e, false, X86_RDX, X86_RDX);
    }
}

/* A 32-bit write has cleared the upper half, a VEX one all above it: whole registers go back. */
static void put_stores(struct emitter *e, const struct x86_insn *insn, bool vex)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        if (op->kind != X86_OP_REG || !(op->access & X86_WRITE))
            continue;
        if (op->reg_class == X86_RC_VEC)
            put_vec_move(e, true, op->reg, vex);
        else if (op->reg_class == X86_RC_MMX)
            put_mmx_store(e, op->reg);
        else if (op->reg_class == X86_RC_GPR)
            put_gpr_move(e, true, host_gpr(op), op->reg);
    }
}

static void put_vector_thunk(struct emitter *e, const struct x86_insn *insn, const struct form *f,
                             unsigned flags)
{
    uint8_t *patch = NULL;

    put_loads(e, insn, f->vex);
    if (flags & X86_THUNK_FP)
        put_mxcsr(e, 2);
    put_instruction(e, f);
    if (flags & X86_THUNK_FP) {
        put_mxcsr(e, 3);
        PUT(e, "\x0f\xae\x15"); /* ldmxcsr [rip + …] */
        patch = e->at;
        put32(e, 0);
    }
    put_stores(e, insn, f->vex);
    if (x86_insn_row(insn->row)->flags_written)
        put_flags_store(e);
    if (f->vex)
        PUT(e, "\xc5\xf8\x77"); /* vzeroupper */
    if (flags & X86_THUNK_MMX)
        PUT(e, "\x0f\x77"); /* emms */
    put8(e, 0xc3);
    if (patch) {
        store_le32(patch, (uint32_t)(e->at - (patch + 4)));
        put32(e, MXCSR_HOST);
    }
}

/* Unmasked x87 exceptions do not fault here: FXSAVE and FNINIT do not wait. */
static void put_x87_thunk(struct emitter *e, const struct x86_insn *insn, const struct form *f)
{
    const struct x86_row *row = x86_insn_row(insn->row);

    if (row->flags_read | row->flags_written)
        put_flags_load(e);
    PUT(e, "\x0f\xae\x0a"); /* fxrstor [rdx] */
    put_instruction(e, f);
    if (row->flags_written)
        put_flags_store(e);
    PUT(e, "\x0f\xae\x02\xdb\xe3\xc3"); /* fxsave [rdx]; fninit; ret */
}

static unsigned flags_of(const struct x86_insn *insn)
{
    const struct x86_row *row = x86_insn_row(insn->row);
    unsigned flags = (row->properties & X86_ROW_FP_EXC ? X86_THUNK_FP : 0U) |
                     (row->properties & X86_ROW_ALIGNED ? X86_THUNK_ALIGN : 0U);
    bool mmx = false;

    for (unsigned i = 0; i < insn->operand_count; i++)
        mmx |= insn->op[i].kind == X86_OP_REG && insn->op[i].reg_class == X86_RC_MMX;
    if (mmx)
        return flags | X86_THUNK_MMX;
    if (row->properties & X86_ROW_X87 && !(row->properties & X86_ROW_VECTOR))
        flags |= X86_THUNK_X87;
    return flags;
}

static unsigned memory_of(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->op[i].kind == X86_OP_MEM)
            return i;
    return X86_THUNK_NO_MEM;
}

static void drop_all(struct x86_thunks *thunks)
{
    memset(thunks->slot, 0, sizeof(thunks->slot));
    thunks->used = 0;
    thunks->count = 0;
    thunks->generation++;
}

void x86_thunks_init(struct x86_thunks *thunks, void *write_map, const void *exec_map, size_t size)
{
    base_assert(size >= KIB(4));
    thunks->write_map = write_map;
    thunks->exec_map = exec_map;
    thunks->size = size;
    thunks->generation = 0;
    drop_all(thunks);
}

static unsigned slot_of(uint64_t key)
{
    return (unsigned)(key * 0x9e3779b97f4a7c15ULL >> 32) % ARRAY_SIZE(((struct x86_thunks *)NULL)->slot);
}

/* IRET serializes, and neither leaves the CPL nor exits to a hypervisor below. */
void x86_thunk_serialize(void)
{
    uint64_t scratch;

    __asm__ volatile("mov %%rsp, %0\n\t"
                     "pushq $0\n\t"
                     "mov %%ss, (%%rsp)\n\t"
                     "push %0\n\t"
                     "pushfq\n\t"
                     "pushq $0\n\t"
                     "mov %%cs, (%%rsp)\n\t"
                     "lea 1f(%%rip), %0\n\t"
                     "push %0\n\t"
                     "iretq\n"
                     "1:"
                     : "=&r"(scratch)
                     :
                     : "memory", "cc");
}

static struct x86_thunk *make(struct x86_thunks *thunks, const struct x86_insn *insn, const struct form *f)
{
    if (thunks->count == X86_THUNKS_MAX || thunks->size - thunks->used < THUNK_MAX)
        drop_all(thunks);

    struct x86_thunk *t = &thunks->thunk[thunks->count++];
    struct emitter e = {thunks->write_map + thunks->used};
    t->key = key_of(insn, f);
    t->code = (x86_thunk_code *)(uintptr_t)(thunks->exec_map + thunks->used);
    t->flags = (uint8_t)flags_of(insn);
    t->memory = (uint8_t)memory_of(insn);
    if (t->flags & X86_THUNK_X87)
        put_x87_thunk(&e, insn, f);
    else
        put_vector_thunk(&e, insn, f, t->flags);
    thunks->used = ALIGN_UP((size_t)(e.at - thunks->write_map), 16);
    x86_thunk_serialize();
    return t;
}

const struct x86_thunk *x86_thunk_get(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_thunks *thunks = cpu->thunks;
    struct form f;

    form_of(cpu, insn, &f);
    uint64_t key = key_of(insn, &f);
    unsigned slot = slot_of(key);
    while (thunks->slot[slot]) {
        const struct x86_thunk *t = &thunks->thunk[thunks->slot[slot] - 1];
        if (t->key == key)
            return t;
        slot = (slot + 1) % ARRAY_SIZE(thunks->slot);
    }
    uint32_t generation = thunks->generation;
    const struct x86_thunk *t = make(thunks, insn, &f);
    if (generation != thunks->generation)
        slot = slot_of(key);
    thunks->slot[slot] = (uint16_t)(t - thunks->thunk + 1);
    return t;
}
