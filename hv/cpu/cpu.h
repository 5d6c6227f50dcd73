/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A processor of the machine and what belongs to it alone, found through its GS base.
 */
#ifndef HV_CPU_CPU_H
#define HV_CPU_CPU_H

#include "base/spin.h"
#include "core/metal.h"
#include "sched/sched.h"

#define HV_MAX_CPUS 64

struct thread;
struct cpu_tables;

struct cpu {
    struct cpu *self; /* at gs:0 */
    struct metal_cpu metal;
    struct thread *current;
    struct thread *idle;
    uint64_t
        running[3]; /* atomic: current's name, for others; the thread itself may be gone when they look */
    struct sched_queue queue;
    uint32_t node;        /* of memory, from the SRAT */
    bool must_yield;      /* atomic; set by interrupts and other processors, see metal_must_yield() */
    uint64_t slice_end;   /* when sched_next() wants to be asked again, ns */
    uint64_t timer_armed; /* for when the local APIC's timer is set, ns; ~0: it is not */
    uint64_t yield_tsc;   /* the same in TSC ticks */
    uint64_t idle_ns;
    uint64_t map_generation;      /* atomic: hv/mem/map.c */
    struct cpu_tables *tables;    /* GDT, TSS, stacks: hv/cpu/tables.c */
    struct irq *irqs;             /* handlers by vector: hv/cpu/irq.c */
    struct sched_group *work_for; /* whose interrupt is handled; NULL: none is */
    uint64_t work_since;

    struct spinlock queue_lock;  /* sched's, of `queue` */
    struct spinlock timers_lock; /* guards timers */
    struct list_node timers;     /* struct host_timer, sorted */
    struct host_timer *firing;   /* atomic: its fn runs */
};

static inline struct cpu *cpu_this(void)
{
    struct cpu *cpu;

    __asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* All that run, by index. */
extern struct cpu *cpus[HV_MAX_CPUS];
extern unsigned cpu_count;

/* Reads CPUID, and turns on what the hypervisor uses: NX, SMEP, SMAP, UMIP, write protection, its PAT; and
 * what engines use: OSFXSR, OSXSAVE, CR0.MP with TS and EM clear. */
void cpu_features_on(void);

/* The first processor: its structure and descriptor tables, so that exceptions are heard of. */
void cpu_init_first(void);
/* A further one, on another processor, before it starts. NULL: no memory. */
struct cpu *cpu_create(unsigned index);
/* On itself: its tables, its GS base. */
void cpu_tables_use(struct cpu *cpu);

/* Starts all processors that ACPI names ("maxcpus=" on the command line: so many in all), and returns when
 * they are idle or have failed to come, which is logged. */
void smp_start(void);
/* Lets them into the scheduler, which knows of them by now. */
void smp_go(void);

/* A request to look up from what it does: an interrupt that ends guest code and HLT. Any processor, itself
 * too. */
void cpu_poke(struct cpu *cpu);

/* Interrupts on for an instant: what is pending is handled (hv/cpu/irq.h). No lock held. */
void cpu_irq_window(void);
/* The same, and sleeps until there is one, unless must_yield is set. */
void cpu_idle_wait(void);

#endif
