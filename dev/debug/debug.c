/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/debug/debug.h"

#include "dev/regions.h"

#define PVPANIC_PANICKED     BIT(0)
#define PVPANIC_CRASH_LOADED BIT(1)

/* One port each; there is nothing to remember between accesses. */
struct debug_port {
    struct device dev;
    struct io_region region;
    struct chardev *chardev;
};

static const struct state_field no_fields[] = {STATE_END};
static const struct state_table debug_state = {.name = "debug-port", .version = 1, .fields = no_fields};

static void debug_reset(struct device *dev)
{
    (void)dev;
}

static void debug_destroy(struct device *dev)
{
    struct debug_port *port = device_object(dev);

    bus_unmap(&dev->vm->pio, &port->region);
    vm_free(dev->vm, port);
}

static const struct device_ops debug_device = {
    .name = "debug-port",
    .state = &debug_state,
    .state_offset = offsetof(struct debug_port, dev),
    .reset = debug_reset,
    .destroy = debug_destroy,
};

static int create(struct vm *vm, const char *id, uint16_t base, uint16_t size, const struct io_ops *ops,
                  struct chardev *chardev)
{
    struct debug_port *port = vm_alloc(vm, sizeof(*port));
    int r;

    if (!port)
        return -ENOMEM;
    port->chardev = chardev;
    r = device_add(&port->dev, vm, &debug_device, "%s", id);
    if (r) {
        vm_free(vm, port);
        return r;
    }
    return region_map(&vm->pio, &port->region, id, base, size, ops, port);
}

static uint64_t console_read(void *opaque, uint64_t offset, unsigned size)
{
    return DEBUG_PORT; /* how guests find it */
}

/* Bytes that a slow reader does not take are lost: there is no way to tell the guest. */
static void console_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct debug_port *port = opaque;
    uint8_t byte = (uint8_t)value;

    if (port->chardev->connected)
        port->chardev->ops->write(port->chardev, &byte, 1);
}

static const struct io_ops console_ops = {.read = console_read, .write = console_write, .max_size = 1};

int debug_console_create(struct vm *vm, struct chardev *chardev)
{
    return create(vm, "debug-console", DEBUG_PORT, 1, &console_ops, chardev);
}

static uint64_t exit_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0;
}

static void exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vm *vm = ((struct debug_port *)opaque)->dev.vm;

    if (vm->state == VM_SHUTDOWN) /* the rest of a string, or another vCPU: it has said how it ends */
        return;
    vm_emit(vm, VM_EVENT_DEBUG_EXIT, (value << 1) | 1);
    vm_request_shutdown(vm, VM_SHUTDOWN_DEBUG_EXIT);
}

static const struct io_ops exit_ops = {.read = exit_read, .write = exit_write, .max_size = 4};

int debug_exit_create(struct vm *vm, uint16_t port)
{
    return create(vm, "debug-exit", port, 4, &exit_ops, NULL);
}

static uint64_t pvpanic_read(void *opaque, uint64_t offset, unsigned size)
{
    return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED; /* the events that are understood */
}

static void pvpanic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vm *vm = ((struct debug_port *)opaque)->dev.vm;

    if (value & (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED) && vm->state != VM_SHUTDOWN)
        vm_emit(vm, VM_EVENT_PANIC, value & 0xff);
}

static const struct io_ops pvpanic_ops = {.read = pvpanic_read, .write = pvpanic_write, .max_size = 1};

int pvpanic_create(struct vm *vm)
{
    return create(vm, "pvpanic", PVPANIC_PORT, 1, &pvpanic_ops, NULL);
}
