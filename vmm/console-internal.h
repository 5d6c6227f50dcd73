/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chardev over descriptors. Input is read when it is there and the device has
 * room; what a device does not take waits here, and reading with it. Output goes
 * straight to a descriptor that does not block; what it does not take stays with
 * the device, which is told when there is room.
 */
#ifndef VMM_CONSOLE_INTERNAL_H
#define VMM_CONSOLE_INTERNAL_H

#include "core/plat.h"
#include "vmm/console.h"
#include "vmm/loop.h"
#include "vmm/unix-listener.h"

#define STREAM_BUFFER 4096

struct stream {
    struct chardev chardev;
    struct console_host host;
    struct loop_fd in, out; /* fd -1: none; one descriptor for both: `in` watches for both */
    bool out_shared;        /* out.fd is in.fd */
    bool in_watched, out_watched;
    bool in_plain; /* a regular file or /dev/null: epoll does not take it, it never blocks */
    bool is_socket;
    bool lossy;       /* full means that nobody reads: what does not fit is dropped */
    bool wants_write; /* the device waits for writable() */
    bool in_ended;
    struct plat_work tell; /* calls writable() from the loop, never from inside of a write */
    struct plat_work pump; /* reads the next piece of in_plain */

    uint8_t pending[STREAM_BUFFER]; /* input that the device has not taken */
    size_t pending_len, pending_at;

    struct unix_listener listener; /* of a socket: waits for clients */
    int pty_slave;                 /* of a pty: its other side, kept open */

    struct escape *escape; /* NULL: no terminal */
    struct escape escape_state;

    /* The input ended or the output is broken. NULL: nothing to do. */
    void (*gone)(struct stream *stream, const char *why);
    void (*destroy)(struct stream *stream); /* what the kind of stream has of its own */
};

struct stream *stream_create(const struct console_host *host, struct error *err);
/* Begins with these descriptors, which it will close; -1: none. */
int stream_open(struct stream *stream, int in, int out);
/* Stops watching and closes the descriptors. */
void stream_shut(struct stream *stream);

#endif
