/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "switch/frame.h"

#include "base/bytes.h"

#define TAG_LEN            4U
#define IPV4_LEN           20U
#define IPV6_LEN           40U
#define TCP_LEN            20U
#define MAX_IPV6_EXTENSION 8U

const char *const net_drop_names[DROP_COUNT] = {
    [DROP_NONE] = "none",       [DROP_MALFORMED] = "malformed",
    [DROP_OFFLOAD] = "offload", [DROP_VLAN] = "vlan",
    [DROP_MAC] = "mac",         [DROP_ADDRESS] = "address",
    [DROP_SERVICE] = "service", [DROP_RESERVED] = "reserved",
    [DROP_STORM] = "storm",     [DROP_SIZE] = "size",
    [DROP_FULL] = "full",       [DROP_DOWN] = "down",
};

/* Bytes [from, from + n) of the vectors, which hold them. */
static void gather(const struct net_vec *vec, unsigned count, size_t from, uint8_t *out, size_t n)
{
    for (unsigned i = 0; i < count && n; i++) {
        size_t part;

        if (from >= vec[i].len) {
            from -= vec[i].len;
            continue;
        }
        part = MIN(n, vec[i].len - from);
        memcpy(out, (const uint8_t *)vec[i].base + from, part);
        out += part;
        n -= part;
        from = 0;
    }
}

/* The same of the frame without its tag. */
static void frame_copy(const struct frame *f, size_t from, uint8_t *out, size_t n)
{
    if (from < f->head_len) {
        size_t part = MIN(n, f->head_len - from);

        memcpy(out, f->head + from, part);
        from += part;
        out += part;
        n -= part;
    }
    gather(f->vec, f->vec_count, from + f->skip, out, n);
}

/* ---- in ---- */

static enum net_drop offload_take(struct frame *f, const uint8_t *h)
{
    struct frame_offload *o = &f->offload;
    size_t tag = f->tagged ? TAG_LEN : 0, start = load_le16(h + 6);

    *o = (struct frame_offload){.flags = h[0] & FRAME_F_NEEDS_CSUM,
                                .gso_type = h[1],
                                .gso_size = load_le16(h + 4),
                                .csum_offset = load_le16(h + 8)};
    if (o->gso_type != FRAME_GSO_NONE && !(o->flags & FRAME_F_NEEDS_CSUM))
        return DROP_OFFLOAD;
    if (!(o->flags & FRAME_F_NEEDS_CSUM))
        return DROP_NONE;
    if (start < FRAME_MIN + tag || start - tag + o->csum_offset + 2 > f->len)
        return DROP_OFFLOAD;
    o->csum_start = (uint16_t)(start - tag);
    return DROP_NONE;
}

/* Segments are made by our own reading of the headers: it has to find TCP where the sender's offload header
 * says. */
static enum net_drop offload_check(const struct frame *f)
{
    unsigned type = f->offload.gso_type & ~FRAME_GSO_ECN;
    struct frame_ip ip;
    size_t header;

    if (f->offload.gso_type == FRAME_GSO_NONE)
        return DROP_NONE;
    if ((type != FRAME_GSO_TCPV4 && type != FRAME_GSO_TCPV6) || f->offload.gso_size < FRAME_MIN_SEGMENT ||
        frame_ip_parse(f, &ip) != DROP_NONE || ip.version != (type == FRAME_GSO_TCPV4 ? 4U : 6U) ||
        ip.protocol != IP_TCP || ip.later_fragment || ip.end != f->len || ip.l4 + TCP_LEN > f->head_len ||
        f->offload.csum_start != ip.l4 || f->offload.csum_offset != 16)
        return DROP_OFFLOAD;
    header = (size_t)(f->head[ip.l4 + 12] >> 4) * 4;
    if (header < TCP_LEN || ip.l4 + header > f->head_len ||
        (f->len - ip.l4 - header) / f->offload.gso_size >= FRAME_MAX_SEGMENTS)
        return DROP_OFFLOAD;
    return DROP_NONE;
}

enum net_drop frame_take(struct frame *f, const struct net_vec *vec, unsigned count, bool header)
{
    uint8_t h[NET_HEADER_SIZE] = {0};
    size_t before = header ? NET_HEADER_SIZE : 0, total = 0;
    enum net_drop drop;

    for (unsigned i = 0; i < count; i++)
        total += vec[i].len;
    if (total < before + FRAME_MIN || total > before + NET_FRAME_MAX)
        return DROP_MALFORMED;
    gather(vec, count, 0, h, before);
    f->vec = vec;
    f->vec_count = count;
    f->len = total - before;
    f->skip = before;
    f->head_len = MIN(f->len, FRAME_HEAD);
    gather(vec, count, before, f->head, f->head_len);
    f->type = load_be16(f->head + ETHER_TYPE_OFFSET);
    f->tagged = f->type == ETHER_VLAN;
    if (f->tagged) {
        if (f->len < FRAME_MIN + TAG_LEN)
            return DROP_MALFORMED;
        f->tci = load_be16(f->head + FRAME_MIN);
        f->len -= TAG_LEN;
        f->head_len -= TAG_LEN;
        f->skip += TAG_LEN;
        memmove(f->head + ETHER_TYPE_OFFSET, f->head + ETHER_TYPE_OFFSET + TAG_LEN,
                f->head_len - ETHER_TYPE_OFFSET);
        f->type = load_be16(f->head + ETHER_TYPE_OFFSET);
    } else {
        f->tci = 0;
    }
    /* A tag inside would become the outer one where ours is taken off, and lead into another VLAN. */
    if (f->type == ETHER_VLAN || f->type == ETHER_QINQ)
        return DROP_VLAN;
    drop = offload_take(f, h);
    return drop ? drop : offload_check(f);
}

/* ---- IP ---- */

static enum net_drop ipv4_parse(const struct frame *f, struct frame_ip *ip)
{
    const uint8_t *p = f->head + FRAME_MIN;
    size_t header, total, fragment;

    if (f->head_len < FRAME_MIN + IPV4_LEN || p[0] >> 4 != 4)
        return DROP_MALFORMED;
    header = (size_t)(p[0] & 15) * 4;
    total = load_be16(p + 2);
    if (header < IPV4_LEN || total < header || FRAME_MIN + total > f->len || FRAME_MIN + header > f->head_len)
        return DROP_MALFORMED;
    fragment = load_be16(p + 6);
    *ip = (struct frame_ip){.version = 4,
                            .protocol = p[9],
                            .l4 = FRAME_MIN + header,
                            .end = FRAME_MIN + total,
                            .later_fragment = fragment & 0x1fff};
    return DROP_NONE;
}

/*
 * Follows the extension headers to what they precede. A chain that is longer than our
 * copy, or than anybody needs, is how packets are hidden from filters (RFC 7113).
 */
static enum net_drop ipv6_parse(const struct frame *f, struct frame_ip *ip)
{
    const uint8_t *p = f->head + FRAME_MIN;
    size_t at = FRAME_MIN + IPV6_LEN, end;
    uint8_t next;

    if (f->head_len < at || p[0] >> 4 != 6)
        return DROP_MALFORMED;
    next = p[6];
    end = at + load_be16(p + 4);
    if (end > f->len)
        return DROP_MALFORMED;
    *ip = (struct frame_ip){.version = 6, .end = end};
    for (unsigned i = 0; i < MAX_IPV6_EXTENSION; i++) {
        const uint8_t *h;

        if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60 && next != 135 && next != 139 &&
            next != 140) {
            ip->protocol = next;
            ip->l4 = at;
            return DROP_NONE;
        }
        if (at + 8 > MIN(end, f->head_len))
            return DROP_MALFORMED;
        h = f->head + at;
        if (next == 44 && load_be16(h + 2) & 0xfff8) {
            ip->protocol = h[0];
            ip->l4 = at + 8;
            ip->later_fragment = true;
            return DROP_NONE;
        }
        at += next == 44 ? 8 : next == 51 ? ((size_t)h[1] + 2) * 4 : ((size_t)h[1] + 1) * 8;
        next = h[0];
        if (at > MIN(end, f->head_len))
            return DROP_MALFORMED;
    }
    return DROP_MALFORMED;
}

enum net_drop frame_ip_parse(const struct frame *f, struct frame_ip *ip)
{
    if (f->type == ETHER_IPV4)
        return ipv4_parse(f, ip);
    return f->type == ETHER_IPV6 ? ipv6_parse(f, ip) : DROP_MALFORMED;
}

/* ---- out ---- */

/* Ones' complement sum of bytes as big-endian words (RFC 1071), not folded; sum: of what came before. */
static uint64_t sum_add(uint64_t sum, const uint8_t *p, size_t n)
{
    for (; n >= 4; p += 4, n -= 4)
        sum += load_be32(p);
    if (n >= 2) {
        sum += load_be16(p);
        p += 2;
        n -= 2;
    }
    return n ? sum + ((uint64_t)*p << 8) : sum;
}

static uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Bytes [from, from + n) of the frame, with the tag in its place if `from` is 0. Returns how many were
 * written. */
static size_t write_out(const struct frame *f, int tag, uint8_t *out, size_t n)
{
    if (tag == FRAME_NO_TAG) {
        frame_copy(f, 0, out, n);
        return n;
    }
    memcpy(out, f->head, ETHER_TYPE_OFFSET);
    store_be16(out + ETHER_TYPE_OFFSET, ETHER_VLAN);
    store_be16(out + ETHER_TYPE_OFFSET + 2, (uint16_t)tag);
    frame_copy(f, ETHER_TYPE_OFFSET, out + ETHER_TYPE_OFFSET + TAG_LEN, n - ETHER_TYPE_OFFSET);
    return n + TAG_LEN;
}

static void header_make(const struct frame_offload *o, size_t tag, size_t l4_header, uint8_t *h)
{
    memset(h, 0, NET_HEADER_SIZE);
    if (!(o->flags & FRAME_F_NEEDS_CSUM))
        return;
    h[0] = o->flags;
    h[1] = o->gso_type;
    store_le16(h + 2, o->gso_type ? (uint16_t)(o->csum_start + tag + l4_header) : 0);
    store_le16(h + 4, o->gso_type ? o->gso_size : 0);
    store_le16(h + 6, (uint16_t)(o->csum_start + tag));
    store_le16(h + 8, o->csum_offset);
}

/* In one piece; the checksum is finished here unless `keep`. */
static enum net_drop emit_whole(const struct frame *f, struct frame_sink *sink, bool keep)
{
    size_t tag = sink->tag == FRAME_NO_TAG ? 0 : TAG_LEN, len = f->len + tag, start, l4 = 0;
    struct frame_offload none = {0};
    uint8_t header[NET_HEADER_SIZE], *out;
    uint16_t sum;

    if (f->offload.gso_type)
        l4 = (size_t)(f->head[f->offload.csum_start + 12] >> 4) * 4;
    header_make(keep ? &f->offload : &none, tag, l4, header);
    out = sink->begin(sink, len, header);
    if (!out)
        return DROP_FULL;
    write_out(f, sink->tag, out, f->len);
    if (!keep && f->offload.flags & FRAME_F_NEEDS_CSUM) {
        start = f->offload.csum_start + tag;
        sum = sum_fold(sum_add(0, out + start, len - start));
        store_be16(out + start + f->offload.csum_offset, sum ? sum : 0xffff);
    }
    sink->commit(sink, out, len);
    return DROP_NONE;
}

struct segment {
    size_t l3, l4, tcp; /* where IP and TCP begin in what goes out, and TCP's header's length */
    unsigned version;
    size_t offset, len; /* of the data */
    unsigned index;
    bool last;
};

static void segment_finish(const struct segment *s, uint8_t *out)
{
    uint8_t *ip = out + s->l3, *tcp = out + s->l4;
    size_t tcp_len = s->tcp + s->len;
    uint64_t sum = IP_TCP + tcp_len;

    if (s->version == 4) {
        store_be16(ip + 2, (uint16_t)(s->l4 - s->l3 + tcp_len));
        store_be16(ip + 4, (uint16_t)(load_be16(ip + 4) + s->index));
        store_be16(ip + 10, 0);
        store_be16(ip + 10, sum_fold(sum_add(0, ip, s->l4 - s->l3)));
        sum = sum_add(sum, ip + 12, 8);
    } else {
        store_be16(ip + 4, (uint16_t)(s->l4 - s->l3 - IPV6_LEN + tcp_len));
        sum = sum_add(sum, ip + 8, 32);
    }
    store_be32(tcp + 4, load_be32(tcp + 4) + (uint32_t)s->offset);
    if (!s->last)
        tcp[13] &= (uint8_t)~0x09; /* FIN and PSH belong to the last, CWR to the first */
    if (s->index)
        tcp[13] &= (uint8_t)~0x80;
    store_be16(tcp + 16, 0);
    store_be16(tcp + 16, sum_fold(sum_add(sum, tcp, tcp_len)));
}

static enum net_drop emit_segments(const struct frame *f, struct frame_sink *sink)
{
    size_t tag = sink->tag == FRAME_NO_TAG ? 0 : TAG_LEN, headers, data;
    static const uint8_t no_header[NET_HEADER_SIZE];
    struct segment s = {.l3 = FRAME_MIN + tag, .l4 = f->offload.csum_start + tag};

    s.version = f->type == ETHER_IPV4 ? 4 : 6;
    s.tcp = (size_t)(f->head[f->offload.csum_start + 12] >> 4) * 4;
    headers = f->offload.csum_start + s.tcp;
    data = f->len - headers;
    do {
        uint8_t *out;

        s.len = MIN(data - s.offset, f->offload.gso_size);
        s.last = s.offset + s.len == data;
        out = sink->begin(sink, headers + tag + s.len, no_header);
        if (!out)
            return DROP_FULL;
        write_out(f, sink->tag, out, headers);
        frame_copy(f, headers + s.offset, out + headers + tag, s.len);
        segment_finish(&s, out);
        sink->commit(sink, out, headers + tag + s.len);
        s.offset += s.len;
        s.index++;
    } while (!s.last);
    return DROP_NONE;
}

enum net_drop frame_emit(const struct frame *f, struct frame_sink *sink)
{
    unsigned wants = f->offload.flags & FRAME_F_NEEDS_CSUM ? NET_OFFLOAD_CSUM : 0;

    switch (f->offload.gso_type & ~FRAME_GSO_ECN) {
    case FRAME_GSO_TCPV4:
        wants |= NET_OFFLOAD_TSO4;
        break;
    case FRAME_GSO_TCPV6:
        wants |= NET_OFFLOAD_TSO6;
        break;
    }
    if (f->offload.gso_type & FRAME_GSO_ECN)
        wants |= NET_OFFLOAD_ECN;
    if (!(wants & ~sink->offloads))
        return emit_whole(f, sink, true);
    return f->offload.gso_type ? emit_segments(f, sink) : emit_whole(f, sink, false);
}
