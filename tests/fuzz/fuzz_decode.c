/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder and the formatter on any bytes, in each mode. The first byte
 * chooses the mode, the rest is code.
 */
#include "base/bytes.h"
#include "x86/insn.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_operands(const struct x86_insn *insn)
{
    base_assert(insn->operand_count <= X86_MAX_OPERANDS);
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        base_assert(op->kind > X86_OP_NONE && op->kind <= X86_OP_FAR);
        if (op->kind == X86_OP_REG)
            base_assert(op->reg < 16 && op->reg_class <= X86_RC_VEC);
        if (op->kind == X86_OP_MEM && op->reg != X86_RDI)
            base_assert(insn->mem.base <= X86_RIP && insn->mem.index <= X86_NO_REG && insn->mem.scale < 4 &&
                        insn->mem.seg <= X86_GS);
    }
}

/* A shorter buffer than the instruction means "more", never something else. */
static void check_truncated(const uint8_t *code, const struct x86_insn *whole, enum x86_mode mode)
{
    for (size_t n = 0; n < whole->length; n++) {
        struct x86_insn part;
        base_assert(x86_decode(code, n, mode, &part) == -EAGAIN);
    }
}

static void check_format(const struct x86_insn *insn)
{
    char text[128], tiny[8];
    size_t length = x86_insn_format(insn, 0xffffffff81000000, text, sizeof(text));
    base_assert(length > 0 && length < sizeof(text) && text[length] == 0);
    base_assert(x86_insn_format(insn, 0xffffffff81000000, tiny, sizeof(tiny)) == length);
    base_assert(tiny[MIN(length, sizeof(tiny) - 1)] == 0);
    base_assert(!memcmp(tiny, text, MIN(length, sizeof(tiny) - 1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum x86_mode mode = (enum x86_mode)(data[0] % 3);
    const uint8_t *code = data + 1;
    struct x86_insn insn;
    int result = x86_decode(code, size - 1, mode, &insn);
    base_assert(insn.length <= X86_MAX_INSN_LEN);
    if (result) {
        base_assert(result == -EINVAL || result == -E2BIG || result == -EAGAIN);
        base_assert(result != -EAGAIN || size - 1 < X86_MAX_INSN_LEN);
        return 0;
    }
    base_assert(insn.length > 0 && insn.length <= size - 1);
    base_assert(insn.row < x86_insn_row_count() && x86_insn_row(insn.row)->id == insn.id);
    check_operands(&insn);
    check_truncated(code, &insn, mode);
    check_format(&insn);
    return 0;
}
