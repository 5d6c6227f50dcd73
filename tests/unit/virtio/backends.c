/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/virtio/backends.h"

#include <stdlib.h>
#include <string.h>

#include "dev/virtio/balloon.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"

/* ---- disk ---- */

static void disk_execute(struct fake_disk *disk, struct blk_req *req)
{
    uint64_t at = req->offset;
    int result = disk->fail;

    if (req->op != BLK_FLUSH)
        base_assert(req->offset + req->len <= DISK_SIZE && req->offset % 512 == 0 && req->len % 512 == 0);
    for (unsigned i = 0; !result && i < req->vec_count; i++) {
        if (req->op == BLK_READ)
            memcpy(req->vec[i].base, disk->data + at, req->vec[i].len);
        else
            memcpy(disk->data + at, req->vec[i].base, req->vec[i].len);
        at += req->vec[i].len;
    }
    if (!result && (req->op == BLK_DISCARD || req->op == BLK_WRITE_ZEROES))
        memset(disk->data + req->offset, 0, req->len);
    req->done(req, result);
}

void fake_disk_complete(struct fake_disk *disk)
{
    while (disk->pending_count)
        disk_execute(disk, disk->pending[--disk->pending_count]); /* last first: order is nobody's promise */
}

static void disk_submit(struct blk *blk, struct blk_req *req)
{
    struct fake_disk *disk = container_of(blk, struct fake_disk, blk);

    disk->submits++;
    if (disk->hold) {
        base_assert(disk->pending_count < DISK_MAX_PENDING);
        disk->pending[disk->pending_count++] = req;
    } else {
        disk_execute(disk, req);
    }
}

static void disk_kick(struct blk *blk)
{
    container_of(blk, struct fake_disk, blk)->kicks++;
}

static void disk_drain(struct blk *blk)
{
    fake_disk_complete(container_of(blk, struct fake_disk, blk));
}

static void disk_close(struct blk *blk)
{
    disk_drain(blk);
    container_of(blk, struct fake_disk, blk)->closed = true;
}

static const struct blk_ops disk_ops = {
    .name = "fake", .submit = disk_submit, .kick = disk_kick, .drain = disk_drain, .close = disk_close};

void fake_disk_init(struct fake_disk *disk)
{
    memset(disk, 0, sizeof(*disk));
    disk->blk = (struct blk){.ops = &disk_ops,
                             .size = DISK_SIZE,
                             .block_size = 512,
                             .can_discard = true,
                             .can_write_zeroes = true,
                             .serial = "SERIAL-0123456789abc"};
}

/* ---- network ---- */

static void net_send(struct net *net, const struct net_vec *vec, unsigned count)
{
    struct fake_net *f = container_of(net, struct fake_net, net);

    f->last_len = 0;
    for (unsigned i = 0; i < count; i++) {
        base_assert(f->last_len + vec[i].len <= sizeof(f->last));
        memcpy(f->last + f->last_len, vec[i].base, vec[i].len);
        f->last_len += vec[i].len;
    }
    f->sent++;
}

static void net_resume(struct net *net)
{
    container_of(net, struct fake_net, net)->resumed++;
}

static int net_set_header(struct net *net, bool header, unsigned offloads)
{
    struct fake_net *f = container_of(net, struct fake_net, net);

    f->header = header;
    f->offloads = offloads;
    return 0;
}

static void net_close(struct net *net)
{
    container_of(net, struct fake_net, net)->closed = true;
}

static const struct net_ops plain_ops = {
    .name = "fake", .send = net_send, .resume = net_resume, .close = net_close};
static const struct net_ops offload_ops = {
    .name = "fake", .send = net_send, .resume = net_resume, .set_header = net_set_header, .close = net_close};

void fake_net_init(struct fake_net *net, bool offloads)
{
    memset(net, 0, sizeof(*net));
    net->net = (struct net){.ops = offloads ? &offload_ops : &plain_ops, .link_up = true};
}

/* ---- terminal ---- */

static size_t tty_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct fake_tty *tty = container_of(chardev, struct fake_tty, chardev);
    size_t n = MIN(len, tty->room);

    n = MIN(n, sizeof(tty->out) - tty->out_len);
    memcpy(tty->out + tty->out_len, buf, n);
    tty->out_len += n;
    tty->room -= n;
    return n;
}

static void tty_resume(struct chardev *chardev)
{
    container_of(chardev, struct fake_tty, chardev)->resumed++;
}

static void tty_close(struct chardev *chardev)
{
    container_of(chardev, struct fake_tty, chardev)->closed = true;
}

static const struct chardev_ops tty_ops = {
    .name = "fake", .write = tty_write, .resume = tty_resume, .close = tty_close};

void fake_tty_init(struct fake_tty *tty)
{
    memset(tty, 0, sizeof(*tty));
    tty->chardev = (struct chardev){.ops = &tty_ops, .connected = true};
    tty->room = SIZE_MAX;
}

/* ---- the devices ---- */

static void make_blk(struct driver *d, struct backends *b, struct device **out)
{
    if (virtio_blk_create(&d->vm, &d->bus, "disk0", &b->disk.blk, 2, out, NULL) < 0)
        abort();
}

static void make_net(struct driver *d, struct backends *b, struct device **out)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

    if (virtio_net_create(&d->vm, &d->bus, "net0", &b->net.net, mac, out, NULL) < 0)
        abort();
}

static void make_console(struct driver *d, struct backends *b, struct device **out)
{
    struct virtio_console_port_config ports[] = {
        {.name = "tty", .chardev = &b->tty[0].chardev, .console = true},
        {.name = "org.batuta.agent", .chardev = &b->tty[1].chardev},
    };

    if (virtio_console_create(&d->vm, &d->bus, "console0", ports, 2, out, NULL) < 0)
        abort();
}

static void make_rng(struct driver *d, struct backends *b, struct device **out)
{
    if (virtio_rng_create(&d->vm, &d->bus, "rng0", out, NULL) < 0)
        abort();
}

static void discard(void *opaque, uint8_t *host, uint64_t len)
{
    struct backends *b = opaque;

    memset(host, 0, len);
    b->discards++;
    b->discarded += len;
    b->discard_at = (uint64_t)(uintptr_t)host;
}

static void make_balloon(struct driver *d, struct backends *b, struct device **out)
{
    d->vm.mem.discard = discard;
    d->vm.mem.discard_opaque = b;
    if (virtio_balloon_create(&d->vm, &d->bus, "balloon0", out, NULL) < 0)
        abort();
}

const struct kind kinds[] = {
    [KIND_BLK] = {"blk", make_blk},
    [KIND_NET] = {"net", make_net},
    [KIND_CONSOLE] = {"console", make_console},
    [KIND_RNG] = {"rng", make_rng},
    [KIND_BALLOON] = {"balloon", make_balloon},
};
const unsigned kind_count = ARRAY_SIZE(kinds);

struct device *bench_make(struct driver *d, struct backends *b, unsigned kind)
{
    struct device *dev = NULL;

    driver_init(d);
    fake_disk_init(&b->disk);
    fake_net_init(&b->net, false);
    fake_tty_init(&b->tty[0]);
    fake_tty_init(&b->tty[1]);
    b->discarded = b->discards = 0;
    kinds[kind].create(d, b, &dev);
    driver_attach(d);
    return dev;
}
