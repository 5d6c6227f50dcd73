/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/gate.h"

#include "base/bytes.h"

#define ETHER_LEN  14U
#define ETHER_TYPE 12U
#define TYPE_IPV4  0x0800U
#define TYPE_ARP   0x0806U
#define TYPE_IPV6  0x86ddU
#define ARP_LEN    28U
/* Hardware, protocol, and their lengths; without the operation. */
#define ARP_ETHERNET_IPV4 0x0001080006040000ULL
#define IPV4_LEN          20U
#define IPV4_FRAGMENT     0x3fffU /* more to come, or an offset */
#define IPV6_LEN          40U

enum protocol { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58 };

#define TCP_LEN  20U
#define UDP_LEN  8U
#define ICMP_LEN 8U

/* Is the payload, of len bytes, a whole one of its protocol? */
static bool payload_check(unsigned protocol, const uint8_t *p, size_t len)
{
    size_t header;

    switch (protocol) {
    case PROTOCOL_TCP:
        header = len < TCP_LEN ? 0 : (size_t)(p[12] >> 4) * 4;
        return header >= TCP_LEN && header <= len;
    case PROTOCOL_UDP:
        return len >= UDP_LEN && load_be16(p + 4) >= UDP_LEN && load_be16(p + 4) <= len;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
        return len >= ICMP_LEN;
    }
    return false;
}

static size_t ipv4_check(const uint8_t *ip, size_t len)
{
    size_t total;

    if (len < IPV4_LEN || ip[0] != 0x45 || load_be16(ip + 6) & IPV4_FRAGMENT || ip[9] == PROTOCOL_ICMPV6)
        return 0;
    total = load_be16(ip + 2);
    if (total < IPV4_LEN || total > len || !payload_check(ip[9], ip + IPV4_LEN, total - IPV4_LEN))
        return 0;
    return total;
}

static size_t ipv6_check(const uint8_t *ip, size_t len)
{
    size_t payload;

    if (len < IPV6_LEN || ip[0] >> 4 != 6 || ip[6] == PROTOCOL_ICMP)
        return 0;
    payload = load_be16(ip + 4);
    if (payload > len - IPV6_LEN || !payload_check(ip[6], ip + IPV6_LEN, payload))
        return 0;
    return IPV6_LEN + payload;
}

size_t gate_check(const uint8_t *frame, size_t len, bool ipv6)
{
    const uint8_t *packet = frame + ETHER_LEN;
    size_t n = 0;

    if (len < ETHER_LEN)
        return 0;
    len -= ETHER_LEN;
    switch (load_be16(frame + ETHER_TYPE)) {
    case TYPE_ARP:
        n = len >= ARP_LEN && (load_be64(packet) & ~0xffffULL) == ARP_ETHERNET_IPV4 ? ARP_LEN : 0;
        break;
    case TYPE_IPV4:
        n = ipv4_check(packet, len);
        break;
    case TYPE_IPV6:
        n = ipv6 ? ipv6_check(packet, len) : 0;
        break;
    }
    return n ? ETHER_LEN + n : 0;
}
