/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/pci.h"

#include "base/bytes.h"
#include "base/checked.h"

#define BAR_REGISTERS 0U
#define BAR_MSIX      4U

/* Section 4.1.4 */
enum cap_type { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI_CFG = 5 };

/* Offsets in a capability */
#define CAP_CFG_TYPE 3U
#define CAP_BAR      4U
#define CAP_OFFSET   8U
#define CAP_LENGTH   12U
#define CAP_EXTRA    16U /* notify: the multiplier; PCI_CFG: the data window */

#define ISR_QUEUE    BIT(0)
#define ISR_CONFIG   BIT(1)

const struct state_field virtio_pci_fields[] = {
    STATE_STRUCT(struct virtio_pci, pci, struct pci_function, pci_function_fields),
    STATE_STRUCT(struct virtio_pci, virtio, struct virtio, virtio_fields),
    STATE_INT(struct virtio_pci, device_feature_select),
    STATE_INT(struct virtio_pci, driver_feature_select),
    STATE_INT(struct virtio_pci, queue_select),
    STATE_INT(struct virtio_pci, config_vector),
    STATE_INT(struct virtio_pci, isr),
    STATE_END,
};

/* ---- interrupts ---- */

static void pci_interrupt(struct virtio *v, const struct virtq *q)
{
    struct virtio_pci *vp = container_of(v, struct virtio_pci, virtio);

    if (msix_enabled(&vp->pci)) {
        uint16_t vector = q ? q->vector : vp->config_vector;

        if (vector != VIRTIO_NO_VECTOR)
            msix_notify(&vp->pci, vector);
        return;
    }
    vp->isr |= q ? ISR_QUEUE : ISR_CONFIG;
    pci_intx_set(&vp->pci, true);
}

static bool transport_can_dma(const struct virtio *v)
{
    return pci_can_dma(&container_of(v, const struct virtio_pci, virtio)->pci);
}

static const struct virtio_transport pci_transport = {
    .interrupt = pci_interrupt,
    .can_dma = transport_can_dma,
};

static uint8_t isr_read(struct virtio_pci *vp)
{
    uint8_t isr = vp->isr;

    vp->isr = 0;
    if (!msix_enabled(&vp->pci))
        pci_intx_set(&vp->pci, false);
    return isr;
}

/* What a vector register holds after `value` was written: NO_VECTOR says that it cannot be had. */
static uint16_t vector_checked(const struct virtio_pci *vp, uint64_t value)
{
    return value < vp->pci.msix.count ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

/* ---- notifications without an exit ---- */

static void bell_rang(void *opaque)
{
    const struct virtio_pci_bell *bell = opaque;

    virtio_queue_notified(bell->queue->virtio, virtq_index(bell->queue));
}

/*
 * Bells hang while the driver is up and BAR 0 is where the bus answers for it: what a
 * guest does before, sizing and moving BARs, costs nothing. After everything that
 * may have changed either.
 */
static void bells_update(struct virtio_pci *vp)
{
    struct virtio *v = &vp->virtio;
    const struct io_region *bar = &vp->pci.bar[BAR_REGISTERS].region;
    uint64_t notify = bar->base + VIRTIO_PCI_NOTIFY;
    bool up = v->status & VIRTIO_STATUS_DRIVER_OK && bar->mapped && bus_find(&v->vm->mmio, notify) == bar;

    for (unsigned i = 0; i < v->queue_count; i++) {
        struct doorbell *bell = &vp->bell[i].doorbell;

        if (up && v->queue[i].ready)
            doorbell_hang(v->vm, bell, notify + i * VIRTIO_PCI_NOTIFY_STEP, 2);
        else
            doorbell_unhang(v->vm, bell);
    }
}

static void bells_init(struct virtio_pci *vp)
{
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        struct virtio_pci_bell *bell = &vp->bell[i];

        bell->queue = &vp->virtio.queue[i];
        bell->doorbell.event.fn = bell_rang;
        bell->doorbell.event.opaque = bell;
    }
}

static void bar_changed(struct pci_function *fn, unsigned bar, bool mapped, uint64_t address)
{
    if (bar == BAR_REGISTERS)
        bells_update(fn->opaque);
}

/* ---- the common configuration ---- */

/* The driver's reset: PCI's own configuration stays as it is. */
static void registers_reset(struct virtio_pci *vp)
{
    virtio_reset(&vp->virtio);
    vp->device_feature_select = vp->driver_feature_select = 0;
    vp->queue_select = 0;
    vp->config_vector = VIRTIO_NO_VECTOR;
    vp->isr = 0;
    if (!msix_enabled(&vp->pci))
        pci_intx_set(&vp->pci, false);
    bells_update(vp);
}

static const struct common_field {
    uint8_t offset, size;
} common_fields[] = {
    {COMMON_DEVICE_FEATURE_SELECT, 4}, {COMMON_DEVICE_FEATURE, 4},
    {COMMON_DRIVER_FEATURE_SELECT, 4}, {COMMON_DRIVER_FEATURE, 4},
    {COMMON_CONFIG_MSIX_VECTOR, 2},    {COMMON_NUM_QUEUES, 2},
    {COMMON_DEVICE_STATUS, 1},         {COMMON_CONFIG_GENERATION, 1},
    {COMMON_QUEUE_SELECT, 2},          {COMMON_QUEUE_SIZE, 2},
    {COMMON_QUEUE_MSIX_VECTOR, 2},     {COMMON_QUEUE_ENABLE, 2},
    {COMMON_QUEUE_NOTIFY_OFF, 2},      {COMMON_QUEUE_DESC, 8},
    {COMMON_QUEUE_DRIVER, 8},          {COMMON_QUEUE_DEVICE, 8},
};

static const struct common_field *common_find(uint64_t offset)
{
    for (unsigned i = 0; i < ARRAY_SIZE(common_fields); i++) {
        const struct common_field *f = &common_fields[i];

        if (offset >= f->offset && offset - f->offset < f->size)
            return f;
    }
    return NULL;
}

/* The selected queue; one with max_size 0 stands for all that do not exist. */
static struct virtq *queue_selected(struct virtio_pci *vp)
{
    struct virtio *v = &vp->virtio;

    return vp->queue_select < v->queue_count ? &v->queue[vp->queue_select] : NULL;
}

static uint64_t queue_field_read(const struct virtq *q, unsigned offset)
{
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        return q->size;
    case COMMON_QUEUE_MSIX_VECTOR:
        return q->vector;
    case COMMON_QUEUE_ENABLE:
        return q->ready;
    case COMMON_QUEUE_NOTIFY_OFF:
        return virtq_index(q);
    case COMMON_QUEUE_DESC:
        return q->desc_gpa;
    case COMMON_QUEUE_DRIVER:
        return q->avail_gpa;
    case COMMON_QUEUE_DEVICE:
        return q->used_gpa;
    }
    return 0;
}

static uint64_t common_field_read(struct virtio_pci *vp, unsigned offset)
{
    struct virtio *v = &vp->virtio;
    const struct virtq *q = queue_selected(vp);

    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        return vp->device_feature_select;
    case COMMON_DEVICE_FEATURE:
        return vp->device_feature_select > 1 ? 0 : (uint32_t)(v->offered >> (32 * vp->device_feature_select));
    case COMMON_DRIVER_FEATURE_SELECT:
        return vp->driver_feature_select;
    case COMMON_DRIVER_FEATURE:
        return vp->driver_feature_select > 1 ? 0
                                             : (uint32_t)(v->features >> (32 * vp->driver_feature_select));
    case COMMON_CONFIG_MSIX_VECTOR:
        return vp->config_vector;
    case COMMON_NUM_QUEUES:
        return v->queue_count;
    case COMMON_DEVICE_STATUS:
        return virtio_status_read(v);
    case COMMON_CONFIG_GENERATION:
        return v->config_generation;
    case COMMON_QUEUE_SELECT:
        return vp->queue_select;
    }
    return q ? queue_field_read(q, offset) : 0;
}

/* Byte by byte: reads have no effects here, so any width at any place is as good as the field's own. */
static uint64_t common_read(struct virtio_pci *vp, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        const struct common_field *f = common_find(offset + i);

        if (f)
            value |= (common_field_read(vp, f->offset) >> (8 * (offset + i - f->offset)) & 0xff) << (8 * i);
    }
    return value;
}

static void queue_address_write(uint64_t *gpa, bool high, uint64_t value)
{
    *gpa = high ? (uint32_t)*gpa | value << 32 : (*gpa & ~(uint64_t)UINT32_MAX) | (uint32_t)value;
}

static void queue_field_write(struct virtio_pci *vp, struct virtq *q, unsigned offset, bool high,
                              uint64_t value)
{
    if (offset == COMMON_QUEUE_MSIX_VECTOR) {
        q->vector = vector_checked(vp, value);
        return;
    }
    if (q->ready) /* only a reset lets go of it */
        return;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        q->size = (uint16_t)value;
        break;
    case COMMON_QUEUE_ENABLE:
        if (value == 1 && virtq_enable(q) < 0)
            virtio_break(q->virtio, "queue %u cannot be where it was put", virtq_index(q));
        break;
    case COMMON_QUEUE_DESC:
        queue_address_write(&q->desc_gpa, high, value);
        break;
    case COMMON_QUEUE_DRIVER:
        queue_address_write(&q->avail_gpa, high, value);
        break;
    case COMMON_QUEUE_DEVICE:
        queue_address_write(&q->used_gpa, high, value);
        break;
    }
}

static void common_field_write(struct virtio_pci *vp, unsigned offset, bool high, uint64_t value)
{
    struct virtq *q = queue_selected(vp);

    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        vp->device_feature_select = (uint32_t)value;
        break;
    case COMMON_DRIVER_FEATURE_SELECT:
        vp->driver_feature_select = (uint32_t)value;
        break;
    case COMMON_DRIVER_FEATURE:
        virtio_features_write(&vp->virtio, vp->driver_feature_select, (uint32_t)value);
        break;
    case COMMON_CONFIG_MSIX_VECTOR:
        vp->config_vector = vector_checked(vp, value);
        break;
    case COMMON_DEVICE_STATUS:
        if (!value)
            registers_reset(vp);
        else
            virtio_status_write(&vp->virtio, (uint8_t)value);
        bells_update(vp);
        break;
    case COMMON_QUEUE_SELECT:
        vp->queue_select = (uint16_t)value;
        break;
    default:
        if (q)
            queue_field_write(vp, q, offset, high, value);
    }
}

/* Section 4.1.3.1: a field is written as a whole, 64-bit ones in two halves. What else comes is dropped. */
static void common_write(struct virtio_pci *vp, uint64_t offset, unsigned size, uint64_t value)
{
    const struct common_field *f = common_find(offset);
    bool high;

    if (!f)
        return;
    high = f->size == 8 && offset == f->offset + 4U;
    if ((offset != f->offset && !high) || size != MIN(f->size, 4U))
        return;
    common_field_write(vp, f->offset, high, value);
}

/* ---- the device's own configuration ---- */

static uint64_t config_read(struct virtio_pci *vp, uint64_t offset, unsigned size)
{
    struct virtio *v = &vp->virtio;
    uint64_t value = 0;

    if (v->ops->config_read)
        v->ops->config_read(v);
    for (unsigned i = 0; i < size && offset + i < v->config_size; i++)
        value |= (uint64_t)v->config[offset + i] << (8 * i);
    return value;
}

static void config_write(struct virtio_pci *vp, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio *v = &vp->virtio;

    if (v->ops->config_write && range_inside(offset, size, v->config_size))
        v->ops->config_write(v, (unsigned)offset, size, (uint32_t)value);
}

/* ---- BAR 0 ---- */

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    struct virtio_pci *vp = opaque;
    uint64_t within = offset & 0xfff;

    switch (offset & ~0xfffULL) {
    case VIRTIO_PCI_COMMON:
        return common_read(vp, within, size);
    case VIRTIO_PCI_ISR:
        return within ? 0 : isr_read(vp);
    case VIRTIO_PCI_DEVICE:
        return config_read(vp, within, size);
    }
    return 0;
}

static void bar_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *vp = opaque;
    uint64_t within = offset & 0xfff;

    switch (offset & ~0xfffULL) {
    case VIRTIO_PCI_COMMON:
        common_write(vp, within, size, value);
        break;
    case VIRTIO_PCI_DEVICE:
        config_write(vp, within, size, value);
        break;
    case VIRTIO_PCI_NOTIFY:
        virtio_queue_notified(&vp->virtio, (unsigned)(within / VIRTIO_PCI_NOTIFY_STEP));
        break;
    }
}

static const struct io_ops bar_ops = {.read = bar_read, .write = bar_write, .min_size = 1, .max_size = 4};

/* ---- capabilities; the window into BAR 0 by way of config space (section 4.1.4.9) ---- */

/* True if the access touches the window's data and the driver's words name a place in BAR 0. */
static bool window_aims(struct virtio_pci *vp, unsigned offset, unsigned size, uint32_t *where, uint32_t *len)
{
    const uint8_t *cap = vp->pci.config + vp->cfg_cap;

    if (!ranges_overlap(offset, size, vp->cfg_cap + CAP_EXTRA, 4))
        return false;
    *where = load_le32(cap + CAP_OFFSET);
    *len = load_le32(cap + CAP_LENGTH);
    return cap[CAP_BAR] == BAR_REGISTERS && (*len == 1 || *len == 2 || *len == 4) && *where % *len == 0 &&
           range_inside(*where, *len, VIRTIO_PCI_BAR_SIZE);
}

static void window_read(struct pci_function *fn, unsigned offset, unsigned size)
{
    struct virtio_pci *vp = fn->opaque;
    uint32_t where, len;

    if (window_aims(vp, offset, size, &where, &len))
        store_le32(fn->config + vp->cfg_cap + CAP_EXTRA, (uint32_t)bar_read(vp, where, len));
}

static void window_written(struct pci_function *fn, unsigned offset, unsigned size)
{
    struct virtio_pci *vp = fn->opaque;
    uint32_t where, len;

    if (window_aims(vp, offset, size, &where, &len)) {
        uint32_t value = load_le32(fn->config + vp->cfg_cap + CAP_EXTRA);

        bar_write(vp, where, low_bytes(value, len), len);
    }
}

static const struct pci_function_ops function_ops = {
    .config_read = window_read,
    .config_written = window_written,
    .bar_changed = bar_changed,
};

static uint8_t cap_add(struct virtio_pci *vp, enum cap_type type, uint32_t offset, uint32_t length,
                       uint32_t extra)
{
    bool longer = type == CAP_NOTIFY || type == CAP_PCI_CFG;
    unsigned size = longer ? CAP_EXTRA + 4 : CAP_EXTRA;
    unsigned at = pci_capability_add(&vp->pci, PCI_CAP_VENDOR, size);
    uint8_t *cap = vp->pci.config + at;

    cap[2] = (uint8_t)size;
    cap[CAP_CFG_TYPE] = (uint8_t)type;
    cap[CAP_BAR] = BAR_REGISTERS;
    store_le32(cap + CAP_OFFSET, offset);
    store_le32(cap + CAP_LENGTH, length);
    if (longer)
        store_le32(cap + CAP_EXTRA, extra);
    return (uint8_t)at;
}

static void caps_add(struct virtio_pci *vp)
{
    const struct virtio *v = &vp->virtio;
    uint8_t *wmask;

    cap_add(vp, CAP_COMMON, VIRTIO_PCI_COMMON, COMMON_SIZE, 0);
    cap_add(vp, CAP_NOTIFY, VIRTIO_PCI_NOTIFY, v->queue_count * VIRTIO_PCI_NOTIFY_STEP,
            VIRTIO_PCI_NOTIFY_STEP);
    cap_add(vp, CAP_ISR, VIRTIO_PCI_ISR, 1, 0);
    if (v->config_size)
        cap_add(vp, CAP_DEVICE, VIRTIO_PCI_DEVICE, v->config_size, 0);
    vp->cfg_cap = cap_add(vp, CAP_PCI_CFG, 0, 0, 0);
    wmask = vp->pci.wmask + vp->cfg_cap;
    wmask[CAP_BAR] = 0xff;
    memset(wmask + CAP_OFFSET, 0xff, CAP_EXTRA + 4 - CAP_OFFSET);
}

/* ---- life ---- */

int virtio_pci_add(struct virtio_pci *vp, struct pci_bus *bus, const struct device_ops *ops, const char *id)
{
    struct virtio *v = &vp->virtio;
    struct pci_id pci_id = {
        .vendor = VIRTIO_PCI_VENDOR,
        .device = (uint16_t)(VIRTIO_PCI_DEVICE_BASE + v->ops->id),
        .class_code = v->ops->class_code,
        .revision = 1,
        .sub_vendor = VIRTIO_PCI_VENDOR,
        .sub_device = VIRTIO_PCI_DEVICE_BASE, /* section 4.1.2.1: 0x40 or higher */
        .intx = true,
    };
    int r;

    v->transport = &pci_transport;
    vp->config_vector = VIRTIO_NO_VECTOR;
    bells_init(vp);
    pci_function_init(&vp->pci, bus, &pci_id, &function_ops, vp);
    pci_bar_register(&vp->pci, BAR_REGISTERS, PCI_BAR_MEM64, VIRTIO_PCI_BAR_SIZE, &bar_ops, vp, v->ops->name);
    msix_init(&vp->pci, BAR_MSIX, v->queue_count + 1);
    caps_add(vp);
    r = pci_function_add(&vp->pci, PCI_DEVFN_AUTO);
    if (r < 0)
        return r;
    r = device_add(&vp->dev, v->vm, ops, "%s", id);
    if (r < 0) {
        pci_function_remove(&vp->pci);
        return r;
    }
    v->id = vp->dev.id;
    return 0;
}

void virtio_pci_reset(struct virtio_pci *vp)
{
    registers_reset(vp);
    pci_function_reset(&vp->pci);
}

int virtio_pci_loaded(struct virtio_pci *vp)
{
    int r = pci_function_loaded(&vp->pci);

    r = r < 0 ? r : virtio_loaded(&vp->virtio);
    if (r == 0)
        bells_update(vp);
    return r;
}

void virtio_pci_remove(struct virtio_pci *vp)
{
    pci_function_remove(&vp->pci);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        doorbell_finish(vp->virtio.vm, &vp->bell[i].doorbell);
}
