/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usage: kernels --list                         "group name" of each kernel
 *        kernels NAME [-t SECONDS | -n ROUNDS]  → "<go>", "NAME SECONDS-A-ROUND ROUNDS CHECKSUM"
 *        kernels --text BYTES                   text for the packers, on standard output
 */
#include "kernels.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRESH_TEXT ((size_t)1 << 20)

static const struct kernel *const groups[] = {
    integer_kernels, data_kernels, fp_kernels, memory_kernels, system_kernels, smp_kernels,
};

uint64_t checksum(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ p[i]) * 0x100000001b3ULL;
    return hash;
}

void text_fill(char *to, size_t size)
{
    static const char *const things[] = {
        "disk",  "session", "packet", "queue", "request", "user",
        "index", "thread",  "cache",  "token", "page",    "timer",
    };
    static const char *const events[] = {
        "opened by",    "closed after", "was refused by", "waits for",
        "timed out in", "moved to",     "lost its",       "found in",
    };
    uint64_t random = SEED, clock = 0;
    size_t at = 0;

    while (at < size) {
        uint64_t r = next_random(&random);
        char line[128];
        int length = snprintf(line, sizeof(line), "%08" PRIu64 ".%03u host%u %s %s %s %u\n", clock / 1000,
                              (unsigned)(clock % 1000), (unsigned)(r >> 60), things[(r >> 8) % 12],
                              events[(r >> 16) & 7], things[(r >> 24) % 12], (unsigned)(r >> 32) % 5000);
        size_t part = (size_t)length < size - at ? (size_t)length : size - at;

        memcpy(to + at, line, part);
        at += part;
        clock += r % 97;
    }
}

void must(bool worked, const char *what)
{
    if (worked)
        return;
    fprintf(stderr, "kernels: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *allocate(size_t size)
{
    void *p = malloc(size);

    must(p != NULL, "malloc");
    return p;
}

double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* One round warms up; then rounds for that time, or that many of them. */
static int measure(const struct kernel *k, double seconds, uint64_t rounds)
{
    uint64_t right, done = 0;
    double start, elapsed;

    if (k->usable && !k->usable()) {
        printf("%s unsupported\n", k->name);
        return 0;
    }
    if (k->prepare)
        k->prepare();
    right = k->round();
    puts("<go>"); /* so that a host can hold its own clock beside ours */
    fflush(stdout);
    start = now();
    do {
        if (k->round() != right) {
            fprintf(stderr, "kernels: %s: two rounds have two results\n", k->name);
            return 1;
        }
        done++;
        elapsed = now() - start;
    } while (rounds ? done < rounds : elapsed < seconds);
    printf("%s %.9f %" PRIu64 " %016" PRIx64 "\n", k->name, elapsed / (double)done, done, right);
    return 0;
}

static void list(void)
{
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (const struct kernel *k = groups[g]; k->name; k++)
            printf("%s %s\n", k->group, k->name);
}

static const struct kernel *find(const char *name)
{
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (const struct kernel *k = groups[g]; k->name; k++)
            if (!strcmp(k->name, name))
                return k;
    return NULL;
}

/* Fresh text at first; then parts of it again, each with something new in it, as archives and long logs have
 * them. */
static int write_text(size_t size)
{
    char *text = allocate(size);
    size_t at = size < FRESH_TEXT ? size : FRESH_TEXT;
    uint64_t random = SEED;

    text_fill(text, at);
    while (at < size) {
        uint64_t r = next_random(&random);
        size_t part = 256 + (r & 4095);

        if (part > size - at)
            part = size - at;
        memmove(text + at, text + (r >> 16) % (at - part), part);
        for (unsigned i = 0; i < 8 && i < part; i++)
            text[at + i] = (char)('a' + (r >> (8 + 4 * i) & 15));
        at += part;
    }
    must(fwrite(text, 1, size, stdout) == size && !fflush(stdout), "standard output");
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    const struct kernel *k;

    if (argc == 2 && !strcmp(argv[1], "--exit")) /* what the fork kernel starts */
        _exit(0);
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        list();
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "--text"))
        return write_text(strtoull(argv[2], NULL, 0));
    k = argc == 2 || argc == 4 ? find(argv[1]) : NULL;
    if (!k || (argc == 4 && strcmp(argv[2], "-t") && strcmp(argv[2], "-n"))) {
        fprintf(stderr, "usage: kernels --list | --text BYTES | NAME [-t SECONDS | -n ROUNDS]\n");
        return 2;
    }
    if (argc == 4 && !strcmp(argv[2], "-n"))
        return measure(k, 0, strtoull(argv[3], NULL, 0));
    return measure(k, argc == 4 ? atof(argv[3]) : 0.5, 0);
}
