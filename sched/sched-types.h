/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What callers of sched/sched.h hand in, and its structures for them to embed, whose
 * fields are sched/'s own but where said.
 */
#ifndef SCHED_SCHED_TYPES_H
#define SCHED_SCHED_TYPES_H

#include "base/list.h"

#define SCHED_NEVER          (~0ULL)
#define SCHED_NOBODY         (~0U)

#define SCHED_MAX_CPUS       1024
#define SCHED_SHARES_DEFAULT 100U
#define SCHED_SHARES_MAX     10000U
#define SCHED_RT_BUDGET_MIN  50000ULL      /* ns */
#define SCHED_RT_PERIOD_MIN  500000ULL     /* ns */
#define SCHED_RT_PERIOD_MAX  1000000000ULL /* ns */
/* Of each processor, thousandths that may be promised by reservations and real-time budgets. */
#define SCHED_PROMISES 950U

/* What a group was promised. Zero everywhere but shares: an ordinary VM. */
struct sched_params {
    uint32_t shares;          /* 1 .. SCHED_SHARES_MAX, relative to other groups; of the group as a whole */
    uint32_t cap;             /* at most so many thousandths of one processor (2000: two); 0: no cap */
    uint32_t reservation;     /* at least so many thousandths of one processor, if it wants them */
    uint64_t budget;          /* real-time: so much of every period, no more, ns; 0: not real-time */
    uint64_t period;          /* ns; all entities of a real-time group share the budget and one processor */
    const uint64_t *affinity; /* bits of processors it may run on, read by the call only; NULL: all */
};

/* The hypervisor's own threads: starved by nobody, and to the others as five ordinary VMs at most. */
#define SCHED_OWN_PARAMS                                                                                     \
    {                                                                                                        \
        .shares = 5 * SCHED_SHARES_DEFAULT, .reservation = 100                                               \
    }

struct sched;
struct sched_queue;
struct sched_group;
struct sched_entity;

struct sched_hooks {
    void (*lock)(struct sched_queue *queue);
    void (*unlock)(struct sched_queue *queue);
    /* The processor ought to call sched_next() soon, whatever it does now. */
    void (*kick)(struct sched_queue *queue);
};

#define SCHED_CPU_WORDS  (SCHED_MAX_CPUS / 64)
#define SCHED_MASKS      128 /* different affinities at a time */
#define SCHED_MASK_WORDS (SCHED_MASKS / 64)

/* In a leftist heap (sched/heap.c). */
struct sched_node {
    struct sched_node *left, *right, *up;
    uint64_t key;
    uint32_t rank; /* 0: in no heap */
};

struct sched_heap {
    struct sched_node *root;
};

enum sched_where { SCHED_ASLEEP, SCHED_WAKING, SCHED_READY, SCHED_THROTTLED, SCHED_RUNNING };

/* Guarded by the lock of its processor's queue, but what is said to be atomic. */
struct sched_entity {
    struct sched_group *group;
    struct list_node member; /* of the group; guarded by its members_lock */
    struct sched_node ready; /* in its queue's heap `fair`, `due` or `rt` while it waits for a processor */
    struct sched_node timer; /* in its queue's heap `timers`: throttled, or its reservation comes due */
    unsigned cpu;            /* whose queue it belongs to; atomic, written under the new one's lock */
    enum sched_where where;  /* atomic, written after `cpu` */
    bool wake_again;         /* sched_wake() came while it ran */
    bool woken;              /* it runs, or waits for it, for the first time since it slept */
    bool due;                /* ready, and its group is behind its reservation */
    uint64_t vtime,
        deadline;   /* where it stands in virtual time; when it has had the next slice, if all is fair */
    uint64_t lease; /* granted by the group's cap and not used yet, ns */
    uint64_t since; /* when it began to run, wait or sleep; atomic */
    uint64_t run_ns, wait_ns; /* up to `since`; atomic */
};

/* Atomic, all that changes, but what is said to be guarded. */
struct sched_group {
    struct sched_params params; /* as promised; guarded by the first queue's lock */
    uint32_t shares, cap, reservation;
    unsigned mask; /* its affinity, in sched->masks */
    unsigned awake;
    uint64_t vtime;    /* service received, over shares */
    uint64_t cap_free; /* when the cap grants the next lease */
    uint64_t due;      /* when what it received falls behind its reservation */
    uint64_t run_ns;   /* for anyone to read */
    uint64_t other_ns; /* of that, in interrupts; no entity of its own ran then */
    uint64_t deadline; /* real-time: end of this period; guarded by the home's lock, as `left` */
    int64_t left;      /* of the budget until then; < 0: overrun, taken from the next */
    unsigned home;     /* real-time: the only processor */
    uint32_t rt_load;  /* real-time: budget / period, thousandths */
    uint32_t entities; /* guarded by members_lock, as the rest */
    uint64_t gone_run_ns, gone_wait_ns; /* of entities that are no more */
    bool members_lock;
    struct list_node members;
};

/* Guarded by its lock, but what is said to be atomic: other processors read that to find work. */
struct sched_queue {
    void *lock; /* for the hooks */
    unsigned cpu;
    struct sched_entity *current;
    struct sched_entity *next;       /* chosen by sched_prefer_sibling(), among the ready … */
    uint64_t next_end;               /* … for the rest of this turn */
    struct sched_heap rt, due, fair; /* in this order; by deadline */
    struct sched_heap timers;
    bool resched;   /* something better than the current one came */
    bool tickless;  /* the current one has no end of turn, until the lone bit is taken away */
    bool contended; /* someone waited for this processor when the turn began */
    uint64_t turn_start, turn_end;
    uint64_t other_ns;     /* of this turn, spent for other groups */
    uint64_t now;          /* of the last call */
    uint64_t behind;       /* other processors' levels, at least, at the last … */
    unsigned behind_looks; /* … so many looks around */
    uint64_t random;
    uint32_t promised;           /* by real-time budgets, thousandths; guarded by the first queue's lock */
    uint16_t ready[SCHED_MASKS]; /* how many are in `due` and `fair`, by affinity */

    uint64_t level;            /* atomic: the least virtual deadline in `fair`, or the last one there was */
    uint64_t bait;             /* atomic: whoever's own work is past that takes over who is first here */
    uint64_t current_deadline; /* atomic: of the current one */
    unsigned called;           /* atomic: who wants it to look there, a processor's number and 1; 0: nobody */
    uint64_t waiting[SCHED_MASK_WORDS];   /* atomic: affinities that `ready` counts */
    uint64_t permitted[SCHED_MASK_WORDS]; /* atomic: affinities that hold this processor */
};

struct sched_mask {
    uint64_t bits[SCHED_CPU_WORDS];
    unsigned groups; /* 0: a free slot */
    unsigned cpus;
    uint64_t promised; /* to groups of just this affinity, thousandths */
};

struct sched {
    struct sched_queue *const *queues;
    unsigned count;
    struct sched_hooks hooks;
    unsigned spread; /* atomic: where the next entity starts */
    /* Bits of processors, atomic: */
    uint64_t idle[SCHED_CPU_WORDS];    /* that run nothing */
    uint64_t lone[SCHED_CPU_WORDS];    /* that run something, with no timer, as nobody waits for them */
    uint64_t waiting[SCHED_CPU_WORDS]; /* where somebody waits */
    struct sched_mask
        masks[SCHED_MASKS]; /* guarded by the first queue's lock; a used one's bits are constant */
};

#endif
