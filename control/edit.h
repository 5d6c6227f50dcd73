/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line that somebody types: keys in, echo out. Arrows, Home and End, Ctrl-A E B F K U W
 * C L, backspace, delete, and the last lines with up and down.
 */
#ifndef CONTROL_EDIT_H
#define CONTROL_EDIT_H

#include "base/base.h"

#define EDIT_LINE    1024U
#define EDIT_HISTORY 16U
#define EDIT_PAST    128U /* longer lines are not remembered */

enum edit_result { EDIT_MORE, EDIT_DONE, EDIT_COMPLETE };

struct edit {
    const char *prompt;
    void (*put)(void *opaque, const char *bytes, size_t len);
    void *opaque;

    char line[EDIT_LINE];
    unsigned len, cursor;
    uint8_t escape;   /* 0, or how far into ESC [ n */
    uint8_t argument; /* n */
    bool cr;
    char past[EDIT_HISTORY][EDIT_PAST];
    unsigned past_count, past_at; /* ever; how far back we look, 0: not */
};

/* DONE: the line is in edit.line, NUL at its end; edit_reset() before the next key. */
enum edit_result edit_key(struct edit *e, uint8_t key);
void edit_reset(struct edit *e);
/* Puts text in at the cursor. */
void edit_insert(struct edit *e, const char *text);
/* Prompt and line, the cursor where it belongs; and away with them. */
void edit_draw(struct edit *e);
void edit_erase(struct edit *e);

#endif
