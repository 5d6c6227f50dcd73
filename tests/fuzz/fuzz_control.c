/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as JSON, and as what a client sends. The first byte chooses: a text that is
 * read and written again, or a session's input and how it is cut into pieces; and
 * whether the bytes are what they are or stand for pieces of JSON, which makes more
 * of random ones.
 */
#include "base/bytes.h"
#include "base/text.h"
#include "control/control.h"
#include "tests/unit/fake-plat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- JSON ---- */

/* Visits every value; the depth is bounded by the check. */
static void visit(struct json v)
{
    struct json_iter iter;
    struct json name, value;
    uint64_t u;
    int64_t s;
    bool b;
    char text[16];

    base_assert(json_kind(v) != JSON_NONE);
    base_assert(json_uint(v, &u) + json_int(v, &s) + json_bool(v, &b) < 3);
    base_assert(json_text(v, text, sizeof(text)) < sizeof(text) || json_kind(v) == JSON_STRING);
    json_iter_init(&iter, v);
    name = (struct json){0};
    while (json_next(&iter, &name, &value)) {
        if (json_kind(v) == JSON_OBJECT)
            base_assert(json_kind(name) == JSON_STRING);
        visit(value);
    }
}

/* A copy that is right, and whose own copy is the same. */
static void copy_twice(struct plat *plat, struct json v)
{
    struct json_writer first, second;
    struct json again = {0};

    json_writer_init(&first, plat, MIB(1));
    json_writer_init(&second, plat, MIB(1));
    json_put_value(&first, v);
    base_assert(json_read(first.text, first.len, &again));
    json_put_value(&second, again);
    base_assert(first.len == second.len && !memcmp(first.text, second.text, first.len));
    json_writer_finish(&first);
    json_writer_finish(&second);
}

static void as_json(struct plat *plat, const char *text, size_t size)
{
    struct json_writer w;
    struct json v = {0};

    if (json_read(text, size, &v)) {
        visit(v);
        copy_twice(plat, v);
    }
    /* Whatever it is, it can be written as a string. */
    json_writer_init(&w, plat, MIB(1));
    json_put_bytes(&w, text, size);
    base_assert(!w.failed && json_read(w.text, w.len, &v) && json_kind(v) == JSON_STRING);
    json_writer_finish(&w);
}

/* ---- a session ---- */

static void echo(struct control_call *call)
{
    json_put_value(call->out, json_member(call->args, "a"));
}

static const struct control_command commands[] = {{"e", "!a b", CONTROL_HOST, echo},
                                                  {NULL, NULL, CONTROL_HOST, NULL}};
static const struct control_command *const tables[] = {commands, NULL};

/* Each answer is one line with one object. */
static void check_answer(struct control_session *session, const char *text, size_t len)
{
    struct json v = {0};

    base_assert(len > 2 && text[len - 2] == '\r' && text[len - 1] == '\n');
    base_assert(json_read(text, len, &v) && json_kind(v) == JSON_OBJECT);
    base_assert(json_member(v, "return").text || json_member(v, "error").text);
}

static void as_session(struct plat *plat, const char *bytes, size_t size, size_t piece)
{
    struct control_server server = {.plat = plat, .tables = tables, .package = "fuzz"};
    struct control_session session;

    control_session_init(&session, &server);
    session.send = check_answer;
    session.lenient = true;
    for (size_t at = 0; at < size; at += piece)
        base_assert(control_session_input(&session, bytes + at, MIN(piece, size - at)) == 0);
    control_session_finish(&session);
}

/* ---- input ---- */

static size_t expand(const uint8_t *data, size_t size, char *out, size_t room)
{
    static const char *const pieces[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "{\"execute\":\"e\",\"arguments\":{\"a\":",
        "}}",
        "\"a\"",
        "\"b\":",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "1",
        "-2",
        "0.5e1",
        "true",
        "null",
        " ",
        "\n",
        "\x80",
        "\xc3\xa9",
        "\"\xc2\x9b\"",
        "[1,",
        "{\"a\":",
        "\"id\":",
        "\"\"",
        "[]",
        "{}",
        "\"}\"",
        "\\\"",
    };
    size_t len = 0;

    for (size_t i = 0; i < size; i++) {
        const char *piece = pieces[data[i] % ARRAY_SIZE(pieces)];

        if (len + text_length(piece) > room)
            break;
        memcpy(out + len, piece, text_length(piece));
        len += text_length(piece);
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_plat plat;
    char *text;
    size_t len, room;

    if (!size)
        return 0;
    fake_plat_init(&plat);
    room = data[0] & 2 ? 64 * size : size - 1;
    text = plat.plat.ops->alloc(&plat.plat, room);
    if (data[0] & 2)
        len = expand(data + 1, size - 1, text, room);
    else
        memcpy(text, data + 1, len = size - 1);
    if (data[0] & 1)
        as_json(&plat.plat, text, len);
    else
        as_session(&plat.plat, text, len, (data[0] >> 2) + 1U);
    plat.plat.ops->free(&plat.plat, text);
    base_assert(plat.allocations == 0);
    return 0;
}
