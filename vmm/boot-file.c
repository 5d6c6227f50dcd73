/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/boot-file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a pipe may hold before we stop believing that it ends. */
#define STREAM_MAX GIB(4)

/* A pipe or device cannot be read twice, but resets will want to: keep its bytes in an anonymous file. */
static int slurp(struct boot_source *file, struct error *err)
{
    int copy = memfd_create("batuta-boot", MFD_CLOEXEC);
    uint64_t size = 0;
    char buf[65536];

    if (copy < 0)
        return error_set(err, errno, "%s: cannot keep a copy of it: %s", file->name, strerror(errno));
    for (;;) {
        ssize_t n = read(file->fd, buf, sizeof(buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (n > 0 && (size + (uint64_t)n > STREAM_MAX || write(copy, buf, (size_t)n) != n))) {
            int code = n < 0 ? errno : EFBIG;

            close(copy);
            return error_set(err, code, "%s: cannot be read: %s", file->name, strerror(code));
        }
        if (n == 0)
            break;
        size += (uint64_t)n;
    }
    close(file->fd);
    file->fd = copy;
    file->size = size;
    return 0;
}

static int check_opened(struct boot_source *file, struct error *err)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0)
        return error_set(err, errno, "%s: %s", file->name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, EISDIR, "%s: is a directory, not a file", file->name);
    if (!S_ISREG(st.st_mode))
        return slurp(file, err);
    file->size = (uint64_t)st.st_size;
    return 0;
}

static int file_read(const struct boot_source *file, uint64_t offset, void *buf, uint64_t len,
                     struct error *err)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = pread(file->fd, p, MIN(len, 0x40000000ULL), (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, errno, "%s: cannot be read: %s", file->name, strerror(errno));
        if (n == 0)
            return error_set(err, EIO, "%s: became shorter while it was read", file->name);
        p += n;
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static void file_close(struct boot_source *file)
{
    close(file->fd);
}

static int file_open(struct boot_source *file, const char *path, struct error *err)
{
    static const struct boot_source_ops ops = {.read = file_read, .close = file_close};
    int r;

    *file =
        (struct boot_source){.name = path, .ops = &ops, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (file->fd < 0)
        return error_set(err, errno, "%s: cannot be opened: %s", path, strerror(errno));
    r = check_opened(file, err);
    if (r < 0)
        close(file->fd);
    return r;
}

int boot_open_files(struct boot **out, struct plat *plat, const struct boot_config *config, struct error *err)
{
    struct boot_source file;
    struct boot *boot = NULL;
    int r = file_open(&file, config->kernel, err);

    r = r < 0 ? r : boot_open(&boot, plat, config->protocol, &file, config->append, err);
    for (unsigned i = 0; r == 0 && i < config->module_count; i++) {
        r = file_open(&file, config->modules[i].path, err);
        r = r < 0 ? r : boot_add_module(boot, &file, config->modules[i].cmdline, err);
    }
    if (r < 0) {
        boot_close(boot);
        return r;
    }
    *out = boot;
    return 0;
}
