/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory, buses, time, interrupt lines: what every device stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/device.h"
#include "tests/unit/fake-plat.h"

#define RAM MIB(8)

struct fixture {
    struct fake_plat fake;
    struct vm vm;
    uint8_t *ram;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    fake_plat_init(&f->fake);
    f->ram = calloc(1, RAM);
    struct vm_config config = {.name = "test", .ram_size = RAM, .vcpus = 1, .ram = f->ram};
    if (vm_init(&f->vm, &f->fake.plat, &config, &err) < 0)
        return -1;
    clock_start(&f->vm);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->vm.vcpu_count = 0;
    vm_finish(&f->vm);
    assert_int_equal(f->fake.allocations, 0);
    free(f->ram);
    free(f);
    return 0;
}

/* ---- a vCPU's sleep ---- */

static unsigned sleeps;

/* Sleeps once; then the VM ends. */
static void must_sleep(struct plat *plat, struct vcpu *vcpu, uint32_t bits)
{
    assert_int_equal(vcpu->cpu.request & bits, 0); /* or it would not sleep, but come here for ever */
    sleeps++;
    vm_lock(vcpu->vm);
    vm_request_shutdown(vcpu->vm, VM_SHUTDOWN_HOST);
    vm_unlock(vcpu->vm);
}

/* What is sent to a vCPU that cannot take it does not keep it awake, and is not lost. */
static void test_asleep_is_asleep(void **state)
{
    static const struct engine_ops engine = {.name = "none"};
    static const struct {
        uint8_t activity;
        bool nmi_masked, paused;
        uint32_t requests;
    } cases[] = {
        {X86_ACT_WAIT_SIPI, false, false, X86_REQ_NMI | X86_REQ_INTERRUPT},
        {X86_ACT_HALT, true, false, X86_REQ_NMI},
        {X86_ACT_RUN, false, true, X86_REQ_INTERRUPT | X86_REQ_NMI | X86_REQ_INIT | X86_REQ_SIPI},
    };
    struct fixture *f = *state;
    const struct plat_ops *old = f->fake.plat.ops;
    struct plat_ops ops = *old;
    struct error err = {0};

    ops.vcpu_wait = must_sleep;
    f->fake.plat.ops = &ops;
    clock_stop(&f->vm);
    assert_int_equal(vm_engine_init(&f->vm, &engine, &err), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vcpu *vcpu = f->vm.vcpu[0];

        f->vm.state = VM_PAUSED;
        if (!cases[i].paused)
            vm_resume(&f->vm);
        vcpu->cpu.s.activity = cases[i].activity;
        vcpu->cpu.s.nmi_masked = cases[i].nmi_masked;
        vcpu->cpu.s.nmi_pending = false;
        vcpu->cpu.request = cases[i].requests;
        sleeps = 0;
        vcpu_loop(vcpu);
        assert_int_equal(sleeps, 1);
        assert_true(vcpu->cpu.s.nmi_pending || vcpu->cpu.request & X86_REQ_NMI);
        if (cases[i].paused)
            assert_int_equal(vcpu->cpu.request, cases[i].requests);
    }
    vm_finish(&f->vm);
    f->fake.plat.ops = old;
}

/* ---- memory ---- */

static void test_memory_spans_and_edges(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[16] = {1, 2, 3};

    assert_ptr_equal(mem_span(&f->vm, 0, RAM, true), f->ram);
    assert_null(mem_span(&f->vm, 0, RAM + 1, true));
    assert_null(mem_span(&f->vm, RAM, 1, false));
    assert_null(mem_span(&f->vm, ~0ULL, 2, false));
    assert_null(mem_span(&f->vm, 16, ~0ULL, false));
    assert_int_equal(mem_write(&f->vm, RAM - 8, buf, 16), -EFAULT);
    assert_int_equal(f->ram[RAM - 8], 0); /* nothing was copied */
    assert_int_equal(mem_write(&f->vm, RAM - 16, buf, 16), 0);
    assert_memory_equal(f->ram + RAM - 16, buf, 16);
    assert_int_equal(mem_read(&f->vm, ~0ULL - 3, buf, 8), -EFAULT);
}

static void test_rom_in_front_of_ram(void **state)
{
    struct fixture *f = *state;
    static uint8_t rom[8192];
    uint8_t buf[4];

    rom[0] = 0x55;
    f->ram[0xe0000] = 0xaa;
    assert_int_equal(mem_add_rom(&f->vm, 0xe0000, rom, sizeof(rom)), 0);
    assert_int_equal(mem_read(&f->vm, 0xe0000, buf, 1), 0);
    assert_int_equal(buf[0], 0x55);
    assert_int_equal(mem_write(&f->vm, 0xe0000, buf, 1), -EFAULT);
    assert_null(mem_span(&f->vm, 0xdf000, 0x2000, false));  /* RAM that runs into the ROM */
    assert_int_equal(mem_read(&f->vm, 0xdfffe, buf, 4), 0); /* copies go over the border */
    assert_int_equal(buf[2], 0x55);
    assert_int_equal(mem_write(&f->vm, 0xdfffe, buf, 4), -EFAULT);
}

static void test_dirty_bits(void **state)
{
    struct fixture *f = *state;

    f->vm.mem.dirty = vm_alloc(&f->vm, RAM / MEM_PAGE / 8);
    mem_written(&f->vm, 4095, 2);
    assert_int_equal(f->vm.mem.dirty[0], 3);
    mem_written(&f->vm, 64 * 4096, 1);
    assert_int_equal(f->vm.mem.dirty[1], 1);
    mem_written(&f->vm, RAM - 1, 2); /* past the end: ignored */
    mem_written(&f->vm, ~0ULL, 1);
    assert_int_equal(f->vm.mem.dirty[RAM / MEM_PAGE / 64 - 1], 0);
}

static void test_bad_configurations(void **state)
{
    struct fixture *f = *state;
    struct vm *vm = calloc(1, sizeof(*vm));
    const struct vm_config bad[] = {
        {.ram_size = 0, .vcpus = 1},        {.ram_size = MIB(1) + 1, .vcpus = 1},
        {.ram_size = MIB(1), .vcpus = 0},   {.ram_size = MIB(1), .vcpus = 65},
        {.ram_size = GIB(256), .vcpus = 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = {0};
        assert_true(vm_init(vm, &f->fake.plat, &bad[i], &err) < 0);
        assert_true(err.text[0] != '\0');
    }
    free(vm);
}

/* ---- buses ---- */

struct recorder {
    uint64_t value;
    uint64_t offset[16];
    unsigned size[16];
    unsigned calls;
};

static uint64_t record_read(void *opaque, uint64_t offset, unsigned size)
{
    struct recorder *r = opaque;

    r->offset[r->calls % 16] = offset;
    r->size[r->calls++ % 16] = size;
    return r->value >> (offset * 8);
}

static void record_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)record_read(opaque, offset, size);
    ((struct recorder *)opaque)->value = value;
}

static void test_bus_sizes(void **state)
{
    static const struct io_ops narrow = {record_read, record_write, 1, 1};
    static const struct io_ops wide = {record_read, record_write, 4, 4};
    struct fixture *f = *state;
    struct recorder r = {.value = 0x8877665544332211};
    struct io_region region = {.name = "r", .base = 0x100, .size = 8, .ops = &narrow, .opaque = &r};

    assert_int_equal(bus_map(&f->vm.pio, &region), 0);
    assert_int_equal(bus_read(&f->vm.pio, 0x100, 4), 0x44332211);
    assert_int_equal(r.calls, 4);
    assert_int_equal(bus_read(&f->vm.pio, 0x106, 4), 0xffff8877); /* half inside */
    region.ops = &wide;
    assert_int_equal(bus_read(&f->vm.pio, 0x102, 2), 0x4433);
    r.calls = 0;
    bus_write(&f->vm.pio, 0x100, 1, 2); /* too narrow: dropped */
    assert_int_equal(r.calls, 0);
    bus_unmap(&f->vm.pio, &region);
    bus_unmap(&f->vm.pio, &region);
    assert_int_equal(bus_read(&f->vm.pio, 0x100, 8), ~0ULL);
}

static void test_bus_overlap(void **state)
{
    static const struct io_ops ops = {record_read, record_write, 1, 8};
    struct fixture *f = *state;
    struct recorder a = {.value = 0xa}, b = {.value = 0xb};
    struct io_region low = {.name = "low", .base = 0, .size = 0x1000, .ops = &ops, .opaque = &a};
    struct io_region same = {.name = "same", .base = 0xfff, .size = 2, .ops = &ops, .opaque = &b};
    struct io_region wraps = {.name = "wraps", .base = ~0ULL, .size = 2, .ops = &ops, .opaque = &b};
    struct io_region empty = {.name = "empty", .base = 5, .size = 0, .ops = &ops, .opaque = &b};

    assert_int_equal(bus_map(&f->vm.mmio, &low), 0);
    assert_int_equal(bus_map(&f->vm.mmio, &same), -EBUSY);
    assert_int_equal(bus_map(&f->vm.mmio, &wraps), -EINVAL);
    assert_int_equal(bus_map(&f->vm.mmio, &empty), -EINVAL);
    same.priority = 1;
    same.base = 0x10;
    assert_int_equal(bus_map(&f->vm.mmio, &same), 0);
    assert_int_equal(bus_read(&f->vm.mmio, 0x10, 1), 0xb);
    assert_int_equal(bus_read(&f->vm.mmio, 0, 1), 0xa);
    bus_unmap(&f->vm.mmio, &low);
    assert_int_equal(bus_read(&f->vm.mmio, 0, 1), 0xff);
}

static void test_bus_full(void **state)
{
    static const struct io_ops ops = {record_read, record_write, 1, 8};
    struct fixture *f = *state;
    struct io_region *regions = calloc(BUS_MAX_REGIONS + 1, sizeof(*regions));

    for (unsigned i = 0; i <= BUS_MAX_REGIONS; i++) {
        regions[i] = (struct io_region){.name = "x", .base = i, .size = 1, .ops = &ops};
        assert_int_equal(bus_map(&f->vm.pio, &regions[i]), i < BUS_MAX_REGIONS ? 0 : -ENOSPC);
    }
    for (unsigned i = 0; i < BUS_MAX_REGIONS; i++)
        bus_unmap(&f->vm.pio, &regions[i]);
    free(regions);
}

/* ---- time ---- */

static unsigned fired[4], fire_order;

static void fire(void *opaque)
{
    fired[(uintptr_t)opaque] = ++fire_order;
}

static void test_timers(void **state)
{
    struct fixture *f = *state;
    struct timer t[3];

    fire_order = 0;
    memset(fired, 0, sizeof(fired));
    for (uintptr_t i = 0; i < 3; i++)
        timer_init(&t[i], &f->vm, "test", fire, (void *)i);
    timer_arm(&t[0], 3000);
    timer_arm(&t[1], 1000);
    timer_arm(&t[2], 2000);
    assert_int_equal(f->fake.deadline, f->vm.clock.started + 1000);
    fake_plat_advance(&f->fake, &f->vm, 999);
    assert_int_equal(fire_order, 0);
    fake_plat_advance(&f->fake, &f->vm, 1);
    assert_int_equal(fired[1], 1);
    timer_disarm(&t[2]);
    timer_disarm(&t[2]);
    fake_plat_advance(&f->fake, &f->vm, 5000);
    assert_int_equal(fired[0], 2);
    assert_int_equal(fired[2], 0);
    assert_false(timer_armed(&t[0]));
    timer_arm(&t[0], 0); /* in the past: at once */
    clock_run(&f->vm);
    assert_int_equal(fired[0], 3);
}

static void test_time_stands_still_while_paused(void **state)
{
    struct fixture *f = *state;
    struct timer t;
    uint64_t before;

    fire_order = 0;
    timer_init(&t, &f->vm, "test", fire, NULL);
    f->fake.now += 500;
    before = clock_now(&f->vm);
    timer_arm(&t, before + 100);
    clock_stop(&f->vm);
    assert_int_equal(f->fake.deadline, CLOCK_NEVER);
    f->fake.now += 1000000;
    clock_run(&f->vm);
    assert_int_equal(clock_now(&f->vm), before);
    assert_int_equal(fire_order, 0);
    clock_start(&f->vm);
    fake_plat_advance(&f->fake, &f->vm, 100);
    assert_int_equal(fire_order, 1);
    assert_int_equal(clock_now(&f->vm), before + 100);
}

static void test_tsc_scale(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(clock_ns_to_tsc(&f->vm, 12345), 12345);
    f->vm.clock.tsc_khz = 2500000;
    assert_int_equal(clock_ns_to_tsc(&f->vm, 1000), 2500);
    assert_int_equal(clock_tsc_to_ns(&f->vm, 2500), 1000);
    assert_int_equal(clock_ns_to_tsc(&f->vm, 1ULL << 60),
                     2882303761517117440ULL); /* no overflow on the way */
}

/* ---- interrupt lines ---- */

static int pic_level[16], ioapic_level[24];

static void pic_set(void *opaque, unsigned pin, bool level)
{
    pic_level[pin] = level;
}

static void ioapic_set(void *opaque, unsigned pin, bool level)
{
    ioapic_level[pin] = level;
}

static void test_shared_lines(void **state)
{
    struct fixture *f = *state;
    struct irq_line a, b, timer_line;

    f->vm.irqs.pic.set = pic_set;
    f->vm.irqs.ioapic.set = ioapic_set;
    irq_line_init(&a, &f->vm, 10);
    irq_line_init(&b, &f->vm, 10);
    irq_line_init(&timer_line, &f->vm, 0);
    irq_set(&a, true);
    irq_set(&a, true);
    irq_set(&b, true);
    irq_set(&a, false);
    assert_true(pic_level[10] && ioapic_level[10]);
    irq_set(&b, false);
    assert_false(pic_level[10] || ioapic_level[10]);
    irq_set(&timer_line, true); /* the PIT is IO-APIC pin 2 */
    assert_true(pic_level[0] && ioapic_level[2] && !ioapic_level[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_asleep_is_asleep),
        TEST(test_memory_spans_and_edges),
        TEST(test_rom_in_front_of_ram),
        TEST(test_dirty_bits),
        TEST(test_bad_configurations),
        TEST(test_bus_sizes),
        TEST(test_bus_overlap),
        TEST(test_bus_full),
        TEST(test_timers),
        TEST(test_time_stands_still_while_paused),
        TEST(test_tsc_scale),
        TEST(test_shared_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
