/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of the local APIC, as memory and as MSRs; see lapic.h. */
#include "dev/irq/lapic.h"

#include "base/bytes.h"
#include "dev/irq/lapic-internal.h"
#include "dev/regions.h"

#define VERSION             (0x14U | (LVT_COUNT - 1) << 16)
#define APIC_BASE_KNOWN     (APIC_BASE_BSP | APIC_BASE_X2APIC | APIC_BASE_ENABLED)
#define X2APIC_ICR_WRITABLE (0xffffffff00000000ULL | ICR_WRITABLE)

#define LVT_READ_ONLY       0x5000U

const uint32_t lapic_lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

static const struct state_field lapic_fields[] = {
    STATE_INT(struct lapic, base),
    STATE_INT(struct lapic, tpr),
    STATE_INT(struct lapic, ldr),
    STATE_INT(struct lapic, dfr),
    STATE_INT(struct lapic, svr),
    STATE_INTS(struct lapic, isr, uint32_t),
    STATE_INTS(struct lapic, tmr, uint32_t),
    STATE_INTS(struct lapic, irr, uint32_t),
    STATE_INT(struct lapic, esr),
    STATE_INT(struct lapic, esr_pending),
    STATE_INT(struct lapic, icr),
    STATE_INTS(struct lapic, lvt, uint32_t),
    STATE_INT(struct lapic, initial_count),
    STATE_INT(struct lapic, divide),
    STATE_BOOL(struct lapic, timer_running),
    STATE_INT(struct lapic, timer_start),
    STATE_INT(struct lapic, tsc_deadline),
    STATE_END,
};

static const struct state_field lapics_fields[] = {
    STATE_INT(struct lapics, lowest_next),
    STATE_STRUCT(struct lapics, cpu, struct lapic, lapic_fields),
    STATE_END,
};

/* ---- registers ---- */

static uint32_t lapic_id(const struct lapic *apic)
{
    return lapic_x2apic(apic) ? apic->vcpu->index : apic->vcpu->index << 24;
}

/* False: no such register. */
static bool register_read(const struct lapic *apic, unsigned reg, uint32_t *value)
{
    switch (reg) {
    case APIC_ID:
        *value = lapic_id(apic);
        return true;
    case APIC_VERSION:
        *value = VERSION;
        return true;
    case APIC_TPR:
        *value = __atomic_load_n(&apic->tpr, __ATOMIC_RELAXED);
        return true;
    case APIC_PPR:
        *value = lapic_ppr(apic);
        return true;
    case APIC_LDR:
        *value = apic->ldr;
        return true;
    case APIC_SVR:
        *value = apic->svr;
        return true;
    case APIC_ISR ... APIC_ISR + 7:
        *value = apic->isr[reg - APIC_ISR];
        return true;
    case APIC_TMR ... APIC_TMR + 7:
        *value = apic->tmr[reg - APIC_TMR];
        return true;
    case APIC_IRR ... APIC_IRR + 7:
        *value = apic->irr[reg - APIC_IRR];
        return true;
    case APIC_ESR:
        *value = apic->esr;
        return true;
    case APIC_ICR:
        *value = (uint32_t)apic->icr;
        return true;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        *value = apic->lvt[reg - APIC_LVT_TIMER];
        return true;
    case APIC_INITIAL_COUNT:
        *value = apic->initial_count;
        return true;
    case APIC_CURRENT_COUNT:
        *value = lapic_timer_count(apic);
        return true;
    case APIC_DIVIDE:
        *value = apic->divide;
        return true;
    }
    return false;
}

static void svr_write(struct lapic *apic, uint32_t value)
{
    apic->svr = value & SVR_WRITABLE;
    if (apic->svr & SVR_ENABLED)
        return;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        apic->lvt[i] |= LVT_MASKED;
}

static void lvt_write(struct lapic *apic, enum lapic_lvt lvt, uint32_t value)
{
    uint32_t old = apic->lvt[lvt];

    value &= lapic_lvt_writable[lvt];
    if (!(apic->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    apic->lvt[lvt] = value;
    if (lvt == LVT_TIMER && (old ^ value) & LVT_TIMER_DEADLINE)
        lapic_timer_stop(apic);
    if (lvt == LVT_LINT0)
        lapic_poke(apic);
}

static void esr_write(struct lapic *apic)
{
    apic->esr = apic->esr_pending;
    apic->esr_pending = 0;
}

/* False: no such register, or read-only. */
static bool register_write(struct lapic *apic, unsigned reg, uint32_t value)
{
    switch (reg) {
    case APIC_TPR:
        __atomic_store_n(&apic->tpr, value & 0xff, __ATOMIC_RELAXED);
        lapic_poke(apic);
        return true;
    case APIC_EOI:
        lapic_eoi(apic);
        return true;
    case APIC_SVR:
        svr_write(apic, value);
        return true;
    case APIC_ESR:
        esr_write(apic);
        return true;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        lvt_write(apic, reg - APIC_LVT_TIMER, value);
        return true;
    case APIC_INITIAL_COUNT:
        lapic_timer_start(apic, value);
        return true;
    case APIC_DIVIDE:
        lapic_timer_divide(apic, value);
        return true;
    }
    return false;
}

/* ---- xAPIC: memory, one page that is another for each vCPU ---- */

static struct lapic *accessor(const struct lapics *all)
{
    const struct vcpu *vcpu = all->dev.vm->current_vcpu;
    struct lapic *apic = vcpu ? vcpu->lapic : NULL;

    return apic && lapic_enabled(apic) && !lapic_x2apic(apic) ? apic : NULL;
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct lapic *apic = accessor(opaque);
    unsigned reg = (unsigned)(offset / 16);
    uint32_t value = 0;

    if (!apic)
        return ~0ULL;
    if (offset % 16)
        return 0;
    if (register_read(apic, reg, &value))
        return value;
    if (reg == APIC_ICR_HIGH)
        return apic->icr >> 32;
    if (reg == APIC_DFR)
        return apic->dfr;
    if (reg != APIC_APR && reg != APIC_EOI)
        lapic_error(apic, ESR_REGISTER);
    return 0;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct lapic *apic = accessor(opaque);
    uint32_t word = (uint32_t)value;

    if (!apic || offset % 16)
        return;
    switch (offset / 16) {
    case APIC_ID: /* fixed, as on processors of today */
    case APIC_VERSION:
        break;
    case APIC_LDR:
        apic->ldr = word & 0xff000000;
        break;
    case APIC_DFR:
        apic->dfr = word | 0x0fffffff;
        break;
    case APIC_ICR:
        apic->icr = (apic->icr & ~0xffffffffULL) | (word & ICR_WRITABLE);
        lapic_icr_send(apic);
        break;
    case APIC_ICR_HIGH:
        apic->icr = (apic->icr & 0xffffffff) | (uint64_t)(word & 0xff000000) << 32;
        break;
    default:
        if (!register_write(apic, (unsigned)(offset / 16), word))
            lapic_error(apic, ESR_REGISTER);
    }
}

static const struct io_ops lapic_mmio = {
    .read = mmio_read,
    .write = mmio_write,
    .min_size = 4,
    .max_size = 4,
};

/* ---- reset and IA32_APIC_BASE ---- */

static uint32_t x2apic_ldr(const struct lapic *apic)
{
    return apic->vcpu->index >> 4 << 16 | BIT(apic->vcpu->index & 15);
}

/* All but IA32_APIC_BASE (SDM 11.4.7.1, 11.4.7.3). */
static void registers_reset(struct lapic *apic)
{
    lapic_timer_stop(apic);
    memset(apic->isr, 0, sizeof(apic->isr));
    memset(apic->tmr, 0, sizeof(apic->tmr));
    memset(apic->irr, 0, sizeof(apic->irr));
    __atomic_store_n(&apic->tpr, 0, __ATOMIC_RELAXED);
    apic->ldr = lapic_x2apic(apic) ? x2apic_ldr(apic) : 0;
    apic->dfr = 0xffffffff;
    apic->svr = 0xff;
    apic->esr = apic->esr_pending = 0;
    apic->icr = 0;
    apic->initial_count = apic->divide = 0;
    apic->timer_start = 0;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        apic->lvt[i] = LVT_MASKED;
    lapic_cache(apic);
}

static void vcpu_lapic_reset(struct vcpu *vcpu, bool init)
{
    struct lapic *apic = vcpu->lapic;

    if (!init)
        apic->base = LAPIC_BASE | APIC_BASE_ENABLED | (vcpu->index ? 0 : APIC_BASE_BSP);
    registers_reset(apic);
    if (!init && vcpu->index == 0) /* virtual wire mode, as firmware leaves it */
        apic->lvt[LVT_LINT0] = DELIVER_EXTINT << 8;
}

static bool base_valid(const struct lapic *apic, uint64_t base)
{
    return (base & ~APIC_BASE_KNOWN) == LAPIC_BASE && !(base & APIC_BASE_BSP) == (apic->vcpu->index != 0) &&
           (base & APIC_BASE_ENABLED || !(base & APIC_BASE_X2APIC));
}

/* The transitions of SDM figure 11-27. */
static bool base_write(struct lapic *apic, uint64_t value)
{
    bool x2apic = value & APIC_BASE_X2APIC;

    if (!base_valid(apic, value) || (lapic_x2apic(apic) && value & APIC_BASE_ENABLED && !x2apic) ||
        (!lapic_enabled(apic) && x2apic))
        return false;
    if (value == apic->base)
        return true;
    apic->base = value;
    if (!lapic_enabled(apic))
        registers_reset(apic);
    if (x2apic) {
        apic->ldr = x2apic_ldr(apic);
        apic->icr &= 0xffffffff;
    }
    return true;
}

/* ---- MSRs ---- */

/* What x2APIC software may write; #GP else. 0: not at all, or by a case of its own. */
static uint32_t x2apic_writable(unsigned reg)
{
    switch (reg) {
    case APIC_TPR:
        return 0xff;
    case APIC_SVR:
        return SVR_WRITABLE;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        /* Delivery status and remote IRR are read-only, not reserved: systems write them back. */
        return lapic_lvt_writable[reg - APIC_LVT_TIMER] | LVT_READ_ONLY;
    case APIC_INITIAL_COUNT:
        return 0xffffffff;
    case APIC_DIVIDE:
        return 0xb;
    }
    return 0;
}

static bool x2apic_read(const struct lapic *apic, unsigned reg, uint64_t *value)
{
    uint32_t word;

    if (reg == APIC_ICR) {
        *value = apic->icr;
        return true;
    }
    if (!register_read(apic, reg, &word))
        return false;
    *value = word;
    return true;
}

static bool x2apic_write(struct lapic *apic, unsigned reg, uint64_t value)
{
    switch (reg) {
    case APIC_ICR:
        if (value & ~X2APIC_ICR_WRITABLE)
            return false;
        apic->icr = value;
        lapic_icr_send(apic);
        return true;
    case APIC_SELF_IPI:
        if (value > 0xff)
            return false;
        if (value < 16)
            lapic_error(apic, ESR_SEND_ILLEGAL);
        else if (apic->svr & SVR_ENABLED)
            lapic_accept(apic, (uint8_t)value, false);
        return true;
    case APIC_EOI:
    case APIC_ESR:
        return !value && register_write(apic, reg, 0);
    }
    return !(value & ~(uint64_t)x2apic_writable(reg)) && register_write(apic, reg, (uint32_t)value);
}

static bool lapic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct lapic *apic = vcpu->lapic;

    if (msr == X86_MSR_APIC_BASE)
        *value = apic->base;
    else if (msr == X86_MSR_TSC_DEADLINE)
        *value = apic->tsc_deadline;
    else
        return msr >= X86_MSR_X2APIC_FIRST && msr <= X86_MSR_X2APIC_LAST && lapic_x2apic(apic) &&
               x2apic_read(apic, msr - X86_MSR_X2APIC_FIRST, value);
    return true;
}

static bool lapic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct lapic *apic = vcpu->lapic;

    if (msr == X86_MSR_APIC_BASE)
        return base_write(apic, value);
    if (msr == X86_MSR_TSC_DEADLINE) {
        lapic_timer_deadline(apic, value);
        return true;
    }
    return msr >= X86_MSR_X2APIC_FIRST && msr <= X86_MSR_X2APIC_LAST && lapic_x2apic(apic) &&
           x2apic_write(apic, msr - X86_MSR_X2APIC_FIRST, value);
}

static uint64_t lapic_cr8_read(struct vcpu *vcpu)
{
    const struct lapic *apic = vcpu->lapic;

    return __atomic_load_n(&apic->tpr, __ATOMIC_RELAXED) >> 4;
}

static void lapic_cr8_write(struct vcpu *vcpu, uint64_t value)
{
    struct lapic *apic = vcpu->lapic;

    __atomic_store_n(&apic->tpr, (uint32_t)(value & 15) << 4, __ATOMIC_RELAXED);
    if (lapic_pending(vcpu)) /* its own thread: no need to wake anybody */
        __atomic_fetch_or(&vcpu->cpu.request, X86_REQ_INTERRUPT, __ATOMIC_SEQ_CST);
}

/* ---- messages and pins ---- */

static struct lapics *lapics_of(struct vm *vm)
{
    return ((struct lapic *)vm->vcpu[0]->lapic)->all;
}

static void lapic_msi(struct vm *vm, uint64_t address, uint32_t data)
{
    struct lapic_message msg = {
        .dest = address >> 12 & 0xff,
        .logical = address & BIT(2),
        .level = data & BIT(15),
        .mode = data >> 8 & 7,
        .vector = (uint8_t)data,
    };

    /* Anything else is a write to memory that the board does not have. */
    if ((address & ~0xfffffULL) == LAPIC_BASE)
        lapic_deliver(lapics_of(vm), &msg);
}

static void lapic_extint(struct vm *vm, bool level)
{
    struct lapics *all = lapics_of(vm);

    __atomic_store_n(&all->extint, level, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; level && i < all->count; i++)
        lapic_poke(&all->cpu[i]);
}

void lapic_nmi(struct vm *vm)
{
    struct lapics *all = lapics_of(vm);

    for (unsigned i = 0; i < all->count; i++)
        lapic_lvt_fire(&all->cpu[i], LVT_LINT1);
}

static const struct lapic_ops lapic_ops = {
    .msi = lapic_msi,
    .extint = lapic_extint,
    .pending = lapic_pending,
    .acknowledge = lapic_acknowledge,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
    .cr8_read = lapic_cr8_read,
    .cr8_write = lapic_cr8_write,
    .reset = vcpu_lapic_reset,
};

/* ---- the device ---- */

static void lapics_reset(struct device *dev)
{
    struct lapics *all = device_object(dev);

    all->extint = false;
    all->lowest_next = 0;
    for (unsigned i = 0; i < all->count; i++)
        vcpu_lapic_reset(all->cpu[i].vcpu, false);
    if (all->engine_has && lapics_give(all) < 0)
        vm_log(dev->vm, LOG_ERROR, "the %s engine refuses to reset its local APICs", dev->vm->engine->name);
}

static void lapics_pre_save(void *object)
{
    struct lapics *all = object;

    if (all->engine_has && lapics_fetch(all) < 0)
        vm_log(all->dev.vm, LOG_ERROR, "the %s engine does not tell its local APICs' state",
               all->dev.vm->engine->name);
}

static bool plausible(const struct lapic *apic)
{
    bool deadline = apic->lvt[LVT_TIMER] & LVT_TIMER_DEADLINE;

    for (unsigned i = 0; i < LVT_COUNT; i++)
        if (apic->lvt[i] & ~(lapic_lvt_writable[i] | LVT_MASKED))
            return false;
    if (apic->timer_running && (!apic->initial_count || deadline))
        return false;
    return base_valid(apic, apic->base) && apic->tpr <= 0xff && !(apic->svr & ~SVR_WRITABLE) &&
           !(apic->divide & ~0xbU) && apic->timer_start <= clock_now(apic->vcpu->vm) &&
           (deadline || !apic->tsc_deadline) && !((apic->irr[0] | apic->isr[0]) & 0xffff);
}

static int lapics_post_load(void *object, unsigned version)
{
    struct lapics *all = object;

    if (all->lowest_next >= all->count)
        return -EINVAL;
    for (unsigned i = 0; i < all->count; i++) {
        struct lapic *apic = &all->cpu[i];

        if (!plausible(apic))
            return -EINVAL;
        lapic_cache(apic);
        if (all->engine_has)
            continue;
        lapic_timer_arm(apic);
        lapic_poke(apic);
    }
    return all->engine_has ? lapics_give(all) : 0;
}

static const struct state_table lapics_state = {
    .name = "lapic",
    .version = 1,
    .fields = lapics_fields,
    .pre_save = lapics_pre_save,
    .post_load = lapics_post_load,
};

static void lapics_destroy(struct device *dev)
{
    struct lapics *all = device_object(dev);
    struct vm *vm = dev->vm;

    vm->irqs.lapic = NULL;
    bus_unmap(&vm->mmio, &all->region);
    for (unsigned i = 0; i < all->count; i++) {
        timer_disarm(&all->cpu[i].timer);
        all->cpu[i].vcpu->lapic = NULL;
    }
    vm_free(vm, all);
}

static const struct device_ops lapics_device = {
    .name = "lapic",
    .state = &lapics_state,
    .state_offset = offsetof(struct lapics, dev),
    .reset = lapics_reset,
    .destroy = lapics_destroy,
};

int lapic_create(struct vm *vm)
{
    struct lapics *all = vm_alloc(vm, sizeof(*all));
    int r;

    if (!all)
        return -ENOMEM;
    r = device_add(&all->dev, vm, &lapics_device, "lapic");
    if (r) {
        vm_free(vm, all);
        return r;
    }
    all->count = vm->vcpu_count;
    all->engine_has = vm->engine && vm->engine->own_lapic;
    for (unsigned i = 0; i < all->count; i++) {
        struct lapic *apic = &all->cpu[i];

        apic->all = all;
        apic->vcpu = vm->vcpu[i];
        apic->vcpu->lapic = apic;
        lapic_timer_init(apic);
    }
    if (all->engine_has)
        return 0;
    r = region_map(&vm->mmio, &all->region, "lapic", LAPIC_BASE, 0x1000, &lapic_mmio, all);
    if (r)
        return r;
    vm->irqs.lapic = &lapic_ops;
    lapics_reset(&all->dev);
    return 0;
}
