/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What groups received and may receive. A group's entities run on several processors at
 * once, so its accounts are single atomic words; each is a point in time:
 *
 *   vtime     service ÷ shares. Beside by service it is only raised: who sleeps or cannot run
 *             is not owed more than a little, and nobody gains by any pattern of sleep.
 *   cap_free  a leaky bucket: a lease of n ns moves it on by n ÷ cap, and starts where it
 *             was. So entities take turns at a cap, each with a time when it may go on.
 *   due       the same for what was received: once it lies in the past, the group
 *             has less than its reservation.
 */
#include "sched/sched-internal.h"

/* How long a group with that many thousandths of a processor may take for ns of it. */
static uint64_t stretch(uint64_t ns, uint32_t thousandths)
{
    return ns * 1000 / thousandths;
}

static void account_reservation(struct sched_group *group, uint64_t ns, uint64_t now)
{
    uint32_t reservation = get(&group->reservation);

    if (!reservation)
        return;
    raise(&group->due, now - MIN(now, ns + DUE_KEPT));
    add(&group->due, stretch(ns, reservation));
}

static void account_cap(struct sched_entity *entity, uint64_t ns)
{
    uint32_t cap = get(&entity->group->cap);

    if (cap && ns > entity->lease) /* an interrupt came late: from the next lease */
        add(&entity->group->cap_free, stretch(ns - entity->lease, cap));
    entity->lease -= MIN(entity->lease, ns);
}

void account_turn(struct sched_entity *entity, uint64_t ns, bool contended, uint64_t now)
{
    struct sched_group *group = entity->group;

    add(&group->run_ns, ns);
    if (group->params.budget) {
        group->left -= (int64_t)ns;
        return;
    }
    if (contended)
        add(&group->vtime, vtime_of(group, MAX(ns, TURN_MIN)));
    account_cap(entity, ns);
    account_reservation(group, ns, now);
}

void account_other(struct sched_group *group, uint64_t ns, bool kept, uint64_t now)
{
    uint32_t cap = get(&group->cap);

    if (kept)
        add(&group->vtime, vtime_of(group, ns));
    if (cap)
        add(&group->cap_free, stretch(ns, cap));
    account_reservation(group, ns, now);
}

uint64_t account_lease(struct sched_entity *entity, uint64_t now, uint64_t *start)
{
    struct sched_group *group = entity->group;
    uint32_t cap = get(&group->cap), awake = awake_of(group);
    uint64_t piece, begin, old = get(&group->cap_free);

    if (!cap)
        return SCHED_NEVER;
    if (entity->lease >= LEASE_MIN)
        return entity->lease;
    piece = MIN(MAX(CAP_WINDOW * cap / 1000 / awake, LEASE_MIN), SLICE);
    do
        begin = MAX(old, now - MIN(now, CAP_SAVED));
    while (!__atomic_compare_exchange_n(&group->cap_free, &old, begin + stretch(piece, cap), true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    entity->lease += piece;
    *start = begin;
    return begin <= now ? entity->lease : 0;
}

void account_lease_return(struct sched_entity *entity)
{
    uint32_t cap = get(&entity->group->cap);

    if (cap && entity->lease)
        add(&entity->group->cap_free, -stretch(entity->lease, cap));
    entity->lease = 0;
}

bool account_due(const struct sched_group *group, uint64_t now)
{
    return get(&group->reservation) && get(&group->due) <= now;
}

void account_most(struct sched_group *group, uint64_t most)
{
    uint64_t old = get(&group->vtime);

    while (get(&group->reservation) && before(most, old) &&
           !__atomic_compare_exchange_n(&group->vtime, &old, most, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void account_group_awake(struct sched_group *group, uint64_t now)
{
    raise(&group->due, now - MIN(now, DUE_SAVED));
}

/*
 * A constant-bandwidth server: a period that begins when it wakes up, unless what is left
 * of the last one can be used until its end without taking more than budget ÷ period.
 */
void account_rt_period(struct sched_group *group, uint64_t now, bool woken)
{
    uint64_t budget = group->params.budget, period = group->params.period;
    bool over = now >= group->deadline;

    if (over && !woken && now - group->deadline < period) {
        group->deadline += period;
    } else if (over || (woken && group->left > 0 &&
                        (uint64_t)group->left > (group->deadline - now) * budget / period)) {
        group->deadline = now + period;
    } else {
        return;
    }
    group->left = MIN(group->left, 0) + (int64_t)budget;
}
