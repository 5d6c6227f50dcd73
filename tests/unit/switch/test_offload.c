/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums and segments: what a receiver did not agree to is finished before it comes there. */
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/switch/wires.h"
#include "tests/unit/virtio/check.h"

#define OUTSIDE  WIRES_VMS
#define ALL      (NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN)
#define SEQUENCE 0xfffffc00U /* wraps on the way */

static struct wires w;
static struct maker m;
static uint8_t from6[16], to6[16];
static const uint8_t unknown[6] = {2, 9, 9, 9, 9, 9};

static void set_header(unsigned i, bool header, unsigned offloads)
{
    assert_int_equal(w.vm[i].net->ops->set_header(w.vm[i].net, header, offloads), 0);
}

static int setup(void **state)
{
    struct switch_config c = {.name = "nic", .guard = {.dhcp_server = true, .router = true}};

    wires_init(&w);
    for (unsigned i = 0; i < 2; i++) {
        struct switch_config vm = wires_config(i, true);

        wires_open(&w, i, &vm);
    }
    wires_uplink(&w, 0, &c);
    set_header(0, true, ALL);
    link_local(from6, w.vm[0].mac);
    link_local(to6, w.vm[1].mac);
    return 0;
}

static int teardown(void **state)
{
    wires_finish(&w);
    return 0;
}

struct want {
    unsigned version;
    int tci;
    size_t data, options; /* of TCP */
    unsigned gso;         /* bytes in a segment; 0: one packet */
    uint8_t flags;
};

static void offload_header(unsigned flags, unsigned type, unsigned size, unsigned start, unsigned offset)
{
    memset(m.bytes, 0, 12);
    m.bytes[0] = (uint8_t)flags;
    m.bytes[1] = (uint8_t)type;
    store_le16(m.bytes + 4, (uint16_t)size);
    store_le16(m.bytes + 6, (uint16_t)start);
    store_le16(m.bytes + 8, (uint16_t)offset);
}

static uint32_t pseudo_sum(const uint8_t *ip, unsigned version, size_t len)
{
    uint16_t sum = version == 4 ? slow_checksum(ip + 12, 8, 0) : slow_checksum(ip + 8, 32, 0);

    return (uint32_t)(uint16_t)~sum + IP_TCP + (uint32_t)len;
}

/* From VM 0 to `to`, with an offload header in front: as Linux makes them. */
static void make_tcp(const struct want *want, const uint8_t *to)
{
    size_t tag = want->tci >= 0 ? 4 : 0, l4 = 14 + tag + (want->version == 4 ? 20 : 40);
    size_t tcp = 20 + want->options;
    static struct maker p;
    uint32_t pseudo;

    ether(&p, to, w.vm[0].mac, want->tci, want->version == 4 ? ETHER_IPV4 : ETHER_IPV6);
    if (want->version == 4)
        ipv4(&p, IP_TCP, 0x0a000000, 0x0a000001, tcp + want->data);
    else
        ipv6(&p, IP_TCP, from6, to6, tcp + want->data);
    put16(&p, 1000);
    put16(&p, 5201);
    put32(&p, SEQUENCE);
    put32(&p, 77);
    put8(&p, (unsigned)tcp << 2);
    put8(&p, want->flags);
    put16(&p, 1024);
    put32(&p, 0);
    fill(&p, want->options);
    fill(&p, want->data);
    pseudo = pseudo_sum(p.bytes + 14 + tag, want->version, tcp + want->data);
    while (pseudo >> 16)
        pseudo = (pseudo & 0xffff) + (pseudo >> 16);
    store_be16(p.bytes + l4 + 16, (uint16_t)pseudo);
    m.len = 12;
    put(&m, p.bytes, p.len);
    offload_header(1, want->gso ? (want->version == 4 ? 1 : 4) | (want->flags & 0x80) : 0, want->gso,
                   (unsigned)l4, 16);
}

static void check_packet(const uint8_t *p, size_t len, const struct want *want, size_t offset, size_t data,
                         unsigned n, bool last)
{
    const uint8_t *ip = p + 14, *tcp = ip + (want->version == 4 ? 20 : 40);
    size_t tcp_len = 20 + want->options + data;

    assert_int_equal(len, (size_t)(tcp - p) + tcp_len);
    if (want->version == 4) {
        assert_int_equal(load_be16(ip + 2), 20 + tcp_len);
        assert_int_equal(load_be16(ip + 4), 0x1234 + n);
        assert_int_equal(slow_checksum(ip, 20, 0), 0);
    } else {
        assert_int_equal(load_be16(ip + 4), tcp_len);
    }
    assert_int_equal(slow_checksum(tcp, tcp_len, pseudo_sum(ip, want->version, tcp_len)), 0);
    assert_int_equal(load_be32(tcp + 4), (uint32_t)(SEQUENCE + offset));
    assert_int_equal(tcp[13], want->flags & (last ? 0xff : ~0x09) & (n ? 0x7f : 0xff));
    for (size_t i = 0; i < data; i++)
        assert_int_equal(tcp[20 + want->options + i], (uint8_t)((offset + i) * 7 + (offset + i) / 251));
}

/* What came to end i is the same data, finished. */
static void check_finished(unsigned i, const struct want *want)
{
    const struct wire_vm *vm = i < WIRES_VMS ? &w.vm[i] : &w.outside[i - WIRES_VMS];
    size_t at = 0, step = want->gso ? want->gso : want->data;
    unsigned n = 0;

    do {
        size_t data = MIN(step, want->data - at);

        assert_true(n < vm->count);
        check_packet(vm->frame[n], vm->len[n], want, at, data, n, at + data == want->data);
        at += data;
        n++;
    } while (at < want->data);
    assert_int_equal(vm->count, n);
}

static const struct want wants[] = {
    {.version = 4, .tci = -1, .data = 1000, .flags = 0x18},
    {.version = 6, .tci = -1, .data = 1001, .flags = 0x18},
    {.version = 4, .tci = 0x2000, .data = 1, .flags = 0x11},
    {.version = 4, .tci = -1, .data = 0, .flags = 0x02, .options = 20},
    {.version = 4, .tci = -1, .data = 40000, .gso = 1448, .flags = 0x19, .options = 12},
    {.version = 6, .tci = -1, .data = 65000, .gso = 1428, .flags = 0x98, .options = 12},
    {.version = 4, .tci = 0x2000, .data = 1448 * 3, .gso = 1448, .flags = 0x90},
    {.version = 4, .tci = -1, .data = 100, .gso = 1448, .flags = 0x10},
    {.version = 4, .tci = -1, .data = 0, .gso = 1448, .flags = 0x10},
    {.version = 4, .tci = -1, .data = 4000, .gso = 64, .flags = 0x10, .options = 40},
};

static void finished_for_others(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(wants); i++) {
        wires_forget(&w);
        make_tcp(&wants[i], w.vm[1].mac);
        wires_send(&w, 0, m.bytes, m.len);
        make_tcp(&wants[i], unknown);
        wires_send(&w, 0, m.bytes, m.len);
        wires_run(&w);
        check_finished(1, &wants[i]);
        check_finished(OUTSIDE, &wants[i]);
    }
}

/* A receiver that takes checksums, but no segments. */
static void finished_in_part(void **state)
{
    const uint8_t *got;
    size_t len;

    set_header(1, true, NET_OFFLOAD_CSUM);
    make_tcp(&wants[0], w.vm[1].mac);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    assert_memory_equal(wires_last(&w, 1, &len), m.bytes, m.len);
    assert_int_equal(len, m.len);
    wires_forget(&w);
    make_tcp(&wants[4], w.vm[1].mac);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    assert_int_equal(wires_got(&w, 1), 28);
    got = w.vm[1].frame[27];
    assert_memory_equal(got, (uint8_t[12]){0}, 12);
    check_packet(got + 12, w.vm[1].len[27] - 12, &wants[4], 27 * 1448, 40000 - 27 * 1448, 27, true);
}

/* Where both sides agreed, nothing is touched but the header's length, which is ours. */
static void carried_over(void **state)
{
    set_header(1, true, ALL);
    for (unsigned i = 0; i < ARRAY_SIZE(wants); i++) {
        const uint8_t *got;
        size_t len, tag = wants[i].tci >= 0 ? 4 : 0, l4 = 14 + (wants[i].version == 4 ? 20 : 40);

        make_tcp(&wants[i], w.vm[1].mac);
        wires_send(&w, 0, m.bytes, m.len);
        wires_run(&w);
        got = wires_last(&w, 1, &len);
        assert_int_equal(len, m.len - tag);
        assert_int_equal(got[0], 1);
        assert_int_equal(got[1], m.bytes[1]);
        assert_int_equal(load_le16(got + 2), wants[i].gso ? l4 + 20 + wants[i].options : 0);
        assert_int_equal(load_le16(got + 4), wants[i].gso);
        assert_int_equal(load_le16(got + 6), l4);
        assert_int_equal(load_le16(got + 8), 16);
        assert_memory_equal(got + 12, m.bytes + 12, 12);
        assert_memory_equal(got + 24, m.bytes + 24 + tag, len - 24);
    }
}

static void without_ecn(void **state)
{
    set_header(1, true, ALL & ~NET_OFFLOAD_ECN);
    make_tcp(&wants[6], w.vm[1].mac);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    assert_int_equal(wires_got(&w, 1), 3);
}

static void through_a_trunk(void **state)
{
    struct switch_config c = wires_config(2, false);
    struct want want = wants[4];
    const uint8_t *got;
    size_t len;

    c.trunk = true;
    wires_open(&w, 2, &c);
    set_header(2, true, ALL);
    make_tcp(&want, unknown);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    got = wires_last(&w, 2, &len);
    assert_int_equal(load_be32(got + 24), 0x81000001);
    assert_int_equal(load_le16(got + 6), 38);
    assert_int_equal(load_le16(got + 2), 38 + 32);
    assert_memory_equal(got + 28, m.bytes + 24, m.len - 24);
    /* The same, cut and with a tag in each. */
    wires_forget(&w);
    set_header(2, true, 0);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    assert_int_equal(wires_got(&w, 2), 28);
    for (unsigned i = 0; i < 28; i++) {
        uint8_t *p = w.vm[2].frame[i] + 12;

        assert_int_equal(load_be32(p + 12), 0x81000001);
        memmove(p + 12, p + 16, w.vm[2].len[i] - 28);
        check_packet(p, w.vm[2].len[i] - 16, &want, i * 1448, MIN(1448U, 40000 - i * 1448), i, i == 27);
    }
}

static void the_driver_changes_its_mind(void **state)
{
    set_header(1, true, ALL);
    make_tcp(&wants[4], w.vm[1].mac);
    wires_send(&w, 0, m.bytes, m.len);
    set_header(1, true, 0); /* it was reset, and another one came */
    wires_run(&w);
    assert_int_equal(wires_got(&w, 1), 0);
    assert_int_equal(wires_dropped(&w, 1, DROP_DOWN), 1);
}

static void send_bad(void)
{
    uint64_t before = wires_dropped(&w, 0, DROP_OFFLOAD);

    wires_forget(&w);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    assert_int_equal(wires_dropped(&w, 0, DROP_OFFLOAD), before + 1);
    assert_int_equal(wires_got(&w, 1), 0);
}

static void headers_that_do_not_fit(void **state)
{
    static const struct {
        unsigned flags, type, size, start, offset;
    } bad[] = {
        {1, 0, 0, 13, 0},     {1, 0, 0, 40000, 30000}, {1, 0, 0, 65535, 65535}, {0, 1, 1448, 34, 16},
        {1, 2, 1448, 34, 16}, {1, 3, 1448, 34, 16},    {1, 5, 1448, 34, 16},    {1, 4, 1448, 34, 16},
        {1, 1, 0, 34, 16},    {1, 1, 63, 34, 16},      {1, 1, 1448, 35, 16},    {1, 1, 1448, 34, 6},
        {1, 1, 1448, 54, 16}, {1, 0x41, 1448, 34, 16},
    };

    set_header(1, true, ALL);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        make_tcp(&wants[4], w.vm[1].mac);
        offload_header(bad[i].flags, bad[i].type, bad[i].size, bad[i].start, bad[i].offset);
        send_bad();
    }
    make_tcp(&wants[4], w.vm[1].mac);
    m.bytes[12 + 34 + 12] = 0x40; /* TCP's header of 16 bytes */
    send_bad();
    make_tcp(&wants[4], broadcast); /* segments for everybody */
    send_bad();
    make_tcp(&wants[7], w.vm[1].mac);
    m.bytes[12 + 34 + 12] = 0xf0; /* of 60, in a packet that has them: no matter */
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    make_tcp(&wants[8], w.vm[1].mac);
    m.bytes[12 + 34 + 12] = 0xf0; /* in one that has not */
    send_bad();
    make_tcp(&wants[4], w.vm[1].mac);
    m.bytes[12 + 14 + 9] = IP_UDP;
    send_bad();
    make_tcp(&wants[4], w.vm[1].mac);
    m.len -= 1; /* IP's length is another */
    send_bad();
    make_tcp(&wants[4], w.vm[1].mac);
    m.bytes[12 + 14 + 7] = 1; /* a fragment */
    send_bad();
    /* The header alone, or less. */
    for (size_t n = 0; n < 26; n++)
        wires_send(&w, 0, m.bytes, n);
    assert_int_equal(wires_dropped(&w, 0, DROP_MALFORMED), 26);
}

/* UDP's checksum of 0 means that there is none: it is sent as 0xffff. */
static void a_checksum_of_zero(void **state)
{
    struct wire_vm *vm = &w.vm[1];
    const uint8_t *got;
    size_t len;

    m.len = 12;
    put(&m, vm->mac, 6);
    put(&m, w.vm[0].mac, 6);
    put16(&m, ETHER_IPV4);
    ipv4(&m, IP_UDP, 0x0a000000, 0x0a000001, 8);
    udp(&m, 1, 2, 0);
    store_be16(m.bytes + 12 + 34 + 6, (uint16_t) ~(1 + 2 + 8)); /* so that the sum is 0xffff */
    offload_header(1, 0, 0, 34, 6);
    wires_send(&w, 0, m.bytes, m.len);
    wires_run(&w);
    got = wires_last(&w, 1, &len);
    assert_int_equal(load_be16(got + 40), 0xffff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finished_for_others),
        TEST(finished_in_part),
        TEST(carried_over),
        TEST(without_ecn),
        TEST(through_a_trunk),
        TEST(the_driver_changes_its_mind),
        TEST(headers_that_do_not_fit),
        TEST(a_checksum_of_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
