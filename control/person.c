/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/person.h"
#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "control/edit.h"
#include "control/line.h"

#define COLUMNS 12U
#define WIDTH   78U
#define PACKED  2U /* objects within that many others are packed */

/* Lines end as terminals want them. */
static void say(const struct control_person *p, const char *fmt, ...) ATTR_PRINTF(2, 3);
static void say(const struct control_person *p, const char *fmt, ...)
{
    char text[640];
    const char *at = text;
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (const char *end; (end = text_find(at, '\n')); at = end + 1) {
        p->put(p->opaque, at, (size_t)(end - at));
        p->put(p->opaque, "\r\n", 2);
    }
    p->put(p->opaque, at, text_length(at));
}

/* ---- values ---- */

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = text_length(end);

    return len >= n && !memcmp(text + len - n, end, n);
}

/* A duration, a size, or the number itself, as the member's name says. */
static void format_number(const char *name, uint64_t v, char *buf, size_t size)
{
    size_t len = text_length(name);

    if (ends_with(name, len, "-ns") && v < 100000000000ULL)
        fmt_print(buf, size, "%llu.%02u s", (unsigned long long)(v / 1000000000),
                  (unsigned)(v / 10000000 % 100));
    else if (ends_with(name, len, "-ns"))
        fmt_print(buf, size, "%llu:%02u:%02u", (unsigned long long)(v / 3600000000000ULL),
                  (unsigned)(v / 60000000000ULL % 60), (unsigned)(v / 1000000000 % 60));
    else if (text_begins(name, "memory") && v >= MIB(10))
        fmt_print(buf, size, "%llu MiB", (unsigned long long)(v >> 20));
    else if (text_begins(name, "memory"))
        fmt_print(buf, size, "%llu KiB", (unsigned long long)(v >> 10));
    else
        fmt_print(buf, size, "%llu", (unsigned long long)v);
}

static void format_value(const char *name, struct json v, char *buf, size_t size)
{
    uint64_t number;

    if (json_uint(v, &number)) {
        format_number(name, number, buf, size);
        return;
    }
    if (json_kind(v) == JSON_STRING)
        json_text(v, buf, size);
    else
        fmt_print(buf, size, "%.*s", (int)MIN(v.len, size), v.text ? v.text : "");
    text_make_harmless(buf);
}

static bool is_flat(struct json v)
{
    return json_kind(v) != JSON_OBJECT && json_kind(v) != JSON_ARRAY;
}

/* ---- tables ---- */

struct table {
    unsigned count;
    char name[COLUMNS][24];
    unsigned width[COLUMNS];
    bool number[COLUMNS];
};

/* A unit's suffix is not part of a heading: the values say it. */
static unsigned heading_len(const char *name)
{
    size_t len = text_length(name);

    return (unsigned)(ends_with(name, len, "-ns") ? len - 3 : len);
}

/* The flat members of the first row are the columns. */
static void measure(struct table *t, struct json rows)
{
    struct json_iter iter, members;
    struct json row, name, v;
    char text[128];

    json_iter_init(&iter, rows);
    while (json_next(&iter, NULL, &row)) {
        bool first = !t->count;

        json_iter_init(&members, row);
        while (first && json_next(&members, &name, &v) && t->count < COLUMNS) {
            if (is_flat(v)) {
                json_text(name, t->name[t->count], sizeof(t->name[0]));
                t->width[t->count] = heading_len(t->name[t->count]);
            }
            t->number[t->count] = json_kind(v) == JSON_NUMBER;
            t->count += is_flat(v);
        }
        for (unsigned i = 0; i < t->count; i++) {
            format_value(t->name[i], json_member(row, t->name[i]), text, sizeof(text));
            t->width[i] = MAX(t->width[i], (unsigned)text_length(text));
        }
    }
}

static void put_cell(const struct control_person *p, const struct table *t, unsigned i, const char *text)
{
    unsigned pad = t->width[i] - MIN((unsigned)text_length(text), t->width[i]);

    say(p, "%s", i ? "  " : "");
    for (unsigned k = 0; t->number[i] && k < pad; k++)
        p->put(p->opaque, " ", 1);
    p->put(p->opaque, text, text_length(text));
    for (unsigned k = 0; !t->number[i] && i + 1 < t->count && k < pad; k++)
        p->put(p->opaque, " ", 1);
}

static void print_table(const struct control_person *p, struct json rows)
{
    struct table t = {0};
    struct json_iter iter;
    struct json row;
    char text[128];

    measure(&t, rows);
    for (unsigned i = 0; i < t.count; i++) {
        fmt_print(text, sizeof(text), "%.*s", (int)heading_len(t.name[i]), t.name[i]);
        for (char *c = text; *c; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
        put_cell(p, &t, i, text);
    }
    say(p, "\n");
    json_iter_init(&iter, rows);
    while (json_next(&iter, NULL, &row)) {
        for (unsigned i = 0; i < t.count; i++) {
            format_value(t.name[i], json_member(row, t.name[i]), text, sizeof(text));
            put_cell(p, &t, i, text);
        }
        say(p, "\n");
    }
}

/* ---- results ---- */

/* Rows of single values. */
static bool is_table(struct json v)
{
    struct json_iter rows, members;
    struct json row, name, one;
    bool any = false;

    json_iter_init(&rows, v);
    while (json_kind(v) == JSON_ARRAY && json_next(&rows, NULL, &row)) {
        any = true;
        json_iter_init(&members, row);
        while (json_next(&members, &name, &one)) {
            if (!is_flat(one))
                return false;
        }
        if (json_kind(row) != JSON_OBJECT)
            return false;
    }
    return any;
}

static bool has_objects(struct json list)
{
    struct json_iter iter;
    struct json first = {0};

    json_iter_init(&iter, list);
    return json_next(&iter, NULL, &first) && json_kind(first) == JSON_OBJECT;
}

static void indent(const struct control_person *p, unsigned depth)
{
    for (unsigned i = 0; i < 2 * depth; i++)
        p->put(p->opaque, " ", 1);
}

/* The values of a list, or names and values of an object, as many as fit on a line. */
static void print_packed(const struct control_person *p, struct json v, unsigned depth)
{
    size_t column = 0, len;
    struct json_iter iter;
    struct json name, one;
    char key[40] = "", text[256];

    json_iter_init(&iter, v);
    while (json_next(&iter, &name, &one)) {
        if (json_kind(v) == JSON_OBJECT)
            json_text(name, key, sizeof(key));
        text_make_harmless(key);
        format_value(key, one, text, sizeof(text));
        len = text_length(key) + (*key != 0) + text_length(text) + 2;
        if (column && column + len > WIDTH) {
            say(p, "\n");
            column = 0;
        }
        if (!column)
            indent(p, depth);
        say(p, "%s%s%s%s", column ? "  " : "", key, *key ? " " : "", text);
        column += column ? len : 2 * depth + len - 2;
    }
    say(p, "\n");
}

static void print_members(const struct control_person *p, struct json object, unsigned depth);

static void print_member(const struct control_person *p, const char *key, struct json v, unsigned depth)
{
    struct json_iter iter;
    struct json one;
    char text[256];

    if (is_table(v)) { /* its headings say enough */
        print_table(p, v);
        return;
    }
    if (*key)
        indent(p, depth);
    if (is_flat(v)) {
        format_value(key, v, text, sizeof(text));
        say(p, "%.*s ", (int)heading_len(key), key);
        for (size_t used = 2 * depth + heading_len(key); used < 20; used++)
            p->put(p->opaque, " ", 1);
        say(p, "%s\n", text);
        return;
    }
    if (*key)
        say(p, "%s\n", key);
    if (depth >= PACKED || (json_kind(v) == JSON_ARRAY && !has_objects(v))) {
        print_packed(p, v, depth + 1);
    } else if (json_kind(v) == JSON_OBJECT) {
        print_members(p, v, depth + 1);
    } else {
        json_iter_init(&iter, v);
        while (json_next(&iter, NULL, &one))
            print_members(p, one, depth + 1);
    }
}

/* As deep as PACKED; what lies deeper is packed, or shown as it is. */
static void print_members(const struct control_person *p, struct json object, unsigned depth)
{
    struct json_iter iter;
    struct json name, v;
    char key[40];

    json_iter_init(&iter, object);
    while (json_next(&iter, &name, &v)) {
        json_text(name, key, sizeof(key));
        text_make_harmless(key);
        print_member(p, key, v, depth);
    }
}

/* A log: each line has its writer's name before it here, too. */
static void print_lines(const struct control_person *p, struct json lines, const char *name)
{
    struct json_iter iter;
    struct json line;
    char text[LINE_MAX + 1];

    json_iter_init(&iter, lines);
    while (json_next(&iter, NULL, &line)) {
        format_value("", line, text, sizeof(text));
        say(p, "%s%s%s\n", name, *name ? "| " : "", text);
    }
}

static void print_result(const struct control_person *p, const struct control_word *word, struct json result)
{
    struct json lines = json_member(result, "lines");
    char name[64];

    if (lines.text) {
        json_text(json_member(result, "vm"), name, sizeof(name));
        print_lines(p, lines, name);
    } else if (json_kind(result) == JSON_OBJECT) {
        print_members(p, result, 0);
    } else if (json_kind(result) == JSON_ARRAY && result.len > 2) {
        print_member(p, "", result, 0);
    } else if (json_kind(result) == JSON_ARRAY) {
        say(p, "none\n");
    } else if (!word->silent) {
        say(p, "ok\n");
    }
}

/* ---- words ---- */

/* The next one in the line, which goes on behind it; "": there are no more. */
static void next_word(const char **line, char *word, size_t size, bool all)
{
    size_t n = 0;

    while (**line == ' ')
        ++*line;
    for (; **line && (all || **line != ' '); ++*line) {
        if (n + 1 < size)
            word[n++] = **line;
    }
    while (all && n && word[n - 1] == ' ')
        n--;
    word[n] = 0;
}

static void print_help(const struct control_person *p)
{
    for (const struct control_word *w = p->words; w->name; w++)
        say(p, "  %-8s %-15s %s\n", w->name, w->usage, w->help);
    say(p, "%s", p->more_help);
}

/* The arguments' JSON from the rest of the line. False: it has too many words or too few. */
static bool make_args(const struct control_word *word, const char *line, struct json_writer *w)
{
    const char *list = word->params;
    char name[24], text[EDIT_LINE];
    unsigned used = 0;

    json_open(w, '{');
    while (*list) {
        bool required, rest;

        next_word(&list, name, sizeof(name), false);
        required = name[0] == '!';
        rest = name[0] == '*';
        next_word(&line, text, sizeof(text), rest);
        if (*text)
            json_add_text(w, name + (required || rest), text); /* a number as text is one, too */
        else if (required)
            return false;
        used += *text != 0;
    }
    if (*word->fixed) {
        json_put_raw(w, ",", used ? 1 : 0);
        json_put_raw(w, word->fixed, text_length(word->fixed));
    }
    json_close(w, '{');
    next_word(&line, text, sizeof(text), false);
    return !*text;
}

static void run(const struct control_person *p, const struct control_word *word, const char *line)
{
    struct control_server *server = p->session->server;
    struct json_writer args, out;
    struct json a, result = {0};
    struct error err = {0};

    json_writer_init(&args, server->plat, KIB(8));
    json_writer_init(&out, server->plat, CONTROL_MAX_ANSWER);
    if (!make_args(word, line, &args)) {
        say(p, "usage: %s%s%s\n", word->name, *word->usage ? " " : "", word->usage);
    } else if (args.failed || !json_read(args.text, args.len, &a)) {
        say(p, "out of memory\n");
    } else {
        control_run(server, p->session, control_find(server, word->command), a, &out, &err);
        text_make_harmless(err.text);
        if (err.code)
            say(p, "%s: %s\n", word->name, err.text);
        else if (out.failed || (out.len && !json_read(out.text, out.len, &result)))
            say(p, "%s: the answer is too long, or there is no memory for it\n", word->name);
        else
            print_result(p, word, result);
    }
    json_writer_finish(&args);
    json_writer_finish(&out);
}

void control_person_line(const struct control_person *p, const char *line)
{
    char word[48];

    next_word(&line, word, sizeof(word), false);
    if (text_equal(word, "help") || text_equal(word, "?")) {
        print_help(p);
        return;
    }
    for (const struct control_word *w = p->words; *word && w->name; w++) {
        if (text_equal(word, w->name)) {
            run(p, w, line);
            return;
        }
    }
    text_make_harmless(word);
    if (*word)
        say(p, "there is no command '%s': help lists them\n", word);
}

/* ---- completion ---- */

struct completion {
    const char *start;
    size_t typed;
    const char *match;
    size_t common; /* bytes in which all matches agree */
    unsigned count;
};

static void consider(struct completion *c, const char *candidate)
{
    size_t n = 0;

    if (text_length(candidate) < c->typed || memcmp(candidate, c->start, c->typed))
        return;
    if (!c->count++) {
        c->match = candidate;
        c->common = text_length(candidate);
        return;
    }
    while (n < c->common && candidate[n] == c->match[n])
        n++;
    c->common = n;
}

void control_person_complete(const struct control_person *p, const char *line, char *rest, size_t size)
{
    const char *space = text_find(line, ' '), *name;
    struct completion c = {.start = space ? space + 1 : line};

    *rest = 0;
    c.typed = text_length(c.start);
    if (text_find(c.start, ' '))
        return;
    for (const struct control_word *w = p->words; !space && w->name; w++)
        consider(&c, w->name);
    for (unsigned i = 0; space && (name = p->vm(p->opaque, i)); i++)
        consider(&c, name);
    if (c.count)
        fmt_print(rest, size, "%.*s%s", (int)(c.common - c.typed), c.match + c.typed,
                  c.count == 1 ? " " : "");
}
