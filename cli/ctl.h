/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `batuta ctl SOCKET COMMAND [KEY=VALUE…]`: a small QMP client. */
#ifndef CLI_CTL_H
#define CLI_CTL_H

int cmd_ctl(int argc, char **argv);

#endif
