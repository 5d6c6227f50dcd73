/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, VLANs, floods, queues: which port gets what, and what becomes of the rest. */
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/switch/wires.h"
#include "tests/unit/virtio/check.h"

#define OUTSIDE WIRES_VMS

static struct wires w;
static struct maker m;

static int setup(void **state)
{
    wires_init(&w);
    return 0;
}

static int teardown(void **state)
{
    wires_finish(&w);
    return 0;
}

static void open_plain(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct switch_config c = wires_config(i, false);

        wires_open(&w, i, &c);
    }
}

/* A frame of no protocol that anybody looks into. */
static void hello(unsigned from, const uint8_t *to, int tci)
{
    ether(&m, to, w.vm[from].mac, tci, 0x88b5);
    fill(&m, 50);
    wires_send(&w, from, m.bytes, m.len);
    wires_run(&w);
}

static void expect_got(unsigned mask)
{
    for (unsigned i = 0; i < WIRES_VMS + 2; i++)
        assert_int_equal(wires_got(&w, i), mask >> i & 1);
    wires_forget(&w);
}

/* ---- addresses ---- */

static void learns(void **state)
{
    size_t len;

    open_plain(3);
    hello(0, w.vm[1].mac, -1);
    assert_memory_equal(wires_last(&w, 1, &len), m.bytes, m.len);
    assert_int_equal(len, m.len);
    expect_got(6); /* nobody knows where 1 is */
    hello(1, w.vm[0].mac, -1);
    expect_got(1);
    hello(0, w.vm[1].mac, -1);
    expect_got(2);
    hello(0, broadcast, -1);
    expect_got(6);
    hello(0, w.vm[0].mac, -1); /* to itself: not back */
    expect_got(0);
}

static void forgets_after_a_while(void **state)
{
    open_plain(3);
    hello(1, broadcast, -1);
    wires_forget(&w);
    wires_now += 299000000000ULL;
    hello(0, w.vm[1].mac, -1);
    expect_got(2);
    wires_now += 2000000000ULL;
    hello(0, w.vm[1].mac, -1);
    expect_got(6);
    w.sw.fdb.age = 10;
    hello(1, broadcast, -1);
    wires_forget(&w);
    wires_now += 12000000000ULL;
    hello(0, w.vm[1].mac, -1);
    expect_got(6);
}

static void follows_a_move(void **state)
{
    open_plain(3);
    hello(1, broadcast, -1);
    memcpy(w.vm[2].mac, w.vm[1].mac, 6);
    hello(2, broadcast, -1);
    wires_forget(&w);
    hello(0, w.vm[1].mac, -1);
    expect_got(4);
}

static void one_port_fills_not_the_table(void **state)
{
    struct switch_config c = wires_config(0, false);
    uint8_t mac[6] = {2, 0, 0, 0, 0, 0};

    c.flood_rate = 1000000;
    wires_open(&w, 0, &c);
    for (unsigned i = 1; i < 4; i++) {
        c = wires_config(i, false);
        wires_open(&w, i, &c);
    }
    hello(1, broadcast, -1);
    for (unsigned i = 0; i < 5000; i++) {
        store_be32(mac + 2, i);
        ether(&m, broadcast, mac, -1, 0x88b5);
        fill(&m, 50);
        wires_send(&w, 0, m.bytes, m.len);
        wires_run(&w);
    }
    assert_int_equal(w.sw.fdb.learned[0], FDB_PER_PORT);
    wires_forget(&w);
    hello(2, w.vm[1].mac, -1);
    expect_got(2);
    wires_close(&w, 0);
    assert_int_equal(w.sw.fdb.learned[0], 0);
}

static void a_guarded_address_is_nobody_elses(void **state)
{
    struct switch_config c = wires_config(1, true);
    struct error err = {0};
    struct net *net;

    open_plain(1);
    wires_open(&w, 1, &c);
    assert_int_equal(switch_port_open(&w.sw, &w.vm[2].plat.plat, &c, &net, &err), -EADDRINUSE);
    assert_string_equal(err.text, "vm: another port of its VLAN has the same MAC address");
    assert_int_equal(w.vm[2].plat.allocations, 0);
    memcpy(w.vm[0].mac, w.vm[1].mac, 6);
    hello(0, broadcast, -1);
    expect_got(0);
    assert_int_equal(wires_dropped(&w, 0, DROP_MAC), 1);
}

static void a_guarded_port_sees_no_stray_frames(void **state)
{
    struct switch_config c = wires_config(1, true);

    open_plain(1);
    wires_open(&w, 1, &c);
    c = wires_config(2, false);
    wires_open(&w, 2, &c);
    hello(0, (uint8_t[]){2, 9, 9, 9, 9, 9}, -1);
    expect_got(4);
    hello(0, w.vm[1].mac, -1); /* known from the start */
    expect_got(2);
}

static void ports_come_and_go(void **state)
{
    struct switch_config c = wires_config(0, false);
    struct net *net[SWITCH_PORTS];
    struct error err = {0};

    for (unsigned i = 0; i < SWITCH_PORTS; i++)
        assert_int_equal(switch_port_open(&w.sw, &w.vm[0].plat.plat, &c, &net[i], &err), 0);
    assert_int_equal(switch_port_open(&w.sw, &w.vm[0].plat.plat, &c, &w.vm[0].net, &err), -ENOSPC);
    assert_string_equal(err.text, "vm: the switch has all its 64 ports");
    for (unsigned i = 0; i < SWITCH_PORTS; i++)
        net[i]->ops->close(net[i]);
    assert_int_equal(w.vm[0].plat.allocations, 0);
    /* With frames still waiting in it. */
    open_plain(2);
    ether(&m, broadcast, w.vm[0].mac, -1, 0x88b5);
    fill(&m, 50);
    wires_send(&w, 0, m.bytes, m.len);
    wires_close(&w, 1);
    hello(0, broadcast, -1);
    expect_got(0);
}

static void memory_runs_out(void **state)
{
    struct switch_config c = wires_config(0, false);

    for (unsigned n = 1; n < 3; n++) {
        struct error err = {0};

        w.vm[0].plat.fail_after = n;
        assert_int_equal(switch_port_open(&w.sw, &w.vm[0].plat.plat, &c, &w.vm[0].net, &err), -ENOMEM);
        assert_true(strstr(err.text, "memory"));
        assert_int_equal(w.vm[0].plat.allocations, 0);
    }
    w.vm[0].net = NULL;
}

/* ---- VLANs ---- */

static void vlans_are_apart(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        struct switch_config c = wires_config(i, false);

        c.vlan = i < 2 ? 10 : 20;
        wires_open(&w, i, &c);
    }
    hello(0, broadcast, -1);
    expect_got(2);
    hello(2, broadcast, -1);
    expect_got(8);
    hello(2, w.vm[0].mac, -1); /* known, but in another VLAN */
    expect_got(8);
    hello(0, broadcast, 20); /* an access port has no say in it */
    hello(0, broadcast, 10);
    expect_got(0);
    assert_int_equal(wires_dropped(&w, 0, DROP_VLAN), 2);
}

static void trunk_config(struct switch_config *c, uint8_t allowed[512], uint16_t native)
{
    memset(allowed, 0, 512);
    allowed[10 / 8] |= BIT(10 % 8);
    allowed[20 / 8] |= BIT(20 % 8);
    c->trunk = true;
    c->vlan = native;
    c->allowed = allowed;
}

static void trunk_tags(void **state)
{
    struct switch_config c = wires_config(0, false);
    uint8_t allowed[512], head[18];
    const uint8_t *got;
    size_t len;

    trunk_config(&c, allowed, 0);
    wires_open(&w, 0, &c);
    for (unsigned i = 1; i < 4; i++) {
        c = wires_config(i, false);
        c.vlan = (uint16_t)(10 * i);
        wires_open(&w, i, &c);
    }
    /* From access to trunk: a tag appears, with the priority that the sender said. */
    hello(1, broadcast, 0x6000);
    got = wires_last(&w, 0, &len);
    assert_int_equal(len, 14 + 50 + 4);
    ether(&m, broadcast, w.vm[1].mac, 0x6000 | 10, 0x88b5);
    assert_memory_equal(got, m.bytes, 18);
    assert_int_equal(got[18 + 49], (uint8_t)(49 * 7));
    expect_got(1);
    /* And back: it goes. */
    hello(0, w.vm[1].mac, 0xe000 | 10);
    got = wires_last(&w, 1, &len);
    assert_int_equal(len, 14 + 50);
    memcpy(head, m.bytes, 12);
    assert_memory_equal(got, head, 12);
    assert_int_equal(load_be16(got + 12), 0x88b5);
    expect_got(2);
    /* VLAN 30 is not the trunk's. */
    hello(3, broadcast, -1);
    expect_got(0);
    hello(0, broadcast, 30);
    hello(0, broadcast, -1); /* no native VLAN */
    hello(0, broadcast, 0);
    hello(0, broadcast, 4095);
    expect_got(0);
    assert_int_equal(wires_dropped(&w, 0, DROP_VLAN), 4);
}

static void trunk_with_a_native_vlan(void **state)
{
    struct switch_config c = wires_config(0, false);
    uint8_t allowed[512];
    size_t len;

    trunk_config(&c, allowed, 30);
    wires_open(&w, 0, &c);
    c = wires_config(1, false);
    c.vlan = 30;
    wires_open(&w, 1, &c);
    hello(1, broadcast, -1);
    wires_last(&w, 0, &len);
    assert_int_equal(len, 64);
    wires_forget(&w);
    hello(1, broadcast, 0x2000); /* the priority needs a tag, the VLAN does not */
    assert_int_equal(load_be32(wires_last(&w, 0, &len) + 12), 0x81002000);
    wires_forget(&w);
    hello(0, broadcast, -1);
    expect_got(2);
}

static void nested_tags_go_nowhere(void **state)
{
    struct switch_config c = wires_config(0, false);

    c.trunk = true;
    wires_open(&w, 0, &c);
    open_plain(0);
    c = wires_config(1, false);
    wires_open(&w, 1, &c);
    for (unsigned i = 0; i < 2; i++) {
        ether(&m, broadcast, w.vm[0].mac, 1, i ? 0x8100 : 0x88a8);
        put16(&m, 20);
        put16(&m, 0x0800);
        fill(&m, 50);
        wires_send(&w, 0, m.bytes, m.len);
    }
    ether(&m, broadcast, w.vm[1].mac, -1, 0x88a8);
    fill(&m, 50);
    wires_send(&w, 1, m.bytes, m.len);
    wires_run(&w);
    expect_got(0);
    assert_int_equal(wires_dropped(&w, 0, DROP_VLAN), 2);
    assert_int_equal(wires_dropped(&w, 1, DROP_VLAN), 1);
}

/* ---- NICs of the machine ---- */

static void uplinks(void **state)
{
    struct switch_config c = {.name = "nic", .guard = {.dhcp_server = true, .router = true}};
    static const uint8_t far_away[6] = {2, 1, 1, 1, 1, 1};

    open_plain(2);
    wires_uplink(&w, 0, &c);
    wires_uplink(&w, 1, &c);
    hello(0, broadcast, -1);
    expect_got(2 | 1 << OUTSIDE | 2 << OUTSIDE);
    ether(&m, broadcast, far_away, -1, 0x88b5);
    fill(&m, 46);
    wires_send_up(&w, 0, m.bytes, m.len);
    wires_run(&w);
    expect_got(3); /* not out of the other one */
    hello(0, far_away, -1);
    expect_got(1 << OUTSIDE);
}

/* ---- limits ---- */

static void floods_are_limited(void **state)
{
    struct switch_config c = wires_config(0, false);
    unsigned passed;

    c.flood_rate = 100;
    wires_open(&w, 0, &c);
    c = wires_config(1, false);
    wires_open(&w, 1, &c);
    for (unsigned i = 0; i < 1000; i++)
        hello(0, broadcast, -1);
    assert_int_equal(wires_got(&w, 1), 100);
    assert_int_equal(wires_dropped(&w, 0, DROP_STORM), 900);
    /* Known addresses have no such limit. */
    hello(1, broadcast, -1);
    passed = wires_got(&w, 1);
    for (unsigned i = 0; i < 1000; i++)
        hello(0, w.vm[1].mac, -1);
    assert_int_equal(wires_got(&w, 1), passed + 1000);
    wires_now += 50000000; /* 50 ms: five more */
    passed = wires_got(&w, 1);
    for (unsigned i = 0; i < 100; i++)
        hello(0, (uint8_t[]){2, 9, 9, 9, 9, 9}, -1);
    assert_int_equal(wires_got(&w, 1), passed + 5);
    wires_now += 3600000000000ULL;
    for (unsigned i = 0; i < 1000; i++)
        hello(0, broadcast, -1);
    assert_int_equal(wires_got(&w, 1), passed + 105);
}

static void a_slow_receiver_loses_frames(void **state)
{
    uint64_t lost;
    size_t len;

    open_plain(2);
    hello(0, broadcast, -1);
    hello(1, broadcast, -1);
    wires_forget(&w);
    for (unsigned i = 0; i < 1000; i++) {
        ether(&m, w.vm[1].mac, w.vm[0].mac, -1, 0x88b5);
        put32(&m, i);
        fill(&m, 1000);
        wires_send(&w, 0, m.bytes, m.len);
    }
    lost = wires_dropped(&w, 1, DROP_FULL);
    assert_in_range(lost, 800, 900); /* a queue of 128 KiB */
    assert_int_equal(wires_dropped(&w, 0, DROP_FULL), 0);
    /* The NIC takes none, then all: in order, none lost in between. */
    w.vm[1].full = true;
    wires_run(&w);
    assert_int_equal(wires_got(&w, 1), 0);
    w.vm[1].full = false;
    wires_run(&w);
    assert_int_equal(wires_got(&w, 1), 0); /* it has to say so */
    w.vm[1].net->ops->resume(w.vm[1].net);
    wires_run(&w);
    assert_int_equal(wires_got(&w, 1), 1000 - lost);
    assert_int_equal(load_be32(wires_last(&w, 1, &len) + 14), 999 - lost);
}

static void frames_wait_in_order(void **state)
{
    size_t len;

    open_plain(2);
    hello(1, broadcast, -1);
    /* Around the ring's end many times, with odd lengths. */
    for (unsigned i = 0; i < 2000; i++) {
        ether(&m, w.vm[1].mac, w.vm[0].mac, -1, 0x88b5);
        put32(&m, i);
        fill(&m, i * 37 % 3000);
        wires_send(&w, 0, m.bytes, m.len);
        if (i % 8 != 7)
            continue;
        wires_forget(&w);
        wires_run(&w);
        assert_int_equal(wires_got(&w, 1), 8);
        for (unsigned k = 0; k < 8; k++)
            assert_int_equal(load_be32(w.vm[1].frame[k] + 14), i - 7 + k);
        assert_memory_equal(wires_last(&w, 1, &len), m.bytes, m.len);
        assert_int_equal(len, m.len);
    }
    assert_int_equal(wires_dropped(&w, 1, DROP_FULL), 0);
}

/* However small they are: the receiver's other work has its turn between. */
static void so_many_at_a_time(void **state)
{
    open_plain(2);
    hello(1, broadcast, -1);
    wires_forget(&w);
    for (unsigned i = 0; i < 600; i++) {
        ether(&m, w.vm[1].mac, w.vm[0].mac, -1, 0x88b5);
        wires_send(&w, 0, m.bytes, m.len);
    }
    for (unsigned turn = 1; turn <= 3; turn++) {
        assert_true(fake_plat_run_one(&w.vm[1].plat));
        assert_int_equal(w.vm[1].count, turn < 3 ? turn * 256 : 600);
    }
    assert_false(fake_plat_run_one(&w.vm[1].plat));
}

static void the_largest_frame(void **state)
{
    size_t len;

    open_plain(2);
    hello(1, broadcast, -1);
    for (unsigned i = 0; i < 5; i++) {
        ether(&m, w.vm[1].mac, w.vm[0].mac, -1, 0x88b5);
        fill(&m, NET_FRAME_MAX - 14);
        wires_send(&w, 0, m.bytes, m.len);
        wires_run(&w);
        assert_memory_equal(wires_last(&w, 1, &len), m.bytes, m.len);
        assert_int_equal(len, NET_FRAME_MAX);
    }
    memcpy(m.bytes, broadcast, 6);
    wires_send(&w, 0, m.bytes, m.len);
    assert_int_equal(wires_dropped(&w, 0, DROP_SIZE), 1);
    fill(&m, 1);
    wires_send(&w, 0, m.bytes, m.len);
    for (size_t n = 0; n < 14; n++)
        wires_send(&w, 0, m.bytes, n);
    assert_int_equal(wires_dropped(&w, 0, DROP_MALFORMED), 15);
    ether(&m, broadcast, w.vm[0].mac, 5, 0); /* a tag with no type behind it */
    wires_send(&w, 0, m.bytes, 17);
    assert_int_equal(wires_dropped(&w, 0, DROP_MALFORMED), 16);
}

static void reserved_addresses_end_here(void **state)
{
    uint8_t to[6] = {1, 0x80, 0xc2, 0, 0, 0};

    open_plain(2);
    for (unsigned i = 0; i < 16; i++) {
        to[5] = (uint8_t)i;
        hello(0, to, -1);
    }
    expect_got(0);
    assert_int_equal(wires_dropped(&w, 0, DROP_RESERVED), 16);
    to[5] = 16;
    hello(0, to, -1);
    expect_got(2);
}

static void nobody_plugged_in(void **state)
{
    open_plain(2);
    w.vm[1].net->link_up = false;
    hello(0, broadcast, -1);
    w.vm[1].net->link_up = true;
    w.vm[1].net->nic = NULL;
    hello(0, broadcast, -1);
    assert_int_equal(wires_dropped(&w, 1, DROP_DOWN), 2);
    expect_got(0);
}

static void counts(void **state)
{
    struct switch_stats s;

    open_plain(2);
    hello(0, broadcast, -1);
    switch_port_stats(switch_port_of(w.vm[0].net), &s);
    assert_int_equal(s.in_frames, 1);
    assert_int_equal(s.in_bytes, 64);
    assert_int_equal(s.out_frames, 0);
    switch_port_stats(switch_port_of(w.vm[1].net), &s);
    assert_int_equal(s.out_frames, 1);
    assert_int_equal(s.out_bytes, 64);
    for (unsigned i = 0; i < DROP_COUNT; i++) {
        assert_int_equal(s.drops[i], 0);
        assert_non_null(net_drop_names[i]);
    }
}

static void wrong_configurations(void **state)
{
    static uint8_t list[512];
    static const struct {
        struct switch_config c;
        const char *text;
    } wrong[] = {
        {{.name = "a", .vlan = 4095}, "a: VLANs are 1 to 4094, not 4095"},
        {{.name = "a", .allowed = list}, "a: only a trunk has a list of VLANs"},
        {{.name = "a", .guard = {.ipv4_count = 9}}, "a: at most 8 addresses of a kind"},
        {{.name = "a", .guard = {.ipv6_count = 9}}, "a: at most 8 addresses of a kind"},
        {{.name = "a", .guard = {.mac = true, .address = {1}}}, "a: its MAC address is a multicast one"},
        {{.name = "a", .queue = 4096}, "a: its queue must be a power of two from 128 KiB to 64 MiB"},
        {{.name = "a", .queue = 200000}, "a: its queue must be a power of two from 128 KiB to 64 MiB"},
        {{.name = "a", .queue = 1U << 31}, "a: its queue must be a power of two from 128 KiB to 64 MiB"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error err = {0};
        struct net *net;

        assert_int_equal(switch_port_open(&w.sw, &w.vm[0].plat.plat, &wrong[i].c, &net, &err), -EINVAL);
        assert_string_equal(err.text, wrong[i].text);
        assert_int_equal(switch_uplink_add(&w.sw, &w.uplink[0], &wrong[i].c, NULL, NULL), -EINVAL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(learns),
        TEST(forgets_after_a_while),
        TEST(follows_a_move),
        TEST(one_port_fills_not_the_table),
        TEST(a_guarded_address_is_nobody_elses),
        TEST(a_guarded_port_sees_no_stray_frames),
        TEST(ports_come_and_go),
        TEST(memory_runs_out),
        TEST(vlans_are_apart),
        TEST(trunk_tags),
        TEST(trunk_with_a_native_vlan),
        TEST(nested_tags_go_nowhere),
        TEST(uplinks),
        TEST(floods_are_limited),
        TEST(a_slow_receiver_loses_frames),
        TEST(frames_wait_in_order),
        TEST(so_many_at_a_time),
        TEST(the_largest_frame),
        TEST(reserved_addresses_end_here),
        TEST(nobody_plugged_in),
        TEST(counts),
        TEST(wrong_configurations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
