/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "symbols/symbols.h"

void a_function_of_the_test(void);

void a_function_of_the_test(void)
{
    __asm__ volatile("nop");
}

static void expect(const struct symbols *s, uint64_t address, const char *name)
{
    const struct symbol *symbol = symbols_find(s, address);

    if (name) {
        assert_non_null(symbol);
        assert_string_equal(symbol->name, name);
    } else {
        assert_null(symbol);
    }
}

static void test_text(void **state)
{
    static const char text[] = "ffffffff81000200 t later\n"
                               "ffffffff81000000 T startup_64\n"
                               "ffffffff81000100 D data\n"
                               "ffffffffc0000000 t of_module\t[virtio]\n"
                               "0000000000000000 T hidden\n"
                               "nonsense\nffffffff81000300 t \nffffffff81000300\n"
                               "ffffffff81000310 w weak";
    struct symbols s = {0};

    assert_int_equal(symbols_parse(&s, text, strlen(text), 0), 4);
    expect(&s, 0xffffffff80ffffff, NULL);
    expect(&s, 0xffffffff81000000, "startup_64");
    expect(&s, 0xffffffff810001ff, "startup_64");
    expect(&s, 0xffffffff81000200, "later");
    expect(&s, 0xffffffff81000310, "weak");
    expect(&s, 0xffffffff91000310, NULL); /* too far */
    expect(&s, 0xffffffffc0000005, "of_module");
    /* Another file's, moved. */
    assert_int_equal(symbols_parse(&s, "1000 t moved", 12, 0x555000000000), 1);
    expect(&s, 0x555000001004, "moved");
    expect(&s, 0xffffffff81000000, "startup_64");
    symbols_finish(&s);
    expect(&s, 0, NULL);
}

static void test_elf(void **state)
{
    struct symbols s = {0};
    struct error err = {0};
    bool found = false;

    assert_int_equal(symbols_load(&s, "/proc/self/exe", 0x1000, &err), 0);
    for (size_t i = 0; i < s.count; i++) {
        found |= !strcmp(s.list[i].name, "a_function_of_the_test");
        assert_true(i == 0 || s.list[i - 1].address <= s.list[i].address);
    }
    assert_true(found);
    for (size_t i = 0; i < s.count; i++) { /* what lies behind a function is not it */
        if (s.list[i].size &&
            (i + 1 == s.count || s.list[i + 1].address > s.list[i].address + s.list[i].size))
            assert_null(symbols_find(&s, s.list[i].address + s.list[i].size));
    }
    symbols_finish(&s);
}

static void test_refused(void **state)
{
    struct symbols s = {0};
    struct error err = {0};

    assert_int_equal(symbols_load(&s, "/nonexistent", 0, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent"));
    err = (struct error){0};
    assert_int_equal(symbols_load(&s, "/dev/null", 0, &err), -EINVAL);
    assert_non_null(strstr(err.text, "System.map"));
    err = (struct error){0};
    assert_true(symbols_load(&s, "/", 0, &err) < 0);
    symbols_finish(&s);
}

/* Whatever is in the file: nothing is read beside it (AddressSanitizer looks). */
static void test_garbage(void **state)
{
    FILE *f = fopen("/proc/self/exe", "re");
    size_t size = 0;
    uint8_t *whole = malloc(1 << 20);

    assert_non_null(f);
    assert_non_null(whole);
    size = fread(whole, 1, 1 << 20, f);
    fclose(f);
    srand(1);
    for (unsigned i = 0; i < 300; i++) {
        size_t length = (size_t)rand() % size;
        uint8_t *copy = malloc(length ? length : 1); /* of its own size, for the sanitizer */
        struct symbols s = {0};

        assert_non_null(copy);
        memcpy(copy, whole, length);
        for (unsigned n = 0; length && n < 8; n++)
            copy[(size_t)rand() % (n % 2 ? length : length < 64 ? length : 64)] = (uint8_t)rand();
        assert_true(symbols_parse(&s, copy, length, 0) >= 0);
        symbols_finish(&s);
        free(copy);
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_elf),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_garbage),
    };

    return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
