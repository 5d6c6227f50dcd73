/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/virtio.h"

#include "base/bytes.h"
#include "base/fmt.h"

#define MAX_COMPLAINTS 8U

const struct state_field virtio_fields[] = {
    STATE_INT(struct virtio, features),
    STATE_INT(struct virtio, status),
    STATE_INT(struct virtio, config_generation),
    STATE_STRUCT(struct virtio, queue, struct virtq, virtq_fields),
    STATE_END,
};

/* One queue, in turn: a disk has up to sixteen, and each has a budget of its own. */
static void process_pending(void *opaque)
{
    struct virtio *v = opaque;
    uint32_t behind = v->pending & ~(BIT(v->turn) - 1), pending = behind ? behind : v->pending;
    unsigned i;

    if (!pending) /* a reset */
        return;
    i = (unsigned)__builtin_ctz(pending);
    v->turn = (i + 1) % v->queue_count;
    v->pending &= ~BIT(i);
    if (v->queue[i].ready && virtio_live(v) && v->ops->process(v, i))
        virtio_queue_notified(v, i);
    if (v->pending)
        vm_defer(v->vm, &v->work);
}

void virtio_init(struct virtio *v, struct vm *vm, const struct virtio_ops *ops, uint64_t features,
                 unsigned queue_count, uint16_t queue_size)
{
    base_assert(queue_count <= VIRTIO_MAX_QUEUES && queue_size <= VIRTQ_MAX_SIZE);
    v->vm = vm;
    v->ops = ops;
    v->id = ops->name;
    v->offered =
        features | BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX);
    v->work = (struct plat_work){.fn = process_pending, .opaque = v};
    v->queue_count = queue_count;
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        v->queue[i].virtio = v;
        v->queue[i].max_size = i < queue_count ? queue_size : 0;
        virtq_reset(&v->queue[i]);
    }
}

void virtio_reset(struct virtio *v)
{
    v->epoch++; /* first: completions that the model's reset brings in are dropped */
    v->status = 0;
    if (v->ops->reset)
        v->ops->reset(v);
    v->pending = 0;
    v->features = 0;
    v->config_generation = 0;
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        virtq_reset(&v->queue[i]);
}

static void notify_all(struct virtio *v)
{
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_notified(v, i);
}

int virtio_loaded(struct virtio *v)
{
    uint8_t known = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |
                    VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED;

    v->epoch++;
    if (v->status & ~known)
        return -EINVAL;
    if ((v->status & VIRTIO_STATUS_DRIVER_OK) && !(v->status & VIRTIO_STATUS_FEATURES_OK))
        return -EINVAL;
    if ((v->status & VIRTIO_STATUS_FEATURES_OK) &&
        (!virtio_has(v, VIRTIO_F_VERSION_1) || v->features & ~v->offered))
        return -EINVAL;
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        if (i >= v->queue_count && v->queue[i].ready)
            return -EINVAL;
        if (virtq_loaded(&v->queue[i]) < 0)
            return -EINVAL;
    }
    notify_all(v);
    return 0;
}

/* Is the driver's reset under way? */
static bool resetting(const struct virtio *v)
{
    return !v->status && v->ops->busy && v->ops->busy(v);
}

uint8_t virtio_status_read(const struct virtio *v)
{
    return resetting(v) ? VIRTIO_STATUS_NEEDS_RESET : v->status;
}

void virtio_status_write(struct virtio *v, uint8_t value)
{
    uint8_t added = value & ~v->status;

    vm_trace(v->vm, VIRTIO, "%s: status %02x", v->id, value);
    if (!value) {
        virtio_reset(v);
        return;
    }
    if (resetting(v))
        return;
    v->status |= value & (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FAILED);
    if ((added & VIRTIO_STATUS_FEATURES_OK) && virtio_has(v, VIRTIO_F_VERSION_1) &&
        !(v->features & ~v->offered))
        v->status |= VIRTIO_STATUS_FEATURES_OK;
    if ((added & VIRTIO_STATUS_DRIVER_OK) && (v->status & VIRTIO_STATUS_FEATURES_OK)) {
        v->status |= VIRTIO_STATUS_DRIVER_OK;
        if (v->ops->driver_ok)
            v->ops->driver_ok(v);
        notify_all(v);
    }
}

void virtio_features_write(struct virtio *v, unsigned select, uint32_t value)
{
    if (select > 1 || v->status & VIRTIO_STATUS_FEATURES_OK)
        return;
    v->features = select ? (uint32_t)v->features | (uint64_t)value << 32
                         : (v->features & ~(uint64_t)UINT32_MAX) | value;
}

void virtio_queue_notified(struct virtio *v, unsigned queue)
{
    if (queue >= v->queue_count || !v->queue[queue].ready || !virtio_live(v))
        return;
    v->pending |= BIT(queue);
    vm_defer(v->vm, &v->work);
}

void virtio_break(struct virtio *v, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (v->status & VIRTIO_STATUS_NEEDS_RESET)
        return;
    v->status |= VIRTIO_STATUS_NEEDS_RESET;
    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    vm_trace(v->vm, VIRTIO, "%s: broken: %s", v->id, text);
    if (v->complaints < MAX_COMPLAINTS) {
        v->complaints++;
        vm_log(v->vm, LOG_WARN, "%s: the guest's driver is at fault: %s; the device waits for its reset",
               v->id, text);
    }
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        virtio_interrupt(v, NULL);
}

void virtio_config_changed(struct virtio *v)
{
    v->config_generation++;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        virtio_interrupt(v, NULL);
}
