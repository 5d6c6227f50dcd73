/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/vqueue.h"

#include "base/bytes.h"
#include "hv/drv/io.h"

#define DESC_SIZE      16U
#define F_NEXT         BIT(0)
#define F_WRITE        BIT(1)
#define F_INDIRECT     BIT(2)
#define F_NO_INTERRUPT 1U
#define F_NO_NOTIFY    1U

enum ring_field { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4 };

int vqueue_init(struct vqueue *q, unsigned index, unsigned size, unsigned room, bool indirect)
{
    size_t tables;

    *q = (struct vqueue){.size = (uint16_t)size, .room = (uint16_t)room, .indirect = indirect};
    q->index = (uint16_t)index;
    q->slots = (uint16_t)(indirect ? size : size / room);
    q->avail = size * DESC_SIZE;
    q->used = (uint32_t)ALIGN_UP(q->avail + RING_ENTRIES + 2 * size + 2, 4);
    q->tables = (uint32_t)ALIGN_UP(q->used + RING_ENTRIES + 8 * size + 2, DESC_SIZE);
    tables = indirect ? (size_t)size * room * DESC_SIZE : 0;
    q->memory = dma_alloc(q->tables + tables, &q->phys);
    if (!q->memory)
        return -ENOMEM;
    for (unsigned i = q->slots; i--;)
        q->free[q->free_count++] = (uint16_t)i;
    return 0;
}

void vqueue_reset(struct vqueue *q)
{
    uint16_t flags = load_le16(q->memory + q->avail + RING_FLAGS);

    memset(q->memory, 0, q->tables);
    store_le16(q->memory + q->avail + RING_FLAGS, flags);
    memset(q->busy, 0, sizeof(q->busy));
    q->posted = q->published = q->last_used = q->out = q->free_count = 0;
    q->broken = false;
    for (unsigned i = q->slots; i--;)
        q->free[q->free_count++] = (uint16_t)i;
}

void vqueue_finish(struct vqueue *q)
{
    if (q->memory)
        dma_free(q->memory, q->tables + (q->indirect ? (size_t)q->size * q->room * DESC_SIZE : 0));
    q->memory = NULL;
}

int vqueue_get(struct vqueue *q)
{
    return q->free_count ? q->free[--q->free_count] : -EAGAIN;
}

void vqueue_put(struct vqueue *q, unsigned slot)
{
    q->free[q->free_count++] = (uint16_t)slot;
}

/* Where the slot's segments are, in q->memory. */
static uint32_t table_of(const struct vqueue *q, unsigned slot)
{
    return (q->indirect ? q->tables : 0) + slot * q->room * DESC_SIZE;
}

static void desc_store(uint8_t *desc, uint64_t phys, uint32_t len, unsigned flags, unsigned next)
{
    store_le64(desc, phys);
    store_le32(desc + 8, len);
    store_le16(desc + 12, (uint16_t)flags);
    store_le16(desc + 14, (uint16_t)next);
}

void vqueue_segment(struct vqueue *q, unsigned slot, unsigned n, uint64_t phys, uint32_t len,
                    bool device_writes)
{
    unsigned next = (q->indirect ? 0 : slot * q->room) + n + 1;

    base_assert(n < q->room);
    desc_store(q->memory + table_of(q, slot) + n * DESC_SIZE, phys, len,
               F_NEXT | (device_writes ? F_WRITE : 0), next);
}

void vqueue_post(struct vqueue *q, unsigned slot, unsigned count)
{
    uint32_t table = table_of(q, slot);
    uint8_t *last = q->memory + table + (count - 1) * DESC_SIZE;
    unsigned head = slot;

    store_le16(last + 12, load_le16(last + 12) & (uint16_t)~F_NEXT);
    if (q->indirect)
        desc_store(q->memory + slot * DESC_SIZE, q->phys + table, count * DESC_SIZE, F_INDIRECT, 0);
    else
        head = slot * q->room;
    q->busy[slot] = true;
    q->out++;
    store_le16(q->memory + q->avail + RING_ENTRIES + 2 * (q->posted++ & (q->size - 1U)), (uint16_t)head);
}

static uint16_t ring_load(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void ring_store(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)p, value, __ATOMIC_RELEASE);
}

void vqueue_kick(struct vqueue *q)
{
    if (q->published == q->posted)
        return;
    q->published = q->posted;
    ring_store(q->memory + q->avail + RING_IDX, q->posted);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index is seen before its flag is read */
    if (q->notify && !(ring_load(q->memory + q->used + RING_FLAGS) & F_NO_NOTIFY))
        mmio_write(q->notify, q->index, 2);
}

bool vqueue_pending(const struct vqueue *q)
{
    return ring_load(q->memory + q->used + RING_IDX) != q->last_used;
}

int vqueue_take(struct vqueue *q, uint32_t *len)
{
    uint16_t idx = ring_load(q->memory + q->used + RING_IDX), pending = (uint16_t)(idx - q->last_used);
    const uint8_t *entry;
    uint32_t id, slot, stride = q->indirect ? 1 : q->room;

    if (q->broken)
        return -EIO;
    if (!pending)
        return -EAGAIN;
    entry = q->memory + q->used + RING_ENTRIES + 8 * (q->last_used & (q->size - 1U));
    id = load_le32(entry);
    slot = id / stride;
    if (pending > q->out || id % stride || slot >= q->slots || !q->busy[slot]) {
        q->broken = true;
        return -EIO;
    }
    *len = load_le32(entry + 4);
    q->last_used++;
    q->busy[slot] = false;
    q->out--;
    return (int)slot;
}

void vqueue_interrupts(struct vqueue *q, bool on)
{
    ring_store(q->memory + q->avail + RING_FLAGS, (uint16_t)(on ? 0 : F_NO_INTERRUPT));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
