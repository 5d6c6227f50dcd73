/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON (RFC 8259) without a C library. What is read is hostile: a text is checked
 * once as a whole, in bounded depth and without recursion, and the values within are
 * then pieces of that text, found when they are asked for. So reading needs no memory
 * beside the text, and numbers are as exact as they were written.
 *
 * What is written goes into one buffer that grows to a limit, in memory of the
 * platform's. It is always UTF-8 and has no control characters, whatever went in: it
 * may end on a terminal.
 */
#ifndef CONTROL_JSON_H
#define CONTROL_JSON_H

#include "base/base.h"

struct plat;

#define JSON_MAX_DEPTH 64
#define JSON_MAX_TEXT  KIB(256) /* of one object in a stream */

/* ---- where objects end in a stream of bytes: nothing need stand between them ---- */

struct json_scan {
    size_t at; /* bytes looked at */
    unsigned depth;
    bool in_string, escaped;
    bool skipping; /* what is no object, to the end of its line */
};

enum json_found { JSON_MORE, JSON_WHOLE, JSON_GARBAGE };

/*
 * Looks at buf (the same bytes as before, and new ones). WHOLE: its first *len bytes
 * hold an object; GARBAGE: they hold something else, up to a line's end. After either,
 * the caller removes them, and the scan starts anew.
 */
enum json_found json_scan(struct json_scan *scan, const char *buf, size_t size, size_t *len);

/* ---- values ---- */

enum json_kind { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* A piece of a text that json_read() found right, which outlives it. text NULL: no such value. */
struct json {
    const char *text;
    size_t len;
};

/*
 * One value, with white space around it. False: it is something else, its strings are
 * not UTF-8 or hold a NUL, or it is deeper than JSON_MAX_DEPTH.
 */
bool json_read(const char *text, size_t len, struct json *value);

enum json_kind json_kind(struct json value);

/* The member of an object; the last one if there are several. NONE: none, or not an object. */
struct json json_member(struct json object, const char *name);

/* Goes through an object or array: false at its end, and at once for anything else. */
struct json_iter {
    const char *at, *end;
    bool object;
};
void json_iter_init(struct json_iter *iter, struct json container);
bool json_next(struct json_iter *iter, struct json *name, struct json *value); /* name: NULL for arrays */

/*
 * A string's text. Returns the length that it has as a whole; what does not fit is
 * missing in buf, which ends with NUL and not within a letter. "" for other values.
 */
size_t json_text(struct json value, char *buf, size_t size);
/* Is it a string, and this one? */
bool json_is(struct json value, const char *text);

/* False: no integer, or one that does not fit. The output is untouched then. */
bool json_uint(struct json value, uint64_t *number);
bool json_int(struct json value, int64_t *number);
bool json_bool(struct json value, bool *truth);

/* ---- writing ---- */

struct json_writer {
    struct plat *plat;
    char *text;
    size_t len, room, limit;
    bool pretty; /* the user's to set: lines and indentation, for people */
    bool failed; /* no memory, or past the limit: the text is not whole */
    /* the writer's own: */
    unsigned depth;
    bool comma, keyed; /* before the next value; a key stands there */
};

/* Nothing is allocated before something is written. */
void json_writer_init(struct json_writer *w, struct plat *plat, size_t limit);
void json_writer_finish(struct json_writer *w);
/* Back to nothing written, and no failure. */
void json_writer_reset(struct json_writer *w);

/* bracket: '{' or '['. */
void json_open(struct json_writer *w, char bracket);
void json_close(struct json_writer *w, char bracket); /* the same: '{' or '[' */
/* The next value is this member of the object. */
void json_key(struct json_writer *w, const char *name);

void json_put_text(struct json_writer *w, const char *text);
void json_put_bytes(struct json_writer *w, const char *bytes, size_t len);           /* as a string */
void json_put_format(struct json_writer *w, const char *fmt, ...) ATTR_PRINTF(2, 3); /* short: 256 bytes */
void json_put_uint(struct json_writer *w, uint64_t number);
void json_put_int(struct json_writer *w, int64_t number);
void json_put_bool(struct json_writer *w, bool truth);
/* A copy, without the white space around its parts. */
void json_put_value(struct json_writer *w, struct json value);
/* These bytes as they are, between the values: line ends. */
void json_put_raw(struct json_writer *w, const char *bytes, size_t len);

/* A member of the object that is open. */
static inline void json_add_text(struct json_writer *w, const char *name, const char *text)
{
    json_key(w, name);
    json_put_text(w, text);
}

static inline void json_add_uint(struct json_writer *w, const char *name, uint64_t number)
{
    json_key(w, name);
    json_put_uint(w, number);
}

static inline void json_add_bool(struct json_writer *w, const char *name, bool truth)
{
    json_key(w, name);
    json_put_bool(w, truth);
}

/* ---- UTF-8 ---- */

/* The bytes of the letter at p, 1 to 4; 0: none begins there, or it is cut off. */
unsigned utf8_letter(const char *p, size_t size, uint32_t *letter);

#endif
