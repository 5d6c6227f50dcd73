/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode networking by libslirp. Its sockets are watched by the loop: before each
 * sleep it says which of them matter, after each wake it hears which are ready.
 * Frames that the NIC has no room for wait in a bounded queue.
 */
#include <arpa/inet.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "core/loop.h"
#include "net/gate.h"
#include "net/hostfwd.h"
#include "net/net.h"

#define QUEUE_MAX_BYTES MIB(1)

/* A socket of libslirp's that the loop watches. Its place in the array is the index that libslirp knows. */
struct slirp_fd {
    struct slirp_net *owner;
    struct loop_fd watch; /* fd -1: free */
    int wanted, ready;    /* SLIRP_POLL_* */
    unsigned round;       /* of the last prepare() that wanted it */
};

struct frame {
    struct list_node link;
    size_t len;
    uint8_t data[];
};

struct slirp_timer {
    struct loop_timer timer;
    struct slirp_net *owner;
    SlirpTimerId id;
    void *cb_opaque;
};

struct slirp_net {
    struct net net;
    struct loop *loop;
    Slirp *slirp;
    struct loop_hook hook;
    struct loop_timer wake; /* gets the loop to ask libslirp again */
    struct slirp_fd **fd;   /* each allocated: the loop keeps pointers */
    unsigned fd_count;
    unsigned round;
    bool ready; /* some fd is */
    bool ipv6;
    struct list_node queue; /* of struct frame: for the guest */
    size_t queued;
    uint8_t tx[NET_FRAME_MAX];
};

/* ---- frames to the guest ---- */

static bool deliver(struct slirp_net *s, const void *buf, size_t len)
{
    return !s->net.nic || s->net.receive(s->net.nic, buf, len);
}

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
    struct slirp_net *s = opaque;
    struct frame *f;

    if (list_empty(&s->queue) && deliver(s, buf, len))
        return (ssize_t)len;
    if (s->queued + len > QUEUE_MAX_BYTES || !(f = malloc(sizeof(*f) + len)))
        return (ssize_t)len; /* lost, as on a busy wire */
    f->len = len;
    memcpy(f->data, buf, len);
    list_insert(&s->queue, &f->link);
    s->queued += len;
    return (ssize_t)len;
}

static void frame_drop(struct slirp_net *s, struct frame *f)
{
    list_remove(&f->link);
    s->queued -= f->len;
    free(f);
}

static void slirp_resume(struct net *net)
{
    struct slirp_net *s = container_of(net, struct slirp_net, net);
    struct frame *f, *tmp;

    list_for_each_safe (f, tmp, &s->queue, link) {
        if (!deliver(s, f->data, f->len))
            return;
        frame_drop(s, f);
    }
}

/* ---- frames from the guest ---- */

static void wake(struct slirp_net *s)
{
    if (!s->wake.deadline)
        loop_timer_set(s->loop, &s->wake, loop_now(s->loop));
}

static void slirp_send(struct net *net, const struct net_vec *vec, unsigned count)
{
    struct slirp_net *s = container_of(net, struct slirp_net, net);
    size_t len = 0;

    /* libslirp looks more than once at what it gets: never at memory that the guest can change meanwhile. */
    for (unsigned i = 0; i < count; i++) {
        if (vec[i].len > sizeof(s->tx) - len)
            return;
        memcpy(s->tx + len, vec[i].base, vec[i].len);
        len += vec[i].len;
    }
    len = gate_check(s->tx, len, s->ipv6);
    if (!len)
        return;
    slirp_input(s->slirp, s->tx, (int)len);
    wake(s);
}

/* ---- libslirp's sockets ---- */

static unsigned loop_events(int wanted)
{
    return ((wanted & (SLIRP_POLL_IN | SLIRP_POLL_PRI)) ? LOOP_READ : 0) |
           ((wanted & SLIRP_POLL_OUT) ? LOOP_WRITE : 0);
}

static void fd_ready(void *opaque, unsigned events)
{
    struct slirp_fd *f = opaque;

    if (events & LOOP_READ)
        f->ready |= SLIRP_POLL_IN;
    if (events & LOOP_WRITE)
        f->ready |= SLIRP_POLL_OUT;
    if (events & LOOP_HANGUP)
        f->ready |= SLIRP_POLL_HUP | SLIRP_POLL_IN;
    f->owner->ready = true;
}

static struct slirp_fd *fd_find(struct slirp_net *s, int fd, unsigned *index)
{
    for (unsigned i = 0; i < s->fd_count; i++) {
        if (s->fd[i]->watch.fd == fd) {
            *index = i;
            return s->fd[i];
        }
    }
    return NULL;
}

static void fd_forget(struct slirp_net *s, struct slirp_fd *f)
{
    if (f->watch.fd < 0)
        return;
    loop_unwatch(s->loop, &f->watch);
    f->watch.fd = -1;
    f->ready = 0;
}

/* A slot for a descriptor that is not watched yet. */
static struct slirp_fd *fd_new(struct slirp_net *s, unsigned *index)
{
    struct slirp_fd **array, *f = fd_find(s, -1, index);

    if (f)
        return f;
    array = realloc(s->fd, (s->fd_count + 1) * sizeof(*array));
    if (!array)
        return NULL;
    s->fd = array;
    f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->owner = s;
    f->watch = (struct loop_fd){.fd = -1, .fn = fd_ready, .opaque = f};
    *index = s->fd_count;
    s->fd[s->fd_count++] = f;
    return f;
}

static int add_poll(int fd, int events, void *opaque)
{
    struct slirp_net *s = opaque;
    unsigned index = 0;
    struct slirp_fd *f = fd_find(s, fd, &index);

    if (!f) {
        f = fd_new(s, &index);
        if (!f)
            return -1;
        f->watch.fd = fd;
        f->watch.events = loop_events(events);
        if (loop_watch(s->loop, &f->watch) < 0) {
            f->watch.fd = -1;
            return -1;
        }
    } else if (f->wanted != events) {
        loop_change(s->loop, &f->watch, loop_events(events));
    }
    f->wanted = events;
    f->round = s->round;
    return (int)index;
}

static int get_revents(int index, void *opaque)
{
    struct slirp_net *s = opaque;
    struct slirp_fd *f;
    int ready;

    if (index < 0 || (unsigned)index >= s->fd_count)
        return 0;
    f = s->fd[index];
    ready = f->ready & (f->wanted | SLIRP_POLL_HUP | SLIRP_POLL_ERR);
    f->ready = 0;
    return ready;
}

static void prepare(void *opaque, int *timeout_ms)
{
    struct slirp_net *s = opaque;
    uint32_t timeout = *timeout_ms < 0 ? UINT32_MAX : (uint32_t)*timeout_ms;

    s->round++;
    slirp_pollfds_fill(s->slirp, &timeout, add_poll, s);
    for (unsigned i = 0; i < s->fd_count; i++) {
        if (s->fd[i]->round != s->round)
            fd_forget(s, s->fd[i]);
    }
    if (s->ready)
        timeout = 0;
    *timeout_ms = timeout > INT32_MAX ? -1 : (int)timeout;
}

static void check(void *opaque)
{
    struct slirp_net *s = opaque;

    s->ready = false;
    slirp_pollfds_poll(s->slirp, 0, get_revents, s);
}

/* ---- what libslirp calls ---- */

static void guest_error(const char *msg, void *opaque)
{
    /* The guest's own fault, and its own loss. */
}

static int64_t clock_get_ns(void *opaque)
{
    return (int64_t)loop_now(((struct slirp_net *)opaque)->loop);
}

static void timer_fired(void *opaque)
{
    struct slirp_timer *t = opaque;

    slirp_handle_timer(t->owner->slirp, t->id, t->cb_opaque);
}

static void *timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct slirp_timer *t = calloc(1, sizeof(*t));

    if (t) {
        t->owner = opaque;
        t->id = id;
        t->cb_opaque = cb_opaque;
        t->timer = (struct loop_timer){.fn = timer_fired, .opaque = t};
    }
    return t;
}

static void timer_free(void *timer, void *opaque)
{
    struct slirp_timer *t = timer;

    if (t)
        loop_timer_clear(t->owner->loop, &t->timer);
    free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct slirp_timer *t = timer;

    if (t)
        loop_timer_set(t->owner->loop, &t->timer, (uint64_t)expire_ms * 1000000);
}

static void register_poll_fd(int fd, void *opaque)
{
}

/* Before it is closed: a new socket may have the same number soon. */
static void unregister_poll_fd(int fd, void *opaque)
{
    struct slirp_net *s = opaque;
    unsigned index;
    struct slirp_fd *f = fd_find(s, fd, &index);

    if (f)
        fd_forget(s, f);
}

static void notify(void *opaque)
{
    wake(opaque);
}

static void woken(void *opaque)
{
    /* The loop turns once for it, and asks all hooks. */
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = register_poll_fd,
    .unregister_poll_fd = unregister_poll_fd,
    .notify = notify,
    .timer_new_opaque = timer_new,
};

/* ---- life ---- */

static void slirp_close(struct net *net)
{
    struct slirp_net *s = container_of(net, struct slirp_net, net);
    struct frame *f, *tmp;

    s->net.nic = NULL;
    loop_hook_remove(s->loop, &s->hook);
    loop_timer_clear(s->loop, &s->wake);
    slirp_cleanup(s->slirp);
    for (unsigned i = 0; i < s->fd_count; i++) {
        fd_forget(s, s->fd[i]);
        free(s->fd[i]);
    }
    list_for_each_safe (f, tmp, &s->queue, link)
        frame_drop(s, f);
    free(s->fd);
    free(s);
}

static const struct net_ops slirp_ops = {
    .name = "user",
    .send = slirp_send,
    .resume = slirp_resume,
    .close = slirp_close,
};

static int forward(struct slirp_net *s, const char *text, size_t len, struct error *err)
{
    struct hostfwd f;
    char host[INET_ADDRSTRLEN];
    int r = hostfwd_parse(text, len, &f, err);

    if (r < 0)
        return r;
    errno = 0;
    if (slirp_add_hostfwd(s->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port) == 0)
        return 0;
    r = errno ? errno : EINVAL;
    inet_ntop(AF_INET, &f.host, host, sizeof(host));
    return error_set(err, r, "hostfwd %.*s: cannot listen on %s port %u: %s%s", (int)len, text, host,
                     f.host_port, strerror(r),
                     r == EADDRINUSE ? "; choose another port"
                     : r == EACCES   ? "; ports below 1024 need privilege, choose a higher one"
                                     : "");
}

static int forward_all(struct slirp_net *s, const struct net_slirp_options *o, struct error *err)
{
    for (unsigned i = 0; i < o->hostfwd_count; i++) {
        const char *p = o->hostfwd[i];

        for (;;) {
            size_t len = strcspn(p, ",");
            int r = forward(s, p, len, err);

            if (r < 0)
                return r;
            if (!p[len])
                break;
            p += len + 1;
        }
    }
    return 0;
}

static struct in_addr address(const char *text)
{
    struct in_addr a;

    inet_aton(text, &a);
    return a;
}

static SlirpConfig config_make(const struct net_slirp_options *o)
{
    SlirpConfig c = {
        .version = 4,
        .restricted = o->restricted,
        .in_enabled = true,
        .vnetwork = address("10.0.2.0"),
        .vnetmask = address("255.255.255.0"),
        .vhost = address("10.0.2.2"),
        .vdhcp_start = address("10.0.2.15"),
        .vnameserver = address("10.0.2.3"),
        .in6_enabled = o->ipv6,
        .vprefix_len = 64,
        .vhostname = o->hostname,
    };

    inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c.vhost6);
    inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
    return c;
}

int net_slirp_open(struct loop *loop, const struct net_slirp_options *o, struct net **out, struct error *err)
{
    struct slirp_net *s = calloc(1, sizeof(*s));
    SlirpConfig config = config_make(o);
    int r;

    if (!s)
        return error_set(err, ENOMEM, "no memory for the user-mode network");
    s->loop = loop;
    s->ipv6 = o->ipv6;
    s->net = (struct net){.ops = &slirp_ops, .link_up = true};
    list_init(&s->queue);
    s->wake = (struct loop_timer){.fn = woken, .opaque = s};
    s->hook = (struct loop_hook){.prepare = prepare, .check = check, .opaque = s};
    s->slirp = slirp_new(&config, &callbacks, s);
    if (!s->slirp) {
        free(s);
        return error_set(err, EINVAL, "libslirp refuses the user-mode network's settings");
    }
    loop_hook_add(loop, &s->hook);
    r = forward_all(s, o, err);
    if (r < 0) {
        slirp_close(&s->net);
        return r;
    }
    *out = &s->net;
    return 0;
}
