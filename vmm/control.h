/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: control/ over a unix socket, for several clients. A client
 * that does not read what it asked for is dropped.
 *
 * VM lock held for all; control_event() from any thread.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "base/error.h"
#include "control/control.h"
#include "core/loop.h"

struct control;

struct control_config {
    struct loop *loop;
    struct plat *plat;
    const struct control_command *const *commands; /* tables, up to NULL */
    struct control_target *target;                 /* the VM */
    void *host;                                    /* for the commands */
};

struct control *control_create(const struct control_config *config, struct error *err);
/* Listens at path, mode 0600; removed at the end. */
int control_listen(struct control *control, const char *path, struct error *err);
/* A client that is connected already; the descriptor is the control's from now on. */
int control_adopt(struct control *control, int fd);
/* Tells every client that has negotiated, if it is an event for them. As control_vm_event(). */
void control_event(struct control *control, enum vm_event event, uint64_t arg, const char *reason);
/* Sends what is left, for a short time, and closes all. */
void control_destroy(struct control *control);

#endif
