/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: QMP's wire format (JSON objects both ways, a greeting,
 * qmp_capabilities, commands with ids, events with timestamps) over a unix socket,
 * for several clients. What a client sends is hostile: objects are bounded in size
 * and depth, and a client that does not read what it asked for is dropped.
 *
 * VM lock held for all; control_event() from any thread.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <jansson.h>

#include "base/error.h"
#include "core/loop.h"

struct control;

/* One command. Its table is the single list: query-commands answers from it. */
struct qmp_command {
    const char *name;
    const char *args; /* names it takes, separated by spaces; a required one begins with '!'; NULL: none */
    /* The result (a new reference; NULL for {}), or an error in err. args is an object, its names checked. */
    json_t *(*run)(void *host, json_t *args, struct error *err);
};

struct control_config {
    struct loop *loop;
    const struct qmp_command *commands; /* up to the one without a name */
    void *host;                         /* for the commands */
};

struct control *control_create(const struct control_config *config, struct error *err);
/* Listens at path, mode 0600; removed at the end. */
int control_listen(struct control *control, const char *path, struct error *err);
/* A client that is connected already; the descriptor is the control's from now on. */
int control_adopt(struct control *control, int fd);
/* Tells every client that has negotiated. Steals data, which may be NULL. */
void control_event(struct control *control, const char *name, json_t *data);
/* Sends what is left, for a short time, and closes all. */
void control_destroy(struct control *control);

/* {"return": {"qemu": …}} of query-version and the greeting. */
json_t *control_version(void);

/* A string of bytes that may not be UTF-8 (a file's name, a text cut short): JSON knows no others. */
json_t *control_text(const char *text);

/* ---- qmp-scan.c: where JSON objects end in a stream of bytes ---- */

#define QMP_MAX_OBJECT KIB(256)
#define QMP_MAX_DEPTH  64

struct qmp_scan {
    size_t at; /* bytes looked at */
    unsigned depth;
    bool in_string, escaped;
};

enum qmp_found { QMP_MORE, QMP_OBJECT, QMP_GARBAGE };

/*
 * Looks at buf (the same bytes as before, and new ones). OBJECT: its first *len
 * bytes hold one; GARBAGE: they hold something else, up to a line's end. After
 * either, the caller removes them, and the scan starts anew.
 */
enum qmp_found qmp_scan(struct qmp_scan *scan, const char *buf, size_t size, size_t *len);

#endif
