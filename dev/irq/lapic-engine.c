/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the engine has the local APICs: they are fetched into the model to be
 * saved, and given back after a reset or load, so that a saved VM is the same
 * under every engine. The model's own timers and messages are at rest.
 */
#include "base/checked.h"
#include "dev/irq/lapic-internal.h"

static void from_image(struct lapic *apic, const struct lapic_image *image)
{
    uint64_t now = clock_now(apic->vcpu->vm), elapsed;

    apic->base = image->base;
    apic->tpr = image->reg[APIC_TPR] & 0xff;
    apic->ldr = image->reg[APIC_LDR];
    apic->dfr = image->reg[APIC_DFR] | 0x0fffffff;
    apic->svr = image->reg[APIC_SVR] & SVR_WRITABLE;
    for (unsigned i = 0; i < 8; i++) {
        uint32_t valid = i ? ~0U : ~0xffffU; /* vectors below 16 do not exist */

        apic->isr[i] = image->reg[APIC_ISR + i] & valid;
        apic->tmr[i] = image->reg[APIC_TMR + i] & valid;
        apic->irr[i] = image->reg[APIC_IRR + i] & valid;
    }
    apic->esr = image->reg[APIC_ESR];
    apic->esr_pending = 0;
    apic->icr = (uint64_t)image->reg[APIC_ICR_HIGH] << 32 | (image->reg[APIC_ICR] & ICR_WRITABLE);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        apic->lvt[i] = image->reg[APIC_LVT_TIMER + i] & (lapic_lvt_writable[i] | LVT_MASKED);

    apic->initial_count = image->reg[APIC_INITIAL_COUNT];
    apic->divide = image->reg[APIC_DIVIDE] & 0xb;
    apic->tsc_deadline = 0;
    apic->timer_running = false;
    apic->timer_start = 0;
    if (apic->lvt[LVT_TIMER] & LVT_TIMER_DEADLINE) {
        apic->tsc_deadline = image->tsc_deadline;
        return;
    }
    apic->timer_running =
        apic->initial_count && (image->reg[APIC_CURRENT_COUNT] || apic->lvt[LVT_TIMER] & LVT_TIMER_PERIODIC);
    elapsed = (uint64_t)(apic->initial_count - MIN(image->reg[APIC_CURRENT_COUNT], apic->initial_count))
              << lapic_timer_shift(apic);
    if (apic->timer_running)
        apic->timer_start = now > elapsed ? now - elapsed : 0;
}

static void to_image(const struct lapic *apic, struct lapic_image *image)
{
    *image = (struct lapic_image){.base = apic->base, .tsc_deadline = apic->tsc_deadline};
    image->reg[APIC_ID] = apic->vcpu->index << 24;
    image->reg[APIC_TPR] = apic->tpr;
    image->reg[APIC_LDR] = apic->ldr;
    image->reg[APIC_DFR] = apic->dfr;
    image->reg[APIC_SVR] = apic->svr;
    for (unsigned i = 0; i < 8; i++) {
        image->reg[APIC_ISR + i] = apic->isr[i];
        image->reg[APIC_TMR + i] = apic->tmr[i];
        image->reg[APIC_IRR + i] = apic->irr[i];
    }
    image->reg[APIC_ESR] = apic->esr;
    image->reg[APIC_ICR] = (uint32_t)apic->icr;
    image->reg[APIC_ICR_HIGH] = (uint32_t)(apic->icr >> 32);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        image->reg[APIC_LVT_TIMER + i] = apic->lvt[i];
    image->reg[APIC_INITIAL_COUNT] = apic->initial_count;
    image->reg[APIC_CURRENT_COUNT] = lapic_timer_count(apic);
    image->reg[APIC_DIVIDE] = apic->divide;
}

int lapics_fetch(struct lapics *all)
{
    const struct engine_ops *engine = all->dev.vm->engine;

    for (unsigned i = 0; i < all->count; i++) {
        struct lapic_image image;
        int r = engine->lapic_get(all->cpu[i].vcpu, &image);

        if (r < 0)
            return r;
        from_image(&all->cpu[i], &image);
    }
    return 0;
}

int lapics_give(struct lapics *all)
{
    const struct engine_ops *engine = all->dev.vm->engine;

    for (unsigned i = 0; i < all->count; i++) {
        struct lapic_image image;
        int r;

        to_image(&all->cpu[i], &image);
        r = engine->lapic_put(all->cpu[i].vcpu, &image);
        if (r < 0)
            return r;
    }
    return 0;
}
