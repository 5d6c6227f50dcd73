/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands for people: words become the arguments of a command (control/control.h), and
 * its result becomes a table or a list. So whatever a person can do, a program can.
 */
#ifndef CONTROL_PERSON_H
#define CONTROL_PERSON_H

#include "control/control.h"

struct control_word {
    const char *name;
    const char *command;
    const char
        *params; /* the command's arguments that follow the word, as in its table; '*': all that is left */
    const char *fixed; /* others: members of an object */
    const char *usage; /* what stands for params in the help */
    const char *help;
    bool silent; /* success says nothing */
};

struct control_person {
    struct control_session *session;
    const struct control_word *words;            /* up to the one without a name */
    const char *more_help;                       /* at its end */
    const char *(*vm)(void *opaque, unsigned i); /* names, for completion; NULL: past the last */
    void (*put)(void *opaque, const char *bytes, size_t len);
    void *opaque;
};

/* Carries a line out. */
void control_person_line(const struct control_person *p, const char *line);
/* What may be added to the line, all of it typed so far: "" if that is not clear. */
void control_person_complete(const struct control_person *p, const char *line, char *rest, size_t size);

#endif
