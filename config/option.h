/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options as rows of a table: parsing, help, completion and the manual's check come
 * from it. config/machine.h has the rows that describe any machine; a program adds a
 * table of its own on top of it, and its object begins with the machine's.
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "config/pool.h"

enum option_kind {
    OPTION_TEXT,
    OPTION_PATH,   /* relative to the description file's folder if it comes from there */
    OPTION_SIZE,   /* bytes, with K, M, G */
    OPTION_UINT,   /* decimal or 0x… */
    OPTION_BOOL,   /* on, off; alone it means on */
    OPTION_CHOICE, /* one of choices[] */
    OPTION_CUSTOM, /* parse() does it */
};

/* Where a value came from: for its errors, its relative paths, its memory. */
struct option_source {
    struct config_pool *pool;
    const char *folder;  /* of the description file; NULL: paths are as they are */
    const char *dashes;  /* how an option is written: "--" on a command line … */
    const char *between; /* … and what stands before its value */
    unsigned line;       /* in a file; for those who keep it */
};

struct option {
    const char *name;
    const char *arg; /* how the help shows the value; NULL: none is wanted */
    const char *help;
    enum option_kind kind;
    size_t offset;              /* in the object: char *, uint64_t, bool or int */
    uint64_t min, max;          /* UINT, SIZE */
    const char *const *choices; /* CHOICE: NULL-ended; the value is the index */
    int (*parse)(void *object, const struct option *option, const char *value,
                 const struct option_source *source, struct error *err);
    const char *group;    /* heading in the help, where a group begins */
    const char *complete; /* what the shell offers: "file", words, or NULL */
    const char *before;   /* the base table's row that it precedes in lists; NULL: behind all of them */
    bool repeats;         /* CUSTOM: a second one adds to the first */
    bool hidden;          /* for tests: not in the help */
};

struct option_table {
    const struct option *rows;
    size_t count;
    const struct option_table *base; /* NULL: none */
};

#define OPTION_MAX 64

/* A table and its base, in the order of the help. */
struct option_list {
    const struct option *row[OPTION_MAX];
    size_t count;
};

void option_list_make(struct option_list *list, const struct option_table *table);
const struct option *option_find(const struct option_list *list, const char *name, size_t len);
/* The nearest that is not hidden, or NULL if none is near. */
const char *option_nearest(const struct option_list *list, const char *word);

/* Puts one value into the object. NULL: there is none. */
int option_apply(void *object, const struct option *option, const char *value,
                 const struct option_source *source, struct error *err);
/* A path as the source means it. NULL: no memory. */
char *option_path(const char *path, const struct option_source *source);
/* The error of an option that was given too often. */
int option_too_many(const struct option *option, const struct option_source *source, unsigned max,
                    struct error *err);

#endif
