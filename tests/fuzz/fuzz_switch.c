/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of any kind into the switch. The input is a program: which VM sends, with an offload
 * header or not, what; the frames grow out of patterns that get far. Whatever comes, no
 * frame of a guarded VM shows a source that is not its own, and VLANs stay apart.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/switch/wires.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p, *end;
};

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes && in->p < in->end; i++)
        v |= (uint64_t)*in->p++ << (8 * i);
    return v;
}

static struct wires w;
static struct maker m;

/* VM 0 and 1: guarded, VLAN 1. 2: not guarded, VLAN 1. 3: VLAN 7, 4: a trunk with 1 and 7. 5: VLAN 9, alone.
 */
static void machines_open(struct input *in)
{
    static const uint16_t vlans[WIRES_VMS] = {0, 0, 0, 7, 1, 9};
    static uint8_t allowed[512];

    allowed[0] = BIT(1) | BIT(7);
    for (unsigned i = 0; i < WIRES_VMS; i++) {
        struct switch_config c = wires_config(i, i < 2);
        bool header = take(in, 1) & 1;

        c.vlan = vlans[i];
        c.trunk = i == 4;
        c.allowed = i == 4 ? allowed : NULL;
        wires_open(&w, i, &c);
        w.vm[i].net->ops->set_header(w.vm[i].net, header, (unsigned)take(in, 1) & 15);
    }
}

static void make_payload(struct input *in, unsigned from, unsigned kind)
{
    uint8_t ip[16], to[16];
    size_t len = take(in, 1) * (kind & 0x80 ? 200 : 1);

    link_local(ip, w.vm[from].mac);
    link_local(to, w.vm[take(in, 1) % WIRES_VMS].mac);
    switch (kind % 8) {
    case 0:
        arp(&m, (unsigned)take(in, 1) & 3, w.vm[from].mac, w.vm[from].ipv4, 0x0a000000);
        break;
    case 1:
        ipv4(&m, IP_UDP, w.vm[from].ipv4, 0x0a000002, 8 + len);
        udp(&m, (unsigned)take(in, 1), (unsigned)take(in, 1), len);
        break;
    case 2:
    case 3:
        ipv4(&m, IP_TCP, w.vm[from].ipv4, 0x0a000002, 20 + len);
        fill(&m, 12);
        put32(&m, 0x50180400);
        put32(&m, 0);
        break;
    case 4:
        ipv6(&m, IP_TCP, ip, to, 20 + len);
        fill(&m, 12);
        put32(&m, 0x50180400);
        put32(&m, 0);
        break;
    case 5:
        ipv6(&m, IP_ICMPV6, ip, to, 8 + len);
        put8(&m, 130 + (unsigned)take(in, 1) % 16);
        fill(&m, 7);
        break;
    case 6:
        ipv6(&m, (unsigned)take(in, 1), ip, to, len);
        break;
    }
    fill(&m, len);
}

static void make_frame(struct input *in, unsigned from, bool header)
{
    static struct maker p;
    unsigned kind = (unsigned)take(in, 1), n = (unsigned)take(in, 1);
    int tci = n & 8 ? (int)(take(in, 1) << 5 & 0xe000) | (n & 16 ? 7 : 0) : -1;
    static const unsigned types[] = {ETHER_ARP,  ETHER_IPV4, ETHER_IPV4, ETHER_IPV4,
                                     ETHER_IPV6, ETHER_IPV6, ETHER_IPV6, 0x88b5};
    size_t l4 = 14 + (tci >= 0 ? 4 : 0) + (kind % 8 < 4 ? 20 : 40);

    ether(&m, n & 7 ? w.vm[n % WIRES_VMS].mac : broadcast, w.vm[from].mac, tci, types[kind % 8]);
    make_payload(in, from, kind);
    /* A few bytes turn into others. */
    for (unsigned i = (unsigned)take(in, 1) % 4; i--;)
        m.bytes[take(in, 1) % m.len] ^= (uint8_t)take(in, 1);
    if (!(take(in, 1) % 4))
        m.len = take(in, 1) % (m.len + 1);
    if (!header)
        return;
    p.len = 0;
    put8(&p, (unsigned)take(in, 1) & 3);
    put8(&p, kind % 8 < 4 ? 1 : 4);
    put16(&p, 0);
    fill(&p, 8);
    store_le16(p.bytes + 4, (uint16_t)take(in, 2));
    store_le16(p.bytes + 6, (uint16_t)l4);
    store_le16(p.bytes + 8, 16);
    p.bytes[take(in, 1) % 12] ^= (uint8_t)take(in, 1);
    put(&p, m.bytes, m.len);
    m = p;
}

/* What VM i got, with or without a header. */
static void check_got(unsigned i, unsigned from)
{
    size_t skip = switch_port_of(w.vm[i].net)->header ? NET_HEADER_SIZE : 0;

    for (unsigned k = 0; k < MIN(w.vm[i].count, WIRES_KEPT); k++) {
        const uint8_t *p = w.vm[i].frame[k] + skip;
        size_t len = w.vm[i].len[k];

        base_assert(len >= skip + FRAME_MIN && i != from && i != 5 && from != 5);
        base_assert(i == 4 || from == 4 || (i == 3) == (from == 3));
        if (from < 2) {
            base_assert(!memcmp(p + 6, w.vm[from].mac, 6));
            if (load_be16(p + 12) == ETHER_IPV4 && (load_be32(p + 26) || p[23] != IP_UDP))
                base_assert(load_be32(p + 26) == w.vm[from].ipv4);
            if (load_be16(p + 12) == ETHER_ARP)
                base_assert(!memcmp(p + 22, w.vm[from].mac, 6));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};

    wires_init(&w);
    machines_open(&in);
    while (in.p < in.end) {
        unsigned from = (unsigned)take(&in, 1) % WIRES_VMS;

        make_frame(&in, from, switch_port_of(w.vm[from].net)->header);
        wires_send(&w, from, m.bytes, m.len);
        wires_now += take(&in, 1) << 20;
        wires_run(&w);
        for (unsigned i = 0; i < WIRES_VMS; i++)
            check_got(i, from);
        wires_forget(&w);
    }
    wires_finish(&w);
    return 0;
}
