/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each pin's redirection entry becomes an MSI. A pin by level sends once while
 * its line is up and then waits, remote IRR set, for the vector's EOI. Edges at a
 * masked pin are lost, as the data sheet says.
 */
#include "dev/irq/ioapic.h"

#include "dev/regions.h"

enum ioapic_register { IOREGSEL = 0x00, IOWIN = 0x10, EOIR = 0x40 };
enum ioapic_index { IOAPICID = 0x00, IOAPICVER = 0x01, IOAPICARB = 0x02, IOREDTBL = 0x10 };

#define VERSION          0x20U
#define REDIR_VECTOR     0xffU
#define REDIR_REMOTE_IRR BIT64(14)
#define REDIR_LEVEL      BIT64(15)
#define REDIR_MASKED     BIT64(16)
/* vector, delivery and destination mode, polarity, trigger, mask; destination */
#define REDIR_WRITABLE (0xff000000000000ffULL | 7U << 8 | BIT64(11) | BIT64(13) | REDIR_LEVEL | REDIR_MASKED)

struct ioapic {
    struct device dev;
    struct io_region region;
    uint8_t select;
    uint8_t id;
    uint32_t lines;
    uint64_t redir[IOAPIC_PINS];
};

static const struct state_field ioapic_fields[] = {
    STATE_INT(struct ioapic, select),
    STATE_INT(struct ioapic, id),
    STATE_INT(struct ioapic, lines),
    STATE_INTS(struct ioapic, redir, uint64_t),
    STATE_END,
};

static uint64_t message_address(uint64_t redir)
{
    return 0xfee00000 | (redir >> 56) << 12 | (redir >> 11 & 1) << 2;
}

static uint32_t message_data(uint64_t redir)
{
    return (uint32_t)(redir & 0x7ff) | (uint32_t)(redir & REDIR_LEVEL) | BIT(14);
}

static bool ioapic_message(void *opaque, unsigned pin, uint64_t *address, uint32_t *data)
{
    const struct ioapic *ioapic = opaque;

    if (pin >= IOAPIC_PINS || ioapic->redir[pin] & REDIR_MASKED)
        return false;
    *address = message_address(ioapic->redir[pin]);
    *data = message_data(ioapic->redir[pin]);
    return true;
}

static void send(struct ioapic *ioapic, unsigned pin)
{
    msi_send(ioapic->dev.vm, message_address(ioapic->redir[pin]), message_data(ioapic->redir[pin]));
}

static void service_level(struct ioapic *ioapic, unsigned pin)
{
    uint64_t *redir = &ioapic->redir[pin];

    if ((*redir & (REDIR_LEVEL | REDIR_MASKED | REDIR_REMOTE_IRR)) != REDIR_LEVEL ||
        !(ioapic->lines & BIT(pin)))
        return;
    *redir |= REDIR_REMOTE_IRR;
    send(ioapic, pin);
}

static void ioapic_set(void *opaque, unsigned pin, bool level)
{
    struct ioapic *ioapic = opaque;
    bool was;

    if (pin >= IOAPIC_PINS)
        return;
    was = ioapic->lines & BIT(pin);
    ioapic->lines = level ? ioapic->lines | BIT(pin) : ioapic->lines & ~BIT(pin);
    if (ioapic->redir[pin] & REDIR_LEVEL)
        service_level(ioapic, pin);
    else if (level && !was && !(ioapic->redir[pin] & REDIR_MASKED))
        send(ioapic, pin);
}

static void ioapic_eoi(void *opaque, uint8_t vector)
{
    struct ioapic *ioapic = opaque;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((ioapic->redir[pin] & REDIR_VECTOR) != vector || !(ioapic->redir[pin] & REDIR_LEVEL))
            continue;
        ioapic->redir[pin] &= ~REDIR_REMOTE_IRR;
        service_level(ioapic, pin);
    }
}

static uint32_t window_read(const struct ioapic *ioapic)
{
    unsigned entry = ioapic->select - IOREDTBL;

    switch (ioapic->select) {
    case IOAPICID:
    case IOAPICARB:
        return (uint32_t)ioapic->id << 24;
    case IOAPICVER:
        return (IOAPIC_PINS - 1) << 16 | VERSION;
    }
    if (ioapic->select < IOREDTBL || entry / 2 >= IOAPIC_PINS)
        return 0;
    return (uint32_t)(ioapic->redir[entry / 2] >> (entry % 2 * 32));
}

static void changed(struct ioapic *ioapic)
{
    struct vm *vm = ioapic->dev.vm;

    if (vm->engine && vm->engine->ioapic_changed)
        vm->engine->ioapic_changed(vm);
}

static void redir_write(struct ioapic *ioapic, unsigned entry, uint32_t value)
{
    uint64_t *redir = &ioapic->redir[entry / 2];
    unsigned shift = entry % 2 * 32;
    uint64_t mask = REDIR_WRITABLE & (0xffffffffULL << shift);

    *redir = (*redir & ~mask) | ((uint64_t)value << shift & mask);
    if (!(*redir & REDIR_LEVEL))
        *redir &= ~REDIR_REMOTE_IRR;
    changed(ioapic);
    service_level(ioapic, entry / 2);
}

static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct ioapic *ioapic = opaque;

    switch (offset) {
    case IOREGSEL:
        return ioapic->select;
    case IOWIN:
        return window_read(ioapic);
    }
    return 0;
}

static void ioapic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ioapic *ioapic = opaque;

    switch (offset) {
    case IOREGSEL:
        ioapic->select = (uint8_t)value;
        break;
    case IOWIN:
        if (ioapic->select == IOAPICID)
            ioapic->id = (uint8_t)(value >> 24) & 0xf;
        else if (ioapic->select >= IOREDTBL && ioapic->select < IOREDTBL + 2 * IOAPIC_PINS)
            redir_write(ioapic, ioapic->select - IOREDTBL, (uint32_t)value);
        break;
    case EOIR:
        ioapic_eoi(ioapic, (uint8_t)value);
        break;
    }
}

static const struct io_ops ioapic_ops = {.read = ioapic_read, .write = ioapic_write, .max_size = 4};

static void ioapic_reset(struct device *dev)
{
    struct ioapic *ioapic = device_object(dev);

    ioapic->select = 0;
    ioapic->id = IOAPIC_ID;
    ioapic->lines = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->redir[pin] = REDIR_MASKED;
    changed(ioapic);
}

static int ioapic_post_load(void *object, unsigned version)
{
    struct ioapic *ioapic = object;

    if (ioapic->id > 15 || ioapic->lines >> IOAPIC_PINS)
        return -EINVAL;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if (ioapic->redir[pin] & ~(REDIR_WRITABLE | REDIR_REMOTE_IRR))
            return -EINVAL;
    changed(ioapic);
    return 0;
}

static const struct state_table ioapic_state = {
    .name = "ioapic",
    .version = 1,
    .fields = ioapic_fields,
    .post_load = ioapic_post_load,
};

static void ioapic_destroy(struct device *dev)
{
    struct ioapic *ioapic = device_object(dev);
    struct irqs *irqs = &dev->vm->irqs;

    irqs->ioapic = (struct irq_sink){0};
    irqs->ioapic_eoi = NULL;
    irqs->ioapic_message = NULL;
    bus_unmap(&dev->vm->mmio, &ioapic->region);
    vm_free(dev->vm, ioapic);
}

static const struct device_ops ioapic_device = {
    .name = "ioapic",
    .state = &ioapic_state,
    .state_offset = offsetof(struct ioapic, dev),
    .reset = ioapic_reset,
    .destroy = ioapic_destroy,
};

int ioapic_create(struct vm *vm)
{
    struct ioapic *ioapic = vm_alloc(vm, sizeof(*ioapic));
    int r;

    if (!ioapic)
        return -ENOMEM;
    r = device_add(&ioapic->dev, vm, &ioapic_device, "ioapic");
    if (r) {
        vm_free(vm, ioapic);
        return r;
    }
    r = region_map(&vm->mmio, &ioapic->region, "ioapic", IOAPIC_BASE, 0x1000, &ioapic_ops, ioapic);
    if (r)
        return r;
    vm->irqs.ioapic = (struct irq_sink){.set = ioapic_set, .opaque = ioapic};
    vm->irqs.ioapic_eoi = ioapic_eoi;
    vm->irqs.ioapic_message = ioapic_message;
    vm->irqs.ioapic_opaque = ioapic;
    ioapic_reset(&ioapic->dev);
    return 0;
}
