/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-modifying code.
 *
 * The VM has a struct interp_ram for each page of RAM. While blocks exist of some
 * of its 64-byte lines, no TLB may hold fast write rights to the page, so that each
 * store comes by interp_memory_written(), as devices' do. A store to a line with
 * code makes the page's owners drop their blocks, and the page plain again.
 *
 *        vCPU 0 makes the page's first block          vCPU 1, with an old fast-write TLB entry
 *        lines := …, seq := ++ivm.seq
 *        request TLB_FLUSH of vCPU 1  ──────────────► (stores unseen, until its next poll)
 *        block runs, its bytes compared each time     poll: s := ivm.seq, flush TLB, ack := s
 *        ack of all others >= seq: sealed  ◄───────── (from here on its stores are told)
 *        block runs without comparing
 *
 * Nobody waits. A vCPU outside of guest code has ack PARKED, which counts as
 * flushed, and flushes when it comes back if ivm.seq moved meanwhile. ack and seq
 * are each stored before the other is read, in both places, so that one of the two
 * sides sees the other.
 *
 * Who stored is not said: the posting reaches the storing vCPU too, as a request,
 * which handlers of slow stores look at before the next op (ops-generic.c). So not
 * even the very next instruction is run from a stale block.
 */
#include "engine/interp/interp-internal.h"

static struct interp *interp_of(struct vm *vm, unsigned i)
{
    return vm->vcpu[i] ? vm->vcpu[i]->engine_data : NULL;
}

static void request(struct interp *in, uint32_t bits)
{
    __atomic_fetch_or(&in->vcpu->cpu.request, bits, __ATOMIC_SEQ_CST);
    interp_kick(in);
}

static uint64_t lines_of(unsigned first, unsigned last)
{
    uint64_t upto = last / 64 == 63 ? ~0ULL : BIT64(last / 64 + 1) - 1;

    return upto & ~(BIT64(first / 64) - 1);
}

static void code_lock(struct interp_vm *ivm)
{
    ivm->vm->plat->ops->lock(ivm->vm->plat, &ivm->lock);
}

static void code_unlock(struct interp_vm *ivm)
{
    ivm->vm->plat->ops->unlock(ivm->vm->plat, &ivm->lock);
}

struct interp_ram *interp_ram_of(struct vm *vm, uint64_t gpa)
{
    struct interp_vm *ivm = vm->engine_data;
    const struct mem_ram *r = mem_find(vm, gpa);

    if (!r || r->rom)
        return NULL;
    return &ivm->ram[(r->offset + (gpa - r->gpa)) / MEM_PAGE];
}

/* ---- pages get code ---- */

/* Takes fast write rights away from all vCPUs. Locked. */
static void protect(struct interp *in, struct interp_page *page)
{
    struct interp_vm *ivm = in->ivm;
    struct vm *vm = ivm->vm;
    uint64_t seq = ivm->seq + 1;

    __atomic_store_n(&ivm->seq, seq, __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->ram->seq, seq, __ATOMIC_SEQ_CST);
    in->stats.protected_pages++;
    x86_tlb_protect(&in->vcpu->cpu, page->gpa);
    /* We need not flush for our own sake, if there is nothing else to flush for. */
    if (in->flushed == seq - 1)
        in->flushed = seq;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct interp *other = interp_of(vm, i);

        if (other && other != in && __atomic_load_n(&other->ack, __ATOMIC_SEQ_CST) != INTERP_PARKED)
            request(other, X86_REQ_TLB_FLUSH);
    }
}

bool interp_track(struct interp *in, struct interp_page *page, unsigned first, unsigned last)
{
    struct interp_ram *ram = page->ram;
    bool fresh = true;

    if (!ram)
        return true; /* ROM */
    code_lock(in->ivm);
    if (!page->blocks && !page->blocks2)
        page->gen = ram->gen;
    if (page->gen != ram->gen) {
        fresh = false;
    } else {
        bool plain = !ram->lines;

        ram->owners |= BIT64(in->vcpu->index);
        __atomic_fetch_or(&ram->lines, lines_of(first, last), __ATOMIC_SEQ_CST);
        if (plain)
            protect(in, page);
    }
    code_unlock(in->ivm);
    return fresh;
}

bool interp_sealed(const struct interp *in, const struct interp_ram *ram)
{
    struct vm *vm = in->ivm->vm;
    uint64_t seq = ram ? __atomic_load_n(&ram->seq, __ATOMIC_SEQ_CST) : 0;

    for (unsigned i = 0; ram && i < vm->vcpu_count; i++) {
        const struct interp *other = interp_of(vm, i);

        if (other && other != in && __atomic_load_n(&other->ack, __ATOMIC_SEQ_CST) < seq)
            return false;
    }
    return true;
}

bool interp_page_write_fast(struct vm *vm, uint64_t gpa)
{
    const struct interp_ram *ram = interp_ram_of(vm, gpa);

    return !ram || !__atomic_load_n(&ram->lines, __ATOMIC_SEQ_CST);
}

/* ---- pages are written ---- */

static void post(struct interp *in, struct interp_ram *ram)
{
    if (in->posted_count < INTERP_POSTED_MAX)
        in->posted[in->posted_count] = ram;
    __atomic_store_n(&in->posted_count, MIN(in->posted_count + 1, INTERP_POSTED_MAX + 1U), __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&in->ack, __ATOMIC_SEQ_CST) != INTERP_PARKED)
        request(in, X86_REQ_ENGINE);
}

static void code_hit(struct interp_vm *ivm, struct interp_ram *ram)
{
    code_lock(ivm);
    for (unsigned i = 0; i < ivm->vm->vcpu_count; i++) {
        struct interp *in = interp_of(ivm->vm, i);

        if (in && ram->owners & BIT64(i))
            post(in, ram);
    }
    ram->owners = 0;
    ram->gen++;
    __atomic_store_n(&ram->lines, 0, __ATOMIC_SEQ_CST);
    code_unlock(ivm);
}

void interp_memory_written(struct vm *vm, uint64_t gpa, uint64_t len)
{
    while (len) {
        unsigned first = gpa & (MEM_PAGE - 1);
        unsigned n = (unsigned)MIN(len, MEM_PAGE - first);
        struct interp_ram *ram = interp_ram_of(vm, gpa);

        if (ram && __atomic_load_n(&ram->lines, __ATOMIC_SEQ_CST) & lines_of(first, first + n - 1))
            code_hit(vm->engine_data, ram);
        gpa += n;
        len -= n;
    }
}

/* ---- what a vCPU does about it ---- */

void interp_tlb_flush(struct interp *in)
{
    uint64_t seq = __atomic_load_n(&in->ivm->seq, __ATOMIC_SEQ_CST);

    x86_tlb_flush(&in->vcpu->cpu);
    in->flushed = seq;
    __atomic_store_n(&in->ack, seq, __ATOMIC_SEQ_CST);
}

static void take_posted(struct interp *in)
{
    struct interp_ram *posted[INTERP_POSTED_MAX];
    unsigned n;

    if (!__atomic_load_n(&in->posted_count, __ATOMIC_SEQ_CST))
        return;
    code_lock(in->ivm);
    n = in->posted_count;
    for (unsigned i = 0; i < MIN(n, (unsigned)INTERP_POSTED_MAX); i++)
        posted[i] = in->posted[i];
    in->posted_count = 0;
    code_unlock(in->ivm);
    if (n > INTERP_POSTED_MAX) {
        interp_flush(in);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        interp_kill_ram(in, posted[i]);
}

/* ---- alone ---- */

static void set_running(struct interp *in, bool running)
{
    __atomic_store_n(&in->running, running, __ATOMIC_SEQ_CST);
}

/* Counts as stopped until no vCPU wants to be alone. */
static void wait_turn(struct interp *in)
{
    struct interp_vm *ivm = in->ivm;
    struct plat *plat = ivm->vm->plat;

    while (__atomic_load_n(&ivm->exclusive_wanted, __ATOMIC_SEQ_CST)) {
        set_running(in, false);
        plat->ops->lock(plat, &ivm->exclusive);
        plat->ops->unlock(plat, &ivm->exclusive);
        set_running(in, true);
    }
}

void interp_exclusive(struct vcpu *vcpu, bool begin)
{
    struct interp *in = vcpu->engine_data;
    struct interp_vm *ivm = in->ivm;
    struct vm *vm = ivm->vm;

    if (!begin) {
        __atomic_fetch_sub(&ivm->exclusive_wanted, 1, __ATOMIC_SEQ_CST);
        vm->plat->ops->unlock(vm->plat, &ivm->exclusive);
        return;
    }
    __atomic_fetch_add(&ivm->exclusive_wanted, 1, __ATOMIC_SEQ_CST);
    /* Our instruction has not touched anything yet: another that is alone need not wait for us. */
    set_running(in, false);
    vm->plat->ops->lock(vm->plat, &ivm->exclusive);
    set_running(in, true);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct interp *other = interp_of(vm, i);

        if (!other || other == in)
            continue;
        request(other, X86_REQ_ENGINE);
        while (__atomic_load_n(&other->running, __ATOMIC_SEQ_CST))
            vm->plat->ops->relax(vm->plat);
    }
}

/* ---- in and out of guest code ---- */

void interp_attend(struct interp *in)
{
    __atomic_fetch_and(&in->vcpu->cpu.request, ~X86_REQ_ENGINE, __ATOMIC_SEQ_CST);
    wait_turn(in);
    take_posted(in);
}

void interp_enter(struct interp *in)
{
    uint64_t seq;

    set_running(in, true);
    do {
        seq = __atomic_load_n(&in->ivm->seq, __ATOMIC_SEQ_CST);
        __atomic_store_n(&in->ack, in->flushed, __ATOMIC_SEQ_CST);
        if (in->flushed != seq)
            interp_tlb_flush(in);
    } while (seq != __atomic_load_n(&in->ivm->seq, __ATOMIC_SEQ_CST));
    interp_attend(in);
}

void interp_park(struct interp *in)
{
    __atomic_store_n(&in->ack, INTERP_PARKED, __ATOMIC_SEQ_CST);
    set_running(in, false);
    /* What was posted is looked at by interp_enter() anyway; as a request it would keep a halted vCPU from
     * sleeping. */
    __atomic_fetch_and(&in->vcpu->cpu.request, ~X86_REQ_ENGINE, __ATOMIC_SEQ_CST);
}
