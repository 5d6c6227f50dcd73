/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The balloon, and the entropy device. */
#include <string.h>

#include "base/bytes.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

#define STATS  2U
#define REPORT 3U /* Linux's number, statistics negotiated */

static struct driver d;
static struct backends b;
static struct device *dev;

static void setup(uint64_t features)
{
    dev = bench_make(&d, &b, KIND_BALLOON);
    driver_start(&d, features);
}

static void pages(unsigned q, const uint32_t *pfn, unsigned n)
{
    struct seg seg = {DRIVER_DATA, n * 4, false};

    for (unsigned i = 0; i < n; i++)
        store_le32(driver_ram(&d, DRIVER_DATA + i * 4), pfn[i]);
    driver_add(&d, q, &seg, 1);
    driver_kick(&d, q);
    driver_run(&d);
}

static void inflate_and_deflate(void **state)
{
    static const uint32_t up[] = {0x500, 0x501, 0x502}, down[] = {0x5ff, 0x5fe, 0x5fd, 0x5fc},
                          far[] = {0x500, 0x600};

    setup(DRIVER_ALL_FEATURES);
    memset(driver_ram(&d, 0x500000), 0xff, 0x3000);
    pages(VIRTIO_BALLOON_INFLATE, up, 3);
    assert_int_equal(b.discards, 1);
    assert_int_equal(b.discarded, 3 * 4096);
    assert_true(b.discard_at == (uintptr_t)driver_ram(&d, 0x500000));
    assert_int_equal(*(uint8_t *)driver_ram(&d, 0x502fff), 0);
    pages(VIRTIO_BALLOON_INFLATE, down, 4);
    assert_int_equal(b.discards, 2);
    assert_true(b.discard_at == (uintptr_t)driver_ram(&d, 0x5fc000));
    pages(VIRTIO_BALLOON_INFLATE, far, 2);
    assert_int_equal(b.discards, 4);
    pages(VIRTIO_BALLOON_DEFLATE, up, 3);
    assert_int_equal(b.discards, 4);
    assert_int_equal(driver_used_count(&d, 0), 3);
    assert_int_equal(driver_used_count(&d, 1), 1);
    driver_finish(&d);
}

static void target_and_actual(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    virtio_balloon_set_target(dev, MIB(2));
    assert_int_equal(d.msi[0], 1);
    assert_int_equal(driver_read(&d, d.config, 4), 512);
    driver_write(&d, d.config + 4, 300, 4);
    assert_int_equal(virtio_balloon_actual(dev), 300 * 4096);
    assert_int_equal(driver_read(&d, d.config + 4, 4), 300);
    driver_write(&d, d.config, 9, 4);
    driver_write(&d, d.config + 5, 9, 1);
    assert_int_equal(driver_read(&d, d.config, 8), 512 | 300ULL << 32);
    virtio_balloon_set_target(dev, GIB(100));
    assert_int_equal(driver_read(&d, d.config, 4), DRIVER_RAM / 4096);
    driver_finish(&d);
}

static void free_page_reporting(void **state)
{
    struct seg seg[] = {{0x600000, 0x2000, true}, {0x610800, 0x2000, true}, {0x620000, 0x100, true}};

    setup(DRIVER_ALL_FEATURES);
    driver_add(&d, REPORT, seg, 3);
    driver_kick(&d, REPORT);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, REPORT), 1);
    assert_int_equal(b.discards, 2); /* whole pages only */
    assert_int_equal(b.discarded, 0x3000);
    driver_start(&d, BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BALLOON_F_REPORTING));
    driver_add(&d, 2, seg, 1);
    driver_kick(&d, 2);
    driver_run(&d);
    assert_int_equal(b.discards, 3);
    driver_finish(&d);
}

static void statistics(void **state)
{
    uint8_t *p;
    struct seg seg = {DRIVER_DATA, 30, false};

    setup(DRIVER_ALL_FEATURES);
    assert_true(virtio_balloon_stat(dev, VIRTIO_BALLOON_S_MEMFREE) == ~0ULL);
    driver_run(&d);
    p = driver_ram(&d, DRIVER_DATA);
    store_le16(p, VIRTIO_BALLOON_S_MEMFREE);
    store_le64(p + 2, 123456789);
    store_le16(p + 10, 0x7777);
    store_le64(p + 12, 1);
    store_le16(p + 20, VIRTIO_BALLOON_S_MEMTOT);
    store_le64(p + 22, 987654321);
    driver_add(&d, STATS, &seg, 1);
    driver_kick(&d, STATS);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, STATS), 1); /* it was wanted already */
    assert_true(virtio_balloon_stat(dev, VIRTIO_BALLOON_S_MEMTOT) == 987654321);
    driver_run(&d);
    /* The next buffer answers that wish; one more stays with the device until the next. */
    driver_add(&d, STATS, &seg, 1);
    driver_kick(&d, STATS);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, STATS), 1);
    driver_add(&d, STATS, &seg, 1);
    driver_kick(&d, STATS);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, STATS), 0);
    assert_true(virtio_balloon_stat(dev, VIRTIO_BALLOON_S_MEMFREE) == 123456789);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, STATS), 1);
    driver_finish(&d);
}

/* ---- hostile ---- */

static void pages_that_are_not(void **state)
{
    static const uint32_t bad[] = {DRIVER_RAM / 4096, UINT32_MAX, 0x80000, 0xfee00, 0x7fffffff};

    setup(DRIVER_ALL_FEATURES);
    pages(VIRTIO_BALLOON_INFLATE, bad, 5);
    assert_int_equal(b.discards, 0);
    assert_false(driver_needs_reset(&d));
    driver_finish(&d);
}

static void pages_of_rom(void **state)
{
    static uint8_t rom[0x10000];
    static const uint32_t pfn[] = {0xef, 0xf0, 0xff, 0x100};

    setup(DRIVER_ALL_FEATURES);
    memset(rom, 0x55, sizeof(rom));
    mem_add_rom(&d.vm, 0xf0000, rom, sizeof(rom));
    pages(VIRTIO_BALLOON_INFLATE, pfn, 4);
    assert_int_equal(b.discarded, 2 * 4096);
    assert_int_equal(rom[0], 0x55);
    assert_int_equal(rom[0xffff], 0x55);
    driver_finish(&d);
}

static void list_too_long(void **state)
{
    struct seg seg = {0x300000, 0x100000, false};

    setup(DRIVER_ALL_FEATURES);
    driver_add(&d, VIRTIO_BALLOON_INFLATE, &seg, 1);
    driver_kick(&d, VIRTIO_BALLOON_INFLATE);
    driver_run(&d);
    assert_true(driver_needs_reset(&d));
    assert_int_equal(b.discards, 0);
    driver_finish(&d);
}

/* As many pieces as a buffer has, which cut entries in two. */
static void list_in_pieces(void **state)
{
    struct seg seg[VIRTQ_MAX_CHAIN];
    unsigned n = 0, at = 0;

    setup(DRIVER_ALL_FEATURES);
    for (unsigned i = 0; i < 1000; i++) /* pages that do not follow on one another */
        store_le32(driver_ram(&d, DRIVER_DATA + i * 4), 0x500 + (i * 2) % 0x200 + i / 0x100 % 2);
    for (; at < 4000; n++) {
        seg[n] = (struct seg){DRIVER_DATA + at, MIN(n % 60 + 1, 4000 - at), false};
        at += seg[n].len;
    }
    driver_add_indirect(&d, VIRTIO_BALLOON_INFLATE, seg, n);
    driver_kick(&d, VIRTIO_BALLOON_INFLATE);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, VIRTIO_BALLOON_INFLATE), 1);
    assert_int_equal(b.discards, 1000);
    driver_finish(&d);
}

/* Long lists are worked off with pauses between, in which others have their turns. */
static void lists_in_turns(void **state)
{
    struct seg seg = {DRIVER_DATA, 4096 * 4, false};
    unsigned turns = 0;

    setup(DRIVER_ALL_FEATURES);
    for (unsigned i = 0; i < 4096; i++)
        store_le32(driver_ram(&d, DRIVER_DATA + i * 4), 0x500 + i * 2 % 0x300);
    for (unsigned i = 0; i < 8; i++)
        driver_add(&d, VIRTIO_BALLOON_INFLATE, &seg, 1);
    driver_kick(&d, VIRTIO_BALLOON_INFLATE);
    for (; fake_plat_run_one(&d.plat); turns++) {
        assert_in_range(b.discards, 0, 4096 + 1023);
        b.discards = 0;
    }
    assert_in_range(turns, 8, 9);
    assert_int_equal(driver_used_count(&d, VIRTIO_BALLOON_INFLATE), 8);
    driver_finish(&d);
}

static void list_with_a_ragged_end(void **state)
{
    struct seg seg = {DRIVER_DATA, 7, false};

    setup(DRIVER_ALL_FEATURES);
    store_le32(driver_ram(&d, DRIVER_DATA), 0x500);
    driver_add(&d, VIRTIO_BALLOON_INFLATE, &seg, 1);
    driver_kick(&d, VIRTIO_BALLOON_INFLATE);
    driver_run(&d);
    assert_int_equal(b.discarded, 4096);
    driver_finish(&d);
}

static void report_more_than_all(void **state)
{
    struct seg seg[3] = {{0x400000, 0x300000, true}, {0x400000, 0x300000, true}, {0x400000, 0x300000, true}};

    setup(DRIVER_ALL_FEATURES);
    driver_add(&d, REPORT, seg, 3);
    driver_kick(&d, REPORT);
    driver_run(&d);
    assert_true(driver_needs_reset(&d));
    assert_int_equal(b.discards, 0);
    driver_finish(&d);
}

static void report_without_the_feature(void **state)
{
    struct seg seg = {0x400000, 0x3000, true};

    setup(BIT64(VIRTIO_F_VERSION_1));
    driver_add(&d, 2, &seg, 1);
    driver_kick(&d, 2);
    driver_run(&d);
    assert_int_equal(b.discards, 0);
    driver_finish(&d);
}

static void statistics_cut_short(void **state)
{
    struct seg seg = {DRIVER_DATA, 9, false};

    setup(DRIVER_ALL_FEATURES);
    memset(driver_ram(&d, DRIVER_DATA), 0, 9);
    driver_add(&d, STATS, &seg, 1);
    driver_kick(&d, STATS);
    driver_run(&d);
    assert_true(virtio_balloon_stat(dev, VIRTIO_BALLOON_S_SWAP_IN) == ~0ULL);
    driver_finish(&d);
}

static void no_discard_here(void **state)
{
    static const uint32_t pfn[] = {0x500};

    setup(DRIVER_ALL_FEATURES);
    d.vm.mem.discard = NULL;
    memset(driver_ram(&d, 0x500000), 0x77, 4096);
    pages(VIRTIO_BALLOON_INFLATE, pfn, 1);
    assert_int_equal(*(uint8_t *)driver_ram(&d, 0x500000), 0x77);
    assert_int_equal(driver_used_count(&d, 0), 1);
    driver_finish(&d);
}

/* ---- entropy ---- */

static void random_bytes(void **state)
{
    struct seg seg[] = {{DRIVER_DATA, 10, true}, {DRIVER_DATA + 0x100, 6, true}};
    static const uint8_t zero[10];
    uint32_t len;

    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, DRIVER_ALL_FEATURES);
    driver_add(&d, 0, seg, 2);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_used(&d, 0, NULL, &len));
    assert_int_equal(len, 16);
    assert_memory_not_equal(driver_ram(&d, DRIVER_DATA), zero, 10);
    assert_memory_not_equal(driver_ram(&d, DRIVER_DATA + 0x100), zero, 6);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 10), zero, 10);
    driver_finish(&d);
}

static void random_greed(void **state)
{
    struct seg seg = {DRIVER_DATA, 0x200000, true};
    uint32_t len;

    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, DRIVER_ALL_FEATURES);
    driver_add(&d, 0, &seg, 1);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_used(&d, 0, NULL, &len));
    assert_int_equal(len, 65536);
    assert_int_equal(load_le64(driver_ram(&d, DRIVER_DATA + 65536)), 0);
    driver_finish(&d);
}

static void random_into_nothing(void **state)
{
    struct seg seg = {DRIVER_DATA, 64, false};
    uint32_t len;

    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, DRIVER_ALL_FEATURES);
    driver_add(&d, 0, &seg, 1);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_used(&d, 0, NULL, &len));
    assert_int_equal(len, 0);
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inflate_and_deflate),  cmocka_unit_test(target_and_actual),
        cmocka_unit_test(free_page_reporting),  cmocka_unit_test(statistics),
        cmocka_unit_test(pages_that_are_not),   cmocka_unit_test(pages_of_rom),
        cmocka_unit_test(list_too_long),        cmocka_unit_test(list_with_a_ragged_end),
        cmocka_unit_test(list_in_pieces),       cmocka_unit_test(lists_in_turns),
        cmocka_unit_test(report_more_than_all), cmocka_unit_test(report_without_the_feature),
        cmocka_unit_test(statistics_cut_short), cmocka_unit_test(no_discard_here),
        cmocka_unit_test(random_bytes),         cmocka_unit_test(random_greed),
        cmocka_unit_test(random_into_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
