/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One processor's queue. Who is ready stands at its group's virtual time when it was put
 * there (siblings that ran since stand later), and its deadline is the virtual time at which it would
 * have had its next slice if the machine could run all at once: the sooner, the more shares it has.
 * The least deadline is served first. Before that come groups that are behind their reservations, and
 * before these real-time ones.
 */
#include "sched/sched-internal.h"

struct sched_entity *queue_first(const struct sched_queue *queue)
{
    return entity_of(queue->due.root ? queue->due.root : queue->fair.root);
}

struct sched_entity *queue_walk(const struct sched_queue *queue, struct sched_entity *entity)
{
    struct sched_node *next = heap_walk(&entity->ready, false);

    return entity_of(next || !entity->due ? next : queue->fair.root);
}

/* May it say how far those are who compete for processors by their shares? A reservation may have carried it
 * far ahead, and one that woke up comes first for a while. */
static bool tells_level(const struct sched_entity *entity)
{
    return entity && !entity->group->params.budget && !get(&entity->group->reservation) && !entity->woken;
}

/* What other processors see. */
void queue_publish(struct sched_queue *queue)
{
    struct sched_entity *first = entity_of(queue->fair.root), *least = queue->current;

    if (!tells_level(least) || (tells_level(first) && before(first->deadline, least->deadline)))
        least = first;
    if (tells_level(least)) /* where it stood before its last turn: then it was its turn */
        set(&queue->level, least->deadline - vtime_of(least->group, 2 * SLICE));
    if (queue->due.root)
        set(&queue->bait, queue->level - VTIME_FIRST);
    else if (first)
        set(&queue->bait, first->deadline + vtime_of(first->group, BAIT));
}

static void count_ready(struct sched *sched, struct sched_queue *queue, unsigned mask)
{
    if (!queue->ready[mask]++) {
        __atomic_fetch_or(&queue->waiting[mask / 64], BIT64(mask % 64), __ATOMIC_SEQ_CST);
        bit_set(sched->waiting, queue->cpu);
    }
}

static void uncount_ready(struct sched *sched, struct sched_queue *queue, unsigned mask)
{
    if (--queue->ready[mask])
        return;
    __atomic_fetch_and(&queue->waiting[mask / 64], ~BIT64(mask % 64), __ATOMIC_SEQ_CST);
    if (!queue_first(queue))
        bit_take(sched->waiting, queue->cpu);
}

uint64_t queue_woken_vtime(struct sched *sched, const struct sched_queue *queue,
                           const struct sched_entity *entity, uint64_t *random)
{
    struct sched_group *group = entity->group;
    uint64_t credit = vtime_of(group, CREDIT);

    return look_raise(sched, queue, random, get(&group->vtime) - credit * awake_of(group),
                      turn_of(group) + credit);
}

/* Where it stands from now on. */
static void place(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity,
                  enum queue_how how)
{
    struct sched_group *group = entity->group;
    uint64_t lag = vtime_of(group, LAG), behind = turn_of(group) + lag;

    if (how == QUEUE_MOVED) {
        entity->vtime = look_raise(sched, queue, &queue->random, entity->vtime, behind);
    } else {
        raise(&group->vtime, look_raise(sched, queue, &queue->random, get(&group->vtime), behind));
        if (queue->fair.root)
            account_most(group, queue->level + lag);
        entity->vtime = get(&group->vtime);
    }
    entity->woken = how == QUEUE_WOKEN || (how == QUEUE_MOVED && entity->woken);
    if (how == QUEUE_WOKEN)
        entity->vtime = queue_woken_vtime(sched, queue, entity, &queue->random);
    entity->deadline = entity->vtime + turn_of(group);
}

void queue_add(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity, uint64_t now,
               enum queue_how how)
{
    struct sched_group *group = entity->group;

    entity_set_where(entity, SCHED_READY);
    if (group->params.budget) {
        heap_insert(&queue->rt, &entity->ready, group->deadline);
        return;
    }
    place(sched, queue, entity, how);
    entity->due = account_due(group, now);
    if (entity->due)
        heap_insert(&queue->due, &entity->ready, get(&group->due));
    else
        heap_insert(&queue->fair, &entity->ready, entity->deadline);
    if (get(&group->reservation) && !entity->due)
        heap_insert(&queue->timers, &entity->timer, get(&group->due));
    count_ready(sched, queue, group->mask);
    queue_publish(queue);
}

void queue_remove(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity)
{
    if (queue->next == entity)
        queue->next = NULL;
    if (entity->group->params.budget) {
        heap_remove(&queue->rt, &entity->ready);
        return;
    }
    heap_remove(entity->due ? &queue->due : &queue->fair, &entity->ready);
    if (heap_in(&entity->timer))
        heap_remove(&queue->timers, &entity->timer);
    uncount_ready(sched, queue, entity->group->mask);
    queue_publish(queue);
}

void queue_throttle(struct sched_queue *queue, struct sched_entity *entity, uint64_t until)
{
    entity_set_where(entity, SCHED_THROTTLED);
    heap_insert(&queue->timers, &entity->timer, until);
}

static void timer_expired(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity,
                          uint64_t now)
{
    struct sched_group *group = entity->group;

    heap_remove(&queue->timers, &entity->timer);
    if (entity->where == SCHED_THROTTLED) {
        if (group->params.budget)
            account_rt_period(group, now, false);
        queue_add(sched, queue, entity, now, QUEUE_WOKEN);
    } else if (account_due(group, now)) {
        queue_remove(sched, queue, entity);
        queue_add(sched, queue, entity, now, QUEUE_MOVED);
    } else {
        uint64_t due = get(&group->due);

        if (get(&group->reservation)) /* a sibling ran elsewhere meanwhile */
            heap_insert(&queue->timers, &entity->timer, MAX(due, now + 1));
        return;
    }
    queue->resched |= !queue->current || queue_prefers(queue, entity);
}

bool queue_timers(struct sched *sched, struct sched_queue *queue, uint64_t now)
{
    bool any = false;

    for (; queue->timers.root && queue->timers.root->key <= now; any = true)
        timer_expired(sched, queue, container_of(queue->timers.root, struct sched_entity, timer), now);
    return any;
}

bool queue_prefers(const struct sched_queue *queue, const struct sched_entity *entity)
{
    const struct sched_entity *running = queue->current;

    if (entity->group == running->group && entity->group->params.budget)
        return true; /* a sibling that woke up; those that do not sleep take turns, a period each */
    if (entity->group->params.budget)
        return !running->group->params.budget || before(entity->group->deadline, running->group->deadline);
    if (running->group->params.budget || running->due)
        return false;
    return entity->due || before(entity->deadline, running->deadline);
}

/* All that waits here stands far behind what waits elsewhere, but may not go there: from now on they are
 * level, or those that may run on both would wait for this processor to catch up. */
void queue_bring_forward(struct sched_queue *queue, uint64_t by)
{
    for (struct sched_entity *entity = queue_first(queue); entity; entity = queue_walk(queue, entity)) {
        entity->vtime += by;
        entity->deadline += by;
        if (!entity->due)
            entity->ready.key = entity->deadline;
    }
    queue_publish(queue);
}
