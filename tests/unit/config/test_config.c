/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pieces that descriptions are read with. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "config/file.h"
#include "config/machine.h"
#include "config/parts.h"
#include "config/value.h"

static void test_text(void **state)
{
    (void)state;
    assert_int_equal(text_length(""), 0);
    assert_int_equal(text_length("abc"), 3);
    assert_true(text_equal("", "") && text_equal("ab", "ab"));
    assert_false(text_equal("ab", "a") || text_equal("a", "ab") || text_equal("", "a"));
    assert_true(text_begins("abc", "") && text_begins("abc", "ab") && text_begins("ab", "ab"));
    assert_false(text_begins("ab", "abc") || text_begins("", "a"));
    assert_string_equal(text_find("a=b=c", '='), "=b=c");
    assert_null(text_find("abc", '='));
    assert_null(text_find("", '='));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        int r;
        uint64_t value;
    } uints[] =
        {
            {"0", 0, 0},
            {"18446744073709551615", 0, UINT64_MAX},
            {"18446744073709551616", -ERANGE, 0},
            {"99999999999999999999x", -EINVAL, 0},
            {"0xffffffffffffffff", 0, UINT64_MAX},
            {"0X1f", 0, 31},
            {"0x10000000000000000", -ERANGE, 0},
            {"0x", -EINVAL, 0},
            {"", -EINVAL, 0},
            {"+1", -EINVAL, 0},
            {"-1", -EINVAL, 0},
            {" 1", -EINVAL, 0},
            {"1 ", -EINVAL, 0},
            {"f4", -EINVAL, 0},
        },
      sizes[] = {
          {"1", 0, MIB(1)},
          {"1k", 0, 1024},
          {"2M", 0, MIB(2)},
          {"3GiB", 0, GIB(3)},
          {"4TB", 0, GIB(4096)},
          {"0", 0, 0},
          {"17592186044415", 0, MIB(17592186044415)},
          {"17592186044416", -ERANGE, 0},
          {"99999999999999999999", -ERANGE, 0},
          {"1KiBs", -EINVAL, 0},
          {"1X", -EINVAL, 0},
          {"G", -EINVAL, 0},
          {"1.5G", -EINVAL, 0},
      };
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(uints); i++) {
        v = 77;
        assert_int_equal(value_uint(uints[i].text, UINT64_MAX, &v), uints[i].r);
        assert_true(v == (uints[i].r ? 77 : uints[i].value));
    }
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        v = 77;
        assert_int_equal(value_size(sizes[i].text, &v), sizes[i].r);
        assert_true(v == (sizes[i].r ? 77 : sizes[i].value));
    }
    assert_int_equal(value_uint("8", 7, &v), -ERANGE);
}

static void test_words(void **state)
{
    static const char *const macs[] = {
        "52:54:00:12:34:5",  "52:54:00:12:34:567", "52-54-00-12-34-56", "52:54:00:12:34:5g", "",
        "5254:00:12:34:560", "53:54:00:12:34:56",  " 2:54:00:12:34:56"};
    struct error err = {0};
    uint8_t mac[6];
    bool b = false;

    (void)state;
    assert_int_equal(value_mac("52:54:0a:Bc:dE:ff", mac, &err), 0);
    assert_memory_equal(mac, "\x52\x54\x0a\xbc\xde\xff", 6);
    for (size_t i = 0; i < ARRAY_SIZE(macs); i++)
        assert_int_equal(value_mac(macs[i], mac, NULL), -EINVAL);
    assert_memory_equal(mac, "\x52\x54\x0a\xbc\xde\xff", 6);
    assert_true(value_bool("YES", &b) == 0 && b);
    assert_true(value_bool("Off", &b) == 0 && !b);
    assert_true(value_bool("of", &b) < 0 && value_bool("offf", &b) < 0 && value_bool("", &b) < 0);
}

static void test_lines(void **state)
{
    char text[] =
        "\xef\xbb\xbf# comment\r\n\n  ; another\na = 1\r\n b=\" x \"\n[ s t ]\nnothing\n= v\nk = =\"\n"
        "q = \"x\" # y\nq = \"\n";
    struct config_reader reader;
    struct config_line line;
    struct error err = {0};

    (void)state;
    config_reader_init(&reader, text);
    assert_int_equal(config_reader_next(&reader, &line, &err), 1);
    assert_string_equal(line.key, "a");
    assert_string_equal(line.value, "1");
    assert_int_equal(line.number, 4);
    assert_int_equal(config_reader_next(&reader, &line, &err), 1);
    assert_string_equal(line.value, " x ");
    assert_int_equal(config_reader_next(&reader, &line, &err), 1);
    assert_string_equal(line.section, "[ s t ]");
    assert_int_equal(config_reader_next(&reader, &line, &err), -EINVAL);
    assert_int_equal(line.number, 7);
    assert_string_equal(err.text, "'nothing' is not of the form: key = value");
    assert_int_equal(config_reader_next(&reader, &line, NULL), 1);
    assert_string_equal(line.key, "");
    assert_int_equal(config_reader_next(&reader, &line, NULL), 1);
    assert_string_equal(line.value, "=\"");
    assert_int_equal(config_reader_next(&reader, &line, NULL), -EINVAL);
    assert_int_equal(line.number, 10);
    assert_int_equal(config_reader_next(&reader, &line, NULL), -EINVAL);
    assert_int_equal(config_reader_next(&reader, &line, NULL), 0);
    assert_int_equal(config_reader_next(&reader, &line, NULL), 0);
}

static void test_parts(void **state)
{
    static const struct option option = {.name = "o"};
    struct config_pool pool;
    const struct option_source source = {.pool = &pool, .dashes = "", .between = " = "};
    struct error err = {0};
    struct parts p;
    char many[PARTS_MAX + 1];

    (void)state;
    config_pool_init(&pool, malloc, free);
    assert_int_equal(parts_split(&p, &option, "a,,b,c=,,,,d,", &source, &err), 0);
    assert_int_equal(p.count, 3);
    assert_string_equal(p.part[0], "a,b");
    assert_string_equal(p.part[1], "c=,,d");
    assert_string_equal(p.part[2], "");
    for (unsigned i = 0; i < PARTS_MAX; i++)
        many[i] = i & 1 ? ',' : 'x';
    many[PARTS_MAX] = 0;
    assert_int_equal(parts_split(&p, &option, many, &source, &err), 0);
    memset(many, ',', PARTS_MAX);
    assert_int_equal(parts_split(&p, &option, many, &source, &err), 0); /* doubled ones */
    config_pool_finish(&pool);
}

/* What is asked for is there, whatever its size, and all of it is given back. */
static void test_pool(void **state)
{
    struct config_pool pool;
    uint8_t *p[40];
    size_t size = 1;

    (void)state;
    config_pool_init(&pool, malloc, free);
    for (unsigned i = 0; i < ARRAY_SIZE(p); i++, size = size * 3 / 2 + 1) {
        if (size > MIB(4))
            size = 1;
        p[i] = config_alloc(&pool, size);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        assert_true(p[i][0] == 0 && p[i][size - 1] == 0);
        memset(p[i], 0xff, size);
    }
    assert_null(config_alloc(&pool, SIZE_MAX));
    assert_null(config_alloc(&pool, SIZE_MAX / 2 + 1));
    config_pool_finish(&pool);
}

/* Every row of a table and its base is listed, once, also where none precedes a row that there is. */
static void test_lists(void **state)
{
    static const struct option own[] = {{.name = "late"}, {.name = "early", .before = "kernel"}};
    static const struct option_table table = {.rows = own, .count = 2, .base = &machine_options};
    struct option_list list;

    (void)state;
    option_list_make(&list, &table);
    assert_int_equal(list.count, machine_options.count + 2);
    assert_string_equal(list.row[0]->name, "early");
    assert_string_equal(list.row[list.count - 1]->name, "late");
    assert_ptr_equal(option_find(&list, "memory", 6), option_find(&list, "memory=1", 6));
    assert_null(option_find(&list, "memory", 5));
    assert_string_equal(option_nearest(&list, "memroy"), "memory");
    assert_string_equal(option_nearest(&list, "late"), "late");
    assert_null(option_nearest(&list, "something"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),  cmocka_unit_test(test_numbers), cmocka_unit_test(test_words),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_parts),   cmocka_unit_test(test_pool),
        cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
