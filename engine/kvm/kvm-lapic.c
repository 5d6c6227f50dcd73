/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's local APICs: their registers, messages to them, and the 8259's pin. */
#include <string.h>

#include "base/bytes.h"
#include "engine/kvm/kvm-internal.h"

#define REG_TPR 8U

int kvm_lapic_get(struct vcpu *vcpu, struct lapic_image *image)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);
    struct kvm_lapic_state state;
    struct kvm_sregs sregs;
    uint64_t deadline = 0;
    int r = kvm_ioctl(v->fd, KVM_GET_LAPIC, &state);

    if (r < 0 || (r = kvm_ioctl(v->fd, KVM_GET_SREGS, &sregs)) < 0)
        return r;
    /* A KVM without this timer has none armed. */
    (void)kvm_msr_get(v->fd, X86_MSR_TSC_DEADLINE, &deadline);
    image->base = sregs.apic_base;
    image->tsc_deadline = v->tsc_deadline ? v->tsc_deadline : deadline;
    for (unsigned i = 0; i < ARRAY_SIZE(image->reg); i++)
        image->reg[i] = load_le32(state.regs + i * 16);
    return 0;
}

/* At once, not with the rest of the state: from now on devices may send messages. */
int kvm_lapic_put(struct vcpu *vcpu, const struct lapic_image *image)
{
    struct kvm_vcpu *v = kvm_vcpu_of(vcpu);
    struct kvm_lapic_state state;
    struct kvm_sregs sregs;
    int r;

    memset(&state, 0, sizeof(state));
    for (unsigned i = 0; i < ARRAY_SIZE(image->reg); i++)
        store_le32((uint8_t *)state.regs + i * 16, image->reg[i]);
    r = kvm_ioctl(v->fd, KVM_GET_SREGS, &sregs);
    if (r < 0)
        return r;
    sregs.apic_base = image->base; /* first: it says what the ID looks like */
    if ((r = kvm_ioctl(v->fd, KVM_SET_SREGS, &sregs)) < 0 ||
        (r = kvm_ioctl(v->fd, KVM_SET_LAPIC, &state)) < 0)
        return r;
    vcpu->cpu.s.cr8 = image->reg[REG_TPR] >> 4 & 15;
    v->tsc_deadline = image->tsc_deadline; /* armed once the TSC is right */
    return 0;
}

void kvm_msi(struct vm *vm, uint64_t address, uint32_t data)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address,
        .address_hi = (uint32_t)(address >> 32),
        .data = data,
    };

    (void)kvm_ioctl(kvm_vm_of(vm)->vm_fd, KVM_SIGNAL_MSI, &msi);
}

void kvm_extint(struct vm *vm, bool level)
{
    __atomic_store_n(&kvm_vm_of(vm)->extint, level, __ATOMIC_SEQ_CST);
    if (level)
        vcpu_request(vm->vcpu[0], X86_REQ_INTERRUPT);
}

/*
 * The kernel's local APICs tell of an EOI only for vectors that some IO-APIC route
 * has as level-triggered: so it gets the routes, though our IO-APIC sends the MSIs.
 */
void kvm_ioapic_changed(struct vm *vm)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entry[IRQ_GSI_COUNT];
    } table = {.head = {.nr = 0}};
    const struct irqs *irqs = &vm->irqs;

    for (unsigned pin = 0; irqs->ioapic_message && pin < IRQ_GSI_COUNT; pin++) {
        struct kvm_irq_routing_entry *e = &table.entry[table.head.nr];
        uint64_t address;
        uint32_t data;

        if (!irqs->ioapic_message(irqs->ioapic_opaque, pin, &address, &data))
            continue;
        *e = (struct kvm_irq_routing_entry){.gsi = pin, .type = KVM_IRQ_ROUTING_MSI};
        e->u.msi.address_lo = (uint32_t)address;
        e->u.msi.address_hi = (uint32_t)(address >> 32);
        e->u.msi.data = data;
        table.head.nr++;
    }
    (void)kvm_ioctl(kvm_vm_of(vm)->vm_fd, KVM_SET_GSI_ROUTING, &table);
}
