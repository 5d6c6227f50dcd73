/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots filled from the TLB without asking C. */
#ifndef ENGINE_BT_REFILL_H
#define ENGINE_BT_REFILL_H

#include "engine/bt/translate.h"

/* Makes the stubs: bt_vm.code.refill; behind that of bt_slow(). */
void bt_refill_make(struct bt_vm *bvm, struct emit *e);
/* What the stubs want in a new frame. */
void bt_refill_init(struct bt_vcpu *bv);
/* The miss of a slot's check; rcx is the linear address. */
void bt_put_refill(struct bt_translation *t, const struct bt_later *later);

#endif
