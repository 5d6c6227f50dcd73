/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/drv/vdev.h"

#include "base/checked.h"

#define CAP_VENDOR       0x09U
#define NO_VECTOR        0xffffU
#define MAX_TRIES        1000U
#define MAX_CAPABILITIES 16U

/* Section 4.1.4: cfg_type of a capability */
enum cap_type { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_DEVICE = 4 };

/* Section 4.1.4.3 */
enum common_field {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    DEVICE_STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    COMMON_SIZE = 0x38,
};

/* Section 2.1 */
enum status { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, FAILED = 128 };

static uint64_t common_read(const struct vdev *v, unsigned field, unsigned size)
{
    return mmio_read(v->common + field, size);
}

static void common_write(struct vdev *v, unsigned field, uint64_t value, unsigned size)
{
    mmio_write(v->common + field, value, size);
}

static void status_add(struct vdev *v, unsigned bits)
{
    common_write(v, DEVICE_STATUS, common_read(v, DEVICE_STATUS, 1) | bits, 1);
}

/* ---- finding its registers ---- */

/* The first capability of each type that makes sense is the one to use (section 4.1.4.1). */
static void capability_take(struct vdev *v, unsigned at)
{
    unsigned type = host_pci_read(v->pci, at + 3, 1), bar = host_pci_read(v->pci, at + 4, 1);
    uint32_t offset = host_pci_read(v->pci, at + 8, 4), len = host_pci_read(v->pci, at + 12, 4);
    uint8_t **where = type == CAP_COMMON   ? &v->common
                      : type == CAP_NOTIFY ? &v->notify
                      : type == CAP_DEVICE ? &v->config
                                           : NULL;

    if (!where || *where || (type == CAP_COMMON && len < COMMON_SIZE))
        return;
    *where = host_pci_map(v->pci, bar, offset, len);
    if (!*where)
        return;
    if (type == CAP_NOTIFY) {
        v->notify_step = host_pci_read(v->pci, at + 16, 4);
        v->notify_len = len;
    } else if (type == CAP_DEVICE) {
        v->config_len = len;
    }
}

static int reset(struct vdev *v)
{
    common_write(v, DEVICE_STATUS, 0, 1);
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        if (!common_read(v, DEVICE_STATUS, 1))
            return 0;
    }
    return -EIO;
}

static int features_agree(struct vdev *v, uint64_t wanted, struct error *err)
{
    uint64_t offered = 0;

    for (unsigned i = 0; i < 2; i++) {
        common_write(v, DEVICE_FEATURE_SELECT, i, 4);
        offered |= common_read(v, DEVICE_FEATURE, 4) << (32 * i);
    }
    if (!(offered >> VDEV_F_VERSION_1 & 1))
        return error_set(err, ENODEV, "PCI %s: a virtio device from before version 1", v->pci->name);
    v->features =
        offered & (wanted | BIT64(VDEV_F_VERSION_1) | BIT64(VDEV_F_INDIRECT) | BIT64(VDEV_F_PLATFORM));
    for (unsigned i = 0; i < 2; i++) {
        common_write(v, DRIVER_FEATURE_SELECT, i, 4);
        common_write(v, DRIVER_FEATURE, (uint32_t)(v->features >> (32 * i)), 4);
    }
    status_add(v, FEATURES_OK);
    if (common_read(v, DEVICE_STATUS, 1) & FEATURES_OK)
        return 0;
    return error_set(err, ENODEV, "PCI %s: the virtio device refuses the features that it offered",
                     v->pci->name);
}

/* v->features: those wanted. */
static int begin(struct vdev *v, struct error *err)
{
    if (reset(v) < 0)
        return error_set(err, EIO, "PCI %s: the virtio device cannot be reset", v->pci->name);
    status_add(v, ACKNOWLEDGE);
    status_add(v, DRIVER);
    common_write(v, CONFIG_VECTOR, NO_VECTOR, 2);
    return features_agree(v, v->features, err);
}

int vdev_init(struct vdev *v, struct host_pci *pci, uint64_t features, struct error *err)
{
    int r = host_pci_enable(pci, err);
    unsigned at;

    if (r < 0)
        return r;
    *v = (struct vdev){.pci = pci};
    at = host_pci_capability(pci, CAP_VENDOR, 0);
    for (unsigned i = 0; at && i < MAX_CAPABILITIES; i++) {
        capability_take(v, at);
        at = host_pci_capability(pci, CAP_VENDOR, at);
    }
    if (!v->common || !v->notify)
        return error_set(err, ENODEV, "PCI %s: a virtio device without its registers (is it a legacy one?)",
                         pci->name);
    if (host_pci_msix_enable(pci) < 0)
        return error_set(err, ENODEV, "PCI %s: a virtio device without MSI-X", pci->name);
    v->features = features;
    r = begin(v, err);
    v->queue_count = (unsigned)common_read(v, NUM_QUEUES, 2);
    return r;
}

int vdev_again(struct vdev *v)
{
    struct error err = {0};

    return begin(v, &err);
}

/* ---- queues ---- */

static int vector_connect(struct vdev *v, io_handler_fn *handler, void *opaque)
{
    unsigned vector = NO_VECTOR;
    int r;

    if (handler && (handler != v->handler || opaque != v->opaque)) {
        r = host_pci_msix_connect(v->pci, v->vectors, handler, opaque);
        if (r < 0)
            return r;
        v->vectors++;
        v->handler = handler;
        v->opaque = opaque;
    }
    return (int)(handler ? v->vectors - 1 : vector);
}

/* The rings are empty. */
static int queue_enable(struct vdev *v, const struct vqueue *q)
{
    common_write(v, QUEUE_SELECT, q->index, 2);
    common_write(v, QUEUE_SIZE, q->size, 2);
    common_write(v, QUEUE_VECTOR, q->vector, 2);
    if (common_read(v, QUEUE_VECTOR, 2) != q->vector)
        return -ENOSPC;
    common_write(v, QUEUE_DESC, q->phys, 8);
    common_write(v, QUEUE_DRIVER, q->phys + q->avail, 8);
    common_write(v, QUEUE_DEVICE, q->phys + q->used, 8);
    common_write(v, QUEUE_ENABLE, 1, 2);
    return 0;
}

int vdev_queue(struct vdev *v, unsigned index, struct vqueue *q, unsigned max_size, unsigned room,
               io_handler_fn *handler, void *opaque, struct error *err)
{
    unsigned size;
    uint64_t notify;
    int r;

    if (index >= v->queue_count)
        return error_set(err, ENODEV, "PCI %s: the virtio device has no queue %u", v->pci->name, index);
    common_write(v, QUEUE_SELECT, index, 2);
    size = (unsigned)common_read(v, QUEUE_SIZE, 2);
    size = MIN(size, MIN(max_size, VQUEUE_MAX_SIZE));
    if (!size || (room > 1 && !vdev_has(v, VDEV_F_INDIRECT) && size < room))
        return error_set(err, ENODEV, "PCI %s: queue %u of the virtio device is too small", v->pci->name,
                         index);
    size = 1U << (31 - __builtin_clz(size));
    notify = common_read(v, QUEUE_NOTIFY_OFF, 2) * v->notify_step;
    if (!range_inside(notify, 2, v->notify_len))
        return error_set(err, EIO, "PCI %s: queue %u has its doorbell outside of the registers", v->pci->name,
                         index);
    r = vqueue_init(q, index, size, room, room > 1 && vdev_has(v, VDEV_F_INDIRECT));
    if (r < 0)
        return error_set(err, ENOMEM, "PCI %s: no memory for a queue", v->pci->name);
    q->notify = v->notify + notify;
    r = vector_connect(v, handler, opaque);
    if (r >= 0) {
        q->vector = (uint16_t)r;
        r = queue_enable(v, q);
    }
    if (r < 0)
        return error_set(err, -r, "PCI %s: no interrupt vector for queue %u", v->pci->name, index);
    if (!handler)
        vqueue_interrupts(q, false);
    return 0;
}

int vdev_queue_again(struct vdev *v, struct vqueue *q)
{
    vqueue_reset(q);
    return queue_enable(v, q);
}

void vdev_start(struct vdev *v)
{
    status_add(v, DRIVER_OK);
}

void vdev_stop(struct vdev *v)
{
    if (v->common)
        reset(v);
    host_pci_disable(v->pci);
}

uint64_t vdev_config(const struct vdev *v, unsigned offset, unsigned size)
{
    uint64_t value = 0;
    uint8_t before;

    if (!v->config || !range_inside(offset, size, v->config_len))
        return 0;
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        before = (uint8_t)common_read(v, CONFIG_GENERATION, 1);
        value = mmio_read(v->config + offset, size);
        if (before == common_read(v, CONFIG_GENERATION, 1))
            break;
    }
    return value;
}
