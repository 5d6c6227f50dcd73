/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises: what groups ask for, whether it fits beside what others were promised, and
 * the affinities, of which equal ones are kept once. All guarded by the first queue's lock.
 * An error's first word is the key of a VM's description (config/hv-vm.c) that is wrong.
 */
#include "base/bytes.h"
#include "sched/sched-internal.h"

/* Thousandths of a processor, for "%llu.%llu%%". */
#define PERCENT(n) (unsigned long long)(n) / 10, (unsigned long long)(n) % 10

static uint32_t rt_load(const struct sched_params *params)
{
    return params->budget ? (uint32_t)((params->budget * 1000 + params->period - 1) / params->period) : 0;
}

static int check_rt(const struct sched_params *p, struct error *err)
{
    if (p->period < SCHED_RT_PERIOD_MIN || p->period > SCHED_RT_PERIOD_MAX)
        return error_set(err, EINVAL, "realtime: a period of %llu us: it must be %llu us to %llu us",
                         (unsigned long long)p->period / 1000, SCHED_RT_PERIOD_MIN / 1000,
                         SCHED_RT_PERIOD_MAX / 1000);
    if (p->budget < SCHED_RT_BUDGET_MIN || p->budget > p->period)
        return error_set(err, EINVAL,
                         "realtime: a budget of %llu us: it must be %llu us to the period (%llu us)",
                         (unsigned long long)p->budget / 1000, SCHED_RT_BUDGET_MIN / 1000,
                         (unsigned long long)p->period / 1000);
    if (p->cap || p->reservation)
        return error_set(err, EINVAL,
                         "realtime: promises time by its budget: remove the cap and the reservation");
    return 0;
}

static int check_params(const struct sched *sched, const struct sched_params *p, struct error *err)
{
    if (p->shares < 1 || p->shares > SCHED_SHARES_MAX)
        return error_set(err, EINVAL, "shares: %u: it must be 1 to %u", p->shares, SCHED_SHARES_MAX);
    if (p->cap > sched->count * 1000 || p->reservation > sched->count * 1000)
        return error_set(err, EINVAL, "%s: %llu.%llu%% are more than the %u processors of the machine have",
                         p->cap > sched->count * 1000 ? "cap" : "reservation",
                         PERCENT(MAX(p->cap, p->reservation)), sched->count);
    if (p->cap && p->reservation > p->cap)
        return error_set(err, EINVAL, "reservation: is more than the cap, and would never be had");
    if (p->period || p->budget)
        return check_rt(p, err);
    return 0;
}

/* The slot of an affinity: the one that has it, else a free one, with no group yet. */
static int find_mask(struct sched *sched, const uint64_t *affinity, unsigned *slot, struct error *err)
{
    uint64_t bits[SCHED_CPU_WORDS] = {0};
    unsigned cpus = 0, found = SCHED_MASKS;
    struct sched_mask *mask;

    for (unsigned cpu = 0; cpu < sched->count; cpu++) {
        if (!affinity || (affinity[cpu / 64] >> (cpu % 64) & 1)) {
            bits[cpu / 64] |= BIT64(cpu % 64);
            cpus++;
        }
    }
    if (!cpus)
        return error_set(err, EINVAL, "affinity: none of its processors is among the %u of this machine",
                         sched->count);
    for (unsigned i = SCHED_MASKS; i-- > 0;) {
        mask = &sched->masks[i];
        if (mask->groups && memcmp(mask->bits, bits, sizeof(bits)) == 0) {
            *slot = i;
            return 0;
        }
        if (!mask->groups)
            found = i;
    }
    if (found == SCHED_MASKS)
        return error_set(err, ENOSPC, "affinity: at most %u different ones at a time", SCHED_MASKS);
    mask = &sched->masks[found];
    memcpy(mask->bits, bits, sizeof(bits));
    mask->cpus = cpus;
    mask->promised = 0;
    *slot = found;
    return 0;
}

static void mask_get(struct sched *sched, unsigned slot)
{
    if (sched->masks[slot].groups++)
        return;
    for (unsigned cpu = 0; cpu < sched->count; cpu++) {
        uint64_t *word = &sched->queues[cpu]->permitted[slot / 64];

        if (mask_holds(sched, slot, cpu))
            __atomic_fetch_or(word, BIT64(slot % 64), __ATOMIC_RELAXED);
        else
            __atomic_fetch_and(word, ~BIT64(slot % 64), __ATOMIC_RELAXED);
    }
}

/* What is promised just now, by which key. */
struct promise {
    const char *key;
    uint64_t need;
};

static bool subset(const uint64_t *a, const uint64_t *b)
{
    for (unsigned i = 0; i < SCHED_CPU_WORDS; i++)
        if (a[i] & ~b[i])
            return false;
    return true;
}

static bool unite(uint64_t *a, const uint64_t *b, bool only_if_common)
{
    uint64_t common = 0, more = 0;

    for (unsigned i = 0; i < SCHED_CPU_WORDS; i++) {
        common |= a[i] & b[i];
        more |= b[i] & ~a[i];
    }
    if (!more || (only_if_common && !common))
        return false;
    for (unsigned i = 0; i < SCHED_CPU_WORDS; i++)
        a[i] |= b[i];
    return true;
}

/* What is promised within these processors, `need` of it just now, and whether they have as much. */
static int check_within(const struct sched *sched, const uint64_t *bits, const struct promise *p,
                        struct error *err)
{
    uint64_t promised = 0, cpus = 0;

    for (unsigned i = 0; i < SCHED_CPU_WORDS; i++) {
        for (uint64_t left = bits[i]; left; left &= left - 1)
            cpus++;
    }
    for (unsigned i = 0; i < SCHED_MASKS; i++)
        if (sched->masks[i].promised && subset(sched->masks[i].bits, bits))
            promised += sched->masks[i].promised;
    if (promised <= cpus * SCHED_PROMISES)
        return 0;
    return error_set(err, ENOSPC,
                     "%s: promises %llu.%llu%% of a processor; of the %llu.%llu%% that can be promised "
                     "%llu.%llu%% are taken: promise less",
                     p->key, PERCENT(p->need), PERCENT(cpus * SCHED_PROMISES), PERCENT(promised - p->need));
}

/* With a new promise in its mask: each set of processors that some promise is confined to, and what it
 * grows to by those that overlap, must hold what is promised within it. */
static int check_promises(const struct sched *sched, unsigned slot, const struct promise *p,
                          struct error *err)
{
    const struct sched_mask *masks = sched->masks;
    uint64_t bits[SCHED_CPU_WORDS];
    bool grown = true;
    int r;

    for (unsigned i = 0; i < SCHED_MASKS; i++) {
        if (!masks[i].promised)
            continue;
        r = check_within(sched, masks[i].bits, p, err);
        if (r)
            return r;
    }
    memcpy(bits, masks[slot].bits, sizeof(bits));
    while (grown) {
        grown = false;
        for (unsigned i = 0; i < SCHED_MASKS; i++)
            grown |= masks[i].promised && unite(bits, masks[i].bits, true);
        r = check_within(sched, bits, p, err);
        if (r)
            return r;
    }
    return 0;
}

/* The permitted processor with most room for a real-time budget. */
static int find_home(const struct sched *sched, const struct sched_group *group, unsigned *home,
                     struct error *err)
{
    unsigned best = SCHED_NOBODY;

    for (unsigned cpu = 0; cpu < sched->count; cpu++) {
        if (mask_holds(sched, group->mask, cpu) &&
            (best == SCHED_NOBODY || sched->queues[cpu]->promised < sched->queues[best]->promised))
            best = cpu;
    }
    *home = best;
    if (sched->queues[best]->promised + group->rt_load <= SCHED_PROMISES)
        return 0;
    return error_set(err, ENOSPC,
                     "realtime: promises %llu.%llu%% of a processor; %u.%u%% of each can be promised, and "
                     "%llu.%llu%% of the best one are taken: promise less",
                     PERCENT(group->rt_load), SCHED_PROMISES / 10, SCHED_PROMISES % 10,
                     PERCENT(sched->queues[best]->promised));
}

static void set_params(struct sched_group *group, const struct sched_params *params)
{
    group->params.shares = params->shares;
    group->params.cap = params->cap;
    group->params.reservation = params->reservation;
    set(&group->shares, params->shares);
    set(&group->cap, params->cap);
    set(&group->reservation, params->reservation);
}

int sched_group_init(struct sched *sched, struct sched_group *group, const struct sched_params *params,
                     struct error *err)
{
    struct sched_queue *guard = sched->queues[0];
    struct sched_mask *mask;
    struct promise promise;
    int r = check_params(sched, params, err);

    if (r)
        return r;
    *group = (struct sched_group){.params = *params, .rt_load = rt_load(params)};
    promise =
        (struct promise){group->rt_load ? "realtime" : "reservation", params->reservation + group->rt_load};
    set_params(group, params);
    list_init(&group->members);
    lock(sched, guard);
    r = find_mask(sched, params->affinity, &group->mask, err);
    if (!r) {
        mask = &sched->masks[group->mask];
        mask->promised += promise.need;
        if (group->rt_load)
            r = find_home(sched, group, &group->home, err);
        if (!r && promise.need)
            r = check_promises(sched, group->mask, &promise, err);
        if (r)
            mask->promised -= promise.need;
        else
            mask_get(sched, group->mask);
        if (!r)
            sched->queues[group->home]->promised += group->rt_load;
    }
    unlock(sched, guard);
    return r;
}

int sched_group_change(struct sched *sched, struct sched_group *group, const struct sched_params *params,
                       struct error *err)
{
    struct sched_queue *guard = sched->queues[0];
    struct sched_mask *mask = &sched->masks[group->mask];
    const struct promise promise = {"reservation", params->reservation};
    uint64_t old;
    int r = check_params(sched, params, err);

    if (r)
        return r;
    if (group->params.budget || params->budget)
        return error_set(err, EINVAL, "realtime: a VM that runs keeps its budget: stop it first");
    lock(sched, guard);
    old = group->params.reservation;
    mask->promised += params->reservation - old;
    if (params->reservation > old)
        r = check_promises(sched, group->mask, &promise, err);
    if (r)
        mask->promised -= params->reservation - old;
    else
        set_params(group, params);
    unlock(sched, guard);
    return r;
}

void sched_group_finish(struct sched *sched, struct sched_group *group)
{
    struct sched_queue *guard = sched->queues[0];
    struct sched_mask *mask = &sched->masks[group->mask];

    lock(sched, guard);
    sched->queues[group->home]->promised -= group->rt_load;
    mask->promised -= group->params.reservation + group->rt_load;
    mask->groups--;
    unlock(sched, guard);
}
