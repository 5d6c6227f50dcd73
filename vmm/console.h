/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is behind a console (core/chardev.h): the terminal or pipes that batuta
 * was started with, a pty, a unix socket, a file. Callbacks and calls with the VM
 * lock held.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "base/error.h"
#include "core/chardev.h"
#include "core/loop.h"

/* ---- the escape from a raw terminal: pure, no descriptors ---- */

enum escape_action { ESCAPE_NONE, ESCAPE_QUIT, ESCAPE_POWER, ESCAPE_RESET, ESCAPE_STATUS, ESCAPE_HELP };

#define ESCAPE_KEY 0x1d /* Ctrl-] */

struct escape {
    bool armed; /* the last key was Ctrl-] */
};

/*
 * One key. True: it goes to the guest as *out. Else it was part of an escape, and
 * *action says what is wanted. Ctrl-] twice sends one.
 */
bool escape_key(struct escape *escape, uint8_t key, uint8_t *out, enum escape_action *action);
/* What the keys do, a line each. */
extern const char escape_help[];

/* ---- the terminal's mode ---- */

/*
 * Puts the terminal at fd into raw mode; output processing stays, so that our own
 * messages look right. It is restored by terminal_restore(), which a fatal signal
 * calls too. One per process, as there is one controlling terminal.
 */
int terminal_raw(int fd);
/* Are we in its foreground? */
bool terminal_is_ours(int fd);
/* Harmless if it is not raw. Safe in signal handlers. */
void terminal_restore(void);
/* After SIGCONT: raw again if it was. */
void terminal_again(void);

/* ---- chardevs ---- */

struct console_host {
    struct loop *loop;
    /* A slow reader of our output is waited for a moment, then loses some of it: the guest never notices
     * (--icount). */
    bool patient;
    void (*escape)(void *opaque, enum escape_action action);
    /* The terminal or the reader of our output is gone; once. */
    void (*lost)(void *opaque, const char *why);
    void *opaque;
};

/* The host struct is copied. NULL with an error. */
struct chardev *console_stdio_create(const struct console_host *host, struct error *err);
/* path receives the pty's name. */
struct chardev *console_pty_create(const struct console_host *host, char *path, size_t size,
                                   struct error *err);
/* Listens; one client at a time, others wait. The socket is unlinked at the end. */
struct chardev *console_unix_create(const struct console_host *host, const char *path, struct error *err);
/* Output only; made or truncated. */
struct chardev *console_file_create(const struct console_host *host, const char *path, struct error *err);
/* Takes all, gives nothing. */
struct chardev *console_null_create(struct error *err);

void console_close(struct chardev *chardev);

#endif
