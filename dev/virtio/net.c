/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/net.h"

#include "base/bytes.h"
#include "dev/virtio/pci.h"

#define QUEUE_SIZE         256U
#define TX_BUDGET          256U
#define TX_BYTES           KIB(512) /* the same, of copying */
#define FRAME_MIN          14U      /* an Ethernet header */
#define HEADER             NET_HEADER_SIZE
#define HEADER_NUM_BUFFERS 10U

enum config_field { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_SIZE = 8 };
#define STATUS_LINK_UP BIT(0)

struct virtio_net {
    struct virtio_pci pci;
    struct net *net;
    bool headers; /* the backend takes and gives them */
    bool starved; /* the backend was told that there is no room */
    struct net_vec vec[VIRTQ_MAX_CHAIN];
    struct virtq_chain tx;
    struct virtq_chain rx[2]; /* the frame's first buffer, and the one at hand */
};

static struct virtio_net *nic_of(struct virtio *v)
{
    return container_of(v, struct virtio_net, pci.virtio);
}

/* ---- to the backend ---- */

/* Returns how many bytes went. */
static uint64_t chain_send(struct virtio_net *nic)
{
    uint64_t skip = nic->headers ? 0 : HEADER, len = nic->tx.out_len;
    struct virtq_cursor c = virtq_cursor_out(&nic->tx, skip);
    struct virtq_vec piece;
    unsigned n = 0;

    if (len < HEADER + FRAME_MIN || len > HEADER + NET_FRAME_MAX || !nic->net->link_up)
        return 0; /* dropped, as cables do */
    while (virtq_cursor_next(&c, UINT64_MAX, &piece))
        nic->vec[n++] = (struct net_vec){piece.base, piece.len};
    vm_trace(nic->pci.virtio.vm, NET, "%s: sends %llu bytes", nic->pci.virtio.id,
             (unsigned long long)(len - HEADER));
    nic->net->ops->send(nic->net, nic->vec, n);
    return len;
}

static bool tx_process(struct virtio_net *nic, struct virtq *q)
{
    uint64_t bytes = TX_BYTES, n;
    unsigned budget = TX_BUDGET;

    do {
        virtq_notify_off(q);
        while (budget && bytes && virtq_pop(q, &nic->tx) > 0) {
            n = chain_send(nic);
            virtq_push(q, &nic->tx, 0);
            budget--;
            bytes -= MIN(bytes, n);
        }
    } while (virtq_notify_on(q) && budget && bytes);
    virtq_publish(q);
    return !budget || !bytes;
}

/* ---- from the backend ---- */

/* The next piece of a frame that is `header` and then `len` bytes at `frame`; offset counts both. */
static uint64_t frame_write(struct virtq_chain *chain, const uint8_t *header, const uint8_t *frame,
                            uint64_t len, uint64_t offset)
{
    uint64_t done = 0;

    if (offset < HEADER)
        done = virtq_chain_write(chain, 0, header + offset, HEADER - (size_t)offset);
    if (offset + done >= HEADER)
        done +=
            virtq_chain_write(chain, done, frame + (offset + done - HEADER), len - (offset + done - HEADER));
    return done;
}

/*
 * Spreads a frame over as many buffers as it takes (section 5.1.6.4). 1: done; 0:
 * not enough buffers, none was taken; -EMSGSIZE: it does not fit where buffers are
 * not mergeable.
 */
static int frame_receive(struct virtio_net *nic, struct virtq *q, const uint8_t *header, const uint8_t *frame,
                         uint64_t len)
{
    bool mergeable = virtio_has(&nic->pci.virtio, VIRTIO_NET_F_MRG_RXBUF);
    struct virtq_mark mark = virtq_mark(q);
    uint64_t done = 0;
    const struct virtq_vec *first;
    uint16_t count = 0, asked = UINT16_MAX;
    uint8_t bytes[2];

    while (done < HEADER + len) {
        struct virtq_chain *chain = &nic->rx[count ? 1 : 0];
        uint64_t n;

        if (virtq_pop(q, chain) <= 0) {
            /* Asked for here, behind those that are too few: with event indices the driver would say nothing
             * of one that it adds if we asked for the first of them. */
            if (asked != count && virtq_notify_on(q)) {
                asked = count;
                continue;
            }
            virtq_rollback(q, mark);
            return 0;
        }
        count++;
        if (!mergeable && chain->in_len < HEADER + len) {
            virtq_rollback(q, mark);
            return -EMSGSIZE;
        }
        if (!chain->in_len || (count == 1 && chain->in_len < HEADER)) {
            virtio_break(&nic->pci.virtio, "a receive buffer is too small for a header");
            virtq_rollback(q, mark);
            return 0;
        }
        n = frame_write(chain, header, frame, len, done);
        virtq_push(q, chain, n);
        done += n;
    }
    store_le16(bytes, count);
    virtq_chain_write(&nic->rx[0], HEADER_NUM_BUFFERS, bytes, sizeof(bytes));
    first = &nic->rx[0].vec[nic->rx[0].out_count];
    mem_written(nic->pci.virtio.vm, first->gpa, MIN(first->len, HEADER));
    return 1;
}

static bool nic_receive(void *opaque, const void *data, size_t len)
{
    struct virtio_net *nic = opaque;
    struct virtio *v = &nic->pci.virtio;
    struct virtq *q = &v->queue[VIRTIO_NET_RX];
    static const uint8_t no_header[HEADER];
    const uint8_t *frame = data, *header = no_header;
    int r;

    /* With nobody there, or the cable out, frames are gone; they do not wait. */
    if (!virtio_live(v) || !q->ready || !nic->net->link_up)
        return true;
    if (nic->headers) {
        if (len < HEADER)
            return true;
        header = frame;
        frame += HEADER;
        len -= HEADER;
    }
    if (len > NET_FRAME_MAX)
        return true;
    virtq_notify_off(q);
    r = frame_receive(nic, q, header, frame, len);
    virtq_publish(q);
    if (!r && virtio_live(v)) {
        nic->starved = true;
        return false;
    }
    vm_trace(v->vm, NET, "%s: %s %zu bytes", v->id, r > 0 ? "receives" : "drops", len);
    return true;
}

static void rx_process(struct virtio_net *nic)
{
    if (!nic->starved)
        return;
    nic->starved = false;
    nic->net->ops->resume(nic->net);
}

static bool net_process(struct virtio *v, unsigned queue)
{
    struct virtio_net *nic = nic_of(v);

    if (queue == VIRTIO_NET_TX)
        return tx_process(nic, &v->queue[queue]);
    rx_process(nic);
    return false;
}

/* ---- offloads ---- */

static const struct {
    uint8_t feature, offload;
} guest_offloads[] = {
    {VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CSUM},
    {VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4},
    {VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6},
    {VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_ECN},
};

static void offloads_apply(struct virtio_net *nic)
{
    const struct virtio *v = &nic->pci.virtio;
    unsigned offloads = 0;

    if (!nic->headers)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(guest_offloads); i++) {
        if (virtio_has(v, guest_offloads[i].feature))
            offloads |= guest_offloads[i].offload;
    }
    if (nic->net->ops->set_header(nic->net, true, offloads) < 0)
        vm_log(v->vm, LOG_WARN, "%s: the backend refused the offloads that the guest chose", v->id);
}

static uint64_t net_features(bool offloads)
{
    uint64_t f = BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_NET_F_STATUS) | BIT64(VIRTIO_NET_F_MRG_RXBUF);

    if (offloads)
        f |= BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_HOST_TSO4) | BIT64(VIRTIO_NET_F_HOST_TSO6) |
             BIT64(VIRTIO_NET_F_HOST_ECN) | BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
             BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN);
    return f;
}

/* ---- life ---- */

static void net_driver_ok(struct virtio *v)
{
    offloads_apply(nic_of(v));
}

/* A backend that waits for room would wait for ever: it may go on, and what it has is dropped. */
static void net_virtio_reset(struct virtio *v)
{
    rx_process(nic_of(v));
}

static const struct virtio_ops net_virtio_ops = {
    .name = "virtio-net",
    .id = 1,
    .class_code = 0x020000,
    .process = net_process,
    .reach = HEADER + NET_FRAME_MAX,
    .driver_ok = net_driver_ok,
    .reset = net_virtio_reset,
};

static int net_post_load(void *object, unsigned version)
{
    struct virtio_net *nic = object;
    int r = virtio_pci_loaded(&nic->pci);

    if (r < 0)
        return r;
    nic->starved = true; /* the backend hears of it when the queues are looked at */
    offloads_apply(nic);
    return 0;
}

static const struct state_field net_fields[] = {
    STATE_STRUCT(struct virtio_net, pci, struct virtio_pci, virtio_pci_fields),
    STATE_END,
};

static const struct state_table net_state = {
    .name = "virtio-net",
    .version = 1,
    .fields = net_fields,
    .post_load = net_post_load,
};

static void net_reset(struct device *dev)
{
    virtio_pci_reset(&((struct virtio_net *)device_object(dev))->pci);
}

static void net_destroy(struct device *dev)
{
    struct virtio_net *nic = device_object(dev);

    virtio_pci_remove(&nic->pci);
    nic->net->nic = NULL;
    nic->net->ops->close(nic->net);
    vm_free(dev->vm, nic);
}

static const struct device_ops net_device_ops = {
    .name = "virtio-net",
    .state = &net_state,
    .state_offset = offsetof(struct virtio_net, pci.dev),
    .reset = net_reset,
    .destroy = net_destroy,
};

void virtio_net_set_link(struct device *dev, bool up)
{
    struct virtio_net *nic = device_object(dev);

    if (nic->net->link_up == up)
        return;
    nic->net->link_up = up;
    store_le16(nic->pci.virtio.config + CONFIG_STATUS, up ? STATUS_LINK_UP : 0);
    virtio_config_changed(&nic->pci.virtio);
}

int virtio_net_create(struct vm *vm, struct pci_bus *bus, const char *id, struct net *net,
                      const uint8_t mac[6], struct device **out, struct error *err)
{
    struct virtio_net *nic = vm_alloc(vm, sizeof(*nic));
    struct virtio *v;
    int r;

    if (!nic)
        return error_set(err, ENOMEM, "%s: no memory", id);
    v = &nic->pci.virtio;
    nic->net = net;
    nic->headers = net->ops->set_header && net->ops->set_header(net, true, 0) == 0;
    virtio_init(v, vm, &net_virtio_ops, net_features(nic->headers), 2, QUEUE_SIZE);
    memcpy(v->config + CONFIG_MAC, mac, 6);
    store_le16(v->config + CONFIG_STATUS, net->link_up ? STATUS_LINK_UP : 0);
    v->config_size = CONFIG_SIZE;
    r = virtio_pci_add(&nic->pci, bus, &net_device_ops, id);
    if (r < 0) {
        vm_free(vm, nic);
        return error_set(err, -r, "%s: no place for it on the PCI bus, or its name is taken", id);
    }
    net->receive = nic_receive;
    net->nic = nic;
    if (out)
        *out = &nic->pci.dev;
    return 0;
}
