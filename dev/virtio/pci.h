/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio over PCI, modern only (virtio 1.2, section 4.1). BAR 0 holds the register
 * blocks, BAR 4 the MSI-X table: a vector for the configuration, then one for each
 * queue. INTx with the ISR status where MSI-X is off.
 *
 * A model embeds a struct virtio_pci, calls virtio_init() on its member and then
 * virtio_pci_add(). Its state table has STATE_STRUCT(model, pci, struct virtio_pci,
 * virtio_pci_fields); its reset, post_load and destroy call the functions below.
 */
#ifndef DEV_VIRTIO_PCI_H
#define DEV_VIRTIO_PCI_H

#include "core/doorbell.h"
#include "dev/pci/pci.h"
#include "dev/virtio/virtio.h"

/* A queue's notification address, as one that needs no exit. */
struct virtio_pci_bell {
    struct doorbell doorbell;
    struct virtq *queue;
};

struct virtio_pci {
    struct device dev;
    struct pci_function pci;
    struct virtio virtio;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select;
    uint16_t config_vector;
    uint8_t isr;
    uint8_t cfg_cap; /* where VIRTIO_PCI_CAP_PCI_CFG lies in config space */
    struct virtio_pci_bell bell[VIRTIO_MAX_QUEUES];
};

extern const struct state_field virtio_pci_fields[];

/* Puts it on the bus and into the VM. On failure nothing is left behind. */
int virtio_pci_add(struct virtio_pci *vp, struct pci_bus *bus, const struct device_ops *ops, const char *id);
void virtio_pci_reset(struct virtio_pci *vp);
int virtio_pci_loaded(struct virtio_pci *vp);
void virtio_pci_remove(struct virtio_pci *vp);

/* Offsets in BAR 0 */
#define VIRTIO_PCI_COMMON      0x0000U
#define VIRTIO_PCI_ISR         0x1000U
#define VIRTIO_PCI_DEVICE      0x2000U
#define VIRTIO_PCI_NOTIFY      0x3000U
#define VIRTIO_PCI_BAR_SIZE    0x4000U
#define VIRTIO_PCI_NOTIFY_STEP 4U /* between the queues' notification addresses */

#define VIRTIO_PCI_VENDOR      0x1af4U
#define VIRTIO_PCI_DEVICE_BASE 0x1040U

/* Section 4.1.4.3: the common configuration's fields */
enum virtio_pci_common {
    COMMON_DEVICE_FEATURE_SELECT = 0x00,
    COMMON_DEVICE_FEATURE = 0x04,
    COMMON_DRIVER_FEATURE_SELECT = 0x08,
    COMMON_DRIVER_FEATURE = 0x0c,
    COMMON_CONFIG_MSIX_VECTOR = 0x10,
    COMMON_NUM_QUEUES = 0x12,
    COMMON_DEVICE_STATUS = 0x14,
    COMMON_CONFIG_GENERATION = 0x15,
    COMMON_QUEUE_SELECT = 0x16,
    COMMON_QUEUE_SIZE = 0x18,
    COMMON_QUEUE_MSIX_VECTOR = 0x1a,
    COMMON_QUEUE_ENABLE = 0x1c,
    COMMON_QUEUE_NOTIFY_OFF = 0x1e,
    COMMON_QUEUE_DESC = 0x20,
    COMMON_QUEUE_DRIVER = 0x28,
    COMMON_QUEUE_DEVICE = 0x30,
    COMMON_SIZE = 0x38,
};

#endif
