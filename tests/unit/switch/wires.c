/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/switch/wires.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

uint64_t wires_now;
const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static uint64_t clock_now(void)
{
    return wires_now;
}

static void keep(struct wire_vm *vm, const void *frame, size_t len)
{
    unsigned at = vm->count++ % WIRES_KEPT;

    free(vm->frame[at]);
    vm->frame[at] = malloc(len);
    memcpy(vm->frame[at], frame, len);
    vm->len[at] = len;
}

static bool nic_receive(void *nic, const void *frame, size_t len)
{
    struct wire_vm *vm = nic;

    if (!vm->full)
        keep(vm, frame, len);
    return !vm->full;
}

void wires_init(struct wires *w)
{
    memset(w, 0, sizeof(*w));
    wires_now = 1000000000000ULL;
    switch_init(&w->sw, clock_now);
    for (unsigned i = 0; i < WIRES_VMS; i++) {
        fake_plat_init(&w->vm[i].plat);
        memcpy(w->vm[i].mac, (uint8_t[]){0x52, 0x54, 0, 0, 0, (uint8_t)i}, 6);
        w->vm[i].ipv4 = 0x0a000000 + i;
    }
}

void wires_forget(struct wires *w)
{
    for (unsigned i = 0; i < WIRES_VMS + 2; i++) {
        struct wire_vm *vm = i < WIRES_VMS ? &w->vm[i] : &w->outside[i - WIRES_VMS];

        for (unsigned k = 0; k < WIRES_KEPT; k++) {
            free(vm->frame[k]);
            vm->frame[k] = NULL;
        }
        vm->count = 0;
    }
}

void wires_finish(struct wires *w)
{
    wires_forget(w);
    for (unsigned i = 0; i < WIRES_VMS; i++) {
        if (w->vm[i].net)
            wires_close(w, i);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (w->uplink[i].sw)
            switch_uplink_remove(&w->uplink[i]);
    }
}

struct switch_config wires_config(unsigned i, bool guarded)
{
    struct switch_config c = {.name = "vm", .queue = KIB(128)};

    memcpy(c.guard.address, (uint8_t[]){0x52, 0x54, 0, 0, 0, (uint8_t)i}, 6);
    c.guard.mac = c.guard.ip = guarded;
    c.guard.ipv4_count = 1;
    c.guard.ipv4[0] = 0x0a000000 + i;
    return c;
}

void wires_open(struct wires *w, unsigned i, const struct switch_config *config)
{
    struct wire_vm *vm = &w->vm[i];
    struct error err = {0};

    if (switch_port_open(&w->sw, &vm->plat.plat, config, &vm->net, &err) < 0)
        abort();
    vm->net->receive = nic_receive;
    vm->net->nic = vm;
}

void wires_close(struct wires *w, unsigned i)
{
    fake_plat_stop(&w->vm[i].plat, true);
    w->vm[i].net->ops->close(w->vm[i].net);
    fake_plat_stop(&w->vm[i].plat, false);
    w->vm[i].net = NULL;
    base_assert(w->vm[i].plat.allocations == 0);
}

/* ---- a NIC of the machine's that finishes everything ---- */

struct outside_sink {
    struct frame_sink sink;
    struct wire_vm *vm;
    unsigned frames;
};

static void *outside_begin(struct frame_sink *sink, size_t len, const uint8_t header[NET_HEADER_SIZE])
{
    for (unsigned i = 0; i < NET_HEADER_SIZE; i++)
        base_assert(!header[i]);
    return malloc(len);
}

static void outside_commit(struct frame_sink *sink, void *room, size_t len)
{
    struct outside_sink *s = container_of(sink, struct outside_sink, sink);

    keep(s->vm, room, len);
    free(room);
    s->frames++;
}

static void outside_transmit(struct switch_port *port, const struct frame *frame, int tag)
{
    struct wires *w = container_of(port->sw, struct wires, sw);
    struct outside_sink s = {.sink = {.begin = outside_begin, .commit = outside_commit, .tag = tag},
                             .vm = &w->outside[port - w->uplink]};
    enum net_drop drop = frame_emit(frame, &s.sink);

    switch_sent(port, s.frames, 0, drop);
}

void wires_uplink(struct wires *w, unsigned i, const struct switch_config *config)
{
    if (switch_uplink_add(&w->sw, &w->uplink[i], config, outside_transmit, NULL) < 0)
        abort();
}

void wires_run(struct wires *w)
{
    for (unsigned i = 0; i < WIRES_VMS; i++)
        fake_plat_run_work(&w->vm[i].plat);
}

/* ---- sending ---- */

/* Pieces on the heap, each of its exact size: a read past one is seen by ASan. */
static unsigned cut(struct net_vec *vec, const uint8_t *bytes, size_t len)
{
    static const size_t sizes[] = {5, 12, 1, 33, 100, 1460, 4096};
    unsigned n = 0;

    for (size_t at = 0; at < len; n++) {
        size_t part = n == 30 ? len - at : MIN(len - at, sizes[n % ARRAY_SIZE(sizes)]);
        uint8_t *p = malloc(part);

        memcpy(p, bytes + at, part);
        vec[n] = (struct net_vec){p, part};
        at += part;
    }
    return n;
}

static void drop_cut(struct net_vec *vec, unsigned n)
{
    while (n)
        free((void *)(uintptr_t)vec[--n].base);
}

void wires_send(struct wires *w, unsigned i, const void *frame, size_t len)
{
    struct net_vec vec[32];
    unsigned n = cut(vec, frame, len);

    w->vm[i].net->ops->send(w->vm[i].net, vec, n);
    drop_cut(vec, n);
}

void wires_send_up(struct wires *w, unsigned i, const void *frame, size_t len)
{
    struct net_vec vec[32];
    unsigned n = cut(vec, frame, len);

    switch_input(&w->uplink[i], vec, n, false);
    drop_cut(vec, n);
}

static const struct wire_vm *end_of(const struct wires *w, unsigned i)
{
    return i < WIRES_VMS ? &w->vm[i] : &w->outside[i - WIRES_VMS];
}

const uint8_t *wires_last(const struct wires *w, unsigned i, size_t *len)
{
    const struct wire_vm *vm = end_of(w, i);

    base_assert(vm->count);
    *len = vm->len[(vm->count - 1) % WIRES_KEPT];
    return vm->frame[(vm->count - 1) % WIRES_KEPT];
}

unsigned wires_got(const struct wires *w, unsigned i)
{
    return end_of(w, i)->count;
}

uint64_t wires_dropped(const struct wires *w, unsigned i, enum net_drop why)
{
    struct switch_stats stats;

    switch_port_stats(i < WIRES_VMS ? switch_port_of(w->vm[i].net) : &w->uplink[i - WIRES_VMS], &stats);
    return stats.drops[why];
}

/* ---- frames ---- */

void put(struct maker *m, const void *bytes, size_t n)
{
    memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
}

void put8(struct maker *m, unsigned v)
{
    m->bytes[m->len++] = (uint8_t)v;
}

void put16(struct maker *m, unsigned v)
{
    store_be16(m->bytes + m->len, (uint16_t)v);
    m->len += 2;
}

void put32(struct maker *m, uint32_t v)
{
    store_be32(m->bytes + m->len, v);
    m->len += 4;
}

void ether(struct maker *m, const uint8_t to[6], const uint8_t from[6], int tci, unsigned type)
{
    m->len = 0;
    put(m, to, 6);
    put(m, from, 6);
    if (tci >= 0) {
        put16(m, 0x8100);
        put16(m, (unsigned)tci);
    }
    put16(m, type);
}

void arp(struct maker *m, unsigned op, const uint8_t sender[6], uint32_t sender_ip, uint32_t target_ip)
{
    put(m, (uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
    put16(m, op);
    put(m, sender, 6);
    put32(m, sender_ip);
    put(m, (uint8_t[6]){0}, 6);
    put32(m, target_ip);
}

uint16_t slow_checksum(const uint8_t *p, size_t n, uint32_t start)
{
    uint32_t sum = start;

    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void ipv4(struct maker *m, unsigned protocol, uint32_t from, uint32_t to, size_t payload)
{
    size_t at = m->len;

    put16(m, 0x4500);
    put16(m, (unsigned)(20 + payload));
    put32(m, 0x12340000);
    put8(m, 64);
    put8(m, protocol);
    put16(m, 0);
    put32(m, from);
    put32(m, to);
    store_be16(m->bytes + at + 10, slow_checksum(m->bytes + at, 20, 0));
}

void ipv6(struct maker *m, unsigned next, const uint8_t from[16], const uint8_t to[16], size_t payload)
{
    put32(m, 0x60000000);
    put16(m, (unsigned)payload);
    put8(m, next);
    put8(m, 255);
    put(m, from, 16);
    put(m, to, 16);
}

void udp(struct maker *m, unsigned from, unsigned to, size_t payload)
{
    put16(m, from);
    put16(m, to);
    put16(m, (unsigned)(8 + payload));
    put16(m, 0);
}

void fill(struct maker *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        m->bytes[m->len + i] = (uint8_t)(i * 7 + i / 251);
    m->len += n;
}

void link_local(uint8_t out[16], const uint8_t mac[6])
{
    memcpy(out,
           (uint8_t[]){0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4],
                       mac[5]},
           16);
}
