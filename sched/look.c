/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How processors share work. No one balances loads: whose work has come further in virtual
 * time than somebody who waits elsewhere takes that one over, and so all virtual times stay
 * together. Each processor looks at two others at the end of each turn, through what they
 * publish without their locks: who waits there, and the first one's virtual deadline as a bait.
 */
#include "sched/sched-internal.h"

#define LOOKS        5  /* processors whose levels say how far one may have fallen behind */
#define PLACES       16 /* where one that wakes up may run at once */
#define BEHIND_LOOKS 100

static bool waits_for(const struct sched_queue *there, const struct sched_queue *here)
{
    uint64_t both = 0;

    for (unsigned i = 0; i < SCHED_MASK_WORDS; i++)
        both |= __atomic_load_n(&there->waiting[i], __ATOMIC_SEQ_CST) & get(&here->permitted[i]);
    return both;
}

/* The first set bit from `from` on, in a circle; SCHED_NOBODY if there is none. */
static unsigned next_bit(const uint64_t *set, unsigned count, unsigned from, const uint64_t *also)
{
    unsigned words = (count + 63) / 64;

    for (unsigned n = 0; n <= words; n++) {
        unsigned word = (from / 64 + n) % words;
        uint64_t bits = __atomic_load_n(&set[word], __ATOMIC_SEQ_CST) & (also ? also[word] : ~0ULL);

        if (n == 0)
            bits &= ~0ULL << (from % 64);
        if (bits)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return SCHED_NOBODY;
}

unsigned look_waiting(const struct sched *sched, const struct sched_queue *queue, unsigned from)
{
    unsigned at = from % sched->count;

    for (unsigned n = 0; n < sched->count; n++) {
        unsigned found = next_bit(sched->waiting, sched->count, at, NULL);
        unsigned passed = (found + sched->count - from % sched->count) % sched->count;

        if (found == SCHED_NOBODY || passed < n)
            return SCHED_NOBODY;
        if (found != queue->cpu && waits_for(sched->queues[found], queue))
            return found;
        n = passed;
        at = (found + 1) % sched->count;
    }
    return SCHED_NOBODY;
}

/* The first in the heap that may run here. */
static struct sched_entity *first_in(const struct sched *sched, const struct sched_heap *heap, unsigned cpu)
{
    struct sched_node *best = NULL;
    bool skip;

    for (struct sched_node *node = heap->root; node; node = heap_walk(node, skip)) {
        skip = best && !before(node->key, best->key);
        if (skip || !mask_holds(sched, entity_of(node)->group->mask, cpu))
            continue;
        best = node;
        skip = true;
    }
    return entity_of(best);
}

void look_steal(struct sched *sched, struct sched_queue *queue, unsigned victim_cpu, bool idle, uint64_t past,
                uint64_t now)
{
    struct sched_queue *victim = sched->queues[victim_cpu];
    struct sched_entity *entity;

    if (victim_cpu < queue->cpu) {
        unlock(sched, queue);
        lock(sched, victim);
        lock(sched, queue);
    } else {
        lock(sched, victim);
    }
    entity = first_in(sched, &victim->due, queue->cpu);
    if (!entity)
        entity = first_in(sched, &victim->fair, queue->cpu);
    if (entity && (idle || entity->due || before(entity->deadline, past))) {
        queue_remove(sched, victim, entity);
        set(&entity->cpu, queue->cpu);
        queue_add(sched, queue, entity, now, QUEUE_MOVED);
    }
    unlock(sched, victim);
}

/* Two that somebody waits at: the one with the lower bait. */
static unsigned look_at_two(struct sched *sched, struct sched_queue *queue)
{
    unsigned one = look_waiting(sched, queue, (unsigned)(look_random(&queue->random) >> 32)), two;

    if (one == SCHED_NOBODY)
        return one;
    two = look_waiting(sched, queue, (unsigned)(look_random(&queue->random) >> 32));
    if (two == SCHED_NOBODY || before(get(&sched->queues[one]->bait), get(&sched->queues[two]->bait)))
        return one;
    return two;
}

/* What waits here stands behind all that was seen elsewhere for a while, so it may not go there. From now on
 * they are level, or those that may run on both would wait for this processor to catch up. */
static void look_behind(struct sched_queue *queue, const struct sched_entity *first, uint64_t level)
{
    uint64_t by = level - queue->level;

    if (before(by, vtime_of(first->group, 2 * LAG))) {
        queue->behind_looks = 0;
        return;
    }
    queue->behind = queue->behind_looks++ ? MIN(queue->behind, by) : by;
    if (queue->behind_looks < BEHIND_LOOKS)
        return;
    queue_bring_forward(queue, queue->behind);
    queue->behind_looks = 0;
}

void look_around(struct sched *sched, struct sched_queue *queue, struct sched_entity *current, uint64_t now)
{
    unsigned called = get(&queue->called), victim = called ? called - 1 : look_at_two(sched, queue);
    struct sched_entity *first = queue_first(queue);
    uint64_t past, level;

    set(&queue->called, 0U);
    if (victim == SCHED_NOBODY || queue->rt.root || queue->due.root ||
        (current && current->group->params.budget))
        return;
    if (!current && !first) {
        look_steal(sched, queue, victim, true, 0, now);
        return;
    }
    level = get(&sched->queues[victim]->level);
    if (first)
        look_behind(queue, first, level);
    past = first ? first->deadline : 0;
    if (current) {
        uint64_t turn = turn_of(current->group);

        if (!first) /* nobody waits here: those elsewhere say how far it has fallen behind */
            raise(&current->group->vtime,
                  look_raise(sched, queue, &queue->random, get(&current->group->vtime),
                             turn + vtime_of(current->group, LAG)));
        if (!first || before(get(&current->group->vtime) + turn, past))
            past = get(&current->group->vtime) + turn;
    }
    if (called || before(get(&sched->queues[victim]->bait), past))
        look_steal(sched, queue, victim, false, past, now);
}

uint64_t look_raise(const struct sched *sched, const struct sched_queue *queue, uint64_t *random,
                    uint64_t vtime, uint64_t behind)
{
    uint64_t least = 0, level;
    unsigned cpu = queue->cpu;
    bool any = false;

    /* The least of some: a processor may just have run out of those that are not ahead. Who is owed a little
     * too much has to wait for it, but who is owed too little has lost it. */
    for (unsigned n = 0; n < LOOKS; n++) {
        if (n > 0)
            cpu = look_waiting(sched, queue, (unsigned)(look_random(random) >> 32));
        if (cpu == SCHED_NOBODY)
            break;
        if (n == 0 && !bit_test(sched->waiting, cpu))
            continue;
        level = get(&sched->queues[cpu]->level);
        if (!before(vtime, level - behind))
            return vtime;
        least = any && before(least, level) ? least : level;
        any = true;
    }
    return any ? least - behind : vtime;
}

bool look_any(const struct sched *sched, const uint64_t *set)
{
    return next_bit(set, sched->count, 0, NULL) != SCHED_NOBODY;
}

unsigned look_take(struct sched *sched, uint64_t *set, unsigned mask, unsigned near)
{
    unsigned cpu;

    do
        cpu = next_bit(set, sched->count, near, sched->masks[mask].bits);
    while (cpu != SCHED_NOBODY && !bit_take(set, cpu));
    return cpu;
}

unsigned look_pass_on(struct sched *sched, const struct sched_queue *queue)
{
    unsigned waiting = look_waiting(sched, queue, queue->cpu), cpu = queue->cpu;

    for (unsigned n = 0; waiting != SCHED_NOBODY && n < sched->count; n++) {
        cpu = next_bit(sched->idle, sched->count, (cpu + 1) % sched->count, NULL);
        if (cpu == SCHED_NOBODY)
            break;
        if (waits_for(sched->queues[waiting], sched->queues[cpu]) && bit_take(sched->idle, cpu))
            return cpu;
    }
    return SCHED_NOBODY;
}

/* Each of them as likely. */
static unsigned any_of(const struct sched_mask *mask, uint64_t *random)
{
    unsigned skip = (unsigned)(look_random(random) >> 32) % mask->cpus, word = 0;
    uint64_t bits = mask->bits[0];

    while (true) {
        for (; bits && skip; skip--)
            bits &= bits - 1;
        if (bits)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
        bits = mask->bits[++word];
    }
}

/* A processor of those that may run the group, where the current one's virtual deadline is later. */
static unsigned look_later(const struct sched *sched, const struct sched_group *group, uint64_t deadline,
                           unsigned first, uint64_t *random, unsigned looks)
{
    unsigned cpu = first;

    for (unsigned n = 0; n < looks; n++) {
        if (n || first == SCHED_NOBODY)
            cpu = any_of(&sched->masks[group->mask], random);
        if (before(deadline, get(&sched->queues[cpu]->current_deadline)))
            return cpu;
    }
    return SCHED_NOBODY;
}

unsigned look_call(struct sched *sched, struct sched_queue *queue, const struct sched_entity *entity)
{
    bool displaced = queue->current->group->params.budget || queue->current->due;
    uint64_t deadline = entity->deadline + (displaced ? 0 : vtime_of(entity->group, BAIT));
    unsigned nobody = 0, cpu;

    /* If what runs here did not come first by its shares, who did may well be better off elsewhere. */
    cpu = look_later(sched, entity->group, deadline, SCHED_NOBODY, &queue->random, displaced ? PLACES : 2);
    if (cpu == SCHED_NOBODY || cpu == queue->cpu ||
        !__atomic_compare_exchange_n(&sched->queues[cpu]->called, &nobody, queue->cpu + 1, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return SCHED_NOBODY;
    return cpu;
}

unsigned look_place(struct sched *sched, struct sched_entity *entity)
{
    struct sched_group *group = entity->group;
    unsigned home = get(&entity->cpu), cpu;
    uint64_t random = (home + get(&entity->since)) * 0x9e3779b97f4a7c15ULL | 1, deadline;

    if (group->params.budget)
        return group->home;
    cpu = look_take(sched, sched->idle, group->mask, home);
    if (cpu == SCHED_NOBODY)
        cpu = look_take(sched, sched->lone, group->mask, home);
    if (cpu != SCHED_NOBODY)
        return cpu;
    /* Where it would run at once; a guess, without locks. */
    deadline = queue_woken_vtime(sched, sched->queues[home], entity, &random) + turn_of(group);
    cpu = look_later(sched, group, deadline, home, &random, PLACES);
    return cpu == SCHED_NOBODY ? home : cpu;
}
