/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each device saved in the middle of its work and loaded into a fresh one, which
 * goes on; and streams that somebody made up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/device.h"
#include "core/state-internal.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

#define STREAM_MAX 65536U

static struct driver d, e;
static struct backends b, c;

struct stream {
    struct state_io io;
    uint8_t bytes[STREAM_MAX];
    size_t len;
};

static int append(struct state_io *io, void *buf, size_t len)
{
    struct stream *s = container_of(io, struct stream, io);

    if (len > sizeof(s->bytes) - s->len)
        return -ENOSPC;
    memcpy(s->bytes + s->len, buf, len);
    s->len += len;
    return 0;
}

static struct stream stream;

static const uint8_t *save(struct device *dev, size_t *len)
{
    stream = (struct stream){.io = {append}};
    assert_int_equal(state_save_object(&stream.io, dev->ops->state, dev->id, device_object(dev), NULL), 0);
    *len = stream.len;
    return stream.bytes;
}

/* Loads a record that save() made. */
static int load(struct device *dev, const uint8_t *record, size_t len)
{
    return state_load_object(record + STATE_RECORD_SIZE, len - STATE_RECORD_SIZE, dev->ops->state->version,
                             dev->ops->state, device_object(dev), NULL);
}

/* The same machine again, with the same memory, and the device loaded. */
static struct device *restore(unsigned kind, const uint8_t *record, size_t len)
{
    struct device *dev = bench_make(&e, &c, kind);

    memcpy(e.ram, d.ram, DRIVER_RAM);
    memcpy(e.queue, d.queue, sizeof(e.queue));
    memcpy(c.disk.data, b.disk.data, DISK_SIZE);
    assert_int_equal(load(dev, record, len), 0);
    driver_run(&e);
    return dev;
}

static void blk_request(struct driver *dr, unsigned slot)
{
    uint64_t at = DRIVER_DATA + slot * 0x1000;
    struct seg seg[] = {{at, 16, false}, {at + 512, 512, true}, {at + 64, 1, true}};

    store_le32(driver_ram(dr, at), VIRTIO_BLK_T_IN);
    store_le64(driver_ram(dr, at + 8), slot);
    *(uint8_t *)driver_ram(dr, at + 64) = 0xaa;
    driver_add(dr, 0, seg, 3);
}

static void disk_in_flight(void **state)
{
    struct device *dev = bench_make(&d, &b, KIND_BLK), *again;
    const uint8_t *record;
    size_t len;

    driver_start(&d, DRIVER_ALL_FEATURES);
    b.disk.hold = true;
    memset(b.disk.data, 0x42, DISK_SIZE);
    for (unsigned i = 0; i < 3; i++)
        blk_request(&d, i);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(b.disk.pending_count, 3);
    /* One more that was not even looked at. */
    blk_request(&d, 3);
    record = save(dev, &len);
    assert_int_equal(b.disk.pending_count, 0);
    again = restore(KIND_BLK, record, len);
    assert_true(driver_used_count(&e, 0) == 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(*(uint8_t *)driver_ram(&e, DRIVER_DATA + i * 0x1000 + 64), VIRTIO_BLK_S_OK);
        assert_int_equal(*(uint8_t *)driver_ram(&e, DRIVER_DATA + i * 0x1000 + 1023), 0x42);
    }
    assert_non_null(again);
    driver_finish(&d);
    driver_finish(&e);
}

static void work_a_little(struct driver *dr, unsigned kind)
{
    static const unsigned queue[] = {0, 1, 1, 0, 0};
    struct seg seg = {DRIVER_DATA, 64, kind == KIND_RNG};

    if (kind == KIND_BLK)
        blk_request(dr, 0);
    else
        driver_add(dr, queue[kind], &seg, 1);
    driver_kick(dr, queue[kind]);
    driver_run(dr);
    assert_int_equal(driver_used_count(dr, queue[kind]), 1);
}

static void round_trips(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        struct device *dev = bench_make(&d, &b, k), *again;
        const uint8_t *record;
        size_t len;

        driver_start(&d, DRIVER_ALL_FEATURES);
        for (unsigned i = 0; i < 5; i++)
            work_a_little(&d, k);
        driver_write(&d, d.common + COMMON_QUEUE_SELECT, 0, 2);
        record = save(dev, &len);
        again = restore(k, record, len);
        assert_true(state_equal(dev->ops->state, device_object(dev), device_object(again)));
        assert_int_equal(driver_status(&e), driver_status(&d));
        memset(e.msi, 0, sizeof(e.msi));
        work_a_little(&e, k);
        /* A fresh device is not equal to a used one. */
        again->ops->reset(again);
        assert_false(state_equal(dev->ops->state, device_object(dev), device_object(again)));
        driver_finish(&d);
        driver_finish(&e);
    }
}

/* Reset is power-on: what a used device becomes equals one that was never used. */
static void reset_is_power_on(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        struct device *dev = bench_make(&d, &b, k), *fresh = bench_make(&e, &c, k);

        driver_start(&d, DRIVER_ALL_FEATURES);
        work_a_little(&d, k);
        dev->ops->reset(dev);
        fresh->ops->reset(fresh);
        assert_true(state_equal(dev->ops->state, device_object(dev), device_object(fresh)));
        driver_finish(&d);
        driver_finish(&e);
    }
}

static void console_half_written(void **state)
{
    struct device *dev = bench_make(&d, &b, KIND_CONSOLE);
    struct seg seg = {DRIVER_DATA, 10, false};
    const uint8_t *record;
    size_t len;

    driver_start(&d, BIT64(VIRTIO_F_VERSION_1));
    memcpy(driver_ram(&d, DRIVER_DATA), "0123456789", 10);
    b.tty[0].room = 6;
    driver_add(&d, 1, &seg, 1);
    driver_kick(&d, 1);
    driver_run(&d);
    record = save(dev, &len);
    restore(KIND_CONSOLE, record, len);
    assert_int_equal(c.tty[0].out_len, 4);
    assert_memory_equal(c.tty[0].out, "6789", 4);
    assert_int_equal(driver_used_count(&e, 1), 1);
    driver_finish(&d);
    driver_finish(&e);
}

/* Broken stays broken. */
static void broken_device(void **state)
{
    struct device *dev = bench_make(&d, &b, KIND_RNG);
    const uint8_t *record;
    size_t len;

    driver_start(&d, 0);
    driver_avail(&d, 0, 99);
    driver_kick(&d, 0);
    driver_run(&d);
    record = save(dev, &len);
    restore(KIND_RNG, record, len);
    assert_true(driver_needs_reset(&e));
    driver_start(&e, 0);
    work_a_little(&e, KIND_RNG);
    driver_finish(&d);
    driver_finish(&e);
}

/* Every byte of a stream turned over, and every cut: refused or harmless. */
static void made_up_streams(void **state)
{
    static uint8_t copy[STREAM_MAX];

    for (unsigned k = 0; k < kind_count; k++) {
        struct device *dev = bench_make(&d, &b, k);
        const uint8_t *record;
        size_t len, step, refused = 0;

        driver_start(&d, DRIVER_ALL_FEATURES);
        work_a_little(&d, k);
        record = save(dev, &len);
        memcpy(copy, record, len);
        bench_make(&e, &c, k);
        memcpy(e.ram, d.ram, DRIVER_RAM);
        dev = list_entry(e.vm.devices.next, struct device, link);
        step = len / 3000 + 1;
        for (size_t i = STATE_RECORD_SIZE; i < len; i += step) {
            copy[i] ^= 0xff;
            if (load(dev, copy, len) < 0)
                refused++;
            driver_run(&e);
            copy[i] ^= 0xff;
            if (i % 64 == 0 && load(dev, copy, i) == 0)
                fail_msg("a stream of %zu bytes that was cut at %zu was taken", len, i);
        }
        assert_true(refused > 0);
        /* The last attempt may have left anything: a reset mends it. */
        dev->ops->reset(dev);
        driver_attach(&e);
        driver_start(&e, DRIVER_ALL_FEATURES);
        work_a_little(&e, k);
        driver_finish(&d);
        driver_finish(&e);
    }
}

/* Makes the state one that cannot be; false: no more ways. */
static bool spoil(struct virtio_pci *vp, unsigned what)
{
    struct virtq *q = &vp->virtio.queue[0];

    switch (what) {
    case 0:
        q->size = 3;
        return true;
    case 1:
        q->size = 512;
        return true;
    case 2:
        q->desc_gpa = DRIVER_RAM;
        return true;
    case 3:
        q->used_gpa = ~3ULL;
        return true;
    case 4:
        q->last_avail++;
        return true;
    case 5:
        q->published++;
        return true;
    case 6:
        vp->virtio.features |= BIT64(60);
        return true;
    case 7:
        vp->virtio.status |= 0x20;
        return true;
    case 8:
        vp->virtio.status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        return true;
    case 9:
        vp->virtio.queue[17].ready = true;
        return true;
    case 10:
        vp->virtio.features &= ~BIT64(VIRTIO_F_VERSION_1);
        return true;
    }
    return false;
}

static void impossible_states(void **state)
{
    for (unsigned what = 0;; what++) {
        struct device *dev = bench_make(&d, &b, KIND_RNG), *other;
        struct virtio_pci *vp = container_of(dev, struct virtio_pci, dev);
        const uint8_t *record;
        size_t len;
        bool more;

        driver_start(&d, 0);
        work_a_little(&d, KIND_RNG);
        more = spoil(vp, what);
        if (more) {
            record = save(dev, &len);
            other = bench_make(&e, &c, KIND_RNG);
            if (load(other, record, len) != -EINVAL)
                fail_msg("impossible state %u was taken", what);
            driver_finish(&e);
        }
        driver_finish(&d);
        if (!more)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),       cmocka_unit_test(reset_is_power_on),
        cmocka_unit_test(disk_in_flight),    cmocka_unit_test(console_half_written),
        cmocka_unit_test(broken_device),     cmocka_unit_test(made_up_streams),
        cmocka_unit_test(impossible_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
