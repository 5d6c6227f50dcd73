/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handlers by processor and vector; IO-APICs (82093AA) and MSIs (SDM 3A 10.11). */
#include "hv/cpu/irq.h"

#include "hv/boot/acpi.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/timer.h"
#include "hv/log.h"
#include "hv/mem/heap.h"
#include "hv/mem/map.h"
#include "hv/panic.h"
#include "hv/thread.h"

#define VECTORS         (VECTOR_DEVICES_END - VECTOR_DEVICES)
#define IOAPIC_VERSION  1U
#define IOAPIC_REDIRECT 0x10U
#define REDIRECT_LOW    BIT(13)
#define REDIRECT_LEVEL  BIT(15)
#define REDIRECT_MASKED BIT(16)

struct irq {
    irq_handler_fn *fn;
    void *opaque;
};

struct ioapic {
    volatile uint8_t *registers;
    unsigned first, count;
};

static struct spinlock irq_lock; /* guards handing out vectors and the IO-APICs */
static struct ioapic ioapics[ACPI_MAX_IOAPICS];

/* ---- vectors ---- */

int irq_init_cpu(struct cpu *cpu)
{
    cpu->irqs = heap_alloc(VECTORS * sizeof(struct irq), &memory_own);
    return cpu->irqs ? 0 : -ENOMEM;
}

static int take_vector(struct cpu *cpu, irq_handler_fn *fn, void *opaque)
{
    for (unsigned i = VECTORS; i-- > 0;) {
        if (cpu->irqs[i].fn)
            continue;
        cpu->irqs[i].opaque = opaque;
        __atomic_store_n(&cpu->irqs[i].fn, fn, __ATOMIC_RELEASE);
        return (int)(VECTOR_DEVICES + i);
    }
    return -ENOSPC;
}

/* ---- whose time it is ---- */

/* What an interrupt costs around its handler: the exit, registers saved and loaded again, the entry. */
#define INTERRUPT_NS 1000U

static void charge(struct cpu *cpu, uint64_t now)
{
    uint64_t ns = now - MIN(now, cpu->work_since);

    cpu->work_since = now;
    if (hv_sched.count)
        sched_charge_other(&hv_sched, cpu->metal.index, cpu->work_for, ns);
}

void irq_work_begin(struct sched_group *group, uint64_t now)
{
    struct cpu *cpu = cpu_this();

    cpu->work_for = group;
    cpu->work_since = now - (cpu->current == cpu->idle ? 0 : MIN(now, INTERRUPT_NS));
}

void irq_work_for(struct sched_group *group)
{
    struct cpu *cpu = cpu_this();

    if (!cpu->work_for || cpu->work_for == group)
        return;
    charge(cpu, time_now());
    cpu->work_for = group;
}

void irq_work_end(void)
{
    struct cpu *cpu = cpu_this();

    charge(cpu, time_now());
    cpu->work_for = NULL;
}

void irq_handle(unsigned vector)
{
    struct cpu *cpu = cpu_this();

    if (vector == VECTOR_SPURIOUS || vector < VECTOR_DEVICES)
        return;
    if (vector == VECTOR_POKE) {
        apic_eoi();
        map_catch_up();
    } else if (vector == VECTOR_TIMER) {
        apic_eoi();
        timers_run();
    } else {
        const struct irq *irq = vector < VECTOR_DEVICES_END ? &cpu->irqs[vector - VECTOR_DEVICES] : NULL;

        irq_work_begin(&hv_group, time_now());
        if (irq && irq->fn)
            irq->fn(irq->opaque);
        irq_work_end();
        /* After the handler: a level-triggered input that is still up comes again. */
        apic_eoi();
    }
}

int irq_msi_alloc(unsigned cpu, irq_handler_fn *fn, void *opaque, uint64_t *address, uint32_t *data)
{
    uint32_t id = cpus[cpu]->metal.apic_id;
    int vector;

    if (id > 0xff)
        return -ENOSPC; /* an MSI cannot say it without interrupt remapping */
    spin_lock(&irq_lock);
    vector = take_vector(cpus[cpu], fn, opaque);
    spin_unlock(&irq_lock);
    if (vector < 0)
        return vector;
    *address = 0xfee00000U | id << 12;
    *data = (uint32_t)vector;
    return 0;
}

/* ---- IO-APICs ---- */

static uint32_t ioapic_read(const struct ioapic *io, unsigned reg)
{
    mmio_write32(io->registers, reg);
    return mmio_read32(io->registers + 0x10);
}

static void ioapic_write(const struct ioapic *io, unsigned reg, uint32_t value)
{
    mmio_write32(io->registers, reg);
    mmio_write32(io->registers + 0x10, value);
}

static void mask_8259s(void)
{
    /* Initialized with vectors of their own, as a spurious interrupt cannot be masked. */
    static const uint8_t words[][2] = {{0x11, 0x11}, {0x20, 0x28}, {4, 2}, {1, 1}};

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        outb(i ? 0x21 : 0x20, words[i][0]);
        outb(i ? 0xa1 : 0xa0, words[i][1]);
    }
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void irq_init(void)
{
    if (irq_init_cpu(cpu_this()) < 0)
        panic("no memory for interrupts");
    mask_8259s();
    for (unsigned i = 0; i < acpi.ioapic_count; i++) {
        struct ioapic *io = &ioapics[i];

        io->registers = map_device(acpi.ioapics[i].address, 0x20);
        if (!io->registers)
            continue;
        io->first = acpi.ioapics[i].first_gsi;
        io->count = (ioapic_read(io, IOAPIC_VERSION) >> 16 & 0xff) + 1;
        for (unsigned input = 0; input < io->count; input++)
            ioapic_write(io, IOAPIC_REDIRECT + 2 * input, REDIRECT_MASKED);
    }
}

int irq_gsi_connect(unsigned gsi, bool level, bool active_low, irq_handler_fn *fn, void *opaque)
{
    struct ioapic *io = NULL;
    unsigned input;
    int ret;

    for (unsigned i = 0; i < acpi.ioapic_count; i++) {
        if (ioapics[i].registers && gsi - ioapics[i].first < ioapics[i].count)
            io = &ioapics[i];
    }
    if (!io)
        return -ENOENT;
    input = IOAPIC_REDIRECT + 2 * (gsi - io->first);
    spin_lock(&irq_lock);
    ret = ioapic_read(io, input) & REDIRECT_MASKED ? take_vector(cpus[0], fn, opaque) : -EBUSY;
    if (ret >= 0) {
        ioapic_write(io, input + 1, cpus[0]->metal.apic_id << 24);
        ioapic_write(io, input,
                     (uint32_t)ret | (level ? REDIRECT_LEVEL : 0) | (active_low ? REDIRECT_LOW : 0));
        ret = 0;
    }
    spin_unlock(&irq_lock);
    return ret;
}

int irq_isa_connect(unsigned line, irq_handler_fn *fn, void *opaque)
{
    const struct acpi_isa *isa = &acpi.isa[line & 15];

    return irq_gsi_connect(isa->gsi, isa->level, isa->active_low, fn, opaque);
}
