/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `batuta stats SOCKET` and `batuta code SOCKET ADDRESS`: what the engine counts, and what it made of guest
 * code. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"
#include "cli/qmp.h"

#define USAGE 2

static bool wants_help(int argc, char **argv)
{
    return argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
}

static bool written(const char *command)
{
    if (!fflush(stdout) && !ferror(stdout))
        return true;
    fprintf(stderr, "batuta %s: the output cannot be written: %s\n", command, strerror(errno));
    return false;
}

/* ---- stats ---- */

struct row {
    const char *name;
    json_int_t value;
};

static int by_value(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return x->value != y->value ? x->value < y->value ? 1 : -1 : strcmp(x->name, y->name);
}

/* Most often first where the names are the guest's doing, else in the engine's order. */
static void print_group(const char *group, const json_t *members)
{
    size_t count = json_object_size(members), i = 0;
    struct row *rows = calloc(count ? count : 1, sizeof(*rows));
    const char *name;
    json_t *value;

    if (!rows)
        return;
    json_object_foreach((json_t *)members, name, value)
    {
        rows[i++] = (struct row){name, json_integer_value(value)};
    }
    if (!strcmp(group, "by-reference"))
        qsort(rows, count, sizeof(*rows), by_value);
    printf("%s\n", group);
    for (i = 0; i < count; i++)
        printf("  %-24s %16lld\n", rows[i].name, (long long)rows[i].value);
    free(rows);
}

static const char stats_text[] =
    "Usage: batuta stats SOCKET [--json]\n"
    "Prints what the CPU engine of the VM with that control socket has counted so far. The VM goes on.\n"
    "--json: as {\"engine\": NAME, \"counters\": {GROUP: {NAME: NUMBER}}}. See batuta(1).\n";

int cmd_stats(int argc, char **argv)
{
    const char *socket = NULL, *group;
    bool help = wants_help(argc, argv), json = false;
    struct qmp qmp;
    json_t *answer, *members;

    if (help || argc < 2) {
        fputs(stats_text, help ? stdout : stderr);
        return help ? 0 : USAGE;
    }
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            json = true;
        } else if (socket || argv[i][0] == '-') {
            fprintf(stderr, "batuta stats: takes no '%s': only SOCKET and --json\n", argv[i]);
            return USAGE;
        } else {
            socket = argv[i];
        }
    }
    if (!socket) {
        fputs("batuta stats: which VM? Name the socket of its --control\n", stderr);
        return USAGE;
    }
    if (qmp_open(&qmp, "stats", socket) < 0)
        return 1;
    answer = qmp_execute(&qmp, "query-batuta-counters", NULL);
    qmp_close(&qmp);
    if (!answer)
        return 1;
    if (json) {
        json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else {
        const char *engine = json_string_value(json_object_get(answer, "engine"));

        printf("engine %s\n", engine ? engine : "?");
        json_object_foreach(json_object_get(answer, "counters"), group, members) print_group(group, members);
    }
    json_decref(answer);
    return written("stats") ? 0 : 1;
}

/* ---- code ---- */

static const char code_text[] =
    "Usage: batuta code SOCKET ADDRESS\n"
    "Prints the translations that the guest instruction at the linear address (hexadecimal) is part of now:\n"
    "each guest instruction, and the host's that it became. Exit status: 0, 1 there is none. See "
    "batuta(1).\n";

/* Hexadecimal, with 0x or without, as kallsyms and we ourselves print addresses. */
static bool get_address(const char *text, uint64_t *address)
{
    char *end;

    errno = 0;
    *address = strtoull(text, &end, 16);
    if (isxdigit((unsigned char)text[0]) && !*end && !errno)
        return true;
    fprintf(stderr, "batuta code: '%s' is not an address: say it in hexadecimal, as ffffffff81000000\n",
            text);
    return false;
}

int cmd_code(int argc, char **argv)
{
    bool help = wants_help(argc, argv);
    struct qmp qmp;
    json_t *answer, *line;
    size_t i;
    json_int_t blocks;
    uint64_t address;
    char text[24];

    if (help || argc != 3) {
        fputs(code_text, help ? stdout : stderr);
        return help ? 0 : USAGE;
    }
    if (!get_address(argv[2], &address))
        return USAGE;
    snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
    if (qmp_open(&qmp, "code", argv[1]) < 0)
        return 1;
    answer = qmp_execute(&qmp, "query-batuta-code", json_pack("{s:s}", "address", text));
    qmp_close(&qmp);
    if (!answer)
        return 1;
    json_array_foreach(json_object_get(answer, "lines"), i, line)
    {
        if (json_is_string(line))
            puts(json_string_value(line));
    }
    blocks = json_integer_value(json_object_get(answer, "blocks"));
    if (!blocks)
        fprintf(stderr, "batuta code: %s is in no translation now\n", argv[2]);
    json_decref(answer);
    return written("code") && blocks ? 0 : 1;
}
