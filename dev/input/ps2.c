/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard's side of the wire: commands and scancode set 2, the only one that it has. */
#include "dev/input/ps2.h"

#define REPLY_ACK         0xfaU
#define REPLY_RESEND      0xfeU
#define REPLY_ECHO        0xeeU
#define REPLY_TEST_PASSED 0xaaU

#define KEYS_ROOM         (PS2_QUEUE - 8) /* the rest is for replies to commands */

enum ps2_command {
    SET_LEDS = 0xed,
    ECHO = 0xee,
    SCANCODE_SET = 0xf0,
    IDENTIFY = 0xf2,
    SET_TYPEMATIC = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    ALL_KEYS_FIRST = 0xf7, /* to 0xfd: for set 3; accepted without effect */
    ALL_KEYS_LAST = 0xfd,
    RESEND = 0xfe,
    RESET = 0xff,
};

const struct state_field ps2_fields[] = {
    STATE_BYTES(struct ps2_keyboard, queue),
    STATE_INT(struct ps2_keyboard, first),
    STATE_INT(struct ps2_keyboard, count),
    STATE_BOOL(struct ps2_keyboard, scanning),
    STATE_INT(struct ps2_keyboard, command),
    STATE_INT(struct ps2_keyboard, last),
    STATE_INT(struct ps2_keyboard, leds),
    STATE_INT(struct ps2_keyboard, typematic),
    STATE_END,
};

static void send(struct ps2_keyboard *kbd, uint8_t byte)
{
    if (kbd->count == PS2_QUEUE)
        return;
    kbd->queue[(kbd->first + kbd->count) % PS2_QUEUE] = byte;
    kbd->count++;
}

int ps2_read(struct ps2_keyboard *kbd)
{
    if (!kbd->count)
        return -1;
    kbd->last = kbd->queue[kbd->first];
    kbd->first = (kbd->first + 1) % PS2_QUEUE;
    kbd->count--;
    return kbd->last;
}

void ps2_reset(struct ps2_keyboard *kbd)
{
    *kbd = (struct ps2_keyboard){.scanning = true, .typematic = 0x2b};
}

bool ps2_plausible(const struct ps2_keyboard *kbd)
{
    return kbd->first < PS2_QUEUE && kbd->count <= PS2_QUEUE;
}

static void argument(struct ps2_keyboard *kbd, uint8_t command, uint8_t byte)
{
    switch (command) {
    case SET_LEDS:
        kbd->leds = byte & 7;
        break;
    case SET_TYPEMATIC:
        kbd->typematic = byte & 0x7f;
        break;
    case SCANCODE_SET:
        if (byte != 0 && byte != 2) {
            send(kbd, REPLY_RESEND);
            return;
        }
        break;
    }
    send(kbd, REPLY_ACK);
    if (command == SCANCODE_SET && byte == 0)
        send(kbd, 2);
}

static void reset_command(struct ps2_keyboard *kbd)
{
    ps2_reset(kbd);
    send(kbd, REPLY_ACK);
    send(kbd, REPLY_TEST_PASSED);
}

static void command(struct ps2_keyboard *kbd, uint8_t byte)
{
    switch (byte) {
    case SET_LEDS:
    case SCANCODE_SET:
    case SET_TYPEMATIC:
        kbd->command = byte;
        break;
    case ECHO:
        send(kbd, REPLY_ECHO);
        return;
    case IDENTIFY:
        send(kbd, REPLY_ACK);
        send(kbd, 0xab);
        send(kbd, 0x83);
        return;
    case ENABLE:
        kbd->count = 0;
        kbd->scanning = true;
        break;
    case DISABLE:
    case DEFAULTS:
        kbd->count = 0;
        kbd->typematic = 0x2b;
        kbd->scanning = byte == DEFAULTS;
        break;
    case ALL_KEYS_FIRST ... ALL_KEYS_LAST:
        break;
    case RESEND:
        send(kbd, kbd->last);
        return;
    case RESET:
        reset_command(kbd);
        return;
    default:
        send(kbd, REPLY_RESEND);
        return;
    }
    send(kbd, REPLY_ACK);
}

void ps2_write(struct ps2_keyboard *kbd, uint8_t byte)
{
    uint8_t pending = kbd->command;

    kbd->command = 0;
    if (pending && byte < SET_LEDS)
        argument(kbd, pending, byte);
    else
        command(kbd, byte);
}

bool ps2_press(struct ps2_keyboard *kbd, uint16_t code, bool down)
{
    unsigned need = 1U + (code >> 8 == 0xe0) + !down;

    if (!kbd->scanning || kbd->count + need > KEYS_ROOM)
        return false;
    if (code >> 8 == 0xe0)
        send(kbd, 0xe0);
    if (!down)
        send(kbd, 0xf0);
    send(kbd, (uint8_t)code);
    return true;
}
