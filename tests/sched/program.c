/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sched/sim.h"

#define SPIN_CHECK US(50) /* how long a vCPU spins before the processor says so */

static uint64_t pause(struct sim_vcpu *vcpu)
{
    switch (vcpu->program) {
    case PROGRAM_BURSTS:
        return sim_about(&vcpu->random, vcpu->b);
    case PROGRAM_SEASONS:
        return sim_about(&vcpu->random, MS(20));
    default:
        return vcpu->b;
    }
}

static uint64_t burst(struct sim *sim, struct sim_vcpu *vcpu)
{
    switch (vcpu->program) {
    case PROGRAM_BUSY:
        return SCHED_NEVER;
    case PROGRAM_BURSTS:
    case PROGRAM_BARRIER:
        return sim_about(&vcpu->random, vcpu->a);
    case PROGRAM_SEASONS:
        if (sim->now >= vcpu->season_end) {
            vcpu->busy_season = !vcpu->busy_season;
            vcpu->season_end = sim->now + sim_about(&vcpu->random, vcpu->b);
        }
        return vcpu->busy_season ? MS(50) : sim_about(&vcpu->random, US(200));
    default:
        return vcpu->a;
    }
}

void program_start(struct sim *sim, struct sim_vcpu *vcpu)
{
    /* All begin within 20 ms, but a relay has one runner, its first vCPU. */
    if (vcpu->program != PROGRAM_RELAY || vcpu->vm->count == 1)
        sim_wake_at(sim, vcpu, sim->now + sim_random(&sim->random) % MS(20));
}

void program_woken(struct sim *sim, struct sim_vcpu *vcpu)
{
    vcpu->left = burst(sim, vcpu);
    if (vcpu->program == PROGRAM_PERIODS)
        vcpu->release = sim->now;
}

uint64_t program_next(const struct sim_vcpu *vcpu, uint64_t now)
{
    if (vcpu->spins)
        return now + SPIN_CHECK;
    return vcpu->left == SCHED_NEVER ? SCHED_NEVER : now + vcpu->left;
}

/* The last one came: all go on. */
static void open_barrier(struct sim *sim, struct sim_vm *vm)
{
    vm->at_barrier = 0;
    vm->rounds++;
    for (struct sim_vcpu *v = vm->vcpus; v; v = v->sibling) {
        if (v->program != PROGRAM_BARRIER)
            continue;
        v->spins = false;
        v->left = burst(sim, v);
        if (v->cpu >= 0)
            sim_look_at(sim, (unsigned)v->cpu, sim->now + 1);
    }
}

static bool at_barrier(struct sim *sim, struct sim_vcpu *vcpu, uint64_t ns)
{
    struct sim_vm *vm = vcpu->vm;

    if (vcpu->spins) {
        if (ns >= SPIN_CHECK && !sim->deaf)
            sched_prefer_sibling(&sim->sched, (unsigned)vcpu->cpu, sim->now);
        return false;
    }
    vcpu->left -= MIN(ns, vcpu->left);
    if (vcpu->left)
        return false;
    vcpu->spins = true;
    if (++vm->at_barrier == vm->busy)
        open_barrier(sim, vm);
    return false;
}

static void job_done(struct sim *sim, struct sim_vcpu *vcpu)
{
    struct sim_vm *vm = vcpu->vm;
    uint64_t took = sim->now - vcpu->release;

    vm->jobs++;
    vm->missed += took > vcpu->b;
    vm->worst_job = MAX(vm->worst_job, took);
    sim_wake_at(sim, vcpu, MAX(vcpu->release + vcpu->b, sim->now + 1));
}

bool program_worked(struct sim *sim, struct sim_vcpu *vcpu, uint64_t ns)
{
    if (vcpu->program == PROGRAM_BARRIER)
        return at_barrier(sim, vcpu, ns);
    if (vcpu->left == SCHED_NEVER)
        return false;
    vcpu->left -= MIN(ns, vcpu->left);
    if (vcpu->left)
        return false;
    if (vcpu->program == PROGRAM_SEASONS && vcpu->busy_season && sim->now < vcpu->season_end) {
        vcpu->left = burst(sim, vcpu);
        return false;
    }
    if (vcpu->program == PROGRAM_PERIODS)
        job_done(sim, vcpu);
    else if (vcpu->program == PROGRAM_RELAY)
        sim_wake(sim, vcpu->sibling ? vcpu->sibling : vcpu->vm->vcpus);
    else
        sim_wake_at(sim, vcpu, sim->now + pause(vcpu));
    return true;
}
