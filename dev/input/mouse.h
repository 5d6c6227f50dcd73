/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PS/2 mouse with three buttons, part of the controller's state; see i8042.h. */
#ifndef DEV_INPUT_MOUSE_H
#define DEV_INPUT_MOUSE_H

#include "core/state.h"

#define MOUSE_QUEUE 32U

struct ps2_mouse {
    uint8_t queue[MOUSE_QUEUE];
    uint8_t first, count;
    bool reporting;
    bool remote, scale2, wrap;
    uint8_t command; /* whose argument comes next; 0: none */
    uint8_t last;    /* byte sent, for "resend" */
    uint8_t rate, resolution, buttons;
};

extern const struct state_field mouse_fields[];

void mouse_reset(struct ps2_mouse *mouse);
bool mouse_plausible(const struct ps2_mouse *mouse);
/* A byte from the controller. */
void mouse_write(struct ps2_mouse *mouse, uint8_t byte);
/* The next byte to the controller; -1: none. */
int mouse_read(struct ps2_mouse *mouse);
/* dx to the right and dy up, -255..255; buttons: bit 0 left, 1 right, 2 middle. False: off, or no room. */
bool mouse_move(struct ps2_mouse *mouse, int dx, int dy, uint8_t buttons);

#endif
