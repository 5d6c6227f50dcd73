/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch with some VMs at it: what each NIC got is kept, and frames are made by hand. */
#ifndef TESTS_UNIT_HV_NET_WIRES_H
#define TESTS_UNIT_HV_NET_WIRES_H

#include "switch/switch.h"
#include "tests/unit/fake-plat.h"

#define WIRES_VMS  6U
#define WIRES_KEPT 64U

struct wire_vm {
    struct fake_plat plat;
    struct net *net;
    uint8_t mac[6];
    uint32_t ipv4;
    bool full;      /* the NIC has no room */
    unsigned count; /* frames that came */
    size_t len[WIRES_KEPT];
    uint8_t *frame[WIRES_KEPT]; /* of its exact length, the newest at count - 1 */
};

struct wires {
    struct net_switch sw;
    struct wire_vm vm[WIRES_VMS];
    struct switch_port uplink[2];
    struct wire_vm outside[2]; /* what went to the wire; net is not used */
};

/* The switch's clock. */
extern uint64_t wires_now;

void wires_init(struct wires *w);
/* Closes what is open; traps if memory is left. */
void wires_finish(struct wires *w);

/* A configuration for VM i: MAC 52:54:00:00:00:0i, 10.0.0.i; guarded or not. */
struct switch_config wires_config(unsigned i, bool guarded);
void wires_open(struct wires *w, unsigned i, const struct switch_config *config);
void wires_close(struct wires *w, unsigned i);
void wires_uplink(struct wires *w, unsigned i, const struct switch_config *config);
/* Lets every VM's I/O thread run. */
void wires_run(struct wires *w);
/* Of all VMs. */
void wires_forget(struct wires *w);
/* Sends from VM i, in pieces of odd sizes; without running. header: the frame begins with one. */
void wires_send(struct wires *w, unsigned i, const void *frame, size_t len);
void wires_send_up(struct wires *w, unsigned i, const void *frame, size_t len);
/* What VM i (or the outside, from WIRES_VMS on) got last. */
const uint8_t *wires_last(const struct wires *w, unsigned i, size_t *len);
unsigned wires_got(const struct wires *w, unsigned i);
uint64_t wires_dropped(const struct wires *w, unsigned i, enum net_drop why);

/* ---- frames ---- */

struct maker {
    uint8_t bytes[70000];
    size_t len;
};

extern const uint8_t broadcast[6];

void put(struct maker *m, const void *bytes, size_t n);
void put8(struct maker *m, unsigned v);
void put16(struct maker *m, unsigned v);
void put32(struct maker *m, uint32_t v);
/* Begins a frame: addresses, a tag if tci >= 0, type. */
void ether(struct maker *m, const uint8_t to[6], const uint8_t from[6], int tci, unsigned type);
void arp(struct maker *m, unsigned op, const uint8_t sender[6], uint32_t sender_ip, uint32_t target_ip);
/* The header; its checksum is right. */
void ipv4(struct maker *m, unsigned protocol, uint32_t from, uint32_t to, size_t payload);
void ipv6(struct maker *m, unsigned next, const uint8_t from[16], const uint8_t to[16], size_t payload);
void udp(struct maker *m, unsigned from, unsigned to, size_t payload);
void fill(struct maker *m, size_t n);
/* The address that a MAC makes (EUI-64), or another in fe80::/64. */
void link_local(uint8_t out[16], const uint8_t mac[6]);

/* The internet checksum, the slow way: of n bytes, with a start value. */
uint16_t slow_checksum(const uint8_t *p, size_t n, uint32_t start);

#endif
