/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hv/bytes.c against the C library, byte for byte, at all small sizes, alignments and overlaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define memcpy  hv_memcpy
#define memmove hv_memmove
#define memset  hv_memset
#define memcmp  hv_memcmp
#include "hv/bytes.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp

#define ROOM 512

static uint8_t ours[ROOM], theirs[ROOM], source[ROOM];

static void fill(void)
{
    for (unsigned i = 0; i < ROOM; i++) {
        ours[i] = theirs[i] = (uint8_t)(i * 7);
        source[i] = (uint8_t)(i * 13 + 1);
    }
}

static void test_copy(void **state)
{
    for (unsigned n = 0; n < 200; n++) {
        for (unsigned from = 0; from < 9; from++) {
            for (unsigned to = 0; to < 9; to++) {
                fill();
                assert_ptr_equal(hv_memcpy(ours + 50 + to, source + from, n), ours + 50 + to);
                memcpy(theirs + 50 + to, source + from, n);
                assert_memory_equal(ours, theirs, ROOM);
            }
        }
    }
}

static void test_move(void **state)
{
    for (unsigned n = 0; n < 200; n++) {
        for (unsigned to = 0; to < 200; to += n % 3 + 1) {
            fill();
            assert_ptr_equal(hv_memmove(ours + to, ours + 100, n), ours + to);
            memmove(theirs + to, theirs + 100, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
    }
}

static void test_set(void **state)
{
    for (unsigned n = 0; n < 300; n++) {
        for (unsigned to = 0; to < 9; to++) {
            fill();
            assert_ptr_equal(hv_memset(ours + to, 0x1a5, n), ours + to);
            memset(theirs + to, 0xa5, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
    }
}

static void test_compare(void **state)
{
    for (unsigned n = 0; n < 70; n++) {
        for (unsigned at = 0; at <= n; at++) {
            fill();
            ours[at] = 0x80;
            theirs[at] = 0x7f;
            assert_int_equal(hv_memcmp(ours, theirs, n) > 0, at < n);
            assert_int_equal(hv_memcmp(theirs, ours, n) < 0, at < n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copy), cmocka_unit_test(test_move),
                                       cmocka_unit_test(test_set), cmocka_unit_test(test_compare)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
