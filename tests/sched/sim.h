/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine of any size in virtual time that runs sched as it is: processors with a
 * cost for each switch and late timers, VMs whose vCPUs follow simple programs, and books of
 * its own about who ran when. The same seed gives the same run.
 */
#ifndef TESTS_SCHED_SIM_H
#define TESTS_SCHED_SIM_H

#include "sched/sched.h"

#define US(n)       ((uint64_t)(n)*1000ULL)
#define MS(n)       ((uint64_t)(n)*1000000ULL)
#define SEC(n)      ((uint64_t)(n)*1000000000ULL)

#define CAP_STEP    MS(10) /* how often the machine is audited */
#define CAP_BUCKETS 100    /* of that, in a second */
#define LATENCIES   40     /* a histogram's classes: powers of √2 from 1 us on */

enum program {
    PROGRAM_BUSY,    /* never stops */
    PROGRAM_BURSTS,  /* runs for about a, sleeps for about b */
    PROGRAM_STEPS,   /* runs for exactly a, sleeps for exactly b */
    PROGRAM_RELAY,   /* runs for a, wakes the next vCPU of its VM, and sleeps until it is woken in turn */
    PROGRAM_PERIODS, /* real-time: a job of a, every b, which has to be done before the next */
    PROGRAM_BARRIER, /* runs for about a, then spins until all of its VM have */
    PROGRAM_SEASONS, /* busy for about b, then short bursts with long pauses for about b, and so on */
};

struct sim;

struct sim_vcpu {
    struct sched_entity entity;
    struct sim_vm *vm;
    struct sim_vcpu *sibling; /* the next in its VM */
    unsigned index;           /* in the machine */
    enum program program;
    uint64_t a, b;
    uint64_t left; /* work until it stops; SCHED_NEVER: none */
    bool spins;    /* at the barrier */
    bool busy_season;
    uint64_t season_end, release; /* of the job */
    uint64_t random;
    int cpu, last_cpu;   /* that runs it, that did; -1: none */
    uint64_t woken;      /* when it was, if it has not run since; SCHED_NEVER */
    uint64_t waits_from; /* ready since; SCHED_NEVER: it is not */
    uint64_t ran;        /* with switches, until it was last stopped or looked at */
    uint64_t worst_wait;
};

struct sim_vm {
    struct sched_group group;
    struct sched_params params;
    uint64_t affinity[SCHED_CPU_WORDS];
    struct sim_vm *next;
    struct sim_vcpu *vcpus;
    char name[24];
    unsigned index, count, busy; /* busy: those that never sleep */
    unsigned at_barrier;
    uint64_t rounds; /* of the barrier */
    uint64_t jobs, missed, worst_job;
    uint64_t in_interrupts;                             /* that others were interrupted by for it */
    uint64_t start_ns;                                  /* what it had run when measuring began */
    uint64_t *zones;                                    /* where it ran, by zone, if the machine has some */
    uint64_t buckets[CAP_BUCKETS], bucket_last, window; /* what it ran in the last second */
    double cap_worst;                                   /* the fullest second, over the cap */
    uint64_t latencies[LATENCIES], worst_latency;       /* from wake-up to running */
};

struct sim_cpu {
    struct sched_queue queue;
    struct sim_vcpu *current;
    uint64_t started; /* the current one, with the switch; its work begins after that */
    uint64_t work_from;
    uint64_t until;     /* what sched_next() said */
    uint64_t idle_from; /* SCHED_NEVER: it is not */
    uint64_t idle_ns;
};

struct sim_event {
    uint64_t time;
    unsigned source; /* a processor, or `cpus` + a vCPU, or interrupts, or the audit */
};

struct sim {
    struct sched sched;
    unsigned cpus, vcpus, vms;
    struct sim_cpu *cpu;
    struct sched_queue **queues;
    struct sim_vm *vm;        /* a list */
    struct sim_vcpu **vcpu;   /* by index */
    struct sim_event *events; /* a heap, of which … */
    unsigned *place;          /* … says where each source is; ~0: nowhere */
    unsigned pending, sources;
    uint64_t now, random;
    uint64_t switch_ns, late_ns, poke_ns; /* a switch; a timer is late by up to; and a poke */
    bool deaf;                            /* a spinner is not helped */
    unsigned zone;                        /* processors in a zone; 0: no books by zone */
    struct sim_vm *storm;                 /* whose interrupts come to the first processor … */
    uint64_t storm_ns, storm_every;       /* … and take so long, so often */
    uint64_t measured_from;
    uint64_t decisions, switches, migrations, wakes, pokes, timers; /* counted */
    unsigned held, lock[8];                                         /* locks, now: how many, and whose */
    uint64_t order_errors; /* locks taken in a wrong order, left, or held while a hook is called */
    uint64_t worst_idle;   /* of a processor while somebody waited who could have run there */
    uint64_t lost;         /* entities that ran twice, or where they must not, or not when chosen */
};

struct sim *sim_create(unsigned cpus, unsigned vcpus, uint64_t seed);
void sim_destroy(struct sim *sim);
/* NULL and a line on stderr: the promises were refused. affinity: processors first .. first+count-1; 0: all.
 */
struct sim_vm *sim_vm_create(struct sim *sim, const char *name, const struct sched_params *params,
                             unsigned first, unsigned count);
struct sim_vcpu *sim_vcpu_create(struct sim *sim, struct sim_vm *vm, enum program program, uint64_t a,
                                 uint64_t b);
void sim_run(struct sim *sim, uint64_t until);
/* From now on the VM's interrupts come to the first processor, whoever runs there. */
void sim_storm(struct sim *sim, struct sim_vm *vm, uint64_t ns, uint64_t every);
/* Forgets what was counted so far. */
void sim_measure(struct sim *sim);
/* What the VM ran since then, ns. */
uint64_t sim_vm_ran(const struct sim *sim, const struct sim_vm *vm);

/* tests/sched/program.c: what vCPUs do. */
void program_start(struct sim *sim, struct sim_vcpu *vcpu);
/* It worked for so long. Does it stop now? */
bool program_worked(struct sim *sim, struct sim_vcpu *vcpu, uint64_t ns);
/* When it must be looked at next, if it goes on working from now on. */
uint64_t program_next(const struct sim_vcpu *vcpu, uint64_t now);
/* It woke up. */
void program_woken(struct sim *sim, struct sim_vcpu *vcpu);

/* For programs. */
uint64_t sim_random(uint64_t *state);
uint64_t sim_about(uint64_t *state, uint64_t mean); /* exponential, at most ten times the mean */
void sim_wake_at(struct sim *sim, struct sim_vcpu *vcpu, uint64_t time);
void sim_wake(struct sim *sim, struct sim_vcpu *vcpu);
void sim_look_at(struct sim *sim, unsigned cpu, uint64_t time);

#endif
