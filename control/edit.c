/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/edit.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"

#define CTRL(c) ((c)&0x1f)

static void put_text(struct edit *e, const char *text)
{
    e->put(e->opaque, text, text_length(text));
}

void edit_draw(struct edit *e)
{
    char back[24];
    unsigned columns = 0;

    put_text(e, e->prompt);
    e->put(e->opaque, e->line, e->len);
    for (unsigned i = e->cursor; i < e->len; i++)
        columns += ((uint8_t)e->line[i] & 0xc0) != 0x80;
    if (columns) {
        fmt_print(back, sizeof(back), "\033[%uD", columns);
        put_text(e, back);
    }
}

void edit_erase(struct edit *e)
{
    put_text(e, "\r\033[K");
}

static void redraw(struct edit *e)
{
    edit_erase(e);
    edit_draw(e);
}

void edit_reset(struct edit *e)
{
    e->len = e->cursor = e->past_at = 0;
    e->line[0] = 0;
}

static void insert(struct edit *e, const char *bytes, unsigned len)
{
    if (e->len + len >= EDIT_LINE) {
        put_text(e, "\a");
        return;
    }
    memmove(e->line + e->cursor + len, e->line + e->cursor, e->len - e->cursor);
    memcpy(e->line + e->cursor, bytes, len);
    e->len += len;
    e->cursor += len;
    if (e->cursor == e->len)
        e->put(e->opaque, bytes, len);
    else
        redraw(e);
}

void edit_insert(struct edit *e, const char *text)
{
    insert(e, text, (unsigned)text_length(text));
}

/* From the cursor by a letter. */
static unsigned before(const struct edit *e, unsigned at)
{
    while (at && ((uint8_t)e->line[--at] & 0xc0) == 0x80) {
    }
    return at;
}

static unsigned after(const struct edit *e, unsigned at)
{
    if (at < e->len)
        at++;
    while (at < e->len && ((uint8_t)e->line[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static void move(struct edit *e, unsigned at)
{
    e->cursor = at;
    redraw(e);
}

static void cut(struct edit *e, unsigned from, unsigned to)
{
    memmove(e->line + from, e->line + to, e->len - to);
    e->len -= to - from;
    e->cursor = from;
    redraw(e);
}

static unsigned word_before(const struct edit *e)
{
    unsigned at = e->cursor;

    while (at && e->line[at - 1] == ' ')
        at--;
    while (at && e->line[at - 1] != ' ')
        at--;
    return at;
}

/* ---- lines of before ---- */

static void remember(struct edit *e)
{
    char *slot = e->past[e->past_count % EDIT_HISTORY];
    const char *last = e->past[(e->past_count - 1) % EDIT_HISTORY];

    if (!e->len || e->len >= EDIT_PAST || (e->past_count && text_equal(last, e->line)))
        return;
    memcpy(slot, e->line, e->len + 1);
    e->past_count++;
}

static void look_back(struct edit *e, unsigned at)
{
    const char *line = at ? e->past[(e->past_count - at) % EDIT_HISTORY] : "";

    if (at > e->past_count || at > EDIT_HISTORY)
        return;
    e->past_at = at;
    e->len = e->cursor = (unsigned)text_length(line);
    memcpy(e->line, line, e->len);
    redraw(e);
}

/* ---- keys ---- */

static void final_key(struct edit *e, uint8_t key)
{
    switch (key) {
    case 'A':
        look_back(e, e->past_at + 1);
        break;
    case 'B':
        if (e->past_at)
            look_back(e, e->past_at - 1);
        break;
    case 'C':
        move(e, after(e, e->cursor));
        break;
    case 'D':
        move(e, before(e, e->cursor));
        break;
    case 'H':
        move(e, 0);
        break;
    case 'F':
        move(e, e->len);
        break;
    case '~':
        if (e->argument == 3)
            cut(e, e->cursor, after(e, e->cursor));
        else if (e->argument == 1 || e->argument == 7)
            move(e, 0);
        else if (e->argument == 4 || e->argument == 8)
            move(e, e->len);
        break;
    default:
        break;
    }
}

static void escape_key(struct edit *e, uint8_t key)
{
    if (e->escape == 1) {
        e->escape = key == '[' || key == 'O' ? 2 : 0;
        e->argument = 0;
    } else if (key >= '0' && key <= '9') {
        e->argument = (uint8_t)(e->argument * 10 + (key - '0'));
    } else if (key >= 0x40 || key < 0x20) {
        e->escape = 0;
        final_key(e, key);
    }
}

static void control_key(struct edit *e, uint8_t key)
{
    switch (key) {
    case CTRL('A'):
        move(e, 0);
        break;
    case CTRL('E'):
        move(e, e->len);
        break;
    case CTRL('B'):
        move(e, before(e, e->cursor));
        break;
    case CTRL('F'):
        move(e, after(e, e->cursor));
        break;
    case CTRL('K'):
        cut(e, e->cursor, e->len);
        break;
    case CTRL('U'):
        cut(e, 0, e->cursor);
        break;
    case CTRL('W'):
        cut(e, word_before(e), e->cursor);
        break;
    case CTRL('P'):
        look_back(e, e->past_at + 1);
        break;
    case CTRL('N'):
        if (e->past_at)
            look_back(e, e->past_at - 1);
        break;
    case CTRL('C'):
        put_text(e, "^C\r\n");
        edit_reset(e);
        edit_draw(e);
        break;
    case CTRL('L'):
        put_text(e, "\033[H\033[J");
        edit_draw(e);
        break;
    case '\b':
    case 0x7f:
        cut(e, before(e, e->cursor), e->cursor);
        break;
    case 0x1b:
        e->escape = 1;
        break;
    default:
        break;
    }
}

enum edit_result edit_key(struct edit *e, uint8_t key)
{
    bool after_cr = e->cr;

    e->cr = key == '\r';
    if (e->escape) {
        escape_key(e, key);
        return EDIT_MORE;
    }
    if (key == '\n' && after_cr) /* of one key */
        return EDIT_MORE;
    if (key == '\r' || key == '\n') {
        e->line[e->len] = 0;
        put_text(e, "\r\n");
        remember(e);
        return EDIT_DONE;
    }
    if (key == '\t') {
        e->line[e->len] = 0;
        return EDIT_COMPLETE;
    }
    if (key < 0x20 || key == 0x7f)
        control_key(e, key);
    else
        insert(e, (const char *)&key, 1);
    return EDIT_MORE;
}
