/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8042 keyboard controller (IBM PS/2 Technical Reference) at ports 0x60 and
 * 0x64 with a PS/2 keyboard (interrupt 1) and, at its auxiliary port, a PS/2
 * mouse (interrupt 12) behind it.
 */
#ifndef DEV_INPUT_I8042_H
#define DEV_INPUT_I8042_H

#include "core/vm.h"

struct i8042;

int i8042_create(struct vm *vm, struct i8042 **out);

/*
 * Presses or releases a key, given by its make code of scancode set 2 (0xe000 added
 * for the extended ones). Lock held. False: the keyboard's buffer is full, or it is
 * turned off; the key is lost.
 */
bool ps2_key(struct i8042 *ctl, uint16_t code, bool down);

/* dx to the right and dy up; buttons: bit 0 left, 1 right, 2 middle. Lock held. False: off, or no room; it is
 * lost. */
bool ps2_mouse_move(struct i8042 *ctl, int dx, int dy, uint8_t buttons);

#endif
