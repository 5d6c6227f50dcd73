/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"
#include "dev/board.h"
#include "dev/timer/pm.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"
#include "net/net.h"

#define MAX_QUEUES 16U

static void press_power(struct vmm *vmm)
{
    pm_power_button(&vmm->vm);
}

static int make_fixed(struct vmm *vmm, struct error *err)
{
    struct board_config config = {
        .serial = {true},
        .serial_dev = {vmm->console[0]},
        .debug_dev = vmm->debugcon,
        .debug_exit_port = (uint16_t)vmm->options.machine.debug_exit,
    };
    int r = board_create(&vmm->vm, &config, vmm->board, err);

    vmm->power_button = press_power;
    return r;
}

static int make_disk(struct vmm *vmm, unsigned i, struct error *err)
{
    const struct opt_disk *disk = &vmm->options.disk[i];
    const struct block_options options = {
        .path = disk->path,
        .format = disk->format ? disk_formats[disk->format] : NULL,
        .serial = disk->serial,
        .read_only = disk->read_only,
        .snapshot = vmm->options.snapshot,
        .direct = disk->direct ? BLOCK_DIRECT_ON : BLOCK_DIRECT_AUTO,
        .io = vmm->options.icount ? BLOCK_IO_SYNC : BLOCK_IO_AUTO,
    };
    struct device *dev;
    struct blk *blk;
    char id[16];
    int r = block_open(vmm->loop, &options, &blk, err);

    if (r < 0) {
        error_prefix(err, "--disk");
        return r;
    }
    snprintf(id, sizeof(id), "disk%u", i);
    r = virtio_blk_create(&vmm->vm, vmm->board->pci, id, blk, MIN(vmm->vm.vcpu_count, MAX_QUEUES), &dev, err);
    if (r < 0)
        blk->ops->close(blk);
    else
        vmm->disk[i] = blk;
    return r;
}

static int open_net(struct vmm *vmm, const struct opt_net *o, struct net **net, struct error *err)
{
    const struct net_slirp_options slirp = {.hostfwd = (const char *const *)o->forward,
                                            .hostfwd_count = o->forward_count,
                                            .hostname = vmm->options.machine.name};
    const struct net_tap_options tap = {.name = o->tap};
    int r = o->kind == NET_TAP ? net_tap_open(vmm->loop, &tap, net, err)
                               : net_slirp_open(vmm->loop, &slirp, net, err);

    if (r < 0)
        error_prefix(err, "--net");
    return r;
}

static int make_net(struct vmm *vmm, unsigned i, struct error *err)
{
    const struct opt_net *o = &vmm->options.net[i];
    uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + i)};
    struct device *dev;
    struct net *net;
    char id[16];
    int r = open_net(vmm, o, &net, err);

    if (r < 0)
        return r;
    if (o->has_mac)
        memcpy(mac, o->mac, sizeof(mac));
    snprintf(id, sizeof(id), "net%u", i);
    r = virtio_net_create(&vmm->vm, vmm->board->pci, id, net, mac, &dev, err);
    if (r < 0)
        net->ops->close(net);
    return r;
}

/* Every console but the first, which is the serial port. */
static int make_virtio_consoles(struct vmm *vmm, struct error *err)
{
    struct virtio_console_port_config ports[OPT_MAX_CONSOLES] = {0};
    unsigned count = vmm->options.console_count - 1;
    struct device *dev;
    int r;

    if (!count)
        return 0;
    for (unsigned i = 0; i < count; i++)
        ports[i] = (struct virtio_console_port_config){.chardev = vmm->console[i + 1], .console = true};
    r = virtio_console_create(&vmm->vm, vmm->board->pci, "console0", ports, count, &dev, err);
    /* They are the device's now. */
    for (unsigned i = 0; r == 0 && i < count; i++)
        vmm->console[i + 1] = NULL;
    return r;
}

int board_make(struct vmm *vmm, struct error *err)
{
    const struct run_options *o = &vmm->options;
    struct device *dev;
    int r;

    vmm->board = calloc(1, sizeof(*vmm->board));
    if (!vmm->board)
        return error_set(err, ENOMEM, "out of memory");
    r = make_fixed(vmm, err);
    for (unsigned i = 0; r == 0 && i < o->disk_count; i++)
        r = make_disk(vmm, i, err);
    for (unsigned i = 0; r == 0 && i < o->net_count; i++)
        r = make_net(vmm, i, err);
    r = r < 0 ? r : make_virtio_consoles(vmm, err);
    if (r == 0 && o->machine.rng)
        r = virtio_rng_create(&vmm->vm, vmm->board->pci, "rng0", &dev, err);
    if (r == 0 && o->machine.balloon)
        r = virtio_balloon_create(&vmm->vm, vmm->board->pci, "balloon0", &dev, err);
    return r < 0 && err && !err->code
               ? error_set(err, -r, "cannot make the machine's devices: %s", strerror(-r))
               : r;
}

int board_without_firmware(struct vmm *vmm, struct error *err)
{
    uint64_t rsdp = 0;
    int r = board_direct_boot(vmm->board, &rsdp, err);

    boot_set_rsdp(vmm->boot, rsdp);
    return r;
}

void board_finish(struct vmm *vmm)
{
    free(vmm->board);
}
