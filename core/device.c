/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/device.h"

#include "base/bytes.h"
#include "base/fmt.h"

static bool same_text(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

struct device *device_find(struct vm *vm, const char *id)
{
    struct device *dev;

    list_for_each (dev, &vm->devices, link) {
        if (same_text(dev->id, id))
            return dev;
    }
    return NULL;
}

int device_add(struct device *dev, struct vm *vm, const struct device_ops *ops, const char *id_fmt, ...)
{
    va_list ap;

    base_assert(ops->state && ops->reset && ops->destroy);
    va_start(ap, id_fmt);
    fmt_vprint(dev->id, sizeof(dev->id), id_fmt, ap);
    va_end(ap);
    if (device_find(vm, dev->id))
        return -EEXIST;
    dev->ops = ops;
    dev->vm = vm;
    list_insert(&vm->devices, &dev->link);
    return 0;
}

void *vm_alloc(struct vm *vm, size_t size)
{
    return vm->plat->ops->alloc(vm->plat, size);
}

void vm_free(struct vm *vm, void *p)
{
    vm->plat->ops->free(vm->plat, p);
}
