/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/irq.h"

#include "core/vm.h"

/* The PIT's line is IO-APIC pin 2, as on every PC; ACPI's MADT says so (interrupt source override). */
static unsigned ioapic_pin(unsigned gsi)
{
    return gsi == 0 ? 2 : gsi;
}

static void forward(struct irqs *irqs, unsigned gsi, bool level)
{
    if (gsi < 16 && irqs->pic.set)
        irqs->pic.set(irqs->pic.opaque, gsi, level);
    if (irqs->ioapic.set)
        irqs->ioapic.set(irqs->ioapic.opaque, ioapic_pin(gsi), level);
}

void irq_line_init(struct irq_line *line, struct vm *vm, unsigned gsi)
{
    base_assert(gsi < IRQ_GSI_COUNT);
    line->vm = vm;
    line->gsi = (uint8_t)gsi;
    line->level = false;
}

void irq_set(struct irq_line *line, bool level)
{
    struct irqs *irqs = &line->vm->irqs;

    if (line->level == level)
        return;
    line->level = level;
    vm_trace(line->vm, IRQ, "line %u %s", line->gsi, level ? "up" : "down");
    if (level) {
        if (irqs->line_level[line->gsi]++ == 0)
            forward(irqs, line->gsi, true);
    } else if (irqs->line_level[line->gsi] && --irqs->line_level[line->gsi] == 0) {
        forward(irqs, line->gsi, false);
    }
}

void msi_send(struct vm *vm, uint64_t address, uint32_t data)
{
    vm_trace(vm, IRQ, "msi 0x%llx data 0x%x", (unsigned long long)address, data);
    if (vm->irqs.lapic)
        vm->irqs.lapic->msi(vm, address, data);
    else if (vm->engine && vm->engine->msi)
        vm->engine->msi(vm, address, data);
}
