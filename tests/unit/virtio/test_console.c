/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "base/bytes.h"
#include "dev/virtio/console.h"
#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

#define CRX             VIRTIO_CONSOLE_CONTROL_RX
#define CTX             VIRTIO_CONSOLE_CONTROL_TX
#define CONTROL_BUFFERS (DRIVER_DATA + 0x10000)
#define CONTROL_OUT     (DRIVER_DATA + 0x20000)

static struct driver d;
static struct backends b;
static struct device *dev;
static unsigned control_next;

static void control_buffers(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct seg seg = {CONTROL_BUFFERS + (i % 16) * 64, 64, true};
        driver_add(&d, CRX, &seg, 1);
    }
    driver_kick(&d, CRX);
    driver_run(&d);
}

static void setup(uint64_t features)
{
    dev = bench_make(&d, &b, KIND_CONSOLE);
    driver_start(&d, features);
    control_next = 0;
    if (features & BIT(VIRTIO_CONSOLE_F_MULTIPORT))
        control_buffers(16);
}

static void control(uint32_t port, unsigned event, unsigned value)
{
    uint8_t *p = driver_ram(&d, CONTROL_OUT);
    struct seg seg = {CONTROL_OUT, 8, false};

    store_le32(p, port);
    store_le16(p + 4, (uint16_t)event);
    store_le16(p + 6, (uint16_t)value);
    driver_add(&d, CTX, &seg, 1);
    driver_kick(&d, CTX);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, CTX), 1);
}

/* The next control message from the device, whose extra bytes are returned. */
static const uint8_t *expect(uint32_t port, unsigned event, unsigned value, uint32_t extra)
{
    uint32_t head, len;
    const uint8_t *p;

    if (!driver_used(&d, CRX, &head, &len))
        fail_msg("no message where event %u of port %u was expected", event, port);
    p = driver_ram(&d, CONTROL_BUFFERS + (control_next++ % 16) * 64);
    assert_int_equal(load_le32(p), port);
    assert_int_equal(load_le16(p + 4), event);
    assert_int_equal(load_le16(p + 6), value);
    assert_int_equal(len, 8 + extra);
    return p + 8;
}

static void bring_up(void)
{
    setup(DRIVER_ALL_FEATURES);
    control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    expect(0, VIRTIO_CONSOLE_DEVICE_ADD, 1, 0);
    expect(1, VIRTIO_CONSOLE_DEVICE_ADD, 1, 0);
    control(0, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_memory_equal(expect(0, VIRTIO_CONSOLE_PORT_NAME, 1, 3), "tty", 3);
    expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, 0);
    expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
    control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
    control(1, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_memory_equal(expect(1, VIRTIO_CONSOLE_PORT_NAME, 1, 16), "org.batuta.agent", 16);
    expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
    control_buffers(7);
}

static void output(unsigned port, const char *text)
{
    struct seg seg = {DRIVER_DATA, (uint32_t)strlen(text), false};

    memcpy(driver_ram(&d, DRIVER_DATA), text, strlen(text));
    driver_add(&d, virtio_console_tx_queue(port), &seg, 1);
    driver_kick(&d, virtio_console_tx_queue(port));
    driver_run(&d);
}

static size_t input(unsigned port, const char *text)
{
    struct chardev *c = &b.tty[port].chardev;

    return c->receive(c->device, (const uint8_t *)text, strlen(text));
}

static void handshake(void **state)
{
    bring_up();
    assert_int_equal(driver_read(&d, d.config + 4, 4), 2);
    assert_int_equal(d.queue_count, 6);
    driver_finish(&d);
    assert_true(b.tty[0].closed && b.tty[1].closed);
}

static void single_port_driver(void **state)
{
    struct seg seg = {DRIVER_DATA + 0x1000, 64, true};

    setup(BIT64(VIRTIO_F_VERSION_1));
    output(0, "hello");
    assert_memory_equal(b.tty[0].out, "hello", 5);
    driver_add(&d, 0, &seg, 1);
    assert_int_equal(input(0, "yes"), 3);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 0x1000), "yes", 3);
    assert_int_equal(input(1, "no"), 0);
    driver_finish(&d);
}

static void ports_are_separate(void **state)
{
    bring_up();
    output(0, "to the terminal");
    output(1, "to the agent");
    assert_memory_equal(b.tty[0].out, "to the terminal", 15);
    assert_int_equal(b.tty[0].out_len, 15);
    assert_memory_equal(b.tty[1].out, "to the agent", 12);
    driver_finish(&d);
}

static void slow_peer(void **state)
{
    struct chardev *c = &b.tty[0].chardev;

    bring_up();
    b.tty[0].room = 4;
    output(0, "0123456789");
    assert_int_equal(b.tty[0].out_len, 4);
    assert_int_equal(driver_used_count(&d, 1), 0);
    b.tty[0].room = 3;
    c->writable(c->device);
    driver_run(&d);
    assert_int_equal(b.tty[0].out_len, 7);
    b.tty[0].room = 100;
    c->writable(c->device);
    driver_run(&d);
    assert_memory_equal(b.tty[0].out, "0123456789", 10);
    assert_int_equal(driver_used_count(&d, 1), 1);
    driver_finish(&d);
}

static void peer_leaves(void **state)
{
    struct chardev *c = &b.tty[0].chardev;

    bring_up();
    b.tty[0].room = 4;
    output(0, "0123456789");
    c->connected = false;
    c->connection(c->device, false);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 1), 1); /* the rest is lost, the guest is not stuck */
    expect(0, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
    output(0, "more");
    assert_int_equal(driver_used_count(&d, 1), 1);
    c->connected = true;
    c->connection(c->device, true);
    driver_run(&d);
    expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
    b.tty[0].room = 100;
    output(0, "again");
    assert_memory_equal(b.tty[0].out + 4, "again", 5);
    driver_finish(&d);
}

static void input_waits_for_room(void **state)
{
    struct seg seg = {DRIVER_DATA + 0x1000, 4, true};
    unsigned before;

    bring_up();
    assert_int_equal(input(0, "abc"), 0);
    before = b.tty[0].resumed;
    driver_add(&d, 0, &seg, 1);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(b.tty[0].resumed, before + 1);
    assert_int_equal(input(0, "abcdef"), 4);
    assert_int_equal(driver_used_count(&d, 0), 1);
    assert_memory_equal(driver_ram(&d, DRIVER_DATA + 0x1000), "abcd", 4);
    driver_finish(&d);
}

static void closed_port_takes_nothing(void **state)
{
    struct seg seg = {DRIVER_DATA + 0x1000, 4, true};
    unsigned before;

    bring_up();
    driver_add(&d, virtio_console_rx_queue(1), &seg, 1);
    assert_int_equal(input(1, "abc"), 0);
    before = b.tty[1].resumed;
    control(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
    assert_true(b.tty[1].resumed > before);
    assert_int_equal(input(1, "abc"), 3);
    control(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
    assert_int_equal(input(1, "abc"), 0);
    driver_finish(&d);
}

static void resize(void **state)
{
    const uint8_t *extra;

    bring_up();
    virtio_console_resize(dev, 0, 132, 50);
    driver_run(&d);
    extra = expect(0, VIRTIO_CONSOLE_RESIZE, 1, 4);
    assert_int_equal(load_le16(extra), 132);
    assert_int_equal(load_le16(extra + 2), 50);
    assert_int_equal(driver_read(&d, d.config, 2), 132);
    assert_int_equal(driver_read(&d, d.config + 2, 2), 50);
    virtio_console_resize(dev, 9, 1, 1);
    driver_finish(&d);
}

/* ---- hostile ---- */

static void control_nonsense(void **state)
{
    bring_up();
    control(2, VIRTIO_CONSOLE_PORT_READY, 1);
    control(UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
    control(0, 2, 1);
    control(0, 0xffff, 0xffff);
    control(1, VIRTIO_CONSOLE_PORT_READY, 0);
    assert_int_equal(driver_used_count(&d, CRX), 0);
    assert_false(driver_needs_reset(&d));
    driver_finish(&d);
}

static void control_cut_short(void **state)
{
    struct seg seg = {CONTROL_OUT, 7, false}, in = {CONTROL_OUT, 8, true};

    bring_up();
    driver_add(&d, CTX, &seg, 1);
    driver_add(&d, CTX, &in, 1);
    driver_kick(&d, CTX);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, CTX), 2);
    assert_int_equal(driver_used_count(&d, CRX), 0);
    driver_finish(&d);
}

/* Asked to introduce itself a thousand times, with nowhere to write: it remembers one wish. */
static void control_flood(void **state)
{
    dev = bench_make(&d, &b, KIND_CONSOLE);
    driver_start(&d, DRIVER_ALL_FEATURES);
    for (unsigned i = 0; i < 1000; i++) {
        control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
        control(0, VIRTIO_CONSOLE_PORT_READY, 1);
    }
    control_next = 0;
    control_buffers(16);
    expect(0, VIRTIO_CONSOLE_DEVICE_ADD, 1, 0);
    expect(0, VIRTIO_CONSOLE_PORT_NAME, 1, 3);
    expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, 0);
    expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
    expect(1, VIRTIO_CONSOLE_DEVICE_ADD, 1, 0);
    assert_int_equal(driver_used_count(&d, CRX), 0);
    driver_finish(&d);
}

static void control_buffer_too_small(void **state)
{
    struct seg seg = {CONTROL_BUFFERS, 3, true}, out = {CONTROL_BUFFERS, 64, false};
    uint32_t len;

    dev = bench_make(&d, &b, KIND_CONSOLE);
    driver_start(&d, DRIVER_ALL_FEATURES);
    driver_add(&d, CRX, &seg, 1);
    driver_add(&d, CRX, &out, 1);
    control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    assert_true(driver_used(&d, CRX, NULL, &len));
    assert_int_equal(len, 3);
    assert_true(driver_used(&d, CRX, NULL, &len));
    assert_int_equal(len, 0);
    driver_finish(&d);
}

static void input_buffer_for_reading(void **state)
{
    struct seg seg = {DRIVER_DATA, 64, false};

    bring_up();
    driver_add(&d, 0, &seg, 1);
    assert_int_equal(input(0, "abc"), 0);
    assert_true(driver_needs_reset(&d));
    driver_finish(&d);
}

/* All of RAM, many times over, as one piece of output: it goes out in turns, and can be reset away. */
static void endless_output(void **state)
{
    struct seg seg[8];

    bring_up();
    for (unsigned i = 0; i < 8; i++)
        seg[i] = (struct seg){0, DRIVER_RAM, false};
    b.tty[0].room = 5000;
    driver_add(&d, 1, seg, 8);
    driver_kick(&d, 1);
    driver_run(&d);
    assert_int_equal(b.tty[0].out_len, 5000);
    driver_reset(&d);
    b.tty[0].chardev.writable(b.tty[0].chardev.device);
    driver_run(&d);
    assert_int_equal(b.tty[0].out_len, 5000);
    driver_finish(&d);
}

/* The buffer shrinks while half of it is out. */
static void output_changes_halfway(void **state)
{
    struct chardev *c = &b.tty[0].chardev;

    bring_up();
    b.tty[0].room = 8;
    output(0, "0123456789");
    driver_desc(&d, 1, 0, DRIVER_DATA, 3, 0, 0);
    b.tty[0].room = 100;
    c->writable(c->device);
    driver_run(&d);
    assert_int_equal(b.tty[0].out_len, 8);
    assert_int_equal(driver_used_count(&d, 1), 1);
    output(0, "xy");
    assert_memory_equal(b.tty[0].out + 8, "xy", 2);
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake),
        cmocka_unit_test(single_port_driver),
        cmocka_unit_test(ports_are_separate),
        cmocka_unit_test(slow_peer),
        cmocka_unit_test(peer_leaves),
        cmocka_unit_test(input_waits_for_room),
        cmocka_unit_test(closed_port_takes_nothing),
        cmocka_unit_test(resize),
        cmocka_unit_test(control_nonsense),
        cmocka_unit_test(control_cut_short),
        cmocka_unit_test(control_flood),
        cmocka_unit_test(control_buffer_too_small),
        cmocka_unit_test(input_buffer_for_reading),
        cmocka_unit_test(endless_output),
        cmocka_unit_test(output_changes_halfway),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
