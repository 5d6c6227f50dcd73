/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `batuta profile SOCKET`: samples where the VM's processors are, and prints folded
 * stacks, a line for each with its count, as flame graph programs read them.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/inspect.h"
#include "cli/qmp.h"
#include "symbols/symbols.h"

#define USAGE 2
#define NANO  1000000000ULL

struct profile {
    const char *socket, *output;
    FILE *out;
    struct symbols symbols;
    double seconds, rate;
    bool idle;
    char **stack; /* one text a sample */
    size_t count, room;
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NANO + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t t)
{
    const struct timespec at = {.tv_sec = (time_t)(t / NANO), .tv_nsec = (long)(t % NANO)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* ---- stacks ---- */

/* A return address may be the next function's first: the call lies before it. */
static void put_frame(FILE *out, const struct profile *p, const char *text, bool innermost)
{
    uint64_t address = strtoull(text, NULL, 0);
    const struct symbol *s = symbols_find(&p->symbols, address - !innermost);

    if (s)
        fprintf(out, ";%s", s->name);
    else
        fprintf(out, ";%s", text);
}

static bool keep(struct profile *p, char *text)
{
    if (text && p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 1024;
        char **stack = realloc(p->stack, room * sizeof(*stack));

        if (!stack) {
            free(text);
            return false;
        }
        p->stack = stack;
        p->room = room;
    }
    if (text)
        p->stack[p->count++] = text;
    return text;
}

/* Outermost first: "cpu0;user;main;work". */
static bool add_sample(struct profile *p, const json_t *sample)
{
    const json_t *frames = json_object_get(sample, "frames");
    bool halted = json_is_true(json_object_get(sample, "halted"));
    char *text = NULL;
    size_t size;
    FILE *out;

    if (halted && !p->idle)
        return true;
    out = open_memstream(&text, &size);
    if (!out)
        return false;
    fprintf(out, "cpu%lld;%s", (long long)json_integer_value(json_object_get(sample, "cpu-index")),
            json_integer_value(json_object_get(sample, "cpl")) == 3 ? "user" : "kernel");
    for (size_t i = json_array_size(frames); i-- > 0;) {
        const char *frame = json_string_value(json_array_get(frames, i));

        put_frame(out, p, frame ? frame : "?", i == 0);
    }
    fputs(halted ? ";halted" : "", out);
    return fclose(out) == 0 && keep(p, text);
}

static int take_samples(struct profile *p, struct qmp *qmp)
{
    uint64_t step = (uint64_t)((double)NANO / p->rate), next = now(),
             end = next + (uint64_t)(p->seconds * 1e9);

    for (; next < end; next = MAX(next + step, now())) {
        json_t *answer, *sample;
        size_t i;

        sleep_until(next);
        answer = qmp_execute(qmp, "query-batuta-samples", NULL);
        if (!answer)
            return p->count ? 0 : -1; /* it may well end meanwhile */
        json_array_foreach(answer, i, sample)
        {
            if (!add_sample(p, sample)) {
                fputs("batuta profile: out of memory\n", stderr);
                json_decref(answer);
                return -1;
            }
        }
        json_decref(answer);
    }
    return 0;
}

/* ---- the result ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool open_output(struct profile *p, const char *path)
{
    p->out = path ? fopen(path, "we") : stdout;
    if (!p->out)
        fprintf(stderr, "batuta profile: '%s' cannot be written: %s\n", path, strerror(errno));
    return p->out;
}

static int print_folded(struct profile *p)
{
    int r;

    if (p->count)
        qsort(p->stack, p->count, sizeof(*p->stack), compare);
    for (size_t i = 0, n; i < p->count; i += n) {
        for (n = 1; i + n < p->count && !strcmp(p->stack[i], p->stack[i + n]); n++)
            ;
        fprintf(p->out, "%s %zu\n", p->stack[i], n);
    }
    if (!p->count)
        fputs("batuta profile: no samples: its processors were halted or paused all the time (--idle counts "
              "that)\n",
              stderr);
    r = fflush(p->out) || ferror(p->out);
    if (r)
        fprintf(stderr, "batuta profile: the output cannot be written: %s\n", strerror(errno));
    return r ? -1 : 0;
}

/* ---- the command ---- */

static const char help_text[] =
    "Usage: batuta profile SOCKET [OPTION…]\n"
    "Samples where the processors of the VM with that control socket are, and prints folded stacks for a\n"
    "flame graph. The VM goes on, under any engine.\n"
    "\n"
    "  --seconds N             for so long (default: 10)\n"
    "  --rate N                samples a second, 1 to 1000 (default: 99)\n"
    "  --symbols FILE[,BIAS]   System.map, a copy of /proc/kallsyms, or an ELF file; may be repeated.\n"
    "                          BIAS is added to its addresses\n"
    "  --idle                  count halted processors, too\n"
    "  --output FILE           (default: standard output)\n"
    "\n"
    "See batuta(1).\n";

static bool get_number(const char *option, const char *text, double low, double high, double *value)
{
    char *end;

    *value = strtod(text, &end);
    if (end != text && !*end && *value >= low && *value <= high)
        return true;
    fprintf(stderr, "batuta profile: --%s '%s': must be %g to %g\n", option, text, low, high);
    return false;
}

static bool add_symbols(struct profile *p, char *text)
{
    struct error err = {0};
    char *comma = access(text, F_OK) ? strrchr(text, ',') : NULL, *end = NULL;
    uint64_t bias = 0;

    if (comma) {
        bias = strtoull(comma + 1, &end, 0);
        if (*end || comma[1] < '0' || comma[1] > '9') {
            fprintf(stderr, "batuta profile: --symbols %s: '%s' is not a number to add to its addresses\n",
                    text, comma + 1);
            return false;
        }
        *comma = 0;
    }
    if (symbols_load(&p->symbols, text, bias, &err) == 0)
        return true;
    fprintf(stderr, "batuta profile: --symbols: %s\n", err.text);
    return false;
}

static bool parse(struct profile *p, int argc, char **argv)
{
    static const struct option options[] = {{"seconds", 1, NULL, 's'}, {"rate", 1, NULL, 'r'},
                                            {"symbols", 1, NULL, 'y'}, {"idle", 0, NULL, 'i'},
                                            {"output", 1, NULL, 'o'},  {0}};
    bool fine = true;
    int option;

    opterr = 0;
    while (fine && (option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 's':
            fine = get_number("seconds", optarg, 0.01, 86400, &p->seconds);
            break;
        case 'r':
            fine = get_number("rate", optarg, 1, 1000, &p->rate);
            break;
        case 'y':
            fine = add_symbols(p, optarg);
            break;
        case 'i':
            p->idle = true;
            break;
        case 'o':
            p->output = optarg;
            break;
        default:
            fprintf(stderr,
                    option == ':' ? "batuta profile: %s wants a value: see batuta profile --help\n"
                                  : "batuta profile: takes no '%s': see batuta profile --help\n",
                    argv[optind - 1]);
            return false;
        }
    }
    if (fine && optind == argc) {
        fputs("batuta profile: which VM? Name the socket of its --control\n", stderr);
        return false;
    }
    if (fine && optind + 1 != argc) {
        fprintf(stderr, "batuta profile: takes no '%s' beside the socket\n", argv[optind + 1]);
        return false;
    }
    p->socket = argv[optind];
    return fine;
}

int cmd_profile(int argc, char **argv)
{
    struct profile p = {.seconds = 10, .rate = 99};
    struct qmp qmp;
    int status = 1;

    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help_text, stdout);
        return fflush(stdout) ? 1 : 0;
    }
    if (!parse(&p, argc, argv)) {
        status = USAGE;
    } else if (qmp_open(&qmp, "profile", p.socket) == 0) {
        if (open_output(&p, p.output))
            status = take_samples(&p, &qmp) == 0 && print_folded(&p) == 0 ? 0 : 1;
        qmp_close(&qmp);
    }
    if (p.out && p.out != stdout && fclose(p.out)) {
        fprintf(stderr, "batuta profile: %s: cannot be written: %s\n", p.output, strerror(errno));
        status = 1;
    }
    for (size_t i = 0; i < p.count; i++)
        free(p.stack[i]);
    free(p.stack);
    symbols_finish(&p.symbols);
    return status;
}
