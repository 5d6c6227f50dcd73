/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `batuta hv check FILE`: the type-1 hypervisor's configuration, looked through on the host. */
#ifndef CLI_HV_H
#define CLI_HV_H

int cmd_hv(int argc, char **argv);

#endif
