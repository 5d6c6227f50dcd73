/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a path to a disk: what it is, whether somebody else has it, how it wants to
 * be accessed; each way this fails is told in a sentence.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/raw-internal.h"

#define SECTOR 512U

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* ---- opening ---- */

static int open_failed(const struct block_options *o, bool read_only, int e, struct error *err)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return error_set(err, e, "disk %s: there is no such file (truncate -s 10G FILE makes an empty one)",
                         o->path);
    case EACCES:
    case EPERM:
        if (!read_only)
            return error_set(err, e,
                             "disk %s: no permission to read and write it; make it writable, or add ,ro "
                             "(read-only) or --snapshot (throw writes away)",
                             o->path);
        return error_set(err, e, "disk %s: no permission to read it", o->path);
    case EROFS:
        return error_set(err, e, "disk %s: its file system is read-only; add ,ro or --snapshot", o->path);
    case EISDIR:
        return error_set(err, e, "disk %s: is a directory, not a disk image or block device", o->path);
    case ENXIO:
    case ENODEV:
    case ENOMEDIUM:
        return error_set(err, e, "disk %s: there is no device or no medium behind it", o->path);
    case ETXTBSY:
        return error_set(err, e, "disk %s: is in use as a program or swap space", o->path);
    }
    return error_set(err, e, "disk %s: cannot open it: %s", o->path, strerror(e));
}

static int kind_check(const struct block_options *o, const struct stat *st, struct error *err)
{
    if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
        return 0;
    if (S_ISDIR(st->st_mode))
        return open_failed(o, o->read_only, EISDIR, err);
    return error_set(err, EINVAL, "disk %s: is neither a file nor a block device", o->path);
}

static int size_find(const struct block_options *o, int fd, const struct stat *st, uint64_t *size,
                     struct error *err)
{
    uint64_t n = (uint64_t)st->st_size;

    if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, &n) < 0)
        return error_set(err, errno, "disk %s: the device does not tell its size: %s", o->path,
                         strerror(errno));
    if (!n)
        return error_set(err, EINVAL, "disk %s: is empty (truncate -s 10G %s gives it a size)", o->path,
                         o->path);
    if (n % SECTOR)
        return error_set(
            err, EINVAL,
            "disk %s: its size, %llu bytes, is not a multiple of 512: it is cut short, or no raw "
            "disk image (truncate -s %%512 %s rounds it up)",
            o->path, (unsigned long long)n, o->path);
    *size = n;
    return 0;
}

/* ---- formats that we would misread ---- */

static const struct {
    const char *name, *magic;
    unsigned len;
} foreign_formats[] = {
    {"qcow2", "QFI\xfb", 4},
    {"vmdk", "KDMV", 4},
    {"vhdx", "vhdxfile", 8},
    {"vhd", "conectix", 8},
    {"vdi", "<<< Oracle VM VirtualBox Disk Image >>>", 39},
    {"gzip", "\x1f\x8b\x08", 3},
    {"xz",
     "\xfd"
     "7zXZ",
     5},
    {"zstd", "\x28\xb5\x2f\xfd", 4},
};

static int format_check(const struct block_options *o, int fd, struct error *err)
{
    char head[64] = {0};

    if (o->format && strcmp(o->format, "raw") == 0)
        return 0;
    if (o->format)
        return error_set(err, EINVAL, "disk %s: format %s is not known; known is: raw", o->path, o->format);
    if (pread(fd, head, sizeof(head), 0) < 0)
        return error_set(err, errno, "disk %s: cannot read it: %s", o->path, strerror(errno));
    for (unsigned i = 0; i < ARRAY_SIZE(foreign_formats); i++) {
        if (memcmp(head, foreign_formats[i].magic, foreign_formats[i].len) == 0)
            return error_set(
                err, EINVAL,
                "disk %s: looks like %s, and only raw images are supported: convert it (for disk "
                "formats, qemu-img convert -O raw), or say format=raw if it is raw nevertheless",
                o->path, foreign_formats[i].name);
    }
    return 0;
}

/* ---- who else has it ---- */

/* Open file description locks over the whole file: they end with the descriptor, however the program ends. */
static int lock_take(const struct block_options *o, int fd, bool read_only, struct error *err)
{
    struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (o->no_lock || fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return error_set(
            err, EBUSY,
            "disk %s: is in use by another VM%s; stop that one, or use a copy, or add ,ro there and "
            "here",
            o->path, read_only ? ", which writes to it" : "");
    return error_set(err, errno,
                     "disk %s: its file system cannot lock files (%s); add ,lock=off if you are "
                     "sure that nobody else uses it",
                     o->path, strerror(errno));
}

/* ---- how it wants to be accessed ---- */

/* Does a read of `block` bytes into memory aligned to `align`, and to no more, get through O_DIRECT? */
static bool direct_reads(int fd, uint32_t block, uint32_t align)
{
    uint8_t *buf = aligned_alloc(8192, 16384);
    bool ok = buf && pread(fd, buf + align, block, block) >= 0 &&
              pread(fd, buf + align, block, 0) == (ssize_t)block;

    free(buf);
    return ok;
}

static void direct_probe(struct raw_config *c)
{
    static const uint32_t alignments[] = {512, 4096};
    int flags = fcntl(c->fd, F_GETFL);

    if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_DIRECT) < 0)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(alignments); i++) {
        if (direct_reads(c->fd, c->block_size, alignments[i])) {
            c->direct = true;
            c->mem_align = alignments[i];
            return;
        }
    }
    fcntl(c->fd, F_SETFL, flags);
}

static int direct_choose(const struct block_options *o, struct raw_config *c, struct error *err)
{
    if (o->direct != BLOCK_DIRECT_OFF)
        direct_probe(c);
    if (o->direct == BLOCK_DIRECT_ON && !c->direct)
        return error_set(err, EINVAL,
                         "disk %s: its file system does not do direct I/O in blocks of %u bytes; "
                         "leave direct=on out",
                         o->path, c->block_size);
    return 0;
}

static void block_size_find(struct raw_config *c)
{
    int n;

    c->block_size = SECTOR;
    if (c->device && ioctl(c->fd, BLKSSZGET, &n) == 0 && n == 4096 && c->size % 4096 == 0)
        c->block_size = 4096;
}

static int raw_open(struct loop *loop, const struct block_options *o, struct blk **out, struct error *err)
{
    bool read_only = o->read_only || o->snapshot;
    __attribute__((cleanup(close_fd))) int fd = -1;
    struct raw_config c = {.read_only = read_only, .io = o->io};
    struct stat st;
    int r;

    /* Before opening: that alone may block on a pipe, or rewind a tape. */
    if (stat(o->path, &st) < 0)
        return open_failed(o, read_only, errno, err);
    r = kind_check(o, &st, err);
    if (r < 0)
        return r;
    fd = open(o->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return open_failed(o, read_only, errno, err);
    /* io_uring would answer "again" where it must wait. */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    c.fd = fd;
    c.device = S_ISBLK(st.st_mode);
    if ((r = kind_check(o, &st, err)) < 0 || (r = lock_take(o, fd, read_only, err)) < 0 ||
        (r = size_find(o, fd, &st, &c.size, err)) < 0 || (r = format_check(o, fd, err)) < 0)
        return r;
    block_size_find(&c);
    r = direct_choose(o, &c, err);
    if (r < 0)
        return r;
    r = raw_create(loop, &c, out, err);
    if (r < 0) {
        error_prefix(err, "disk %s", o->path);
        return r;
    }
    fd = -1;
    return 0;
}

int block_open(struct loop *loop, const struct block_options *o, struct blk **out, struct error *err)
{
    struct blk *blk, *layer;
    int r;

    r = raw_open(loop, o, &blk, err);
    if (r < 0)
        return r;
    if (o->snapshot && !o->read_only) {
        r = block_overlay(loop, blk, o->io, &layer, err);
        if (r < 0) {
            blk->ops->close(blk);
            return r;
        }
        blk = layer;
    }
    if (o->serial)
        strncpy(blk->serial, o->serial, sizeof(blk->serial) - 1);
    *out = blk;
    return 0;
}
