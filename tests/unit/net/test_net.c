/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user-mode network and taps, with hand-made frames. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "net/gate.h"
#include "net/hostfwd.h"
#include "net/net.h"
#include "tests/unit/fake-loop.h"
#include "tests/unit/virtio/check.h"

static struct loop *loop;
static struct net *net;

/* The guest's end: keeps the last frames; full while told so. */
static struct guest {
    uint8_t frame[64][2048];
    size_t len[64];
    unsigned count;
    bool full;
} guest;

static bool guest_receive(void *nic, const void *frame, size_t len)
{
    struct guest *g = nic;

    if (g->full)
        return false;
    memcpy(g->frame[g->count % 64], frame, MIN(len, sizeof(g->frame[0])));
    g->len[g->count++ % 64] = len;
    return true;
}

static void plug(void)
{
    memset(&guest, 0, sizeof(guest));
    net->receive = guest_receive;
    net->nic = &guest;
}

static void turns(unsigned n)
{
    while (n--)
        fake_loop_turn(loop, 2);
}

static void guest_send(const void *frame, size_t len)
{
    /* In two pieces, as NICs may. */
    struct net_vec vec[2] = {{frame, 14}, {(const uint8_t *)frame + 14, len - 14}};

    net->ops->send(net, vec, 2);
}

/* ---- making frames ---- */

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t host_mac[6] = {0x52, 0x55, 10, 0, 2, 2};

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static void put_ip(uint8_t *p, const char *text)
{
    inet_pton(AF_INET, text, p);
}

static void ether(uint8_t *f, const uint8_t *to, unsigned type)
{
    memcpy(f, to, 6);
    memcpy(f + 6, guest_mac, 6);
    put16(f + 12, type);
}

static void ip_checksum(uint8_t *ip)
{
    unsigned sum = 0;

    put16(ip + 10, 0);
    for (unsigned i = 0; i < 20; i += 2)
        sum += get16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
}

/* An UDP datagram (no checksum); returns the frame's length. */
static size_t udp(uint8_t *f, const char *from, const char *to, unsigned from_port, unsigned to_port,
                  const void *data, size_t len)
{
    uint8_t *ip = f + 14, *u = ip + 20;

    memset(f, 0, 42);
    ether(f, strcmp(to, "255.255.255.255") ? host_mac : (const uint8_t *)"\xff\xff\xff\xff\xff\xff", 0x800);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(28 + len));
    ip[8] = 64;
    ip[9] = 17;
    put_ip(ip + 12, from);
    put_ip(ip + 16, to);
    ip_checksum(ip);
    put16(u, from_port);
    put16(u + 2, to_port);
    put16(u + 4, (unsigned)(8 + len));
    memcpy(u + 8, data, len);
    return 42 + len;
}

static void arp_request(void)
{
    uint8_t f[42] = {0};

    ether(f, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", 0x806);
    memcpy(f + 14, "\0\1\x08\0\6\4\0\1", 8);
    memcpy(f + 22, guest_mac, 6);
    put_ip(f + 28, "10.0.2.15");
    put_ip(f + 38, "10.0.2.2");
    guest_send(f, sizeof(f));
}

/* ---- user mode ---- */

static int slirp_setup(void **state)
{
    struct net_slirp_options o = {.hostname = "guest"};

    loop = fake_loop_create();
    return net_slirp_open(loop, &o, &net, NULL);
}

static void net_drop(void)
{
    net->ops->close(net);
    fake_loop_destroy(loop);
}

static int slirp_teardown(void **state)
{
    net_drop();
    return 0;
}

static void arp(void **state)
{
    plug();
    arp_request();
    turns(2);
    assert_int_equal(guest.count, 1);
    assert_int_equal(get16(guest.frame[0] + 12), 0x806);
    assert_int_equal(get16(guest.frame[0] + 20), 2);
    assert_memory_equal(guest.frame[0] + 22, host_mac, 6);
}

static void dhcp(void **state)
{
    uint8_t bootp[300] = {1, 1, 6, 0, 1, 2, 3, 4}, f[400];
    const uint8_t *offer;

    memcpy(bootp + 28, guest_mac, 6);
    memcpy(bootp + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8); /* DISCOVER */
    plug();
    guest_send(f, udp(f, "0.0.0.0", "255.255.255.255", 68, 67, bootp, sizeof(bootp)));
    turns(2);
    assert_true(guest.count >= 1);
    offer = guest.frame[guest.count - 1] + 42;
    assert_int_equal(offer[0], 2);
    assert_memory_equal(offer + 16, "\x0a\0\2\x0f", 4);
    assert_memory_equal(offer + 236, "\x63\x82\x53\x63\x35\x01\x02", 7);
}

/* What goes to 10.0.2.2 arrives at the host's loopback, and the answer comes back. */
static void udp_to_the_host(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    uint8_t f[200], buf[64];
    ssize_t n = -1;

    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
    getsockname(s, (struct sockaddr *)&a, &len);
    plug();
    arp_request();
    guest_send(f, udp(f, "10.0.2.15", "10.0.2.2", 5000, ntohs(a.sin_port), "ping", 4));
    for (unsigned i = 0; i < 50 && n < 0; i++) {
        turns(1);
        n = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len);
    }
    assert_int_equal(n, 4);
    assert_memory_equal(buf, "ping", 4);
    assert_int_equal(sendto(s, "pong", 4, 0, (struct sockaddr *)&a, len), 4);
    guest.count = 0;
    for (unsigned i = 0; i < 50 && !guest.count; i++)
        turns(1);
    assert_int_equal(guest.count, 1);
    assert_memory_equal(guest.frame[0] + 42, "pong", 4);
    close(s);
}

/* While the guest has no room, frames wait, in order; and are not endlessly many. */
static void full_guest(void **state)
{
    plug();
    guest.full = true;
    arp_request();
    arp_request();
    turns(2);
    assert_int_equal(guest.count, 0);
    guest.full = false;
    net->ops->resume(net);
    assert_int_equal(guest.count, 2);
    guest.full = true;
    for (unsigned i = 0; i < 50000; i++)
        arp_request();
    guest.full = false;
    guest.count = 0;
    net->ops->resume(net);
    assert_true(guest.count > 100 && guest.count < 50000);
}

static uint64_t roll(void)
{
    static uint64_t r = 88172645463325252ULL;

    r ^= r << 13;
    r ^= r >> 7;
    r ^= r << 17;
    return r;
}

/* Any bytes may come from the guest: random ones, and packets with a few bytes of their headers turned. */
static void nonsense(void **state)
{
    static const uint8_t protocols[] = {1, 6, 17, 17, 2, 58};
    uint8_t f[1600];

    plug();
    arp_request();
    for (unsigned i = 0; i < 100000; i++) {
        size_t len = 60 + roll() % 1500;

        for (size_t j = 0; j < len; j += 8)
            store_le64(f + j, roll());
        if (i % 8) {
            udp(f, "10.0.2.15", "10.0.2.2", (unsigned)roll() & 0xffff, 67 + (unsigned)roll() % 5, f + 42,
                len - 42);
            f[23] = protocols[roll() % 6];
            if (f[23] == 6) {
                f[46] = (uint8_t)(roll() & 0xf0);
                f[47] = (uint8_t)roll();
            }
            if (roll() % 4 == 0)
                put16(f + 20, (unsigned)roll() & (roll() % 2 ? 0x201f : 0xffff));
            if (roll() % 4 == 0)
                f[14 + roll() % 16] = (uint8_t)roll();
            ip_checksum(f + 14);
        } else {
            put16(f + 12, i % 16 ? 0x806 : 0x86dd);
        }
        guest_send(f, len);
        if (i % 1000 == 0)
            turns(1);
    }
    turns(5);
}

/* libslirp never sees a fragment, an option, or a length that lies. */
static void gate(void **state)
{
    uint8_t f[200], g[200];
    size_t len = udp(f, "10.0.2.15", "10.0.2.2", 1, 2, "0123456789", 10);
    static const struct {
        unsigned at, value;
    } spoil[] = {{14, 0x46}, {14, 0x55}, {20, 0x20}, {21, 1},   {20, 0x1f}, {17, 39},
                 {17, 19},   {16, 1},    {23, 58},   {23, 2},   {23, 6},    {39, 19},
                 {39, 7},    {12, 0x86}, {13, 0x07}, {38, 0xff}};

    memset(f + len, 0, sizeof(f) - len);
    assert_int_equal(gate_check(f, len, false), len);
    assert_int_equal(gate_check(f, len + 20, false), len); /* padding goes */
    for (size_t n = 0; n < len; n++)
        assert_int_equal(gate_check(f, n, true), 0);
    f[20] = 0x40; /* "do not fragment" is fine */
    assert_int_equal(gate_check(f, len, false), len);
    for (unsigned i = 0; i < ARRAY_SIZE(spoil); i++) {
        memcpy(g, f, sizeof(g));
        g[spoil[i].at] = (uint8_t)spoil[i].value;
        if (gate_check(g, len, false))
            fail_msg("%u at byte %u gets through", spoil[i].value, spoil[i].at);
    }
}

/* ---- port forwarding ---- */

static void forwarding_words(void **state)
{
    static const struct {
        const char *text;
        bool good, udp_;
        const char *host, *guest_;
        unsigned host_port, guest_port;
    } cases[] = {
        {"tcp:2222-:22", true, false, "127.0.0.1", "10.0.2.15", 2222, 22},
        {"tcp::2222-:22", true, false, "127.0.0.1", "10.0.2.15", 2222, 22},
        {"tcp:127.0.0.1:2222-10.0.2.15:22", true, false, "127.0.0.1", "10.0.2.15", 2222, 22},
        {"udp:0.0.0.0:53-10.0.2.99:5353", true, true, "0.0.0.0", "10.0.2.99", 53, 5353},
        {"", false, 0, 0, 0, 0, 0},
        {"tcp", false, 0, 0, 0, 0, 0},
        {"tcp:", false, 0, 0, 0, 0, 0},
        {"sctp:1-:1", false, 0, 0, 0, 0, 0},
        {"tcp:2222", false, 0, 0, 0, 0, 0},
        {"tcp:2222-22", false, 0, 0, 0, 0, 0},
        {"tcp:0-:22", false, 0, 0, 0, 0, 0},
        {"tcp:65536-:22", false, 0, 0, 0, 0, 0},
        {"tcp:22 -:22", false, 0, 0, 0, 0, 0},
        {"tcp:-1-:22", false, 0, 0, 0, 0, 0},
        {"tcp:host:22-:22", false, 0, 0, 0, 0, 0},
        {"tcp:2222-:22-:23", false, 0, 0, 0, 0, 0},
        {"tcp:2222-:", false, 0, 0, 0, 0, 0},
        {"tcp:99999999999999999999-:1", false, 0, 0, 0, 0, 0},
        {"tcp:"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aa",
         false, 0, 0, 0, 0, 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = {0};
        struct hostfwd f;
        int r = hostfwd_parse(cases[i].text, strlen(cases[i].text), &f, &err);

        if ((r == 0) != cases[i].good)
            fail_msg("'%s' is %s", cases[i].text, r ? "refused" : "taken");
        if (r) {
            assert_non_null(strstr(err.text, "tcp:2222-:22"));
            continue;
        }
        assert_int_equal(f.udp, cases[i].udp_);
        assert_int_equal(f.host.s_addr, inet_addr(cases[i].host));
        assert_int_equal(f.guest.s_addr, inet_addr(cases[i].guest_));
        assert_int_equal(f.host_port, cases[i].host_port);
        assert_int_equal(f.guest_port, cases[i].guest_port);
    }
}

static int free_port(int *listener)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    *listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(*listener, 1), 0);
    getsockname(*listener, (struct sockaddr *)&a, &len);
    return ntohs(a.sin_port);
}

static void forwarding(void **state)
{
    char first[64], both[128];
    const char *rules[] = {both};
    struct net_slirp_options o = {.hostfwd = rules, .hostfwd_count = 1};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct error err = {0};
    int busy, port = free_port(&busy), s;

    loop = fake_loop_create();
    snprintf(both, sizeof(both), "tcp:%d-:22", port);
    assert_int_equal(net_slirp_open(loop, &o, &net, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "choose another port"));
    assert_int_equal(fake_loop_watches(loop), 0);
    close(busy);
    snprintf(first, sizeof(first), "tcp:%d-:22", port);
    snprintf(both, sizeof(both), "%s,udp:127.0.0.1:%d-10.0.2.15:53", first, port);
    memset(&err, 0, sizeof(err));
    if (net_slirp_open(loop, &o, &net, &err) < 0)
        fail_msg("%s", err.text);
    plug();
    arp_request(); /* now it knows where the guest is */
    turns(2);
    guest.count = 0;
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    a.sin_port = htons((uint16_t)port);
    connect(s, (struct sockaddr *)&a, sizeof(a));
    for (unsigned i = 0; i < 100 && !guest.count; i++)
        turns(1);
    assert_true(guest.count >= 1);
    assert_int_equal(get16(guest.frame[0] + 12), 0x800);
    assert_int_equal(guest.frame[0][14 + 9], 6);
    assert_int_equal(get16(guest.frame[0] + 34 + 2), 22);
    assert_true(guest.frame[0][34 + 13] & 2); /* SYN */
    close(s);
    turns(3);
    net_drop();
}

/* ---- tap ---- */

static void tap_errors(void **state)
{
    struct error err = {0};
    int fds[2];

    loop = fake_loop_create();
    assert_true(net_tap_open(loop, &(struct net_tap_options){.name = "a-name-that-is-too-long"}, &net, &err) <
                0);
    assert_non_null(strstr(err.text, "1 to 15 characters"));
    memset(&err, 0, sizeof(err));
    assert_true(net_tap_open(loop, &(struct net_tap_options){.name = ""}, &net, &err) < 0);
    memset(&err, 0, sizeof(err));
    assert_true(net_tap_open(loop, &(struct net_tap_options){.name = "lo"}, &net, &err) < 0);
    assert_true(err.code != 0);
    assert_int_equal(pipe(fds), 0);
    memset(&err, 0, sizeof(err));
    assert_int_equal(net_tap_open(loop, &(struct net_tap_options){.use_fd = true, .fd = fds[0]}, &net, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "is not an attached tap"));
    assert_true(fcntl(fds[0], F_GETFD) >= 0); /* still ours */
    close(fds[0]);
    close(fds[1]);
    fake_loop_destroy(loop);
}

/* A packet socket on the host's end of the tap. */
static int host_end(const char *name)
{
    struct ifreq ifr = {0};
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
    int s = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(0x88b5));

    if (s < 0)
        return -1;
    strcpy(ifr.ifr_name, name);
    ioctl(s, SIOCGIFFLAGS, &ifr);
    ifr.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
        return -1;
    a.sll_ifindex = (int)if_nametoindex(name);
    return bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 ? -1 : s;
}

static bool got(const uint8_t *expected, size_t skip)
{
    for (unsigned i = 0; i < guest.count && i < 64; i++) {
        if (guest.len[i] == 60 + skip && memcmp(guest.frame[i] + skip, expected, 60) == 0)
            return true;
    }
    return false;
}

static void tap_frames(void **state)
{
    struct error err = {0};
    uint8_t f[60] = {0}, with_header[72] = {0}, buf[256];
    struct net_vec vec = {with_header, 72};
    ssize_t n = -1;
    int s = -1;

    loop = fake_loop_create();
    if (net_tap_open(loop, &(struct net_tap_options){.name = "batutatest0"}, &net, &err) < 0 ||
        (s = host_end("batutatest0")) < 0) {
        print_message("no tap here: %s\n", err.text);
        fake_loop_destroy(loop);
        skip();
    }
    plug();
    assert_int_equal(net_tap_open(loop, &(struct net_tap_options){.name = "batutatest0"}, &net, &err),
                     -EBUSY);
    ether(f, guest_mac, 0x88b5);
    memset(f + 14, 0x3c, 46);
    /* From the guest, bare. */
    guest_send(f, 60);
    for (unsigned i = 0; i < 50 && n < 0; i++) {
        turns(1);
        n = recv(s, buf, sizeof(buf), 0);
    }
    assert_int_equal(n, 60);
    assert_memory_equal(buf, f, 60);
    /* To the guest, bare; then held while there is no room. */
    assert_int_equal(write(s, f, 60), 60);
    for (unsigned i = 0; i < 50 && !got(f, 0); i++)
        turns(1);
    assert_true(got(f, 0));
    guest.full = true;
    f[20] = 1;
    assert_int_equal(write(s, f, 60), 60);
    turns(5);
    guest.full = false;
    net->ops->resume(net);
    for (unsigned i = 0; i < 50 && !got(f, 0); i++)
        turns(1);
    assert_true(got(f, 0));
    /* The same with headers. */
    assert_int_equal(net->ops->set_header(net, true, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4), 0);
    f[20] = 2;
    memcpy(with_header + 12, f, 60);
    net->ops->send(net, &vec, 1);
    n = recv(s, buf, sizeof(buf), 0);
    assert_int_equal(n, 60);
    assert_memory_equal(buf, f, 60);
    f[20] = 3;
    assert_int_equal(write(s, f, 60), 60);
    for (unsigned i = 0; i < 50 && !got(f, 12); i++)
        turns(1);
    assert_true(got(f, 12));
    close(s);
    net_drop();
}

#define S(f) cmocka_unit_test_setup_teardown(f, slirp_setup, slirp_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        S(arp),
        S(dhcp),
        S(udp_to_the_host),
        S(full_guest),
        S(nonsense),
        cmocka_unit_test(gate),
        cmocka_unit_test(forwarding_words),
        cmocka_unit_test(forwarding),
        cmocka_unit_test(tap_errors),
        cmocka_unit_test(tap_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
