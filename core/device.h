/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every device model has in common. A device is a struct that embeds a
 * struct device; its create function allocates it, maps its regions and adds it
 * to the VM, which then resets, saves, loads and destroys it. Lock held for all.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "base/list.h"
#include "core/state.h"
#include "core/vm.h"

struct device;

struct device_ops {
    const char *name;                /* of the model: "i8254" */
    const struct state_table *state; /* required; its object is the struct that embeds the device */
    size_t state_offset; /* offsetof(the model's struct, its struct device): how the object is found */
    void (*reset)(struct device *dev);   /* power-on state; required */
    void (*destroy)(struct device *dev); /* frees it; required */
    void (*dump)(struct device *dev, void (*print)(void *opaque, const char *line),
                 void *opaque); /* NULL: the table's */
};

struct device {
    const struct device_ops *ops;
    struct vm *vm;
    char id[32]; /* unique in the VM: "uart0", "disk0" */
    struct list_node link;
};

/* Registers it. id is printf-like. -EEXIST: the id is taken. */
int device_add(struct device *dev, struct vm *vm, const struct device_ops *ops, const char *id_fmt, ...)
    ATTR_PRINTF(4, 5);

struct device *device_find(struct vm *vm, const char *id);

static inline void *device_object(struct device *dev)
{
    return (char *)dev - dev->ops->state_offset;
}

/* plat alloc/free by way of the VM. */
void *vm_alloc(struct vm *vm, size_t size);
void vm_free(struct vm *vm, void *p);

#endif
