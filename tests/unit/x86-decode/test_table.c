/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the table says of instructions beyond their encoding. */
#include "x86/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct x86_row *row_of(const uint8_t bytes[15])
{
    struct x86_insn insn;
    assert_int_equal(x86_decode(bytes, 15, X86_MODE_64, &insn), 0);
    return x86_insn_row(insn.row);
}

#define ROW(...) row_of((const uint8_t[15]){__VA_ARGS__})

static void test_flags(void **state)
{
    const unsigned all = X86_FL_ARITH;
    assert_int_equal(ROW(0x01, 0xc0)->flags_written, all); /* add */
    assert_int_equal(ROW(0x01, 0xc0)->flags_read, 0);
    assert_int_equal(ROW(0x11, 0xc0)->flags_read, X86_FL_CF);           /* adc */
    assert_int_equal(ROW(0x21, 0xc0)->flags_undefined, X86_FL_AF);      /* and */
    assert_int_equal(ROW(0xff, 0xc0)->flags_written, all & ~X86_FL_CF); /* inc */
    assert_int_equal(ROW(0xd1, 0xe0)->flags_undefined, X86_FL_AF);      /* shl by 1 */
    assert_false(ROW(0xd1, 0xe0)->properties & X86_ROW_FLAGS_MAYBE);
    assert_int_equal(ROW(0xd3, 0xe0)->flags_undefined, X86_FL_AF | X86_FL_OF); /* shl by cl */
    assert_true(ROW(0xd3, 0xe0)->properties & X86_ROW_FLAGS_MAYBE);
    assert_int_equal(ROW(0xf7, 0xf1)->flags_undefined, all);           /* div */
    assert_int_equal(ROW(0xf7, 0xd0)->flags_written, 0);               /* not */
    assert_int_equal(ROW(0x9f)->flags_read, all & ~X86_FL_OF);         /* lahf */
    assert_int_equal(ROW(0x66, 0x0f, 0x2f, 0xc0)->flags_written, all); /* comisd */
}

static void test_properties(void **state)
{
    assert_true(ROW(0x01, 0x00)->properties & X86_ROW_LOCKABLE);
    assert_false(ROW(0x39, 0x00)->properties & X86_ROW_LOCKABLE);
    assert_true(ROW(0xf4)->properties & X86_ROW_PRIVILEGED);
    assert_true(ROW(0x0f, 0x30)->properties & X86_ROW_PRIVILEGED);
    assert_true(ROW(0xc3)->properties & X86_ROW_BRANCH);
    assert_true(ROW(0xec)->properties & X86_ROW_IO);
    assert_true(ROW(0x6e)->properties & (X86_ROW_IO | X86_ROW_STRING));
    assert_true(ROW(0x0f, 0x28, 0x00)->properties & X86_ROW_ALIGNED);        /* movaps */
    assert_false(ROW(0x0f, 0x10, 0x00)->properties & X86_ROW_ALIGNED);       /* movups */
    assert_true(ROW(0x0f, 0x58, 0x00)->properties & X86_ROW_ALIGNED);        /* addps */
    assert_false(ROW(0xf3, 0x0f, 0x58, 0x00)->properties & X86_ROW_ALIGNED); /* addss */
    assert_false(ROW(0xc5, 0xf8, 0x58, 0x00)->properties & X86_ROW_ALIGNED); /* vaddps */
    assert_true(ROW(0xc5, 0xf8, 0x28, 0x00)->properties & X86_ROW_ALIGNED);  /* vmovaps */
    assert_true(ROW(0x0f, 0x58, 0x00)->properties & X86_ROW_FP_EXC);
    assert_false(ROW(0x0f, 0x54, 0x00)->properties & X86_ROW_FP_EXC); /* andps */
    assert_int_equal(ROW(0x0f, 0x6f, 0xc0)->properties & (X86_ROW_X87 | X86_ROW_VECTOR), X86_ROW_X87);
}

static void test_modes(void **state)
{
    assert_true(ROW(0x0f, 0x01, 0xcb)->properties & X86_ROW_PRIV_UD); /* stac */
    assert_true(ROW(0x0f, 0x01, 0xcb)->properties & X86_ROW_PRIVILEGED);
    assert_false(ROW(0x0f, 0x01, 0xf8)->properties & X86_ROW_PRIV_UD);   /* swapgs */
    assert_true(ROW(0x0f, 0x00, 0xd0)->properties & X86_ROW_PROTECTED);  /* lldt */
    assert_true(ROW(0xc5, 0xf8, 0x77)->properties & X86_ROW_PROTECTED);  /* vzeroupper */
    assert_false(ROW(0x0f, 0x01, 0x10)->properties & X86_ROW_PROTECTED); /* lgdt */
    assert_false(ROW(0x0f, 0x58, 0xc0)->properties & X86_ROW_PROTECTED);
}

static void test_features(void **state)
{
    assert_int_equal(ROW(0x01, 0xc0)->feature, X86_FEAT_NONE);
    assert_int_equal(ROW(0xf3, 0x0f, 0xb8, 0xc0)->feature, X86_FEAT_POPCNT);
    assert_int_equal(ROW(0xc5, 0xf5, 0xfc, 0xc2)->feature, X86_FEAT_AVX2); /* vpaddb ymm */
    assert_int_equal(ROW(0xc5, 0xf1, 0xfc, 0xc2)->feature, X86_FEAT_AVX);  /* vpaddb xmm */
    assert_int_equal(ROW(0x0f, 0x01, 0xd9)->feature, X86_FEAT_SVM);
}

static void test_every_row(void **state)
{
    bool seen[X86_ID_COUNT] = {false};
    for (unsigned i = 0; i < x86_insn_row_count(); i++) {
        const struct x86_row *row = x86_insn_row((uint16_t)i);
        assert_true(row->name[0] && strlen(row->name) < 24);
        assert_in_range(row->id, 1, X86_ID_COUNT - 1);
        assert_in_range(row->feature, 0, X86_FEAT_COUNT - 1);
        assert_int_equal(row->flags_written & row->flags_undefined, 0);
        assert_int_equal((row->flags_read | row->flags_written | row->flags_undefined) & ~X86_FL_ARITH, 0);
        seen[row->id] = true;
    }
    for (unsigned id = 1; id < X86_ID_COUNT; id++)
        assert_true(seen[id]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),    cmocka_unit_test(test_properties), cmocka_unit_test(test_modes),
        cmocka_unit_test(test_features), cmocka_unit_test(test_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
