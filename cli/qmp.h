/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A QMP client: one connection, one command at a time. All say what went wrong on standard error. */
#ifndef CLI_QMP_H
#define CLI_QMP_H

#include <jansson.h>
#include <stdio.h>

struct qmp {
    const char *command; /* of ours, for messages */
    const char *path;
    FILE *in; /* the socket, for reading */
};

/* -1: it said why. */
int qmp_open(struct qmp *qmp, const char *command, const char *path);
void qmp_close(struct qmp *qmp);

/* Steals args, which may be NULL. What is returned, a new reference; NULL: it said why. */
json_t *qmp_execute(struct qmp *qmp, const char *name, json_t *args);
/* The next object, be it an event; NULL: the VM has gone. */
json_t *qmp_receive(struct qmp *qmp);

#endif
