/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries are Intel's and AMD's alike (SDM 3A 4.5, APM 2 5.3). Tables are made under
 * a lock; an entry of a window belongs to who reserved it. Unmapping bumps
 * `generation`; each processor notes up to where it has flushed its TLB, at the latest when
 * poked, and who unmaps waits for all. Nobody waits for that with a lock
 * held, so no processor spins on what a waiting one has.
 */
#include "hv/mem/map.h"

#include "base/bytes.h"
#include "hv/boot/boot-info.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/panic.h"

#define PTE_P       BIT64(0)
#define PTE_W       BIT64(1)
#define PTE_U       BIT64(2)
#define PTE_PWT     BIT64(3)
#define PTE_PCD     BIT64(4)
#define PTE_A       BIT64(5)
#define PTE_D       BIT64(6)
#define PTE_PS      BIT64(7)
#define PTE_PAT_4K  BIT64(7)
#define PTE_PAT_BIG BIT64(12)
#define PTE_NX      BIT64(63)
#define PTE_ADDRESS 0x000ffffffffff000ULL

extern uint8_t image_start[], text_start[], text_end[], rodata_start[], data_start[], boot_guard[],
    boot_stack[], image_end[];

static struct {
    struct spinlock lock;     /* guards making and freeing tables */
    uint64_t *root;           /* level 4 */
    struct list_node windows; /* and these */
    uint64_t next;            /* where to look for room */
    uint64_t generation;      /* atomic */
    uint64_t nx;              /* PTE_NX, or 0 on a processor without it */
    bool huge;                /* has 1 GiB pages */
} map = {.windows = {&map.windows, &map.windows}, .next = WINDOW_BASE, .generation = 1};

/* ---- room ---- */

struct window {
    struct list_node link; /* in map.windows, sorted */
    uint64_t virt, size;
};

uint64_t map_reserve(uint64_t size, uint64_t align)
{
    struct window *w, *new = heap_alloc(sizeof(*new), &memory_own);
    uint64_t at, first;

    if (!new)
        return 0;
    align = MAX(align, PAGE_SIZE);
    size = ALIGN_UP(size, (uint64_t)PAGE_SIZE) + PAGE_SIZE; /* and a hole behind */
    spin_lock(&map.lock);
    /* Behind what was given last, then from the beginning: an address is not seen again for long. */
    for (at = first = ALIGN_UP(map.next, align);;) {
        bool fits = at + size <= WINDOW_END;

        list_for_each (w, &map.windows, link) {
            if (w->virt >= at + size)
                break;
            if (w->virt + w->size > at) {
                at = ALIGN_UP(w->virt + w->size, align);
                fits = at + size <= WINDOW_END;
            }
        }
        if (fits || first == WINDOW_BASE)
            break;
        at = first = WINDOW_BASE;
    }
    base_assert(at + size <= WINDOW_END);
    *new = (struct window){.virt = at, .size = size};
    list_insert(&w->link, &new->link);
    map.next = at + size;
    spin_unlock(&map.lock);
    return at;
}

static void window_release(uint64_t virt)
{
    struct window *w;

    spin_lock(&map.lock);
    list_for_each (w, &map.windows, link) {
        if (w->virt == virt)
            break;
    }
    base_assert(&w->link != &map.windows);
    list_remove(&w->link);
    spin_unlock(&map.lock);
    heap_free(w);
}

/* ---- tables ---- */

static uint64_t flags_of(enum map_kind kind, bool big)
{
    static const uint64_t flags[] = {
        [MAP_RAM] = PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX,
        [MAP_RAM_READ] = PTE_P | PTE_A | PTE_NX,
        [MAP_CODE] = PTE_P | PTE_A,
        [MAP_DEVICE] = PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX | PTE_PCD | PTE_PWT,
        [MAP_FRAMEBUFFER] = PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX,
    };
    uint64_t f = flags[kind];

    if (kind == MAP_FRAMEBUFFER) /* write-combining, by cpu_features_on()'s PAT */
        f |= big ? PTE_PAT_BIG : PTE_PAT_4K;
    if (big)
        f |= PTE_PS;
    return f & (map.nx | ~PTE_NX);
}

static uint64_t *table_of(uint64_t entry)
{
    return phys_to_virt(entry & PTE_ADDRESS);
}

/* The entry for virt at a level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB). NULL: there is no table, or something larger
 * is mapped; with create: no memory. */
static uint64_t *entry_of(uint64_t virt, unsigned level, bool create)
{
    uint64_t *table = map.root;

    for (unsigned l = 4; l > level; l--) {
        uint64_t *entry = &table[virt >> (12 + 9 * (l - 1)) & 511];

        if (*entry & PTE_PS)
            return NULL;
        if (!(*entry & PTE_P)) {
            uint64_t phys = create ? page_alloc(0, &memory_own) : PAGE_NONE;

            if (phys == PAGE_NONE)
                return NULL;
            memset(phys_to_virt(phys), 0, PAGE_SIZE);
            __atomic_store_n(entry, phys | PTE_P | PTE_W | PTE_A, __ATOMIC_RELEASE);
        }
        table = table_of(*entry);
    }
    return &table[virt >> (12 + 9 * (level - 1)) & 511];
}

static unsigned level_for(uint64_t virt, uint64_t phys, uint64_t size)
{
    uint64_t all = virt | phys;

    if (map.huge && virt < WINDOW_BASE && !(all & (GIB(1) - 1)) && size >= GIB(1))
        return 3;
    return !(all & (MIB(2) - 1)) && size >= MIB(2) ? 2 : 1;
}

/* Clears [from, to) in a table of the level and below. True: the table is empty now. Empty ones below go on
 * a list through their first word, which still says "not present" to a processor. */
static bool clear_range(uint64_t *table, unsigned level, uint64_t from, uint64_t to, uint64_t *gone)
{
    uint64_t step = 1ULL << (12 + 9 * (level - 1)), next;

    for (; from < to; from = next) {
        uint64_t *entry = &table[from / step & 511], *below = table_of(*entry);

        next = MIN(to, ALIGN_DOWN(from, step) + step);
        if (!(*entry & PTE_P))
            continue;
        if (level == 1 || *entry & PTE_PS) {
            __atomic_store_n(entry, 0, __ATOMIC_RELAXED);
        } else if (clear_range(below, level - 1, from, next, gone)) {
            __atomic_store_n(entry, 0, __ATOMIC_RELAXED);
            below[0] = *gone;
            *gone = (uint64_t)(uintptr_t)below - DIRECT_BASE;
        }
    }
    for (unsigned i = 0; i < 512; i++) {
        if (table[i])
            return false;
    }
    return true;
}

static void free_tables(uint64_t gone)
{
    while (gone) {
        uint64_t next = *(uint64_t *)phys_to_virt(gone);

        page_free(gone, 0, &memory_own);
        gone = next;
    }
}

int map_add(uint64_t virt, uint64_t phys, uint64_t size, enum map_kind kind)
{
    uint64_t at = 0, gone = 0;
    int ret = 0;

    spin_lock(&map.lock);
    while (at < size) {
        unsigned level = level_for(virt + at, phys + at, size - at);
        uint64_t *entry = entry_of(virt + at, level, true);

        if (!entry) {
            clear_range(map.root, 4, virt, virt + at, &gone); /* nobody has seen it */
            ret = -ENOMEM;
            break;
        }
        base_assert(!(*entry & PTE_P));
        __atomic_store_n(entry, (phys + at) | flags_of(kind, level > 1), __ATOMIC_RELEASE);
        at += 1ULL << (12 + 9 * (level - 1));
    }
    spin_unlock(&map.lock);
    free_tables(gone);
    return ret;
}

int map_prepare(uint64_t virt, uint64_t size)
{
    int ret = 0;

    spin_lock(&map.lock);
    for (uint64_t at = 0; at < size && !ret; at += MIB(2)) {
        if (!entry_of(virt + at, size - at >= MIB(2) ? 2 : 1, true))
            ret = -ENOMEM;
    }
    spin_unlock(&map.lock);
    return ret;
}

uint64_t map_lookup(uint64_t virt)
{
    for (unsigned level = 1; level <= 3; level++) {
        const uint64_t *entry = entry_of(virt, level, false);
        uint64_t mask = (1ULL << (12 + 9 * (level - 1))) - 1;

        if (entry && *entry & PTE_P && (level == 1 || *entry & PTE_PS))
            return (*entry & PTE_ADDRESS & ~mask) | (virt & mask);
    }
    return PAGE_NONE;
}

uint64_t virt_to_phys(const void *p)
{
    uint64_t virt = (uint64_t)(uintptr_t)p, phys;

    if (virt >= (uint64_t)(uintptr_t)image_start && virt < (uint64_t)(uintptr_t)image_end)
        return virt - (uint64_t)(uintptr_t)image_start + boot_info.image_phys;
    if (virt >= DIRECT_BASE && virt < WINDOW_BASE)
        return virt - DIRECT_BASE;
    phys = map_lookup(virt);
    base_assert(phys != PAGE_NONE);
    return phys;
}

static bool table_is_safe(const uint64_t *table, unsigned level)
{
    for (unsigned i = 0; i < 512; i++) {
        uint64_t entry = table[i];

        if (!(entry & PTE_P))
            continue;
        if (entry & PTE_U)
            return false;
        if (level > 1 && !(entry & PTE_PS) ? !table_is_safe(table_of(entry), level - 1)
                                           : entry & PTE_W && !(entry & map.nx))
            return false;
    }
    return true;
}

bool map_is_safe(void)
{
    bool safe;

    spin_lock(&map.lock);
    safe = table_is_safe(map.root, 4);
    spin_unlock(&map.lock);
    return safe;
}

/* ---- removal on all processors ---- */

void map_catch_up(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t generation = __atomic_load_n(&map.generation, __ATOMIC_SEQ_CST);

    if (cpu->map_generation == generation)
        return;
    write_cr3(read_cr3());
    __atomic_store_n(&cpu->map_generation, generation, __ATOMIC_SEQ_CST);
}

static void flush_everywhere(void)
{
    uint64_t wanted = __atomic_add_fetch(&map.generation, 1, __ATOMIC_SEQ_CST);

    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i] != cpu_this())
            cpu_poke(cpus[i]);
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        while (__atomic_load_n(&cpus[i]->map_generation, __ATOMIC_SEQ_CST) < wanted) {
            map_catch_up(); /* somebody else may wait for us, too */
            cpu_pause();
        }
    }
}

void map_remove(uint64_t virt, uint64_t size)
{
    uint64_t gone = 0;

    spin_lock(&map.lock);
    clear_range(map.root, 4, virt, virt + size, &gone);
    spin_unlock(&map.lock);
    flush_everywhere();
    free_tables(gone);
    if (virt >= WINDOW_BASE && virt < WINDOW_END)
        window_release(virt);
}

/* ---- windows for devices ---- */

static void *map_window(uint64_t phys, uint64_t size, enum map_kind kind)
{
    uint64_t base = ALIGN_DOWN(phys, PAGE_SIZE), len = ALIGN_UP(phys + size, PAGE_SIZE) - base;
    uint64_t virt = map_reserve(len, len >= MIB(2) ? MIB(2) : PAGE_SIZE);

    if (!virt)
        return NULL;
    if (map_add(virt, base, len, kind) < 0) {
        window_release(virt);
        return NULL;
    }
    return (void *)(virt + (phys - base));
}

void *map_device(uint64_t phys, uint64_t size)
{
    return map_window(phys, size, MAP_DEVICE);
}

void *map_framebuffer(uint64_t phys, uint64_t size)
{
    return map_window(phys, size, MAP_FRAMEBUFFER);
}

const void *map_read_only(uint64_t phys, uint64_t size)
{
    uint64_t virt = DIRECT_BASE + phys;

    for (uint64_t at = 0;; at += PAGE_SIZE) {
        if (at >= size + PAGE_SIZE)
            return phys_to_virt(phys);
        if (map_lookup(virt + MIN(at, size ? size - 1 : 0)) == PAGE_NONE)
            return map_window(phys, size, MAP_RAM_READ);
    }
}

/* ---- boot ---- */

static void must(int error)
{
    if (error)
        panic("no memory for the page tables");
}

static void map_image(const uint8_t *from, const uint8_t *to, enum map_kind kind)
{
    must(map_add((uint64_t)(uintptr_t)from, virt_to_phys(from),
                 ALIGN_UP((uint64_t)(to - from), (uint64_t)PAGE_SIZE), kind));
}

/* Free memory in the direct map; of the image's part, what is constant is read-only there too. */
static void map_direct(uint64_t from, uint64_t to)
{
    uint64_t fixed = boot_info.image_phys, variable = fixed + SYMBOL(data_start) - SYMBOL(image_start);
    uint64_t cut[] = {from, MIN(MAX(from, fixed), to), MIN(MAX(from, variable), to), to};

    for (unsigned i = 0; i < 3; i++) {
        if (cut[i] < cut[i + 1])
            must(map_add(DIRECT_BASE + cut[i], cut[i], cut[i + 1] - cut[i], i == 1 ? MAP_RAM_READ : MAP_RAM));
    }
}

void map_init(void)
{
    const struct boot_info *b = &boot_info;
    uint64_t root = page_alloc(0, &memory_own);

    if (root == PAGE_NONE)
        must(-ENOMEM);
    map.nx = rdmsr(MSR_EFER) & EFER_NXE ? PTE_NX : 0;
    if (!map.nx)
        hv_log(LOG_WARN, "this processor has no NX, or the firmware has turned it off: data can be executed");
    map.huge = cpuid(0x80000000, 0).eax >= 0x80000001 && cpuid(0x80000001, 0).edx & BIT(26);
    map.root = memset(phys_to_virt(root), 0, PAGE_SIZE);

    map_image(text_start, text_end, MAP_CODE);
    map_image(rodata_start, data_start, MAP_RAM_READ);
    map_image(data_start, boot_guard, MAP_RAM);
    map_image(boot_stack, image_end, MAP_RAM);
    for (unsigned i = 0; i < b->range_count; i++) {
        const struct boot_area *r = &b->ranges[i];
        uint64_t from = ALIGN_DOWN(r->base, PAGE_SIZE), to = ALIGN_UP(r->base + r->size, PAGE_SIZE);

        if (r->kind == BOOT_RESERVED || !r->size)
            continue;
        while (from < to && map_lookup(DIRECT_BASE + from) != PAGE_NONE)
            from += PAGE_SIZE; /* a page that two ranges share */
        while (from < to && map_lookup(DIRECT_BASE + to - PAGE_SIZE) != PAGE_NONE)
            to -= PAGE_SIZE;
        if (from < to)
            map_direct(from, to);
    }
    map_use();
}

void map_use(void)
{
    write_cr3(virt_to_phys(map.root));
}

/* The loader's half of the address space, for processors that start below 1 MiB: the kernel's is ours. */
uint64_t map_trampoline_root(uint64_t *boot_root)
{
    for (unsigned i = 256; i < 512; i++)
        boot_root[i] = map.root[i];
    return virt_to_phys(boot_root);
}
