/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of the machine and slices of them, over batuta's own virtio disk with a ramdisk behind it. */
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/blk.h"
#include "hv/drv/disk.h"
#include "hv/drv/host-pci.h"
#include "hv/drv/ramdisk.h"
#include "tests/unit/hv-drv/host.h"
#include "tests/unit/virtio/check.h"

#define SIZE MIB(16)

/* virtio:0 an ordinary disk, virtio:1 can only be read, virtio:2 is the one that breaks. */
static uint8_t content[SIZE];
static struct blk *backing[3];
static struct fake_plat vm; /* the VM that has a slice */
static struct error err;

static int machine_make(void **state)
{
    host_init();
    for (unsigned i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 13 + i / 4093);
    for (unsigned i = 0; i < 3; i++) {
        char id[] = "disk0";

        id[4] = (char)('0' + i);
        assert_int_equal(ramdisk_create(&host.plat.plat, content, SIZE, 0, i == 1, &backing[i], &err), 0);
        memcpy(backing[i]->serial, id, 6);
        assert_int_equal(virtio_blk_create(&host.vm, &host.bus, id, backing[i], 1, NULL, &err), 0);
    }
    host_boot();
    host_pci_scan();
    fake_plat_init(&vm);
    return 0;
}

static int machine_drop(void **state)
{
    host_finish();
    assert_int_equal(vm.allocations, 0);
    return 0;
}

static struct blk *slice_open(unsigned number, uint64_t offset, uint64_t size, bool read_only)
{
    struct blk *blk = NULL;

    err = (struct error){0};
    if (disk_open(number, offset, size, read_only, &vm.plat, &blk, &err) < 0)
        return NULL;
    return blk;
}

/* As a VM's end does. */
static void slice_close(struct blk *blk)
{
    fake_plat_stop(&vm, true);
    blk->ops->close(blk);
    fake_plat_stop(&vm, false);
}

static void run_all(void)
{
    do {
        host_run();
        fake_plat_run_work(&vm);
    } while (host.plat.work || vm.work);
    host_run();
}

#define UNDER_WAY 1

static void store_result(struct blk_req *req, int result)
{
    *(int *)req->opaque = result;
}

static int request(struct blk *blk, enum blk_op op, uint64_t offset, void *buf, uint64_t len)
{
    struct blk_vec vec = {buf, len};
    int result = UNDER_WAY;
    struct blk_req req = {.op = op,
                          .offset = offset,
                          .len = len,
                          .vec = &vec,
                          .vec_count = buf != NULL,
                          .done = store_result,
                          .opaque = &result};

    blk->ops->submit(blk, &req);
    blk_kick(blk);
    run_all();
    return result;
}

static void finds_them(void **state)
{
    struct disk *d = disk_get(0);

    assert_non_null(d);
    assert_int_equal(d->size, SIZE);
    assert_int_equal(d->block_size, 512);
    assert_string_equal(d->serial, "disk0");
    assert_string_equal(host_pci_get(0)->driver, "virtio-blk");
    assert_false(d->read_only);
    assert_true(d->max_discard && d->max_write_zeroes);
    assert_true(disk_get(1)->read_only);
    assert_null(disk_get(3));
    assert_null(host_pci_get(3));
}

static void reads_and_writes(void **state)
{
    static uint8_t buf[MIB(5)], back[MIB(5)];
    struct blk *blk = slice_open(0, MIB(1), MIB(8), false);
    unsigned irqs = host.irqs_taken;

    assert_non_null(blk);
    assert_int_equal(blk->size, MIB(8));
    assert_string_equal(blk->serial, "disk0");
    assert_int_equal(request(blk, BLK_READ, 512, buf, sizeof(buf)), 0);
    assert_memory_equal(buf, content + MIB(1) + 512, sizeof(buf));
    assert_true(host.irqs_taken > irqs);
    memset(buf, 0x5a, sizeof(buf));
    assert_int_equal(request(blk, BLK_WRITE, MIB(3), buf, sizeof(buf)), 0);
    assert_int_equal(request(blk, BLK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(request(blk, BLK_READ, MIB(3), back, sizeof(back)), 0);
    assert_memory_equal(buf, back, sizeof(back));
    assert_int_equal(request(blk, BLK_WRITE_ZEROES, MIB(3), NULL, MIB(4)), 0);
    memset(buf, 0, MIB(4));
    assert_int_equal(request(blk, BLK_READ, MIB(3), back, sizeof(back)), 0);
    assert_memory_equal(buf, back, sizeof(back));
    assert_int_equal(request(blk, BLK_DISCARD, MIB(3), NULL, MIB(4)), 0);
    /* Outside of the slice is another's, whatever is on the disk. */
    assert_int_equal(request(blk, BLK_READ, MIB(8), back, 512), -EIO);
    assert_int_equal(request(blk, BLK_WRITE, MIB(8) - 512, buf, 1024), -EIO);
    assert_int_equal(request(blk, BLK_DISCARD, ~511ULL, NULL, 1024), -EIO);
    assert_int_equal(request(blk, BLK_READ, 1, back, 512), -EIO);
    assert_int_equal(request(blk, BLK_READ, 512, back, 100), -EIO);
    slice_close(blk);
}

/* Pieces of 7 bytes: more segments than a request has, and blocks that must be put together. */
static void scattered(void **state)
{
    struct blk *blk = slice_open(0, 0, 0, false);
    static struct blk_vec vec[BLK_MAX_VECS];
    int result = UNDER_WAY;
    struct blk_req req = {
        .op = BLK_READ, .offset = MIB(12), .len = 3584, .vec = vec, .done = store_result, .opaque = &result};
    size_t at = 0;

    for (unsigned i = 0; i < BLK_MAX_VECS && at < 3584; i++) {
        size_t n = i < 200 ? 7 : 3584 - at;

        vec[i] = (struct blk_vec){malloc(n), n};
        memset(vec[i].base, 0, n);
        at += n;
        req.vec_count++;
    }
    blk->ops->submit(blk, &req);
    blk_kick(blk);
    run_all();
    assert_int_equal(result, 0);
    at = MIB(12);
    for (unsigned i = 0; i < req.vec_count; i++) {
        assert_memory_equal(vec[i].base, content + at, vec[i].len);
        memset(vec[i].base, (int)i, vec[i].len);
        at += vec[i].len;
    }
    req.op = BLK_WRITE;
    result = UNDER_WAY;
    blk->ops->submit(blk, &req);
    blk->ops->drain(blk);
    assert_int_equal(result, 0);
    {
        uint8_t back[3584], *p = back;

        assert_int_equal(request(blk, BLK_READ, MIB(12), back, sizeof(back)), 0);
        for (unsigned i = 0; i < req.vec_count; i++) {
            assert_memory_equal(p, vec[i].base, vec[i].len);
            p += vec[i].len;
            free(vec[i].base);
        }
    }
    slice_close(blk);
}

static void shares(void **state)
{
    struct blk *a = slice_open(0, 0, MIB(4), false), *b = slice_open(0, MIB(4), MIB(4), false), *c;

    assert_non_null(a);
    assert_non_null(b);
    assert_null(slice_open(0, MIB(7), MIB(2), true));
    assert_string_equal(
        err.text, "disk virtio:0: another VM has a part of it, and one of them may write; give each its "
                  "own offset and size, or ro to both");
    c = slice_open(0, MIB(8), 0, true);
    assert_non_null(c);
    assert_int_equal(c->size, MIB(8));
    slice_close(b);
    b = slice_open(0, MIB(8), MIB(1), true);
    assert_non_null(b);
    assert_int_equal(request(b, BLK_WRITE, 0, content, 512), -EIO);
    assert_int_equal(request(b, BLK_FLUSH, 0, NULL, 0), 0);
    assert_null(slice_open(0, 0, 0, false));
    slice_close(a);
    slice_close(b);
    slice_close(c);
}

static void refuses(void **state)
{
    assert_null(slice_open(7, 0, 0, false));
    assert_string_equal(err.text, "disk virtio:7: the machine has 3 such disks");
    assert_null(slice_open(1, 0, 0, false));
    assert_string_equal(err.text, "disk virtio:1: can only be read: say ro");
    assert_null(slice_open(0, SIZE, 0, false));
    assert_null(slice_open(0, 512, SIZE, false));
    assert_string_equal(err.text, "disk virtio:0: has 16777216 bytes; 16777216 from 512 on are too many");
    assert_null(slice_open(0, 100, 0, false));
    assert_string_equal(err.text, "disk virtio:0: offset and size must be multiples of its blocks of 512");
    for (unsigned n = 1; n < 3; n++) {
        vm.fail_after = n;
        assert_null(slice_open(0, 0, 0, false));
        assert_string_equal(err.text, "disk virtio:0: no memory for its requests");
        assert_int_equal(vm.allocations, 0);
    }
}

/* Two VMs at one device: what one has waiting does not keep the other out. */
static void fair(void **state)
{
    struct blk *a = slice_open(0, 0, MIB(8), false), *b = slice_open(0, MIB(10), MIB(2), false);
    static uint8_t big[MIB(8)], small[512];
    struct blk_vec vec[2] = {{big, sizeof(big)}, {small, sizeof(small)}};
    int result[2] = {UNDER_WAY, UNDER_WAY};
    struct blk_req req[2];

    for (unsigned i = 0; i < 2; i++)
        req[i] = (struct blk_req){.op = BLK_READ,
                                  .len = vec[i].len,
                                  .vec = &vec[i],
                                  .vec_count = 1,
                                  .done = store_result,
                                  .opaque = &result[i]};
    a->ops->submit(a, &req[0]);
    blk_kick(a);
    b->ops->submit(b, &req[1]);
    b->ops->drain(b);
    assert_int_equal(result[1], 0);
    assert_memory_equal(small, content + MIB(10), 512);
    a->ops->drain(a);
    assert_int_equal(result[0], 0);
    slice_close(a);
    slice_close(b);
}

/* A guest that resets its disk does not wait for what it queued. */
static void cancels(void **state)
{
    struct blk *blk = slice_open(0, 0, 0, false);
    static uint8_t big[SIZE];
    struct blk_vec vec = {big, sizeof(big)};
    int result[2] = {UNDER_WAY, UNDER_WAY};
    struct blk_req req[2];

    for (unsigned i = 0; i < 2; i++) {
        req[i] = (struct blk_req){.op = BLK_READ,
                                  .len = SIZE,
                                  .vec = &vec,
                                  .vec_count = 1,
                                  .done = store_result,
                                  .opaque = &result[i]};
        blk->ops->submit(blk, &req[i]);
    }
    memset(big, 0, sizeof(big));
    blk_kick(blk);
    blk->ops->cancel(blk);
    blk->ops->drain(blk);
    assert_int_equal(result[0], -ECANCELED);
    assert_int_equal(result[1], -ECANCELED);
    assert_memory_equal(big, content, MIB(1)); /* what the device had came */
    assert_int_equal(big[SIZE - 1] | big[SIZE - 2], 0);
    assert_int_equal(request(blk, BLK_READ, 0, big, 512), 0);
    slice_close(blk);
}

static struct blk_req read_request(struct blk_vec *vec, int *result)
{
    *result = UNDER_WAY;
    return (struct blk_req){
        .op = BLK_READ, .len = vec->len, .vec = vec, .vec_count = 1, .done = store_result, .opaque = result};
}

/* A flush takes as long as it takes: nobody's disk is given up for that, and who waits for it sleeps. */
static void a_long_flush(void **state)
{
    struct blk *blk = slice_open(0, 0, MIB(1), false), *other = slice_open(0, MIB(1), 0, false);
    static uint8_t buf[4096];
    struct blk_vec vec = {buf, sizeof(buf)};
    int result[2] = {UNDER_WAY, UNDER_WAY};
    struct blk_req flush = {.op = BLK_FLUSH, .done = store_result, .opaque = &result[0]};
    struct blk_req read = read_request(&vec, &result[1]);

    host.frozen = true;
    host.thaw = host.now + 100 * 1000000000ULL;
    host.slept = 0;
    blk->ops->submit(blk, &flush);
    blk_kick(blk);
    other->ops->submit(other, &read);
    blk_kick(other);
    slice_close(blk);
    assert_int_equal(result[0], 0);
    assert_false(disk_get(0)->dead);
    assert_true(host.slept > 0);
    host.thaw = 0;
    other->ops->drain(other);
    assert_int_equal(result[1], 0);
    slice_close(other);
}

/* ---- a device that serves one of two VMs only, as slowly as can be ---- */

static struct disk_io *kept[64]; /* in the order of their coming */
static unsigned kept_count;
static uint64_t kept_until; /* then comes the write */
static uint64_t last_read;

static int unfair_start(struct disk *disk, struct disk_io *io)
{
    kept[kept_count++] = io;
    return 0;
}

static void unfair_kick(struct disk *disk)
{
}

static int unfair_poll(struct disk *disk)
{
    for (unsigned i = 0; i < kept_count; i++) {
        struct disk_io *io = kept[i];

        if (io->op == BLK_WRITE ? host.now < kept_until : host.now < last_read + 10 * 1000000000ULL)
            continue;
        last_read = host.now;
        memmove(kept + i, kept + i + 1, (--kept_count - i) * sizeof(kept[0]));
        disk_io_done(disk, io, 0);
        break;
    }
    return 0;
}

static void unfair_stop(struct disk *disk)
{
    kept_count = 0;
}

static const struct disk_ops unfair_ops = {
    .name = "unfair", .start = unfair_start, .kick = unfair_kick, .poll = unfair_poll, .stop = unfair_stop};

/* As long as anything of anybody comes back it is alive. */
static void a_device_that_gets_on(void **state)
{
    static struct disk disk = {.ops = &unfair_ops,
                               .where = "here",
                               .size = SIZE,
                               .block_size = 512,
                               .max_segments = DISK_MAX_SEGMENTS};
    unsigned number = (unsigned)disk_add(&disk);
    struct blk *a = slice_open(number, 0, MIB(4), false), *b = slice_open(number, MIB(4), MIB(8), false);
    static uint8_t big[MIB(8)], small[512];
    struct blk_vec vec[2] = {{small, sizeof(small)}, {big, sizeof(big)}};
    int result[2];
    struct blk_req req[2] = {read_request(&vec[0], &result[0]), read_request(&vec[1], &result[1])};

    req[0].op = BLK_WRITE;
    last_read = host.now;
    kept_until = host.now + 120 * 1000000000ULL;
    for (unsigned i = 0; i < 2; i++) {
        struct blk *blk = i ? b : a;

        blk->ops->submit(blk, &req[i]);
        blk_kick(blk);
    }
    slice_close(a);
    assert_int_equal(result[0], 0);
    assert_false(disk.dead);
    b->ops->drain(b);
    assert_int_equal(result[1], 0);
    /* And now nothing does. */
    result[1] = UNDER_WAY;
    last_read = host.now + 1000 * 1000000000ULL;
    b->ops->submit(b, &req[1]);
    blk_kick(b);
    kept_until = host.now;
    slice_close(b);
    assert_int_equal(result[1], -EIO);
    assert_in_range(host.now - kept_until, 30 * 1000000000ULL, 40 * 1000000000ULL);
}

static void a_device_that_is_silent(void **state)
{
    struct blk *blk = slice_open(2, 0, MIB(1), false), *other = slice_open(2, MIB(1), 0, false);
    static uint8_t buf[4096];
    struct blk_vec vec = {buf, sizeof(buf)};
    int result[2] = {UNDER_WAY, UNDER_WAY};
    struct blk_req req[2];

    for (unsigned i = 0; i < 2; i++)
        req[i] = (struct blk_req){.op = BLK_READ,
                                  .len = 4096,
                                  .vec = &vec,
                                  .vec_count = 1,
                                  .done = store_result,
                                  .opaque = &result[i]};
    host.frozen = true;
    blk->ops->submit(blk, &req[0]);
    blk_kick(blk);
    other->ops->submit(other, &req[1]);
    blk_kick(other);
    /* It does not answer at all; after a while nobody waits any more. */
    blk->ops->drain(blk);
    host.frozen = false;
    assert_int_equal(result[0], -EIO);
    assert_true(disk_get(2)->dead);
    assert_non_null(strstr(host.last_log, "the disk does not work as it must, and is given up"));
    run_all();
    assert_int_equal(result[1], -EIO);
    assert_int_equal(request(blk, BLK_READ, 0, buf, 512), -EIO);
    assert_int_equal(request(blk, BLK_FLUSH, 0, NULL, 0), -EIO);
    slice_close(blk);
    slice_close(other);
}

/* A VM that ends does not work off first what it asked of a disk in memory, which may be seconds. */
static void a_ramdisk_ends_at_once(void **state)
{
    static uint8_t big[SIZE];
    struct blk_vec vec = {big, sizeof(big)};
    struct blk_req req[2];
    struct blk *blk;
    int result[2];

    assert_int_equal(ramdisk_create(&vm.plat, content, SIZE, 0, false, &blk, &err), 0);
    ramdisk_keep(blk, true);
    for (unsigned i = 0; i < 2; i++) {
        req[i] = read_request(&vec, &result[i]);
        blk->ops->submit(blk, &req[i]);
    }
    memset(big, 0, sizeof(big));
    slice_close(blk);
    assert_int_equal(result[0], -ECANCELED);
    assert_int_equal(result[1], -ECANCELED);
    assert_int_equal(big[1], 0);
    assert_int_equal(request(blk, BLK_READ, 0, big, SIZE), 0); /* at its next start */
    assert_memory_equal(big, content, SIZE);
    ramdisk_keep(blk, false);
    slice_close(blk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_them),
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(scattered),
        cmocka_unit_test(shares),
        cmocka_unit_test(refuses),
        cmocka_unit_test(fair),
        cmocka_unit_test(cancels),
        cmocka_unit_test(a_long_flush),
        cmocka_unit_test(a_device_that_gets_on),
        cmocka_unit_test(a_ramdisk_ends_at_once),
        cmocka_unit_test(a_device_that_is_silent),
    };

    return cmocka_run_group_tests(tests, machine_make, machine_drop);
}
