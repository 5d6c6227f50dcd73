/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-modifying code, and vCPUs that stop for each other.
 *
 * The VM has a struct bt_ram for each page of RAM. While blocks exist of some of
 * its 64-byte lines, no TLB and no slot may hold fast write rights to the page, so
 * that each store comes by bt_memory_written(), as devices' do. A store to a line
 * with code kills the blocks that have bytes of it, then and there.
 *
 *        vCPU 0 makes the page's first block          vCPU 1, with an old fast-write TLB entry
 *        lines := …, seq := ++bvm.seq
 *        request TLB_FLUSH of vCPU 1  ──────────────► (stores unseen, until its next poll)
 *        block runs by the dispatcher only,           poll: s := bvm.seq, flush TLB, ack := s
 *        its bytes compared each time
 *        ack of all others >= seq: sealed  ◄───────── (from here on its stores are told)
 *        block may be linked
 *
 * Nobody waits. A vCPU outside of guest code has ack PARKED, which counts as
 * flushed, and flushes when it comes back if bvm.seq moved meanwhile. ack and seq
 * are each stored before the other is read, in both places, so that one of the two
 * sides sees the other.
 *
 * A page that is mostly written to beside its code loses all its blocks after a
 * while: stores to it are fast again until it is executed anew.
 */
#include "engine/bt/bt-internal.h"

#define STORES_MAX 256

static uint64_t lines_of(unsigned first, unsigned last)
{
    uint64_t upto = last / 64 == 63 ? ~0ULL : BIT64(last / 64 + 1) - 1;

    return upto & ~(BIT64(first / 64) - 1);
}

struct bt_ram *bt_ram_of(struct vm *vm, uint64_t gpa)
{
    struct bt_vm *bvm = vm->engine_data;
    const struct mem_ram *r = mem_find(vm, gpa);

    if (!r || r->rom)
        return NULL;
    return &bvm->ram[(r->offset + (gpa - r->gpa)) / MEM_PAGE];
}

void bt_ask(struct bt_vcpu *bv, uint32_t request)
{
    __atomic_fetch_or(&bv->vcpu->cpu.request, request, __ATOMIC_SEQ_CST);
    bt_set_poll(bv->frame);
}

/* ---- pages get code ---- */

/* Takes fast write rights away from all vCPUs. Locked. */
static void protect(struct bt_vcpu *bv, const struct bt_page *page)
{
    struct bt_vm *bvm = bv->bvm;
    struct vm *vm = bvm->vm;
    uint64_t seq = bvm->seq + 1;

    __atomic_store_n(&bvm->seq, seq, __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->ram->seq, seq, __ATOMIC_SEQ_CST);
    x86_tlb_protect(&bv->vcpu->cpu, page->gpa);
    bt_forget_writes(bv, page->host);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct bt_vcpu *other = vm->vcpu[i] ? bt_of(vm->vcpu[i]) : NULL;

        if (other && other != bv && __atomic_load_n(&other->ack, __ATOMIC_SEQ_CST) != BT_PARKED)
            bt_ask(other, X86_REQ_TLB_FLUSH);
    }
}

void bt_track(struct bt_vcpu *bv, struct bt_page *page, unsigned first, unsigned last)
{
    struct bt_ram *ram = page->ram;
    uint64_t old;

    if (!ram)
        return; /* ROM */
    old = __atomic_fetch_or(&ram->lines, lines_of(first, last), __ATOMIC_SEQ_CST);
    if (!old) {
        __atomic_store_n(&ram->stores, 0, __ATOMIC_RELAXED);
        protect(bv, page);
    }
}

bool bt_sealed(const struct bt_vcpu *bv, const struct bt_ram *ram)
{
    struct vm *vm = bv->bvm->vm;
    uint64_t seq = ram ? __atomic_load_n(&ram->seq, __ATOMIC_SEQ_CST) : 0;

    for (unsigned i = 0; ram && i < vm->vcpu_count; i++) {
        const struct bt_vcpu *other = vm->vcpu[i] ? bt_of(vm->vcpu[i]) : NULL;

        if (other && other != bv && __atomic_load_n(&other->ack, __ATOMIC_SEQ_CST) < seq)
            return false;
    }
    return true;
}

bool bt_page_write_fast(struct vm *vm, uint64_t gpa)
{
    const struct bt_ram *ram = bt_ram_of(vm, gpa);

    return !ram || !__atomic_load_n(&ram->lines, __ATOMIC_SEQ_CST);
}

/* ---- pages are written ---- */

/* The block's bytes in this page: in its own, or in the one it ends in. */
static void range_in(const struct bt_block *b, const struct bt_page *page, unsigned *first, unsigned *last)
{
    unsigned offset = (unsigned)(b->rip & 4095), here = MIN(b->bytes, 4096 - offset);

    if (b->page == page) {
        *first = offset;
        *last = offset + here - 1;
    } else {
        *first = 0;
        *last = b->bytes - here - 1;
    }
}

static bool has_lines(const struct bt_block *b, const struct bt_page *page, uint64_t lines)
{
    unsigned first, last;

    range_in(b, page, &first, &last);
    return lines_of(first, last) & lines;
}

/* Kills the page's blocks with bytes of these lines; returns the lines of those that are left. */
static uint64_t kill_lines(struct bt_vm *bvm, struct bt_page *page, uint64_t lines)
{
    uint64_t left = 0;
    struct bt_block *b, *next;
    unsigned first, last;

    for (b = page->blocks; b; b = next) {
        next = b->next_page;
        if (has_lines(b, page, lines)) {
            bt_kill(bvm, b);
        } else {
            range_in(b, page, &first, &last);
            left |= lines_of(first, last);
        }
    }
    for (b = page->blocks2; b; b = next) {
        next = b->next_page2;
        if (has_lines(b, page, lines)) {
            bt_kill(bvm, b);
        } else {
            range_in(b, page, &first, &last);
            left |= lines_of(first, last);
        }
    }
    return left;
}

static void code_hit(struct bt_vm *bvm, struct bt_ram *ram, uint64_t lines)
{
    uint64_t left = 0;

    bt_lock(bvm);
    for (struct bt_page *page = ram->pages; page; page = page->next_ram)
        left |= kill_lines(bvm, page, lines);
    __atomic_store_n(&ram->lines, left, __ATOMIC_SEQ_CST);
    bt_unlock(bvm);
}

void bt_memory_written(struct vm *vm, uint64_t gpa, uint64_t len)
{
    while (len) {
        unsigned first = gpa & (MEM_PAGE - 1);
        unsigned n = (unsigned)MIN(len, MEM_PAGE - first);
        struct bt_ram *ram = bt_ram_of(vm, gpa);
        uint64_t lines = ram ? __atomic_load_n(&ram->lines, __ATOMIC_SEQ_CST) : 0;

        if (lines & lines_of(first, first + n - 1)) {
            vm_trace(vm, SMC, "store of %u bytes over code at 0x%llx", n, (unsigned long long)gpa);
            code_hit(vm->engine_data, ram, lines_of(first, first + n - 1));
        } else if (lines && __atomic_add_fetch(&ram->stores, 1, __ATOMIC_RELAXED) > STORES_MAX) {
            code_hit(vm->engine_data, ram, ~0ULL);
        }
        gpa += n;
        len -= n;
    }
}

/* ---- what a vCPU does about it ---- */

void bt_tlb_flush(struct bt_vcpu *bv)
{
    uint64_t seq = __atomic_load_n(&bv->bvm->seq, __ATOMIC_SEQ_CST);

    x86_tlb_flush(&bv->vcpu->cpu);
    bt_check_generation(bv);
    bv->flushed = seq;
    __atomic_store_n(&bv->ack, seq, __ATOMIC_SEQ_CST);
}

/* ---- alone ---- */

static void set_running(struct bt_vcpu *bv, bool running)
{
    __atomic_store_n(&bv->running, running, __ATOMIC_SEQ_CST);
}

/* Counts as stopped until no vCPU wants to be alone. */
static void wait_turn(struct bt_vcpu *bv)
{
    struct bt_vm *bvm = bv->bvm;
    struct plat *plat = bvm->vm->plat;

    while (__atomic_load_n(&bvm->exclusive_wanted, __ATOMIC_SEQ_CST)) {
        set_running(bv, false);
        plat->ops->lock(plat, &bvm->exclusive);
        plat->ops->unlock(plat, &bvm->exclusive);
        set_running(bv, true);
    }
}

void bt_exclusive(struct vcpu *vcpu, bool begin)
{
    struct bt_vcpu *bv = bt_of(vcpu);
    struct bt_vm *bvm = bv->bvm;
    struct vm *vm = bvm->vm;

    if (!begin) {
        __atomic_fetch_sub(&bvm->exclusive_wanted, 1, __ATOMIC_SEQ_CST);
        vm->plat->ops->unlock(vm->plat, &bvm->exclusive);
        return;
    }
    __atomic_fetch_add(&bvm->exclusive_wanted, 1, __ATOMIC_SEQ_CST);
    /* Our instruction has not touched anything yet: another that is alone need not wait for us. */
    set_running(bv, false);
    vm->plat->ops->lock(vm->plat, &bvm->exclusive);
    set_running(bv, true);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct bt_vcpu *other = vm->vcpu[i] ? bt_of(vm->vcpu[i]) : NULL;

        if (!other || other == bv)
            continue;
        bt_ask(other, X86_REQ_ENGINE);
        while (__atomic_load_n(&other->running, __ATOMIC_SEQ_CST))
            vm->plat->ops->relax(vm->plat);
    }
}

/* ---- in and out of guest code ---- */

void bt_attend(struct bt_vcpu *bv)
{
    __atomic_fetch_and(&bv->vcpu->cpu.request, ~X86_REQ_ENGINE, __ATOMIC_SEQ_CST);
    wait_turn(bv);
}

void bt_enter_guest(struct bt_vcpu *bv)
{
    uint64_t seq;

    set_running(bv, true);
    __atomic_store_n(&bv->evictions, bv->evictions_seen, __ATOMIC_SEQ_CST);
    bt_see_evictions(bv);
    do {
        seq = __atomic_load_n(&bv->bvm->seq, __ATOMIC_SEQ_CST);
        __atomic_store_n(&bv->ack, bv->flushed, __ATOMIC_SEQ_CST);
        if (bv->flushed != seq)
            bt_tlb_flush(bv);
    } while (seq != __atomic_load_n(&bv->bvm->seq, __ATOMIC_SEQ_CST));
    bt_attend(bv);
}

void bt_park(struct bt_vcpu *bv)
{
    __atomic_store_n(&bv->ack, BT_PARKED, __ATOMIC_SEQ_CST);
    __atomic_store_n(&bv->evictions, BT_PARKED, __ATOMIC_SEQ_CST);
    set_running(bv, false);
    /* As a request it would keep a halted vCPU from sleeping. */
    __atomic_fetch_and(&bv->vcpu->cpu.request, ~X86_REQ_ENGINE, __ATOMIC_SEQ_CST);
}
