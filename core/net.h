/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cable with two ends: a NIC model and what is behind it (user-mode stack, tap,
 * switch). Frames are Ethernet without FCS. All on the I/O thread or a vCPU's,
 * VM lock held.
 */
#ifndef CORE_NET_H
#define CORE_NET_H

#include "base/error.h"

#define NET_FRAME_MAX 65550U

struct net;

struct net_vec {
    const void *base;
    size_t len;
};

struct net_ops {
    const char *name;
    /* From the guest. Never blocks; a frame that finds no room is dropped. */
    void (*send)(struct net *net, const struct net_vec *vec, unsigned count);
    /* The NIC has room again after receive() said no. */
    void (*resume)(struct net *net);
    void (*close)(struct net *net);
};

struct net {
    const struct net_ops *ops;
    bool link_up;
    /* To the guest, set by the NIC. False: no room now; the backend keeps or drops the frame. */
    bool (*receive)(void *nic, const void *frame, size_t len);
    void *nic; /* NULL: nobody plugged in */
};

#endif
