/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that the firmware left without addresses, beside one that has its own. */
#include <string.h>

#include "dev/virtio/blk.h"
#include "hv/drv/disk.h"
#include "hv/drv/host-pci.h"
#include "hv/drv/ramdisk.h"
#include "tests/unit/hv-drv/host.h"
#include "tests/unit/virtio/check.h"

#define DISKS    3U
#define BAR4     0x20U
#define OCCUPIED (MEM_PCI32_BASE + MEM_PCI32_SIZE - 0x2000)

static unsigned disks; /* they keep their numbers */

static void machine_make(uint64_t room)
{
    host_init();
    host.room = room;
    for (unsigned i = 0; i < DISKS; i++) {
        char id[] = "disk0";
        struct blk *blk;

        id[4] = (char)('0' + i);
        assert_int_equal(ramdisk_create(&host.plat.plat, NULL, 0, MIB(1), false, &blk, NULL), 0);
        assert_int_equal(virtio_blk_create(&host.vm, &host.bus, id, blk, 1, NULL, NULL), 0);
    }
}

static void no_two_overlap(void)
{
    for (unsigned i = 0; i < DISKS * HOST_PCI_BARS; i++) {
        const struct host_pci *a = host_pci_get(i / HOST_PCI_BARS);
        uint64_t begin = a->bar[i % HOST_PCI_BARS].address, size = a->bar[i % HOST_PCI_BARS].size;

        if (!size)
            continue;
        assert_in_range(begin, MEM_PCI32_BASE, MEM_PCI32_BASE + host.room - size);
        assert_int_equal(begin % size, 0);
        for (unsigned k = 0; k < i; k++) {
            const struct host_pci *b = host_pci_get(k / HOST_PCI_BARS);
            uint64_t other = b->bar[k % HOST_PCI_BARS].address;

            assert_true(begin + size <= other || other + b->bar[k % HOST_PCI_BARS].size <= begin);
        }
    }
}

static void assigns(void **state)
{
    machine_make(MEM_PCI32_SIZE);
    /* The last one has an address, right where the first would get its own. */
    pci_config_write(&host.bus, 0, PCI_DEVFN(2, 0), PCI_BASE_ADDRESS_0, OCCUPIED & ~0x3fffULL, 4);
    host_pci_scan();
    for (unsigned i = 0; i < DISKS; i++) {
        assert_non_null(host_pci_get(i));
        assert_string_equal(host_pci_get(i)->driver, "virtio-blk");
        assert_int_equal(disk_get(disks++)->size, MIB(1));
    }
    no_two_overlap();
    assert_int_equal(host_pci_get(2)->bar[0].address, OCCUPIED & ~0x3fffULL);
    host_finish();
}

static void no_room(void **state)
{
    machine_make(0x8000); /* for one and a half */
    host_pci_scan();
    assert_string_equal(host_pci_get(0)->driver, "virtio-blk");
    assert_null(host_pci_get(1)->driver);
    assert_null(host_pci_get(2)->driver);
    assert_non_null(strstr(host.last_log, "has no address, and there is no room for it"));
    host_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(assigns), cmocka_unit_test(no_room)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
