/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: a stack and a place in the scheduler. Each vCPU is one (it runs
 * vcpu_loop()), each VM has one for its timers and I/O, and the hypervisor has a few
 * of its own. Nobody takes the processor from a thread: it runs until it waits or
 * yields, and whoever runs guest code or works long asks metal_must_yield().
 */
#ifndef HV_THREAD_H
#define HV_THREAD_H

#include "base/spin.h"
#include "hv/cpu/timer.h"
#include "hv/mem/page.h"
#include "sched/sched.h"

struct cpu;

#define THREAD_STACK KIB(16) /* and a page below that is not mapped */

struct thread {
    struct sched_entity entity;
    uint64_t rsp; /* while it does not run */
    uint8_t *stack;
    void (*fn)(void *arg);
    void *arg;
    char name[24];
    struct memory_account *account;
    struct host_timer timer; /* thread_wait_until()'s */
    struct thread *joiner;   /* atomic: who waits for the end */
    int32_t on_cpu;          /* atomic: the processor whose registers it has, -1: none */
    uint32_t wakers;         /* atomic: how many are in thread_wake() */
    bool token;              /* atomic: thread_wake() came, thread_wait() has not */
    bool ending;             /* fn has returned */
    bool finished;           /* atomic: it will not run again */
};

/* The one scheduler, and the hypervisor's own threads in it. */
extern struct sched hv_sched;
extern struct sched_group hv_group;

/* Ready to run, in the group. NULL: no memory. */
struct thread *thread_create(const char *name, struct sched_group *group, struct memory_account *account,
                             void (*fn)(void *arg), void *arg);
/* Waits for the thread's end; it may still be woken. By one thread, its owner. */
void thread_wait_end(struct thread *thread);
/* The same, and frees it. */
void thread_join(struct thread *thread);

struct thread *thread_this(void);
/* What a processor runs, or ran a moment ago. */
void thread_running(const struct cpu *cpu, char name[24]);
/* Takes interrupts and lets others run; returns at once if there are none. */
void thread_yield(void);
/* Until thread_wake(), which may have come before. May return without one. No lock held. */
void thread_wait(void);
/* The same, at most until the time. */
void thread_wait_until(uint64_t deadline);
/* Any processor, in an interrupt too. Not once thread_join() was called. */
void thread_wake(struct thread *thread);
/* Lets a thread of this one's group run that waits for a processor, if there is one. */
void thread_yield_to_sibling(void);

/* ---- boot ---- */

/* The first processor's boot stack becomes its idle thread. */
void thread_init_first(void);
/* For another processor; *stack: where its stack begins. False: no memory. */
bool thread_create_idle(struct cpu *cpu, uint64_t *stack);
/* All processors are known: threads can be made. */
void thread_start(void);
/* What a processor does that has nothing to do. */
_Noreturn void thread_idle_loop(void);

/* Is it the page below this thread's stack? */
bool thread_guard_hit(uint64_t address);

#endif
