/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A decoded instruction as text, in Intel's syntax. */
#include "base/fmt.h"
#include "x86/insn-table-internal.h"

/* Text that goes on past the buffer is counted but not kept, as fmt_print() does. */
struct text {
    char *buf;
    size_t size;
    size_t length;
};

static void put(struct text *t, const char *format, ...) ATTR_PRINTF(2, 3);

static void put(struct text *t, const char *format, ...)
{
    size_t room = t->length < t->size ? t->size - t->length : 0;
    va_list ap;
    va_start(ap, format);
    t->length += fmt_vprint(room ? t->buf + t->length : NULL, room, format, ap);
    va_end(ap);
}

static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

static void put_gpr(struct text *t, unsigned reg, unsigned size)
{
    static const char *const bytes[] = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
    static const char *const words[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    if (reg >= 8)
        put(t, "r%u%s", reg, size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "");
    else if (size == 1)
        put(t, "%s", bytes[reg]);
    else
        put(t, "%s%s", size == 2 ? "" : size == 4 ? "e" : "r", words[reg]);
}

static void put_register(struct text *t, const struct x86_operand *op)
{
    static const char *const high[] = {"ah", "ch", "dh", "bh"};
    switch (op->reg_class) {
    case X86_RC_GPR:
        put_gpr(t, op->reg, op->size);
        break;
    case X86_RC_GPR8H:
        put(t, "%s", high[op->reg & 3]);
        break;
    case X86_RC_SEG:
        put(t, "%s", segments[op->reg & 7]);
        break;
    case X86_RC_CR:
        put(t, "cr%u", op->reg);
        break;
    case X86_RC_DR:
        put(t, "dr%u", op->reg);
        break;
    case X86_RC_ST:
        put(t, "st%u", op->reg);
        break;
    case X86_RC_MMX:
        put(t, "mm%u", op->reg);
        break;
    default:
        put(t, "%s%u", op->size > 16 ? "ymm" : "xmm", op->reg);
        break;
    }
}

static const char *size_name(unsigned size)
{
    switch (size) {
    case 1:
        return "byte ptr ";
    case 2:
        return "word ptr ";
    case 4:
        return "dword ptr ";
    case 6:
        return "fword ptr ";
    case 8:
        return "qword ptr ";
    case 10:
        return "tbyte ptr ";
    case 16:
        return "xmmword ptr ";
    case 32:
        return "ymmword ptr ";
    default:
        return "";
    }
}

static void put_displacement(struct text *t, int64_t disp, bool first, unsigned addrsize)
{
    uint64_t mask = addrsize == 8 ? ~0ULL : BIT64(addrsize * 8) - 1;
    if (first)
        put(t, "0x%llx", (unsigned long long)((uint64_t)disp & mask));
    else if (disp)
        put(t, "%c0x%llx", disp < 0 ? '-' : '+',
            (unsigned long long)(disp < 0 ? -(uint64_t)disp : (uint64_t)disp));
}

static unsigned default_segment(const struct x86_mem *mem)
{
    return mem->base == X86_RSP || mem->base == X86_RBP ? X86_SS : X86_DS;
}

static void put_index(struct text *t, const struct x86_insn *insn)
{
    const struct x86_mem *mem = &insn->mem;
    const struct insn_desc *desc = &x86_insn_descs[insn->row];
    if (mem->base != X86_NO_REG)
        put(t, "+");
    if (desc->flags & INSN_VSIB)
        put(t, "%s%u", x86_insn_sizes[desc->vsib_size].bytes[insn->vex_l] > 16 ? "ymm" : "xmm", mem->index);
    else
        put_gpr(t, mem->index, insn->addrsize);
    if (mem->scale)
        put(t, "*%u", BIT(mem->scale));
}

/* RIP-relative memory is shown as the address that it is. */
static void put_memory(struct text *t, const struct x86_insn *insn, const struct x86_operand *op,
                       uint64_t next)
{
    const struct x86_mem *mem = &insn->mem;
    put(t, "%s", size_name(op->access ? op->size : 0));
    if (op->reg == X86_RDI) {
        put(t, "es:[");
        put_gpr(t, X86_RDI, insn->addrsize);
        put(t, "]");
        return;
    }
    if (mem->seg != default_segment(mem) || op->reg == X86_RSI)
        put(t, "%s:", segments[mem->seg & 7]);
    put(t, "[");
    if (mem->base == X86_RIP) {
        put_displacement(t, (int64_t)(next + (uint64_t)mem->disp), true, insn->addrsize);
    } else {
        if (mem->base < X86_NO_REG)
            put_gpr(t, mem->base, insn->addrsize);
        if (mem->index != X86_NO_REG)
            put_index(t, insn);
        put_displacement(t, mem->disp, mem->base == X86_NO_REG && mem->index == X86_NO_REG, insn->addrsize);
    }
    put(t, "]");
}

static void put_branch(struct text *t, const struct x86_insn *insn, uint64_t next)
{
    uint64_t mask = insn->opsize == 2 ? 0xffff : insn->opsize == 4 ? 0xffffffff : ~0ULL;
    put(t, "0x%llx", (unsigned long long)((next + (uint64_t)insn->imm) & mask));
}

static void put_immediate(struct text *t, const struct x86_operand *op)
{
    unsigned size = op->size;
    uint64_t mask = size >= 8 || !size ? ~0ULL : BIT64(size * 8) - 1;
    put(t, "0x%llx", (unsigned long long)((uint64_t)op->imm & mask));
}

static void put_operand(struct text *t, const struct x86_insn *insn, const struct x86_operand *op,
                        uint64_t next)
{
    switch (op->kind) {
    case X86_OP_REG:
        put_register(t, op);
        break;
    case X86_OP_MEM:
        put_memory(t, insn, op, next);
        break;
    case X86_OP_IMM:
        put_immediate(t, op);
        break;
    case X86_OP_REL:
        put_branch(t, insn, next);
        break;
    case X86_OP_FAR:
        put(t, "0x%llx:0x%llx", (unsigned long long)insn->imm2, (unsigned long long)insn->imm);
        break;
    default:
        break;
    }
}

/* The families of conditions have one name in the table: JCC is "j" + condition. */
static void put_mnemonic(struct text *t, const struct x86_insn *insn)
{
    static const char *const conditions[] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                             "s", "ns", "p", "np", "l", "nl", "le", "nle"};
    const char *condition = conditions[insn->opcode & 15];
    switch (insn->id) {
    case X86_JCC:
        put(t, "j%s", condition);
        break;
    case X86_SETCC:
        put(t, "set%s", condition);
        break;
    case X86_CMOVCC:
        put(t, "cmov%s", condition);
        break;
    case X86_MOV_CR:
    case X86_MOV_DR:
    case X86_MOV_SEG:
        put(t, "mov");
        break;
    case X86_CALL_FAR:
        put(t, "call far");
        break;
    case X86_JMP_FAR:
        put(t, "jmp far");
        break;
    default:
        put(t, "%s", x86_insn_row(insn->row)->name);
        break;
    }
}

static void put_prefixes(struct text *t, const struct x86_insn *insn)
{
    uint16_t properties = x86_insn_row(insn->row)->properties;
    if (insn->prefixes & X86_PFX_LOCK)
        put(t, "lock ");
    if (properties & X86_ROW_STRING && insn->prefixes & X86_PFX_REP)
        put(t, insn->id == X86_CMPS || insn->id == X86_SCAS ? "repe " : "rep ");
    else if (properties & X86_ROW_STRING && insn->prefixes & X86_PFX_REPNE)
        put(t, "repne ");
}

size_t x86_insn_format(const struct x86_insn *insn, uint64_t ip, char *buf, size_t size)
{
    struct text t = {buf, size, 0};
    uint64_t next = ip + insn->length;
    bool string = x86_insn_row(insn->row)->properties & X86_ROW_STRING;
    const char *separator = " ";
    put(&t, "%s", "");
    put_prefixes(&t, insn);
    put_mnemonic(&t, insn);
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].implicit && !string)
            continue;
        put(&t, "%s", separator);
        put_operand(&t, insn, &insn->op[i], next);
        separator = ", ";
    }
    return t.length;
}
