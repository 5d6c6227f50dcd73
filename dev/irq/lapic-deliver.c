/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How local APICs find the target of a message, accept it, and hand it to their vCPU (SDM 3A 11.6, 11.8). */
#include "dev/irq/lapic-internal.h"

#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT  BIT(14)
#define ICR_LEVEL   BIT(15)

static int highest(const uint32_t bits[8])
{
    for (int i = 7; i >= 0; i--)
        if (bits[i])
            return i * 32 + 31 - __builtin_clz(bits[i]);
    return -1;
}

static void set_vector(uint32_t bits[8], uint8_t vector, bool value)
{
    if (value)
        bits[vector / 32] |= BIT(vector % 32);
    else
        bits[vector / 32] &= ~BIT(vector % 32);
}

void lapic_cache(struct lapic *apic)
{
    __atomic_store_n(&apic->isr_high, highest(apic->isr), __ATOMIC_RELEASE);
    __atomic_store_n(&apic->irr_high, highest(apic->irr), __ATOMIC_SEQ_CST);
}

static bool extint_open(const struct lapic *apic)
{
    uint32_t lint0 = apic->lvt[LVT_LINT0];

    if (!__atomic_load_n(&apic->all->extint, __ATOMIC_ACQUIRE))
        return false;
    if (!lapic_enabled(apic))
        return apic->vcpu->index == 0; /* LINT0 is then the INTR pin */
    return !(lint0 & LVT_MASKED) && (lint0 >> 8 & 7) == DELIVER_EXTINT;
}

uint32_t lapic_ppr(const struct lapic *apic)
{
    uint32_t tpr = __atomic_load_n(&apic->tpr, __ATOMIC_RELAXED);
    int32_t isr = __atomic_load_n(&apic->isr_high, __ATOMIC_ACQUIRE);
    uint32_t class = isr < 0 ? 0 : (uint32_t)isr & 0xf0;

    return (tpr & 0xf0) >= class ? tpr : class;
}

static bool vector_deliverable(const struct lapic *apic)
{
    int32_t irr = __atomic_load_n(&apic->irr_high, __ATOMIC_SEQ_CST);

    return irr >= 0 && ((uint32_t)irr & 0xf0) > (lapic_ppr(apic) & 0xf0);
}

bool lapic_pending(struct vcpu *vcpu)
{
    const struct lapic *apic = vcpu->lapic;

    return vector_deliverable(apic) || extint_open(apic);
}

static int acknowledge_locked(struct lapic *apic)
{
    struct vm *vm = apic->vcpu->vm;
    int vector = apic->irr_high;

    if (extint_open(apic) && vm->irqs.pic_acknowledge)
        return vm->irqs.pic_acknowledge(vm->irqs.pic_opaque);
    if (!vector_deliverable(apic))
        return -1;
    set_vector(apic->irr, (uint8_t)vector, false);
    set_vector(apic->isr, (uint8_t)vector, true);
    lapic_cache(apic);
    return vector;
}

int lapic_acknowledge(struct vcpu *vcpu)
{
    int vector;

    vm_lock(vcpu->vm);
    vector = acknowledge_locked(vcpu->lapic);
    vm_trace(vcpu->vm, IRQ, "vCPU %u takes vector %d", vcpu->index, vector);
    vm_unlock(vcpu->vm);
    return vector;
}

void lapic_poke(struct lapic *apic)
{
    struct vcpu *vcpu = apic->vcpu;

    if (!lapic_pending(vcpu))
        return;
    if (vcpu->vm->current_vcpu == vcpu) /* it is awake, and looks when its access is done */
        __atomic_fetch_or(&vcpu->cpu.request, X86_REQ_INTERRUPT, __ATOMIC_SEQ_CST);
    else
        vcpu_request(vcpu, X86_REQ_INTERRUPT);
}

void lapic_accept(struct lapic *apic, uint8_t vector, bool level)
{
    if (vector < 16) {
        lapic_error(apic, ESR_RECEIVE_ILLEGAL);
        return;
    }
    set_vector(apic->tmr, vector, level);
    set_vector(apic->irr, vector, true);
    lapic_cache(apic);
    lapic_poke(apic);
}

void lapic_eoi(struct lapic *apic)
{
    struct irqs *irqs = &apic->vcpu->vm->irqs;
    int vector = apic->isr_high;

    if (vector < 0)
        return;
    set_vector(apic->isr, (uint8_t)vector, false);
    lapic_cache(apic);
    if (apic->tmr[vector / 32] & BIT(vector % 32) && irqs->ioapic_eoi)
        irqs->ioapic_eoi(irqs->ioapic_opaque, (uint8_t)vector);
    lapic_poke(apic);
}

/* An error vector that is illegal itself is noted, but not reported by another error. */
void lapic_error(struct lapic *apic, uint32_t esr)
{
    bool news = ~apic->esr_pending & esr;

    apic->esr_pending |= esr;
    if (news)
        lapic_lvt_fire(apic, LVT_ERROR);
}

void lapic_lvt_fire(struct lapic *apic, enum lapic_lvt lvt)
{
    uint32_t entry = apic->lvt[lvt];
    unsigned mode = lvt == LVT_TIMER || lvt == LVT_ERROR ? DELIVER_FIXED : entry >> 8 & 7;

    if (entry & LVT_MASKED || !lapic_enabled(apic))
        return;
    if (mode == DELIVER_FIXED)
        lapic_accept(apic, (uint8_t)entry, false);
    else if (mode == DELIVER_NMI)
        vcpu_request(apic->vcpu, X86_REQ_NMI);
}

static bool matches_logical(const struct lapic *apic, uint32_t dest)
{
    uint32_t ldr = apic->ldr;

    if (lapic_x2apic(apic))
        return ldr >> 16 == dest >> 16 && ldr & dest & 0xffff;
    if (dest > 0xff)
        return false;
    ldr >>= 24;
    if (apic->dfr >> 28 == 0xf)
        return ldr & dest;
    return ldr >> 4 == dest >> 4 && ldr & dest & 0xf;
}

static bool matches(const struct lapic *apic, const struct lapic_message *msg)
{
    if (!lapic_enabled(apic))
        return false;
    if (msg->dest == (msg->wide ? 0xffffffff : 0xff))
        return true;
    return msg->logical ? matches_logical(apic, msg->dest) : apic->vcpu->index == msg->dest;
}

static void accept_message(struct lapic *apic, const struct lapic_message *msg)
{
    struct vcpu *vcpu = apic->vcpu;

    switch (msg->mode) {
    case DELIVER_FIXED:
    case DELIVER_LOWEST:
        if (apic->svr & SVR_ENABLED)
            lapic_accept(apic, msg->vector, msg->level);
        break;
    case DELIVER_NMI:
        vcpu_request(vcpu, X86_REQ_NMI);
        break;
    case DELIVER_INIT:
        vcpu_request(vcpu, X86_REQ_INIT);
        break;
    case DELIVER_STARTUP:
        __atomic_store_n(&vcpu->sipi_vector, msg->vector, __ATOMIC_RELEASE);
        vcpu_request(vcpu, X86_REQ_SIPI);
        break;
    }
}

/* One of the targets: the first of lowest priority, the search starting behind the last one served. */
static void deliver_lowest(struct lapics *all, const struct lapic_message *msg)
{
    struct lapic *best = NULL;

    for (unsigned i = 0; i < all->count; i++) {
        struct lapic *apic = &all->cpu[(all->lowest_next + i) % all->count];

        if (!matches(apic, msg) || !(apic->svr & SVR_ENABLED))
            continue;
        if (!best || lapic_ppr(apic) >> 4 < lapic_ppr(best) >> 4)
            best = apic;
    }
    if (!best)
        return;
    all->lowest_next = (uint32_t)(best - all->cpu + 1) % all->count;
    accept_message(best, msg);
}

void lapic_deliver(struct lapics *all, const struct lapic_message *msg)
{
    if (msg->mode == DELIVER_LOWEST) {
        deliver_lowest(all, msg);
        return;
    }
    for (unsigned i = 0; i < all->count; i++)
        if (matches(&all->cpu[i], msg))
            accept_message(&all->cpu[i], msg);
}

enum shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

void lapic_icr_send(struct lapic *apic)
{
    struct lapics *all = apic->all;
    uint32_t low = (uint32_t)apic->icr;
    bool wide = lapic_x2apic(apic);
    struct lapic_message msg = {
        .dest = wide ? (uint32_t)(apic->icr >> 32) : (uint32_t)(apic->icr >> 56),
        .logical = low & ICR_LOGICAL,
        .wide = wide,
        .mode = low >> 8 & 7,
        .vector = (uint8_t)low,
    };
    enum shorthand shorthand = low >> 18 & 3;

    if (msg.mode == DELIVER_INIT && (low & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return; /* INIT level de-assert: only for APIC buses of old */
    if ((msg.mode == DELIVER_FIXED || msg.mode == DELIVER_LOWEST) && msg.vector < 16) {
        lapic_error(apic, ESR_SEND_ILLEGAL);
        return;
    }
    if (shorthand == TO_DEST) {
        lapic_deliver(all, &msg);
        return;
    }
    if (shorthand == TO_SELF) {
        if (msg.mode == DELIVER_FIXED)
            accept_message(apic, &msg);
        return;
    }
    for (unsigned i = 0; i < all->count; i++)
        if (lapic_enabled(&all->cpu[i]) && (shorthand == TO_ALL || &all->cpu[i] != apic))
            accept_message(&all->cpu[i], &msg);
}
