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

/* What may come to the guest unfinished: see set_header(). */
#define NET_OFFLOAD_CSUM BIT(0)
#define NET_OFFLOAD_TSO4 BIT(1)
#define NET_OFFLOAD_TSO6 BIT(2)
#define NET_OFFLOAD_ECN  BIT(3)

#define NET_HEADER_SIZE  12U /* struct virtio_net_hdr of virtio 1.2, section 5.1.6 */

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
    /*
     * From now on, frames in both directions begin with a header of NET_HEADER_SIZE
     * bytes, and carry only the named offloads to the guest (to the host: any).
     * NULL: no headers, no offloads. 0 or a negative errno: then nothing changed.
     */
    int (*set_header)(struct net *net, bool header, unsigned offloads);
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
