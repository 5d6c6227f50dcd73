/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI: configuration space by both ways, BARs, interrupts, MSI-X. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "dev/irq/lapic.h"
#include "dev/pci/pci.h"
#include "tests/unit/dev/fixture.h"

/* A function with one BAR of each kind and MSI-X. */
struct toy {
    struct pci_function pci;
    uint64_t last_offset, last_value;
    unsigned mapped, unmapped, msix_changes;
};

static uint64_t toy_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1000 + offset;
}

static void toy_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct toy *toy = opaque;

    toy->last_offset = offset;
    toy->last_value = value;
}

static const struct io_ops toy_ops = {.read = toy_read, .write = toy_write};

static void toy_bar_changed(struct pci_function *fn, unsigned bar, bool mapped, uint64_t address)
{
    struct toy *toy = fn->opaque;

    if (mapped)
        toy->mapped |= BIT(bar);
    else
        toy->unmapped |= BIT(bar);
}

static void toy_msix_changed(struct pci_function *fn)
{
    ((struct toy *)fn->opaque)->msix_changes++;
}

static const struct pci_function_ops toy_pci = {.bar_changed = toy_bar_changed,
                                                .msix_changed = toy_msix_changed};
static const struct pci_id toy_id = {
    .vendor = 0x1234,
    .device = 0x5678,
    .class_code = 0x020000,
    .revision = 3,
    .sub_vendor = 0xaaaa,
    .sub_device = 0xbbbb,
    .intx = true,
};

struct context {
    struct fixture f; /* first */
    struct toy toy, other;
};

static void plug(struct context *c, struct toy *toy, int devfn)
{
    pci_function_init(&toy->pci, c->f.board.pci, &toy_id, &toy_pci, toy);
    pci_bar_register(&toy->pci, 0, PCI_BAR_IO, 32, &toy_ops, toy, "toy-io");
    pci_bar_register(&toy->pci, 1, PCI_BAR_MEM32, 4096, &toy_ops, toy, "toy-mem");
    pci_bar_register(&toy->pci, 2, PCI_BAR_MEM64, 16384, &toy_ops, toy, "toy-mem64");
    msix_init(&toy->pci, 4, 5);
    pci_express_init(&toy->pci);
    assert_int_equal(pci_function_add(&toy->pci, devfn), 0);
    pci_function_reset(&toy->pci);
}

static int setup(void **state)
{
    struct context *c = calloc(1, sizeof(*c));

    fixture_init(&c->f, 1);
    plug(c, &c->toy, PCI_DEVFN_AUTO);
    writel(&c->f, 0, LAPIC_BASE + 0xf0, 0x1ff);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;

    pci_function_remove(&c->toy.pci);
    if (c->other.pci.bus)
        pci_function_remove(&c->other.pci);
    fixture_finish(&c->f);
    free(c);
    return 0;
}

static uint64_t ecam(unsigned devfn, unsigned reg)
{
    return MEM_ECAM_BASE + (devfn << 12) + reg;
}

static uint32_t cfg(struct context *c, unsigned reg)
{
    return readl(&c->f, 0, ecam(c->toy.pci.devfn, reg));
}

static void cfg_set(struct context *c, unsigned reg, uint32_t value)
{
    writel(&c->f, 0, ecam(c->toy.pci.devfn, reg), value);
}

static void both_ways_to_config_space(void **state)
{
    struct context *c = *state;

    assert_int_equal(c->toy.pci.devfn, PCI_DEVFN(1, 0));
    assert_int_equal(readl(&c->f, 0, ecam(0, 0)), 0x29c08086);
    assert_int_equal(readl(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0)), 0x29188086);
    assert_int_equal(cfg(c, 0), 0x56781234);
    assert_int_equal(cfg(c, 8), 0x02000003);
    outl(&c->f, 0xcf8, 0x80000800);
    assert_int_equal(inl(&c->f, 0xcf8), 0x80000800);
    assert_int_equal(inl(&c->f, 0xcfc), 0x56781234);
    assert_int_equal(inb(&c->f, 0xcfd), 0x12);
    assert_int_equal(bus_read(&c->f.vm.pio, 0xcfe, 2), 0x5678);
    outl(&c->f, 0xcf8, 0x800);
    assert_int_equal(inl(&c->f, 0xcfc), 0xffffffff);
    outl(&c->f, 0xcf8, 0x80010000); /* bus 1 */
    assert_int_equal(inl(&c->f, 0xcfc), 0xffffffff);
    assert_int_equal(readl(&c->f, 0, MEM_ECAM_BASE + (255U << 20)), 0xffffffff);
    assert_int_equal(cfg(c, 0x100), 0); /* no extended capabilities */
    cfg_set(c, 0, 0);
    assert_int_equal(cfg(c, 0), 0x56781234);
}

static void bars_are_sized_and_mapped(void **state)
{
    struct context *c = *state;
    struct fixture *f = &c->f;

    cfg_set(c, 0x10, 0xffffffff);
    cfg_set(c, 0x14, 0xffffffff);
    cfg_set(c, 0x18, 0xffffffff);
    cfg_set(c, 0x1c, 0xffffffff);
    assert_int_equal(cfg(c, 0x10), 0xffffffe1);
    assert_int_equal(cfg(c, 0x14), 0xfffff000);
    assert_int_equal(cfg(c, 0x18), 0xffffc004);
    assert_int_equal(cfg(c, 0x1c), 0xffffffff);
    cfg_set(c, 4, 3); /* sizing left all ones there: nothing may appear */
    cfg_set(c, 0x10, 0xd001);
    assert_int_equal(inl(f, 0xd004), 0x1004);
    cfg_set(c, 0x14, 0x90000000);
    assert_int_equal(readl(f, 0, 0x90000010), 0x1010);
    cfg_set(c, 0x18, 0);
    cfg_set(c, 0x1c, 0x50);
    assert_int_equal(readl(f, 0, 0x5000000008), 0x1008);
    writel(f, 0, 0x5000000ff0, 77);
    assert_int_equal(c->toy.last_offset, 0xff0);
    assert_int_equal(c->toy.last_value, 77);
    assert_int_equal(c->toy.mapped & 7, 7);
    cfg_set(c, 0x14, 0x90004000);
    assert_int_equal(readl(f, 0, 0x90000010), 0xffffffff);
    assert_int_equal(readl(f, 0, 0x90004010), 0x1010);
    cfg_set(c, 4, 0);
    assert_int_equal(readl(f, 0, 0x90004010), 0xffffffff);
    assert_int_equal(inl(f, 0xd004), 0xffffffff);
    assert_int_equal(c->toy.unmapped & 7, 7);
}

/* Two BARs at one place: the first keeps it, the second gets it when the first goes. The chipset is above
 * both. */
static void bars_that_collide(void **state)
{
    struct context *c = *state;
    struct fixture *f = &c->f;

    plug(c, &c->other, PCI_DEVFN_AUTO);
    cfg_set(c, 0x14, 0x90000000);
    cfg_set(c, 4, 2);
    writel(f, 0, ecam(c->other.pci.devfn, 0x14), 0x90000000);
    writel(f, 0, ecam(c->other.pci.devfn, 4), 2);
    writel(f, 0, 0x90000000, 1);
    assert_int_equal(c->toy.last_value, 1);
    cfg_set(c, 0x14, 0x90008000);
    writel(f, 0, 0x90000000, 2);
    assert_int_equal(c->other.last_value, 2);
    cfg_set(c, 0x14, 0xfee00000);
    assert_int_equal(readl(f, 0, LAPIC_BASE + 0x30), 0x50014);
}

static void assignment(void **state)
{
    struct context *c = *state;

    plug(c, &c->other, PCI_DEVFN(5, 0));
    assert_int_equal(pci_assign(c->f.board.pci), 0);
    assert_int_equal(cfg(c, 4) & 7, 7);
    assert_in_range(pci_bar_address(&c->toy.pci, 0), 0xc000, 0xffff);
    assert_in_range(pci_bar_address(&c->toy.pci, 1), MEM_PCI32_BASE, MEM_PCI32_BASE + MEM_PCI32_SIZE - 1);
    assert_in_range(pci_bar_address(&c->toy.pci, 2), MEM_PCI64_BASE, MEM_PCI64_BASE + MEM_PCI64_SIZE - 1);
    for (unsigned i = 0; i < 5; i++)
        assert_true(!c->toy.pci.bar[i].kind || c->toy.pci.bar[i].region.mapped);
    for (unsigned i = 0; i < 5; i++)
        assert_true(!c->other.pci.bar[i].kind || c->other.pci.bar[i].region.mapped);
    assert_int_equal(cfg(c, 0x3c) & 0xff, pci_pic_irq(pci_pirq(1, 1)));
    vm_reset(&c->f.vm);
    pci_function_reset(&c->toy.pci);
    assert_int_equal(pci_bar_address(&c->toy.pci, 1), 0);
}

static void intx_is_shared_and_masked(void **state)
{
    struct context *c = *state;
    unsigned gsi = PCI_PIRQ_GSI + pci_pirq(1, 1);

    plug(c, &c->other, PCI_DEVFN(9, 0)); /* eight further: the same PIRQ */
    pci_intx_set(&c->toy.pci, true);
    pci_intx_set(&c->other.pci, true);
    assert_true(line_up(&c->f, gsi));
    assert_true(cfg(c, 4) & BIT(19));
    pci_intx_set(&c->toy.pci, false);
    assert_true(line_up(&c->f, gsi));
    pci_function_remove(&c->other.pci);
    assert_false(line_up(&c->f, gsi));
    pci_intx_set(&c->toy.pci, true);
    cfg_set(c, 4, 0x400);
    assert_false(line_up(&c->f, gsi));
    assert_true(cfg(c, 4) & BIT(19));
    cfg_set(c, 4, 0);
    assert_true(line_up(&c->f, gsi));
    pci_function_reset(&c->toy.pci);
    assert_false(line_up(&c->f, gsi));
}

static void pirqs_reach_the_8259s(void **state)
{
    struct context *c = *state;

    pci_intx_set(&c->toy.pci, true); /* PIRQ B */
    assert_false(line_up(&c->f, 11));
    writel(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0x60), 0x80800b80);
    assert_true(line_up(&c->f, 11));
    writel(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0x60), 0x80800580);
    assert_false(line_up(&c->f, 11));
    assert_true(line_up(&c->f, 5));
    writel(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0x60), 0x80800880); /* 8 cannot be had */
    assert_false(line_up(&c->f, 5));
    assert_false(line_up(&c->f, 8));
}

static int vector(struct context *c)
{
    return take(&c->f);
}

#define TABLE 0x91000000U

static void enable_msix(struct context *c)
{
    unsigned cap = c->toy.pci.msix.cap;

    cfg_set(c, 0x20, TABLE);
    cfg_set(c, 4, 6);
    assert_int_equal(cfg(c, cap) >> 16 & 0x7ff, 4);
    cfg_set(c, cap, BIT(31));
    for (unsigned i = 0; i < 5; i++) {
        writel(&c->f, 0, TABLE + i * 16, 0xfee00000);
        writel(&c->f, 0, TABLE + i * 16 + 4, 0);
        writel(&c->f, 0, TABLE + i * 16 + 8, 0x50 + i * 16);
    }
}

static void msix_masks_and_pends(void **state)
{
    struct context *c = *state;
    struct pci_function *fn = &c->toy.pci;

    msix_notify(fn, 0);
    assert_int_equal(vector(c), -1); /* off */
    enable_msix(c);
    assert_true(msix_masked(fn, 0)); /* as after power-on */
    msix_notify(fn, 1);
    assert_int_equal(vector(c), -1);
    assert_int_equal(readl(&c->f, 0, TABLE + 0x800), 2);
    writel(&c->f, 0, TABLE + 16 + 12, 0);
    assert_int_equal(vector(c), 0x60);
    assert_int_equal(readl(&c->f, 0, TABLE + 0x800), 0);
    msix_notify(fn, 1);
    assert_int_equal(vector(c), 0x60);
    cfg_set(c, fn->msix.cap, BIT(31) | BIT(30)); /* the whole function */
    msix_notify(fn, 1);
    assert_int_equal(vector(c), -1);
    cfg_set(c, fn->msix.cap, BIT(31));
    assert_int_equal(vector(c), 0x60);
    msix_notify(fn, 5); /* there is no such vector */
    msix_notify(fn, 5000);
    assert_true(msix_masked(fn, 5000));
    cfg_set(c, 4, 2); /* not a bus master: no messages */
    msix_notify(fn, 1);
    assert_int_equal(vector(c), -1);
    assert_true(c->toy.msix_changes > 0);
}

static void msix_table_is_bounded(void **state)
{
    struct context *c = *state;

    enable_msix(c);
    for (unsigned offset = 0; offset < 4096; offset += 4) {
        writel(&c->f, 0, TABLE + offset, 0xffffffff);
        (void)readl(&c->f, 0, TABLE + offset);
    }
    assert_int_equal(readl(&c->f, 0, TABLE), 0xfffffffc);
    assert_int_equal(readl(&c->f, 0, TABLE + 12), 1);
    assert_int_equal(readl(&c->f, 0, TABLE + 5 * 16), 0);
    assert_int_equal(readl(&c->f, 0, TABLE + 0x800), 0);
    assert_int_equal(vcpu_mmio_read(c->f.vm.vcpu[0], TABLE, 8), 0xfffffffffffffffcULL);
    assert_int_equal(vcpu_mmio_read(c->f.vm.vcpu[0], TABLE + 1, 1), 0xff);
}

static void capabilities_are_a_list(void **state)
{
    struct context *c = *state;
    unsigned seen = 0, n = 0;

    assert_true(cfg(c, 4) & BIT(20));
    for (unsigned at = cfg(c, 0x34) & 0xff; at && n < 10; n++) {
        uint32_t head = cfg(c, at & 0xfc);

        seen |= (head & 0xff) == PCI_CAP_MSIX ? 1 : (head & 0xff) == PCI_CAP_EXPRESS ? 2 : 4;
        at = head >> 8 & 0xff;
    }
    assert_int_equal(seen, 3);
    assert_int_equal(n, 2);
}

static void functions_beyond_the_first(void **state)
{
    struct context *c = *state;

    assert_int_equal(readl(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0xc)) >> 16 & 0x80, 0);
    plug(c, &c->other, PCI_DEVFN(31, 2));
    assert_int_equal(readl(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0xc)) >> 16 & 0x80, 0x80);
    assert_int_equal(pci_function_add(&c->toy.pci, PCI_DEVFN(31, 2)), -EBUSY);
}

static void loaded_state_is_checked(void **state)
{
    struct context *c = *state;
    struct pci_function *fn = &c->toy.pci;

    cfg_set(c, 0x14, 0x90000000);
    cfg_set(c, 4, 2);
    assert_int_equal(pci_function_loaded(fn), 0);
    fn->config[0] ^= 1; /* another vendor */
    assert_int_equal(pci_function_loaded(fn), -EINVAL);
    fn->config[0] ^= 1;
    fn->config[fn->msix.cap + 4] ^= 8; /* the table elsewhere */
    assert_int_equal(pci_function_loaded(fn), -EINVAL);
}

static void ecam_moves(void **state)
{
    struct context *c = *state;

    writel(&c->f, 0, ecam(0, 0x60), 0xb0000001);
    assert_int_equal(readl(&c->f, 0, ecam(0, 0)), 0xffffffff);
    assert_int_equal(readl(&c->f, 0, 0xb0000000), 0x29c08086);
    writel(&c->f, 0, 0xb0000060, 0xb0000000);
    assert_int_equal(readl(&c->f, 0, 0xb0000000), 0xffffffff);
    vm_reset(&c->f.vm);
    assert_int_equal(readl(&c->f, 0, ecam(0, 0)), 0x29c08086);
}

static void pm_moves(void **state)
{
    struct context *c = *state;

    writel(&c->f, 0, ecam(PCI_DEVFN(31, 0), 0x40), 0xb001);
    assert_int_equal(bus_read(&c->f.vm.pio, 0xb004, 2), 1);
    assert_int_equal(bus_read(&c->f.vm.pio, 0x604, 2), 0xffff);
    vm_reset(&c->f.vm);
    assert_int_equal(bus_read(&c->f.vm.pio, 0x604, 2), 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(both_ways_to_config_space),
        T(bars_are_sized_and_mapped),
        T(bars_that_collide),
        T(assignment),
        T(intx_is_shared_and_masked),
        T(pirqs_reach_the_8259s),
        T(msix_masks_and_pends),
        T(msix_table_is_bounded),
        T(capabilities_are_a_list),
        T(functions_beyond_the_first),
        T(loaded_state_is_checked),
        T(ecam_moves),
        T(pm_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
