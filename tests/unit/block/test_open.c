/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening disks that are not what they should be: one clear sentence each, and nothing left open. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/block.h"
#include "tests/unit/fake-loop.h"
#include "tests/unit/virtio/check.h"

static struct loop *loop;
static char dir[64], path[128];

static int setup(void **state)
{
    strcpy(dir, "/var/tmp/batuta-open-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/disk", dir);
    loop = fake_loop_create();
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    rmdir(dir);
    fake_loop_destroy(loop);
    return 0;
}

static void make(const void *head, size_t len, off_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, head, len), len);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static unsigned descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* It fails with this code and says these words, of which the path is one. */
static void refuse(const struct block_options *o, int code, const char *words)
{
    unsigned before = descriptors(), watches = fake_loop_watches(loop);
    struct error err = {0};
    struct blk *blk = NULL;

    assert_int_equal(block_open(loop, o, &blk, &err), -code);
    assert_int_equal(err.code, code);
    assert_null(blk);
    if (!strstr(err.text, words) || !strstr(err.text, o->path) || strchr(err.text, '\n'))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_int_equal(descriptors(), before);
    assert_int_equal(fake_loop_watches(loop), watches);
}

static struct blk *take(const struct block_options *o)
{
    struct error err = {0};
    struct blk *blk = NULL;

    if (block_open(loop, o, &blk, &err) < 0)
        fail_msg("%s", err.text);
    return blk;
}

static void missing(void **state)
{
    refuse(&(struct block_options){.path = "/nonexistent/disk"}, ENOENT, "no such file");
    refuse(&(struct block_options){.path = path}, ENOENT, "truncate");
}

static void wrong_kinds(void **state)
{
    refuse(&(struct block_options){.path = dir}, EISDIR, "is a directory");
    refuse(&(struct block_options){.path = dir, .read_only = true}, EISDIR, "is a directory");
    refuse(&(struct block_options){.path = "/dev/null"}, EINVAL, "neither a file nor a block device");
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(&(struct block_options){.path = path}, EINVAL,
           "neither a file nor a block device"); /* and does not hang */
}

static void wrong_sizes(void **state)
{
    make("", 0, 0);
    refuse(&(struct block_options){.path = path}, EINVAL, "is empty");
    make("", 0, 1000);
    refuse(&(struct block_options){.path = path}, EINVAL, "not a multiple of 512");
    make("", 0, 1025);
    refuse(&(struct block_options){.path = path, .read_only = true}, EINVAL, "not a multiple of 512");
}

static void other_formats(void **state)
{
    struct blk *blk;

    make("QFI\xfb\0\0\0\3", 8, 65536);
    refuse(&(struct block_options){.path = path}, EINVAL, "looks like qcow2");
    refuse(&(struct block_options){.path = path, .format = "qcow2"}, EINVAL, "is not known");
    blk = take(&(struct block_options){.path = path, .format = "raw"});
    blk->ops->close(blk);
}

static void permissions(void **state)
{
    bool root = geteuid() == 0;
    struct blk *blk;

    make("", 0, 4096);
    chmod(path, 0444);
    chmod(dir, 0755);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    refuse(&(struct block_options){.path = path}, EACCES, ",ro");
    blk = take(&(struct block_options){.path = path, .read_only = true});
    blk->ops->close(blk);
    if (root)
        assert_int_equal(seteuid(0), 0);
    chmod(path, 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    refuse(&(struct block_options){.path = path, .read_only = true}, EACCES, "no permission to read");
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static void locks(void **state)
{
    struct block_options rw = {.path = path}, ro = {.path = path, .read_only = true},
                         snapshot = {.path = path, .snapshot = true};
    struct blk *a, *b;

    make("", 0, 4096);
    a = take(&rw);
    refuse(&rw, EBUSY, "in use by another VM");
    refuse(&ro, EBUSY, "which writes to it");
    refuse(&snapshot, EBUSY, "in use");
    a->ops->close(a);
    a = take(&ro);
    b = take(&snapshot);
    refuse(&rw, EBUSY, "in use");
    b->ops->close(b);
    a->ops->close(a);
    a = take(&rw);
    a->ops->close(a);
}

static void properties(void **state)
{
    struct blk *blk;

    make("", 0, 8192);
    blk = take(&(struct block_options){.path = path, .serial = "a serial number that is too long"});
    assert_int_equal(blk->size, 8192);
    assert_int_equal(blk->block_size, 512);
    assert_string_equal(blk->serial, "a serial number that");
    assert_false(blk->read_only);
    assert_true(blk->can_discard);
    blk->ops->close(blk);
    blk = take(&(struct block_options){.path = path, .read_only = true});
    assert_true(blk->read_only);
    assert_false(blk->can_discard);
    blk->ops->close(blk);
    blk = take(&(struct block_options){.path = path, .snapshot = true});
    assert_string_equal(blk->ops->name, "overlay");
    assert_false(blk->read_only);
    blk->ops->close(blk);
    blk = take(&(struct block_options){.path = path, .io = BLOCK_IO_THREADS});
    assert_string_equal(block_io_name(blk), "threads");
    blk->ops->close(blk);
}

static void store_result(struct blk_req *req, int result)
{
    *(int *)req->opaque = result;
}

static int transfer(struct blk *blk, enum blk_op op, void *buf, size_t len, uint64_t offset)
{
    struct blk_vec vec = {buf, len};
    int result = 1;
    struct blk_req req = {.op = op,
                          .offset = offset,
                          .len = len,
                          .vec = &vec,
                          .vec_count = op <= BLK_WRITE,
                          .done = store_result,
                          .opaque = &result};

    blk->ops->submit(blk, &req);
    blk->ops->drain(blk);
    assert_true(result <= 0);
    return result;
}

/* Somebody cuts the file while we have it. */
static void truncated_underneath(void **state)
{
    static const enum block_io ways[] = {BLOCK_IO_AUTO, BLOCK_IO_THREADS};
    static _Alignas(4096) uint8_t buf[8192];

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        struct blk *blk;

        make("", 0, 8192);
        blk = take(&(struct block_options){.path = path, .io = ways[i]});
        assert_int_equal(transfer(blk, BLK_READ, buf, 8192, 0), 0);
        assert_int_equal(truncate(path, 1024), 0);
        assert_int_equal(transfer(blk, BLK_READ, buf, 8192, 0), -EIO);
        assert_int_equal(transfer(blk, BLK_READ, buf, 512, 4096), -EIO);
        assert_int_equal(transfer(blk, BLK_READ, buf, 1024, 0), 0);
        blk->ops->close(blk);
    }
}

/* The host's limit of a file's size stands for a full disk: part of a write goes through, and the rest says
 * why. */
static void no_space(void **state)
{
    static const enum block_io ways[] = {BLOCK_IO_AUTO, BLOCK_IO_THREADS};
    struct rlimit old, small = {65536, RLIM_INFINITY};
    static _Alignas(4096) uint8_t buf[16384];

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        struct blk *blk;

        make("", 0, 1 << 20);
        blk = take(&(struct block_options){.path = path, .io = ways[i]});
        getrlimit(RLIMIT_FSIZE, &old);
        small.rlim_max = old.rlim_max;
        setrlimit(RLIMIT_FSIZE, &small);
        assert_int_equal(transfer(blk, BLK_WRITE, buf, 16384, 65536 - 8192), -EFBIG);
        assert_int_equal(transfer(blk, BLK_WRITE, buf, 16384, 0), 0);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(transfer(blk, BLK_WRITE, buf, 16384, 65536), 0);
        assert_int_equal(transfer(blk, BLK_FLUSH, NULL, 0, 0), 0);
        blk->ops->close(blk);
    }
}

/* A write that fails leaves the layer as it was: what is read is still the base's. */
static void overlay_out_of_space(void **state)
{
    static _Alignas(4096) uint8_t buf[16384];
    struct rlimit old, small = {65536, RLIM_INFINITY};
    struct blk *blk;

    make("", 0, 1 << 20);
    memset(buf, 0x11, sizeof(buf));
    blk = take(&(struct block_options){.path = path});
    assert_int_equal(transfer(blk, BLK_WRITE, buf, 16384, 65536), 0);
    blk->ops->close(blk);
    blk = take(&(struct block_options){.path = path, .snapshot = true});
    memset(buf, 0x22, sizeof(buf));
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(transfer(blk, BLK_WRITE, buf, 16384, 65536), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(transfer(blk, BLK_READ, buf, 16384, 65536), 0);
    for (unsigned i = 0; i < sizeof(buf); i++)
        assert_int_equal(buf[i], 0x11);
    blk->ops->close(blk);
}

static void full_device(void **state)
{
    struct stat st;
    static _Alignas(4096) uint8_t buf[4096];
    struct blk *blk;
    char command[256];
    int result = 0;

    /* A tiny file system, where we may mount one. */
    snprintf(command, sizeof(command), "mount -t tmpfs -o size=64k none %s 2>/dev/null", dir);
    if (geteuid() != 0 || system(command) != 0) {
        print_message("cannot mount here\n");
        skip();
    }
    make("", 0, 1 << 20);
    blk = take(&(struct block_options){.path = path});
    for (unsigned i = 0; i < 256 && !result; i++)
        result = transfer(blk, BLK_WRITE, buf, sizeof(buf), i * 4096);
    blk->ops->close(blk);
    assert_int_equal(stat(path, &st), 0);
    snprintf(command, sizeof(command), "umount -l %s", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(result, -ENOSPC);
}

static void holes(void **state)
{
    static _Alignas(4096) uint8_t buf[1 << 20];
    struct stat st;
    struct blk *blk;

    make("", 0, 1 << 20);
    blk = take(&(struct block_options){.path = path});
    memset(buf, 0xee, sizeof(buf));
    assert_int_equal(transfer(blk, BLK_WRITE, buf, sizeof(buf), 0), 0);
    assert_int_equal(transfer(blk, BLK_FLUSH, NULL, 0, 0), 0);
    stat(path, &st);
    if (st.st_blocks < 2048) {
        blk->ops->close(blk);
        skip();
    }
    assert_int_equal(transfer(blk, BLK_DISCARD, NULL, 1 << 19, 0), 0);
    stat(path, &st);
    assert_true(st.st_blocks <= 1024 + 64);
    assert_int_equal(st.st_size, 1 << 20);
    blk->ops->close(blk);
}

static void no_temporary_directory(void **state)
{
    struct error err = {0};
    struct blk *blk = NULL;
    unsigned before;

    make("", 0, 8192);
    setenv("TMPDIR", "/nonexistent", 1);
    before = descriptors();
    assert_true(block_open(loop, &(struct block_options){.path = path, .snapshot = true}, &blk, &err) < 0);
    assert_non_null(strstr(err.text, "TMPDIR"));
    assert_int_equal(descriptors(), before);
    unsetenv("TMPDIR");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(missing),
        T(wrong_kinds),
        T(wrong_sizes),
        T(other_formats),
        T(permissions),
        T(locks),
        T(properties),
        T(truncated_underneath),
        T(no_space),
        T(full_device),
        T(overlay_out_of_space),
        T(holes),
        T(no_temporary_directory),
    };

    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
