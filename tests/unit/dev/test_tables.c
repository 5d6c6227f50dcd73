/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI and SMBIOS tables: checksums, references, and what Intel's own compiler says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "dev/fw/acpi.h"
#include "dev/fw/smbios.h"
#include "tests/unit/dev/fixture.h"

#define BUFFER 0x10000U

static uint8_t sum(const uint8_t *p, size_t n)
{
    unsigned s = 0;

    while (n--)
        s += *p++;
    return (uint8_t)s;
}

static void write_file(const char *dir, const char *name, const uint8_t *p, size_t n)
{
    char path[256];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
    out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    fclose(out);
}

/* Disassembles a table and compiles the result; any error, warning or remark of either run is a failure. */
static void check_with_iasl(const char *dir, const char *name)
{
    char cmd[1024];

    snprintf(
        cmd, sizeof(cmd),
        "cd %s && iasl -p %s-d -d %s.aml >%s.log 2>&1 && "
        "iasl -p %s-c %s %s-d.dsl >>%s.log 2>&1 && ! grep -E '(Error|Warning|Remark) +[0-9]|Invalid' %s.log",
        dir, name, name, name, name, strcmp(name, "DSDT") ? "" : "-tc", name, name, name);
    if (system(cmd)) {
        snprintf(cmd, sizeof(cmd), "cat %s/%s.log", dir, name);
        (void)!system(cmd);
        fail_msg("iasl does not like %s", name);
    }
}

static void build_and_check(unsigned vcpus)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint8_t *buf = calloc(1, BUFFER);
    struct acpi_tables tables;
    char dir[] = "/tmp/batuta-acpi-XXXXXX";
    char cmd[64];

    assert_non_null(mkdtemp(dir));
    fixture_init(f, vcpus);
    assert_int_equal(acpi_build(&f->vm, &f->board, buf, BUFFER, 0xe0000, &tables), 0);
    assert_int_equal(tables.rsdp, 0xe0000);
    assert_memory_equal(buf, "RSD PTR ", 8);
    assert_int_equal(sum(buf, 20), 0);
    assert_int_equal(sum(buf, 36), 0);
    assert_int_equal(tables.count, 8);
    for (unsigned i = 0; i < tables.count; i++) {
        const uint8_t *t = buf + tables.table[i].offset;
        char name[5] = {0};

        memcpy(name, t, 4);
        assert_int_equal(load_le32(t + 4), tables.table[i].length);
        if (!strcmp(name, "FACS"))
            continue;
        assert_int_equal(sum(t, tables.table[i].length), 0);
        write_file(dir, name, t, tables.table[i].length);
        check_with_iasl(dir, name);
    }
    snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
    fixture_finish(f);
    free(buf);
    free(f);
}

static void acpi_passes_iasl(void **state)
{
    build_and_check(1);
    build_and_check(64);
}

static void acpi_needs_room(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct acpi_tables tables;
    uint8_t *buf;

    fixture_init(f, 4);
    buf = calloc(1, BUFFER);
    assert_int_equal(acpi_build(&f->vm, &f->board, buf, BUFFER, 0xe0000, &tables), 0);
    for (size_t size = 0; size < tables.length; size += 13) {
        struct acpi_tables t;
        uint8_t *exact = malloc(size + 1); /* ASan sees a write past its end */

        assert_int_equal(acpi_build(&f->vm, &f->board, exact, size, 0xe0000, &t), -ENOSPC);
        free(exact);
    }
    fixture_finish(f);
    free(buf);
    free(f);
}

static void smbios_walks(void **state)
{
    static const uint8_t expected[] = {0, 1, 3, 4, 16, 17, 19, 32, 127};
    struct fixture *f = calloc(1, sizeof(*f));
    uint8_t buf[2048];
    size_t length, at = 32;
    unsigned n = 0;

    fixture_init(f, 2);
    assert_int_equal(smbios_build(&f->vm, buf, sizeof(buf), 0xf0000, &length), 0);
    assert_memory_equal(buf, "_SM3_", 5);
    assert_int_equal(sum(buf, 24), 0);
    assert_int_equal(load_le64(buf + 16), 0xf0020);
    while (at < length) {
        assert_true(n < sizeof(expected));
        assert_int_equal(buf[at], expected[n++]);
        at += buf[at + 1];
        while (buf[at] || buf[at + 1])
            at++;
        at += 2;
    }
    assert_int_equal(n, sizeof(expected));
    assert_int_equal(at, length);
    for (size_t size = 0; size < length; size++)
        assert_int_equal(smbios_build(&f->vm, buf, size, 0xf0000, &length), -ENOSPC);
    fixture_finish(f);
    free(f);
}

static void direct_boot_writes_them(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint64_t rsdp = 0;

    fixture_init(f, 1);
    assert_int_equal(board_direct_boot(&f->board, &rsdp, NULL), 0);
    assert_memory_equal(f->ram + rsdp, "RSD PTR ", 8);
    assert_memory_equal(f->ram + 0xf0000, "_SM3_", 5);
    fixture_finish(f);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acpi_passes_iasl),
        cmocka_unit_test(acpi_needs_room),
        cmocka_unit_test(smbios_walks),
        cmocka_unit_test(direct_boot_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
