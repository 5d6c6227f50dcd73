/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio console (virtio 1.2, section 5.3) with several named ports, each with
 * a character device behind it. Port 0 is there for drivers without multiport, too.
 * No emergency write.
 */
#ifndef DEV_VIRTIO_CONSOLE_H
#define DEV_VIRTIO_CONSOLE_H

#include "core/chardev.h"
#include "core/vm.h"

struct pci_bus;
struct device;

#define VIRTIO_CONSOLE_MAX_PORTS 8U
#define VIRTIO_CONSOLE_NAME_MAX  32U

struct virtio_console_port_config {
    const char *name;        /* /dev/virtio-ports/NAME in Linux; NULL: none. Copied. */
    struct chardev *chardev; /* the port's from success on, and closed with it */
    bool console;            /* a terminal (hvc0 …) rather than a plain channel */
};

/* ports: 1..VIRTIO_CONSOLE_MAX_PORTS of them. */
int virtio_console_create(struct vm *vm, struct pci_bus *bus, const char *id,
                          const struct virtio_console_port_config *ports, unsigned count, struct device **out,
                          struct error *err);

/* The terminal behind a port has this size now. */
void virtio_console_resize(struct device *dev, unsigned port, uint16_t columns, uint16_t rows);

/* Section 5.3.3, 5.3.6.2 */
#define VIRTIO_CONSOLE_F_SIZE      0U
#define VIRTIO_CONSOLE_F_MULTIPORT 1U

enum virtio_console_event {
    VIRTIO_CONSOLE_DEVICE_READY = 0,
    VIRTIO_CONSOLE_DEVICE_ADD = 1,
    VIRTIO_CONSOLE_PORT_READY = 3,
    VIRTIO_CONSOLE_CONSOLE_PORT = 4,
    VIRTIO_CONSOLE_RESIZE = 5,
    VIRTIO_CONSOLE_PORT_OPEN = 6,
    VIRTIO_CONSOLE_PORT_NAME = 7,
};

#define VIRTIO_CONSOLE_CONTROL_RX 2U
#define VIRTIO_CONSOLE_CONTROL_TX 3U

static inline unsigned virtio_console_rx_queue(unsigned port)
{
    return port ? 2 * port + 2 : 0;
}

static inline unsigned virtio_console_tx_queue(unsigned port)
{
    return virtio_console_rx_queue(port) + 1;
}

#endif
