/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *        greet                    qmp_capabilities
 *   ──►  {"QMP": …}  ──► refuses  ──────────────►  runs commands, is told of events
 *                        all else
 */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "control/control-internal.h"
#include "core/plat.h"

/* ---- output ---- */

static void send_line(struct control_session *s, struct json_writer *w)
{
    json_put_raw(w, "\r\n", 2);
    if (!w->failed && !s->closed)
        s->send(s, w->text, w->len);
}

static void add_id(struct json_writer *w, struct json id)
{
    if (!id.text)
        return;
    json_key(w, "id");
    json_put_value(w, id);
}

static void send_error(struct control_session *s, struct json_writer *w, const char *class, const char *text,
                       struct json id)
{
    json_writer_reset(w);
    json_open(w, '{');
    json_key(w, "error");
    json_open(w, '{');
    json_add_text(w, "class", class);
    json_add_text(w, "desc", text);
    json_close(w, '{');
    add_id(w, id);
    json_close(w, '{');
    send_line(s, w);
}

void control_put_version(struct json_writer *w, const struct control_server *server)
{
    json_open(w, '{');
    json_key(w, "qemu");
    json_open(w, '{');
    json_add_uint(w, "major", server->version[0]);
    json_add_uint(w, "minor", server->version[1]);
    json_add_uint(w, "micro", server->version[2]);
    json_close(w, '{');
    json_add_text(w, "package", server->package);
    json_close(w, '{');
}

void control_session_greet(struct control_session *s)
{
    struct json_writer w;

    json_writer_init(&w, s->server->plat, CONTROL_MAX_ANSWER);
    json_open(&w, '{');
    json_key(&w, "QMP");
    json_open(&w, '{');
    json_key(&w, "version");
    control_put_version(&w, s->server);
    json_key(&w, "capabilities");
    json_open(&w, '[');
    json_close(&w, '[');
    json_close(&w, '{');
    json_close(&w, '{');
    send_line(s, &w);
    json_writer_finish(&w);
}

void control_session_event(struct control_session *s, const struct json_writer *event)
{
    if (s->negotiated && !s->closed && !event->failed)
        s->send(s, event->text, event->len);
}

/* ---- objects ---- */

/* Runs it after {"return":, and makes that whole or an error. */
static void answer(struct control_session *s, struct json_writer *w, const struct control_command *command,
                   struct json args, struct json id)
{
    struct error err = {0};
    size_t before;

    json_open(w, '{');
    json_key(w, "return");
    before = w->len;
    if (command)
        control_run(s->server, s, command, args, w, &err);
    if (!err.code && w->len == before) {
        json_open(w, '{');
        json_close(w, '{');
    }
    add_id(w, id);
    json_close(w, '{');
    if (err.code)
        send_error(s, w, "GenericError", err.text, id);
    else if (w->failed)
        send_error(s, w, "GenericError", "The answer is too long, or there is no memory for it", id);
    else
        send_line(s, w);
}

static void negotiate(struct control_session *s, struct json_writer *w, struct json args, struct json id)
{
    struct json enable = json_member(args, "enable"), one;
    struct json_iter iter;

    if (s->negotiated) {
        send_error(s, w, "CommandNotFound", "Capabilities negotiation is already complete, command ignored",
                   id);
        return;
    }
    json_iter_init(&iter, enable);
    if (json_next(&iter, NULL, &one)) {
        send_error(s, w, "GenericError", "QMP capability not available", id);
        return;
    }
    s->negotiated = true;
    answer(s, w, NULL, args, id);
}

static void execute(struct control_session *s, struct json_writer *w, struct json name, struct json args,
                    struct json id)
{
    const struct control_command *command;
    char text[128], line[192];

    json_text(name, text, sizeof(text));
    if (json_is(name, "qmp_capabilities")) {
        negotiate(s, w, args, id);
        return;
    }
    if (!s->negotiated && !s->lenient) {
        send_error(s, w, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'", id);
        return;
    }
    command = json_is(name, text) ? control_find(s->server, text) : NULL;
    if (command) {
        answer(s, w, command, args, id);
        return;
    }
    fmt_print(line, sizeof(line), "The command %.100s has not been found", text);
    send_error(s, w, "CommandNotFound", line, id);
}

/* The name of a member that has no business there. */
static bool unexpected_member(struct json object, char *name, size_t size)
{
    struct json_iter iter;
    struct json key, value;
    bool found = false;

    json_iter_init(&iter, object);
    while (json_next(&iter, &key, &value)) {
        if (!json_is(key, "execute") && !json_is(key, "arguments") && !json_is(key, "id")) {
            json_text(key, name, size);
            found = true;
        }
    }
    return found;
}

static void handle_object(struct control_session *s, struct json_writer *w, const char *text, size_t len)
{
    struct json object, name, args, id;
    char unexpected[128], line[192];

    if (!json_read(text, len, &object)) {
        send_error(s, w, "GenericError", "Invalid JSON syntax", (struct json){0});
        return;
    }
    id = json_member(object, "id");
    name = json_member(object, "execute");
    args = json_member(object, "arguments");
    if (unexpected_member(object, unexpected, sizeof(unexpected))) {
        fmt_print(line, sizeof(line), "QMP input member '%.100s' is unexpected", unexpected);
        send_error(s, w, "GenericError", line, id);
    } else if (!name.text) {
        send_error(s, w, "GenericError", "QMP input lacks member 'execute'", id);
    } else if (json_kind(name) != JSON_STRING) {
        send_error(s, w, "GenericError", "QMP input member 'execute' must be a string", id);
    } else if (args.text && json_kind(args) != JSON_OBJECT) {
        send_error(s, w, "GenericError", "QMP input member 'arguments' must be an object", id);
    } else {
        execute(s, w, name, args, id);
    }
}

/* ---- input ---- */

/* Handles the first object. False: there is none yet. */
static bool handle_next(struct control_session *s)
{
    size_t len = 0;
    enum json_found found = json_scan(&s->scan, s->in, s->in_len, &len);
    struct json_writer w;

    if (found == JSON_MORE)
        return false;
    json_writer_init(&w, s->server->plat, CONTROL_MAX_ANSWER);
    if (found == JSON_WHOLE)
        handle_object(s, &w, s->in, len);
    else
        send_error(s, &w, "GenericError", "Invalid JSON syntax", (struct json){0});
    json_writer_finish(&w);
    memmove(s->in, s->in + len, s->in_len - len);
    s->in_len -= len;
    return true;
}

static bool reserve(struct control_session *s, size_t need)
{
    struct plat *plat = s->server->plat;
    size_t room = MAX(s->in_room, 4096U);
    char *in;

    if (need <= s->in_room)
        return true;
    while (room < need)
        room *= 2;
    in = plat->ops->alloc(plat, room);
    if (!in)
        return false;
    if (s->in_len)
        memcpy(in, s->in, s->in_len);
    plat->ops->free(plat, s->in);
    s->in = in;
    s->in_room = room;
    return true;
}

int control_session_input(struct control_session *s, const char *bytes, size_t len)
{
    base_assert(!s->busy);
    s->busy = true;
    /* In pieces: what a client sends in one go need not fit into the buffer as a whole. */
    while (len && !s->closed) {
        size_t piece = MIN(len, 4096U);

        if (!reserve(s, s->in_len + piece)) {
            s->busy = false;
            return -ENOMEM;
        }
        memcpy(s->in + s->in_len, bytes, piece);
        s->in_len += piece;
        bytes += piece;
        len -= piece;
        while (!s->closed && handle_next(s)) {
        }
    }
    s->busy = false;
    return 0;
}

void control_session_init(struct control_session *s, struct control_server *server)
{
    *s = (struct control_session){.server = server};
}

void control_session_finish(struct control_session *s)
{
    if (s->server)
        s->server->plat->ops->free(s->server->plat, s->in);
    *s = (struct control_session){0};
}
