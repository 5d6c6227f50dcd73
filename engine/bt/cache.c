/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where blocks are found, tied together and taken apart. Their memory is region.c's.
 */
#include "base/bytes.h"
#include "engine/bt/bt-internal.h"

static void empty(struct bt_vm *bvm)
{
    memset(bvm->hash, 0, sizeof(bvm->hash));
    memset(bvm->by_lin, 0, sizeof(bvm->by_lin));
    for (uint64_t i = 0; i < bvm->vm->mem.ram_size / MEM_PAGE; i++) {
        if (!bvm->ram[i].pages && !bvm->ram[i].lines)
            continue; /* not written to: it may be memory that nobody touched yet */
        bvm->ram[i].pages = NULL;
        __atomic_store_n(&bvm->ram[i].lines, 0, __ATOMIC_SEQ_CST);
    }
    bt_regions_empty(bvm);
    bvm->next_id = 2;
    __atomic_add_fetch(&bvm->epoch, 1, __ATOMIC_SEQ_CST);
}

void bt_flush_all(struct bt_vcpu *bv)
{
    struct bt_vm *bvm = bv->bvm;

    bt_exclusive(bv->vcpu, true);
    bt_lock(bvm);
    bvm->stats.flushes++;
    empty(bvm);
    bt_unlock(bvm);
    bt_exclusive(bv->vcpu, false);
}

/* ---- what is remembered of instructions ---- */

static unsigned hash_mark(uint64_t rip)
{
    return (unsigned)(rip ^ rip >> BT_MARK_BITS) & (BIT(BT_MARK_BITS) - 1);
}

bool bt_is_marked(const struct bt_marks *marks, uint64_t rip)
{
    return marks->rip[hash_mark(rip)] == rip;
}

void bt_mark(struct bt_marks *marks, uint64_t rip)
{
    marks->rip[hash_mark(rip)] = rip;
}

/* ---- pages ---- */

static unsigned hash_lin(uint64_t lin)
{
    return (unsigned)(lin >> 12 ^ lin >> (12 + BT_PAGE_BITS)) & (BIT(BT_PAGE_BITS) - 1);
}

static struct bt_page *create_page(struct bt_vcpu *bv, uint64_t lin, const struct x86_translation *t)
{
    struct bt_vm *bvm = bv->bvm;
    struct bt_page *page = bt_page_alloc(bvm);
    uint64_t offset = lin & 4095;
    unsigned h = hash_lin(lin);

    if (!page)
        return NULL;
    *page = (struct bt_page){
        .lin = lin - offset,
        .gpa = t->gpa - offset,
        .host = (uint8_t *)t->host - offset,
        .user = bv->vcpu->cpu.cpl == 3,
        .id = bvm->next_id,
        .ram = bt_ram_of(bvm->vm, t->gpa - offset),
    };
    bvm->next_id += 2;
    page->next_lin = bvm->by_lin[h];
    bvm->by_lin[h] = page;
    if (page->ram) {
        page->next_ram = page->ram->pages;
        page->ram->pages = page;
    }
    return page;
}

void bt_forget_page(struct bt_page *page)
{
    struct bt_ram *ram = page->ram;
    struct bt_page **at = ram ? &ram->pages : NULL;

    __atomic_store_n(&page->gone, true, __ATOMIC_RELAXED);
    while (at && *at && *at != page)
        at = &(*at)->next_ram;
    if (at && *at)
        *at = page->next_ram;
    if (ram && !ram->pages)
        __atomic_store_n(&ram->lines, 0, __ATOMIC_SEQ_CST); /* stores to it may be fast again */
}

struct bt_page *bt_known_page(const struct bt_vcpu *bv, uint64_t lin)
{
    unsigned slot = bt_itlb_slot(lin);
    struct bt_page *page = bv->frame->itlb[slot] ? bv->itlb_page[slot] : NULL;

    return page && page->lin == (lin & ~4095ULL) && page->user == (bv->vcpu->cpu.cpl == 3) &&
                   !bt_is_gone(page)
               ? page
               : NULL;
}

struct bt_page *bt_find_page(struct bt_vcpu *bv, uint64_t lin)
{
    struct bt_vm *bvm = bv->bvm;
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    uint64_t lin_page = lin & ~4095ULL;
    struct x86_translation t;
    struct bt_page *page = bt_known_page(bv, lin);

    if (page) {
        bt_lock(bvm);
        if (!bt_is_gone(page)) /* meanwhile */
            return page;
        bt_unlock(bvm);
    }
    bv->next = BT_STEP;
    if (cpu->mode == X86_MODE_64 && (uint64_t)((int64_t)(lin << 16) >> 16) != lin)
        return NULL;
    if (!x86_translate(cpu, lin, X86_MEM_FETCH, cpu->mmu_index, &t)) {
        bv->next = BT_FAULT;
        return NULL;
    }
    if (!t.host)
        return NULL;
    bt_check_generation(bv);
    bt_lock(bvm);
    for (page = bvm->by_lin[hash_lin(lin)]; page; page = page->next_lin) {
        if (page->lin == lin_page && page->gpa == (t.gpa & ~4095ULL) && page->user == (cpu->cpl == 3))
            break;
    }
    if (!page)
        page = create_page(bv, lin, &t);
    if (page) {
        bt_fill_itlb(bv, page);
        return page;
    }
    bt_region_next(bv); /* the oldest pages go with it */
    bv->next = BT_STEP;
    bt_unlock(bvm);
    return NULL;
}

/* ---- links ---- */

/* All of the 8 bytes around at once, as other vCPUs run them; see emit_align_patch(). */
static void patch32(struct bt_vm *bvm, uint32_t at, uint32_t value)
{
    uint64_t *around = (uint64_t *)(void *)(bvm->code.write + (at & ~7U));
    unsigned shift = 8 * (at & 7);

    __atomic_store_n(around, (*around & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift,
                     __ATOMIC_RELEASE);
}

static bool may_link(const struct bt_site *exit, const struct bt_block *to)
{
    return exit->exit.jump && !exit->exit.to && !bt_is_dead(exit->block) && !bt_is_dead(to) && to->sealed &&
           !to->plain && to->key == exit->key;
}

/*
 * Has the exit's guard never let anybody pass but to this page? Another vCPU may have passed and not jumped
 * yet, for as long as its thread does not run: whose address space has the page that the exit led to before
 * must not come to the page of another one. 1: no page's number.
 */
static bool guard_fits(const struct bt_vm *bvm, const struct bt_site *exit, const struct bt_page *page)
{
    uint32_t id = exit->exit.guard ? load_le32(bvm->code.write + exit->exit.guard) : 1;

    return id == 1 || id == page->id;
}

static void tie(struct bt_vm *bvm, struct bt_site *exit, struct bt_block *to)
{
    uint32_t entry = exit->exit.saved ? to->entry_saved : to->entry_host;

    __atomic_store_n(&exit->exit.to, to, __ATOMIC_RELEASE);
    exit->exit.next = to->incoming;
    to->incoming = exit;
    patch32(bvm, exit->exit.jump, entry - (exit->exit.jump + 4));
    if (exit->exit.guard)
        patch32(bvm, exit->exit.guard, to->page->id); /* last: now it can be passed */
    bvm->stats.links++;
    vm_trace(bvm->vm, CHAIN, "0x%llx + %u leads to 0x%llx", (unsigned long long)exit->block->rip,
             exit->offset, (unsigned long long)to->rip);
}

void bt_link(struct bt_vcpu *bv, struct bt_site *exit, struct bt_block *to)
{
    struct bt_vm *bvm = bv->bvm;

    if (!exit->exit.jump || __atomic_load_n(&exit->exit.to, __ATOMIC_RELAXED))
        return; /* it only came by because of its guard or a poll */
    bt_lock(bvm);
    if (may_link(exit, to)) {
        if (guard_fits(bvm, exit, to->page))
            tie(bvm, exit, to);
        else
            bt_kill(bvm, exit->block); /* made anew, it has an exit that nobody is in */
    }
    bt_unlock(bvm);
}

static void untie(struct bt_vm *bvm, struct bt_site *exit)
{
    vm_trace(bvm->vm, CHAIN, "0x%llx + %u no longer leads to 0x%llx", (unsigned long long)exit->block->rip,
             exit->offset, (unsigned long long)exit->exit.rip);
    __atomic_store_n(&exit->exit.to, NULL, __ATOMIC_RELAXED);
    patch32(bvm, exit->exit.jump, exit->exit.unlinked - (exit->exit.jump + 4));
    bvm->stats.unlinks++;
}

static void unlink_exit(struct bt_vm *bvm, struct bt_site *exit)
{
    struct bt_site **at = &exit->exit.to->incoming;

    while (*at && *at != exit)
        at = &(*at)->exit.next;
    if (*at)
        *at = exit->exit.next;
    untie(bvm, exit);
}

void bt_remember_jump(struct bt_vcpu *bv, struct bt_block *block)
{
    /* Without the lock: who may be gone already is still in memory, and leads to the stub that asks. */
    if (bt_is_sealed(block) && !block->plain && !bt_is_dead(block))
        bv->frame->jump[bt_class_of(block->key)][block->rip & (BIT(BT_JUMP_BITS) - 1)] =
            (uint32_t)(uintptr_t)bv->bvm->code.exec + block->entry_checked;
}

/* ---- blocks ---- */

/* Processes come and go with the same addresses in other pages: the page tells their blocks apart. */
static unsigned hash_block(uint64_t rip, const struct bt_page *page)
{
    return (unsigned)((rip ^ (uint64_t)page->id << 32) * 0x9e3779b97f4a7c15ULL >> (64 - BT_HASH_BITS));
}

static void remove_from(struct bt_block **at, struct bt_block *block, size_t next)
{
    while (*at && *at != block)
        at = (struct bt_block **)(void *)((char *)*at + next);
    if (*at)
        *at = *(struct bt_block **)(void *)((char *)block + next);
}

/* The block's checked entry leads to the stub that asks: 8 bytes at once, as another vCPU may come by. */
static void close_entry(struct bt_vm *bvm, const struct bt_block *block)
{
    uint64_t *at = (uint64_t *)(void *)(bvm->code.write + block->entry_checked);
    uint64_t code = *at;

    code = (code & ~0xffffffffffULL) | 0xe9 | (uint64_t)(0U - (block->entry_checked + 5)) << 8;
    __atomic_store_n(at, code, __ATOMIC_RELEASE);
}

void bt_kill(struct bt_vm *bvm, struct bt_block *block)
{
    __atomic_store_n(&block->dead, true, __ATOMIC_RELAXED);
    while (block->incoming)
        unlink_exit(bvm, block->incoming);
    for (struct bt_site *s = block->exits; s; s = s->exit.sibling) {
        if (s->exit.to)
            unlink_exit(bvm, s);
    }
    remove_from(&bvm->hash[hash_block(block->rip, block->page)], block, offsetof(struct bt_block, next_hash));
    remove_from(&block->page->blocks, block, offsetof(struct bt_block, next_page));
    if (block->page2)
        remove_from(&block->page2->blocks2, block, offsetof(struct bt_block, next_page2));
    close_entry(bvm, block);
    __atomic_add_fetch(&bvm->stats.killed, 1, __ATOMIC_RELAXED);
}

/* ---- many at once: lists of what is alive are gone through once ---- */

static void sweep_incoming(struct bt_vm *bvm, struct bt_block *to)
{
    struct bt_site **at = &to->incoming, *exit;

    while ((exit = *at) != NULL) {
        if (bt_is_dead(exit->block)) {
            *at = exit->exit.next;
            untie(bvm, exit);
        } else {
            at = &exit->exit.next;
        }
    }
}

static void sweep_page(struct bt_page *page, uint64_t eviction)
{
    struct bt_block **at = &page->blocks;

    if (page->swept == eviction)
        return;
    page->swept = eviction;
    while (*at) {
        if (bt_is_dead(*at))
            *at = (*at)->next_page;
        else
            at = &(*at)->next_page;
    }
    for (at = &page->blocks2; *at;) {
        if (bt_is_dead(*at))
            *at = (*at)->next_page2;
        else
            at = &(*at)->next_page2;
    }
}

static void take_out(struct bt_vm *bvm, struct bt_block *block, uint64_t eviction)
{
    while (block->incoming)
        unlink_exit(bvm, block->incoming);
    for (struct bt_site *s = block->exits; s; s = s->exit.sibling) {
        if (s->exit.to)
            sweep_incoming(bvm, s->exit.to);
    }
    remove_from(&bvm->hash[hash_block(block->rip, block->page)], block, offsetof(struct bt_block, next_hash));
    sweep_page(block->page, eviction);
    if (block->page2)
        sweep_page(block->page2, eviction);
    close_entry(bvm, block);
}

unsigned bt_kill_all(struct bt_vm *bvm, struct bt_block *blocks, uint64_t eviction)
{
    struct bt_block **at = &blocks, *block;
    unsigned count = 0;

    while ((block = *at) != NULL) {
        if (bt_is_dead(block)) {
            *at = block->next_region; /* since it was killed nothing knows it */
            continue;
        }
        __atomic_store_n(&block->dead, true, __ATOMIC_RELAXED);
        at = &block->next_region;
        count++;
    }
    for (block = blocks; block; block = block->next_region)
        take_out(bvm, block, eviction);
    return count;
}

static void add_block(struct bt_vm *bvm, struct bt_block *block)
{
    unsigned h = hash_block(block->rip, block->page);

    block->next_hash = bvm->hash[h];
    bvm->hash[h] = block;
    block->next_page = block->page->blocks;
    block->page->blocks = block;
    if (block->page2) {
        block->next_page2 = block->page2->blocks2;
        block->page2->blocks2 = block;
    }
}

/* Is an unsealed block still what was decoded? Seals it if it may be. */
static bool verify(const struct bt_vcpu *bv, struct bt_block *block)
{
    unsigned offset = (unsigned)(block->rip & 4095), first = MIN(block->bytes, 4096 - offset);

    if (memcmp(block->bytes_seen, block->page->host + offset, first) ||
        (block->page2 && memcmp(block->bytes_seen + first, block->page2->host, block->bytes - first)))
        return false;
    __atomic_store_n(&block->sealed,
                     bt_sealed(bv, block->page->ram) && (!block->page2 || bt_sealed(bv, block->page2->ram)),
                     __ATOMIC_RELAXED);
    return true;
}

/* Does the block's second page still lie behind the first? */
static bool second_page_valid(struct bt_vcpu *bv, const struct bt_block *block)
{
    return !block->page2 || bv->frame->itlb[bt_itlb_slot(block->page2->lin)] == block->page2->id;
}

static struct bt_block *find_block(struct bt_vcpu *bv, const struct bt_page *page, uint64_t rip, bool plain)
{
    struct bt_vm *bvm = bv->bvm;
    struct bt_block *block = bvm->hash[hash_block(rip, page)];

    while (block && !(block->rip == rip && block->key == bv->key && block->page == page &&
                      block->plain == plain && second_page_valid(bv, block)))
        block = block->next_hash;
    if (block && !block->sealed && !verify(bv, block)) {
        bt_kill(bvm, block);
        return NULL;
    }
    return block;
}

/* Numbers of pages are never used twice: after billions of them all starts anew. */
static bool out_of_numbers(const struct bt_vm *bvm)
{
    return bvm->next_id > UINT32_MAX / 2;
}

/* Lock held. NULL: bv->next. */
static struct bt_block *make_block(struct bt_vcpu *bv, struct bt_page *page, bool plain)
{
    struct bt_block *block;

    if (!bt_region_ready(bv))
        return NULL;
    block = bt_translate(bv, page, plain);
    if (block) {
        add_block(bv->bvm, block);
        bt_region_used(bv, block);
    }
    return block;
}

struct bt_block *bt_find(struct bt_vcpu *bv, bool plain)
{
    struct bt_vm *bvm = bv->bvm;
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    struct bt_page *page;
    struct bt_block *block;
    uint64_t lin = bt_linear(cpu, cpu->s.rip);

    page = bt_find_page(bv, lin);
    if (!page)
        return NULL;
    if (unlikely(out_of_numbers(bvm))) {
        bt_unlock(bvm);
        bt_flush_all(bv);
        bv->next = BT_LOOK;
        return NULL;
    }
    bv->stats.lookups++;
    block = find_block(bv, page, cpu->s.rip, plain);
    if (!block && (lin & 4095) + X86_MAX_INSN_LEN > 4096) {
        /* The first instruction may end in the next page: look at that without the lock. */
        bt_unlock(bvm);
        if (bt_find_page(bv, (lin | 4095) + 1))
            bt_unlock(bvm);
        page = bt_find_page(bv, lin);
        if (!page)
            return NULL;
        block = find_block(bv, page, cpu->s.rip, plain);
    }
    if (!block)
        block = make_block(bv, page, plain);
    bt_unlock(bvm);
    if (unlikely(bv->waits >= BT_WAITS)) {
        bv->waits = 0;
        bvm->vm->plat->ops->relax(bvm->vm->plat);
    }
    return block;
}
