/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing JSON, beside jansson where the two may be compared. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/json.h"
#include "tests/unit/control/oracle.h"
#include "tests/unit/fake-plat.h"

/* On the heap in its exact size, so that ASan sees what is read past it. */
static bool reads(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    struct json value;
    bool good;

    memcpy(copy, text, len);
    good = json_read(copy, len, &value);
    free(copy);
    return good;
}

static struct json parse(const char *text)
{
    struct json value = {0};

    if (!json_read(text, strlen(text), &value))
        fail_msg("'%s' is refused", text);
    return value;
}

/* ---- what is JSON ---- */

static void test_good(void **state)
{
    static const char *const good[] = {
        "null",
        " true ",
        "false",
        "0",
        "-0",
        "12",
        "-1.5e+10",
        "1E9",
        "1e-9",
        "\"\"",
        "[]",
        "{}",
        "[1,[2,[3]],{}]",
        "{\"a\":{\"b\":[null,{\"c\":\"d\"}]},\"a\":2}",
        "\t[\r\n1 , 2 ]\n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
        "18446744073709551615",
        "99999999999999999999999",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        if (!reads(good[i], strlen(good[i])))
            fail_msg("'%s' is refused", good[i]);
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nulls",
        "True",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "1 2",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"a\nb\"",
        "'a'",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud83d\\ude0\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc3\"",
        "\"\xc3\x28\"",
        "\"\xe0\x80\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf8\x88\x80\x80\x80\"",
        "\"\xff\"",
        "\"\xe2\x82\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:2}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":}",
        "[[]",
        "[]]",
        "{}{}",
        "\f[]",
        "[1]x",
        "/**/1",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (reads(bad[i], strlen(bad[i])))
            fail_msg("'%s' is taken", bad[i]);
        assert_false(oracle_accepts(bad[i], strlen(bad[i])));
    }
    assert_false(reads("1\0", 2));
    assert_false(reads("\"a\0b\"", 5));
}

static void test_depth(void **state)
{
    char text[4 * JSON_MAX_DEPTH];

    for (size_t depth = 1; depth < 2 * JSON_MAX_DEPTH; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(reads(text, 2 * depth), depth <= JSON_MAX_DEPTH);
        assert_false(reads(text, 2 * depth - 1));
    }
}

/* ---- values ---- */

static void test_members(void **state)
{
    struct json v = parse("{ \"a\\u0062\" : [1, \"]\\\\\\\"\", {\"x\": \"}\"} ] , \"c\":\"\\\\\", \"d\":true,"
                          "\"e\":{\"ab\":7}, \"d\":null, \"f\":-5}"),
                one, inner;
    struct json_iter iter;
    char text[16];

    assert_int_equal(json_kind(v), JSON_OBJECT);
    assert_int_equal(json_kind(json_member(v, "ab")), JSON_ARRAY);
    assert_int_equal(json_kind(json_member(v, "d")), JSON_NULL); /* the last one */
    assert_int_equal(json_kind(json_member(v, "x")), JSON_NONE);
    assert_int_equal(json_kind(json_member(v, "")), JSON_NONE);
    assert_int_equal(json_kind(json_member(json_member(v, "f"), "f")), JSON_NONE);
    assert_int_equal(json_kind(json_member((struct json){0}, "f")), JSON_NONE);
    assert_int_equal(json_text(json_member(v, "c"), text, sizeof(text)), 1);
    assert_string_equal(text, "\\");

    json_iter_init(&iter, json_member(v, "ab"));
    assert_true(json_next(&iter, NULL, &one) && json_kind(one) == JSON_NUMBER);
    assert_true(json_next(&iter, NULL, &one) && json_is(one, "]\\\""));
    assert_true(json_next(&iter, NULL, &one) && json_kind(one) == JSON_OBJECT);
    json_iter_init(&iter, one);
    assert_true(json_next(&iter, &one, &inner) && json_is(one, "x") && json_is(inner, "}"));
    assert_false(json_next(&iter, NULL, &inner));
    json_iter_init(&iter, json_member(v, "c"));
    assert_false(json_next(&iter, NULL, &one));
}

static void test_texts(void **state)
{
    struct json v = parse("\"a\\u00e9\\n\\ud83d\\ude00z\"");
    char text[16] = "untouched";

    assert_true(json_is(v, "a\xc3\xa9\n\xf0\x9f\x98\x80z"));
    assert_false(json_is(v, "a\xc3\xa9\n\xf0\x9f\x98\x80"));
    assert_false(json_is(v, "a\xc3\xa9\n\xf0\x9f\x98\x80zz"));
    assert_false(json_is(parse("5"), "5"));
    assert_int_equal(json_text(v, NULL, 0), 9);
    assert_int_equal(json_text(v, text, 10), 9);
    assert_string_equal(text, "a\xc3\xa9\n\xf0\x9f\x98\x80z");
    for (size_t size = 1; size < 9; size++) { /* never within a letter, never past the end */
        char *tight = malloc(size);

        assert_int_equal(json_text(v, tight, size), 9);
        assert_string_equal(tight, size < 2 ? "" : size < 4 ? "a" : size < 5 ? "a\xc3\xa9" : "a\xc3\xa9\n");
        free(tight);
    }
    assert_int_equal(json_text(parse("[]"), text, sizeof(text)), 0);
    assert_string_equal(text, "");
}

static void test_numbers(void **state)
{
    uint64_t u = 1;
    int64_t s = 1;
    bool b = false;

    assert_true(json_uint(parse("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(json_uint(parse("0"), &u) && u == 0);
    u = 5;
    assert_false(json_uint(parse("18446744073709551616"), &u));
    assert_false(json_uint(parse("-1"), &u));
    assert_false(json_uint(parse("1.0"), &u));
    assert_false(json_uint(parse("1e3"), &u));
    assert_false(json_uint(parse("\"1\""), &u));
    assert_false(json_uint((struct json){0}, &u));
    assert_int_equal(u, 5);
    assert_true(json_int(parse("-9223372036854775808"), &s) && s == INT64_MIN);
    assert_true(json_int(parse("9223372036854775807"), &s) && s == INT64_MAX);
    assert_false(json_int(parse("9223372036854775808"), &s));
    assert_false(json_int(parse("-9223372036854775809"), &s));
    assert_true(json_bool(parse("true"), &b) && b);
    assert_true(json_bool(parse("false"), &b) && !b);
    assert_false(json_bool(parse("null"), &b));
}

/* ---- writing ---- */

static void fill(struct json_writer *w)
{
    json_open(w, '{');
    json_add_text(w, "text", "a\"\\\n\x01\x7f\xc2\x9b\xc3\xa9\xff\xc3");
    json_add_uint(w, "u", UINT64_MAX);
    json_key(w, "s");
    json_put_int(w, INT64_MIN);
    json_key(w, "list");
    json_open(w, '[');
    json_put_bool(w, true);
    json_open(w, '[');
    json_close(w, '[');
    json_open(w, '{');
    json_close(w, '{');
    json_put_format(w, "%u%%", 50U);
    json_close(w, '[');
    json_add_bool(w, "b", false);
    json_close(w, '{');
}

static void test_writer(void **state)
{
    struct fake_plat plat;
    struct json_writer w;
    struct json v;

    fake_plat_init(&plat);
    json_writer_init(&w, &plat.plat, 4096);
    fill(&w);
    assert_false(w.failed);
    assert_int_equal(w.len, strlen("{\"text\":\"a\\\"\\\\\\n\\u0001\\u007F\\u009B\xc3\xa9??\","
                                   "\"u\":18446744073709551615,\"s\":-9223372036854775808,"
                                   "\"list\":[true,[],{},\"50%\"],\"b\":false}"));
    assert_memory_equal(w.text,
                        "{\"text\":\"a\\\"\\\\\\n\\u0001\\u007F\\u009B\xc3\xa9??\","
                        "\"u\":18446744073709551615,\"s\":-9223372036854775808,"
                        "\"list\":[true,[],{},\"50%\"],\"b\":false}",
                        w.len);
    assert_true(json_read(w.text, w.len, &v));
    json_writer_reset(&w);
    w.pretty = true;
    json_open(&w, '{');
    json_key(&w, "a");
    json_open(&w, '[');
    json_put_uint(&w, 1);
    json_put_uint(&w, 2);
    json_close(&w, '[');
    json_key(&w, "b");
    json_open(&w, '{');
    json_close(&w, '{');
    json_close(&w, '{');
    assert_int_equal(w.len, strlen("{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}"));
    assert_memory_equal(w.text, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}", w.len);
    json_writer_finish(&w);
    assert_int_equal(plat.allocations, 0);
}

/* No memory at any point: said, and nothing is lost or overrun. */
static void test_writer_without_memory(void **state)
{
    struct fake_plat plat;
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        struct json_writer w;

        fake_plat_init(&plat);
        plat.fail_after = n;
        json_writer_init(&w, &plat.plat, 1 << 20);
        for (int i = 0; i < 200; i++)
            fill(&w);
        failed = w.failed;
        json_writer_finish(&w);
        assert_int_equal(plat.allocations, 0);
        assert_true(n < 20);
    }
    for (size_t limit = 0, whole = 0; limit < 200; limit++) {
        struct json_writer w;

        fake_plat_init(&plat);
        json_writer_init(&w, &plat.plat, whole ? whole - limit % whole - 1 : 4096);
        fill(&w);
        assert_true(w.len <= w.limit);
        assert_int_equal(w.failed, whole != 0);
        whole = whole ? whole : w.len;
        json_writer_finish(&w);
    }
}

/* ---- beside jansson ---- */

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t random_value(uint64_t *seed, char *text, unsigned depth)
{
    static const char *const scalars[] = {
        "1",
        "-2",
        "3.5e7",
        "0",
        "true",
        "null",
        "\"\"",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\\\\"",
        "\"\\\"}\"",
        "\"\xc3\xa9]\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "{}",
        " 7 ",
        "\"\x7f\xc2\x9b\"",
    };
    static const char *const names[] = {"\"a\":", " \"b\" : ", "\"\\u0061\":", "\"\\\\\":"};
    size_t len = 0;
    bool object = next(seed) >> 9 & 1;

    if (!depth || !(next(seed) >> 12 & 1))
        return (size_t)sprintf(text, "%s", scalars[(next(seed) >> 20) % ARRAY_SIZE(scalars)]);
    len += (size_t)sprintf(text, "%s", object ? "{" : "[ ");
    for (unsigned n = (unsigned)(next(seed) % 3) + 1; n; n--) {
        if (object)
            len += (size_t)sprintf(text + len, "%s", names[(next(seed) >> 20) % ARRAY_SIZE(names)]);
        len += random_value(seed, text + len, depth - 1);
        len += (size_t)sprintf(text + len, "%s", n > 1 ? "," : "");
    }
    return len + (size_t)sprintf(text + len, "%s", object ? "}" : "\n]");
}

/* Right, or with one byte changed. */
static size_t random_text(uint64_t *seed, char *text)
{
    static const char odd[] = "{}[],:\"\\ 01-e.tu\n\x80\xc3\x1f";
    size_t len = random_value(seed, text, 4), at = next(seed) % len;

    switch (next(seed) >> 16 & 3) {
    case 0:
        text[at] = odd[(next(seed) >> 20) % (sizeof(odd) - 1)];
        break;
    case 1:
        len = at;
        break;
    default:
        break;
    }
    return len;
}

static void test_beside_jansson(void **state)
{
    struct fake_plat plat;
    struct json_writer w;
    uint64_t seed = 0x243f6a8885a308d3;
    unsigned good = 0;

    fake_plat_init(&plat);
    json_writer_init(&w, &plat.plat, 1 << 16);
    for (int i = 0; i < 200000; i++) {
        char text[4096];
        size_t len = random_text(&seed, text);
        bool oracle = oracle_accepts(text, len);
        struct json v;

        text[len] = 0;
        if (reads(text, len) != oracle)
            fail_msg("'%s': jansson %s it", text, oracle ? "takes" : "refuses");
        if (!oracle)
            continue;
        good++;
        assert_true(json_read(text, len, &v));
        json_writer_reset(&w);
        json_put_value(&w, v);
        if (!oracle_same(text, len, w.text, w.len))
            fail_msg("'%s' became '%.*s'", text, (int)w.len, w.text);
        if (json_member(v, "a").text) {
            char *theirs = oracle_member(text, len, "a");

            json_writer_reset(&w);
            json_put_value(&w, json_member(v, "a"));
            assert_non_null(theirs);
            if (!oracle_same(theirs, strlen(theirs), w.text, w.len))
                fail_msg("'%s': a is '%.*s'", text, (int)w.len, w.text);
            free(theirs);
        }
    }
    json_writer_finish(&w);
    assert_true(good > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),          cmocka_unit_test(test_members),
        cmocka_unit_test(test_texts),          cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_writer),         cmocka_unit_test(test_writer_without_memory),
        cmocka_unit_test(test_beside_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
