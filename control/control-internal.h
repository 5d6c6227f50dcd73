/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of control/ share. */
#ifndef CONTROL_CONTROL_INTERNAL_H
#define CONTROL_CONTROL_INTERNAL_H

#include "control/control.h"

/* {"qemu": …, "package": …} */
void control_put_version(struct json_writer *w, const struct control_server *server);

/* inspect.c */
void control_query_counters(struct control_call *call);
void control_query_samples(struct control_call *call);

/* registers.c */
void control_query_registers(struct control_call *call);

#endif
