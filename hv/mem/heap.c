/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Up to 1984 bytes: a page cut into equal pieces behind a header of 64 bytes, one set
 * of such pages an account, so that no two VMs share one. Above: whole pages, written
 * down in a hash table, as there is no room for a header beside them. A small piece is never at the
 * beginning of a page, which tells the two apart.
 */
#include "hv/mem/heap.h"

#include "base/bytes.h"
#include "base/spin.h"

#define SLAB_HEADER 64U
#define SLAB_MAGIC  0x62617475U

static const uint16_t class_size[HEAP_CLASSES] = {64, 128, 192, 256, 384, 576, 768, 960, 1344, 1984};

struct heap_slab {
    uint32_t magic;
    uint16_t class;
    uint16_t used;
    struct memory_account *account;
    struct heap_slab *next, **back; /* among the account's slabs with room; back is NULL when full */
    void *free;                     /* linked through their first word */
};

struct large {
    struct large *next;
    void *p;
    uint64_t pages;
    struct memory_account *account;
};

static struct {
    struct spinlock lock; /* guards the rest */
    struct large *bucket[256];
} larges;

/* ---- small ---- */

static void slab_link(struct heap_slab *slab)
{
    struct heap_slab **head = &slab->account->slabs[slab->class];

    slab->next = *head;
    slab->back = head;
    if (slab->next)
        slab->next->back = &slab->next;
    *head = slab;
}

static void slab_unlink(struct heap_slab *slab)
{
    *slab->back = slab->next;
    if (slab->next)
        slab->next->back = slab->back;
    slab->back = NULL;
}

static struct heap_slab *slab_create(unsigned class, struct memory_account *account)
{
    uint64_t phys = page_alloc(0, account);
    struct heap_slab *slab;

    if (phys == PAGE_NONE)
        return NULL;
    slab = phys_to_virt(phys);
    *slab = (struct heap_slab){.magic = SLAB_MAGIC, .class = (uint16_t) class, .account = account};
    for (unsigned at = SLAB_HEADER; at + class_size[class] <= PAGE_SIZE; at += class_size[class]) {
        void **piece = (void **)((uint8_t *)slab + at);

        *piece = slab->free;
        slab->free = piece;
    }
    slab_link(slab);
    return slab;
}

static void slab_destroy(struct heap_slab *slab)
{
    slab_unlink(slab);
    slab->magic = 0;
    page_free((uint64_t)(uintptr_t)slab - DIRECT_BASE, 0, slab->account);
}

static void *small_alloc(size_t size, struct memory_account *account)
{
    struct heap_slab *slab;
    unsigned class = 0;
    void *piece = NULL;

    while (class_size[class] < size)
        class ++;
    spin_lock(&account->lock);
    slab = account->slabs[class];
    if (!slab)
        slab = slab_create(class, account);
    if (slab) {
        piece = slab->free;
        slab->free = *(void **)piece;
        slab->used++;
        if (!slab->free)
            slab_unlink(slab);
    }
    spin_unlock(&account->lock);
    return piece ? memset(piece, 0, class_size[class]) : NULL;
}

static void small_free(void *p)
{
    struct heap_slab *slab = (struct heap_slab *)ALIGN_DOWN((uintptr_t)p, PAGE_SIZE);
    struct memory_account *account = slab->account;

    base_assert(slab->magic == SLAB_MAGIC);
    spin_lock(&account->lock);
    base_assert(slab->used);
    *(void **)p = slab->free;
    slab->free = p;
    slab->used--;
    if (!slab->back)
        slab_link(slab);
    /* One empty page of each size is kept, as who frees allocates again. */
    if (!slab->used && (slab->next || account->slabs[slab->class] != slab))
        slab_destroy(slab);
    spin_unlock(&account->lock);
}

void heap_trim(struct memory_account *account)
{
    spin_lock(&account->lock);
    for (unsigned i = 0; i < HEAP_CLASSES; i++) {
        for (struct heap_slab *slab = account->slabs[i], *next; slab; slab = next) {
            next = slab->next;
            if (!slab->used)
                slab_destroy(slab);
        }
    }
    spin_unlock(&account->lock);
}

/* ---- large ---- */

static struct large **bucket_of(const void *p)
{
    return &larges.bucket[((uintptr_t)p / PAGE_SIZE * 0x9e3779b97f4a7c15ULL) >> 56];
}

static void *large_alloc(size_t size, struct memory_account *account)
{
    uint64_t count = ((uint64_t)size + PAGE_SIZE - 1) / PAGE_SIZE, phys;
    struct large *large, **bucket;

    if (size > GIB(1))
        return NULL;
    large = small_alloc(sizeof(*large), account);
    if (!large)
        return NULL;
    phys = page_alloc_many(count, account);
    if (phys == PAGE_NONE) {
        small_free(large);
        return NULL;
    }
    *large = (struct large){.p = phys_to_virt(phys), .pages = count, .account = account};
    bucket = bucket_of(large->p);
    spin_lock(&larges.lock);
    large->next = *bucket;
    *bucket = large;
    spin_unlock(&larges.lock);
    return memset(large->p, 0, count * PAGE_SIZE);
}

static void large_free(void *p)
{
    struct large **at = bucket_of(p), *large;

    spin_lock(&larges.lock);
    while (*at && (*at)->p != p)
        at = &(*at)->next;
    large = *at;
    base_assert(large);
    *at = large->next;
    spin_unlock(&larges.lock);
    page_free_many((uint64_t)(uintptr_t)p - DIRECT_BASE, large->pages, large->account);
    small_free(large);
}

void *heap_alloc(size_t size, struct memory_account *account)
{
    return size <= class_size[HEAP_CLASSES - 1] ? small_alloc(size, account) : large_alloc(size, account);
}

void heap_free(void *p)
{
    if (!p)
        return;
    if ((uintptr_t)p % PAGE_SIZE)
        small_free(p);
    else
        large_free(p);
}
