/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of consoles: standard input and output, pty, unix socket, file, none. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/console-internal.h"

static struct chardev *fail(struct stream *s, int r, struct error *err, const char *what)
{
    error_set(err, -r, "%s: %s", what, strerror(-r));
    s->chardev.ops->close(&s->chardev);
    return NULL;
}

/* ---- stdio ---- */

/*
 * A descriptor of our own that does not block, so that the shell's and our
 * parent's do not change their mode: terminals and pipes can be opened again.
 */
static int own_descriptor(int fd, int access)
{
    char path[32];
    struct stat st;
    int own = -1;

    if (fstat(fd, &st) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
        own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* The end of piped input is nothing special; the loss of a terminal or of our output is. */
static void stdio_gone(struct stream *s, const char *why)
{
    bool terminal = s->escape != NULL;

    if (!why && !terminal)
        return;
    s->gone = NULL;
    terminal_restore();
    stream_shut(s);
    s->host.lost(s->host.opaque, why ? why : "the terminal was closed");
}

static void stdio_destroy(struct stream *s)
{
    terminal_restore();
}

struct chardev *console_stdio_create(const struct console_host *host, struct error *err)
{
    struct stream *s = stream_create(host, err);
    bool terminal = isatty(STDIN_FILENO), foreground = terminal && terminal_is_ours(STDIN_FILENO);
    int r;

    if (!s)
        return NULL;
    s->gone = stdio_gone;
    s->destroy = stdio_destroy;
    s->is_socket = is_socket(STDOUT_FILENO);
    if (foreground) {
        r = terminal_raw(STDIN_FILENO);
        if (r < 0)
            return fail(s, r, err, "the terminal cannot be set up");
        s->escape = &s->escape_state;
    }
    /* In the background, what is typed is for others. */
    r = stream_open(s, terminal && !foreground ? -1 : own_descriptor(STDIN_FILENO, O_RDONLY),
                    own_descriptor(STDOUT_FILENO, O_WRONLY));
    return r < 0 ? fail(s, r, err, "the console on standard input and output") : &s->chardev;
}

/* ---- pty ---- */

static void pty_destroy(struct stream *s)
{
    close(s->pty_slave);
}

struct chardev *console_pty_create(const struct console_host *host, char *path, size_t size,
                                   struct error *err)
{
    struct stream *s = stream_create(host, err);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), slave, r;
    struct termios t;

    if (!s)
        return NULL;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, path, size) != 0)
        return fail(s, -errno, err, "cannot make a pty");
    /* We keep the other side open ourselves: without a reader the master would report a hang-up, and lose
     * output. */
    slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return fail(s, -errno, err, "cannot open the pty");
    s->pty_slave = slave;
    s->destroy = pty_destroy;
    s->lossy = true;
    if (tcgetattr(slave, &t) < 0)
        return fail(s, -errno, err, "cannot set the pty up");
    cfmakeraw(&t);
    tcsetattr(slave, TCSANOW, &t);
    r = stream_open(s, master, master);
    return r < 0 ? fail(s, r, err, "cannot watch the pty") : &s->chardev;
}

/* ---- unix socket ---- */

static void unix_gone(struct stream *s, const char *why)
{
    bool waiting = s->wants_write;

    stream_shut(s);
    s->wants_write = false;
    s->chardev.connected = false;
    if (s->chardev.connection)
        s->chardev.connection(s->chardev.device, false);
    /* What waited for the client is lost, not stuck. */
    if (waiting)
        loop_defer(s->host.loop, &s->tell);
    unix_listener_pause(&s->listener, false);
}

static void unix_accepted(void *opaque, int fd)
{
    struct stream *s = opaque;

    if (stream_open(s, fd, fd) < 0) {
        stream_shut(s);
        return;
    }
    unix_listener_pause(&s->listener, true); /* the next client waits for this one's end */
    if (s->chardev.connection)
        s->chardev.connection(s->chardev.device, true);
}

static void unix_destroy(struct stream *s)
{
    unix_listener_close(&s->listener);
}

struct chardev *console_unix_create(const struct console_host *host, const char *path, struct error *err)
{
    struct stream *s = stream_create(host, err);

    if (!s)
        return NULL;
    s->is_socket = true;
    s->gone = unix_gone;
    s->destroy = unix_destroy;
    s->listener.accepted = unix_accepted;
    s->listener.opaque = s;
    if (unix_listener_open(&s->listener, host->loop, path, err) < 0) {
        s->chardev.ops->close(&s->chardev);
        return NULL;
    }
    return &s->chardev;
}

/* ---- file ---- */

static void file_gone(struct stream *s, const char *why)
{
    if (!why || s->out.fd < 0)
        return;
    s->gone = NULL;
    stream_shut(s);
    s->host.lost(s->host.opaque, why);
}

struct chardev *console_file_create(const struct console_host *host, const char *path, struct error *err)
{
    struct stream *s = stream_create(host, err);
    int fd, r;

    if (!s)
        return NULL;
    s->gone = file_gone;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (fd < 0)
        return fail(s, -errno, err, path);
    r = stream_open(s, -1, fd);
    return r < 0 ? fail(s, r, err, path) : &s->chardev;
}

struct chardev *console_null_create(struct error *err)
{
    struct stream *s = stream_create(NULL, err);

    if (!s)
        return NULL;
    s->in_ended = true;
    return &s->chardev;
}
