/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/rng.h"

#include "dev/virtio/pci.h"

#define QUEUE_SIZE 64U
/* A driver may hand in the whole of RAM many times over; it gets this much of each buffer, as the section
 * allows. */
#define MAX_FILL KIB(64)
#define BUDGET   16U

struct virtio_rng {
    struct virtio_pci pci;
    struct virtq_chain chain; /* the one at work */
};

static struct virtio_rng *rng_of(struct virtio *v)
{
    return container_of(v, struct virtio_rng, pci.virtio);
}

static uint64_t chain_fill(struct vm *vm, const struct virtq_chain *chain)
{
    struct virtq_cursor c = virtq_cursor_in(chain, 0);
    struct virtq_vec piece;
    uint64_t done = 0;

    while (virtq_cursor_next(&c, MAX_FILL - done, &piece)) {
        vm_random(vm, piece.base, piece.len);
        done += piece.len;
    }
    return done;
}

static bool rng_process(struct virtio *v, unsigned queue)
{
    struct virtio_rng *rng = rng_of(v);
    struct virtq *q = &v->queue[queue];
    unsigned budget = BUDGET;

    do {
        virtq_notify_off(q);
        while (budget && virtq_pop(q, &rng->chain) > 0) {
            virtq_push(q, &rng->chain, chain_fill(v->vm, &rng->chain));
            budget--;
        }
    } while (virtq_notify_on(q) && budget);
    virtq_publish(q);
    return !budget;
}

static const struct virtio_ops rng_virtio_ops = {
    .name = "virtio-rng",
    .id = 4,
    .class_code = 0xff0000,
    .process = rng_process,
    .reach = MAX_FILL,
};

static int rng_post_load(void *object, unsigned version)
{
    return virtio_pci_loaded(&((struct virtio_rng *)object)->pci);
}

static const struct state_field rng_fields[] = {
    STATE_STRUCT(struct virtio_rng, pci, struct virtio_pci, virtio_pci_fields),
    STATE_END,
};

static const struct state_table rng_state = {
    .name = "virtio-rng",
    .version = 1,
    .fields = rng_fields,
    .post_load = rng_post_load,
};

static void rng_reset(struct device *dev)
{
    virtio_pci_reset(&((struct virtio_rng *)device_object(dev))->pci);
}

static void rng_destroy(struct device *dev)
{
    struct virtio_rng *rng = device_object(dev);

    virtio_pci_remove(&rng->pci);
    vm_free(dev->vm, rng);
}

static const struct device_ops rng_device_ops = {
    .name = "virtio-rng",
    .state = &rng_state,
    .state_offset = offsetof(struct virtio_rng, pci.dev),
    .reset = rng_reset,
    .destroy = rng_destroy,
};

int virtio_rng_create(struct vm *vm, struct pci_bus *bus, const char *id, struct device **out,
                      struct error *err)
{
    struct virtio_rng *rng = vm_alloc(vm, sizeof(*rng));
    int r;

    if (!rng)
        return error_set(err, ENOMEM, "%s: no memory", id);
    virtio_init(&rng->pci.virtio, vm, &rng_virtio_ops, 0, 1, QUEUE_SIZE);
    r = virtio_pci_add(&rng->pci, bus, &rng_device_ops, id);
    if (r < 0) {
        vm_free(vm, rng);
        return error_set(err, -r, "%s: no place for it on the PCI bus, or its name is taken", id);
    }
    if (out)
        *out = &rng->pci.dev;
    return 0;
}
