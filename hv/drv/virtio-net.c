/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's virtio NICs (virtio 1.2, section 5.1) as ports of the switch. No
 * offloads: segments and checksums are finished before they come here. Frames are
 * copied into buffers of our own, so the device never reaches a guest's memory.
 */
#include "base/bytes.h"
#include "base/spin.h"
#include "hv/drv/host-virtio.h"
#include "hv/drv/vdev.h"
#include "switch/switch.h"

#define MAX_NICS    4U
#define QUEUE_SIZE  128U
#define BUFFER      2048U
#define FRAME_MOST  1518U /* with a tag */
#define POLL_BUDGET 64U

enum feature { F_MAC = 5 };
enum config { CONFIG_ADDRESS = 0 };
enum { RX, TX };

struct nic {
    struct vdev vdev;
    struct vqueue rx; /* the polling thread's */
    struct vqueue tx; /* guarded by lock */
    struct spinlock lock;
    uint8_t *rx_buffers, *tx_buffers; /* BUFFER bytes a slot */
    uint64_t rx_phys, tx_phys;
    uint8_t mac[6];
    struct switch_port port;
    bool joined;
    void (*wake)(void *opaque);
    void *opaque;
    bool broken_said;
};

static struct nic *nics[MAX_NICS];
static unsigned nic_count;

/* ---- to the wire ---- */

struct nic_sink {
    struct frame_sink sink;
    struct nic *nic;
    uint64_t frames, bytes;
};

static void tx_reclaim(struct nic *nic)
{
    uint32_t len;
    int slot;

    while ((slot = vqueue_take(&nic->tx, &len)) >= 0)
        vqueue_put(&nic->tx, (unsigned)slot);
}

static void *sink_begin(struct frame_sink *sink, size_t len, const uint8_t header[NET_HEADER_SIZE])
{
    struct nic_sink *s = container_of(sink, struct nic_sink, sink);
    int slot = vqueue_get(&s->nic->tx);
    uint8_t *buffer;

    if (slot < 0)
        return NULL;
    buffer = s->nic->tx_buffers + (unsigned)slot * BUFFER;
    memcpy(buffer, header, NET_HEADER_SIZE);
    return buffer + NET_HEADER_SIZE;
}

static void sink_commit(struct frame_sink *sink, void *room, size_t len)
{
    struct nic_sink *s = container_of(sink, struct nic_sink, sink);
    size_t at = (size_t)((uint8_t *)room - NET_HEADER_SIZE - s->nic->tx_buffers);

    vqueue_segment(&s->nic->tx, (unsigned)(at / BUFFER), 0, s->nic->tx_phys + at,
                   (uint32_t)(NET_HEADER_SIZE + len), false);
    vqueue_post(&s->nic->tx, (unsigned)(at / BUFFER), 1);
    s->frames++;
    s->bytes += len;
}

/* What of a frame goes out at once: all of it, or a segment with its headers. */
static size_t longest_piece(const struct frame *f)
{
    if (!f->offload.gso_type)
        return f->len;
    return f->offload.csum_start + (size_t)(f->head[f->offload.csum_start + 12] >> 4) * 4 +
           f->offload.gso_size;
}

static void nic_transmit(struct switch_port *port, const struct frame *f, int tag)
{
    struct nic *nic = container_of(port, struct nic, port);
    struct nic_sink s = {.sink = {.begin = sink_begin, .commit = sink_commit, .tag = tag}, .nic = nic};
    enum net_drop drop = DROP_SIZE;

    if (longest_piece(f) + (tag == FRAME_NO_TAG ? 0 : 4) <= FRAME_MOST) {
        spin_lock(&nic->lock);
        tx_reclaim(nic);
        drop = frame_emit(f, &s.sink);
        vqueue_kick(&nic->tx);
        spin_unlock(&nic->lock);
    }
    switch_sent(port, s.frames, s.bytes, drop);
}

/* ---- from the wire ---- */

static void rx_post(struct nic *nic, unsigned slot)
{
    vqueue_segment(&nic->rx, slot, 0, nic->rx_phys + slot * BUFFER, BUFFER, true);
    vqueue_post(&nic->rx, slot, 1);
}

static void rx_fill(struct nic *nic)
{
    int slot;

    while ((slot = vqueue_get(&nic->rx)) >= 0)
        rx_post(nic, (unsigned)slot);
    vqueue_kick(&nic->rx);
}

static int rx_one(struct nic *nic)
{
    uint32_t len;
    int slot = vqueue_take(&nic->rx, &len);

    if (slot < 0)
        return slot;
    if (len > NET_HEADER_SIZE && len <= BUFFER) {
        struct net_vec vec = {nic->rx_buffers + (unsigned)slot * BUFFER + NET_HEADER_SIZE,
                              len - NET_HEADER_SIZE};

        switch_input(&nic->port, &vec, 1, false);
    }
    rx_post(nic, (unsigned)slot);
    return 0;
}

bool host_net_poll(unsigned number)
{
    struct nic *nic = number < nic_count ? nics[number] : NULL;
    int r = 0;

    if (!nic || !nic->joined)
        return false;
    vqueue_interrupts(&nic->rx, false);
    for (unsigned i = 0; i < POLL_BUDGET && r == 0; i++)
        r = rx_one(nic);
    if (r == -EAGAIN) {
        vqueue_interrupts(&nic->rx, true);
        r = rx_one(nic);
    }
    vqueue_kick(&nic->rx);
    if (r == -EIO && !nic->broken_said) {
        nic->broken_said = true;
        vdev_stop(&nic->vdev);
        io_log(LOG_ERROR, "PCI %s: the NIC does not work as it must, and is given up", nic->vdev.pci->name);
    }
    return r == 0;
}

static void rx_interrupt(void *opaque)
{
    struct nic *nic = opaque;

    if (nic->joined)
        nic->wake(nic->opaque);
}

/* ---- for others ---- */

bool host_net_mac(unsigned number, uint8_t mac[6])
{
    if (number >= nic_count)
        return false;
    memcpy(mac, nics[number]->mac, 6);
    return true;
}

bool host_net_stats(unsigned number, struct switch_stats *stats)
{
    if (number >= nic_count || !nics[number]->joined)
        return false;
    switch_port_stats(&nics[number]->port, stats);
    return true;
}

int host_net_join(unsigned number, struct net_switch *sw, const struct switch_config *config,
                  void (*wake)(void *opaque), void *opaque, struct error *err)
{
    struct nic *nic = number < nic_count ? nics[number] : NULL;
    struct switch_config c = *config;
    int r;

    if (!nic)
        return error_set(err, ENODEV, "%s: the machine has %u virtio NICs, no number %u", config->name,
                         nic_count, number);
    if (nic->joined)
        return error_set(err, EBUSY, "%s: NIC number %u is a port of a switch already", config->name, number);
    c.guard = (struct net_guard){.dhcp_server = true, .router = true};
    r = switch_uplink_add(sw, &nic->port, &c, nic_transmit, err);
    if (r < 0)
        return r;
    nic->wake = wake;
    nic->opaque = opaque;
    nic->joined = true;
    rx_fill(nic);
    return 0;
}

/* ---- attaching ---- */

static int queues_init(struct nic *nic, struct error *err)
{
    int r = vdev_queue(&nic->vdev, RX, &nic->rx, QUEUE_SIZE, 1, rx_interrupt, nic, err);

    if (r == 0)
        r = vdev_queue(&nic->vdev, TX, &nic->tx, QUEUE_SIZE, 1, NULL, NULL, err);
    if (r < 0)
        return r;
    nic->rx_buffers = dma_alloc((size_t)nic->rx.slots * BUFFER, &nic->rx_phys);
    nic->tx_buffers = dma_alloc((size_t)nic->tx.slots * BUFFER, &nic->tx_phys);
    if (!nic->rx_buffers || !nic->tx_buffers)
        return error_set(err, ENOMEM, "PCI %s: no memory for frames", nic->vdev.pci->name);
    return 0;
}

static void nic_free(struct nic *nic)
{
    if (nic->rx_buffers)
        dma_free(nic->rx_buffers, (size_t)nic->rx.slots * BUFFER);
    if (nic->tx_buffers)
        dma_free(nic->tx_buffers, (size_t)nic->tx.slots * BUFFER);
    vqueue_finish(&nic->rx);
    vqueue_finish(&nic->tx);
    dma_free(nic, sizeof(*nic));
}

int host_net_attach(struct host_pci *fn, struct error *err)
{
    uint64_t phys;
    struct nic *nic;
    int r;

    if (nic_count == MAX_NICS)
        return error_set(err, ENOSPC, "PCI %s: more than %u NICs", fn->name, MAX_NICS);
    nic = dma_alloc(sizeof(*nic), &phys);
    if (!nic)
        return error_set(err, ENOMEM, "PCI %s: no memory for a NIC", fn->name);
    r = vdev_init(&nic->vdev, fn, BIT64(F_MAC), err);
    if (r == 0)
        r = queues_init(nic, err);
    if (r < 0) {
        nic_free(nic);
        return r;
    }
    for (unsigned i = 0; i < 6; i++)
        nic->mac[i] = (uint8_t)vdev_config(&nic->vdev, CONFIG_ADDRESS + i, 1);
    vdev_start(&nic->vdev);
    io_log(LOG_INFO, "PCI %s: NIC virtio:%u, %02x:%02x:%02x:%02x:%02x:%02x", fn->name, nic_count, nic->mac[0],
           nic->mac[1], nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
    nics[nic_count++] = nic;
    return 0;
}
