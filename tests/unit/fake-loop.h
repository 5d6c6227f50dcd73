/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop for tests of backends: core/loop.h over poll(), turned by hand. */
#ifndef TESTS_UNIT_FAKE_LOOP_H
#define TESTS_UNIT_FAKE_LOOP_H

#include "core/loop.h"

struct loop *fake_loop_create(void);
/* Traps if something is still being watched. */
void fake_loop_destroy(struct loop *loop);
/* One turn: sleeps at most max_ms, then calls what is ready. */
void fake_loop_turn(struct loop *loop, int max_ms);
/* How many descriptors are watched. */
unsigned fake_loop_watches(const struct loop *loop);

#endif
