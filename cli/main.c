/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `batuta`: the command that people type. Each VM is a process of its own,
 * batuta-vmm, which `run` becomes; `ctl` speaks to a running one.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ctl.h"
#include "cli/hv.h"
#include "cli/inspect.h"

#define USAGE 2

static const char help_text[] =
    "Usage: batuta COMMAND [ARGUMENT…]\n"
    "\n"
    "  run [OPTION…] [FILE]         start a virtual machine in the foreground (batuta run --help)\n"
    "  doctor [--json]              what this machine offers to VMs, and how to mend what it lacks\n"
    "  ctl SOCKET COMMAND [K=V…]    send a command to the VM whose control socket that is\n"
    "  ctl SOCKET --events          print its events as they come\n"
    "  stats SOCKET [--json]        what its CPU engine has counted\n"
    "  profile SOCKET [OPTION…]     where its guest spends time, as stacks for a flame graph\n"
    "  code SOCKET ADDRESS          what its guest's code was translated into\n"
    "  hv check FILE [OPTION…]      look through a configuration of the type-1 hypervisor (batuta hv "
    "--help)\n"
    "  version                      print the version\n"
    "  help [COMMAND]               this, or a command's help\n";

static const char doctor_text[] =
    "Usage: batuta doctor [--json]\n"
    "Says of each capability of this machine whether it is ok, poor or missing; what that costs, and the\n"
    "mend. --json: as an array of objects with name, verdict, text, cost and mend. Exit status: 0 virtual\n"
    "machines can run here, 1 they cannot. See batuta-doctor(1).\n";

static bool wants_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

/* The per-VM program: beside this one, or where `make install` puts it. */
static void exec_vmm(char **argv)
{
    static const char *const places[] = {"%s/batuta-vmm", "%s/../libexec/batuta/batuta-vmm",
                                         "%s/../libexec/batuta-vmm"};
    char self[PATH_MAX], path[PATH_MAX + 40], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0) {
        self[n] = 0;
        slash = strrchr(self, '/');
        if (slash)
            *slash = 0;
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            snprintf(path, sizeof(path), places[i], self);
            argv[0] = path;
            execv(path, argv);
        }
    }
    fprintf(stderr, "batuta: batuta-vmm cannot be started: %s: is the installation whole?\n",
            strerror(errno));
}

/* argv[0] is the subcommand; its place is used for batuta-vmm's first argument. */
static int run_vmm(const char *mode, int argc, char **argv)
{
    char **args = calloc((size_t)argc + 3, sizeof(*args));
    int n = 1;

    if (!args)
        return 1;
    if (mode)
        args[n++] = (char *)mode;
    for (int i = 1; i < argc; i++)
        args[n++] = argv[i];
    exec_vmm(args);
    free(args);
    return 1;
}

static int cmd_run(int argc, char **argv)
{
    return run_vmm(NULL, argc, argv);
}

static int cmd_doctor(int argc, char **argv)
{
    if (argc > 1 && wants_help(argv[1])) {
        fputs(doctor_text, stdout);
        return fflush(stdout) ? 1 : 0;
    }
    return run_vmm("--doctor", argc, argv);
}

static int cmd_version(int argc, char **argv)
{
    puts("batuta " BATUTA_VERSION);
    return 0;
}

static int cmd_help(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", cmd_run},     {"doctor", cmd_doctor},     {"ctl", cmd_ctl},     {"version", cmd_version},
    {"stats", cmd_stats}, {"profile", cmd_profile},   {"code", cmd_code},   {"help", cmd_help},
    {"hv", cmd_hv},       {"--version", cmd_version}, {"--help", cmd_help}, {"-h", cmd_help},
};

static int unknown(const char *word)
{
    fprintf(stderr,
            "batuta: there is no command '%s': run, doctor, ctl, stats, profile, code, hv, version, help\n",
            word);
    return USAGE;
}

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!strcmp(argv[0], commands[i].name))
            return commands[i].run(argc, argv);
    }
    return unknown(argv[0]);
}

static int cmd_help(int argc, char **argv)
{
    static const char *const own[] = {"run", "doctor", "ctl", "stats", "profile", "code", "hv"};

    for (size_t i = 0; argc > 1 && i < sizeof(own) / sizeof(own[0]); i++) {
        if (!strcmp(argv[1], own[i]))
            return run_command(2, (char *[]){argv[1], "--help", NULL});
    }
    if (argc > 1 && strcmp(argv[1], "version") && strcmp(argv[1], "help"))
        return unknown(argv[1]);
    fputs(help_text, stdout);
    return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help_text, stderr);
        return USAGE;
    }
    return run_command(argc - 1, argv + 1);
}
