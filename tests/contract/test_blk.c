/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every implementation of a disk passes the suite. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "tests/contract/blk-suite.h"
#include "tests/unit/fake-loop.h"
#include "tests/unit/virtio/check.h"

#define SIZE (3U << 20)

static struct loop *loop;
static char path[64];
static uint8_t content[SIZE];

static void file_make(void)
{
    int fd;

    strcpy(path, "/var/tmp/batuta-blk-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 31 + i / 777);
    assert_int_equal(write(fd, content, SIZE), SIZE);
    close(fd);
    loop = fake_loop_create();
}

static void file_drop(void)
{
    unlink(path);
    fake_loop_destroy(loop);
}

static struct blk *disk_open(enum block_io io, enum block_direct direct, bool snapshot)
{
    struct block_options o = {
        .path = path, .format = "raw", .io = io, .direct = direct, .snapshot = snapshot};
    struct error err = {0};
    struct blk *blk = NULL;

    if (block_open(loop, &o, &blk, &err) < 0)
        fail_msg("%s", err.text);
    return blk;
}

static void run(const char *name, struct blk *blk, void (*inject)(struct blk_subject *s, unsigned n))
{
    struct blk_subject s = {.name = name, .blk = blk, .loop = loop, .inject = inject};

    blk_suite_run(&s);
    blk->ops->close(blk);
}

static void uring_direct(void **state)
{
    if (block_probe_uring() < 0) {
        print_message("no io_uring here\n");
        skip();
    }
    file_make();
    run("uring, direct", disk_open(BLOCK_IO_URING, BLOCK_DIRECT_AUTO, false), NULL);
    file_drop();
}

static void uring_buffered(void **state)
{
    if (block_probe_uring() < 0) {
        print_message("no io_uring here\n");
        skip();
    }
    file_make();
    run("uring, buffered", disk_open(BLOCK_IO_URING, BLOCK_DIRECT_OFF, false), NULL);
    file_drop();
}

static void threads_direct(void **state)
{
    file_make();
    run("threads, direct", disk_open(BLOCK_IO_THREADS, BLOCK_DIRECT_AUTO, false), NULL);
    file_drop();
}

static void threads_buffered(void **state)
{
    file_make();
    run("threads, buffered", disk_open(BLOCK_IO_THREADS, BLOCK_DIRECT_OFF, false), NULL);
    file_drop();
}

static void base_is_untouched(void)
{
    uint8_t *now = malloc(SIZE);
    int fd = open(path, O_RDONLY);

    assert_int_equal(read(fd, now, SIZE), SIZE);
    assert_memory_equal(now, content, SIZE);
    close(fd);
    free(now);
}

static void overlay(void **state)
{
    file_make();
    run("overlay", disk_open(BLOCK_IO_AUTO, BLOCK_DIRECT_AUTO, true), NULL);
    base_is_untouched();
    file_drop();
}

static void inject(struct blk_subject *s, unsigned n)
{
    faulty_fail(s->blk, -EIO, n);
}

static void faults_above_raw(void **state)
{
    file_make();
    run("faulty raw", faulty_create(disk_open(BLOCK_IO_AUTO, BLOCK_DIRECT_AUTO, false)), inject);
    file_drop();
}

static struct blk *faulty_base;

static void inject_below(struct blk_subject *s, unsigned n)
{
    faulty_fail(faulty_base, -EIO, n);
}

/* An overlay above a disk whose reads fail, which delays and reorders. */
static void faults_below_overlay(void **state)
{
    struct error err = {0};
    struct blk *blk;

    file_make();
    faulty_base = faulty_create(disk_open(BLOCK_IO_AUTO, BLOCK_DIRECT_AUTO, false));
    assert_int_equal(block_overlay(loop, faulty_base, BLOCK_IO_AUTO, &blk, &err), 0);
    run("overlay over faults", blk, inject_below);
    file_drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uring_direct),
        cmocka_unit_test(uring_buffered),
        cmocka_unit_test(threads_direct),
        cmocka_unit_test(threads_buffered),
        cmocka_unit_test(overlay),
        cmocka_unit_test(faults_above_raw),
        cmocka_unit_test(faults_below_overlay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
