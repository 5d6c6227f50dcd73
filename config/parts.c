/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/parts.h"

#include "base/text.h"
#include "config/value.h"

int parts_split(struct parts *p, const struct option *option, const char *value,
                const struct option_source *source, struct error *err)
{
    char *out = config_copy(source->pool, value, text_length(value));

    if (!out)
        return error_set(err, ENOMEM, "out of memory");
    p->count = 0;
    p->part[p->count++] = out;
    for (const char *in = value; *in; in++) {
        if (in[0] == ',' && in[1] == ',') {
            *out++ = *in++;
        } else if (*in != ',') {
            *out++ = *in;
        } else if (p->count == PARTS_MAX) {
            return error_set(err, EINVAL, "%s%s: has too many parts", source->dashes, option->name);
        } else {
            *out++ = 0;
            p->part[p->count++] = out;
        }
    }
    *out = 0;
    return 0;
}

static const char *desc_name(const void *list, size_t i)
{
    return ((const struct part_desc *)list)[i].name;
}

static int no_setting(const char *key, const struct option *option, const struct part_desc *desc,
                      size_t count, const struct option_source *source, struct error *err)
{
    const char *near = nearest_name(key, desc_name, desc, count);

    return error_set(err, EINVAL, "%s%s: has no setting '%s'%s%s%s", source->dashes, option->name, key,
                     near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int parts_apply(struct parts *p, const struct option *option, const struct part_desc *desc, size_t count,
                void *object, const struct option_source *source, struct error *err)
{
    for (unsigned i = 1; i < p->count; i++) {
        char *key = p->part[i], *value;
        const char *equals = text_find(key, '=');
        size_t d = 0;
        int r;

        value = equals ? key + (equals - key) : NULL;
        if (value)
            *value++ = 0;
        while (d < count && !text_equal(desc[d].name, key))
            d++;
        if (d == count)
            return no_setting(key, option, desc, count, source, err);
        if (desc[d].wants_value ? !value || !*value : value && !text_equal(value, "on"))
            return error_set(err, EINVAL, "%s%s: the setting '%s' %s", source->dashes, option->name, key,
                             desc[d].wants_value ? "needs a value" : "takes no value");
        r = desc[d].set(object, value, source, err);
        if (r < 0) {
            error_prefix(err, "%s%s", source->dashes, option->name);
            return r;
        }
    }
    return 0;
}

int part_serial(const char **slot, const char *value, const struct option_source *source, struct error *err)
{
    if (text_length(value) > 20)
        return error_set(err, EINVAL, "serial %s: has more than 20 characters", value);
    return config_text(source->pool, slot, value, err);
}
