/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of an entity:
 *
 *              sched_wake()              sched_next() chooses it
 *     ASLEEP ──► WAKING ──► READY ───────────────────────────► RUNNING
 *       ▲                    ▲  │ cap or budget used up            │ │
 *       │                    │  ▼                                  │ │
 *       │                  THROTTLED ◄── real-time budget used up ─┤ │
 *       │                    READY  ◄────── end of its turn ───────┘ │
 *       └───────────────────────────────────── blocked ──────────────┘
 *
 * A turn ends when its time is up, when something better came, or when it blocks; before that sched_next()
 * returns at once. What stops is put into the queue, and what runs is taken out, under one hold of
 * the lock: of those that switch stacks, each waits only for one that switched before.
 */
#include "sched/sched-internal.h"

void sched_init(struct sched *sched, struct sched_queue *const *queues, unsigned count,
                const struct sched_hooks *hooks)
{
    base_assert(count > 0 && count <= SCHED_MAX_CPUS);
    *sched = (struct sched){.queues = queues, .count = count, .hooks = *hooks};
    for (unsigned i = 0; i < count; i++)
        *queues[i] = (struct sched_queue){
            .lock = queues[i]->lock, .cpu = i, .random = (i + 1) * 0x9e3779b97f4a7c15ULL};
}

static void members_lock(struct sched_group *group)
{
    while (__atomic_test_and_set(&group->members_lock, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void members_unlock(struct sched_group *group)
{
    __atomic_clear(&group->members_lock, __ATOMIC_RELEASE);
}

void sched_entity_init(struct sched *sched, struct sched_entity *entity, struct sched_group *group)
{
    unsigned cpu = add(&sched->spread, 1) % sched->count;

    while (!mask_holds(sched, group->mask, cpu))
        cpu = (cpu + 1) % sched->count;
    *entity = (struct sched_entity){.group = group, .cpu = group->rt_load ? group->home : cpu};
    members_lock(group);
    list_insert(&group->members, &entity->member);
    group->entities++;
    members_unlock(group);
}

void sched_entity_finish(struct sched *sched, struct sched_entity *entity)
{
    struct sched_group *group = entity->group;

    members_lock(group);
    list_remove(&entity->member);
    group->entities--;
    group->gone_run_ns += entity->run_ns;
    group->gone_wait_ns += entity->wait_ns;
    members_unlock(group);
}

/* Locks the queue that the entity belongs to; *where is true until it is unlocked. */
static struct sched_queue *lock_entity(struct sched *sched, struct sched_entity *entity,
                                       enum sched_where *where)
{
    for (;;) {
        struct sched_queue *queue = sched->queues[get(&entity->cpu)];

        lock(sched, queue);
        *where = entity_where(entity);
        if (get(&entity->cpu) == queue->cpu)
            return queue;
        unlock(sched, queue);
    }
}

/* Makes the entity ready in the queue. Is the processor to look again? */
static bool wake_in(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity, uint64_t now)
{
    struct sched_group *group = entity->group;

    set(&entity->cpu, queue->cpu);
    set(&entity->since, now);
    if (group->params.budget)
        account_rt_period(group, now, true);
    else if (add(&group->awake, 1) == 1)
        account_group_awake(group, now);
    queue_add(sched, queue, entity, now, QUEUE_WOKEN);
    if (!queue->current)
        return true;
    if (queue_prefers(queue, entity)) {
        queue->resched = true;
        return true;
    }
    /* It must look at it in time: it has no timer, or a later one. */
    return queue->tickless || (heap_in(&entity->timer) && entity->timer.key < queue->turn_end);
}

unsigned sched_wake(struct sched *sched, struct sched_entity *entity, uint64_t now)
{
    enum sched_where where;
    struct sched_queue *queue = lock_entity(sched, entity, &where);
    unsigned cpu;
    bool look;

    if (where == SCHED_ASLEEP)
        entity_set_where(entity, SCHED_WAKING);
    else if (where == SCHED_RUNNING)
        entity->wake_again = true;
    unlock(sched, queue);
    if (where != SCHED_ASLEEP)
        return SCHED_NOBODY;

    cpu = look_place(sched, entity);
    queue = sched->queues[cpu];
    lock(sched, queue);
    look = wake_in(sched, queue, entity, now);
    unlock(sched, queue);
    if (look || entity->group->params.budget)
        return look ? cpu : SCHED_NOBODY;
    /* Somebody may have become idle since, and not have seen it. */
    return look_take(sched, sched->idle, entity->group->mask, cpu);
}

/* Ends the current one's turn: charges it for its time. */
static void end_turn(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity,
                     uint64_t now)
{
    uint64_t ns = since(queue->turn_start, now);

    bit_take(sched->lone, queue->cpu);
    account_turn(entity, ns - MIN(ns, queue->other_ns),
                 queue->contended || queue_first(queue) || queue->rt.root ||
                     look_waiting(sched, queue, queue->cpu) != SCHED_NOBODY,
                 now);
    queue->other_ns = 0;
    queue->turn_start = now;
}

/* Takes the entity off the processor, to where it belongs. */
static void put_back(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity,
                     bool blocked, uint64_t now)
{
    struct sched_group *group = entity->group;

    set(&entity->run_ns, entity->run_ns + since(entity->since, now));
    set(&entity->since, now);
    queue->current = NULL;
    if (blocked && !entity->wake_again) {
        if (!group->params.budget) {
            add(&group->awake, -1);
            account_lease_return(entity);
        }
        entity_set_where(entity, SCHED_ASLEEP);
        return;
    }
    entity->wake_again = false;
    queue_add(sched, queue, entity, now, QUEUE_AGAIN);
}

/* The best that is ready, out of the queue, and how long it may run at most; NULL: nothing. */
static struct sched_entity *take_best(struct sched *sched, struct sched_queue *queue, uint64_t now,
                                      uint64_t *most)
{
    struct sched_entity *entity;
    uint64_t start;

    while ((entity = queue->rt.root ? entity_of(queue->rt.root)
                     : queue->next  ? queue->next
                                    : queue_first(queue))) {
        struct sched_group *group = entity->group;

        queue_remove(sched, queue, entity);
        if (group->params.budget) {
            account_rt_period(group, now, false);
            *most = group->left > 0 ? (uint64_t)group->left : 0;
            start = group->deadline;
        } else {
            *most = account_lease(entity, now, &start);
        }
        if (*most)
            return entity;
        queue_throttle(queue, entity, start);
    }
    return NULL;
}

/* How long its turn is: a slice if somebody waits for the processor, without an end if not. */
static uint64_t turn_length(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity)
{
    queue->tickless = false;
    queue->contended = true;
    if (queue_first(queue) || entity->group->params.budget)
        return SLICE;
    bit_set(sched->lone, queue->cpu);
    if (look_waiting(sched, queue, queue->cpu) == SCHED_NOBODY && bit_test(sched->lone, queue->cpu)) {
        queue->tickless = true;
        queue->contended = false;
        return SCHED_NEVER;
    }
    bit_take(sched->lone, queue->cpu);
    return SLICE;
}

static void begin_turn(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity,
                       uint64_t now, uint64_t most)
{
    bool rt = entity->group->params.budget;
    uint64_t length = turn_length(sched, queue, entity);

    length = rt ? most : MIN(length, most);
    queue->current = entity;
    queue->turn_start = now;
    queue->turn_end = length == SCHED_NEVER ? SCHED_NEVER : now + length;
    queue_publish(queue);
    set(&queue->current_deadline, rt || entity->due ? queue->level - VTIME_FIRST : entity->deadline);
    entity_set_where(entity, SCHED_RUNNING);
    set(&entity->wait_ns, entity->wait_ns + since(entity->since, now));
    set(&entity->since, now);
}

/*
 * Nothing is ready here. Says so first, then looks: who makes something ready elsewhere does it in the
 * other order, and one of both sees the other. Who leaves a stack may not take work from elsewhere now, as
 * that might let go of the lock: it comes again at once from the idle loop, whose stack nobody waits for.
 */
static struct sched_entity *idle_or_steal(struct sched *sched, struct sched_queue *queue, bool leaves,
                                          uint64_t now, uint64_t *most, bool *again)
{
    for (;;) {
        struct sched_entity *entity;
        unsigned victim;

        bit_set(sched->idle, queue->cpu);
        victim = look_waiting(sched, queue, queue->cpu);
        *again = leaves && victim != SCHED_NOBODY;
        if (leaves || victim == SCHED_NOBODY)
            return NULL;
        look_steal(sched, queue, victim, true, 0, now);
        entity = take_best(sched, queue, now, most);
        if (entity) {
            bit_take(sched->idle, queue->cpu);
            return entity;
        }
    }
}

#define HELPERS 8

/* Processors without work, or one with nobody else's, that may take over who waits here. */
static unsigned find_help(struct sched *sched, struct sched_queue *queue, unsigned helpers[static HELPERS])
{
    struct sched_entity *first = queue_first(queue);
    bool idle = look_any(sched, sched->idle);
    unsigned count = 0;

    for (struct sched_entity *entity = first; entity; entity = idle ? queue_walk(queue, entity) : NULL) {
        unsigned cpu = SCHED_NOBODY;

        if (idle)
            cpu = look_take(sched, sched->idle, entity->group->mask, queue->cpu);
        if (cpu == SCHED_NOBODY && entity == first)
            cpu = look_take(sched, sched->lone, entity->group->mask, queue->cpu);
        if (cpu == SCHED_NOBODY)
            continue;
        helpers[count++] = cpu;
        if (count == HELPERS) {
            queue->turn_end = 0; /* asks the others at once */
            break;
        }
    }
    if (first && !count) {
        helpers[0] = look_call(sched, queue, first);
        count = helpers[0] != SCHED_NOBODY;
    }
    return count;
}

static bool goes_on(struct sched *sched, struct sched_queue *queue, bool blocked, uint64_t now)
{
    return queue->current && !blocked && !queue->resched && now < queue->turn_end && !get(&queue->called) &&
           (!queue->tickless || (!queue_first(queue) && bit_test(sched->lone, queue->cpu)));
}

struct sched_entity *sched_next(struct sched *sched, unsigned cpu, bool blocked, uint64_t now,
                                uint64_t *until)
{
    struct sched_queue *queue = sched->queues[cpu];
    struct sched_entity *entity, *sibling;
    unsigned helpers[HELPERS], help = 0;
    bool released, went_on, was_idle, stays, again = false;
    uint64_t most = 0;

    lock(sched, queue);
    queue->now = now = MAX(now, queue->now);
    released = queue_timers(sched, queue, now);
    entity = queue->current;
    was_idle = !entity;
    went_on = goes_on(sched, queue, blocked, now);
    if (!went_on) {
        queue->resched = false;
        if (now >= queue->next_end)
            queue->next = NULL;
        if (entity)
            end_turn(sched, queue, entity, now);
        else
            bit_take(sched->idle, cpu);
        stays = !blocked && entity && !(entity->group->params.budget && entity->group->left <= 0);
        if (!queue->next)
            look_around(sched, queue, stays ? entity : NULL, now);
        if (entity)
            put_back(sched, queue, entity, blocked, now);
        sibling = queue->next;
        entity = take_best(sched, queue, now, &most);
        if (!entity)
            entity = idle_or_steal(sched, queue, !was_idle, now, &most, &again);
        if (entity)
            begin_turn(sched, queue, entity, now, most);
        if (entity && entity == sibling)
            queue->turn_end = MIN(queue->turn_end, queue->next_end);
    }
    if (released || !went_on)
        help = find_help(sched, queue, helpers);
    if (was_idle && entity && !help) {
        helpers[0] = look_pass_on(sched, queue);
        help = helpers[0] != SCHED_NOBODY;
    }
    *until = entity ? queue->turn_end : again ? now : SCHED_NEVER;
    if (queue->timers.root)
        *until = MIN(*until, queue->timers.root->key);
    unlock(sched, queue);
    while (help)
        sched->hooks.kick(sched->queues[helpers[--help]]);
    return entity;
}

/* Takes a ready entity over from wherever it waits. */
static bool fetch(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity, uint64_t now)
{
    unsigned cpu = get(&entity->cpu);
    struct sched_queue *from = sched->queues[cpu];
    bool there;

    if (from->cpu < queue->cpu)
        lock(sched, from);
    lock(sched, queue);
    if (from->cpu > queue->cpu)
        lock(sched, from);
    there = entity_where(entity) == SCHED_READY && get(&entity->cpu) == cpu;
    if (there && from != queue) {
        queue_remove(sched, from, entity);
        set(&entity->cpu, queue->cpu);
        queue_add(sched, queue, entity, now, QUEUE_MOVED);
    }
    if (from != queue)
        unlock(sched, from);
    if (there) {
        queue->next = entity;
        queue->next_end = queue->turn_end;
        queue->resched = true;
    }
    unlock(sched, queue);
    return there;
}

void sched_prefer_sibling(struct sched *sched, unsigned cpu, uint64_t now)
{
    struct sched_queue *queue = sched->queues[cpu];
    struct sched_group *group = queue->current ? queue->current->group : NULL;
    struct sched_entity *entity;
    unsigned looked = 0;

    /* Another spinner that looks already does it for this one, too. */
    if (!group || __atomic_test_and_set(&group->members_lock, __ATOMIC_ACQUIRE))
        return;
    list_for_each (entity, &group->members, member) {
        if (looked++ == 16)
            break;
        if (get(&entity->where) == SCHED_READY && fetch(sched, queue, entity, now)) {
            list_remove(&entity->member); /* to the end: the others' turn next time */
            list_insert(&group->members, &entity->member);
            break;
        }
    }
    members_unlock(group);
}

void sched_charge_other(struct sched *sched, unsigned cpu, struct sched_group *group, uint64_t ns)
{
    struct sched_queue *queue = sched->queues[cpu];
    struct sched_entity *current = queue->current;

    if (current && current->group == group) /* its turn pays for it */
        return;
    add(&group->run_ns, ns);
    add(&group->other_ns, ns);
    if (group->params.budget) {
        lock(sched, sched->queues[group->home]);
        group->left -= (int64_t)ns;
        unlock(sched, sched->queues[group->home]);
    } else {
        account_other(group, ns, current, queue->now);
    }
    if (!current)
        return;
    queue->other_ns += ns;
    set(&current->run_ns, current->run_ns - ns);
    set(&current->wait_ns, current->wait_ns + ns);
}

bool sched_anybody_waits(const struct sched *sched)
{
    return look_any(sched, sched->waiting);
}

void sched_entity_times(const struct sched_entity *entity, uint64_t now, uint64_t *run_ns, uint64_t *wait_ns)
{
    enum sched_where where = entity_where(entity);
    uint64_t ns = since(get(&entity->since), now);

    *run_ns = get(&entity->run_ns) + (where == SCHED_RUNNING ? ns : 0);
    *wait_ns = get(&entity->wait_ns) + (where == SCHED_READY || where == SCHED_THROTTLED ? ns : 0);
    if ((int64_t)*run_ns < 0) /* more was charged to others than it had run by this `now` */
        *run_ns = 0;
}

void sched_group_times(struct sched_group *group, uint64_t now, uint64_t *run_ns, uint64_t *wait_ns)
{
    struct sched_entity *entity;
    uint64_t run, wait;

    members_lock(group);
    *run_ns = group->gone_run_ns + get(&group->other_ns);
    *wait_ns = group->gone_wait_ns;
    list_for_each (entity, &group->members, member) {
        sched_entity_times(entity, now, &run, &wait);
        *run_ns += run;
        *wait_ns += wait;
    }
    members_unlock(group);
}
