/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a driver must not do to a queue, done to every device: each time the device
 * wants a reset and says so by a configuration interrupt, takes nothing more, and
 * works again after the reset.
 */
#include <string.h>

#include "base/bytes.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

static struct driver d;
static struct backends b;

/* A queue of each device that takes what comes. */
static const unsigned active_queue[] = {
    [KIND_BLK] = 0, [KIND_NET] = 1, [KIND_CONSOLE] = 1, [KIND_RNG] = 0, [KIND_BALLOON] = 0};

static void outside_ram(unsigned q)
{
    driver_desc(&d, q, 0, DRIVER_RAM, 16, 0, 0);
    driver_avail(&d, q, 0);
}

static void over_the_end_of_ram(unsigned q)
{
    driver_desc(&d, q, 0, DRIVER_RAM - 8, 16, 0, 0);
    driver_avail(&d, q, 0);
}

static void wrapping_address(unsigned q)
{
    driver_desc(&d, q, 0, ~7ULL, 64, DESC_WRITE, 0);
    driver_avail(&d, q, 0);
}

static void into_mmio(unsigned q)
{
    driver_desc(&d, q, 0, d.common, 16, DESC_WRITE, 0);
    driver_avail(&d, q, 0);
}

static void into_rom(unsigned q)
{
    driver_desc(&d, q, 0, 0xf0000, 16, DESC_WRITE, 0);
    driver_avail(&d, q, 0);
}

static void over_a_rom_edge(unsigned q)
{
    driver_desc(&d, q, 0, 0xeff00, 0x200, 0, 0);
    driver_avail(&d, q, 0);
}

static void longest_length(unsigned q)
{
    driver_desc(&d, q, 0, 0x1000, UINT32_MAX, DESC_WRITE, 0);
    driver_avail(&d, q, 0);
}

static void empty_buffer(unsigned q)
{
    driver_desc(&d, q, 0, DRIVER_DATA, 0, 0, 0);
    driver_avail(&d, q, 0);
}

static void head_beyond_the_table(unsigned q)
{
    driver_avail(&d, q, 16);
}

static void next_beyond_the_table(unsigned q)
{
    driver_desc(&d, q, 0, DRIVER_DATA, 16, DESC_NEXT, 0x7fff);
    driver_avail(&d, q, 0);
}

static void loop_of_one(unsigned q)
{
    driver_desc(&d, q, 0, DRIVER_DATA, 16, DESC_NEXT, 0);
    driver_avail(&d, q, 0);
}

static void loop_of_all(unsigned q)
{
    for (unsigned i = 0; i < 16; i++)
        driver_desc(&d, q, i, DRIVER_DATA, 16, DESC_NEXT, (i + 1) % 16);
    driver_avail(&d, q, 3);
}

static void readable_after_writable(unsigned q)
{
    struct seg seg[] = {{DRIVER_DATA, 16, false}, {DRIVER_DATA + 64, 16, true}, {DRIVER_DATA, 16, false}};

    driver_add(&d, q, seg, 3);
}

static void available_index_jumps(unsigned q)
{
    driver_desc(&d, q, 0, DRIVER_DATA, 64, 0, 0);
    store_le16(driver_ram(&d, d.queue[q].avail + 2), 17);
}

static void available_index_goes_back(unsigned q)
{
    store_le16(driver_ram(&d, d.queue[q].avail + 2), 0xffff);
}

static void indirect(unsigned q, uint64_t table, uint32_t len, unsigned flags)
{
    driver_desc(&d, q, 0, table, len, DESC_INDIRECT | flags, 1);
    driver_desc(&d, q, 1, DRIVER_DATA, 16, 0, 0);
    driver_avail(&d, q, 0);
}

static void table_entry(unsigned q, unsigned i, uint64_t gpa, uint32_t len, unsigned flags, unsigned next)
{
    uint8_t *p = driver_ram(&d, d.queue[q].table + i * 16);

    store_le64(p, gpa);
    store_le32(p + 8, len);
    store_le16(p + 12, (uint16_t)flags);
    store_le16(p + 14, (uint16_t)next);
}

static void indirect_outside_ram(unsigned q)
{
    indirect(q, DRIVER_RAM, 32, 0);
}

static void indirect_empty(unsigned q)
{
    indirect(q, d.queue[q].table, 0, 0);
}

static void indirect_odd_length(unsigned q)
{
    indirect(q, d.queue[q].table, 24, 0);
}

static void indirect_too_long(unsigned q)
{
    indirect(q, d.queue[q].table, 16 * 257, 0);
}

static void indirect_with_next(unsigned q)
{
    table_entry(q, 0, DRIVER_DATA, 16, 0, 0);
    indirect(q, d.queue[q].table, 16, DESC_NEXT);
}

static void indirect_in_indirect(unsigned q)
{
    table_entry(q, 0, d.queue[q].table, 16, DESC_INDIRECT, 0);
    indirect(q, d.queue[q].table, 16, 0);
}

static void indirect_loop(unsigned q)
{
    table_entry(q, 0, DRIVER_DATA, 16, DESC_NEXT, 1);
    table_entry(q, 1, DRIVER_DATA, 16, DESC_NEXT, 0);
    indirect(q, d.queue[q].table, 32, 0);
}

static void indirect_next_beyond(unsigned q)
{
    table_entry(q, 0, DRIVER_DATA, 16, DESC_NEXT, 2);
    indirect(q, d.queue[q].table, 32, 0);
}

static void indirect_bad_buffer(unsigned q)
{
    table_entry(q, 0, DRIVER_DATA, 16, DESC_NEXT, 1);
    table_entry(q, 1, ~0ULL, 16, 0, 0);
    indirect(q, d.queue[q].table, 32, 0);
}

static void chain_too_long(unsigned q)
{
    /* 15 direct ones, then a full indirect table. */
    for (unsigned i = 0; i < 15; i++)
        driver_desc(&d, q, i, DRIVER_DATA, 1, DESC_NEXT, i + 1);
    driver_desc(&d, q, 15, d.queue[q].table, 256 * 16, DESC_INDIRECT, 0);
    for (unsigned i = 0; i < 256; i++)
        table_entry(q, i, DRIVER_DATA, 1, i < 255 ? DESC_NEXT : 0, i + 1);
    driver_avail(&d, q, 0);
}

#define ABUSE(f)                                                                                             \
    {                                                                                                        \
#f, f                                                                                                \
    }
static const struct {
    const char *name;
    void (*commit)(unsigned q);
} abuses[] = {
    ABUSE(outside_ram),
    ABUSE(over_the_end_of_ram),
    ABUSE(wrapping_address),
    ABUSE(into_mmio),
    ABUSE(into_rom),
    ABUSE(over_a_rom_edge),
    ABUSE(longest_length),
    ABUSE(empty_buffer),
    ABUSE(head_beyond_the_table),
    ABUSE(next_beyond_the_table),
    ABUSE(loop_of_one),
    ABUSE(loop_of_all),
    ABUSE(readable_after_writable),
    ABUSE(available_index_jumps),
    ABUSE(available_index_goes_back),
    ABUSE(indirect_outside_ram),
    ABUSE(indirect_empty),
    ABUSE(indirect_odd_length),
    ABUSE(indirect_too_long),
    ABUSE(indirect_with_next),
    ABUSE(indirect_in_indirect),
    ABUSE(indirect_loop),
    ABUSE(indirect_next_beyond),
    ABUSE(indirect_bad_buffer),
    ABUSE(chain_too_long),
};

static uint8_t rom[0x10000];

/* Each device still does what it is for: a harmless buffer comes back. */
static void still_works(unsigned kind)
{
    struct seg blk[] = {{DRIVER_DATA, 16, false}, {DRIVER_DATA + 64, 1, true}};
    struct seg out = {DRIVER_DATA, 64, false}, in = {DRIVER_DATA, 64, true};
    unsigned q = active_queue[kind];

    memset(driver_ram(&d, DRIVER_DATA), 0, 64);
    *(uint8_t *)driver_ram(&d, DRIVER_DATA) = 4; /* a flush */
    if (kind == KIND_BLK)
        driver_add(&d, q, blk, 2);
    else
        driver_add(&d, q, kind == KIND_RNG ? &in : &out, 1);
    driver_kick(&d, q);
    driver_run(&d);
    assert_false(driver_needs_reset(&d));
    assert_int_equal(driver_used_count(&d, q), 1);
}

static void abuse_one(unsigned kind, unsigned a)
{
    unsigned q = active_queue[kind];

    driver_start(&d, DRIVER_ALL_FEATURES);
    abuses[a].commit(q);
    driver_kick(&d, q);
    driver_run(&d);
    if (!driver_needs_reset(&d))
        fail_msg("%s lives with %s", kinds[kind].name, abuses[a].name);
    assert_int_equal(d.msi[0], 1);
    assert_int_equal(driver_used_count(&d, q), 0);
    /* Dead until the reset, and quiet. */
    driver_kick(&d, q);
    driver_run(&d);
    assert_int_equal(d.msi[0], 1);
    driver_start(&d, DRIVER_ALL_FEATURES);
    still_works(kind);
}

static void abuse_all(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        bench_make(&d, &b, k);
        assert_int_equal(mem_add_rom(&d.vm, 0xf0000, rom, sizeof(rom)), 0);
        for (unsigned a = 0; a < ARRAY_SIZE(abuses); a++)
            abuse_one(k, a);
        driver_finish(&d);
    }
}

/* Without the feature, an indirect descriptor is as bad as the rest. */
static void indirect_not_negotiated(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        bench_make(&d, &b, k);
        driver_start(&d, 0);
        table_entry(active_queue[k], 0, DRIVER_DATA, 16, 0, 0);
        indirect(active_queue[k], d.queue[active_queue[k]].table, 16, 0);
        driver_kick(&d, active_queue[k]);
        driver_run(&d);
        assert_true(driver_needs_reset(&d));
        driver_finish(&d);
    }
}

/* Rings on top of each other, of buffers, of themselves. */
static void rings_overlap(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        unsigned q = active_queue[k];
        uint64_t base;

        bench_make(&d, &b, k);
        driver_start(&d, DRIVER_ALL_FEATURES);
        driver_reset(&d);
        assert_true(driver_negotiate(&d, BIT64(VIRTIO_F_VERSION_1)));
        base = d.queue[q].desc;
        driver_write(&d, d.common + COMMON_QUEUE_SELECT, q, 2);
        driver_write(&d, d.common + COMMON_QUEUE_SIZE, 16, 2);
        driver_write(&d, d.common + COMMON_QUEUE_DESC, base, 8);
        driver_write(&d, d.common + COMMON_QUEUE_DRIVER, base, 8);
        driver_write(&d, d.common + COMMON_QUEUE_DEVICE, base, 8);
        driver_write(&d, d.common + COMMON_QUEUE_ENABLE, 1, 2);
        driver_write(&d, d.common + COMMON_DEVICE_STATUS, 0xf, 1);
        for (unsigned i = 0; i < 1000 && !driver_needs_reset(&d); i++) {
            driver_desc(&d, q, i % 16, base + i, 64 + i, i & 3, i % 16);
            driver_kick(&d, q);
            driver_run(&d);
        }
        driver_start(&d, DRIVER_ALL_FEATURES);
        still_works(k);
        driver_finish(&d);
    }
}

/* The log has an end, however often a driver offends. */
static void log_is_bounded(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    for (unsigned i = 0; i < 20; i++) {
        d.plat.last_log[0] = '\0';
        driver_start(&d, 0);
        head_beyond_the_table(0);
        driver_kick(&d, 0);
        driver_run(&d);
        assert_true(driver_needs_reset(&d));
        if (i == 0)
            assert_non_null(strstr(d.plat.last_log, "rng0: the guest's driver is at fault"));
    }
    assert_string_equal(d.plat.last_log, "");
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abuse_all),
        cmocka_unit_test(indirect_not_negotiated),
        cmocka_unit_test(rings_overlap),
        cmocka_unit_test(log_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
