/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/qmp.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* For the greeting: who says nothing within this time does not speak QMP. */
#define GREETING_SECONDS 10

static int complain(const struct qmp *qmp, const char *about, const char *what)
{
    fprintf(stderr, "batuta %s: %s: %s\n", qmp->command, about, what);
    return -1;
}

static bool is_socket(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int dial(const struct qmp *qmp)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;

    if (!*qmp->path)
        return complain(qmp, "the socket's name is empty", "name the one of batuta run --control SOCKET");
    if (strlen(qmp->path) >= sizeof(addr.sun_path))
        return complain(qmp, qmp->path, "the path is too long for a socket");
    strcpy(addr.sun_path, qmp->path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        complain(qmp, qmp->path,
                 errno == ECONNREFUSED && is_socket(qmp->path)
                     ? "nobody listens there any more: the VM has ended"
                 : errno == ECONNREFUSED ? "is not a socket: name the one of batuta run --control SOCKET"
                 : errno == ENOENT ? "there is no such socket: batuta run makes it with --control SOCKET"
                                   : strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

json_t *qmp_receive(struct qmp *qmp)
{
    json_error_t err;

    return json_loadf(qmp->in, JSON_DISABLE_EOF_CHECK, &err);
}

/* All of it, and no SIGPIPE: a VM may end at any time. */
static int send_bytes(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

/* Steals the object. */
/* In one piece: a VM that has read a whole command may end before it reads what follows. */
static int send_object(const struct qmp *qmp, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL, *line = NULL;
    int n = text ? asprintf(&line, "%s\n", text) : -1;
    int r = n < 0 ? -1 : send_bytes(fileno(qmp->in), line, (size_t)n);

    json_decref(object);
    free(text);
    free(n < 0 ? NULL : line);
    return r;
}

/* Waits for the answer to the last command, past events. NULL: the VM has gone. */
static json_t *await(struct qmp *qmp)
{
    json_t *object;

    while ((object = qmp_receive(qmp))) {
        if (json_object_get(object, "return") || json_object_get(object, "error"))
            return object;
        json_decref(object);
    }
    return NULL;
}

json_t *qmp_execute(struct qmp *qmp, const char *name, json_t *args)
{
    json_t *answer, *result;
    const char *text;

    if (send_object(qmp, json_pack("{s:s, s:o}", "execute", name, "arguments", args ? args : json_object())) <
        0) {
        complain(qmp, qmp->path, "the VM went away");
        return NULL;
    }
    answer = await(qmp);
    if (!answer) {
        complain(qmp, qmp->path, "the VM went away before it answered");
        return NULL;
    }
    if (json_object_get(answer, "error")) {
        text = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
        complain(qmp, name, text ? text : "failed");
    }
    result = json_incref(json_object_get(answer, "return"));
    json_decref(answer);
    return result;
}

static int greet(struct qmp *qmp)
{
    const struct timeval patience = {.tv_sec = GREETING_SECONDS}, forever = {0};
    json_t *greeting, *answer;
    bool qmp_spoken;

    setsockopt(fileno(qmp->in), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    greeting = qmp_receive(qmp);
    qmp_spoken = json_object_get(greeting, "QMP");
    json_decref(greeting);
    if (!qmp_spoken)
        return complain(qmp, qmp->path, "does not speak QMP: is it another socket than that of --control?");
    setsockopt(fileno(qmp->in), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
    answer = send_object(qmp, json_pack("{s:s}", "execute", "qmp_capabilities")) < 0 ? NULL : await(qmp);
    if (!answer)
        return complain(qmp, qmp->path, "the VM went away");
    json_decref(answer);
    return 0;
}

int qmp_open(struct qmp *qmp, const char *command, const char *path)
{
    int fd;

    *qmp = (struct qmp){.command = command, .path = path};
    fd = dial(qmp);
    if (fd < 0)
        return -1;
    qmp->in = fdopen(fd, "r");
    if (!qmp->in)
        close(fd);
    else if (greet(qmp) == 0)
        return 0;
    qmp_close(qmp);
    return -1;
}

void qmp_close(struct qmp *qmp)
{
    if (qmp->in)
        fclose(qmp->in);
    *qmp = (struct qmp){0};
}
