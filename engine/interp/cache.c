/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where blocks are kept and found: pages by linear address, blocks by page and
 * rip, and the arena that both come from. Nothing is freed singly; when the arena
 * is full, everything goes, which costs less than it would to know what to keep.
 */
#include "base/bytes.h"
#include "engine/interp/interp-internal.h"

/* The most that one interp_find() takes from the arena: a block with nothing but generic ops, a guard, two
 * pages. */
#define ARENA_RESERVE                                                                                        \
    (sizeof(struct interp_block) + sizeof(struct interp_op) * (INTERP_MAX_OPS + 1) +                         \
     sizeof(struct interp_vector) * INTERP_MAX_INSNS + sizeof(struct interp_guard) +                         \
     INTERP_MAX_INSNS * X86_MAX_INSN_LEN + 2 * sizeof(struct interp_page) + 64 * 64)

static unsigned hash_lin(uint64_t lin)
{
    return (unsigned)(lin >> 12 ^ lin >> (12 + INTERP_PAGE_BITS)) & (BIT(INTERP_PAGE_BITS) - 1);
}

static unsigned hash_block(const struct interp_page *page, uint64_t rip)
{
    return (unsigned)(rip ^ (uintptr_t)page >> 5) & (BIT(INTERP_HASH_BITS) - 1);
}

/* ---- the arena ---- */

static bool arena_ready(struct interp *in)
{
    struct vm *vm = in->vcpu->vm;

    if (in->chunk_count && INTERP_CHUNK - in->chunk_used >= ARENA_RESERVE)
        return true;
    if (in->chunk_count && in->chunk_now + 1 < in->chunk_count) {
        in->chunk_now++;
    } else {
        uint8_t *chunk = NULL;

        if (in->chunk_count < INTERP_MAX_CHUNKS)
            chunk = vm->plat->ops->alloc(vm->plat, INTERP_CHUNK);
        if (!chunk)
            return false;
        in->chunk_now = in->chunk_count;
        in->chunk[in->chunk_count++] = chunk;
        in->stats.arena += INTERP_CHUNK;
    }
    in->chunk_used = 0;
    return true;
}

void *interp_arena(struct interp *in, size_t size)
{
    void *p = in->chunk[in->chunk_now] + in->chunk_used;

    size = ALIGN_UP(size, 32);
    if (size > INTERP_CHUNK - in->chunk_used)
        return NULL;
    in->chunk_used += size;
    return p;
}

static void empty(struct interp *in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(in->jump); i++)
        in->jump[i] = in->dead_block;
    memset(in->hash, 0, sizeof(in->hash));
    memset(in->by_lin, 0, sizeof(in->by_lin));
    memset(in->by_gpa, 0, sizeof(in->by_gpa));
    for (unsigned i = 0; i < INTERP_REDO_SIZE; i++)
        in->redo[i].op = NULL;
    in->chunk_now = 0;
    in->chunk_used = 0;
}

void interp_flush(struct interp *in)
{
    in->stats.flushes++;
    empty(in);
}

int interp_cache_init(struct interp *in)
{
    struct vm *vm = in->vcpu->vm;

    in->dead_block = vm->plat->ops->alloc(vm->plat, sizeof(*in->dead_block) + sizeof(struct interp_op));
    if (!in->dead_block)
        return -1;
    in->dead_block->page = &in->dead_page;
    in->dead_block->op[0].fn = interp_op_dead;
    empty(in);
    return arena_ready(in) ? 0 : -1;
}

void interp_cache_finish(struct interp *in)
{
    struct vm *vm = in->vcpu->vm;

    for (unsigned i = 0; i < in->chunk_count; i++)
        vm->plat->ops->free(vm->plat, in->chunk[i]);
    in->chunk_count = 0;
    vm->plat->ops->free(vm->plat, in->dead_block);
}

/* ---- the stamp ---- */

/* The state that decoding and x86_check() look at, in 16 bits. */
static uint32_t state_key(const struct x86_cpu *cpu)
{
    const struct x86_state *s = &cpu->s;
    bool alignment = s->cr0 & X86_CR0_AM && s->rflags & X86_FL_AC && cpu->cpl == 3;

    return cpu->mode | (uint32_t)cpu->cpl << 2 | (uint32_t)cpu->flat << 4 |
           (uint32_t) !!(s->seg[X86_SS].attr & X86_SEG_DB) << 5 | (uint32_t)(s->cr0 & 15) << 6 |
           (uint32_t) !!(s->cr4 & X86_CR4_OSFXSR) << 10 | (uint32_t) !!(s->cr4 & X86_CR4_OSXSAVE) << 11 |
           (uint32_t) !!(s->rflags & X86_FL_VM) << 12 | (uint32_t)alignment << 13 |
           (uint32_t)(s->xcr0 >> 1 & 3) << 14;
}

void interp_restamp(struct x86_cpu *cpu, struct interp *in)
{
    /* One is added: no stamp is zero, which is the dead page's. */
    in->stamp = (cpu->tlb->generation + 1) << 16 | state_key(cpu);
}

/* ---- death of blocks ---- */

static void unlink_block(struct interp_block **at, struct interp_block *block, size_t next)
{
    while (*at && *at != block)
        at = (struct interp_block **)(void *)((char *)*at + next);
    if (*at)
        *at = *(struct interp_block **)(void *)((char *)block + next);
}

static void kill_block(struct interp *in, struct interp_block *block)
{
    unlink_block(&in->hash[hash_block(block->page, block->rip)], block,
                 offsetof(struct interp_block, next_hash));
    unlink_block(&block->page->blocks, block, offsetof(struct interp_block, next_page));
    if (block->page2)
        unlink_block(&block->page2->blocks2, block, offsetof(struct interp_block, next_page2));
    block->page = &in->dead_page;
    block->page2 = NULL;
    block->op[0].fn = interp_op_dead;
}

void interp_kill_ram(struct interp *in, const struct interp_ram *ram)
{
    unsigned h = (unsigned)(ram - in->ivm->ram) & (BIT(INTERP_PAGE_BITS) - 1);

    for (struct interp_page *page = in->by_gpa[h]; page; page = page->next_gpa) {
        if (page->ram != ram)
            continue;
        in->stats.killed += page->blocks || page->blocks2;
        while (page->blocks)
            kill_block(in, page->blocks);
        while (page->blocks2)
            kill_block(in, page->blocks2);
    }
}

/* ---- pages ---- */

static struct interp_page *create_page(struct interp *in, uint64_t lin, const struct x86_translation *t)
{
    struct interp_page *page = interp_arena(in, sizeof(*page));
    uint64_t offset = lin & 4095;
    unsigned h = hash_lin(lin);

    if (!page)
        return NULL;
    *page = (struct interp_page){
        .lin = lin - offset,
        .gpa = t->gpa - offset,
        .host = (uint8_t *)t->host - offset,
        .key = (uint32_t)in->stamp & 0xffff,
        .ram = interp_ram_of(in->vcpu->vm, t->gpa - offset),
    };
    page->next_lin = in->by_lin[h];
    in->by_lin[h] = page;
    if (page->ram) {
        h = (unsigned)(page->ram - in->ivm->ram) & (BIT(INTERP_PAGE_BITS) - 1);
        page->next_gpa = in->by_gpa[h];
        in->by_gpa[h] = page;
    }
    return page;
}

struct interp_page *interp_find_page(struct x86_cpu *cpu, struct interp *in, uint64_t lin,
                                     enum interp_next *next)
{
    uint64_t lin_page = lin & ~4095ULL;
    struct x86_translation t;
    struct interp_page *page;

    for (page = in->by_lin[hash_lin(lin)]; page; page = page->next_lin) {
        if (page->lin == lin_page && page->stamp == in->stamp)
            return page;
    }
    *next = INTERP_STEP;
    if (cpu->mode == X86_MODE_64 && !interp_canonical(lin))
        return NULL;
    if (!x86_translate(cpu, lin, X86_MEM_FETCH, cpu->mmu_index, &t)) {
        *next = INTERP_FAULT;
        return NULL;
    }
    if (!t.host)
        return NULL;
    for (page = in->by_lin[hash_lin(lin)]; page; page = page->next_lin) {
        if (page->lin == lin_page && page->gpa == (t.gpa & ~4095ULL) && page->key == (in->stamp & 0xffff))
            break;
    }
    if (!page)
        page = create_page(in, lin, &t);
    if (page)
        page->stamp = in->stamp;
    return page;
}

/* ---- blocks ---- */

bool interp_admit(struct x86_cpu *cpu, struct interp *in, struct interp_block *block)
{
    struct interp_guard *guard = block->guard;
    uint64_t offset = interp_linear(cpu, block->rip) & 4095;
    unsigned first = (unsigned)MIN(block->bytes, 4096 - offset);

    if (block->page2 && block->page2->stamp != in->stamp) {
        enum interp_next next;

        if (interp_find_page(cpu, in, interp_linear(cpu, block->rip + first), &next) != block->page2) {
            kill_block(in, block);
            return false;
        }
    }
    if (!guard->verify)
        return true;
    if (memcmp(guard->bytes, block->page->host + offset, first) ||
        (block->page2 && memcmp(guard->bytes + first, block->page2->host, block->bytes - first))) {
        kill_block(in, block);
        return false;
    }
    if (interp_sealed(in, block->page->ram) && (!block->page2 || interp_sealed(in, block->page2->ram))) {
        guard->verify = false;
        if (!block->page2)
            block->op[0].fn = guard->first;
    }
    return true;
}

static void add_block(struct interp *in, struct interp_block *block)
{
    unsigned h = hash_block(block->page, block->rip);

    block->next_hash = in->hash[h];
    in->hash[h] = block;
    block->next_page = block->page->blocks;
    block->page->blocks = block;
    if (block->page2) {
        block->next_page2 = block->page2->blocks2;
        block->page2->blocks2 = block;
    }
}

static struct interp_block *find_or_build(struct x86_cpu *cpu, struct interp *in, struct interp_page *page,
                                          enum interp_next *next)
{
    uint64_t rip = cpu->s.rip;
    struct interp_block *block = in->hash[hash_block(page, rip)];

    while (block && !(block->rip == rip && block->page == page))
        block = block->next_hash;
    if (block && block->guard && !interp_admit(cpu, in, block))
        block = NULL;
    if (!block) {
        block = interp_build(cpu, in, page, next);
        if (block)
            add_block(in, block);
    }
    return block;
}

struct interp_block *interp_find(struct x86_cpu *cpu, struct interp *in, enum interp_next *next)
{
    uint64_t rip = cpu->s.rip;
    struct interp_block **slot = &in->jump[interp_jump_hash(rip)];
    struct interp_block *block = *slot;
    struct interp_page *page;

    if (likely(cpu->flat && block->rip == rip && block->page->stamp == in->stamp))
        return block; /* its guard, if there is one, looks for itself */
    in->stats.lookups++;
    cpu->uncounted = 0;
    if (unlikely(!arena_ready(in)))
        interp_flush(in);
    page = interp_find_page(cpu, in, interp_linear(cpu, rip), next);
    if (!page)
        return NULL;
    block = find_or_build(cpu, in, page, next);
    if (!block)
        return NULL;
    if (!cpu->flat && cpu->mode != X86_MODE_64 && rip + block->bytes - 1 > cpu->s.seg[X86_CS].limit) {
        *next = INTERP_STEP;
        return NULL;
    }
    *slot = block;
    return block;
}
