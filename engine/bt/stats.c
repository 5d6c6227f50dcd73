/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the translator counts, for people and for programs. */
#include "base/fmt.h"
#include "engine/bt/bt-internal.h"

#define STATS_GENERIC 16

/* Of the VM alone; lock held, or nobody runs. */
static void vm_stats(const struct bt_vm *bvm, struct bt_stats *stats)
{
    *stats = bvm->stats;
    stats->killed = __atomic_load_n(&bvm->stats.killed, __ATOMIC_RELAXED);
    stats->cache_size = bvm->regions.size * bvm->regions.count;
    stats->cache_used = bt_regions_used(bvm);
}

void bt_stats_get(struct vm *vm, struct bt_stats *stats)
{
    vm_stats(vm->engine_data, stats);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct bt_stats *s = &bt_of(vm->vcpu[i])->stats;

        stats->lookups += s->lookups;
        stats->misses += s->misses;
        stats->redone += s->redone;
        stats->generic += s->generic;
        stats->steps += s->steps;
        stats->faults += s->faults;
        stats->interrupts += bt_of(vm->vcpu[i])->events.interrupts;
    }
}

uint64_t bt_generic_count(struct vm *vm, enum x86_id id)
{
    uint64_t count = 0;

    for (unsigned i = 0; id < X86_ID_COUNT && i < vm->vcpu_count; i++)
        count += bt_of(vm->vcpu[i])->generic[id];
    return count;
}

/* The mnemonic that is the rank-th in runs of reference semantics; X86_ID_COUNT: there are not so many. */
static unsigned find_generic(struct vm *vm, unsigned rank)
{
    for (unsigned id = 0; id < X86_ID_COUNT; id++) {
        uint64_t count = bt_generic_count(vm, id);
        unsigned above = 0;

        for (unsigned other = 0; count && other < X86_ID_COUNT; other++) {
            uint64_t n = bt_generic_count(vm, other);

            above += n > count || (n == count && other < id);
        }
        if (count && above == rank)
            return id;
    }
    return X86_ID_COUNT;
}

static const char *name_of(unsigned id)
{
    for (uint16_t row = 0; row < x86_insn_row_count(); row++) {
        if (x86_insn_row(row)->id == id)
            return x86_insn_row(row)->name;
    }
    return "?";
}

size_t bt_stats_format(struct vm *vm, char *buf, size_t size)
{
    struct bt_stats s;
    size_t n;

    bt_stats_get(vm, &s);
    n = fmt_print(buf, size,
                  "blocks %llu of %llu instructions, %llu bytes of code\nlinks %llu\nlookups %llu\n"
                  "slot misses %llu\nredone %llu\ngeneric %llu\nsteps %llu\nblocks killed %llu\n"
                  "cache flushes %llu\nfaults %llu\ninterrupts %llu\n",
                  (unsigned long long)s.blocks, (unsigned long long)s.instructions,
                  (unsigned long long)s.code_bytes, (unsigned long long)s.links,
                  (unsigned long long)s.lookups, (unsigned long long)s.misses, (unsigned long long)s.redone,
                  (unsigned long long)s.generic, (unsigned long long)s.steps, (unsigned long long)s.killed,
                  (unsigned long long)s.flushes, (unsigned long long)s.faults,
                  (unsigned long long)s.interrupts);
    for (unsigned i = 0; i < STATS_GENERIC && n < size; i++) {
        unsigned id = find_generic(vm, i);

        if (id < X86_ID_COUNT)
            n += fmt_print(buf + n, size - n, "by reference: %s %llu\n", name_of(id),
                           (unsigned long long)bt_generic_count(vm, id));
    }
    return n;
}

/* ---- for programs ---- */

struct counter {
    const char *group, *name;
    size_t offset; /* in struct bt_stats */
};

#define COUNTER(group, name, member)                                                                         \
    {                                                                                                        \
        group, name, offsetof(struct bt_stats, member)                                                       \
    }

/* The VM's; docs/bt.md explains them. */
static const struct counter vm_counters[] = {
    COUNTER("cache", "size", cache_size),          COUNTER("cache", "used", cache_used),
    COUNTER("cache", "evictions", evictions),      COUNTER("cache", "evicted-blocks", evicted),
    COUNTER("cache", "evict-ns", evict_ns),        COUNTER("cache", "evict-ns-max", evict_ns_max),
    COUNTER("cache", "flushes", flushes),          COUNTER("code", "blocks", blocks),
    COUNTER("code", "instructions", instructions), COUNTER("code", "bytes", code_bytes),
    COUNTER("code", "links-made", links),          COUNTER("code", "links-broken", unlinks),
    COUNTER("code", "overwritten-blocks", killed),
};

static const struct counter vcpu_counters[] = {
    COUNTER("run", "lookups", lookups),        COUNTER("run", "steps", steps),
    COUNTER("run", "faults", faults),          COUNTER("slow", "slot-misses", misses),
    COUNTER("slow", "found-in-tlb", tlb_hits), COUNTER("slow", "page-crossing", crossings),
    COUNTER("slow", "redone", redone),         COUNTER("slow", "by-reference", generic),
};

static uint64_t value_of(const struct bt_stats *stats, const struct counter *c)
{
    return *(const uint64_t *)(const void *)((const char *)stats + c->offset);
}

void bt_counters(struct vcpu *vcpu, bool of_vm, engine_counter_fn *tell, void *opaque)
{
    const struct bt_vcpu *bv = bt_of(vcpu);
    struct bt_stats stats;

    if (of_vm) {
        bt_lock(bv->bvm);
        vm_stats(bv->bvm, &stats);
        bt_unlock(bv->bvm);
        for (size_t i = 0; i < ARRAY_SIZE(vm_counters); i++)
            tell(opaque, vm_counters[i].group, vm_counters[i].name, value_of(&stats, &vm_counters[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(vcpu_counters); i++)
        tell(opaque, vcpu_counters[i].group, vcpu_counters[i].name, value_of(&bv->stats, &vcpu_counters[i]));
    tell(opaque, "run", "interrupts", bv->events.interrupts);
    for (unsigned id = 0; id < X86_ID_COUNT; id++) {
        if (bv->generic[id])
            tell(opaque, "by-reference", name_of(id), bv->generic[id]);
    }
}
