/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/file.h"

#include "base/text.h"
#include "config/value.h"

void config_reader_init(struct config_reader *reader, char *text)
{
    /* some editors' mark of UTF-8 */
    *reader = (struct config_reader){.rest = text + (text_begins(text, "\xef\xbb\xbf") ? 3 : 0)};
}

static char *next_line(struct config_reader *reader)
{
    char *line = reader->rest, *end = line;

    while (*end && *end != '\n')
        end++;
    reader->rest = *end ? end + 1 : NULL;
    *end = 0;
    reader->line++;
    return line;
}

/* Takes a pair of quotes off. False: there is only the first one. */
static bool unquote(char **text)
{
    char *s = *text;
    size_t len = text_length(s);

    if (*s != '"')
        return true;
    if (len < 2 || s[len - 1] != '"')
        return false;
    s[len - 1] = 0;
    *text = s + 1;
    return true;
}

int config_reader_next(struct config_reader *reader, struct config_line *line, struct error *err)
{
    while (reader->rest) {
        char *key = value_trim(next_line(reader)), *equals = key;

        if (!*key || *key == '#' || *key == ';')
            continue;
        *line = (struct config_line){.number = reader->line};
        if (*key == '[') {
            line->section = key;
            return 1;
        }
        while (*equals && *equals != '=')
            equals++;
        if (!*equals)
            return error_set(err, EINVAL, "'%s' is not of the form: key = value", key);
        *equals = 0;
        line->key = value_trim(key);
        line->value = value_trim(equals + 1);
        if (!unquote(&line->value))
            return error_set(err, EINVAL,
                             "%s: what begins with a quote ends with one, and a comment has its own line: %s",
                             line->key, line->value);
        return 1;
    }
    return 0;
}
