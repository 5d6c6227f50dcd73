/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtqueue whose device does anything: what comes out was put in, once. */
#include <stdlib.h>

#include "base/bytes.h"
#include "hv/drv/vqueue.h"
#include "tests/unit/hv-drv/host.h"
#include "tests/unit/virtio/check.h"

static struct vqueue q;

static void used_put(uint16_t at, uint32_t id, uint32_t len)
{
    store_le32(q.memory + q.used + 4 + 8 * (at % q.size), id);
    store_le32(q.memory + q.used + 8 + 8 * (at % q.size), len);
}

static void used_index(uint16_t index)
{
    store_le16(q.memory + q.used + 2, index);
}

static unsigned post_one(void)
{
    int slot = vqueue_get(&q);

    assert_true(slot >= 0);
    vqueue_segment(&q, (unsigned)slot, 0, 0x1000, 16, false);
    vqueue_segment(&q, (unsigned)slot, 1, 0x2000, 512, true);
    vqueue_post(&q, (unsigned)slot, 2);
    vqueue_kick(&q);
    return (unsigned)slot;
}

static void ring_with_chains(void **state)
{
    const uint8_t *desc;
    uint32_t len;
    unsigned slot;

    host_init();
    assert_int_equal(vqueue_init(&q, 0, 16, 3, false), 0);
    assert_int_equal(q.slots, 5);
    for (uint16_t n = 0; n < 100; n++) {
        slot = post_one();
        desc = q.memory + slot * 3 * 16;
        assert_int_equal(load_le64(desc), 0x1000);
        assert_int_equal(load_le16(desc + 12), 1);
        assert_int_equal(load_le16(desc + 14), slot * 3 + 1);
        assert_int_equal(load_le16(desc + 16 + 12), 2);
        assert_int_equal(load_le16(q.memory + q.avail + 2), n + 1);
        assert_int_equal(load_le16(q.memory + q.avail + 4 + 2 * (n % 16)), slot * 3);
        assert_int_equal(vqueue_take(&q, &len), -EAGAIN);
        used_put(n, slot * 3, n);
        used_index((uint16_t)(n + 1));
        assert_int_equal(vqueue_take(&q, &len), slot);
        assert_int_equal(len, n);
        vqueue_put(&q, slot);
    }
    for (unsigned i = 0; i < 5; i++)
        post_one();
    assert_int_equal(vqueue_get(&q), -EAGAIN);
    vqueue_finish(&q);
    assert_int_equal(host.dma_bytes, 0);
}

static void ring_with_tables(void **state)
{
    const uint8_t *desc, *table;
    unsigned slot;

    host_init();
    assert_int_equal(vqueue_init(&q, 0, 16, 40, true), 0);
    assert_int_equal(q.slots, 16);
    slot = post_one();
    slot = post_one();
    desc = q.memory + slot * 16;
    assert_int_equal(load_le32(desc + 8), 32);
    assert_int_equal(load_le16(desc + 12), 4);
    table = (const uint8_t *)(uintptr_t)load_le64(desc);
    assert_int_equal(load_le64(table), 0x1000);
    assert_int_equal(load_le16(table + 14), 1);
    assert_int_equal(load_le16(table + 16 + 12), 2);
    vqueue_finish(&q);
    assert_int_equal(host.dma_bytes, 0);
}

static void lies(void **state)
{
    static const struct {
        uint32_t id;
        uint16_t count;
    } lie[] = {{1, 1},          {15, 1}, {16, 1},      {48, 1}, {0xffffffff, 1},
               {0x80000000, 1}, {12, 2}, {12, 0xffff}, {9, 1}};

    for (unsigned i = 0; i < ARRAY_SIZE(lie); i++) {
        uint32_t len;

        host_init();
        assert_int_equal(vqueue_init(&q, 0, 16, 3, false), 0);
        assert_int_equal(post_one(), 0);
        used_put(0, lie[i].id, 0);
        used_index(lie[i].count);
        assert_int_equal(vqueue_take(&q, &len), -EIO);
        /* And that is the end. */
        used_put(0, 0, 0);
        used_index(1);
        assert_int_equal(vqueue_take(&q, &len), -EIO);
        vqueue_finish(&q);
    }
}

static void twice(void **state)
{
    uint32_t len;

    host_init();
    assert_int_equal(vqueue_init(&q, 0, 16, 3, false), 0);
    assert_int_equal(post_one(), 0);
    assert_int_equal(post_one(), 1);
    used_put(0, 3, 0);
    used_put(1, 3, 0);
    used_index(2);
    assert_int_equal(vqueue_take(&q, &len), 1);
    assert_int_equal(vqueue_take(&q, &len), -EIO);
    vqueue_finish(&q);
}

/* Honest for a while, then anything: until it is found out, each slot comes back once, and only if it was
 * out. */
static void random_devices(void **state)
{
    static const unsigned rooms[] = {1, 3, 8};
    uint32_t random = 1, len;

    for (unsigned run = 0; run < 3000; run++) {
        uint16_t posted[VQUEUE_MAX_SIZE], used = 0;
        bool out[VQUEUE_MAX_SIZE] = {false};
        unsigned n = 0, honest;

        host_init();
        assert_int_equal(vqueue_init(&q, 0, 1U << (3 + run % 4), rooms[run % 3], run & 1), 0);
        random = random * 1664525 + 1013904223;
        honest = random >> 24;
        for (unsigned step = 0; step < 400; step++) {
            int slot = vqueue_get(&q);

            random = random * 1664525 + 1013904223;
            if (slot >= 0) {
                vqueue_segment(&q, (unsigned)slot, 0, 0x1000, 16, false);
                vqueue_post(&q, (unsigned)slot, 1);
                vqueue_kick(&q);
                out[slot] = true;
                posted[n++] = (uint16_t)slot;
            }
            if (step > honest) {
                used_put(used, random >> 8 & (random & 1 ? 0xff : 0xffffff), random);
                used_index((uint16_t)(used + (random >> 29)));
            } else if (n && random >> 31) {
                unsigned i = (random >> 8) % n;

                used_put(used, posted[i] * (q.indirect ? 1U : q.room), 0);
                used_index((uint16_t)(used + 1));
                posted[i] = posted[--n];
            }
            slot = vqueue_take(&q, &len);
            if (slot == -EIO)
                break;
            assert_true(step > honest || slot >= 0 || slot == -EAGAIN);
            if (slot >= 0) {
                assert_true((unsigned)slot < q.slots && out[slot]);
                out[slot] = false;
                used++;
                vqueue_put(&q, (unsigned)slot);
                n = 0;
                for (unsigned i = 0; i < q.slots; i++) {
                    if (out[i])
                        posted[n++] = (uint16_t)i;
                }
            }
        }
        vqueue_finish(&q);
        vm_finish(&host.vm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_with_chains),
        cmocka_unit_test(ring_with_tables),
        cmocka_unit_test(lies),
        cmocka_unit_test(twice),
        cmocka_unit_test(random_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
