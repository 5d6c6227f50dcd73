/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's devices, and what is behind them on this machine. */
#include "base/bytes.h"
#include "base/fmt.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"
#include "hv/drv/disk.h"
#include "hv/drv/ramdisk.h"
#include "hv/hv.h"
#include "monitor/monitor.h"

#define MAX_QUEUES 16U

static int make_board(struct guest *g, struct error *err)
{
    const struct hv_vm *c = g->config;
    struct board_config config = {
        .serial = {true},
        .debug_exit_port = (uint16_t)c->machine.debug_exit,
        .watchdog = c->watchdog,
        .watchdog_seconds = (unsigned)c->watchdog,
    };

    if (c->console[0].kind == HV_CONSOLE_MONITOR)
        config.serial_dev[0] = monitor_console_open(g->hv->monitor, g->index, &g->plat.plat);
    g->console_open = config.serial_dev[0];
    return board_create(&g->vm, &config, &g->board, err);
}

/* Disks in memory outlive the VM's restarts: they are made once. */
static int open_ramdisk(struct guest *g, const struct hv_vm_disk *disk, struct blk **kept, struct error *err)
{
    const struct boot_module *module = NULL;
    int r;

    if (*kept)
        return 0;
    if (disk->kind == HV_DISK_MODULE) {
        module = hv_module_find(disk->module);
        if (!module)
            return error_set(err, ENOENT, "there is no boot module '%s'", disk->module);
    }
    r = ramdisk_create(&g->plat.plat, module ? phys_to_virt(module->phys) : NULL, module ? module->size : 0,
                       module ? 0 : disk->size, disk->read_only, kept, err);
    if (r == 0)
        ramdisk_keep(*kept, true);
    return r;
}

static int open_disk(struct guest *g, unsigned i, struct blk **blk, struct error *err)
{
    const struct hv_vm_disk *disk = &g->config->disk[i];
    int r;

    if (disk->kind == HV_DISK_VIRTIO)
        return disk_open(disk->index, disk->offset, disk->size, disk->read_only, &g->plat.plat, blk, err);
    r = open_ramdisk(g, disk, &g->ramdisk[i], err);
    if (r == 0)
        *blk = g->ramdisk[i];
    return r;
}

static int make_disk(struct guest *g, unsigned i, struct error *err)
{
    const struct hv_vm_disk *disk = &g->config->disk[i];
    struct device *dev;
    struct blk *blk;
    char id[16];
    int r = open_disk(g, i, &blk, err);

    if (r < 0)
        return r;
    if (disk->serial)
        fmt_print(blk->serial, sizeof(blk->serial), "%s", disk->serial);
    fmt_print(id, sizeof(id), "disk%u", i);
    r = virtio_blk_create(&g->vm, g->board.pci, id, blk, MIN(g->vm.vcpu_count, MAX_QUEUES), &dev, err);
    if (r < 0)
        blk->ops->close(blk);
    else
        g->disk[i] = blk;
    return r;
}

static int make_net(struct guest *g, unsigned i, struct error *err)
{
    const struct hv_vm_net *n = &g->config->net[i];
    struct switch_config config = {
        .guard = {.mac = !n->any_mac,
                  .ip = n->ip_count || n->ip6_count,
                  .dhcp_server = n->dhcp_server,
                  .router = n->router,
                  .ipv4_count = n->ip_count,
                  .ipv6_count = n->ip6_count},
        .trunk = n->port.trunk,
        .vlan = n->port.vlan,
        .allowed = n->port.vlans,
        .flood_rate = (uint32_t)n->flood,
    };
    struct device *dev;
    struct net *net;
    char id[16], name[32];
    int r;

    _Static_assert(HV_MAX_IPS <= GUARD_MAX_ADDRESSES, "each address has its place");
    memcpy(config.guard.address, n->mac, sizeof(n->mac));
    memcpy(config.guard.ipv4, n->ip, n->ip_count * sizeof(n->ip[0]));
    memcpy(config.guard.ipv6, n->ip6, n->ip6_count * sizeof(n->ip6[0]));
    fmt_print(name, sizeof(name), "%.20s.net%u", guest_name(g), i);
    fmt_print(id, sizeof(id), "net%u", i);
    config.name = name;
    r = switch_port_open(&g->hv->net, &g->plat.plat, &config, &net, err);
    if (r < 0)
        return r;
    r = virtio_net_create(&g->vm, g->board.pci, id, net, n->mac, &dev, err);
    if (r < 0)
        net->ops->close(net);
    return r;
}

int guest_devices(struct guest *g, struct error *err)
{
    const struct hv_vm *c = g->config;
    struct device *dev;
    int r = make_board(g, err);

    for (unsigned i = 0; r == 0 && i < c->disk_count; i++)
        r = make_disk(g, i, err);
    for (unsigned i = 0; r == 0 && i < c->net_count; i++)
        r = make_net(g, i, err);
    if (r == 0 && c->machine.rng)
        r = virtio_rng_create(&g->vm, g->board.pci, "rng0", &dev, err);
    if (r == 0 && c->machine.balloon)
        r = virtio_balloon_create(&g->vm, g->board.pci, "balloon0", &dev, err);
    return r < 0 && err && !err->code ? error_set(err, -r, "cannot make its devices (error %d)", -r) : r;
}

void guest_devices_gone(struct guest *g)
{
    g->console_open = NULL;
    memset(g->disk, 0, sizeof(g->disk));
}
