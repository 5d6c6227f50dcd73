/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that look into a running VM, by its control socket. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

int cmd_stats(int argc, char **argv);
int cmd_code(int argc, char **argv);
int cmd_profile(int argc, char **argv);

#endif
