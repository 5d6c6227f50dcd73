/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which ports a frame goes to. switch/port.c has a VM's end of it. */
#include "switch/switch-internal.h"

#include "base/bytes.h"
#include "base/fmt.h"

#define NS                1000000000ULL
#define FLOOD_RATE        1000U
#define MULTICAST_MOST    KIB(16)
#define FLOOD_RATE_UPLINK 10000U
#define VLAN_MASK         0x0fffU
#define PRIORITY_MASK     0xf000U /* and the drop-eligible bit */

void switch_init(struct net_switch *sw, uint64_t (*now)(void))
{
    *sw = (struct net_switch){.now = now};
}

/* ---- VLANs ---- */

static bool vlan_allowed(const struct switch_port *port, unsigned vlan)
{
    return vlan && vlan < SWITCH_VLANS && port->allowed[vlan / 8] & BIT(vlan % 8);
}

/* The VLAN that a frame is in; 0: it may not be here. */
static uint16_t vlan_in(const struct switch_port *port, const struct frame *f)
{
    uint16_t vlan = f->tci & VLAN_MASK;

    if (!vlan)
        return port->vlan; /* no tag, or one that says a priority only */
    return port->trunk && vlan_allowed(port, vlan) ? vlan : 0;
}

static bool vlan_member(const struct switch_port *port, uint16_t vlan)
{
    return vlan == port->vlan || (port->trunk && vlan_allowed(port, vlan));
}

/* Priority goes along where there are tags; an access port's machine knows of none. */
static int vlan_tag_out(const struct switch_port *port, uint16_t vlan, const struct frame *f)
{
    unsigned priority = f->tci & PRIORITY_MASK;

    if (!port->trunk)
        return FRAME_NO_TAG;
    if (vlan != port->vlan)
        return (int)(priority | vlan);
    return priority ? (int)priority : FRAME_NO_TAG;
}

/* ---- where to ---- */

/* Earned time is saved up for a second at most. */
static bool flood_allowed(struct switch_port *port, uint64_t now)
{
    uint64_t price = NS / port->flood_rate;

    port->flood_tokens = MIN(port->flood_tokens + (now - port->flood_time), NS);
    port->flood_time = now;
    if (port->flood_tokens < price)
        return false;
    port->flood_tokens -= price;
    return true;
}

/* A VM that can have one address only has no use for frames to unknown ones, and no right to see them. */
static bool flood_wanted(const struct switch_port *to, const struct frame *f)
{
    return frame_multicast(f) || to->uplink || !to->guard.mac;
}

static bool may_reach(const struct switch_port *from, const struct switch_port *to, uint16_t vlan)
{
    return to && to != from && vlan_member(to, vlan) && !(from->uplink && to->uplink);
}

struct targets {
    struct switch_port *port[SWITCH_PORTS]; /* pinned: they may leave the switch meanwhile */
    unsigned count;
};

static void target_add(struct targets *targets, struct switch_port *to)
{
    __atomic_fetch_add(&to->pins, 1, __ATOMIC_RELAXED);
    targets->port[targets->count++] = to;
}

/* The ports that are to have it. Lock held. */
static enum net_drop route(struct switch_port *from, const struct frame *f, uint16_t vlan,
                           struct targets *targets)
{
    unsigned limit = from->uplink ? FDB_BUCKETS * FDB_WAYS : FDB_PER_PORT;
    struct net_switch *sw = from->sw;
    uint64_t now = sw->now();
    uint32_t seconds = (uint32_t)(now / NS);
    int known = FDB_NOWHERE;

    if (!fdb_learn(&sw->fdb, f->head + 6, vlan, from->index, limit, seconds))
        return DROP_MAC;
    if (!frame_multicast(f))
        known = fdb_find(&sw->fdb, f->head, vlan, seconds);
    if (known != FDB_NOWHERE) {
        if (may_reach(from, sw->port[known], vlan))
            target_add(targets, sw->port[known]);
        return DROP_NONE;
    }
    if (!flood_allowed(from, now))
        return DROP_STORM;
    for (unsigned i = 0; i < SWITCH_PORTS; i++) {
        if (may_reach(from, sw->port[i], vlan) && flood_wanted(sw->port[i], f))
            target_add(targets, sw->port[i]);
    }
    return DROP_NONE;
}

static void forward(const struct targets *targets, const struct frame *f, uint16_t vlan)
{
    for (unsigned i = 0; i < targets->count; i++) {
        struct switch_port *to = targets->port[i];

        to->transmit(to, f, vlan_tag_out(to, vlan, f));
        __atomic_fetch_sub(&to->pins, 1, __ATOMIC_RELEASE);
    }
}

/* One that is copied to many has to be plain, and of a size that networks have. */
static enum net_drop multicast_check(const struct frame *f)
{
    if (!frame_multicast(f))
        return DROP_NONE;
    return f->offload.gso_type ? DROP_OFFLOAD : f->len > MULTICAST_MOST ? DROP_SIZE : DROP_NONE;
}

/* 01-80-C2-00-00-00 to -0F end at the first switch (IEEE 802.1Q, 8.6.3): pauses, spanning tree, … */
static bool is_reserved(const struct frame *f)
{
    return load_be32(f->head) == 0x0180c200 && load_be16(f->head + 4) < 0x10;
}

void switch_input(struct switch_port *port, const struct net_vec *vec, unsigned count, bool header)
{
    struct targets targets;
    struct frame f;
    enum net_drop drop = frame_take(&f, vec, count, header);
    uint16_t vlan = 0;

    stat_add(&port->stats.in_frames, 1);
    if (!drop) {
        stat_add(&port->stats.in_bytes, f.len);
        vlan = vlan_in(port, &f);
        drop = !vlan ? DROP_VLAN : is_reserved(&f) ? DROP_RESERVED : guard_check(&port->guard, &f);
    }
    targets.count = 0;
    if (!drop)
        drop = multicast_check(&f);
    if (!drop) {
        spin_lock(&port->sw->lock);
        drop = route(port, &f, vlan, &targets);
        spin_unlock(&port->sw->lock);
    }
    if (drop)
        stat_add(&port->stats.drops[drop], 1);
    else
        forward(&targets, &f, vlan);
}

void switch_sent(struct switch_port *port, uint64_t frames, uint64_t bytes, enum net_drop drop)
{
    stat_add(&port->stats.out_frames, frames);
    stat_add(&port->stats.out_bytes, bytes);
    if (drop)
        stat_add(&port->stats.drops[drop], 1);
}

void switch_port_stats(const struct switch_port *port, struct switch_stats *stats)
{
    const uint64_t *from = (const uint64_t *)&port->stats;
    uint64_t *to = (uint64_t *)stats;

    for (unsigned i = 0; i < sizeof(*stats) / sizeof(*to); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void switch_port_info(struct net_switch *sw, unsigned i, struct switch_port_info *info)
{
    const struct switch_port *port;

    *info = (struct switch_port_info){0};
    spin_lock(&sw->lock);
    port = sw->port[i];
    if (port) {
        memcpy(info->name, port->name, sizeof(info->name));
        info->vlan = port->vlan;
        info->trunk = port->trunk;
        info->uplink = port->uplink;
        switch_port_stats(port, &info->stats);
    }
    spin_unlock(&sw->lock);
}

/* ---- ports ---- */

int switch_config_check(const struct switch_config *c, struct error *err)
{
    if (c->vlan >= SWITCH_VLANS)
        return error_set(err, EINVAL, "%s: VLANs are 1 to %u, not %u", c->name, SWITCH_VLANS - 1, c->vlan);
    if (!c->trunk && c->allowed)
        return error_set(err, EINVAL, "%s: only a trunk has a list of VLANs", c->name);
    if (c->guard.ipv4_count > GUARD_MAX_ADDRESSES || c->guard.ipv6_count > GUARD_MAX_ADDRESSES)
        return error_set(err, EINVAL, "%s: at most %u addresses of a kind", c->name, GUARD_MAX_ADDRESSES);
    if (c->guard.mac && (c->guard.address[0] & 1))
        return error_set(err, EINVAL, "%s: its MAC address is a multicast one", c->name);
    if (c->queue && (c->queue < KIB(128) || c->queue > MIB(64) || c->queue & (c->queue - 1)))
        return error_set(err, EINVAL, "%s: its queue must be a power of two from 128 KiB to 64 MiB", c->name);
    return 0;
}

static void port_configure(struct switch_port *port, const struct switch_config *c)
{
    fmt_print(port->name, sizeof(port->name), "%s", c->name);
    port->guard = c->guard;
    port->trunk = c->trunk;
    port->vlan = c->vlan || c->trunk ? c->vlan : SWITCH_VLAN_DEFAULT;
    if (c->trunk && c->allowed)
        memcpy(port->allowed, c->allowed, sizeof(port->allowed));
    else if (c->trunk)
        memset(port->allowed, 0xff, sizeof(port->allowed));
    port->flood_rate = c->flood_rate ? c->flood_rate : port->uplink ? FLOOD_RATE_UPLINK : FLOOD_RATE;
    port->flood_rate = MIN(port->flood_rate, 1000000U);
    port->flood_tokens = NS;
}

/* Lock held. -ENOSPC: no number left; -EADDRINUSE: its address is another's. */
static int port_insert(struct net_switch *sw, struct switch_port *port)
{
    for (unsigned i = 0; i < SWITCH_PORTS; i++) {
        if (sw->port[i])
            continue;
        if (port->guard.mac && port->vlan && !fdb_fix(&sw->fdb, port->guard.address, port->vlan, i))
            return -EADDRINUSE;
        port->index = i;
        port->flood_time = sw->now();
        sw->port[i] = port;
        return 0;
    }
    return -ENOSPC;
}

int switch_port_insert(struct net_switch *sw, struct switch_port *port, const struct switch_config *config,
                       struct error *err)
{
    int r;

    port->sw = sw;
    port_configure(port, config);
    spin_lock(&sw->lock);
    r = port_insert(sw, port);
    spin_unlock(&sw->lock);
    if (r == -EADDRINUSE)
        return error_set(err, EADDRINUSE, "%s: another port of its VLAN has the same MAC address",
                         port->name);
    return r < 0 ? error_set(err, -r, "%s: the switch has all its %u ports", port->name, SWITCH_PORTS) : 0;
}

void switch_port_remove(struct switch_port *port)
{
    struct net_switch *sw = port->sw;

    spin_lock(&sw->lock);
    sw->port[port->index] = NULL;
    fdb_forget_port(&sw->fdb, port->index);
    spin_unlock(&sw->lock);
    /* Whoever copies to it now is another processor, and done in microseconds. */
    while (__atomic_load_n(&port->pins, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

int switch_uplink_add(struct net_switch *sw, struct switch_port *port, const struct switch_config *config,
                      void (*transmit)(struct switch_port *port, const struct frame *frame, int tag),
                      struct error *err)
{
    int r = switch_config_check(config, err);

    if (r < 0)
        return r;
    port->uplink = true;
    port->transmit = transmit;
    return switch_port_insert(sw, port, config, err);
}

void switch_uplink_remove(struct switch_port *port)
{
    switch_port_remove(port);
}
