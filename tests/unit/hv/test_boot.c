/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hv/boot/boot-info.c on the host: "physical" addresses are pointers below 4 GiB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "hv/mem/page.h"
#define phys_to_virt(phys) ((void *)(uintptr_t)(phys))
#include "hv/boot/boot-info.c"

#define ROOM 8192

static uint8_t *low; /* memory below 4 GiB */

static int setup(void **state)
{
    low = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    return low == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
    return munmap(low, ROOM);
}

static void begin(void)
{
    memset(&boot_info, 0, sizeof(boot_info));
    memset(low, 0, ROOM);
}

static uint32_t address(const void *p)
{
    return (uint32_t)(uintptr_t)p;
}

/* ---- multiboot 2 ---- */

static uint8_t *add_tag(uint32_t type, const void *content, uint32_t size)
{
    uint32_t at = load_le32(low) ? load_le32(low) : 8;

    store_le32(low + at, type);
    store_le32(low + at + 4, size + 8);
    if (size)
        memcpy(low + at + 8, content, size);
    store_le32(low, ALIGN_UP(at + 8 + size, 8U));
    return low + at;
}

static void add_module_tag(uint32_t from, uint32_t to, const char *text)
{
    uint8_t content[100];

    store_le32(content, from);
    store_le32(content + 4, to);
    strcpy((char *)content + 8, text);
    add_tag(3, content, 8 + (uint32_t)strlen(text) + 1);
}

static void test_mb2(void **state)
{
    static const struct {
        uint64_t base, size;
        uint32_t type, zero;
    } map[] = {{0x100000, 0x7ff00000, 1, 0},
               {0, 0x9fc00, 1, 0},
               {0xfffc0000, 0x40000, 2, 0},
               {0x80000000, 0x1000, 3, 0}};
    uint8_t tag[8 + sizeof(map)], rsdp[36] = "RSD PTR ", screen[24] = {0};

    begin();
    add_tag(1, "selftest  log=debug x=1 y", 26);
    add_tag(2, "GRUB 2.06", 10);
    add_module_tag(0x200000, 0x201234, "config");
    add_module_tag(0x300000, 0x300000, "");
    store_le32(tag, 24);
    store_le32(tag + 4, 0);
    memcpy(tag + 8, map, sizeof(map));
    add_tag(6, tag, sizeof(tag));
    store_le64(screen, 0xe0000000);
    store_le32(screen + 8, 4096);
    store_le32(screen + 12, 1024);
    store_le32(screen + 16, 768);
    screen[20] = 32;
    screen[21] = 1;
    add_tag(8, screen, sizeof(screen));
    rsdp[15] = 2;
    add_tag(15, rsdp, 36);
    rsdp[15] = 0;
    add_tag(14, rsdp, 20); /* the newer one stays */
    add_tag(0, NULL, 0);
    assert_true(boot_info_read(MB2_MAGIC, address(low)));

    assert_string_equal(boot_info.loader, "GRUB 2.06");
    assert_int_equal(boot_info.module_count, 2);
    assert_int_equal(boot_info.modules[0].phys, 0x200000);
    assert_int_equal(boot_info.modules[0].size, 0x1234);
    assert_string_equal(boot_info.modules[0].text, "config");
    assert_int_equal(boot_info.modules[1].size, 0);
    assert_int_equal(boot_info.range_count, 4);
    assert_int_equal(boot_info.ranges[0].base, 0);
    assert_int_equal(boot_info.ranges[0].size, 0x9f000); /* whole pages */
    assert_int_equal(boot_info.ranges[1].base, 0x100000);
    assert_int_equal(boot_info.ranges[2].kind, BOOT_ACPI);
    assert_int_equal(boot_info.ranges[3].kind, BOOT_RESERVED);
    assert_int_equal(boot_info.screen.kind, BOOT_SCREEN_RGB);
    assert_int_equal(boot_info.screen.width, 1024);
    assert_int_equal(boot_info.rsdp[15], 2);
}

static void test_options(void **state)
{
    char buf[8];

    begin();
    boot_info.command_line = "  selftest log=debug console=com2,x verylongvalue=0123456789 =odd last";
    assert_string_equal(boot_option("selftest", buf, sizeof(buf)), "");
    assert_string_equal(boot_option("log", buf, sizeof(buf)), "debug");
    assert_string_equal(boot_option("verylongvalue", buf, sizeof(buf)), "0123456");
    assert_string_equal(boot_option("last", buf, sizeof(buf)), "");
    assert_null(boot_option("self", buf, sizeof(buf)));
    assert_null(boot_option("debug", buf, sizeof(buf)));
    assert_null(boot_option("lastly", buf, sizeof(buf)));
    assert_true(boot_option_is("log", "debug"));
    assert_false(boot_option_is("log", "debu"));
    assert_false(boot_option_is("log", "debugs"));
    assert_false(boot_option_is("none", ""));
}

/* Ranges that overlap, as some firmware says them: what is not only free is not free. */
static void test_overlaps(void **state)
{
    begin();
    add_range(0x10000, 0x10000, 1);
    add_range(0x18000, 0x1000, 2);
    add_range(0x30000, 0x10000, 1);
    add_range(0x38000, 0x10000, 1);
    add_range(0x100800, 0x900, 1);            /* no whole page */
    add_range(0xfffffffffffff000, 0x2000, 1); /* wraps */
    trim_free_ranges();
    assert_int_equal(boot_info.range_count, 5);
    assert_int_equal(boot_info.ranges[0].size, 0x8000);
    for (unsigned i = 0; i < boot_info.range_count; i++) {
        const struct boot_area *a = &boot_info.ranges[i];

        for (unsigned k = 0; k < boot_info.range_count; k++) {
            const struct boot_area *b = &boot_info.ranges[k];

            if (i != k && a->kind == BOOT_FREE)
                assert_false(ranges_overlap(a->base, a->size, b->base, b->size));
        }
    }
    assert_int_equal(boot_info.ranges[4].size, 0);
}

static void test_too_many(void **state)
{
    begin();
    for (unsigned i = 0; i < BOOT_MAX_RANGES + 5; i++)
        add_range(0x10000ULL * (BOOT_MAX_RANGES + 5 - i), 0x1000, 1);
    for (unsigned i = 0; i < BOOT_MAX_MODULES + 2; i++)
        add_module(0x1000, 0x2000, "x");
    assert_int_equal(boot_info.dropped, 7);
    for (unsigned i = 1; i < boot_info.range_count; i++)
        assert_true(boot_info.ranges[i - 1].base < boot_info.ranges[i].base);
    for (unsigned i = 0; i < 3000; i++)
        assert_true(strlen(keep_text("0123456789", 10)) <= 10);
    assert_true(boot_info.text_used < sizeof(boot_info.text));
}

/* Tags of any length: nothing is read behind the end that the loader named. */
static void test_nonsense(void **state)
{
    srand(3);
    for (unsigned round = 0; round < 200000; round++) {
        uint32_t total = 8 + (unsigned)rand() % 200;
        uint8_t *exact = malloc(total);

        memset(&boot_info, 0, sizeof(boot_info));
        for (uint32_t i = 0; i < total; i++)
            exact[i] = (uint8_t)rand();
        store_le32(exact, total);
        for (uint32_t at = 8; at + 16 < total; at += 8 * (1 + (unsigned)rand() % 6)) {
            store_le32(exact + at, (unsigned)rand() % 17);
            store_le32(exact + at + 4, (unsigned)rand() % 80);
            if (rand() % 2)
                store_le32(exact + at + 8, (unsigned)rand() % 40);
        }
        read_mb2(exact);
        trim_free_ranges();
        free(exact);
    }
}

/* ---- multiboot 1 ---- */

static void test_mb1(void **state)
{
    static const char *const loaders[] = {"qemu", "GRUB 2.06"},
                             *const lines[] = {"build/batuta-hv log=debug", "log=debug"},
                             *const first[] = {"a/b/vm.conf config", "config"},
                             *const second[] = {"some/rd.gz", "rd.gz"};

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *map = low + 1000, *mods = low + 2000;
        char *text = (char *)low + 3000;

        begin();
        store_le32(low, BIT(2) | BIT(3) | BIT(6) | BIT(9));
        store_le32(low + 16, address(strcpy(text, lines[i])));
        store_le32(low + 64, address(strcpy(text + 100, loaders[i])));
        store_le32(low + 20, 2);
        store_le32(low + 24, address(mods));
        store_le32(mods, 0x300000);
        store_le32(mods + 4, 0x300100);
        store_le32(mods + 8, address(strcpy(text + 200, first[i])));
        store_le32(mods + 16, 0x400000);
        store_le32(mods + 20, 0x400001);
        store_le32(mods + 24, address(strcpy(text + 300, second[i])));
        store_le32(low + 44, 48);
        store_le32(low + 48, address(map));
        store_le32(map, 20);
        store_le64(map + 12, 0x9f000);
        store_le32(map + 20, 1);
        store_le32(map + 24, 20);
        store_le64(map + 28, 0x100000);
        store_le64(map + 36, 0x1ff00000);
        store_le32(map + 44, 1);
        assert_true(boot_info_read(MB1_MAGIC, address(low)));
        assert_true(boot_option_is("log", "debug"));
        assert_int_equal(boot_info.module_count, 2);
        assert_string_equal(boot_info.modules[0].text, "config");
        assert_string_equal(boot_info.modules[1].text, "rd.gz");
        assert_int_equal(boot_info.modules[1].size, 1);
        assert_int_equal(boot_info.range_count, 2);
        assert_int_equal(boot_info.ranges[1].size, 0x1ff00000);
    }
    begin();
    assert_false(boot_info_read(0x12345678, address(low)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mb2),      cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_overlaps), cmocka_unit_test(test_too_many),
                                       cmocka_unit_test(test_nonsense), cmocka_unit_test(test_mb1)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
