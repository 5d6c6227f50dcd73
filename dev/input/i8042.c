/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One byte waits in the output buffer at a time: first the controller's replies,
 * then what the keyboard sends, translated to scancode set 1 if so configured,
 * then what the mouse sends. Each byte is marked with the port it came from.
 * A20 can be switched, but is always open.
 */
#include "dev/input/i8042.h"

#include "dev/input/mouse.h"
#include "dev/input/ps2.h"
#include "dev/regions.h"

#define STATUS_OUTPUT_FULL   BIT(0)
#define STATUS_SYSTEM        BIT(2)
#define STATUS_COMMAND       BIT(3)
#define STATUS_UNLOCKED      BIT(4)
#define STATUS_AUX           BIT(5)

#define CONFIG_INTERRUPT     BIT(0)
#define CONFIG_AUX_INTERRUPT BIT(1)
#define CONFIG_SYSTEM        BIT(2)
#define CONFIG_KBD_DISABLED  BIT(4)
#define CONFIG_AUX_DISABLED  BIT(5)
#define CONFIG_TRANSLATE     BIT(6)

#define OUTPUT_RESET         BIT(0) /* low resets */
#define OUTPUT_A20           BIT(1)

enum command {
    CMD_READ_RAM = 0x20, /* to 0x3f; 0x20 is the configuration byte */
    CMD_WRITE_RAM = 0x60,
    CMD_AUX_DISABLE = 0xa7,
    CMD_AUX_ENABLE = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_DISABLE = 0xad,
    CMD_KBD_ENABLE = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_WRITE_KBD_BUFFER = 0xd2,
    CMD_WRITE_AUX_BUFFER = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_PULSE = 0xf0, /* to 0xff */
};

struct i8042 {
    struct device dev;
    struct io_region data_region, command_region;
    struct irq_line irq, aux_irq;
    uint8_t ram[32]; /* [0] is the configuration byte */
    uint8_t output_port;
    uint8_t pending; /* the command whose data comes next at port 0x60; 0: none */
    bool last_was_command;
    bool full;
    uint8_t output;
    bool output_aux; /* the byte came from the auxiliary port */
    bool reply_waiting, reply_aux;
    uint8_t reply;
    bool break_next; /* translation: 0xf0 was seen */
    struct ps2_keyboard kbd;
    struct ps2_mouse mouse;
};

static const struct state_field i8042_fields[] = {
    STATE_BYTES(struct i8042, ram),
    STATE_INT(struct i8042, output_port),
    STATE_INT(struct i8042, pending),
    STATE_BOOL(struct i8042, last_was_command),
    STATE_BOOL(struct i8042, full),
    STATE_INT(struct i8042, output),
    STATE_BOOL(struct i8042, reply_waiting),
    STATE_INT(struct i8042, reply),
    STATE_BOOL(struct i8042, break_next),
    STATE_STRUCT(struct i8042, kbd, struct ps2_keyboard, ps2_fields),
    STATE_BOOL(struct i8042, irq.level),
    STATE_BOOL(struct i8042, output_aux),
    STATE_BOOL(struct i8042, reply_aux),
    STATE_STRUCT(struct i8042, mouse, struct ps2_mouse, mouse_fields),
    STATE_BOOL(struct i8042, aux_irq.level),
    STATE_END,
};

/* Scancode set 2 to set 1, the table in the controller's ROM. */
static const uint8_t set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* -1: the byte is swallowed. */
static int translate(struct i8042 *ctl, uint8_t byte)
{
    uint8_t code;

    if (!(ctl->ram[0] & CONFIG_TRANSLATE))
        return byte;
    if (byte == 0xf0) {
        ctl->break_next = true;
        return -1;
    }
    code = byte == 0x83 ? 0x41 : byte == 0x84 ? 0x54 : byte < 128 ? set1[byte] : byte;
    if (ctl->break_next)
        code |= 0x80;
    ctl->break_next = false;
    return code;
}

static void present(struct i8042 *ctl, uint8_t byte, bool aux)
{
    ctl->output = byte;
    ctl->output_aux = aux;
    ctl->full = true;
}

/* Fills the output buffer if it is empty, and drives the interrupt. */
static void update(struct i8042 *ctl)
{
    if (!ctl->full && ctl->reply_waiting) {
        ctl->reply_waiting = false;
        present(ctl, ctl->reply, ctl->reply_aux);
    }
    while (!ctl->full && !(ctl->ram[0] & CONFIG_KBD_DISABLED)) {
        int byte = ps2_read(&ctl->kbd);

        if (byte < 0)
            break;
        byte = translate(ctl, (uint8_t)byte);
        if (byte >= 0)
            present(ctl, (uint8_t)byte, false);
    }
    if (!ctl->full && !(ctl->ram[0] & CONFIG_AUX_DISABLED)) {
        int byte = mouse_read(&ctl->mouse);

        if (byte >= 0)
            present(ctl, (uint8_t)byte, true);
    }
    irq_set(&ctl->irq, ctl->full && !ctl->output_aux && ctl->ram[0] & CONFIG_INTERRUPT);
    irq_set(&ctl->aux_irq, ctl->full && ctl->output_aux && ctl->ram[0] & CONFIG_AUX_INTERRUPT);
}

bool ps2_key(struct i8042 *ctl, uint16_t code, bool down)
{
    bool taken = ps2_press(&ctl->kbd, code, down);

    update(ctl);
    return taken;
}

bool ps2_mouse_move(struct i8042 *ctl, int dx, int dy, uint8_t buttons)
{
    bool taken = mouse_move(&ctl->mouse, dx, dy, buttons);

    update(ctl);
    return taken;
}

static void reply(struct i8042 *ctl, uint8_t byte)
{
    ctl->reply = byte;
    ctl->reply_aux = false;
    ctl->reply_waiting = true;
}

static void output_port_write(struct i8042 *ctl, uint8_t value)
{
    ctl->output_port = value;
    if (!(value & OUTPUT_RESET))
        vm_request_reset(ctl->dev.vm, true);
}

static void self_test(struct i8042 *ctl)
{
    ctl->ram[0] = CONFIG_SYSTEM | CONFIG_KBD_DISABLED | CONFIG_AUX_DISABLED | CONFIG_TRANSLATE;
    ctl->break_next = false;
    ctl->full = false;
    reply(ctl, 0x55);
}

static void command(struct i8042 *ctl, uint8_t cmd)
{
    switch (cmd) {
    case CMD_READ_RAM ... CMD_READ_RAM + 31:
        reply(ctl, ctl->ram[cmd & 31]);
        break;
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + 31:
    case CMD_WRITE_OUTPUT:
    case CMD_WRITE_KBD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
    case CMD_WRITE_AUX:
        ctl->pending = cmd;
        break;
    case CMD_AUX_DISABLE:
        ctl->ram[0] |= CONFIG_AUX_DISABLED;
        break;
    case CMD_AUX_ENABLE:
        ctl->ram[0] &= (uint8_t)~CONFIG_AUX_DISABLED;
        break;
    case CMD_AUX_TEST:
        reply(ctl, 0);
        break;
    case CMD_SELF_TEST:
        self_test(ctl);
        break;
    case CMD_KBD_TEST:
        reply(ctl, 0);
        break;
    case CMD_KBD_DISABLE:
        ctl->ram[0] |= CONFIG_KBD_DISABLED;
        break;
    case CMD_KBD_ENABLE:
        ctl->ram[0] &= (uint8_t)~CONFIG_KBD_DISABLED;
        break;
    case CMD_READ_INPUT:
        reply(ctl, 0x80); /* not locked */
        break;
    case CMD_READ_OUTPUT:
        reply(ctl, (uint8_t)(ctl->output_port | (ctl->full ? BIT(4) : 0)));
        break;
    case CMD_PULSE ... 0xff:
        if (!(cmd & OUTPUT_RESET))
            vm_request_reset(ctl->dev.vm, true);
        break;
    }
}

static void data(struct i8042 *ctl, uint8_t value)
{
    uint8_t cmd = ctl->pending;

    ctl->pending = 0;
    switch (cmd) {
    case CMD_WRITE_RAM:
        ctl->ram[0] = value;
        break;
    case CMD_WRITE_RAM + 1 ... CMD_WRITE_RAM + 31:
        ctl->ram[cmd & 31] = value;
        break;
    case CMD_WRITE_OUTPUT:
        output_port_write(ctl, value);
        break;
    case CMD_WRITE_KBD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
        reply(ctl, value);
        ctl->reply_aux = cmd == CMD_WRITE_AUX_BUFFER;
        break;
    case CMD_WRITE_AUX:
        ctl->ram[0] &= (uint8_t)~CONFIG_AUX_DISABLED;
        mouse_write(&ctl->mouse, value);
        break;
    default:
        ctl->ram[0] &= (uint8_t)~CONFIG_KBD_DISABLED; /* writing to the keyboard turns it on */
        ps2_write(&ctl->kbd, value);
    }
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *ctl = opaque;
    uint8_t value = ctl->output;

    ctl->full = false;
    irq_set(&ctl->irq, false); /* so that the next byte is an edge */
    irq_set(&ctl->aux_irq, false);
    update(ctl);
    return value;
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8042 *ctl = opaque;

    ctl->last_was_command = false;
    data(ctl, (uint8_t)value);
    update(ctl);
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct i8042 *ctl = opaque;

    return STATUS_UNLOCKED | (ctl->full ? STATUS_OUTPUT_FULL : 0) |
           (ctl->full && ctl->output_aux ? STATUS_AUX : 0) |
           (ctl->ram[0] & CONFIG_SYSTEM ? STATUS_SYSTEM : 0) | (ctl->last_was_command ? STATUS_COMMAND : 0);
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8042 *ctl = opaque;

    ctl->last_was_command = true;
    ctl->pending = 0;
    command(ctl, (uint8_t)value);
    update(ctl);
}

static const struct io_ops data_ops = {.read = data_read, .write = data_write, .max_size = 1};
static const struct io_ops command_ops = {.read = status_read, .write = command_write, .max_size = 1};

static void i8042_reset(struct device *dev)
{
    struct i8042 *ctl = device_object(dev);

    for (unsigned i = 0; i < ARRAY_SIZE(ctl->ram); i++)
        ctl->ram[i] = 0;
    ctl->ram[0] = CONFIG_INTERRUPT | CONFIG_SYSTEM | CONFIG_AUX_DISABLED | CONFIG_TRANSLATE;
    ctl->output_port = OUTPUT_RESET | OUTPUT_A20;
    ctl->pending = ctl->output = ctl->reply = 0;
    ctl->last_was_command = ctl->full = ctl->reply_waiting = ctl->break_next = false;
    ctl->output_aux = ctl->reply_aux = false;
    ps2_reset(&ctl->kbd);
    mouse_reset(&ctl->mouse);
    irq_set(&ctl->irq, false);
    irq_set(&ctl->aux_irq, false);
}

static int i8042_post_load(void *object, unsigned version)
{
    struct i8042 *ctl = object;

    if (!ps2_plausible(&ctl->kbd) || !mouse_plausible(&ctl->mouse))
        return -EINVAL;
    update(ctl);
    return 0;
}

static const struct state_table i8042_state = {
    .name = "i8042",
    .version = 1,
    .fields = i8042_fields,
    .post_load = i8042_post_load,
};

static void i8042_destroy(struct device *dev)
{
    struct i8042 *ctl = device_object(dev);

    bus_unmap(&dev->vm->pio, &ctl->data_region);
    bus_unmap(&dev->vm->pio, &ctl->command_region);
    vm_free(dev->vm, ctl);
}

static const struct device_ops i8042_device = {
    .name = "i8042",
    .state = &i8042_state,
    .state_offset = offsetof(struct i8042, dev),
    .reset = i8042_reset,
    .destroy = i8042_destroy,
};

int i8042_create(struct vm *vm, struct i8042 **out)
{
    struct i8042 *ctl = vm_alloc(vm, sizeof(*ctl));
    int r;

    if (!ctl)
        return -ENOMEM;
    irq_line_init(&ctl->irq, vm, 1);
    irq_line_init(&ctl->aux_irq, vm, 12);
    r = device_add(&ctl->dev, vm, &i8042_device, "i8042");
    if (r) {
        vm_free(vm, ctl);
        return r;
    }
    r = region_map(&vm->pio, &ctl->data_region, "i8042-data", 0x60, 1, &data_ops, ctl);
    if (!r)
        r = region_map(&vm->pio, &ctl->command_region, "i8042-command", 0x64, 1, &command_ops, ctl);
    if (r)
        return r;
    i8042_reset(&ctl->dev);
    *out = ctl;
    return 0;
}
