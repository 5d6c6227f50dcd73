/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP clients need not end an object with a newline, and some do not: count the braces. */
#include <ctype.h>
#include <string.h>

#include "vmm/control.h"

/* Not an object: all up to the end of the line, if that is there. */
static enum qmp_found garbage(struct qmp_scan *scan, const char *buf, size_t size, size_t *len)
{
    const char *end = memchr(buf, '\n', size);

    if (!end && size < QMP_MAX_OBJECT)
        return QMP_MORE;
    *len = end ? (size_t)(end - buf) + 1 : size;
    *scan = (struct qmp_scan){0};
    return QMP_GARBAGE;
}

enum qmp_found qmp_scan(struct qmp_scan *scan, const char *buf, size_t size, size_t *len)
{
    while (scan->at < size) {
        char c = buf[scan->at];

        if (!scan->depth && !isspace((unsigned char)c) && c != '{')
            return garbage(scan, buf, size, len);
        scan->at++;
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
            *len = scan->at;
            *scan = (struct qmp_scan){0};
            return QMP_OBJECT;
        }
        if (scan->at > QMP_MAX_OBJECT || scan->depth > QMP_MAX_DEPTH) {
            *len = size;
            *scan = (struct qmp_scan){0};
            return QMP_GARBAGE;
        }
    }
    return QMP_MORE;
}
