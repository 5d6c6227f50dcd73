/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications that an engine turns into signals of a descriptor: where they hang, and that they go again.
 */
#include <string.h>

#include "dev/virtio/pci.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

#define HUNG_MAX 32U

static struct driver d;
static struct backends b;

/* What the engine was told. */
static struct hung {
    uint64_t address;
    int fd;
} hung[HUNG_MAX];
static unsigned hung_count, changes;
static bool refuse;

static int ioeventfd(struct vm *vm, bool mmio, uint64_t address, unsigned size, int fd, bool add)
{
    assert_true(mmio);
    assert_int_equal(size, 2);
    changes++;
    for (unsigned i = 0; i < hung_count; i++) {
        if (hung[i].address != address)
            continue;
        assert_false(add); /* twice at one address */
        assert_int_equal(hung[i].fd, fd);
        hung[i] = hung[--hung_count];
        return 0;
    }
    assert_true(add);
    if (refuse)
        return -ENOSPC;
    assert_true(hung_count < HUNG_MAX);
    hung[hung_count++] = (struct hung){address, fd};
    return 0;
}

static const struct engine_ops engine = {.name = "test", .ioeventfd = ioeventfd};

static void make(unsigned kind)
{
    hung_count = changes = 0;
    refuse = false;
    bench_make(&d, &b, kind);
    d.vm.engine = &engine;
}

/* The guest's store, as the engine has it. False: no bell hangs there. */
static bool ring(uint64_t address)
{
    for (unsigned i = 0; i < hung_count; i++) {
        struct plat_event *event;

        if (hung[i].address != address)
            continue;
        event = d.plat.event[hung[i].fd - FAKE_EVENT_FD0];
        event->fn(event->opaque);
        return true;
    }
    return false;
}

static void request_entropy(void)
{
    struct seg seg = {DRIVER_DATA, 64, true};

    driver_add(&d, 0, &seg, 1);
}

static void move_bar(uint64_t to)
{
    pci_config_write(&d.bus, 0, d.devfn, PCI_BASE_ADDRESS_0 + 4, (uint32_t)(to >> 32), 4);
    pci_config_write(&d.bus, 0, d.devfn, PCI_BASE_ADDRESS_0, (uint32_t)to, 4);
}

static void rings(void **state)
{
    uint32_t head, len;

    make(KIND_RNG);
    assert_int_equal(hung_count, 0); /* not before the driver is up */
    driver_start(&d, 0);
    assert_int_equal(hung_count, 1);
    request_entropy();
    assert_true(ring(d.notify));
    driver_run(&d);
    assert_true(driver_used(&d, 0, &head, &len));
    assert_int_equal(len, 64);
    driver_reset(&d);
    assert_int_equal(hung_count, 0);
    driver_finish(&d);
    assert_int_equal(fake_plat_events(&d.plat), 0);
}

static void every_queue_has_its_own(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        make(k);
        driver_start(&d, 0);
        assert_int_equal(hung_count, d.queue_count);
        for (unsigned q = 0; q < d.queue_count; q++)
            assert_true(ring(d.notify + q * 4));
        driver_finish(&d);
        assert_int_equal(hung_count, 0);
        assert_int_equal(fake_plat_events(&d.plat), 0);
    }
}

static void thousands_of_moves_leak_nothing(void **state)
{
    uint64_t home;
    unsigned events;

    make(KIND_NET);
    home = d.common;
    /* Without a driver, moving costs the engine nothing. */
    for (unsigned i = 1; i < 100; i++)
        move_bar(home + i * 0x10000);
    assert_int_equal(changes, 0);
    move_bar(home);
    driver_start(&d, 0);
    events = fake_plat_events(&d.plat);
    for (unsigned i = 1; i < 5000; i++) {
        uint64_t to = home + (i % 64) * 0x10000;

        if (i % 3 == 0) { /* through nowhere */
            pci_config_write(&d.bus, 0, d.devfn, PCI_COMMAND, 0, 2);
            assert_int_equal(hung_count, 0);
        }
        move_bar(to);
        pci_config_write(&d.bus, 0, d.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
        assert_int_equal(hung_count, d.queue_count);
        assert_int_equal(fake_plat_events(&d.plat), events);
        assert_true(ring(to + VIRTIO_PCI_NOTIFY));
    }
    driver_finish(&d);
    assert_int_equal(hung_count, 0);
    assert_int_equal(fake_plat_events(&d.plat), 0);
}

/* Where another region lies over the BAR, a store is that region's. */
static void not_under_another_region(void **state)
{
    static const struct io_ops nothing;
    struct io_region over = {.name = "over", .size = 0x10000, .ops = &nothing, .priority = 1};
    uint64_t home;

    make(KIND_RNG);
    home = d.common;
    over.base = home + 0x100000;
    assert_int_equal(bus_map(&d.vm.mmio, &over), 0);
    driver_start(&d, 0);
    assert_int_equal(hung_count, 1);
    move_bar(over.base);
    assert_int_equal(hung_count, 0);
    move_bar(home);
    assert_int_equal(hung_count, 1);
    bus_unmap(&d.vm.mmio, &over);
    driver_finish(&d);
}

static void works_without(void **state)
{
    uint32_t head, len;

    make(KIND_RNG);
    refuse = true;
    driver_start(&d, 0);
    assert_int_equal(hung_count, 0);
    request_entropy();
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(driver_used(&d, 0, &head, &len));
    driver_finish(&d);
    assert_int_equal(fake_plat_events(&d.plat), 0);
}

/* A signal that was on its way when the driver reset the device, or took the queue away. */
static void late_ring(void **state)
{
    struct plat_event *event;

    make(KIND_RNG);
    driver_start(&d, 0);
    event = d.plat.event[hung[0].fd - FAKE_EVENT_FD0];
    driver_reset(&d);
    event->fn(event->opaque);
    driver_run(&d);
    assert_false(driver_needs_reset(&d));
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings),
        cmocka_unit_test(every_queue_has_its_own),
        cmocka_unit_test(thousands_of_moves_leak_nothing),
        cmocka_unit_test(not_under_another_region),
        cmocka_unit_test(works_without),
        cmocka_unit_test(late_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
