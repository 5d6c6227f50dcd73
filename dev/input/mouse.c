/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mouse's side of the wire (IBM PS/2 Technical Reference, mouse): commands and three-byte packets. */
#include "dev/input/mouse.h"

#define REPLY_ACK         0xfaU
#define REPLY_RESEND      0xfeU
#define REPLY_TEST_PASSED 0xaaU

#define MOVES_ROOM        (MOUSE_QUEUE - 8) /* the rest is for replies to commands */

enum mouse_command {
    SCALE_1 = 0xe6,
    SCALE_2 = 0xe7,
    SET_RESOLUTION = 0xe8,
    STATUS = 0xe9,
    STREAM = 0xea,
    READ_DATA = 0xeb,
    UNWRAP = 0xec,
    WRAP = 0xee,
    REMOTE = 0xf0,
    IDENTIFY = 0xf2,
    SET_RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESEND = 0xfe,
    RESET = 0xff,
};

const struct state_field mouse_fields[] = {
    STATE_BYTES(struct ps2_mouse, queue),
    STATE_INT(struct ps2_mouse, first),
    STATE_INT(struct ps2_mouse, count),
    STATE_BOOL(struct ps2_mouse, reporting),
    STATE_BOOL(struct ps2_mouse, remote),
    STATE_BOOL(struct ps2_mouse, scale2),
    STATE_BOOL(struct ps2_mouse, wrap),
    STATE_INT(struct ps2_mouse, command),
    STATE_INT(struct ps2_mouse, last),
    STATE_INT(struct ps2_mouse, rate),
    STATE_INT(struct ps2_mouse, resolution),
    STATE_INT(struct ps2_mouse, buttons),
    STATE_END,
};

static void send(struct ps2_mouse *mouse, uint8_t byte)
{
    if (mouse->count == MOUSE_QUEUE)
        return;
    mouse->queue[(mouse->first + mouse->count) % MOUSE_QUEUE] = byte;
    mouse->count++;
}

int mouse_read(struct ps2_mouse *mouse)
{
    if (!mouse->count)
        return -1;
    mouse->last = mouse->queue[mouse->first];
    mouse->first = (mouse->first + 1) % MOUSE_QUEUE;
    mouse->count--;
    return mouse->last;
}

static void defaults(struct ps2_mouse *mouse)
{
    mouse->reporting = mouse->remote = mouse->scale2 = false;
    mouse->rate = 100;
    mouse->resolution = 2;
}

void mouse_reset(struct ps2_mouse *mouse)
{
    *mouse = (struct ps2_mouse){0};
    defaults(mouse);
}

bool mouse_plausible(const struct ps2_mouse *mouse)
{
    return mouse->first < MOUSE_QUEUE && mouse->count <= MOUSE_QUEUE && mouse->buttons < 8;
}

static void send_packet(struct ps2_mouse *mouse, int dx, int dy)
{
    send(mouse, (uint8_t)(mouse->buttons | BIT(3) | (dx < 0 ? BIT(4) : 0) | (dy < 0 ? BIT(5) : 0)));
    send(mouse, (uint8_t)dx);
    send(mouse, (uint8_t)dy);
}

static void send_status(struct ps2_mouse *mouse)
{
    /* The status byte has the buttons as left 2, middle 1, right 0. */
    send(mouse, (uint8_t)((mouse->buttons >> 1 & 1) | (mouse->buttons >> 1 & 2) | (mouse->buttons & 1) << 2 |
                          (mouse->scale2 ? BIT(4) : 0) | (mouse->reporting ? BIT(5) : 0) |
                          (mouse->remote ? BIT(6) : 0)));
    send(mouse, mouse->resolution);
    send(mouse, mouse->rate);
}

static void command(struct ps2_mouse *mouse, uint8_t byte)
{
    if (byte == RESEND) {
        send(mouse, mouse->last);
        return;
    }
    mouse->count = 0; /* a command ends what was being sent */
    send(mouse, REPLY_ACK);
    switch (byte) {
    case SCALE_1:
    case SCALE_2:
        mouse->scale2 = byte == SCALE_2;
        break;
    case SET_RESOLUTION:
    case SET_RATE:
        mouse->command = byte;
        break;
    case STATUS:
        send_status(mouse);
        break;
    case STREAM:
    case REMOTE:
        mouse->remote = byte == REMOTE;
        break;
    case READ_DATA:
        send_packet(mouse, 0, 0);
        break;
    case WRAP:
    case UNWRAP:
        mouse->wrap = byte == WRAP;
        break;
    case IDENTIFY:
        send(mouse, 0);
        break;
    case ENABLE:
    case DISABLE:
        mouse->reporting = byte == ENABLE;
        break;
    case DEFAULTS:
        defaults(mouse);
        break;
    case RESET:
        mouse_reset(mouse);
        send(mouse, REPLY_ACK);
        send(mouse, REPLY_TEST_PASSED);
        send(mouse, 0);
        break;
    default:
        mouse->count = 0;
        send(mouse, REPLY_RESEND);
    }
}

void mouse_write(struct ps2_mouse *mouse, uint8_t byte)
{
    uint8_t pending = mouse->command;

    mouse->command = 0;
    if (mouse->wrap && byte != RESET && byte != UNWRAP) {
        send(mouse, byte);
    } else if (pending) {
        if (pending == SET_RATE)
            mouse->rate = byte;
        else
            mouse->resolution = byte & 3;
        send(mouse, REPLY_ACK);
    } else {
        command(mouse, byte);
    }
}

bool mouse_move(struct ps2_mouse *mouse, int dx, int dy, uint8_t buttons)
{
    mouse->buttons = buttons & 7;
    if (!mouse->reporting || mouse->remote || mouse->wrap || mouse->count + 3U > MOVES_ROOM)
        return false;
    send_packet(mouse, MAX(-255, MIN(255, dx)), MAX(-255, MIN(255, dy)));
    return true;
}
