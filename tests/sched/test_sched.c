/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched by hand: its heap, its promises, and random calls beside what must hold after each. */
#include "sched/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#define CPUS     5
#define GROUPS   7
#define ENTITIES 24

struct world {
    struct sched sched;
    struct sched_queue queue[CPUS], *queues[CPUS];
    unsigned cpus;
    struct sched_group group[GROUPS];
    bool group_used[GROUPS];
    struct sched_entity entity[ENTITIES];
    bool used[ENTITIES];
    struct sched_entity *current[CPUS]; /* what sched_next() said */
    bool poked[CPUS];                   /* it was told to look, and has not */
    uint64_t until[CPUS];
    uint64_t created[ENTITIES], slept[ENTITIES], asleep_from[ENTITIES];
    uint64_t now, random;
};

static struct world *world;
static bool held[CPUS];
static struct sched_entity *leaves; /* what sched_next() was called with … */
static unsigned leaves_cpu;         /* … here */

static void hook_lock(struct sched_queue *queue)
{
    /* Once it is put back the lock is kept until the next one is chosen, or two could wait for each other. */
    assert_false(leaves && leaves_cpu == queue->cpu && leaves->where != SCHED_RUNNING);
    for (unsigned i = queue->cpu; i < CPUS; i++)
        assert_false(held[i]);
    held[queue->cpu] = true;
}

static void hook_unlock(struct sched_queue *queue)
{
    assert_true(held[queue->cpu]);
    held[queue->cpu] = false;
}

static void none_held(void)
{
    for (unsigned i = 0; i < CPUS; i++)
        assert_false(held[i]);
}

static void hook_kick(struct sched_queue *queue)
{
    none_held();
    world->poked[queue->cpu] = true;
}

static const struct sched_hooks hooks = {.lock = hook_lock, .unlock = hook_unlock, .kick = hook_kick};

static void world_init(struct world *w, unsigned cpus, uint64_t seed)
{
    *w = (struct world){.cpus = cpus, .random = seed * 0x9e3779b97f4a7c15ULL + 1, .now = 1000000};
    for (unsigned i = 0; i < cpus; i++)
        w->queues[i] = &w->queue[i];
    memset(held, 0, sizeof(held));
    leaves = NULL;
    world = w;
    sched_init(&w->sched, w->queues, cpus, &hooks);
}

static uint64_t any(uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random >> 11) % below;
}

/* The heap beside a sorted walk: order, ranks, links, and that removal from anywhere leaves the rest. */

static unsigned check_heap(const struct sched_heap *heap)
{
    unsigned count = 0;

    for (struct sched_node *n = heap->root; n; n = heap_walk(n, false)) {
        uint32_t left = n->left ? n->left->rank : 0, right = n->right ? n->right->rank : 0;

        assert_true(heap_in(n));
        assert_true(left >= right);
        assert_int_equal(n->rank, right + 1);
        assert_true(n == heap->root ? !n->up : n->up->left == n || n->up->right == n);
        assert_true(!n->up || !before(n->key, n->up->key));
        assert_true(++count < 100000);
    }
    return count;
}

static void test_heap(void **state)
{
    static struct sched_node nodes[500];
    struct sched_heap heap = {0};
    struct world w;
    unsigned in = 0;

    world_init(&w, 1, 1);
    memset(nodes, 0, sizeof(nodes));
    for (unsigned step = 0; step < 20000; step++) {
        struct sched_node *n = &nodes[any(ARRAY_SIZE(nodes))];

        if (any(8) == 0 && heap.root) {
            for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++)
                assert_false(heap_in(&nodes[i]) && before(nodes[i].key, heap.root->key));
            n = heap.root;
        }
        if (heap_in(n)) {
            heap_remove(&heap, n);
            in--;
        } else {
            heap_insert(&heap, n, any(1000) - 500); /* around the wrap */
            in++;
        }
        if (step % 64 == 0)
            assert_int_equal(check_heap(&heap), in);
    }
}

/* Promises. */

static void expect(struct world *w, const struct sched_params *params, const char *text)
{
    struct error err = {0};
    struct sched_group group;
    int r = sched_group_init(&w->sched, &group, params, &err);

    none_held();
    if (!text) {
        assert_int_equal(r, 0);
        return;
    }
    if (r == 0)
        fail_msg("not refused: \"%s\"", text);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    assert_null(strchr(err.text, '\n'));
}

static void test_wrong_params(void **state)
{
    static const uint64_t nowhere[SCHED_CPU_WORDS] = {~0xfULL};
    struct world w;

    world_init(&w, 4, 1);
    expect(&w, &(struct sched_params){.shares = 0}, "shares: 0: it must be 1 to 10000");
    expect(&w, &(struct sched_params){.shares = 10001}, "shares: 10001");
    expect(&w, &(struct sched_params){.shares = 1, .cap = 4001},
           "cap: 400.1% are more than the 4 processors of the machine have");
    expect(&w, &(struct sched_params){.shares = 1, .reservation = 4001}, "reservation: 400.1% are more");
    expect(&w, &(struct sched_params){.shares = 1, .cap = 100, .reservation = 101},
           "reservation: is more than the cap");
    expect(&w, &(struct sched_params){.shares = 1, .affinity = nowhere}, "affinity: none of its processors");
    expect(&w, &(struct sched_params){.shares = 1, .budget = 1000000}, "a period of 0 us");
    expect(&w, &(struct sched_params){.shares = 1, .period = 1000000}, "a budget of 0 us");
    expect(&w, &(struct sched_params){.shares = 1, .budget = 1000000, .period = 1ULL << 40}, "a period of");
    expect(&w, &(struct sched_params){.shares = 1, .budget = 2000000, .period = 1000000},
           "a budget of 2000 us");
    expect(&w, &(struct sched_params){.shares = 1, .budget = 100000, .period = 1000000, .cap = 10},
           "remove the cap and the reservation");
    expect(&w, &(struct sched_params){.shares = 1, .budget = 990000, .period = 1000000},
           "95.0% of each can be promised");
}

static void test_promises(void **state)
{
    static const uint64_t low[SCHED_CPU_WORDS] = {3}, middle[SCHED_CPU_WORDS] = {6},
                          one[SCHED_CPU_WORDS] = {1};
    struct sched_group a, b, c;
    struct world w;

    world_init(&w, 4, 1);
    /* Two on each of two processors fit; a third one has no home there, though there is room elsewhere. */
    for (unsigned i = 0; i < 4; i++)
        expect(&w,
               &(struct sched_params){.shares = 1, .budget = 4000000, .period = 10000000, .affinity = low},
               NULL);
    expect(&w, &(struct sched_params){.shares = 1, .budget = 4000000, .period = 10000000, .affinity = low},
           "95.0% of each can be promised");
    expect(&w, &(struct sched_params){.shares = 1, .budget = 1500000, .period = 10000000, .affinity = one},
           NULL);
    expect(&w, &(struct sched_params){.shares = 1, .reservation = 200, .affinity = low},
           "of the 190.0% that can be promised 175.0% are taken");
    expect(&w, &(struct sched_params){.shares = 1, .reservation = 150, .affinity = low}, NULL);
    /* 1,900 of processors 0 and 1 are gone; 1 and 2 together have 950 left. */
    expect(&w, &(struct sched_params){.shares = 1, .reservation = 951, .affinity = middle},
           "of the 285.0% that can be promised 190.0% are taken");
    assert_int_equal(
        sched_group_init(&w.sched, &a,
                         &(struct sched_params){.shares = 1, .reservation = 950, .affinity = middle}, NULL),
        0);
    assert_int_equal(
        sched_group_init(&w.sched, &b, &(struct sched_params){.shares = 1, .reservation = 951}, NULL),
        -ENOSPC);
    assert_int_equal(
        sched_group_init(&w.sched, &b, &(struct sched_params){.shares = 1, .reservation = 950}, NULL), 0);
    /* What is given back is there again; a change is held against the others, too. */
    assert_int_equal(
        sched_group_change(&w.sched, &b, &(struct sched_params){.shares = 5, .reservation = 951}, NULL),
        -ENOSPC);
    assert_int_equal(b.shares, 1);
    sched_group_finish(&w.sched, &a);
    assert_int_equal(
        sched_group_change(&w.sched, &b, &(struct sched_params){.shares = 5, .reservation = 951}, NULL), 0);
    assert_int_equal(b.shares, 5);
    assert_int_equal(
        sched_group_change(&w.sched, &b, &(struct sched_params){.shares = 5, .reservation = 100}, NULL), 0);
    assert_int_equal(
        sched_group_init(&w.sched, &c, &(struct sched_params){.shares = 1, .reservation = 1800}, NULL), 0);
}

static void test_many_affinities(void **state)
{
    static struct sched_group groups[SCHED_MASKS + 2];
    static struct sched_queue queue[16];
    struct sched_queue *queues[16];
    struct error err = {0};
    struct sched sched;

    for (unsigned i = 0; i < 16; i++)
        queues[i] = &queue[i];
    memset(held, 0, sizeof(held));
    sched_init(&sched, queues, 5, &hooks);
    for (unsigned i = 0; i < 31 + 31; i++) { /* all that there are of five processors, each twice */
        uint64_t bits[SCHED_CPU_WORDS] = {i % 31 + 1};

        assert_int_equal(
            sched_group_init(&sched, &groups[i], &(struct sched_params){.shares = 1, .affinity = bits}, &err),
            0);
    }
    sched_init(&sched, queues, 16, &hooks);
    for (unsigned i = 0; i < SCHED_MASKS + 1; i++) {
        uint64_t bits[SCHED_CPU_WORDS] = {i + 1};
        int r =
            sched_group_init(&sched, &groups[i], &(struct sched_params){.shares = 1, .affinity = bits}, &err);

        /* never used before; hooks know of five processors only, but group calls lock the first one only */
        assert_int_equal(r, i < SCHED_MASKS ? 0 : -ENOSPC);
    }
    sched_group_finish(&sched, &groups[3]);
    assert_int_equal(
        sched_group_init(&sched, &groups[SCHED_MASKS], &(struct sched_params){.shares = 1}, &err), 0);
}

/* Random calls. */

static void next(struct world *w, unsigned cpu, bool blocked)
{
    struct sched_entity *old = w->current[cpu];

    w->poked[cpu] = false;
    leaves = old;
    leaves_cpu = cpu;
    w->current[cpu] = sched_next(&w->sched, cpu, blocked, w->now, &w->until[cpu]);
    leaves = NULL;
    if (blocked && old && old->where == SCHED_ASLEEP)
        w->asleep_from[old - w->entity] = w->now;
}

static void wake(struct world *w, struct sched_entity *entity)
{
    bool asleep = entity->where == SCHED_ASLEEP;
    unsigned cpu, i = (unsigned)(entity - w->entity);

    if (asleep)
        w->slept[i] += w->now - w->asleep_from[i];
    cpu = sched_wake(&w->sched, entity, w->now);
    if (cpu != SCHED_NOBODY) {
        assert_true(cpu < w->cpus);
        w->poked[cpu] = true;
    }
}

static bool permitted(const struct sched_entity *entity, unsigned cpu)
{
    const uint64_t *affinity = entity->group->params.affinity;

    return !affinity || (affinity[cpu / 64] >> (cpu % 64) & 1);
}

static void check_entity(struct world *w, unsigned i)
{
    struct sched_entity *e = &w->entity[i];
    struct sched_queue *queue = &w->queue[e->cpu];
    unsigned running = 0, idle = 0, called = 0;
    uint64_t run, wait;

    for (unsigned cpu = 0; cpu < w->cpus; cpu++) {
        running += w->current[cpu] == e;
        assert_true(w->current[cpu] != e || (e->cpu == cpu && permitted(e, cpu)));
    }
    assert_int_equal(running, e->where == SCHED_RUNNING);
    assert_true(e->where != SCHED_WAKING);
    assert_int_equal(heap_in(&e->ready), e->where == SCHED_READY);
    assert_true(e->where != SCHED_THROTTLED || heap_in(&e->timer));
    assert_true(e->where == SCHED_THROTTLED || e->where == SCHED_READY || !heap_in(&e->timer));
    assert_true(permitted(e, e->cpu));
    assert_true(!e->group->params.budget || e->cpu == e->group->home);
    sched_entity_times(e, w->now, &run, &wait);
    assert_int_equal(run + wait + w->slept[i] + (e->where == SCHED_ASLEEP ? w->now - w->asleep_from[i] : 0),
                     w->now - w->created[i]);
    if (e->where != SCHED_READY || e->group->params.budget || w->poked[queue->cpu])
        return;
    /* Somebody runs in its place, and looks again; and no one idles who could have it. */
    assert_non_null(queue->current);
    assert_true(w->until[queue->cpu] != SCHED_NEVER);
    for (unsigned cpu = 0; cpu < w->cpus; cpu++) {
        idle += !w->current[cpu] && permitted(e, cpu);
        called += !w->current[cpu] && permitted(e, cpu) && (w->poked[cpu] || w->until[cpu] <= w->now);
    }
    assert_true(!idle || called);
}

static void check_queue(struct world *w, unsigned cpu)
{
    struct sched_queue *queue = &w->queue[cpu];
    unsigned ready = 0, counted = 0, in_rt = 0;
    bool waiting = false;

    for (unsigned i = 0; i < ENTITIES; i++) {
        if (!w->used[i] || w->entity[i].cpu != cpu || w->entity[i].where != SCHED_READY)
            continue;
        if (w->entity[i].group->params.budget)
            in_rt++;
        else
            ready++;
    }
    assert_int_equal(check_heap(&queue->fair) + check_heap(&queue->due), ready);
    assert_int_equal(check_heap(&queue->rt), in_rt);
    check_heap(&queue->timers);
    for (unsigned i = 0; i < SCHED_MASKS; i++) {
        counted += queue->ready[i];
        waiting |= queue->ready[i];
        assert_int_equal(queue->waiting[i / 64] >> (i % 64) & 1, queue->ready[i] > 0);
    }
    assert_int_equal(counted, ready);
    assert_int_equal(w->sched.waiting[cpu / 64] >> (cpu % 64) & 1, waiting);
    assert_ptr_equal(queue->current, w->current[cpu]);
    assert_true(w->current[cpu] || w->poked[cpu] || (w->sched.idle[cpu / 64] >> (cpu % 64) & 1));
    assert_true(!queue->next || (heap_in(&queue->next->ready) && queue->next->cpu == cpu));
    if (queue->timers.root && !w->poked[cpu])
        assert_true(w->until[cpu] <= queue->timers.root->key);
}

static void check_world(struct world *w)
{
    none_held();
    for (unsigned i = 0; i < ENTITIES; i++)
        if (w->used[i])
            check_entity(w, i);
    for (unsigned cpu = 0; cpu < w->cpus; cpu++)
        check_queue(w, cpu);
    for (unsigned g = 0; g < GROUPS; g++) {
        unsigned awake = 0;

        for (unsigned i = 0; i < ENTITIES; i++)
            awake += w->used[i] && w->entity[i].group == &w->group[g] && w->entity[i].where != SCHED_ASLEEP;
        if (w->group_used[g] && !w->group[g].params.budget)
            assert_int_equal(w->group[g].awake, awake);
    }
}

static void change_group(struct world *w, unsigned g)
{
    static const uint64_t masks[][SCHED_CPU_WORDS] = {{1}, {3}, {~1ULL}, {~0ULL}, {5}};
    struct sched_params params = {.shares = 1 + (uint32_t)any(any(2) ? 5 : 10000)};
    unsigned users = 0;

    for (unsigned i = 0; i < ENTITIES; i++)
        users += w->used[i] && w->entity[i].group == &w->group[g];
    if (any(3) == 0)
        params.cap = 1 + (uint32_t)any(1500);
    if (any(3) == 0)
        params.reservation = (uint32_t)any(params.cap ? params.cap : 500);
    if (w->group_used[g] && users) {
        sched_group_change(&w->sched, &w->group[g], &params, NULL);
        return;
    }
    if (w->group_used[g])
        sched_group_finish(&w->sched, &w->group[g]);
    if (any(4) == 0)
        params = (struct sched_params){
            .shares = 1, .budget = 100000 + any(2000000), .period = 1000000 + any(10000000)};
    if (any(2))
        params.affinity = masks[w->cpus > 1 ? any(ARRAY_SIZE(masks)) : 0];
    w->group_used[g] = sched_group_init(&w->sched, &w->group[g], &params, NULL) == 0;
}

static void change_entity(struct world *w, unsigned i)
{
    unsigned g = (unsigned)any(GROUPS);

    if (!w->used[i] && w->group_used[g]) {
        sched_entity_init(&w->sched, &w->entity[i], &w->group[g]);
        w->used[i] = true;
        w->created[i] = w->asleep_from[i] = w->entity[i].since = w->now;
        w->slept[i] = 0;
    } else if (w->used[i] && w->entity[i].where == SCHED_ASLEEP && any(10) == 0) {
        sched_entity_finish(&w->sched, &w->entity[i]);
        w->used[i] = false;
    }
}

static void random_step(struct world *w)
{
    unsigned cpu = (unsigned)any(w->cpus), i = (unsigned)any(ENTITIES);

    switch (any(12)) {
    case 0:
        change_group(w, (unsigned)any(GROUPS));
        break;
    case 1:
    case 2:
        change_entity(w, i);
        break;
    case 3:
    case 4:
    case 5:
        if (w->used[i])
            wake(w, &w->entity[i]);
        break;
    case 6:
        if (w->current[cpu]) {
            sched_prefer_sibling(&w->sched, cpu, w->now);
            next(w, cpu, false);
        }
        break;
    case 7:
        if (w->current[cpu] && w->group_used[i % GROUPS])
            sched_charge_other(
                &w->sched, cpu, &w->group[i % GROUPS],
                any(MIN(w->now - MIN(w->now, w->queue[cpu].turn_start + w->queue[cpu].other_ns), 1000ULL) +
                    1));
        break;
    case 8:
    case 9: /* looks for no reason, or is asked to */
        next(w, cpu, false);
        break;
    default:
        next(w, cpu, w->current[cpu] && any(2));
    }
}

/* Time goes on to the next thing that has to happen, or a little. */
static void random_time(struct world *w)
{
    uint64_t to = w->now + any(any(4) ? 100000 : 20000000);

    for (unsigned cpu = 0; cpu < w->cpus; cpu++)
        to = MIN(to, MAX(w->until[cpu], w->now));
    w->now = to;
    for (unsigned cpu = 0; cpu < w->cpus; cpu++)
        if (w->until[cpu] <= w->now || (w->poked[cpu] && any(3) == 0))
            next(w, cpu, false);
}

static void test_random(void **state)
{
    static struct world w;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_init(&w, 1 + (unsigned)(seed % CPUS), seed);
        for (unsigned i = 0; i < GROUPS; i++)
            change_group(&w, i);
        for (unsigned cpu = 0; cpu < w.cpus; cpu++)
            next(&w, cpu, false);
        for (unsigned step = 0; step < 3000; step++) {
            random_step(&w);
            check_world(&w);
            if (any(3) == 0)
                random_time(&w);
            check_world(&w);
        }
    }
}

/* A wake-up while the entity still runs is not lost. */
static void test_wake_before_block(void **state)
{
    struct world w;

    world_init(&w, 1, 1);
    assert_int_equal(sched_group_init(&w.sched, &w.group[0], &(struct sched_params){.shares = 1}, NULL), 0);
    sched_entity_init(&w.sched, &w.entity[0], &w.group[0]);
    next(&w, 0, false);
    assert_null(w.current[0]);
    assert_true(w.until[0] == SCHED_NEVER);
    assert_int_equal(sched_wake(&w.sched, &w.entity[0], w.now), 0);
    next(&w, 0, false);
    assert_ptr_equal(w.current[0], &w.entity[0]);
    assert_int_equal(sched_wake(&w.sched, &w.entity[0], w.now), SCHED_NOBODY);
    next(&w, 0, true);
    assert_ptr_equal(w.current[0], &w.entity[0]);
    next(&w, 0, true);
    assert_null(w.current[0]);
}

/* Two that spin for each other do not keep a third one off, however often they say so. */
static void test_hints_end(void **state)
{
    struct world w;
    uint64_t ran[2] = {0};

    world_init(&w, 1, 1);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sched_group_init(&w.sched, &w.group[i], &(struct sched_params){.shares = 100}, NULL),
                         0);
    for (unsigned i = 0; i < 3; i++) {
        sched_entity_init(&w.sched, &w.entity[i], &w.group[i / 2]);
        sched_wake(&w.sched, &w.entity[i], w.now);
    }
    next(&w, 0, false);
    for (unsigned step = 0; step < 40000; step++) { /* 2 s */
        w.now += 50000;
        ran[w.current[0] == &w.entity[2]] += 50000;
        if (w.current[0] != &w.entity[2])
            sched_prefer_sibling(&w.sched, 0, w.now);
        next(&w, 0, false);
        assert_non_null(w.current[0]);
    }
    assert_in_range(ran[0], 950000000, 1050000000);
    assert_in_range(ran[1], 950000000, 1050000000);
    /* Nor for longer than a few slices. */
    for (unsigned step = 0, waits = 0; step < 4000; step++) {
        w.now += 50000;
        waits = w.current[0] == &w.entity[2] ? 0 : waits + 1;
        assert_true(waits * 50000 < 20000000);
        if (w.current[0] != &w.entity[2])
            sched_prefer_sibling(&w.sched, 0, w.now);
        next(&w, 0, false);
    }
}

/* Time that was spent for somebody else is charged there: in each of a group's accounts. */
static void test_charge_other(void **state)
{
    static const struct sched_params params[] = {
        {.shares = 1},
        {.shares = 1, .cap = 100, .reservation = 100},
        {.shares = 1, .budget = 2000000, .period = 10000000},
    };
    struct world w;
    uint64_t run, wait, vtime, until, before;

    world_init(&w, 1, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sched_group_init(&w.sched, &w.group[i], &params[i], NULL), 0);
        sched_entity_init(&w.sched, &w.entity[i], &w.group[i]);
    }
    /* Nobody was kept from running, but it had the time. */
    vtime = w.group[1].vtime;
    sched_charge_other(&w.sched, 0, &w.group[1], 50000);
    assert_int_equal(w.group[1].vtime, vtime);
    assert_int_equal(w.group[1].run_ns, 50000);

    sched_wake(&w.sched, &w.entity[0], w.now);
    next(&w, 0, false);
    sched_charge_other(&w.sched, 0, &w.group[0], 100000); /* its own: it pays anyway */
    before = w.group[1].cap_free;
    sched_charge_other(&w.sched, 0, &w.group[1], 300000);
    assert_true(w.group[1].vtime > vtime);
    assert_int_equal(w.group[1].cap_free - before, 3000000);
    sched_charge_other(&w.sched, 0, &w.group[2], 200000);
    assert_int_equal(w.group[2].left, -200000);
    none_held();
    /* By a clock that does not know of it yet. */
    sched_entity_times(&w.entity[0], w.now + 100000, &run, &wait);
    assert_int_equal(run, 0);
    w.now += 1000000;
    sched_entity_times(&w.entity[0], w.now, &run, &wait);
    assert_int_equal(run, 500000);
    assert_int_equal(wait, 500000);
    next(&w, 0, true);
    assert_int_equal(w.group[0].run_ns, 500000);
    assert_int_equal(w.group[1].run_ns, 350000);
    sched_group_times(&w.group[0], w.now, &run, &wait);
    assert_int_equal(run, 500000);
    assert_int_equal(wait, 500000);
    sched_group_times(&w.group[1], w.now, &run, &wait);
    assert_int_equal(run, 350000);

    /* An entity that is gone is still counted, and a real-time group has what is left of its budget. */
    sched_entity_finish(&w.sched, &w.entity[0]);
    sched_group_times(&w.group[0], w.now, &run, &wait);
    assert_int_equal(run, 500000);
    assert_int_equal(wait, 500000);
    sched_wake(&w.sched, &w.entity[2], w.now);
    assert_ptr_equal(sched_next(&w.sched, 0, false, w.now, &until), &w.entity[2]);
    assert_int_equal(until - w.now, 1800000);
    assert_false(sched_anybody_waits(&w.sched));
    sched_wake(&w.sched, &w.entity[1], w.now);
    assert_true(sched_anybody_waits(&w.sched));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap),         cmocka_unit_test(test_wrong_params),
        cmocka_unit_test(test_promises),     cmocka_unit_test(test_many_affinities),
        cmocka_unit_test(test_random),       cmocka_unit_test(test_wake_before_block),
        cmocka_unit_test(test_charge_other), cmocka_unit_test(test_hints_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
