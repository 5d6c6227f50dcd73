/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sched/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GRAIN MS(8) /* what a VM may be ahead or behind at the moment when the clock is stopped */

static void print(struct report *report, const char *what, double value, const char *relation, double bound,
                  bool ok)
{
    report->checks += relation != NULL;
    report->failed += !ok;
    if (report->json) {
        printf("%s\n    {\"what\": \"%s\", \"value\": %.6g", report->first ? "" : ",", what, value);
        if (relation)
            printf(", \"bound\": %.6g, \"relation\": \"%s\", \"ok\": %s", bound, relation,
                   ok ? "true" : "false");
        printf("}");
        report->first = false;
    } else if (relation) {
        printf("  %-52s %10.4g  (%s %.4g)%s\n", what, value, relation, bound, ok ? "" : "   FAILED");
    } else {
        printf("  %-52s %10.4g\n", what, value);
    }
}

void report_most(struct report *report, const char *what, double value, double bound)
{
    print(report, what, value, "at most", bound, value <= bound);
}

void report_least(struct report *report, const char *what, double value, double bound)
{
    print(report, what, value, "at least", bound, value >= bound);
}

void report_tell(struct report *report, const char *what, double value)
{
    print(report, what, value, NULL, 0, true);
}

static double elapsed(const struct sim *sim)
{
    return (double)(sim->now - sim->measured_from);
}

double vm_rate(const struct sim *sim, const struct sim_vm *vm)
{
    return (double)sim_vm_ran(sim, vm) / elapsed(sim);
}

double vm_latency(const struct sim_vm *vm, double percent)
{
    uint64_t all = 0, sum = 0;
    double bound = 1;

    for (unsigned i = 0; i < LATENCIES; i++)
        all += vm->latencies[i];
    for (unsigned i = 0; i < LATENCIES; i++, bound *= 1.41421356) {
        sum += vm->latencies[i];
        if ((double)sum * 100 >= (double)all * percent)
            return bound;
    }
    return bound;
}

void check_sound(struct report *report, const struct sim *sim)
{
    double idle = 0, ran = 0, all = elapsed(sim) * sim->cpus;

    for (unsigned i = 0; i < sim->cpus; i++)
        idle += (double)sim->cpu[i].idle_ns +
                (sim->cpu[i].idle_from == SCHED_NEVER ? 0 : (double)(sim->now - sim->cpu[i].idle_from));
    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next)
        ran += (double)sim_vm_ran(sim, vm);
    report_most(report, "entities lost, doubled, or where they must not be", (double)sim->lost, 0);
    report_most(report, "locks out of order or kept", (double)sim->order_errors, 0);
    report_most(report, "idle beside one who waits, worst, us", (double)sim->worst_idle / 1e3, 50);
    report_most(report, "time not accounted for, of all", fabs(all - idle - ran) / all, 1e-9);
    report_tell(report, "busy, of all", ran / all);
}

/* The most that the VM can use, in processors; < 0: what it used, as it needs no more. */
static double vm_limit(const struct sim_vm *vm)
{
    double limit = 0;
    bool knows = true;

    for (const struct sim_vcpu *v = vm->vcpus; v; v = v->sibling) {
        if (v->program == PROGRAM_BUSY || v->program == PROGRAM_BARRIER)
            limit += 1;
        else if (v->program == PROGRAM_STEPS || v->program == PROGRAM_BURSTS)
            limit += (double)v->a / (double)(v->a + v->b);
        else if (v->program == PROGRAM_RELAY)
            limit += 1.0 / vm->count;
        else
            knows = false;
        knows &= v->program != PROGRAM_BURSTS || vm->busy;
        knows &= v->program != PROGRAM_STEPS || !vm->params.cap;
    }
    if (!knows)
        return -1;
    return vm->params.cap ? fmin(limit, vm->params.cap / 1000.0) : limit;
}

static double fair_rate(const struct sim_vm *vm, double level)
{
    return fmin(fmax(vm->params.shares * level, vm->params.reservation / 1000.0), vm_limit(vm));
}

static bool is_hungry(const struct sim_vm *vm)
{
    return !vm->params.budget && vm_limit(vm) >= 0;
}

/* Processors for each share, so that all that was used by those who want more is given out. */
static double fair_level(const struct sim *sim)
{
    double low = 0, high = 1e3, used = 0, given, level = 0;

    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next)
        used += is_hungry(vm) ? vm_rate(sim, vm) : 0;
    for (int i = 0; i < 200; i++) {
        level = (low + high) / 2;
        given = 0;
        for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next)
            given += is_hungry(vm) ? fair_rate(vm, level) : 0;
        if (given < used)
            low = level;
        else
            high = level;
    }
    return level;
}

static double relative_error(const struct sim *sim, double is, double ought, unsigned vcpus)
{
    double grain = (double)GRAIN * vcpus / elapsed(sim);

    return fmax(fabs(is - ought) - fmin(grain, ought / 10), 0) / ought;
}

void check_fair(struct report *report, const struct sim *sim, double tolerance)
{
    double level = fair_level(sim), worst = 0, sum = 0, error;
    const struct sim_vm *which = NULL;
    unsigned hungry = 0;
    char text[80];

    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        if (!is_hungry(vm))
            continue;
        error = relative_error(sim, vm_rate(sim, vm), fair_rate(vm, level), 1);
        sum += fabs(vm_rate(sim, vm) / fair_rate(vm, level) - 1);
        hungry++;
        if (error >= worst) {
            worst = error;
            which = vm;
        }
    }
    if (!which)
        return;
    snprintf(text, sizeof(text), "share missed, worst of %u VMs (%s)", hungry, which->name);
    report_most(report, text, worst, tolerance);
    report_tell(report, "   of it it had, processors", vm_rate(sim, which));
    report_tell(report, "   its due, processors", fair_rate(which, level));
    report_tell(report, "share missed, mean", sum / hungry);
}

/* What VMs that run in a zone and want more have for each share, at most. */
static double zone_level(const struct sim *sim, unsigned zone)
{
    double most = 0;

    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        if (vm->params.budget || (double)vm->zones[zone] < 0.02 * elapsed(sim) ||
            (double)vm->zones[zone] < 0.02 * (double)sim_vm_ran(sim, vm))
            continue;
        if (vm->params.reservation && vm_rate(sim, vm) < vm->params.reservation * 1.1e-3)
            continue;
        most = fmax(most, vm_rate(sim, vm) / vm->params.shares);
    }
    return most;
}

static bool may_run_in(const struct sim *sim, const struct sim_vm *vm, unsigned zone)
{
    if (!vm->params.affinity)
        return true;
    for (unsigned cpu = zone * sim->zone; cpu < MIN((zone + 1) * sim->zone, sim->cpus); cpu++)
        if (vm->affinity[cpu / 64] >> (cpu % 64) & 1)
            return true;
    return false;
}

void check_fair_zones(struct report *report, const struct sim *sim, double tolerance)
{
    unsigned zones = sim->cpus / sim->zone, unsated = 0;
    double *levels = calloc(zones + 1, sizeof(*levels)), worst = 0, level, rate, ought;
    const struct sim_vm *which = NULL;
    char text[80];

    for (unsigned i = 0; i < zones; i++)
        levels[i] = zone_level(sim, i);
    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        rate = vm_rate(sim, vm);
        if (!is_hungry(vm))
            continue;
        level = 0;
        for (unsigned i = 0; i < zones; i++)
            if (may_run_in(sim, vm, i))
                level = fmax(level, levels[i]);
        ought = fmin(vm->params.shares * level, vm_limit(vm));
        unsated += rate < 0.99 * vm_limit(vm);
        if (rate < ought && relative_error(sim, rate, ought, 1) >= worst) {
            worst = relative_error(sim, rate, ought, 1);
            which = vm;
        }
    }
    free(levels);
    snprintf(text, sizeof(text), "less than others for its shares, worst of %u (%s)", unsated,
             which ? which->name : "-");
    report_most(report, text, worst, tolerance);
}

void check_caps(struct report *report, const struct sim *sim)
{
    double worst = 0;

    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next)
        worst = fmax(worst, vm->cap_worst);
    report_most(report, "the fullest second of a capped VM, over its cap", worst, 1.02);
}

void check_real_time(struct report *report, const struct sim *sim)
{
    uint64_t jobs = 0, missed = 0;
    double worst = 0;

    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        if (!vm->params.budget || !vm->jobs)
            continue;
        jobs += vm->jobs;
        missed += vm->missed;
        worst = fmax(worst, (double)vm->worst_job / (double)vm->params.period);
    }
    report_least(report, "real-time: jobs", (double)jobs, 1);
    report_most(report, "real-time: missed", (double)missed, 0);
    report_tell(report, "real-time: the longest job, of its period", worst);
}

static uint64_t longest_wait(const struct sim *sim, const struct sim_vcpu *vcpu)
{
    if (vcpu->waits_from == SCHED_NEVER)
        return vcpu->worst_wait;
    return MAX(vcpu->worst_wait, sim->now - MAX(vcpu->waits_from, sim->measured_from));
}

void check_starvation(struct report *report, const struct sim *sim)
{
    double worst = 0, turn;
    const struct sim_vcpu *which = NULL;
    char text[80];

    for (unsigned i = 0; i < sim->vcpus; i++) {
        const struct sim_vcpu *v = sim->vcpu[i];

        if (v->vm->params.budget)
            continue;
        /* A turn of 4 ms comes that often at its rate; nobody is asked to be quicker than 40 ms. */
        turn = 40e6 + 4e6 * v->vm->count / fmax(vm_rate(sim, v->vm), 1e-6);
        if (!which || (double)longest_wait(sim, v) / turn > worst) {
            which = v;
            worst = (double)longest_wait(sim, v) / turn;
        }
    }
    if (!which)
        return;
    snprintf(text, sizeof(text), "the longest wait, over the time of a turn (%s)", which->vm->name);
    report_most(report, text, worst, 3);
    report_tell(report, "   it waited, ms", (double)longest_wait(sim, which) / 1e6);
}

void check_latency(struct report *report, const struct sim *sim, double most_99, double worst)
{
    double level = fair_level(sim), longest = 0, p99 = 0;
    struct sim_vm all = {0};
    unsigned vms = 0;
    char text[80];

    for (const struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        if (vm->busy || !vm->vcpus || vm->vcpus->program != PROGRAM_BURSTS ||
            vm_rate(sim, vm) > 0.5 * vm->params.shares * level)
            continue;
        for (unsigned i = 0; i < LATENCIES; i++)
            all.latencies[i] += vm->latencies[i];
        p99 = fmax(p99, vm_latency(vm, 99));
        longest = fmax(longest, (double)vm->worst_latency / 1e3);
        vms++;
    }
    if (!vms)
        return;
    snprintf(text, sizeof(text), "wake-up of %u idle VMs, 99 %%, us", vms);
    report_most(report, text, vm_latency(&all, 99), most_99);
    report_tell(report, "   of the worst of them", p99);
    report_most(report, "wake-up, the longest, us", longest, worst);
}

void tell_costs(struct report *report, const struct sim *sim)
{
    double cpu_seconds = elapsed(sim) / 1e9 * sim->cpus;

    report_tell(report, "decisions, a second and processor", (double)sim->decisions / cpu_seconds);
    report_tell(report, "switches, a second and processor", (double)sim->switches / cpu_seconds);
    report_tell(report, "migrations, a second and processor", (double)sim->migrations / cpu_seconds);
    report_tell(report, "wake-ups, a second and processor", (double)sim->wakes / cpu_seconds);
}
