/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a port may send: its own MAC address, its own IP addresses wherever they are
 * said (IP, ARP, neighbour discovery), and no answers that only a DHCP server or a
 * router gives. Pure; no locks.
 *
 * With `ip`, nothing but ARP, IPv4 and IPv6 passes. An IPv6 link-local address made of
 * the MAC (EUI-64) is always the port's own.
 */
#ifndef SWITCH_GUARD_H
#define SWITCH_GUARD_H

#include "switch/frame.h"

#define GUARD_MAX_ADDRESSES 8U

struct net_guard {
    uint8_t address[6];
    bool mac, ip;
    bool dhcp_server, router; /* may be one */
    unsigned ipv4_count, ipv6_count;
    uint32_t ipv4[GUARD_MAX_ADDRESSES]; /* host's byte order: 10.0.0.1 is 0x0a000001 */
    uint8_t ipv6[GUARD_MAX_ADDRESSES][16];
};

enum net_drop guard_check(const struct net_guard *guard, const struct frame *frame);

#endif
