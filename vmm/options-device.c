/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values with parts: a first word, then comma-separated settings. A comma inside
 * of a value is written twice.
 */
#include <stdlib.h>
#include <string.h>

#include "core/trace.h"
#include "net/hostfwd.h"
#include "vmm/options-internal.h"

const char *const disk_formats[] = {[DISK_AUTO] = "auto", [DISK_RAW] = "raw", NULL};

#define MAX_PARTS 64

/* A value, cut at its single commas. */
struct parts {
    char *buf;
    char *part[MAX_PARTS];
    unsigned count;
};

static int parts_split(struct parts *p, const char *option, const char *value, struct error *err)
{
    char *out;

    *p = (struct parts){.buf = strdup(value)};
    out = p->buf;
    if (!out)
        return error_set(err, ENOMEM, "out of memory");
    p->part[p->count++] = out;
    for (const char *in = value; *in; in++) {
        if (in[0] == ',' && in[1] == ',') {
            *out++ = *in++;
        } else if (*in != ',') {
            *out++ = *in;
        } else if (p->count == MAX_PARTS) {
            free(p->buf);
            return error_set(err, EINVAL, "--%s: has too many parts", option);
        } else {
            *out++ = 0;
            p->part[p->count++] = out;
        }
    }
    *out = 0;
    return 0;
}

/* One `key=value` or `key` that an option takes after its first word. */
struct part_desc {
    const char *name;
    bool wants_value;
    int (*set)(void *object, const char *value, struct error *err);
};

static const char *desc_name(const void *list, size_t i)
{
    return ((const struct part_desc *)list)[i].name;
}

static int parts_apply(struct parts *p, const char *option, const struct part_desc *desc, size_t count,
                       void *object, struct error *err)
{
    for (unsigned i = 1; i < p->count; i++) {
        char *key = p->part[i], *value = strchr(key, '=');
        size_t d = 0;
        int r;

        if (value)
            *value++ = 0;
        while (d < count && strcmp(desc[d].name, key))
            d++;
        if (d == count) {
            const char *near = nearest_name(key, desc_name, desc, count);

            return error_set(err, EINVAL, "--%s: has no setting '%s'%s%s%s", option, key,
                             near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (desc[d].wants_value ? !value || !*value : value && strcmp(value, "on"))
            return error_set(err, EINVAL, "--%s: the setting '%s' %s", option, key,
                             desc[d].wants_value ? "needs a value" : "takes no value");
        r = desc[d].set(object, value, err);
        if (r < 0) {
            error_prefix(err, "--%s", option);
            return r;
        }
    }
    return 0;
}

static int copy_text(char **slot, const char *text, struct error *err)
{
    free(*slot);
    *slot = strdup(text);
    return *slot ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int too_many(const struct option *option, unsigned max, struct error *err)
{
    return error_set(err, EINVAL, "--%s: given more than %u times", option->name, max);
}

/* ---- --initrd ---- */

static int initrd_cmdline(void *object, const char *value, struct error *err)
{
    return copy_text(&((struct opt_module *)object)->cmdline, value, err);
}

int parse_initrd(struct run_options *o, const struct option *option, const char *value,
                 const struct opt_source *source, struct error *err)
{
    static const struct part_desc desc[] = {{"cmdline", true, initrd_cmdline}};
    struct opt_module *m = &o->initrd[o->initrd_count];
    struct parts p;
    int r;

    if (o->initrd_count == OPT_MAX_LIST)
        return too_many(option, OPT_MAX_LIST, err);
    r = parts_split(&p, option->name, value, err);
    if (r < 0)
        return r;
    *m = (struct opt_module){0};
    o->initrd_count++;
    m->path = *p.part[0] ? resolve_path(p.part[0], strlen(p.part[0]), source) : NULL;
    r = m->path ? parts_apply(&p, option->name, desc, ARRAY_SIZE(desc), m, err)
                : error_set(err, EINVAL, "--initrd %s: names no file", value);
    free(p.buf);
    return r;
}

/* ---- --disk ---- */

static int disk_format(void *object, const char *value, struct error *err)
{
    int choice = parse_choice("format", value, disk_formats, err);

    if (choice < 0)
        return -EINVAL;
    ((struct opt_disk *)object)->format = choice;
    return 0;
}

static int disk_ro(void *object, const char *value, struct error *err)
{
    ((struct opt_disk *)object)->read_only = true;
    return 0;
}

static int disk_direct(void *object, const char *value, struct error *err)
{
    ((struct opt_disk *)object)->direct = true;
    return 0;
}

static int disk_serial(void *object, const char *value, struct error *err)
{
    if (strlen(value) > 20)
        return error_set(err, EINVAL, "serial %s: has more than 20 characters", value);
    return copy_text(&((struct opt_disk *)object)->serial, value, err);
}

int parse_disk(struct run_options *o, const struct option *option, const char *value,
               const struct opt_source *source, struct error *err)
{
    static const struct part_desc desc[] = {{"format", true, disk_format},
                                            {"ro", false, disk_ro},
                                            {"direct", false, disk_direct},
                                            {"serial", true, disk_serial}};
    struct opt_disk *d = &o->disk[o->disk_count];
    struct parts p;
    int r;

    if (o->disk_count == OPT_MAX_DISKS)
        return too_many(option, OPT_MAX_DISKS, err);
    r = parts_split(&p, option->name, value, err);
    if (r < 0)
        return r;
    *d = (struct opt_disk){0};
    o->disk_count++;
    d->path = *p.part[0] ? resolve_path(p.part[0], strlen(p.part[0]), source) : NULL;
    r = d->path ? parts_apply(&p, option->name, desc, ARRAY_SIZE(desc), d, err)
                : error_set(err, EINVAL, "--disk %s: names no file", value);
    free(p.buf);
    return r;
}

/* ---- --net ---- */

static int net_forward(void *object, const char *value, struct error *err)
{
    struct opt_net *net = object;
    struct hostfwd parsed;
    int r;

    if (net->kind != NET_USER)
        return error_set(err, EINVAL, "hostfwd is for --net user");
    if (net->forward_count == OPT_MAX_FORWARDS)
        return error_set(err, EINVAL, "more than %d forwarded ports", OPT_MAX_FORWARDS);
    r = hostfwd_parse(value, strlen(value), &parsed, err);
    if (r == 0)
        r = copy_text(&net->forward[net->forward_count], value, err);
    net->forward_count += r == 0;
    return r;
}

static int net_mac(void *object, const char *value, struct error *err)
{
    struct opt_net *net = object;
    unsigned b[6];
    int used = 0;

    if (strlen(value) != 17 ||
        sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
        used != 17)
        return error_set(err, EINVAL, "mac=%s: not an address like 52:54:00:12:34:56", value);
    if (b[0] & 1)
        return error_set(err, EINVAL, "mac=%s: is a multicast address: make its first byte even", value);
    for (int i = 0; i < 6; i++)
        net->mac[i] = (uint8_t)b[i];
    net->has_mac = true;
    return 0;
}

static int net_kind(struct opt_net *net, const char *word, struct error *err)
{
    if (!strcmp(word, "user")) {
        net->kind = NET_USER;
    } else if (!strcmp(word, "none")) {
        net->kind = NET_NONE;
    } else if (!strncmp(word, "tap=", 4) && word[4]) {
        net->kind = NET_TAP;
        if (strlen(word + 4) > 15)
            return error_set(err, EINVAL, "--net %s: an interface's name has at most 15 characters", word);
        return copy_text(&net->tap, word + 4, err);
    } else {
        return error_set(err, EINVAL, "--net: there is no '%s': say user, tap=NAME or none", word);
    }
    return 0;
}

void net_clear(struct run_options *o)
{
    for (unsigned i = 0; i < o->net_count; i++) {
        free(o->net[i].tap);
        for (unsigned j = 0; j < o->net[i].forward_count; j++)
            free(o->net[i].forward[j]);
    }
    o->net_count = 0;
}

int parse_net(struct run_options *o, const struct option *option, const char *value,
              const struct opt_source *source, struct error *err)
{
    static const struct part_desc desc[] = {{"hostfwd", true, net_forward}, {"mac", true, net_mac}};
    struct opt_net *net = &o->net[o->net_count];
    struct parts p;
    int r;

    if (o->net_count == OPT_MAX_NETS)
        return too_many(option, OPT_MAX_NETS, err);
    r = parts_split(&p, option->name, value, err);
    if (r < 0)
        return r;
    *net = (struct opt_net){0};
    o->net_count++;
    r = net_kind(net, p.part[0], err);
    if (r == 0)
        r = parts_apply(&p, option->name, desc, ARRAY_SIZE(desc), net, err);
    if (r == 0 && net->kind == NET_NONE)
        net_clear(o); /* takes back what a description file gave */
    free(p.buf);
    return r;
}

/* ---- --console ---- */

int parse_console(struct run_options *o, const struct option *option, const char *value,
                  const struct opt_source *source, struct error *err)
{
    static const struct {
        const char *word;
        enum opt_console_kind kind;
        bool path;
    } kinds[] = {{"stdio", CONSOLE_STDIO, false},
                 {"pty", CONSOLE_PTY, false},
                 {"unix:", CONSOLE_UNIX, true},
                 {"file:", CONSOLE_FILE, true},
                 {"none", CONSOLE_NONE, false}};

    if (o->console_count == OPT_MAX_CONSOLES)
        return too_many(option, OPT_MAX_CONSOLES, err);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t len = strlen(kinds[i].word);
        struct opt_console *c = &o->console[o->console_count];

        if (kinds[i].path ? strncmp(value, kinds[i].word, len) : strcmp(value, kinds[i].word))
            continue;
        if (kinds[i].path && !value[len])
            return error_set(err, EINVAL, "--console %s: a path is missing", value);
        *c = (struct opt_console){.kind = kinds[i].kind};
        if (kinds[i].path) {
            c->path = resolve_path(value + len, strlen(value + len), source);
            if (!c->path)
                return error_set(err, ENOMEM, "out of memory");
        }
        o->console_count++;
        return 0;
    }
    return error_set(err, EINVAL, "--console: there is no '%s': say stdio, pty, unix:PATH, file:PATH or none",
                     value);
}

/* ---- --trace ---- */

static const char *event_name(const void *list, size_t i)
{
    return trace_name((enum trace_event)i);
}

int parse_trace(struct run_options *o, const struct option *option, const char *value,
                const struct opt_source *source, struct error *err)
{
    struct parts p;
    int r = parts_split(&p, option->name, value, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; r == 0 && i < p.count; i++) {
        const char *near;
        struct trace probe = {0};

        if (o->trace_count == OPT_MAX_LIST) {
            r = too_many(option, OPT_MAX_LIST, err);
        } else if (!strcmp(p.part[i], "help") || !strcmp(p.part[i], "all") ||
                   trace_enable(&probe, p.part[i]) == 0) {
            r = copy_text(&o->trace[o->trace_count], p.part[i], err);
            o->trace_count += r == 0;
        } else {
            near = nearest_name(p.part[i], event_name, NULL, TRACE_COUNT);
            r = error_set(err, EINVAL, "--trace: there is no event '%s': %s%s%s", p.part[i],
                          near ? "did you mean '" : "", near ? near : "`--trace help` lists them",
                          near ? "'?" : "");
        }
    }
    free(p.buf);
    return r;
}
