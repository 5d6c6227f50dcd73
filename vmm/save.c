/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state stream to and from a file, through a buffer. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/state.h"
#include "vmm/vmm.h"

#define BUFFER MIB(1)

struct file_io {
    struct state_io io;
    int fd, signals; /* signals: reading ends when one has come */
    uint8_t *buf;
    size_t len, at; /* writing: len bytes wait; reading: at of len are used */
};

static int flush(struct file_io *f)
{
    size_t done = 0;

    while (done < f->len) {
        ssize_t n = write(f->fd, f->buf + done, f->len - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    f->len = 0;
    return 0;
}

static int put(struct state_io *io, void *buf, size_t len)
{
    struct file_io *f = container_of(io, struct file_io, io);
    const uint8_t *p = buf;

    while (len) {
        size_t n = MIN(len, BUFFER - f->len);
        int r;

        memcpy(f->buf + f->len, p, n);
        f->len += n;
        p += n;
        len -= n;
        r = f->len == BUFFER ? flush(f) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_more(struct file_io *f)
{
    struct pollfd p[] = {{.fd = f->fd, .events = POLLIN}, {.fd = f->signals, .events = POLLIN}};
    ssize_t got = poll(p, 2, -1) < 0 ? -1 : 0;

    if (got == 0 && p[1].revents)
        return -ECANCELED;
    if (got == 0)
        got = read(f->fd, f->buf, BUFFER);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    f->len = (size_t)got;
    f->at = 0;
    return got ? 0 : -EPIPE;
}

static int get(struct state_io *io, void *buf, size_t len)
{
    struct file_io *f = container_of(io, struct file_io, io);
    uint8_t *p = buf;

    while (len) {
        size_t n = MIN(len, f->len - f->at);

        if (!n) {
            int r = read_more(f);

            if (r < 0)
                return r;
            continue;
        }
        memcpy(p, f->buf + f->at, n);
        f->at += n;
        p += n;
        len -= n;
    }
    return 0;
}

/*
 * The file gets its name when it is whole. Until then it has none, where the file
 * system can do that, so that nothing stays behind if we are killed; else one that
 * tells what it is. temporary has room for the path and 8 bytes more.
 */
static int make_unnamed(const char *path, char *temporary)
{
    char *slash;
    int fd;

    strcpy(temporary, path);
    slash = strrchr(temporary, '/');
    if (slash)
        slash[1] = '\0';
    fd = open(slash ? temporary : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    temporary[0] = '\0';
    if (fd < 0) {
        strcpy(temporary, path);
        strcat(temporary, ".XXXXXX");
        fd = mkostemp(temporary, O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

static int give_name(int fd, const char *path, char *temporary)
{
    char link[40];

    if (fsync(fd) < 0)
        return -errno;
    if (!temporary[0]) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
        /* A name can only be taken over by a rename. */
        sprintf(temporary, "%s.%06x", path, (unsigned)getpid() & 0xffffff);
        unlink(temporary);
        if (linkat(AT_FDCWD, link, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
            return -errno;
    }
    return rename(temporary, path) < 0 ? -errno : 0;
}

static int save_to(struct vmm *vmm, struct file_io *f, const char *path, char *temporary, struct error *err)
{
    struct stat st;
    int r;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return error_set(err, EINVAL, "%s: exists and is not a file: choose another path", path);
    f->fd = make_unnamed(path, temporary);
    if (f->fd < 0)
        return error_set(err, -f->fd, "%s: cannot be made: %s", path, strerror(-f->fd));
    r = vm_save(&vmm->vm, &f->io, err);
    if (r < 0) {
        error_prefix(err, "%s", path);
    } else {
        r = flush(f);
        r = r < 0 ? r : give_name(f->fd, path, temporary);
        if (r < 0)
            error_set(err, -r, "%s: cannot be written: %s", path, strerror(-r));
    }
    if (r < 0 && temporary[0])
        unlink(temporary);
    close(f->fd);
    return r;
}

int vmm_save(struct vmm *vmm, const char *path, struct error *err)
{
    struct file_io f = {.io.transfer = put, .fd = -1, .buf = malloc(BUFFER)};
    char *temporary = malloc(strlen(path) + 8);
    int r =
        f.buf && temporary ? save_to(vmm, &f, path, temporary, err) : error_set(err, ENOMEM, "out of memory");

    free(temporary);
    free(f.buf);
    return r;
}

int vmm_load(struct vmm *vmm, struct error *err)
{
    struct file_io f = {
        .io.transfer = get, .fd = vmm->load_fd, .signals = vmm->signals.fd, .buf = malloc(BUFFER)};
    int r = f.buf ? vm_load(&vmm->vm, &f.io, err) : error_set(err, ENOMEM, "out of memory");

    if (r == -ECANCELED)
        *err = (struct error){.code = ECANCELED, .text = "interrupted"};
    error_prefix(err, "--load %s", vmm->options.load);
    close(vmm->load_fd);
    vmm->load_fd = -1;
    free(f.buf);
    return r;
}

/* ---- --save-at-ns ---- */

/* On the I/O thread: a timer's callback may not pause the VM it runs in. */
static void save_now(void *opaque)
{
    struct vmm *vmm = opaque;
    struct error err = {0};

    if (vmm->vm.state == VM_SHUTDOWN)
        return;
    vm_pause(&vmm->vm);
    vmm->saved = vmm_save(vmm, vmm->options.save, &err) == 0;
    vmm->save_failed = !vmm->saved;
    if (vmm->save_failed)
        vm_log(&vmm->vm, LOG_ERROR, "--save: %s", err.text);
    vm_request_shutdown(&vmm->vm, VM_SHUTDOWN_HOST);
}

static void save_due(void *opaque)
{
    struct vmm *vmm = opaque;

    loop_defer(vmm->loop, &vmm->save_work);
}

void vmm_save_arm(struct vmm *vmm)
{
    if (!vmm->options.save_at)
        return;
    vmm->save_work = (struct plat_work){.fn = save_now, .opaque = vmm};
    timer_init(&vmm->save_timer, &vmm->vm, "save", save_due, vmm);
    timer_arm(&vmm->save_timer, vmm->options.save_at);
}
