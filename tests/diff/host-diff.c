/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host-diff: random instructions by our semantics and by the host's processor.
 *
 *   host-diff [--seed N] [--count N] [--row NAME] [--quiet] [--strict]
 *             [--engine reference|interp|bt] [--mutate]
 *
 * Test number i of seed S is always the same, so what a mismatch prints
 * (--seed, --row, --count 1) runs it again. --strict compares undefined flags too.
 * --engine goes through an engine's blocks and event delivery instead of the
 * semantics alone. --mutate makes each row's semantics wrong in each of its results, one at a time,
 * and fails if a wrong one goes unnoticed.
 */
#include "tests/diff/diff.h"

#include "base/bytes.h"
#include "tests/diff/random-values.h"
#include "x86/regs.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

#define SHOWN_MISMATCHES 1U /* of a row */
#define SHOWN_IN_ALL     20U
#define MUTATION_TRIES   3000U

struct options {
    uint64_t seed, count;
    const char *row;
    const struct model_ops *engine;
    bool quiet, strict, mutate;
};

struct row_stats {
    uint64_t runs, good, faults, mismatches;
};

struct test {
    struct options options;
    struct model *model;
    struct generator generator;
    struct row_stats *stats; /* by row */
    uint16_t *rows;          /* those that are run */
    unsigned row_count;
    unsigned shown;
    bool hidden; /* see native_run() */
    struct diff_case now;
    struct diff_state native, ours;
    uint8_t memory[DIFF_DATA_SIZE]; /* what each test starts with */
};

/* A branch ends in the INT3s behind its target, or in a page that cannot be executed. */
static void settle_branch(struct diff_state *s)
{
    if (s->vector == X86_BP) {
        s->vector = -1;
        s->rip--;
    } else if (s->vector == X86_PF && s->error & X86_PF_I) {
        s->vector = -1;
    }
}

/* MXCSR_MASK has AMD's bit 17 (MM), which the model does not. */
static void settle_mxcsr_mask(const struct diff_case *test, uint8_t *memory)
{
    uint64_t at = operand_linear(test) + 28 - DIFF_RW;

    if (is_state_image(test->insn.id) && image_size(&test->insn) >= 512 && at <= DIFF_RW_SIZE - 4 &&
        load_le32(memory + at) == (X86_MXCSR_ALLOWED | BIT(17)))
        store_le32(memory + at, X86_MXCSR_ALLOWED);
}

static void print_memory(const uint8_t *native, const uint8_t *ours)
{
    for (unsigned i = 0; i < DIFF_DATA_SIZE; i += 8)
        if (load_le64(native + i) != load_le64(ours + i))
            printf("  memory %llx: native %016llx, ours %016llx\n", (unsigned long long)DIFF_RW + i,
                   (unsigned long long)load_le64(native + i), (unsigned long long)load_le64(ours + i));
}

/* Runs t->now on both sides. NULL if they agree, else in what they do not. */
static const char *run_case(struct test *t, const struct mutation *mutation, bool *mutated)
{
    uint8_t *native_memory = native_data(), *our_memory = t->model->ops->data(t->model);

    native_run(&t->now, t->hidden, &t->native);
    bool applied = t->model->ops->run(t->model, &t->now, mutation, &t->ours);
    if (mutated)
        *mutated = applied;
    if (t->now.branch)
        settle_branch(&t->native);
    const char *why = compare_states(&t->now, &t->native, &t->ours, t->options.strict);
    settle_mxcsr_mask(&t->now, native_memory);
    return why || !memcmp(native_memory, our_memory, DIFF_DATA_SIZE) ? why : "memory";
}

static void show_mismatch(struct test *t, uint16_t row, uint64_t seed, const char *why)
{
    if (t->options.quiet || t->stats[row].mismatches > SHOWN_MISMATCHES || t->shown++ >= SHOWN_IN_ALL)
        return;
    printf("MISMATCH in %s: %s (row %u)\n", why, t->now.row->name, row);
    print_case(stdout, &t->now, &t->native, &t->ours);
    print_memory(native_data(), t->model->ops->data(t->model));
    printf("  again: host-diff --count 1 --row %u --seed %llu\n\n", row, (unsigned long long)seed);
}

/* The whole of a test follows from its seed, memory included. */
static bool make_case(struct test *t, uint16_t row, uint64_t seed)
{
    memcpy(native_data(), t->memory, DIFF_DATA_SIZE);
    memcpy(t->model->ops->data(t->model), t->memory, DIFF_DATA_SIZE);
    generator_init(&t->generator, seed);
    bool made = generate(&t->generator, row, &t->now, native_data(), t->model->ops->data(t->model));
    t->now.row_number = row;
    t->now.seed = seed;
    return made;
}

static void run_one(struct test *t, uint16_t row, uint64_t seed)
{
    if (!make_case(t, row, seed))
        return;
    const char *why = run_case(t, NULL, NULL);
    if (why) { /* it may have read what is our side's */
        t->hidden = true;
        make_case(t, row, seed);
        why = run_case(t, NULL, NULL);
        t->hidden = false;
    }
    t->stats[row].runs++;
    if (t->native.vector >= 0)
        t->stats[row].faults++;
    else
        t->stats[row].good++;
    if (why) {
        t->stats[row].mismatches++;
        show_mismatch(t, row, seed, why);
    }
}

static bool model_has_feature(const struct model *model, unsigned feature)
{
    return feature == X86_FEAT_NONE || x86_feature(model->cpuid, feature);
}

static bool is_wanted(const struct test *t, uint16_t row)
{
    const char *name = t->options.row;

    if (row_skip_reason(x86_insn_row(row)) || !model_has_feature(t->model, x86_insn_row(row)->feature))
        return false;
    if (!name)
        return true;
    return name[0] >= '0' && name[0] <= '9' ? (unsigned long)row == strtoul(name, NULL, 0)
                                            : !strcasecmp(name, x86_insn_row(row)->name);
}

static void choose_rows(struct test *t)
{
    for (uint16_t row = 0; row < x86_insn_row_count(); row++) {
        bool possible = false;
        for (uint64_t seed = 1; seed < 50 && !possible && is_wanted(t, row); seed++)
            possible = make_case(t, row, seed);
        if (possible)
            t->rows[t->row_count++] = row;
    }
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool is_chosen(const struct test *t, uint16_t row)
{
    for (unsigned i = 0; i < t->row_count; i++)
        if (t->rows[i] == row)
            return true;
    return false;
}

/* Rows not run, and those that never got through, with the reasons. Returns how many lack one. */
static unsigned report_coverage(const struct test *t)
{
    unsigned unexplained = 0, absent = 0;

    for (uint16_t row = 0; row < x86_insn_row_count(); row++) {
        const struct x86_row *r = x86_insn_row(row);
        const char *why = row_skip_reason(r);
        if (!model_has_feature(t->model, r->feature))
            absent++;
        else if (why && !t->options.quiet)
            printf("not run: %s: %s\n", r->name, why);
        else if (!why && !is_chosen(t, row) && !t->options.quiet)
            printf("not run: %s (row %u): not in 64-bit mode, or the vendors differ\n", r->name, row);
    }
    for (unsigned i = 0; i < t->row_count; i++) {
        const struct x86_row *r = x86_insn_row(t->rows[i]);
        if (t->stats[t->rows[i]].good || row_fault_reason(r))
            continue;
        printf("never executed successfully: %s (row %u), %llu runs\n", r->name, t->rows[i],
               (unsigned long long)t->stats[t->rows[i]].runs);
        unexplained++;
    }
    printf("%u rows run, %u not in the CPU model\n", t->row_count, absent);
    return unexplained;
}

static int run_all(struct test *t)
{
    double start = seconds();
    uint64_t seed = t->options.seed, mismatches = 0, runs = 0, faults = 0;

    for (uint64_t i = 0; i < t->options.count; i++)
        run_one(t, t->rows[(seed + i) % t->row_count], seed + i);
    double took = seconds() - start;
    for (unsigned i = 0; i < t->row_count; i++) {
        const struct row_stats *s = &t->stats[t->rows[i]];
        mismatches += s->mismatches;
        runs += s->runs;
        faults += s->faults;
        if (s->mismatches)
            printf("row %u %s: %llu mismatches of %llu\n", t->rows[i], x86_insn_row(t->rows[i])->name,
                   (unsigned long long)s->mismatches, (unsigned long long)s->runs);
    }
    /* A few runs of each row cannot be expected to get through. */
    unsigned unexplained = t->options.count >= 200ULL * t->row_count ? report_coverage(t) : 0;
    printf("%llu instructions (%llu faults) in %.1f s, %.0f k/s: %llu mismatches\n", (unsigned long long)runs,
           (unsigned long long)faults, took, (double)runs / took / 1000, (unsigned long long)mismatches);
    return mismatches || unexplained || !runs;
}

/* Is the wrong semantics noticed? True also if it never had an effect. */
static bool is_noticed(struct test *t, const struct mutation *mutation, bool *applied)
{
    *applied = false;
    for (unsigned i = 0; i < MUTATION_TRIES; i++) {
        bool mutated;
        if (!make_case(t, mutation->row, t->options.seed + i))
            continue;
        const char *why = run_case(t, mutation, &mutated);
        *applied |= mutated;
        if (mutated && why)
            return true;
        if (i >= 100 && !*applied)
            return true;
    }
    return !*applied;
}

static int run_mutations(struct test *t)
{
    unsigned tried = 0, missed = 0;

    for (unsigned i = 0; i < t->row_count; i++) {
        struct mutation mutation = {.next = 0};
        unsigned of_row = 0;
        while (mutation_of_row(t->rows[i], mutation.next, &mutation)) {
            bool applied, noticed = is_noticed(t, &mutation, &applied);
            of_row += applied;
            if (!noticed) {
                printf("NOT NOTICED: ");
                mutation_print(&mutation, stdout);
                printf(" (row %u)\n", mutation.row);
                missed++;
            }
        }
        tried += of_row;
        if (!of_row) {
            printf("NO MUTATION: %s (row %u)\n", x86_insn_row(t->rows[i])->name, t->rows[i]);
            missed++;
        }
    }
    printf("%u mutations of %u rows, %u not noticed\n", tried, t->row_count, missed);
    return missed != 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: host-diff [--seed N] [--count N] [--row NAME|NUMBER] [--quiet] [--strict] "
                    "[--engine reference|interp|bt] [--mutate]\n");
    return 2;
}

static const struct model_ops *find_engine(const char *name)
{
    static const struct {
        const char *name;
        const struct model_ops *ops;
    } engines[] = {{"reference", &reference_model}, {"interp", &interp_model}, {"bt", &bt_model}};

    for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
        if (!strcmp(engines[i].name, name))
            return engines[i].ops;
    return NULL;
}

static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'},   {"count", required_argument, NULL, 'c'},
        {"row", required_argument, NULL, 'r'},    {"quiet", no_argument, NULL, 'q'},
        {"strict", no_argument, NULL, 'S'},       {"mutate", no_argument, NULL, 'm'},
        {"engine", required_argument, NULL, 'e'}, {0},
    };
    int c;

    *options = (struct options){.seed = 1, .count = 300000, .engine = &reference_model};
    while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        switch (c) {
        case 's':
            options->seed = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            options->count = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            options->row = optarg;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'S':
            options->strict = true;
            break;
        case 'm':
            options->mutate = true;
            break;
        case 'e':
            options->engine = find_engine(optarg);
            break;
        default:
            return usage();
        }
    }
    /* Only the reference semantics can be spoilt. */
    return optind < argc || !options->engine || (options->engine != &reference_model && options->mutate)
               ? usage()
               : 0;
}

int main(int argc, char **argv)
{
    static struct test t; /* too large for a stack */

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (parse_options(argc, argv, &t.options))
        return 2;
    if (SANITIZED) {
        fprintf(stderr, "host-diff: a sanitizer's shadow memory is in the way of wild addresses\n");
        return 77;
    }
    int error = native_init();
    if (error) {
        fprintf(stderr, "host-diff: cannot run instructions here: %s\n",
                error == -ENOTSUP ? "no FSGSBASE" : "no memory at the fixed addresses");
        return 77; /* skipped */
    }
    t.model = t.options.engine->create();
    t.stats = calloc(x86_insn_row_count(), sizeof(*t.stats));
    t.rows = calloc(x86_insn_row_count(), sizeof(*t.rows));
    if (!t.model || !t.stats || !t.rows)
        return 2;
    native_find_code();
    uint64_t random = 1;
    random_bytes(&random, t.memory, sizeof(t.memory));
    choose_rows(&t);
    if (!t.row_count) {
        fprintf(stderr, "host-diff: no such row, or it is not run here\n");
        return 2;
    }
    int status = t.options.mutate ? run_mutations(&t) : run_all(&t);
    t.model->ops->destroy(t.model);
    free(t.stats);
    free(t.rows);
    return status;
}
