/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The escape key, and the controlling terminal's mode. */
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/console.h"

const char escape_help[] = "Ctrl-] then:  q  quit (stop the VM at once)\n"
                           "              p  press the power button\n"
                           "              r  reset\n"
                           "              s  status\n"
                           "              ?  this help\n"
                           "         Ctrl-]  send Ctrl-] to the guest\n";

bool escape_key(struct escape *escape, uint8_t key, uint8_t *out, enum escape_action *action)
{
    static const struct {
        uint8_t key;
        enum escape_action action;
    } keys[] = {{'q', ESCAPE_QUIT}, {'p', ESCAPE_POWER}, {'r', ESCAPE_RESET}, {'s', ESCAPE_STATUS}};

    *action = ESCAPE_NONE;
    if (!escape->armed && key != ESCAPE_KEY) {
        *out = key;
        return true;
    }
    if (!escape->armed) {
        escape->armed = true;
        return false;
    }
    escape->armed = false;
    if (key == ESCAPE_KEY) {
        *out = key;
        return true;
    }
    *action = ESCAPE_HELP; /* for '?' and for what nobody knows */
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if ((key | 0x20) == keys[i].key)
            *action = keys[i].action;
    }
    return false;
}

/*
 * The process's one terminal. This is state of the process, not of a VM, and a
 * handler of a fatal signal must find it: hence these statics, the only ones.
 */
static volatile sig_atomic_t is_raw, was_raw;
static int raw_fd;
static struct termios cooked, raw;

static void on_fatal(int number)
{
    terminal_restore();
    /* The handler was one-shot: the signal's default action follows. */
    raise(number);
}

static void catch_fatal(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,    SIGABRT, SIGTRAP, SIGSYS,
                                SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPOLL, SIGXCPU};
    struct sigaction sa = {.sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER}, old;

    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
        /* A sanitizer or an engine that wants the signal keeps it. */
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL && !(old.sa_flags & SA_SIGINFO))
            sigaction(fatal[i], &sa, NULL);
    }
}

bool terminal_is_ours(int fd)
{
    return tcgetpgrp(fd) == getpgrp();
}

int terminal_raw(int fd)
{
    if (tcgetattr(fd, &cooked) < 0)
        return -errno;
    raw = cooked;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw_fd = fd;
    if (tcsetattr(fd, TCSANOW, &raw) < 0)
        return -errno;
    is_raw = was_raw = 1;
    catch_fatal();
    return 0;
}

void terminal_restore(void)
{
    if (is_raw)
        tcsetattr(raw_fd, TCSANOW, &cooked);
    is_raw = 0;
}

void terminal_again(void)
{
    if (was_raw && terminal_is_ours(raw_fd) && tcsetattr(raw_fd, TCSANOW, &raw) == 0)
        is_raw = 1;
}
