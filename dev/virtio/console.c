/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/virtio/console.h"

#include "base/bytes.h"
#include "dev/virtio/pci.h"

#define QUEUE_SIZE 64U
/* How much one turn moves, before others have theirs. */
#define OUTPUT_BUDGET  KIB(64)
#define CONTROL_BUDGET 64U
#define CONTROL_LEN    8U /* port, event, value */

enum config_field { CONFIG_COLUMNS = 0, CONFIG_ROWS = 2, CONFIG_MAX_PORTS = 4, CONFIG_SIZE = 8 };

/*
 * What a port's driver has still to be told, in the order of telling. Events are
 * bits, not a queue of messages: there is nothing that could overflow.
 */
enum pending {
    PENDING_ADD,
    PENDING_NAME,
    PENDING_CONSOLE,
    PENDING_RESIZE,
    PENDING_OPEN,
    PENDING_COUNT,
};

static const uint16_t pending_event[PENDING_COUNT] = {
    [PENDING_ADD] = VIRTIO_CONSOLE_DEVICE_ADD,       [PENDING_NAME] = VIRTIO_CONSOLE_PORT_NAME,
    [PENDING_CONSOLE] = VIRTIO_CONSOLE_CONSOLE_PORT, [PENDING_RESIZE] = VIRTIO_CONSOLE_RESIZE,
    [PENDING_OPEN] = VIRTIO_CONSOLE_PORT_OPEN,
};

struct port {
    struct virtio_console *console;
    struct chardev *chardev;
    bool is_console;
    char name[VIRTIO_CONSOLE_NAME_MAX];
    size_t name_len;

    bool guest_open;
    uint8_t pending; /* BIT(enum pending) */
    uint16_t columns, rows;
    uint64_t tx_offset; /* how much of the first available output buffer went out already */
    bool hungry;        /* the character device holds input back until we resume() it */
};

struct virtio_console {
    struct virtio_pci pci;
    unsigned count;
    struct port port[VIRTIO_CONSOLE_MAX_PORTS];
    struct virtq_chain chain; /* the one at work */
};

static struct virtio_console *console_of(struct virtio *v)
{
    return container_of(v, struct virtio_console, pci.virtio);
}

static bool multiport(const struct virtio_console *con)
{
    return virtio_has(&con->pci.virtio, VIRTIO_CONSOLE_F_MULTIPORT);
}

static unsigned port_index(const struct port *port)
{
    return (unsigned)(port - port->console->port);
}

static bool port_is_open(const struct port *port)
{
    if (!virtio_live(&port->console->pci.virtio))
        return false;
    return multiport(port->console) ? port->guest_open : port_index(port) == 0;
}

static void port_resume(struct port *port)
{
    if (!port->hungry || !port_is_open(port))
        return;
    port->hungry = false;
    if (port->chardev->ops->resume)
        port->chardev->ops->resume(port->chardev);
}

/* ---- control messages to the driver ---- */

static size_t message_make(const struct port *port, enum pending what, uint8_t *buf)
{
    store_le32(buf, port_index(port));
    store_le16(buf + 4, pending_event[what]);
    store_le16(buf + 6, what == PENDING_OPEN ? port->chardev->connected : 1);
    if (what == PENDING_NAME) {
        memcpy(buf + CONTROL_LEN, port->name, port->name_len);
        return CONTROL_LEN + port->name_len;
    }
    if (what == PENDING_RESIZE) {
        store_le16(buf + CONTROL_LEN, port->columns);
        store_le16(buf + CONTROL_LEN + 2, port->rows);
        return CONTROL_LEN + 4;
    }
    return CONTROL_LEN;
}

/* Tells one pending event; false: no buffer for it. */
static bool message_send(struct port *port, enum pending what)
{
    struct virtio_console *con = port->console;
    struct virtq *q = &con->pci.virtio.queue[VIRTIO_CONSOLE_CONTROL_RX];
    uint8_t buf[CONTROL_LEN + VIRTIO_CONSOLE_NAME_MAX];
    size_t len;

    if (virtq_pop(q, &con->chain) <= 0)
        return false;
    len = message_make(port, what, buf);
    virtq_push(q, &con->chain, virtq_chain_write(&con->chain, 0, buf, len));
    port->pending &= (uint8_t)~BIT(what);
    return true;
}

static void control_flush(struct virtio_console *con)
{
    struct virtq *q = &con->pci.virtio.queue[VIRTIO_CONSOLE_CONTROL_RX];
    bool room = true;

    if (!multiport(con))
        return;
    for (unsigned i = 0; room && i < con->count; i++) {
        for (unsigned what = 0; room && what < PENDING_COUNT; what++) {
            if (con->port[i].pending & BIT(what))
                room = message_send(&con->port[i], what);
        }
    }
    virtq_publish(q);
    if (!room && virtq_notify_on(q))
        virtio_queue_notified(&con->pci.virtio, VIRTIO_CONSOLE_CONTROL_RX);
}

/* ---- control messages from the driver ---- */

static void port_ready(struct port *port)
{
    if (port->name_len)
        port->pending |= BIT(PENDING_NAME);
    if (port->is_console) {
        port->pending |= BIT(PENDING_CONSOLE);
        if (port->columns)
            port->pending |= BIT(PENDING_RESIZE);
    }
    if (port->chardev->connected)
        port->pending |= BIT(PENDING_OPEN);
}

static void message_handle(struct virtio_console *con, const uint8_t *message)
{
    uint32_t id = load_le32(message);
    uint16_t event = load_le16(message + 4), value = load_le16(message + 6);

    vm_trace(con->pci.virtio.vm, VIRTIO, "%s: control event %u port %u value %u", con->pci.virtio.id, event,
             id, value);
    if (event == VIRTIO_CONSOLE_DEVICE_READY) {
        for (unsigned i = 0; value && i < con->count; i++)
            con->port[i].pending |= BIT(PENDING_ADD);
        return;
    }
    if (id >= con->count)
        return;
    if (event == VIRTIO_CONSOLE_PORT_READY && value) {
        port_ready(&con->port[id]);
    } else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
        con->port[id].guest_open = value;
        con->port[id].hungry |= value != 0;
        port_resume(&con->port[id]);
    }
}

static bool control_process(struct virtio_console *con, struct virtq *q)
{
    unsigned budget = CONTROL_BUDGET;
    uint8_t message[CONTROL_LEN];

    do {
        virtq_notify_off(q);
        while (budget && virtq_pop(q, &con->chain) > 0) {
            bool whole = virtq_chain_read(&con->chain, 0, message, CONTROL_LEN) == CONTROL_LEN;

            virtq_push(q, &con->chain, 0);
            if (whole)
                message_handle(con, message);
            budget--;
        }
    } while (virtq_notify_on(q) && budget);
    virtq_publish(q);
    control_flush(con);
    return !budget;
}

/* ---- data ---- */

/* Sends what is left of a chain, at most *budget; false: the peer or the budget wants a pause. */
static bool chain_output(struct port *port, const struct virtq_chain *chain, uint64_t *budget)
{
    struct virtq_cursor c = virtq_cursor_out(chain, port->tx_offset);
    struct virtq_vec piece;

    if (!port->chardev->connected)
        return true; /* nobody listens: lost, as on an unplugged line */
    while (virtq_cursor_next(&c, *budget, &piece)) {
        size_t n = port->chardev->ops->write(port->chardev, piece.base, piece.len);

        port->tx_offset += n;
        *budget -= n;
        if (n < piece.len)
            return false;
    }
    return port->tx_offset >= chain->out_len;
}

/*
 * A buffer stays available to the driver until all of it went out, with the offset
 * remembered: so nothing is ever in flight when the state is saved.
 */
static bool port_output(struct port *port, struct virtq *q)
{
    struct virtq_chain *chain = &port->console->chain;
    uint64_t budget = OUTPUT_BUDGET;
    unsigned chains = QUEUE_SIZE;
    bool more = true;

    do {
        virtq_notify_off(q);
        while (more && chains) {
            struct virtq_mark mark = virtq_mark(q);

            if (virtq_pop(q, chain) <= 0)
                break;
            more = chain_output(port, chain, &budget);
            if (!more) {
                virtq_rollback(q, mark);
                break;
            }
            port->tx_offset = 0;
            virtq_push(q, chain, 0);
            chains--;
        }
    } while (virtq_notify_on(q) && more && chains);
    virtq_publish(q);
    return !chains || (!more && !budget);
}

static size_t port_receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct port *port = opaque;
    struct virtio_console *con = port->console;
    struct virtq *q = &con->pci.virtio.queue[virtio_console_rx_queue(port_index(port))];
    size_t done = 0;

    if (port_is_open(port)) {
        do {
            virtq_notify_off(q);
            while (done < len && virtq_pop(q, &con->chain) > 0) {
                size_t n = virtq_chain_write(&con->chain, 0, buf + done, len - done);

                virtq_push(q, &con->chain, n);
                done += n;
                if (!n)
                    virtio_break(&con->pci.virtio, "an input buffer has no room");
            }
        } while (done < len && virtq_notify_on(q));
        virtq_publish(q);
    }
    port->hungry |= done < len;
    return done;
}

static void port_writable(void *opaque)
{
    struct port *port = opaque;

    virtio_queue_notified(&port->console->pci.virtio, virtio_console_tx_queue(port_index(port)));
}

static void port_connection(void *opaque, bool connected)
{
    struct port *port = opaque;

    if (!virtio_live(&port->console->pci.virtio))
        return;
    port->pending |= BIT(PENDING_OPEN);
    control_flush(port->console);
    port_writable(port); /* output that waited for a peer that is gone now is dropped */
}

static bool console_process(struct virtio *v, unsigned queue)
{
    struct virtio_console *con = console_of(v);
    struct port *port;

    if (queue == VIRTIO_CONSOLE_CONTROL_RX) {
        control_flush(con);
        return false;
    }
    if (queue == VIRTIO_CONSOLE_CONTROL_TX)
        return multiport(con) && control_process(con, &v->queue[queue]);
    port = &con->port[queue < 2 ? 0 : queue / 2 - 1];
    if (queue & 1)
        return port_output(port, &v->queue[queue]);
    port_resume(port);
    return false;
}

/* ---- life ---- */

void virtio_console_resize(struct device *dev, unsigned index, uint16_t columns, uint16_t rows)
{
    struct virtio_console *con = device_object(dev);
    struct port *port;

    if (index >= con->count)
        return;
    port = &con->port[index];
    port->columns = columns;
    port->rows = rows;
    if (index == 0) {
        store_le16(con->pci.virtio.config + CONFIG_COLUMNS, columns);
        store_le16(con->pci.virtio.config + CONFIG_ROWS, rows);
        virtio_config_changed(&con->pci.virtio);
    }
    if (port->is_console && port->guest_open) {
        port->pending |= BIT(PENDING_RESIZE);
        control_flush(con);
    }
}

static void console_driver_ok(struct virtio *v)
{
    console_of(v)->port[0].hungry = true;
}

static void console_virtio_reset(struct virtio *v)
{
    struct virtio_console *con = console_of(v);

    for (unsigned i = 0; i < VIRTIO_CONSOLE_MAX_PORTS; i++) {
        con->port[i].guest_open = false;
        con->port[i].pending = 0;
        con->port[i].tx_offset = 0;
    }
}

static const struct virtio_ops console_virtio_ops = {
    .name = "virtio-console",
    .id = 3,
    .class_code = 0x078000,
    .process = console_process,
    .reach = UINT64_MAX,
    .driver_ok = console_driver_ok,
    .reset = console_virtio_reset,
};

static int console_post_load(void *object, unsigned version)
{
    struct virtio_console *con = object;

    for (unsigned i = 0; i < VIRTIO_CONSOLE_MAX_PORTS; i++) {
        const struct port *port = &con->port[i];

        if (port->pending >> PENDING_COUNT || (i >= con->count && (port->pending || port->guest_open)))
            return -EINVAL;
        con->port[i].hungry = true;
    }
    store_le16(con->pci.virtio.config + CONFIG_COLUMNS, con->port[0].columns);
    store_le16(con->pci.virtio.config + CONFIG_ROWS, con->port[0].rows);
    return virtio_pci_loaded(&con->pci);
}

static const struct state_field port_fields[] = {
    STATE_BOOL(struct port, guest_open), STATE_INT(struct port, pending),   STATE_INT(struct port, columns),
    STATE_INT(struct port, rows),        STATE_INT(struct port, tx_offset), STATE_END,
};

static const struct state_field console_fields[] = {
    STATE_STRUCT(struct virtio_console, pci, struct virtio_pci, virtio_pci_fields),
    STATE_STRUCT(struct virtio_console, port, struct port, port_fields),
    STATE_END,
};

static const struct state_table console_state = {
    .name = "virtio-console",
    .version = 1,
    .fields = console_fields,
    .post_load = console_post_load,
};

static void console_reset(struct device *dev)
{
    virtio_pci_reset(&((struct virtio_console *)device_object(dev))->pci);
}

static void console_destroy(struct device *dev)
{
    struct virtio_console *con = device_object(dev);

    virtio_pci_remove(&con->pci);
    for (unsigned i = 0; i < con->count; i++) {
        struct chardev *chardev = con->port[i].chardev;

        chardev->receive = NULL;
        chardev->writable = NULL;
        chardev->connection = NULL;
        if (chardev->ops->close)
            chardev->ops->close(chardev);
    }
    vm_free(dev->vm, con);
}

static const struct device_ops console_device_ops = {
    .name = "virtio-console",
    .state = &console_state,
    .state_offset = offsetof(struct virtio_console, pci.dev),
    .reset = console_reset,
    .destroy = console_destroy,
};

static void port_init(struct virtio_console *con, struct port *port,
                      const struct virtio_console_port_config *c)
{
    port->console = con;
    port->chardev = c->chardev;
    port->is_console = c->console;
    while (c->name && c->name[port->name_len] && port->name_len < VIRTIO_CONSOLE_NAME_MAX) {
        port->name[port->name_len] = c->name[port->name_len];
        port->name_len++;
    }
}

static void port_plug(struct port *port)
{
    port->chardev->device = port;
    port->chardev->receive = port_receive;
    port->chardev->writable = port_writable;
    port->chardev->connection = port_connection;
}

int virtio_console_create(struct vm *vm, struct pci_bus *bus, const char *id,
                          const struct virtio_console_port_config *ports, unsigned count, struct device **out,
                          struct error *err)
{
    struct virtio_console *con;
    struct virtio *v;
    int r;

    if (!count || count > VIRTIO_CONSOLE_MAX_PORTS)
        return error_set(err, EINVAL, "%s: a console has 1 to %u ports, not %u", id, VIRTIO_CONSOLE_MAX_PORTS,
                         count);
    con = vm_alloc(vm, sizeof(*con));
    if (!con)
        return error_set(err, ENOMEM, "%s: no memory", id);
    v = &con->pci.virtio;
    con->count = count;
    for (unsigned i = 0; i < count; i++)
        port_init(con, &con->port[i], &ports[i]);
    virtio_init(v, vm, &console_virtio_ops, BIT64(VIRTIO_CONSOLE_F_SIZE) | BIT64(VIRTIO_CONSOLE_F_MULTIPORT),
                2 * (count + 1), QUEUE_SIZE);
    store_le32(v->config + CONFIG_MAX_PORTS, count);
    v->config_size = CONFIG_SIZE;
    r = virtio_pci_add(&con->pci, bus, &console_device_ops, id);
    if (r < 0) {
        vm_free(vm, con);
        return error_set(err, -r, "%s: no place for it on the PCI bus, or its name is taken", id);
    }
    for (unsigned i = 0; i < count; i++)
        port_plug(&con->port[i]);
    if (out)
        *out = &con->pci.dev;
    return 0;
}
