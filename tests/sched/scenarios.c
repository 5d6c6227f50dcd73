/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small machines, each with one question. */
#include "tests/sched/scenarios.h"

#include <math.h>
#include <stdio.h>

#define SHARES(n) (&(struct sched_params){.shares = (n)})

static struct sim_vm *busy_vm(struct sim *sim, const char *name, const struct sched_params *params,
                              unsigned vcpus)
{
    struct sim_vm *vm = sim_vm_create(sim, name, params, 0, 0);

    for (unsigned i = 0; i < vcpus; i++)
        sim_vcpu_create(sim, vm, PROGRAM_BUSY, 0, 0);
    return vm;
}

static void run_and_measure(struct sim *sim, uint64_t warm_up, uint64_t length)
{
    sim_run(sim, warm_up);
    sim_measure(sim);
    sim_run(sim, warm_up + length);
}

/* The first acceptance figure: 1:1:2:4 on two processors, where the last one has just one of its own. */
void scenario_shares(struct report *report)
{
    static const unsigned shares[] = {100, 100, 200, 400};
    struct sim *sim = sim_create(2, 16, report->seed);
    char name[8];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(shares[i]), 1);
    }
    run_and_measure(sim, 0, SEC(20));
    check_sound(report, sim);
    check_fair(report, sim, 0.02);
    check_starvation(report, sim);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* Each has its own thread for I/O beside, as in the machine, which is the VM's too. */
void scenario_shares_io(struct report *report)
{
    static const unsigned shares[] = {100, 100, 200, 400};
    struct sim *sim = sim_create(2, 16, report->seed);
    struct sim_vm *vm;
    char name[8];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        vm = busy_vm(sim, name, SHARES(shares[i]), 1);
        sim_vcpu_create(sim, vm, PROGRAM_BURSTS, US(30), MS(2));
    }
    run_and_measure(sim, 0, SEC(20));
    check_sound(report, sim);
    check_fair(report, sim, 0.03);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* Fewer processors than busy vCPUs, by one: someone must always move. */
void scenario_odd(struct report *report)
{
    struct sim *sim = sim_create(3, 16, report->seed);
    char name[8];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(100), 1);
    }
    run_and_measure(sim, 0, SEC(10));
    check_sound(report, sim);
    check_fair(report, sim, 0.02);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* Shares of a VM are its own, not its vCPUs'; and nobody can use more than its vCPUs. */
void scenario_wide(struct report *report)
{
    struct sim *sim = sim_create(8, 128, report->seed);
    char name[8];

    busy_vm(sim, "wide", SHARES(100), 64);
    busy_vm(sim, "heavy", SHARES(SCHED_SHARES_MAX), 1);
    busy_vm(sim, "heavier", SHARES(SCHED_SHARES_MAX), 2);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(100), 1 + i % 3);
    }
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_fair(report, sim, 0.05);
    check_starvation(report, sim);
    tell_costs(report, sim);
    sim_destroy(sim);
}

void scenario_caps(struct report *report)
{
    static const unsigned caps[] = {10, 50, 333, 800, 1500, 2500};
    struct sim *sim = sim_create(8, 64, report->seed);
    struct sim_vm *vm;
    char name[16];

    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "cap%u", caps[i]);
        vm = busy_vm(sim, name, &(struct sched_params){.shares = 400, .cap = caps[i]}, 1 + caps[i] / 500);
        if (i % 2)
            sim_vcpu_create(sim, vm, PROGRAM_BURSTS, US(50), MS(1));
    }
    vm = sim_vm_create(sim, "sleepy", &(struct sched_params){.shares = 400, .cap = 500}, 0, 0);
    sim_vcpu_create(sim, vm, PROGRAM_STEPS, MS(1200), MS(300));
    run_and_measure(sim, SEC(1), SEC(5)); /* with room */
    check_sound(report, sim);
    check_caps(report, sim);
    for (struct sim_vm *v = sim->vm->next; v; v = v->next)
        report_least(report, v->name, vm_rate(sim, v) * 1000 / v->params.cap, 0.97);
    for (unsigned i = 0; i < 8; i++)
        busy_vm(sim, "free", SHARES(100), 1);
    run_and_measure(sim, SEC(7), SEC(20)); /* under load */
    check_sound(report, sim);
    check_caps(report, sim);
    check_fair(report, sim, 0.05);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* 2 ms of every 10 ms, on two processors that others fill; one real-time VM is busy beyond its budget. */
void scenario_real_time(struct report *report)
{
    struct sim *sim = sim_create(2, 64, report->seed);
    struct sim_vm *rt, *hog;
    double first;
    char name[8];

    rt = sim_vm_create(sim, "rt", &(struct sched_params){.shares = 100, .budget = MS(2), .period = MS(10)}, 0,
                       0);
    sim_vcpu_create(sim, rt, PROGRAM_PERIODS, US(1900), MS(10));
    rt = sim_vm_create(sim, "rt2", &(struct sched_params){.shares = 100, .budget = US(500), .period = MS(3)},
                       0, 0);
    sim_vcpu_create(sim, rt, PROGRAM_PERIODS, US(400), MS(3));
    sim_vcpu_create(sim, rt, PROGRAM_STEPS, US(20), MS(1));
    hog = busy_vm(sim, "rthog", &(struct sched_params){.shares = 100, .budget = MS(8), .period = MS(20)}, 1);
    sim_vcpu_create(sim, hog, PROGRAM_BUSY, 0, 0);
    sim_vcpu_create(sim, hog, PROGRAM_STEPS, US(30), MS(30));
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(i < 3 ? 100 : SCHED_SHARES_MAX), 1 + i % 2);
        sim_vcpu_create(sim, sim->vm, PROGRAM_BURSTS, US(50), US(200));
    }
    run_and_measure(sim, MS(500), SEC(20));
    check_sound(report, sim);
    check_real_time(report, sim);
    report_least(report, "busy real-time VM, of its budget", vm_rate(sim, hog) / 0.4, 0.999);
    report_most(report, "busy real-time VM, of its budget", vm_rate(sim, hog) / 0.4, 1.001);
    first = (double)hog->vcpus->sibling->ran / (double)hog->vcpus->sibling->sibling->ran;
    report_most(report, "its two busy vCPUs, one over the other", fmax(first, 1 / first), 1.03);
    report_most(report, "the longest wait of a busy one, in periods",
                (double)hog->vcpus->sibling->worst_wait / 20e6, 1);
    report_most(report, "the longest wait of its third, in periods", (double)hog->vcpus->worst_wait / 20e6,
                0.7);
    sim_destroy(sim);
}

/* One processor nearly full of real-time budgets, which only their deadlines' order can keep. */
void scenario_deadlines(struct report *report)
{
    static const uint64_t budgets[][2] = {{US(500), MS(2)}, {MS(2), MS(6)}, {US(3500), MS(10)}};
    struct sim *sim = sim_create(1, 16, report->seed);
    struct sim_vm *vm;
    char name[8];

    for (unsigned i = 0; i < ARRAY_SIZE(budgets); i++) {
        snprintf(name, sizeof(name), "rt%u", i);
        vm = sim_vm_create(
            sim, name, &(struct sched_params){.shares = 1, .budget = budgets[i][0], .period = budgets[i][1]},
            0, 0);
        sim_vcpu_create(sim, vm, PROGRAM_PERIODS, budgets[i][0] - US(40), budgets[i][1]);
    }
    busy_vm(sim, "busy", SHARES(100), 2);
    run_and_measure(sim, MS(500), SEC(20));
    check_sound(report, sim);
    check_real_time(report, sim);
    report_least(report, "what is left goes to others", vm_rate(sim, sim->vm), 0.05);
    sim_destroy(sim);
}

/* A VM with few shares and a reservation, among many with more. */
void scenario_reservations(struct report *report)
{
    struct sim *sim = sim_create(4, 128, report->seed);
    struct sim_vm *sleepy;
    char name[8];

    busy_vm(sim, "res300", &(struct sched_params){.shares = 1, .reservation = 300}, 1);
    busy_vm(sim, "res1500", &(struct sched_params){.shares = 10, .reservation = 1500}, 4);
    sleepy = sim_vm_create(sim, "sleepy", &(struct sched_params){.shares = 1, .reservation = 100}, 0, 0);
    sim_vcpu_create(sim, sleepy, PROGRAM_BURSTS, US(300), MS(10));
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(1000 + 100 * i), 1 + i % 2);
    }
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_fair(report, sim, 0.05);
    report_most(report, "wake-up of one with a reservation, 99 %, us", vm_latency(sleepy, 99), 6000);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* The hypervisor's own threads, one of which went mad, among VMs that fill the machine, two of them heavy. */
void scenario_own(struct report *report)
{
    struct sim *sim = sim_create(2, 64, report->seed);
    struct sim_vm *own, *rt;
    char name[8];

    own = sim_vm_create(sim, "own", &(struct sched_params)SCHED_OWN_PARAMS, 0, 0);
    sim_vcpu_create(sim, own, PROGRAM_BURSTS, US(30), MS(1));
    rt = sim_vm_create(sim, "rt", &(struct sched_params){.shares = 1, .budget = MS(2), .period = MS(10)}, 0,
                       0);
    sim_vcpu_create(sim, rt, PROGRAM_PERIODS, US(1900), MS(10));
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(i < 6 ? 100 : SCHED_SHARES_MAX), 1);
    }
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_real_time(report, sim);
    report_most(report, "its wake-ups, 99 %, us", vm_latency(own, 99), 4000);
    report_most(report, "its wake-ups, the longest, us", (double)own->worst_latency / 1e3, 8000);
    sim_vcpu_create(sim, own, PROGRAM_BUSY, 0, 0);
    run_and_measure(sim, SEC(22), SEC(20));
    check_sound(report, sim);
    check_real_time(report, sim);
    check_fair(report, sim, 0.05);
    check_starvation(report, sim);
    sim_destroy(sim);
}

/* Nobody gains by any pattern of sleep: right before the end of the turn, or in turns with a sibling. */
void scenario_cheats(struct report *report)
{
    static const struct {
        const char *name;
        enum program program;
        uint64_t a, b;
        unsigned vcpus;
    } cheats[] = {
        {"ends early", PROGRAM_STEPS, US(3900), US(30), 1}, {"naps", PROGRAM_STEPS, MS(6), MS(6), 1},
        {"storm", PROGRAM_STEPS, US(5), US(15), 1},         {"relay", PROGRAM_RELAY, MS(2), 0, 4},
        {"fast relay", PROGRAM_RELAY, US(50), 0, 8},        {"flock", PROGRAM_STEPS, MS(5), MS(30), 16},
    };
    struct sim *sim = sim_create(2, 128, report->seed);
    double fair = 0;
    char text[64], name[8];

    for (unsigned i = 0; i < ARRAY_SIZE(cheats); i++) {
        struct sim_vm *vm = sim_vm_create(sim, cheats[i].name, SHARES(100), 0, 0);

        for (unsigned n = 0; n < cheats[i].vcpus; n++)
            sim_vcpu_create(sim, vm, cheats[i].program, cheats[i].a, cheats[i].b);
    }
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(100), 1);
    }
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    for (struct sim_vm *vm = sim->vm; vm; vm = vm->next)
        fair += vm->busy ? vm_rate(sim, vm) / 10 : 0;
    report_tell(report, "an honest VM's part, processors", fair);
    for (struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        snprintf(text, sizeof(text), "%s, over an honest VM's part", vm->name);
        report_most(report, text, vm_rate(sim, vm) / fair, 1.05);
    }
    report_least(report, "honest VMs together, of their part", fair * 10 / (2.0 * 10 / 16), 0.95);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* Who sleeps most of the time is there at once when it wakes up, though others fill the machine. */
void scenario_latency(struct report *report)
{
    struct sim *sim = sim_create(4, 256, report->seed);
    struct sim_vm *vm;
    char name[16];

    vm = sim_vm_create(sim, "rt", &(struct sched_params){.shares = 1, .budget = MS(40), .period = MS(100)}, 0,
                       0);
    sim_vcpu_create(sim, vm, PROGRAM_BUSY, 0, 0); /* one processor gives way to nobody for long */
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "busy%u", i);
        busy_vm(sim, name, SHARES(100), 1 + i % 4);
    }
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "idle%u", i);
        vm = sim_vm_create(sim, name, SHARES(100), 0, 0);
        sim_vcpu_create(sim, vm, PROGRAM_BURSTS, US(100), MS(10 + 5 * i));
    }
    vm = busy_vm(sim, "io", SHARES(100), 1);
    sim_vcpu_create(sim, vm, PROGRAM_BURSTS, US(20), US(500));
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_latency(report, sim, 20, 2000);
    report_most(report, "I/O thread of a busy VM, 90 %, us", vm_latency(vm, 90), 4000);
    check_fair(report, sim, 0.05);
    check_starvation(report, sim);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* A heavy VM beside a real-time budget and a reservation, which displace it: it moves on at once, and waits
 * only while both processors do what was promised, some 6 % of the time. */
void scenario_displaced(struct report *report)
{
    struct sim *sim = sim_create(2, 64, report->seed);
    struct sim_vm *rt, *heavy;

    rt = sim_vm_create(sim, "rt", &(struct sched_params){.shares = 1, .budget = MS(2), .period = MS(10)}, 0,
                       0);
    sim_vcpu_create(sim, rt, PROGRAM_BUSY, 0, 0);
    busy_vm(sim, "res", &(struct sched_params){.shares = 1, .reservation = 300}, 1);
    busy_vm(sim, "a", SHARES(100), 1);
    heavy = busy_vm(sim, "b", SHARES(SCHED_SHARES_MAX), 1);
    busy_vm(sim, "c", SHARES(100), 1);
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    report_least(report, "the heavy one, of a processor", vm_rate(sim, heavy), 0.92);
    tell_costs(report, sim);
    sim_destroy(sim);
}

/* Three only on one processor, one only on another, one anywhere; then the other one fills up. */
void scenario_affinity(struct report *report)
{
    struct sim *sim = sim_create(2, 64, report->seed);
    struct sim_vm *roams, *vm;
    char name[8];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "pin%u", i);
        vm = sim_vm_create(sim, name, SHARES(100), i / 3, 1);
        sim_vcpu_create(sim, vm, PROGRAM_BUSY, 0, 0);
    }
    roams = busy_vm(sim, "roams", SHARES(100), 1);
    run_and_measure(sim, SEC(1), SEC(100));
    check_sound(report, sim);
    report_least(report, "who may go anywhere, of half a processor", vm_rate(sim, roams) / 0.5, 0.95);
    for (unsigned i = 0; i < 4; i++) {
        vm = sim_vm_create(sim, "late", SHARES(100), 1, 1);
        sim_vcpu_create(sim, vm, PROGRAM_BUSY, 0, 0);
    }
    run_and_measure(sim, SEC(111), SEC(40));
    check_sound(report, sim);
    report_least(report, "it again, when it is better elsewhere", vm_rate(sim, roams) / 0.25, 0.95);
    sim_destroy(sim);
}

static double barrier_rounds(uint64_t seed, bool prefer)
{
    struct sim *sim = sim_create(4, 64, seed);
    struct sim_vm *vm = sim_vm_create(sim, "barrier", SHARES(400), 0, 0);
    double rounds;

    for (unsigned i = 0; i < 4; i++)
        sim_vcpu_create(sim, vm, PROGRAM_BARRIER, MS(1), 0);
    for (unsigned i = 0; i < 6; i++)
        busy_vm(sim, "busy", SHARES(100), 1);
    sim->deaf = !prefer;
    run_and_measure(sim, SEC(1), SEC(20));
    rounds = (double)vm->rounds / 20;
    sim_destroy(sim);
    return rounds;
}

/* vCPUs that spin for siblings: the one that they wait for runs in their place. */
void scenario_spinners(struct report *report)
{
    double without = barrier_rounds(report->seed, false), with = barrier_rounds(report->seed, true);
    struct sim *sim = sim_create(2, 64, report->seed);
    struct sim_vm *vm = sim_vm_create(sim, "spins", SHARES(100), 0, 0);

    report_tell(report, "rounds a second, without the hint", without);
    report_least(report, "rounds a second, with it, times", with / without, 1.1);
    for (unsigned i = 0; i < 6; i++)
        sim_vcpu_create(sim, vm, PROGRAM_BARRIER, MS(1), 0);
    for (unsigned i = 0; i < 6; i++)
        busy_vm(sim, "busy", SHARES(100), 1);
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_fair(report, sim, 0.05); /* the hint gains nothing beyond the VM's part */
    check_starvation(report, sim);
    sim_destroy(sim);
}

/* No timer where nothing happens: neither on an idle processor nor for who is alone. */
void scenario_tickless(struct report *report)
{
    struct sim *sim = sim_create(4, 16, report->seed);

    for (unsigned i = 0; i < 3; i++)
        busy_vm(sim, "alone", SHARES(100 + i), 1);
    run_and_measure(sim, MS(100), SEC(10));
    check_sound(report, sim);
    report_most(report, "decisions in 10 s", (double)sim->decisions, 0);
    busy_vm(sim, "fourth", SHARES(100), 1);
    busy_vm(sim, "fifth", SHARES(100), 1);
    run_and_measure(sim, SEC(11), SEC(10));
    check_sound(report, sim);
    check_fair(report, sim, 0.02);
    sim_destroy(sim);
}

/* A VM's interrupts take a fifth of one processor from whoever runs there: it pays for them, all others have
 * their parts, and a real-time VM has its time beside them. */
void scenario_interrupts(struct report *report)
{
    struct sim *sim = sim_create(2, 16, report->seed);
    struct sim_vm *storm, *rt;
    char name[8];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        busy_vm(sim, name, SHARES(100 + 100 * (i / 2)), 1);
    }
    storm = busy_vm(sim, "storm", SHARES(200), 1);
    rt = sim_vm_create(sim, "rt", &(struct sched_params){.shares = 1, .budget = MS(2), .period = MS(10)}, 0,
                       0);
    sim_vcpu_create(sim, rt, PROGRAM_PERIODS, US(1800), MS(10));
    sim_storm(sim, storm, US(4), US(16));
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_fair(report, sim, 0.02);
    check_real_time(report, sim);
    report_least(report, "of its part the VM of the interrupts had in them",
                 (double)storm->in_interrupts / (double)sim_vm_ran(sim, storm), 0.1);
    sim_destroy(sim);

    /* A cap holds for both together. */
    sim = sim_create(2, 16, report->seed);
    storm = busy_vm(sim, "storm", &(struct sched_params){.shares = 100, .cap = 300}, 1);
    busy_vm(sim, "vm0", SHARES(100), 1);
    busy_vm(sim, "vm1", SHARES(100), 1);
    sim_storm(sim, storm, US(4), US(36));
    run_and_measure(sim, SEC(1), SEC(20));
    check_sound(report, sim);
    check_caps(report, sim);
    sim_destroy(sim);
}
