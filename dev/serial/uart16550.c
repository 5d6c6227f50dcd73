/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts by priority: line status, received data (or its time-out), transmit
 * holding register empty, modem status. The line is up while IIR tells of one.
 *
 * Deliberately not modelled: the baud rate's timing, breaks and line errors (but in
 * loopback there are none either), DMA signalling.
 */
#include "dev/serial/uart16550.h"

#include "dev/regions.h"

#define FIFO_SIZE 16U

enum uart_register { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_RECEIVED          BIT(0)
#define IER_THRE              BIT(1)
#define IER_LINE              BIT(2)
#define IER_MODEM             BIT(3)

#define IIR_NONE              0x01U
#define IIR_MODEM             0x00U
#define IIR_THRE              0x02U
#define IIR_RECEIVED          0x04U
#define IIR_LINE              0x06U
#define IIR_TIMEOUT           0x0cU
#define IIR_FIFOS             0xc0U

#define FCR_ENABLE            BIT(0)
#define FCR_CLEAR_RECEIVER    BIT(1)
#define FCR_CLEAR_TRANSMITTER BIT(2)

#define LCR_DLAB              BIT(7)

#define MCR_DTR               BIT(0)
#define MCR_RTS               BIT(1)
#define MCR_OUT1              BIT(2)
#define MCR_OUT2              BIT(3) /* gates the interrupt on a PC */
#define MCR_LOOP              BIT(4)

#define LSR_DATA              BIT(0)
#define LSR_OVERRUN           BIT(1)
#define LSR_THRE              BIT(5)
#define LSR_IDLE              BIT(6)

#define MSR_CTS               BIT(4)
#define MSR_DSR               BIT(5)
#define MSR_RI                BIT(6)
#define MSR_DCD               BIT(7)

const struct uart_location uart_location[UART_PORTS] = {
    {0x3f8, 4},
    {0x2f8, 3},
    {0x3e8, 4},
    {0x2e8, 3},
};

struct fifo {
    uint8_t data[FIFO_SIZE];
    uint8_t first, count;
};

struct uart {
    struct device dev;
    struct io_region region;
    struct irq_line irq;
    struct chardev *chardev;
    uint8_t ier, lcr, mcr, scr;
    uint8_t msr_delta; /* bits 0..3 of MSR */
    uint8_t msr_level; /* bits 4..7, as last seen */
    uint8_t trigger;   /* bytes that raise the received-data interrupt */
    uint16_t divisor;
    bool fifos;
    bool overrun;
    bool thre_pending; /* cleared by reading it from IIR */
    struct fifo receive, transmit;
};

static const struct state_field fifo_fields[] = {
    STATE_BYTES(struct fifo, data),
    STATE_INT(struct fifo, first),
    STATE_INT(struct fifo, count),
    STATE_END,
};

static const struct state_field uart_fields[] = {
    STATE_INT(struct uart, ier),
    STATE_INT(struct uart, lcr),
    STATE_INT(struct uart, mcr),
    STATE_INT(struct uart, scr),
    STATE_INT(struct uart, msr_delta),
    STATE_INT(struct uart, msr_level),
    STATE_INT(struct uart, trigger),
    STATE_INT(struct uart, divisor),
    STATE_BOOL(struct uart, fifos),
    STATE_BOOL(struct uart, overrun),
    STATE_BOOL(struct uart, thre_pending),
    STATE_STRUCT(struct uart, receive, struct fifo, fifo_fields),
    STATE_STRUCT(struct uart, transmit, struct fifo, fifo_fields),
    STATE_BOOL(struct uart, irq.level),
    STATE_END,
};

static void fifo_put(struct fifo *f, uint8_t byte)
{
    f->data[(f->first + f->count) % FIFO_SIZE] = byte;
    f->count++;
}

static uint8_t fifo_get(struct fifo *f)
{
    uint8_t byte = f->data[f->first];

    f->first = (f->first + 1) % FIFO_SIZE;
    f->count--;
    return byte;
}

static unsigned depth(const struct uart *uart)
{
    return uart->fifos ? FIFO_SIZE : 1;
}

/* The reason for an interrupt, as IIR tells it. */
static unsigned reason(const struct uart *uart)
{
    if (uart->ier & IER_LINE && uart->overrun)
        return IIR_LINE;
    if (uart->ier & IER_RECEIVED && uart->receive.count)
        return uart->receive.count >= (uart->fifos ? uart->trigger : 1U) ? IIR_RECEIVED : IIR_TIMEOUT;
    if (uart->ier & IER_THRE && uart->thre_pending)
        return IIR_THRE;
    if (uart->ier & IER_MODEM && uart->msr_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct uart *uart)
{
    irq_set(&uart->irq, reason(uart) != IIR_NONE && uart->mcr & MCR_OUT2 && !(uart->mcr & MCR_LOOP));
}

static uint8_t modem_lines(const struct uart *uart)
{
    uint8_t mcr = uart->mcr;

    if (!(mcr & MCR_LOOP))
        return uart->chardev && uart->chardev->connected ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                     (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem(struct uart *uart)
{
    uint8_t level = modem_lines(uart);
    uint8_t changed = level ^ uart->msr_level;

    if (changed & MSR_RI && level & MSR_RI) /* only RI's trailing edge counts */
        changed &= (uint8_t)~MSR_RI;
    uart->msr_delta |= changed >> 4;
    uart->msr_level = level;
}

/* ---- data ---- */

static void receive_byte(struct uart *uart, uint8_t byte)
{
    if (uart->receive.count >= depth(uart)) {
        uart->overrun = true;
        return;
    }
    fifo_put(&uart->receive, byte);
}

/* Hands on as much as the far end takes. */
static void drain(struct uart *uart)
{
    struct fifo *f = &uart->transmit;
    bool had = f->count;

    while (f->count) {
        struct chardev *cd = uart->chardev;

        if (uart->mcr & MCR_LOOP)
            receive_byte(uart, f->data[f->first]);
        else if (cd && cd->connected && cd->ops->write(cd, &f->data[f->first], 1) != 1)
            break;
        fifo_get(f);
    }
    if (had && !f->count)
        uart->thre_pending = true;
}

static void transmit_byte(struct uart *uart, uint8_t byte)
{
    uart->thre_pending = false;
    if (uart->transmit.count >= depth(uart))
        fifo_get(&uart->transmit); /* the guest did not look at THRE: its loss */
    fifo_put(&uart->transmit, byte);
    drain(uart);
}

static uint8_t read_data(struct uart *uart)
{
    uint8_t byte;

    if (!uart->receive.count)
        return 0;
    byte = fifo_get(&uart->receive);
    if (uart->chardev && uart->chardev->ops->resume && !uart->receive.count)
        uart->chardev->ops->resume(uart->chardev);
    return byte;
}

static size_t chardev_receive(void *device, const uint8_t *buf, size_t len)
{
    struct uart *uart = device;
    size_t taken = 0;

    if (uart->mcr & MCR_LOOP)
        return 0;
    while (taken < len && uart->receive.count < depth(uart))
        fifo_put(&uart->receive, buf[taken++]);
    update_irq(uart);
    return taken;
}

static void chardev_writable(void *device)
{
    struct uart *uart = device;

    drain(uart);
    update_irq(uart);
}

static void chardev_connection(void *device, bool connected)
{
    struct uart *uart = device;

    update_modem(uart);
    drain(uart); /* to nobody, if it hung up */
    update_irq(uart);
}

/* ---- registers ---- */

static void fcr_write(struct uart *uart, uint8_t value)
{
    static const uint8_t trigger[4] = {1, 4, 8, 14};
    bool fifos = value & FCR_ENABLE;

    if (value & FCR_CLEAR_RECEIVER || fifos != uart->fifos)
        uart->receive.count = 0;
    if (value & FCR_CLEAR_TRANSMITTER || fifos != uart->fifos) {
        if (uart->transmit.count)
            uart->thre_pending = true;
        uart->transmit.count = 0;
    }
    uart->fifos = fifos;
    uart->trigger = trigger[value >> 6];
    if (uart->chardev && uart->chardev->ops->resume)
        uart->chardev->ops->resume(uart->chardev);
}

static void ier_write(struct uart *uart, uint8_t value)
{
    /* Enabling it while the transmitter is empty tells so at once. */
    if (value & ~uart->ier & IER_THRE && !uart->transmit.count)
        uart->thre_pending = true;
    uart->ier = value & 0xf;
}

static void mcr_write(struct uart *uart, uint8_t value)
{
    bool left_loop = uart->mcr & ~value & MCR_LOOP;

    uart->mcr = value & 0x1f;
    update_modem(uart);
    if (left_loop && uart->chardev && uart->chardev->ops->resume)
        uart->chardev->ops->resume(uart->chardev);
}

static uint8_t iir_read(struct uart *uart)
{
    unsigned id = reason(uart);

    if (id == IIR_THRE)
        uart->thre_pending = false;
    return (uint8_t)(id | (uart->fifos ? IIR_FIFOS : 0));
}

static uint8_t lsr_read(struct uart *uart)
{
    uint8_t v = uart->receive.count ? LSR_DATA : 0;

    if (uart->overrun)
        v |= LSR_OVERRUN;
    if (!uart->transmit.count)
        v |= LSR_THRE | LSR_IDLE;
    uart->overrun = false;
    return v;
}

static uint8_t register_read(struct uart *uart, unsigned reg)
{
    bool dlab = uart->lcr & LCR_DLAB;
    uint8_t v;

    switch (reg) {
    case RBR:
        return dlab ? (uint8_t)uart->divisor : read_data(uart);
    case IER:
        return dlab ? (uint8_t)(uart->divisor >> 8) : uart->ier;
    case IIR:
        return iir_read(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return lsr_read(uart);
    case MSR:
        v = uart->msr_level | uart->msr_delta;
        uart->msr_delta = 0;
        return v;
    default:
        return uart->scr;
    }
}

static void register_write(struct uart *uart, unsigned reg, uint8_t value)
{
    bool dlab = uart->lcr & LCR_DLAB;

    switch (reg) {
    case RBR:
        if (dlab)
            uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
        else
            transmit_byte(uart, value);
        break;
    case IER:
        if (dlab)
            uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
        else
            ier_write(uart, value);
        break;
    case IIR:
        fcr_write(uart, value);
        break;
    case LCR:
        uart->lcr = value;
        break;
    case MCR:
        mcr_write(uart, value);
        break;
    case SCR:
        uart->scr = value;
        break;
    }
}

static uint64_t uart_read(void *opaque, uint64_t offset, unsigned size)
{
    struct uart *uart = opaque;
    uint64_t v = register_read(uart, (unsigned)offset);

    update_irq(uart);
    return v;
}

static void uart_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct uart *uart = opaque;

    register_write(uart, (unsigned)offset, (uint8_t)value);
    update_irq(uart);
}

static const struct io_ops uart_ops = {.read = uart_read, .write = uart_write, .max_size = 1};

/* ---- the device ---- */

static void uart_reset(struct device *dev)
{
    struct uart *uart = device_object(dev);

    uart->ier = uart->lcr = uart->mcr = uart->scr = 0;
    uart->divisor = 12; /* 9600 baud */
    uart->trigger = 1;
    uart->fifos = uart->overrun = uart->thre_pending = false;
    uart->receive = (struct fifo){0};
    uart->transmit = (struct fifo){0};
    uart->msr_level = modem_lines(uart);
    uart->msr_delta = 0;
    irq_set(&uart->irq, false);
}

static bool fifo_plausible(const struct uart *uart, const struct fifo *f)
{
    return f->first < FIFO_SIZE && f->count <= depth(uart);
}

static int uart_post_load(void *object, unsigned version)
{
    struct uart *uart = object;

    if (!fifo_plausible(uart, &uart->receive) || !fifo_plausible(uart, &uart->transmit) || uart->ier > 0xf ||
        uart->mcr > 0x1f || uart->msr_delta > 0xf || uart->msr_level & 0xf || uart->trigger > FIFO_SIZE)
        return -EINVAL;
    update_modem(uart); /* the far end may be another now */
    drain(uart);
    update_irq(uart);
    return 0;
}

static const struct state_table uart_state = {
    .name = "uart16550",
    .version = 1,
    .fields = uart_fields,
    .post_load = uart_post_load,
};

static void uart_destroy(struct device *dev)
{
    struct uart *uart = device_object(dev);

    bus_unmap(&dev->vm->pio, &uart->region);
    if (uart->chardev && uart->chardev->device == uart) {
        uart->chardev->receive = NULL;
        uart->chardev->writable = NULL;
        uart->chardev->connection = NULL;
        uart->chardev->device = NULL;
    }
    vm_free(dev->vm, uart);
}

static const struct device_ops uart_device = {
    .name = "uart16550",
    .state = &uart_state,
    .state_offset = offsetof(struct uart, dev),
    .reset = uart_reset,
    .destroy = uart_destroy,
};

int uart_create(struct vm *vm, unsigned n, struct chardev *chardev)
{
    struct uart *uart;
    int r;

    if (n >= UART_PORTS)
        return -EINVAL;
    uart = vm_alloc(vm, sizeof(*uart));
    if (!uart)
        return -ENOMEM;
    irq_line_init(&uart->irq, vm, uart_location[n].irq);
    r = device_add(&uart->dev, vm, &uart_device, "uart%u", n);
    if (r) {
        vm_free(vm, uart);
        return r;
    }
    r = region_map(&vm->pio, &uart->region, "uart", uart_location[n].port, 8, &uart_ops, uart);
    if (r)
        return r;
    uart->chardev = chardev;
    if (chardev) {
        chardev->receive = chardev_receive;
        chardev->writable = chardev_writable;
        chardev->connection = chardev_connection;
        chardev->device = uart;
    }
    uart_reset(&uart->dev);
    return 0;
}
