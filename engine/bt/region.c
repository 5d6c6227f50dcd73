/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/bt/region.h"

#include <errno.h>

#include "base/bytes.h"
#include "core/device.h"
#include "engine/bt/bt-internal.h"

#define PAGES_PER_CHUNK (KIB(64) / sizeof(struct bt_page))
/* This share of the cache may go into descriptions of pages, besides. */
#define PAGES_SHARE 16
/* A cache that is filled so often within this time is too small. */
#define SMALL_TIMES 5U
#define SMALL_NS    10000000000ULL

/* ---- making and ending ---- */

static void start(struct bt_vm *bvm, unsigned i)
{
    struct bt_regions *rs = &bvm->regions;
    struct bt_region *r = &rs->region[i];

    rs->now = i;
    r->state = BT_REGION_USED;
    r->data_used = 0;
    r->blocks = NULL;
    bvm->code.used = i ? r->code : bvm->code.fixed;
    bt_code_want_large(bvm, r->code, r->code + rs->size);
}

int bt_regions_init(struct bt_vm *bvm)
{
    struct bt_regions *rs = &bvm->regions;
    size_t size = bvm->code.size;

    rs->count = (unsigned)MIN(size / BT_REGION_MIN, (size_t)BT_REGIONS_MAX);
    rs->size = ALIGN_DOWN(size / rs->count, 4096);
    for (unsigned i = 0; i < rs->count; i++)
        rs->region[i].code = (uint32_t)(i * rs->size);
    rs->page_chunks_max = (unsigned)MAX(size / PAGES_SHARE / KIB(64), 1ULL);
    rs->page_chunk = vm_alloc(bvm->vm, rs->page_chunks_max * sizeof(*rs->page_chunk));
    if (!rs->page_chunk)
        return -ENOMEM;
    bt_regions_empty(bvm);
    return 0;
}

void bt_regions_finish(struct bt_vm *bvm)
{
    struct bt_regions *rs = &bvm->regions;

    for (unsigned i = 0; rs->page_chunk && i < rs->page_chunks_max; i++)
        vm_free(bvm->vm, rs->page_chunk[i]);
    vm_free(bvm->vm, rs->page_chunk);
    *rs = (struct bt_regions){0};
}

static void tell_gone(const struct bt_vm *bvm, uint32_t code)
{
    struct code_listener *listener = bvm->vm->code_listener;
    uint32_t first = MAX(code, (uint32_t)bvm->code.fixed);

    if (listener)
        listener->gone(listener, bvm->code.exec + first, code + bvm->regions.size - first);
}

void bt_regions_empty(struct bt_vm *bvm)
{
    struct bt_regions *rs = &bvm->regions;

    for (unsigned i = 0; i < rs->count; i++) {
        rs->region[i].state = BT_REGION_FREE;
        rs->region[i].blocks = NULL;
        rs->region[i].pages = NULL;
    }
    for (unsigned i = 0; i < rs->count; i++)
        tell_gone(bvm, rs->region[i].code);
    rs->free_pages = NULL;
    rs->page_chunks = rs->page_used = 0;
    start(bvm, 0);
}

/* ---- descriptions ---- */

static size_t code_of(const struct bt_vm *bvm)
{
    return bvm->code.used - bvm->regions.region[bvm->regions.now].code;
}

void *bt_arena(struct bt_vm *bvm, size_t size)
{
    struct bt_regions *rs = &bvm->regions;
    struct bt_region *r = &rs->region[rs->now];
    uint8_t *end = bvm->code.write + r->code + rs->size;

    size = ALIGN_UP(size, 8);
    base_assert(size <= rs->size - r->data_used - code_of(bvm));
    r->data_used += size;
    return memset(end - r->data_used, 0, size);
}

struct bt_site *bt_site_at(const struct bt_vm *bvm, uint32_t offset)
{
    return (struct bt_site *)(void *)(bvm->code.write + offset);
}

struct bt_page *bt_page_alloc(struct bt_vm *bvm)
{
    struct bt_regions *rs = &bvm->regions;
    struct bt_page *page = rs->free_pages;

    if (page) {
        rs->free_pages = page->next_lin;
        return page;
    }
    if (!rs->page_chunks || rs->page_used == PAGES_PER_CHUNK) {
        if (rs->page_chunks == rs->page_chunks_max)
            return NULL;
        if (!rs->page_chunk[rs->page_chunks])
            rs->page_chunk[rs->page_chunks] = vm_alloc(bvm->vm, PAGES_PER_CHUNK * sizeof(struct bt_page));
        if (!rs->page_chunk[rs->page_chunks])
            return NULL;
        rs->page_chunks++;
        rs->page_used = 0;
    }
    return &rs->page_chunk[rs->page_chunks - 1][rs->page_used++];
}

/* ---- how full it is ---- */

static size_t filled(const struct bt_vm *bvm)
{
    return code_of(bvm) + bvm->regions.region[bvm->regions.now].data_used;
}

static bool has_room(const struct bt_vm *bvm)
{
    const struct bt_regions *rs = &bvm->regions;

    return rs->region[rs->now].state == BT_REGION_USED &&
           filled(bvm) + BT_CODE_RESERVE + BT_ARENA_RESERVE <= rs->size;
}

size_t bt_regions_used(const struct bt_vm *bvm)
{
    const struct bt_regions *rs = &bvm->regions;
    size_t used = filled(bvm);

    for (unsigned i = 0; i < rs->count; i++) {
        if (i != rs->now && rs->region[i].state == BT_REGION_USED)
            used += rs->region[i].code_used + rs->region[i].data_used;
    }
    return used;
}

/* ---- eviction ---- */

/* Pages that have no blocks go, with the region. */
static void drop_pages(struct bt_vm *bvm, struct bt_region *r)
{
    for (size_t h = 0; h < ARRAY_SIZE(bvm->by_lin); h++) {
        struct bt_page **at = &bvm->by_lin[h], *page;

        while ((page = *at) != NULL) {
            if (page->blocks || page->blocks2) {
                at = &page->next_lin;
                continue;
            }
            *at = page->next_lin;
            bt_forget_page(page);
            page->next_lin = r->pages;
            r->pages = page;
        }
    }
}

/* With too little room the same translations are made again and again. Said once. */
static void watch_size(struct bt_vm *bvm, uint64_t now)
{
    struct bt_regions *rs = &bvm->regions;

    if (now - rs->window_start > SMALL_NS) {
        rs->window_start = now;
        rs->window_evictions = 0;
    }
    if (++rs->window_evictions < SMALL_TIMES * rs->count || rs->small_told)
        return;
    rs->small_told = true;
    vm_log(bvm->vm, LOG_WARN,
           "the code cache of %llu MiB was filled %u times within %u s: a larger --code-cache is faster",
           (unsigned long long)(bvm->code.size >> 20), SMALL_TIMES, (unsigned)(SMALL_NS / 1000000000));
}

static void evict(struct bt_vcpu *bv, struct bt_region *r)
{
    struct bt_vm *bvm = bv->bvm;
    struct vm *vm = bvm->vm;
    uint64_t seq = bvm->regions.seq + 1, began = vm->plat->ops->now(vm->plat);
    unsigned count = bt_kill_all(bvm, r->blocks, seq);

    drop_pages(bvm, r);
    r->blocks = NULL;
    r->state = BT_REGION_LEAVING;
    __atomic_store_n(&r->seq, seq, __ATOMIC_SEQ_CST);
    __atomic_store_n(&bvm->regions.seq, seq, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct bt_vcpu *other = vm->vcpu[i] ? bt_of(vm->vcpu[i]) : NULL;

        if (other && other != bv && __atomic_load_n(&other->evictions, __ATOMIC_SEQ_CST) != BT_PARKED)
            bt_ask(other, X86_REQ_ENGINE);
    }
    bvm->stats.evictions++;
    bvm->stats.evicted += count;
    watch_size(bvm, began);
    began = vm->plat->ops->now(vm->plat) - began;
    bvm->stats.evict_ns += began;
    bvm->stats.evict_ns_max = MAX(bvm->stats.evict_ns_max, began);
    vm_trace(vm, TRANSLATE, "region %u evicted: %u blocks", (unsigned)(r - bvm->regions.region), count);
}

static bool acknowledged(const struct bt_vm *bvm, uint64_t seq)
{
    const struct vm *vm = bvm->vm;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct bt_vcpu *bv = vm->vcpu[i] ? bt_of(vm->vcpu[i]) : NULL;

        if (bv && __atomic_load_n(&bv->evictions, __ATOMIC_SEQ_CST) < seq)
            return false;
    }
    return true;
}

/* Nobody knows its pages any more. */
static void reclaim(struct bt_vm *bvm, struct bt_region *r)
{
    struct bt_regions *rs = &bvm->regions;

    while (r->pages) {
        struct bt_page *page = r->pages;

        r->pages = page->next_lin;
        page->next_lin = rs->free_pages;
        rs->free_pages = page;
    }
    r->state = BT_REGION_FREE;
    tell_gone(bvm, r->code);
}

bool bt_region_next(struct bt_vcpu *bv)
{
    struct bt_vm *bvm = bv->bvm;
    struct bt_regions *rs = &bvm->regions;
    unsigned next = (rs->now + 1) % rs->count;
    struct bt_region *r = &rs->region[next];

    if (r->state == BT_REGION_USED)
        evict(bv, r);
    if (r->state == BT_REGION_LEAVING) {
        bool own = __atomic_load_n(&bv->evictions, __ATOMIC_RELAXED) >= r->seq;

        bv->next = own ? BT_STEP : BT_LOOK;
        if (!acknowledged(bvm, r->seq)) {
            bv->waits += own;
            return false;
        }
        reclaim(bvm, r);
    }
    rs->region[rs->now].code_used = (uint32_t)code_of(bvm);
    start(bvm, next);
    return true;
}

bool bt_region_ready(struct bt_vcpu *bv)
{
    return has_room(bv->bvm) || bt_region_next(bv);
}

void bt_region_used(struct bt_vcpu *bv, struct bt_block *block)
{
    struct bt_vm *bvm = bv->bvm;
    struct bt_regions *rs = &bvm->regions;
    struct bt_region *next = &rs->region[(rs->now + 1) % rs->count];

    block->next_region = rs->region[rs->now].blocks;
    rs->region[rs->now].blocks = block;
    if (unlikely(filled(bvm) > rs->size / 2) && next->state == BT_REGION_USED && next != &rs->region[rs->now])
        evict(bv, next);
}

/* ---- the vCPU's side ---- */

/*
 * Whatever a vCPU keeps of blocks from one entry into translated code to the next goes here: tables for
 * indirect branches and numbers of pages. (Return addresses on its shadow stack go with each entry.)
 */
static void forget_region(struct bt_vcpu *bv, const struct bt_region *r)
{
    uint32_t *entry = &bv->frame->jump[0][0], size = (uint32_t)bv->bvm->regions.size;
    uint32_t stub = (uint32_t)(uintptr_t)bv->bvm->code.exec;

    for (size_t i = 0; i < sizeof(bv->frame->jump) / sizeof(*entry); i++) {
        if (entry[i] - stub - r->code < size)
            entry[i] = stub;
    }
}

bool bt_see_evictions(struct bt_vcpu *bv)
{
    struct bt_regions *rs = &bv->bvm->regions;
    uint64_t seq = __atomic_load_n(&rs->seq, __ATOMIC_SEQ_CST);

    if (likely(bv->evictions_seen == seq))
        return false;
    for (unsigned i = 0; i < rs->count; i++) {
        if (__atomic_load_n(&rs->region[i].seq, __ATOMIC_RELAXED) > bv->evictions_seen)
            forget_region(bv, &rs->region[i]);
    }
    bt_lock(bv->bvm); /* who was outside has been counted: its pages may be others' in the making */
    bt_forget_gone(bv);
    bt_unlock(bv->bvm);
    bv->evictions_seen = seq;
    x86_thunk_serialize();
    __atomic_store_n(&bv->evictions, seq, __ATOMIC_SEQ_CST);
    return true;
}
