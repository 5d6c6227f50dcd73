/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "control/json.h"
#include "core/plat.h"

#define FIRST_ROOM 1024

void json_writer_init(struct json_writer *w, struct plat *plat, size_t limit)
{
    *w = (struct json_writer){.plat = plat, .limit = limit};
}

void json_writer_finish(struct json_writer *w)
{
    w->plat->ops->free(w->plat, w->text);
    w->text = NULL;
    w->len = w->room = 0;
}

void json_writer_reset(struct json_writer *w)
{
    w->len = 0;
    w->depth = 0;
    w->comma = w->keyed = w->failed = false;
}

static bool reserve(struct json_writer *w, size_t more)
{
    size_t need = w->len + more, room = MAX(w->room, (size_t)FIRST_ROOM);
    char *text;

    if (w->failed || need > w->limit) {
        w->failed = true;
        return false;
    }
    if (need <= w->room)
        return true;
    while (room < need)
        room *= 2;
    text = w->plat->ops->alloc(w->plat, room);
    if (!text) {
        w->failed = true;
        return false;
    }
    if (w->len)
        memcpy(text, w->text, w->len);
    w->plat->ops->free(w->plat, w->text);
    w->text = text;
    w->room = room;
    return true;
}

void json_put_raw(struct json_writer *w, const char *bytes, size_t len)
{
    if (len && reserve(w, len)) {
        memcpy(w->text + w->len, bytes, len);
        w->len += len;
    }
}

static void put(struct json_writer *w, const char *text)
{
    json_put_raw(w, text, text_length(text));
}

static void new_line(struct json_writer *w)
{
    if (!w->pretty)
        return;
    put(w, "\n");
    for (unsigned i = 0; i < w->depth; i++)
        put(w, "  ");
}

static void before_value(struct json_writer *w)
{
    if (w->comma && !w->keyed)
        put(w, ",");
    if (w->depth && !w->keyed)
        new_line(w);
    w->comma = true;
    w->keyed = false;
}

void json_open(struct json_writer *w, char bracket)
{
    before_value(w);
    json_put_raw(w, &bracket, 1);
    w->comma = false;
    w->depth++;
}

void json_close(struct json_writer *w, char bracket)
{
    w->depth--;
    if (w->comma)
        new_line(w);
    put(w, bracket == '{' ? "}" : "]");
    w->comma = true;
}

/* ---- strings ---- */

/* What stands for the letter, NULL: itself. C1 controls mean something to terminals. */
static const char *escaped(uint32_t letter, char buf[8])
{
    static const char from[] = "\"\\\b\f\n\r\t", *const to[] = {"\\\"", "\\\\", "\\b", "\\f",
                                                                "\\n",  "\\r",  "\\t"};

    for (unsigned i = 0; from[i]; i++) {
        if (letter == (uint32_t)from[i])
            return to[i];
    }
    if (letter >= 0x20 && (letter < 0x7f || letter >= 0xa0))
        return NULL;
    fmt_print(buf, 8, "\\u%04X", letter);
    return buf;
}

static void put_quoted(struct json_writer *w, const char *bytes, size_t len)
{
    size_t plain = 0, at = 0; /* plain: from where on nothing was written yet */

    json_put_raw(w, "\"", 1);
    while (at < len) {
        uint32_t letter = 0;
        unsigned n = utf8_letter(bytes + at, len - at, &letter);
        char buf[8];
        const char *instead = n && letter ? escaped(letter, buf) : "?"; /* not every reader takes a NUL */

        if (instead) {
            json_put_raw(w, bytes + plain, at - plain);
            put(w, instead);
            plain = at + MAX(n, 1U);
        }
        at += MAX(n, 1U);
    }
    json_put_raw(w, bytes + plain, at - plain);
    json_put_raw(w, "\"", 1);
}

void json_key(struct json_writer *w, const char *name)
{
    before_value(w);
    put_quoted(w, name, text_length(name));
    put(w, w->pretty ? ": " : ":");
    w->keyed = true;
}

void json_put_bytes(struct json_writer *w, const char *bytes, size_t len)
{
    before_value(w);
    put_quoted(w, bytes, len);
}

void json_put_text(struct json_writer *w, const char *text)
{
    json_put_bytes(w, text, text_length(text));
}

void json_put_format(struct json_writer *w, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_put_text(w, text);
}

/* ---- the rest ---- */

void json_put_uint(struct json_writer *w, uint64_t number)
{
    char text[24];

    fmt_print(text, sizeof(text), "%llu", (unsigned long long)number);
    before_value(w);
    put(w, text);
}

void json_put_int(struct json_writer *w, int64_t number)
{
    char text[24];

    fmt_print(text, sizeof(text), "%lld", (long long)number);
    before_value(w);
    put(w, text);
}

void json_put_bool(struct json_writer *w, bool truth)
{
    before_value(w);
    put(w, truth ? "true" : "false");
}

/* Its strings go through the writer's own rules: what came in with DEL or C1 controls goes out without. */
void json_put_value(struct json_writer *w, struct json value)
{
    bool in_string = false;

    before_value(w);
    for (size_t i = 0; i < value.len; i++) {
        uint32_t letter = 0;
        unsigned n = utf8_letter(value.text + i, value.len - i, &letter);
        char buf[8];

        if (!in_string && (uint8_t)value.text[i] <= ' ')
            continue;
        if (letter >= 0x7f && letter < 0xa0) {
            put(w, escaped(letter, buf));
            i += n - 1;
            continue;
        }
        if (in_string && value.text[i] == '\\')
            json_put_raw(w, value.text + i++, 1);
        else if (value.text[i] == '"')
            in_string = !in_string;
        json_put_raw(w, value.text + i, 1);
    }
}
