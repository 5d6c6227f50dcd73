/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/mem/page.h"

#include "base/bytes.h"
#include "base/list.h"

/* What a page's byte says: the first page of a block is free or used, with its order; all others are 0. */
#define STATE_FREE 0x40U
#define STATE_USED 0x80U

struct memory_account memory_own = {.name = "batuta-hv", .limit = ~0ULL};

static struct {
    struct spinlock lock; /* guards all of it */
    uint8_t *state;
    uint64_t first, end; /* page numbers */
    uint64_t free_pages, total_pages;
    struct list_node free[PAGE_MAX_ORDER + 1]; /* the nodes lie in the free blocks themselves */
} pages;

void page_init(uint64_t low, uint64_t high, uint8_t *map)
{
    pages.state = map;
    pages.first = low / PAGE_SIZE;
    pages.end = high / PAGE_SIZE;
    memset(map, 0, pages.end - pages.first);
    for (unsigned i = 0; i <= PAGE_MAX_ORDER; i++)
        list_init(&pages.free[i]);
}

/* ---- blocks; lock held ---- */

static struct list_node *node_of(uint64_t page)
{
    return phys_to_virt(page * PAGE_SIZE);
}

static uint8_t *state_of(uint64_t page)
{
    base_assert(page >= pages.first && page < pages.end);
    return &pages.state[page - pages.first];
}

static void put_block(uint64_t page, unsigned order)
{
    pages.free_pages += 1ULL << order;
    for (; order < PAGE_MAX_ORDER; order++) {
        uint64_t buddy = page ^ 1ULL << order;

        if (buddy < pages.first || buddy >= pages.end || *state_of(buddy) != (STATE_FREE | order))
            break;
        list_remove(node_of(buddy));
        *state_of(buddy) = 0;
        page = MIN(page, buddy);
    }
    *state_of(page) = (uint8_t)(STATE_FREE | order);
    list_insert(pages.free[order].next, node_of(page));
}

/* A page number, or PAGE_NONE. */
static uint64_t take_block(unsigned order)
{
    unsigned from = order;
    uint64_t page;

    while (from <= PAGE_MAX_ORDER && list_empty(&pages.free[from]))
        from++;
    if (from > PAGE_MAX_ORDER)
        return PAGE_NONE;
    page = ((uint64_t)(uintptr_t)pages.free[from].next - DIRECT_BASE) / PAGE_SIZE;
    list_remove(node_of(page));
    *state_of(page) = 0;
    while (from > order) {
        uint64_t half = page + (1ULL << --from);

        *state_of(half) = (uint8_t)(STATE_FREE | from);
        list_insert(pages.free[from].next, node_of(half));
    }
    pages.free_pages -= 1ULL << order;
    return page;
}

/* The largest block that begins at the page and ends at `end` at the latest. */
static unsigned order_at(uint64_t page, uint64_t end)
{
    unsigned order = 0;

    while (order < PAGE_MAX_ORDER && !(page & ((2ULL << order) - 1)) && page + (2ULL << order) <= end)
        order++;
    return order;
}

static void free_blocks(uint64_t page, uint64_t count)
{
    for (uint64_t end = page + count; page < end;) {
        unsigned order = order_at(page, end);

        base_assert(*state_of(page) == (STATE_USED | order));
        *state_of(page) = 0;
        put_block(page, order);
        page += 1ULL << order;
    }
}

void page_add(uint64_t phys, uint64_t size)
{
    uint64_t page = phys / PAGE_SIZE, end = (phys + size) / PAGE_SIZE;

    spin_lock(&pages.lock);
    pages.total_pages += end - page;
    while (page < end) {
        unsigned order = order_at(page, end);

        base_assert(*state_of(page) == 0);
        put_block(page, order);
        page += 1ULL << order;
    }
    spin_unlock(&pages.lock);
}

/* ---- accounts ---- */

static bool charge(struct memory_account *account, uint64_t bytes)
{
    uint64_t used = __atomic_load_n(&account->used, __ATOMIC_RELAXED);

    do {
        if (bytes > account->limit || used > account->limit - bytes)
            return false;
    } while (!__atomic_compare_exchange_n(&account->used, &used, used + bytes, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

static void note_peak(struct memory_account *account)
{
    uint64_t used = __atomic_load_n(&account->used, __ATOMIC_RELAXED);
    uint64_t peak = __atomic_load_n(&account->peak, __ATOMIC_RELAXED);

    while (peak < used && !__atomic_compare_exchange_n(&account->peak, &peak, used, true, __ATOMIC_RELAXED,
                                                       __ATOMIC_RELAXED)) {
    }
}

static void uncharge(struct memory_account *account, uint64_t bytes)
{
    uint64_t before = __atomic_fetch_sub(&account->used, bytes, __ATOMIC_RELAXED);

    base_assert(before >= bytes);
}

uint64_t page_alloc_many(uint64_t count, struct memory_account *account)
{
    unsigned order = 0;
    uint64_t page;

    if (!count || count > 1ULL << PAGE_MAX_ORDER || !charge(account, count * PAGE_SIZE))
        return PAGE_NONE;
    while (1ULL << order < count)
        order++;
    spin_lock(&pages.lock);
    page = take_block(order);
    if (page != PAGE_NONE) {
        uint64_t end = page + count, rest = page + (1ULL << order);

        for (uint64_t at = page; at < end; at += 1ULL << order_at(at, end))
            *state_of(at) = (uint8_t)(STATE_USED | order_at(at, end));
        for (uint64_t at = end; at < rest; at += 1ULL << order_at(at, rest))
            put_block(at, order_at(at, rest));
    }
    spin_unlock(&pages.lock);
    if (page == PAGE_NONE) {
        uncharge(account, count * PAGE_SIZE);
        return PAGE_NONE;
    }
    note_peak(account);
    return page * PAGE_SIZE;
}

void page_free_many(uint64_t phys, uint64_t count, struct memory_account *account)
{
    spin_lock(&pages.lock);
    free_blocks(phys / PAGE_SIZE, count);
    spin_unlock(&pages.lock);
    uncharge(account, count * PAGE_SIZE);
}

uint64_t page_alloc_split(unsigned order, unsigned piece, struct memory_account *account)
{
    uint64_t phys = page_alloc(order, account), page = phys / PAGE_SIZE;

    if (phys == PAGE_NONE)
        return PAGE_NONE;
    spin_lock(&pages.lock);
    for (uint64_t at = page; at < page + (1ULL << order); at += 1ULL << piece)
        *state_of(at) = (uint8_t)(STATE_USED | piece);
    spin_unlock(&pages.lock);
    return phys;
}

uint64_t page_alloc(unsigned order, struct memory_account *account)
{
    return order > PAGE_MAX_ORDER ? PAGE_NONE : page_alloc_many(1ULL << order, account);
}

void page_free(uint64_t phys, unsigned order, struct memory_account *account)
{
    page_free_many(phys, 1ULL << order, account);
}

uint64_t page_free_bytes(void)
{
    return __atomic_load_n(&pages.free_pages, __ATOMIC_RELAXED) * PAGE_SIZE;
}

uint64_t page_total_bytes(void)
{
    return pages.total_pages * PAGE_SIZE;
}
