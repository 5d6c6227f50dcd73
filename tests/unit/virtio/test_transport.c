/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The status machine, features, registers, capabilities and interrupts, which all devices share. */
#include <string.h>

#include "base/bytes.h"
#include "dev/virtio/pci.h"
#include "dev/virtio/rng.h"
#include "tests/unit/virtio/backends.h"
#include "tests/unit/virtio/check.h"

static struct driver d;
static struct backends b;

static void identity(void **state)
{
    static const unsigned ids[] = {2, 1, 3, 4, 5};

    for (unsigned k = 0; k < kind_count; k++) {
        bench_make(&d, &b, k);
        assert_int_equal(pci_config_read(&d.bus, 0, d.devfn, PCI_VENDOR_ID, 2), 0x1af4);
        assert_int_equal(pci_config_read(&d.bus, 0, d.devfn, PCI_DEVICE_ID, 2), 0x1040 + ids[k]);
        assert_true(pci_config_read(&d.bus, 0, d.devfn, PCI_REVISION_ID, 1) >= 1);
        assert_true(d.common && d.notify && d.isr && d.cfg_cap);
        assert_true(driver_offered(&d) & BIT64(VIRTIO_F_VERSION_1));
        assert_true(driver_offered(&d) & BIT64(VIRTIO_F_INDIRECT_DESC));
        assert_true(driver_offered(&d) & BIT64(VIRTIO_F_EVENT_IDX));
        driver_finish(&d);
    }
}

static void features_must_be_offered(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    driver_reset(&d);
    assert_false(driver_negotiate(&d, BIT64(VIRTIO_F_VERSION_1) | BIT64(50)));
    driver_reset(&d);
    assert_false(driver_negotiate(&d, 0)); /* a legacy driver */
    /* DRIVER_OK without FEATURES_OK brings nothing to life. */
    driver_write(&d, d.common + COMMON_DEVICE_STATUS, 7, 1);
    assert_int_equal(driver_status(&d) & VIRTIO_STATUS_DRIVER_OK, 0);
    driver_reset(&d);
    assert_true(driver_negotiate(&d, BIT64(VIRTIO_F_VERSION_1)));
    /* Features are settled now. */
    driver_write(&d, d.common + COMMON_DRIVER_FEATURE_SELECT, 0, 4);
    driver_write(&d, d.common + COMMON_DRIVER_FEATURE, 0xffffffff, 4);
    assert_int_equal(driver_read(&d, d.common + COMMON_DRIVER_FEATURE, 4), 0);
    driver_finish(&d);
}

static void queues_that_are_not(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, 0);
    driver_write(&d, d.common + COMMON_QUEUE_SELECT, 1, 2);
    assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_SIZE, 2), 0);
    driver_write(&d, d.common + COMMON_QUEUE_ENABLE, 1, 2);
    assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_ENABLE, 2), 0);
    driver_write(&d, d.common + COMMON_QUEUE_SELECT, 0xffff, 2);
    driver_write(&d, d.common + COMMON_QUEUE_DESC, 0x1234, 4);
    assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_DESC, 4), 0);
    for (unsigned q = 0; q < 0x400; q++)
        driver_write(&d, d.notify + q * 4, q, 2);
    driver_run(&d);
    assert_false(driver_needs_reset(&d));
    driver_finish(&d);
}

static void registers_take_their_width_only(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    driver_reset(&d);
    driver_write(&d, d.common + COMMON_QUEUE_SELECT, 0, 2);
    driver_write(&d, d.common + COMMON_QUEUE_SIZE, 8, 2);
    driver_write(&d, d.common + COMMON_QUEUE_SIZE, 3, 1);
    assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_SIZE, 2), 8);
    driver_write(&d, d.common + COMMON_QUEUE_DESC, 0x1122334455667788, 8);
    assert_true(driver_read(&d, d.common + COMMON_QUEUE_DESC, 8) == 0x1122334455667788);
    assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_DESC + 4, 4), 0x11223344);
    assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_DESC + 3, 1), 0x55);
    driver_finish(&d);
}

static void queue_enable_checks(void **state)
{
    static const struct {
        uint16_t size;
        uint64_t desc, avail, used;
    } bad[] = {
        {0, 0x1000, 0x2000, 0x3000},         {3, 0x1000, 0x2000, 0x3000},
        {512, 0x1000, 0x2000, 0x4000},       {8, 0x1008, 0x2000, 0x3000},
        {8, 0x1000, 0x2001, 0x3000},         {8, 0x1000, 0x2000, 0x3002},
        {8, DRIVER_RAM, 0x2000, 0x3000},     {8, 0x1000, DRIVER_RAM - 4, 0x3000},
        {8, 0x1000, 0x2000, DRIVER_RAM - 8}, {8, 0xfffffffffffffff0, 0x2000, 0x3000},
        {8, 0x1000, 0x2000, 0xfee00000},     {8, 0x1000, MEM_PCI64_BASE, 0x3000},
    };

    bench_make(&d, &b, KIND_RNG);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        driver_reset(&d);
        assert_true(driver_negotiate(&d, BIT64(VIRTIO_F_VERSION_1)));
        driver_write(&d, d.common + COMMON_QUEUE_SELECT, 0, 2);
        driver_write(&d, d.common + COMMON_QUEUE_SIZE, bad[i].size, 2);
        driver_write(&d, d.common + COMMON_QUEUE_DESC, bad[i].desc, 8);
        driver_write(&d, d.common + COMMON_QUEUE_DRIVER, bad[i].avail, 8);
        driver_write(&d, d.common + COMMON_QUEUE_DEVICE, bad[i].used, 8);
        driver_write(&d, d.common + COMMON_QUEUE_ENABLE, 1, 2);
        assert_int_equal(driver_read(&d, d.common + COMMON_QUEUE_ENABLE, 2), 0);
        assert_true(driver_needs_reset(&d));
    }
    driver_finish(&d);
}

static void vectors_out_of_range(void **state)
{
    bench_make(&d, &b, KIND_RNG); /* two vectors */
    driver_reset(&d);
    driver_write(&d, d.common + COMMON_CONFIG_MSIX_VECTOR, 2, 2);
    assert_int_equal(driver_read(&d, d.common + COMMON_CONFIG_MSIX_VECTOR, 2), VIRTIO_NO_VECTOR);
    driver_write(&d, d.common + COMMON_CONFIG_MSIX_VECTOR, 1, 2);
    assert_int_equal(driver_read(&d, d.common + COMMON_CONFIG_MSIX_VECTOR, 2), 1);
    driver_finish(&d);
}

static void one_round(unsigned expect_used)
{
    struct seg seg = {DRIVER_DATA, 64, true};

    driver_add(&d, 0, &seg, 1);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(driver_used_count(&d, 0), expect_used);
}

static void msix_interrupts(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, 0);
    one_round(1);
    assert_int_equal(d.msi[1], 1);
    assert_int_equal(d.msi[0], 0);
    /* VIRTQ_AVAIL_F_NO_INTERRUPT */
    store_le16(driver_ram(&d, d.queue[0].avail), 1);
    one_round(1);
    assert_int_equal(d.msi[1], 1);
    assert_false(d.intx);
    driver_finish(&d);
}

static void event_index_interrupts(void **state)
{
    struct seg seg = {DRIVER_DATA, 64, true};

    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, DRIVER_ALL_FEATURES);
    /* A wish for the third one only. */
    store_le16(driver_ram(&d, d.queue[0].avail + 4 + 2 * 16), 2);
    for (unsigned i = 0; i < 4; i++) {
        driver_add(&d, 0, &seg, 1);
        driver_kick(&d, 0);
        driver_run(&d);
        assert_int_equal(d.msi[1], i >= 2);
    }
    /* The device tells where it wants to be notified. */
    assert_int_equal(load_le16(driver_ram(&d, d.queue[0].used + 4 + 8 * 16)), 4);
    /* A batch of several is one interrupt. */
    assert_int_equal(driver_used_count(&d, 0), 4);
    memset(d.msi, 0, sizeof(d.msi));
    for (unsigned i = 0; i < 4; i++)
        driver_add(&d, 0, &seg, 1);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_int_equal(d.msi[1], 1);
    assert_int_equal(driver_used_count(&d, 0), 4);
    driver_finish(&d);
}

static void index_wraps(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, DRIVER_ALL_FEATURES);
    for (unsigned i = 0; i < 70000; i++)
        one_round(1);
    assert_int_equal(d.msi[1], 70000);
    driver_finish(&d);
}

static unsigned msix_capability(void)
{
    unsigned at = pci_config_read(&d.bus, 0, d.devfn, PCI_CAPABILITIES, 1);

    while (pci_config_read(&d.bus, 0, d.devfn, at, 1) != PCI_CAP_MSIX)
        at = pci_config_read(&d.bus, 0, d.devfn, at + 1, 1);
    return at;
}

static void intx_and_isr(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    pci_config_write(&d.bus, 0, d.devfn, msix_capability() + 2, 0, 2);
    driver_start(&d, 0);
    one_round(1);
    assert_true(d.intx);
    assert_int_equal(driver_read(&d, d.isr, 1), 1);
    assert_false(d.intx);
    assert_int_equal(driver_read(&d, d.isr, 1), 0);
    /* A broken device tells by the other bit. */
    driver_avail(&d, 0, 999);
    driver_kick(&d, 0);
    driver_run(&d);
    assert_true(d.intx);
    assert_int_equal(driver_read(&d, d.isr, 1), 2);
    one_round(0);
    /* A reset takes the line down. */
    driver_start(&d, 0);
    one_round(1);
    assert_true(d.intx);
    driver_reset(&d);
    assert_false(d.intx);
    driver_finish(&d);
}

static void pci_cfg_window(void **state)
{
    unsigned cap;

    bench_make(&d, &b, KIND_RNG);
    driver_reset(&d);
    cap = d.cfg_cap;
    pci_config_write(&d.bus, 0, d.devfn, cap + 4, 0, 1);
    pci_config_write(&d.bus, 0, d.devfn, cap + 8, COMMON_DEVICE_STATUS, 4);
    pci_config_write(&d.bus, 0, d.devfn, cap + 12, 1, 4);
    pci_config_write(&d.bus, 0, d.devfn, cap + 16, 1, 1);
    assert_int_equal(driver_status(&d), 1);
    assert_int_equal(pci_config_read(&d.bus, 0, d.devfn, cap + 16, 1), 1);
    pci_config_write(&d.bus, 0, d.devfn, cap + 8, COMMON_NUM_QUEUES, 4);
    pci_config_write(&d.bus, 0, d.devfn, cap + 12, 2, 4);
    assert_int_equal(pci_config_read(&d.bus, 0, d.devfn, cap + 16, 2), 1);
    /* It aims nowhere: nothing happens. */
    static const uint32_t wild[][3] = {{0, 0xfffffffe, 2}, {1, 0x14, 1}, {0, 0x14, 3},
                                       {0, 0x3fff, 4},     {0, 0x15, 2}, {0, 0x4000, 1},
                                       {0, 0x14, 0},       {0xff, 0, 4}, {0, 0, 0xffffffff}};
    for (unsigned i = 0; i < ARRAY_SIZE(wild); i++) {
        pci_config_write(&d.bus, 0, d.devfn, cap + 4, wild[i][0], 1);
        pci_config_write(&d.bus, 0, d.devfn, cap + 8, wild[i][1], 4);
        pci_config_write(&d.bus, 0, d.devfn, cap + 12, wild[i][2], 4);
        pci_config_write(&d.bus, 0, d.devfn, cap + 16, 0, 4);
        pci_config_read(&d.bus, 0, d.devfn, cap + 16, 4);
        assert_int_equal(driver_status(&d), 1);
    }
    driver_finish(&d);
}

static void no_bus_master_no_dma(void **state)
{
    bench_make(&d, &b, KIND_RNG);
    driver_start(&d, 0);
    pci_config_write(&d.bus, 0, d.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    one_round(0);
    pci_config_write(&d.bus, 0, d.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    one_round(2);
    driver_finish(&d);
}

/* Any write to any register, of any width: the device may be broken by it, nothing else. */
static void wild_registers(void **state)
{
    for (unsigned k = 0; k < kind_count; k++) {
        struct device *dev = bench_make(&d, &b, k);
        uint64_t seed = 12345 + k;

        for (unsigned i = 0; i < 40000; i++) {
            uint64_t at;

            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            at = d.common + (seed >> 33 & 0x3fff);
            if (seed >> 20 & 1)
                at = d.common + (seed >> 33 & 0x3f);
            if (seed & 1)
                driver_write(&d, at, seed >> 40, 1U << (seed >> 2 & 3));
            else
                driver_read(&d, at, 1U << (seed >> 2 & 3));
            driver_run(&d);
        }
        dev->ops->reset(dev);
        driver_attach(&d); /* the BARs are gone, too */
        assert_int_equal(driver_status(&d), 0);
        driver_finish(&d);
    }
}

static void creation_fails_whole(void **state)
{
    struct device *dev = NULL;

    driver_init(&d);
    d.plat.fail_after = 1;
    assert_int_equal(virtio_rng_create(&d.vm, &d.bus, "rng0", &dev, NULL), -ENOMEM);
    assert_int_equal(virtio_rng_create(&d.vm, &d.bus, "rng0", &dev, NULL), 0);
    dev = NULL;
    assert_int_equal(virtio_rng_create(&d.vm, &d.bus, "rng0", &dev, NULL), -EEXIST);
    assert_null(dev);
    driver_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity),
        cmocka_unit_test(features_must_be_offered),
        cmocka_unit_test(queues_that_are_not),
        cmocka_unit_test(registers_take_their_width_only),
        cmocka_unit_test(queue_enable_checks),
        cmocka_unit_test(vectors_out_of_range),
        cmocka_unit_test(msix_interrupts),
        cmocka_unit_test(event_index_interrupts),
        cmocka_unit_test(index_wraps),
        cmocka_unit_test(intx_and_isr),
        cmocka_unit_test(pci_cfg_window),
        cmocka_unit_test(no_bus_master_no_dma),
        cmocka_unit_test(wild_registers),
        cmocka_unit_test(creation_fails_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
