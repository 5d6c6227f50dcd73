/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What describes a virtual machine whoever runs it: batuta-vmm's command line and
 * description file, and the [vm] sections of the hypervisor's configuration.
 */
#ifndef CONFIG_MACHINE_H
#define CONFIG_MACHINE_H

#include "config/option.h"

#define MACHINE_MAX_INITRDS 64

enum machine_cpu { CPU_V2, CPU_V3, CPU_HOST };

struct machine_module {
    const char *path;
    const char *cmdline; /* NULL: the path */
};

struct machine_config {
    const char *kernel; /* a file of the host, or the name of a boot module */
    int kernel_format;  /* enum boot_protocol */
    struct machine_module initrd[MACHINE_MAX_INITRDS];
    unsigned initrd_count;
    const char *append;
    const char *name;
    uint64_t memory; /* bytes */
    uint64_t cpus;
    int cpu; /* enum machine_cpu */
    bool rng, balloon;
    uint64_t debug_exit; /* port, 0: none */
    bool no_reboot;
};

/* Their offsets are those of struct machine_config. */
extern const struct option_table machine_options;

/* Defaults. */
void machine_init(struct machine_config *machine);
/* Do the values fit together? */
int machine_check(const struct machine_config *machine, const struct option_source *source,
                  struct error *err);

#endif
