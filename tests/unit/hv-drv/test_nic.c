/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's NIC as a port of the switch, and the ports of its virtio console. */
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/pci.h"
#include "hv/drv/host-virtio.h"
#include "switch/switch.h"
#include "tests/unit/hv-drv/host.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

static const uint8_t mac[6] = {0x52, 0x54, 0, 9, 9, 9};
static struct fake_net wire;   /* the other end of the NIC's cable */
static struct fake_tty tty[2]; /* of the console's ports */
static struct net_switch sw;
static struct fake_plat vm;
static struct net *port; /* the VM's */
static unsigned wakes;

static uint8_t got[NET_FRAME_MAX];
static size_t got_len;
static unsigned got_count;

static uint64_t host_clock(void)
{
    return host.now;
}

static bool receive(void *nic, const void *frame, size_t len)
{
    memcpy(got, frame, len);
    got_len = len;
    got_count++;
    return true;
}

static void wake(void *opaque)
{
    assert_ptr_equal(opaque, &sw);
    wakes++;
}

static unsigned named;

static void count(void *opaque)
{
    ++*(unsigned *)opaque;
}

static int machine_make(void **state)
{
    struct virtio_console_port_config ports[] = {
        {.name = "batuta.monitor", .chardev = &tty[0].chardev},
        {.name = "batuta.other", .chardev = &tty[1].chardev},
    };
    struct switch_config c = {.name = "vm", .flood_rate = 1000000};
    struct error err = {0};

    host_init();
    fake_net_init(&wire, false);
    fake_tty_init(&tty[0]);
    fake_tty_init(&tty[1]);
    tty[1].chardev.connected = false;
    assert_int_equal(virtio_net_create(&host.vm, &host.bus, "net0", &wire.net, mac, NULL, NULL), 0);
    assert_int_equal(virtio_console_create(&host.vm, &host.bus, "console0", ports, 2, NULL, NULL), 0);
    host_boot();
    host_console_watch(count, &named);
    host_pci_scan();
    assert_null(host_console_port("batuta.other")); /* not yet */
    host_run();
    switch_init(&sw, host_clock);
    fake_plat_init(&vm);
    assert_int_equal(switch_port_open(&sw, &vm.plat, &c, &port, &err), 0);
    port->receive = receive;
    port->nic = &vm;
    return 0;
}

static int machine_drop(void **state)
{
    port->ops->close(port);
    assert_int_equal(vm.allocations, 0);
    host_finish();
    return 0;
}

static void poll_all(void)
{
    do
        host_run();
    while (host_net_poll(0));
    host_run();
    fake_plat_run_work(&vm);
}

static void joins(void **state)
{
    struct switch_config c = {.name = "uplink"};
    struct error err = {0};
    uint8_t m[6];

    assert_true(host_net_mac(0, m));
    assert_memory_equal(m, mac, 6);
    assert_false(host_net_mac(1, m));
    assert_false(host_net_poll(0));
    assert_int_equal(host_net_join(1, &sw, &c, wake, &sw, &err), -ENODEV);
    assert_string_equal(err.text, "uplink: the machine has 1 virtio NICs, no number 1");
    err = (struct error){0};
    assert_int_equal(host_net_join(0, &sw, &c, wake, &sw, &err), 0);
    assert_int_equal(host_net_join(0, &sw, &c, wake, &sw, &err), -EBUSY);
    assert_string_equal(err.text, "uplink: NIC number 0 is a port of a switch already");
}

static void frame_make(uint8_t *frame, size_t len, uint8_t last)
{
    memset(frame, 0xff, 6);
    memcpy(frame + 6, (uint8_t[]){2, 0, 0, 0, 0, last}, 6);
    frame[12] = 0x88;
    frame[13] = 0xb5;
    for (size_t i = 14; i < len; i++)
        frame[i] = (uint8_t)(i * 3 + last);
}

static void sends(void **state)
{
    uint8_t frame[2000];
    struct net_vec vec = {frame, 1514};
    struct switch_stats stats;

    for (unsigned i = 0; i < 300; i++) {
        frame_make(frame, 1514, (uint8_t)i);
        port->ops->send(port, &vec, 1);
        if (i % 100 == 99)
            host_run();
    }
    assert_int_equal(wire.sent, 300);
    assert_int_equal(wire.last_len, 1514);
    assert_memory_equal(wire.last, frame, 1514);
    /* Without the device at work, its ring is full some day; then they are lost, and counted. */
    host.frozen = true;
    for (unsigned i = 0; i < 300; i++)
        port->ops->send(port, &vec, 1);
    vec.len = 1519;
    port->ops->send(port, &vec, 1);
    assert_true(host_net_stats(0, &stats));
    assert_int_equal(stats.out_frames, 428);
    assert_int_equal(stats.drops[DROP_FULL], 172);
    assert_int_equal(stats.drops[DROP_SIZE], 1);
    host.frozen = false;
    host_run();
    assert_int_equal(wire.sent, 428);
    vec.len = 1514;
    port->ops->send(port, &vec, 1);
    host_run();
    assert_int_equal(wire.sent, 429);
}

static void receives(void **state)
{
    uint8_t frame[2000];

    got_count = 0;
    for (unsigned i = 0; i < 500; i++) {
        frame_make(frame, 60 + i, (uint8_t)i);
        assert_true(wire.net.receive(wire.net.nic, frame, 60 + i));
        poll_all();
        assert_int_equal(got_count, i + 1);
        assert_int_equal(got_len, 60 + i);
        assert_memory_equal(got, frame, got_len);
    }
    assert_true(wakes > 0);
    /* More than there are buffers: the device keeps the rest. */
    for (unsigned i = 0; i < 128; i++)
        assert_true(wire.net.receive(wire.net.nic, frame, 100));
    assert_false(wire.net.receive(wire.net.nic, frame, 100));
    poll_all();
    assert_int_equal(got_count, 628);
    assert_true(wire.net.receive(wire.net.nic, frame, 100));
    poll_all();
    assert_int_equal(got_count, 629);
}

/* ---- console ---- */

static struct chardev *serial;
static uint8_t taken[8192];
static size_t taken_len, room;
static bool resume_within;
static unsigned writables, connections;

static size_t take(void *device, const uint8_t *buf, size_t len)
{
    size_t n = MIN(len, room);

    assert_ptr_equal(device, &taken);
    assert_true(taken_len + n <= sizeof(taken));
    memcpy(taken + taken_len, buf, n);
    taken_len += n;
    room -= n;
    if (n < len && resume_within) {
        room = len;
        serial->ops->resume(serial);
    }
    return n;
}

static void writable(void *device)
{
    writables++;
}

static void connection(void *device, bool connected)
{
    connections++;
}

static void ports_have_names(void **state)
{
    struct chardev *other;
    uint64_t now = host.now;

    assert_null(host_console_port("batuta.nobody"));
    assert_int_equal(host.now, now); /* nobody waits */
    host_run();
    other = host_console_port("batuta.other");
    assert_true(named > 0 && named <= 2); /* both may be in one interrupt */
    serial = host_console_port("batuta.monitor");
    assert_non_null(serial);
    assert_non_null(other);
    assert_ptr_not_equal(serial, other);
    assert_null(host_console_port("batuta.monito"));
    assert_null(host_console_port("batuta.monitor2"));
    assert_true(serial->connected);
    assert_false(other->connected);
    other->device = &taken;
    other->connection = connection;
    tty[1].chardev.connected = true;
    tty[1].chardev.connection(tty[1].chardev.device, true);
    host_run();
    assert_int_equal(connections, 1);
    assert_true(other->connected);
}

static void input(void **state)
{
    uint8_t text[3000];

    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 5 + i / 256);
    serial->device = &taken;
    serial->receive = take;
    serial->writable = writable;
    room = 100;
    serial->ops->resume(serial);
    assert_int_equal(tty[0].chardev.receive(tty[0].chardev.device, text, 3000), 3000);
    host_run();
    assert_int_equal(taken_len, 100);
    for (unsigned i = 0; i < 28; i++) {
        room = 100;
        serial->ops->resume(serial);
        assert_int_equal(taken_len, 200 + i * 100);
    }
    room = 50;
    resume_within = true;
    serial->ops->resume(serial);
    resume_within = false;
    assert_int_equal(taken_len, 3000);
    assert_memory_equal(taken, text, 3000);
    /* The buffers are the device's again. */
    taken_len = 0;
    room = 8000;
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(tty[0].chardev.receive(tty[0].chardev.device, text, 100), 100);
        host_run();
    }
    assert_int_equal(taken_len, 4000);
}

static void output(void **state)
{
    static uint8_t text[32768];
    size_t n;

    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 5 + i / 256);
    host.frozen = true;
    n = serial->ops->write(serial, text, sizeof(text));
    assert_int_equal(n, 16 * 1024);
    assert_int_equal(serial->ops->write(serial, text, 1), 0);
    host.frozen = false;
    writables = 0;
    host_run();
    assert_int_equal(writables, 1);
    assert_int_equal(tty[0].out_len, 8192); /* as much as the test keeps */
    assert_memory_equal(tty[0].out, text, 8192);
    tty[0].out_len = 0;
    tty[0].chardev.writable(tty[0].chardev.device);
    host_run();
    assert_memory_equal(tty[0].out, text + 8192, 8192);
    tty[0].out_len = 0;
    assert_int_equal(serial->ops->write(serial, text, 5), 5);
    host_run();
    assert_int_equal(tty[0].out_len, 5);
}

static void plug(unsigned i, bool connected)
{
    tty[i].chardev.connected = connected;
    tty[i].chardev.connection(tty[i].chardev.device, connected);
    host_run();
}

/* A device that forgets buffers when its other side goes, as QEMU's does: it is begun anew in time. */
static void worn_out(void **state)
{
    struct device *dev = list_entry(host.vm.devices.prev, struct device, link);
    struct virtq *q = &container_of(dev, struct virtio_pci, dev)->virtio.queue[1];
    static const uint8_t text[16 * 1024];

    plug(1, false);
    for (unsigned round = 0; round < 3; round++) {
        assert_true(serial->connected);
        tty[0].room = 0;
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(serial->ops->write(serial, text, 1), 1);
        host_run();
        q->last_avail = (uint16_t)(q->last_avail + 10);
        plug(0, false);
        assert_false(serial->connected);
        tty[0].room = SIZE_MAX;
        plug(0, true);
        assert_ptr_equal(host_console_port("batuta.monitor"), serial);
        tty[0].out_len = 0;
        host.frozen = true;
        assert_int_equal(serial->ops->write(serial, text, sizeof(text)), sizeof(text));
        host.frozen = false;
        host_run();
        assert_int_equal(tty[0].out_len, 8192);
        tty[0].out_len = 0;
        tty[0].chardev.writable(tty[0].chardev.device);
        host_run();
        assert_int_equal(tty[0].out_len, 8192);
        tty[0].out_len = 0;
    }
    /* And the way in. */
    taken_len = 0;
    room = 100;
    assert_int_equal(tty[0].chardev.receive(tty[0].chardev.device, text, 100), 100);
    host_run();
    assert_int_equal(taken_len, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins),    cmocka_unit_test(sends),
        cmocka_unit_test(receives), cmocka_unit_test(ports_have_names),
        cmocka_unit_test(input),    cmocka_unit_test(output),
        cmocka_unit_test(worn_out),
    };

    return cmocka_run_group_tests(tests, machine_make, machine_drop);
}
