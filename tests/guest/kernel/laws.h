/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of the tables of guests that try a machine; included by their main.c only.
 * The number is the law of Popek and Goldberg that a guest is about: 1 equivalence,
 * 2 resource control, 3 efficiency (docs/ARCHITECTURE.md). Test programs in Python
 * read these tables, too.
 *
 * T: may end in any way, as those do that execute garbage. V: must come to its end, its checks passed.
 * S: a storm that never ends. E: a V of law 3, which says "measured" when its loop is over, and waits to be
 * looked at.
 */
#ifndef TESTS_GUEST_LAWS_H
#define TESTS_GUEST_LAWS_H

/* clang-format off */
#define T(number, test) {.name = #test, .run = test, .law = number}
/* clang-format on */
#define V(number, test) T(number, test)
#define S(number, test) T(number, test)
#define E(number, test) T(number, test)

#endif
