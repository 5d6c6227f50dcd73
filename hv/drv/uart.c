/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 16550 with its FIFOs on (PC16550D data sheet, 8.0), as hv/console.c has set it up. */
#include "hv/drv/uart.h"

#include "base/bytes.h"
#include "base/spin.h"
#include "hv/console.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/irq.h"
#include "hv/log.h"

#define UART_DATA 0
#define UART_IER  1
#define UART_IIR  2
#define UART_LSR  5

#define IER_DATA  BIT(0)
#define IER_EMPTY BIT(1)
#define IIR_NONE  BIT(0)
#define LSR_DATA  BIT(0)
#define LSR_EMPTY BIT(5)

#define FIFO      16U
#define FILLS     16U
#define ROUNDS    64U
#define QUEUE     2048U

static struct uart {
    struct chardev chardev;
    uint16_t port;
    struct spinlock lock; /* guards the rest, and the registers */
    uint8_t queue[QUEUE];
    unsigned first, count;
    bool short_of_room; /* a write was cut off */
    uint8_t in[FIFO];
    unsigned in_len;
    bool held; /* the monitor has no room: what is in `in` waits, and so does the sender; atomic */
} uart;

/* Lock held. */
static void set_interrupts(struct uart *u)
{
    outb(u->port + UART_IER, (uint8_t)((u->held ? 0 : IER_DATA) | (u->count ? IER_EMPTY : 0)));
}

/* Lock held. An emulated one may be empty again at once, which saves interrupts; not for long at a time. */
static void fill_fifo(struct uart *u)
{
    for (unsigned fill = 0; fill < FILLS && u->count && inb(u->port + UART_LSR) & LSR_EMPTY; fill++) {
        for (unsigned i = 0; i < FIFO && u->count; i++, u->count--) {
            outb(u->port + UART_DATA, u->queue[u->first]);
            u->first = (u->first + 1) % QUEUE;
        }
    }
}

static size_t op_write(struct chardev *chardev, const uint8_t *buf, size_t len)
{
    struct uart *u = container_of(chardev, struct uart, chardev);
    size_t n;

    spin_lock(&u->lock);
    for (n = 0; n < len && u->count < QUEUE; n++)
        u->queue[(u->first + u->count++) % QUEUE] = buf[n];
    u->short_of_room |= n < len;
    fill_fifo(u);
    set_interrupts(u);
    spin_unlock(&u->lock);
    return n;
}

/* Lock held. What has come, if there is room for it. */
static void read_fifo(struct uart *u)
{
    /* All ones: the UART has gone. */
    for (uint8_t status; u->in_len < FIFO; u->in[u->in_len++] = inb(u->port + UART_DATA)) {
        status = inb(u->port + UART_LSR);
        if (status == 0xff || !(status & LSR_DATA))
            break;
    }
}

/* Hands on what came, without the lock: the monitor takes its own. */
static void deliver(struct uart *u)
{
    uint8_t bytes[FIFO];
    size_t n, taken;

    for (;;) {
        spin_lock(&u->lock);
        read_fifo(u);
        n = u->in_len;
        memcpy(bytes, u->in, n);
        spin_unlock(&u->lock);
        if (!n)
            break;
        taken = u->chardev.receive ? u->chardev.receive(u->chardev.device, bytes, n) : n;
        taken = MIN(taken, n);
        spin_lock(&u->lock);
        u->in_len -= (unsigned)taken;
        memmove(u->in, u->in + taken, u->in_len);
        u->held = taken < n;
        spin_unlock(&u->lock);
        if (taken < n)
            break;
    }
    spin_lock(&u->lock);
    set_interrupts(u);
    spin_unlock(&u->lock);
}

/* The edge comes once: all reasons are dealt with before we return. */
static void on_interrupt(void *opaque)
{
    struct uart *u = opaque;
    bool room = false;
    unsigned round;

    for (round = 0; round < ROUNDS; round++) {
        uint8_t reason = inb(u->port + UART_IIR);

        if (reason & IIR_NONE)
            break;
        (void)inb(u->port + UART_LSR);
        if (!u->held)
            deliver(u);
        spin_lock(&u->lock);
        fill_fifo(u);
        set_interrupts(u);
        room |= u->short_of_room && u->count < QUEUE / 2;
        if (room)
            u->short_of_room = false;
        spin_unlock(&u->lock);
    }
    if (round == ROUNDS) { /* others' turn; turned on again, it raises what is pending */
        spin_lock(&u->lock);
        outb(u->port + UART_IER, 0);
        set_interrupts(u);
        spin_unlock(&u->lock);
    }
    if (room && u->chardev.writable)
        u->chardev.writable(u->chardev.device);
}

/* The monitor's thread. While something is held, the interrupt leaves it alone. */
static void op_resume(struct chardev *chardev)
{
    struct uart *u = container_of(chardev, struct uart, chardev);
    unsigned taken = 0;

    if (u->held && u->in_len)
        taken = (unsigned)u->chardev.receive(u->chardev.device, u->in, u->in_len);
    spin_lock(&u->lock);
    u->in_len -= MIN(taken, u->in_len);
    memmove(u->in, u->in + taken, u->in_len);
    u->held = u->in_len;
    outb(u->port + UART_IER, 0); /* turned on again, it raises what is pending */
    set_interrupts(u);
    spin_unlock(&u->lock);
}

static void op_close(struct chardev *chardev)
{
}

static const struct chardev_ops ops = {
    .name = "uart",
    .write = op_write,
    .resume = op_resume,
    .close = op_close,
};

struct chardev *uart_open(void)
{
    struct uart *u = &uart;
    int r;

    u->port = console_uart();
    if (!u->port)
        return NULL;
    r = u->port == 0x3f8   ? irq_isa_connect(4, on_interrupt, u)
        : u->port == 0x2f8 ? irq_isa_connect(3, on_interrupt, u)
                           : -ENODEV;
    if (r < 0) {
        hv_log(LOG_WARN, "the UART at port 0x%x has no interrupt that I know of: the monitor is not there",
               u->port);
        return NULL;
    }
    u->chardev = (struct chardev){.ops = &ops, .connected = true};
    return &u->chardev;
}
