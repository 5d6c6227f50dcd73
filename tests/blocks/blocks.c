/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/blocks/blocks.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan {
    const char *engines;
    uint64_t count, seed, only;
    bool mutants, quiet;
};

static const struct engine_ops *need_engine(const char *name, size_t len)
{
    const struct engine_ops *engine = engine_find(name, len);

    if (engine)
        return engine;
    fprintf(stderr, "blocks: there is no engine %.*s here\n", (int)len, name);
    exit(2);
}

/* What the blocks came to, so that a generator that makes nothing but faults is seen. */
struct tally {
    uint64_t instructions, exits[5], vectors[33], unspecified;
};

/* The handlers leave their vector in r15, those of legacy mode in edi. */
static void count_outcome(struct tally *t, const struct block *block, const struct outcome *o)
{
    t->instructions += o->instructions;
    t->exits[o->exit]++;
    if (o->exit == VM_EXIT_HALT)
        t->vectors[MIN(o->state.gpr[block->legacy ? X86_RDI : X86_R15] & 255, 32ULL)]++;
}

static void print_tally(const struct plan *p, const struct tally *t)
{
    static const char *const names[] = {"#DE", "#DB", "nmi", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",
                                        "#TS", "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM"};

    printf("%llu blocks, %llu instructions: %llu to the limit, %llu shutdowns, halted after",
           (unsigned long long)p->count, (unsigned long long)t->instructions,
           (unsigned long long)t->exits[VM_EXIT_LIMIT], (unsigned long long)t->exits[VM_EXIT_SHUTDOWN]);
    for (unsigned v = 0; v < 33; v++) {
        if (t->vectors[v])
            printf(" %s %llu",
                   v < ARRAY_SIZE(names) ? names[v]
                   : v == 32             ? "others"
                                         : "?",
                   (unsigned long long)t->vectors[v]);
    }
    printf("; %llu not compared: a REP over itself\n", (unsigned long long)t->unspecified);
}

/* Blocks that differ. Stops at the first if only one is wanted. */
static uint64_t compare(const struct plan *p, struct world *a, struct world *b, bool first,
                        struct tally *tally)
{
    static struct block block;
    uint64_t differ = 0;
    uint64_t from = p->only == ~0ULL ? 0 : p->only, to = p->only == ~0ULL ? p->count : p->only + 1;

    for (uint64_t n = from; n < to; n++) {
        const char *what;

        block_generate(&block, &a->machine.vm.cpuid, p->seed, n);
        world_run(a, &block);
        world_run(b, &block);
        count_outcome(tally, &block, &a->outcome);
        tally->unspecified += a->unspecified || b->unspecified;
        what = worlds_differ(a, b);
        if (!what)
            continue;
        differ++;
        if (first)
            return n + 1;
        if (differ <= 5) {
            block_shrink(&block, a, b);
            what = worlds_differ(a, b);
            report(&block, a, b, what ? what : "(no longer)");
            fflush(stdout);
        }
    }
    return differ;
}

static void make_worlds(const char *names, struct world *a, struct world *b)
{
    const char *comma = strchr(names, ',');
    size_t len = comma ? (size_t)(comma - names) : 0;

    if (!comma) {
        fprintf(stderr, "blocks: --engines wants two names, with a comma between\n");
        exit(2);
    }
    world_init(a, need_engine(names, len));
    world_init(b, need_engine(comma + 1, strlen(comma + 1)));
}

static int run_mutants(const struct plan *p)
{
    static struct world a, b;
    int missed = 0;

    for (unsigned i = 0; engine_mutant(i); i++) {
        struct tally tally = {0};
        char names[80];
        uint64_t found;

        snprintf(names, sizeof(names), "%s,step", engine_mutant(i));
        make_worlds(names, &a, &b);
        found = compare(p, &a, &b, true, &tally);
        if (found)
            printf("%s: found at block %llu\n", engine_mutant(i), (unsigned long long)found - 1);
        else
            printf("%s: NOT FOUND in %llu blocks\n", engine_mutant(i), (unsigned long long)p->count);
        missed += !found;
        world_finish(&a);
        world_finish(&b);
    }
    return missed != 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"engines", 1, NULL, 'e'},
                                            {"count", 1, NULL, 'c'},
                                            {"seed", 1, NULL, 's'},
                                            {"only", 1, NULL, 'o'},
                                            {"mutants", 0, NULL, 'm'},
                                            {"quiet", 0, NULL, 'q'},
                                            {0}};
    static struct world a, b;
    struct plan p = {.engines = "interp,step", .count = 20000, .seed = 1, .only = ~0ULL};
    struct tally tally = {0};
    uint64_t differ;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'e':
            p.engines = optarg;
            break;
        case 'c':
            p.count = strtoull(optarg, NULL, 0);
            break;
        case 's':
            p.seed = strtoull(optarg, NULL, 0);
            break;
        case 'o':
            p.only = strtoull(optarg, NULL, 0);
            break;
        case 'm':
            p.mutants = true;
            break;
        case 'q':
            p.quiet = true;
            break;
        default:
            fputs("usage: blocks [--engines A,B] [--count N] [--seed N] [--only N] [--mutants] [--quiet]\n",
                  stderr);
            return 2;
        }
    }
    if (p.mutants)
        return run_mutants(&p);
    make_worlds(p.engines, &a, &b);
    differ = compare(&p, &a, &b, false, &tally);
    if (!p.quiet || differ)
        print_tally(&p, &tally);
    if (differ)
        printf("%llu blocks differ\n", (unsigned long long)differ);
    world_finish(&a);
    world_finish(&b);
    return differ != 0;
}
