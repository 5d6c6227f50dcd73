/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/queue.h"

#include "base/bytes.h"
#include "dev/virtio/virtio.h"

/* Section 2.7.5, 2.7.6, 2.7.8 */
#define DESC_SIZE            16U
#define DESC_F_NEXT          BIT(0)
#define DESC_F_WRITE         BIT(1)
#define DESC_F_INDIRECT      BIT(2)
#define AVAIL_F_NO_INTERRUPT BIT(0)
#define USED_F_NO_NOTIFY     BIT(0)
#define RING_HEADER          4U /* flags, index */
#define USED_ELEM            8U

struct desc {
    uint64_t gpa;
    uint32_t len;
    uint16_t flags, next;
};

const struct state_field virtq_fields[] = {
    STATE_INT(struct virtq, size),       STATE_INT(struct virtq, vector),
    STATE_BOOL(struct virtq, ready),     STATE_INT(struct virtq, desc_gpa),
    STATE_INT(struct virtq, avail_gpa),  STATE_INT(struct virtq, used_gpa),
    STATE_INT(struct virtq, last_avail), STATE_INT(struct virtq, used_idx),
    STATE_INT(struct virtq, published),  STATE_END,
};

/* One load that the compiler may not repeat: the driver writes at the same time. The addresses may be odd. */
static uint64_t load_once64(const void *p)
{
    typedef uint64_t __attribute__((aligned(1))) any64;
    return *(const volatile any64 *)p;
}

static uint16_t load_acquire16(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void store_release16(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

static bool event_index(const struct virtq *q)
{
    return virtio_has(q->virtio, VIRTIO_F_EVENT_IDX);
}

static uint64_t used_size(const struct virtq *q)
{
    return RING_HEADER + (uint64_t)USED_ELEM * q->size + 2;
}

static void used_written(struct virtq *q)
{
    mem_written(q->virtio->vm, q->used_gpa, used_size(q));
}

int virtq_enable(struct virtq *q)
{
    struct vm *vm = q->virtio->vm;
    const uint8_t *desc, *avail;
    uint8_t *used;

    if (!q->size || q->size > q->max_size || (q->size & (q->size - 1)))
        return -EINVAL;
    if (q->desc_gpa % 16 || q->avail_gpa % 2 || q->used_gpa % 4)
        return -EINVAL;
    desc = mem_span(vm, q->desc_gpa, (uint64_t)DESC_SIZE * q->size, false);
    avail = mem_span(vm, q->avail_gpa, RING_HEADER + 2ULL * q->size + 2, false);
    used = mem_span(vm, q->used_gpa, used_size(q), true);
    if (!desc || !avail || !used)
        return -EINVAL;
    /* Touched once here, one queue at a time: so none of them is first touched among others' work. */
    (void)*(const volatile uint8_t *)desc;
    (void)*(const volatile uint8_t *)avail;
    (void)*(const volatile uint8_t *)used;
    q->desc = desc;
    q->avail = avail;
    q->used = used;
    q->ready = true;
    return 0;
}

void virtq_reset(struct virtq *q)
{
    *q = (struct virtq){
        .virtio = q->virtio, .max_size = q->max_size, .size = q->max_size, .vector = VIRTIO_NO_VECTOR};
}

int virtq_loaded(struct virtq *q)
{
    bool ready = q->ready;

    q->ready = false;
    q->desc = q->avail = q->used = NULL;
    if (!ready)
        return q->last_avail || q->used_idx || q->published ? -EINVAL : 0;
    /* Saved with nothing in flight and nothing unpublished, but for a broken device, which is dead until its
     * reset. */
    if ((q->last_avail != q->used_idx || q->published != q->used_idx) &&
        !(q->virtio->status & VIRTIO_STATUS_NEEDS_RESET))
        return -EINVAL;
    return virtq_enable(q);
}

/* ---- taking chains ---- */

static struct desc desc_load(const uint8_t *p)
{
    uint64_t high = load_once64(p + 8);

    return (struct desc){load_once64(p), (uint32_t)high, (uint16_t)(high >> 32), (uint16_t)(high >> 48)};
}

static const char *chain_add(struct virtq *q, struct virtq_chain *chain, const struct desc *d)
{
    bool write = d->flags & DESC_F_WRITE;
    unsigned n = chain->out_count + chain->in_count;
    uint8_t *base;

    if (n == VIRTQ_MAX_CHAIN)
        return "a chain that is too long";
    if (!d->len)
        return "an empty buffer";
    if (!write && chain->in_count)
        return "a readable buffer after a writable one";
    base = mem_span(q->virtio->vm, d->gpa, d->len, write);
    if (!base)
        return "a buffer outside of RAM";
    chain->vec[n] = (struct virtq_vec){base, d->len, d->gpa};
    if (write) {
        chain->in_count++;
        chain->in_len += d->len;
    } else {
        chain->out_count++;
        chain->out_len += d->len;
    }
    return NULL;
}

/* Follows a chain in a table of `count` descriptors; an indirect descriptor ends the walk in *indirect. */
static const char *table_walk(struct virtq *q, struct virtq_chain *chain, const uint8_t *table,
                              unsigned count, unsigned index, struct desc *indirect)
{
    for (unsigned steps = 0; steps < count; steps++) {
        struct desc d;
        const char *why;

        if (index >= count)
            return "a descriptor index beyond its table";
        d = desc_load(table + (size_t)index * DESC_SIZE);
        if (d.flags & DESC_F_INDIRECT) {
            if (!indirect)
                return "an indirect table inside an indirect table";
            if (d.flags & DESC_F_NEXT)
                return "an indirect descriptor that has a next one";
            if (!virtio_has(q->virtio, VIRTIO_F_INDIRECT_DESC))
                return "an indirect descriptor that was not negotiated";
            *indirect = d;
            return NULL;
        }
        why = chain_add(q, chain, &d);
        if (why || !(d.flags & DESC_F_NEXT))
            return why;
        index = d.next;
    }
    return "a descriptor chain that loops";
}

/* Memory that nobody has touched yet may have to be cleared first, which takes long (hv/mem/ram.h). */
static bool is_ready(const struct virtq *q, const void *host, uint64_t len)
{
    struct plat *plat = q->virtio->vm->plat;

    return !plat->ops->ram_ready || plat->ops->ram_ready(plat, host, len);
}

static bool vecs_ready(const struct virtq *q, const struct virtq_vec *v, unsigned count)
{
    uint64_t reach = q->virtio->ops->reach;

    for (; count && reach; count--, v++) {
        uint64_t n = MIN(reach, v->len);

        if (!is_ready(q, v->base, n))
            return false;
        reach -= n;
    }
    return true;
}

/* The last byte that the device may write is a disk's status, however far behind its reach. */
static bool chain_ready(const struct virtq *q, const struct virtq_chain *chain)
{
    const struct virtq_vec *in = chain->vec + chain->out_count, *end = in + chain->in_count;

    return !q->virtio->vm->plat->ops->ram_ready ||
           (vecs_ready(q, chain->vec, chain->out_count) && vecs_ready(q, in, chain->in_count) &&
            (in == end || is_ready(q, end[-1].base + end[-1].len - 1, 1)));
}

/* Sets q->waits, and has no chain, if an indirect table's memory is not ready. */
static const char *chain_walk(struct virtq *q, struct virtq_chain *chain)
{
    struct desc indirect = {0};
    const uint8_t *table;
    const char *why;

    why = table_walk(q, chain, q->desc, q->size, chain->head, &indirect);
    if (why || !(indirect.flags & DESC_F_INDIRECT))
        return why;
    if (!indirect.len || indirect.len % DESC_SIZE || indirect.len / DESC_SIZE > VIRTQ_MAX_CHAIN)
        return "an indirect table of a wrong size";
    table = mem_span(q->virtio->vm, indirect.gpa, indirect.len, false);
    if (!table)
        return "an indirect table outside of RAM";
    q->waits = !is_ready(q, table, indirect.len);
    return q->waits ? NULL : table_walk(q, chain, table, indirect.len / DESC_SIZE, 0, NULL);
}

int virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
    const char *why;
    uint16_t waiting;

    q->waits = false;
    if (!q->ready || !virtio_live(q->virtio))
        return 0;
    waiting = (uint16_t)(load_acquire16(q->avail + 2) - q->last_avail);
    if (!waiting)
        return 0;
    chain->epoch = q->virtio->epoch;
    chain->out_count = chain->in_count = 0;
    chain->out_len = chain->in_len = 0;
    if (waiting > q->size) {
        why = "an available index that jumped";
    } else if (virtq_in_flight(q) >= q->size) {
        why = "more buffers in flight than the queue has";
    } else {
        chain->head = load_acquire16(q->avail + RING_HEADER + 2 * (q->last_avail & (unsigned)(q->size - 1)));
        why = chain_walk(q, chain);
    }
    if (why) {
        virtio_break(q->virtio, "queue %u has %s", virtq_index(q), why);
        return -EINVAL;
    }
    q->waits = q->waits || !chain_ready(q, chain);
    if (q->waits) {
        virtio_queue_notified(q->virtio, virtq_index(q));
        return 0;
    }
    q->last_avail++;
    return 1;
}

/* ---- giving them back ---- */

static void chain_written(struct vm *vm, const struct virtq_chain *chain, uint64_t written)
{
    const struct virtq_vec *v = chain->vec + chain->out_count;

    for (unsigned i = 0; i < chain->in_count && written; i++, v++) {
        uint64_t n = MIN(written, v->len);

        mem_written(vm, v->gpa, n);
        written -= n;
    }
}

void virtq_push(struct virtq *q, const struct virtq_chain *chain, uint64_t written)
{
    uint8_t *elem;

    base_assert(written <= chain->in_len);
    chain_written(q->virtio->vm, chain, written); /* it was, even if the driver is gone */
    if (chain->epoch != q->virtio->epoch || !q->ready)
        return;
    elem = q->used + RING_HEADER + USED_ELEM * (size_t)(q->used_idx & (q->size - 1));
    store_le32(elem, chain->head);
    store_le32(elem + 4, (uint32_t)MIN(written, UINT32_MAX));
    q->used_idx++;
}

void virtq_rollback(struct virtq *q, struct virtq_mark mark)
{
    if (!q->ready)
        return;
    q->last_avail = mark.last_avail;
    q->used_idx = mark.used_idx;
}

static bool wants_interrupt(const struct virtq *q, uint16_t before)
{
    if (event_index(q)) {
        uint16_t event = load_acquire16(q->avail + RING_HEADER + 2 * (size_t)q->size);
        return (uint16_t)(q->used_idx - event - 1) < (uint16_t)(q->used_idx - before);
    }
    return !(load_acquire16(q->avail) & AVAIL_F_NO_INTERRUPT);
}

void virtq_publish(struct virtq *q)
{
    uint16_t before = q->published;

    if (!q->ready || before == q->used_idx)
        return;
    store_release16(q->used + 2, q->used_idx); /* after the elements */
    q->published = q->used_idx;
    used_written(q);
    /* The driver must see the index before we look whether it sleeps. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (wants_interrupt(q, before))
        virtio_interrupt(q->virtio, q);
}

/* ---- notifications ---- */

void virtq_notify_off(struct virtq *q)
{
    /* With event indices, silence is the default: the old index lies behind. */
    if (!q->ready || event_index(q))
        return;
    store_release16(q->used, USED_F_NO_NOTIFY);
    used_written(q);
}

bool virtq_notify_on(struct virtq *q)
{
    if (!q->ready || q->waits || !virtio_live(q->virtio))
        return false;
    if (event_index(q))
        store_release16(q->used + RING_HEADER + USED_ELEM * (size_t)q->size, q->last_avail);
    else
        store_release16(q->used, 0);
    used_written(q);
    /* The driver must see the wish before we look for the last time. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load_acquire16(q->avail + 2) != q->last_avail;
}

/* ---- the bytes of a chain ---- */

static struct virtq_cursor cursor_at(const struct virtq_vec *vec, unsigned count, uint64_t offset)
{
    struct virtq_cursor c = {vec, vec + count, offset};

    while (c.vec < c.end && c.skip >= c.vec->len) {
        c.skip -= c.vec->len;
        c.vec++;
    }
    return c;
}

struct virtq_cursor virtq_cursor_out(const struct virtq_chain *chain, uint64_t offset)
{
    return cursor_at(chain->vec, chain->out_count, offset);
}

struct virtq_cursor virtq_cursor_in(const struct virtq_chain *chain, uint64_t offset)
{
    return cursor_at(chain->vec + chain->out_count, chain->in_count, offset);
}

bool virtq_cursor_next(struct virtq_cursor *c, uint64_t max, struct virtq_vec *piece)
{
    uint64_t n;

    if (c->vec == c->end || !max)
        return false;
    n = MIN(max, c->vec->len - c->skip);
    *piece = (struct virtq_vec){c->vec->base + c->skip, (uint32_t)n, c->vec->gpa + c->skip};
    c->skip += n;
    if (c->skip == c->vec->len) {
        c->vec++;
        c->skip = 0;
    }
    return true;
}

size_t virtq_cursor_read(struct virtq_cursor *c, void *buf, size_t len)
{
    struct virtq_vec piece;
    size_t done = 0;

    while (virtq_cursor_next(c, len - done, &piece)) {
        memcpy((uint8_t *)buf + done, piece.base, piece.len);
        done += piece.len;
    }
    return done;
}

size_t virtq_chain_read(const struct virtq_chain *chain, uint64_t offset, void *buf, size_t len)
{
    struct virtq_cursor c = virtq_cursor_out(chain, offset);

    return virtq_cursor_read(&c, buf, len);
}

size_t virtq_chain_write(struct virtq_chain *chain, uint64_t offset, const void *buf, size_t len)
{
    struct virtq_cursor c = virtq_cursor_in(chain, offset);
    struct virtq_vec piece;
    size_t done = 0;

    while (virtq_cursor_next(&c, len - done, &piece)) {
        memcpy(piece.base, (const uint8_t *)buf + done, piece.len);
        done += piece.len;
    }
    return done;
}
