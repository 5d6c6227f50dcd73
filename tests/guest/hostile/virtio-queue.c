/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueue abuse, each kind at each device: descriptors, indices and rings that no
 * driver would write. The device must ask for its reset where the table in its test
 * says so, must never do what was asked, and must serve a valid request afterwards.
 */
#include "tests/guest/hostile/hostile.h"
#include "tests/guest/hostile/virtio-targets.h"

enum outcome { BREAKS, SURVIVES };

/* Writes what the test is about; the queue is set up and empty. */
typedef void spoil_fn(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant);

static void say(const struct target *t, unsigned variant)
{
    print("device ");
    print_hex(t->id);
    print(" variant ");
    print_hex(variant);
    print("\n");
}

static void abuse(spoil_fn *spoil, unsigned variants, uint64_t features, enum outcome outcome)
{
    struct vdev d;

    for (unsigned i = 0; i < target_count(); i++) {
        const struct target *t = &targets[i];

        vdev_find(&d, t->id);
        for (unsigned v = 0; v < variants; v++) {
            vdev_start(&d, features);
            spoil(&d, &d.q[t->queue], t->direction, v);
            vq_notify(&d.q[t->queue], t->queue);
            if (outcome == SURVIVES) {
                linger();
            } else if (!vdev_breaks(&d)) {
                say(t, v);
                print("was not noticed\n");
                finish(false);
            }
        }
        must_work(t, &d);
    }
}

/* ---- chains ---- */

static void self_loop(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, DATA, 16, direction | D_NEXT, 0);
    vq_offer(q, 0);
}

void virtq_self_loop(void)
{
    abuse(self_loop, 1, 0, BREAKS);
}

static void long_loop(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    for (unsigned i = 0; i < q->size; i++)
        vq_desc(q, i, DATA + i * 16, 16, direction | D_NEXT, (i + 1) % q->size);
    vq_offer(q, 3);
}

void virtq_long_loop(void)
{
    abuse(long_loop, 1, 0, BREAKS);
}

static void next_out_of_range(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    const unsigned next[] = {q->max, q->max + 1, 0x7fff, 0xffff};

    vq_desc(q, 0, DATA, 16, direction | D_NEXT, next[variant]);
    vq_offer(q, 0);
}

void virtq_next_out_of_range(void)
{
    abuse(next_out_of_range, 4, 0, BREAKS);
}

static void head_out_of_range(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    const uint16_t head[] = {q->max, 0x8000, 0xffff};

    vq_offer(q, head[variant]);
}

void virtq_head_out_of_range(void)
{
    abuse(head_out_of_range, 3, 0, BREAKS);
}

static void index_jumps(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    const uint16_t index[] = {(uint16_t)(q->size + 1), 0x4000, 0x8000, 0xffff};

    for (unsigned i = 0; i < q->size; i++)
        vq_desc(q, i, DATA, 16, direction, 0);
    q->avail[1] = index[variant];
}

void virtq_index_jumps(void)
{
    abuse(index_jumps, 4, 0, BREAKS);
}

static void index_goes_back(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, DATA, 16, direction, 0);
    vq_desc(q, 1, DATA + 64, 16, D_WRITE, 0);
    for (unsigned i = 0; i < 4; i++)
        vq_offer(q, 0);
    vq_notify(q, 0);
    linger();
    q->avail[1]--;
}

void virtq_index_goes_back(void)
{
    abuse(index_goes_back, 1, 0, SURVIVES);
}

static void zero_length(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, variant ? ~0ULL : DATA, 0, direction, 0);
    vq_offer(q, 0);
}

void virtq_zero_length(void)
{
    abuse(zero_length, 2, 0, BREAKS);
}

static void huge_length(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, DATA, variant ? 0xffffffff : 0x80000000, direction, 0);
    vq_offer(q, 0);
}

void virtq_huge_length(void)
{
    abuse(huge_length, 2, 0, BREAKS);
}

/* Legal one by one; added up they are far more than there is memory. */
static void huge_sum(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    for (unsigned i = 0; i < q->size; i++)
        vq_desc(q, i, DATA, (uint32_t)(RAM_END - DATA), direction | (i + 1 < q->size ? D_NEXT : 0), i + 1);
    vq_offer(q, 0);
}

void virtq_huge_sum(void)
{
    memset((void *)DATA, 0xff, DATA_SIZE); /* for the balloon: no page */
    abuse(huge_sum, 1, 0, SURVIVES);
}

static const struct {
    uint64_t address;
    uint32_t len;
} nowhere[] = {
    {RAM_END - 8, 16},  {RAM_END, 16},
    {0x70000000, 4096}, {0x200000000ULL, 64},
    {1ULL << 52, 64},   {~0ULL - 15, 64},
    {~0ULL, 1},         {~0ULL - 7, 8},
    {1ULL << 63, 64},   {0xfffffffffffff000ULL, 0xffffffff},
};

static void out_of_ram(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, nowhere[variant].address, nowhere[variant].len, direction, 0);
    vq_offer(q, 0);
}

void virtq_buffer_beyond_ram(void)
{
    abuse(out_of_ram, 4, 0, BREAKS);
}

static void out_of_addresses(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    out_of_ram(d, q, direction, variant + 4);
}

void virtq_buffer_wraps(void)
{
    abuse(out_of_addresses, 6, 0, BREAKS);
}

static void in_mmio(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    const uint64_t places[] = {0xfee00300, 0xfec00000, 0xe0000000, 0xfed00000, d->common, d->notify};

    vq_desc(q, 0, places[variant], 64, direction, 0);
    vq_offer(q, 0);
}

void virtq_buffer_in_mmio(void)
{
    abuse(in_mmio, 6, 0, BREAKS);
}

static void read_after_write(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, DATA, 16, D_WRITE | D_NEXT, 1);
    vq_desc(q, 1, DATA + 64, 16, 0, 0);
    vq_offer(q, 0);
}

void virtq_read_after_write(void)
{
    abuse(read_after_write, 1, 0, BREAKS);
}

/* Buffers of the other kind than the device wants. */
static void wrong_direction(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, DATA, variant ? 4096 : 1, direction ^ D_WRITE, 0);
    vq_offer(q, 0);
}

void virtq_wrong_direction(void)
{
    abuse(wrong_direction, 2, 0, SURVIVES);
}

static void same_buffer(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    vq_desc(q, 0, DATA, 64, direction | D_NEXT, 1);
    vq_desc(q, 1, DATA, 64, D_WRITE | D_NEXT, 2);
    vq_desc(q, 2, DATA, 64, D_WRITE, 0);
    for (unsigned i = 0; i < q->size; i++)
        vq_offer(q, 0); /* the same head, as often as the ring has room */
}

void virtq_same_buffer(void)
{
    abuse(same_buffer, 1, 0, SURVIVES);
}

/* ---- indirect tables; they lie at DATA ---- */

static volatile struct vdesc *const table = (volatile struct vdesc *)DATA;

static void table_desc(unsigned i, uint64_t address, uint32_t len, unsigned flags, unsigned next)
{
    table[i].address = address;
    table[i].len = len;
    table[i].flags = (uint16_t)flags;
    table[i].next = (uint16_t)next;
}

static void indirect_in_indirect(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    table_desc(0, DATA, 16, D_INDIRECT, 0);
    vq_desc(q, 0, DATA, 16, D_INDIRECT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_in_indirect(void)
{
    abuse(indirect_in_indirect, 1, F_INDIRECT, BREAKS);
}

static void indirect_length(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    static const uint32_t lengths[] = {0, 1, 15, 17, 0xfffffff0, 0xffffffff};

    table_desc(0, DATA + 4096, 16, direction, 0);
    vq_desc(q, 0, DATA, lengths[variant], D_INDIRECT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_length(void)
{
    abuse(indirect_length, 6, F_INDIRECT, BREAKS);
}

static void indirect_address(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    static const uint64_t places[] = {RAM_END - 16, RAM_END, 0xfee00000, 0xe0000000, ~0ULL - 15, 1ULL << 52};

    vq_desc(q, 0, places[variant], 32, D_INDIRECT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_address(void)
{
    abuse(indirect_address, 6, F_INDIRECT, BREAKS);
}

static void indirect_loop(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    table_desc(0, DATA + 4096, 16, direction | D_NEXT, 1);
    table_desc(1, DATA + 4096, 16, direction | D_NEXT, variant ? 2 : 0); /* or out of the table */
    vq_desc(q, 0, DATA, 32, D_INDIRECT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_loop(void)
{
    abuse(indirect_loop, 2, F_INDIRECT, BREAKS);
}

static void indirect_and_next(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    table_desc(0, DATA + 4096, 16, direction, 0);
    vq_desc(q, 0, DATA, 16, D_INDIRECT | D_NEXT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_and_next(void)
{
    abuse(indirect_and_next, 1, F_INDIRECT, BREAKS);
}

static void indirect_too_long(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    for (unsigned i = 0; i < 0x4000; i++)
        table_desc(i, DATA + 0x800000, 16, direction | D_NEXT, (i + 1) & 0x3fff);
    vq_desc(q, 0, DATA, 0x4000 * 16, D_INDIRECT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_too_long(void)
{
    abuse(indirect_too_long, 1, F_INDIRECT, BREAKS);
}

static void indirect_unnegotiated(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    table_desc(0, DATA + 4096, 16, direction, 0);
    vq_desc(q, 0, DATA, 16, D_INDIRECT, 0);
    vq_offer(q, 0);
}

void virtq_indirect_unnegotiated(void)
{
    abuse(indirect_unnegotiated, 1, 0, BREAKS);
}

/* ---- random ---- */

static uint64_t any_address(const struct vdev *d)
{
    const uint64_t places[] = {DATA,        DATA + 4096, RINGS,     RINGS + 4096, RINGS + 8192,
                               RAM_END - 1, 0xfee00000,  d->common, ~0ULL - 31,   DATA + 0x100001};

    /* Not where this program is: a random request may be a valid one. */
    return random_below(16) ? places[random_below(10)] : random64() | 1ULL << 40;
}

static uint32_t any_length(void)
{
    static const uint32_t lengths[] = {0, 1, 8, 15, 16, 17, 4096, 65536, 0x7fffffff, 0xffffffff};

    return lengths[random_below(10)];
}

static void any_rings(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    for (unsigned i = 0; i < q->size; i++) {
        /* mostly good, or nothing would be read beyond the first mistake */
        bool good = random_below(4);

        vq_desc(q, i, good ? DATA + random_below(4096) : any_address(d), good ? 16 : any_length(),
                good ? random_below(2) * D_NEXT | random_below(2) * D_WRITE : random_below(0x10000),
                random_below(good ? q->size : 0x10000));
    }
    for (unsigned i = 0; i < 4; i++)
        table_desc(i, any_address(d), any_length(), random_below(8), random_below(5));
    for (unsigned i = random_below(q->size); i; i--)
        vq_offer(q, (uint16_t)random_below(random_below(8) ? q->size : 0x10000));
    q->avail[0] = (uint16_t)random_below(2);
    q->avail[2 + q->size] = (uint16_t)random64();
}

static void random_rounds(uint64_t features)
{
    struct vdev d;

    for (unsigned i = 0; i < target_count(); i++) {
        const struct target *t = &targets[i];

        vdev_find(&d, t->id);
        for (unsigned round = 0; round < 300; round++) {
            vdev_start(&d, features & d.offered);
            for (unsigned k = 0; k < d.queues; k++) {
                any_rings(&d, &d.q[k], t->direction, round);
                vq_notify(&d.q[k], k);
            }
            for (unsigned k = random_below(3000); k; k--)
                __asm__ volatile("pause");
        }
        must_work(t, &d);
    }
}

void virtq_random(void)
{
    random_rounds(F_INDIRECT);
}

void virtq_random_event_index(void)
{
    random_rounds(F_INDIRECT | F_EVENT_IDX);
}

void virtq_random_all_features(void)
{
    random_rounds(~0ULL);
}

/* The device reads what we go on writing: every look at a descriptor may see another one. */
static void change_under_way(struct vdev *d, struct vqueue *q, unsigned direction, unsigned variant)
{
    for (unsigned i = 0; i < q->size; i++) {
        vq_desc(q, i, DATA + i * 64, 16, direction | (i % 4 != 3 ? D_NEXT : 0), i + 1);
        if (i % 4 == 0)
            vq_offer(q, (uint16_t)i);
    }
    vq_notify(q, 0);
    vq_notify(q, 1);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned k = random_below(q->size);

        q->desc[k].address = i & 1 ? ~0ULL - 7 : DATA;
        q->desc[k].len = i & 2 ? 0xffffffff : 16;
        q->desc[k].next = (uint16_t)(i & 4 ? 0xffff : k);
        q->desc[k].flags = (uint16_t)(i & 7);
        q->avail[2 + k] = (uint16_t)i;
    }
}

void virtq_change_under_way(void)
{
    abuse(change_under_way, 20, F_INDIRECT, SURVIVES);
}
