/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine full of random VMs: shares, caps, reservations, real-time budgets, sleepers, I/O, spinners, wide
 * ones. */
#include "tests/sched/scenarios.h"

#include <stdio.h>

#define ZONE 8 /* processors */

static uint64_t pick(struct sim *sim, uint64_t low, uint64_t high)
{
    return low + sim_random(&sim->random) % (high - low + 1);
}

static void add_vcpus(struct sim *sim, struct sim_vm *vm, unsigned count, enum program program, uint64_t a,
                      uint64_t b)
{
    for (unsigned i = 0; i < count; i++)
        sim_vcpu_create(sim, vm, program, a, b);
}

static const unsigned some_shares[] = {50, 100, 100, 100, 200, 400, 800};

static struct sim_vm *random_vm(struct sim *sim, const char *kind, struct sched_params params,
                                const struct fleet *fleet)
{
    unsigned zones = fleet->cpus / ZONE, first = 0, count = 0;
    char name[24];

    if (!params.shares)
        params.shares = some_shares[pick(sim, 0, ARRAY_SIZE(some_shares) - 1)];
    if (fleet->zones && pick(sim, 0, 2) == 0) {
        count = (unsigned)pick(sim, 1, MIN(zones, 4U));
        first = (unsigned)pick(sim, 0, (zones - count) / 4) * 4; /* not too many different ones */
        count = MIN(count, zones - first);
    }
    snprintf(name, sizeof(name), "%s%u", kind, sim->vms);
    return sim_vm_create(sim, name, &params, first * ZONE, count * ZONE);
}

static void real_time_vm(struct sim *sim, const struct fleet *fleet)
{
    uint64_t period = MS(pick(sim, 5, 50)), budget = period / pick(sim, 4, 20);
    struct sim_vm *vm =
        random_vm(sim, "rt", (struct sched_params){.budget = budget, .period = period}, fleet);

    if (vm)
        add_vcpus(sim, vm, 1, PROGRAM_PERIODS, budget * 9 / 10 - US(20), period);
}

/* One VM of a random kind, with at most so many vCPUs. */
static void add_vm(struct sim *sim, unsigned room, const struct fleet *fleet)
{
    unsigned kind = (unsigned)pick(sim, 0, 99), wide = (unsigned)pick(sim, 2, 16);
    struct sched_params none = {0};
    struct sim_vm *vm;

    wide = MIN(wide, room);
    if (kind < 40) {
        add_vcpus(sim, random_vm(sim, "busy", none, fleet), 1, PROGRAM_BUSY, 0, 0);
    } else if (kind < 50) {
        add_vcpus(sim, random_vm(sim, "wide", none, fleet), wide, PROGRAM_BUSY, 0, 0);
    } else if (kind < 60) {
        vm = random_vm(sim, "io", none, fleet);
        add_vcpus(sim, vm, 1, PROGRAM_BUSY, 0, 0);
        add_vcpus(sim, vm, MIN(room - 1, 1U), PROGRAM_BURSTS, US(pick(sim, 20, 100)), MS(pick(sim, 1, 5)));
    } else if (kind < 80) {
        vm = random_vm(sim, "idle", none, fleet);
        add_vcpus(sim, vm, MIN(wide, 4U), PROGRAM_BURSTS, US(pick(sim, 30, 300)), MS(pick(sim, 50, 500)));
    } else if (kind < 86) {
        vm = random_vm(sim, "cap", (struct sched_params){.cap = (uint32_t)pick(sim, 20, 1500)}, fleet);
        add_vcpus(sim, vm, MIN(wide, 4U), PROGRAM_BUSY, 0, 0);
    } else if (kind < 90) {
        vm = random_vm(sim, "res",
                       (struct sched_params){.shares = 20, .reservation = (uint32_t)pick(sim, 50, 600)},
                       fleet);
        if (vm)
            add_vcpus(sim, vm, MIN(wide, 2U), PROGRAM_BUSY, 0, 0);
    } else if (kind < 94) {
        real_time_vm(sim, fleet);
    } else if (kind < 97) {
        add_vcpus(sim, random_vm(sim, "cheat", none, fleet), 1, PROGRAM_STEPS, US(3900), US(30));
    } else if (kind < 98 && wide <= 4) {
        add_vcpus(sim, random_vm(sim, "spin", none, fleet), wide, PROGRAM_BARRIER, MS(1), 0);
    } else {
        add_vcpus(sim, random_vm(sim, "seasons", none, fleet), 1, PROGRAM_SEASONS, 0, SEC(2));
    }
}

void scenario_fleet(struct report *report, const struct fleet *fleet)
{
    struct sim *sim = sim_create(fleet->cpus, fleet->vcpus, report->seed);

    if (fleet->zones)
        sim->zone = ZONE;
    add_vcpus(sim, random_vm(sim, "huge", (struct sched_params){.shares = 800}, fleet), fleet->vcpus / 50,
              PROGRAM_BUSY, 0, 0);
    while (sim->vcpus < fleet->vcpus)
        add_vm(sim, fleet->vcpus - sim->vcpus, fleet);
    sim_run(sim, SEC(2));
    sim_measure(sim);
    sim_run(sim, SEC(2 + fleet->seconds));
    report_tell(report, "VMs", sim->vms);
    check_sound(report, sim);
    if (fleet->zones)
        check_fair_zones(report, sim, 0.05);
    else
        check_fair(report, sim, 0.05);
    check_caps(report, sim);
    check_real_time(report, sim);
    check_starvation(report, sim);
    if (!fleet->zones)
        check_latency(report, sim, 1500, 20000);
    tell_costs(report, sim);
    sim_destroy(sim);
}
