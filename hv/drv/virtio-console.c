/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The serial ports of the machine's virtio console (virtio 1.2, section 5.3). */
#include "base/bytes.h"
#include "base/spin.h"
#include "base/text.h"
#include "hv/drv/host-virtio.h"
#include "hv/drv/vdev.h"

#define MAX_CONSOLES   2U
#define MAX_PORTS      4U
#define NAME_MAX       32U
#define QUEUE_SIZE     16U
#define BUFFER         1024U
#define CONTROL_BUFFER 128U
#define MESSAGE        8U /* port, event, value */
#define CONTROL_RX     2U
#define CONTROL_TX     3U

enum feature { F_MULTIPORT = 1 };
enum config { MAX_NR_PORTS = 4 };
enum event { DEVICE_READY = 0, PORT_ADD = 1, PORT_REMOVE = 2, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME = 7 };

/* A queue with a buffer a slot. */
struct stream {
    struct vqueue queue;
    uint8_t *buffers;
    uint64_t phys;
    uint32_t size; /* of each */
};

struct port {
    struct chardev chardev;
    struct console *console;
    unsigned number;
    char name[NAME_MAX + 1];
    struct stream rx, tx;
    /* guarded by console->lock */
    bool present;
    bool delivering; /* somebody is in receive(), without the lock */
    bool again;      /* and is to look once more */
    bool full;       /* it took less than was offered; resume() comes */
    bool drop;       /* what there is goes nowhere */
    bool starved;    /* write() took less than was offered */
    int held;        /* the slot that is being delivered, -1: none */
    uint32_t held_len, held_at;
};

struct console {
    struct vdev vdev;
    struct spinlock lock; /* all queues, too */
    bool multiport;
    bool worn; /* the device keeps output buffers though nobody is there */
    unsigned port_count;
    struct stream control_rx, control_tx;
    struct port port[MAX_PORTS];
};

static struct console *consoles[MAX_CONSOLES];
static unsigned console_count;

static struct {
    void (*named)(void *opaque);
    void *opaque;
} watcher;

static uint8_t *stream_buffer(const struct stream *s, unsigned slot)
{
    return s->buffers + slot * s->size;
}

/* The slot with `len` bytes: of the buffer's room, or of what is in it. */
static void stream_post(struct stream *s, unsigned slot, uint32_t len, bool device_writes)
{
    vqueue_segment(&s->queue, slot, 0, s->phys + slot * s->size, len, device_writes);
    vqueue_post(&s->queue, slot, 1);
}

static void stream_fill(struct stream *s)
{
    int slot;

    while ((slot = vqueue_get(&s->queue)) >= 0)
        stream_post(s, (unsigned)slot, s->size, true);
    vqueue_kick(&s->queue);
}

static void stream_reclaim(struct stream *s)
{
    uint32_t len;
    int slot;

    while ((slot = vqueue_take(&s->queue, &len)) >= 0)
        vqueue_put(&s->queue, (unsigned)slot);
}

/* ---- output ---- */

static size_t stream_write(struct stream *s, const uint8_t *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        uint32_t n = (uint32_t)MIN(len - done, s->size);
        int slot = vqueue_get(&s->queue);

        if (slot < 0)
            break;
        memcpy(stream_buffer(s, (unsigned)slot), buf + done, n);
        stream_post(s, (unsigned)slot, n, false);
        done += n;
    }
    vqueue_kick(&s->queue);
    return done;
}

static size_t port_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct port *port = container_of(chardev, struct port, chardev);
    struct stream *s = &port->tx;
    size_t done = 0;

    spin_lock(&port->console->lock);
    stream_reclaim(s);
    /* Word of who came or went is on its way: what was meant for one is not sent to another. */
    if (port->console->multiport && vqueue_pending(&port->console->control_rx.queue)) {
        port->starved = true;
        spin_unlock(&port->console->lock);
        return 0;
    }
    for (;;) {
        done += stream_write(s, buf + done, len - done);
        port->starved = done < len;
        vqueue_interrupts(&s->queue, port->starved);
        if (!port->starved)
            break;
        stream_reclaim(s); /* what was done just before it could interrupt */
        if (!s->queue.free_count)
            break;
    }
    spin_unlock(&port->console->lock);
    return done;
}

static void output_done(struct port *port)
{
    bool tell;

    spin_lock(&port->console->lock);
    stream_reclaim(&port->tx);
    tell = port->starved && port->tx.queue.free_count;
    port->starved = false;
    spin_unlock(&port->console->lock);
    if (tell && port->chardev.writable)
        port->chardev.writable(port->chardev.device);
}

/* ---- input ---- */

/* What is to be delivered next. Lock held. */
static bool input_next(struct port *port, const uint8_t **bytes, size_t *len)
{
    uint32_t n;

    if (port->held < 0) {
        port->held = vqueue_take(&port->rx.queue, &n);
        if (port->held < 0)
            return false;
        port->held_len = MIN(n, port->rx.size);
        port->held_at = 0;
    }
    *bytes = stream_buffer(&port->rx, (unsigned)port->held) + port->held_at;
    *len = port->held_len - port->held_at;
    return true;
}

/* Lock held. */
static void input_taken(struct port *port, size_t n)
{
    port->held_at += (uint32_t)n;
    port->full = port->held_at < port->held_len;
    if (port->full)
        return;
    stream_post(&port->rx, (unsigned)port->held, port->rx.size, true);
    vqueue_kick(&port->rx.queue);
    port->held = -1;
}

/* The other side has gone: what it sent and nobody took is not its successor's. Lock held. */
static void input_drop(struct port *port)
{
    const uint8_t *bytes;
    size_t len;

    port->drop = port->delivering;
    while (!port->delivering && input_next(port, &bytes, &len))
        input_taken(port, len);
}

/* Calls receive() without the lock; never twice at the same time. */
static void input_deliver(struct port *port)
{
    const uint8_t *bytes;
    size_t len, n;

    spin_lock(&port->console->lock);
    port->again = port->delivering;
    if (port->delivering || !port->chardev.receive) {
        spin_unlock(&port->console->lock);
        return;
    }
    port->delivering = true;
    do {
        port->again = false;
        while (!port->full && input_next(port, &bytes, &len)) {
            spin_unlock(&port->console->lock);
            n = len ? port->chardev.receive(port->chardev.device, bytes, len) : 0;
            spin_lock(&port->console->lock);
            input_taken(port, port->drop ? len : MIN(n, len));
            while (port->drop && input_next(port, &bytes, &len))
                input_taken(port, len);
            port->drop = false;
        }
        if (port->again)
            port->full = false; /* resume() came while receive() had not yet said that it is full */
    } while (port->again);
    port->delivering = false;
    spin_unlock(&port->console->lock);
}

static void port_resume(struct chardev *chardev)
{
    struct port *port = container_of(chardev, struct port, chardev);

    spin_lock(&port->console->lock);
    port->full = false;
    spin_unlock(&port->console->lock);
    input_deliver(port);
}

static void port_close(struct chardev *chardev)
{
    chardev->receive = NULL;
    chardev->writable = NULL;
    chardev->connection = NULL;
}

static const struct chardev_ops port_ops = {
    .name = "virtio-console", .write = port_write, .resume = port_resume, .close = port_close};

/* ---- control messages: lock held ---- */

static void control_send(struct console *con, unsigned port, enum event event, unsigned value)
{
    struct stream *s = &con->control_tx;
    uint8_t *message;
    int slot;

    stream_reclaim(s);
    slot = vqueue_get(&s->queue);
    if (slot < 0)
        return; /* a device that answers none of sixteen messages */
    message = stream_buffer(s, (unsigned)slot);
    store_le32(message, port);
    store_le16(message + 4, (uint16_t)event);
    store_le16(message + 6, (uint16_t)value);
    stream_post(s, (unsigned)slot, MESSAGE, false);
    vqueue_kick(&s->queue);
}

/* True: the port's user is to hear of its connection. */
static bool control_handle(struct console *con, struct port *port, const uint8_t *message, size_t len)
{
    unsigned event = load_le16(message + 4), value = load_le16(message + 6);

    switch (event) {
    case PORT_ADD:
        port->present = true;
        control_send(con, port->number, PORT_READY, 1);
        control_send(con, port->number, PORT_OPEN, 1);
        return false;
    case PORT_REMOVE:
    case PORT_OPEN:
        port->chardev.connected = event == PORT_OPEN && value;
        if (!port->chardev.connected) {
            input_drop(port);
            stream_reclaim(&port->tx);
            con->worn |= port->tx.queue.free_count < port->tx.queue.slots / 2;
        }
        return true;
    case PORT_NAME:
        len = MIN(len - MESSAGE, NAME_MAX);
        memcpy(port->name, message + MESSAGE, len);
        port->name[len] = 0;
        return false;
    }
    return false;
}

static void control_work(struct console *con)
{
    struct stream *s = &con->control_rx;
    bool named = false;
    uint32_t len;
    int slot;

    spin_lock(&con->lock);
    while ((slot = vqueue_take(&s->queue, &len)) >= 0) {
        const uint8_t *message = stream_buffer(s, (unsigned)slot);
        uint32_t number = load_le32(message);
        bool tell = false;

        if (len >= MESSAGE && len <= s->size && number < con->port_count)
            tell = control_handle(con, &con->port[number], message, len);
        named |= load_le16(message + 4) == PORT_NAME;
        stream_post(s, (unsigned)slot, s->size, true);
        vqueue_kick(&s->queue);
        if (tell && con->port[number].chardev.connection) {
            struct chardev *c = &con->port[number].chardev;

            spin_unlock(&con->lock);
            c->connection(c->device, c->connected);
            spin_lock(&con->lock);
        }
    }
    spin_unlock(&con->lock);
    if (named && watcher.named)
        watcher.named(watcher.opaque);
}

/* Is nobody at any port? Lock held. */
static bool idle(const struct console *con)
{
    for (unsigned i = 0; i < con->port_count; i++) {
        if (con->port[i].chardev.connected || con->port[i].delivering)
            return false;
    }
    return true;
}

static bool queue_again(struct console *con, struct stream *s)
{
    return vdev_queue_again(&con->vdev, &s->queue) == 0;
}

/* Lock held. */
static bool all_again(struct console *con)
{
    bool ok = vdev_again(&con->vdev) == 0;

    for (unsigned i = 0; ok && i < con->port_count; i++) {
        struct port *port = &con->port[i];

        port->present = port->again = port->full = port->drop = port->starved = false;
        port->held = -1;
        ok = queue_again(con, &port->rx) && queue_again(con, &port->tx);
    }
    return ok && queue_again(con, &con->control_rx) && queue_again(con, &con->control_tx);
}

static void console_start(struct console *con);

/*
 * QEMU's device forgets the buffer that it is at when its other side closes in the middle
 * of it, and never gives it back. Before the last one is gone the device is begun anew, as
 * long as nobody is there who would notice. In the interrupt.
 */
static void refresh(struct console *con)
{
    bool again, ok = true;

    spin_lock(&con->lock);
    again = con->worn && idle(con);
    if (again) {
        con->worn = false;
        ok = all_again(con);
    }
    spin_unlock(&con->lock);
    if (!ok)
        io_log(LOG_ERROR, "PCI %s: the virtio console cannot be reset, and is given up", con->vdev.pci->name);
    else if (again)
        console_start(con);
}

/* One for all queues: there may be fewer vectors than those. */
static void console_interrupt(void *opaque)
{
    struct console *con = opaque;

    if (con->multiport)
        control_work(con);
    if (con->worn)
        refresh(con);
    for (unsigned i = 0; i < con->port_count; i++) {
        output_done(&con->port[i]);
        input_deliver(&con->port[i]);
    }
}

/* ---- attaching ---- */

static int stream_init(struct console *con, struct stream *s, unsigned index, uint32_t size,
                       struct error *err)
{
    int r = vdev_queue(&con->vdev, index, &s->queue, QUEUE_SIZE, 1, console_interrupt, con, err);

    if (r < 0)
        return r;
    s->size = size;
    s->buffers = dma_alloc((size_t)s->queue.slots * size, &s->phys);
    return s->buffers ? 0 : error_set(err, ENOMEM, "PCI %s: no memory for a console", con->vdev.pci->name);
}

static int port_init(struct console *con, unsigned number, struct error *err)
{
    unsigned queue = number ? 2 * number + 2 : 0;
    struct port *port = &con->port[number];
    int r;

    port->console = con;
    port->number = number;
    port->held = -1;
    port->chardev.ops = &port_ops;
    r = stream_init(con, &port->rx, queue, BUFFER, err);
    if (r == 0)
        r = stream_init(con, &port->tx, queue + 1, BUFFER, err);
    if (r == 0)
        vqueue_interrupts(&port->tx.queue, false);
    return r;
}

static int console_init_all(struct console *con, struct error *err)
{
    int r = 0;

    con->multiport = vdev_has(&con->vdev, F_MULTIPORT);
    con->port_count = con->multiport ? (unsigned)vdev_config(&con->vdev, MAX_NR_PORTS, 4) : 1;
    con->port_count = MIN(con->port_count, MAX_PORTS);
    for (unsigned i = 0; i < con->port_count && r == 0; i++)
        r = port_init(con, i, err);
    if (r == 0 && con->multiport)
        r = stream_init(con, &con->control_rx, CONTROL_RX, CONTROL_BUFFER, err);
    if (r == 0 && con->multiport)
        r = stream_init(con, &con->control_tx, CONTROL_TX, MESSAGE, err);
    if (r == 0 && con->multiport)
        vqueue_interrupts(&con->control_tx.queue, false);
    return r;
}

static void stream_free(struct stream *s)
{
    if (s->buffers)
        dma_free(s->buffers, (size_t)s->queue.slots * s->size);
    vqueue_finish(&s->queue);
}

static void console_free(struct console *con)
{
    for (unsigned i = 0; i < MAX_PORTS; i++) {
        stream_free(&con->port[i].rx);
        stream_free(&con->port[i].tx);
    }
    stream_free(&con->control_rx);
    stream_free(&con->control_tx);
    dma_free(con, sizeof(*con));
}

static void console_start(struct console *con)
{
    vdev_start(&con->vdev);
    spin_lock(&con->lock);
    for (unsigned i = 0; i < con->port_count; i++)
        stream_fill(&con->port[i].rx);
    if (con->multiport) {
        stream_fill(&con->control_rx);
        control_send(con, 0, DEVICE_READY, 1);
    } else {
        con->port[0].present = con->port[0].chardev.connected = true;
    }
    spin_unlock(&con->lock);
}

int host_console_attach(struct host_pci *fn, struct error *err)
{
    struct console *con;
    uint64_t phys;
    int r;

    if (console_count == MAX_CONSOLES)
        return error_set(err, ENOSPC, "PCI %s: more than %u virtio consoles", fn->name, MAX_CONSOLES);
    con = dma_alloc(sizeof(*con), &phys);
    if (!con)
        return error_set(err, ENOMEM, "PCI %s: no memory for a console", fn->name);
    r = vdev_init(&con->vdev, fn, BIT64(F_MULTIPORT), err);
    if (r == 0)
        r = console_init_all(con, err);
    if (r < 0) {
        console_free(con);
        return r;
    }
    consoles[console_count++] = con;
    console_start(con);
    io_log(LOG_INFO, "PCI %s: virtio console with up to %u ports", fn->name, con->port_count);
    return 0;
}

struct chardev *host_console_port(const char *name)
{
    for (unsigned c = 0; c < console_count; c++) {
        for (unsigned i = 0; i < consoles[c]->port_count; i++) {
            struct port *port = &consoles[c]->port[i];
            bool found;

            spin_lock(&consoles[c]->lock);
            found = port->present && text_equal(name, port->name);
            spin_unlock(&consoles[c]->lock);
            if (found)
                return &port->chardev;
        }
    }
    return NULL;
}

void host_console_watch(void (*named)(void *opaque), void *opaque)
{
    watcher.opaque = opaque;
    watcher.named = named;
}
