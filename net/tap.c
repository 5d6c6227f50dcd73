/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tap interface of the host's. The kernel's side always has the virtio header
 * (IFF_VNET_HDR); a NIC that does not want headers never sees them, and then no
 * offloads are on.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/loop.h"
#include "net/net.h"

#define BATCH    64U
#define MAX_VECS 257U

struct tap {
    struct net net;
    struct loop *loop;
    struct loop_fd watch;
    bool headers; /* the NIC's frames have them */
    size_t held;  /* bytes of a frame in rx that found no room */
    uint8_t rx[NET_HEADER_SIZE + NET_FRAME_MAX];
};

static struct tap *tap_of(struct net *net)
{
    return container_of(net, struct tap, net);
}

static void tap_send(struct net *net, const struct net_vec *vec, unsigned count)
{
    static const uint8_t no_header[NET_HEADER_SIZE];
    struct tap *tap = tap_of(net);
    struct iovec iov[MAX_VECS];
    unsigned n = 0;
    ssize_t r;

    if (count >= MAX_VECS)
        return;
    if (!tap->headers)
        iov[n++] = (struct iovec){(void *)(uintptr_t)no_header, sizeof(no_header)};
    for (unsigned i = 0; i < count; i++)
        iov[n++] = (struct iovec){(void *)(uintptr_t)vec[i].base, vec[i].len};
    do
        r = writev(tap->watch.fd, iov, (int)n);
    while (r < 0 && errno == EINTR);
    /* What the kernel does not take (full queue, interface down, nonsense in the header) is lost. */
}

/* True: the frame in rx is dealt with. */
static bool deliver(struct tap *tap, size_t len)
{
    size_t skip = tap->headers ? 0 : NET_HEADER_SIZE;

    return len < NET_HEADER_SIZE || !tap->net.nic ||
           tap->net.receive(tap->net.nic, tap->rx + skip, len - skip);
}

static void tap_readable(void *opaque, unsigned events)
{
    struct tap *tap = opaque;

    for (unsigned i = 0; i < BATCH && !tap->held; i++) {
        ssize_t n = read(tap->watch.fd, tap->rx, sizeof(tap->rx));

        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                loop_change(tap->loop, &tap->watch, 0); /* the interface is gone: nothing will come */
            return;
        }
        if (!deliver(tap, (size_t)n)) {
            tap->held = (size_t)n;
            loop_change(tap->loop, &tap->watch, 0);
        }
    }
}

static void tap_resume(struct net *net)
{
    struct tap *tap = tap_of(net);

    if (!tap->held || !deliver(tap, tap->held))
        return;
    tap->held = 0;
    loop_change(tap->loop, &tap->watch, LOOP_READ);
}

static int tap_set_header(struct net *net, bool header, unsigned offloads)
{
    struct tap *tap = tap_of(net);
    unsigned flags = 0;

    if (header && (offloads & NET_OFFLOAD_CSUM)) {
        flags = TUN_F_CSUM;
        flags |= (offloads & NET_OFFLOAD_TSO4) ? TUN_F_TSO4 : 0;
        flags |= (offloads & NET_OFFLOAD_TSO6) ? TUN_F_TSO6 : 0;
        if (flags != TUN_F_CSUM && (offloads & NET_OFFLOAD_ECN))
            flags |= TUN_F_TSO_ECN;
    }
    if (ioctl(tap->watch.fd, TUNSETOFFLOAD, (unsigned long)flags) < 0)
        return -errno;
    if (header != tap->headers)
        tap->held = 0; /* it is shaped for the other kind of NIC */
    tap->headers = header;
    return 0;
}

static void tap_close(struct net *net)
{
    struct tap *tap = tap_of(net);

    loop_unwatch(tap->loop, &tap->watch);
    close(tap->watch.fd);
    free(tap);
}

static const struct net_ops tap_ops = {
    .name = "tap",
    .send = tap_send,
    .resume = tap_resume,
    .set_header = tap_set_header,
    .close = tap_close,
};

/* ---- opening ---- */

static int attach_failed(const char *name, int e, struct error *err)
{
    if (e == EPERM || e == EACCES)
        return error_set(err, e,
                         "tap %s: no permission; as root, make one for yourself: ip tuntap add dev %s mode "
                         "tap user $USER && ip link set %s up",
                         name, name, name);
    if (e == EBUSY)
        return error_set(err, e, "tap %s: is in use by another program", name);
    if (e == EINVAL)
        return error_set(err, e, "tap %s: is an interface, but no tap with a single queue", name);
    return error_set(err, e, "tap %s: %s", name, strerror(e));
}

static int tap_attach(const char *name, int *out, struct error *err)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd, e;

    if (!name || !*name || strlen(name) >= IFNAMSIZ)
        return error_set(err, EINVAL, "tap %s: a name of an interface has 1 to %d characters",
                         name ? name : "", IFNAMSIZ - 1);
    /* Root would make a new one that is connected to nothing. */
    if (!if_nametoindex(name))
        return error_set(err, ENODEV,
                         "tap %s: there is no such interface; make it%s: ip tuntap add dev %s mode tap%s && "
                         "ip link set %s up",
                         name, geteuid() ? ", as root" : "", name, geteuid() ? " user $USER" : "", name);
    strcpy(ifr.ifr_name, name);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, errno, "tap %s: cannot open /dev/net/tun: %s (modprobe tun, or use --net user)",
                         name, strerror(errno));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
        e = errno;
        close(fd);
        return attach_failed(name, e, err);
    }
    *out = fd;
    return 0;
}

/* A descriptor that somebody else opened: is it a tap, with headers? */
static int fd_check(int fd, struct error *err)
{
    struct ifreq ifr = {0};
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || ioctl(fd, TUNGETIFF, &ifr) < 0)
        return error_set(err, EINVAL, "tap descriptor %d: is not an attached tap", fd);
    if ((ifr.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        return error_set(err, EINVAL,
                         "tap descriptor %d: must be attached with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd);
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0
               ? error_set(err, errno, "tap descriptor %d: %s", fd, strerror(errno))
               : 0;
}

int net_tap_open(struct loop *loop, const struct net_tap_options *o, struct net **out, struct error *err)
{
    int fd = o->fd, header = NET_HEADER_SIZE, r;
    struct tap *tap;

    r = o->use_fd ? fd_check(fd, err) : tap_attach(o->name, &fd, err);
    if (r < 0)
        return r;
    tap = calloc(1, sizeof(*tap));
    if (!tap) {
        r = error_set(err, ENOMEM, "no memory for a tap");
        goto fail;
    }
    tap->loop = loop;
    tap->net = (struct net){.ops = &tap_ops, .link_up = true};
    tap->watch = (struct loop_fd){.fd = fd, .events = LOOP_READ, .fn = tap_readable, .opaque = tap};
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || ioctl(fd, TUNSETOFFLOAD, 0UL) < 0) {
        r = error_set(err, errno, "tap: the kernel refuses virtio headers: %s", strerror(errno));
        goto fail;
    }
    r = loop_watch(loop, &tap->watch);
    if (r < 0) {
        error_set(err, -r, "the event loop takes no more descriptors");
        goto fail;
    }
    *out = &tap->net;
    return 0;
fail:
    free(tap);
    if (!o->use_fd)
        close(fd);
    return r;
}
