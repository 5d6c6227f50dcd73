/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/limit.h"
#include "core/plat.h"
#include "monitor/monitor-internal.h"

/* So many events of one VM are told at once, and then one in so long; so many of all before the ports are
 * looked at again. */
#define EVENT_BURST 10U
#define EVENT_NS    100000000ULL
#define STEP_EVENTS 64U

static const struct control_command *const tables[] = {monitor_commands, control_vm_commands, NULL};

/* ---- VMs for commands ---- */

static struct control_target *acquire(struct control_server *server, struct json args, struct error *err)
{
    struct monitor *m = container_of(server, struct monitor, server);
    struct json arg = json_member(args, "vm");
    struct control_target *target;
    char name[64];
    unsigned number;

    json_text(arg, name, sizeof(name));
    if (!arg.text) {
        error_set(err, EINVAL, "Parameter 'vm' is missing");
        return NULL;
    }
    target = json_is(arg, name) ? monitor_find(m, name, &number) : NULL;
    if (!target) {
        monitor_no_vm(m, name, err);
        return NULL;
    }
    m->config.ops->acquire(m->config.host, target);
    return target;
}

static void release(struct control_server *server, struct control_target *target)
{
    struct monitor *m = container_of(server, struct monitor, server);

    m->config.ops->release(m->config.host, target);
}

/* ---- events ---- */

void monitor_event(struct monitor *m, unsigned vm, enum vm_event event, uint64_t arg)
{
    struct monitor_event *e = &m->vms[vm].event[event];
    bool news;

    monitor_lock(m, &m->lock);
    news = list_empty(&e->link);
    list_remove(&e->link);
    list_insert(&m->events, &e->link); /* so that the last that is told is how it is */
    e->arg = arg;
    e->count++;
    monitor_unlock(m, &m->lock);
    if (news)
        monitor_wake(m);
}

static void send_event(struct port *p, const struct json_writer *event)
{
    if (!p->attached)
        control_session_event(&p->session, event);
}

static void tell_event(struct monitor *m, const struct monitor_event *e)
{
    struct json_writer w;

    if (!control_vm_event(&m->server, &w, m->consoles[e->vm].name, e->event, e->arg, "host-qmp-quit"))
        return;
    send_event(&m->terminal, &w);
    send_event(&m->management, &w);
    json_writer_finish(&w);
}

static void tell_lost(struct monitor *m, unsigned lost)
{
    struct json_writer w;

    control_event_begin(&m->server, &w, "BATUTA_EVENTS_LOST");
    json_key(&w, "data");
    json_open(&w, '{');
    json_add_uint(&w, "count", lost);
    json_close(&w, '{');
    control_event_end(&w);
    send_event(&m->terminal, &w);
    send_event(&m->management, &w);
    json_writer_finish(&w);
}

/* The first whose VM has not been heard too often; *until: when another one's may be, if there are any. */
static bool take_event(struct monitor *m, struct monitor_event *out, uint64_t *until)
{
    struct monitor_event *e;
    bool found = false;

    monitor_lock(m, &m->lock);
    list_for_each (e, &m->events, link) {
        uint64_t *due = &m->vms[e->vm].due;

        if (!limit_allows(due, m->now, EVENT_BURST, EVENT_NS)) {
            *until = MIN(*until, *due);
            continue;
        }
        *out = *e;
        list_remove(&e->link);
        e->count = 0;
        found = true;
        break;
    }
    monitor_unlock(m, &m->lock);
    return found;
}

/* So many at a time: with many VMs the ports have their turns between. */
static void tell_events(struct monitor *m, uint64_t *until)
{
    struct monitor_event e;
    unsigned lost = 0, told;

    for (told = 0; told < STEP_EVENTS && take_event(m, &e, until); told++) {
        tell_event(m, &e);
        lost += e.count - 1;
    }
    if (lost)
        tell_lost(m, lost);
    if (told == STEP_EVENTS)
        *until = 0;
}

/* ---- life ---- */

uint64_t monitor_step(struct monitor *m, uint64_t now)
{
    uint64_t until = MONITOR_NEVER, due;

    m->now = now;
    port_service(&m->terminal);
    port_service(&m->management);
    tell_events(m, &until);
    consoles_show(m, &until);
    port_flush(&m->terminal);
    port_flush(&m->management);
    due = consoles_due(m);
    until = MIN(until, due);
    due = port_due(&m->terminal);
    until = MIN(until, due);
    due = port_due(&m->management);
    return MIN(until, due);
}

static void init_events(struct monitor *m, unsigned vm)
{
    for (unsigned i = 0; i < MONITOR_EVENT_KINDS; i++) {
        struct monitor_event *e = &m->vms[vm].event[i];

        *e = (struct monitor_event){.vm = vm, .event = (enum vm_event)i};
        list_init(&e->link);
    }
}

static int init_vms(struct monitor *m)
{
    const struct monitor_config *config = &m->config;
    int r = vm_console_init(&m->own, m, NULL);

    while (config->ops->vm(config->host, m->vm_count))
        m->vm_count++;
    m->consoles = config->plat->ops->alloc(config->plat, MAX(m->vm_count, 1U) * sizeof(*m->consoles));
    m->vms = config->plat->ops->alloc(config->plat, MAX(m->vm_count, 1U) * sizeof(*m->vms));
    if (!m->consoles || !m->vms)
        return -ENOMEM;
    for (unsigned i = 0; r == 0 && i < m->vm_count; i++) {
        init_events(m, i);
        r = vm_console_init(&m->consoles[i], m, config->ops->vm(config->host, i)->name);
    }
    return r;
}

struct monitor *monitor_create(const struct monitor_config *config, struct error *err)
{
    struct monitor *m = config->plat->ops->alloc(config->plat, sizeof(*m));

    if (!m) {
        error_set(err, ENOMEM, "the monitor: out of memory");
        return NULL;
    }
    m->config = *config;
    config->plat->ops->lock_init(config->plat, &m->lock);
    list_init(&m->events);
    m->server = (struct control_server){
        .plat = config->plat,
        .tables = tables,
        .version = {config->version[0], config->version[1], config->version[2]},
        .package = config->package,
        .host = m,
        .acquire = acquire,
        .release = release,
        .selector = "vm",
    };
    if (init_vms(m) < 0) {
        error_set(err, ENOMEM, "the monitor: out of memory for its VMs' consoles");
        monitor_destroy(m);
        return NULL;
    }
    if (config->terminal)
        port_init(&m->terminal, m, config->terminal, true);
    if (config->management)
        monitor_set_management(m, config->management);
    return m;
}

void monitor_set_management(struct monitor *m, struct chardev *management)
{
    port_init(&m->management, m, management, false);
    monitor_wake(m);
}

void monitor_destroy(struct monitor *m)
{
    struct plat *plat;

    if (!m)
        return;
    plat = m->config.plat;
    port_finish(&m->terminal);
    port_finish(&m->management);
    for (unsigned i = 0; m->consoles && i < m->vm_count; i++)
        vm_console_finish(&m->consoles[i]);
    vm_console_finish(&m->own);
    plat->ops->free(plat, m->consoles);
    plat->ops->free(plat, m->vms);
    plat->ops->free(plat, m);
}
