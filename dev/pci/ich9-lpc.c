/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deliberately not modelled: the root complex register block behind RCBA, GPIOs,
 * the TCO watchdog, decode ranges of the LPC bus. Their registers keep what is written.
 */
#include "dev/pci/ich9-lpc.h"

#include "base/bytes.h"
#include "dev/timer/pm.h"

#define PMBASE        0x40U
#define ACPI_CNTL     0x44U
#define ACPI_EN       BIT(7)
#define GPIOBASE      0x48U
#define PIRQA_ROUT    0x60U /* A to D; E to H from 0x68 on */
#define PIRQE_ROUT    0x68U
#define ROUT_DISABLED BIT(7)
#define LPC_DECODE    0x80U
#define GEN_PMCON     0xa0U
#define RCBA          0xf0U

#define ISA_ROUTABLE  0xdef8U /* 3 to 7, 9 to 12, 14, 15 */

static const struct pci_id lpc_id = {
    .vendor = 0x8086,
    .device = 0x2918,
    .class_code = 0x060100,
    .revision = 2,
    .sub_vendor = 0x1af4,
    .sub_device = 0x1100,
};

struct lpc {
    struct device dev;
    struct pci_function pci;
    struct pm *pm;
    struct irq_line gsi[PCI_PIRQ_COUNT];
    struct irq_line isa[PCI_PIRQ_COUNT];
};

static const struct state_field line_fields[] = {
    STATE_INT(struct irq_line, gsi),
    STATE_BOOL(struct irq_line, level),
    STATE_END,
};

static const struct state_field lpc_fields[] = {
    STATE_STRUCT(struct lpc, pci, struct pci_function, pci_function_fields),
    STATE_STRUCT(struct lpc, gsi, struct irq_line, line_fields),
    STATE_STRUCT(struct lpc, isa, struct irq_line, line_fields),
    STATE_END,
};

static uint8_t route(const struct lpc *lpc, unsigned pirq)
{
    return lpc->pci.config[pirq < 4 ? PIRQA_ROUT + pirq : PIRQE_ROUT + pirq - 4];
}

static void isa_update(struct lpc *lpc, unsigned pirq)
{
    struct irq_line *line = &lpc->isa[pirq];
    uint8_t rout = route(lpc, pirq);
    uint8_t irq = rout & 15;
    bool routed = !(rout & ROUT_DISABLED) && ISA_ROUTABLE >> irq & 1;

    if (!routed || line->gsi != irq)
        irq_set(line, false);
    if (!routed)
        return;
    line->gsi = irq;
    irq_set(line, lpc->gsi[pirq].level);
}

static void pirq_set(void *opaque, unsigned pirq, bool level)
{
    struct lpc *lpc = opaque;

    irq_set(&lpc->gsi[pirq], level);
    isa_update(lpc, pirq);
}

static void registers_changed(struct lpc *lpc)
{
    uint16_t base = load_le16(lpc->pci.config + PMBASE) & 0xff80;

    pm_move(lpc->pm, lpc->pci.config[ACPI_CNTL] & ACPI_EN ? base : 0);
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++)
        isa_update(lpc, i);
}

static void lpc_config_written(struct pci_function *fn, unsigned offset, unsigned size)
{
    registers_changed(fn->opaque);
}

static const struct pci_function_ops lpc_pci_ops = {.config_written = lpc_config_written};

static void lpc_reset(struct device *dev)
{
    struct lpc *lpc = device_object(dev);

    pci_function_reset(&lpc->pci);
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++) {
        irq_set(&lpc->isa[i], false);
        lpc->isa[i].gsi = pci_pic_irq(i);
        irq_set(&lpc->gsi[i], false);
    }
    registers_changed(lpc);
}

static int lpc_post_load(void *object, unsigned version)
{
    struct lpc *lpc = object;

    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++)
        if (lpc->gsi[i].gsi != PCI_PIRQ_GSI + i || lpc->isa[i].gsi > 15)
            return -EINVAL;
    return pci_function_loaded(&lpc->pci);
}

static const struct state_table lpc_state = {
    .name = "ich9-lpc",
    .version = 1,
    .fields = lpc_fields,
    .post_load = lpc_post_load,
};

static void lpc_destroy(struct device *dev)
{
    struct lpc *lpc = device_object(dev);

    lpc->pci.bus->pirq_set = NULL;
    pci_function_remove(&lpc->pci);
    vm_free(dev->vm, lpc);
}

static const struct device_ops lpc_device = {
    .name = "ich9-lpc",
    .state = &lpc_state,
    .state_offset = offsetof(struct lpc, dev),
    .reset = lpc_reset,
    .destroy = lpc_destroy,
};

static void fill_config(struct pci_function *fn)
{
    store_le32(fn->config + PMBASE, PM_BASE | 1);
    store_le32(fn->wmask + PMBASE, 0xff80);
    fn->config[ACPI_CNTL] = ACPI_EN; /* SCI on IRQ 9 */
    fn->wmask[ACPI_CNTL] = ACPI_EN;
    store_le32(fn->config + GPIOBASE, 1);
    store_le32(fn->wmask + GPIOBASE, 0xff80);
    memset(fn->config + PIRQA_ROUT, ROUT_DISABLED, 4);
    memset(fn->wmask + PIRQA_ROUT, 0x8f, 4);
    memset(fn->config + PIRQE_ROUT, ROUT_DISABLED, 4);
    memset(fn->wmask + PIRQE_ROUT, 0x8f, 4);
    memset(fn->wmask + LPC_DECODE, 0xff, 0x14);
    memset(fn->wmask + GEN_PMCON, 0xff, 5);
    store_le32(fn->wmask + RCBA, 0xffffc001);
}

int lpc_create(struct vm *vm, struct pci_bus *bus, struct pm *pm, struct lpc **out)
{
    struct lpc *lpc = vm_alloc(vm, sizeof(*lpc));
    int r;

    if (!lpc)
        return -ENOMEM;
    lpc->pm = pm;
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++) {
        irq_line_init(&lpc->gsi[i], vm, PCI_PIRQ_GSI + i);
        irq_line_init(&lpc->isa[i], vm, pci_pic_irq(i));
    }
    pci_function_init(&lpc->pci, bus, &lpc_id, &lpc_pci_ops, lpc);
    fill_config(&lpc->pci);
    r = device_add(&lpc->dev, vm, &lpc_device, "lpc");
    if (r) {
        vm_free(vm, lpc);
        return r;
    }
    r = pci_function_add(&lpc->pci, PCI_DEVFN(31, 0));
    if (r)
        return r;
    bus->pirq_set = pirq_set;
    bus->pirq_opaque = lpc;
    lpc_reset(&lpc->dev);
    *out = lpc;
    return 0;
}

void lpc_direct_boot(struct lpc *lpc)
{
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++)
        pci_config_write(lpc->pci.bus, 0, lpc->pci.devfn, i < 4 ? PIRQA_ROUT + i : PIRQE_ROUT + i - 4,
                         pci_pic_irq(i), 1);
}
