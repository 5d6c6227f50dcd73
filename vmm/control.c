/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/control.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "core/plat.h"
#include "vmm/loop.h"
#include "vmm/unix-listener.h"

#define MAX_CLIENTS 16
#define MAX_UNSENT  MIB(4) /* answers and events that a client leaves unread */
#define GOODBYE_MS  200

struct client {
    struct list_node link;
    struct control *control;
    struct loop_fd fd;
    struct control_session session;
    bool dead; /* waits for reap() */
    char *out;
    size_t out_len, out_at, out_room;
};

struct control {
    struct control_config config;
    struct control_server server;
    struct list_node clients;
    unsigned client_count;
    struct unix_listener listener;
    struct plat_work reap;
};

/* ---- clients' ends ---- */

static void client_free(struct client *c)
{
    loop_unwatch(c->control->config.loop, &c->fd);
    list_remove(&c->link);
    c->control->client_count--;
    close(c->fd.fd);
    control_session_finish(&c->session);
    free(c->out);
    free(c);
}

static void reap(void *opaque)
{
    struct control *control = opaque;
    struct client *c, *next;

    list_for_each_safe (c, next, &control->clients, link) {
        if (c->dead)
            client_free(c);
    }
    unix_listener_pause(&control->listener, control->client_count >= MAX_CLIENTS);
}

/* Whoever notices may be deep in the client's own code, or another thread: the loop frees it later. */
static void client_kill(struct client *c)
{
    if (c->dead)
        return;
    c->dead = c->session.closed = true;
    loop_change(c->control->config.loop, &c->fd, 0);
    loop_defer(c->control->config.loop, &c->control->reap);
}

/* ---- output ---- */

static void client_flush(struct client *c)
{
    while (!c->dead && c->out_at < c->out_len) {
        ssize_t n = send(c->fd.fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            client_kill(c);
            return;
        }
        c->out_at += (size_t)n;
    }
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    if (!c->dead)
        loop_change(c->control->config.loop, &c->fd, LOOP_READ | (c->out_len ? LOOP_WRITE : 0));
}

static bool reserve(char **buf, size_t *room, size_t need)
{
    size_t size = MAX(need, 4096U);
    char *p;

    if (need <= *room)
        return true;
    p = realloc(*buf, size * 2);
    if (!p)
        return false;
    *buf = p;
    *room = size * 2;
    return true;
}

static void client_send(struct control_session *session, const char *text, size_t len)
{
    struct client *c = container_of(session, struct client, session);

    if (c->dead || c->out_len - c->out_at + len > MAX_UNSENT ||
        !reserve(&c->out, &c->out_room, c->out_len + len)) {
        client_kill(c);
        return;
    }
    memcpy(c->out + c->out_len, text, len);
    c->out_len += len;
    client_flush(c);
}

void control_event(struct control *control, enum vm_event event, uint64_t arg, const char *reason)
{
    struct client *c, *next;
    struct json_writer w;

    if (!control_vm_event(&control->server, &w, NULL, event, arg, reason))
        return;
    list_for_each_safe (c, next, &control->clients, link)
        control_session_event(&c->session, &w);
    json_writer_finish(&w);
}

/* ---- input ---- */

static void client_event(void *opaque, unsigned events)
{
    struct client *c = opaque;
    char buf[4096];
    ssize_t n;

    if (c->dead)
        return;
    if (events & LOOP_WRITE)
        client_flush(c);
    if (c->dead || !(events & (LOOP_READ | LOOP_HANGUP)))
        return;
    n = recv(c->fd.fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || control_session_input(&c->session, buf, (size_t)n) < 0)
        client_kill(c);
}

int control_adopt(struct control *control, int fd)
{
    struct client *c = calloc(1, sizeof(*c));
    int r = c ? 0 : -ENOMEM;

    if (c) {
        c->control = control;
        control_session_init(&c->session, &control->server);
        c->session.send = client_send;
        c->fd = (struct loop_fd){.fd = fd, .events = LOOP_READ, .fn = client_event, .opaque = c};
        r = loop_watch(control->config.loop, &c->fd);
    }
    if (r < 0) {
        close(fd);
        free(c);
        return r;
    }
    list_insert(&control->clients, &c->link);
    control->client_count++;
    control_session_greet(&c->session);
    return 0;
}

static void accepted(void *opaque, int fd)
{
    struct control *control = opaque;

    control_adopt(control, fd);
    unix_listener_pause(&control->listener, control->client_count >= MAX_CLIENTS);
}

/* ---- life ---- */

/* Commands run with the VM's lock held as it is. */
static struct control_target *acquire(struct control_server *server, struct json args, struct error *err)
{
    return container_of(server, struct control, server)->config.target;
}

static void release(struct control_server *server, struct control_target *target)
{
}

struct control *control_create(const struct control_config *config, struct error *err)
{
    struct control *control = calloc(1, sizeof(*control));

    if (!control) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    control->config = *config;
    control->server = (struct control_server){
        .plat = config->plat,
        .tables = config->commands,
        .version = {BATUTA_VERSION_MAJOR, BATUTA_VERSION_MINOR, BATUTA_VERSION_MICRO},
        .package = "batuta " BATUTA_VERSION,
        .host = config->host,
        .acquire = acquire,
        .release = release,
    };
    list_init(&control->clients);
    control->listener.accepted = accepted;
    control->listener.opaque = control;
    control->reap = (struct plat_work){.fn = reap, .opaque = control};
    return control;
}

int control_listen(struct control *control, const char *path, struct error *err)
{
    int r = unix_listener_open(&control->listener, control->config.loop, path, err);

    if (r < 0)
        error_prefix(err, "--control");
    return r;
}

/* The last answer and event should arrive; a client that does not read is not waited for long. */
static void say_goodbye(struct client *c)
{
    struct pollfd p = {.fd = c->fd.fd, .events = POLLOUT};

    client_flush(c);
    if (!c->dead && c->out_len && poll(&p, 1, GOODBYE_MS) > 0)
        client_flush(c);
}

void control_destroy(struct control *control)
{
    struct client *c, *next;

    if (!control)
        return;
    list_for_each_safe (c, next, &control->clients, link) {
        say_goodbye(c);
        client_free(c);
    }
    unix_listener_close(&control->listener);
    free(control);
}
