/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A way in and out: queues of bytes, and who gets what comes in. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "core/plat.h"
#include "monitor/monitor-internal.h"

#define MAX_UNSENT  MIB(4)
#define KEPT        KIB(16)       /* of the room for what is unsent; more only as long as it is needed */
#define PATIENCE_NS 2000000000ULL /* a port that takes nothing for so long is stuck */
#define TURNS       4U
#define QUIET_NS    500000000ULL   /* the prompt comes back */
#define PRESENT_NS  60000000000ULL /* somebody who typed may be there still */

/* After what a guest may have done: modes of xterm and its kin back to what they were. */
static const char terminal_reset[] = "\033[!p\033[?1049l\033[?1000;1002;1003;1004;2004l\033[?7l";

static const char more_help[] =
    "Tab completes names, the up key brings lines back. A line that begins with { is a command\n"
    "in JSON, as on the management port: {\"execute\":\"query-commands\"} lists those.\n";

/* ---- output ---- */

static bool reserve(struct port *p, size_t more)
{
    struct plat *plat = p->monitor->config.plat;
    size_t unsent = port_unsent(p), room = MAX(p->out_room, KIB(4));
    char *out;

    if (p->out_len + more <= p->out_room)
        return true;
    if (unsent + more <= p->out_room) {
        memmove(p->out, p->out + p->out_at, unsent);
    } else {
        while (room < unsent + more)
            room *= 2;
        out = room <= MAX_UNSENT ? plat->ops->alloc(plat, room) : NULL;
        if (!out)
            return false;
        if (unsent)
            memcpy(out, p->out + p->out_at, unsent);
        plat->ops->free(plat, p->out);
        p->out = out;
        p->out_room = room;
    }
    p->out_at = 0;
    p->out_len = unsent;
    return true;
}

void port_put(struct port *p, const char *bytes, size_t len)
{
    if (!p->chardev || p->overrun || !p->open)
        return;
    if (!port_unsent(p))
        p->progress = p->monitor->now;
    if (reserve(p, len)) {
        memcpy(p->out + p->out_len, bytes, len);
        p->out_len += len;
    } else if (!p->person) {
        /* Half an answer is none. It has not read what it asked for; it may connect again. */
        p->overrun = p->session.closed = true;
        p->out_at = p->out_len = 0;
    }
}

void port_say(struct port *p, const char *fmt, ...)
{
    char text[640];
    const char *at = text;
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (const char *end; (end = text_find(at, '\n')); at = end + 1) {
        port_put(p, at, (size_t)(end - at));
        port_put(p, "\r\n", 2);
    }
    port_put(p, at, text_length(at));
}

static void give_back(struct port *p)
{
    struct plat *plat = p->monitor->config.plat;

    plat->ops->free(plat, p->out);
    p->out = NULL;
    p->out_room = p->out_at = p->out_len = 0;
}

/* Has nobody come or gone that we do not know of? What is left is not for the next one. */
static bool same_client(struct port *p)
{
    bool same;

    monitor_lock(p->monitor, &p->lock);
    same = p->connections == p->served;
    monitor_unlock(p->monitor, &p->lock);
    return same;
}

void port_flush(struct port *p)
{
    while (p->chardev && port_unsent(p) && same_client(p)) {
        size_t n = p->chardev->ops->write(p->chardev, (const uint8_t *)p->out + p->out_at, port_unsent(p));

        if (!n)
            break;
        p->out_at += MIN(n, port_unsent(p));
        p->progress = p->monitor->now;
        p->stuck = false;
    }
    if (p->chardev && !p->stuck && port_unsent(p) && p->monitor->now - p->progress > PATIENCE_NS)
        p->stuck = true;
    if (!port_unsent(p) && p->out_room > KEPT)
        give_back(p);
}

static void session_send(struct control_session *session, const char *text, size_t len)
{
    struct port *p = container_of(session, struct port, session);

    port_hide_prompt(p);
    p->quiet = p->monitor->now;
    port_put(p, text, len);
}

/* ---- the prompt ---- */

static void put(void *opaque, const char *bytes, size_t len)
{
    port_put(opaque, bytes, len);
}

static const char *vm_name(void *opaque, unsigned i)
{
    const struct monitor *m = ((struct port *)opaque)->monitor;

    return i < m->vm_count ? m->consoles[i].name : NULL;
}

void port_hide_prompt(struct port *p)
{
    if (p->prompt)
        edit_erase(&p->edit);
    p->prompt = false;
}

void port_show_prompt(struct port *p)
{
    if (!p->prompt)
        edit_draw(&p->edit);
    p->prompt = true;
}

/* ---- attaching ---- */

void port_attach(struct port *p, struct console *c)
{
    if (p->person) {
        port_hide_prompt(p);
        port_say(p, "(the console of %s: Ctrl-] leaves it)\033[?7h\n", c->name);
    }
    p->attached = c;
    p->raw_at = p->person ? c->shown : console_end(c);
    line_clear(&c->line);
}

static void let_go(struct port *p)
{
    p->left = p->attached;
    p->attached = NULL;
}

static void detach(struct port *p)
{
    const struct console *c = p->attached;

    let_go(p);
    if (!p->person) {
        port_put(p, "\r\n", 2);
        return;
    }
    port_put(p, terminal_reset, sizeof(terminal_reset) - 1);
    port_say(p, "\n(left %s; Ctrl-] again goes back and sends it Ctrl-])\n", c->name);
    port_show_prompt(p);
}

/* ---- input ---- */

/* From the driver. */
static size_t receive(void *device, const uint8_t *buf, size_t len)
{
    struct port *p = device;
    size_t n;

    monitor_lock(p->monitor, &p->lock);
    n = MIN(len, PORT_INPUT - p->in_len);
    memcpy(p->in + p->in_len, buf, n);
    p->in_len += (unsigned)n;
    p->held |= n < len;
    monitor_unlock(p->monitor, &p->lock);
    monitor_wake(p->monitor);
    return n;
}

static void writable(void *device)
{
    monitor_wake(((struct port *)device)->monitor);
}

static void connection(void *device, bool connected)
{
    struct port *p = device;

    monitor_lock(p->monitor, &p->lock);
    p->connections++;
    p->connected = connected;
    p->in_len = connected ? p->in_len : 0;
    monitor_unlock(p->monitor, &p->lock);
    monitor_wake(p->monitor);
}

/* The first `len` bytes are done with. */
static void consumed(struct port *p, unsigned len)
{
    bool resume;

    if (!len)
        return;
    monitor_lock(p->monitor, &p->lock);
    if (p->connections == p->served) { /* else it is gone already */
        p->in_len -= len;
        memmove(p->in, p->in + len, p->in_len);
    }
    resume = p->held;
    p->held = false;
    monitor_unlock(p->monitor, &p->lock);
    if (resume && p->chardev->ops->resume)
        p->chardev->ops->resume(p->chardev);
}

static unsigned peek(struct port *p, char *buf, unsigned size)
{
    unsigned n;

    monitor_lock(p->monitor, &p->lock);
    n = p->connections == p->served ? MIN(size, p->in_len) : 0;
    memcpy(buf, p->in, n);
    monitor_unlock(p->monitor, &p->lock);
    return n;
}

/* Up to Ctrl-]; how much of it was used. 0: the guest has no room. */
static unsigned type_raw(struct port *p, const char *bytes, unsigned len)
{
    unsigned n = 0;

    while (n < len && bytes[n] != MONITOR_ATTACH_KEY)
        n++;
    if (n)
        return console_type(p->attached, (const uint8_t *)bytes, n);
    detach(p);
    return 1;
}

/* The line's end is the object's end: what lacks its brackets does not wait for them. */
static void person_json(struct port *p, const char *line, unsigned len)
{
    struct control_session *s = &p->session;

    control_session_input(s, line, len);
    control_session_input(s, "\n", 1);
    if (s->scan.depth) {
        s->in_len = 0;
        s->scan = (struct json_scan){0};
        control_session_input(s, "?\n", 2);
    }
}

static void person_line(struct port *p)
{
    const char *line = p->edit.line;

    p->prompt = false;
    if (*line == '{') {
        person_json(p, line, p->edit.len);
    } else {
        control_person_line(&p->words, line);
    }
    edit_reset(&p->edit);
    if (!p->attached)
        port_show_prompt(p);
}

static unsigned type_key(struct port *p, uint8_t key)
{
    struct console *back = p->left;
    char rest[64];

    p->left = NULL;
    p->typed = p->monitor->now;
    if (key == MONITOR_ATTACH_KEY) {
        if (back) {
            port_attach(p, back);
            console_type(back, &key, 1);
        }
        return 1;
    }
    port_show_prompt(p);
    switch (edit_key(&p->edit, key)) {
    case EDIT_DONE:
        person_line(p);
        break;
    case EDIT_COMPLETE:
        if (p->edit.cursor == p->edit.len) {
            control_person_complete(&p->words, p->edit.line, rest, sizeof(rest));
            edit_insert(&p->edit, rest);
        }
        break;
    case EDIT_MORE:
        break;
    }
    return 1;
}

/* One JSON object after the other: one of them may attach a console, and what follows is the guest's. */
static unsigned feed_session(struct port *p, const char *bytes, unsigned len)
{
    unsigned n = 0;

    while (n < len && !p->attached && !p->session.closed) {
        if (control_session_input(&p->session, bytes + n, 1) < 0)
            p->session.closed = true;
        n++;
    }
    return p->session.closed ? len : n;
}

/* A new client, or none: nothing of the last one stays. */
static void reconnect(struct port *p)
{
    unsigned connections;
    bool connected;

    monitor_lock(p->monitor, &p->lock);
    connections = p->connections;
    connected = p->connected;
    monitor_unlock(p->monitor, &p->lock);
    if (connections == p->served)
        return;
    p->served = connections;
    p->open = connected;
    control_session_finish(&p->session);
    control_session_init(&p->session, &p->monitor->server);
    p->session.send = session_send;
    let_go(p);
    p->left = NULL;
    p->out_at = p->out_len = 0;
    p->overrun = p->stuck = false;
    if (connected)
        control_session_greet(&p->session);
}

/* When it comes back after what was shown above it. Unattended, a log has no prompts. */
static uint64_t prompt_due(const struct port *p)
{
    if (!p->person || p->prompt || !p->typed)
        return MONITOR_NEVER;
    if (p->edit.len)
        return p->monitor->now;
    return p->quiet - p->typed < PRESENT_NS ? p->quiet + QUIET_NS : MONITOR_NEVER;
}

void port_service(struct port *p)
{
    char buf[128];
    unsigned n, used;

    if (!p->chardev)
        return;
    reconnect(p);
    /* A little at a time: word of who comes and goes is let in between two steps only. */
    p->more = true;
    for (unsigned turn = 0; turn < TURNS && p->more; turn++) {
        n = peek(p, buf, sizeof(buf));
        for (used = 0; used < n;) {
            unsigned took = p->attached ? type_raw(p, buf + used, n - used)
                            : p->person ? type_key(p, (uint8_t)buf[used])
                                        : feed_session(p, buf + used, n - used);

            if (!took)
                break;
            used += took;
        }
        consumed(p, used);
        port_flush(p);
        reconnect(p);
        p->more = n && used == n; /* else the guest's device will tell when it has room */
    }
    if (p->attached)
        console_show_raw(p);
    else if (prompt_due(p) <= p->monitor->now)
        port_show_prompt(p);
    port_flush(p);
}

uint64_t port_due(const struct port *p)
{
    uint64_t due = p->more ? 0 : p->attached ? MONITOR_NEVER : prompt_due(p);

    if (p->chardev && port_unsent(p) && !p->stuck)
        due = MIN(due, p->progress + PATIENCE_NS + 1);
    return due;
}

/* ---- life ---- */

void port_init(struct port *p, struct monitor *m, struct chardev *chardev, bool person)
{
    p->monitor = m;
    p->chardev = chardev;
    m->config.plat->ops->lock_init(m->config.plat, &p->lock);
    p->person = person;
    p->open = person;
    p->connected = !person && chardev->connected;
    p->connections = p->connected;
    p->edit.prompt = "batuta> ";
    p->edit.put = put;
    p->edit.opaque = p;
    p->words = (struct control_person){.session = &p->session,
                                       .words = monitor_words,
                                       .more_help = more_help,
                                       .vm = vm_name,
                                       .put = put,
                                       .opaque = p};
    control_session_init(&p->session, &m->server);
    p->session.send = session_send;
    p->session.lenient = person;
    chardev->device = p;
    chardev->receive = receive;
    chardev->writable = writable;
    chardev->connection = connection;
    if (person)
        port_say(p, "%s: press Enter for the monitor; \"help\" tells its commands\033[?7l\n",
                 m->config.package);
    port_flush(p);
    if (chardev->ops->resume)
        chardev->ops->resume(chardev);
}

void port_finish(struct port *p)
{
    if (!p->chardev)
        return;
    p->chardev->receive = NULL;
    p->chardev->writable = NULL;
    p->chardev->connection = NULL;
    control_session_finish(&p->session);
    p->monitor->config.plat->ops->free(p->monitor->config.plat, p->out);
}
