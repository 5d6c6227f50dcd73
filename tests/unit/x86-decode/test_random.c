/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The generator of random encodings keeps to what its caller allows. */
#include "tests/diff/insn-random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define EACH 30

static const struct x86_random_options options = {
    .avoid = BIT(X86_RSP) | BIT(X86_RBX),
    .allow_mem = true,
    .mem_base = X86_RBX,
    .disp_min = -256,
    .disp_max = 240,
    .disp_align = 16,
    .allow_lock = true,
};

static void check(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        if (op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR && !op->implicit)
            assert_false(options.avoid >> op->reg & 1);
    }
    if (!insn->has_modrm || insn->modrm >= 0xc0 || insn->id == X86_MOV_CR || insn->id == X86_MOV_DR)
        return;
    assert_int_equal(insn->mem.base, X86_RBX);
    assert_in_range(insn->mem.disp + 256, 0, 496);
    assert_int_equal(insn->mem.disp % 16, 0);
}

static void test_options(void **state)
{
    uint64_t rng = 42;
    unsigned rows = 0, memory = 0, locked = 0;
    for (unsigned row = 0; row < x86_insn_row_count(); row++) {
        for (unsigned i = 0; i < EACH; i++) {
            uint8_t bytes[15];
            struct x86_insn insn, again;
            int length = x86_insn_random(&rng, (uint16_t)row, &options, bytes, &insn);
            if (length < 0)
                break;
            assert_int_equal(length, insn.length);
            assert_int_equal(x86_decode(bytes, (size_t)length, X86_MODE_64, &again), 0);
            assert_memory_equal(&insn, &again, sizeof(insn));
            assert_int_equal(insn.row, row);
            check(&insn);
            rows += i == 0;
            memory += insn.has_modrm && insn.modrm < 0xc0;
            locked += insn.prefixes & X86_PFX_LOCK;
        }
    }
    /* All but the three dozen rows that 64-bit mode lacks. */
    assert_true(rows > x86_insn_row_count() - 45U);
    assert_true(memory > 10000 && locked > 100);
}

static void test_none(void **state)
{
    uint64_t rng = 42;
    for (unsigned row = 0; row < x86_insn_row_count(); row++) {
        uint8_t bytes[15];
        struct x86_insn insn;
        const struct x86_random_options registers = {0};
        int length = x86_insn_random(&rng, (uint16_t)row, &registers, bytes, &insn);
        assert_true(length > 0 || length == -EINVAL);
        if (length > 0 && insn.id != X86_MOV_CR && insn.id != X86_MOV_DR)
            assert_true(!insn.has_modrm || insn.modrm >= 0xc0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_options), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
