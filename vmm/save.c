/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state stream to and from a file, through a buffer. */
#include <fcntl.h>
#include <poll.h>
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

int vmm_save(struct vmm *vmm, const char *path, struct error *err)
{
    struct file_io f = {.io.transfer = put, .fd = -1, .buf = malloc(BUFFER)};
    char *temporary = NULL;
    struct stat st;
    int r = 0;

    /* The new file takes the place of the old one, which had better be a file. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        free(f.buf);
        return error_set(err, EINVAL, "%s: exists and is not a file: choose another path", path);
    }
    if (!f.buf || asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        free(f.buf);
        return error_set(err, ENOMEM, "out of memory");
    }
    f.fd = mkostemp(temporary, O_CLOEXEC);
    if (f.fd < 0)
        r = error_set(err, errno, "%s: cannot be made: %s", path, strerror(errno));
    else if ((r = vm_save(&vmm->vm, &f.io, err)) < 0)
        error_prefix(err, "%s", path);
    else if ((r = flush(&f)) < 0 || (rename(temporary, path) < 0 && (r = -errno)))
        error_set(err, -r, "%s: cannot be written: %s", path, strerror(-r));
    if (r < 0 && f.fd >= 0)
        unlink(temporary);
    if (f.fd >= 0)
        close(f.fd);
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
    timer_init(&vmm->save_timer, &vmm->vm, save_due, vmm);
    timer_arm(&vmm->save_timer, vmm->options.save_at);
}
