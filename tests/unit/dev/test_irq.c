/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8259s, the IO-APIC and the local APICs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"
#include "dev/irq/pic.h"
#include "tests/unit/dev/fixture.h"

#define APIC(reg) (LAPIC_BASE + (reg)*16)

enum { TPR = 8, PPR = 10, EOI = 11, LDR = 13, DFR = 14, SVR = 15, ISR = 16, IRR = 32, ESR = 40 };
enum { ICR = 48, ICR2 = 49, LINT0 = 0x35, LINT1 = 0x36, LVT_ERROR = 0x37 };

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fixture_init(f, 4);
    for (unsigned i = 0; i < 4; i++)
        writel(f, i, APIC(SVR), 0x1ff);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_finish(*state);
    free(*state);
    return 0;
}

static const struct lapic_ops *ops(struct fixture *f)
{
    return f->vm.irqs.lapic;
}

static int ack(struct fixture *f, unsigned cpu)
{
    struct vcpu *vcpu = f->vm.vcpu[cpu];

    return ops(f)->pending(vcpu) ? ops(f)->acknowledge(vcpu) : -1;
}

static void eoi(struct fixture *f, unsigned cpu)
{
    writel(f, cpu, APIC(EOI), 0);
}

static int serve(struct fixture *f, unsigned cpu)
{
    int vector = ack(f, cpu);

    if (vector >= 0)
        eoi(f, cpu);
    return vector;
}

static uint32_t requests(struct fixture *f, unsigned cpu)
{
    uint32_t r = f->vm.vcpu[cpu]->cpu.request;

    f->vm.vcpu[cpu]->cpu.request = 0;
    return r;
}

/* ---- 8259 ---- */

static void pic_init(struct fixture *f, uint8_t icw4)
{
    static const uint8_t icw[2][3] = {{0x20, 4}, {0x28, 2}};

    for (unsigned i = 0; i < 2; i++) {
        uint16_t port = i ? 0xa0 : 0x20;

        outb(f, port, 0x11);
        outb(f, port + 1, icw[i][0]);
        outb(f, port + 1, icw[i][1]);
        outb(f, port + 1, icw4);
    }
}

static void line(struct fixture *f, unsigned pin, bool level)
{
    f->vm.irqs.pic.set(f->vm.irqs.pic.opaque, pin, level);
}

static void pulse(struct fixture *f, unsigned pin)
{
    line(f, pin, true);
    line(f, pin, false);
}

static void pic_priorities(void **state)
{
    struct fixture *f = *state;

    pic_init(f, 1);
    pulse(f, 4);
    pulse(f, 1);
    pulse(f, 12);
    assert_int_equal(ack(f, 0), 0x21);
    assert_int_equal(ack(f, 0), -1); /* lower ones wait for the end */
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(f, 0), 0x2c); /* through the cascade */
    pulse(f, 9);
    assert_int_equal(ack(f, 0), -1); /* the master does not see past IR2 in service */
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(f, 0), 0x29);
    outb(f, 0xa0, 0x61); /* specific */
    outb(f, 0x20, 0x62);
    assert_int_equal(ack(f, 0), 0x24);
}

static void pic_masks_and_reads(void **state)
{
    struct fixture *f = *state;

    pic_init(f, 1);
    outb(f, 0x21, 0x10);
    assert_int_equal(inb(f, 0x21), 0x10);
    pulse(f, 4);
    assert_int_equal(ack(f, 0), -1);
    assert_int_equal(inb(f, 0x20), 0x10); /* IRR */
    outb(f, 0x21, 0);
    assert_int_equal(ack(f, 0), 0x24);
    outb(f, 0x20, 0x0b);
    assert_int_equal(inb(f, 0x20), 0x10); /* ISR */
    outb(f, 0x20, 0x0a);
    assert_int_equal(inb(f, 0x20), 0);
    outb(f, 0x20, 0x20);
    pulse(f, 3);
    outb(f, 0x20, 0x0c); /* poll */
    assert_int_equal(inb(f, 0x20), 0x83);
}

static void pic_auto_eoi_and_rotation(void **state)
{
    struct fixture *f = *state;

    pic_init(f, 3);
    outb(f, 0x20, 0x80); /* rotate on automatic EOI */
    pulse(f, 0);
    assert_int_equal(ack(f, 0), 0x20);
    pulse(f, 0);
    pulse(f, 5);
    assert_int_equal(ack(f, 0), 0x25); /* 0 has become the lowest */
    assert_int_equal(ack(f, 0), 0x20);
    pic_init(f, 1);
    outb(f, 0x20, 0xc3); /* lowest: 3 */
    pulse(f, 3);
    pulse(f, 4);
    assert_int_equal(ack(f, 0), 0x24);
}

static void pic_levels(void **state)
{
    struct fixture *f = *state;

    pic_init(f, 1);
    outb(f, 0x4d1, 0xff);
    assert_int_equal(inb(f, 0x4d1), 0xde); /* RTC and FPU stay edges */
    line(f, 11, true);
    assert_int_equal(ack(f, 0), 0x2b);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(f, 0), 0x2b); /* still up */
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    line(f, 11, false);
    assert_int_equal(ack(f, 0), -1);
    line(f, 8, true); /* an edge counts once */
    assert_int_equal(ack(f, 0), 0x28);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(f, 0), -1);
}

static void pic_spurious(void **state)
{
    struct fixture *f = *state;

    pic_init(f, 1);
    assert_int_equal(f->vm.irqs.pic_acknowledge(f->vm.irqs.pic_opaque), 0x27);
    outb(f, 0x20, 0x0b);
    assert_int_equal(inb(f, 0x20), 0); /* without an ISR bit */
}

static void pic_reaches_the_bsp_only_where_open(void **state)
{
    struct fixture *f = *state;

    pic_init(f, 1);
    pulse(f, 3);
    assert_int_equal(ack(f, 1), -1);
    writel(f, 0, APIC(LINT0), 0x10700);
    assert_int_equal(ack(f, 0), -1);
    writel(f, 0, APIC(LINT0), 0x700);
    assert_int_equal(ack(f, 0), 0x23);
}

static void pic_after_direct_boot_is_quiet(void **state)
{
    struct fixture *f = *state;

    pic_direct_boot(&f->vm);
    assert_int_equal(inb(f, 0x21), 0xff);
    assert_int_equal(inb(f, 0x4d1), 0x0e);
    pulse(f, 0);
    assert_int_equal(ack(f, 0), -1);
}

/* ---- IO-APIC ---- */

static void pin(struct fixture *f, unsigned n, bool level)
{
    f->vm.irqs.ioapic.set(f->vm.irqs.ioapic.opaque, n, level);
}

static uint32_t ioapic_read(struct fixture *f, uint8_t reg)
{
    writel(f, 0, IOAPIC_BASE, reg);
    return readl(f, 0, IOAPIC_BASE + 0x10);
}

static void ioapic_registers(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ioapic_read(f, 1), 0x00170020);
    assert_int_equal(ioapic_read(f, 0x10), 0x10000);
    route(f, 5, 0x55, true);
    writel(f, 0, IOAPIC_BASE + 0x10, 0xffffffff);
    assert_int_equal(ioapic_read(f, 0x1a), 0x1afff); /* status bits are not for writing */
    assert_int_equal(ioapic_read(f, 0x40), 0);
    assert_int_equal(ioapic_read(f, 0xff), 0);
}

static void ioapic_edges(void **state)
{
    struct fixture *f = *state;

    pin(f, 4, true); /* masked: lost */
    route(f, 4, 0x44, false);
    assert_int_equal(ack(f, 0), -1);
    pin(f, 4, false);
    pin(f, 4, true);
    assert_int_equal(ack(f, 0), 0x44);
    eoi(f, 0);
    assert_int_equal(ack(f, 0), -1);
}

static void ioapic_levels_and_eoi(void **state)
{
    struct fixture *f = *state;

    route(f, 20, 0x61, true);
    pin(f, 20, true);
    assert_int_equal(ack(f, 0), 0x61);
    assert_true(ioapic_read(f, 0x38) & BIT(14)); /* remote IRR */
    pin(f, 20, false);
    pin(f, 20, true);
    assert_int_equal(ack(f, 0), -1);
    eoi(f, 0);
    assert_int_equal(ack(f, 0), 0x61); /* still up */
    pin(f, 20, false);
    eoi(f, 0);
    assert_int_equal(ack(f, 0), -1);
    assert_false(ioapic_read(f, 0x38) & BIT(14));
    pin(f, 20, true);
    assert_int_equal(ack(f, 0), 0x61);
    pin(f, 20, false);
    writel(f, 0, IOAPIC_BASE + 0x40, 0x61); /* the EOI register */
    assert_false(ioapic_read(f, 0x38) & BIT(14));
}

static void ioapic_tells_messages(void **state)
{
    struct fixture *f = *state;
    uint64_t address;
    uint32_t data;

    assert_false(f->vm.irqs.ioapic_message(f->vm.irqs.ioapic_opaque, 3, &address, &data));
    assert_false(f->vm.irqs.ioapic_message(f->vm.irqs.ioapic_opaque, 99, &address, &data));
    route(f, 3, 0x33, true);
    assert_true(f->vm.irqs.ioapic_message(f->vm.irqs.ioapic_opaque, 3, &address, &data));
    assert_int_equal(address, 0xfee00000);
    assert_int_equal(data, 0xc033);
}

/* ---- local APIC ---- */

static void lapic_registers(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(readl(f, 2, APIC(2)), 2U << 24);
    assert_int_equal(readl(f, 0, APIC(3)), 0x50014);
    writel(f, 1, APIC(TPR), 0x45);
    assert_int_equal(readl(f, 1, APIC(TPR)), 0x45);
    assert_int_equal(readl(f, 0, APIC(TPR)), 0); /* each its own */
    assert_int_equal(ops(f)->cr8_read(f->vm.vcpu[1]), 4);
    ops(f)->cr8_write(f->vm.vcpu[1], 9);
    assert_int_equal(readl(f, 1, APIC(TPR)), 0x90);
    assert_int_equal(readl(f, 1, APIC(PPR)), 0x90);
    assert_int_equal(bus_read(&f->vm.mmio, APIC(TPR), 4), 0xffffffff); /* by nobody */
    writel(f, 1, APIC(SVR), 0xff);                                     /* off: vectors are masked */
    assert_int_equal(readl(f, 1, APIC(LINT1)), 0x10000);
    writel(f, 1, APIC(LINT1), 0x400);
    assert_int_equal(readl(f, 1, APIC(LINT1)), 0x10400);
}

static void lapic_priorities(void **state)
{
    struct fixture *f = *state;

    msi_send(&f->vm, 0xfee00000, 0x51);
    msi_send(&f->vm, 0xfee00000, 0x82);
    assert_true(requests(f, 0) & X86_REQ_INTERRUPT);
    assert_int_equal(ack(f, 0), 0x82);
    assert_int_equal(ack(f, 0), -1);
    assert_int_equal(readl(f, 0, APIC(PPR)), 0x80);
    msi_send(&f->vm, 0xfee00000, 0x8f); /* the same class waits */
    assert_int_equal(ack(f, 0), -1);
    msi_send(&f->vm, 0xfee00000, 0x91); /* a higher one nests */
    assert_int_equal(ack(f, 0), 0x91);
    eoi(f, 0);
    eoi(f, 0);
    assert_int_equal(ack(f, 0), 0x8f);
    eoi(f, 0);
    ops(f)->cr8_write(f->vm.vcpu[0], 5);
    assert_int_equal(ack(f, 0), -1);
    requests(f, 0);
    ops(f)->cr8_write(f->vm.vcpu[0], 4);
    assert_true(requests(f, 0) & X86_REQ_INTERRUPT);
    assert_int_equal(ack(f, 0), 0x51);
    eoi(f, 0);
    eoi(f, 0); /* one too many: nothing */
}

static void ipi(struct fixture *f, unsigned cpu, uint32_t dest, uint32_t low)
{
    writel(f, cpu, APIC(ICR2), dest << 24);
    writel(f, cpu, APIC(ICR), low);
}

static void lapic_destinations(void **state)
{
    struct fixture *f = *state;

    ipi(f, 0, 2, 0x60);
    assert_int_equal(serve(f, 2), 0x60);
    ipi(f, 0, 0xff, 0x61);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(serve(f, i), 0x61);
    ipi(f, 1, 0, 0x70 | 3 << 18); /* all but self */
    assert_int_equal(serve(f, 1), -1);
    assert_int_equal(serve(f, 0), 0x70);
    assert_int_equal(serve(f, 2), 0x70);
    assert_int_equal(serve(f, 3), 0x70);
    ipi(f, 1, 0, 0x71 | 1 << 18); /* self */
    assert_int_equal(serve(f, 1), 0x71);
    for (unsigned i = 0; i < 4; i++)
        writel(f, i, APIC(LDR), 1U << (24 + i));
    ipi(f, 0, 0x0a, 0x90 | BIT(11)); /* flat: 1 and 3 */
    assert_int_equal(serve(f, 1), 0x90);
    assert_int_equal(serve(f, 3), 0x90);
    assert_int_equal(serve(f, 2), -1);
    for (unsigned i = 0; i < 4; i++) {
        writel(f, i, APIC(DFR), 0x0fffffff);
        writel(f, i, APIC(LDR), (i / 2) << 28 | 1U << (24 + i % 2));
    }
    ipi(f, 0, 0x12, 0xa0 | BIT(11)); /* cluster 1, its second */
    assert_int_equal(serve(f, 3), 0xa0);
    assert_int_equal(serve(f, 1), -1);
}

static void lapic_lowest_priority(void **state)
{
    struct fixture *f = *state;
    unsigned got[4] = {0};

    for (unsigned i = 0; i < 4; i++)
        writel(f, i, APIC(LDR), 1U << (24 + i));
    ops(f)->cr8_write(f->vm.vcpu[2], 15);
    for (unsigned n = 0; n < 30; n++) {
        msi_send(&f->vm, 0xfee00000 | 0xf << 12 | BIT(2), 0x80 | 1 << 8);
        for (unsigned i = 0; i < 4; i++)
            if (ack(f, i) == 0x80) {
                got[i]++;
                eoi(f, i);
            }
    }
    assert_int_equal(got[0] + got[1] + got[3], 30);
    assert_int_equal(got[0], 10); /* taking turns */
    assert_int_equal(got[2], 0);
}

static void lapic_startup(void **state)
{
    struct fixture *f = *state;

    requests(f, 1);
    ipi(f, 0, 1, 0x4500);
    assert_true(requests(f, 1) & X86_REQ_INIT);
    ipi(f, 0, 1, 0x8500); /* de-assert */
    assert_false(requests(f, 1) & X86_REQ_INIT);
    ipi(f, 0, 1, 0x4699);
    assert_true(requests(f, 1) & X86_REQ_SIPI);
    assert_int_equal(f->vm.vcpu[1]->sipi_vector, 0x99);
    ipi(f, 0, 1, 0x400);
    assert_true(requests(f, 1) & X86_REQ_NMI);
    writel(f, 1, APIC(TPR), 0x50);
    ops(f)->reset(f->vm.vcpu[1], true);
    assert_int_equal(readl(f, 1, APIC(TPR)), 0);
    assert_int_equal(readl(f, 1, APIC(SVR)), 0xff);
}

static void lapic_nmi_by_lint1(void **state)
{
    struct fixture *f = *state;

    writel(f, 2, APIC(LINT1), 0x400);
    lapic_nmi(&f->vm);
    assert_true(requests(f, 2) & X86_REQ_NMI);
    assert_false(requests(f, 1) & X86_REQ_NMI);
}

static void lapic_errors(void **state)
{
    struct fixture *f = *state;

    writel(f, 0, APIC(LVT_ERROR), 0xfe);
    ipi(f, 0, 1, 0x05);
    assert_int_equal(ack(f, 0), 0xfe);
    eoi(f, 0);
    assert_int_equal(readl(f, 0, APIC(ESR)), 0); /* not before a write */
    writel(f, 0, APIC(ESR), 0);
    assert_int_equal(readl(f, 0, APIC(ESR)), 0x20);
    msi_send(&f->vm, 0xfee00000, 0x0f);
    writel(f, 0, APIC(0x3d), 1); /* no such register */
    writel(f, 0, APIC(ESR), 0);
    assert_int_equal(readl(f, 0, APIC(ESR)), 0xc0);
    assert_int_equal(ack(f, 0), 0xfe);
    eoi(f, 0);
    writel(f, 0, APIC(LVT_ERROR), 0x03); /* an error about an error ends there */
    ipi(f, 0, 1, 0x05);
    writel(f, 0, APIC(ESR), 0);
    assert_int_equal(readl(f, 0, APIC(ESR)), 0x60);
}

static bool wrmsr(struct fixture *f, unsigned cpu, uint32_t msr, uint64_t v)
{
    return ops(f)->msr_write(f->vm.vcpu[cpu], msr, v);
}

static uint64_t rdmsr(struct fixture *f, unsigned cpu, uint32_t msr)
{
    uint64_t v = 0xdead;

    assert_true(ops(f)->msr_read(f->vm.vcpu[cpu], msr, &v));
    return v;
}

static void x2apic(void **state)
{
    struct fixture *f = *state;
    uint64_t v;

    assert_int_equal(rdmsr(f, 0, 0x1b), 0xfee00900);
    assert_int_equal(rdmsr(f, 1, 0x1b), 0xfee00800);
    assert_false(ops(f)->msr_read(f->vm.vcpu[0], 0x802, &v));
    assert_false(wrmsr(f, 0, 0x1b, 0xfee00500)); /* x2APIC without APIC */
    assert_false(wrmsr(f, 0, 0x1b, 0xfed00900)); /* another base: not here */
    assert_false(wrmsr(f, 0, 0x1b, 0xfee00901));
    for (unsigned i = 0; i < 4; i++)
        assert_true(wrmsr(f, i, 0x1b, 0xfee00c00 | (i ? 0 : 0x100)));
    assert_false(wrmsr(f, 0, 0x1b, 0xfee00900)); /* back only through off */
    assert_int_equal(rdmsr(f, 3, 0x802), 3);
    assert_int_equal(rdmsr(f, 3, 0x80d), 8);
    assert_int_equal(readl(f, 3, APIC(2)), 0xffffffff);
    assert_true(wrmsr(f, 0, 0x830, 2ULL << 32 | 0x66));
    assert_int_equal(ack(f, 2), 0x66);
    assert_true(wrmsr(f, 0, 0x830, 0xaULL << 32 | 0x67 | BIT(11)));
    assert_int_equal(ack(f, 1), 0x67);
    assert_int_equal(ack(f, 3), 0x67);
    assert_true(wrmsr(f, 2, 0x80b, 0));
    assert_false(wrmsr(f, 2, 0x80b, 1));
    assert_true(wrmsr(f, 1, 0x83f, 0x77));
    assert_int_equal(ack(f, 1), 0x77);
    assert_false(wrmsr(f, 1, 0x802, 0));
    assert_false(wrmsr(f, 1, 0x80d, 0));
    assert_false(wrmsr(f, 1, 0x80e, 0));
    assert_false(wrmsr(f, 1, 0x831, 0));
    assert_false(wrmsr(f, 1, 0x808, 0x100));
    assert_false(ops(f)->msr_read(f->vm.vcpu[0], 0x80b, &v));
    assert_true(wrmsr(f, 1, 0x1b, 0xfee00000));
    assert_true(wrmsr(f, 1, 0x1b, 0xfee00800));
    assert_int_equal(readl(f, 1, APIC(SVR)), 0xff);
}

/* No register, in any state of the APIC, may do harm. */
static void msr_sweep(void **state)
{
    struct fixture *f = *state;

    for (unsigned mode = 0; mode < 3; mode++) {
        for (uint32_t msr = 0x800; msr < 0x900; msr++)
            for (unsigned bit = 0; bit < 64; bit++) {
                uint64_t v;

                (void)wrmsr(f, 1, msr, BIT64(bit));
                (void)ops(f)->msr_read(f->vm.vcpu[1], msr, &v);
            }
        advance(f, 1000000);
        (void)wrmsr(f, 1, 0x1b, mode ? 0xfee00000 : 0xfee00c00);
    }
}

static void off_means_off(void **state)
{
    struct fixture *f = *state;

    writel(f, 1, APIC(SVR), 0xff);
    ipi(f, 0, 1, 0x80);
    assert_int_equal(ack(f, 1), -1);
    assert_true(wrmsr(f, 1, 0x1b, 0xfee00000));
    requests(f, 1);
    ipi(f, 0, 1, 0x400);
    assert_int_equal(requests(f, 1), 0);
    assert_int_equal(readl(f, 1, APIC(3)), 0xffffffff);
    msi_send(&f->vm, 0xfed00000, 0x50); /* not an APIC's address */
    assert_int_equal(ack(f, 0), -1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pic_priorities),
        T(pic_masks_and_reads),
        T(pic_auto_eoi_and_rotation),
        T(pic_levels),
        T(pic_spurious),
        T(pic_reaches_the_bsp_only_where_open),
        T(pic_after_direct_boot_is_quiet),
        T(ioapic_registers),
        T(ioapic_edges),
        T(ioapic_levels_and_eoi),
        T(ioapic_tells_messages),
        T(lapic_registers),
        T(lapic_priorities),
        T(lapic_destinations),
        T(lapic_lowest_priority),
        T(lapic_startup),
        T(lapic_nmi_by_lint1),
        T(lapic_errors),
        T(x2apic),
        T(msr_sweep),
        T(off_means_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
