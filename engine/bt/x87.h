/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x87 in translated code. */
#ifndef ENGINE_BT_X87_H
#define ENGINE_BT_X87_H

#include "engine/bt/emit.h"

struct bt_translation;
struct x86_insn;

/* The guest's state into the host's. rax and rcx are lost, flags are kept. Uses the stack. */
void bt_put_x87_load(struct emit *e);
/* Back, if it is there. All general registers but rsp are lost, and flags. */
void bt_put_x87_save(struct emit *e);

bool bt_is_x87(const struct bt_translation *t, const struct x86_insn *insn);
/* False: not this one. */
bool bt_put_x87(struct bt_translation *t);

#endif
