/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `batuta run` can be told, on the command line or in a file
 * (docs/formats/vm-file.md): what describes any machine (config/machine.h), and what
 * only this program has. The two tables say every option once: parsing, --help, shell
 * completion and the manual's check come from them.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdio.h>

#include "config/machine.h"

#define OPT_MAX_LIST     64
#define OPT_MAX_FORWARDS 32
#define OPT_MAX_CONSOLES 8
#define OPT_MAX_NETS     8
#define OPT_MAX_DISKS    16

enum opt_disk_format { DISK_AUTO, DISK_RAW };
enum opt_net_kind { NET_NONE, NET_USER, NET_TAP };
enum opt_console_kind { CONSOLE_STDIO, CONSOLE_PTY, CONSOLE_UNIX, CONSOLE_FILE, CONSOLE_NONE };
enum opt_engine { ENGINE_AUTO, ENGINE_KVM, ENGINE_BT, ENGINE_INTERP };

extern const char *const disk_formats[]; /* by enum opt_disk_format */

struct opt_disk {
    const char *path;
    int format; /* enum opt_disk_format */
    bool read_only;
    bool direct;
    const char *serial; /* NULL: made up */
};

struct opt_net {
    int kind; /* enum opt_net_kind */
    const char *tap;
    bool has_mac;
    uint8_t mac[6];
    const char *forward[OPT_MAX_FORWARDS]; /* as net/net.h describes them, checked */
    unsigned forward_count;
};

struct opt_console {
    int kind; /* enum opt_console_kind */
    const char *path;
};

struct run_options {
    struct machine_config machine; /* first: its table's offsets are the same here */
    struct config_pool pool;       /* of all texts */
    struct opt_disk disk[OPT_MAX_DISKS];
    unsigned disk_count;
    struct opt_net net[OPT_MAX_NETS];
    unsigned net_count;
    int engine;          /* enum opt_engine */
    uint64_t code_cache; /* bytes, 0: the engine's default */
    struct opt_console console[OPT_MAX_CONSOLES];
    unsigned console_count;
    const char *control;
    bool snapshot;
    const char *log;
    const char *trace[OPT_MAX_LIST];
    unsigned trace_count;
    const char *debugcon;
    const char *load;
    const char *save;
    uint64_t save_at; /* virtual ns, 0: not */
    bool paused;
    bool icount;
    uint64_t icount_seed;
    uint64_t stop_at; /* instructions, 0: not */
    bool perf_map;
    const char *guest_symbols;
    const char *config;
    bool help, version;
    bool completion; /* print the shell's completion script */
};

/* Defaults. */
void options_init(struct run_options *options);
void options_finish(struct run_options *options);

/*
 * argv without the program's name. -EINVAL: wrong usage; other errors: a file
 * cannot be read. A description file's settings come first, whatever its place. A
 * word that is a kernel by its content is one. --help ends it, whatever is wrong.
 */
int options_parse(struct run_options *options, int argc, char *const *argv, struct error *err);
/* One file of `key = value` lines. */
int options_parse_file(struct run_options *options, const char *path, struct error *err);
/* Is the description whole? (a kernel is there, things fit together) */
int options_check(const struct run_options *options, struct error *err);

void options_print_help(FILE *out);
/* A bash completion script for `batuta`. */
void options_print_completion(FILE *out);
/* One option's name per line, with its argument: what the manual is checked against. */
void options_print_names(FILE *out);

#endif
