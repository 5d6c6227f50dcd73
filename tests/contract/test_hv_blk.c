/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor's disks pass the suite: in memory, and slices of one behind the virtio driver. */
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/blk.h"
#include "hv/drv/disk.h"
#include "hv/drv/host-pci.h"
#include "hv/drv/ramdisk.h"
#include "tests/contract/blk-suite.h"
#include "tests/unit/fake-loop.h"
#include "tests/unit/hv-drv/host.h"
#include "tests/unit/virtio/check.h"

#define SIZE MIB(3)

static struct fake_plat vm;
static struct loop *loop;
static uint8_t content[SIZE];

static void prepare(void *opaque, int *timeout_ms)
{
    *timeout_ms = 0;
}

/* A turn of the loop: the machine's devices, its interrupts, the VM's I/O thread. */
static void turn(void *opaque)
{
    host_run();
    fake_plat_run_work(&vm);
}

static struct loop_hook hook = {.prepare = prepare, .check = turn};

static void store_result(struct blk_req *req, int result)
{
    *(int *)req->opaque = result;
}

static void run(const char *name, struct blk *blk, void (*inject)(struct blk_subject *s, unsigned n))
{
    struct blk_subject s = {.name = name, .blk = blk, .loop = loop, .inject = inject};

    blk_suite_run(&s);
    fake_plat_stop(&vm, true);
    blk->ops->close(blk);
    assert_int_equal(vm.allocations, 0);
}

static int setup(void **state)
{
    host_init();
    fake_plat_init(&vm);
    loop = fake_loop_create();
    loop_hook_add(loop, &hook);
    return 0;
}

static int teardown(void **state)
{
    loop_hook_remove(loop, &hook);
    fake_loop_destroy(loop);
    host_finish();
    return 0;
}

static void empty(void **state)
{
    struct blk *blk;

    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, SIZE, false, &blk, NULL), 0);
    run("ramdisk", blk, NULL);
}

static void over_a_module(void **state)
{
    static uint8_t module[SIZE - 1000], before[SIZE - 1000];
    struct blk *blk;

    for (unsigned i = 0; i < sizeof(module); i++)
        before[i] = module[i] = (uint8_t)(i * 31 + i / 777);
    assert_int_equal(ramdisk_create(&vm.plat, module, sizeof(module), SIZE, false, &blk, NULL), 0);
    blk_suite_read(blk, content);
    assert_memory_equal(content, module, sizeof(module));
    assert_int_equal(content[SIZE - 1], 0);
    run("ramdisk over a module", blk, NULL);
    assert_memory_equal(module, before, sizeof(module));
}

static void read_only_module(void **state)
{
    struct blk *blk;

    memset(content, 0, SIZE);
    assert_int_equal(ramdisk_create(&vm.plat, content, 1000, 0, true, &blk, NULL), 0);
    assert_int_equal(blk->size, 1024);
    run("module, read-only", blk, NULL);
}

static int request(struct blk *blk, enum blk_op op, uint64_t offset, void *buf, uint64_t len)
{
    struct blk_vec vec = {buf, len};
    int result = 1;
    struct blk_req req = {.op = op,
                          .offset = offset,
                          .len = len,
                          .vec = &vec,
                          .vec_count = buf != NULL,
                          .done = store_result,
                          .opaque = &result};

    blk->ops->submit(blk, &req);
    blk_kick(blk);
    while (result == 1)
        turn(NULL);
    return result;
}

/* A VM whose memory is used up gets errors; what was written before is there, and discarding helps. */
static void out_of_memory(void **state)
{
    static uint8_t data[KIB(192)], back[KIB(192)];
    struct blk *blk;

    memset(data, 0x77, sizeof(data));
    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, SIZE, false, &blk, NULL), 0);
    vm.fail_after = 3;
    assert_int_equal(request(blk, BLK_WRITE, 0, data, sizeof(data)), -ENOSPC);
    assert_int_equal(request(blk, BLK_READ, 0, back, sizeof(back)), 0);
    assert_memory_equal(data, back, KIB(128));
    assert_int_equal(back[KIB(128)], 0);
    assert_int_equal(vm.allocations, 3);
    assert_int_equal(request(blk, BLK_DISCARD, 0, NULL, KIB(128)), 0);
    assert_int_equal(vm.allocations, 1);
    assert_int_equal(request(blk, BLK_READ, SIZE - 512, back, 1024), -EIO);
    /* What waits when nobody wants it any more is not done. */
    {
        struct blk_vec vec = {data, sizeof(data)};
        int result = 1;
        struct blk_req req = {.op = BLK_WRITE,
                              .len = sizeof(data),
                              .vec = &vec,
                              .vec_count = 1,
                              .done = store_result,
                              .opaque = &result};

        blk->ops->submit(blk, &req);
        blk->ops->cancel(blk);
        assert_int_equal(result, -ECANCELED);
        fake_plat_run_work(&vm);
        assert_int_equal(vm.allocations, 1);
    }
    fake_plat_stop(&vm, true);
    blk->ops->close(blk);
    assert_int_equal(vm.allocations, 0);
}

/* A VM that starts again finds what it wrote. */
static void kept(void **state)
{
    uint8_t data[512], back[512];
    struct blk *blk;

    memset(data, 0x33, sizeof(data));
    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, SIZE, false, &blk, NULL), 0);
    ramdisk_keep(blk, true);
    assert_int_equal(request(blk, BLK_WRITE, 0, data, sizeof(data)), 0);
    fake_plat_stop(&vm, true);
    blk->ops->close(blk);
    fake_plat_stop(&vm, false);
    assert_int_equal(request(blk, BLK_READ, 0, back, sizeof(back)), 0);
    assert_memory_equal(data, back, sizeof(data));
    ramdisk_keep(blk, false);
    fake_plat_stop(&vm, true);
    blk->ops->close(blk);
    assert_int_equal(vm.allocations, 0);
}

static void wrong_sizes(void **state)
{
    struct error err = {0};
    struct blk *blk;

    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, 0, false, &blk, &err), -EINVAL);
    assert_string_equal(err.text,
                        "a ramdisk's size must be a multiple of 512 from 512 to 4398046511104, not 0");
    assert_int_equal(ramdisk_create(&vm.plat, content, 1000, 512, false, &blk, NULL), -EINVAL);
    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, 1000, false, &blk, NULL), -EINVAL);
    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, ~511ULL, false, &blk, NULL), -EINVAL);
    vm.fail_after = 1;
    err = (struct error){0};
    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, MIB(8), false, &blk, &err), -ENOMEM);
    assert_string_equal(err.text, "no memory for a ramdisk of 8 MiB");
}

static void inject(struct blk_subject *s, unsigned n)
{
    faulty_fail(s->blk, -EIO, n);
}

static void faults_above(void **state)
{
    struct blk *blk;

    assert_int_equal(ramdisk_create(&vm.plat, NULL, 0, SIZE, false, &blk, NULL), 0);
    run("faulty ramdisk", faulty_create(blk), inject);
}

/* ---- behind the driver ---- */

static struct blk *backing;
static unsigned machines; /* disks keep their numbers */

static struct blk *slice_make(uint32_t block_size, bool faulty)
{
    struct blk *blk;

    assert_int_equal(ramdisk_create(&host.plat.plat, NULL, 0, 2 * SIZE, false, &backing, NULL), 0);
    backing->block_size = block_size;
    if (faulty)
        backing = faulty_create(backing);
    assert_int_equal(virtio_blk_create(&host.vm, &host.bus, "disk0", backing, 1, NULL, NULL), 0);
    host_boot();
    host_pci_scan();
    assert_int_equal(disk_open(machines++, MIB(1), SIZE, false, &vm.plat, &blk, NULL), 0);
    return blk;
}

static void slice(void **state)
{
    run("slice", slice_make(512, false), NULL);
}

static void slice_of_large_blocks(void **state)
{
    run("slice, 4 KiB", slice_make(4096, false), NULL);
}

static void inject_below(struct blk_subject *s, unsigned n)
{
    faulty_fail(backing, -EIO, n);
}

static void slice_over_faults(void **state)
{
    run("slice over faults", slice_make(512, true), inject_below);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(empty),
        TEST(over_a_module),
        TEST(read_only_module),
        TEST(out_of_memory),
        TEST(wrong_sizes),
        TEST(kept),
        TEST(faults_above),
        TEST(slice),
        TEST(slice_of_large_blocks),
        TEST(slice_over_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
