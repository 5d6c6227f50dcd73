/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs' consoles on one terminal.
 *
 *   a vCPU ──► ring ──► monitor's thread: a line of each in turn ──► terminal
 *                └────► scroll back, ports that are attached
 */
#include "base/bytes.h"
#include "base/text.h"
#include "core/plat.h"
#include "monitor/monitor-internal.h"

#define PARTIAL_NS   500000000ULL /* after that much silence, what there is of a line is shown */
#define TERMINAL_LOW KIB(2)       /* no more is put behind it than that */
#define STEP_LINES   200U
#define POLL_NS      5000000U
/* Showing costs time, and the monitor's is nobody's share. Bytes a second, of one console and of all. */
#define RATE     KIB(48)
#define RATE_ALL KIB(96)

/* ---- the VM's side ---- */

static struct console *console_of(struct chardev *chardev)
{
    return container_of(chardev, struct console, chardev);
}

/* Lock held. */
static void keep_locked(struct console *c, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        c->ring[c->written++ % CONSOLE_RING] = bytes[i];
}

/* Lock held. Has the device called back on its own thread. */
static void serve_soon_locked(struct console *c)
{
    if (c->plat)
        c->plat->ops->defer(c->plat, &c->work);
}

static size_t op_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct console *c = console_of(chardev);
    uint64_t before;
    size_t n;
    bool news;

    monitor_lock(c->monitor, &c->lock);
    before = c->written - c->shown;
    n = MIN(len, CONSOLE_BACKLOG - before);
    keep_locked(c, buf, n);
    c->waiting |= n < len;
    /* Who writes byte by byte does not wake the monitor for each: it comes by itself as long as there are
     * more. */
    news = !c->polled || (before <= CONSOLE_BACKLOG / 2 && before + n > CONSOLE_BACKLOG / 2);
    c->polled = true;
    monitor_unlock(c->monitor, &c->lock);
    if (news)
        monitor_wake(c->monitor);
    return n;
}

static void op_resume(struct chardev *chardev)
{
    struct console *c = console_of(chardev);

    monitor_lock(c->monitor, &c->lock);
    serve_soon_locked(c);
    monitor_unlock(c->monitor, &c->lock);
}

static void op_close(struct chardev *chardev)
{
}

static const struct chardev_ops console_ops = {
    .name = "monitor",
    .write = op_write,
    .resume = op_resume,
    .close = op_close,
};

/* The VM's thread, its lock held: what was typed goes in, and the device hears of room. */
static void serve(void *opaque)
{
    struct console *c = opaque;
    uint8_t typed[CONSOLE_INPUT];
    size_t n, taken;

    monitor_lock(c->monitor, &c->lock);
    n = c->in_len;
    memcpy(typed, c->in, n);
    monitor_unlock(c->monitor, &c->lock);
    taken = n;
    if (n && c->chardev.receive) /* else nobody reads there */
        taken = c->chardev.receive(c->chardev.device, typed, n);
    monitor_lock(c->monitor, &c->lock);
    c->in_len -= (unsigned)MIN(taken, n);
    memmove(c->in, c->in + taken, c->in_len);
    monitor_unlock(c->monitor, &c->lock);
    if (taken)
        monitor_wake(c->monitor);
    if (c->chardev.writable)
        c->chardev.writable(c->chardev.device);
}

unsigned console_type(struct console *c, const uint8_t *bytes, unsigned len)
{
    unsigned n;

    monitor_lock(c->monitor, &c->lock);
    n = c->plat ? MIN(len, CONSOLE_INPUT - c->in_len) : len; /* it is off: the keys are lost */
    if (c->plat) {
        memcpy(c->in + c->in_len, bytes, n);
        c->in_len += n;
        serve_soon_locked(c);
    }
    monitor_unlock(c->monitor, &c->lock);
    return n;
}

struct chardev *monitor_console_open(struct monitor *m, unsigned vm, struct plat *plat)
{
    struct console *c = &m->consoles[vm];

    monitor_lock(c->monitor, &c->lock);
    c->plat = plat;
    c->in_len = 0;
    c->waiting = false;
    monitor_unlock(c->monitor, &c->lock);
    c->chardev = (struct chardev){.ops = &console_ops, .connected = true};
    return &c->chardev;
}

void monitor_console_close(struct monitor *m, unsigned vm)
{
    struct console *c = &m->consoles[vm];

    monitor_lock(c->monitor, &c->lock);
    c->plat = NULL;
    monitor_unlock(c->monitor, &c->lock);
}

/* ---- the hypervisor's own lines ---- */

void monitor_log(struct monitor *m, const char *text, size_t len)
{
    struct console *c = &m->own;

    monitor_lock(c->monitor, &c->lock);
    if (c->written - c->shown + len <= CONSOLE_BACKLOG)
        keep_locked(c, (const uint8_t *)text, len);
    else
        c->dropped += len;
    monitor_unlock(c->monitor, &c->lock);
    monitor_wake(m);
}

/* ---- the monitor's side ---- */

int vm_console_init(struct console *c, struct monitor *m, const char *name)
{
    c->monitor = m;
    c->name = name;
    c->work =
        (struct plat_work){.fn = serve, .opaque = c}; /* once: it may be queued from one VM to the next */
    m->config.plat->ops->lock_init(m->config.plat, &c->lock);
    c->allowance.bytes = RATE;
    c->ring = m->config.plat->ops->alloc(m->config.plat, CONSOLE_RING);
    return c->ring ? 0 : -ENOMEM;
}

void vm_console_finish(struct console *c)
{
    if (c->ring)
        c->monitor->config.plat->ops->free(c->monitor->config.plat, c->ring);
    c->ring = NULL;
}

size_t console_read(struct console *c, uint64_t *position, void *buf, size_t size)
{
    uint8_t *out = buf;
    size_t n = 0;

    monitor_lock(c->monitor, &c->lock);
    if (c->written - *position > CONSOLE_RING)
        *position = c->written - CONSOLE_RING;
    while (n < size && *position < c->written)
        out[n++] = c->ring[(*position)++ % CONSOLE_RING];
    monitor_unlock(c->monitor, &c->lock);
    return n;
}

uint64_t console_end(struct console *c)
{
    uint64_t end;

    monitor_lock(c->monitor, &c->lock);
    end = c->written;
    monitor_unlock(c->monitor, &c->lock);
    return end;
}

/* So far has it been shown; a device that waits for room may go on. */
static void shown_to(struct console *c, uint64_t position)
{
    monitor_lock(c->monitor, &c->lock);
    c->shown = position;
    if (c->waiting && c->written - position <= CONSOLE_BACKLOG / 2) {
        c->waiting = false;
        serve_soon_locked(c);
    }
    monitor_unlock(c->monitor, &c->lock);
}

static void put_line(struct port *p, const char *name, const char *text, size_t len)
{
    const struct monitor_config *config = &p->monitor->config;
    char line[LINE_MAX + 128];
    size_t n = 0;

    if (name) {
        n = MIN(text_length(name), 64U);
        memcpy(line, name, n);
        memcpy(line + n, "| ", 2);
        n += 2;
    }
    memcpy(line + n, text, len);
    n += len;
    port_hide_prompt(p);
    port_put(p, line, n);
    port_put(p, "\r\n", 2);
    p->quiet = p->monitor->now;
    if (config->ops->screen) {
        line[n++] = '\n';
        config->ops->screen(config->host, line, n);
    }
}

/* Never more than a second's. */
static void refill(struct allowance *a, uint64_t rate, uint64_t now)
{
    uint64_t more = MIN(now - a->since, 1000000000ULL) * rate / 1000000000ULL;

    if (!more)
        return;
    a->bytes = MIN(a->bytes + more, rate);
    a->since = now;
}

/* One line, or what there is of it if no more comes. False: nothing was shown. */
static bool show_line(struct port *p, struct console *c, uint64_t *until)
{
    struct monitor *m = p->monitor;
    uint64_t position = c->shown, now = m->now;
    enum line_result r = LINE_MORE;
    uint8_t buf[128];
    size_t n, i;

    refill(&c->allowance, RATE, now);
    while (r == LINE_MORE &&
           (n = console_read(c, &position, buf,
                             MIN(sizeof(buf), MIN(c->allowance.bytes, m->allowance.bytes))))) {
        for (i = 0; i < n && r == LINE_MORE; i++)
            r = line_put(&c->line, buf[i]);
        i -= r == LINE_AGAIN;
        position -= n - i;
        c->allowance.bytes -= i;
        m->allowance.bytes -= i;
        c->line_since = now;
        shown_to(c, position);
    }
    if (r == LINE_MORE && (!c->allowance.bytes || !m->allowance.bytes))
        *until = MIN(*until, now + 10000000);
    if (r == LINE_MORE && c->line.len && now - c->line_since < PARTIAL_NS) {
        *until = MIN(*until, c->line_since + PARTIAL_NS);
        return false;
    }
    if (r == LINE_MORE && !c->line.len)
        return false;
    put_line(p, c->name, c->line.text, c->line.len);
    line_clear(&c->line);
    return true;
}

/* Nobody sees it, and nobody waits for that. */
static void pass_over(struct console *c)
{
    uint64_t end = console_end(c);

    c->unseen += end - c->shown;
    c->unseen_all += end - c->shown;
    if (end != c->shown)
        line_clear(&c->line);
    shown_to(c, end);
}

static void tell_unseen(struct port *p, struct console *c)
{
    uint64_t dropped;

    monitor_lock(c->monitor, &c->lock);
    dropped = c->dropped;
    c->dropped = 0;
    monitor_unlock(c->monitor, &c->lock);
    if (!c->unseen && !dropped)
        return;
    port_hide_prompt(p);
    if (c->name)
        port_say(p, "(%s wrote %llu bytes that were not shown: log %s)\n", c->name,
                 (unsigned long long)c->unseen, c->name);
    else
        port_say(p, "(the hypervisor's log has more than was shown: log)\n");
    p->quiet = p->monitor->now;
    c->unseen = 0;
}

static struct console *console_at(struct monitor *m, unsigned i)
{
    return i < m->vm_count ? &m->consoles[i] : &m->own;
}

void consoles_show(struct monitor *m, uint64_t *until)
{
    struct port *p = &m->terminal;
    unsigned count = m->vm_count + 1, still = 0, lines = 0;

    refill(&m->allowance, RATE_ALL, m->now);

    if (!p->chardev || p->stuck || p->attached) {
        for (unsigned i = 0; i < count; i++) {
            if (console_at(m, i) != p->attached)
                pass_over(console_at(m, i));
        }
        return;
    }
    for (unsigned i = 0; i < count; i++)
        tell_unseen(p, console_at(m, i));
    /* Until none of them has anything. */
    while (still < count && port_unsent(p) < TERMINAL_LOW) {
        m->turn = (m->turn + 1) % count;
        still = show_line(p, console_at(m, m->turn), until) ? 0 : still + 1;
        if (!still)
            port_flush(p);
        if (!still && ++lines == STEP_LINES) {
            *until = 0;
            return;
        }
    }
}

/* Will there be more soon? Then we come back by ourselves. */
static uint64_t poll_again(struct console *c, uint64_t now)
{
    uint64_t due;

    monitor_lock(c->monitor, &c->lock);
    if (!c->polled || now - c->polled_at >= POLL_NS) {
        c->polled = c->written != c->polled_to;
        c->polled_to = c->written;
        c->polled_at = now;
    }
    due = c->polled ? c->polled_at + POLL_NS : MONITOR_NEVER;
    monitor_unlock(c->monitor, &c->lock);
    return due;
}

uint64_t consoles_due(struct monitor *m)
{
    uint64_t due = MONITOR_NEVER;

    for (unsigned i = 0; i <= m->vm_count; i++) {
        uint64_t again = poll_again(console_at(m, i), m->now);

        due = MIN(due, again);
    }
    return due;
}

void console_show_raw(struct port *p)
{
    struct console *c = p->attached;
    uint8_t buf[512];
    size_t n;

    while (port_unsent(p) < TERMINAL_LOW && (n = console_read(c, &p->raw_at, buf, sizeof(buf)))) {
        port_put(p, (const char *)buf, n);
        port_flush(p);
    }
    if (p->person)
        shown_to(c, p->raw_at);
}
