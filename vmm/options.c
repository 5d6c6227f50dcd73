/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/options.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"
#include "vmm/options-internal.h"

void options_init(struct run_options *o)
{
    *o = (struct run_options){0};
    machine_init(&o->machine);
    config_pool_init(&o->pool, malloc, free);
}

void options_finish(struct run_options *o)
{
    config_pool_finish(&o->pool);
    options_init(o);
}

/* How errors speak of options, wherever these came from. */
static struct option_source source_of(struct run_options *o, const char *folder)
{
    return (struct option_source){.pool = &o->pool, .folder = folder, .dashes = "--", .between = " "};
}

/* ---- command line ---- */

static int unknown(const struct option_list *list, const char *word, size_t len, struct error *err)
{
    char name[64];
    const char *near;

    snprintf(name, sizeof(name), "%.*s", (int)len, word);
    near = option_nearest(list, name);
    return error_set(err, EINVAL, "there is no option --%s: %s%s%s", name, near ? "did you mean --" : "see ",
                     near ? near : "batuta run --help", near ? "?" : "");
}

/* One word that begins with --. Returns how many words were used. */
static int parse_option(struct run_options *o, const struct option_list *list, int left, char *const *argv,
                        struct error *err)
{
    const struct option_source command_line = source_of(o, NULL);
    const char *word = argv[0] + 2, *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *option = option_find(list, word, len);
    const char *value = equals ? equals + 1 : NULL;
    int used = 1, r;

    if (!option)
        return unknown(list, word, len, err);
    if (!value && option->arg) {
        if (left < 2 || !strncmp(argv[1], "--", 2))
            return error_set(err, EINVAL, "--%s: a value is missing: --%s %s", option->name, option->name,
                             option->arg);
        value = argv[1];
        used = 2;
    }
    r = option_apply(o, option, value, &command_line, err);
    return r < 0 ? r : used;
}

static int use_config(struct run_options *o, const char *path, struct error *err)
{
    if (o->config)
        return error_set(err, EINVAL, "%s: only one description file can be given, and %s is one", path,
                         o->config);
    return config_text(&o->pool, &o->config, path, err);
}

/* For people who write kernels: a file that cannot be anything else is started, not read as a description. */
static bool is_kernel(const char *path)
{
    uint8_t head[0x206] = {0};
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    size_t n = f ? fread(head, 1, sizeof(head), f) : 0;

    if (f)
        fclose(f);
    return (n >= 4 && !memcmp(head,
                              "\x7f"
                              "ELF",
                              4)) ||
           (n == sizeof(head) && !memcmp(head + 0x202, "HdrS", 4));
}

/* The description file, found before the other options are looked at: they override it. */
static int find_config(struct run_options *o, const struct option_list *list, int argc, char *const *argv,
                       struct error *err)
{
    for (int i = 0; i < argc; i++) {
        const struct option *option;

        if (!strcmp(argv[i], "--config") && i + 1 < argc) {
            if (use_config(o, argv[++i], err) < 0)
                return -EINVAL;
        } else if (!strncmp(argv[i], "--config=", 9)) {
            if (use_config(o, argv[i] + 9, err) < 0)
                return -EINVAL;
        } else if (!strncmp(argv[i], "--", 2)) {
            size_t len = strcspn(argv[i] + 2, "=");

            option = option_find(list, argv[i] + 2, len);
            if (!option)
                return unknown(list, argv[i] + 2, len, err);
            /* step over its value */
            i += option->arg && !argv[i][2 + len] && i + 1 < argc && strncmp(argv[i + 1], "--", 2);
        } else if (argv[i][0] == '-') {
            return error_set(err, EINVAL,
                             "there is no option %s: options begin with two dashes, see batuta run --help",
                             argv[i]);
        } else if (!is_kernel(argv[i]) && use_config(o, argv[i], err) < 0) {
            return -EINVAL;
        }
    }
    return 0;
}

/* A word that is not an option's: the description file, which has been read, or a kernel. */
static int parse_word(struct run_options *o, const struct option_list *list, const char *word,
                      const char **kernel, struct error *err)
{
    const struct option_source command_line = source_of(o, NULL);

    if (o->config && !strcmp(word, o->config))
        return 1;
    if (*kernel)
        return error_set(err, EINVAL, "%s: only one kernel can be started, and %s is one", word, *kernel);
    *kernel = word;
    return option_apply(o, option_find(list, "kernel", 6), word, &command_line, err) < 0 ? -EINVAL : 1;
}

static bool wants_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    }
    return false;
}

int options_parse(struct run_options *o, int argc, char *const *argv, struct error *err)
{
    struct option_list list;
    const char *kernel = NULL;
    int r;

    o->help = wants_help(argc, argv);
    if (o->help)
        return 0;
    option_list_make(&list, &run_option_table);
    r = find_config(o, &list, argc, argv, err);
    if (r == 0 && o->config)
        r = options_parse_file(o, o->config, err);
    if (r < 0)
        return r;
    for (int i = 0; i < argc; i += r) {
        r = strncmp(argv[i], "--", 2) ? parse_word(o, &list, argv[i], &kernel, err)
                                      : parse_option(o, &list, argc - i, argv + i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- description file ---- */

static int apply_line(struct run_options *o, const struct option_list *list, const struct config_line *line,
                      const struct option_source *source, struct error *err)
{
    const struct option *option;
    const char *key = line->key, *near;

    if (line->section)
        return error_set(err, EINVAL, "sections are not used: remove the line %s", line->section);
    option = option_find(list, key, strlen(key));
    if (option &&
        (option->offset == offsetof(struct run_options, config) ||
         option->offset == offsetof(struct run_options, help) ||
         option->offset == offsetof(struct run_options, version)) &&
        option->kind != OPTION_CUSTOM)
        return error_set(err, EINVAL, "'%s' belongs on the command line", key);
    if (option)
        return option_apply(o, option, line->value, source, err);
    near = option_nearest(list, key);
    return error_set(err, EINVAL, "there is no key '%s'%s%s%s", key,
                     near ? ": did you mean '" : ": see batuta run --help", near ? near : "",
                     near ? "'?" : "");
}

static int read_text(const char *path, char **text, struct error *err)
{
    FILE *f = fopen(path, "re");
    char *buf = malloc(CONFIG_FILE_MAX + 1);
    size_t len = 0;
    int code = 0;

    if (!f || !buf) {
        code = f ? ENOMEM : errno;
        error_set(err, code, "%s: cannot be opened: %s%s", path, strerror(code),
                  code == ENOENT ? " (a description file was expected; a kernel is given with --kernel)"
                                 : "");
    } else {
        len = fread(buf, 1, CONFIG_FILE_MAX + 1, f);
        if (ferror(f))
            code = errno ? errno : EIO, error_set(err, code, "%s: cannot be read: %s", path, strerror(code));
        else if (memchr(buf, 0, len) || len > CONFIG_FILE_MAX)
            code = EINVAL,
            error_set(err, code, "%s: is not a description file: if it is a kernel, say --kernel %s", path,
                      path);
    }
    if (f)
        fclose(f);
    if (code) {
        free(buf);
        return -code;
    }
    buf[len] = 0;
    *text = buf;
    return 0;
}

static int apply_text(struct run_options *o, char *text, const char *folder, unsigned *number,
                      struct error *err)
{
    const struct option_source source = source_of(o, folder);
    struct config_reader reader;
    struct option_list list;
    struct config_line line;
    int r;

    option_list_make(&list, &run_option_table);
    config_reader_init(&reader, text);
    while ((r = config_reader_next(&reader, &line, err)) > 0) {
        r = apply_line(o, &list, &line, &source, err);
        if (r < 0)
            break;
    }
    *number = reader.line;
    return r;
}

int options_parse_file(struct run_options *o, const char *path, struct error *err)
{
    char *text = NULL, *copy = strdup(path);
    unsigned number = 0;
    int r = copy ? read_text(path, &text, err) : error_set(err, ENOMEM, "out of memory");

    if (r == 0) {
        r = apply_text(o, text, dirname(copy), &number, err);
        if (r < 0)
            error_prefix(err, "%s:%u", path, number);
    }
    free(text);
    free(copy);
    return r;
}

/* ---- as a whole ---- */

int options_check(const struct run_options *o, struct error *err)
{
    const struct option_source command_line = {.dashes = "--", .between = " "};
    unsigned stdio = 0;
    int r;

    if (!o->machine.kernel)
        return error_set(err, EINVAL,
                         "nothing to start: name a kernel with --kernel FILE (see batuta run --help)");
    r = machine_check(&o->machine, &command_line, err);
    if (r < 0)
        return r;
    if (!o->save != !o->save_at)
        return error_set(err, EINVAL, "--save and --save-at-ns belong together");
    if (o->icount && o->machine.cpus != 1)
        return error_set(err, EINVAL, "--icount: counts the instructions of one vCPU: say --cpus 1");
    if (o->icount && o->net_count)
        return error_set(
            err, EINVAL,
            "--icount: packets come when they come, so no run would be repeatable: say --net none");
    if (o->code_cache && (o->engine == ENGINE_KVM || o->engine == ENGINE_INTERP))
        return error_set(err, EINVAL, "--code-cache: only --engine bt keeps translations");
    if (o->perf_map && (o->engine == ENGINE_KVM || o->engine == ENGINE_INTERP))
        return error_set(err, EINVAL, "--perf-map: only --engine bt translates");
    if (o->guest_symbols && !o->perf_map)
        return error_set(err, EINVAL, "--guest-symbols: is for --perf-map, which is not given");
    if (o->icount_seed && !o->icount)
        return error_set(err, EINVAL, "--icount-seed: is for --icount, which is not given");
    if (o->stop_at && !o->icount)
        return error_set(err, EINVAL, "--stop-at: instructions are counted with --icount only");
    if (o->stop_at && !o->control)
        return error_set(err, EINVAL, "--stop-at: who should let it go on? say --control SOCKET");
    if (o->icount && o->engine == ENGINE_KVM)
        return error_set(err, EINVAL, "--icount: KVM cannot count a guest's instructions: say --engine bt");
    for (unsigned i = 0; i < o->console_count; i++)
        stdio += o->console[i].kind == CONSOLE_STDIO;
    if (stdio > 1)
        return error_set(err, EINVAL, "--console stdio: can be given once only");
    for (unsigned i = 0; i < o->disk_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (!strcmp(o->disk[i].path, o->disk[j].path) && !(o->disk[i].read_only && o->disk[j].read_only))
                return error_set(err, EINVAL, "--disk %s: given twice: two disks cannot write to one file",
                                 o->disk[i].path);
        }
    }
    return 0;
}
