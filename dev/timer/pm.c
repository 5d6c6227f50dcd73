/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/timer/pm.h"

#include "dev/regions.h"
#include "dev/timer/tco.h"

#define TMR_STS       BIT(0)
#define PWRBTN_STS    BIT(8)
#define PM1_STS_BITS  (TMR_STS | BIT(4) | BIT(5) | PWRBTN_STS | BIT(10) | BIT(11) | BIT(15))
#define PM1_EN_BITS   (TMR_STS | BIT(5) | PWRBTN_STS | BIT(10))

#define SCI_EN        BIT(0)
#define SLP_TYP_SHIFT 10
#define SLP_EN        BIT(13)
#define PM1_CNT_BITS  (BIT(1) | 7U << SLP_TYP_SHIFT)

#define NS_PER_S      1000000000U
#define HALF_WRAP     BIT(23) /* ticks between two changes of the 24-bit timer's top bit */

#define RESET_CPU     BIT(2)

struct pm {
    struct device dev;
    struct io_region region, reset_region, port92_region;
    struct irq_line sci;
    struct timer timer;
    struct tco *tco; /* NULL: none */
    uint16_t base;   /* 0: hidden */
    uint16_t sts, en, cnt;
    uint64_t toggle; /* VM clock: the timer's top bit changes then, and sets TMR_STS */
    uint64_t gpe_sts, gpe_en;
    uint32_t smi_en;
    uint8_t reset_control, port92;
};

static const struct state_field pm_fields[] = {
    STATE_INT(struct pm, base),   STATE_INT(struct pm, sts),        STATE_INT(struct pm, en),
    STATE_INT(struct pm, cnt),    STATE_INT(struct pm, toggle),     STATE_INT(struct pm, gpe_sts),
    STATE_INT(struct pm, gpe_en), STATE_INT(struct pm, smi_en),     STATE_INT(struct pm, reset_control),
    STATE_INT(struct pm, port92), STATE_BOOL(struct pm, sci.level), STATE_END,
};

static uint64_t pm_ticks(const struct pm *pm)
{
    return mul_div(clock_now(pm->dev.vm), PM_TIMER_HZ, NS_PER_S);
}

static void toggle_next(struct pm *pm)
{
    uint64_t ticks = (pm_ticks(pm) / HALF_WRAP + 1) * HALF_WRAP;

    pm->toggle = mul_div(ticks, NS_PER_S, PM_TIMER_HZ) + 1;
}

/* TMR_STS as of now, the SCI that follows, and the timer only if software waits for it. */
static void update(struct pm *pm)
{
    if (clock_now(pm->dev.vm) >= pm->toggle)
        pm->sts |= TMR_STS;
    irq_set(&pm->sci, (pm->sts & pm->en & PM1_EN_BITS) || (pm->gpe_sts & pm->gpe_en));
    if (pm->en & ~pm->sts & TMR_STS)
        timer_arm(&pm->timer, pm->toggle);
    else
        timer_disarm(&pm->timer);
}

static void fired(void *opaque)
{
    update(opaque);
}

static void control_write(struct pm *pm, uint16_t value)
{
    struct vm *vm = pm->dev.vm;

    pm->cnt = value & PM1_CNT_BITS;
    if (!(value & SLP_EN))
        return;
    if ((value >> SLP_TYP_SHIFT & 7) == PM_S5_TYPE)
        vm_request_shutdown(vm, VM_SHUTDOWN_GUEST);
    else
        vm_log(vm, LOG_WARN, "the guest asked for a sleeping state that this board does not have");
}

/* The block as 16-bit registers, the timer as 32. */
static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pm *pm = opaque;

    update(pm);
    switch (offset & ~1ULL) {
    case PM1_STS:
        return pm->sts;
    case PM1_EN:
        return pm->en;
    case PM1_CNT:
        return pm->cnt | SCI_EN;
    case PM1_TMR:
        return pm_ticks(pm) & 0xffff;
    case PM1_TMR + 2:
        return pm_ticks(pm) >> 16 & 0xff;
    case PM_GPE0 ... PM_GPE0 + 7:
        return pm->gpe_sts >> ((offset & 6) * 8) & 0xffff;
    case PM_GPE0 + 8 ... PM_GPE0 + 15:
        return pm->gpe_en >> ((offset & 6) * 8) & 0xffff;
    case 0x30:
        return pm->smi_en & 0xffff;
    case 0x32:
        return pm->smi_en >> 16;
    }
    return 0;
}

static void word_write(struct pm *pm, unsigned offset, uint16_t value, uint16_t mask)
{
    unsigned shift = (offset & 6) * 8;

    switch (offset) {
    case PM1_STS:
        pm->sts &= (uint16_t) ~(value & mask & PM1_STS_BITS);
        if (value & mask & TMR_STS)
            toggle_next(pm);
        break;
    case PM1_EN:
        pm->en = (uint16_t)((pm->en & ~mask) | (value & mask & PM1_EN_BITS));
        break;
    case PM1_CNT:
        control_write(pm, (uint16_t)((pm->cnt & ~mask) | (value & mask)));
        break;
    case PM_GPE0 ... PM_GPE0 + 7:
        pm->gpe_sts &= ~((uint64_t)(value & mask) << shift);
        break;
    case PM_GPE0 + 8 ... PM_GPE0 + 15:
        pm->gpe_en = (pm->gpe_en & ~((uint64_t)mask << shift)) | (uint64_t)(value & mask) << shift;
        break;
    case 0x30:
        pm->smi_en = (pm->smi_en & ~(uint32_t)mask) | (value & mask);
        break;
    case 0x32:
        pm->smi_en = (pm->smi_en & ~((uint32_t)mask << 16)) | (uint32_t)(value & mask) << 16;
        break;
    }
    update(pm);
}

static uint64_t block_read(void *opaque, uint64_t offset, unsigned size)
{
    if (size == 1)
        return pm_read(opaque, offset, 2) >> (offset & 1) * 8;
    if (offset & 1)
        return block_read(opaque, offset, 1) | block_read(opaque, offset + 1, 1) << 8;
    if (size == 2)
        return pm_read(opaque, offset, 2);
    if (offset == PM1_TMR) /* one value, not two reads of a moving one */
        return pm_ticks(opaque) & 0xffffff;
    return pm_read(opaque, offset, 2) | pm_read(opaque, offset + 2, 2) << 16;
}

static void block_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size;) {
        uint64_t at = offset + i;

        if (size - i >= 2 && !(at & 1)) {
            word_write(opaque, (unsigned)at, (uint16_t)(value >> (i * 8)), 0xffff);
            i += 2;
        } else {
            unsigned shift = (unsigned)(at & 1) * 8;

            word_write(opaque, (unsigned)at & ~1U, (uint16_t)((value >> (i * 8) & 0xff) << shift),
                       (uint16_t)(0xffU << shift));
            i++;
        }
    }
}

static const struct io_ops pm_ops = {.read = block_read, .write = block_write, .max_size = 4};

static uint64_t reset_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct pm *)opaque)->reset_control;
}

static void reset_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pm *pm = opaque;
    bool rising = value & ~pm->reset_control & RESET_CPU;

    pm->reset_control = value & 0x0e;
    if (rising)
        vm_request_reset(pm->dev.vm, true);
}

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct pm *)opaque)->port92;
}

/* A20 is open whatever bit 1 says. */
static void port92_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pm *pm = opaque;

    pm->port92 = value & 2;
    if (value & 1)
        vm_request_reset(pm->dev.vm, true);
}

static const struct io_ops reset_ops = {.read = reset_read, .write = reset_write, .max_size = 1};
static const struct io_ops port92_ops = {.read = port92_read, .write = port92_write, .max_size = 1};

void pm_move(struct pm *pm, uint16_t base)
{
    struct vm *vm = pm->dev.vm;

    if (base == pm->base && pm->region.mapped == (base != 0))
        return;
    bus_unmap(&vm->pio, &pm->region);
    pm->base = base;
    if (pm->tco)
        tco_move(pm->tco, base);
    if (base && region_map(&vm->pio, &pm->region, "pm", base, PM_SIZE, &pm_ops, pm))
        vm_trace(vm, PCI, "power management at 0x%x collides", base);
}

void pm_set_watchdog(struct pm *pm, struct tco *tco)
{
    pm->tco = tco;
}

void pm_power_button(struct vm *vm)
{
    struct device *dev = device_find(vm, "pm");
    struct pm *pm;

    if (!dev)
        return;
    pm = device_object(dev);
    pm->sts |= PWRBTN_STS;
    update(pm);
    vm_emit(vm, VM_EVENT_POWERDOWN, 0);
}

static void pm_reset(struct device *dev)
{
    struct pm *pm = device_object(dev);

    pm->sts = pm->en = pm->cnt = 0;
    pm->gpe_sts = pm->gpe_en = 0;
    pm->smi_en = 0;
    pm->reset_control = 0;
    pm->port92 = 2;
    toggle_next(pm);
    update(pm);
    pm_move(pm, PM_BASE);
}

static int pm_post_load(void *object, unsigned version)
{
    struct pm *pm = object;
    uint16_t base = pm->base;

    if (base & (PM_SIZE - 1) || pm->sts & ~PM1_STS_BITS || pm->en & ~PM1_EN_BITS || pm->cnt & ~PM1_CNT_BITS)
        return -EINVAL;
    bus_unmap(&pm->dev.vm->pio, &pm->region);
    pm_move(pm, base);
    update(pm);
    return 0;
}

static const struct state_table pm_state = {
    .name = "acpi-pm",
    .version = 1,
    .fields = pm_fields,
    .post_load = pm_post_load,
};

static void pm_destroy(struct device *dev)
{
    struct pm *pm = device_object(dev);

    timer_disarm(&pm->timer);
    bus_unmap(&dev->vm->pio, &pm->region);
    bus_unmap(&dev->vm->pio, &pm->reset_region);
    bus_unmap(&dev->vm->pio, &pm->port92_region);
    vm_free(dev->vm, pm);
}

static const struct device_ops pm_device = {
    .name = "acpi-pm",
    .state = &pm_state,
    .state_offset = offsetof(struct pm, dev),
    .reset = pm_reset,
    .destroy = pm_destroy,
};

int pm_create(struct vm *vm, struct pm **out)
{
    struct pm *pm = vm_alloc(vm, sizeof(*pm));
    int r;

    if (!pm)
        return -ENOMEM;
    timer_init(&pm->timer, vm, "pm", fired, pm);
    irq_line_init(&pm->sci, vm, PM_SCI_GSI);
    r = device_add(&pm->dev, vm, &pm_device, "pm");
    if (r) {
        vm_free(vm, pm);
        return r;
    }
    /* It lies inside of the PCI configuration address port, which only takes whole words. */
    pm->reset_region = (struct io_region){.name = "reset",
                                          .base = PM_RESET_PORT,
                                          .size = 1,
                                          .ops = &reset_ops,
                                          .opaque = pm,
                                          .priority = REGION_CHIPSET + 1};
    r = bus_map(&vm->pio, &pm->reset_region);
    if (!r)
        r = region_map(&vm->pio, &pm->port92_region, "port92", 0x92, 1, &port92_ops, pm);
    if (r)
        return r;
    pm_reset(&pm->dev);
    *out = pm;
    return 0;
}
