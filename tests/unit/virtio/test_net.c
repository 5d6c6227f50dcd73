/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "base/bytes.h"
#include "dev/virtio/net.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

#define RX     VIRTIO_NET_RX
#define TX     VIRTIO_NET_TX
#define HEADER NET_HEADER_SIZE

static struct driver d;
static struct backends b;
static struct device *dev;
static uint8_t frame[70000];

static void setup(uint64_t features)
{
    dev = bench_make(&d, &b, KIND_NET);
    driver_start(&d, features);
    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 13 + i / 256);
}

static void send(const struct seg *seg, unsigned n)
{
    driver_add(&d, TX, seg, n);
    driver_kick(&d, TX);
    driver_run(&d);
}

static bool receive(size_t len)
{
    return b.net.net.receive(b.net.net.nic, frame, len);
}

static void rx_buffers(unsigned n, uint32_t len)
{
    for (unsigned i = 0; i < n; i++) {
        struct seg seg = {DRIVER_DATA + i * 0x10000, len, true};
        driver_add(&d, RX, &seg, 1);
    }
    driver_kick(&d, RX);
    driver_run(&d);
}

static void configuration(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    assert_int_equal(driver_read(&d, d.config, 1), 0x52);
    assert_int_equal(driver_read(&d, d.config + 5, 1), 3);
    assert_int_equal(driver_read(&d, d.config + 6, 2), 1);
    assert_false(driver_offered(&d) & BIT64(VIRTIO_NET_F_CSUM));
    virtio_net_set_link(dev, false);
    assert_int_equal(driver_read(&d, d.config + 6, 2), 0);
    assert_int_equal(d.msi[0], 1);
    assert_int_equal(driver_read(&d, d.common + COMMON_CONFIG_GENERATION, 1), 1);
    driver_finish(&d);
    assert_true(b.net.closed);
}

static void sends(void **state)
{
    struct seg two[] = {{DRIVER_DATA, 12, false}, {DRIVER_DATA + 0x1000, 60, false}};
    struct seg one[] = {{DRIVER_DATA + 0x1000 - 12, 72, false}};
    struct seg cut[] = {{DRIVER_DATA, 5, false}, {DRIVER_DATA, 8, false}, {DRIVER_DATA + 0x1001, 59, false}};

    setup(DRIVER_ALL_FEATURES);
    memcpy(driver_ram(&d, DRIVER_DATA + 0x1000), frame, 60);
    send(two, 2);
    assert_int_equal(b.net.last_len, 60);
    assert_memory_equal(b.net.last, frame, 60);
    send(one, 1);
    assert_int_equal(b.net.last_len, 60);
    assert_memory_equal(b.net.last, frame, 60);
    send(cut, 3);
    assert_int_equal(b.net.last_len, 60);
    assert_memory_equal(b.net.last + 1, frame + 1, 59);
    assert_int_equal(b.net.sent, 3);
    assert_int_equal(driver_used_count(&d, TX), 3);
    driver_finish(&d);
}

static void receives_into_one_buffer(void **state)
{
    uint32_t len;

    setup(BIT64(VIRTIO_F_VERSION_1));
    rx_buffers(1, 2048);
    assert_true(receive(1500));
    assert_true(driver_used(&d, RX, NULL, &len));
    assert_int_equal(len, 1512);
    assert_int_equal(load_le16(driver_ram(&d, DRIVER_DATA + 10)), 1);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 12), frame, 1500);
    assert_int_equal(d.msi[1], 1);
    driver_finish(&d);
}

static void receives_into_many_buffers(void **state)
{
    uint32_t len;

    setup(DRIVER_ALL_FEATURES);
    rx_buffers(4, 512);
    assert_true(receive(1500));
    assert_int_equal(load_le16(driver_ram(&d, DRIVER_DATA + 10)), 3);
    assert_true(driver_used(&d, RX, NULL, &len));
    assert_int_equal(len, 512);
    assert_true(driver_used(&d, RX, NULL, &len));
    assert_int_equal(len, 512);
    assert_true(driver_used(&d, RX, NULL, &len));
    assert_int_equal(len, 1512 - 1024);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 12), frame, 500);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 0x10000), frame + 500, 512);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 0x20000), frame + 1012, 488);
    assert_int_equal(d.msi[1], 1);
    driver_finish(&d);
}

/* A frame that needs more than there is takes nothing, and comes again once there is room. */
static void starves_and_resumes(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    rx_buffers(2, 512);
    assert_false(receive(1500));
    assert_int_equal(driver_used_count(&d, RX), 0);
    assert_int_equal(d.msi[1], 0);
    rx_buffers(2, 512);
    assert_int_equal(b.net.resumed, 1);
    assert_true(receive(1500));
    assert_int_equal(driver_used_count(&d, RX), 3);
    /* Not starved: a kick is no news. */
    rx_buffers(1, 512);
    assert_int_equal(b.net.resumed, 1);
    driver_finish(&d);
}

/* A driver that says what it adds only where the device wants to hear of it (virtio 1.2, section 2.7.10). */
static void add_and_kick_if_wanted(uint32_t len, unsigned i)
{
    const struct driver_queue *dq = &d.queue[RX];
    struct seg seg = {DRIVER_DATA + i * 0x10000, len, true};
    uint16_t before = dq->avail_idx, event;

    driver_add(&d, RX, &seg, 1);
    event = load_le16(driver_ram(&d, dq->used + 4 + 8 * (uint64_t)dq->size));
    if ((uint16_t)(dq->avail_idx - event - 1) < (uint16_t)(dq->avail_idx - before))
        driver_kick(&d, RX);
    driver_run(&d);
}

/* Some buffers are there, but too few: the device must hear of the next one all the same. */
static void starves_beside_some_buffers(void **state)
{
    for (unsigned some = 0; some < 3; some++) {
        setup(DRIVER_ALL_FEATURES);
        if (some)
            rx_buffers(some, 512);
        assert_false(receive(1500));
        for (unsigned i = some; i < 3; i++) {
            assert_int_equal(b.net.resumed, i - some);
            add_and_kick_if_wanted(512, i);
            assert_int_equal(b.net.resumed, i - some + 1);
            assert_int_equal(receive(1500), i == 2);
        }
        assert_int_equal(driver_used_count(&d, RX), 3);
        driver_finish(&d);
    }
}

/* The same with a buffer whose memory takes time to be made. */
static void waits_for_memory(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    rx_buffers(2, 2048);
    b.net.resumed = 0;
    d.plat.not_ready = 2;
    assert_false(receive(1500));
    driver_run(&d);
    assert_int_equal(b.net.resumed, 1);
    assert_false(receive(1500));
    driver_run(&d);
    assert_int_equal(b.net.resumed, 2);
    assert_true(receive(1500));
    assert_int_equal(driver_used_count(&d, RX), 1);
    driver_finish(&d);
}

static void nobody_home(void **state)
{
    bench_make(&d, &b, KIND_NET);
    assert_true(b.net.net.receive(b.net.net.nic, frame, 100)); /* dropped */
    driver_start(&d, DRIVER_ALL_FEATURES);
    rx_buffers(1, 2048);
    b.net.net.link_up = false;
    assert_true(receive(100));
    assert_int_equal(driver_used_count(&d, RX), 0);
    driver_finish(&d);
}

static void offloads_pass_headers(void **state)
{
    static const uint8_t mac[6] = {2};
    struct seg one = {DRIVER_DATA, 72, false};
    uint32_t len;

    driver_init(&d);
    fake_net_init(&b.net, true);
    assert_int_equal(virtio_net_create(&d.vm, &d.bus, "net0", &b.net.net, mac, &dev, NULL), 0);
    assert_true(b.net.header);
    driver_attach(&d);
    driver_start(&d, DRIVER_ALL_FEATURES);
    assert_int_equal(b.net.offloads,
                     NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN);
    memset(driver_ram(&d, DRIVER_DATA), 0x11, 72);
    send(&one, 1);
    assert_int_equal(b.net.last_len, 72);
    rx_buffers(1, 2048);
    frame[0] = 1; /* VIRTIO_NET_HDR_F_NEEDS_CSUM */
    assert_true(receive(12 + 100));
    assert_true(driver_used(&d, RX, NULL, &len));
    assert_int_equal(len, 112);
    assert_int_equal(*(uint8_t *)driver_ram(&d, DRIVER_DATA), 1);
    assert_int_equal(load_le16(driver_ram(&d, DRIVER_DATA + 10)), 1);
    assert_true(receive(11)); /* no header, no frame */
    assert_int_equal(driver_used_count(&d, RX), 0);
    /* A driver that takes none of it gets none of it. */
    driver_start(&d, 0);
    assert_int_equal(b.net.offloads, 0);
    driver_finish(&d);
}

/* ---- hostile ---- */

static void frames_too_short(void **state)
{
    struct seg seg = {DRIVER_DATA, 1, false};

    setup(DRIVER_ALL_FEATURES);
    for (uint32_t len = 1; len < HEADER + 14; len++) {
        seg.len = len;
        send(&seg, 1);
    }
    assert_int_equal(b.net.sent, 0);
    assert_false(driver_needs_reset(&d));
    seg.len = HEADER + 14;
    send(&seg, 1);
    assert_int_equal(b.net.sent, 1);
    driver_finish(&d);
}

static void frames_too_long(void **state)
{
    struct seg seg[4] = {{0x1000, 1 << 20, false},
                         {0x1000, 1 << 20, false},
                         {0x1000, 1 << 20, false},
                         {0x1000, 1 << 20, false}};

    setup(DRIVER_ALL_FEATURES);
    send(seg, 4);
    seg[0].len = HEADER + NET_FRAME_MAX + 1;
    send(seg, 1);
    assert_int_equal(b.net.sent, 0);
    assert_int_equal(driver_used_count(&d, TX), 2);
    seg[0].len--;
    send(seg, 1);
    assert_int_equal(b.net.sent, 1);
    driver_finish(&d);
}

static void writable_transmit_buffer(void **state)
{
    struct seg seg = {DRIVER_DATA, 100, true};

    setup(DRIVER_ALL_FEATURES);
    send(&seg, 1);
    assert_int_equal(b.net.sent, 0);
    assert_int_equal(driver_used_count(&d, TX), 1);
    driver_finish(&d);
}

static void receive_buffer_too_small_for_a_header(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    rx_buffers(1, 8);
    assert_true(receive(100)); /* gone: the device is broken now */
    assert_true(driver_needs_reset(&d));
    assert_true(receive(100));
    driver_finish(&d);
}

static void receive_buffer_for_reading(void **state)
{
    struct seg seg = {DRIVER_DATA, 2048, false};

    setup(DRIVER_ALL_FEATURES);
    driver_add(&d, RX, &seg, 1);
    receive(100);
    assert_true(driver_needs_reset(&d));
    driver_finish(&d);
}

static void receive_buffer_too_small_unmerged(void **state)
{
    setup(BIT64(VIRTIO_F_VERSION_1));
    rx_buffers(1, 64);
    assert_true(receive(100)); /* dropped: it never will fit */
    assert_false(driver_needs_reset(&d));
    assert_true(receive(52));
    assert_int_equal(driver_used_count(&d, RX), 1);
    driver_finish(&d);
}

static void largest_frame_into_tiny_buffers(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    rx_buffers(16, 16);
    assert_false(receive(NET_FRAME_MAX));
    assert_int_equal(driver_used_count(&d, RX), 0);
    assert_true(receive(NET_FRAME_MAX + 1)); /* no such frames */
    assert_true(receive(16 * 16 - HEADER));
    assert_int_equal(driver_used_count(&d, RX), 16);
    driver_finish(&d);
}

/* The available index runs on for ever while frames come in: each frame is bounded. */
static void receive_ring_turns_bad_in_the_middle(void **state)
{
    setup(DRIVER_ALL_FEATURES);
    rx_buffers(2, 512);
    driver_avail(&d, RX, 77);
    receive(1500);
    assert_true(driver_needs_reset(&d));
    assert_int_equal(driver_used_count(&d, RX), 0);
    driver_start(&d, DRIVER_ALL_FEATURES);
    rx_buffers(3, 512);
    assert_true(receive(1500));
    assert_int_equal(driver_used_count(&d, RX), 3);
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration),
        cmocka_unit_test(sends),
        cmocka_unit_test(receives_into_one_buffer),
        cmocka_unit_test(receives_into_many_buffers),
        cmocka_unit_test(starves_and_resumes),
        cmocka_unit_test(starves_beside_some_buffers),
        cmocka_unit_test(waits_for_memory),
        cmocka_unit_test(nobody_home),
        cmocka_unit_test(offloads_pass_headers),
        cmocka_unit_test(frames_too_short),
        cmocka_unit_test(frames_too_long),
        cmocka_unit_test(writable_transmit_buffer),
        cmocka_unit_test(receive_buffer_too_small_for_a_header),
        cmocka_unit_test(receive_buffer_for_reading),
        cmocka_unit_test(receive_buffer_too_small_unmerged),
        cmocka_unit_test(largest_frame_into_tiny_buffers),
        cmocka_unit_test(receive_ring_turns_bad_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
