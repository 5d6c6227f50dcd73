/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP clients need not end an object with a newline, and some do not: count the braces. */
#include "control/json.h"

static enum json_found found(struct json_scan *scan, enum json_found what, size_t at, size_t *len)
{
    *len = at;
    *scan = (struct json_scan){0};
    return what;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Not an object: all up to the end of the line, if that is there. */
static enum json_found skip_line(struct json_scan *scan, const char *buf, size_t size, size_t *len)
{
    while (scan->at < size) {
        if (buf[scan->at++] == '\n')
            return found(scan, JSON_GARBAGE, scan->at, len);
    }
    return size < JSON_MAX_TEXT ? JSON_MORE : found(scan, JSON_GARBAGE, size, len);
}

static enum json_found scan_byte(struct json_scan *scan, char c)
{
    if (scan->escaped) {
        scan->escaped = false;
    } else if (scan->in_string) {
        scan->escaped = c == '\\';
        scan->in_string = c != '"';
    } else if (c == '"') {
        scan->in_string = true;
    } else if (c == '{' || c == '[') {
        scan->depth++;
    } else if ((c == '}' || c == ']') && !--scan->depth) {
        return JSON_WHOLE;
    }
    return scan->at > JSON_MAX_TEXT || scan->depth > JSON_MAX_DEPTH ? JSON_GARBAGE : JSON_MORE;
}

enum json_found json_scan(struct json_scan *scan, const char *buf, size_t size, size_t *len)
{
    if (scan->skipping)
        return skip_line(scan, buf, size, len);
    while (scan->at < size) {
        char c = buf[scan->at];
        enum json_found what;

        if (!scan->depth && !is_space(c) && c != '{') {
            scan->skipping = true;
            return skip_line(scan, buf, size, len);
        }
        scan->at++;
        what = scan_byte(scan, c);
        if (what == JSON_WHOLE)
            return found(scan, what, scan->at, len);
        if (what == JSON_GARBAGE)
            return found(scan, what, size, len);
    }
    return JSON_MORE;
}
