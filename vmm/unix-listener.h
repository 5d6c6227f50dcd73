/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A unix socket that waits for clients: mode 0600, a dead socket at its path is
 * replaced, a live one refused. All zeroes is one that does not listen.
 */
#ifndef VMM_UNIX_LISTENER_H
#define VMM_UNIX_LISTENER_H

#include "base/error.h"
#include "core/loop.h"

struct unix_listener {
    void (*accepted)(void *opaque, int fd); /* set by the owner; a non-blocking descriptor to keep */
    void *opaque;

    /* private */
    struct loop *loop;
    struct loop_fd fd;
    struct loop_timer retry;
    char *path; /* NULL: does not listen */
    bool paused;
};

int unix_listener_open(struct unix_listener *l, struct loop *loop, const char *path, struct error *err);
/* Clients that come during a pause wait. */
void unix_listener_pause(struct unix_listener *l, bool pause);
/* Removes the socket. */
void unix_listener_close(struct unix_listener *l);

#endif
