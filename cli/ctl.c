/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/ctl.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/qmp.h"

#define USAGE 2

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

static void print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
}

static int command(struct qmp *qmp, int argc, char **argv)
{
    json_t *args = json_object(), *answer;

    for (int i = 1; i < argc; i++) {
        if (!add_argument(args, argv[i])) {
            fprintf(stderr, "batuta ctl: '%s' is not of the form KEY=VALUE\n", argv[i]);
            json_decref(args);
            return USAGE;
        }
    }
    answer = qmp_execute(qmp, argv[0], args);
    if (!answer)
        return 1;
    if (json_object_size(answer) || json_is_array(answer))
        print(answer);
    json_decref(answer);
    return 0;
}

static int events(struct qmp *qmp)
{
    json_t *object;

    while ((object = qmp_receive(qmp))) {
        if (json_object_get(object, "event"))
            print(object);
        json_decref(object);
    }
    return 0;
}

int cmd_ctl(int argc, char **argv)
{
    struct qmp qmp;
    int status;
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
    if (qmp_open(&qmp, "ctl", argv[1]) < 0)
        return 1;
    status = strcmp(argv[2], "--events") ? command(&qmp, argc - 2, argv + 2) : events(&qmp);
    qmp_close(&qmp);
    return status;
}
