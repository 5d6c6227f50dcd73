/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scheduler of batuta-hv on simulated machines.
 *
 *   sched-sim [--json] [--seed N] [--seeds N] [SCENARIO …]     all of the short ones, or those
 *   sched-sim --fleet CPUS,VCPUS,SECONDS [--zones]             a machine of any size
 */
#include "tests/sched/scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void short_fleet(struct report *report)
{
    scenario_fleet(report, &(struct fleet){.cpus = 32, .vcpus = 320, .seconds = 20});
}

static void zoned_fleet(struct report *report)
{
    scenario_fleet(report, &(struct fleet){.cpus = 64, .vcpus = 640, .seconds = 10, .zones = true});
}

static const struct {
    const char *name;
    void (*run)(struct report *report);
} scenarios[] = {
    {"shares", scenario_shares},
    {"shares-io", scenario_shares_io},
    {"odd", scenario_odd},
    {"wide", scenario_wide},
    {"caps", scenario_caps},
    {"real-time", scenario_real_time},
    {"deadlines", scenario_deadlines},
    {"reservations", scenario_reservations},
    {"own", scenario_own},
    {"cheats", scenario_cheats},
    {"latency", scenario_latency},
    {"displaced", scenario_displaced},
    {"affinity", scenario_affinity},
    {"spinners", scenario_spinners},
    {"tickless", scenario_tickless},
    {"interrupts", scenario_interrupts},
    {"fleet", short_fleet},
    {"fleet-zones", zoned_fleet},
};

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void begin(struct report *report, const char *name, bool more)
{
    report->scenario = name;
    report->first = true;
    if (report->json)
        printf("%s{\"scenario\": \"%s\", \"seed\": %llu, \"results\": [", more ? ",\n  " : "", name,
               (unsigned long long)report->seed);
    else
        printf("%s, seed %llu\n", name, (unsigned long long)report->seed);
}

static void end(struct report *report, double start)
{
    if (report->json)
        printf("], \"seconds\": %.2f}", seconds_now() - start);
    else
        printf("  (%.2f s)\n", seconds_now() - start);
    fflush(stdout);
}

static bool known(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return true;
    return false;
}

static bool chosen(const char *name, int argc, char **argv)
{
    bool any = false;

    for (int i = 1; i < argc; i++) {
        if (argv[i] && strcmp(argv[i], name) == 0)
            return true;
        any |= argv[i] != NULL;
    }
    return !any;
}

struct arguments {
    bool json, zones;
    unsigned long seeds;
    struct fleet fleet;
};

/* Takes options out of argv; what stays are scenarios. */
static bool parse(struct arguments *args, struct report *report, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (option[0] != '-') {
            if (!known(option))
                return false;
            continue;
        }
        argv[i] = NULL;
        if (strcmp(option, "--json") == 0) {
            report->json = true;
            continue;
        }
        if (strcmp(option, "--zones") == 0) {
            args->fleet.zones = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(option, "--seed") == 0)
            report->seed = strtoull(value, NULL, 0);
        else if (strcmp(option, "--seeds") == 0)
            args->seeds = strtoul(value, NULL, 0);
        else if (strcmp(option, "--fleet") != 0 ||
                 sscanf(value, "%u,%u,%lu", &args->fleet.cpus, &args->fleet.vcpus, &args->fleet.seconds) !=
                     3 ||
                 !args->fleet.cpus || args->fleet.cpus > SCHED_MAX_CPUS)
            return false;
        argv[++i] = NULL;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct arguments args = {.seeds = 1};
    struct report report = {.seed = 1};
    bool more = false;
    double start;

    if (!parse(&args, &report, argc, argv)) {
        fprintf(stderr, "usage: sched-sim [--json] [--seed N] [--seeds N] [--fleet CPUS,VCPUS,SECONDS "
                        "[--zones]] [SCENARIO …]\n");
        return 2;
    }
    if (report.json)
        printf("[\n  ");
    for (unsigned long n = 0; n < args.seeds; n++, report.seed++) {
        if (args.fleet.cpus) {
            start = seconds_now();
            begin(&report, "fleet", more);
            scenario_fleet(&report, &args.fleet);
            end(&report, start);
            more = true;
            continue;
        }
        for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++) {
            if (!chosen(scenarios[i].name, argc, argv))
                continue;
            start = seconds_now();
            begin(&report, scenarios[i].name, more);
            scenarios[i].run(&report);
            end(&report, start);
            more = true;
        }
    }
    if (report.json)
        printf("\n]\n");
    else
        printf("%u checks, %u failed\n", report.checks, report.failed);
    if (report.json && report.failed)
        fprintf(stderr, "%u of %u checks failed\n", report.failed, report.checks);
    return report.failed || !report.checks;
}
