/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sched/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE (~0U)

/* Hooks have no argument for the machine: there is one at a time. */
static struct sim *machine;

uint64_t sim_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t sim_about(uint64_t *state, uint64_t mean)
{
    double u = (double)(sim_random(state) >> 11) / (double)(1ULL << 53);
    double x = __builtin_log(1.0 / (1.0 - u)) * (double)mean;

    return (uint64_t)MIN(x, 10.0 * (double)mean) + 1;
}

/* The events: at most one of each source, in a binary heap. */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->source < b->source;
}

static void put(struct sim *sim, unsigned at, struct sim_event event)
{
    sim->events[at] = event;
    sim->place[event.source] = at;
}

static void sift(struct sim *sim, unsigned at, struct sim_event event)
{
    while (at > 0 && earlier(&event, &sim->events[(at - 1) / 2])) {
        put(sim, at, sim->events[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (unsigned child; (child = 2 * at + 1) < sim->pending; at = child) {
        if (child + 1 < sim->pending && earlier(&sim->events[child + 1], &sim->events[child]))
            child++;
        if (!earlier(&sim->events[child], &event))
            break;
        put(sim, at, sim->events[child]);
    }
    put(sim, at, event);
}

static void event_set(struct sim *sim, unsigned source, uint64_t time)
{
    unsigned at = sim->place[source];

    if (time == SCHED_NEVER) {
        if (at == NOWHERE)
            return;
        sim->place[source] = NOWHERE;
        if (at != --sim->pending)
            sift(sim, at, sim->events[sim->pending]);
        return;
    }
    if (at == NOWHERE)
        at = sim->pending++;
    sift(sim, at, (struct sim_event){.time = time, .source = source});
}

static uint64_t event_time(const struct sim *sim, unsigned source)
{
    return sim->place[source] == NOWHERE ? SCHED_NEVER : sim->events[sim->place[source]].time;
}

void sim_look_at(struct sim *sim, unsigned cpu, uint64_t time)
{
    if (time < event_time(sim, cpu))
        event_set(sim, cpu, time);
}

void sim_wake_at(struct sim *sim, struct sim_vcpu *vcpu, uint64_t time)
{
    event_set(sim, sim->cpus + vcpu->index, time);
}

/* The policy's hooks: no lock is taken twice, nor in the wrong order, nor held during a kick. */

static void hook_lock(struct sched_queue *queue)
{
    for (unsigned i = 0; i < machine->held; i++)
        machine->order_errors += machine->lock[i] >= queue->cpu;
    machine->lock[machine->held++ % 8] = queue->cpu;
}

static void hook_unlock(struct sched_queue *queue)
{
    for (unsigned i = 0; i < machine->held; i++) {
        if (machine->lock[i] == queue->cpu) {
            machine->lock[i] = machine->lock[--machine->held];
            return;
        }
    }
    machine->order_errors++;
}

static void hook_kick(struct sched_queue *queue)
{
    machine->order_errors += machine->held > 0;
    machine->pokes++;
    sim_look_at(machine, queue->cpu, machine->now + 1 + sim_random(&machine->random) % machine->poke_ns);
}

struct sim *sim_create(unsigned cpus, unsigned vcpus, uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof(*sim));

    *sim = (struct sim){.cpus = cpus, .random = seed, .switch_ns = US(2), .late_ns = US(5), .poke_ns = US(3)};
    sim->sources = cpus + vcpus + 2;
    sim->cpu = calloc(cpus, sizeof(*sim->cpu));
    sim->queues = calloc(cpus, sizeof(*sim->queues));
    sim->vcpu = calloc(vcpus, sizeof(*sim->vcpu));
    sim->events = calloc(sim->sources, sizeof(*sim->events));
    sim->place = calloc(sim->sources, sizeof(*sim->place));
    memset(sim->place, 0xff, sim->sources * sizeof(*sim->place));
    for (unsigned i = 0; i < cpus; i++) {
        sim->queues[i] = &sim->cpu[i].queue;
        event_set(sim, i, 0);
    }
    machine = sim;
    sched_init(&sim->sched, sim->queues, cpus,
               &(struct sched_hooks){.lock = hook_lock, .unlock = hook_unlock, .kick = hook_kick});
    event_set(sim, sim->sources - 1, CAP_STEP);
    return sim;
}

void sim_destroy(struct sim *sim)
{
    while (sim->vm) {
        struct sim_vm *vm = sim->vm;

        sim->vm = vm->next;
        free(vm->zones);
        free(vm);
    }
    for (unsigned i = 0; i < sim->vcpus; i++)
        free(sim->vcpu[i]);
    free(sim->vcpu);
    free(sim->cpu);
    free(sim->queues);
    free(sim->events);
    free(sim->place);
    free(sim);
}

struct sim_vm *sim_vm_create(struct sim *sim, const char *name, const struct sched_params *params,
                             unsigned first, unsigned count)
{
    struct sim_vm *vm = calloc(1, sizeof(*vm));
    struct error err = {0};

    vm->params = *params;
    for (unsigned i = first; i < first + count; i++)
        vm->affinity[i / 64] |= BIT64(i % 64);
    if (count)
        vm->params.affinity = vm->affinity;
    if (sched_group_init(&sim->sched, &vm->group, &vm->params, &err)) {
        fprintf(stderr, "%s: %s\n", name, err.text);
        free(vm);
        return NULL;
    }
    snprintf(vm->name, sizeof(vm->name), "%s", name);
    if (sim->zone)
        vm->zones = calloc(sim->cpus / sim->zone + 1, sizeof(*vm->zones));
    vm->index = sim->vms++;
    vm->next = sim->vm;
    sim->vm = vm;
    return vm;
}

struct sim_vcpu *sim_vcpu_create(struct sim *sim, struct sim_vm *vm, enum program program, uint64_t a,
                                 uint64_t b)
{
    struct sim_vcpu *vcpu = calloc(1, sizeof(*vcpu));

    *vcpu = (struct sim_vcpu){
        .vm = vm, .sibling = vm->vcpus, .index = sim->vcpus, .program = program, .a = a, .b = b};
    vcpu->random = sim_random(&sim->random);
    vcpu->cpu = vcpu->last_cpu = -1;
    vcpu->woken = vcpu->waits_from = SCHED_NEVER;
    vm->vcpus = vcpu;
    vm->count++;
    vm->busy += program == PROGRAM_BUSY || program == PROGRAM_BARRIER;
    sim->vcpu[sim->vcpus++] = vcpu;
    sched_entity_init(&sim->sched, &vcpu->entity, &vm->group);
    program_start(sim, vcpu);
    return vcpu;
}

/* The books. */

static void book(struct sim *sim, struct sim_vcpu *vcpu, unsigned cpu, uint64_t ns)
{
    vcpu->ran += ns;
    if (vcpu->vm->zones)
        vcpu->vm->zones[cpu / sim->zone] += ns;
}

static void book_current(struct sim *sim, unsigned at)
{
    struct sim_cpu *cpu = &sim->cpu[at];

    if (cpu->current)
        book(sim, cpu->current, at, sim->now - cpu->started);
    cpu->started = sim->now;
}

static uint64_t ran_until_now(const struct sim *sim, const struct sim_vm *vm)
{
    uint64_t ns = vm->in_interrupts;

    for (const struct sim_vcpu *v = vm->vcpus; v; v = v->sibling)
        ns += v->ran + (v->cpu >= 0 ? sim->now - sim->cpu[v->cpu].started : 0);
    return ns;
}

uint64_t sim_vm_ran(const struct sim *sim, const struct sim_vm *vm)
{
    return ran_until_now(sim, vm) - vm->start_ns;
}

static void note_latency(struct sim_vm *vm, uint64_t ns)
{
    unsigned class = 0;

    for (double bound = 1000; (double)ns > bound && class + 1 < LATENCIES; bound *= 1.41421356)
        class ++;
    vm->latencies[class]++;
    vm->worst_latency = MAX(vm->worst_latency, ns);
}

static void note_chosen(struct sim *sim, struct sim_vcpu *vcpu, unsigned cpu)
{
    const uint64_t *affinity = vcpu->vm->params.affinity;

    sim->lost += vcpu->cpu >= 0 || vcpu->waits_from == SCHED_NEVER ||
                 (affinity && !(affinity[cpu / 64] >> (cpu % 64) & 1));
    vcpu->worst_wait = MAX(vcpu->worst_wait, sim->now - vcpu->waits_from);
    vcpu->waits_from = SCHED_NEVER;
    if (vcpu->woken != SCHED_NEVER)
        note_latency(vcpu->vm, sim->now - vcpu->woken);
    vcpu->woken = SCHED_NEVER;
    sim->migrations += vcpu->last_cpu >= 0 && vcpu->last_cpu != (int)cpu;
    vcpu->cpu = vcpu->last_cpu = (int)cpu;
}

/* Is there somebody that could have run here and waits, and for how long have both been true? */
static void audit_idle(struct sim *sim, struct sim_cpu *cpu)
{
    for (unsigned i = 0; i < sim->vcpus; i++) {
        const struct sim_vcpu *v = sim->vcpu[i];
        uint64_t from;

        if (v->waits_from == SCHED_NEVER || v->entity.where != SCHED_READY || v->vm->params.budget ||
            (v->vm->params.affinity && !(v->vm->affinity[cpu->queue.cpu / 64] >> (cpu->queue.cpu % 64) & 1)))
            continue;
        from = MAX(cpu->idle_from, MAX(v->waits_from, v->entity.since));
        if (!v->vm->params.cap) /* a capped one may have been let go just now */
            sim->worst_idle = MAX(sim->worst_idle, sim->now - from);
    }
}

static void audit(struct sim *sim)
{
    for (struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        uint64_t ran, *bucket = &vm->buckets[sim->now / CAP_STEP % CAP_BUCKETS];

        if (!vm->params.cap)
            continue;
        ran = ran_until_now(sim, vm);
        vm->window += ran - vm->bucket_last - *bucket;
        *bucket = ran - vm->bucket_last;
        vm->bucket_last = ran;
        vm->cap_worst = MAX(vm->cap_worst, (double)vm->window / (double)vm->params.cap / 1e6);
    }
    for (unsigned i = 0; i < sim->cpus; i++)
        if (sim->cpu[i].idle_from != SCHED_NEVER && sim->cpu[i].idle_from + US(50) < sim->now)
            audit_idle(sim, &sim->cpu[i]);
    event_set(sim, sim->sources - 1, sim->now + CAP_STEP);
}

/* What happens. */

void sim_wake(struct sim *sim, struct sim_vcpu *vcpu)
{
    unsigned cpu;

    if (vcpu->waits_from != SCHED_NEVER || vcpu->cpu >= 0)
        return;
    sim->wakes++;
    vcpu->waits_from = vcpu->woken = sim->now;
    program_woken(sim, vcpu);
    cpu = sched_wake(&sim->sched, &vcpu->entity, sim->now);
    if (cpu != SCHED_NOBODY)
        sim_look_at(sim, cpu, sim->now + 1 + sim_random(&sim->random) % sim->poke_ns);
}

static void arm(struct sim *sim, unsigned at)
{
    struct sim_cpu *cpu = &sim->cpu[at];
    uint64_t time = cpu->until;

    if (time != SCHED_NEVER)
        time = MAX(time, sim->now) + 1 + sim_random(&sim->random) % sim->late_ns;
    if (cpu->current)
        time = MIN(time, program_next(cpu->current, MAX(cpu->work_from, sim->now)));
    event_set(sim, at, time);
}

static void decide(struct sim *sim, unsigned at, bool blocked)
{
    struct sim_cpu *cpu = &sim->cpu[at];
    struct sim_vcpu *old = cpu->current, *chosen = NULL;
    struct sched_entity *entity;

    sim->decisions++;
    entity = sched_next(&sim->sched, at, blocked, sim->now, &cpu->until);
    if (entity)
        chosen = container_of(entity, struct sim_vcpu, entity);
    sim->order_errors += sim->held > 0;
    if (chosen != old || blocked) {
        if (old) {
            old->cpu = -1;
            old->waits_from = blocked ? SCHED_NEVER : sim->now;
        }
        if (!old && chosen)
            cpu->idle_ns += sim->now - cpu->idle_from;
        cpu->idle_from = chosen ? SCHED_NEVER : old ? sim->now : cpu->idle_from;
        cpu->current = chosen;
        cpu->started = sim->now;
        cpu->work_from = sim->now + sim->switch_ns;
        if (chosen) {
            sim->switches++;
            note_chosen(sim, chosen, at);
        }
    }
}

void sim_storm(struct sim *sim, struct sim_vm *vm, uint64_t ns, uint64_t every)
{
    sim->storm = vm;
    sim->storm_ns = ns;
    sim->storm_every = every;
    event_set(sim, sim->sources - 2, sim->now + every);
}

/* Who runs there does not get on meanwhile, and the books say who had the time. */
static void interrupt(struct sim *sim)
{
    struct sim_cpu *cpu = &sim->cpu[0];
    uint64_t due = event_time(sim, 0), ns = sim->storm_ns;

    if (cpu->current && sim->now > cpu->work_from + ns) {
        sim->now += ns;
        cpu->work_from += ns;
        if (due != SCHED_NEVER)
            event_set(sim, 0, due + ns);
        if (cpu->current->vm != sim->storm) {
            cpu->current->ran -= ns;
            sim->storm->in_interrupts += ns;
        }
        sched_charge_other(&sim->sched, 0, &sim->storm->group, ns);
    }
    event_set(sim, sim->sources - 2, sim->now + sim->storm_every);
}

static void processor(struct sim *sim, unsigned at)
{
    struct sim_cpu *cpu = &sim->cpu[at];
    uint64_t now = sim->now;
    bool blocked = false;

    if (cpu->current) {
        book_current(sim, at);
        if (now > cpu->work_from) {
            uint64_t worked = now - cpu->work_from;

            cpu->work_from = now;
            blocked = program_worked(sim, cpu->current, worked);
        }
    }
    decide(sim, at, blocked);
    arm(sim, at);
}

void sim_run(struct sim *sim, uint64_t until)
{
    machine = sim;
    while (sim->pending && sim->events[0].time < until) {
        unsigned source = sim->events[0].source;

        sim->now = sim->events[0].time;
        event_set(sim, source, SCHED_NEVER);
        if (source < sim->cpus)
            processor(sim, source);
        else if (source == sim->sources - 1)
            audit(sim);
        else if (source == sim->sources - 2)
            interrupt(sim);
        else
            sim_wake(sim, sim->vcpu[source - sim->cpus]);
    }
    sim->now = until;
}

void sim_measure(struct sim *sim)
{
    sim->measured_from = sim->now;
    for (unsigned i = 0; i < sim->cpus; i++) {
        book_current(sim, i);
        sim->cpu[i].idle_ns = 0;
        if (sim->cpu[i].idle_from != SCHED_NEVER)
            sim->cpu[i].idle_from = sim->now;
    }
    for (unsigned i = 0; i < sim->vcpus; i++)
        sim->vcpu[i]->worst_wait = 0;
    for (struct sim_vm *vm = sim->vm; vm; vm = vm->next) {
        vm->start_ns = ran_until_now(sim, vm);
        vm->jobs = vm->missed = vm->rounds = vm->worst_job = vm->worst_latency = 0;
        memset(vm->latencies, 0, sizeof(vm->latencies));
        if (vm->zones)
            memset(vm->zones, 0, (sim->cpus / sim->zone + 1) * sizeof(*vm->zones));
    }
    sim->decisions = sim->switches = sim->migrations = sim->wakes = sim->pokes = sim->worst_idle = 0;
}
