/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/option.h"

#include "base/bytes.h"
#include "base/fmt.h"
#include "base/text.h"
#include "config/value.h"

static void add(struct option_list *list, const struct option *option)
{
    base_assert(list->count < OPTION_MAX);
    list->row[list->count++] = option;
}

void option_list_make(struct option_list *list, const struct option_table *table)
{
    size_t base_rows = table->base ? table->base->count : 0;

    list->count = 0;
    for (size_t i = 0; i < base_rows; i++) {
        const struct option *shared = &table->base->rows[i];

        for (size_t j = 0; j < table->count; j++) {
            if (table->rows[j].before && text_equal(table->rows[j].before, shared->name))
                add(list, &table->rows[j]);
        }
        add(list, shared);
    }
    for (size_t j = 0; j < table->count; j++) {
        if (!table->rows[j].before)
            add(list, &table->rows[j]);
    }
}

const struct option *option_find(const struct option_list *list, const char *name, size_t len)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_length(list->row[i]->name) == len && !memcmp(list->row[i]->name, name, len))
            return list->row[i];
    }
    return NULL;
}

static const char *row_name(const void *list, size_t i)
{
    const struct option *o = ((const struct option_list *)list)->row[i];

    return o->hidden ? NULL : o->name;
}

const char *option_nearest(const struct option_list *list, const char *word)
{
    return nearest_name(word, row_name, list, list->count);
}

char *option_path(const char *path, const struct option_source *source)
{
    size_t folder = source->folder ? text_length(source->folder) : 0, len = text_length(path);
    char *out;

    if (path[0] == '/' || !source->folder || text_equal(source->folder, "."))
        return config_copy(source->pool, path, len);
    out = config_alloc(source->pool, folder + 1 + len + 1);
    if (out)
        fmt_print(out, folder + 1 + len + 1, "%s/%s", source->folder, path);
    return out;
}

int option_too_many(const struct option *option, const struct option_source *source, unsigned max,
                    struct error *err)
{
    return error_set(err, EINVAL, "%s%s: given more than %u times", source->dashes, option->name, max);
}

static int set_text(const char **slot, const char *text, struct error *err)
{
    if (!text)
        return error_set(err, ENOMEM, "out of memory");
    *slot = text;
    return 0;
}

static int set_number(const struct option *o, const char *value, uint64_t *slot,
                      const struct option_source *source, struct error *err)
{
    bool size = o->kind == OPTION_SIZE, large = o->max >= GIB(1);
    uint64_t v = 0;
    int r = size ? value_size(value, &v) : value_uint(value, UINT64_MAX, &v);

    if (r == -EINVAL)
        return error_set(err, EINVAL, "%s%s%s%s: not %s", source->dashes, o->name, source->between, value,
                         size ? "a size: say 512M or 2G" : "a number");
    if (r == 0 && v >= o->min && v <= o->max) {
        *slot = v;
        return 0;
    }
    if (size)
        return error_set(err, EINVAL, "%s%s%s%s: must be %lluM to %llu%c", source->dashes, o->name,
                         source->between, value, (unsigned long long)(o->min >> 20),
                         (unsigned long long)(o->max >> (large ? 30 : 20)), large ? 'G' : 'M');
    return error_set(err, EINVAL, "%s%s%s%s: must be %llu to %llu", source->dashes, o->name, source->between,
                     value, (unsigned long long)o->min, (unsigned long long)o->max);
}

static int set_choice(const struct option *o, const char *value, int *slot,
                      const struct option_source *source, struct error *err)
{
    char what[64];
    int choice;

    fmt_print(what, sizeof(what), "%s%s", source->dashes, o->name);
    choice = value_choice(what, value, o->choices, err);
    if (choice < 0)
        return -EINVAL;
    *slot = choice;
    return 0;
}

int option_apply(void *object, const struct option *o, const char *value, const struct option_source *source,
                 struct error *err)
{
    void *slot = (char *)object + o->offset;

    if (!value && o->kind != OPTION_BOOL)
        return error_set(err, EINVAL, "%s%s: a value is missing: %s%s%s%s", source->dashes, o->name,
                         source->dashes, o->name, source->between, o->arg);
    if (value && !*value && o->kind != OPTION_TEXT)
        return error_set(err, EINVAL, "%s%s: the value is empty: %s%s%s%s", source->dashes, o->name,
                         source->dashes, o->name, source->between, o->arg ? o->arg : "on");
    switch (o->kind) {
    case OPTION_TEXT:
        return config_text(source->pool, slot, value, err);
    case OPTION_PATH:
        return set_text(slot, option_path(value, source), err);
    case OPTION_SIZE:
    case OPTION_UINT:
        return set_number(o, value, slot, source, err);
    case OPTION_BOOL:
        if (!value)
            *(bool *)slot = true;
        else if (value_bool(value, slot) < 0)
            return error_set(err, EINVAL, "%s%s%s%s: say on or off", source->dashes, o->name, source->between,
                             value);
        return 0;
    case OPTION_CHOICE:
        return set_choice(o, value, slot, source, err);
    case OPTION_CUSTOM:
        return o->parse(object, o, value, source, err);
    }
    return -EINVAL;
}
