/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/dev/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"

static enum vm_exit engine_run(struct vcpu *vcpu)
{
    return VM_EXIT_ERROR;
}

static const struct engine_ops engine = {.name = "none", .vcpu_run = engine_run};

static size_t serial_write(struct chardev *cd, const uint8_t *buf, size_t len)
{
    struct fixture *f = container_of(cd, struct fixture, serial);
    size_t n = MIN(MIN(len, f->room), sizeof(f->output) - f->output_len);

    memcpy(f->output + f->output_len, buf, n);
    f->output_len += n;
    f->room -= n;
    return n;
}

static void serial_resume(struct chardev *cd)
{
    container_of(cd, struct fixture, serial)->resumed++;
}

static const struct chardev_ops serial_ops = {.name = "test", .write = serial_write, .resume = serial_resume};

static void on_event(void *opaque, struct vm *vm, enum vm_event event, uint64_t arg)
{
    struct fixture *f = opaque;

    f->events[event]++;
    f->event_arg = arg;
}

int fixture_try(struct fixture *f, unsigned vcpus, unsigned fail_after)
{
    struct vm_config config = {.name = "test", .ram_size = FIXTURE_RAM, .vcpus = vcpus};
    struct board_config board = {
        .serial = {true, true, true, true}, .debug_exit_port = 0xf4, .watchdog = true};
    struct error err = {0};
    int r;

    memset(f, 0, sizeof(*f));
    fake_plat_init(&f->plat);
    f->ram = aligned_alloc(4096, FIXTURE_RAM);
    memset(f->ram, 0, FIXTURE_RAM);
    config.ram = f->ram;
    r = vm_init(&f->vm, &f->plat.plat, &config, &err);
    if (r)
        return r;
    f->vm.on_event = on_event;
    f->vm.on_event_opaque = f;
    f->serial = (struct chardev){.ops = &serial_ops, .connected = true};
    f->room = sizeof(f->output);
    board.serial_dev[0] = &f->serial;
    board.debug_dev = &f->serial;
    r = vm_engine_init(&f->vm, &engine, &err);
    if (r)
        return r;
    f->plat.fail_after = fail_after;
    r = board_create(&f->vm, &board, &f->board, &err);
    f->plat.fail_after = 0;
    if (r)
        return r;
    f->vm.state = VM_RUNNING;
    clock_start(&f->vm);
    return 0;
}

void fixture_init(struct fixture *f, unsigned vcpus)
{
    if (fixture_try(f, vcpus, 0))
        abort();
}

void fixture_finish(struct fixture *f)
{
    vm_finish(&f->vm);
    free(f->ram);
    if (f->plat.allocations)
        abort();
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fixture_init(f, 1);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_finish(*state);
    free(*state);
    return 0;
}

uint8_t inb(struct fixture *f, uint16_t port)
{
    return (uint8_t)bus_read(&f->vm.pio, port, 1);
}

void outb(struct fixture *f, uint16_t port, uint8_t value)
{
    bus_write(&f->vm.pio, port, value, 1);
}

uint32_t inl(struct fixture *f, uint16_t port)
{
    return (uint32_t)bus_read(&f->vm.pio, port, 4);
}

void outl(struct fixture *f, uint16_t port, uint32_t value)
{
    bus_write(&f->vm.pio, port, value, 4);
}

uint32_t readl(struct fixture *f, unsigned cpu, uint64_t gpa)
{
    return (uint32_t)vcpu_mmio_read(f->vm.vcpu[cpu], gpa, 4);
}

void writel(struct fixture *f, unsigned cpu, uint64_t gpa, uint32_t value)
{
    vcpu_mmio_write(f->vm.vcpu[cpu], gpa, value, 4);
}

void advance(struct fixture *f, uint64_t ns)
{
    fake_plat_advance(&f->plat, &f->vm, ns);
}

bool line_up(struct fixture *f, unsigned gsi)
{
    return f->vm.irqs.line_level[gsi];
}

void route(struct fixture *f, unsigned pin, uint8_t vector, bool level)
{
    writel(f, 0, LAPIC_BASE + 0xf0, 0x1ff);
    writel(f, 0, IOAPIC_BASE, 0x11 + pin * 2);
    writel(f, 0, IOAPIC_BASE + 0x10, 0);
    writel(f, 0, IOAPIC_BASE, 0x10 + pin * 2);
    writel(f, 0, IOAPIC_BASE + 0x10, vector | (level ? BIT(15) : 0));
}

int take(struct fixture *f)
{
    struct vcpu *vcpu = f->vm.vcpu[0];
    int vector = f->vm.irqs.lapic->pending(vcpu) ? f->vm.irqs.lapic->acknowledge(vcpu) : -1;

    if (vector >= 0)
        writel(f, 0, LAPIC_BASE + 0xb0, 0);
    return vector;
}
