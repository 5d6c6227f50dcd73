/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single values: sizes, numbers, words; and the nearest word to a wrong one. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "vmm/options-internal.h"

int parse_uint(const char *text, uint64_t max, uint64_t *value)
{
    unsigned long long v;
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    v = strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
    if (*end || end == text)
        return -EINVAL;
    if (errno || v > max)
        return -ERANGE;
    *value = v;
    return 0;
}

int parse_size(const char *text, uint64_t *value)
{
    unsigned long long v;
    uint64_t unit = MIB(1), total;
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno)
        return -ERANGE;
    switch (toupper((unsigned char)*end)) {
    case 'K':
        unit = KIB(1);
        break;
    case '\0':
    case 'M':
        break;
    case 'G':
        unit = GIB(1);
        break;
    case 'T':
        unit = GIB(1024);
        break;
    default:
        return -EINVAL;
    }
    if (*end)
        end++;
    if (!strcmp(end, "iB") || !strcmp(end, "B"))
        end += strlen(end);
    if (*end)
        return -EINVAL;
    if (!mul_fits(v, unit, &total))
        return -ERANGE;
    *value = total;
    return 0;
}

int parse_bool(const char *text, bool *value)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcasecmp(text, words[i])) {
            *value = i & 1;
            return 0;
        }
    }
    return -EINVAL;
}

/* Levenshtein's distance, for short words. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);

    if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
        return UINT32_MAX;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned old = row[j], swap = diagonal + (a[i - 1] != b[j - 1]);

            row[j] = MIN(swap, MIN(row[j - 1], old) + 1);
            diagonal = old;
        }
    }
    return row[n];
}

const char *nearest_name(const char *word, const char *(*name)(const void *list, size_t i), const void *list,
                         size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < count; i++) {
        const char *n = name(list, i);
        unsigned d = n ? distance(word, n) : UINT32_MAX;

        /* The beginning of a longer name counts as near: --mem, --no-re. */
        if (n && strlen(word) >= 3 && !strncmp(word, n, strlen(word)))
            d = 1;
        if (d < best_distance && 2 * (size_t)d <= strlen(word)) {
            best = n;
            best_distance = d;
        }
    }
    return best;
}

static const char *option_name(const void *list, size_t i)
{
    const struct option *o = list;

    return o[i].hidden ? NULL : o[i].name;
}

const char *nearest_option(const char *word)
{
    return nearest_name(word, option_name, option_table, option_count);
}

static void list_choices(const char *const *choices, char *buf, size_t size)
{
    size_t len = 0;

    buf[0] = 0;
    for (size_t i = 0; choices[i]; i++) {
        int n = snprintf(buf + len, size - len, "%s%s", i ? ", " : "", choices[i]);

        if (n < 0 || (size_t)n >= size - len)
            return;
        len += (size_t)n;
    }
}

int parse_choice(const char *what, const char *text, const char *const *choices, struct error *err)
{
    char all[256];

    for (int i = 0; choices[i]; i++) {
        if (!strcmp(choices[i], text))
            return i;
    }
    list_choices(choices, all, sizeof(all));
    error_set(err, EINVAL, "%s: there is no '%s': choose one of %s", what, text, all);
    return -1;
}

char *resolve_path(const char *path, size_t len, const struct opt_source *source)
{
    char *out = NULL;

    if (path[0] == '/' || !source->folder || !strcmp(source->folder, "."))
        return strndup(path, len);
    if (asprintf(&out, "%s/%.*s", source->folder, (int)len, path) < 0)
        return NULL;
    return out;
}

static int set_text(char **slot, char *text, struct error *err)
{
    if (!text)
        return error_set(err, ENOMEM, "out of memory");
    free(*slot);
    *slot = text;
    return 0;
}

static int set_number(const struct option *o, const char *value, uint64_t *slot, struct error *err)
{
    uint64_t v = 0;
    int r = o->kind == OPT_SIZE ? parse_size(value, &v) : parse_uint(value, UINT64_MAX, &v);

    if (r == -EINVAL)
        return error_set(err, EINVAL, "--%s %s: not %s", o->name, value,
                         o->kind == OPT_SIZE ? "a size: say 512M or 2G" : "a number");
    if (r == 0 && v >= o->min && v <= o->max) {
        *slot = v;
        return 0;
    }
    if (o->kind == OPT_SIZE) {
        bool large = o->max >= GIB(1);

        return error_set(err, EINVAL, "--%s %s: must be %lluM to %llu%c", o->name, value,
                         (unsigned long long)(o->min >> 20),
                         (unsigned long long)(o->max >> (large ? 30 : 20)), large ? 'G' : 'M');
    }
    return error_set(err, EINVAL, "--%s %s: must be %llu to %llu", o->name, value, (unsigned long long)o->min,
                     (unsigned long long)o->max);
}

int opt_set(struct run_options *options, const struct option *o, const char *value,
            const struct opt_source *source, struct error *err)
{
    void *slot = (char *)options + o->offset;
    int choice;

    if (!value && o->kind != OPT_BOOL)
        return error_set(err, EINVAL, "--%s: a value is missing: --%s %s", o->name, o->name, o->arg);
    if (value && !*value && o->kind != OPT_TEXT)
        return error_set(err, EINVAL, "--%s: the value is empty: --%s %s", o->name, o->name,
                         o->arg ? o->arg : "on");
    switch (o->kind) {
    case OPT_TEXT:
        return set_text(slot, strdup(value), err);
    case OPT_PATH:
        return set_text(slot, resolve_path(value, strlen(value), source), err);
    case OPT_SIZE:
    case OPT_UINT:
        return set_number(o, value, slot, err);
    case OPT_BOOL:
        if (!value)
            *(bool *)slot = true;
        else if (parse_bool(value, slot) < 0)
            return error_set(err, EINVAL, "--%s %s: say on or off", o->name, value);
        return 0;
    case OPT_CHOICE: {
        char what[64];

        snprintf(what, sizeof(what), "--%s", o->name);
        choice = parse_choice(what, value, o->choices, err);
        if (choice < 0)
            return -EINVAL;
        *(int *)slot = choice;
        return 0;
    }
    case OPT_CUSTOM:
        return o->parse(options, o, value, source, err);
    }
    return -EINVAL;
}
