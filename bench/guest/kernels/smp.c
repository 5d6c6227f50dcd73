/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several processors: the same independent work on one and on two of them, and threads that fight for locks.
 */
#include "kernels.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* Work without memory in common: each process runs the kernel that is named here a few times. */

#define SHARE 12

static uint64_t process_work(void)
{
    uint64_t sum = 0;

    for (const struct kernel *k = integer_kernels; k->name; k++) {
        if (k->prepare)
            k->prepare();
        for (unsigned i = 0; i < SHARE; i++)
            sum += k->round();
    }
    return sum;
}

static uint64_t independent(unsigned processes)
{
    uint64_t right = 1;

    for (unsigned i = 0; i < processes; i++) {
        pid_t child = fork();

        must(child >= 0, "fork");
        if (child == 0)
            _exit((int)(process_work() & 63));
    }
    for (unsigned i = 0; i < processes; i++) {
        int status = -1;

        must(wait(&status) > 0 && WIFEXITED(status), "a process of the work");
        right = right * 64 + (uint64_t)WEXITSTATUS(status);
    }
    return right & 63;
}

static uint64_t one_round(void)
{
    return independent(1);
}

static uint64_t two_round(void)
{
    return independent(2);
}

/* 16 threads, 4 locks (futexes when it gets tight), short critical sections, and a queue that they pass
 * tickets through. */

#define THREADS 16
#define TURNS   400
#define LOCKS   4

static struct {
    pthread_mutex_t lock;
    uint64_t count;
} counters[LOCKS];

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned tickets, taken;
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void *fight(void *argument)
{
    uint64_t random = SEED + (uintptr_t)argument;

    for (unsigned i = 0; i < TURNS; i++) {
        unsigned which = (unsigned)(next_random(&random) % LOCKS);

        pthread_mutex_lock(&counters[which].lock);
        counters[which].count++;
        pthread_mutex_unlock(&counters[which].lock);
        if (i % 8)
            continue;
        /* Even threads give a ticket, odd ones take one. */
        pthread_mutex_lock(&queue.lock);
        if ((uintptr_t)argument % 2 == 0) {
            queue.tickets++;
            pthread_cond_signal(&queue.changed);
        } else {
            while (!queue.tickets)
                pthread_cond_wait(&queue.changed, &queue.lock);
            queue.tickets--;
            queue.taken++;
        }
        pthread_mutex_unlock(&queue.lock);
    }
    return NULL;
}

static uint64_t locks_round(void)
{
    pthread_t threads[THREADS];
    uint64_t sum = 0;

    queue.taken = 0;
    for (unsigned i = 0; i < LOCKS; i++) {
        counters[i].count = 0;
        pthread_mutex_init(&counters[i].lock, NULL);
    }
    for (uintptr_t i = 0; i < THREADS; i++)
        must(!pthread_create(&threads[i], NULL, fight, (void *)i), "pthread_create");
    for (unsigned i = 0; i < THREADS; i++)
        must(!pthread_join(threads[i], NULL), "pthread_join");
    for (unsigned i = 0; i < LOCKS; i++)
        sum += counters[i].count;
    must(sum == THREADS * TURNS && queue.taken == THREADS / 2 * TURNS / 8 && !queue.tickets,
         "a lock that locks");
    return sum * 100000 + queue.taken;
}

/* The bare instruction: two threads add to one number. */

static uint64_t shared_number;

static void *add(void *argument)
{
    for (unsigned i = 0; i < 20000; i++)
        __atomic_add_fetch(&shared_number, 1, __ATOMIC_SEQ_CST);
    return argument;
}

static uint64_t atomics_round(void)
{
    pthread_t other;

    shared_number = 0;
    must(!pthread_create(&other, NULL, add, NULL), "pthread_create");
    add(NULL);
    must(!pthread_join(other, NULL), "pthread_join");
    return shared_number;
}

const struct kernel smp_kernels[] = {
    {"smp", "work-1", NULL, NULL, one_round},
    {"smp", "work-2", NULL, NULL, two_round},
    {"smp", "locks-16", NULL, NULL, locks_round},
    {"smp", "atomics", NULL, NULL, atomics_round},
    {NULL, NULL, NULL, NULL, NULL},
};
