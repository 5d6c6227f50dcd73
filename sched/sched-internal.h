/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the scheduler's files share. Virtual time is a group's service divided by its
 * shares: groups that compete for a processor are kept at the same virtual time.
 */
#ifndef SCHED_SCHED_INTERNAL_H
#define SCHED_SCHED_INTERNAL_H

#include "sched/heap.h"

#define MICROSECONDS(n) ((n)*1000ULL)
#define MILLISECONDS(n) ((n)*1000000ULL)

/* A turn on a processor that others wait for. */
#define SLICE MILLISECONDS(4)
/* An entity that slept is put so much service before the others: it gets a processor at once, for so long. */
#define CREDIT MILLISECONDS(2)
/* One that cannot use what it is owed (too few vCPUs for its shares, a cap) is not owed more than that. */
#define LAG MILLISECONDS(60)
/* An entity that waits while another processor's work is so much service ahead of it moves there. */
#define BAIT MILLISECONDS(4)
/* A turn costs its owner at least that much virtual time: waking up a thousand times is not free. */
#define TURN_MIN MICROSECONDS(5)
/* The time over which a cap holds, for what all of the group's entities hold granted, and for what it may
 * save up while it sleeps. Both together, over one second, stay well below 2 % of the cap. */
#define CAP_WINDOW MILLISECONDS(8)
#define CAP_SAVED  MILLISECONDS(4)
#define LEASE_MIN  MICROSECONDS(50)
/* A reservation that was not kept is made good up to that age; one that was not wanted, up to the second. */
#define DUE_KEPT   MILLISECONDS(100)
#define DUE_SAVED  MILLISECONDS(10)

#define VTIME_UNIT 256 /* virtual time of one nanosecond at one share */
/* Virtual time so far back comes before any other. */
#define VTIME_FIRST (2 * LAG * VTIME_UNIT)

/* Atomics without order, for values that others may read at any time. */
#define get(p)      __atomic_load_n(p, __ATOMIC_RELAXED)
#define set(p, v)   __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define add(p, v)   __atomic_add_fetch(p, v, __ATOMIC_RELAXED)
#define later(a, b) (before(a, b) ? (b) : (a))

static inline struct sched_entity *entity_of(struct sched_node *ready)
{
    return ready ? container_of(ready, struct sched_entity, ready) : NULL;
}

/* Whoever sees where the entity is sees on which processor, too. */
static inline enum sched_where entity_where(const struct sched_entity *entity)
{
    return __atomic_load_n(&entity->where, __ATOMIC_ACQUIRE);
}

static inline void entity_set_where(struct sched_entity *entity, enum sched_where where)
{
    __atomic_store_n(&entity->where, where, __ATOMIC_RELEASE);
}

static inline uint32_t awake_of(const struct sched_group *group)
{
    uint32_t awake = get(&group->awake);

    return MAX(awake, 1U);
}

static inline uint64_t vtime_of(const struct sched_group *group, uint64_t ns)
{
    return ns * VTIME_UNIT / get(&group->shares);
}

/* In which one entity of the group has its next slice, if all is fair. */
static inline uint64_t turn_of(const struct sched_group *group)
{
    return vtime_of(group, SLICE) * awake_of(group);
}

/* Raises an atomic value to at least that much. */
static inline void raise(uint64_t *p, uint64_t least)
{
    uint64_t old = get(p);

    while (before(old, least) &&
           !__atomic_compare_exchange_n(p, &old, least, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static inline uint64_t since(uint64_t start, uint64_t now)
{
    return now > start ? now - start : 0;
}

/* Sets of processors, each word atomic. The order matters between the one who finds work for an idle
 * processor, and the one who is about to be idle: both write first and then look. */
static inline bool bit_test(const uint64_t *set, unsigned cpu)
{
    return __atomic_load_n(&set[cpu / 64], __ATOMIC_SEQ_CST) >> (cpu % 64) & 1;
}

static inline void bit_set(uint64_t *set, unsigned cpu)
{
    __atomic_fetch_or(&set[cpu / 64], BIT64(cpu % 64), __ATOMIC_SEQ_CST);
}

/* Was it set? */
static inline bool bit_take(uint64_t *set, unsigned cpu)
{
    return bit_test(set, cpu) &&
           (__atomic_fetch_and(&set[cpu / 64], ~BIT64(cpu % 64), __ATOMIC_SEQ_CST) >> (cpu % 64) & 1);
}

static inline bool mask_holds(const struct sched *sched, unsigned mask, unsigned cpu)
{
    return sched->masks[mask].bits[cpu / 64] >> (cpu % 64) & 1;
}

static inline void lock(struct sched *sched, struct sched_queue *queue)
{
    sched->hooks.lock(queue);
}

static inline void unlock(struct sched *sched, struct sched_queue *queue)
{
    sched->hooks.unlock(queue);
}

/* sched/account.c: what groups received and may receive. */

void account_turn(struct sched_entity *entity, uint64_t ns, bool contended, uint64_t now);
/* The same for a group that none of its entities ran for. kept: somebody was kept from running by that. */
void account_other(struct sched_group *group, uint64_t ns, bool kept, uint64_t now);
/* Time that the cap lets the entity run from now on; 0: not before *start, when it will be in its lease. */
uint64_t account_lease(struct sched_entity *entity, uint64_t now, uint64_t *start);
/* It will not use the rest of its lease. */
void account_lease_return(struct sched_entity *entity);
/* Was the group promised more than it received? */
bool account_due(const struct sched_group *group, uint64_t now);
/* One whose reservation is above what its shares bring runs ahead of all, and would wait for long once the
 * shares bring more: not further ahead than that. */
void account_most(struct sched_group *group, uint64_t most);
/* The first entity of the group woke up. */
void account_group_awake(struct sched_group *group, uint64_t now);
/* Real-time: a new period, if the old one is over; home's lock held. */
void account_rt_period(struct sched_group *group, uint64_t now, bool woken);

/* sched/queue.c: one processor's queue, its lock held. */

enum queue_how { QUEUE_AGAIN, QUEUE_WOKEN, QUEUE_MOVED };
void queue_add(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity, uint64_t now,
               enum queue_how how);
void queue_remove(struct sched *sched, struct sched_queue *queue, struct sched_entity *entity);
/* Where an entity that wakes up there would stand. */
uint64_t queue_woken_vtime(struct sched *sched, const struct sched_queue *queue,
                           const struct sched_entity *entity, uint64_t *random);
/* Ready again when its lease starts or its budget is filled up. */
void queue_throttle(struct sched_queue *queue, struct sched_entity *entity, uint64_t until);
/* Does what is due by now: ends of throttling, reservations. Did anything become ready? */
bool queue_timers(struct sched *sched, struct sched_queue *queue, uint64_t now);
/* Would the entity, which is ready, rather run than the current one? */
bool queue_prefers(const struct sched_queue *queue, const struct sched_entity *entity);
/* Who waits and is the first in line but for real-time; NULL: nobody. */
struct sched_entity *queue_first(const struct sched_queue *queue);
/* All who do, one after the other, in no order. */
struct sched_entity *queue_walk(const struct sched_queue *queue, struct sched_entity *entity);
void queue_publish(struct sched_queue *queue);
void queue_bring_forward(struct sched_queue *queue, uint64_t by);

/* sched/look.c: other processors' queues. */

/* A processor, from that one on, with work that this one may do, SCHED_NOBODY if none. */
unsigned look_waiting(const struct sched *sched, const struct sched_queue *queue, unsigned from);
/* Takes work from there that has to be done before `past`, or any if `idle`. The queue's lock is held, and
 * dropped for a while if the other one's number is lower. */
void look_steal(struct sched *sched, struct sched_queue *queue, unsigned victim, bool idle, uint64_t past,
                uint64_t now);
/* A processor that runs something less urgent than the entity, which waits here, and now knows. */
unsigned look_call(struct sched *sched, struct sched_queue *queue, const struct sched_entity *entity);
/* Virtual time that lies further back than `behind` from what waits here and elsewhere comes up to that. */
uint64_t look_raise(const struct sched *sched, const struct sched_queue *queue, uint64_t *random,
                    uint64_t vtime, uint64_t behind);
/* The queue's turn ended; `current`, if it goes on to want to run. May take work from elsewhere. */
void look_around(struct sched *sched, struct sched_queue *queue, struct sched_entity *current, uint64_t now);
bool look_any(const struct sched *sched, const uint64_t *set);
/* Takes a processor out of the set that may run the entity, SCHED_NOBODY if there is none. */
unsigned look_take(struct sched *sched, uint64_t *set, unsigned mask, unsigned near);
/* This processor was idle, and may have been asked to help, but has something else to do: another idle one.
 */
unsigned look_pass_on(struct sched *sched, const struct sched_queue *queue);
/* Where an entity that wakes up ought to wait. No lock held. */
unsigned look_place(struct sched *sched, struct sched_entity *entity);

static inline uint64_t look_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
