/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a run must have shown, as numbers beside bounds. */
#ifndef TESTS_SCHED_CHECK_H
#define TESTS_SCHED_CHECK_H

#include "tests/sched/sim.h"

struct report {
    const char *scenario;
    uint64_t seed;
    bool json, first;
    unsigned checks, failed;
};

/* At most, at least that; or only told. */
void report_most(struct report *report, const char *what, double value, double bound);
void report_least(struct report *report, const char *what, double value, double bound);
void report_tell(struct report *report, const char *what, double value);

/* Nothing lost, locks in order, no idle processor beside one who waits, and each nanosecond accounted for. */
void check_sound(struct report *report, const struct sim *sim);
/* Each VM has what is fair, but for `tolerance` of it: shares by water-filling, within caps, reservations,
 * and what it can use. Not for machines with affinities. */
void check_fair(struct report *report, const struct sim *sim, double tolerance);
/* The same with affinities: no VM that could use more has less for its shares than one that runs where it
 * may. */
void check_fair_zones(struct report *report, const struct sim *sim, double tolerance);
void check_caps(struct report *report, const struct sim *sim);
void check_real_time(struct report *report, const struct sim *sim);
/* No one waits much longer than its turn takes to come. */
void check_starvation(struct report *report, const struct sim *sim);
/* Wake-ups of VMs that sleep most of the time and need less than they are due: in us. */
void check_latency(struct report *report, const struct sim *sim, double most_99, double worst);
/* What the policy costs: decisions, switches and migrations a second and processor. */
void tell_costs(struct report *report, const struct sim *sim);

/* Processors that the VM had, since measuring began. */
double vm_rate(const struct sim *sim, const struct sim_vm *vm);
/* In us, so many of a hundred latencies are at most. */
double vm_latency(const struct sim_vm *vm, double percent);

#endif
