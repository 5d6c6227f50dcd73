/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What drives which of the machine's devices: the first that matches. */
#include "hv/drv/host-virtio.h"

#define VIRTIO 0x1af4U /* the vendor */

/*
 * Transitional virtio devices have numbers of their own, and are driven as modern ones
 * all the same (virtio 1.2, section 4.1.2). Still to come, each with a line here: AHCI
 * (class 0x010601), NVMe (class 0x010802), e1000e (8086:10d3). A disk brings a struct disk
 * (hv/drv/disk.h), a NIC a struct switch_port (switch/switch.h).
 */
const struct host_driver host_drivers[] = {
    {.name = "virtio-net", .vendor = VIRTIO, .device = 0x1041, .attach = host_net_attach},
    {.name = "virtio-net", .vendor = VIRTIO, .device = 0x1000, .attach = host_net_attach},
    {.name = "virtio-blk", .vendor = VIRTIO, .device = 0x1042, .attach = host_blk_attach},
    {.name = "virtio-blk", .vendor = VIRTIO, .device = 0x1001, .attach = host_blk_attach},
    {.name = "virtio-console", .vendor = VIRTIO, .device = 0x1043, .attach = host_console_attach},
    {.name = "virtio-console", .vendor = VIRTIO, .device = 0x1003, .attach = host_console_attach},
};

const unsigned host_driver_count = ARRAY_SIZE(host_drivers);
