/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "vmm/boot/boot-internal.h"

/* What a pipe may hold before we stop believing that it ends. */
#define STREAM_MAX GIB(4)

/* A pipe or device cannot be read twice, but resets will want to: keep its bytes in an anonymous file. */
static int slurp(struct boot_image *image, struct error *err)
{
    int copy = memfd_create("batuta-boot", MFD_CLOEXEC);
    uint64_t size = 0;
    char buf[65536];

    if (copy < 0)
        return error_set(err, errno, "%s: cannot keep a copy of it: %s", image->path, strerror(errno));
    for (;;) {
        ssize_t n = read(image->fd, buf, sizeof(buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (n > 0 && (size + (uint64_t)n > STREAM_MAX || write(copy, buf, (size_t)n) != n))) {
            int code = n < 0 ? errno : EFBIG;

            close(copy);
            return error_set(err, code, "%s: cannot be read: %s", image->path, strerror(code));
        }
        if (n == 0)
            break;
        size += (uint64_t)n;
    }
    close(image->fd);
    image->fd = copy;
    image->size = size;
    return 0;
}

static int check_opened(struct boot_image *image, struct error *err)
{
    struct stat st;

    if (fstat(image->fd, &st) < 0)
        return error_set(err, errno, "%s: %s", image->path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, EISDIR, "%s: is a directory, not a file", image->path);
    if (!S_ISREG(st.st_mode))
        return slurp(image, err);
    image->size = (uint64_t)st.st_size;
    return 0;
}

int boot_image_open(struct boot_image *image, const char *path, struct error *err)
{
    int r;

    *image = (struct boot_image){.fd = -1, .path = strdup(path)};
    if (!image->path)
        return error_set(err, ENOMEM, "out of memory");
    image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (image->fd < 0) {
        r = error_set(err, errno, "%s: cannot be opened: %s", path, strerror(errno));
    } else {
        r = check_opened(image, err);
        if (r == 0 && image->size == 0)
            r = error_set(err, EINVAL, "%s: is empty", path);
    }
    if (r < 0)
        boot_image_close(image);
    return r;
}

void boot_image_close(struct boot_image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    free(image->path);
    *image = (struct boot_image){.fd = -1};
}

int boot_image_read(const struct boot_image *image, uint64_t offset, void *buf, uint64_t len,
                    struct error *err)
{
    uint8_t *p = buf;

    if (!range_inside(offset, len, image->size))
        return error_set(err, EINVAL, "%s: is truncated: %llu bytes at offset %llu are missing", image->path,
                         (unsigned long long)len, (unsigned long long)offset);
    if (image->data) {
        memcpy(buf, image->data + offset, len);
        return 0;
    }
    while (len) {
        ssize_t n = pread(image->fd, p, MIN(len, 0x40000000ULL), (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, errno, "%s: cannot be read: %s", image->path, strerror(errno));
        if (n == 0)
            return error_set(err, EIO, "%s: became shorter while it was read", image->path);
        p += n;
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}
