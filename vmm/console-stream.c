/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/console-internal.h"

#define PATIENCE_MS 2000

static struct stream *stream_of(struct chardev *chardev)
{
    return container_of(chardev, struct stream, chardev);
}

static void gone(struct stream *s, const char *why)
{
    if (s->gone)
        s->gone(s, why);
}

/* Which events the descriptors are watched for, from the stream's state. */
static void update_watches(struct stream *s)
{
    bool room = s->pending_len == 0 && !s->in_ended;
    unsigned in = (room ? LOOP_READ : 0) | (s->out_shared && s->wants_write ? LOOP_WRITE : 0);

    if (s->in_watched)
        loop_change(s->host.loop, &s->in, in);
    else if (s->in_plain && room)
        loop_defer(s->host.loop, &s->pump);
    if (s->out_watched && !s->out_shared)
        loop_change(s->host.loop, &s->out, s->wants_write ? LOOP_WRITE : 0);
}

/* ---- input ---- */

static void deliver(struct stream *s)
{
    while (s->pending_at < s->pending_len) {
        size_t left = s->pending_len - s->pending_at, taken = left;

        if (s->chardev.receive) /* nobody there: it is lost, as on an unplugged line */
            taken = s->chardev.receive(s->chardev.device, s->pending + s->pending_at, left);
        s->pending_at += MIN(taken, left);
        if (taken < left)
            return;
    }
    s->pending_at = s->pending_len = 0;
}

/* Takes the escapes out of what was typed. */
static size_t filter(struct stream *s, uint8_t *buf, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        enum escape_action action;
        uint8_t out;

        if (escape_key(s->escape, buf[i], &out, &action))
            buf[kept++] = out;
        else if (action != ESCAPE_NONE)
            s->host.escape(s->host.opaque, action);
    }
    return kept;
}

static void read_input(struct stream *s)
{
    ssize_t n;

    if (s->pending_len || s->in_ended || s->in.fd < 0)
        return;
    n = read(s->in.fd, s->pending, sizeof(s->pending));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        s->in_ended = true;
        update_watches(s);
        gone(s, n < 0 ? strerror(errno) : NULL);
        return;
    }
    s->pending_len = s->escape ? filter(s, s->pending, (size_t)n) : (size_t)n;
    deliver(s);
    update_watches(s);
}

static void pump(void *opaque)
{
    struct stream *s = opaque;

    read_input(s);
}

static void op_resume(struct chardev *chardev)
{
    struct stream *s = stream_of(chardev);

    if (!s->pending_len)
        return;
    deliver(s);
    update_watches(s);
}

/* ---- output ---- */

static ssize_t put(struct stream *s, const uint8_t *buf, size_t len)
{
    if (s->is_socket)
        return send(s->out.fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return write(s->out.fd, buf, len);
}

static bool wait_for_reader(const struct stream *s)
{
    struct pollfd p = {.fd = s->out.fd, .events = POLLOUT};
    bool room = !s->lossy && poll(&p, 1, PATIENCE_MS) > 0;

    errno = EAGAIN;
    return room && !(p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* What cannot be written because nobody is there, or ever will be, is taken and lost: a guest must not hang
 * on it. */
static size_t op_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct stream *s = stream_of(chardev);
    size_t done = 0;

    while (done < len && s->out.fd >= 0) {
        ssize_t n = put(s, buf + done, len - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN && s->host.patient && wait_for_reader(s)) {
            continue;
        } else if (n < 0 && errno == EAGAIN && (s->lossy || s->host.patient)) {
            return len;
        } else if (n < 0 && errno == EAGAIN && s->out_watched) {
            s->wants_write = true;
            update_watches(s);
            return done;
        } else if (n == 0 || errno != EINTR) {
            gone(s, strerror(n == 0 ? EIO : errno));
            return len;
        }
    }
    return len;
}

static void can_write(struct stream *s)
{
    s->wants_write = false;
    update_watches(s);
    if (s->chardev.writable)
        s->chardev.writable(s->chardev.device);
}

static void tell(void *opaque)
{
    struct stream *s = opaque;

    if (s->chardev.writable)
        s->chardev.writable(s->chardev.device);
}

static void in_event(void *opaque, unsigned events)
{
    struct stream *s = opaque;

    if (events & LOOP_WRITE && s->wants_write)
        can_write(s);
    if (!s->in_watched)
        return;
    if (events & LOOP_READ || (events & LOOP_HANGUP && !s->pending_len)) {
        read_input(s);
    } else if (events & LOOP_HANGUP) {
        /* Input waits that the device has not taken: do not spin on the hang-up meanwhile. */
        loop_unwatch(s->host.loop, &s->in);
        s->in_watched = false;
        s->in_plain = true;
    }
    /* An ended input that stays open in the other direction would report its end forever. */
    if (s->in_ended && s->in_watched && !s->out_shared) {
        loop_unwatch(s->host.loop, &s->in);
        s->in_watched = false;
    }
}

static void out_event(void *opaque, unsigned events)
{
    struct stream *s = opaque;

    if (events & LOOP_WRITE && s->wants_write)
        can_write(s);
    if (events & LOOP_HANGUP && !(events & LOOP_WRITE))
        gone(s, "hung up");
}

/* ---- life ---- */

static void op_close(struct chardev *chardev)
{
    struct stream *s = stream_of(chardev);

    stream_shut(s);
    if (s->destroy)
        s->destroy(s);
    free(s);
}

static const struct chardev_ops ops = {
    .name = "stream",
    .write = op_write,
    .resume = op_resume,
    .close = op_close,
};

struct stream *stream_create(const struct console_host *host, struct error *err)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    s->chardev.ops = &ops;
    if (host)
        s->host = *host;
    s->in.fd = s->out.fd = -1;
    s->pump = (struct plat_work){.fn = pump, .opaque = s};
    s->tell = (struct plat_work){.fn = tell, .opaque = s};
    return s;
}

int stream_open(struct stream *s, int in, int out)
{
    int r;

    s->in = (struct loop_fd){.fd = in, .events = LOOP_READ, .fn = in_event, .opaque = s};
    s->out = (struct loop_fd){.fd = out, .fn = out_event, .opaque = s};
    s->out_shared = in >= 0 && in == out;
    s->in_ended = in < 0;
    s->pending_len = s->pending_at = 0;
    s->wants_write = false;
    if (in >= 0) {
        r = loop_watch(s->host.loop, &s->in);
        if (r < 0 && r != -EPERM)
            return r;
        s->in_watched = r == 0;
        s->in_plain = r < 0;
    }
    if (s->out_shared) {
        s->out_watched = s->in_watched;
    } else if (out >= 0) {
        r = loop_watch(s->host.loop, &s->out);
        if (r < 0 && r != -EPERM)
            return r;
        s->out_watched = r == 0;
    }
    s->chardev.connected = true;
    if (s->in_plain)
        loop_defer(s->host.loop, &s->pump);
    return 0;
}

void stream_shut(struct stream *s)
{
    if (s->in_watched)
        loop_unwatch(s->host.loop, &s->in);
    if (s->out_watched && !s->out_shared)
        loop_unwatch(s->host.loop, &s->out);
    s->in_watched = s->out_watched = false;
    if (s->out.fd >= 0 && !s->out_shared)
        close(s->out.fd);
    if (s->in.fd >= 0)
        close(s->in.fd);
    s->in.fd = s->out.fd = -1;
    s->in_plain = false;
    s->pending_len = s->pending_at = 0;
}

void console_close(struct chardev *chardev)
{
    if (chardev)
        chardev->ops->close(chardev);
}
