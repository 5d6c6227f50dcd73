/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Popek and Goldberg's second law on the wire: no VM speaks for another one. VM 1 is guarded; VM 0 listens.
 */
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/switch/wires.h"
#include "tests/unit/virtio/check.h"

static struct wires w;
static struct maker m;
static const uint8_t all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t all_nodes_ip[16] = {0xff, 2, [15] = 1}, nobody_ip[16];
static const uint8_t other_ip[16] = {0x20, 1, 0xd, 0xb8, [15] = 9},
                     own_ip[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
static uint8_t own_local[16];
static const uint8_t *me, *other;
#define OWN   0x0a000001U
#define OTHER 0x0a000002U

static void open_guarded(void (*change)(struct net_guard *g))
{
    struct switch_config c = wires_config(0, false);

    wires_init(&w);
    wires_open(&w, 0, &c);
    c = wires_config(1, true);
    c.flood_rate = 1000000;
    c.guard.ipv6_count = 1;
    memcpy(c.guard.ipv6[0], own_ip, 16);
    if (change)
        change(&c.guard);
    wires_open(&w, 1, &c);
    me = w.vm[1].mac;
    other = w.vm[2].mac;
    link_local(own_local, me);
}

static int setup(void **state)
{
    open_guarded(NULL);
    return 0;
}

static int teardown(void **state)
{
    wires_finish(&w);
    return 0;
}

/* What was made passes, or is dropped for this reason and no other. */
static void expect_at(enum net_drop why, unsigned line)
{
    uint64_t before = wires_dropped(&w, 1, why);

    wires_forget(&w);
    wires_send(&w, 1, m.bytes, m.len);
    wires_run(&w);
    if (wires_got(&w, 0) != (why == DROP_NONE) || (why && wires_dropped(&w, 1, why) != before + 1))
        fail_msg("line %u: %u came, not for \"%s\"", line, wires_got(&w, 0), net_drop_names[why]);
}

#define expect(why) expect_at(why, __LINE__)

static void make_udp4(uint32_t from, unsigned sport, unsigned dport)
{
    ether(&m, broadcast, me, -1, ETHER_IPV4);
    ipv4(&m, IP_UDP, from, 0x0a0000ff, 28);
    udp(&m, sport, dport, 20);
    fill(&m, 20);
}

static void make_udp6(const uint8_t *from, unsigned sport, unsigned dport)
{
    ether(&m, all_nodes, me, -1, ETHER_IPV6);
    ipv6(&m, IP_UDP, from, all_nodes_ip, 28);
    udp(&m, sport, dport, 20);
    fill(&m, 20);
}

static void mac_addresses(void **state)
{
    make_udp4(OWN, 1000, 2000);
    expect(DROP_NONE);
    memcpy(m.bytes + 6, other, 6);
    expect(DROP_MAC);
    memcpy(m.bytes + 6, me, 6);
    m.bytes[6] |= 1;
    expect(DROP_MAC);
    /* Nobody sends from a group, guarded or not. */
    wires_send(&w, 0, m.bytes, m.len);
    assert_int_equal(wires_dropped(&w, 0, DROP_MAC), 1);
}

static void arp_senders(void **state)
{
    ether(&m, broadcast, me, -1, ETHER_ARP);
    arp(&m, 1, me, OWN, OTHER);
    expect(DROP_NONE);
    store_be32(m.bytes + 28, OTHER); /* somebody else's address */
    expect(DROP_ADDRESS);
    store_be32(m.bytes + 28, 0); /* none yet: a probe */
    expect(DROP_NONE);
    store_be16(m.bytes + 20, 2); /* but no answer without one */
    expect(DROP_ADDRESS);
    store_be32(m.bytes + 28, OWN);
    expect(DROP_NONE);
    memcpy(m.bytes + 22, other, 6); /* another's MAC inside */
    expect(DROP_MAC);
    memcpy(m.bytes + 22, me, 6);
    m.bytes[18] = 8; /* of another length, so that fields are elsewhere */
    expect(DROP_MALFORMED);
    m.bytes[18] = 6;
    m.len = 41;
    expect(DROP_MALFORMED);
}

static void ipv4_sources(void **state)
{
    make_udp4(OTHER, 1000, 2000);
    expect(DROP_ADDRESS);
    make_udp4(0, 1000, 2000);
    expect(DROP_ADDRESS);
    make_udp4(0, 68, 67); /* DHCP: it has none yet */
    expect(DROP_NONE);
    make_udp4(OTHER, 68, 67);
    expect(DROP_ADDRESS);
    /* Tagged with a priority, it is looked at all the same. */
    ether(&m, broadcast, me, 0xe000, ETHER_IPV4);
    ipv4(&m, IP_UDP, OTHER, OWN, 28);
    udp(&m, 1, 2, 20);
    fill(&m, 20);
    expect(DROP_ADDRESS);
    /* Later fragments too. */
    make_udp4(OTHER, 1000, 2000);
    store_be16(m.bytes + 20, 185);
    expect(DROP_ADDRESS);
    store_be32(m.bytes + 26, OWN);
    expect(DROP_NONE);
    store_be32(m.bytes + 26, 0);
    store_be16(m.bytes + 34, 68);
    store_be16(m.bytes + 36, 67);
    expect(DROP_ADDRESS);
}

static void ipv4_headers(void **state)
{
    make_udp4(OWN, 1000, 2000);
    m.bytes[14] = 0x44; /* a header of 16 bytes */
    expect(DROP_MALFORMED);
    m.bytes[14] = 0x65;
    expect(DROP_MALFORMED);
    m.bytes[14] = 0x4f; /* of 60, which with UDP's are not there */
    expect(DROP_MALFORMED);
    m.bytes[14] = 0x45;
    store_be16(m.bytes + 16, 49); /* longer than the frame */
    expect(DROP_MALFORMED);
    store_be16(m.bytes + 16, 19);
    expect(DROP_MALFORMED);
    store_be16(m.bytes + 16, 27); /* a first fragment that ends in UDP's header */
    expect(DROP_MALFORMED);
    store_be16(m.bytes + 16, 28);
    expect(DROP_NONE);
    m.len = 33;
    expect(DROP_MALFORMED);
}

static void dhcp_servers(void **state)
{
    make_udp4(OWN, 67, 68);
    expect(DROP_SERVICE);
    make_udp4(OWN, 1234, 68); /* clients do not look where it is from */
    expect(DROP_SERVICE);
    make_udp4(OWN, 67, 1234);
    expect(DROP_SERVICE);
    make_udp6(own_local, 547, 546);
    expect(DROP_SERVICE);
    make_udp6(own_local, 1234, 546);
    expect(DROP_SERVICE);
    make_udp6(own_local, 546, 547); /* a client */
    expect(DROP_NONE);
}

static void allow_services(struct net_guard *g)
{
    g->dhcp_server = g->router = true;
}

static void make_icmpv6(const uint8_t *from, unsigned type, size_t len)
{
    ether(&m, all_nodes, me, -1, ETHER_IPV6);
    ipv6(&m, IP_ICMPV6, from, all_nodes_ip, len);
    put8(&m, type);
    put8(&m, 0);
    put16(&m, 0);
    memset(m.bytes + m.len, 0, len - 4);
    m.len += len - 4;
}

static void option(unsigned kind, unsigned units, const uint8_t *mac)
{
    size_t payload = load_be16(m.bytes + 18) + units * 8;

    put8(&m, kind);
    put8(&m, units);
    put(&m, mac, 6);
    if (units > 1)
        fill(&m, units * 8 - 8);
    store_be16(m.bytes + 18, (uint16_t)payload);
}

static void services_that_are_allowed(void **state)
{
    wires_finish(&w);
    open_guarded(allow_services);
    make_udp4(OWN, 67, 68);
    expect(DROP_NONE);
    make_udp6(own_local, 547, 546);
    expect(DROP_NONE);
    make_icmpv6(own_local, 134, 16);
    expect(DROP_NONE);
    make_icmpv6(own_local, 137, 40);
    expect(DROP_NONE);
    make_icmpv6(other_ip, 134, 16);
    expect(DROP_ADDRESS);
}

static void ipv6_sources(void **state)
{
    uint8_t others_local[16];

    link_local(others_local, other);
    make_udp6(own_ip, 1, 2);
    expect(DROP_NONE);
    make_udp6(own_local, 1, 2);
    expect(DROP_NONE);
    make_udp6(others_local, 1, 2);
    expect(DROP_ADDRESS);
    make_udp6(other_ip, 1, 2);
    expect(DROP_ADDRESS);
    make_udp6(nobody_ip, 1, 2);
    expect(DROP_ADDRESS);
    make_icmpv6(nobody_ip, 143, 28); /* a multicast report before there is an address */
    expect(DROP_NONE);
    make_icmpv6(nobody_ip, 128, 8); /* a ping is none */
    expect(DROP_ADDRESS);
    make_udp6(own_ip, 1, 2);
    m.bytes[14] = 0x40;
    expect(DROP_MALFORMED);
    m.bytes[14] = 0x60;
    store_be16(m.bytes + 18, 29);
    expect(DROP_MALFORMED);
    m.len = 53;
    expect(DROP_MALFORMED);
}

static void neighbour_discovery(void **state)
{
    /* A question, with our link-layer address or another's. */
    make_icmpv6(own_local, 135, 24);
    option(1, 1, me);
    expect(DROP_NONE);
    memcpy(m.bytes + m.len - 6, other, 6);
    expect(DROP_MAC);
    make_icmpv6(own_local, 135, 24);
    option(14, 2, other); /* of no interest */
    option(1, 1, other);  /* behind it */
    expect(DROP_MAC);
    make_icmpv6(own_local, 135, 24);
    option(1, 0, me); /* would never end */
    store_be16(m.bytes + 18, 32);
    expect(DROP_MALFORMED);
    make_icmpv6(own_local, 135, 24);
    option(1, 2, me);
    expect(DROP_MAC);
    make_icmpv6(own_local, 135, 24);
    option(1, 1, me);
    store_be16(m.bytes + 18, 31);
    expect(DROP_MALFORMED);
    /* An answer for our address, or for another's. */
    make_icmpv6(own_local, 136, 24);
    memcpy(m.bytes + 62, own_ip, 16);
    option(2, 1, me);
    expect(DROP_NONE);
    memcpy(m.bytes + 62, other_ip, 16);
    expect(DROP_ADDRESS);
    memcpy(m.bytes + 62, own_ip, 16);
    memcpy(m.bytes + m.len - 6, other, 6);
    expect(DROP_MAC);
    make_icmpv6(own_local, 136, 20); /* with no room for a target */
    expect(DROP_MALFORMED);
    /* Before there is an address: is it free? */
    make_icmpv6(nobody_ip, 135, 24);
    memcpy(m.bytes + 62, own_ip, 16);
    expect(DROP_NONE);
    make_icmpv6(own_local, 133, 8);
    option(1, 1, me);
    expect(DROP_NONE);
    memcpy(m.bytes + m.len - 6, other, 6);
    expect(DROP_MAC);
}

static void routers(void **state)
{
    make_icmpv6(own_local, 134, 16);
    expect(DROP_SERVICE);
    make_icmpv6(own_local, 137, 40);
    expect(DROP_SERVICE);
}

/* An extension header of 8 * (units + 1) bytes in front of what is there. */
static void extension(unsigned kind, unsigned units)
{
    size_t n = 8 * (units + 1);
    uint8_t next = m.bytes[20];

    memmove(m.bytes + 54 + n, m.bytes + 54, m.len - 54);
    memset(m.bytes + 54, 0, n);
    m.bytes[54] = next;
    m.bytes[55] = (uint8_t)(kind == 44 ? 0 : units);
    m.bytes[20] = (uint8_t)kind;
    m.len += n;
    store_be16(m.bytes + 18, (uint16_t)(load_be16(m.bytes + 18) + n));
}

static void hidden_router_advertisements(void **state)
{
    static const uint8_t kinds[] = {0, 43, 60, 135, 44};

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        make_icmpv6(own_local, 134, 16);
        extension(kinds[i], 0);
        expect(DROP_SERVICE);
    }
    make_icmpv6(own_local, 134, 16);
    extension(60, 3);
    extension(0, 5);
    expect(DROP_SERVICE);
    /* Deeper than our copy goes, or more of them than anybody needs. */
    make_icmpv6(own_local, 134, 16);
    extension(60, 40);
    expect(DROP_MALFORMED);
    make_icmpv6(own_local, 134, 16);
    for (unsigned i = 0; i < 8; i++)
        extension(60, 0);
    expect(DROP_MALFORMED);
    /* In the second fragment: the first has to hold its header. */
    make_icmpv6(own_local, 134, 16);
    extension(60, 1);
    extension(44, 0);
    m.len = 54 + 8 + 16;
    store_be16(m.bytes + 18, 24);
    m.bytes[57] = 1;
    expect(DROP_MALFORMED);
    /* Nothing can be said of a later one, whose first is not there. */
    make_udp6(own_ip, 1, 2);
    extension(44, 0);
    store_be16(m.bytes + 56, 8 * 20);
    expect(DROP_NONE);
    memcpy(m.bytes + 22, other_ip, 16);
    expect(DROP_ADDRESS);
}

static void other_protocols(void **state)
{
    ether(&m, broadcast, me, -1, 0x88b5);
    fill(&m, 46);
    expect(DROP_ADDRESS);
    ether(&m, broadcast, me, -1, 46); /* a length: LLC */
    fill(&m, 46);
    expect(DROP_ADDRESS);
    ether(&m, broadcast, me, -1, 0x8035);
    arp(&m, 3, me, OWN, OTHER);
    expect(DROP_ADDRESS);
}

static void mac_only(struct net_guard *g)
{
    g->ip = false;
}

static void only_the_mac_is_guarded(void **state)
{
    wires_finish(&w);
    open_guarded(mac_only);
    make_udp4(OTHER, 1, 2);
    expect(DROP_NONE);
    ether(&m, broadcast, me, -1, 0x88b5);
    fill(&m, 46);
    expect(DROP_NONE);
    ether(&m, broadcast, me, -1, ETHER_ARP);
    arp(&m, 2, me, OTHER, OWN);
    expect(DROP_NONE);
    memcpy(m.bytes + 22, other, 6);
    expect(DROP_MAC);
    make_icmpv6(own_local, 136, 24);
    memcpy(m.bytes + 62, other_ip, 16);
    option(2, 1, me);
    expect(DROP_NONE);
    memcpy(m.bytes + m.len - 6, other, 6);
    expect(DROP_MAC);
    ether(&m, broadcast, me, -1, 0x8035);
    arp(&m, 3, me, OWN, OTHER);
    expect(DROP_ADDRESS);
    make_udp4(OWN, 67, 68);
    expect(DROP_SERVICE);
}

static void ip_only(struct net_guard *g)
{
    g->mac = false;
}

static void only_the_addresses_are_guarded(void **state)
{
    wires_finish(&w);
    open_guarded(ip_only);
    ether(&m, broadcast, other, -1, ETHER_ARP);
    arp(&m, 2, other, OWN, OTHER);
    expect(DROP_NONE);
    arp(&m, 2, other, OTHER, OWN);
    memmove(m.bytes + 14, m.bytes + 42, 28);
    m.len = 42;
    expect(DROP_ADDRESS);
    make_udp4(OTHER, 1, 2);
    expect(DROP_ADDRESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mac_addresses),
        TEST(arp_senders),
        TEST(ipv4_sources),
        TEST(ipv4_headers),
        TEST(dhcp_servers),
        TEST(services_that_are_allowed),
        TEST(ipv6_sources),
        TEST(neighbour_discovery),
        TEST(routers),
        TEST(hidden_router_advertisements),
        TEST(other_protocols),
        TEST(only_the_mac_is_guarded),
        TEST(only_the_addresses_are_guarded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
