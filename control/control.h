/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How batuta is controlled by programs: QMP's wire format (JSON objects both ways, a
 * greeting, qmp_capabilities, commands with ids, events with timestamps), without the
 * transport. A program has one server, with the tables of its commands and the way to
 * its VMs; each client that is connected, by whatever carries bytes, is a session.
 *
 *   bytes ──► control_session_input() ──► the command's run() ──► session.send()
 *
 * What a client sends is hostile: objects are bounded in size and depth, and a client
 * that does not read what it asked for is the transport's to drop.
 *
 * One session runs one command at a time. Commands may drop the lock that they are
 * called with, so events may be sent to a session while it runs one.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/error.h"
#include "control/json.h"
#include "core/vm.h"

struct blk;
struct control_call;
struct control_server;
struct control_session;

/* An answer is not longer. */
#define CONTROL_MAX_ANSWER MIB(4)

/* ---- a VM, as commands see it ---- */

struct control_target {
    const char *name;
    struct vm *vm; /* NULL: it is off, and there is none */
    const struct control_target_ops *ops;
};

struct control_disk {
    const char *file;
    const struct blk *blk; /* NULL: none in this place */
};

struct control_target_ops {
    bool (*started)(struct control_target *target); /* did its vCPUs run, or could they have? */
    void (*powerdown)(struct control_target *target);
    int (*thread_id)(struct control_target *target, unsigned vcpu); /* NULL: they have none */
    /* False: past the last. */
    bool (*disk)(struct control_target *target, unsigned i, struct control_disk *disk);
};

/* ---- commands ---- */

enum control_scope {
    CONTROL_HOST, /* the program as a whole */
    CONTROL_VM,   /* one VM; it may be off */
    CONTROL_LIVE, /* one VM that has its struct vm */
};

struct control_call {
    struct control_session *session;
    void *host;                    /* the server's */
    struct control_target *target; /* but for CONTROL_HOST; with the VM's lock held if it is not off */
    struct json args;              /* an object, its names checked */
    struct json_writer *out;       /* for one value; nothing written: {} */
    struct error *err;             /* set: the command failed, and what it wrote is forgotten */
};

struct control_command {
    const char *name;
    const char *args; /* names it takes, separated by spaces; a required one begins with '!'; NULL: none */
    enum control_scope scope;
    void (*run)(struct control_call *call);
};

/* The tables end with a command without a name. */
extern const struct control_command control_vm_commands[];

/* One object; the vCPU is parked, or this is its own thread, in a vcpu_call. */
void control_put_registers(struct json_writer *w, const struct vcpu *vcpu);

/* Arguments. False: it is not of that kind, and err says so; absent ones too, but they leave the output. */
bool control_arg_text(struct control_call *call, const char *name, char *buf, size_t size);
/* Numbers may be strings, too, as in C: not every client's numbers are 64 bits wide. */
bool control_arg_number(struct control_call *call, const char *name, uint64_t *number);
bool control_arg_bool(struct control_call *call, const char *name, bool *truth);

/* ---- the server ---- */

struct control_server {
    struct plat *plat; /* memory, and the time of events */
    const struct control_command *const *tables;
    unsigned version[3];
    const char *package; /* the version in words */
    void *host;

    /* Which VM the arguments mean, its lock held until release() unless it is off. NULL: err says why. */
    struct control_target *(*acquire)(struct control_server *server, struct json args, struct error *err);
    void (*release)(struct control_server *server, struct control_target *target);
    const char *selector; /* the argument that acquire() looks at, for all commands about a VM; NULL: none */
};

const struct control_command *control_find(const struct control_server *server, const char *name);
/* Runs it as a session would: the result in out, or an error. args: an object, or none. */
void control_run(struct control_server *server, struct control_session *session,
                 const struct control_command *command, struct json args, struct json_writer *out,
                 struct error *err);

/* ---- sessions ---- */

struct control_session {
    struct control_server *server;
    /* Lines for the client. It may close the session, but not finish it. */
    void (*send)(struct control_session *session, const char *text, size_t len);
    bool negotiated; /* it may give commands, and is told of events */
    bool lenient;    /* it may give commands at once */
    bool closed;     /* the transport's wish: nothing more is read or sent */
    bool busy;       /* within control_session_input() */

    char *in;
    size_t in_len, in_room;
    struct json_scan scan;
};

/* send, lenient: to be set by the caller after it. */
void control_session_init(struct control_session *session, struct control_server *server);
void control_session_finish(struct control_session *session);
void control_session_greet(struct control_session *session);
/* -ENOMEM: the session can be closed only. */
int control_session_input(struct control_session *session, const char *bytes, size_t len);

/* ---- events ---- */

/* Begins an event in a writer of its own; a member "data" may follow. */
void control_event_begin(struct control_server *server, struct json_writer *w, const char *name);
/* To each session: */
void control_event_end(struct json_writer *w);
void control_session_event(struct control_session *session, const struct json_writer *event);

/*
 * The event that tells of this one of a VM. vm: its name, where there are several, else NULL. reason: why the
 * host shut it down. False: programs are not told of it, and nothing was begun.
 */
bool control_vm_event(struct control_server *server, struct json_writer *w, const char *vm,
                      enum vm_event event, uint64_t arg, const char *reason);

#endif
