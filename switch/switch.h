/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A layer 2 switch between VMs and the machine's NICs: VLANs (IEEE 802.1Q), learned
 * and fixed addresses, anti-spoofing, limits on floods.
 *
 * A port of a VM is a struct net (core/net.h). What a VM sends is looked at and copied
 * in its own time, with its own lock held, into the ring of each receiving port; a
 * receiver's I/O thread takes it from there with its lock held. So no two VMs' locks
 * are ever held at once, and a receiver that is slow loses frames and delays nobody. A
 * NIC's port takes frames at once, through a struct frame_sink of its driver.
 *
 * Offloads (checksums, TCP segmentation) go from VM to VM unfinished where both sides
 * agreed to them, and are finished by the sender where the receiver did not.
 *
 * Locks: switch.lock guards ports, addresses and storm limits; nothing is called with
 * it held, and it is not held while a frame is copied: `pins` keeps a port alive then.
 */
#ifndef SWITCH_SWITCH_H
#define SWITCH_SWITCH_H

#include "base/spin.h"
#include "core/plat.h"
#include "switch/fdb.h"
#include "switch/guard.h"
#include "switch/ring.h"

#define SWITCH_PORTS        FDB_PORTS
#define SWITCH_VLAN_DEFAULT 1U
#define SWITCH_VLANS        4095U /* 1 .. 4094 are VLANs */

struct switch_config {
    const char *name;       /* for messages; copied, 31 characters count */
    struct net_guard guard; /* address: the NIC's MAC */
    /* An access port is in one VLAN and speaks without tags (0: SWITCH_VLAN_DEFAULT). A trunk speaks with
     * tags of the VLANs in `allowed`, and without of its native one, `vlan` (0: none). */
    bool trunk;
    uint16_t vlan;
    const uint8_t *allowed; /* a trunk's, one bit a VLAN (512 bytes); NULL: all. Copied. */
    uint32_t flood_rate;    /* broadcasts, multicasts and frames to nobody known, a second; 0: the default */
    uint32_t queue; /* bytes that wait for the receiver, a power of two from 128 KiB; 0: the default */
};

struct switch_stats {
    uint64_t in_frames, in_bytes;   /* from the VM or NIC, before any is dropped */
    uint64_t out_frames, out_bytes; /* to it: segments count one by one */
    uint64_t drops[DROP_COUNT];     /* DROP_FULL, DROP_DOWN: of what was for it; others: of what it sent */
};

struct switch_port {
    struct net net; /* of a VM's port */
    struct net_switch *sw;
    unsigned index;
    char name[32];
    struct net_guard guard;
    bool trunk, uplink;
    uint16_t vlan;
    uint8_t allowed[512];
    uint32_t flood_rate;
    uint64_t flood_tokens, flood_time; /* guarded by sw->lock; tokens in ns of earned time */
    uint32_t pins;                     /* atomic: senders that are copying to it */
    struct switch_stats stats;         /* atomic */

    /* a NIC's */
    void (*transmit)(struct switch_port *port, const struct frame *frame, int tag);

    /* a VM's: guarded by its lock, or as said */
    struct plat *plat;
    struct plat_work work;
    struct net_ring ring;
    uint32_t offloads; /* atomic: NET_OFFLOAD_* that the receiver takes */
    bool header;       /* its frames begin with an offload header */
    bool starved;      /* the NIC has no room; resume() comes */
    bool kicked;       /* atomic: the work is to run */
};

struct net_switch {
    struct spinlock lock;
    struct switch_port *port[SWITCH_PORTS];
    struct fdb fdb;
    uint64_t (*now)(void); /* ns */
};

void switch_init(struct net_switch *sw, uint64_t (*now)(void));

/* Says in one line what is wrong with it. The functions below ask it, too. */
int switch_config_check(const struct switch_config *config, struct error *err);

/* A port for a VM's NIC, from its memory; lock held. *out's close() takes it away. */
int switch_port_open(struct net_switch *sw, struct plat *plat, const struct switch_config *config,
                     struct net **out, struct error *err);

/*
 * A port for a NIC of the machine, in the caller's memory, zeroed. transmit() sends a
 * frame to the wire (frame_emit()) or drops it, and returns at once; any thread, VMs'
 * locks held. Frames never go from one such port to another: there may be a loop outside.
 */
int switch_uplink_add(struct net_switch *sw, struct switch_port *port, const struct switch_config *config,
                      void (*transmit)(struct switch_port *port, const struct frame *frame, int tag),
                      struct error *err);
void switch_uplink_remove(struct switch_port *port);
/* From the wire; no VM's lock held. */
void switch_input(struct switch_port *port, const struct net_vec *vec, unsigned count, bool header);
/* What transmit() did with a frame, for the statistics. */
void switch_sent(struct switch_port *port, uint64_t frames, uint64_t bytes, enum net_drop drop);

/* Any thread, also the following. */
void switch_port_stats(const struct switch_port *port, struct switch_stats *stats);

struct switch_port_info {
    char name[32]; /* "": no such port */
    uint16_t vlan;
    bool trunk, uplink;
    struct switch_stats stats;
};

/* For people and programs, each i < SWITCH_PORTS. */
void switch_port_info(struct net_switch *sw, unsigned i, struct switch_port_info *info);

static inline struct switch_port *switch_port_of(struct net *net)
{
    return container_of(net, struct switch_port, net);
}

#endif
