/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of bytes to and from a person or program: terminal, pty, socket,
 * file. I/O thread or a vCPU's, VM lock held.
 *
 * The bare machine's own ports (a UART, a virtio-console port) are chardevs too, with
 * monitor/ in the device's place. There is no VM lock around those: write() and
 * resume() come from the monitor's thread, and the driver calls receive(), writable()
 * and connection() in interrupts, one at a time, with nothing held. They only leave
 * word for the monitor.
 */
#ifndef CORE_CHARDEV_H
#define CORE_CHARDEV_H

#include "base/base.h"

struct chardev;

struct chardev_ops {
    const char *name;
    /* How many bytes were taken: less than len if the peer is slow. writable() tells when to go on. */
    size_t (*write)(struct chardev *chardev, const uint8_t *buf, size_t len);
    /* The device has room again after receive() took less than offered. */
    void (*resume)(struct chardev *chardev);
    void (*close)(struct chardev *chardev);
};

struct chardev {
    const struct chardev_ops *ops;
    bool connected;
    /* Set by the device model; each may be NULL. receive returns how many bytes it took. */
    size_t (*receive)(void *device, const uint8_t *buf, size_t len);
    void (*writable)(void *device);
    void (*connection)(void *device, bool connected);
    void *device;
};

#endif
