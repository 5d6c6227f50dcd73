/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MOVS, STOS, LODS, SCAS and CMPS without leaving translated code. */
#ifndef ENGINE_BT_STRINGS_H
#define ENGINE_BT_STRINGS_H

#include "engine/bt/bt-internal.h"
#include "engine/bt/emit.h"

struct bt_translation;

/* Makes the stubs: bt_vm.code.string. */
void bt_strings_make(struct bt_vm *bvm, struct emit *e);
/* Does the stub for it cover its common case? It has no planned access. */
bool bt_is_string(const struct bt_translation *t, const struct x86_insn *insn);
/* False: not this one. */
bool bt_put_string(struct bt_translation *t);

#endif
