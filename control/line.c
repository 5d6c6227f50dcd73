/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Escape sequences by ECMA-48: ESC, perhaps intermediate bytes, a final one; CSI with its
 * parameters; strings (OSC, DCS, SOS, PM, APC) up to BEL or ST. What is too long for one,
 * or cut off by a line's end, is over: nobody's output vanishes for good.
 */
#include "control/line.h"
#include "base/bytes.h"
#include "control/json.h"

#define SKIP_MAX 200U

enum { TEXT, ESC, CSI, STRING, STRING_ESC };

void line_clear(struct line *line)
{
    line->len = line->columns = line->letter_len = 0;
    line->cr = false;
}

static void add(struct line *line, const char *bytes, unsigned len)
{
    if (line->len + len > LINE_MAX)
        return;
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
    line->columns++;
}

/* Letters that do not stand where they were written, or not on their line: the C1 controls, line and
 * paragraph separators, and what changes the direction of writing. */
static bool harmless(uint32_t letter)
{
    return letter >= 0xa0 && letter != 0x2028 && letter != 0x2029 && letter != 0x61c && letter != 0xfeff &&
           !(letter >= 0x200b && letter <= 0x200f) && !(letter >= 0x202a && letter <= 0x202e) &&
           !(letter >= 0x2060 && letter <= 0x206f) && !(letter >= 0xe0000 && letter <= 0xe0fff);
}

/* A byte of a letter beyond ASCII. */
static void add_letter_byte(struct line *line, uint8_t byte)
{
    uint32_t letter = 0;
    unsigned n, want;

    if (line->letter_len && (byte & 0xc0) != 0x80) { /* the one that had begun stays unfinished */
        add(line, "?", 1);
        line->letter_len = 0;
    }
    line->letter[line->letter_len++] = (char)byte;
    want = (uint8_t)line->letter[0] >= 0xf0 ? 4 : (uint8_t)line->letter[0] >= 0xe0 ? 3 : 2;
    if (line->letter_len < want && (uint8_t)line->letter[0] >= 0xc2 && (uint8_t)line->letter[0] <= 0xf4)
        return;
    n = utf8_letter(line->letter, line->letter_len, &letter);
    if (n == line->letter_len && harmless(letter))
        add(line, line->letter, n);
    else
        add(line, "?", 1);
    line->letter_len = 0;
}

static void erase_letter(struct line *line)
{
    if (!line->len)
        return;
    do
        line->len--;
    while (line->len && ((uint8_t)line->text[line->len] & 0xc0) == 0x80);
    line->columns--;
}

static void text_byte(struct line *line, uint8_t byte)
{
    if (byte >= 0x80) {
        add_letter_byte(line, byte);
        return;
    }
    if (line->letter_len) {
        add(line, "?", 1);
        line->letter_len = 0;
    }
    if (byte == 0x1b) {
        line->escape = ESC;
        line->skipped = 0;
    } else if (byte == '\t') {
        do
            add(line, " ", 1);
        while (line->columns % 8 && line->len < LINE_MAX);
    } else if (byte == '\b') {
        erase_letter(line);
    } else if (byte >= 0x20 && byte < 0x7f) {
        add(line, (const char *)&byte, 1);
    } else if (byte && byte != '\a') {
        add(line, "?", 1);
    }
}

/* A byte of an escape sequence, which goes nowhere. */
static void skip_byte(struct line *line, uint8_t byte)
{
    switch (line->escape) {
    case ESC:
        if (byte == '[')
            line->escape = CSI;
        else if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_')
            line->escape = STRING;
        else if (byte < 0x20 || byte > 0x2f)
            line->escape = byte == 0x1b ? ESC : TEXT;
        break;
    case CSI:
        if (byte == 0x1b)
            line->escape = ESC;
        else if (byte < 0x20 || byte > 0x3f)
            line->escape = TEXT;
        break;
    case STRING_ESC:
        line->escape = byte == '\\' ? TEXT : STRING;
        break;
    default:
        line->escape = byte == '\a' ? TEXT : byte == 0x1b ? STRING_ESC : STRING;
        break;
    }
    if (++line->skipped >= SKIP_MAX)
        line->escape = TEXT;
}

enum line_result line_put(struct line *line, uint8_t byte)
{
    if (byte == '\n') {
        line->escape = TEXT;
        line->cr = false;
        return LINE_END;
    }
    if (line->cr && byte != '\r') { /* back to its beginning without a new line: what was there is shown */
        line->cr = false;
        if (line->len)
            return LINE_AGAIN;
    }
    if (line->len >= LINE_MAX - 8)
        return LINE_AGAIN;
    if (line->escape)
        skip_byte(line, byte);
    else if (byte == '\r')
        line->cr = true;
    else
        text_byte(line, byte);
    return LINE_MORE;
}

void text_make_harmless(char *text)
{
    char *out = text;

    while (*text) {
        uint32_t letter = 0;
        unsigned n = utf8_letter(text, 4, &letter);
        bool good = n == 1 ? letter >= 0x20 && letter < 0x7f : n && harmless(letter);

        if (good)
            memmove(out, text, n);
        else
            *out = '?';
        out += good ? n : 1;
        text += MAX(n, 1U);
    }
    *out = 0;
}
