/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM is cut into pieces of 2 MiB, and one of 1 MiB where the size is odd. A piece is a
 * word: its physical address, and what has been done to it. Who does something takes
 * its lock bit; others who come to the same piece spin for as long as zeroing takes.
 */
#include "hv/mem/ram.h"

#include "base/bytes.h"
#include "base/list.h"
#include "hv/mem/heap.h"
#include "hv/mem/map.h"
#include "hv/thread.h"

#define PIECE_LOCK   BIT64(0)
#define PIECE_ZEROED BIT64(1)
#define PIECE_MAPPED BIT64(2) /* in the window */
#define PIECE_FLAGS  (BIT64(3) - 1)

struct guest_ram {
    struct list_node link;
    struct memory_account *account;
    uint64_t window, size;
    unsigned count;
    struct {
        uint32_t zeroed; /* atomic: how many pieces of this GiB are */
        bool one;        /* it is one block */
    } * giga;
    uint64_t piece[];
};

static struct spinlock rams_lock; /* guards rams */
static struct list_node rams = {&rams, &rams};

static uint64_t piece_size(const struct guest_ram *ram, unsigned i)
{
    return MIN(ram->size - i * MIB(2), MIB(2));
}

/* ---- life ---- */

/* There can be tens of thousands, and where this machine is itself a guest each may be its first touch of
 * that memory: others have their turns in between, and a VM with a cap or a budget is not far over it in the
 * end. */
static void free_pieces(struct guest_ram *ram)
{
    for (unsigned i = 0; i < ram->count; i++) {
        if (!ram->piece[i])
            continue;
        page_free_many(ram->piece[i] & ~PIECE_FLAGS, piece_size(ram, i) / PAGE_SIZE, ram->account);
        thread_yield();
    }
}

/* As much as can be in blocks of 1 GiB at their natural places, each cut into pieces at once. */
static bool alloc_pieces(struct guest_ram *ram)
{
    bool huge = true;

    for (unsigned i = 0; i < ram->count;) {
        uint64_t size = piece_size(ram, i), phys = PAGE_NONE;
        unsigned n = 1;

        if (huge && i % 512 == 0 && ram->count - i >= 512 && ram->size >= (i + 512) * MIB(2)) {
            phys = page_alloc_split(PAGE_MAX_ORDER, PAGE_ORDER_2M, ram->account);
            huge = phys != PAGE_NONE; /* else there are no more */
            n = huge ? 512 : 1;
            ram->giga[i / 512].one = huge;
        }
        if (phys == PAGE_NONE)
            phys = page_alloc_many(size / PAGE_SIZE, ram->account);
        if (phys == PAGE_NONE)
            return false;
        for (; n; n--, phys += MIB(2))
            ram->piece[i++] = phys;
        thread_yield();
    }
    return true;
}

int guest_ram_create(struct guest_ram **out, uint64_t size, struct memory_account *account, struct error *err)
{
    unsigned count = (unsigned)((size + MIB(2) - 1) / MIB(2)), gigs = (count + 511) / 512;
    struct guest_ram *ram;
    uint64_t before = page_free_bytes();

    if (!size || size % MIB(1))
        return error_set(err, EINVAL, "memory of %llu bytes: a multiple of 1 MiB is needed",
                         (unsigned long long)size);
    ram = size > page_total_bytes()
              ? NULL
              : heap_alloc(sizeof(*ram) + count * 8ULL + gigs * sizeof(*ram->giga), account);
    if (!ram)
        goto no_memory;
    *ram = (struct guest_ram){.account = account, .size = size, .count = count};
    ram->giga = (void *)&ram->piece[count];
    list_init(&ram->link);
    if (!alloc_pieces(ram))
        goto free_pieces;
    ram->window = map_reserve(ALIGN_UP(size, GIB(1)) - PAGE_SIZE, GIB(1));
    if (!ram->window)
        goto free_pieces;
    if (map_prepare(ram->window, size) < 0)
        goto free_window;
    spin_lock(&rams_lock);
    list_insert(&rams, &ram->link);
    spin_unlock(&rams_lock);
    *out = ram;
    return 0;

free_window:
    map_remove(ram->window, size);
free_pieces:
    free_pieces(ram);
    heap_free(ram);
no_memory:
    return error_set(err, ENOMEM, "no %llu MiB of memory: %llu MiB are free, and the limit leaves %llu MiB",
                     (unsigned long long)(size >> 20), (unsigned long long)(before >> 20),
                     (unsigned long long)((account->limit - account->used) >> 20));
}

void guest_ram_destroy(struct guest_ram *ram)
{
    if (!ram)
        return;
    spin_lock(&rams_lock);
    list_remove(&ram->link);
    spin_unlock(&rams_lock);
    map_remove(ram->window, ram->size);
    free_pieces(ram);
    heap_free(ram);
}

void *guest_ram_host(struct guest_ram *ram)
{
    return (void *)ram->window;
}

/* ---- pieces ---- */

/* Does to the piece what is asked for and has not been done; returns its address. */
static uint64_t piece_get(struct guest_ram *ram, unsigned i, uint64_t wanted)
{
    uint64_t *piece = &ram->piece[i], word = __atomic_load_n(piece, __ATOMIC_ACQUIRE), phys;

    for (;;) {
        if (!(word & PIECE_LOCK) && (word & wanted) == wanted)
            return word & ~PIECE_FLAGS;
        if (!(word & PIECE_LOCK) && __atomic_compare_exchange_n(piece, &word, word | PIECE_LOCK, false,
                                                                __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            break;
        __builtin_ia32_pause();
        word = __atomic_load_n(piece, __ATOMIC_ACQUIRE);
    }
    phys = word & ~PIECE_FLAGS;
    if (!(word & PIECE_ZEROED)) {
        memset(phys_to_virt(phys), 0, piece_size(ram, i));
        __atomic_fetch_add(&ram->giga[i / 512].zeroed, 1, __ATOMIC_RELEASE);
    }
    if (wanted & ~word & PIECE_MAPPED) {
        int error = map_add(ram->window + i * MIB(2), phys, piece_size(ram, i), MAP_RAM);

        base_assert(!error); /* map_prepare() made the tables */
    }
    __atomic_store_n(piece, word | wanted | PIECE_ZEROED, __ATOMIC_RELEASE);
    return phys;
}

uint64_t guest_ram_phys(struct guest_ram *ram, uint64_t offset, uint64_t *size)
{
    unsigned i = (unsigned)(offset / MIB(2));
    uint64_t phys;

    base_assert(offset < ram->size);
    phys = piece_get(ram, i, PIECE_ZEROED) + (offset & (MIB(2) - 1));
    if (piece_size(ram, i) < MIB(2))
        *size = PAGE_SIZE;
    else if (ram->giga[i / 512].one && __atomic_load_n(&ram->giga[i / 512].zeroed, __ATOMIC_ACQUIRE) == 512)
        *size = GIB(1);
    else
        *size = MIB(2);
    return phys;
}

bool guest_ram_ready(struct guest_ram *ram, const void *host, uint64_t len, unsigned *pieces)
{
    uint64_t at = (uint64_t)(uintptr_t)host - ram->window, end;

    if (!len || at >= ram->size)
        return true;
    end = at + MIN(len, ram->size - at);
    for (unsigned i = (unsigned)(at / MIB(2)); i < (end + MIB(2) - 1) / MIB(2); i++) {
        uint64_t word = __atomic_load_n(&ram->piece[i], __ATOMIC_ACQUIRE);

        if (word & PIECE_MAPPED)
            continue;
        if (!(word & PIECE_ZEROED)) {
            if (!*pieces)
                return false;
            --*pieces;
        }
        piece_get(ram, i, PIECE_ZEROED | PIECE_MAPPED);
    }
    return true;
}

/* The one whose window holds the address. */
static struct guest_ram *find(uint64_t virt)
{
    struct guest_ram *ram, *found = NULL;

    spin_lock(&rams_lock);
    list_for_each (ram, &rams, link) {
        if (virt - ram->window < ram->size) {
            found = ram;
            break;
        }
    }
    spin_unlock(&rams_lock);
    return found;
}

struct guest_ram *guest_ram_find(const void *host)
{
    return find((uint64_t)(uintptr_t)host);
}

bool guest_ram_fault(uint64_t virt)
{
    struct guest_ram *ram = virt >= WINDOW_BASE && virt < WINDOW_END ? find(virt) : NULL;

    if (!ram)
        return false;
    piece_get(ram, (unsigned)((virt - ram->window) / MIB(2)), PIECE_ZEROED | PIECE_MAPPED);
    return true;
}
