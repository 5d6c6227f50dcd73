/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An Ethernet frame on its way through the switch: its first bytes in a copy of our
 * own, which are what every decision is made on (the sender may rewrite its memory
 * meanwhile), the rest where the sender has it. The VLAN tag is taken out at the
 * start and put back, where wanted, by frame_emit(). Pure; no locks.
 */
#ifndef SWITCH_FRAME_H
#define SWITCH_FRAME_H

#include "core/net.h"

#define FRAME_HEAD         320U /* what is copied, and so how deep headers may lie */
#define FRAME_MIN          14U
#define FRAME_MAX_SEGMENTS 1024U
#define FRAME_MIN_SEGMENT  64U
#define FRAME_NO_TAG       (-1)

/* Why a frame went no further. */
enum net_drop {
    DROP_NONE,
    DROP_MALFORMED, /* shorter than its headers say, or too long */
    DROP_OFFLOAD,   /* an offload header that does not fit its frame */
    DROP_VLAN,      /* tagged as the port may not, or nested tags */
    DROP_MAC,       /* a source address that is not the port's */
    DROP_ADDRESS,   /* the same of IP, ARP or neighbour discovery */
    DROP_SERVICE,   /* a DHCP server's reply or a router's advertisement, from where none may come */
    DROP_RESERVED,  /* pause frames and others that no switch forwards */
    DROP_STORM,     /* more broadcasts than the port may send */
    DROP_SIZE,      /* longer than the NIC takes, or than many may be sent at once */
    DROP_FULL,      /* the receiver does not keep up */
    DROP_DOWN,      /* nobody at the other end */
    DROP_COUNT,
};

extern const char *const net_drop_names[DROP_COUNT];

/* struct virtio_net_hdr's fields (virtio 1.2, section 5.1.6). */
struct frame_offload {
    uint8_t flags, gso_type;
    uint16_t gso_size, csum_start, csum_offset; /* csum_start: without the tag */
};

#define FRAME_F_NEEDS_CSUM 1U
#define FRAME_GSO_NONE     0U
#define FRAME_GSO_TCPV4    1U
#define FRAME_GSO_TCPV6    4U
#define FRAME_GSO_ECN      0x80U

/* Ethernet */
#define ETHER_TYPE_OFFSET 12U
#define ETHER_IPV4        0x0800U
#define ETHER_ARP         0x0806U
#define ETHER_VLAN        0x8100U
#define ETHER_IPV6        0x86ddU
#define ETHER_QINQ        0x88a8U

enum ip_protocol { IP_TCP = 6, IP_UDP = 17, IP_ICMPV6 = 58 };

struct frame {
    uint8_t head[FRAME_HEAD];
    size_t head_len;
    size_t len; /* of the whole, without tag */
    const struct net_vec *vec;
    unsigned vec_count;
    size_t skip; /* byte n of the frame, from head_len on, is byte n + skip of the vectors */
    bool tagged;
    uint16_t tci; /* of the tag: priority and VLAN */
    uint16_t type;
    struct frame_offload offload;
};

/* What lies in an IP packet. */
struct frame_ip {
    unsigned version;
    uint8_t protocol;
    size_t l4; /* where it begins in the frame */
    size_t end;
    bool later_fragment; /* no header there: l4 is its data */
};

/* header: the vectors begin with NET_HEADER_SIZE bytes of offload header. */
enum net_drop frame_take(struct frame *f, const struct net_vec *vec, unsigned count, bool header);

/* Is it whole as far as our copy reaches? An IP frame that is not is of no use to anyone honest. */
enum net_drop frame_ip_parse(const struct frame *f, struct frame_ip *ip);

static inline bool frame_multicast(const struct frame *f)
{
    return f->head[0] & 1;
}

/* ---- out again ---- */

/*
 * Where finished frames go. begin() gives room for `len` bytes that go out behind this
 * offload header, or NULL: there is none; commit() passes on what was written there.
 */
struct frame_sink {
    void *(*begin)(struct frame_sink *sink, size_t len, const uint8_t header[NET_HEADER_SIZE]);
    void (*commit)(struct frame_sink *sink, void *room, size_t len);
    unsigned offloads; /* NET_OFFLOAD_*: what may go out unfinished */
    int tag;           /* to put in (priority and VLAN), or FRAME_NO_TAG */
};

/* Sends it, as one frame or cut into segments. DROP_FULL: all or some of them found no room. */
enum net_drop frame_emit(const struct frame *f, struct frame_sink *sink);

#endif
