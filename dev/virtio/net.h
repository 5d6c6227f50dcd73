/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio network card (virtio 1.2, section 5.1): one pair of queues, mergeable
 * receive buffers, link status; checksum and segmentation offloads where the
 * backend has set_header().
 */
#ifndef DEV_VIRTIO_NET_H
#define DEV_VIRTIO_NET_H

#include "core/net.h"
#include "core/vm.h"

struct pci_bus;
struct device;

/* The backend is the device's from success on, and closed with it. */
int virtio_net_create(struct vm *vm, struct pci_bus *bus, const char *id, struct net *net,
                      const uint8_t mac[6], struct device **out, struct error *err);

/* Plugs the cable in or pulls it out, and tells the guest. */
void virtio_net_set_link(struct device *dev, bool up);

/* Section 5.1.3 */
#define VIRTIO_NET_F_CSUM       0U
#define VIRTIO_NET_F_GUEST_CSUM 1U
#define VIRTIO_NET_F_MAC        5U
#define VIRTIO_NET_F_GUEST_TSO4 7U
#define VIRTIO_NET_F_GUEST_TSO6 8U
#define VIRTIO_NET_F_GUEST_ECN  9U
#define VIRTIO_NET_F_HOST_TSO4  11U
#define VIRTIO_NET_F_HOST_TSO6  12U
#define VIRTIO_NET_F_HOST_ECN   13U
#define VIRTIO_NET_F_MRG_RXBUF  15U
#define VIRTIO_NET_F_STATUS     16U

#define VIRTIO_NET_RX           0U
#define VIRTIO_NET_TX           1U

#endif
