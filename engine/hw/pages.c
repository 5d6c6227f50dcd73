/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nested page tables: from guest-physical to the machine's addresses, filled where
 * the guest first touches its memory. They hold the VM's own RAM, ROMs without the
 * right to write, and nothing else: whatever else a guest addresses ends in an exit.
 *
 * Entries are only added, under h->lock, so several vCPUs may fault at once; the
 * processors walk meanwhile. Rights are taken away by dirty tracking only: then
 * pages are small, a page that may be written is one that was, and collecting takes
 * the right away again. This needs no dirty bits, which not every processor keeps.
 */
#include "core/device.h"
#include "engine/hw/hw.h"

#define ENTRIES 512U
#define THERE   BIT64(0)
#define WRITE   BIT64(1)
#define PAGE    BIT64(7) /* of an entry above the lowest level: it maps a large page */
#define ADDRESS 0x000ffffffffff000ULL
#define LEVELS  4U

static unsigned index_of(uint64_t gpa, unsigned level)
{
    return gpa >> (12 + 9 * (level - 1)) & (ENTRIES - 1);
}

static uint64_t *table_of(uint64_t entry)
{
    return metal_virt(entry & ADDRESS);
}

static bool is_page(uint64_t entry, unsigned level)
{
    return level == 1 || entry & PAGE;
}

/* Tables are whole when their entry appears. */
static void publish(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static uint64_t *table_create(struct hw_vm *h)
{
    uint64_t *table = vm_alloc(h->vm, MEM_PAGE);

    h->tables += table ? 1 : 0;
    return table;
}

static void table_destroy(struct hw_vm *h, uint64_t *table, unsigned level)
{
    for (unsigned i = 0; level > 1 && i < ENTRIES; i++) {
        if (table[i] & THERE && !is_page(table[i], level))
            table_destroy(h, table_of(table[i]), level - 1);
    }
    h->tables--;
    vm_free(h->vm, table);
}

int hw_pages_init(struct hw_vm *h)
{
    h->vm->plat->ops->lock_init(h->vm->plat, &h->lock);
    h->root = table_create(h);
    return h->root ? 0 : -ENOMEM;
}

void hw_pages_finish(struct hw_vm *h)
{
    if (h->root)
        table_destroy(h, h->root, LEVELS);
    h->root = NULL;
}

/* ---- filling ---- */

/* What a fault asks for: a piece of the machine's memory that holds gpa. */
struct piece {
    uint64_t phys; /* of gpa's page */
    uint64_t size; /* how large a page around it may be */
    bool rom;
};

/* Does [start, start + size) lie in this piece of RAM alone? ROMs come first in the list and hide it. */
static bool alone_in(const struct vm *vm, const struct mem_ram *ram, uint64_t start, uint64_t size)
{
    if (start < ram->gpa || start - ram->gpa + size > ram->size)
        return false;
    for (const struct mem_ram *r = vm->mem.ram; r < ram; r++) {
        if (r->gpa < start + size && start < r->gpa + r->size)
            return false;
    }
    return true;
}

static bool find_piece(const struct hw_vm *h, uint64_t gpa, struct piece *piece)
{
    const struct mem_ram *ram = mem_find(h->vm, gpa);
    uint64_t offset, size;

    if (!ram)
        return false;
    offset = ALIGN_DOWN(gpa, MEM_PAGE) - ram->gpa;
    if (ram->rom) {
        const uint8_t *host = ram->host + offset;

        /* Nothing that lies beside a ROM in the same page is the guest's: such a page is read by software. */
        if (ram->size - offset < MEM_PAGE || (uintptr_t)host % MEM_PAGE)
            return false;
        *piece = (struct piece){.phys = metal_phys(host), .size = MEM_PAGE, .rom = true};
        return true;
    }
    piece->phys = metal_ram(h->vm, ram->offset + offset, &size);
    piece->rom = false;
    piece->size = MEM_PAGE;
    if (h->tracked)
        return true;
    for (unsigned level = 3; level > 1; level--) {
        uint64_t page = BIT64(12 + 9 * (level - 1)), inside = gpa & (page - 1) & ~(uint64_t)(MEM_PAGE - 1);

        if (!(level == 3 ? h->format->huge : h->format->large) || size < page)
            continue;
        /* The guest's address and the machine's must be equal in the page, and all of it the VM's. */
        if ((piece->phys & (page - 1)) == inside && alone_in(h->vm, ram, gpa & ~(page - 1), page)) {
            piece->size = page;
            return true;
        }
    }
    return true;
}

static uint64_t page_entry(const struct hw_vm *h, const struct piece *piece, unsigned level, bool write)
{
    uint64_t page = BIT64(12 + 9 * (level - 1)), entry = h->format->leaf | (piece->phys & ~(page - 1));

    if (level > 1)
        entry = (entry | PAGE) & ~h->format->execute;
    if (piece->rom || (h->tracked && !write))
        entry &= ~WRITE;
    return entry;
}

/*
 * A large page that may not be executed becomes a table of smaller ones; the smallest may be. What other
 * processors still know of it leads to the same place, with no more rights. NULL: no memory.
 */
static uint64_t *split(struct hw_vm *h, uint64_t *entry, unsigned level)
{
    uint64_t *table = table_create(h), first = *entry;

    if (!table)
        return NULL;
    if (level == 2)
        first = (first & ~PAGE) | h->format->execute;
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = first + i * BIT64(12 + 9 * (level - 2));
    publish(entry, h->format->table | metal_phys(table));
    return table;
}

/* Lock held. False: no memory for a table. */
static bool fill(struct hw_vm *h, uint64_t gpa, const struct piece *piece, unsigned access)
{
    bool executes = access & HW_FETCH && h->format->execute;
    uint64_t *table = h->root;

    for (unsigned level = LEVELS; table; level--) {
        uint64_t *entry = &table[index_of(gpa, level)], *lower;

        /* Where smaller pages are already, one of those. */
        if (level == 1 ||
            (piece->size >= BIT64(12 + 9 * (level - 1)) && (!(*entry & THERE) || is_page(*entry, level)))) {
            publish(entry, page_entry(h, piece, level, access & HW_WRITE || *entry & WRITE));
            return true;
        }
        if (*entry & THERE) {
            if (is_page(*entry, level) && !executes) /* another vCPU was here, and larger */
                return true;
            table = is_page(*entry, level) ? split(h, entry, level) : table_of(*entry);
            continue;
        }
        lower = table_create(h);
        if (lower)
            publish(entry, h->format->table | metal_phys(lower));
        table = lower;
    }
    return false;
}

bool hw_pages_fill(struct hw_vm *h, uint64_t gpa, unsigned access)
{
    struct plat *plat = h->vm->plat;
    struct piece piece;
    bool done;

    if (gpa >> (12 + 9 * LEVELS) || !find_piece(h, gpa, &piece) || (piece.rom && access & HW_WRITE))
        return false;
    plat->ops->lock(plat, &h->lock);
    if (h->tracked || (access & HW_FETCH && h->format->execute))
        piece.size = MEM_PAGE;
    done = fill(h, gpa, &piece, access);
    plat->ops->unlock(plat, &h->lock);
    if (!done) {
        vm_log(h->vm, LOG_ERROR, "no memory for page tables of the guest: the VM's limit leaves too little");
        vm_lock(h->vm);
        vm_request_shutdown(h->vm, VM_SHUTDOWN_ERROR);
        vm_unlock(h->vm);
    }
    return true;
}

/* ---- rights taken away ---- */

void hw_pages_flush(struct hw_vm *h)
{
    uint64_t now = __atomic_add_fetch(&h->flushes, 1, __ATOMIC_SEQ_CST);

    for (unsigned i = 0; i < h->vm->vcpu_count; i++) {
        struct vcpu *vcpu = h->vm->vcpu[i];
        const struct hw_vcpu *v = vcpu ? hw_vcpu_of(vcpu) : NULL;

        if (!v || __atomic_load_n(&v->in, __ATOMIC_SEQ_CST) != HW_IN_GUEST)
            continue;
        metal_kick(vcpu);
        while (__atomic_load_n(&v->in, __ATOMIC_SEQ_CST) == HW_IN_GUEST &&
               __atomic_load_n(&v->flushed, __ATOMIC_SEQ_CST) < now)
            __builtin_ia32_pause();
    }
}

int hw_dirty_track(struct vm *vm, bool on)
{
    struct hw_vm *h = hw_vm_of(vm);
    struct plat *plat = vm->plat;
    uint64_t *old = vm_alloc(vm, MEM_PAGE);

    if (!old)
        return -ENOMEM;
    /* All tables go, so that they are made anew of pages of the right size. */
    plat->ops->lock(plat, &h->lock);
    h->tracked = on;
    h->tables++;
    for (unsigned i = 0; i < ENTRIES; i++) {
        old[i] = h->root[i];
        publish(&h->root[i], 0);
    }
    plat->ops->unlock(plat, &h->lock);
    hw_pages_flush(h);
    table_destroy(h, old, LEVELS);
    return 0;
}

/* Pages that may be written were; they no longer may. */
static bool collect(struct hw_vm *h, uint64_t *table, unsigned level, uint64_t gpa)
{
    bool any = false;

    for (unsigned i = 0; i < ENTRIES; i++, gpa += BIT64(12 + 9 * (level - 1))) {
        if (!(table[i] & THERE))
            continue;
        if (!is_page(table[i], level)) {
            any |= collect(h, table_of(table[i]), level - 1, gpa);
        } else if (table[i] & WRITE) {
            __atomic_fetch_and(&table[i], ~WRITE, __ATOMIC_SEQ_CST);
            mem_written(h->vm, gpa, MEM_PAGE);
            any = true;
        }
    }
    return any;
}

int hw_dirty_collect(struct vm *vm)
{
    struct hw_vm *h = hw_vm_of(vm);
    bool any;

    if (!h->tracked)
        return 0;
    vm->plat->ops->lock(vm->plat, &h->lock);
    any = collect(h, h->root, LEVELS, 0);
    vm->plat->ops->unlock(vm->plat, &h->lock);
    if (any)
        hw_pages_flush(h);
    return 0;
}
