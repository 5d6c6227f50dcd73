/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's end of a port: core/net.h towards its NIC, a ring towards the other ports. */
#include "switch/switch-internal.h"

#include "base/bytes.h"

#define QUEUE_DEFAULT KIB(512)
/* How much is delivered before other work of the VM has its turn. */
#define BUDGET     KIB(256)
#define FRAME_COST KIB(1) /* at least: a small one may be given the largest buffers to find its way in */

/* ---- from other ports: any thread, their VMs' locks held ---- */

struct port_sink {
    struct frame_sink sink;
    struct switch_port *port;
    uint64_t frames, bytes;
};

/* Beside a frame in the ring: the offloads that it counts on. */
static uint32_t offloads_of(const uint8_t *header)
{
    uint32_t mark = header[0] & FRAME_F_NEEDS_CSUM ? NET_OFFLOAD_CSUM : 0;
    uint8_t type = header[1] & (uint8_t)~FRAME_GSO_ECN;

    if (header[1] & FRAME_GSO_ECN)
        mark |= NET_OFFLOAD_ECN;
    if (type != FRAME_GSO_NONE)
        mark |= type == FRAME_GSO_TCPV4 ? NET_OFFLOAD_TSO4 : NET_OFFLOAD_TSO6;
    return mark;
}

static void *sink_begin(struct frame_sink *sink, size_t len, const uint8_t header[NET_HEADER_SIZE])
{
    struct port_sink *s = container_of(sink, struct port_sink, sink);
    uint8_t *room = ring_reserve(&s->port->ring, NET_HEADER_SIZE + len, offloads_of(header));

    if (!room)
        return NULL;
    memcpy(room, header, NET_HEADER_SIZE);
    return room + NET_HEADER_SIZE;
}

static void sink_commit(struct frame_sink *sink, void *room, size_t len)
{
    struct port_sink *s = container_of(sink, struct port_sink, sink);

    ring_commit((uint8_t *)room - NET_HEADER_SIZE);
    s->frames++;
    s->bytes += len;
}

static void port_transmit(struct switch_port *port, const struct frame *f, int tag)
{
    struct port_sink s = {.sink = {.begin = sink_begin,
                                   .commit = sink_commit,
                                   .offloads = __atomic_load_n(&port->offloads, __ATOMIC_RELAXED),
                                   .tag = tag},
                          .port = port};
    enum net_drop drop = frame_emit(f, &s.sink);

    switch_sent(port, s.frames, s.bytes, drop);
    if (s.frames && !__atomic_exchange_n(&port->kicked, true, __ATOMIC_ACQ_REL))
        port->plat->ops->defer(port->plat, &port->work);
}

/* ---- to its own NIC: lock held ---- */

/* True: the frame is dealt with. */
static bool frame_deliver(struct switch_port *port, const uint8_t *bytes, size_t len, uint32_t mark)
{
    size_t skip = port->header ? 0 : NET_HEADER_SIZE;

    /* It was made for what the NIC agreed to before. */
    if (mark & ~port->offloads || !port->net.nic || !port->net.link_up) {
        stat_add(&port->stats.drops[DROP_DOWN], 1);
        return true;
    }
    return port->net.receive(port->net.nic, bytes + skip, len - skip);
}

static void port_deliver(void *opaque)
{
    struct switch_port *port = opaque;
    size_t done = 0, len;
    uint8_t *bytes;
    uint32_t mark;

    __atomic_store_n(&port->kicked, false, __ATOMIC_SEQ_CST);
    while (!port->starved && ring_peek(&port->ring, &bytes, &len, &mark)) {
        if (done >= BUDGET) {
            if (!__atomic_exchange_n(&port->kicked, true, __ATOMIC_ACQ_REL))
                port->plat->ops->defer(port->plat, &port->work);
            return;
        }
        if (!frame_deliver(port, bytes, len, mark)) {
            port->starved = true;
            return;
        }
        ring_pop(&port->ring);
        done += MAX(len, FRAME_COST);
    }
}

static void port_send(struct net *net, const struct net_vec *vec, unsigned count)
{
    struct switch_port *port = switch_port_of(net);

    switch_input(port, vec, count, port->header);
}

static void port_resume(struct net *net)
{
    struct switch_port *port = switch_port_of(net);

    port->starved = false;
    if (!__atomic_exchange_n(&port->kicked, true, __ATOMIC_ACQ_REL))
        port->plat->ops->defer(port->plat, &port->work);
}

static int port_set_header(struct net *net, bool header, unsigned offloads)
{
    struct switch_port *port = switch_port_of(net);

    port->header = header;
    __atomic_store_n(&port->offloads, header ? offloads : 0, __ATOMIC_RELAXED);
    return 0;
}

static void port_close(struct net *net)
{
    struct switch_port *port = switch_port_of(net);
    struct plat *plat = port->plat;

    switch_port_remove(port);
    plat->ops->free(plat, port->ring.data);
    plat->ops->free(plat, port);
}

static const struct net_ops port_ops = {
    .name = "switch",
    .send = port_send,
    .resume = port_resume,
    .set_header = port_set_header,
    .close = port_close,
};

int switch_port_open(struct net_switch *sw, struct plat *plat, const struct switch_config *config,
                     struct net **out, struct error *err)
{
    uint32_t size = config->queue ? config->queue : (uint32_t)QUEUE_DEFAULT;
    int r = switch_config_check(config, err);
    struct switch_port *port;

    if (r < 0)
        return r;
    port = plat->ops->alloc(plat, sizeof(*port));
    if (!port)
        return error_set(err, ENOMEM, "%s: no memory for a port of the switch", config->name);
    port->plat = plat;
    port->transmit = port_transmit;
    port->work = (struct plat_work){.fn = port_deliver, .opaque = port};
    port->net = (struct net){.ops = &port_ops, .link_up = true};
    ring_init(&port->ring, plat->ops->alloc(plat, size), size);
    r = port->ring.data ? switch_port_insert(sw, port, config, err)
                        : error_set(err, ENOMEM, "%s: no memory for its queue", config->name);
    if (r < 0) {
        plat->ops->free(plat, port->ring.data);
        plat->ops->free(plat, port);
        return r;
    }
    *out = &port->net;
    return 0;
}
