/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device of the machine's, over PCI, modern only (virtio 1.2, section 4.1):
 * the driver's side. dev/virtio has the devices that guests see.
 *
 *   vdev_init()    found, reset, features agreed
 *   vdev_queue()   once for each queue in use
 *   vdev_start()   it works
 */
#ifndef HV_DRV_VDEV_H
#define HV_DRV_VDEV_H

#include "hv/drv/host-pci.h"
#include "hv/drv/vqueue.h"

#define VDEV_F_INDIRECT  28U
#define VDEV_F_VERSION_1 32U
#define VDEV_F_PLATFORM  33U /* reaches memory by an IOMMU's rules; there is none, so nothing changes */

struct vdev {
    struct host_pci *pci;
    uint8_t *common, *notify, *config;
    uint32_t notify_step, notify_len, config_len;
    uint64_t features; /* agreed on, by bit number */
    unsigned queue_count, vectors;
    io_handler_fn *handler; /* of the last vector */
    void *opaque;
};

/* features: those wanted beside VERSION_1, INDIRECT and PLATFORM. */
int vdev_init(struct vdev *v, struct host_pci *pci, uint64_t features, struct error *err);
/*
 * Up to max_size descriptors, slots of `room` segments. handler may be NULL: nobody
 * waits for it, no interrupts. It runs as hv/cpu/irq.h says. Queues made one after the
 * other with the same handler and opaque share a vector.
 */
int vdev_queue(struct vdev *v, unsigned index, struct vqueue *q, unsigned max_size, unsigned room,
               io_handler_fn *handler, void *opaque, struct error *err);
void vdev_start(struct vdev *v);
/* Reset, and up to the same features as before; then all of its queues, and vdev_start(). -EIO: it will not.
 */
int vdev_again(struct vdev *v);
int vdev_queue_again(struct vdev *v, struct vqueue *q);
/* Reset for good: afterwards the device reaches no memory. */
void vdev_stop(struct vdev *v);

static inline bool vdev_has(const struct vdev *v, unsigned feature)
{
    return v->features >> feature & 1;
}

/* A field of the device's configuration; 0 if that is shorter. */
uint64_t vdev_config(const struct vdev *v, unsigned offset, unsigned size);

#endif
