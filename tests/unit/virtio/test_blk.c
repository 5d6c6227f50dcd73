/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "base/bytes.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

#define HEADER DRIVER_DATA
#define STATUS (DRIVER_DATA + 64)
#define DATA   (DRIVER_DATA + 0x1000)

static struct driver d;
static struct backends b;

static void header(unsigned slot, uint32_t type, uint64_t sector)
{
    uint8_t *p = driver_ram(&d, HEADER + slot * 128);

    store_le32(p, type);
    store_le32(p + 4, 0);
    store_le64(p + 8, sector);
    p[64] = 0xaa;
}

static uint8_t status(unsigned slot)
{
    return *(uint8_t *)driver_ram(&d, STATUS + slot * 128);
}

/* A request in slot `slot`; data goes to or comes from DATA. */
static void request_add(unsigned slot, uint32_t type, uint64_t sector, uint32_t len)
{
    bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    struct seg seg[3] = {{HEADER + slot * 128, 16, false}};
    unsigned n = 1;

    header(slot, type, sector);
    if (len)
        seg[n++] = (struct seg){DATA, len, in};
    seg[n++] = (struct seg){STATUS + slot * 128, 1, true};
    driver_add(&d, 0, seg, n);
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
    request_add(0, type, sector, len);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 0), 1);
    return status(0);
}

static void setup(uint64_t features)
{
    bench_make(&d, &b, KIND_BLK);
    driver_start(&d, features);
    for (unsigned i = 0; i < DISK_SIZE; i++)
        b.disk.data[i] = (uint8_t)(i / 512 * 7 + i);
}

static void configuration(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    assert_int_equal(driver_read(&d, d.config, 8), DISK_SIZE / 512);
    assert_int_equal(driver_read(&d, d.config + 12, 4), 254);
    assert_int_equal(driver_read(&d, d.config + 20, 4), 512);
    assert_int_equal(driver_read(&d, d.config + 34, 2), 2);
    assert_int_equal(driver_read(&d, d.config + 59, 8), 0);
    driver_write(&d, d.config, 1, 4); /* read-only */
    assert_int_equal(driver_read(&d, d.config, 4), DISK_SIZE / 512);
    assert_int_equal(d.queue_count, 2);
    assert_false(driver_offered(&d) & BIT64(VIRTIO_BLK_F_RO));
    driver_finish(&d);
}

static void read_and_write(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    assert_int_equal(request(VIRTIO_BLK_T_IN, 3, 4096), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_ram(&d, DATA), b.disk.data + 3 * 512, 4096);
    memset(driver_ram(&d, DATA), 0x5a, 1024);
    assert_int_equal(request(VIRTIO_BLK_T_OUT, 100, 1024), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_ram(&d, DATA), b.disk.data + 100 * 512, 1024);
    assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(request(VIRTIO_BLK_T_IN, DISK_SIZE / 512 - 1, 512), VIRTIO_BLK_S_OK);
    assert_true(b.disk.kicks > 0);
    assert_true(d.msi[1] > 0);
    driver_finish(&d);
}

/* Section 2.7.4.1: where the driver cuts its buffers means nothing. */
static void framing_is_free(void **state)
{
    struct seg seg[] = {{HEADER, 3, false},      {HEADER + 3, 13, false}, {DATA, 100, true},
                        {DATA + 100, 412, true}, {DATA + 512, 512, true}, {STATUS, 1, true}};
    struct seg joined[] = {{HEADER, 16, false}, {DATA, 513, true}};
    uint32_t len;

    setup(DRIVER_ALL_FEATURES);
    header(0, VIRTIO_BLK_T_IN, 9);
    driver_add(&d, 0, seg, 6);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_used(&d, 0, NULL, &len));
    assert_int_equal(len, 1025);
    assert_int_equal(status(0), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_ram(&d, DATA), b.disk.data + 9 * 512, 1024);
    driver_add_indirect(&d, 0, joined, 2);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 0), 1);
    assert_int_equal(*(uint8_t *)driver_ram(&d, DATA + 512), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_ram(&d, DATA), b.disk.data + 9 * 512, 512);
    driver_finish(&d);
}

static void serial_number(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_ram(&d, DATA), "SERIAL-0123456789abc", 20);
    memset(driver_ram(&d, DATA), 0, 20);
    assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 6), VIRTIO_BLK_S_OK);
    assert_memory_equal(driver_ram(&d, DATA), "SERIAL\0", 7);
    driver_finish(&d);
}

static void range(unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t *p = driver_ram(&d, DATA + i * 16);

    store_le64(p, sector);
    store_le32(p + 8, sectors);
    store_le32(p + 12, flags);
}

static void deallocation(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    range(0, 10, 2, 1);
    range(1, 20, 1, 0);
    assert_int_equal(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 32), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 1024; i++)
        assert_int_equal(b.disk.data[10 * 512 + i], 0);
    assert_int_equal(b.disk.data[20 * 512 + 511], 0);
    assert_int_not_equal(b.disk.data[21 * 512 + 1], 0);
    range(0, 40, 8, 0);
    assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_OK);
    assert_int_equal(b.disk.data[40 * 512 + 5], 0);
    range(0, 40, 8, 1); /* section 5.2.6.2: discards have no flags */
    assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_UNSUPP);
    range(0, 40, 8, 2);
    assert_int_equal(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16), VIRTIO_BLK_S_UNSUPP);
    driver_finish(&d);
}

static void write_through_without_flush(void **state)
{
    setup(0);
    b.disk.submits = 0;
    assert_int_equal(request(VIRTIO_BLK_T_OUT, 1, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(b.disk.submits, 2);
    driver_finish(&d);
}

static void backend_errors(void **state)
{
    static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH};

    setup(DRIVER_ALL_FEATURES);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        b.disk.fail = i == 1 ? -ENOSPC : -EIO;
        assert_int_equal(request(types[i], 1, types[i] == VIRTIO_BLK_T_FLUSH ? 0 : 512), VIRTIO_BLK_S_IOERR);
    }
    b.disk.fail = -EOPNOTSUPP;
    range(0, 1, 1, 0);
    assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_UNSUPP);
    assert_false(driver_needs_reset(&d));
    driver_finish(&d);
}

/* ---- hostile ---- */

static void out_of_bounds(void **state)
{
    static const struct {
        uint64_t sector;
        uint32_t len;
    } bad[] = {{DISK_SIZE / 512, 512},
               {DISK_SIZE / 512 - 1, 1024},
               {~0ULL, 512},
               {1ULL << 55, 512},
               {0x0080000000000000, 512},
               {0, 511},
               {0, 513},
               {1ULL << 63, 512}};

    setup(DRIVER_ALL_FEATURES);
    b.disk.submits = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(request(VIRTIO_BLK_T_IN, bad[i].sector, bad[i].len), VIRTIO_BLK_S_IOERR);
        assert_int_equal(request(VIRTIO_BLK_T_OUT, bad[i].sector, bad[i].len), VIRTIO_BLK_S_IOERR);
    }
    assert_int_equal(b.disk.submits, 0);
    driver_finish(&d);
}

static void bad_ranges(void **state)
{
    static const struct {
        uint64_t sector;
        uint32_t sectors;
    } bad[] = {{DISK_SIZE / 512, 1}, {0, DISK_SIZE / 512 + 1}, {~0ULL, 2}, {1ULL << 55, 1}, {0, UINT32_MAX}};

    setup(DRIVER_ALL_FEATURES);
    b.disk.submits = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        range(0, bad[i].sector, bad[i].sectors, 0);
        assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_IOERR);
        assert_int_equal(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16), VIRTIO_BLK_S_IOERR);
    }
    assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 15), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 17 * 16), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(b.disk.submits, 0);
    driver_finish(&d);
}

static void unknown_types(void **state)
{
    static const uint32_t types[] = {2, 3, 5, 10, 12, 14, 16, 24, 0x80000000, UINT32_MAX};

    setup(DRIVER_ALL_FEATURES);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        assert_int_equal(request(types[i], 0, 512), VIRTIO_BLK_S_UNSUPP);
    driver_finish(&d);
}

static void no_room_for_header_or_status(void **state)
{
    struct seg no_status[] = {{HEADER, 16, false}, {DATA, 512, false}};
    struct seg short_header[] = {{HEADER, 15, false}, {STATUS, 1, true}};
    struct seg no_header[] = {{DATA, 512, true}};

    setup(DRIVER_ALL_FEATURES);
    header(0, VIRTIO_BLK_T_OUT, 0);
    driver_add(&d, 0, no_status, 2);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_needs_reset(&d));
    driver_start(&d, 0);
    driver_add(&d, 0, short_header, 2);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_needs_reset(&d));
    driver_start(&d, 0);
    driver_add(&d, 0, no_header, 1);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_needs_reset(&d));
    driver_finish(&d);
}

static void read_only_disk(void **state)
{
    struct device *dev;

    driver_init(&d);
    fake_disk_init(&b.disk);
    b.disk.blk.read_only = true;
    assert_int_equal(virtio_blk_create(&d.vm, &d.bus, "cd", &b.disk.blk, 1, &dev, NULL), 0);
    driver_attach(&d);
    driver_start(&d, DRIVER_ALL_FEATURES);
    assert_true(driver_offered(&d) & BIT64(VIRTIO_BLK_F_RO));
    b.disk.submits = 0;
    assert_int_equal(request(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
    range(0, 0, 1, 0);
    assert_int_not_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_OK);
    assert_int_not_equal(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16), VIRTIO_BLK_S_OK);
    assert_int_equal(b.disk.submits, 0);
    assert_int_equal(request(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
    driver_finish(&d);
    assert_true(b.disk.closed);
}

static void more_in_flight_than_the_queue_has(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    b.disk.hold = true;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 16; i++)
            request_add(0, VIRTIO_BLK_T_FLUSH, 0, 0);
        driver_kick(&d, 0);
        driver_run(&d);
        assert_int_equal(driver_needs_reset(&d), round == 1);
    }
    assert_int_equal(b.disk.pending_count, 16);
    fake_disk_complete(&b.disk);
    driver_start(&d, DRIVER_ALL_FEATURES);
    driver_finish(&d);
}

static void status_write(uint8_t value)
{
    driver_write(&d, d.common + COMMON_DEVICE_STATUS, value, 1);
}

/* A reset while requests are with the storage: it is over when they are, nobody waits, and their ends are
 * nobody's. */
static void reset_in_flight(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    b.disk.hold = true;
    for (unsigned i = 0; i < 4; i++)
        request_add(i, VIRTIO_BLK_T_IN, i, 512);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(b.disk.pending_count, 4);
    memset(d.msi, 0, sizeof(d.msi));
    status_write(0);
    assert_int_equal(b.disk.pending_count, 4);
    assert_int_not_equal(driver_status(&d), 0);
    status_write(VIRTIO_STATUS_ACKNOWLEDGE); /* too early */
    status_write(0);
    assert_int_not_equal(driver_status(&d), 0);
    fake_disk_complete(&b.disk);
    driver_run(&d);
    assert_int_equal(driver_status(&d), 0);
    assert_int_equal(status(0), 0xaa);
    assert_int_equal(load_le16(driver_ram(&d, d.queue[0].used + 2)), 0);
    assert_int_equal(d.msi[1], 0);
    driver_start(&d, DRIVER_ALL_FEATURES);
    b.disk.hold = false;
    assert_int_equal(request(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
    driver_finish(&d);
}

/* The machine's reset is over at once: firmware does not ask. */
static void power_on_in_flight(void **state)
{
    struct device *dev;

    setup(DRIVER_ALL_FEATURES);
    dev = list_entry(d.vm.devices.prev, struct device, link);
    b.disk.hold = true;
    request_add(0, VIRTIO_BLK_T_IN, 0, 512);
    driver_kick(&d, 0);
    driver_run(&d);
    dev->ops->reset(dev);
    assert_int_equal(b.disk.pending_count, 0);
    assert_int_equal(status(0), 0xaa);
    driver_finish(&d);
}

/* Memory that nobody has touched takes time to be made: bit by bit, and nothing waits for it but its request.
 */
static void memory_not_ready(void **state)
{
    struct seg seg[] = {{HEADER, 16, false}, {DATA, 512, true}, {STATUS, 1, true}};

    setup(DRIVER_ALL_FEATURES);
    header(0, VIRTIO_BLK_T_IN, 5);
    for (unsigned indirect = 0; indirect < 2; indirect++) {
        if (indirect)
            driver_add_indirect(&d, 0, seg, 3);
        else
            driver_add(&d, 0, seg, 3);
        driver_kick(&d, 0);
        b.disk.submits = 0;
        d.plat.not_ready = 3;
        for (unsigned i = 0; i < 3; i++) {
            assert_true(fake_plat_run_one(&d.plat));
            assert_int_equal(b.disk.submits, 0);
            assert_int_equal(d.plat.not_ready, 2 - i); /* asked once a turn */
        }
        assert_true(fake_plat_run_one(&d.plat));
        assert_int_equal(b.disk.submits, 1);
        assert_int_equal(driver_used_count(&d, 0), 1);
        assert_false(fake_plat_run_one(&d.plat));
        assert_memory_equal(driver_ram(&d, DATA), b.disk.data + 5 * 512, 512);
    }
    /* A reset meanwhile: nobody comes back to it. */
    d.plat.not_ready = 1;
    driver_add(&d, 0, seg, 3);
    driver_kick(&d, 0);
    assert_true(fake_plat_run_one(&d.plat));
    driver_reset(&d);
    driver_run(&d);
    driver_start(&d, DRIVER_ALL_FEATURES);
    assert_int_equal(request(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
    driver_finish(&d);
}

static void several_queues(void **state)
{
    struct seg seg[] = {{HEADER, 16, false}, {STATUS, 1, true}};

    setup(DRIVER_ALL_FEATURES);
    header(0, VIRTIO_BLK_T_FLUSH, 0);
    driver_add(&d, 1, seg, 2);
    driver_kick(&d, 1);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 1), 1);
    assert_int_equal(d.msi[2], 1);
    assert_int_equal(d.msi[1], 0);
    driver_finish(&d);
}

/* One queue's budget is what a turn takes, and a queue that is never empty keeps no other one waiting. */
static void queues_take_turns(void **state)
{
    struct seg seg[] = {{HEADER, 16, false}, {STATUS, 1, true}};

    setup(DRIVER_ALL_FEATURES);
    header(0, VIRTIO_BLK_T_FLUSH, 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned q = 0; q < 2; q++) {
            driver_add(&d, q, seg, 2);
            driver_kick(&d, q);
        }
        assert_true(fake_plat_run_one(&d.plat));
        assert_int_equal(driver_used_count(&d, 0), 1);
        assert_int_equal(driver_used_count(&d, 1), 0);
        driver_add(&d, 0, seg, 2);
        driver_kick(&d, 0);
        assert_true(fake_plat_run_one(&d.plat));
        assert_int_equal(driver_used_count(&d, 0), 0);
        assert_int_equal(driver_used_count(&d, 1), 1);
        assert_true(fake_plat_run_one(&d.plat));
        assert_int_equal(driver_used_count(&d, 0), 1);
        assert_false(fake_plat_run_one(&d.plat));
        driver_add(&d, 1, seg, 2); /* the next round begins with the first one again */
        driver_kick(&d, 1);
        driver_run(&d);
        assert_int_equal(driver_used_count(&d, 1), 1);
    }
    driver_finish(&d);
}

/* A request of over a GiB is refused; that is said in memory as untouched as any. */
static void status_not_ready(void **state)
{
    struct seg seg[208] = {{HEADER, 16, false}};
    const uint64_t far = 0x2f0000;

    setup(DRIVER_ALL_FEATURES);
    for (unsigned i = 1; i < 207; i++)
        seg[i] = (struct seg){0x300000, MIB(5), true};
    seg[207] = (struct seg){far, 1, true};
    header(0, VIRTIO_BLK_T_IN, 0);
    d.plat.untouched = driver_ram(&d, far);
    driver_add_indirect(&d, 0, seg, 208);
    driver_kick(&d, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(fake_plat_run_one(&d.plat));
        assert_int_equal(driver_used_count(&d, 0), 0);
    }
    d.plat.untouched = NULL;
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 0), 1);
    assert_int_equal(*(uint8_t *)driver_ram(&d, far), VIRTIO_BLK_S_IOERR);
    driver_finish(&d);
}

/* What there is no memory for waits for what is under way. */
static void little_memory_for_requests(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    b.disk.hold = true;
    b.disk.submits = 0;
    for (unsigned i = 0; i < 4; i++)
        request_add(i, VIRTIO_BLK_T_FLUSH, 0, 0);
    d.plat.fail_after = 2; /* one it has already */
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(b.disk.submits, 2);
    assert_false(driver_needs_reset(&d));
    fake_disk_complete(&b.disk);
    driver_run(&d);
    assert_int_equal(b.disk.submits, 4);
    fake_disk_complete(&b.disk);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 0), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(status(i), VIRTIO_BLK_S_OK);
    driver_finish(&d);
}

/* However many a driver hands in, they take no more than so much of the VM's memory. */
static void requests_are_bounded(void **state)
{
    struct seg seg[] = {{HEADER, 16, false}, {STATUS, 1, true}};
    unsigned before, done = 0;

    setup(DRIVER_ALL_FEATURES);
    driver_reset(&d);
    assert_true(driver_negotiate(&d, DRIVER_ALL_FEATURES & driver_offered(&d)));
    for (unsigned q = 0; q < 2; q++)
        driver_queue_setup(&d, q, 256);
    driver_write(&d, d.common + COMMON_DEVICE_STATUS, driver_status(&d) | VIRTIO_STATUS_DRIVER_OK, 1);
    driver_run(&d);
    header(0, VIRTIO_BLK_T_FLUSH, 0);
    b.disk.hold = true;
    before = d.plat.allocations;
    for (unsigned i = 0; i < 128; i++) {
        driver_add(&d, 0, seg, 2);
        driver_add(&d, 1, seg, 2);
    }
    driver_kick(&d, 0);
    driver_kick(&d, 1);
    driver_run(&d);
    assert_int_equal(b.disk.pending_count, 128);
    assert_in_range(d.plat.allocations, before, before + 128);
    assert_false(driver_needs_reset(&d));
    while (b.disk.pending_count) {
        fake_disk_complete(&b.disk);
        driver_run(&d);
    }
    for (unsigned q = 0; q < 2; q++)
        done += driver_used_count(&d, q);
    assert_int_equal(done, 256);
    driver_finish(&d);
}

static void no_memory_for_requests(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    b.disk.hold = true;
    request_add(0, VIRTIO_BLK_T_FLUSH, 0, 0);
    request_add(1, VIRTIO_BLK_T_FLUSH, 0, 0);
    d.plat.fail_after = 1;
    driver_kick(&d, 0);
    driver_run(&d);
    d.plat.fail_after = 0;
    fake_disk_complete(&b.disk);
    driver_start(&d, DRIVER_ALL_FEATURES);
    b.disk.hold = false;
    assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
    driver_finish(&d);
}

static void bad_backends(void **state)
{
    struct error err = {0};
    struct device *dev = NULL;

    driver_init(&d);
    fake_disk_init(&b.disk);
    assert_int_equal(virtio_blk_create(&d.vm, &d.bus, "x", &b.disk.blk, 0, &dev, &err), -EINVAL);
    assert_int_equal(err.code, EINVAL);
    assert_int_equal(virtio_blk_create(&d.vm, &d.bus, "x", &b.disk.blk, 17, &dev, NULL), -EINVAL);
    b.disk.blk.size = 513;
    assert_int_equal(virtio_blk_create(&d.vm, &d.bus, "x", &b.disk.blk, 1, &dev, NULL), -EINVAL);
    assert_null(dev);
    assert_false(b.disk.closed);
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration),
        cmocka_unit_test(read_and_write),
        cmocka_unit_test(framing_is_free),
        cmocka_unit_test(serial_number),
        cmocka_unit_test(deallocation),
        cmocka_unit_test(write_through_without_flush),
        cmocka_unit_test(backend_errors),
        cmocka_unit_test(out_of_bounds),
        cmocka_unit_test(bad_ranges),
        cmocka_unit_test(unknown_types),
        cmocka_unit_test(no_room_for_header_or_status),
        cmocka_unit_test(read_only_disk),
        cmocka_unit_test(more_in_flight_than_the_queue_has),
        cmocka_unit_test(reset_in_flight),
        cmocka_unit_test(power_on_in_flight),
        cmocka_unit_test(memory_not_ready),
        cmocka_unit_test(several_queues),
        cmocka_unit_test(queues_take_turns),
        cmocka_unit_test(status_not_ready),
        cmocka_unit_test(little_memory_for_requests),
        cmocka_unit_test(requests_are_bounded),
        cmocka_unit_test(no_memory_for_requests),
        cmocka_unit_test(bad_backends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
