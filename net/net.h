/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a NIC may be plugged into on the hosted side. What opens here is a struct net
 * (core/net.h) whose close() frees it.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "core/net.h"

struct loop;

/*
 * The network in user mode: the guest is 10.0.2.15 by DHCP behind NAT, the host is
 * 10.0.2.2, the DNS forwarder 10.0.2.3. It needs no privilege.
 */
struct net_slirp_options {
    /*
     * Each "tcp|udp:[HOSTADDR:]HOSTPORT-[GUESTADDR]:GUESTPORT", several of them separated by
     * commas: tcp:2222-:22, tcp:127.0.0.1:2222-10.0.2.15:22. The host's address is
     * 127.0.0.1 if none is given (0.0.0.0 for all).
     */
    const char *const *hostfwd;
    unsigned hostfwd_count;
    const char *hostname; /* what DHCP tells the guest that it is called; NULL: nothing */
    bool restricted;      /* nothing reaches the outside but by hostfwd */
    bool ipv6;
};

int net_slirp_open(struct loop *loop, const struct net_slirp_options *options, struct net **out,
                   struct error *err);

struct net_tap_options {
    const char *name; /* of an existing tap, or one to make (that wants CAP_NET_ADMIN) */
    bool use_fd; /* take fd, an open /dev/net/tun that is attached, instead; it is the backend's from success
                    on */
    int fd;
};

int net_tap_open(struct loop *loop, const struct net_tap_options *options, struct net **out,
                 struct error *err);

#endif
