/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where blocks are kept and found, tied together and taken apart. Blocks, pages and
 * sites come from an arena; nothing in it or in the code cache is freed singly. When
 * either is full, all vCPUs leave translated code and everything goes.
 */
#include "base/bytes.h"
#include "engine/bt/bt-internal.h"

/* ---- the arena ---- */

bool bt_arena_ready(struct bt_vm *bvm)
{
    struct vm *vm = bvm->vm;

    if (bvm->chunk_count && BT_ARENA_CHUNK - bvm->chunk_used >= BT_ARENA_RESERVE)
        return true;
    if (bvm->chunk_count && bvm->chunk_now + 1 < bvm->chunk_count) {
        bvm->chunk_now++;
    } else {
        uint8_t *chunk = NULL;

        if (bvm->chunk_count < BT_ARENA_CHUNKS)
            chunk = vm->plat->ops->alloc(vm->plat, BT_ARENA_CHUNK);
        if (!chunk)
            return false;
        bvm->chunk_now = bvm->chunk_count;
        bvm->chunk[bvm->chunk_count++] = chunk;
    }
    bvm->chunk_used = 0;
    return true;
}

void *bt_arena(struct bt_vm *bvm, size_t size)
{
    void *p = bvm->chunk[bvm->chunk_now] + bvm->chunk_used;

    size = ALIGN_UP(size, 16);
    base_assert(size <= BT_ARENA_CHUNK - bvm->chunk_used);
    bvm->chunk_used += size;
    memset(p, 0, size);
    return p;
}

static void empty(struct bt_vm *bvm)
{
    memset(bvm->hash, 0, sizeof(bvm->hash));
    memset(bvm->by_lin, 0, sizeof(bvm->by_lin));
    for (uint64_t i = 0; i < bvm->vm->mem.ram_size / MEM_PAGE; i++) {
        bvm->ram[i].pages = NULL;
        __atomic_store_n(&bvm->ram[i].lines, 0, __ATOMIC_SEQ_CST);
    }
    bvm->chunk_now = 0;
    bvm->chunk_used = 0;
    bvm->code.used = bvm->code.fixed;
    bvm->next_id = 2;
    __atomic_add_fetch(&bvm->epoch, 1, __ATOMIC_SEQ_CST);
}

int bt_cache_init(struct bt_vm *bvm)
{
    empty(bvm);
    return bt_arena_ready(bvm) ? 0 : -1;
}

void bt_cache_finish(struct bt_vm *bvm)
{
    struct plat *plat = bvm->vm->plat;

    for (unsigned i = 0; i < bvm->chunk_count; i++)
        plat->ops->free(plat, bvm->chunk[i]);
    bvm->chunk_count = 0;
}

static bool is_full(struct bt_vm *bvm)
{
    return bvm->code.size - bvm->code.used < BT_CODE_RESERVE || bvm->next_id > UINT32_MAX / 2 ||
           !bt_arena_ready(bvm);
}

void bt_flush_all(struct bt_vcpu *bv, bool only_full)
{
    struct bt_vm *bvm = bv->bvm;

    bt_exclusive(bv->vcpu, true);
    bt_lock(bvm);
    if (!only_full || is_full(bvm)) { /* nobody else has done it meanwhile */
        bvm->stats.flushes++;
        empty(bvm);
    }
    bt_unlock(bvm);
    bt_exclusive(bv->vcpu, false);
}

/* ---- instructions whose accesses go all over memory ---- */

static unsigned hash_poly(uint64_t rip)
{
    return (unsigned)(rip ^ rip >> BT_POLY_BITS) & (BIT(BT_POLY_BITS) - 1);
}

bool bt_is_poly(const struct bt_vm *bvm, uint64_t rip)
{
    return bvm->poly[hash_poly(rip)] == rip;
}

void bt_set_poly(struct bt_vm *bvm, uint64_t rip)
{
    bvm->poly[hash_poly(rip)] = rip;
}

/* ---- pages ---- */

static unsigned hash_lin(uint64_t lin)
{
    return (unsigned)(lin >> 12 ^ lin >> (12 + BT_PAGE_BITS)) & (BIT(BT_PAGE_BITS) - 1);
}

static struct bt_page *create_page(struct bt_vcpu *bv, uint64_t lin, const struct x86_translation *t)
{
    struct bt_vm *bvm = bv->bvm;
    struct bt_page *page = bt_arena(bvm, sizeof(*page));
    uint64_t offset = lin & 4095;
    unsigned h = hash_lin(lin);

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

struct bt_page *bt_known_page(const struct bt_vcpu *bv, uint64_t lin)
{
    unsigned slot = bt_itlb_slot(lin);
    struct bt_page *page = bv->frame->itlb[slot] ? bv->itlb_page[slot] : NULL;

    return page && page->lin == (lin & ~4095ULL) && page->user == (bv->vcpu->cpu.cpl == 3) ? page : NULL;
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
        return page;
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
    bt_fill_itlb(bv, page);
    return page;
}

/* ---- links ---- */

static void patch32(struct bt_vm *bvm, uint32_t at, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)(bvm->code.write + at), value, __ATOMIC_RELEASE);
}

void bt_link(struct bt_vcpu *bv, struct bt_site *exit, struct bt_block *to)
{
    struct bt_vm *bvm = bv->bvm;
    uint32_t entry = exit->exit.saved ? to->entry_saved : to->entry_host;

    if (!exit->exit.jump || __atomic_load_n(&exit->exit.to, __ATOMIC_RELAXED))
        return; /* it only came by because of its guard or a poll */
    bt_lock(bvm);
    if (exit->exit.jump && !exit->exit.to && !bt_is_dead(exit->block) && !bt_is_dead(to) && to->sealed &&
        !to->plain) {
        __atomic_store_n(&exit->exit.to, to, __ATOMIC_RELAXED);
        exit->exit.next = to->incoming;
        to->incoming = exit;
        patch32(bvm, exit->exit.jump, entry - (exit->exit.jump + 4));
        if (exit->exit.guard)
            patch32(bvm, exit->exit.guard, to->page->id);
        bvm->stats.links++;
        vm_trace(bvm->vm, CHAIN, "0x%llx + %u leads to 0x%llx", (unsigned long long)exit->block->rip,
                 exit->offset, (unsigned long long)to->rip);
    }
    bt_unlock(bvm);
}

static void unlink_exit(struct bt_vm *bvm, struct bt_site *exit)
{
    struct bt_site **at = &exit->exit.to->incoming;

    while (*at && *at != exit)
        at = &(*at)->exit.next;
    if (*at)
        *at = exit->exit.next;
    vm_trace(bvm->vm, CHAIN, "0x%llx + %u no longer leads to 0x%llx", (unsigned long long)exit->block->rip,
             exit->offset, (unsigned long long)exit->exit.rip);
    __atomic_store_n(&exit->exit.to, NULL, __ATOMIC_RELAXED);
    patch32(bvm, exit->exit.jump, exit->exit.unlinked - (exit->exit.jump + 4));
}

void bt_remember_jump(struct bt_vcpu *bv, struct bt_block *block)
{
    if (block->sealed && !block->plain && !bt_is_dead(block))
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
    block->sealed = bt_sealed(bv, block->page->ram) && (!block->page2 || bt_sealed(bv, block->page2->ram));
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

struct bt_block *bt_find(struct bt_vcpu *bv, bool plain)
{
    struct bt_vm *bvm = bv->bvm;
    struct x86_cpu *cpu = &bv->vcpu->cpu;
    struct bt_page *page;
    struct bt_block *block;
    uint64_t lin = bt_linear(cpu, cpu->s.rip);
    bool full;

    page = bt_find_page(bv, lin);
    if (!page)
        return NULL;
    full = is_full(bvm);
    bv->stats.lookups++;
    block = full ? NULL : find_block(bv, page, cpu->s.rip, plain);
    if (!block && !full && (lin & 4095) + X86_MAX_INSN_LEN > 4096) {
        /* The first instruction may end in the next page: look at that without the lock. */
        bt_unlock(bvm);
        if (bt_find_page(bv, (lin | 4095) + 1))
            bt_unlock(bvm);
        page = bt_find_page(bv, lin);
        if (!page)
            return NULL;
        full = is_full(bvm);
        block = full ? NULL : find_block(bv, page, cpu->s.rip, plain);
    }
    if (!block && !full) {
        block = bt_translate(bv, page, plain);
        if (block)
            add_block(bvm, block);
    }
    bt_unlock(bvm);
    if (full) {
        bt_flush_all(bv, true);
        bv->next = BT_LOOK;
    }
    return block;
}
