/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/ctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define USAGE 2
/* For the greeting: who says nothing within this time does not speak QMP. */
#define GREETING_SECONDS 10

static int complain(const char *socket_path, const char *what)
{
    fprintf(stderr, "batuta ctl: %s: %s\n", socket_path, what);
    return 1;
}

/* Two streams on one socket: a stream for both ways would have to seek between them. */
struct peer {
    FILE *in, *out;
};

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(addr.sun_path)) {
        complain(path, "the path is too long for a socket");
        return -1;
    }
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        complain(path, errno == ECONNREFUSED ? "nobody listens there any more: the VM has ended"
                       : errno == ENOENT
                           ? "there is no such socket: batuta run makes it with --control SOCKET"
                           : strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* The next object; NULL: the VM has gone. */
static json_t *receive(FILE *f)
{
    json_error_t err;

    return json_loadf(f, JSON_DISABLE_EOF_CHECK, &err);
}

static void print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
}

/* Steals the object. */
static int send_object(FILE *f, json_t *object)
{
    int r = object ? json_dumpf(object, f, JSON_COMPACT) : -1;

    json_decref(object);
    if (r == 0)
        r = fputs("\n", f) < 0 || fflush(f) ? -1 : 0;
    return r;
}

/* Waits for the answer to the last command, past events. NULL: the VM has gone. */
static json_t *await(FILE *f)
{
    json_t *object;

    while ((object = receive(f))) {
        if (json_object_get(object, "return") || json_object_get(object, "error"))
            return object;
        json_decref(object);
    }
    return NULL;
}

/* KEY=VALUE; a value that reads as JSON is meant so, else it is text. */
static bool add_argument(json_t *args, const char *text)
{
    const char *equals = strchr(text, '=');
    json_error_t err;
    json_t *value;
    char key[128];

    if (!equals || equals == text || (size_t)(equals - text) >= sizeof(key))
        return false;
    snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
    value = json_loads(equals + 1, JSON_DECODE_ANY, &err);
    return json_object_set_new(args, key, value ? value : json_string(equals + 1)) == 0;
}

static int command(struct peer *p, const char *path, int argc, char **argv)
{
    json_t *args = json_object(), *answer;
    const char *text;
    int status = 0;

    for (int i = 1; i < argc; i++) {
        if (!add_argument(args, argv[i])) {
            fprintf(stderr, "batuta ctl: '%s' is not of the form KEY=VALUE\n", argv[i]);
            json_decref(args);
            return USAGE;
        }
    }
    if (send_object(p->out, json_pack("{s:s, s:o}", "execute", argv[0], "arguments", args)) < 0)
        return complain(path, "the VM went away");
    answer = await(p->in);
    if (!answer)
        return complain(path, "the VM went away before it answered");
    text = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
    if (json_object_get(answer, "error"))
        status = complain(argv[0], text ? text : "failed");
    else if (json_object_size(json_object_get(answer, "return")) ||
             json_is_array(json_object_get(answer, "return")))
        print(json_object_get(answer, "return"));
    json_decref(answer);
    return status;
}

static int events(FILE *f)
{
    json_t *object;

    while ((object = receive(f))) {
        if (json_object_get(object, "event"))
            print(object);
        json_decref(object);
    }
    return 0;
}

static int talk(struct peer *p, const char *path, int argc, char **argv)
{
    const struct timeval patience = {.tv_sec = GREETING_SECONDS}, forever = {0};
    json_t *greeting, *answer;

    setsockopt(fileno(p->in), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    greeting = receive(p->in);
    if (!json_object_get(greeting, "QMP")) {
        json_decref(greeting);
        return complain(path, "does not speak QMP: is it another socket than that of --control?");
    }
    setsockopt(fileno(p->in), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
    json_decref(greeting);
    if (send_object(p->out, json_pack("{s:s}", "execute", "qmp_capabilities")) < 0 ||
        !(answer = await(p->in)))
        return complain(path, "the VM went away");
    json_decref(answer);
    return strcmp(argv[0], "--events") ? command(p, path, argc, argv) : events(p->in);
}

int cmd_ctl(int argc, char **argv)
{
    struct peer p;
    int status = 1, fd;
    bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));

    if (argc < 3 || help) {
        fputs("Usage: batuta ctl SOCKET COMMAND [KEY=VALUE…]\n"
              "       batuta ctl SOCKET --events\n"
              "Sends a command to the VM that was started with --control SOCKET, and prints the answer as "
              "JSON;\n"
              "--events prints its events until it ends. query-commands lists what commands there are.\n"
              "See batuta(1).\n",
              help ? stdout : stderr);
        return help ? 0 : USAGE;
    }
    fd = dial(argv[1]);
    if (fd < 0)
        return 1;
    p.in = fdopen(fd, "r");
    p.out = fdopen(dup(fd), "w");
    if (p.in && p.out)
        status = talk(&p, argv[1], argc - 2, argv + 2);
    if (p.out)
        fclose(p.out);
    if (p.in)
        fclose(p.in);
    return status;
}
