/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who runs where and for how long: policy only. hv/thread.c carries it out on the
 * machine; tests/sched is a simulator with thousands of processors and the same code.
 * docs/decisions/0011-scheduler.md says why it is as it is.
 *
 * An entity (a thread) belongs to a group (a VM), which has shares of the machine, a
 * cap and a reservation, or a real-time budget; the hypervisor's own threads are a
 * group too. One queue a processor. All times are nanoseconds of one clock that the
 * caller hands in; processors may be a little out of step.
 *
 * Locking: hooks.lock(queue) … unlock(queue), called by the functions here; two at
 * once only in the order of the processors' numbers. No hook is called but unlock
 * while a lock is held, so a lock is a few hundred instructions long.
 *
 * Stacks: sched_next() lets the entity that stops be chosen elsewhere before its
 * processor has left its stack. Whoever switches to an entity waits first until the
 * processor that it came from says that it has (no two ever wait for each other).
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "base/error.h"
#include "sched/sched-types.h"

/* Fills the queues in, but for what the hooks use (queue->lock). count: 1 .. SCHED_MAX_CPUS. */
void sched_init(struct sched *sched, struct sched_queue *const *queues, unsigned count,
                const struct sched_hooks *hooks);

/* Says in one line what is wrong with the promises, alone or beside those made to others (reservations and
 * real-time budgets must fit on the processors). 0: they are made. */
int sched_group_init(struct sched *sched, struct sched_group *group, const struct sched_params *params,
                     struct error *err);
/* New shares, cap and reservation for a group that lives; its affinity and real-time budget stay. */
int sched_group_change(struct sched *sched, struct sched_group *group, const struct sched_params *params,
                       struct error *err);
/* All of its entities are gone. */
void sched_group_finish(struct sched *sched, struct sched_group *group);

/* Blocked, with nothing run yet. */
void sched_entity_init(struct sched *sched, struct sched_entity *entity, struct sched_group *group);
/* It is blocked, and nobody wakes it any more. */
void sched_entity_finish(struct sched *sched, struct sched_entity *entity);

/*
 * The entity has something to do. Returns the processor that ought to look again at
 * once (because it is idle, or runs something less urgent), SCHED_NOBODY if none. If
 * it is awake already, nothing happens, but that if it runs its next sched_next() with
 * `blocked` does not block it: a wake-up is never lost.
 */
unsigned sched_wake(struct sched *sched, struct sched_entity *entity, uint64_t now);

/*
 * What runs on the processor next: the caller's current one stops (blocked: it waits for
 * sched_wake()), is charged for its time, and the best one is chosen, here or from
 * another processor. NULL: nothing; idle. *until is when to call again at the latest:
 * end of a slice, of a budget, or a throttled group's next period. Calling early is
 * harmless: the current one goes on unless something better came.
 */
struct sched_entity *sched_next(struct sched *sched, unsigned cpu, bool blocked, uint64_t now,
                                uint64_t *until);

/* The current entity spins for a sibling: prefers one of its group that waits for a processor, in what is
 * left of its slice. Takes effect at the next sched_next() of the processor, which the caller calls now. */
void sched_prefer_sibling(struct sched *sched, unsigned cpu, uint64_t now);

/*
 * So much of this processor's time since sched_next() went into interrupts for the group, whoever is current
 * here: charged there instead, and to the current one it is time that it had to wait. Called by the processor
 * itself, no lock held.
 */
void sched_charge_other(struct sched *sched, unsigned cpu, struct sched_group *group, uint64_t ns);

/* Does anybody wait for a processor, but real-time groups? Any processor; true for a moment. */
bool sched_anybody_waits(const struct sched *sched);

/* The parts of an entity's life since its init, up to now: what it ran, and what it wanted to run but had to
 * wait (its guest's steal time). Any processor. */
void sched_entity_times(const struct sched_entity *entity, uint64_t now, uint64_t *run_ns, uint64_t *wait_ns);
/* The same of all that the group ever had, and interrupts for it. */
void sched_group_times(struct sched_group *group, uint64_t now, uint64_t *run_ns, uint64_t *wait_ns);

#endif
