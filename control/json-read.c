/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/text.h"
#include "control/json.h"

/* ---- UTF-8 ---- */

unsigned utf8_letter(const char *p, size_t size, uint32_t *letter)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)p;
    unsigned len;
    uint32_t v;

    if (!size)
        return 0;
    len = b[0] < 0x80 ? 1 : b[0] >= 0xc2 && b[0] < 0xe0 ? 2 : b[0] >= 0xe0 && b[0] < 0xf0 ? 3 : 4;
    if (b[0] >= 0x80 && (b[0] < 0xc2 || b[0] > 0xf4))
        return 0;
    if (len > size)
        return 0;
    v = len == 1 ? b[0] : b[0] & (0x7fU >> len);
    for (unsigned i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (b[i] & 0x3f);
    }
    if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    *letter = v;
    return len;
}

/* ---- checking ---- */

struct reader {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits at p. -1: they are not there. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t v = 0;

    if (end - p < 4)
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);

        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* The letter that an escape stands for; p is behind the backslash, *len what it takes from there. */
static bool escape_letter(const char *p, const char *end, uint32_t *letter, unsigned *len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int32_t high, low;

    if (p == end)
        return false;
    *len = 1;
    for (unsigned i = 0; from[i]; i++) {
        if (*p == from[i]) {
            *letter = (uint8_t)to[i];
            return true;
        }
    }
    high = *p == 'u' ? hex4(p + 1, end) : -1;
    if (high <= 0 || (high >= 0xdc00 && high < 0xe000))
        return false;
    *len = 5;
    *letter = (uint32_t)high;
    if (high < 0xd800 || high >= 0xe000)
        return true;
    low = end - p >= 11 && p[5] == '\\' && p[6] == 'u' ? hex4(p + 7, end) : -1;
    *len = 11;
    *letter = 0x10000 + ((uint32_t)(high & 0x3ff) << 10 | (uint32_t)(low & 0x3ff));
    return low >= 0xdc00 && low < 0xe000;
}

/* The next letter within a string; len: bytes of the text. False at its end, and for what may not be there.
 */
static bool string_letter(const char *p, const char *end, uint32_t *letter, unsigned *len)
{
    if (p == end || *p == '"' || (uint8_t)*p < 0x20)
        return false;
    if (*p != '\\') {
        *len = utf8_letter(p, (size_t)(end - p), letter);
        return *len > 0;
    }
    if (!escape_letter(p + 1, end, letter, len))
        return false;
    ++*len;
    return true;
}

static bool check_string(struct reader *r)
{
    uint32_t letter;
    unsigned len;

    if (r->at == r->end || *r->at != '"')
        return false;
    r->at++;
    while (string_letter(r->at, r->end, &letter, &len))
        r->at += len;
    if (r->at == r->end || *r->at != '"')
        return false;
    r->at++;
    return true;
}

static bool check_digits(struct reader *r)
{
    const char *start = r->at;

    while (r->at < r->end && is_digit(*r->at))
        r->at++;
    return r->at > start;
}

static bool check_number(struct reader *r)
{
    r->at += r->at < r->end && *r->at == '-';
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (!check_digits(r))
        return false;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!check_digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at | 0x20) == 'e') {
        r->at++;
        r->at += r->at < r->end && (*r->at == '+' || *r->at == '-');
        return check_digits(r);
    }
    return true;
}

static bool check_word(struct reader *r)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        size_t len = text_length(words[i]);

        if ((size_t)(r->end - r->at) >= len && !memcmp(r->at, words[i], len)) {
            r->at += len;
            return true;
        }
    }
    return false;
}

static bool check_scalar(struct reader *r)
{
    if (r->at == r->end)
        return false;
    if (*r->at == '"')
        return check_string(r);
    return *r->at == '-' || is_digit(*r->at) ? check_number(r) : check_word(r);
}

/* "name": before a value. */
static bool check_name(struct reader *r)
{
    r->at = skip_space(r->at, r->end);
    if (!check_string(r))
        return false;
    r->at = skip_space(r->at, r->end);
    if (r->at == r->end || *r->at != ':')
        return false;
    r->at++;
    return true;
}

/* Where one is at: the containers that are open, a bit each, 1: an object. */
struct nest {
    uint64_t objects;
    unsigned depth;
};

static bool inside_object(const struct nest *n)
{
    return n->depth && n->objects & BIT64(n->depth - 1);
}

/* Behind a value: closes what ends there, and comes to where the next one begins. *done: there is none. */
static bool check_after(struct reader *r, struct nest *n, bool *done)
{
    for (;;) {
        char closing = inside_object(n) ? '}' : ']';

        r->at = skip_space(r->at, r->end);
        if (!n->depth) {
            *done = true;
            return r->at == r->end;
        }
        if (r->at == r->end)
            return false;
        if (*r->at == ',') {
            r->at++;
            return !inside_object(n) || check_name(r);
        }
        if (*r->at != closing)
            return false;
        r->at++;
        n->depth--;
    }
}

/* At a bracket that opens. *empty: and closes again. */
static bool check_open(struct reader *r, struct nest *n, bool *empty)
{
    bool object = *r->at == '{';

    if (n->depth == JSON_MAX_DEPTH)
        return false;
    r->at = skip_space(r->at + 1, r->end);
    *empty = r->at < r->end && *r->at == (object ? '}' : ']');
    if (*empty) {
        r->at++;
        return true;
    }
    n->objects = (n->objects & ~BIT64(n->depth)) | (uint64_t)object << n->depth;
    n->depth++;
    return !object || check_name(r);
}

bool json_read(const char *text, size_t len, struct json *value)
{
    struct reader r = {text, text + len};
    struct nest n = {0};
    const char *start = skip_space(text, r.end), *end = r.end;

    while (end > start && is_space(end[-1]))
        end--;
    r.at = start;
    for (bool done = false; !done;) {
        bool empty = true;

        r.at = skip_space(r.at, r.end);
        if (r.at < r.end && (*r.at == '{' || *r.at == '[')) {
            if (!check_open(&r, &n, &empty))
                return false;
        } else if (!check_scalar(&r)) {
            return false;
        }
        if (empty && !check_after(&r, &n, &done))
            return false;
    }
    *value = (struct json){start, (size_t)(end - start)};
    return true;
}

/* ---- values: from here on the text is known to be right ---- */

enum json_kind json_kind(struct json value)
{
    if (!value.text || !value.len)
        return JSON_NONE;
    switch (value.text[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

/* Behind the value at `at`. */
static const char *value_end(const char *at, const char *end)
{
    unsigned depth = 0;
    bool in_string = false;

    for (; at < end; at++) {
        if (in_string) {
            in_string = *at != '"';
            at += *at == '\\';
            if (!in_string && !depth)
                return at + 1;
        } else if (*at == '"') {
            in_string = true;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            if (!depth)
                return at;
            if (!--depth)
                return at + 1;
        } else if (!depth && (*at == ',' || *at == ':' || is_space(*at))) {
            return at;
        }
    }
    return end;
}

void json_iter_init(struct json_iter *iter, struct json container)
{
    enum json_kind kind = json_kind(container);

    *iter = (struct json_iter){0};
    if (kind != JSON_OBJECT && kind != JSON_ARRAY)
        return;
    iter->object = kind == JSON_OBJECT;
    iter->at = container.text + 1;
    iter->end = container.text + container.len - 1;
}

static struct json next_value(struct json_iter *iter)
{
    const char *start = skip_space(iter->at, iter->end);

    iter->at = value_end(start, iter->end);
    return (struct json){start, (size_t)(iter->at - start)};
}

bool json_next(struct json_iter *iter, struct json *name, struct json *value)
{
    if (!iter->at)
        return false;
    iter->at = skip_space(iter->at, iter->end);
    if (iter->at >= iter->end)
        return false;
    if (iter->object) {
        struct json found = next_value(iter);

        if (name)
            *name = found;
        iter->at = skip_space(iter->at, iter->end) + 1; /* the colon */
    }
    *value = next_value(iter);
    iter->at = skip_space(iter->at, iter->end);
    iter->at += iter->at < iter->end; /* the comma */
    return true;
}

struct json json_member(struct json object, const char *name)
{
    struct json key, value, found = {0};
    struct json_iter iter;

    json_iter_init(&iter, object);
    if (!iter.object)
        return found;
    while (json_next(&iter, &key, &value)) {
        if (json_is(key, name))
            found = value;
    }
    return found;
}

static unsigned put_letter(uint32_t letter, char *out)
{
    unsigned len = letter < 0x80 ? 1 : letter < 0x800 ? 2 : letter < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (unsigned i = len; i-- > 1; letter >>= 6)
        out[i] = (char)(0x80 | (letter & 0x3f));
    out[0] = (char)(lead[len] | letter);
    return len;
}

size_t json_text(struct json value, char *buf, size_t size)
{
    bool string = json_kind(value) == JSON_STRING;
    const char *at = value.text, *end = value.text + value.len;
    size_t len = 0, kept = 0;
    uint32_t letter;
    unsigned taken;

    for (at += string; string && string_letter(at, end, &letter, &taken); at += taken) {
        char bytes[4];
        unsigned n = put_letter(letter, bytes);

        if (kept == len && len + n < size) {
            memcpy(buf + len, bytes, n);
            kept += n;
        }
        len += n;
    }
    if (size)
        buf[kept] = 0;
    return len;
}

bool json_is(struct json value, const char *text)
{
    const char *at, *end;
    uint32_t letter;
    unsigned taken;

    if (json_kind(value) != JSON_STRING)
        return false;
    end = value.text + value.len;
    for (at = value.text + 1; string_letter(at, end, &letter, &taken); at += taken) {
        char bytes[4];
        unsigned n = put_letter(letter, bytes);

        for (unsigned i = 0; i < n; i++) {
            if (*text++ != bytes[i]) /* a NUL is in no string */
                return false;
        }
    }
    return !*text;
}

/* Digits only. */
static bool parse_uint(const char *text, size_t len, uint64_t *number)
{
    uint64_t v = 0;

    if (!len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    }
    *number = v;
    return true;
}

bool json_uint(struct json value, uint64_t *number)
{
    return json_kind(value) == JSON_NUMBER && parse_uint(value.text, value.len, number);
}

bool json_int(struct json value, int64_t *number)
{
    bool negative = value.text && value.len && *value.text == '-';
    uint64_t v;

    if (json_kind(value) != JSON_NUMBER || !parse_uint(value.text + negative, value.len - negative, &v) ||
        v > (uint64_t)INT64_MAX + negative)
        return false;
    *number = (int64_t)(negative ? -v : v);
    return true;
}

bool json_bool(struct json value, bool *truth)
{
    if (json_kind(value) != JSON_BOOL)
        return false;
    *truth = value.text[0] == 't';
    return true;
}
