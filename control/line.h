/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of what somebody wrote for a terminal, made harmless for another's: without
 * control characters and escape sequences, and with nothing that stands elsewhere than
 * where it was written. A line is at most LINE_MAX bytes: a longer one is cut in pieces.
 */
#ifndef CONTROL_LINE_H
#define CONTROL_LINE_H

#include "base/base.h"

#define LINE_MAX 500

enum line_result {
    LINE_MORE,
    LINE_END,   /* it is whole */
    LINE_AGAIN, /* it is whole without this byte, which is the next one's */
};

/* All zeroes: nothing yet. */
struct line {
    char text[LINE_MAX];
    unsigned len, columns;
    uint8_t escape;  /* what kind of sequence we are in */
    uint8_t skipped; /* bytes of it */
    bool cr;
    char letter[4]; /* UTF-8 that has begun */
    unsigned letter_len;
};

enum line_result line_put(struct line *line, uint8_t byte);
/* Forgets the text; an escape sequence goes on. */
void line_clear(struct line *line);

/* In place: what a terminal obeys becomes '?'. */
void text_make_harmless(char *text);

#endif
