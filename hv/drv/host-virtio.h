/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's virtio devices: what hv/drv/drivers.c attaches, and how others come by it. */
#ifndef HV_DRV_HOST_VIRTIO_H
#define HV_DRV_HOST_VIRTIO_H

#include "core/chardev.h"
#include "hv/drv/host-pci.h"

struct net_switch;
struct switch_config;
struct switch_stats;

/* As struct host_driver's attach(). A disk is found by disk_open() from then on. */
int host_blk_attach(struct host_pci *fn, struct error *err);
int host_net_attach(struct host_pci *fn, struct error *err);
int host_console_attach(struct host_pci *fn, struct error *err);

/* ---- NICs ---- */

/* Its MAC address; false: there is no such NIC. */
bool host_net_mac(unsigned number, uint8_t mac[6]);
/*
 * Makes it a port of the switch, for as long as the machine runs. `wake` is called in
 * interrupts when frames have come; host_net_poll() then passes some of them on, and is
 * true if there may be more. config's guard address is not used.
 */
int host_net_join(unsigned number, struct net_switch *sw, const struct switch_config *config,
                  void (*wake)(void *opaque), void *opaque, struct error *err);
/* One thread only, with nothing held. */
bool host_net_poll(unsigned number);
/* False: it is no port of a switch. */
bool host_net_stats(unsigned number, struct switch_stats *stats);

/* ---- serial ports of a virtio console ---- */

/*
 * By name, or NULL: there is none, or its device has not named its ports yet, which takes it a moment. Who
 * takes it sets receive and the others, and then calls resume(). It may write from any thread; the calls to
 * it come in interrupts, one at a time, with no lock held. receive() that takes less than all is offered the
 * rest after resume(). connected: the other side is there.
 */
struct chardev *host_console_port(const char *name);
/* named() is called, in interrupts, when a port has got its name. One watcher, for good. */
void host_console_watch(void (*named)(void *opaque), void *opaque);

#endif
