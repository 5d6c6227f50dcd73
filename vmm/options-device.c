/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is behind a disk, a network card, a console on this side. */
#include <string.h>

#include "config/parts.h"
#include "config/value.h"
#include "core/trace.h"
#include "net/hostfwd.h"
#include "vmm/options-internal.h"

const char *const disk_formats[] = {[DISK_AUTO] = "auto", [DISK_RAW] = "raw", NULL};

/* ---- --disk ---- */

static int disk_format(void *object, const char *value, const struct option_source *source, struct error *err)
{
    int choice = value_choice("format", value, disk_formats, err);

    if (choice < 0)
        return -EINVAL;
    ((struct opt_disk *)object)->format = choice;
    return 0;
}

static int disk_ro(void *object, const char *value, const struct option_source *source, struct error *err)
{
    ((struct opt_disk *)object)->read_only = true;
    return 0;
}

static int disk_direct(void *object, const char *value, const struct option_source *source, struct error *err)
{
    ((struct opt_disk *)object)->direct = true;
    return 0;
}

static int disk_serial(void *object, const char *value, const struct option_source *source, struct error *err)
{
    return part_serial(&((struct opt_disk *)object)->serial, value, source, err);
}

int parse_disk(void *object, const struct option *option, const char *value,
               const struct option_source *source, struct error *err)
{
    struct run_options *o = object;
    static const struct part_desc desc[] = {{"format", true, disk_format},
                                            {"ro", false, disk_ro},
                                            {"direct", false, disk_direct},
                                            {"serial", true, disk_serial}};
    struct opt_disk d = {0};
    struct parts p;
    int r;

    if (o->disk_count == OPT_MAX_DISKS)
        return option_too_many(option, source, OPT_MAX_DISKS, err);
    r = parts_split(&p, option, value, source, err);
    if (r < 0)
        return r;
    if (!*p.part[0])
        return error_set(err, EINVAL, "--disk %s: names no file", value);
    d.path = option_path(p.part[0], source);
    if (!d.path)
        return error_set(err, ENOMEM, "out of memory");
    r = parts_apply(&p, option, desc, ARRAY_SIZE(desc), &d, source, err);
    if (r == 0)
        o->disk[o->disk_count++] = d;
    return r;
}

/* ---- --net ---- */

static int net_forward(void *object, const char *value, const struct option_source *source, struct error *err)
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
        r = config_text(source->pool, &net->forward[net->forward_count], value, err);
    net->forward_count += r == 0;
    return r;
}

static int net_mac(void *object, const char *value, const struct option_source *source, struct error *err)
{
    struct opt_net *net = object;
    int r = value_mac(value, net->mac, err);

    net->has_mac |= r == 0;
    return r;
}

static int net_kind(struct opt_net *net, const char *word, const struct option_source *source,
                    struct error *err)
{
    if (!strcmp(word, "user")) {
        net->kind = NET_USER;
    } else if (!strcmp(word, "none")) {
        net->kind = NET_NONE;
    } else if (!strncmp(word, "tap=", 4) && word[4]) {
        net->kind = NET_TAP;
        if (strlen(word + 4) > 15)
            return error_set(err, EINVAL, "--net %s: an interface's name has at most 15 characters", word);
        return config_text(source->pool, &net->tap, word + 4, err);
    } else {
        return error_set(err, EINVAL, "--net: there is no '%s': say user, tap=NAME or none", word);
    }
    return 0;
}

int parse_net(void *object, const struct option *option, const char *value,
              const struct option_source *source, struct error *err)
{
    struct run_options *o = object;
    static const struct part_desc desc[] = {{"hostfwd", true, net_forward}, {"mac", true, net_mac}};
    struct opt_net net = {0};
    struct parts p;
    int r;

    if (o->net_count == OPT_MAX_NETS)
        return option_too_many(option, source, OPT_MAX_NETS, err);
    r = parts_split(&p, option, value, source, err);
    r = r < 0 ? r : net_kind(&net, p.part[0], source, err);
    r = r < 0 ? r : parts_apply(&p, option, desc, ARRAY_SIZE(desc), &net, source, err);
    if (r < 0)
        return r;
    if (net.kind == NET_NONE)
        o->net_count = 0; /* takes back what a description file gave */
    else
        o->net[o->net_count++] = net;
    return 0;
}

/* ---- --console ---- */

int parse_console(void *object, const struct option *option, const char *value,
                  const struct option_source *source, struct error *err)
{
    struct run_options *o = object;
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
        return option_too_many(option, source, OPT_MAX_CONSOLES, err);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t len = strlen(kinds[i].word);
        struct opt_console *c = &o->console[o->console_count];

        if (kinds[i].path ? strncmp(value, kinds[i].word, len) : strcmp(value, kinds[i].word))
            continue;
        if (kinds[i].path && !value[len])
            return error_set(err, EINVAL, "--console %s: a path is missing", value);
        *c = (struct opt_console){.kind = kinds[i].kind};
        if (kinds[i].path) {
            c->path = option_path(value + len, source);
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

int parse_trace(void *object, const struct option *option, const char *value,
                const struct option_source *source, struct error *err)
{
    struct run_options *o = object;
    struct parts p;
    int r = parts_split(&p, option, value, source, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; r == 0 && i < p.count; i++) {
        const char *near;
        struct trace probe = {0};

        if (o->trace_count == OPT_MAX_LIST) {
            r = option_too_many(option, source, OPT_MAX_LIST, err);
        } else if (!strcmp(p.part[i], "help") || !strcmp(p.part[i], "all") ||
                   trace_enable(&probe, p.part[i]) == 0) {
            r = config_text(source->pool, &o->trace[o->trace_count], p.part[i], err);
            o->trace_count += r == 0;
        } else {
            near = nearest_name(p.part[i], event_name, NULL, TRACE_COUNT);
            r = error_set(err, EINVAL, "--trace: there is no event '%s': %s%s%s", p.part[i],
                          near ? "did you mean '" : "", near ? near : "`--trace help` lists them",
                          near ? "'?" : "");
        }
    }
    return r;
}
