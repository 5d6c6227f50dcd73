/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SCHED_SCENARIOS_H
#define TESTS_SCHED_SCENARIOS_H

#include "tests/sched/check.h"

void scenario_shares(struct report *report);
void scenario_shares_io(struct report *report);
void scenario_odd(struct report *report);
void scenario_wide(struct report *report);
void scenario_caps(struct report *report);
void scenario_real_time(struct report *report);
void scenario_deadlines(struct report *report);
void scenario_reservations(struct report *report);
void scenario_own(struct report *report);
void scenario_cheats(struct report *report);
void scenario_latency(struct report *report);
void scenario_displaced(struct report *report);
void scenario_affinity(struct report *report);
void scenario_spinners(struct report *report);
void scenario_tickless(struct report *report);
void scenario_interrupts(struct report *report);

/* tests/sched/fleet.c: many processors and random VMs of all kinds. */
struct fleet {
    unsigned cpus, vcpus;
    uint64_t seconds;
    bool zones; /* some VMs are confined to some processors */
};
void scenario_fleet(struct report *report, const struct fleet *fleet);

#endif
