/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The remembered speed of KVM: believed only if it is whole and of this very machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/kvm-speed.h"

static char home[] = "/tmp/batuta-speed-XXXXXX";
static char file[128];

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fwrite(text, 1, len, f);
    fclose(f);
}

static size_t read_file(char *text, size_t size)
{
    FILE *f = fopen(file, "r");
    size_t n;

    assert_non_null(f);
    n = fread(text, 1, size, f);
    fclose(f);
    return n;
}

static int set_up(void **state)
{
    if (access("/dev/kvm", F_OK) < 0 || !mkdtemp(home))
        return -1;
    snprintf(file, sizeof(file), "%s/deep/cache/batuta/kvm-speed", home);
    return 0;
}

static int each(void **state)
{
    char cache[64];

    snprintf(cache, sizeof(cache), "%s/deep/cache", home);
    setenv("XDG_CACHE_HOME", cache, 1);
    unlink(file);
    return 0;
}

static int tear_down(void **state)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", home);
    return system(command);
}

static void remembers(void **state)
{
    uint64_t speed = 0;
    struct stat st;

    assert_false(kvm_speed_recall(&speed));
    kvm_speed_remember(3400000);
    assert_true(kvm_speed_recall(&speed));
    assert_int_equal(speed, 3400000);
    kvm_speed_remember(2500000000ULL);
    assert_true(kvm_speed_recall(&speed));
    assert_true(speed == 2500000000ULL);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
}

/* Cut anywhere, or with any byte changed but those of the number itself. */
static void believes_nothing_else(void **state)
{
    char good[2048], bad[2048];
    uint64_t speed = 1;
    size_t len, number;

    kvm_speed_remember(12345678);
    len = read_file(good, sizeof(good));
    number = len - strlen("12345678\n");
    for (size_t i = 0; i < len; i++) {
        write_file(good, i);
        assert_false(kvm_speed_recall(&speed));
    }
    for (size_t i = 0; i < len; i++) {
        memcpy(bad, good, len);
        bad[i] = i < number ? (char)(bad[i] ^ 1) : 'x';
        write_file(bad, len);
        assert_false(kvm_speed_recall(&speed));
    }
    memset(bad, 0, sizeof(bad));
    write_file(bad, sizeof(bad));
    assert_false(kvm_speed_recall(&speed));
    assert_int_equal(speed, 1); /* untouched */
    write_file(good, len);
    assert_true(kvm_speed_recall(&speed));
}

static void does_without_a_cache(void **state)
{
    char inside[160];
    uint64_t speed;

    /* A file where the folder should be. */
    kvm_speed_remember(1);
    snprintf(inside, sizeof(inside), "%s/deeper", file);
    setenv("XDG_CACHE_HOME", inside, 1);
    kvm_speed_remember(2);
    assert_false(kvm_speed_recall(&speed));
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", home, 1);
    kvm_speed_remember(3);
    assert_true(kvm_speed_recall(&speed));
    assert_int_equal(speed, 3);
    snprintf(inside, sizeof(inside), "%s/.cache/batuta/kvm-speed", home);
    assert_int_equal(access(inside, F_OK), 0);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    kvm_speed_remember(4);
    assert_false(kvm_speed_recall(&speed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(remembers, each),
        cmocka_unit_test_setup(believes_nothing_else, each),
        cmocka_unit_test_setup(does_without_a_cache, each),
    };

    if (access("/dev/kvm", F_OK) < 0)
        return 77; /* skipped: nothing to remember without one */
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
