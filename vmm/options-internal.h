/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMM_OPTIONS_INTERNAL_H
#define VMM_OPTIONS_INTERNAL_H

#include "vmm/options.h"

enum opt_kind {
    OPT_TEXT,
    OPT_PATH,   /* relative to the description file's folder if it comes from there */
    OPT_SIZE,   /* bytes, with K, M, G */
    OPT_UINT,   /* decimal or 0x… */
    OPT_BOOL,   /* on, off; alone it means on */
    OPT_CHOICE, /* one of choices[] */
    OPT_CUSTOM, /* parse() does it */
};

struct option;

/* Where a value came from, for its errors and its relative paths. */
struct opt_source {
    const char *folder; /* of the description file; NULL: command line */
};

struct option {
    const char *name;
    const char *arg; /* how the help shows the value; NULL: none is wanted */
    const char *help;
    enum opt_kind kind;
    size_t offset;              /* in struct run_options */
    uint64_t min, max;          /* UINT, SIZE */
    const char *const *choices; /* CHOICE: NULL-ended; the value is the index */
    int (*parse)(struct run_options *options, const struct option *option, const char *value,
                 const struct opt_source *source, struct error *err);
    const char *group;    /* heading in the help, where a group begins */
    const char *complete; /* what the shell offers: "file", words, or NULL */
    bool hidden;          /* for tests: not in the help */
};

extern const struct option option_table[];
extern const size_t option_count;

const struct option *option_find(const char *name, size_t len);
/* The nearest of a list of names, or NULL if none is near. */
const char *nearest_name(const char *word, const char *(*name)(const void *list, size_t i), const void *list,
                         size_t count);
const char *nearest_option(const char *word);

/* ---- options-value.c ---- */
int opt_set(struct run_options *options, const struct option *option, const char *value,
            const struct opt_source *source, struct error *err);
int parse_size(const char *text, uint64_t *value);
int parse_uint(const char *text, uint64_t max, uint64_t *value);
int parse_bool(const char *text, bool *value);
/* -1: none of them; the error says which there are. */
int parse_choice(const char *what, const char *text, const char *const *choices, struct error *err);
char *resolve_path(const char *path, size_t len, const struct opt_source *source);

/* ---- options-device.c ---- */
int parse_initrd(struct run_options *o, const struct option *option, const char *value,
                 const struct opt_source *source, struct error *err);
int parse_disk(struct run_options *o, const struct option *option, const char *value,
               const struct opt_source *source, struct error *err);
int parse_net(struct run_options *o, const struct option *option, const char *value,
              const struct opt_source *source, struct error *err);
/* Forgets the network cards. */
void net_clear(struct run_options *o);
int parse_console(struct run_options *o, const struct option *option, const char *value,
                  const struct opt_source *source, struct error *err);
int parse_trace(struct run_options *o, const struct option *option, const char *value,
                const struct opt_source *source, struct error *err);

#endif
