/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/control.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
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
    bool negotiated;
    bool dead; /* waits for reap() */
    char *in;
    size_t in_len, in_room;
    struct qmp_scan scan;
    char *out;
    size_t out_len, out_at, out_room;
};

struct control {
    struct control_config config;
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
    free(c->in);
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
    c->dead = true;
    c->in_len = 0;
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
    size_t size = MAX(need, 4096);
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

/* Steals the object. One line, as QMP servers end it. */
static void client_send(struct client *c, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    size_t len = text ? strlen(text) : 0;

    json_decref(object);
    if (!text || c->dead || c->out_len - c->out_at + len > MAX_UNSENT ||
        !reserve(&c->out, &c->out_room, c->out_len + len + 2)) {
        client_kill(c);
    } else {
        memcpy(c->out + c->out_len, text, len);
        memcpy(c->out + c->out_len + len, "\r\n", 2);
        c->out_len += len + 2;
        client_flush(c);
    }
    free(text);
}

json_t *control_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy;

    if (value)
        return value;
    copy = strdup(text);
    for (char *p = copy; p && *p; p++) {
        if (*p & 0x80)
            *p = '?';
    }
    value = json_string(copy);
    free(copy);
    return value;
}

static void send_error(struct client *c, const char *class, const char *text, json_t *id)
{
    json_t *answer = json_pack("{s:{s:s, s:o}}", "error", "class", class, "desc", control_text(text));

    if (answer && id)
        json_object_set(answer, "id", id);
    client_send(c, answer);
}

json_t *control_version(void)
{
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", BATUTA_VERSION_MAJOR, "minor",
                     BATUTA_VERSION_MINOR, "micro", BATUTA_VERSION_MICRO, "package",
                     "batuta " BATUTA_VERSION);
}

void control_event(struct control *control, const char *name, json_t *data)
{
    struct client *c, *next;
    struct timeval tv;
    json_t *event;

    gettimeofday(&tv, NULL);
    event = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)tv.tv_sec, "microseconds",
                      (json_int_t)tv.tv_usec, "event", name);
    if (event && data)
        json_object_set(event, "data", data);
    json_decref(data);
    list_for_each_safe (c, next, &control->clients, link) {
        if (c->negotiated && !c->dead)
            client_send(c, json_incref(event));
    }
    json_decref(event);
}

/* ---- commands ---- */

static json_t *list_commands(const struct control *control)
{
    json_t *list = json_array();

    json_array_append_new(list, json_pack("{s:s}", "name", "qmp_capabilities"));
    json_array_append_new(list, json_pack("{s:s}", "name", "query-commands"));
    for (const struct qmp_command *k = control->config.commands; k->name; k++)
        json_array_append_new(list, json_pack("{s:s}", "name", k->name));
    return list;
}

/* Is `name` among the space-separated words of list? */
static bool takes(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (list && *list) {
        size_t word;

        list += *list == '!';
        word = strcspn(list, " ");
        if (word == len && !memcmp(list, name, len))
            return true;
        list += word;
        list += *list == ' ';
    }
    return false;
}

static int check_args(const struct qmp_command *k, json_t *args, struct error *err)
{
    const char *name, *list = k->args;
    json_t *value;

    json_object_foreach(args, name, value)
    {
        if (!takes(k->args, name))
            return error_set(err, EINVAL, "Parameter '%s' is unexpected", name);
    }
    while (list && *list) {
        size_t word = strcspn(list, " ");
        char wanted[64];

        snprintf(wanted, sizeof(wanted), "%.*s", (int)word, list);
        if (wanted[0] == '!' && !json_object_get(args, wanted + 1))
            return error_set(err, EINVAL, "Parameter '%s' is missing", wanted + 1);
        list += word;
        list += *list == ' ';
    }
    return 0;
}

static void answer(struct client *c, json_t *result, const struct error *err, json_t *id)
{
    json_t *object;

    if (err->code) {
        json_decref(result);
        send_error(c, "GenericError", err->text, id);
        return;
    }
    object = json_pack("{s:o}", "return", result ? result : json_object());
    if (object && id)
        json_object_set(object, "id", id);
    client_send(c, object);
}

static void negotiate(struct client *c, json_t *args, json_t *id)
{
    struct error err = {0};
    json_t *enable = json_object_get(args, "enable");

    if (enable && json_array_size(enable))
        error_set(&err, EINVAL, "QMP capability not available");
    c->negotiated = c->negotiated || !err.code;
    answer(c, NULL, &err, id);
}

static void run_command(struct client *c, const char *name, json_t *args, json_t *id)
{
    const struct qmp_command *k = c->control->config.commands;
    struct error err = {0};
    char text[160];
    json_t *result;

    if (!c->negotiated && strcmp(name, "qmp_capabilities")) {
        send_error(c, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'", id);
        return;
    }
    if (!strcmp(name, "qmp_capabilities")) {
        if (c->negotiated)
            send_error(c, "CommandNotFound", "Capabilities negotiation is already complete, command ignored",
                       id);
        else
            negotiate(c, args, id);
        return;
    }
    if (!strcmp(name, "query-commands")) {
        answer(c, list_commands(c->control), &err, id);
        return;
    }
    while (k->name && strcmp(k->name, name))
        k++;
    if (!k->name) {
        snprintf(text, sizeof(text), "The command %.100s has not been found", name);
        send_error(c, "CommandNotFound", text, id);
        return;
    }
    result = check_args(k, args, &err) == 0 ? k->run(c->control->config.host, args, &err) : NULL;
    answer(c, result, &err, id);
}

static void handle_object(struct client *c, const char *text, size_t len)
{
    json_error_t bad;
    json_t *object = json_loadb(text, len, 0, &bad), *execute, *args, *id, *empty = json_object(), *value;
    const char *name, *unexpected = NULL;

    id = json_object_get(object, "id");
    execute = json_object_get(object, "execute");
    args = json_object_get(object, "arguments");
    json_object_foreach(object, name, value)
    {
        if (!takes("execute arguments id", name))
            unexpected = name;
    }
    if (!object) {
        send_error(c, "GenericError", "Invalid JSON syntax", NULL);
    } else if (unexpected) {
        char line[160];

        snprintf(line, sizeof(line), "QMP input member '%.100s' is unexpected", unexpected);
        send_error(c, "GenericError", line, id);
    } else if (!execute) {
        send_error(c, "GenericError", "QMP input lacks member 'execute'", id);
    } else if (!json_is_string(execute)) {
        send_error(c, "GenericError", "QMP input member 'execute' must be a string", id);
    } else if (args && !json_is_object(args)) {
        send_error(c, "GenericError", "QMP input member 'arguments' must be an object", id);
    } else {
        run_command(c, json_string_value(execute), args ? args : empty, id);
    }
    json_decref(empty);
    json_decref(object);
}

/* ---- input ---- */

/* Handles every whole object that has come. */
static void client_parse(struct client *c)
{
    size_t len = 0;

    while (!c->dead) {
        enum qmp_found found = qmp_scan(&c->scan, c->in, c->in_len, &len);

        if (found == QMP_MORE)
            return;
        if (found == QMP_OBJECT)
            handle_object(c, c->in, len);
        else
            send_error(c, "GenericError", "Invalid JSON syntax", NULL);
        if (c->dead)
            return;
        memmove(c->in, c->in + len, c->in_len - len);
        c->in_len -= len;
    }
}

static void client_event(void *opaque, unsigned events)
{
    struct client *c = opaque;
    ssize_t n;

    if (c->dead)
        return;
    if (events & LOOP_WRITE)
        client_flush(c);
    if (c->dead || !(events & (LOOP_READ | LOOP_HANGUP)))
        return;
    if (!reserve(&c->in, &c->in_room, c->in_len + 4096)) {
        client_kill(c);
        return;
    }
    n = recv(c->fd.fd, c->in + c->in_len, c->in_room - c->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_kill(c);
        return;
    }
    c->in_len += (size_t)n;
    client_parse(c);
}

int control_adopt(struct control *control, int fd)
{
    struct client *c = calloc(1, sizeof(*c));
    int r = c ? 0 : -ENOMEM;

    if (c) {
        c->control = control;
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
    client_send(c, json_pack("{s:{s:o, s:[]}}", "QMP", "version", control_version(), "capabilities"));
    return 0;
}

static void accepted(void *opaque, int fd)
{
    struct control *control = opaque;

    control_adopt(control, fd);
    unix_listener_pause(&control->listener, control->client_count >= MAX_CLIENTS);
}

/* ---- life ---- */

struct control *control_create(const struct control_config *config, struct error *err)
{
    struct control *control = calloc(1, sizeof(*control));

    if (!control) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    control->config = *config;
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
