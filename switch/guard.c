/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "switch/guard.h"

#include "base/bytes.h"

#define ARP_LEN           28U
#define UDP_LEN           8U
#define ND_OPTIONS_MAX    16U
#define ETHER_REVERSE_ARP 0x8035U

enum udp_port { DHCP_SERVER = 67, DHCP_CLIENT = 68, DHCPV6_CLIENT = 546, DHCPV6_SERVER = 547 };

/* ICMPv6 (RFC 4861, 2710, 3810) */
enum icmpv6 {
    MLD_REPORT = 131,
    MLD_DONE = 132,
    ROUTER_SOLICITATION = 133,
    ROUTER_ADVERTISEMENT = 134,
    NEIGHBOUR_SOLICITATION = 135,
    NEIGHBOUR_ADVERTISEMENT = 136,
    REDIRECT = 137,
    MLD2_REPORT = 143,
};

static bool own_ipv4(const struct net_guard *g, uint32_t address)
{
    for (unsigned i = 0; i < g->ipv4_count; i++) {
        if (g->ipv4[i] == address)
            return true;
    }
    return false;
}

static bool own_ipv6(const struct net_guard *g, const uint8_t *address)
{
    const uint8_t *m = g->address;
    uint8_t local[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};

    if (!memcmp(address, local, 16))
        return true;
    for (unsigned i = 0; i < g->ipv6_count; i++) {
        if (!memcmp(address, g->ipv6[i], 16))
            return true;
    }
    return false;
}

static enum net_drop arp_check(const struct net_guard *g, const struct frame *f)
{
    const uint8_t *p = f->head + FRAME_MIN;
    uint32_t sender;

    if (f->head_len < FRAME_MIN + ARP_LEN || load_be64(p) >> 16 != 0x000108000604)
        return DROP_MALFORMED;
    if (g->mac && memcmp(p + 8, g->address, 6))
        return DROP_MAC;
    sender = load_be32(p + 14);
    /* Without an address yet: it asks whether one is free (RFC 5227). */
    return !g->ip || own_ipv4(g, sender) || (!sender && load_be16(p + 6) == 1) ? DROP_NONE : DROP_ADDRESS;
}

/* Answers that make a client believe in a server: recognised by either port. */
static bool dhcp_reply(const struct frame *f, const struct frame_ip *ip)
{
    uint16_t from = load_be16(f->head + ip->l4), to = load_be16(f->head + ip->l4 + 2);

    if (ip->version == 4)
        return from == DHCP_SERVER || to == DHCP_CLIENT;
    return from == DHCPV6_SERVER || to == DHCPV6_CLIENT;
}

/* May the packet come from 0.0.0.0 or ::, as long as its sender has no address? */
static bool before_address(const struct frame *f, const struct frame_ip *ip)
{
    const uint8_t *l4 = f->head + ip->l4;

    if (ip->later_fragment)
        return false;
    if (ip->version == 4)
        return ip->protocol == IP_UDP && load_be16(l4) == DHCP_CLIENT && load_be16(l4 + 2) == DHCP_SERVER;
    return ip->protocol == IP_ICMPV6 && (l4[0] == ROUTER_SOLICITATION || l4[0] == NEIGHBOUR_SOLICITATION ||
                                         l4[0] == MLD_REPORT || l4[0] == MLD_DONE || l4[0] == MLD2_REPORT);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;

    while (n)
        any |= p[--n];
    return !any;
}

static enum net_drop source_check(const struct net_guard *g, const struct frame *f, const struct frame_ip *ip)
{
    const uint8_t *source = f->head + FRAME_MIN + (ip->version == 4 ? 12 : 8);
    size_t len = ip->version == 4 ? 4 : 16;

    if (is_zero(source, len) && before_address(f, ip))
        return DROP_NONE;
    if (ip->version == 4)
        return own_ipv4(g, load_be32(source)) ? DROP_NONE : DROP_ADDRESS;
    return own_ipv6(g, source) ? DROP_NONE : DROP_ADDRESS;
}

/* The link-layer addresses that a neighbour discovery message says are its sender's. */
static enum net_drop nd_options_check(const struct net_guard *g, const struct frame *f, size_t at, size_t end)
{
    for (unsigned i = 0; at < end; i++) {
        const uint8_t *option;
        size_t len;

        if (i == ND_OPTIONS_MAX || at + 8 > MIN(end, f->head_len))
            return DROP_MALFORMED;
        option = f->head + at;
        len = (size_t)option[1] * 8;
        if (!len || at + len > end)
            return DROP_MALFORMED;
        /* 1: source, 2: target */
        if ((option[0] == 1 || option[0] == 2) && (len != 8 || memcmp(option + 2, g->address, 6)))
            return DROP_MAC;
        at += len;
    }
    return DROP_NONE;
}

static enum net_drop icmpv6_check(const struct net_guard *g, const struct frame *f, const struct frame_ip *ip)
{
    const uint8_t *p = f->head + ip->l4;
    size_t options = 24;

    if ((p[0] == ROUTER_ADVERTISEMENT || p[0] == REDIRECT) && !g->router)
        return DROP_SERVICE;
    if (!g->mac || p[0] < ROUTER_SOLICITATION || p[0] > NEIGHBOUR_ADVERTISEMENT)
        return DROP_NONE;
    if (p[0] <= ROUTER_ADVERTISEMENT)
        options = p[0] == ROUTER_SOLICITATION ? 8 : 16;
    if (ip->l4 + options > MIN(ip->end, f->head_len))
        return DROP_MALFORMED;
    if (p[0] == NEIGHBOUR_ADVERTISEMENT && g->ip && !own_ipv6(g, p + 8))
        return DROP_ADDRESS;
    return nd_options_check(g, f, ip->l4 + options, ip->end);
}

static enum net_drop ip_check(const struct net_guard *g, const struct frame *f)
{
    struct frame_ip ip;
    enum net_drop drop = frame_ip_parse(f, &ip);

    if (drop)
        return drop;
    if (!ip.later_fragment && (ip.protocol == IP_UDP || ip.protocol == IP_ICMPV6)) {
        /* A first fragment so short that its header comes in the next one would be read by nobody here. */
        if (ip.l4 + UDP_LEN > MIN(ip.end, f->head_len))
            return DROP_MALFORMED;
        if (ip.protocol == IP_UDP && !g->dhcp_server && dhcp_reply(f, &ip))
            return DROP_SERVICE;
        if (ip.protocol == IP_ICMPV6 && ip.version == 6)
            drop = icmpv6_check(g, f, &ip);
    }
    if (!drop && g->ip)
        drop = source_check(g, f, &ip);
    return drop;
}

enum net_drop guard_check(const struct net_guard *g, const struct frame *f)
{
    if (f->head[6] & 1 || (g->mac && memcmp(f->head + 6, g->address, 6)))
        return DROP_MAC;
    switch (f->type) {
    case ETHER_IPV4:
    case ETHER_IPV6:
        return ip_check(g, f);
    case ETHER_ARP:
        return g->mac || g->ip ? arp_check(g, f) : DROP_NONE;
    default:
        return g->ip || (g->mac && f->type == ETHER_REVERSE_ARP) ? DROP_ADDRESS : DROP_NONE;
    }
}
