/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Letters of 5 × 7 dots, as on every character display, drawn 8 × 16. */
#ifndef HV_FONT_H
#define HV_FONT_H

#include "base/base.h"

#define FONT_WIDTH  8U
#define FONT_HEIGHT 16U

/* The dots of one row, bit 7 at the left. */
uint8_t font_row(char c, unsigned row);

#endif
