/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the monitor's files share. But for what a lock guards, all is the monitor thread's own. */
#ifndef MONITOR_MONITOR_INTERNAL_H
#define MONITOR_MONITOR_INTERNAL_H

#include "control/edit.h"
#include "control/line.h"
#include "control/person.h"
#include "core/plat.h"
#include "monitor/monitor.h"

#define MONITOR_ATTACH_KEY 0x1d /* Ctrl-], as the hosted program's */

/* ---- mux.c: consoles ---- */

#define CONSOLE_RING    KIB(64) /* for scrolling back */
#define CONSOLE_BACKLOG KIB(16) /* of it, at most waits to be shown */
#define CONSOLE_INPUT   256U

/* Bytes that may be shown now, and when that was reckoned. */
struct allowance {
    uint64_t bytes, since;
};

struct console {
    struct chardev chardev;
    struct monitor *monitor;
    const char *name; /* NULL: the hypervisor's own */

    struct plat_lock lock; /* guards all up to the next comment */
    uint8_t *ring;
    uint64_t written, shown;       /* bytes ever */
    uint64_t dropped;              /* the hypervisor's own lines for which there was no room */
    bool waiting;                  /* the device has more */
    bool polled;                   /* the monitor comes by itself: it need not be woken */
    uint64_t polled_to, polled_at; /* what it saw then, and when */
    uint8_t in[CONSOLE_INPUT];
    unsigned in_len;
    struct plat *plat; /* NULL: there is no VM */
    struct plat_work work;

    struct line line;
    uint64_t line_since; /* when its last byte came */
    struct allowance allowance;
    uint64_t unseen, unseen_all; /* bytes passed over: since it was last told, and ever */
};

int vm_console_init(struct console *c, struct monitor *m, const char *name);
void vm_console_finish(struct console *c);
/* Copies what was written from *position on, which moves behind it and past what is gone. */
size_t console_read(struct console *c, uint64_t *position, void *buf, size_t size);
uint64_t console_end(struct console *c);
/* For the device; returns how much there was room for. */
unsigned console_type(struct console *c, const uint8_t *bytes, unsigned len);
/* Shows lines, in turns, as far as the terminal takes them; moves *until forward. */
void consoles_show(struct monitor *m, uint64_t *until);
/* When they are to be looked at again because they have written lately. */
uint64_t consoles_due(struct monitor *m);
/* Raw bytes to the ports that are attached. */
struct port;
void console_show_raw(struct port *port);

/* ---- port.c ---- */

#define PORT_INPUT 1024U

struct port {
    struct monitor *monitor;
    struct chardev *chardev;
    bool person; /* with a terminal: else JSON only */

    struct plat_lock lock; /* guards all up to the next comment */
    char in[PORT_INPUT];
    unsigned in_len;
    bool held;            /* the driver has more: resume() is due */
    unsigned connections; /* comings and goings that the driver has told */
    bool connected;       /* after the last one */

    unsigned served; /* of the connections; what came since is not known yet */
    bool open;       /* somebody is there */
    bool more;       /* has come in */
    char *out;
    size_t out_at, out_len, out_room;
    uint64_t progress; /* when it last took something */
    bool stuck;        /* it does not any more */
    bool overrun;      /* the reader did not read what it asked for: nothing more until it connects again */

    struct control_session session;
    struct edit edit;
    struct control_person words;
    bool prompt;                     /* stands on the terminal, with what was typed */
    uint64_t typed;                  /* when the last key came; 0: none ever did */
    uint64_t quiet;                  /* when the last line was shown above it */
    struct console *attached, *left; /* left: just now, Ctrl-] goes back */
    uint64_t raw_at;
};

void port_init(struct port *p, struct monitor *m, struct chardev *chardev, bool person);
void port_finish(struct port *p);
void port_put(struct port *p, const char *bytes, size_t len);
void port_say(struct port *p, const char *fmt, ...) ATTR_PRINTF(2, 3); /* 640 bytes; \n becomes \r\n */
void port_flush(struct port *p);
static inline size_t port_unsent(const struct port *p)
{
    return p->out_len - p->out_at;
}
/* Before something else is shown; and what is typed again. */
void port_hide_prompt(struct port *p);
void port_show_prompt(struct port *p);
void port_attach(struct port *p, struct console *c);
/* Carries out what has come in. */
void port_service(struct port *p);
/* When it wants to be served again, if nothing else happens. */
uint64_t port_due(const struct port *p);

/* ---- commands.c ---- */
extern const struct control_command monitor_commands[];
extern const struct control_word monitor_words[];
struct control_target *monitor_find(struct monitor *m, const char *name, unsigned *number);
void monitor_no_vm(struct monitor *m, const char *name, struct error *err); /* says so, and which there are */

/* ---- monitor.c ---- */

#define MONITOR_EVENT_KINDS (VM_EVENT_ERROR + 1U)

/*
 * A VM's events of one kind that wait to be told: as one, by the last of them. However many a guest makes,
 * and however fast, nobody else's wait for room.
 */
struct monitor_event {
    struct list_node link; /* in monitor.events; by itself: there is none */
    unsigned vm;
    enum vm_event event;
    uint64_t arg;
    unsigned count;
};

struct monitor_vm {
    struct monitor_event event[MONITOR_EVENT_KINDS]; /* guarded by monitor.lock */
    uint64_t due;                                    /* when one may be told again */
};

struct monitor {
    struct monitor_config config;
    struct control_server server;
    struct port terminal, management; /* chardev NULL: none */
    struct console own;
    struct console *consoles;
    struct monitor_vm *vms;
    unsigned vm_count;
    unsigned turn; /* whose console is first, next time */
    struct allowance allowance;
    uint64_t now;

    struct plat_lock lock;   /* guards the rest */
    struct list_node events; /* struct monitor_event, in the order of each one's last */
};

static inline void monitor_lock(struct monitor *m, struct plat_lock *lock)
{
    m->config.plat->ops->lock(m->config.plat, lock);
}

static inline void monitor_unlock(struct monitor *m, struct plat_lock *lock)
{
    m->config.plat->ops->unlock(m->config.plat, lock);
}

static inline void monitor_wake(struct monitor *m)
{
    m->config.ops->wake(m->config.host);
}

#endif
