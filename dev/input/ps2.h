/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PS/2 keyboard, part of the controller's state; see i8042.h. */
#ifndef DEV_INPUT_PS2_H
#define DEV_INPUT_PS2_H

#include "core/state.h"

#define PS2_QUEUE 64U

struct ps2_keyboard {
    uint8_t queue[PS2_QUEUE];
    uint8_t first, count;
    bool scanning;
    uint8_t command; /* whose argument comes next; 0: none */
    uint8_t last;    /* byte sent, for "resend" */
    uint8_t leds, typematic;
};

extern const struct state_field ps2_fields[];

void ps2_reset(struct ps2_keyboard *kbd);
bool ps2_plausible(const struct ps2_keyboard *kbd);
/* A byte from the controller. */
void ps2_write(struct ps2_keyboard *kbd, uint8_t byte);
/* The next byte to the controller; -1: none. */
int ps2_read(struct ps2_keyboard *kbd);
/* False: no room for the whole sequence. */
bool ps2_press(struct ps2_keyboard *kbd, uint16_t code, bool down);

#endif
