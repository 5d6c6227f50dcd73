/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What translated code asks C for: accesses whose page is not in their slot, and
 * instructions that only the reference semantics know. All guest registers are in
 * cpu->s when we are called, and are taken from there when we return an address.
 */
#include "engine/bt/bt-internal.h"

/*
 * A site whose accesses find the TLB but not their slot this often, in this time, shall look in the TLB
 * itself. One that walks through memory misses once a page: that is cheaper than looking each time. But a
 * miss costs more than its stub, as nobody predicts it: python and perl took a third longer with a hundredth
 * of this time.
 */
#define MISSES_POLY     48
#define MISSES_CROSSING 4
#define TIME_POLY       2000 /* in units of 1024 cycles */

static uint64_t host_code(const struct bt_vcpu *bv, uint32_t offset)
{
    return (uint64_t)(uintptr_t)(bv->bvm->code.exec + offset);
}

static uint64_t leave(struct bt_vcpu *bv, enum bt_next next)
{
    bv->next = next;
    return 0;
}

/* The instruction is done: it counts. */
static uint64_t leave_behind(struct bt_vcpu *bv, enum bt_next next)
{
    bv->vcpu->cpu.uncounted++;
    return leave(bv, next);
}

/* ---- instructions by their reference semantics ---- */

static uint64_t rip_after(const struct x86_cpu *cpu, uint64_t rip, unsigned length)
{
    return cpu->mode == X86_MODE_64 ? rip + length : (uint32_t)(rip + length);
}

/* Executes insn at s.rip; if all is as before, and no later access needs the slot that was missed, code goes
 * on behind it. */
static uint64_t execute(struct bt_vcpu *bv, const struct bt_site *site, const struct x86_insn *insn)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    struct bt_vm *bvm = bv->bvm;
    uint64_t next = rip_after(cpu, cpu->s.rip, insn->length),
             killed = __atomic_load_n(&bvm->stats.killed, __ATOMIC_RELAXED);
    uint32_t epoch = bvm->epoch;
    enum x86_result result = x86_check(cpu, insn);

    if (result == X86_NEXT)
        result = x86_exec_table[insn->id](cpu, insn);
    while (result == X86_AGAIN && !bt_polled(bv->frame))
        result = x86_exec_table[insn->id](cpu, insn);
    switch (result) {
    case X86_NEXT:
        break;
    case X86_JUMP:
        return leave_behind(bv, BT_BREAK);
    case X86_AGAIN:
        return leave(bv, BT_LOOK);
    case X86_FAULT:
        return leave(bv, BT_FAULT);
    case X86_HALT:
        cpu->s.rip = next;
        return leave_behind(bv, BT_HALT);
    default:
        if (bt_is_quiet(bv))
            break; /* what it may have changed has not */
        cpu->s.rip = next;
        return leave_behind(bv, BT_BREAK);
    }
    if (unlikely(bt_state_key(cpu) != bv->key)) { /* STAC, LDMXCSR … */
        cpu->s.rip = next;
        return leave_behind(bv, BT_BREAK);
    }
    if (unlikely(killed != __atomic_load_n(&bvm->stats.killed, __ATOMIC_RELAXED)))
        x86_thunk_serialize();
    if (bt_check_generation(bv) || __atomic_load_n(&bvm->epoch, __ATOMIC_SEQ_CST) != epoch ||
        bt_is_dead(site->block) || site->group || bt_is_asked(bv->frame) || !site->resume) {
        cpu->s.rip = next;
        return leave_behind(bv, BT_LOOK);
    }
    bv->frame->fs_base = cpu->s.seg[X86_FS].base;
    bv->frame->gs_base = cpu->s.seg[X86_GS].base;
    return host_code(bv, site->resume);
}

/* Executes the site's instruction by reference: as the block has it, not as guest memory may have it by now.
 * Another one could change registers that the code behind it takes for checked. */
static uint64_t redo(struct bt_vcpu *bv, const struct bt_site *site)
{
    struct x86_insn insn;

    bv->stats.redone++;
    if (x86_decode(site->block->bytes_seen + site->offset, site->length, bv->vcpu->cpu.mode, &insn) < 0)
        return leave(bv, BT_STEP);
    return execute(bv, site, &insn);
}

/* ---- accesses ---- */

static bool hits(const struct x86_tlb_entry *e, uint64_t lin, bool write)
{
    return lin - (write ? e->tag_write : e->tag_read) < 4096;
}

/* Counts what speaks for another translation of this access; true: it has been asked for. */
static bool count_miss(struct bt_vcpu *bv, struct bt_site *site, unsigned weight, bool crossing)
{
    struct bt_vm *bvm = bv->bvm;
    uint32_t now = (uint32_t)(__builtin_ia32_rdtsc() >> 10);
    unsigned misses = __atomic_add_fetch(&site->misses, (uint16_t)weight, __ATOMIC_RELAXED);

    if (misses <= weight) /* the first */
        __atomic_store_n(&site->since, now, __ATOMIC_RELAXED);
    if ((site->poly && !crossing) || misses < MISSES_POLY)
        return false;
    __atomic_store_n(&site->misses, 0, __ATOMIC_RELAXED);
    if (now - __atomic_load_n(&site->since, __ATOMIC_RELAXED) > TIME_POLY)
        return false;
    bt_lock(bvm);
    bt_mark(crossing ? &bvm->crossing : &bvm->poly, site->block->rip + site->offset);
    if (!bt_is_dead(site->block))
        bt_kill(bvm, site->block);
    bt_unlock(bvm);
    return true;
}

static uint64_t slow_access(struct bt_vcpu *bv, struct bt_site *site)
{
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    uint64_t lin = bv->frame->lin;
    const struct x86_tlb_entry *e = &bv->frame->tlb.entry[site->mmu][(lin >> 12) & (X86_TLB_SIZE - 1)];
    bool write = site->access == X86_MEM_WRITE;
    struct x86_translation t;

    bv->stats.misses++;
    vm_trace(bv->bvm->vm, TLB, "0x%llx: %s of %u bytes at 0x%llx, slot %u%s", (unsigned long long)cpu->s.rip,
             write ? "write" : "read", site->span, (unsigned long long)lin, site->slot,
             hits(e, lin, write) ? ", in the TLB" : "");
    if ((lin & 4095) + site->span > 4096) {
        bv->stats.crossings++;
        if (!site->group)
            return redo(bv, site);
        count_miss(bv, site, MISSES_CROSSING, true);
        bv->want_plain = true;
        return leave(bv, BT_LOOK);
    }
    if (!bt_is_canonical(cpu, lin))
        return redo(bv, site);
    if (hits(e, lin, write)) {
        bv->stats.tlb_hits += BT_REFILLS;
        if (count_miss(bv, site, BT_REFILLS, false))
            return leave(bv, BT_LOOK);
    } else if (!x86_translate(cpu, lin + site->delta, write ? X86_MEM_WRITE : X86_MEM_READ, site->mmu, &t)) {
        return leave(bv, BT_FAULT); /* as by reference: accesses come in its order, and nothing has changed */
    } else if (!hits(e, lin, write)) {
        return redo(bv, site); /* what has no page, or whose stores must be told */
    }
    bt_fill_slot(bv, site->mmu, site->slot, e);
    bv->frame->fs_base = cpu->s.seg[X86_FS].base;
    return host_code(bv, site->retry);
}

static uint64_t see_to(struct bt_vcpu *bv, struct bt_site *site)
{
    if (site->kind == BT_SITE_ACCESS)
        return slow_access(bv, site);
    bv->stats.generic++;
    bv->generic[site->insn->id]++;
    return execute(bv, site, site->insn);
}

uint64_t bt_slow(struct bt_frame *frame)
{
    struct x86_cpu *cpu = frame->cpu;
    struct bt_vcpu *bv = bt_of(cpu->owner);
    struct bt_site *site = frame->site;
    uint64_t to;

    bt_acquire(bv->bvm);
    cpu->s.rip = site->rip;
    cpu->instructions = frame->count;
    cpu->uncounted = site->index;
    bv->key = site->key;
    to = see_to(bv, site);
    if (!to) {
        if (unlikely(site->key != site->block->key)) /* behind STAC or CLAC */
            frame->shadow_sp = frame->shadow_top;    /* what lies there is of the old state */
        frame->count += (uint64_t)cpu->uncounted;
        cpu->instructions = frame->count;
        if (unlikely(site->shadow) && bv->next == BT_LOOK && cpu->s.rip == site->rip)
            cpu->s.shadow |= X86_SHADOW_STI; /* it has not run */
    }
    cpu->uncounted = 0;
    return to ? to : bt_go_on(bv);
}
